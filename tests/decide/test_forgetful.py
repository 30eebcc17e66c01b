"""Disks that have forgotten: what is proof, what is suspicion, and what is neither."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.candidates import _too_many, newborn
from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import VoterChange
from fleetrecover.etcd.wal import read_log
from tests.decide.logs import FIVE, candidate, log
from tests.etcd.writers import WalWriter, cluster, snap


def chosen(*logs: Log | Candidate) -> Choice:
    found = [each if isinstance(each, Candidate) else candidate(each) for each in logs]
    choice = choose_survivor(found, {})
    assert isinstance(choice, Choice), choice
    return choice


def aside(*logs: Log | Candidate) -> dict[str, str]:
    return {found.host: found.code for found in chosen(*logs).aside}


# --- emptied, and begun anew ---


@pytest.mark.parametrize("state", ["new", "existing"])
def test_a_disk_that_was_begun_anew_is_no_evidence(state: str) -> None:
    one = read_log(cluster(3, node_id=1).entry(2, 4, b"").entries(2, 5, 900).state(2, 1, 899).done())
    writer = cluster(3, node_id=2) if state == "new" else WalWriter(node_id=2).open().state(2, 0, 0)
    choice = chosen(one, read_log(writer.done()))
    assert (choice.survivor, choice.proof, choice.logs_read) == ("etcd1", ProofKind.BEST, 1)
    assert [(found.host, found.code) for found in choice.aside] == [("etcd2", "newborn")]
    word = "nothing but the membership" if state == "new" else "no entry"
    assert word in choice.aside[0].reason


def hashed(found: Log) -> Log:
    """With the content that the other logs of these tests have."""
    return replace(found, entries=log(2, [(1, 3)]).entries)


def test_nor_is_one_that_was_restored_from_a_snapshot_file_under_its_old_id() -> None:
    writer = cluster(3, node_id=2).snapshot(1, 3)
    restored = read_log(writer.done(), [snap(1, 3)])
    assert newborn(restored)
    assert aside(log(1, [(1, 3), (2, 20)], salt=0), hashed(restored)) == {"etcd2": "newborn"}


def test_it_is_seen_by_entries_that_nobody_knows_to_be_decided_and_by_any_log() -> None:
    """The survivor's commit was never flushed; or only a learner's log goes on."""
    assert aside(log(1, [(1, 3), (2, 20)], commit=3), log(2, [(1, 3)])) == {"etcd2": "newborn"}
    learner = log(4, [(1, 3), (2, 9)], commit=4, learners=(4,))
    assert aside(learner, log(2, [(1, 3)]), log(3, [(1, 3)])) == {
        "etcd4": "learner-log",
        "etcd2": "newborn",
        "etcd3": "newborn",
    }


def test_where_nobody_goes_on_nothing_is_proven_and_nobody_set_aside() -> None:
    choice = chosen(*(log(n, [(1, 3)]) for n in (1, 2, 3)))
    assert (choice.proof, choice.aside) == (ProofKind.BEST, ())
    assert any("has just begun, or was emptied" in doubt for doubt in choice.doubts)
    assert chosen(*(log(n, [(1, 4)]) for n in (1, 2, 3))).proof is ProofKind.COMPLETE


# --- a vote ---


def test_a_vote_of_a_member_that_does_not_count_is_proof_too() -> None:
    removed = log(4, [(2, 20)], term=7, vote=2, removed=(4,))
    one, two = (log(n, [(2, 20)], removed=(4,)) for n in (1, 2))
    assert aside(one, two, removed)["etcd2"] == "rolled-back"
    equal = replace(removed, hard_state=replace(removed.hard_state, term=2))
    assert "etcd2" not in aside(one, two, equal)


def test_a_vote_for_itself_is_none() -> None:
    assert aside(log(1, [(2, 20)], term=5, vote=1), log(2, [(2, 20)])) == {}


# --- a decided entry ---


def emptied(member: int) -> Log:
    return read_log(cluster(3, node_id=member).entry(2, 4, b"").entries(2, 5, 20).state(2, 2, 20).done())


def behind_a_snapshot(began: int, *, first: int = 4001, snapshot: int = 5000) -> Log:
    """Entries from 4001 to 6000, and a snapshot between; the present term began at `began`."""
    runs = [(4, began - first)] if began > first else []
    runs.append((5, 6001 - max(began, first)))
    return log(1, runs, first=first, snapshot=(5 if began <= snapshot else 4, snapshot), commit=6000)


@pytest.mark.parametrize("began", [100, 4500, 5500])
def test_disks_that_lack_what_was_decided_are_set_aside_behind_a_snapshot_too(began: int) -> None:
    """One leader since the snapshot is the normal case; whether the voters were changed before it, nobody can tell."""
    choice = chosen(behind_a_snapshot(began), emptied(2), emptied(3))
    assert (choice.survivor, choice.proof, choice.logs_read) == ("etcd1", ProofKind.BEST, 1)
    assert {found.host: found.code for found in choice.aside} == {"etcd2": "unproven", "etcd3": "unproven"}
    assert "nobody can tell" in choice.aside[0].reason


def test_where_the_entries_tell_that_nobody_else_voted_it_is_proof() -> None:
    known = log(1, [(2, 6000)], snapshot=(2, 5000), commit=6000)
    assert aside(known, log(2, [(2, 20)]), log(3, [(2, 20)])) == {"etcd2": "rolled-back", "etcd3": "rolled-back"}
    change = VoterChange(5990, 3, joined=True)
    changed = log(1, [(2, 20)], first=5981, snapshot=(2, 5985), commit=6000, changes=[change])
    assert aside(changed, log(2, [(2, 20)]), log(3, [(2, 20)])) == {"etcd2": "rolled-back", "etcd3": "rolled-back"}


def test_as_many_as_may_lack_it_are_only_slow() -> None:
    logs = [log(n, [(2, end)], voters=FIVE, commit=end) for n, end in ((1, 20), (2, 20), (3, 20), (4, 12), (5, 9))]
    assert aside(*logs) == {}
    assert set(aside(*logs[:2], log(3, [(2, 19)], voters=FIVE), *logs[3:])) == {"etcd3", "etcd4", "etcd5"}


# --- a leader ---


def test_a_term_that_had_a_leader_was_on_the_disks_of_a_quorum() -> None:
    led = log(1, [(2, 10), (5, 1)], commit=10)
    ignorant = [log(n, [(2, 10)], term=2) for n in (2, 3)]
    assert aside(led, *ignorant) == {"etcd2": "rolled-back", "etcd3": "rolled-back"}
    assert aside(led, ignorant[0], log(3, [(2, 10)], term=5)) == {}


def test_where_its_beginning_is_hidden_it_is_only_suspected() -> None:
    led = log(1, [(5, 3)], first=11, snapshot=(5, 10), commit=10)
    ignorant = [log(n, [(2, 1)], term=2, first=9, snapshot=(2, 8)) for n in (2, 3)]
    assert aside(led, *ignorant) == {"etcd2": "unproven", "etcd3": "unproven"}


def test_a_leader_that_was_elected_before_others_came_in_accuses_nobody() -> None:
    """etcd1 and etcd2 elected etcd1 in term 5; etcd3, etcd4 and etcd5 were added after that, and are parted."""
    changes = [VoterChange(12 + n, n, joined=True) for n in (3, 4, 5)]
    led = log(1, [(2, 10), (5, 20)], commit=30, voters=FIVE, changes=changes)
    late = [log(n, [(2, 4)], term=2, voters=(1, 2)) for n in (3, 4, 5)]
    assert "rolled-back" not in aside(led, log(2, [(2, 10), (5, 20)], voters=FIVE, changes=changes), *late[:2]).values()
    earlier = log(1, [(2, 10), (5, 2)], commit=10, changes=[VoterChange(8, 3, joined=True)])
    assert aside(earlier, *(log(n, [(2, 9)], commit=7, term=2) for n in (2, 3))) == {
        "etcd2": "rolled-back",
        "etcd3": "rolled-back",
    }


def test_nobody_is_accused_in_the_name_of_no_electorate() -> None:
    group = [candidate(log(2, [(2, 9)]))]
    assert not _too_many(group, ())
    assert not _too_many(group, (frozenset(),))
    assert not _too_many([], (frozenset({2}),))
    assert _too_many(group, (frozenset({2}), frozenset()))
