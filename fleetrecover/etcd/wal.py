"""etcd's write-ahead log: what is in it, how far it reaches, and the one record that raises its commit.

Format (server/wal of v3.5.16; the same in v3.3.25, v3.4.23 and server/storage/wal of v3.6.0):

- Segments are named `%016x-%016x.wal`, sequence number and the index expected next; 64 MB, preallocated with zeros.
- A frame is an int64, little endian, whose low 56 bits are the record's length; when it is negative, bits 56 to 58
  count the zero bytes that pad the record to 8. A frame of 0, or the end of the file, ends the segment.
- A record is {1 type, 2 crc, 3 data}. Types: 1 metadata {1 node id, 2 cluster id}, 2 entry {1 type, 2 term, 3 index,
  4 data}, 3 state {1 term, 2 vote, 3 commit}, 4 crc, 5 snapshot {1 index, 2 term, 3 conf state (3.5 on)}.
- The crc is CRC-32C rolled over the data of all records so far; a segment opens with a crc record that carries it on.
- An entry with an index that was there before replaces it and everything after it.

A *torn* tail of the last segment, which etcd repairs by itself, is not held against the log: what it held was never
flushed. Anything else that does not check out is damage: etcd would not start on this log, and it proves nothing. See
`frames.judge` for the difference.
"""

from __future__ import annotations

import re
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
from fleetrecover.etcd.entries import (
    EMPTY,
    ENTRY_CONF_CHANGE,
    ENTRY_NORMAL,
    IS_CONF_CHANGE,
    MAY_PUBLISH,
    MAY_READ,
    READ,
    is_read,
    kind_name,
    kind_of,
    parse_entry,
    publication,
)
from fleetrecover.etcd.frames import (
    CRC,
    ENTRY,
    FRAME,
    METADATA,
    SNAPSHOT,
    STATE,
    Damage,
    check_end,
    frame_record,
    judge,
    parse_record,
    span_of,
)
from fleetrecover.etcd.log import (
    Agreement,
    Append,
    Broken,
    Entries,
    Fork,
    HardState,
    Log,
    Position,
    SnapshotRecord,
    Tail,
    TermRun,
    Torn,
    compare_logs,
)
from fleetrecover.etcd.membership import (
    Change,
    ConfChange,
    Member,
    Roster,
    changes_behind,
    conf_change,
    conf_state,
    configurations,
    removals_behind,
)
from fleetrecover.etcd.protobuf import BYTES, VARINT, write_varint

__all__ = [
    "Agreement",
    "Append",
    "Broken",
    "Entries",
    "Fork",
    "HardState",
    "Log",
    "Needed",
    "NoSnapshot",
    "Position",
    "SnapshotRecord",
    "SnapshotUnusable",
    "Tail",
    "TermRun",
    "Torn",
    "compare_logs",
    "load_log",
    "needed_files",
    "parse_name",
    "raise_commit",
    "read_log",
    "try_read_log",
]

# Membership changes and publications kept from one log; etcd takes a snapshot every 10,000 to 100,000 entries.
MAX_CHANGES = 200_000
MAX_SNAPSHOTS = 100_000
MAX_INDEX = (1 << 63) - 1

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


class SnapshotUnusable(FormatError):
    """The `.snap` file that was to be used cannot be; call `needed_files` again with it among `unusable`."""

    def __init__(self, snap: str, reason: str) -> None:
        super().__init__(reason, source=snap)
        self.snap = snap


class NoSnapshot(FormatError):
    """The first segments are gone and no `.snap` file stands for them: up to 3.6 etcd does not start on this."""


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
        raise NoSnapshot(f"the first segment starts after {what}", source=segments[0])
    picked = _contiguous(segments[start:])
    size = sum(wal[name] for name in picked) + (snaps[chosen] if chosen else 0)
    return Needed(tuple(picked), chosen, size)


