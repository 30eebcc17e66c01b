"""etcd's write-ahead log: what is in it, how far it reaches, and the one record that raises its commit.

Format (server/wal of v3.5.16; the same in v3.3.25, v3.4.23 and server/storage/wal of v3.6.0):

- Segments are named `%016x-%016x.wal`, sequence number and the index expected next; 64 MB, preallocated with zeros.
- A frame is an int64, little endian, whose low 56 bits are the record's length; when it is negative, bits 56 to 58
  count the zero bytes that pad the record to 8. A frame of 0, or the end of the file, ends the segment.
- A record is {1 type, 2 crc, 3 data}. Types: 1 metadata {1 node id, 2 cluster id}, 2 entry {1 type, 2 term, 3 index,
  4 data}, 3 state {1 term, 2 vote, 3 commit}, 4 crc, 5 snapshot {1 index, 2 term, 3 conf state (3.5 on)}.
- The crc is CRC-32C rolled over the data of all records so far; a segment opens with a crc record that carries it on.
- An entry with an index that was there before replaces it and everything after it.

What etcd repairs by itself, a *torn* tail of the last segment (a frame cut off by the end of the file, or a record with
a 512-byte sector of zeros in it), is not held against the log: what follows was never flushed. Anything else that does
not check out means that etcd would not start on this log, and that it proves nothing: FormatError. In two points this
reader is stricter than etcd, because etcd would take lost, acknowledged writes for a torn tail: where the damaged
record's own length contradicts its frame's, and where records of a later flush follow the damage.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd import snap as snap_format
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.membership import (
    Attributes,
    Change,
    ClusterVersion,
    ConfChange,
    Configuration,
    ConfState,
    Roster,
    conf_change,
    conf_state,
    configurations,
    member_from_json,
    parse_json,
    parse_member_id,
)
from fleetrecover.etcd.protobuf import BYTES, VARINT, read_varint, write_varint

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
ENTRY_NORMAL, ENTRY_CONF_CHANGE = 0, 1
SECTOR = 512
# Membership changes and publications kept from one log; etcd takes a snapshot every 10,000 to 100,000 entries.
MAX_CHANGES = 200_000
MAX_INDEX = (1 << 63) - 1

_FRAME = struct.Struct("<q")
_LENGTH = (1 << 56) - 1
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_ZEROS = bytes(1 << 20)
# The shortest record that the fast path takes: it may look that many bytes ahead without asking.
_FAST = 16
# How far behind damage is looked for records of a later flush, bytes.
_LOOK_AHEAD = 4 << 20

# What an entry asks for, by the first byte of its payload: the tag of InternalRaftRequest's first field
# (api/etcdserverpb/raft_internal.proto); 0x08 opens a raw v2 Request (3.3 to 3.5), 0xa2 the header of a request whose
# field number is above 100.
_KINDS = {
    0x08: "v2",
    0x12: "v2",
    0x1A: "range",
    0x22: "put",
    0x2A: "delete",
    0x32: "txn",
    0x3A: "compaction",
    0x42: "lease-grant",
    0x4A: "lease-revoke",
    0x52: "alarm",
    0x5A: "lease-checkpoint",
    0xA2: "cluster",
}
# Not tags of any field, so free to mean these.
_EMPTY, _CONF_CHANGE = 0, 1
_MAY_PUBLISH = frozenset((0x08, 0x12, 0xA2))
_MEMBERS_PREFIX = b"/0/members/"
_VERSION_PATH = b"/0/version"


@dataclass(frozen=True, order=True)
class Position:
    """A place in the log; they compare the way the choice of a survivor compares them: term first."""

    term: int
    index: int


@dataclass(frozen=True)
class HardState:
    """raft's durable state. `vote` is the id voted for in `term`, 0 for none; entries up to `commit` are decided."""

    term: int = 0
    vote: int = 0
    commit: int = 0


@dataclass(frozen=True)
class TermRun:
    """Entries `first` to `last` (both included) have this term."""

    term: int
    first: int
    last: int


@dataclass(frozen=True)
class Tail:
    """Where the next record would go: `offset` in `segment`; `crc` is the rolling checksum up to there."""

    segment: str
    offset: int
    crc: int


@dataclass(frozen=True)
class Torn:
    """What etcd would cut off the last segment: everything from `offset` on.

    `residue` counts the bytes from there to the last that is not zero.
    """

    segment: str
    offset: int
    reason: str
    residue: int


@dataclass(frozen=True)
class SnapshotRecord:
    """A snapshot record of the WAL; `conf_state` is there from 3.5 on."""

    term: int
    index: int
    conf_state: ConfState | None = None


