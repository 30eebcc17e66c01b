"""Histories of the log that decide about survival, written record by record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetrecover.errors import FormatError
from fleetrecover.etcd import entries, wal
from fleetrecover.etcd.frames import SECTOR
from fleetrecover.etcd.log import HardState, Position
from fleetrecover.etcd.protobuf import write_varint
from fleetrecover.etcd.wal import (
    Broken,
    SnapshotUnusable,
    compare_logs,
    load_log,
    needed_files,
    raise_commit,
    read_log,
    try_read_log,
)
from tests.etcd.writers import WalWriter, add, bytes_field, cluster, conf_change, put, snap, varint_field

FIRST = "0000000000000000-0000000000000000.wal"
SECOND = "0000000000000001-000000000000000b.wal"


def flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 0x40]) + data[offset + 1 :]


def zero(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + bytes(end - start) + data[end:]


# -- what is read


def test_new_cluster() -> None:
    log = read_log(cluster().entries(2, 4, 6).state(2, 1, 5).done())
    assert (log.node_id, log.cluster_id) == (1, 9)
    assert log.last == Position(2, 6)
    assert log.hard_state == HardState(2, 1, 5)
    assert [(run.term, run.first, run.last) for run in log.terms] == [(1, 1, 3), (2, 4, 6)]
    assert [member.name for member in log.configuration.members] == ["n1", "n2", "n3"]
    assert log.configuration.voters == {1, 2, 3}
    assert log.above_commit == {"put": 1}
    assert log.writes == 3
    assert log.term_at(3) == 1
    assert log.term_at(7) is None
    assert log.digest_at(7) is None


def test_positions_compare_by_term_first() -> None:
    assert Position(4, 66) > Position(3, 113)


def test_later_entry_with_lower_index_truncates() -> None:
    writer = cluster().entries(2, 4, 9).state(2, 2, 5)
    log = read_log(writer.entry(3, 7, put("other")).state(3, 3, 5).done())
    assert log.last == Position(3, 7)
    assert [(run.term, run.first, run.last) for run in log.terms] == [(1, 1, 3), (2, 4, 6), (3, 7, 7)]


def test_the_first_entry_that_was_read_may_be_replaced_too() -> None:
    """The WAL begins behind a snapshot; a new leader rewrites all that follows, from the very first entry on."""
    writer = WalWriter().open().snapshot(2, 4000).entries(2, 4001, 4009).state(2, 2, 4000)
    writer.change(2, 4010, conf_change(1, 3)).entry(3, 4001, put("other")).entry(3, 4002).state(3, 3, 4001)
    log = read_log(writer.done(), [snap(2, 4000)])
    assert log.last == Position(3, 4002)
    assert [(run.term, run.first, run.last) for run in log.terms] == [(3, 4001, 4002)]
    assert (log.entries.first, len(log.entries)) == (4001, 2)
    assert log.configuration_at_end.voters == {1, 2, 3}
    assert log.above_commit == {"empty": 1}


def test_truncation_takes_conf_changes_back() -> None:
    writer = cluster().change(2, 4, conf_change(1, 3)).state(2, 2, 3).entry(3, 4).state(3, 3, 4)
    log = read_log(writer.done())
    assert log.configuration_at_end.voters == {1, 2, 3}
    assert log.conf_changes_above_commit == ()


def test_segments_continue() -> None:
    writer = cluster().entries(2, 4, 10).state(2, 1, 9)
    log = read_log(writer.open(11).state(2, 1, 9).entries(2, 11, 12).state(2, 1, 11).done())
    assert log.last == Position(2, 12)
    assert log.segments == (FIRST, SECOND)
    assert log.tail.segment == SECOND


def test_segments_may_come_from_a_generator() -> None:
    segments = cluster().entries(2, 4, 10).open(11).entries(2, 11, 12).state(2, 1, 12).done()
    assert read_log(segment for segment in segments).last == Position(2, 12)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 16383, 16384, 70_000, 2_097_151, 2_097_152, 3_000_000])
def test_payloads_of_every_length(value: int) -> None:
    log = read_log(cluster().entry(2, 4, put("k", "x" * value)).state(2, 1, 4).done())
    assert log.last == Position(2, 4)
    assert log.commit == 4


@pytest.mark.parametrize("index", [127, 128, 16383, 16384, 1 << 21, 1 << 28, 1 << 35, 1 << 56, (1 << 63) - 2])
def test_indexes_and_terms_of_every_length(index: int) -> None:
    writer = WalWriter().open().snapshot(index, index).entry(index, index + 1, b"").state(index, 1, index + 1)
    log = read_log(writer.done(), [snap(index, index)])
    assert log.last == Position(index, index + 1)


def test_fields_in_another_order_are_read_the_slow_way() -> None:
    entry = bytes_field(4, put("k")) + varint_field(3, 4) + varint_field(2, 2) + varint_field(1, 0)
    same = cluster().entry(2, 4, put("k")).done()
    log = read_log(cluster().record(2, entry).done())
    assert log.last == Position(2, 4)
    assert log.digest_at(4) == read_log(same).digest_at(4)


def test_names_are_learnt_from_publications() -> None:
    v2 = (
        varint_field(1, 99)
        + bytes_field(2, b"PUT")
        + bytes_field(3, b"/0/members/2/attributes")
        + bytes_field(4, b'{"name":"second","clientURLs":["http://2:2379"]}')
        + varint_field(5, 0)
    )
    wrapped = bytes_field(2, v2.replace(b"members/2", b"members/3").replace(b"second", b"thirds"))
    attributes = bytes_field(1, b"first") + bytes_field(2, b"http://1:2379")
    v3 = bytes_field(100, varint_field(1, 5)) + bytes_field(1301, varint_field(1, 1) + bytes_field(2, attributes))
    version = bytes_field(100, varint_field(1, 5)) + bytes_field(1300, bytes_field(1, b"3.6.0"))
    writer = WalWriter().open()
    for member_id in (1, 2, 3):
        writer.change(1, member_id, add(member_id))
    for index, data in enumerate((v2, wrapped, v3, version), 4):
        writer.entry(2, index, data)
    log = read_log(writer.state(2, 1, 7).done())
    assert log.writes == 0
    assert [member.name for member in log.configuration.members] == ["first", "second", "thirds"]
    assert log.configuration.members[1].client_urls == ("http://2:2379",)
    assert log.configuration.cluster_version == "3.6.0"


def test_questions_to_health_and_for_alarms_are_no_writes() -> None:
    """Found on a lab: they go through the log, and an empty cluster that is watched is not written to."""
    asked = [
        varint_field(1, number) + bytes_field(2, method) for number in (7, 1 << 63) for method in (b"QGET", b"SYNC")
    ]
    asked.append(bytes_field(10, b"") + bytes_field(100, varint_field(1, 5)))
    raised = bytes_field(10, varint_field(1, 1)) + bytes_field(100, varint_field(1, 5))
    written = varint_field(1, 7) + bytes_field(2, b"PUT") + bytes_field(3, b"/1/QGET") + bytes_field(4, b"x")
    writer = cluster()
    for index, data in enumerate(asked, 4):
        writer.entry(2, index, data)
    assert read_log(writer.state(2, 1, 8).done()).writes == 0
    for index, data in enumerate((b"", written, put("k"), raised), 9):
        writer.entry(2, index, data)
    log = read_log(writer.state(2, 1, 8).done())
    assert log.writes == 3
    assert log.above_commit == {"alarm": 1, "empty": 1, "put": 1, "v2": 1}


def test_configuration_at_commit_and_at_the_end() -> None:
    writer = cluster().change(2, 4, conf_change(1, 3)).change(2, 5, add(4, peerURLs=["http://4:2380"]))
    log = read_log(writer.state(2, 1, 4).done())
    assert log.configuration.voters == {1, 2}
    assert log.configuration.removed == {3}
    assert log.configuration_at_end.voters == {1, 2, 4}
    assert [(change.action, change.member_id) for change in log.conf_changes_above_commit] == [("add", 4)]
    assert log.above_commit == {"conf-change": 1}


def test_learner_is_added_and_promoted() -> None:
    learner = {"peerURLs": ["http://4:2380"], "isLearner": True}
    writer = cluster().change(2, 4, conf_change(3, 4, learner)).state(2, 1, 4)
    log = read_log(writer.done())
    assert log.configuration.learners == {4}
    assert log.configuration.voters == {1, 2, 3}
    writer.change(2, 5, conf_change(0, 4, {**learner, "isPromote": True})).state(2, 1, 5)
    log = read_log(writer.done())
    assert log.configuration.learners == frozenset()
    assert log.configuration.voters == {1, 2, 3, 4}
    assert [member.learner for member in log.configuration.members] == [False] * 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (conf_change(1, 77), "no such member"),
        (add(2), "the member exists"),
        (conf_change(0, 4, {"peerURLs": ["http://1:2380"]}), "a peer URL is taken"),
        (conf_change(2, 4, {"peerURLs": ["http://1:2380"]}), "no such member"),
        (conf_change(0, 2, {"isPromote": True}), "the member is not a learner"),
    ],
)
def test_changes_that_etcd_rejects_change_nothing(data: bytes, reason: str) -> None:
    log = read_log(cluster().change(2, 4, data).state(2, 1, 3).done())
    assert log.configuration_at_end == log.configuration
    assert [change.rejected for change in log.conf_changes_above_commit] == [reason]


def test_removed_id_never_comes_back() -> None:
    log = read_log(cluster().change(2, 4, conf_change(1, 3)).change(2, 5, add(3)).state(2, 1, 5).done())
    assert log.configuration.voters == {1, 2}


def test_update_changes_the_peer_url() -> None:
    log = read_log(cluster().change(2, 4, conf_change(2, 3, {"peerURLs": ["http://new:2380"]})).state(2, 1, 4).done())
    member = log.configuration.member(3)
    assert member is not None
    assert member.peer_urls == ("http://new:2380",)
    assert member.name == "n3"


# -- snapshots


def test_snapshot_and_the_entries_after_it() -> None:
    writer = cluster().entries(2, 4, 20).state(2, 1, 20).snapshot(2, 15).entries(2, 21, 22).state(2, 1, 21)
    log = read_log(writer.done(), [snap(2, 15, [(1, "n1", False), (2, "n2", False)], removed=[3])])
    assert log.snapshot == Position(2, 15)
    assert log.last == Position(2, 22)
    assert log.configuration.voters == {1, 2}
    assert log.configuration.removed == {3}


def test_snapshot_counts_as_the_end_of_the_log() -> None:
    writer = cluster().state(1, 0, 3).snapshot(4, 50).state(4, 2, 50)
    log = read_log(writer.done(), [snap(4, 50)])
    assert log.last == Position(4, 50)
    assert log.entries.first == 51
    assert len(log.entries) == 0
    assert raise_commit(log) is None


def test_snapshot_from_a_leader_replaces_stale_entries() -> None:
    """Entries of an old term that the snapshot overtook are still in the WAL, but no longer in the log."""
    writer = cluster().entries(3, 4, 20).state(3, 1, 5).snapshot(4, 10).state(4, 2, 10)
    log = read_log(writer.done(), [snap(4, 10)])
    assert log.last == Position(4, 10)
    assert log.above_commit == {}


def test_entries_follow_a_snapshot_from_a_leader() -> None:
    writer = cluster().entries(3, 4, 20).state(3, 1, 5).snapshot(4, 100).state(4, 2, 100)
    log = read_log(writer.entries(4, 101, 103).state(4, 2, 102).done(), [snap(4, 100)])
    assert log.last == Position(4, 103)
    assert log.entries.first == 101


def test_snapshot_that_never_reached_the_hard_state_is_ignored() -> None:
    """Killed between writing the snapshot's record and the hard state: etcd starts from what it had before."""
    writer = cluster().entries(3, 4, 20).state(3, 1, 18).snapshot(4, 100)
    log = read_log(writer.done(), [snap(4, 100)])
    assert log.last == Position(3, 20)
    assert log.unusable_snaps == ((snap(4, 100)[0], "the WAL has no record of it at or below commit"),)


