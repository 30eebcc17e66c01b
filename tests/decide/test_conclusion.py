"""`recover`, `verify` and `diagnose` say one thing of one survey: the same verdict, exit code and next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from fleetrecover import recover as flow
from fleetrecover.decide.conclusion import Conclusion, combine, conclude, fewer
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, close_stale, diagnose
from fleetrecover.decide.verdict import Hashes
from fleetrecover.errors import Degraded, FleetRecoverError
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Role, Survey
from tests.decide.test_placement import swapped
from tests.decide.test_plan import degraded, left_behind
from tests.decide.test_resume import CASES, RUN, all_steps, finish, planned
from tests.fakes.nodes import FakeFleet

Break = Callable[[FakeFleet], None]


def forced_aside(fleet: FakeFleet) -> None:
    own = fleet.node("n2").container
    assert own is not None
    aside = replace(own, id="aside", name=f"etcd.fleetrecover-{RUN}", state="exited", restart_policy="no", forced=True)
    fleet.node("n2").others.append(aside)


def quarantine_left(fleet: FakeFleet) -> None:
    own = fleet.node("n1").container
    assert own is not None
    labels = {RUN_LABEL: "r20200101T000000Z-0000", ROLE_LABEL: Role.QUARANTINE.value}
    left = replace(
        own, id="left", name="q", labels=labels, state="exited", restart_policy="no", network="none", forced=True
    )
    fleet.node("n1").others.append(left)


def joiner_left(fleet: FakeFleet) -> None:
    """No check is there for it: it would not start by itself, and is in nobody's place."""
    own = fleet.node("n1").container
    assert own is not None
    labels = {RUN_LABEL: "r20200101T000000Z-0000", ROLE_LABEL: Role.JOINING.value}
    fleet.node("n1").others.append(
        replace(own, id="left", name="etcd-join", labels=labels, state="exited", restart_policy="no")
    )


def second_runs(fleet: FakeFleet) -> None:
    own = fleet.node("n3").container
    assert own is not None
    fleet.node("n3").others.append(replace(own, id="two", name="etcd-two", restart_policy="no"))


def no_policy(fleet: FakeFleet) -> None:
    own = fleet.node("n1").container
    assert own is not None
    fleet.node("n1").container = replace(own, restart_policy="no")


def removed(fleet: FakeFleet) -> None:
    fleet.live.pop()
    fleet.node("n3").accessible = False


def stopped(fleet: FakeFleet) -> None:
    own = fleet.node("n2").container
    assert own is not None
    fleet.node("n2").container = replace(own, state="exited")


BREAKS: dict[str, tuple[Break, Verdict]] = {
    "nothing": (lambda _: None, Verdict.HEALTHY),
    "what lies aside carries the flag": (forced_aside, Verdict.HEALTHY),
    "a quarantine was left": (quarantine_left, Verdict.DEGRADED),
    "a joiner was left": (joiner_left, Verdict.DEGRADED),
    "a second one runs": (second_runs, Verdict.DEGRADED),
    "no restart policy": (no_policy, Verdict.HEALTHY),
    "a member was removed": (removed, Verdict.DEGRADED),
    "a member is stopped": (stopped, Verdict.DEGRADED),
}


def serving() -> FakeFleet:
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    return fleet


def same_hashes(seen: Survey) -> Hashes:
    return Hashes(30, {node.name: (7, 0) for node in seen.nodes if node.healthy})


def three(seen: Survey, wish: Wish, monkeypatch: pytest.MonkeyPatch) -> tuple[Conclusion, int, int]:
    """What verify concludes, and the exit codes of `diagnose` and of a `recover` that has nothing to do."""
    monkeypatch.setattr(flow, "take_hashes", lambda survey, _: same_hashes(survey))
    verified = flow.concluded(seen, diagnose(seen, wish), cast("Any", None))
    diagnosed = conclude(seen, wish, same_hashes(seen)).exit_code
    nothing = cast("Any", None)
    means = flow.Recovery(seen.fleet, nothing, nothing, nothing)
    try:
        recovered = 0 if flow.nothing_to_do(means, seen, diagnose(seen, wish)).outcome == "healthy" else 1
    except Degraded as error:
        recovered = error.code
    except FleetRecoverError as error:
        recovered = error.code
    return verified, diagnosed, recovered


@pytest.mark.parametrize("name", BREAKS)
def test_every_break(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, verdict = BREAKS[name]
    fleet = serving()
    broken(fleet)
    told, diagnosed, recovered = three(fleet.survey(), Wish(), monkeypatch)
    assert told.verdict is verdict, told.diagnosis.why
    assert told.exit_code == diagnosed == recovered == verdict.exit_code
    assert told.judgement.ok is (verdict is Verdict.HEALTHY), "no ten good checks beside another verdict"
    assert (told.next == "Nothing to do.") is (verdict is Verdict.HEALTHY)


def worlds() -> Iterator[tuple[FakeFleet, Wish]]:
    """Every state that the suite's fakes come through: after each step of each plan, and what they begin with."""
    for nodes, wiped, dead, version in CASES:
        if nodes > 4:
            continue
        fleet = FakeFleet.broken(nodes, wiped, dead, version)
        wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
        for _ in range(6):
            yield fleet, wish
            _, plan = planned(fleet, wish)
            if plan is None:
                break
            for step in all_steps(plan):
                fleet.do([step])
                yield fleet, wish
    for fleet in (swapped(), swapped(5), degraded(5, 2), degraded(5, 2, gone=1), serving()):
        yield fleet, Wish()
    for running in (True, False):
        for keep in ("open", "finished", "gone"):
            yield left_behind(running=running, keep=keep), Wish()


def test_every_world_of_the_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    for fleet, wish in worlds():
        seen = close_stale(fleet.survey(), wish)
        told, diagnosed, recovered = three(seen, wish, monkeypatch)
        assert told.exit_code == diagnosed
        assert told.judgement.ok is (told.verdict is Verdict.HEALTHY)
        assert (told.exit_code == 0) is (recovered == 0)
        if told.next == "Nothing to do.":
            assert told.verdict is Verdict.HEALTHY
        count += 1
    assert count > 500


def test_content_that_differs_is_not_healthy() -> None:
    seen = serving().survey()
    told = conclude(seen, Wish(), Hashes(30, {"n1": (7, 0), "n2": (8, 0), "n3": (7, 0)}))
    assert (told.verdict, told.diagnosis.remedy) == (Verdict.DEGRADED, Remedy.NONE)
    assert next(finding.code for finding in told.diagnosis.findings) == "not-whole"
    assert "does" in told.next
    assert conclude(seen, Wish()).verdict is Verdict.HEALTHY, "nothing is said of what was not asked"


def test_what_is_missing_and_what_to_type() -> None:
    fleet = serving()
    removed(fleet)
    wish = Wish(dead=frozenset({"n3"}))
    seen = fleet.survey()
    told = combine(seen, diagnose(seen, wish), same_hashes(seen))
    assert (told.exit_code, told.missing) == (10, ("n3",))
    assert told.next == (
        "It serves, but on 2 of 3 members: when n3 is back (an empty disk is fine), run `fleetrecover recover`."
    )
    assert fewer(("etcd2", "etcd3"), 3).startswith("It serves, but on one member: when etcd2, etcd3 are back")