@dataclass(frozen=True)
class Entries:
    """The entries that were read, without their payloads: terms, and a CRC-32C of each payload.

    They are contiguous from `first` to `last`; `first` is `last` + 1 when there are none. Entries that a snapshot
    already covers may be among them.
    """

    first: int
    terms: tuple[TermRun, ...]
    digests: array[int] = field(repr=False)

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return self.first + len(self.digests) - 1

    def __len__(self) -> int:
        return len(self.digests)

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None when it was not read."""
        if not self.first <= index <= self.last:
            return None
        return self.terms[bisect_right(self.terms, index, key=lambda run: run.first) - 1].term

    def digest_at(self, index: int) -> int | None:
        """A CRC-32C over type and payload of an entry; None when it was not read."""
        return self.digests[index - self.first] if self.first <= index <= self.last else None


@dataclass(frozen=True)
class Log:
    """All that one member's WAL says.

    - `last`: the end of the log; the snapshot's own position when no entry follows it. `Position(0, 0)`: nothing yet.
    - `snapshot`: what etcd would start from, `Position(0, 0)` for none; `snap_name` is its file.
    - `configuration`: the membership at commit, which is what counts for quorum once etcd restarts;
      `configuration_at_end`: with `conf_changes_above_commit` applied too. raft itself acts on a change when it is
      applied, so the two differ only for changes that had not been.
    - `above_commit`: what the entries above commit ask for, {"put": 3, …}; kinds are those of InternalRaftRequest,
      "conf-change", and "empty" for the entry with which a leader opens its term.
    - `torn`: what etcd would cut off the tail; None for a clean end.
    - `complete`: False when it was read with `partial` and nothing says what the membership was before.
    """

    node_id: int
    cluster_id: int
    hard_state: HardState
    last: Position
    snapshot: Position
    snap_name: str
    entries: Entries
    segments: tuple[str, ...]
    tail: Tail
    torn: Torn | None
    configuration: Configuration
    configuration_at_end: Configuration
    conf_changes_above_commit: tuple[ConfChange, ...]
    above_commit: Mapping[str, int]
    snapshot_records: tuple[SnapshotRecord, ...]
    unusable_snaps: tuple[tuple[str, str], ...] = ()
    complete: bool = True

    @property
    def terms(self) -> tuple[TermRun, ...]:
        """The runs of terms in `entries`."""
        return self.entries.terms

    @property
    def commit(self) -> int:
        """The commit index on disk."""
        return self.hard_state.commit

    def term_at(self, index: int) -> int | None:
        """The term at an index, the snapshot's included; None when it is not known."""
        return self.snapshot.term if index == self.snapshot.index else self.entries.term_at(index)

    def digest_at(self, index: int) -> int | None:
        """The digest of an entry, to compare two logs by; None when it was not read."""
        return self.entries.digest_at(index)


@dataclass(frozen=True)
class Broken:
    """A log that proves nothing, and why. `offset` is where in `source` (a segment or a .snap file)."""

    reason: str
    source: str
    offset: int | None


@dataclass(frozen=True)
class Append:
    """Bytes to write into a copy of `segment` at `offset`.

    With `cut`, the segment must be truncated to `offset` first, because remains of a torn write follow; without, only
    preallocated zeros do, and truncating does no harm either. `hard_state` is what etcd will then find.
    """

    segment: str
    offset: int
    data: bytes
    cut: bool
    hard_state: HardState


class SnapshotUnusable(FormatError):
    """The `.snap` file that was to be used cannot be; call `needed_files` again with it among `unusable`."""

    def __init__(self, snap: str, reason: str) -> None:
        super().__init__(reason, source=snap)
        self.snap = snap


def parse_name(name: str) -> tuple[int, int] | None:
    """Return (sequence number, index) of a segment's name; None for any other file."""
    match = _NAME.fullmatch(name)
    return (int(match[1], 16), int(match[2], 16)) if match else None


# ---------------------------------------------------------------------------------------------------------------------
# Which files to read


@dataclass(frozen=True)
class Needed:
    """The files to read, oldest segment first; `snap` is None when the log is read from its beginning.

    `size` is the sum of their sizes in bytes.
    """

    segments: tuple[str, ...]
    snap: str | None
    size: int


def needed_files(wal: Mapping[str, int], snaps: Mapping[str, int], unusable: Iterable[str] = ()) -> Needed:
    """Choose what has to be read of a member's `wal/` and `snap/` directories, given as {name: size in bytes}.

    That is the newest .snap file that is not in `unusable`, and the segments since: from the last whose name's index is
    not above the snapshot's (searchIndex in server/wal/util.go). Without a snapshot, all segments from index 0. Other
    files are ignored, as etcd ignores them. Raises FormatError when there is no segment or one is missing in between.
    """
    barred = set(unusable)
    segments = sorted(name for name in wal if parse_name(name))
    if not segments:
        raise FormatError("there is no WAL segment", source="wal")
    usable = sorted((name for name in snaps if snap_format.parse_name(name) and name not in barred), reverse=True)
    chosen = usable[0] if usable else None
    parsed = snap_format.parse_name(chosen) if chosen else None
    index = parsed[1] if parsed else 0
    start = _search(segments, index)
    if start is None:
        what = f"the snapshot {chosen} at index {index}" if chosen else "index 0, and there is no usable snapshot"
        raise FormatError(f"the first segment starts after {what}", source=segments[0])
    picked = segments[start:]
    for before, after in pairwise(picked):
        if _name(after)[0] != _name(before)[0] + 1:
            raise FormatError(f"the segment between {before} and {after} is missing", source="wal")
    size = sum(wal[name] for name in picked) + (snaps[chosen] if chosen else 0)
    return Needed(tuple(picked), chosen, size)


