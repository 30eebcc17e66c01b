"""The planner is asked again after every effect of every plan: it always goes on, to the same end, with the same survivor."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.steps import AddMember, Join, KeepData, Step
from fleetrecover.errors import Refused
from tests.fakes.nodes import FakeFleet, make_log, voters_only

RUN = "r20260101T000000Z-abcd"


def planned(fleet: FakeFleet, wish: Wish) -> tuple[Diagnosis, Plan | None]:
    """The verdict and the plan that a look at the fleet gives now; no plan where nothing is to be done."""
    survey = fleet.survey()
    diagnosis = diagnose(survey, wish)
    assert diagnosis.remedy is not Remedy.BLOCKED, diagnosis.why
    if diagnosis.remedy is Remedy.NONE:
        return diagnosis, None
    return diagnosis, make_plan(survey, diagnosis, wish, run=RUN, started="2026-01-01T00:00:00Z")


def all_steps(plan: Plan) -> Iterator[Step]:
    """The steps as `recover` does them: after the fence it looks again, so only the fence is done of a plan with one."""
    fence = plan.stage("fence")
    if fence is not None:
        yield from fence.steps
        return
    yield from plan.steps
    if plan.closing is not None and plan.remedy is not Remedy.START:
        yield from plan.closing.steps


def finish(fleet: FakeFleet, wish: Wish) -> tuple[Diagnosis, list[str]]:
    """Plan and do until nothing is left; returns the end and the survivors that were named on the way."""
    survivors: list[str] = []
    plan: Plan | None = None
    for _ in range(6):
        diagnosis, plan = planned(fleet, wish)
        if plan is None:
            return diagnosis, survivors
        survivors += [plan.survivor] if plan.survivor else []
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
    raise AssertionError(f"it does not come to an end: {[type(s).__name__ for s in plan.steps] if plan else '?'}")


def assert_whole(fleet: FakeFleet, diagnosis: Diagnosis, wish: Wish) -> None:
    """Everybody who is not dead is a voter again, in its own container, and nothing is open."""
    wanted = {node.name for node in fleet.nodes if node.name not in wish.dead}
    assert diagnosis.verdict is Verdict.HEALTHY, diagnosis.why
    assert diagnosis.open_run is None
    assert {seat.host for seat in diagnosis.voters} == wanted
    for node in fleet.nodes:
        if node.name in wanted:
            assert [c.name for c in node.containers] == ["etcd"]
            assert node.containers[0].restart_policy == "always"
            assert not node.containers[0].forced


CASES = [
    (nodes, wiped, dead, version)
    for nodes in range(1, 8)
    for wiped in range(nodes)
    for dead in range(nodes - wiped)
    for version in ("3.3.25", "3.4.23")
]


@pytest.mark.parametrize(("nodes", "wiped", "dead", "version"), CASES)
def test_replanning_after_every_effect_comes_to_the_same_end(nodes: int, wiped: int, dead: int, version: str) -> None:
    """Interrupted anywhere, asked again, it finishes; once data was moved the survivor is the same."""
    fleet = FakeFleet.broken(nodes, wiped, dead, version)
    wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
    chosen: str | None = None
    interruptions = 0
    for _ in range(6):
        _, plan = planned(fleet, wish)
        if plan is None:
            break
        chosen = chosen or plan.survivor
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
                interrupted = copy.deepcopy(fleet)
                end, survivors = finish(interrupted, wish)
                interruptions += 1
                assert_whole(interrupted, end, wish)
                assert set(survivors) <= {chosen}
    end, _ = finish(fleet, wish)
    assert_whole(fleet, end, wish)
    assert interruptions > 0


def test_a_healthy_fleet_needs_nothing() -> None:
    """No plan at all."""
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    diagnosis, plan = planned(fleet, Wish())
    assert (diagnosis.verdict, plan) == (Verdict.HEALTHY, None)


def test_the_best_log_survives() -> None:
    """Two of five are left: the longer log is chosen."""
    fleet = FakeFleet.broken(5, wiped=3)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert (plan.remedy, plan.survivor, plan.joins) == (Remedy.RESET, "n1", ("n2", "n3", "n4", "n5"))


def test_enough_members_with_their_data_are_started() -> None:
    """Three of five have everything: no reset, and the other two are replaced afterwards."""
    fleet = FakeFleet.broken(5, wiped=2)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert plan.remedy is Remedy.START
    assert not any(type(step).__name__ == "CopyData" for step in plan.steps)


def test_a_voter_that_was_added_and_has_not_started_is_brought_in_first() -> None:
    """Before 3.4: the survivor has no quorum until that one is there, so nobody waits for it alone, nor adds another."""
    fleet = FakeFleet.broken(3, wiped=2, version="3.3.25")
    for _ in range(2):
        _, plan = planned(fleet, Wish())
        assert plan is not None
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
            if isinstance(step, AddMember):
                break
        if fleet.next_id > 100:
            break
    chief, joiner = fleet.nodes[0], fleet.nodes[1]
    assert chief.data is not None
    both = voters_only(chief.data, 1, 102)  # as etcd's log has it now; 102 has the address of the second host
    chief.data = replace(chief.data, configuration=both, configuration_at_end=both)
    fleet.live = []  # a power cut
    _, plan = planned(fleet, Wish())
    assert plan is not None
    kinds = [(type(step).__name__, step.node) for step in plan.steps]
    assert ("StartOriginal", "n1") not in kinds
    assert [step.node for step in plan.steps if isinstance(step, AddMember | Join)] == ["n2", "n3", "n3"]
    own = make_log(102, 3, 5)
    joiner.data = replace(own, configuration=both, configuration_at_end=both)  # it had started: it is a voter with data
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert not [step for step in plan.steps if isinstance(step, KeepData) and step.node == "n2"]
    joiner.accessible = False
    with pytest.raises(Refused, match="n2 added as a voter since"):
        planned(fleet, Wish())
