"""What is said of a member's log: positions, terms, membership, the end of it; and how two logs compare.

The values that `wal.read_log` returns. Names are etcd's own; indexes, terms and ids are plain whole numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetrecover.etcd.membership import ConfChange, Configuration, ConfState, hex_id


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
    - `voters_before`: the voters before the last change of them that the entries tell of; None when they tell of none.
      The entries with which a cluster is bootstrapped do not count: every member has applied them from the start.
    - `writes`: how many of the entries that were read are of clients: neither empty, nor a change of membership, nor the
      name or version that etcd itself publishes. None where nobody has counted.
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
    writes: int | None = None
    voters_before: frozenset[int] | None = None

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
    fork: an earlier reset, a restored disk, a foreign data directory. Logs of different cluster ids are a fork too.
    """
    first = max(one.entries.first, other.entries.first)
    last = min(one.entries.last, other.entries.last)
    decided = min(one.commit, other.commit)
    if one.cluster_id != other.cluster_id:
        reason = f"cluster ids {hex_id(one.cluster_id)} and {hex_id(other.cluster_id)}"
        return Agreement(first, first - 1, None, Fork(first, reason))
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
