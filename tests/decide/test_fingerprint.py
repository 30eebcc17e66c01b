"""What is agreed to is what is done; but what only moves does not make it another plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.basis import basis, differences
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.plan import Plan, fingerprint, make_plan
from fleetrecover.facts import Hold, Survey
from fleetrecover.steps import AddMember, KeepData, KeepElsewhere, Step
from tests.decide.test_plan import changed, degraded
from tests.decide.test_resume import finish, planned
from tests.fakes.nodes import FakeFleet, make_log


def grown(survey: Survey, name: str) -> Survey:
    """The same survey, but that node's log has gone on."""
    nodes = tuple(
        replace(n, log=make_log(n.log.node_id, 3, 29)) if n.name == name and n.log else n for n in survey.nodes
    )
    return Survey(survey.fleet, nodes, survey.taken_at)


def of(fleet: FakeFleet) -> Plan:
    _, plan = planned(fleet, Wish())
    assert plan is not None
    return plan


def test_a_learner_that_is_written_to_does_not_hold_up_the_rest() -> None:
    """Found by the fault matrix: a client wrote all the while, and each rerun said that the fleet had changed."""
    fleet = FakeFleet.broken(3, wiped=1)
    finish(fleet, Wish())
    node = fleet.node("n3")
    assert node.container is not None
    node.container = replace(node.container, state="exited")
    plan = of(fleet)
    assert plan.remedy is Remedy.REPAIR
    assert fingerprint(fleet.survey(), plan) == fingerprint(grown(fleet.survey(), "n3"), plan)


def test_a_log_that_decides_is_part_of_it() -> None:
    """Before a reset, another end of a log may mean another survivor."""
    fleet = FakeFleet.broken(3, wiped=2)
    plan = of(fleet)
    assert plan.remedy is Remedy.RESET
    assert fingerprint(fleet.survey(), plan) != fingerprint(grown(fleet.survey(), "n1"), plan)


def test_another_leader_makes_no_other_plan() -> None:
    """Found in CI: the leader's container was gone, and between the two looks another member came to lead."""
    fleet = FakeFleet.broken(3, wiped=1)
    finish(fleet, Wish())
    node = fleet.node("n3")
    node.container, node.data = None, None
    plan = of(fleet)
    fleet.live.sort(key=lambda member: member.id != 2)
    other = of(fleet)
    assert {step.node for step in plan.steps} != {step.node for step in other.steps}
    assert fingerprint(fleet.survey(), plan) == fingerprint(fleet.survey(), other)


def test_a_member_that_does_not_answer_for_a_moment_makes_no_other_plan() -> None:
    """Seen on a busy machine: a degraded cluster, one member gone, and a healthy one slow in one of the two looks."""
    fleet = degraded(3, 1)
    node = fleet.node("n3")
    node.container = None
    seen, plan = fleet.survey(), of(fleet)
    status = seen.node("n2").status
    assert status is not None
    for other in (None, replace(status, healthy=False)):
        slow = changed(seen, "n2", status=other, members=None)
        fresh = make_plan(slow, diagnose(slow, Wish()), Wish(), run=plan.run, started="2026-01-01T00:00:00Z")
        assert [type(step) for step in fresh.steps] != [type(step) for step in plan.steps], "it would be waited for"
        assert fingerprint(slow, fresh) == fingerprint(seen, plan)
        assert differences(basis(seen, plan), basis(slow, fresh)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"log": make_log(2, 3, 29)},
        {"hold": Hold("t", "r0", "somebody", "bastion", 7, "", "", "9")},
        {"clock_offset": 3.0},
        {"alarms": ("NOSPACE 1",)},
    ],
)
def test_what_changes_by_itself_is_not_in_it(change: dict[str, object]) -> None:
    fleet = degraded(3, 1)
    seen, plan = fleet.survey(), of(fleet)
    assert fingerprint(changed(seen, "n2", **change), plan) == fingerprint(seen, plan)


def test_states_of_processes_and_restarts_are_not_in_it() -> None:
    """A container that crashes and is started again is another state at each look, and the same container."""
    fleet = degraded(3, 1)
    seen, plan = fleet.survey(), of(fleet)
    [own] = seen.node("n3").containers
    for state in ("running", "restarting", "exited", "dead"):
        flapping = replace(own, state=state, exit_code=1, started_at="2026-01-03T00:00:00Z")
        assert fingerprint(changed(seen, "n3", containers=(flapping,)), plan) == fingerprint(seen, plan)


def reset() -> tuple[Survey, Plan]:
    fleet = FakeFleet.broken(3)
    plan = of(fleet)
    assert plan.remedy is Remedy.RESET
    return fleet.survey(), plan


def test_each_thing_that_decides_is_in_it_and_told_in_words() -> None:
    seen, plan = reset()
    [own] = seen.node("n2").containers
    changes: list[tuple[Survey, Plan, str]] = [
        (changed(seen, "n2", cli_version=None), plan, "n2: access: was given, is not given"),
        (changed(seen, "n2", containers=()), plan, "n2: containers: was etcd (own2), is none"),
        (changed(seen, "n2", containers=(replace(own, id="other"),)), plan, "is etcd (other)"),
        (changed(seen, "n2", log=make_log(2, 3, 29)), plan, "n2: its log: was of member 2, to term 2, index 21"),
        (seen, replace(plan, survivor="n2"), "the survivor: was n1, is n2"),
        (seen, replace(plan, dead=("n3",)), "declared dead: was none, is n3"),
        (seen, replace(plan, remedy=Remedy.START), "the way: was reset, is start"),
    ]
    for other, fresh, said in changes:
        assert fingerprint(other, fresh) != fingerprint(seen, plan), said
        found = differences(basis(seen, plan), basis(other, fresh))
        assert any(said in each for each in found), (said, found)


def altered(plan: Plan, old: Step, new: Step) -> Plan:
    stages = tuple(
        replace(p, lanes=tuple(tuple(new if step is old else step for step in lane) for lane in p.lanes))
        for p in plan.stages
    )
    return replace(plan, stages=stages)


def test_learner_or_voter_and_the_work_directory_are_in_it() -> None:
    seen, plan = reset()
    add = next(step for step in plan.steps if isinstance(step, AddMember))
    other = altered(plan, add, replace(add, learner=False))
    assert "to be done besides: AddMember of n2 as a voter" in differences(basis(seen, plan), basis(seen, other))[-1]
    keep = next(step for step in plan.steps if isinstance(step, KeepData))
    places = [
        fingerprint(seen, altered(plan, keep, KeepElsewhere(keep.node, keep.paths, keep.data, work, 1)))
        for work in ("/a", "/b")
    ]
    assert len(set(places)) == 2


def test_steps_in_another_order() -> None:
    seen, plan = reset()
    turned = replace(plan, stages=plan.stages[::-1])
    assert differences(basis(seen, plan), basis(seen, turned)) == ("the steps are in another order",)
