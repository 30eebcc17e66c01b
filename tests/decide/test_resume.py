"""The planner is asked again after every effect of every plan: it always goes on, to the same end, with the same survivor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, close_stale, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.units import HOLD
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Keep, Pin, Role
from fleetrecover.steps import AddMember, CloseEarlier, Join, KeepData, Promote, Step
from tests.fakes.nodes import FakeFleet, make_log, voters_only

RUN, NEXT = "r20260101T000000Z-abcd", "r20260102T000000Z-abcd"


def planned(fleet: FakeFleet, wish: Wish) -> tuple[Diagnosis, Plan | None]:
    """The verdict and the plan that a look at the fleet gives now; no plan where nothing is to be done."""
    survey = close_stale(fleet.survey(), wish)
    diagnosis = diagnose(survey, wish)
    assert diagnosis.remedy is not Remedy.BLOCKED, diagnosis.why
    if diagnosis.remedy is Remedy.NONE:
        return diagnosis, None
    over = {keep.run for node in survey.nodes for keep in node.keeps if keep.finished}
    number, run = next((number, run) for number, run in enumerate((RUN, NEXT), 1) if run not in over)
    return diagnosis, make_plan(survey, diagnosis, wish, run=run, started=f"2026-01-0{number}T00:00:00Z")


def all_steps(plan: Plan) -> Iterator[Step]:
    """The steps as `recover` does them: after the hold, and the fence, it looks again, so only that is done of such a plan."""
    for first in (plan.stage(HOLD), plan.stage("fence")):
        if first is not None:
            yield from first.steps
            return
    yield from plan.steps
    if plan.closing is not None and plan.remedy is not Remedy.START:
        yield from plan.closing.steps


def finish(fleet: FakeFleet, wish: Wish) -> tuple[Diagnosis, list[str]]:
    """Plan and do until nothing is left; returns the end and the survivors that were named on the way."""
    survivors: list[str] = []
    plan: Plan | None = None
    for _ in range(9):
        diagnosis, plan = planned(fleet, wish)
        if plan is None:
            return diagnosis, survivors
        survivors += [plan.survivor] if plan.survivor else []
        fleet.do(all_steps(plan))
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


BY_SIZE = {5: pytest.mark.long, 6: pytest.mark.long, 7: pytest.mark.slow}

CASES = [
    (nodes, wiped, dead, version)
    for nodes in range(1, 8)
    for wiped in range(nodes)
    for dead in range(nodes - wiped)
    for version in ("3.3.25", "3.4.23")
]


@pytest.mark.parametrize(
    ("nodes", "wiped", "dead", "version"),
    [pytest.param(*case, marks=BY_SIZE.get(case[0], ())) for case in CASES],
)
def test_replanning_after_every_effect_comes_to_the_same_end(nodes: int, wiped: int, dead: int, version: str) -> None:
    """Interrupted anywhere, asked again, it finishes; once data was moved the survivor is the same."""
    fleet = FakeFleet.broken(nodes, wiped, dead, version)
    wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
    assert interrupted_everywhere(fleet, wish) > 0


@pytest.mark.parametrize(("nodes", "wiped", "dead", "version"), [case for case in CASES if case[0] in (1, 3, 4)])
def test_with_a_wal_directory_of_its_own(nodes: int, wiped: int, dead: int, version: str) -> None:
    """The same where data and log are moved one after the other: no etcd is ever started on one of them alone."""
    fleet = FakeFleet.broken(nodes, wiped, dead, version, wal=True)
    wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
    assert interrupted_everywhere(fleet, wish) > 0


def interrupted_everywhere(fleet: FakeFleet, wish: Wish) -> int:
    """Do the plans to the end; after every effect, let another one that starts there come to the same end. How many did."""
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
                interrupted = fleet.copy()
                end, survivors = finish(interrupted, wish)
                interruptions += 1
                assert_whole(interrupted, end, wish)
                assert set(survivors) <= {chosen}
    end, _ = finish(fleet, wish)
    assert_whole(fleet, end, wish)
    return interruptions


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


def one_more_voter(version: str, after: type[Step]) -> FakeFleet:
    """Three, of which one survives; after that step the second host is a voter, and then the power fails everywhere."""
    fleet = FakeFleet.broken(3, wiped=2, version=version)
    step: Step | None = None
    while not isinstance(step, after):
        _, plan = planned(fleet, Wish())
        assert plan is not None
        for step in all_steps(plan):
            fleet.do([step])
            if isinstance(step, after):
                break
    chief = fleet.nodes[0]
    assert chief.data is not None
    both = voters_only(chief.data, 1, 102)  # as etcd's log has it now; 102 has the address of the second host
    chief.data = replace(chief.data, configuration=both, configuration_at_end=both)
    fleet.live = []
    return fleet


@pytest.mark.parametrize(("version", "after"), [("3.3.25", AddMember), ("3.4.23", Promote)])
def test_a_voter_that_was_added_and_never_comes_back(version: str, after: type[Step]) -> None:
    """The cluster that the run has made has lost its quorum in turn: it is recovered as it is now, by a run of its own."""
    fleet = one_more_voter(version, after)
    fleet.nodes[1].accessible = False
    wish = Wish(dead=frozenset({"n2"}))
    diagnosis, plan = planned(fleet, wish)
    assert plan is not None
    assert (plan.run, plan.survivor, plan.joins) == (NEXT, "n1", ("n3",))
    assert "outgrown-run" in [finding.code for finding in diagnosis.findings]
    assert interrupted_everywhere(fleet, wish) > 10
    chief = fleet.nodes[0]
    assert [log.configuration.voters for log in [chief.kept] if log] == [{1, 102}], (
        "what was written since is kept, too"
    )
    assert len(chief.earlier) == 1
    assert all(keep.finished for node in fleet.nodes if node.accessible for keep in node.keeps.values())


def test_a_voter_that_was_added_and_has_not_started_is_brought_in_first() -> None:
    """Before 3.4: the survivor has no quorum until that one is there, so nobody waits for it alone, nor adds another."""
    fleet = one_more_voter("3.3.25", AddMember)
    joiner = fleet.nodes[1]
    _, plan = planned(fleet, Wish())
    assert plan is not None
    kinds = [(type(step).__name__, step.node) for step in plan.steps]
    assert ("StartOriginal", "n1") not in kinds
    assert [step.node for step in plan.steps if isinstance(step, AddMember | Join)] == ["n2", "n3", "n3"]
    assert fleet.nodes[0].data is not None
    both = fleet.nodes[0].data.configuration
    joiner.data = replace(make_log(102, 3, 5), configuration=both, configuration_at_end=both)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert not [step for step in plan.steps if isinstance(step, KeepData) and step.node == "n2"]
    joiner.accessible = False
    found = diagnose(close_stale(fleet.survey(), Wish()), Wish())
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert "n2 added as a voter since" in found.why
    assert any(finding.code == "unaccounted" and "--dead n2" in finding.advice for finding in found.findings)


def test_a_run_that_was_killed_between_two_nodes_last_marks_is_finished_on_all() -> None:
    """What it made on the other node is that node's own: else it could not be fenced, nor survive, the next time."""
    fleet = FakeFleet.broken(2, wiped=1)
    node = fleet.nodes[1]
    assert node.container is not None
    labels = {RUN_LABEL: RUN, ROLE_LABEL: Role.JOINING.value}
    node.container = replace(node.container, labels=labels)
    for each, finished in zip(fleet.nodes, (True, False), strict=True):
        each.keeps[RUN] = Keep(
            RUN, f"/d/{RUN}", Pin(RUN, "fake", "n1", "2026-01-01T00:00:00Z", "reset"), finished=finished
        )
    seen = fleet.survey()
    assert seen.node("n2").original("etcd") is None
    closed = close_stale(seen, Wish()).node("n2")
    assert closed.original("etcd") == closed.containers[0]
    assert [keep.stale for keep in closed.keeps] == [True]
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert [step.node for step in plan.steps if isinstance(step, CloseEarlier)] == ["n2"]
