"""What was confirmed, against what the logs say once every etcd is stopped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.agreement import check_agreement
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.errors import StoppedPartWay
from tests.decide.test_resume import planned
from tests.fakes.nodes import FakeFleet


@pytest.fixture
def fleet() -> FakeFleet:
    """Five, of which two have their data and one of these still runs."""
    fleet = FakeFleet.broken(5, wiped=3)
    fleet.nodes[1].container = replace(fleet.nodes[1].containers[0], state="running")
    return fleet


def look(fleet: FakeFleet) -> tuple[Plan, Choice]:
    diagnosis, plan = planned(fleet, Wish())
    assert plan is not None
    assert diagnosis.choice is not None
    return plan, diagnosis.choice


def fence(fleet: FakeFleet, plan: Plan) -> None:
    stage = plan.stage("fence")
    assert stage is not None
    fleet.do(stage.steps)


def test_nothing_has_changed(fleet: FakeFleet) -> None:
    plan, choice = look(fleet)
    fence(fleet, plan)
    fresh, judged = look(fleet)
    assert check_agreement(plan, choice, fresh, judged) is fresh


def test_another_one_should_survive(fleet: FakeFleet) -> None:
    plan, choice = look(fleet)
    fence(fleet, plan)
    fresh, judged = look(fleet)
    with pytest.raises(StoppedPartWay, match="the logs say n2 should survive, not n1"):
        check_agreement(plan, choice, replace(fresh, survivor="n2"), judged)
    with pytest.raises(StoppedPartWay, match="nobody"):
        check_agreement(plan, choice, None, None)


def test_less_is_proven_than_was_confirmed(fleet: FakeFleet) -> None:
    plan, choice = look(fleet)
    fence(fleet, plan)
    fresh, judged = look(fleet)
    assert judged.proof is ProofKind.BEST
    with pytest.raises(StoppedPartWay, match="2 of the 3 logs"):
        check_agreement(plan, replace(choice, proof=ProofKind.COMPLETE), fresh, judged)
    enough = replace(judged, logs_read=3, doubts=("etcd9 knows more",))
    with pytest.raises(StoppedPartWay, match="it is not any more: etcd9 knows more; no data"):
        check_agreement(plan, replace(choice, proof=ProofKind.COMPLETE), fresh, enough)
    more = replace(judged, proof=ProofKind.COMPLETE)
    assert check_agreement(plan, choice, fresh, more) is fresh, "more than was hoped for is no reason to ask again"


def test_an_etcd_that_comes_back(fleet: FakeFleet) -> None:
    plan, choice = look(fleet)
    fence(fleet, plan)
    own = fleet.nodes[1].containers[0]
    fleet.nodes[1].others.append(replace(own, id="other", name="etcd", state="running"))
    fresh, judged = look(fleet)
    with pytest.raises(StoppedPartWay, match="an etcd on n2 came back"):
        check_agreement(plan, choice, fresh, judged)
