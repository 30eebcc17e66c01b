"""Nights in which an operator went in a ring, or was let do harm, found by drawing worlds; each with the line that ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.sides import never_written
from fleetrecover.decide.survivor import Choice, ProofKind, choose_survivor
from fleetrecover.errors import Refused
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import Keep, Pin, Problem, Survey
from tests.decide.logs import candidate, log
from tests.decide.surveys import container, database, members, node, status, survey
from tests.decide.test_diagnosis import DOWN, off
from tests.decide.test_resume import finish
from tests.fakes.nodes import FakeFleet


def test_a_stopped_member_with_the_force_flag_makes_room_for_the_one_that_is_rebuilt() -> None:
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    three = fleet.node("n3")
    assert three.container is not None
    three.container = replace(three.container, forced=True, state="exited")
    seen = fleet.survey()
    plan = make_plan(seen, diagnose(seen, Wish()), Wish(), run="r20260102T000000Z-beef", started="")
    assert plan is not None
    kinds = [type(step) for step in plan.steps if step.node == "n3"]
    assert kinds.index(s.Fence) < kinds.index(s.StartRebuilt)


def healthy(count: int = 3) -> Survey:
    return survey(
        *(
            node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3))
            for n in range(1, count + 1)
        )
    )


@pytest.mark.parametrize("word", ["etcd2", hex_id(2)])
def test_the_word_that_was_typed_is_the_one_to_leave_out(word: str) -> None:
    seen = survey(*healthy(2).nodes, off(3))
    wish = Wish(frozenset({word, "etcd3"}))
    with pytest.raises(Refused, match="etcd2 was declared dead") as told:
        make_plan(seen, diagnose(seen, wish), wish, run="r20260102T000000Z-beef", started="")
    assert told.value.hint == f"leave out --dead {word}"


@pytest.mark.parametrize(
    ("kind", "waits"), [("login", True), ("sudo", True), ("host-key", True), ("unreachable", False)]
)
def test_a_host_that_is_switched_on_may_serve_though_the_best_log_has_removed_its_member(
    kind: str, waits: bool
) -> None:
    """One that was forced by hand after it had been removed: nothing is reset beside it unseen."""
    away = replace(off(3), problem=Problem(kind, "etcd3: it says no"))
    best = node(1, log(1, [(2, 20)], voters=(1, 2), removed=(3,)), db=database(1), containers=DOWN)
    found = diagnose(survey(best, node(2, None, containers=()), away), Wish())
    if waits:
        assert found.remedy is Remedy.BLOCKED
        assert "etcd3" in found.why
    else:
        assert found.remedy is Remedy.RESET


# --- emptied, and begun anew, with a snapshot of nothing ---


def begun(snapshot: int, *, writes: int = 0) -> Log:
    return log(1, [(1, 5), (4, 7)], voters=(1,), removed=(2, 3, 4, 5), snapshot=(1, snapshot), writes=writes)


@pytest.mark.parametrize(
    ("snapshot", "writes", "proof"), [(5, 0, "best"), (6, 0, "all"), (5, 1, "all"), (0, 0, "best")]
)
def test_a_snapshot_of_the_first_members_alone_tells_of_no_write(snapshot: int, writes: int, proof: str) -> None:
    choice = choose_survivor([candidate(begun(snapshot, writes=writes))], {})
    assert isinstance(choice, Choice)
    assert choice.proof is (ProofKind.BEST if proof == "best" else ProofKind.COMPLETE)


def test_nor_is_it_empty_where_its_database_may_have_been_restored() -> None:
    assert never_written(node(1, begun(5), db=database(1), containers=(container("exited"),)))
    assert not never_written(node(1, begun(5), db=database(9)))
    assert not never_written(node(1, begun(5), db=None)), "its database is not known"
    assert not never_written(node(1, begun(6), db=database(1)))


# --- words, and a run that has no survivor ---


def test_a_survivor_that_cannot_be_is_left_out() -> None:
    best = node(3, log(3, [(2, 20)]), containers=DOWN)
    empty = [node(n, None, containers=()) for n in (1, 2)]
    found = diagnose(survey(*empty, best), Wish(survivor="etcd1"))
    assert found.cause is not None
    assert found.cause.advice == "leave --survivor out: etcd3 would survive"
    nobody = diagnose(survey(*empty, off(3)), Wish(frozenset({"etcd3"}), survivor="etcd1"))
    assert nobody.cause is not None
    assert "leave --survivor out" not in nobody.cause.advice


def test_a_run_that_only_repaired_and_grew_into_a_reset_that_is_over_has_no_survivor_to_look_up() -> None:
    """Its pin names nobody: none is looked for in the inventory when the run is closed."""
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    run = "r20260103T000000Z-beef"
    pin = Pin(run, "fake", "", "2026-01-03T00:00:00Z", Remedy.RESET.value)
    fleet.node("n1").keeps[run] = Keep(run, f"/var/lib/etcd.fleetrecover/{run}", pin, containers=True)
    seen = fleet.survey()
    plan = make_plan(seen, diagnose(seen, Wish()), Wish(), run=run, started="")
    assert plan is not None
    assert plan.survivor is None


def test_of_two_that_claim_to_be_one_member_an_empty_one_is_moved_away_too() -> None:
    """To stop it is not enough: it would still be counted as the member."""
    said = replace(status(1, healthy=True, leader=1), revision=1)
    empty = node(1, log(1, [(1, 3), (3, 4)], salt=9, writes=0), status=said, db=database(1))
    full = node(3, log(1, [(1, 3), (2, 8)], commit=10, writes=6), db=database(7), containers=DOWN)
    found = diagnose(survey(empty, off(2), full), Wish(frozenset({"etcd2"})))
    assert found.cause is not None
    assert found.cause.code == "same-machine"
    assert found.cause.advice.startswith("to go on from etcd3: on etcd1: `docker stop -t 30 etcd && mv ")
    assert "to go on from etcd1" not in found.cause.advice
