"""A restore on hosts whose etcd a systemd unit starts: held before anything is stopped, given back by the end or by undo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.decide import restore as r
from fleetrecover.decide.units import HOLD, RELEASE, TOUCHING
from fleetrecover.errors import Refused
from tests.decide.test_restore_resume import RestoreFleet, broken
from tests.decide.test_units import KINDS, REMAKES, SHUT, change, with_units
from tests.fakes.nodes import Unit
from tests.snapshots.test_restore_plan import make

CASES = [(1, 0, 0), (3, 1, 0), (3, 2, 1), (3, 0, 2)]


def managed(unit: Unit, nodes: int = 3, wiped: int = 1, without: int = 0) -> RestoreFleet:
    fleet = broken(nodes, wiped, 0, without)
    with_units(fleet, unit)
    return fleet


def everything(plan: r.RestorePlan) -> list[s.Step]:
    return [*plan.steps, *(plan.closing.steps if plan.closing else ())]


def kinds(plan: r.RestorePlan, node: str) -> list[type[s.Step]]:
    return [type(step) for step in plan.steps if step.node == node]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("nodes", "wiped", "without"), CASES)
def test_after_every_effect(kind: str, nodes: int, wiped: int, without: int) -> None:
    """Resumed, every node serves what was restored, under its unit; undone, it has its data again, and its unit."""
    unit = KINDS[kind]
    fleet = managed(unit, nodes, wiped, without)
    before = [node.data for node in fleet.nodes]
    tried = 0
    for step in everything(fleet.plan(())):
        for effect in fleet.effects(step):
            effect()
            resumed = fleet.copy()
            if all(keep.finished for node in resumed.nodes for keep in node.keeps.values()):
                continue
            tried += 1
            resumed.do(everything(resumed.plan(())))
            for node in resumed.nodes:
                assert node.serving and node.data is not None, type(step).__name__
                assert node.data.last.index == nodes + 3, type(step).__name__
                assert node.unit is not None
                assert (node.unit.active, node.unit.held_by) == (unit.active, ""), type(step).__name__
            for again in (fleet.copy(), resumed):
                if not all(node.keeps for node in again.nodes):
                    continue
                again.do(again.undo())
                for node, data in zip(again.nodes, before, strict=True):
                    assert node.data == data, type(step).__name__
                    assert node.unit is not None
                    back = (node.unit.active, node.unit.held_by) == (unit.active, "")
                    # who had no data, or has forgotten some, would begin another cluster
                    kept = node.name != "n1" and not node.unit.active and bool(node.unit.held_by)
                    # one that only starts a container had none to start
                    idle = node.number <= without and not unit.remakes and not node.unit.active
                    assert back or kept or idle, type(step).__name__
    assert tried > 10


def test_held_first_and_given_back_one_after_another_before_kubernetes() -> None:
    plan = managed(REMAKES).plan(())
    assert [part.name for part in plan.stages] == [
        *(HOLD, "open", "prove", "prepare", "fence", "switch", "start", "quorum", RELEASE, "kubernetes")
    ]
    release = plan.stage(RELEASE)
    assert release is not None and len(release.lanes) == 1
    for node in ("n1", "n2", "n3"):
        steps = kinds(plan, node)
        assert steps.index(s.OpenRun) < steps.index(s.StopUnit), "what the containers were is written down first"
        assert steps[next(n for n, kind in enumerate(steps) if kind in TOUCHING) - 1] is s.StopUnit


def test_one_that_serves_is_not_held_again_after_it_was_given_back() -> None:
    """The command was interrupted between two units: the first runs, on what was restored."""
    fleet = managed(REMAKES)
    steps = everything(fleet.plan(()))
    first = next(n for n, step in enumerate(steps) if isinstance(step, s.ReleaseUnit))
    fleet.do(steps[: first + 1])
    rest = fleet.plan(())
    assert not any(step.node == steps[first].node for step in rest.steps if isinstance(step, s.HoldUnit | s.StopUnit))
    assert sum(isinstance(step, s.ReleaseUnit) for step in rest.steps) == 2


@pytest.mark.parametrize("case", SHUT)
def test_one_that_cannot_be_held_is_refused(case: str) -> None:
    fleet = managed(REMAKES)
    survey = change(fleet.survey(), 1, **SHUT[case])
    with pytest.raises(Refused, match=r"n2: container etcd is started by the unit etcd\.service"):
        make(survey, states=fleet.states)


def test_an_etcd_that_was_declared_dead_is_stopped_and_its_unit_never_given_back() -> None:
    """It would serve the old data beside the new cluster."""
    fleet = managed(REMAKES, wiped=0)
    plan = fleet.plan(("n3",))
    assert s.StopUnit in kinds(plan, "n3") and s.HoldUnit in kinds(plan, "n3")
    assert s.ReleaseUnit not in kinds(plan, "n3")
    assert any("systemctl disable etcd.service" in note for note in plan.notes)
    fleet.do(everything(plan))
    third = fleet.node("n3")
    assert third.unit is not None
    assert (third.serving, third.unit.active, third.unit.held_by) == (None, False, "r1")


def test_a_container_that_its_unit_makes_anew_meanwhile_changes_nothing() -> None:
    """Its id says nothing: the plan that was agreed to is still the plan."""
    fleet = managed(REMAKES)
    survey, plan = fleet.survey(), fleet.plan(())
    first = fleet.nodes[0]
    assert first.container is not None
    first.container = replace(first.container, id="anew")
    assert r.fingerprint(fleet.survey(), fleet.plan(())) == r.fingerprint(survey, plan)
    first.unit = None
    assert r.fingerprint(fleet.survey(), fleet.plan(())) != r.fingerprint(survey, plan)