def test_entries_after_a_snapshot_above_commit_are_an_error() -> None:
    writer = cluster().entries(3, 4, 20).state(3, 1, 18).snapshot(4, 100).entries(4, 101, 102)
    with pytest.raises(FormatError, match="entries follow a snapshot at 100"):
        read_log(writer.done(), [snap(4, 100)])


def test_snapshot_of_another_term_is_not_usable() -> None:
    writer = cluster().entries(2, 4, 20).state(2, 1, 20).snapshot(2, 15)
    log = read_log(writer.done(), [snap(3, 15)])
    assert log.snapshot == Position(0, 0)
    assert log.unusable_snaps


def test_needed_snapshot_is_missing() -> None:
    segments = cluster().entries(2, 4, 10).open(11).entries(2, 11, 20).state(2, 1, 20).snapshot(2, 15).done()
    with pytest.raises(FormatError, match="the entries start at 11"):
        read_log(segments[1:])
    with pytest.raises(SnapshotUnusable) as caught:
        read_log(segments[1:], [("0000000000000002-000000000000000f.snap", b"rubbish")])
    assert caught.value.snap == "0000000000000002-000000000000000f.snap"
    partial = read_log(segments[1:], partial=True)
    assert not partial.complete
    assert partial.last == Position(2, 20)


