"""The choice: who survives, what is proven, what is no evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleetrecover.decide.survivor import (
    Candidate,
    Choice,
    NoChoice,
    ProofKind,
    certainly_unacknowledged,
    choose_survivor,
    electorates,
)
from fleetrecover.etcd.membership import ConfChange, Member, VoterChange
from tests.decide.logs import FIVE, candidate, log

NAMES = {number: f"etcd{number}" for number in range(1, 9)}


def chosen(candidates: Sequence[Candidate], override: str | None = None) -> Choice:
    choice = choose_survivor(candidates, NAMES, override)
    assert isinstance(choice, Choice), choice
    return choice


def refused(candidates: Sequence[Candidate], override: str | None = None) -> NoChoice:
    choice = choose_survivor(candidates, NAMES, override)
    assert isinstance(choice, NoChoice), choice
    return choice


# --- the rule ---


def test_the_greatest_term_then_index_survives() -> None:
    long_and_old = candidate(log(1, [(1, 3), (2, 110)], commit=60))
    short_and_new = candidate(log(2, [(1, 3), (2, 60), (3, 3)], commit=64))
    choice = chosen([long_and_old, short_and_new])
    assert choice.survivor == "etcd2"
    assert choice.proof is ProofKind.COMPLETE
    assert (choice.logs_needed, choice.logs_read, choice.voters) == (2, 2, 3)
    assert choice.missing == ("etcd3",)


def test_ties_go_to_the_greater_commit_then_to_the_first() -> None:
    logs = [candidate(log(n, [(1, 9)], commit=commit)) for n, commit in ((1, 7), (2, 8), (3, 8))]
    assert chosen(logs).survivor == "etcd2"


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_as_many_logs_as_needed_and_one_fewer(voters: int, needed: int) -> None:
    everyone = tuple(range(1, voters + 1))
    logs = [candidate(log(number, [(1, 9)], voters=everyone)) for number in everyone]
    assert chosen(logs[:needed]).proof is ProofKind.COMPLETE
    if needed > 1:
        fewer = chosen(logs[: needed - 1])
        assert fewer.proof is ProofKind.BEST
        assert len(fewer.missing) == voters - needed + 1


def test_without_a_log_there_is_nobody() -> None:
    assert refused([]).reason == "no member's log could be read"
    assert not refused([]).contradiction


# --- an override ---


def test_an_override_says_what_it_loses() -> None:
    best, other = candidate(log(1, [(1, 20)], commit=15)), candidate(log(2, [(1, 10)], commit=9))
    choice = chosen([best, other], "etcd2")
    assert (choice.survivor, choice.overridden, choice.proof) == ("etcd2", True, ProofKind.BEST)
    assert "10 log entries" in choice.loses and "5 of them are known to be acknowledged" in choice.loses


def test_an_override_that_loses_nothing_acknowledged_is_still_proven() -> None:
    """Two of five hold more than the chosen third: no quorum ever had it."""
    logs = [candidate(log(n, [(1, end)], commit=10, voters=FIVE)) for n, end in enumerate((20, 20, 12, 12, 12), 1)]
    choice = chosen(logs, "etcd3")
    assert choice.proof is ProofKind.COMPLETE
    assert "none of them was acknowledged" in choice.loses


def test_an_override_to_nobody() -> None:
    assert "no sound log" in refused([candidate(log(1, [(1, 5)]))], "etcd2").reason


# --- what is no evidence ---


def test_a_log_that_has_lost_data_is_neither_chosen_nor_counted() -> None:
    """Its database is ahead of its WAL: the log says less than the member had acknowledged."""
    lost = Candidate("etcd1", log(1, [(1, 30)]), usable=False, note="etcd1's WAL has lost data")
    choice = chosen([lost, candidate(log(2, [(1, 9)]))])
    assert choice.survivor == "etcd2"
    assert choice.proof is ProofKind.BEST
    assert [(found.host, found.code) for found in choice.aside] == [("etcd1", "wal-lost-data")]
    assert "cannot survive" in refused([lost, candidate(log(2, [(1, 9)]))], "etcd1").reason


def test_a_log_without_fsync_may_be_chosen_but_proves_nothing() -> None:
    logs = [Candidate("etcd1", log(1, [(1, 30)]), honest=False, note="no fsync"), candidate(log(2, [(1, 9)]))]
    choice = chosen(logs)
    assert (choice.survivor, choice.proof, choice.logs_read) == ("etcd1", ProofKind.BEST, 1)
    assert choice.doubts == ("no fsync",)


def test_a_learner_is_no_evidence_and_no_survivor() -> None:
    learner = candidate(log(4, [(1, 12)], learners=(4,)))
    voter = candidate(log(1, [(1, 9)], learners=(4,)))
    choice = chosen([learner, voter])
    assert (choice.survivor, choice.proof) == ("etcd1", ProofKind.BEST)
    assert choice.aside[0].code == "learner-log"
    assert refused([learner]).aside[0].code == "learner-log"


def test_a_learner_that_its_log_adds_above_the_commit_is_one() -> None:
    learner = candidate(log(4, [(1, 12)], commit=9, learners_at_end=(4,)))
    assert chosen([learner, candidate(log(1, [(1, 9)]))]).aside[0].code == "learner-log"


def test_a_copy_of_another_disk_does_not_count_twice() -> None:
    older = Candidate("etcd2", log(1, [(2, 12)]))
    choice = chosen([candidate(log(1, [(2, 20)])), older])
    assert [(found.host, found.code) for found in choice.aside] == [("etcd2", "same-member")]
    assert (choice.survivor, choice.proof, choice.logs_read) == ("etcd1", ProofKind.BEST, 1)


def test_a_member_that_was_removed_does_not_count() -> None:
    """Its own log ends before its removal and still calls it a voter; its successor's log knows better."""
    old = candidate(log(3, [(1, 9)]))
    new = candidate(log(1, [(1, 30)], voters=(1, 2, 4), removed=(3,)))
    choice = chosen([old, new])
    assert (choice.survivor, choice.proof, choice.missing) == ("etcd1", ProofKind.BEST, ("etcd2", "etcd4"))
    assert [(found.host, found.code) for found in choice.aside] == [("etcd3", "removed-member")]


