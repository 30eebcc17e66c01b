"""Two logs of one history, or of two: what each of them knows is held against the other, with a common index or without."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from fleetrecover.etcd.log import Log, compare_logs
from fleetrecover.etcd.membership import VoterChange
from tests.decide.logs import log


def fork(one: Log, other: Log) -> int | None:
    """Where they contradict each other; the same whichever is asked first."""
    found, back = compare_logs(one, other).fork, compare_logs(other, one).fork
    assert (found is None) == (back is None)
    return found.index if found else None


# --- decided entries ---


@pytest.mark.parametrize(("commit", "forked"), [(9, None), (10, 10), (11, 10)])
def test_the_decided_index_itself_is_decided(commit: int, forked: int | None) -> None:
    """Both logs differ from entry 10 on; one knows it to be decided, the other up to `commit`."""
    assert fork(log(1, [(2, 9), (3, 5)], commit=14, term=4), log(2, [(2, 9), (4, 5)], commit=commit)) == forked


@pytest.mark.parametrize(("commit", "forked"), [(19, None), (20, 20), (21, 20)])
def test_a_snapshot_contradicts_decided_entries_only(commit: int, forked: int | None) -> None:
    """The other's entry 20 is of an older term: a leader without quorum wrote it, unless it was decided."""
    received = log(1, [], snapshot=(3, 20), commit=20, term=3)
    assert fork(received, log(2, [(2, 25)], commit=commit, term=3)) == forked


# --- log matching ---


def test_equal_terms_after_different_ones_are_two_histories() -> None:
    """Somebody has reset etcd1 by hand at 9; it and the others were in term 3 at the same time."""
    reset = log(1, [(2, 9), (2, 2), (3, 9)], commit=9)
    assert fork(reset, log(2, [(2, 9), (3, 9)], commit=9)) == 12
    assert fork(log(1, [(2, 9), (3, 4)], commit=9), log(2, [(2, 9), (4, 9)], commit=9)) is None


# --- no common index ---


def test_terms_never_fall() -> None:
    """(term 5, index 6000) is decided on one, (term 2, index 9000) on the other."""
    one = log(1, [(5, 10)], first=5991, snapshot=(5, 5990), term=9)
    assert fork(one, log(2, [(2, 10)], first=8991, snapshot=(2, 8990), term=9)) == 6000
    assert fork(one, log(2, [(5, 10)], first=8991, snapshot=(5, 8990), term=9)) is None
    assert fork(one, log(2, [], snapshot=(4, 9000), term=9)) == 6000


def test_what_is_not_decided_may_be_of_any_term() -> None:
    one = log(1, [(5, 10)], first=5991, snapshot=(4, 5990), commit=5990, term=9)
    assert fork(one, log(2, [(4, 10)], first=8991, snapshot=(4, 8990), term=9)) is None
    # the same place: nothing is above the other
    assert fork(log(1, [], snapshot=(5, 6000), term=9), log(2, [(2, 1)], first=6000, commit=0, term=9)) is None


def test_a_leader_of_a_later_term_had_what_was_decided() -> None:
    knows = log(1, [(2, 20)], commit=20, term=4)
    assert fork(knows, log(2, [(2, 9), (5, 5)], commit=9)) == 20
    assert fork(knows, log(2, [(2, 9), (3, 20), (5, 5)], commit=9)) == 20
    assert fork(knows, log(2, [(2, 20), (5, 5)], commit=9)) is None
    assert fork(knows, log(2, [(2, 9), (4, 5)], commit=9)) is None  # of term 4: before or after it was decided
    assert fork(log(1, [(2, 20)], commit=0, term=4), log(2, [(2, 9), (5, 5)], commit=9)) is None


# --- members that were removed ---


def alone(**more: object) -> Log:
    """etcd1 was reset by hand at 10000, has served alone since, and has a snapshot at 25000."""
    values: dict[str, object] = {"voters": (1,), "removed": (2, 3), "removed_at": {2: 25000, 3: 25000}}
    return log(1, [(4, 100)], first=25001, snapshot=(4, 25000), **(values | more))  # type: ignore[arg-type]


def test_a_removed_member_never_comes_back() -> None:
    assert fork(alone(), log(2, [(7, 100)], first=40001, snapshot=(7, 40000))) == 25000
    assert fork(alone(), log(2, [], snapshot=(4, 25000))) == 25000
    assert fork(alone(), log(2, [(4, 100)], first=24801, snapshot=(4, 24800))) is None


def test_where_the_place_is_not_known_the_commit_is() -> None:
    one = alone(removed_at={})
    assert fork(one, log(2, [(4, 99)], first=25001, snapshot=(4, 25000), commit=25099)) is None
    assert fork(one, log(2, [(7, 99)], first=25101, snapshot=(7, 25100))) == 25100


def test_who_holds_the_removal_without_knowing_it_decided_does_not_vote_after_it() -> None:
    """etcd2 holds what etcd1 knows to be decided, and yet votes there: its history never removed it."""
    one = log(1, [(2, 20)], voters=(1,), removed=(2, 3), removed_at={2: 15, 3: 16})
    assert fork(one, log(2, [(2, 20)], commit=9)) == 15
    removal = [VoterChange(15, 2, joined=False), VoterChange(16, 3, joined=False)]
    assert fork(one, log(2, [(2, 20)], commit=9, changes=removal)) is None
    assert fork(one, log(2, [(2, 14)], commit=9)) is None
    sent = log(1, [], snapshot=(2, 20), voters=(1,), removed=(2, 3), removed_at={2: 20, 3: 18}, term=3)
    assert fork(sent, log(2, [(2, 19), (3, 1)], commit=9)) is None


# --- time ---


def test_a_term_for_each_entry_costs_no_more_than_its_length() -> None:
    def seconds(count: int) -> float:
        logs = [log(n, [(term, 1) for term in range(2, count)]) for n in (1, 2)]
        begun = time.process_time()
        assert compare_logs(*logs).fork is None
        return time.process_time() - begun

    small = max(seconds(2000), 0.001)
    assert seconds(16000) < 40 * small


# --- who was ever a member ---


def test_of_whom_the_further_one_has_never_heard_is_of_another_history() -> None:
    """A learner of a cluster that was begun anew by its only voter: no entry of the two has a place in common."""
    anew = log(1, [(1, 1), (2, 21)], voters=(1,), learners=(5,))
    behind = log(2, [], snapshot=(2, 19), first=20, voters=(1,), learners=(2, 3), commit=19)
    found = compare_logs(anew, behind).fork
    assert found is not None
    assert (found.index, "one knows of 2, 3 by then" in found.reason) == (19, True)
    assert fork(behind, anew) == 19
    left = log(1, [(1, 1), (2, 21)], voters=(1,), removed=(2, 3), removed_at={2: 20, 3: 21})
    assert fork(left, behind) is None


def test_who_is_not_decided_further_need_not_have_heard_of_anybody() -> None:
    behind = log(2, [], snapshot=(2, 19), first=20, voters=(1,), learners=(2, 3), commit=19)
    assert fork(log(1, [(1, 1), (2, 17)], voters=(1,)), behind) is None
    further = log(1, [(1, 1), (2, 21)], voters=(1,))
    assert fork(further, behind) == 19
    assert fork(replace(further, complete=False), behind) is None
    assert fork(further, replace(behind, complete=False)) is None
    gone = log(2, [], snapshot=(2, 19), first=20, voters=(1,), removed=(7,), commit=19)
    assert fork(further, gone) == 19
