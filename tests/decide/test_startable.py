"""Who may simply be started, and for whom somebody has to vouch before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fleetrecover.decide.diagnosis import (
    Diagnosis,
    Remedy,
    Verdict,
    Wish,
    candidates_of,
    diagnose,
    startable,
    unaccounted,
)
from fleetrecover.decide.membership import seats_of
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import ConfChange
from fleetrecover.facts import NodeFacts
from tests.decide.logs import configuration, log
from tests.decide.surveys import container, node, survey

FOUR = (1, 2, 3, 4)


def database(applied: int) -> DbFacts:
    return DbFacts(4096, 7, 4096, applied, 2, 10, -1, -1, None, (), frozenset(), "3.4.0", "", (), False, ())


def stopped(number: int, found: Log | None = None, **more: Any) -> NodeFacts:
    return node(number, found, **{"containers": (container("exited"),), **more})


def ready(*nodes: NodeFacts, aside: Sequence[str] = (), dead: Sequence[str] = ()) -> tuple[str, ...]:
    looked = survey(*nodes)
    best = next(each.log for each in nodes if each.log is not None)
    known = seats_of(looked, best.configuration_at_end)
    return startable(looked, Wish(frozenset(dead)), known, frozenset(aside))


def three(**more: Any) -> list[NodeFacts]:
    return [stopped(n, log(n, [(2, 20)]), **(more if n == 2 else {})) for n in (1, 2, 3)]


def judged(*nodes: NodeFacts, dead: Sequence[str] = ()) -> Diagnosis:
    return diagnose(survey(*nodes), Wish(frozenset(dead)))


def test_sound_voters_in_their_place_can_be_started() -> None:
    assert ready(*three()) == ("etcd1", "etcd2", "etcd3")
    assert ready(*three(), aside=["etcd3"]) == ("etcd1", "etcd2")
    assert ready(*three(), dead=["etcd1"]) == ("etcd2", "etcd3")
    assert ready(*three(), dead=["2"]) == ("etcd1", "etcd3")


def test_a_container_that_forces_a_new_cluster_is_not_started() -> None:
    forced = (container("exited", forced=True),)
    assert ready(*three(containers=forced)) == ("etcd1", "etcd3")


def test_another_members_data_in_its_place_is_not_started() -> None:
    swapped = [stopped(1, log(1, [(2, 20)])), stopped(2, log(3, [(2, 20)])), stopped(3, log(2, [(2, 20)]))]
    looked = survey(*swapped)
    known = tuple(
        replace(seat, host=f"etcd{seat.id}") for seat in seats_of(looked, log(1, [(2, 20)]).configuration_at_end)
    )
    assert startable(looked, Wish(), known) == ("etcd1",)


@pytest.mark.parametrize(("applied", "expected"), [(19, True), (20, True), (21, False)])
def test_a_database_ahead_of_its_log_is_neither_started_nor_evidence(applied: int, expected: bool) -> None:
    nodes = three(db=database(applied))
    assert ("etcd2" in ready(*nodes)) is expected
    found = {each.host: each for each in candidates_of(survey(*nodes), Wish())}
    assert (found["etcd2"].usable, found["etcd2"].honest) == (expected, expected)


# --- a change that is not decided ---


def removing(number: int) -> Log:
    """Four voters, and the removal of the fourth, undecided, at the end."""
    removal = ConfChange(20, 2, "remove", 4)
    return log(number, [(2, 20)], commit=19, voters=FOUR, above=[removal], voters_at_end=(1, 2, 3))


def test_two_of_three_are_not_enough_while_four_vote() -> None:
    """etcd goes by the commit when it starts: three of four must agree before the fourth is removed."""
    one, two = stopped(1, removing(1)), stopped(2, log(2, [(2, 19)], voters=FOUR))
    found = judged(one, two, stopped(3), stopped(4), dead=["etcd3", "etcd4"])
    assert (found.remedy, found.startable) == (Remedy.RESET, ())
    assert ready(one, two, stopped(3, log(3, [(2, 19)], voters=FOUR))) == ("etcd1", "etcd2", "etcd3")


def test_a_member_whose_removal_is_not_decided_is_accounted_for() -> None:
    one, two = stopped(1, removing(1)), stopped(2, log(2, [(2, 19)], voters=FOUR))
    away = node(4, reachable=False, cli_version=None, containers=())
    found = judged(one, two, stopped(3), away)
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert "etcd4" in found.why
    assert judged(one, two, stopped(3), away, dead=["etcd4"]).remedy is Remedy.RESET


def test_such_a_member_can_be_declared_dead_where_it_is_no_host() -> None:
    one, two = stopped(1, removing(1)), stopped(2, log(2, [(2, 19)], voters=FOUR))
    looked = survey(one, two, stopped(3))
    known = seats_of(looked, removing(1).configuration_at_end)
    assert unaccounted(looked, Wish(), known) == ("etcd4",)
    assert unaccounted(looked, Wish(frozenset({"4"})), known) == ()
    assert diagnose(looked, Wish(frozenset({"etcd4"}))).remedy is Remedy.RESET


# --- its own configuration ---


def holding(voters: Sequence[int], at_end: Sequence[int]) -> Log:
    found = log(1, [(2, 20)])
    return replace(found, configuration=configuration(voters), configuration_at_end=configuration(at_end))


def test_whoever_alone_has_a_quorum_by_its_own_log_is_not_started_beside_others() -> None:
    """etcd1's own configuration is itself alone: it would serve its history, whatever the others elect."""
    others = [stopped(n, log(n, [(2, 22)])) for n in (2, 3)]
    known = seats_of(survey(*others), log(2, [(2, 22)]).configuration_at_end)
    known = tuple(replace(seat, host=f"etcd{seat.id}") for seat in known)
    alone = stopped(1, holding((1,), (1,)))
    stranger = stopped(1, holding((2, 3), (1, 2, 3)))
    assert startable(survey(stranger, *others), Wish(), known) == ("etcd2", "etcd3")
    minority = stopped(1, holding((1, 8, 9), (1, 2, 3)))
    assert startable(survey(minority, *others), Wish(), known) == ("etcd2", "etcd3")
    assert startable(survey(alone, *others), Wish(), known) == ("etcd2", "etcd3")


def test_forgetful_disks_are_not_started_with_the_one_that_knows_more() -> None:
    full = stopped(1, log(1, [(2, 900)], commit=900))
    behind = [stopped(n, log(n, [(2, 20)], commit=20)) for n in (2, 3)]
    found = judged(full, *behind)
    assert (found.remedy, found.startable) == (Remedy.RESET, ("etcd1",))
    assert found.choice is not None and found.choice.survivor == "etcd1"
