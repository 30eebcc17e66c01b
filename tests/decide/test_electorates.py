"""By whom may something have been acknowledged, and what is known to be decided: over all logs that were read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleetrecover.decide import electorates as module
from fleetrecover.decide.electorates import Decided, before_last_change, decided, electorates, lacks
from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import ConfChange, VoterChange
from fleetrecover.etcd.wal import read_log
from tests.decide.logs import candidate, log
from tests.etcd.writers import WalWriter, add, cluster, conf_change, snap

MEMBERS = tuple((number, f"n{number}", False) for number in (1, 2, 3, 4))


def sets(*members: Sequence[int]) -> set[frozenset[int]]:
    return {frozenset(each) for each in members}


def chosen(*logs: Log) -> Choice:
    choice = choose_survivor([Candidate(f"etcd{each.node_id}", each) for each in logs], {})
    assert isinstance(choice, Choice), choice
    return choice


# --- one log ---


def two_changes(commit: int) -> Log:
    """etcd4 is added at 5, etcd3 removed at 6."""
    writer = cluster(3).entries(2, 4, 4).change(2, 5, add(4)).change(2, 6, conf_change(1, 3))
    return read_log(writer.state(2, 1, commit).done())


@pytest.mark.parametrize(
    ("commit", "expected"),
    [
        (4, sets((1, 2, 3), (1, 2, 3, 4), (1, 2, 4))),
        (5, sets((1, 2, 3, 4), (1, 2, 3), (1, 2, 4))),
        (6, sets((1, 2, 4), (1, 2, 3, 4))),
    ],
)
def test_those_before_the_last_decided_change_and_after_each_one_above(
    commit: int, expected: set[frozenset[int]]
) -> None:
    assert set(electorates(two_changes(commit))) == expected


def test_the_first_members_were_never_fewer() -> None:
    assert electorates(read_log(cluster(3).entries(2, 4, 9).state(2, 1, 9).done())) == (frozenset({1, 2, 3}),)


def test_changes_behind_the_snapshot_are_told_by_entries_that_were_read() -> None:
    writer = cluster(3).entries(2, 4, 4).change(2, 5, add(4)).entries(2, 6, 9).state(2, 1, 9).snapshot(2, 7)
    found = read_log(writer.done(), [snap(2, 7, MEMBERS)])
    assert found.changes_known_from == 1
    assert set(electorates(found)) == sets((1, 2, 3, 4), (1, 2, 3))


def test_a_doubtful_removal_counts_beside_the_change_before_it() -> None:
    changes = [VoterChange(5, 4, joined=True), VoterChange(8, 9, joined=False, certain=False)]
    found = log(1, [(2, 20)], voters=(1, 2, 3, 4), changes=changes)
    assert set(before_last_change(found, 20)) == sets((1, 2, 3, 4, 9), (1, 2, 3))
    assert set(before_last_change(found, 7)) == sets((1, 2, 3))
    assert before_last_change(found, 20, 8) == ()


def test_doubtful_changes_are_followed_up_to_a_bound() -> None:
    many = [VoterChange(n, 1000 + n, joined=False, certain=False) for n in range(1, 500)]
    assert len(before_last_change(log(1, [(2, 600)], changes=many), 600)) == module.MOST_CHANGES


def test_more_undecided_changes_than_etcd_ever_has_prove_nothing() -> None:
    above = [ConfChange(n, 2, "update", 3) for n in range(10, 10 + module.MOST_CHANGES + 1)]
    many = log(1, [(2, 200)], commit=9, above=above)
    assert "more than 100 changes" in decided([many]).unknown
    assert decided([log(1, [(2, 200)], commit=9, above=above[:-1])]).unknown == ""
    assert chosen(many, log(2, [(2, 150)])).proof is ProofKind.BEST


# --- several ---


def added(snapshot: bool = True) -> tuple[Log, Log]:
    """etcd4 was added at 5000: etcd1 holds the entry and does not know it to be decided, etcd4 was sent a snapshot of it."""
    one = WalWriter(node_id=1).open()
    if snapshot:
        one.snapshot(2, 4000)
    one.entries(2, 4001, 4999).change(2, 5000, add(4)).state(2, 1, 4999)
    four = WalWriter(node_id=4).open().snapshot(2, 5000).state(2, 0, 5000)
    return read_log(one.done(), [snap(2, 4000, MEMBERS[:3])]), read_log(four.done(), [snap(2, 5000, MEMBERS)])


def test_what_one_log_hides_behind_its_snapshot_another_one_tells() -> None:
    one, four = added()
    assert (four.changes_known_from, one.changes_known_from) == (5001, 4001)
    found = decided([one, four])
    assert (found.index, found.by, found.unknown) == (5000, four, "")
    assert set(found.electorates) == sets((1, 2, 3, 4), (1, 2, 3))
    for order in ((one, four), (four, one)):
        assert (chosen(*order).proof, chosen(*order).logs_needed) == (ProofKind.BEST, 2)


def test_where_nobody_can_know_it_is_best_available_and_says_why() -> None:
    _, four = added()
    two = log(2, [(2, 3)], first=4998, snapshot=(2, 4997), voters=(1, 2, 3))
    assert "who voted before the snapshot at 5000" in decided([four]).unknown
    others = [log(n, [], snapshot=(2, 5000), voters=(1, 2, 3, 4)) for n in (1, 2, 3)]
    choice = chosen(four, *others)
    assert (choice.proof, choice.logs_read, choice.missing) == (ProofKind.BEST, 4, ())
    assert any("no log that was read tells who voted before" in doubt for doubt in choice.doubts)
    assert choice.unacknowledged == 0
    # an entry right before the snapshot tells of three entries, which are not enough
    assert "who voted before" in decided([four, two]).unknown


@pytest.mark.parametrize(("entries", "known"), [(module.YOUNG - 1, False), (module.YOUNG, True)])
def test_old_changes_need_not_be_known(entries: int, known: bool) -> None:
    logs = [log(n, [(2, entries)], first=9001, snapshot=(2, 9000)) for n in (1, 2)]
    assert (chosen(*logs).proof is ProofKind.COMPLETE) is known
    assert (decided(logs).unknown == "") is known


def test_from_the_first_entry_on_everything_is_known() -> None:
    assert decided([log(1, [(2, 20)])]).unknown == ""
    assert decided([log(1, [(2, 20)], snapshot=(2, 18))]).unknown == ""
    assert decided([log(1, [(2, 19)], snapshot=(2, 18), first=2)]).unknown != ""


def test_a_change_is_enough_to_know_all_after_it() -> None:
    change = VoterChange(15, 3, joined=True)
    known = log(1, [(2, 20)], first=15, snapshot=(2, 18), changes=[change])
    assert set(decided([known]).electorates) == sets((1, 2, 3), (1, 2))
    assert decided([known]).unknown == ""
    doubtful = log(1, [(2, 20)], first=15, snapshot=(2, 18), changes=[VoterChange(15, 3, joined=True, certain=False)])
    assert decided([doubtful]).unknown != ""


def test_spans_must_meet() -> None:
    """etcd2's entries end where etcd1's begin, or one before: a change may hide in the gap."""
    one = log(1, [(2, 10)], first=31, snapshot=(2, 30))
    assert decided([one, log(2, [(2, 30)])]).unknown == ""
    assert decided([one, log(2, [(2, 29)])]).unknown != ""


def test_entries_that_were_never_decided_tell_nothing() -> None:
    """etcd2 goes on to 40, but in another term: what it says of 31 to 40 is not what was decided there."""
    one = log(1, [(3, 10)], first=41, snapshot=(3, 40), voters=(1, 2, 3))
    other = log(2, [(2, 40)], commit=30, term=3, changes=[VoterChange(35, 3, joined=True)], voters=(1, 2))
    assert decided([one, other]).unknown != ""
    assert set(decided([one, other]).electorates) == sets((1, 2, 3))


def test_undecided_entries_that_another_log_knows_to_be_decided_do() -> None:
    change = VoterChange(35, 4, joined=True)
    top = log(1, [(2, 10)], first=41, snapshot=(2, 40), voters=(1, 2, 3, 4))
    behind = log(2, [(2, 40), (3, 2)], commit=30, changes=[change])
    found = decided([top, behind])
    assert set(found.electorates) == sets((1, 2, 3, 4), (1, 2, 3))
    overlapping = log(1, [(2, 12)], first=39, snapshot=(2, 30), voters=(1, 2, 3, 4), changes=())
    short = log(2, [(2, 38), (2, 2), (4, 9)], commit=30, changes=[change])
    assert set(decided([overlapping, short]).electorates) == sets((1, 2, 3, 4), (1, 2, 3))


# --- what is known to be decided ---


@pytest.mark.parametrize("role", ["removed", "learner", "stranger"])
def test_whatever_any_log_knows_to_be_decided_is_held_against_the_choice(role: str) -> None:
    """etcd4 does not count, but it knows entry 14 to be decided; the log that would be chosen ends at 11."""
    voters = [log(n, [(2, end)], commit=10, removed=(4,) if role == "removed" else ()) for n, end in ((1, 11), (2, 11))]
    learners = (4,) if role == "learner" else ()
    knows = log(4, [(2, 14)], commit=14, learners=learners, removed=(4,) if role == "removed" else ())
    assert chosen(*voters).proof is ProofKind.COMPLETE
    choice = chosen(*voters, knows)
    assert (choice.survivor, choice.proof) == ("etcd1", ProofKind.BEST)
    assert "etcd4 knows entry 14 to be decided, and etcd1's log ends at 11" in choice.doubts
    less = log(4, [(2, 14)], commit=11, learners=learners, removed=(4,) if role == "removed" else ())
    assert chosen(*voters, less).proof is ProofKind.COMPLETE


def test_another_entry_in_the_place_of_a_decided_one_is_held_against_it_too() -> None:
    voters = [log(n, [(2, 10), (3, 9)], commit=10, term=9) for n in (1, 2)]
    learner = log(4, [(2, 14)], commit=14, learners=(4,), term=9)
    choice = chosen(*voters, learner)
    assert choice.proof is ProofKind.BEST
    assert "etcd4 knows entry 14 to be decided, and etcd1's log holds another one there" in choice.doubts


def test_who_lacks_what_was_decided_is_chosen_only_where_nobody_holds_it() -> None:
    """etcd2 and etcd3 were emptied and have elected one of themselves in a later term; etcd1 has the data."""
    full = log(1, [(1, 3), (2, 900)], commit=900, term=13)
    empty = [log(n, [(1, 3), (5, 2)], commit=3) for n in (2, 3)]
    found = choose_survivor([candidate(full), *(candidate(each) for each in empty)], {})
    assert isinstance(found, Choice)
    assert (found.survivor, found.proof) == ("etcd1", ProofKind.BEST)
    assert {aside.host for aside in found.aside} == {"etcd2", "etcd3"}


def test_an_override_to_a_log_that_lacks_what_another_voter_knows_is_never_proven() -> None:
    """As many logs as needed end no later; but one of them knows entry 14 to be decided, and etcd1 has another one there."""
    logs = [log(1, [(2, 10), (3, 9)], commit=10, term=9), log(2, [(2, 14)], commit=14, term=9)]
    found = choose_survivor([candidate(each) for each in logs], {}, "etcd1")
    assert isinstance(found, Choice)
    assert (found.survivor, found.logs_read, found.logs_needed, found.aside) == ("etcd1", 2, 2, ())
    assert found.proof is ProofKind.BEST


def test_where_an_electorate_is_hidden_no_entry_is_certainly_unacknowledged() -> None:
    """By the voters that are known, nobody beside etcd1 held its last eighteen entries."""
    logs = [log(n, [(2, end)], first=9001, snapshot=(2, 9000), commit=9000) for n, end in ((1, 20), (2, 2), (3, 2))]
    assert (chosen(*logs).proof, chosen(*logs).uncertain, chosen(*logs).unacknowledged) == (ProofKind.BEST, 20, 0)


def test_lacking() -> None:
    top = log(1, [(2, 10), (3, 10)])
    assert not lacks(log(2, [(2, 10), (3, 5)]), top, 15)
    assert lacks(log(2, [(2, 10), (3, 4)]), top, 15)
    assert lacks(log(2, [(2, 20)]), top, 15)
    assert not lacks(log(2, [(3, 5)], first=17, snapshot=(3, 16)), top, 15)
    assert Decided(top, 15, ()).held_by(top)
