"""What forbids to begin is found before the first change, and only where the way needs what it forbids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleetrecover.decide.barriers import forbidding
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.plan import make_plan
from fleetrecover.errors import Refused
from fleetrecover.facts import Survey
from fleetrecover.recover import refuse
from fleetrecover.steps import Fence
from tests.decide.test_resume import RUN, finish
from tests.decide.test_taken_back import database
from tests.fakes.nodes import FakeFleet


def auto_removed(fleet: FakeFleet, *numbers: int) -> FakeFleet:
    for number in numbers:
        node = fleet.nodes[number - 1]
        assert node.container is not None
        assert node.container.spec is not None
        spec = replace(node.container.spec, auto_remove=True, restart="")
        node.container = replace(node.container, state="running", restart_policy="no", spec=spec)
    return fleet


def with_auth(survey: Survey) -> Survey:
    db = replace(database(30), auth_enabled=True)
    return replace(survey, nodes=tuple(replace(n, db=db) if n.log else n for n in survey.nodes))


def codes(found: Diagnosis, severity: Severity) -> set[str]:
    return {finding.code for finding in found.findings if finding.severity is severity}


def test_an_etcd_that_was_started_with_rm_is_never_fenced() -> None:
    """Its stop destroys it: refused with what to do, and no plan would fence it."""
    survey = auto_removed(FakeFleet.broken(3, wiped=2), 2).survey()
    found = diagnose(survey, Wish())
    assert found.remedy is Remedy.RESET
    with pytest.raises(Refused, match=r"n2: container etcd was started with --rm.*nothing was changed") as told:
        refuse(found)
    assert "run-config n2" in (told.value.hint or "")
    plan = make_plan(survey, found, Wish(), run=RUN, started="2026-01-01T00:00:00Z")
    assert not [step for step in plan.steps if isinstance(step, Fence) and step.node == "n2"]


def test_on_a_member_that_serves_it_is_told_and_no_fault() -> None:
    """Nothing that is done while it serves stops it."""
    fleet = FakeFleet.broken(3, wiped=2)
    finish(fleet, Wish())
    node = fleet.nodes[0]
    assert node.container is not None
    assert node.container.spec is not None
    node.container = replace(node.container, spec=replace(node.container.spec, auto_remove=True))
    found = diagnose(fleet.survey(), Wish())
    assert (found.verdict, found.refusal) == (Verdict.HEALTHY, None)
    assert "auto-remove" in codes(found, Severity.INFO)


def test_authentication_forbids_a_reset_and_not_a_start() -> None:
    """Health, hashkv and member add want a user; members that can be started do not."""
    found = diagnose(with_auth(FakeFleet.broken(3, wiped=2).survey()), Wish())
    with pytest.raises(Refused, match="authentication is on") as told:
        refuse(found)
    assert "auth disable" in (told.value.hint or "")
    start = diagnose(with_auth(FakeFleet.broken(3, wiped=1).survey()), Wish())
    assert (start.remedy, start.refusal) == (Remedy.START, None)
    refuse(start)


def test_a_cluster_that_answers_has_it_off_whatever_an_old_disk_says() -> None:
    fleet = FakeFleet.broken(3, wiped=2)
    finish(fleet, Wish())
    found = diagnose(with_auth(fleet.survey()), Wish())
    assert (found.verdict, found.refusal) == (Verdict.HEALTHY, None)


@pytest.mark.parametrize(
    ("code", "remedy", "forbids"),
    [
        ("auto-remove", Remedy.RESET, True),
        ("auto-remove", Remedy.REPAIR, True),
        ("auto-remove", Remedy.START, False),
        ("auth-enabled", Remedy.RESET, True),
        ("auth-enabled", Remedy.REPAIR, True),
        ("auth-enabled", Remedy.START, False),
        ("other-name", Remedy.FINISH, True),
        ("other-name", Remedy.START, True),
        ("other-name", Remedy.NONE, False),
        ("space", Remedy.RESET, False),
    ],
)
def test_which_way_each_forbids(code: str, remedy: Remedy, forbids: bool) -> None:
    from fleetrecover.decide.finding import Finding

    def finding(severity: Severity) -> Any:
        return Finding(severity, None, code, "m", "a")

    assert (forbidding(remedy, [finding(Severity.ERROR)]) is not None) is forbids
    assert forbidding(remedy, [finding(Severity.INFO)]) is None
