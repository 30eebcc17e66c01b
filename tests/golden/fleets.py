"""The fleets of the scenes: the tests' fakes, brought where they are wanted."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.undo import make_undo
from fleetrecover.facts import Certificate, Survey
from fleetrecover.model import EtcdSettings
from tests.decide.test_restore_resume import NEIGHBOURS, RestoreFleet
from tests.decide.test_restore_resume import broken as to_restore
from tests.decide.test_resume import RUN, all_steps, finish, planned
from tests.decide.test_undo import UndoFleet, put_back
from tests.fakes.nodes import FakeFleet, Unit
from tests.golden.stage import Situation


def lost(*, nodes: int = 3, wiped: int = 2, dead: int = 0, wal: bool = False, version: str = "3.4.23") -> UndoFleet:
    """A fleet whose etcds are all down."""
    fleet = UndoFleet(FakeFleet.broken(nodes, wiped, dead, version, wal=wal).nodes, version)
    fleet.databases = True
    return fleet


def serving(nodes: int = 3) -> UndoFleet:
    """A fleet that serves with all of its members."""
    fleet = lost(nodes=nodes, wiped=0)
    for node in fleet.nodes:
        assert node.container is not None and node.data is not None
        node.container = replace(node.container, state="running")
        fleet.live.append(fleet._seat(node.data, node.number))
    return fleet


def wiped_last(fleet: UndoFleet) -> UndoFleet:
    """The last one's disk is empty, its etcd down."""
    last = fleet.nodes[-1]
    assert last.container is not None
    last.data, last.container = None, replace(last.container, state="exited")
    return fleet


def interrupted(fleet: UndoFleet, kind: str, wish: Wish | None = None) -> UndoFleet:
    """Stopped right before the first step of that class."""
    wish = wish or Wish(frozenset(node.name for node in fleet.nodes if not node.accessible))
    for _ in range(9):
        _, plan = planned(fleet, wish)
        assert plan is not None, f"no step {kind}"
        for step in all_steps(plan):
            if type(step).__name__ == kind:
                return fleet
            fleet.do([step])
    raise AssertionError(kind)


def recovered(fleet: UndoFleet) -> UndoFleet:
    """After a run that has ended well; what it kept lies on the nodes."""
    finish(fleet, Wish())
    return fleet


def half_undone(fleet: UndoFleet, steps: int) -> UndoFleet:
    """After so many steps of an undo."""
    plan = make_undo(fleet.survey(), RUN)
    fleet.do([step for part in plan.stages for step in part.steps][:steps])
    return fleet


def with_units(fleet: UndoFleet, unit: Unit) -> UndoFleet:
    """Every node's etcd is started by that unit."""
    for node in fleet.nodes:
        node.unit = unit
    return fleet


def labelled(survey: Survey, **labels: str) -> Survey:
    """Every container has these labels."""
    labels = {name.replace("__", "."): value for name, value in labels.items()}
    nodes = tuple(
        replace(node, containers=tuple(replace(c, labels=labels) for c in node.containers)) for node in survey.nodes
    )
    return replace(survey, nodes=nodes)


def with_podman(survey: Survey) -> Survey:
    """The same under podman."""
    nodes = tuple(replace(node, cli_version="4.9.3") for node in survey.nodes)
    fleet = replace(survey.fleet, etcd=EtcdSettings(cli="podman", runtime="podman"))
    return replace(survey, fleet=fleet, nodes=nodes)


def with_certificates(survey: Survey) -> Survey:
    """One certificate a node; the last one's is over, and its key is another one's."""
    made = [
        Certificate(
            f"/etc/kubernetes/ssl/kube-etcd-{n}.pem",
            "kube-etcd",
            "2020-01-01",
            "2030-01-01",
            False,
            (),
            True,
            True,
            None,
            "/k.pem",
            "/ca.pem",
        )
        for n, _ in enumerate(survey.nodes, 1)
    ]
    made[-1] = replace(made[-1], not_after="2025-12-31", expired=True, key_matches=False)
    nodes = tuple(replace(n, certificates=(c,), clock_offset=3.4) for n, c in zip(survey.nodes, made, strict=True))
    return replace(survey, nodes=nodes)


def restoring(stage: str) -> Situation:
    """In the middle of a restore, right before that stage."""
    fleet: RestoreFleet = to_restore(3, 1, 0, 1)
    plan = fleet.plan(())
    for part in plan.stages:
        if part.name == stage:
            break
        fleet.do(part.steps)
    return Situation(fleet.survey(), states=fleet.states, neighbours=dict.fromkeys(fleet.running, NEIGHBOURS))


def undone(fleet: UndoFleet) -> UndoFleet:
    """After a run was taken back."""
    put_back(fleet)
    return fleet


def restored() -> Situation:
    """After a restore that has ended well."""
    fleet: RestoreFleet = to_restore(3, 1, 0, 0)
    plan = fleet.plan(())
    fleet.do([*plan.steps, *(plan.closing.steps if plan.closing else ())])
    return Situation(fleet.survey(), states=fleet.states, neighbours=dict.fromkeys(fleet.running, NEIGHBOURS))


def away(fleet: UndoFleet, name: str) -> UndoFleet:
    """That host has gone off since."""
    fleet.node(name).accessible = False
    return fleet
