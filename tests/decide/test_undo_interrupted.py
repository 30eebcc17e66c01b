"""An undo that was interrupted, or missed a node: `recover` or `undo` then comes to an end, with the originals intact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetrecover.decide import undo as u
from fleetrecover.decide.barriers import HALF_UNDONE, half_undone
from fleetrecover.decide.diagnosis import Remedy, Wish, close_stale, diagnose, find_open_run
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.regrown import adopted
from fleetrecover.facts import Pin
from fleetrecover.steps import BeginUndo, CloseEarlier, CopyData, FinishRun, OpenRun
from tests.decide.test_resume import NEXT, RUN, all_steps, assert_whole, finish, planned
from tests.decide.test_undo import UndoFleet, picture, put_back, recovered
from tests.fakes.nodes import FakeFleet

CASES = [(2, 1, 0), (3, 2, 0), (3, 1, 1), (4, 2, 1), (5, 3, 0)]


def stopped_everywhere(fleet: UndoFleet, wish: Wish) -> Iterator[UndoFleet]:
    """The fleet as a run leaves it that is stopped after each of its steps, and when it has come to its end."""
    for _ in range(6):
        _, plan = planned(fleet, wish)
        if plan is None:
            return
        for step in all_steps(plan):
            fleet.do([step])
            if any(RUN in node.keeps for node in fleet.nodes):
                yield fleet.copy()


def interrupted(fleet: UndoFleet) -> Iterator[UndoFleet]:
    """The fleet as its undo leaves it that is interrupted after each of its effects."""
    stages = u.make_undo(fleet.survey(), RUN).stages
    total = sum(1 for part in stages for step in part.steps for _ in fleet.copy().effects(step))
    for stop in range(1, total + 1):
        again = fleet.copy()
        for do in [do for part in stages for step in part.steps for do in again.effects(step)][:stop]:
            do()
        yield again


def goes_on_or_back(half: UndoFleet, wish: Wish, before: object) -> bool:
    """Whether recover is refused, by the undo that was begun; else it comes to its end. The undo puts all back in any case."""
    found = diagnose(close_stale(half.survey(), wish), wish)
    refused = found.remedy is Remedy.BLOCKED
    if refused:
        assert [f.code for f in found.findings if f.message == found.why] == [HALF_UNDONE]
        assert RUN in next(f.advice for f in found.findings if f.code == HALF_UNDONE)
    else:
        on = half.copy()
        assert_whole(on, finish(on, wish)[0], wish)
    put_back(half)
    assert picture(half) == before
    assert u.make_undo(half.survey(), RUN).stages == ()
    return refused


@pytest.mark.parametrize(
    ("nodes", "wiped", "dead", "wal"),
    [
        *(pytest.param(*case, False, marks=[pytest.mark.long] if case[0] > 4 else []) for case in CASES),
        *((3, 2, 0, True), (3, 1, 1, True)),
    ],
)
def test_recover_or_undo_after_every_interruption_of_every_undo(nodes: int, wiped: int, dead: int, wal: bool) -> None:
    """Either recover is refused and names the undo, which then puts everything back; or it goes on to a whole cluster."""
    fleet = UndoFleet(FakeFleet.broken(nodes, wiped, dead, wal=wal).nodes)
    before, tried, refused = picture(fleet), 0, 0
    wish = Wish(dead=frozenset(node.name for node in fleet.nodes if not node.accessible))
    for stopped in stopped_everywhere(fleet, wish):
        for half in interrupted(stopped):
            tried += 1
            survey = close_stale(half.survey(), wish)
            for node in survey.nodes:
                if adopted(node, RUN) and node.log is not None:
                    assert node.log.configuration_at_end.voters <= {node.log.node_id}, "the original for the reset copy"
            refused += goes_on_or_back(half, wish, before)
    assert tried > 100
    assert refused > 0


def test_an_undo_that_has_begun_is_told_and_who_ends_it() -> None:
    fleet = recovered()
    assert half_undone(fleet.survey()) is None
    fleet.do([step for step in u.make_undo(fleet.survey(), RUN).stages[0].steps if isinstance(step, BeginUndo)][:1])
    finding = half_undone(fleet.survey())
    assert finding is not None
    assert (finding.node, f"fleetrecover undo {RUN}" in finding.advice) == ("n1", True)
    # nothing was stopped yet, so it serves: the run is open again, and recover closes it
    assert find_open_run(fleet.survey()) is not None
    found, plan = planned(fleet, Wish())
    assert (found.remedy, plan is not None) == (Remedy.FINISH, True)


def missed(until: type, survivor_away: bool = True) -> UndoFleet:
    """A run interrupted after the first step of that kind, whose undo could not reach its survivor, or all the others."""
    fleet = UndoFleet(FakeFleet.broken(3, wiped=2).nodes)
    for _ in range(4):
        _, plan = planned(fleet, Wish())
        assert plan is not None
        for step in all_steps(plan):
            fleet.do([step])
            if isinstance(step, until):
                break
        else:
            continue
        break
    away = fleet.nodes[:1] if survivor_away else fleet.nodes[1:]
    for node in away:
        node.accessible = False
    for part in u.make_undo(fleet.survey(), RUN).stages:
        fleet.do(part.steps)
    for node in away:
        node.accessible = True
    return fleet


@pytest.mark.parametrize("survivor_away", [True, False])
@pytest.mark.parametrize("until", [OpenRun, CopyData, FinishRun])
def test_an_undo_that_missed_nodes_then_recover(until: type, survivor_away: bool) -> None:
    """Undone on some nodes is not undone on all: the run goes on where it is open, from its own original."""
    fleet = missed(until, survivor_away)
    again = fleet.copy()
    end, survivors = finish(fleet, Wish())
    assert_whole(fleet, end, Wish())
    assert set(survivors) <= {"n1"}
    for part in u.make_undo(again.survey(), RUN).stages:
        again.do(part.steps)
    assert u.remains(again.survey(), RUN) == []
    assert all(keep.undone for node in again.nodes for keep in node.keeps.values())


def test_a_run_that_was_undone_here_begins_anew_here() -> None:
    """Its record of what was before is made again, and its mark is gone: else a later undo would leave the node out."""
    fleet = missed(CopyData)
    assert [fleet.node(name).keeps[RUN].undone for name in ("n1", "n2", "n3")] == [False, True, True]
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert plan.run == RUN
    opened = {step.node for step in plan.steps if isinstance(step, OpenRun)}
    assert opened == {"n2", "n3"}
    fleet.do(all_steps(plan))
    assert not any(node.keeps[RUN].undone for node in fleet.nodes)


def test_undone_where_etcd_serves_is_over_on_who_comes_back() -> None:
    """A node that was away while the run was undone and the cluster recovered by another one: its keep is closed by the next."""
    fleet = recovered()
    assert fleet.nodes[2].container is None or fleet.nodes[2].container.name == "etcd"
    for node in fleet.nodes[:2]:
        node.keeps[RUN] = replace(node.keeps[RUN], undone=True, finished=False)
    fleet.nodes[2].keeps[RUN] = replace(fleet.nodes[2].keeps[RUN], finished=False)
    assert find_open_run(fleet.survey()) is None
    closed = close_stale(fleet.survey(), Wish())
    assert [keep.stale for keep in closed.node("n3").keeps] == [True]


# --- a run of another name, and a run that changes its kind --------------------------------------------------------------


def test_a_run_begun_under_another_name_is_seen_and_refused_with_the_name() -> None:
    fleet = UndoFleet(FakeFleet.broken(3, wiped=2).nodes)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    fleet.do(all_steps(plan))
    survey = fleet.survey()
    survey = replace(survey, fleet=replace(survey.fleet, cluster="etcd"))
    found = diagnose(survey, Wish())
    assert found.open_run is not None
    assert found.refusal is not None
    assert (found.refusal.code, 'cluster = "fake"' in found.refusal.advice) == ("other-name", True)
    assert diagnose(fleet.survey(), Wish()).refusal is None


def pinned(fleet: UndoFleet, kind: str, survivor: str = "") -> None:
    for node in fleet.nodes:
        node.keeps[RUN] = replace(
            node.keeps[RUN], pin=Pin(RUN, "fake", survivor, "2026-01-01T00:00:00Z", kind), finished=False
        )


def test_a_run_that_has_become_a_reset_on_any_node_is_undone_as_one() -> None:
    """It began by starting members: on some nodes its record still says so."""
    fleet = recovered()
    keep = fleet.nodes[1].keeps[RUN]
    assert keep.pin is not None
    fleet.nodes[1].keeps[RUN] = replace(keep, pin=replace(keep.pin, kind="repair", survivor=""))
    plan = u.make_undo(fleet.survey(), RUN)
    assert (plan.kind, plan.survivor, plan.written_since) == ("reset", "n1", 0)
    run = find_open_run(replace_finished(fleet).survey())
    assert run is not None
    assert (run.kind, run.survivor) == ("reset", "n1")


def replace_finished(fleet: UndoFleet) -> UndoFleet:
    for node in fleet.nodes:
        node.keeps[RUN] = replace(node.keeps[RUN], finished=False)
    return fleet


def test_a_reset_pins_its_kind_on_every_node_that_a_start_had_opened() -> None:
    fleet = UndoFleet(FakeFleet.broken(3, wiped=2).nodes)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    fleet.do([step for step in plan.steps if isinstance(step, OpenRun)])
    pinned(fleet, "repair")
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert (plan.remedy, plan.run) == (Remedy.RESET, RUN)
    assert {step.node: step.pin.kind for step in plan.steps if isinstance(step, OpenRun)} == dict.fromkeys(
        ("n1", "n2", "n3"), "reset"
    )


def test_a_repair_that_has_moved_data_is_followed_by_a_run_of_its_own() -> None:
    """Its original is of before the repair: a reset from that would lose what was written since."""
    fleet = UndoFleet(FakeFleet.broken(3, wiped=2).nodes)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    fleet.do([step for step in plan.steps if isinstance(step, OpenRun)])
    pinned(fleet, "repair")
    fleet.nodes[0].keeps[RUN] = replace(fleet.nodes[0].keeps[RUN], original=True)
    fleet.nodes[0].kept = fleet.nodes[0].data
    survey = fleet.survey()
    found = diagnose(survey, Wish())
    assert found.remedy is Remedy.RESET
    plan = make_plan(survey, found, Wish(), run=NEXT, started="2026-01-02T00:00:00Z")
    assert (plan.run, plan.survivor, plan.resumed) == (NEXT, "n1", False)
    assert {step.earlier.run for step in plan.steps if isinstance(step, CloseEarlier)} == {RUN}
    assert all(step.paths.run == NEXT for step in plan.steps if isinstance(step, CopyData))