def _name(name: str) -> tuple[int, int]:
    parsed = parse_name(name)
    if parsed is None:
        raise FormatError("not the name of a WAL segment", source=name)
    return parsed


def _search(segments: Sequence[str], index: int) -> int | None:
    for position in range(len(segments) - 1, -1, -1):
        if _name(segments[position])[1] <= index:
            return position
    return None


def load_log(
    wal: Mapping[str, int],
    snaps: Mapping[str, int],
    fetch: Callable[[Needed], tuple[Iterable[tuple[str, bytes]], Iterable[tuple[str, bytes]]]],
) -> Log:
    """Read a log through `fetch`, which is asked again when a .snap file turns out to be unusable.

    `wal` and `snaps` are as in `needed_files`; `fetch` returns (segments, snaps), each as (name, content).
    Raises FormatError when the log proves nothing.
    """
    unusable: dict[str, str] = {}
    while True:
        needed = needed_files(wal, snaps, unusable)
        segments, contents = fetch(needed)
        try:
            return read_log(segments, contents)
        except SnapshotUnusable as error:
            if error.snap in unusable or error.snap not in snaps:
                raise
            unusable[error.snap] = error.reason


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def try_read_log(segments: Iterable[tuple[str, bytes]], snaps: Iterable[tuple[str, bytes]] = ()) -> Log | Broken:
    """Like `read_log`, with the failure as a value. SnapshotUnusable is still raised: it asks for other files."""
    try:
        return read_log(segments, snaps)
    except SnapshotUnusable:
        raise
    except FormatError as error:
        return Broken(error.reason, error.source, error.offset)


def read_log(
    segments: Iterable[tuple[str, bytes]], snaps: Iterable[tuple[str, bytes]] = (), *, partial: bool = False
) -> Log:
    """Read a member's log from its segments, oldest first, and its .snap files, each as (name, content).

    One segment at a time is held when `segments` is a generator. Of the snapshots the newest is used that etcd would
    use: undamaged, with a record of the same term and index in the WAL, and not above commit. With `partial`, the
    beginning may be missing: for looking at a single segment.

    Raises SnapshotUnusable when the log cannot be understood without a snapshot and none of `snaps` will do, and
    FormatError when the log is damaged: in both cases with the file and offset.
    """
    reader = _Reader()
    for name, data, is_last in _with_last(segments):
        reader.segment(name, data, is_last)
    return reader.finish(list(snaps), partial)


def _with_last(segments: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes, bool]]:
    held: tuple[str, bytes] | None = None
    for segment in segments:
        if held is not None:
            yield (*held, False)
        held = segment
    if held is None:
        raise FormatError("there is no WAL segment", source="wal")
    yield (*held, True)


@dataclass
class _Stretch:
    """Contiguous entries in the making. `runs` are [term, first index]; `changes` are in the order of indexes."""

    first: int = 0
    digests: array[int] = field(default_factory=lambda: array("I"))
    kinds: bytearray = field(default_factory=bytearray)
    runs: list[tuple[int, int]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.digests)

    def cut(self, index: int) -> None:
        """Drop the entries from `index` on."""
        keep = index - self.first
        del self.digests[keep:]
        del self.kinds[keep:]
        while self.runs and self.runs[-1][1] >= index:
            self.runs.pop()
        while self.changes and self.changes[-1].index >= index:
            self.changes.pop()

    def term_at(self, index: int) -> int:
        return self.runs[bisect_right(self.runs, index, key=lambda run: run[1]) - 1][0]

    def frozen(self) -> Entries:
        ends = [run[1] - 1 for run in self.runs[1:]] + [self.next - 1]
        runs = tuple(TermRun(term, first, last) for (term, first), last in zip(self.runs, ends, strict=False))
        return Entries(self.first, runs, self.digests)


