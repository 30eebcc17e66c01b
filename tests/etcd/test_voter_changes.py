"""Who voted before: told by the entries after the snapshot, and by those behind it that were read anyway."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import Change, ConfChange, Member, Roster, VoterChange, changes_behind
from fleetrecover.etcd.wal import read_log
from tests.etcd.writers import WalWriter, add, cluster, conf_change, snap


def change(index: int, action: str, member_id: int, term: int = 2) -> ConfChange:
    return ConfChange(index, term, action, member_id, Member(member_id, "", (f"http://{member_id}:2380",)))


def learner(member_id: int) -> bytes:
    return conf_change(3, member_id, {"peerURLs": [f"http://{member_id}:2380"]})


def promotion(member_id: int) -> bytes:
    return conf_change(0, member_id, {"peerURLs": [f"http://{member_id}:2380"], "isPromote": True})


def busy() -> WalWriter:
    """1, 2, 3; 4 joins as a learner, is promoted, 3 is removed; 5 is a learner and removed; 2 is removed twice."""
    writer = cluster(3).entries(2, 4, 4).change(2, 5, learner(4)).change(2, 6, promotion(4))
    writer.change(2, 7, conf_change(1, 3)).change(2, 8, learner(5)).change(2, 9, conf_change(1, 5))
    return writer.change(2, 10, conf_change(1, 2)).change(2, 11, conf_change(1, 2)).entries(2, 12, 20)


EXPECTED = (
    VoterChange(6, 4, joined=True),
    VoterChange(7, 3, joined=False),
    VoterChange(10, 2, joined=False),
)


def test_changes_of_voters_only_and_only_those_that_took_effect() -> None:
    found = read_log(busy().state(2, 1, 20).done())
    assert found.voter_changes == EXPECTED
    assert found.voters_before == frozenset({1, 2, 4})
    assert found.removed_at == {3: 7, 5: 9, 2: 10}


@pytest.mark.parametrize("index", range(4, 21))
def test_a_snapshot_at_any_place_hides_nothing_that_was_read(index: int) -> None:
    roster = Roster()
    whole = read_log(busy().state(2, 1, 20).done())
    members = [(n, "", False) for n in sorted(whole.voters_at(index))]
    if index in (5, 8):
        members.append((4 if index == 5 else 5, "", True))
    removed = [n for n, at in whole.removed_at.items() if at <= index]
    found = read_log(busy().state(2, 1, 20).snapshot(2, index).done(), [snap(2, index, members, removed)])
    assert roster.voter_changes == []
    assert found.snapshot.index == index
    assert found.changes_known_from == 1
    assert [found.voters_at(at) for at in range(3, 21)] == [whole.voters_at(at) for at in range(3, 21)]
    assert found.voter_changes == EXPECTED
    assert found.removed_at == {3: 7, 5: 9, 2: 10 if index < 10 else min(index, 11)}


def test_behind_a_snapshot_of_a_leader_nothing_is_known() -> None:
    writer = cluster(3).entries(2, 4, 9).state(2, 1, 9).snapshot(3, 100).state(3, 0, 100)
    found = read_log(writer.done(), [snap(3, 100)])
    assert (found.changes_known_from, found.voter_changes, found.voters_before) == (101, (), None)


# --- behind a snapshot ---


@pytest.mark.parametrize(
    ("changes", "voters", "expected"),
    [
        pytest.param([change(5, "add", 3)], {1, 2, 3}, [VoterChange(5, 3, joined=True)], id="added"),
        pytest.param([change(5, "add", 3)], {1, 2}, [], id="rejected: it does not vote after it"),
        pytest.param([change(5, "remove", 3)], {1, 2, 3}, [], id="rejected: it votes after it"),
        pytest.param(
            [change(5, "remove", 3)],
            {1, 2},
            [VoterChange(5, 3, joined=False, certain=False)],
            id="of whom nobody knows",
        ),
        pytest.param(
            [change(4, "add-learner", 3), change(5, "remove", 3)], {1, 2}, [], id="a learner's removal changes no voter"
        ),
        pytest.param(
            [change(3, "add", 3, term=1), change(5, "remove", 3)],
            {1, 2},
            [VoterChange(5, 3, joined=False)],
            id="a first one",
        ),
        pytest.param(
            [change(5, "remove", 3), change(6, "remove", 3)],
            {1, 2},
            [VoterChange(5, 3, joined=False, certain=False)],
            id="the second removal was rejected",
        ),
        pytest.param([change(5, "update", 3), change(6, "add-learner", 4)], {1, 2, 3}, [], id="no change of voters"),
        pytest.param([change(3, "add", 3, term=1)], {1, 2, 3}, [], id="the first members"),
    ],
)
def test_the_snapshot_tells_the_end(changes: list[Change], voters: set[int], expected: list[VoterChange]) -> None:
    assert changes_behind(voters, changes) == tuple(expected)


def test_voters_at_goes_both_ways() -> None:
    writer = cluster(3).change(2, 4, add(4)).change(2, 5, conf_change(1, 3)).change(2, 6, conf_change(1, 2))
    found: Log = read_log(writer.state(2, 1, 5).done())
    assert [sorted(found.voters_at(at)) for at in (3, 4, 5, 6)] == [[1, 2, 3], [1, 2, 3, 4], [1, 2, 4], [1, 4]]
    assert [each.index for each in found.changes_between(4, 6)] == [5, 6]


def test_a_peer_url_is_free_again_once_its_member_has_another_or_is_gone() -> None:
    """Whose URL is whose is kept beside the members, and must follow every change."""
    there = {"peerURLs": ["http://1:2380"]}
    moved = conf_change(2, 1, {"peerURLs": ["http://9:2380"]})
    writer = (
        cluster(3).change(2, 4, conf_change(0, 4, there)).change(2, 5, moved).change(2, 6, conf_change(0, 5, there))
    )
    writer.change(2, 7, conf_change(0, 6, {"peerURLs": ["http://9:2380"]})).change(2, 8, conf_change(1, 1))
    writer.change(2, 9, conf_change(0, 7, {"peerURLs": ["http://9:2380"]}))
    writer.change(2, 10, conf_change(2, 7, {"peerURLs": ["http://9:2380"]}))
    found = read_log(writer.state(2, 1, 3).done())
    told = [(each.index, each.rejected) for each in found.conf_changes_above_commit]
    assert told == [
        *((4, "a peer URL is taken"), (5, ""), (6, ""), (7, "a peer URL is taken"), (8, ""), (9, ""), (10, "")),
    ]


def test_many_changes_take_no_quadratic_time() -> None:
    """Counted in lines that are run, not timed: eight times as many changes run eight times as many."""

    def lines(count: int) -> int:
        roster, counted = Roster(), 0

        def trace(_frame: FrameType, event: str, _: object) -> Any:
            nonlocal counted
            counted += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for number in range(1, count + 1):
                assert not roster.apply(change(number, "add", number)).rejected  # type: ignore[union-attr]
        finally:
            sys.settrace(before)
        return counted

    assert lines(4000) < 10 * lines(500)