def test_load_log_falls_back_to_an_older_snapshot() -> None:
    writer = cluster().entries(2, 4, 10).state(2, 1, 10).snapshot(2, 8)
    writer.open(11).entries(2, 11, 20).state(2, 1, 20).snapshot(2, 15)
    segments = dict(writer.done())
    older, newer = snap(2, 8), snap(2, 15)
    snaps = {older[0]: older[1], newer[0]: newer[1][:-1] + b"?"}
    asked: list[wal.Needed] = []

    def fetch(needed: wal.Needed) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
        asked.append(needed)
        assert needed.snap is not None
        return [(name, segments[name]) for name in needed.segments], [(needed.snap, snaps[needed.snap])]

    sizes = {name: len(data) for name, data in segments.items()}
    log = load_log(sizes, {name: len(data) for name, data in snaps.items()}, fetch)
    assert [needed.segments for needed in asked] == [(SECOND,), (FIRST, SECOND)]
    assert log.snapshot == Position(2, 8)
    assert log.last == Position(2, 20)


# -- which files


def test_needed_files_without_snapshot() -> None:
    needed = needed_files({SECOND: 10, FIRST: 5, "0.tmp": 64, "x.wal.broken": 1}, {"db": 99})
    assert (needed.segments, needed.snap, needed.size) == ((FIRST, SECOND), None, 15)