def _contiguous(picked: Sequence[str]) -> Sequence[str]:
    for before, after in pairwise(picked):
        if _name(after)[0] != _name(before)[0] + 1:
            raise FormatError(f"the segment between {before} and {after} is missing", source="wal")
    return picked


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

    `wal` and `snaps` are as in `needed_files`; `fetch` returns (segments, snaps), each as (name, content). Where no .snap
    will do, the newest snapshot record is the base, as for etcd 3.7: `Log.by_record`.
    Raises FormatError when the log proves nothing.
    """
    unusable: dict[str, str] = {}
    while True:
        try:
            needed = needed_files(wal, snaps, unusable)
        except NoSnapshot as error:
            return _by_record(wal, fetch, error)
        segments, contents = fetch(needed)
        try:
            return read_log(segments, contents)
        except SnapshotUnusable as error:
            if error.snap in unusable or error.snap not in snaps:
                raise
            unusable[error.snap] = error.reason


def _by_record(
    wal: Mapping[str, int],
    fetch: Callable[[Needed], tuple[Iterable[tuple[str, bytes]], Iterable[tuple[str, bytes]]]],
    why: NoSnapshot,
) -> Log:
    """Read all the segments that there are; raises `why` where no snapshot record in them is a base either."""
    names = tuple(_contiguous(sorted(name for name in wal if parse_name(name))))
    segments, _ = fetch(Needed(names, None, sum(wal[name] for name in names)))
    log = read_log(segments, by_record=True)
    if not log.by_record:
        raise why
    return log


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
    segments: Iterable[tuple[str, bytes]],
    snaps: Iterable[tuple[str, bytes]] = (),
    *,
    partial: bool = False,
    by_record: bool = False,
) -> Log:
    """Read a member's log from its segments, oldest first, and its .snap files, each as (name, content).

    One segment at a time is held when `segments` is a generator. Of the snapshots the newest is used that etcd would
    use: undamaged, with a record of the same term and index in the WAL, and not above commit. With `partial`, the
    beginning may be missing: for looking at a single segment. With `by_record`, the newest snapshot record at or below
    commit stands for a beginning that is missing; it tells ids alone.

    Raises SnapshotUnusable when the log cannot be understood without a snapshot and none of `snaps` will do, and
    FormatError when the log is damaged: in both cases with the file and offset.
    """
    reader = _Reader()
    for name, data, is_last in _with_last(segments):
        reader.segment(name, data, is_last)
    return reader.finish(list(snaps), partial or by_record, by_record)


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

    def grafted(self, base: Position) -> int:
        """The first index at which a term begins with what is neither a leader's first entry nor a change of membership."""
        at_once = self.first == base.index + 1 and base.index > 0 and bool(self.runs) and self.runs[0][0] > base.term
        heads = [index for _, index in self.runs[0 if at_once else 1 :]]
        return next((index for index in heads if self.kinds[index - self.first] not in (EMPTY, IS_CONF_CHANGE)), 0)

    def frozen(self) -> Entries:
        ends = [run[1] - 1 for run in self.runs[1:]] + [self.next - 1]
        runs = tuple(TermRun(term, first, last) for (term, first), last in zip(self.runs, ends, strict=False))
        return Entries(self.first, runs, self.digests)


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

    def segment(self, name: str, data: bytes, is_last: bool) -> None:
        """Read one segment. This, and what it calls for each record, decides about the speed of reading."""
        sequence, _ = _name(name)
        if self.names and sequence != _name(self.names[-1])[0] + 1:
            raise FormatError(f"does not follow {self.names[-1]}", source=name)
        self.names.append(name)
        view = memoryview(data)
        size = len(data)
        crc = self.crc
        offset = 0
        unpack = FRAME.unpack_from
        torn: Torn | None = None
        while offset + 8 <= size:
            (frame,) = unpack(data, offset)
            if frame == 0:
                break
            start, end, after = span_of(frame, offset)
            length = end - start
            try:
                if after & 7:
                    # etcd pads every record since 3.0; one that is not would end the log unnoticed, or garble it.
                    raise FormatError("a frame is not aligned: the log is damaged", source=name, offset=offset)
                if after > size:
                    raise Damage(f"a record of {length} bytes runs over the end of the file")
                kind, stored, body, span = parse_record(data, start, end, name)
                if kind == CRC:
                    if crc and crc != stored:
                        raise FormatError(
                            f"the checksum carried over is {stored:08x}, not {crc:08x}", source=name, offset=offset
                        )
                    crc = stored
                else:
                    rolled = crc32c(view[body : body + span], crc)
                    if rolled != stored:
                        raise Damage("the checksum does not match")
                    crc = rolled
            except Damage as damage:
                torn = judge(name, data, offset, damage.reason, is_last)
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
            torn = check_end(name, data, offset, is_last)
        self.crc = crc
        self.tail = Tail(name, offset, crc)
        self.torn = torn

    def _entry(self, name: str, data: bytes, view: memoryview, start: int, end: int) -> None:
        """Take an entry record; `data[start:end]` is raftpb.Entry."""
        kind, term, index, payload, end = parse_entry(name, data, start, end)
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
            if payload < end:
                first = data[payload]
                if first in MAY_PUBLISH:
                    change = publication(data[payload:end], index, term, source=name, base=payload)
                    if change is not None:
                        self._keep(change, name, payload)
                reads = first in MAY_READ and is_read(data[payload : payload + 32])
                stretch.kinds.append(READ if reads else kind_of(first))
            else:
                stretch.kinds.append(EMPTY)
        elif kind == ENTRY_CONF_CHANGE:
            if payload < end:  # an empty one changes nothing
                change = conf_change(data[payload:end], index=index, term=term, source=name, base=payload)
                self._keep(change, name, payload)
            stretch.kinds.append(IS_CONF_CHANGE)
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
        if len(self.records) >= MAX_SNAPSHOTS:
            raise FormatError(f"more than {MAX_SNAPSHOTS} snapshots", source=name, offset=offset)
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

    # -- the end

    def finish(self, snaps: Sequence[tuple[str, bytes]], partial: bool, by_record: bool = False) -> Log:
        """Put together what the records say."""
        name = self.names[0]
        if self.metadata is None:
            raise FormatError("there is no metadata record", source=name, offset=0)
        metadata = protobuf.message(self.metadata, {1: VARINT, 2: VARINT}, source=name)
        state = self._hard_state()
        self._undo_invalid_snapshots(state.commit)
        usable, snap, unusable = self._choose(snaps, state.commit)
        stretch = self.stretch
        record = self._record_base(state.commit) if by_record else None
        base = usable or (Position(record.term, record.index) if record else Position(0, 0))
        complete = stretch.first <= base.index + 1 and (usable is not None or _name(name)[1] == 0)
        if not complete and not partial:
            self._explain_gap(stretch, base, unusable, snaps)
        last = base
        if stretch.digests and stretch.next - 1 > base.index:
            last = Position(stretch.runs[-1][0], stretch.next - 1)
        if state.commit > last.index and (complete or record or stretch.digests):
            raise FormatError(
                f"commit is {state.commit}, but the log ends at {last.index}: it has lost entries",
                source=self.tail.segment,
                offset=self.tail.offset,
            )
        roster = snap.roster() if snap else self._roster_from_records(state.commit, complete, base)
        behind = bisect_right(stretch.changes, base.index, key=lambda change: change.index)
        hidden = changes_behind(roster.voters, stretch.changes[:behind])
        roster.removed_at = removals_behind(roster, stretch.changes[:behind])
        at_commit, at_end, above = configurations(roster, stretch.changes[behind:], state.commit)
        voter_changes = (*hidden, *roster.voter_changes)
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
            writes=self._writes(),
            voters_before=at_end.voters ^ {voter_changes[-1].member_id} if voter_changes else None,
            voter_changes=voter_changes,
            removed_at=roster.removed_at,
            grafted=stretch.grafted(base),
            by_record=record is not None,
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

    def _record_base(self, commit: int) -> SnapshotRecord | None:
        """The newest snapshot record at or below commit, with the voters, behind which no entry is missing."""
        valid = [record for record in self.records if 0 < record.index <= commit and record.conf_state is not None]
        first = self.stretch.first if self.stretch.digests else 0
        return valid[-1] if valid and first <= valid[-1].index + 1 else None

    def _roster_from_records(self, commit: int, complete: bool, base: Position) -> Roster:
        """For a log without its snapshot: 3.5 keeps the voters in the WAL's snapshot records, without their names."""
        if complete:
            return Roster()
        valid = [record for record in self.records if record.index <= commit and record.conf_state is not None]
        if not valid or valid[-1].conf_state is None:
            return Roster()
        state = valid[-1].conf_state
        if not base.index:
            return Roster(voters=set(state.voters), learners=set(state.learners))
        members = {each: Member(each, learner=each in state.learners) for each in (*state.voters, *state.learners)}
        return Roster(members, set(state.voters), set(state.learners), base=base.index)

    def _writes(self) -> int:
        """How many entries are of clients: not etcd's own, of which the changes that are no conf changes tell a part."""
        own = Counter(self.stretch.kinds)
        published = sum(not isinstance(change, ConfChange) for change in self.stretch.changes)
        return len(self.stretch.kinds) - own[EMPTY] - own[IS_CONF_CHANGE] - own[READ] - published

    def _above_commit(self, commit: int, last: int) -> dict[str, int]:
        first = max(commit + 1, self.stretch.first)
        if first > last:
            return {}
        summary: Counter[str] = Counter()
        for kind, count in Counter(self.stretch.kinds[first - self.stretch.first :]).items():
            summary[kind_name(kind)] += count
        return dict(sorted(summary.items()))


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