class _Damage(Exception):
    """A record that does not check out; turned into Torn or FormatError by `_Reader._judge`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Reader:
    """Goes over the records once, in the order in which they were written."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.crc = 0
        self.metadata: bytes | None = None
        self.state = b""
        self.state_at = ("", 0)
        self.stretch = _Stretch()
        self.records: list[SnapshotRecord] = []
        # Snapshots received from a leader replace the log; if one proves not to be valid, the replaced one counts.
        self.replaced: list[tuple[Position, _Stretch]] = []
        self.tail = Tail("", 0, 0)
        self.torn: Torn | None = None
        self.change_count = 0

    # -- records

    def segment(self, name: str, data: bytes, is_last: bool) -> None:  # noqa: PLR0915 - the hot loop stays in one piece
        """Read one segment. The loop is written for speed: segments are 64 MB, and records may be 30 bytes."""
        sequence, _ = _name(name)
        if self.names and sequence != _name(self.names[-1])[0] + 1:
            raise FormatError(f"does not follow {self.names[-1]}", source=name)
        self.names.append(name)
        view = memoryview(data)
        size = len(data)
        crc = self.crc
        offset = 0
        unpack = _FRAME.unpack_from
        torn: Torn | None = None
        while offset + 8 <= size:
            (frame,) = unpack(data, offset)
            if frame == 0:
                break
            length = frame & _LENGTH
            start = offset + 8
            end = start + length
            after = end + ((frame >> 56) & 7) if frame < 0 else end
            try:
                if after > size:
                    raise _Damage(f"a record of {length} bytes runs over the end of the file")
                # A record as etcd writes it: 08 type 10 crc 1a length data
                fast = length >= _FAST and data[start] == 0x08 and data[start + 2] == 0x10
                if fast:
                    kind = data[start + 1]
                    packed = int.from_bytes(data[start + 3 : start + 8], "little")
                    if packed & 0x8080808080 == 0x80808080:
                        stored = (
                            packed & 0x7F
                            | packed >> 1 & 0x3F80
                            | packed >> 2 & 0x1FC000
                            | packed >> 3 & 0xFE00000
                            | packed >> 4 & 0xF0000000
                        )
                        body = start + 10
                        span = data[start + 9]
                        if span >= 0x80:
                            high = data[body]
                            span = span & 0x7F | (high & 0x7F) << 7
                            body += 1
                            if high >= 0x80:
                                span |= data[body] << 14
                                fast = data[body] < 0x80
                                body += 1
                        fast = fast and kind < 0x80 and data[start + 8] == 0x1A and body + span == end
                    else:
                        fast = False
                if not fast:
                    kind, stored, body, span = _record(data, start, end, name)
                if kind == CRC:
                    if crc and crc != stored:
                        raise FormatError(
                            f"the checksum carried over is {stored:08x}, not {crc:08x}", source=name, offset=offset
                        )
                    crc = stored
                else:
                    rolled = crc32c(view[body : body + span], crc)
                    if rolled != stored:
                        raise _Damage("the checksum does not match")
                    crc = rolled
            except _Damage as damage:
                torn = self._judge(name, data, offset, damage.reason, is_last)
                break
            if kind == ENTRY:
                self._entry(name, data, view, body, body + span)
            elif kind == STATE:
                self.state = data[body : body + span]
                self.state_at = (name, body)
            elif kind != CRC:
                self._other(name, kind, data[body : body + span], body)
            offset = after
        if torn is None:
            torn = self._check_end(name, data, offset, is_last)
        self.crc = crc
        self.tail = Tail(name, offset, crc)
        self.torn = torn

    def _entry(self, name: str, data: bytes, view: memoryview, start: int, end: int) -> None:
        """Take an entry record; `data[start:end]` is raftpb.Entry."""
        kind, term, index, payload, end = _parse_entry(name, data, start, end)
        if not 0 < index <= MAX_INDEX:
            raise FormatError(f"an entry has the index {index}", source=name, offset=start)
        stretch = self.stretch
        digests = stretch.digests
        expected = stretch.first + len(digests)
        if index != expected:
            if not digests:
                stretch.first = index
            elif stretch.first < index < expected:
                stretch.cut(index)
            else:
                # A gap, or a rewrite of everything that was read; whether that is legitimate shows at the end.
                self.stretch = stretch = _Stretch(first=index)
                digests = stretch.digests
        if not stretch.runs or stretch.runs[-1][0] != term:
            if stretch.runs and term < stretch.runs[-1][0]:
                raise FormatError(
                    f"the entry {index} is of term {term}, the one before of {stretch.runs[-1][0]}",
                    source=name,
                    offset=start,
                )
            stretch.runs.append((term, index))
        digests.append(crc32c(view[payload:end], kind))
        if kind == ENTRY_NORMAL:
            first = data[payload] if payload < end else _EMPTY
            if first in _MAY_PUBLISH:
                change = _publication(data[payload:end], index, term, name, payload)
                if change is not None:
                    self._keep(change, name, payload)
            stretch.kinds.append(first)
        elif kind == ENTRY_CONF_CHANGE:
            if payload < end:  # an empty one changes nothing
                change = conf_change(data[payload:end], index=index, term=term, source=name, base=payload)
                self._keep(change, name, payload)
            stretch.kinds.append(_CONF_CHANGE)
        else:
            raise FormatError(f"an entry of type {kind} is not one that etcd writes", source=name, offset=payload)

    def _keep(self, change: Change, name: str, offset: int) -> None:
        self.change_count += 1
        if self.change_count > MAX_CHANGES:
            raise FormatError(f"more than {MAX_CHANGES} changes of membership", source=name, offset=offset)
        self.stretch.changes.append(change)

    def _other(self, name: str, kind: int, data: bytes, offset: int) -> None:
        if kind == METADATA:
            if self.metadata is not None and self.metadata != data:
                raise FormatError("the metadata differs from that of earlier records", source=name, offset=offset)
            self.metadata = data
        elif kind == SNAPSHOT:
            self._snapshot(name, data, offset)
        else:
            raise FormatError(f"a record of type {kind} is not one that etcd writes", source=name, offset=offset)

    def _snapshot(self, name: str, data: bytes, offset: int) -> None:
        found = protobuf.message(data, {1: VARINT, 2: VARINT, 3: BYTES}, source=name, base=offset)
        index, term = protobuf.number(found, 1), protobuf.number(found, 2)
        if index > MAX_INDEX:
            raise FormatError(f"a snapshot has the index {index}", source=name, offset=offset)
        state = conf_state(found[3].data, source=name, base=found[3].offset) if 3 in found else None
        self.records.append(SnapshotRecord(term, index, state))
        stretch = self.stretch
        if not index or not len(stretch.digests):
            return
        if stretch.first <= index < stretch.next:
            fits = stretch.term_at(index) == term
        elif index < stretch.first:
            fits = index + 1 < stretch.first or stretch.runs[0][0] >= term
        else:
            fits = False
        if not fits:
            # Received from a leader: raft drops its log for it.
            self.replaced.append((Position(term, index), stretch))
            self.stretch = _Stretch(first=index + 1)

    # -- damage

    def _judge(self, name: str, data: bytes, offset: int, reason: str, is_last: bool) -> Torn:
        """Tell a torn write, which etcd cuts off, from damage, which makes the log worthless (FormatError)."""
        size = len(data)
        (frame,) = _FRAME.unpack_from(data, offset)
        length = frame & _LENGTH
        start, end = offset + 8, offset + 8 + length
        after = end + ((frame >> 56) & 7) if frame < 0 else end
        damaged = FormatError(f"{reason}: the log is damaged", source=name, offset=offset)
        if not is_last:
            raise damaged
        if after <= size and not _has_zero_sector(data, start, after):
            raise damaged
        claimed = _claimed_length(data, start, min(after, size))
        if claimed is not None and claimed != length:
            raise FormatError(
                f"{reason}, and its length does not agree with its frame's: the log is damaged",
                source=name,
                offset=offset,
            )
        if after <= size:
            self._refuse_later_flush(name, data, offset, after, reason)
        return Torn(name, offset, reason, _last_nonzero(data, offset) - offset)

    def _check_end(self, name: str, data: bytes, offset: int, is_last: bool) -> Torn | None:
        """Look at what follows the last record: nothing, preallocated zeros, or the remains of a torn write."""
        size = len(data)
        if offset + 8 > size:
            if offset == size:
                return None
            if not is_last:
                raise FormatError("the segment ends within a frame", source=name, offset=offset)
            return Torn(name, offset, "a frame is cut off by the end of the file", size - offset)
        position = _first_nonzero(data, offset)
        if position == size:
            return None
        if not is_last:
            # etcd reads on in the next segment, whose first record would show that something was lost here.
            return None
        reason = "the end is followed by something else than zeros"
        self._refuse_later_flush(name, data, offset, position & ~7, reason)
        return Torn(name, offset, reason, _last_nonzero(data, offset) - offset)

    def _refuse_later_flush(self, name: str, data: bytes, offset: int, position: int, reason: str) -> None:
        later = _later_flush(data, position)
        if later is not None:
            raise FormatError(
                f"{reason}, but records of a later flush follow at {later}: the log is damaged",
                source=name,
                offset=offset,
            )

    # -- the end

    def finish(self, snaps: Sequence[tuple[str, bytes]], partial: bool) -> Log:
        """Put together what the records say."""
        name = self.names[0]
        if self.metadata is None:
            raise FormatError("there is no metadata record", source=name, offset=0)
        metadata = protobuf.message(self.metadata, {1: VARINT, 2: VARINT}, source=name)
        state = self._hard_state()
        self._undo_invalid_snapshots(state.commit)
        usable, snap, unusable = self._choose(snaps, state.commit)
        stretch = self.stretch
        base = usable or Position(0, 0)
        complete = stretch.first <= base.index + 1 and (usable is not None or _name(name)[1] == 0)
        if not complete and not partial:
            self._explain_gap(stretch, base, unusable, snaps)
        last = base
        if stretch.digests and stretch.next - 1 > base.index:
            last = Position(stretch.runs[-1][0], stretch.next - 1)
        if state.commit > last.index and (complete or stretch.digests):
            raise FormatError(
                f"commit is {state.commit}, but the log ends at {last.index}: it has lost entries",
                source=self.tail.segment,
                offset=self.tail.offset,
            )
        roster = snap.roster() if snap else self._roster_from_records(state.commit, complete)
        changes = (change for change in stretch.changes if change.index > base.index)
        at_commit, at_end, above = configurations(roster, changes, state.commit)
        return Log(
            node_id=protobuf.number(metadata, 1),
            cluster_id=protobuf.number(metadata, 2),
            hard_state=state,
            last=last,
            snapshot=base,
            snap_name=snap.name if snap else "",
            entries=stretch.frozen(),
            segments=tuple(self.names),
            tail=self.tail,
            torn=self.torn,
            configuration=at_commit,
            configuration_at_end=at_end,
            conf_changes_above_commit=above,
            above_commit=self._above_commit(state.commit, last.index),
            snapshot_records=tuple(self.records),
            unusable_snaps=unusable,
            complete=complete,
        )

    def _hard_state(self) -> HardState:
        source, base = self.state_at
        found = protobuf.message(self.state, {1: VARINT, 2: VARINT, 3: VARINT}, source=source, base=base)
        return HardState(protobuf.number(found, 1), protobuf.number(found, 2), protobuf.number(found, 3))

    def _undo_invalid_snapshots(self, commit: int) -> None:
        """Take back the snapshots that were received but never made it into the hard state: etcd ignores them."""
        while self.replaced and self.replaced[-1][0].index > commit:
            position, before = self.replaced.pop()
            if self.stretch.digests:
                raise FormatError(
                    f"entries follow a snapshot at {position.index}, but commit is only {commit}",
                    source=self.tail.segment,
                    offset=self.tail.offset,
                )
            self.stretch = before

    def _choose(
        self, snaps: Sequence[tuple[str, bytes]], commit: int
    ) -> tuple[Position | None, snap_format.Snap | None, tuple[tuple[str, str], ...]]:
        recorded = {(record.term, record.index) for record in self.records if record.index <= commit}
        unusable: list[tuple[str, str]] = []
        for name, data in sorted(snaps, key=lambda item: item[0], reverse=True):
            try:
                snap = snap_format.read_snap(name, data)
            except FormatError as error:
                unusable.append((name, error.reason))
                continue
            if (snap.term, snap.index) in recorded:
                return Position(snap.term, snap.index), snap, tuple(unusable)
            unusable.append((name, "the WAL has no record of it at or below commit"))
        return None, None, tuple(unusable)

    def _explain_gap(
        self,
        stretch: _Stretch,
        base: Position,
        unusable: tuple[tuple[str, str], ...],
        snaps: Sequence[tuple[str, bytes]],
    ) -> None:
        if unusable and base.index == 0:
            raise SnapshotUnusable(*unusable[0])
        known = f"the snapshot at {base.index}" if base.index else "any usable snapshot" if snaps else "the beginning"
        raise FormatError(
            f"the entries start at {stretch.first}, after {known}: the log has a gap", source=self.names[0]
        )

    def _roster_from_records(self, commit: int, complete: bool) -> Roster:
        """For a log without its snapshot: 3.5 keeps the voters in the WAL's snapshot records."""
        if complete:
            return Roster()
        valid = [record for record in self.records if record.index <= commit and record.conf_state is not None]
        if not valid or valid[-1].conf_state is None:
            return Roster()
        state = valid[-1].conf_state
        return Roster(voters=set(state.voters), learners=set(state.learners))

    def _above_commit(self, commit: int, last: int) -> dict[str, int]:
        first = max(commit + 1, self.stretch.first)
        if first > last:
            return {}
        kinds = Counter(self.stretch.kinds[first - self.stretch.first :])
        summary: Counter[str] = Counter()
        for kind, count in kinds.items():
            if kind == _EMPTY:
                summary["empty"] += count
            elif kind == _CONF_CHANGE:
                summary["conf-change"] += count
            else:
                summary[_KINDS.get(kind, "other")] += count
        return dict(sorted(summary.items()))


