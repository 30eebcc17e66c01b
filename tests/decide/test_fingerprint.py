"""What is agreed to is what is done; but what only moves does not make it another plan."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide.diagnosis import Remedy, Wish
from fleetrecover.decide.plan import Plan, fingerprint
from fleetrecover.facts import Survey
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