def test_a_removed_member_whose_log_is_the_longest_is_believed_about_the_membership() -> None:
    """etcd3's log holds its own removal. etcd2's does not, and must not be judged by the membership that it knows."""
    removal = ConfChange(10, 2, "remove", 3)
    removed = candidate(
        log(3, [(1, 9), (2, 2)], commit=9, above=[removal], voters_at_end=(1, 2), voters_before=(1, 2, 3))
    )
    behind = candidate(log(2, [(1, 8)]))
    choice = chosen([removed, behind])
    assert choice.survivor == "etcd2"
    assert choice.proof is ProofKind.BEST
    assert any("etcd3's log goes on" in doubt for doubt in choice.doubts)


def test_a_member_of_an_older_membership_does_not_count() -> None:
    stranger = candidate(log(7, [(1, 9)], voters=(7, 8)))
    choice = chosen([stranger, candidate(replace(log(1, [(1, 30)]), complete=False))])
    assert choice.aside[0].code == "older-membership"
    assert choice.logs_read == 1


# --- forks ---


def test_different_content_at_one_place_is_a_contradiction() -> None:
    choice = refused([candidate(log(1, [(1, 9)])), candidate(log(2, [(1, 9)], salt=1))])
    assert choice.contradiction and "different histories" in choice.reason


def test_a_fork_by_an_earlier_reset_is_found_though_the_other_side_was_expelled() -> None:
    """etcd1 was reset alone and served; etcd2 and etcd3 elected one of themselves and served too."""
    alone = candidate(log(1, [(1, 9), (2, 30)], voters=(1,), removed=(2, 3)))
    other = candidate(log(2, [(1, 9), (3, 12)]))
    assert refused([alone, other]).contradiction


def test_entries_that_were_never_decided_are_no_fork() -> None:
    assert chosen([candidate(log(1, [(1, 9), (2, 5)], commit=9)), candidate(log(2, [(1, 9), (3, 2)], commit=11))])


# --- disks that were rolled back ---


def test_whoever_was_voted_for_must_know_that_term() -> None:
    voter, other = candidate(log(1, [(1, 20), (5, 3)], term=5, vote=2)), candidate(log(2, [(1, 20)], term=1))
    choice = chosen([voter, other])
    assert choice.aside[0].host == "etcd2" and choice.aside[0].code == "rolled-back"
    assert (choice.proof, choice.logs_read) == (ProofKind.BEST, 1)