def _record(data: bytes, start: int, end: int, name: str) -> tuple[int, int, int, int]:
    """Parse a record the slow way: (type, crc, where its data starts, length of it). Raises _Damage."""
    try:
        found = protobuf.message(data[start:end], {1: VARINT, 2: VARINT, 3: BYTES}, source=name, base=start)
    except FormatError as error:
        raise _Damage(f"not a record: {error.reason}") from None
    body = found.get(3)
    return (
        protobuf.number(found, 1),
        protobuf.number(found, 2) & 0xFFFFFFFF,
        body.offset if body else end,
        len(body.data) if body else 0,
    )


def _parse_entry(name: str, data: bytes, start: int, end: int) -> tuple[int, int, int, int, int]:
    """Parse raftpb.Entry: (type, term, index, start and end of the payload in the file).

    Fast for what etcd writes, 08 type 10 term 18 index 22 length payload; anything else goes the slow way.
    """
    slow = True
    kind = term = index = 0
    payload = end
    if end - start >= 6 and data[start] == 0x08 and data[start + 1] < 0x80 and data[start + 2] == 0x10:
        kind = data[start + 1]
        term = data[start + 3]
        at = start + 4
        if term >= 0x80:
            term, at = read_varint(data, start + 3, end, source=name)
        if at + 1 < end and data[at] == 0x18:
            index, at = read_varint(data, at + 1, end, source=name)
            if at == end:
                slow = False
            elif data[at] == 0x22:
                size, payload = read_varint(data, at + 1, end, source=name)
                slow = payload + size != end
    return _slow_entry(data[start:end], name, start) if slow else (kind, term, index, payload, end)


