"""A member's log made from another's: the same entries under another member's id, and the dead removed at its end.

What has to be changed in the bytes, and no more (found on etcd 3.3.25 to 3.7.1; the format is told in `wal.py`):

- every metadata record, of which each segment has one, becomes {1 own member id, 2 cluster id}; all other data stays;
- the checksums are chained anew. The first segment's crc record holds 0, each later one's the running value;
- a torn tail ends the log, as it does for etcd;
- at the end of the last segment one entry for each member that is removed: raftpb.Entry {1: 1 (a conf change), 2: the new
  term, 3: the next index, 4: raftpb.ConfChange {1 id 0, 2: 1 (remove), 3 member}}. It is what `--force-new-cluster` writes;
- last one HardState {the new term, no vote, commit = the last index}. All of the log counts as decided, so every member has
  applied it, the removals too, before any election. That is safe only where no member keeps a shorter log.

The new term must be above every term that any member has ever known: nobody has voted in it, so having no vote is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fleetrecover.errors import FormatError
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.entries import ENTRY_CONF_CHANGE
from fleetrecover.etcd.frames import (
    CRC,
    ENTRY,
    FRAME,
    METADATA,
    STATE,
    Damage,
    check_end,
    frame_record,
    judge,
    parse_record,
    span_of,
)
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.protobuf import write_varint

REMOVE_NODE = 1
"""raftpb.ConfChangeType: 0 adds a voter, 1 removes, 2 updates, 3 adds a learner."""


@dataclass(frozen=True)
class Seed:
    """What the new log is: whose, in which term, and after which of the old log's entries which members are removed.

    `last` is the index of the old log's last entry.
    """

    node_id: int
    cluster_id: int
    term: int
    last: int
    removed: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        """The index of the new log's last entry, which is its commit, too."""
        return self.last + len(self.removed)

    @classmethod
    def of(cls, log: Log, node_id: int, term: int, removed: Sequence[int] = ()) -> Seed:
        """The seed that makes this log another member's."""
        return cls(node_id, log.cluster_id, term, log.last.index, tuple(removed))


def metadata(node_id: int, cluster_id: int) -> bytes:
    """The data of a metadata record (etcdserverpb.Metadata)."""
    return b"\x08" + write_varint(node_id) + b"\x10" + write_varint(cluster_id)


def removal(member_id: int) -> bytes:
    """raftpb.ConfChange that removes a member. Its id is 0: an id only wakes the request that waits for it, and none does."""
    return b"\x08\x00\x10" + write_varint(REMOVE_NODE) + b"\x18" + write_varint(member_id)


def removal_entry(term: int, index: int, member_id: int) -> bytes:
    """raftpb.Entry of such a change."""
    change = removal(member_id)
    head = b"\x08" + write_varint(ENTRY_CONF_CHANGE) + b"\x10" + write_varint(term) + b"\x18" + write_varint(index)
    return head + b"\x22" + write_varint(len(change)) + change


def hard_state(term: int, commit: int) -> bytes:
    """raftpb.HardState without a vote."""
    return b"\x08" + write_varint(term) + b"\x10\x00\x18" + write_varint(commit)


def appended(seed: Seed, crc: int) -> bytes:
    """The frames that come behind the old log's last record; `crc` is the running checksum there."""
    records = [
        (ENTRY, removal_entry(seed.term, seed.last + number, member))
        for number, member in enumerate(seed.removed, start=1)
    ]
    records.append((STATE, hard_state(seed.term, seed.end)))
    out = bytearray()
    for kind, data in records:
        crc = crc32c(data, crc)
        out += frame_record(kind, data, crc)
    return bytes(out)


def seeded(segments: Iterable[tuple[str, bytes]], seed: Seed) -> Iterator[tuple[str, bytes]]:
    """The new log's segments, oldest first, each as (name, content without the zeros that etcd preallocates behind it).

    `segments` are those of a log that was read, with all that its reader needed; one at a time is held. A file must be made
    at least as long as it was, with zeros. Raises FormatError where a record does not check out, as the reader does.
    """
    writer = _Writer(seed)
    held: tuple[str, bytes] | None = None
    for segment in segments:
        if held is not None:
            yield held[0], writer.segment(*held, is_last=False)
        held = segment
    if held is None:
        raise FormatError("there is no WAL segment", source="wal")
    yield held[0], writer.segment(*held, is_last=True) + appended(seed, writer.new)


class _Writer:
    """Goes over the records once: `old` is the running checksum of what is read, `new` of what is written."""

    def __init__(self, seed: Seed) -> None:
        self.metadata = metadata(seed.node_id, seed.cluster_id)
        self.old = 0
        self.new = 0

    def segment(self, name: str, data: bytes, *, is_last: bool) -> bytes:
        """One segment up to its last good record. What is torn and what is damaged, `frames` decides, as for the reader."""
        out = bytearray()
        size, offset = len(data), 0
        while offset + 8 <= size:
            (frame,) = FRAME.unpack_from(data, offset)
            if frame == 0:
                break
            try:
                after, record = self.record(name, data, offset, frame)
            except Damage as damage:
                judge(name, data, offset, damage.reason, is_last)
                return bytes(out)
            out += record
            offset = after
        check_end(name, data, offset, is_last)
        return bytes(out)

    def record(self, name: str, data: bytes, offset: int, frame: int) -> tuple[int, bytes]:
        """One record: the offset behind it, and its new frame. Raises Damage, FormatError."""
        start, end, after = span_of(frame, offset)
        if after > len(data):
            raise Damage(f"a record of {end - start} bytes runs over the end of the file")
        kind, stored, at, length = parse_record(data, start, end, name)
        if kind == CRC:
            if self.old and self.old != stored:
                raise FormatError(f"the checksum carried over is {stored:08x}, not {self.old:08x}", source=name)
            self.old = stored
            return after, frame_record(CRC, None, self.new)
        body = data[at : at + length]
        rolled = crc32c(body, self.old)
        if rolled != stored:
            raise Damage("the checksum does not match")
        self.old = rolled
        written = self.metadata if kind == METADATA else body
        self.new = crc32c(written, self.new)
        return after, frame_record(kind, written, self.new)