def test_more_members_lack_a_decided_entry_than_may() -> None:
    logs = [candidate(log(1, [(2, 20)], commit=20)), candidate(log(2, [(2, 12)])), candidate(log(3, [(2, 15)]))]
    choice = chosen(logs)
    assert {found.host for found in choice.aside} == {"etcd2", "etcd3"}
    assert choice.proof is ProofKind.BEST


def test_one_member_behind_is_only_slow() -> None:
    logs = [candidate(log(1, [(2, 20)], commit=20)), candidate(log(2, [(2, 12)])), candidate(log(3, [(2, 20)]))]
    assert chosen(logs).aside == ()


def test_members_that_came_later_have_forgotten_nothing() -> None:
    """Of four, two lack entry 20; but the fourth came in after it, and the first three could spare one of them."""
    four = (1, 2, 3, 4)
    logs = [
        candidate(log(1, [(2, 20)], commit=20, voters=four, changes=[VoterChange(20, 4, joined=True)])),
        candidate(log(2, [(2, 12)], changes=())),
        candidate(log(3, [(2, 20)], commit=20, voters=four, changes=[VoterChange(20, 4, joined=True)])),
        candidate(log(4, [(2, 15)])),
    ]
    assert chosen(logs).aside == ()
    assert {found.host for found in chosen([logs[0], logs[1], logs[3]]).aside} == set()


def test_where_no_electorate_explains_what_is_lacking_it_was_forgotten() -> None:
    """Entry 20 added etcd3: it was decided by etcd1 and etcd2 together, or by two of the three."""
    logs = [
        candidate(log(1, [(2, 20)], commit=20, changes=[VoterChange(20, 3, joined=True)])),
        candidate(log(2, [(2, 12)], voters=(1, 2))),
        candidate(log(3, [(2, 15)], voters=(1, 2))),
    ]
    assert {found.host for found in chosen(logs).aside} == {"etcd2", "etcd3"}


# --- a log that was reset by hand ---

EXPELLED = tuple(VoterChange(8 + gone, gone, joined=False, forced=True) for gone in (2, 3))
"""What --force-new-cluster writes on member 1 of three: the others are removed, at 10 and 11, and nobody has voted on it."""


def test_what_those_had_acknowledged_whom_a_reset_has_expelled_is_not_known() -> None:
    """The reset cut the log at its commit: entry 10 may have been acknowledged by its own member and etcd3, which is away."""
    forced = log(1, [(2, 9), (3, 4)], commit=13, voters=(1,), removed=(2, 3), changes=EXPELLED)
    choice = chosen([candidate(forced), candidate(log(2, [(2, 6)]))])
    assert (choice.survivor, choice.proof) == ("etcd1", ProofKind.BEST)
    assert "was reset" in choice.doubts[0] and "expelled 2 voters" in choice.doubts[0]


def test_members_that_were_asked_to_leave_are_no_reset() -> None:
    asked = tuple(replace(change, forced=False) for change in EXPELLED)
    left = log(1, [(2, 13)], commit=13, voters=(1,), removed=(2, 3), voters_before=(1, 3), changes=asked)
    assert chosen([candidate(left), candidate(log(3, [(2, 10)]))]).proof is ProofKind.COMPLETE


def test_a_cluster_that_has_grown_again_since_a_reset_is_judged_as_any_other() -> None:
    joined = tuple(VoterChange(20 + new, new, joined=True) for new in (4, 5))
    grown = [
        log(number, [(2, 9), (3, 40)], commit=49, voters=(1, 4, 5), removed=(2, 3), changes=(*EXPELLED, *joined))
        for number in (1, 4)
    ]
    assert chosen([candidate(each) for each in grown]).proof is ProofKind.COMPLETE


# --- the membership while it changes ---