def _slow_entry(data: bytes, name: str, base: int) -> tuple[int, int, int, int, int]:
    """Parse raftpb.Entry the slow way: (type, term, index, start and end of the payload in the file)."""
    found = protobuf.message(data, {1: VARINT, 2: VARINT, 3: VARINT, 4: BYTES}, source=name, base=base)
    payload = found.get(4)
    start = payload.offset if payload else base + len(data)
    end = start + len(payload.data) if payload else start
    kind, term, index = (protobuf.number(found, which) for which in (1, 2, 3))
    return kind, term, index, start, end


def _publication(data: bytes, index: int, term: int, name: str, base: int) -> Change | None:
    """Find a member's published name, or the cluster version, in an ordinary entry; None when it is neither.

    3.3 to 3.5 write a v2 request: a raw Request {1 id, 2 method, 3 path, 4 value} or, seldom, one in field 2 of
    InternalRaftRequest; 3.5 (version) and 3.6 (both) the fields 1300 and 1301 of InternalRaftRequest.
    """
    if data[0] == 0xA2:
        if not (b"\xa2\x51" in data or b"\xaa\x51" in data):
            return None
        found = protobuf.message(data, {1300: BYTES, 1301: BYTES}, source=name, base=base)
        if 1300 in found:
            version = protobuf.message(found[1300].data, {1: BYTES}, source=name, base=found[1300].offset)
            return ClusterVersion(index, term, protobuf.text(protobuf.content(version, 1), source=name, offset=base))
        return _member_attributes(found[1301], index, term, name) if 1301 in found else None
    if _MEMBERS_PREFIX not in data and _VERSION_PATH not in data:
        return None
    try:
        wrapped = {2: BYTES} if data[0] == 0x12 else {2: BYTES, 3: BYTES, 4: BYTES}
        found = protobuf.message(data, wrapped, source=name, base=base)
        if data[0] == 0x12:
            found = protobuf.message(found[2].data, {2: BYTES, 3: BYTES, 4: BYTES}, source=name, base=found[2].offset)
    except FormatError:
        return None
    method, path, value = (protobuf.content(found, which) for which in (2, 3, 4))
    if method != b"PUT":
        return None
    if path == _VERSION_PATH:
        return ClusterVersion(index, term, protobuf.text(value, source=name, offset=base))
    if not (path.startswith(_MEMBERS_PREFIX) and path.endswith(b"/attributes")):
        return None
    key = protobuf.text(path[len(_MEMBERS_PREFIX) : -len(b"/attributes")], source=name, offset=base)
    parsed = parse_json(value, source=name, offset=base)
    if not isinstance(parsed, dict):
        raise FormatError("a member's attributes are not an object", source=name, offset=base)
    member_id = parse_member_id(key, source=name, offset=base)
    member = member_from_json(parsed, member_id, source=name, offset=base)
    return Attributes(index, term, member.id, member.name, member.client_urls)


