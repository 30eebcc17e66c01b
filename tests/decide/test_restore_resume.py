"""A restore that is interrupted after any effect of any step: the same command finishes it, and undo brings back what was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

import pytest

from fleetrecover import steps as s
from fleetrecover.commands.snapshots import RestoreState
from fleetrecover.decide import restore as r
from fleetrecover.decide import undo as u
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Role
from tests.decide.test_undo import UndoFleet, picture
from tests.fakes.nodes import Effect, FakeFleet, Node, make_container, make_log
from tests.snapshots.test_restore_plan import make

RUN = "r1"
NEIGHBOURS = ("etcd-rolling-snapshots", "kube-apiserver")


class RestoreFleet(UndoFleet):
    """A fleet of values that knows the steps of a restore, too; `running` is what runs beside etcd on each node."""

    def __init__(self, nodes: list[Node]) -> None:
        super().__init__(nodes)
        self.states = {node.name: RestoreState() for node in nodes if node.accessible}
        self.running = {node.name: set(NEIGHBOURS) for node in nodes if node.accessible}

    def copy(self) -> Self:
        twin = super().copy()
        twin.states, twin.running = dict(self.states), {name: set(names) for name, names in self.running.items()}
        return twin

    def mark(self, node: str, **more: object) -> None:
        self.states[node] = replace(self.states[node], **more)  # type: ignore[arg-type]

    def part(self, node: str, *add: str, remove: str = "") -> None:
        self.mark(node, parts=(self.states[node].parts | set(add)) - {remove})

    def effects(self, step: s.Step) -> Iterator[Effect]:
        node, name = self.node(step.node), step.node
        if isinstance(step, s.AdoptRestored | s.StartNew) and node.unit is not None:
            yield lambda: self._unit_is_out_of_the_way(node)
        match step:
            case s.NoteRestore():
                yield lambda: self.mark(name, note=step.note)
            case s.SendSnapshot():
                yield lambda: self.part(name, "snapshot.db")
            case s.TrialBoot():
                yield lambda: None
            case s.RestoreData():
                yield lambda: self.part(name, "restored")
            case s.StopNeighbours():
                yield lambda: self.note_stopped(name, step.names)
                yield self.running[name].clear
            case s.KeepData():
                yield from super().effects(step)
                yield lambda: self.part(name, "original")
            case s.AdoptRestored():
                yield lambda: self._wal_first(node)
                yield lambda: self.move_in(node)
                yield lambda: self.part(name, "adopted")
            case s.StartNew():
                yield lambda: self.start_new(node, step)
            case s.StartNeighbours() | s.StartStopped():
                yield lambda: self.running[name].update(self.states[name].stopped)
            case _:
                yield from super().effects(step)

    def note_stopped(self, node: str, names: tuple[str, ...]) -> None:
        ran = [name for name in names if name in self.running[node]]
        self.mark(node, stopped=tuple(dict.fromkeys([*self.states[node].stopped, *ran])))

    def move_in(self, node: Node) -> None:
        if "restored" not in self.states[node.name].parts:
            return
        assert node.data is None, "data would be moved over other data"
        assert node.serving is None
        node.data, node.bare = make_log(node.number, len(self.nodes), 3), False
        self.part(node.name, remove="restored")

    def start_new(self, node: Node, step: s.StartNew) -> None:
        labels = {RUN_LABEL: step.paths.run, ROLE_LABEL: Role.MEMBER.value}
        if not any(c.role is Role.MEMBER for c in node.others):
            made = make_container(node.number, len(self.nodes))
            node.others.append(replace(made, id="new", name=step.name, labels=labels, state="exited"))
        self._start(node, "new")

    def plan(self, dead: tuple[str, ...]) -> r.RestorePlan:
        """The plan, as the same command makes it now."""
        there = dict.fromkeys(self.running, NEIGHBOURS)
        return make(self.survey(), states=self.states, neighbours=there, dead=dead, replace_living=True)

    def undo(self) -> list[s.Step]:
        """What `undo` would do now."""
        plan = u.make_undo(self.survey(), RUN, self.states)
        return [step for part in plan.stages for step in part.steps]


def broken(nodes: int, wiped: int, dead: int, without: int, *, wal: bool = False) -> RestoreFleet:
    """So many nodes, the last ones of them wiped or away; the first `without` have lost their containers."""
    fleet = RestoreFleet(FakeFleet.broken(nodes, wiped, dead, wal=wal).nodes)
    for node in fleet.nodes[:without]:
        node.container = None
    return fleet


@pytest.mark.parametrize("wal", [False, True], ids=["", "wal apart"])
@pytest.mark.parametrize(
    ("nodes", "wiped", "dead", "without"), [(1, 0, 0, 0), (3, 1, 0, 0), (3, 0, 1, 1), (3, 2, 0, 1)]
)
def test_after_every_effect(nodes: int, wiped: int, dead: int, without: int, wal: bool) -> None:
    """Resumed, every node serves the restored data; undone, at once or after having been resumed, all is as it was."""
    fleet = broken(nodes, wiped, dead, without, wal=wal)
    gone = tuple(node.name for node in fleet.nodes if not node.accessible)
    before, beside = picture(fleet), copy.deepcopy(fleet.running)
    plan = fleet.plan(gone)
    steps = [*plan.steps, *(plan.closing.steps if plan.closing else ())]
    for step in steps:
        for effect in fleet.effects(step):
            effect()
            if not all(node.keeps for node in fleet.nodes if node.accessible):
                continue
            taken_back = fleet.copy()
            taken_back.do(taken_back.undo())
            assert picture(taken_back) == before, type(step).__name__
            assert taken_back.running == beside, type(step).__name__
            resumed = fleet.copy()
            if not all(keep.finished for node in resumed.nodes for keep in node.keeps.values()):
                rest = resumed.plan(gone)
                assert rest.token == plan.token
                resumed.do([*rest.steps, *(rest.closing.steps if rest.closing else ())])
            serving = [node for node in resumed.nodes if node.accessible]
            assert all(node.serving and resumed._healthy(node) for node in serving), type(step).__name__
            assert all(node.data is not None and node.data.last.index == nodes + 3 for node in serving)
            assert resumed.running == beside, type(step).__name__
            resumed.do(resumed.undo())
            assert picture(resumed) == before, type(step).__name__
            assert resumed.running == beside