def test_the_membership_before_a_young_change_is_an_electorate_too() -> None:
    """etcd3 was removed; a leader that had not applied it could still acknowledge with etcd3: one log of two is too few."""
    found = log(1, [(2, 20)], voters=(1, 2), removed=(3,), voters_before=(1, 2, 3))
    assert set(electorates(found)) == {frozenset({1, 2}), frozenset({1, 2, 3})}
    choice = chosen([candidate(found)])
    assert choice.proof is ProofKind.BEST
    assert any("membership was changing" in doubt for doubt in choice.doubts)
    assert chosen([candidate(found), candidate(log(2, [(2, 18)]))]).proof is ProofKind.COMPLETE


def test_changes_above_the_commit_make_electorates_one_by_one() -> None:
    above = [ConfChange(21, 2, "add", 4, Member(4)), ConfChange(22, 2, "remove", 1)]
    found = log(1, [(2, 22)], commit=20, above=above, voters_at_end=(2, 3, 4))
    assert set(electorates(found)) == {frozenset({1, 2, 3}), frozenset({1, 2, 3, 4}), frozenset({2, 3, 4})}


def test_a_rejected_change_and_a_learner_make_none() -> None:
    above = [ConfChange(21, 2, "remove", 8, None, "no such member"), ConfChange(22, 2, "add-learner", 4, Member(4))]
    assert electorates(log(1, [(2, 22)], commit=20, above=above)) == (frozenset({1, 2, 3}),)


# --- entries above the commit ---


def certain(logs: Sequence[Candidate]) -> int:
    return certainly_unacknowledged(logs[0], logs, electorates(logs[0].log))


def test_what_no_quorum_can_have_held_was_not_acknowledged() -> None:
    one, two, three = (candidate(log(n, [(2, end)], commit=10)) for n, end in ((1, 20), (2, 14), (3, 12)))
    assert certain([one]) == 0
    assert certain([one, two]) == 0
    assert certain([one, two, three]) == 6
    choice = chosen([one, two, three])
    assert (choice.uncertain, choice.unacknowledged) == (4, 6)


def test_entries_of_another_term_do_not_count_as_held() -> None:
    logs = [
        candidate(log(1, [(2, 10), (4, 5)], commit=10)),
        candidate(log(2, [(2, 10), (3, 9)], commit=10)),
        candidate(log(3, [(2, 10)], commit=10)),
    ]
    assert certain(logs) == 5


def test_a_log_that_proves_nothing_may_have_held_it() -> None:
    one, two = candidate(log(1, [(2, 20)], commit=10)), candidate(log(2, [(2, 12)], commit=10))
    silent = Candidate("etcd3", log(3, [(2, 12)], commit=10), honest=False)
    assert certain([one, two, silent]) == 0


def test_what_a_peer_knows_to_be_decided_was_possibly_acknowledged() -> None:
    logs = [candidate(log(n, [(2, end)], commit=c)) for n, end, c in ((1, 20, 10), (2, 20, 19), (3, 12, 12))]
    assert certain([logs[0], logs[2]]) == 0
    assert certain(logs) == 0


def test_a_long_tail_costs_no_time() -> None:
    one, two, three = (candidate(log(n, [(2, end)], commit=1)) for n, end in ((1, 300_000), (2, 2), (3, 2)))
    assert certain([one, two, three]) == 299_998


def test_what_a_log_that_is_no_evidence_knows_to_be_decided_was_possibly_acknowledged() -> None:
    """etcd4 is a learner, etcd3 runs without fsync: neither held anything for a quorum, both know what was decided."""
    logs = [candidate(log(n, [(2, end)], commit=10)) for n, end in ((1, 20), (2, 12), (3, 12))]
    possible = electorates(logs[0].log)
    assert certainly_unacknowledged(logs[0], logs, possible) == 8
    learner = candidate(log(4, [(2, 18)], commit=17, learners=(4,)))
    assert certainly_unacknowledged(logs[0], logs, possible, [*logs, learner]) == 3
    lazy = Candidate("etcd5", log(5, [(2, 18)], commit=17, voters=(1, 2, 3, 5)), honest=False)
    assert certainly_unacknowledged(logs[0], [*logs, lazy], possible) == 3


def test_an_override_does_not_count_more_than_what_is_known() -> None:
    best, other = candidate(log(1, [(2, 20)], commit=8)), candidate(log(2, [(2, 10)], commit=9))
    assert "10 log entries" in chosen([best, other], "etcd2").loses
    assert "0 of them are known to be acknowledged" in chosen([best, other], "etcd2").loses