def _member_attributes(request: protobuf.Field, index: int, term: int, name: str) -> Attributes:
    """Parse membershippb.ClusterMemberAttrSetRequest {1 member id, 2 attributes {1 name, 2 client URLs}}."""
    outer = protobuf.message(request.data, {1: VARINT, 2: BYTES}, source=name, base=request.offset)
    published, urls = "", []
    base = outer[2].offset if 2 in outer else request.offset
    for item in protobuf.fields(protobuf.content(outer, 2), source=name, base=base):
        if item.wire == BYTES and item.number == 1:
            published = protobuf.text(item.data, source=name, offset=item.offset)
        elif item.wire == BYTES and item.number == 2:
            urls.append(protobuf.text(item.data, source=name, offset=item.offset))
    return Attributes(index, term, protobuf.number(outer, 1), published, tuple(urls))


# ---------------------------------------------------------------------------------------------------------------------
# Telling a torn write from damage


def _first_nonzero(data: bytes, offset: int) -> int:
    """Where the first byte that is not zero stands, from `offset` on; the size of `data` if there is none."""
    size = len(data)
    while offset < size:
        chunk = data[offset : offset + len(_ZEROS)]
        if chunk != _ZEROS[: len(chunk)]:
            return offset + len(chunk) - len(chunk.lstrip(b"\0"))
        offset += len(chunk)
    return size


def _last_nonzero(data: bytes, offset: int) -> int:
    """Where the last byte that is not zero ends, not before `offset`."""
    end = len(data)
    while end > offset:
        start = max(offset, end - len(_ZEROS))
        chunk = data[start:end]
        if chunk != _ZEROS[: len(chunk)]:
            return start + len(chunk.rstrip(b"\0"))
        end = start
    return offset


def _has_zero_sector(data: bytes, start: int, end: int) -> bool:
    """Whether one of the sectors that `data[start:end]` touches is all zeros within it (etcd's isTornEntry)."""
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if data[start:stop] == _ZEROS[: stop - start]:
            return True
        start = stop
    return False


