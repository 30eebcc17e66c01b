"""After every effect of every plan, undo brings back what was; interrupted after any of its own effects, given again, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.commands.snapshots import RestoreState
from fleetrecover.decide import undo as u
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.errors import InputError, Refused
from fleetrecover.facts import Survey
from tests.decide.test_resume import RUN, all_steps, finish, planned
from tests.fakes.nodes import Effect, FakeFleet, Node


class UndoFleet(FakeFleet):
    """A fleet of values that knows the steps of undo and clean, too."""

    def effects(self, step: s.Step) -> Iterator[Effect]:
        node = self.node(step.node)
        match step:
            case s.OpenRun():
                yield lambda: self._begin(node, step)
                yield lambda: self._record(node, step)
            case s.BeginUndo():
                yield lambda: self._keep(node, step.paths, undoing=True, finished=False)
            case s.RemoveOurs():
                yield lambda: self._drop_ours(node)
            case s.PutDataBack():
                yield lambda: self._together(node)
                yield lambda: self._withdraw(node, step)
                yield lambda: self._put_back(node, step)
                yield lambda: self._together(node)
            case s.PutContainerBack():
                yield lambda: self._together(node)
                yield lambda: self._change(node, step.container_id, name=step.name)
                yield lambda: self._change(node, step.container_id, restart_policy=step.restart_policy)
                if step.start:
                    yield lambda: self._start(node, step.container_id)
            case s.StartStopped():
                pass
            case s.MarkUndone():
                yield lambda: self._together(node)
                yield lambda: self._keep(node, step.paths, undone=True, undoing=False)
            case s.RemoveKept():
                for cid, _ in step.containers:
                    node.others = [c for c in node.others if c.id != cid]
                yield lambda: None
            case s.RemoveRun():
                yield lambda: self._forget(node, step.paths.run)
            case _:
                yield from super().effects(step)

    def _record(self, node: Node, step: s.OpenRun) -> None:
        keep = node.keeps[step.paths.run]
        if keep.containers:
            return
        theirs = [c for c in node.containers if c.role is None]
        self._keep(
            node,
            step.paths,
            containers=True,
            policies={c.id: c.restart_policy for c in theirs},
            names={c.id: c.name for c in theirs},
            ran=frozenset(c.id for c in theirs if c.running),
            no_data=node.data is None,
        )

    def _withdraw(self, node: Node, step: s.PutDataBack) -> None:
        assert node.serving is None, "data is moved while an etcd runs on it"
        keep = node.keeps[step.paths.run]
        if node.wal and not (keep.original or keep.no_data):
            return  # it is back, and its log was the last
        node.data, node.bare = None, False
        self._keep(node, step.paths, proof=None)
        self.live = [] if not any(n.serving for n in self.nodes) else self.live

    def _put_back(self, node: Node, step: s.PutDataBack) -> None:
        if node.kept is not None:
            node.data, node.kept = node.kept, None
            node.parted = (step.paths.run, "original") if node.wal else None
            self._keep(node, step.paths, original=False)

    def _forget(self, node: Node, run: str) -> None:
        node.keeps.pop(run, None)
        node.kept = None


def picture(fleet: FakeFleet) -> list[object]:
    """What must be as it was: containers with name, policy and state, and the data."""
    return [([(c.id, c.name, c.restart_policy, c.state) for c in node.containers], node.data) for node in fleet.nodes]


def put_back(fleet: UndoFleet) -> None:
    plan = u.make_undo(fleet.survey(), RUN)
    for stage in plan.stages:
        fleet.do(stage.steps)
    assert u.remains(fleet.survey(), RUN) == []


CASES = [(2, 1, 0), (3, 2, 0), (3, 1, 1), (3, 0, 2), (4, 2, 1), (5, 3, 0)]


@pytest.mark.parametrize("wal", [False, True], ids=["", "wal apart"])
@pytest.mark.parametrize(
    ("nodes", "wiped", "dead"), [pytest.param(*case, marks=[pytest.mark.long] if case[0] > 4 else []) for case in CASES]
)
def test_undo_after_every_effect(nodes: int, wiped: int, dead: int, wal: bool) -> None:
    """Wherever recover was interrupted, and wherever undo was interrupted after that."""
    fleet = UndoFleet(FakeFleet.broken(nodes, wiped, dead, wal=wal).nodes)
    before = picture(fleet)
    wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
    tried = 0
    for _ in range(6):
        _, plan = planned(fleet, wish)
        if plan is None or plan.remedy.value != "reset":
            break
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
                if not any(node.keeps for node in fleet.nodes):
                    continue
                tried += 1
                stages = u.make_undo(fleet.survey(), RUN).stages
                total = sum(1 for part in stages for one in part.steps for _ in fleet.copy().effects(one))
                for stop in range(total + 1):
                    again = fleet.copy()
                    done = [do for part in stages for one in part.steps for do in again.effects(one)]
                    for do in done[:stop]:
                        do()
                    put_back(again)
                    assert picture(again) == before, (type(step).__name__, stop)
                    assert u.make_undo(again.survey(), RUN).stages == ()
    assert tried > 0


def recovered() -> UndoFleet:
    fleet = UndoFleet(FakeFleet.broken(3, wiped=2).nodes)
    finish(fleet, Wish())
    return fleet


def test_it_says_what_clients_lose() -> None:
    """30 revisions when it was taken over, 30 now: none; ten more: ten."""
    fleet = recovered()
    plan = u.make_undo(fleet.survey(), RUN)
    assert (plan.written_since, plan.finished) == (0, True)
    survey = fleet.survey()
    nodes = tuple(replace(n, status=replace(n.status, revision=40)) if n.status else n for n in survey.nodes)
    plan = u.make_undo(Survey(survey.fleet, nodes, survey.taken_at), RUN)
    assert plan.written_since == 10
    assert "LOSES" in plan.warnings[0]


def test_an_unreachable_node_is_said_and_the_rest_is_planned() -> None:
    """It is in `away`, and in no step."""
    fleet = recovered()
    fleet.node("n3").accessible = False
    plan = u.make_undo(fleet.survey(), RUN)
    assert list(plan.away) == ["n3"]
    assert plan.nodes == ("n1", "n2")


def test_everything_is_stopped_before_data_is_moved_and_moved_before_anything_starts() -> None:
    """Old data never runs beside the recovered cluster."""
    kinds = [part.name for part in u.make_undo(recovered().survey(), RUN).stages]
    assert kinds == ["stop", "data", "containers", "neighbours", "undone"]


def test_a_younger_run_is_undone_first() -> None:
    """Its original is what the older run has made."""
    fleet = recovered()
    younger = "r20270101T000000Z-ffff"
    for node in fleet.nodes:
        node.keeps[younger] = replace(node.keeps[RUN], run=younger)
    with pytest.raises(Refused, match="came after"):
        u.make_undo(fleet.survey(), RUN)


def test_a_repair_is_not_undone_while_the_cluster_serves() -> None:
    """Its members were exchanged by vote."""
    fleet = recovered()
    for node in fleet.nodes:
        keep = node.keeps[RUN]
        assert keep.pin is not None
        node.keeps[RUN] = replace(keep, pin=replace(keep.pin, kind="repair"))
    with pytest.raises(Refused, match="by vote"):
        u.make_undo(fleet.survey(), RUN)


def restoring() -> UndoFleet:
    """As after a restore of revision 20, raised by 100, with 30 now: kept data, other data in place."""
    fleet = recovered()
    for node in fleet.nodes:
        keep = node.keeps[RUN]
        assert keep.pin is not None
        node.keeps[RUN] = replace(keep, pin=replace(keep.pin, kind="restore"), proof=None, original=True, no_data=False)
    return fleet


def test_the_undo_of_a_restore_stops_what_watches_before_data_goes_back() -> None:
    """Kubernetes' containers must not see revisions go back; they are started again in the end."""
    plan = u.make_undo(restoring().survey(), RUN, {})
    [stop] = [part for part in plan.stages if part.name == "stop"]
    for lane in stop.lanes:
        assert isinstance(lane[0], s.BeginUndo)
        assert isinstance(lane[1], s.StopNeighbours)
        assert "kube-apiserver" in lane[1].names
    assert any(isinstance(step, s.StartStopped) for part in plan.stages for step in part.steps)
    assert not any(
        isinstance(x, s.StopNeighbours) for part in u.make_undo(recovered().survey(), RUN).stages for x in part.steps
    )