def test_needed_files_with_snapshot() -> None:
    newest, older = "0000000000000003-000000000000000c.snap", "0000000000000002-0000000000000009.snap"
    wal_sizes = {FIRST: 5, SECOND: 10}
    snaps = {older: 1, newest: 2, "0000000000000010.snap.db": 7, newest + ".broken": 9}
    assert needed_files(wal_sizes, snaps).segments == (SECOND,)
    assert needed_files(wal_sizes, snaps).snap == newest
    assert needed_files(wal_sizes, snaps, [newest]).segments == (FIRST, SECOND)
    assert needed_files(wal_sizes, snaps, [newest]).snap == older


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no WAL segment"),
        ([SECOND], "starts after index 0"),
        ([FIRST, "0000000000000002-0000000000000014.wal"], "is missing"),
    ],
)
def test_needed_files_refuses(names: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        needed_files(dict.fromkeys(names, 1), {})


# -- torn tails and damage


def written(count: int = 20) -> tuple[WalWriter, bytes]:
    writer = cluster()
    for index in range(4, 4 + count):
        writer.entry(2, index, put(f"key-{index}", "y" * 300)).state(2, 1, index - 1)
    return writer, writer.done()[0][1]


def test_cut_frame_is_torn() -> None:
    writer, data = written()
    last_entry = writer.offsets[-2]
    for size in (last_entry + 1, last_entry + 7, last_entry + 9, last_entry + 100):
        log = read_log([(FIRST, data[:size])])
        assert log.torn is not None
        assert log.torn.offset == last_entry == log.tail.offset
        assert log.last == Position(2, 22)
        append = raise_commit(log)
        assert append is not None
        assert append.cut
        assert append.offset == last_entry


def test_zeroed_sector_of_the_last_record_is_torn() -> None:
    writer = cluster().entries(2, 4, 10).state(2, 1, 9).entry(2, 11, put("big", "z" * 3000))
    data = writer.done()[0][1]
    start = (writer.offsets[-1] // SECTOR + 2) * SECTOR
    log = read_log([(FIRST, zero(data, start, start + SECTOR))])
    assert log.torn is not None
    assert log.torn.reason == "the checksum does not match"
    assert log.torn.residue > 2000
    assert log.last == Position(2, 10)


def test_raised_commit_of_a_torn_log_reads_clean() -> None:
    writer = cluster().entries(2, 4, 10).state(2, 1, 9).entry(2, 11, put("big", "z" * 3000))
    data = writer.done()[0][1]
    start = (writer.offsets[-1] // SECTOR + 2) * SECTOR
    data = zero(data, start, start + SECTOR)
    append = raise_commit(read_log([(FIRST, data)]))
    assert append is not None
    log = read_log([(FIRST, data[: append.offset] + append.data)])
    assert log.torn is None
    assert log.commit == 10


def test_remains_behind_the_end_are_torn() -> None:
    """The frame itself is in the sector that was lost: etcd sees the end of the log there."""
    writer = cluster().entries(2, 4, 10).state(2, 1, 9)
    while len(writer.segments[0][1]) % SECTOR != 0:
        writer.state(2, 1, 9)
        left = -len(writer.segments[0][1]) % SECTOR
        if 0 < left < 200:
            break
    writer.entry(2, 11, put("big", "z" * 3000))
    data = writer.done()[0][1]
    offset = writer.offsets[-1]
    log = read_log([(FIRST, zero(data, offset, (offset // SECTOR + 1) * SECTOR))])
    assert log.torn is not None
    assert log.torn.offset == offset
    assert log.last == Position(2, 10)


@pytest.mark.parametrize("inside", [0, 9, 12, 20, 40, 200])
def test_bit_flip_is_damage(inside: int) -> None:
    writer, data = written()
    for number in (8, 14, 20, 30):
        with pytest.raises(FormatError) as caught:
            read_log([(FIRST, flip(data, writer.offsets[number] + min(inside, 20 if number % 2 else 400)))])
        assert caught.value.source == FIRST
        assert caught.value.offset is not None


def test_flipped_length_is_no_torn_tail() -> None:
    """etcd 3.5 and later would cut the log here, and lose what was acknowledged behind it."""
    writer, data = written()
    for byte in range(7):
        for number in (10, 20, len(writer.offsets) - 2):
            with pytest.raises(FormatError):
                read_log([(FIRST, flip(data, writer.offsets[number] + byte))])


def test_zero_sector_before_later_flushes_is_no_torn_tail() -> None:
    """A flip in a value that happens to hold a sector of zeros: etcd would cut here too."""
    writer = cluster().entry(2, 4, put("zeros", "\0" * 2000)).state(2, 1, 3)
    offset = writer.offsets[-2]
    early = flip(writer.done()[0][1], offset + 40)
    assert read_log([(FIRST, early)]).torn is not None
    writer.entries(2, 5, 5).state(2, 1, 4)
    assert read_log([(FIRST, flip(writer.done()[0][1], offset + 40))]).torn is not None
    writer.entries(2, 6, 6).state(2, 1, 5)
    with pytest.raises(FormatError, match="records of a later flush follow"):
        read_log([(FIRST, flip(writer.done()[0][1], offset + 40))])


def test_zeroed_page_in_the_middle_is_damage() -> None:
    _, data = written(60)
    with pytest.raises(FormatError, match="later flush"):
        read_log([(FIRST, zero(data, 4096, 8192))])


def test_states_without_entries_prove_no_flush() -> None:
    """A hard state alone is not flushed, so several of them may be lost together."""
    writer = cluster().entries(2, 4, 10).state(2, 1, 9)
    while len(writer.segments[0][1]) % SECTOR < SECTOR - 40:
        writer.state(2, 1, 9)
    torn = writer.state(2, 1, 9).state(2, 1, 10).entry(2, 11, put("k")).state(2, 1, 10)
    data = torn.done()[0][1]
    offset = writer.offsets[-4]
    border = (offset // SECTOR + 1) * SECTOR
    log = read_log([(FIRST, zero(data, offset, border))])
    assert log.torn is not None
    assert log.last == Position(2, 10)


@pytest.mark.parametrize("harm", ["zeros in a record", "a frame cut off"])
def test_what_would_be_torn_in_the_last_segment_is_damage_in_an_earlier_one(harm: str) -> None:
    """What was in an earlier segment had been flushed long before."""
    writer = cluster().entries(2, 4, 10).state(2, 1, 9).entry(2, 11, put("big", "z" * 3000))
    start = (writer.offsets[-1] // SECTOR + 2) * SECTOR
    (_, first), second = writer.open(12).entries(2, 12, 13).state(2, 1, 12).done()
    hurt = zero(first, start, start + SECTOR) if harm.startswith("zeros") else first[:-100]
    with pytest.raises(FormatError) as caught:
        read_log([(FIRST, hurt), ("0000000000000001-000000000000000c.wal", second[1])])
    assert caught.value.source == FIRST
    alone = read_log([(FIRST, hurt)])
    assert alone.torn is not None


def test_an_earlier_segment_that_ends_within_a_frame_is_damaged() -> None:
    (_, first), second = cluster().entries(2, 4, 10).open(11).entries(2, 11, 13).state(2, 1, 12).done()
    with pytest.raises(FormatError, match="ends within a frame"):
        read_log([(FIRST, first + b"\0\0\0"), (SECOND, second[1])])


def test_remains_behind_the_end_of_an_earlier_segment_are_nothing() -> None:
    """etcd reads on in the next segment, whose first record carries the checksum on; so nothing was lost."""
    (_, first), second = cluster().entries(2, 4, 10).open(11).entries(2, 11, 13).state(2, 1, 12).done()
    log = read_log([(FIRST, first + bytes(64) + b"remains" * 9), (SECOND, second[1])])
    assert (log.last, log.torn) == (Position(2, 13), None)


def test_damage_in_an_earlier_segment_is_never_torn() -> None:
    writer = cluster().entries(2, 4, 10).open(11).entries(2, 11, 12).state(2, 1, 12)
    (name, first), last = writer.done()
    for data in (first[:-4], first[:-40], flip(first, len(first) - 10), first[: len(first) - 40] + bytes(40)):
        with pytest.raises(FormatError):
            read_log([(name, data), last])


def test_lost_end_of_an_earlier_segment_shows_in_the_next() -> None:
    writer = cluster().entries(2, 4, 9).entry(2, 10, put("x")).open(11).entries(2, 11, 12).state(2, 1, 12)
    (name, first), last = writer.done()
    with pytest.raises(FormatError, match="the checksum carried over"):
        read_log([(name, first[: writer.offsets[10]]), last])


def test_segments_of_two_members_do_not_mix() -> None:
    mine = cluster().entries(2, 4, 10).open(11)
    theirs = cluster(node_id=2).entries(2, 4, 10).open(11)
    with pytest.raises(FormatError):
        read_log([mine.done()[0], theirs.done()[1]])
    mixed = cluster().record(1, varint_field(1, 7) + varint_field(2, 9))
    with pytest.raises(FormatError, match="metadata differs"):
        read_log(mixed.done())


def test_missing_segment() -> None:
    segments = cluster().entries(2, 4, 10).open(11).entries(2, 11, 12).open(13).entries(2, 13, 14).done()
    with pytest.raises(FormatError, match="does not follow"):
        read_log([segments[0], segments[2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: w.state(2, 1, 99), "it has lost entries"),
        (lambda w: w.entry(1, 5), "log has a gap"),
        (lambda w: w.entry(2, 4).entry(1, 5), "is of term 1"),
        (lambda w: w.entry(2, 0), "has the index 0"),
        (lambda w: w.entry(2, 1 << 63), "has the index"),
        (lambda w: w.entry(2, 4, b"\x08\x00", kind=2), "type 2"),
        (lambda w: w.record(9, b""), "a record of type 9"),
        (lambda w: w.change(2, 4, conf_change(7, 1)), "conf change of type 7"),
        (lambda w: w.change(2, 4, varint_field(2, 0) + varint_field(3, 4) + bytes_field(4, b"{")), "not JSON"),
        (lambda w: w.change(2, 4, varint_field(2, 0) + bytes_field(4, b"[" * 100_000)), "not JSON"),
    ],
)
def test_contents_that_etcd_never_writes(make: Callable[[WalWriter], WalWriter], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_log(make(cluster()).done())


@pytest.mark.parametrize("data", [b"", bytes(100), b"\x01", b"\xff" * 64, bytes(range(256)) * 4])
def test_rubbish(data: bytes) -> None:
    found = try_read_log([(FIRST, data)])
    assert isinstance(found, Broken)
    assert found.source == FIRST


def test_no_segments() -> None:
    with pytest.raises(FormatError, match="no WAL segment"):
        read_log([])


# -- raising the commit


def test_newer_term_than_the_hard_state_takes_the_vote_away() -> None:
    """A torn write left the entries of a new term without the hard state that belongs to them."""
    append = raise_commit(read_log(cluster().state(2, 3, 3).entries(5, 4, 6).done()))
    assert append is not None
    assert append.hard_state == HardState(5, 0, 6)


def test_log_without_any_hard_state() -> None:
    append = raise_commit(read_log(WalWriter().open().change(1, 1, add(1, "n1")).done()))
    assert append is not None
    assert append.hard_state == HardState(1, 0, 1)


def test_record_is_aligned_and_continues_the_checksum() -> None:
    segments = cluster().entries(2, 4, 300).state(2, 1 << 60, 298).done()
    append = raise_commit(read_log(segments))
    assert append is not None
    assert len(append.data) % 8 == 0
    data = segments[0][1]
    assert append.data not in data
    end = append.offset + len(append.data)
    log = read_log([(FIRST, data[: append.offset] + append.data + data[end:])])
    assert log.hard_state == HardState(2, 1 << 60, 300)


# -- comparing


def test_undecided_tails_may_differ() -> None:
    stale = read_log(cluster().entries(3, 4, 9).state(3, 1, 5).done())
    fresh = read_log(cluster().entries(3, 4, 6).entry(4, 7, put("n")).state(4, 2, 6).done())
    agreement = compare_logs(stale, fresh)
    assert (agreement.first, agreement.last, agreement.differ_from, agreement.fork) == (1, 6, 7, None)
    assert fresh.last > stale.last


def test_decided_entries_must_not_differ() -> None:
    one = read_log(cluster().entries(3, 4, 9).state(3, 1, 9).done())
    other = read_log(cluster().entries(3, 4, 6).entries(4, 7, 9).state(4, 2, 9).done())
    fork = compare_logs(one, other).fork
    assert fork is not None
    assert fork.index == 7


def test_equal_term_and_index_must_be_equal() -> None:
    one = read_log(cluster().entries(3, 4, 9).state(3, 1, 5).done())
    other = read_log(cluster().entries(3, 4, 7).entry(3, 8, put("forged")).state(3, 2, 5).done())
    agreement = compare_logs(one, other)
    assert agreement.last == 7
    assert agreement.fork is not None
    assert agreement.fork.index == 8


def test_logs_without_common_entries() -> None:
    one = read_log(cluster().entries(3, 4, 9).state(3, 1, 9).done())
    other = read_log(WalWriter().open().snapshot(4, 50).entries(4, 51, 52).state(4, 2, 51).done(), [snap(4, 50)])
    agreement = compare_logs(one, other)
    assert agreement.last < agreement.first
    assert agreement.fork is None


def test_snapshot_against_an_entry_of_another_term() -> None:
    one = read_log(cluster().entries(3, 4, 60).state(3, 1, 60).done())
    other = read_log(WalWriter().open().snapshot(4, 50).entries(4, 51, 52).state(4, 2, 51).done(), [snap(4, 50)])
    assert compare_logs(one, other).fork is not None
    assert compare_logs(other, one).fork is not None


# -- hostile sizes: bounded, and soon


def test_many_snapshot_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "MAX_SNAPSHOTS", 5)
    writer = cluster()
    for index in range(4, 12):
        writer.snapshot(2, index)
    with pytest.raises(FormatError, match="more than 5 snapshots"):
        read_log(writer.done())


def test_many_changes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "MAX_CHANGES", 5)
    writer = cluster()
    for index in range(4, 8):
        writer.change(2, index, conf_change(1, index))
    with pytest.raises(FormatError, match="more than 5 changes"):
        read_log(writer.done())


def test_huge_context_is_refused() -> None:
    data = add(4, "n" * (2 << 20))
    with pytest.raises(FormatError, match="bytes of JSON"):
        read_log(cluster().change(2, 4, data).done())


def test_huge_conf_state_is_refused() -> None:
    with pytest.raises(FormatError, match="a configuration of"):
        read_log(cluster().snapshot(2, 4, list(range(1, 50_000))).done())


@pytest.mark.timeout(60)
def test_search_for_later_flushes_is_bounded() -> None:
    """Behind a torn record, heads of records that each claim megabytes, so that each would have to be hashed."""
    start = cluster().entries(2, 4, 6).state(2, 1, 5).done()[0][1].rstrip(b"\0")
    start += bytes(-len(start) % 8)
    size = 6 << 20
    claim = (size - 64) // 8 * 8
    head = claim.to_bytes(8, "little") + b"\x08\x02\x10\xff\xff\xff\xff\x0f\x1a" + b"\xf0\xff\xff\x02"
    small = (16).to_bytes(8, "little") + b"\x08\x02\x10\xff\xff\xff\xff\x0f\x1a\x06......"
    block = small.ljust(24, b".") + head.ljust(24, b".")
    log = try_read_log([(FIRST, start + bytes(512) + block * (2 * size // len(block)))])
    assert isinstance(log, Broken | wal.Log)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("term", [1, 127, 128, 2**63 - 1])
@pytest.mark.parametrize("index", [1, 127, 128, 2**40])
@pytest.mark.parametrize("payload", [None, b"", b"x", b"y" * 300])
@pytest.mark.parametrize("absent", [False, True])
def test_an_entry_without_its_type_is_read_as_quickly_and_as_right(
    kind: int, term: int, index: int, payload: bytes | None, absent: bool
) -> None:
    """Up to 3.6 every number is written; 3.7 leaves a type of 0 out. Whatever is before and after is none of it."""
    numbers = [(0x08, kind)] if kind or not absent else []
    body = b"".join(bytes([tag]) + write_varint(value) for tag, value in (*numbers, (0x10, term), (0x18, index)))
    if payload is not None:
        body += b"\x22" + write_varint(len(payload)) + payload
    data = b"\x08\x10" + body + b"\x22\x01z"
    found = entries.parse_entry("x", data, 2, 2 + len(body))
    assert found[:3] == (kind, term, index)
    assert data[found[3] : found[4]] == (payload or b"")
    assert found == entries._slow_entry(body, "x", 2)
