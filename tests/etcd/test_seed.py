"""A log made another member's: its bytes against those that real etcd was given, and what the reader makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetrecover.errors import FormatError
from fleetrecover.etcd.log import HardState, Log, Position
from fleetrecover.etcd.seed import Seed, appended, hard_state, metadata, removal, removal_entry, seeded
from fleetrecover.etcd.wal import compare_logs, read_log
from tests.etcd import cases
from tests.etcd.writers import add, cluster, put

TERM = 1_000_000_003
GONE = 0x8E9E05C52164694D


def test_the_bytes_that_etcd_was_given() -> None:
    """RESEED.md, section 2: tried on 3.3.25, 3.4.23, 3.5.16 and 3.5.30."""
    assert removal(GONE).hex() == "0800100118cdd2918bd2b881cf8e01"
    assert removal_entry(TERM, 1318, GONE).hex() == "0801108394ebdc0318a60a220f0800100118cdd2918bd2b881cf8e01"
    assert hard_state(TERM, 1318).hex() == "088394ebdc03100018a60a"
    framed = appended(Seed(1, 2, TERM, 1317, (GONE,)), 0x12345678).hex()
    entry = "2600000000000082" + "080210a0f099b8021a1c" + removal_entry(TERM, 1318, GONE).hex() + "0000"
    state = "1500000000000083" + "080310bcfecacd081a0b" + "088394ebdc03100018a60a" + "000000"
    assert framed == entry + state
    assert metadata(5, 300).hex() == "080510ac02"


def rewritten(segments: list[tuple[str, bytes]], seed: Seed) -> list[tuple[str, bytes]]:
    """The seeded segments, each filled up to the length that it had, as it comes to lie on a node."""
    sizes = {name: len(data) for name, data in segments}
    return [(name, data.ljust(sizes[name], b"\0")) for name, data in seeded(segments, seed)]


def test_another_members_log_with_the_dead_removed() -> None:
    writer = cluster(5).entries(4, 6, 40)
    writer.state(4, 3, 38)
    before = read_log(writer.done())
    after = read_log(rewritten(writer.done(), Seed.of(before, 2, TERM, (4, 5))))
    assert (after.node_id, after.cluster_id) == (2, before.cluster_id)
    assert after.last == Position(TERM, 42)
    assert after.hard_state == HardState(TERM, 0, 42)
    assert after.torn is None
    assert after.configuration.voters == {1, 2, 3} == after.configuration_at_end.voters
    assert after.configuration.removed == {4, 5}
    assert compare_logs(before, after).differ_from is None


def test_nobody_is_dead() -> None:
    """Only a new term, in which nobody has voted, and all of the log decided."""
    writer = cluster(3).entries(4, 4, 9)
    before = read_log(writer.done())
    after = read_log(rewritten(writer.done(), Seed.of(before, 3, TERM)))
    assert after.last == before.last
    assert after.hard_state == HardState(TERM, 0, 9)


def test_a_change_at_the_tail_is_decided_with_it() -> None:
    writer = cluster(3).entries(4, 4, 9)
    writer.change(4, 10, add(7, "n7"))
    before = read_log(writer.done())
    assert before.configuration.voters == {1, 2, 3}
    after = read_log(rewritten(writer.done(), Seed.of(before, 2, TERM, (3,))))
    assert after.configuration.voters == {1, 2, 7}


def test_a_torn_tail_ends_it() -> None:
    writer = cluster(3).entries(4, 4, 20)
    whole = writer.done()
    name, data = whole[0]
    cut = writer.offsets[-1] + 12
    torn = [(name, data[:cut])]
    before = read_log(torn)
    assert before.torn is not None
    after = read_log(rewritten(torn, Seed.of(before, 2, TERM, (3,))))
    assert after.last == Position(TERM, before.last.index + 1)
    assert after.torn is None


def test_a_flipped_byte_is_refused() -> None:
    writer = cluster(3).entries(4, 4, 20)
    seed = Seed.of(read_log(writer.done()), 2, TERM)
    name, data = writer.done()[0]
    at = writer.offsets[9] + 20
    flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(FormatError, match="damaged"):
        list(seeded([(name, flipped)], seed))
    with pytest.raises(FormatError, match="no WAL segment"):
        list(seeded([], seed))


def test_a_segment_that_does_not_follow_is_refused() -> None:
    writer = cluster(3).entries(4, 4, 20).open(21).entries(4, 21, 30)
    first, second = writer.done()
    other = cluster(3).entries(4, 4, 19).open(20)
    with pytest.raises(FormatError, match="carried over"):
        list(seeded([other.done()[0], second], Seed(2, 9, TERM, 30)))
    assert len(list(seeded([first, second], Seed(2, 9, TERM, 30)))) == 2


@given(
    entries=st.lists(st.binary(max_size=300), max_size=40),
    cuts=st.sets(st.integers(0, 40), max_size=3),
    removed=st.sets(st.integers(2, 5), max_size=3),
    node=st.integers(1, (1 << 64) - 1),
    start=st.integers(0, (1 << 32) - 1),
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_in_it_only_the_metadata_and_the_end_differ(
    entries: list[bytes], cuts: set[int], removed: set[int], node: int, start: int
) -> None:
    """Over any number of segments, also where the first one's checksum goes on from one that is no more."""
    writer = cluster(5, crc=start)
    for number, value in enumerate(entries):
        if number in cuts:
            writer.open(6 + number).state(3, 1, 5)
        writer.entry(3, 6 + number, put("k", value.hex()))
    before = read_log(writer.done())
    again = list(rewritten(writer.done(), Seed.of(before, node, TERM, sorted(removed))))
    after = read_log(again)
    assert after.node_id == node
    assert (after.last.index, after.commit) == (before.last.index + len(removed),) * 2
    assert after.configuration.voters == before.configuration_at_end.voters - removed
    assert compare_logs(before, after).differ_from is None
    assert [name for name, _ in again] == [name for name, _ in writer.done()]


def recorded() -> Iterator[tuple[str, list[tuple[str, bytes]], Log, dict[str, bytes]]]:
    """Logs that real etcds have written."""
    for version in cases.VERSIONS:
        for case in ("single", "three"):
            try:
                found = cases.directories(version, case)
            except FileNotFoundError:
                continue
            for directory in found.values():
                yield version, sorted(directory.wal.items()), directory.log(), directory.snap


def test_on_its_own_member_a_real_log_keeps_every_byte() -> None:
    """What a real etcd has written comes out as it was, but for what is behind its end: the writer is judged by etcd's."""
    seen = 0
    for _, segments, log, _ in recorded():
        if log.torn is not None:
            continue
        seed = Seed.of(log, log.node_id, log.hard_state.term + 1)
        written = list(seeded(segments, seed))
        for (name, was), (again, now) in zip(segments, written, strict=True):
            assert name == again
            end = log.tail.offset if name == log.tail.segment else len(now)
            assert now[:end] == was[:end]
        tail = written[-1][1][log.tail.offset :]
        assert tail == appended(seed, log.tail.crc)
        seen += 1
    assert seen >= 8


def test_a_real_log_of_another_member_reads_back() -> None:
    for _, segments, log, snaps in recorded():
        seed = Seed.of(log, 0xABCDEF, log.hard_state.term + 1000, ())
        after = read_log(rewritten(segments, seed), [(log.snap_name, snaps[log.snap_name])] if log.snap_name else [])
        assert (after.node_id, after.last, after.commit) == (0xABCDEF, log.last, log.last.index)
        assert after.configuration_at_end.voters == log.configuration_at_end.voters