def test_the_undo_of_a_restore_counts_from_the_snapshot() -> None:
    """Revision 30 now: of a snapshot of 20, ten were written since; none before anything is in place."""
    survey = restoring().survey()
    state = RestoreState({"revision": 12, "bump": 8}, frozenset({"original", "adopted"}))
    plan = u.make_undo(survey, RUN, {node.name: state for node in survey.nodes})
    assert plan.written_since == 10
    assert "since the restore" in plan.warnings[0]
    assert not any("will be without quorum" in text for text in plan.warnings)
    not_yet = replace(state, parts=frozenset({"original"}))
    assert u.make_undo(survey, RUN, {node.name: not_yet for node in survey.nodes}).written_since == 0


def test_clean_removes_the_runs_directories() -> None:
    """Only of a run that is closed."""
    fleet = recovered()
    plan = u.make_clean(fleet.survey(), RUN)
    for part in plan.stages:
        for step in part.steps:
            for effect in fleet.effects(step):
                effect()
    assert not any(node.keeps for node in fleet.nodes)
    assert all(node.serving for node in fleet.nodes)


def test_clean_refuses_an_open_run() -> None:
    """What it keeps is still needed."""
    fleet = recovered()
    for node in fleet.nodes:
        node.keeps[RUN] = replace(node.keeps[RUN], finished=False)
    with pytest.raises(Refused, match="neither finished nor undone"):
        u.make_clean(fleet.survey(), RUN)


def test_a_run_is_found_by_its_beginning() -> None:
    """And an unknown one is an input error that names those that are known."""
    survey = recovered().survey()
    assert u.find_run(survey, RUN[:6]) == RUN
    with pytest.raises(InputError):
        u.find_run(survey, "r1999")