def _claimed_length(data: bytes, start: int, end: int) -> int | None:
    """The record's length as its own head gives it; None when the head did not get to the disk.

    0 when the head is there and makes no sense.
    """
    head_end = min(end, start + 24)
    border = (start // SECTOR + 1) * SECTOR
    if head_end - start < 20 or _has_zero_sector(data, start, head_end):
        return None
    if border < head_end and data[border:head_end].count(0) == head_end - border:
        return None
    try:
        position = start
        for tag in (0x08, 0x10):
            if data[position] != tag:
                return 0
            _, position = read_varint(data, position + 1, head_end)
        if data[position] != 0x1A:
            return 0
        span, position = read_varint(data, position + 1, head_end)
    except FormatError:
        return 0
    return position + span - start


def _later_flush(data: bytes, position: int) -> int | None:
    """Find proof, from `position` on, that etcd flushed again afterwards: an entry written after a hard state.

    etcd writes the entries of one batch, then the hard state, then flushes (wal.Save); so an entry after a state
    belongs to a later batch, and everything before the state had reached the disk. A record counts when its checksum
    continues that of the record before it. Returns the entry's offset.
    """
    size = len(data)
    limit = min(size, position + _LOOK_AHEAD)
    view = memoryview(data)
    while position + 8 <= limit:
        found = _quick_record(data, position, size)
        if found is None:
            position += 8
            continue
        seen_state = False
        while found is not None:
            kind, crc, _, _, after = found
            seen_state = seen_state or kind == STATE
            following = _quick_record(data, after, size)
            if following is None:
                break
            next_kind, next_crc, body, span, _ = following
            if crc32c(view[body : body + span], crc) != next_crc:
                break
            if next_kind == ENTRY and seen_state:
                return after
            found = following
        position = max(position + 8, found[4] if found is not None else 0)
    return None


def _quick_record(data: bytes, offset: int, size: int) -> tuple[int, int, int, int, int] | None:
    """Parse what may be a record: (type, crc, start and length of its data, offset after it); None when it is not."""
    if offset + 8 > size:
        return None
    (frame,) = _FRAME.unpack_from(data, offset)
    length = frame & _LENGTH
    start = offset + 8
    after = start + length + (((frame >> 56) & 7) if frame < 0 else 0)
    if length < 4 or after > size or after % 8 or data[start] != 0x08:
        return None
    try:
        kind, crc, body, span = _record(data, start, start + length, "")
    except _Damage:
        return None
    return (kind, crc, body, span, after) if kind in (METADATA, ENTRY, STATE, SNAPSHOT) else None


# ---------------------------------------------------------------------------------------------------------------------
# Comparing logs


@dataclass(frozen=True)
class Fork:
    """Two logs contradict each other at `index`: they cannot be of one history. `reason` says how."""

    index: int
    reason: str


@dataclass(frozen=True)
class Agreement:
    """What two logs have in common.

    `first` to `last` are the indexes that both hold and in which they are equal; `last` < `first` when there are none.
    `differ_from` is the first index with different terms, where one of the two holds entries that were never decided;
    None when there is no such index. `fork` is the contradiction, if there is one.
    """

    first: int
    last: int
    differ_from: int | None
    fork: Fork | None


def compare_logs(one: Log, other: Log) -> Agreement:
    """Compare two members' logs over the entries that both hold.

    raft promises that entries of equal index and term are equal, and that decided entries are. A breach of either is a
    fork: an earlier reset, a restored disk, a foreign data directory.
    """
    first = max(one.entries.first, other.entries.first)
    last = min(one.entries.last, other.entries.last)
    decided = min(one.commit, other.commit)
    for mine, theirs in ((one, other), (other, one)):
        known = theirs.term_at(mine.snapshot.index) if mine.snapshot.index else None
        if known is not None and known != mine.snapshot.term and mine.snapshot.index <= decided:
            reason = f"a snapshot of term {mine.snapshot.term} against an entry of term {known}"
            return Agreement(first, first - 1, mine.snapshot.index, Fork(mine.snapshot.index, reason))
    differ = _first_term_difference(one.entries, other.entries, first, last)
    equal_to = last if differ is None else differ - 1
    count = equal_to - first + 1
    if count > 0:
        left = one.entries.digests[first - one.entries.first :][:count]
        right = other.entries.digests[first - other.entries.first :][:count]
        if left != right:
            index = first + next(at for at in range(count) if left[at] != right[at])
            return Agreement(first, index - 1, differ, Fork(index, "equal term and index, different content"))
    if differ is not None and differ <= decided:
        terms = f"terms {one.entries.term_at(differ)} and {other.entries.term_at(differ)}"
        return Agreement(first, equal_to, differ, Fork(differ, f"decided on both, with {terms}"))
    return Agreement(first, equal_to, differ, None)


def _first_term_difference(one: Entries, other: Entries, first: int, last: int) -> int | None:
    index = first
    while index <= last:
        if one.term_at(index) != other.term_at(index):
            return index
        ends = [run.last for entries in (one, other) for run in entries.terms if run.first <= index <= run.last]
        index = min(ends) + 1
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Raising the commit


def raise_commit(log: Log) -> Append | None:
    """Build the record that makes `--force-new-cluster` keep the whole log: {term, vote, commit = last index}.

    The reset cuts the log at the commit on disk, which lags behind what was acknowledged. Term and vote stay as they
    are on disk; only when a torn write left a last entry of a newer term than the hard state's, that term is taken,
    with no vote. None when commit already is the last index.
    """
    state = log.hard_state
    if state.commit >= log.last.index:
        return None
    if log.last.term > state.term:
        raised = HardState(log.last.term, 0, log.last.index)
    else:
        raised = HardState(state.term, state.vote, log.last.index)
    body = b"".join(
        bytes([tag]) + write_varint(value)
        for tag, value in ((0x08, raised.term), (0x10, raised.vote), (0x18, raised.commit))
    )
    data = frame_record(STATE, body, crc32c(body, log.tail.crc))
    return Append(log.tail.segment, log.tail.offset, data, log.torn is not None, raised)


def frame_record(kind: int, data: bytes, crc: int) -> bytes:
    """Frame one record as etcd's encoder does (server/wal/encoder.go): length, record, padding to 8 bytes."""
    record = b"\x08" + write_varint(kind) + b"\x10" + write_varint(crc) + b"\x1a" + write_varint(len(data)) + data
    padding = -len(record) % 8
    length = len(record) | ((0x80 | padding) << 56 if padding else 0)
    return length.to_bytes(8, "little") + record + bytes(padding)
