"""A term that begins without its leader's first entry: entries of one history that follow those of another on a disk."""

from __future__ import annotations

import pytest

from fleetrecover.decide.survivor import Choice, ProofKind, choose_survivor
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.wal import read_log
from tests.decide.logs import candidate
from tests.etcd.writers import WalWriter, cluster, conf_change, put, snap


def begun(member: int = 1) -> WalWriter:
    """Three first members, and a leader's term with one write."""
    return cluster(3, node_id=member).entry(2, 4).entry(2, 5, put("a"))


def sound(member: int) -> Log:
    return read_log(begun(member).entry(5, 6).entry(5, 7, put("b")).entry(5, 8, put("c")).state(5, 1, 5).done())


def grafted(member: int) -> Log:
    """The leader of term 5 began at entry 6, which this disk has from another history."""
    return read_log(
        begun(member).entry(2, 6, put("x")).entry(5, 7, put("b")).entry(5, 8, put("c")).state(5, 1, 5).done()
    )


def test_a_leader_opens_its_term_before_any_client() -> None:
    assert (sound(1).grafted, grafted(2).grafted) == (0, 7)


def test_a_change_of_membership_may_open_a_term_as_a_forced_reset_writes_it() -> None:
    assert (
        read_log(begun().change(5, 6, conf_change(1, 2)).change(5, 7, conf_change(1, 3)).state(5, 1, 7).done()).grafted
        == 0
    )


@pytest.mark.parametrize(("term", "data", "found"), [(5, b"", 0), (5, put("b"), 6), (2, put("b"), 0)])
def test_the_entry_right_behind_the_snapshot_counts_and_no_other_that_is_the_first(
    term: int, data: bytes, found: int
) -> None:
    def behind(place: int) -> Log:
        writer = WalWriter(node_id=1).open().snapshot(2, place).entry(term, 6, data).state(term, 1, 6)
        return read_log(writer.done(), [snap(2, place)])

    assert behind(5).grafted == found
    old = WalWriter(node_id=1).open(6).entry(5, 6, put("b")).snapshot(5, 6).state(5, 1, 6)
    assert read_log(old.done(), [snap(5, 6)]).grafted == 0


def test_what_was_replaced_is_not_there_any_more() -> None:
    writer = begun().entry(2, 6, put("x")).entry(5, 7, put("b")).entry(6, 6).entry(6, 7, put("c")).state(6, 1, 7)
    assert read_log(writer.done()).grafted == 0


def test_such_a_disk_proves_nothing_and_survives_only_where_no_other_can() -> None:
    whole = WalWriter(node_id=1).open().snapshot(5, 6).entry(5, 7, put("b")).entry(5, 8, put("c")).state(5, 1, 6)
    compacted = read_log(whole.done(), [snap(5, 6)])
    choice = choose_survivor([candidate(grafted(2)), candidate(compacted)], {})
    assert isinstance(choice, Choice)
    assert (choice.survivor, choice.logs_read, choice.proof) == ("etcd1", 1, ProofKind.BEST)
    assert [(each.host, each.code) for each in choice.aside] == [("etcd2", "grafted")]
    assert "goes on at entry 7" in choice.aside[0].reason
    alone = choose_survivor([candidate(grafted(2))], {})
    assert isinstance(alone, Choice)
    assert (alone.survivor, alone.proof) == ("etcd2", ProofKind.BEST)
