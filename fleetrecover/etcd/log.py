"""What is said of a member's log: positions, terms, membership, the end of it; and how two logs compare.

The values that `wal.read_log` returns. Names are etcd's own; indexes, terms and ids are plain whole numbers.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetrecover.etcd.membership import ConfChange, Configuration, ConfState, VoterChange, hex_id


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
    - `voter_changes`: the changes of the voters that the entries tell of, oldest first, those behind the snapshot too.
      The entries with which a cluster is bootstrapped do not count: every member has applied them from the start.
    - `voters_before`: the voters before the last of them; None when the entries tell of none.
    - `removed_at`: for ids in `removed`, the index by which they had been, as far as it is known.
    - `writes`: how many of the entries that were read are of clients: neither empty, nor a change of membership, nor the
      name or version that etcd itself publishes. None where nobody has counted.
    - `by_record`: the base is a snapshot record of the WAL, and no .snap file goes with it: only 3.7 and later start so. It
      tells the ids of voters and learners; `stores.named` takes the names from the database. Who was removed is not known.
    - `grafted`: the first index at which a term begins with an entry of a client, 0 for none. A leader opens its term with
      an empty entry, before all others (raft.becomeLeader), and a forced reset with changes of membership: so the entry that
      was before it when it was written is not the one that is there now.
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
    voter_changes: tuple[VoterChange, ...] = ()
    removed_at: Mapping[int, int] = field(default_factory=dict)
    grafted: int = 0
    by_record: bool = False

    @property
    def terms(self) -> tuple[TermRun, ...]:
        """The runs of terms in `entries`."""
        return self.entries.terms

    @property
    def from_the_beginning(self) -> bool:
        """Whether nothing but the first members is behind the entries: no snapshot, or one of no more than those."""
        first = len(self.configuration_at_end.members) + len(self.configuration_at_end.removed)
        return self.snapshot.index <= first and self.entries.first <= self.snapshot.index + 1

    @property
    def expelled(self) -> frozenset[int]:
        """The voters that a reset has removed without a vote, as far as the entries tell: `--force-new-cluster`, or a reseed."""
        return frozenset(change.member_id for change in self.voter_changes if change.forced)

    @property
    def commit(self) -> int:
        """The commit index on disk."""
        return self.hard_state.commit

    def term_at(self, index: int) -> int | None:
        """The term at an index, the snapshot's included; None when it is not known."""
        return self.snapshot.term if index == self.snapshot.index else self.entries.term_at(index)

    @property
    def first_known(self) -> Position:
        """The earliest place whose term is known; the log's end where nothing is."""
        first, snapshot = self.entries.first, self.snapshot
        if len(self.entries) and (not snapshot.index or first <= snapshot.index):
            return Position(self.entries.terms[0].term, first)
        return snapshot

    @property
    def changes_known_from(self) -> int:
        """Changes of the voters at this index and above are told by the entries; 1 when all are."""
        first = self.entries.first if len(self.entries) else self.snapshot.index + 1
        return min(first, self.snapshot.index + 1)

    def changes_between(self, after: int, upto: int) -> tuple[VoterChange, ...]:
        """The changes of the voters at the indexes after `after` up to and including `upto`, oldest first."""
        low, high = (bisect_right(self.voter_changes, at, key=lambda change: change.index) for at in (after, upto))
        return self.voter_changes[low:high]

    def voters_at(self, index: int) -> frozenset[int]:
        """The voters once the entries up to `index` are applied, which must not be below `changes_known_from` - 1."""
        voters = set(self.configuration.voters)
        for change in reversed(self.changes_between(index, self.commit)):
            if change.certain:
                (voters.discard if change.joined else voters.add)(change.member_id)
        for change in self.changes_between(self.commit, index):
            (voters.add if change.joined else voters.discard)(change.member_id)
        return frozenset(voters)

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
    """Compare two members' logs over the entries that both hold, and over what each knows to be decided.

    raft promises that entries of equal index and term are equal, and all before them; that decided entries are; that the
    terms of decided entries never fall; that every leader of a later term holds what was decided in an earlier one; and
    etcd, that an id that was removed never comes back. A breach of any is a fork: an earlier reset, a restored disk, a
    foreign data directory. So are logs of different cluster ids.
    """
    first = max(one.entries.first, other.entries.first)
    last = min(one.entries.last, other.entries.last)
    if one.cluster_id != other.cluster_id:
        reason = f"cluster ids {hex_id(one.cluster_id)} and {hex_id(other.cluster_id)}"
        return Agreement(first, first - 1, None, Fork(first, reason))
    differ, again = _term_differences(one.entries, other.entries, first, last)
    equal_to = last if differ is None else differ - 1
    content = _content_fork(one, other, first, equal_to)
    fork = _snapshot_fork(one, other) or content or _decided_fork(one, other, differ)
    if again is not None and fork is None:
        fork = Fork(again, f"of one term, but the entries at {differ} are not: no leader writes such logs")
    for mine, theirs in ((one, other), (other, one)):
        fork = fork or _fallen_term(mine, theirs) or _leader_without(mine, theirs) or _came_back(mine, theirs)
        fork = fork or _stranger(mine, theirs)
    if content is not None:
        equal_to = content.index - 1
    return Agreement(first, equal_to, differ, fork)


def _snapshot_fork(one: Log, other: Log) -> Fork | None:
    """A snapshot stands for decided entries: another term at its place, decided as well, is another history."""
    decided = min(one.commit, other.commit)
    for mine, theirs in ((one, other), (other, one)):
        place = mine.snapshot
        known = theirs.term_at(place.index) if place.index else None
        if known is not None and known != place.term and place.index <= decided:
            return Fork(place.index, f"a snapshot of term {place.term} against an entry of term {known}")
    return None


def _content_fork(one: Log, other: Log, first: int, last: int) -> Fork | None:
    count = last - first + 1
    if count <= 0:
        return None
    left = one.entries.digests[first - one.entries.first :][:count]
    right = other.entries.digests[first - other.entries.first :][:count]
    if left == right:
        return None
    index = first + next(at for at in range(count) if left[at] != right[at])
    return Fork(index, "equal term and index, different content")


def _decided_fork(one: Log, other: Log, differ: int | None) -> Fork | None:
    if differ is None or differ > min(one.commit, other.commit):
        return None
    return Fork(
        differ, f"decided on both, with terms {one.entries.term_at(differ)} and {other.entries.term_at(differ)}"
    )


def _fallen_term(mine: Log, theirs: Log) -> Fork | None:
    """Decided entries of later places are of no earlier term, whether the two logs have a place in common or not."""
    known, begin = mine.term_at(mine.commit), theirs.first_known
    if known is None or not mine.commit < begin.index <= theirs.commit or begin.term >= known:
        return None
    reason = f"decided in term {known}, and entry {begin.index} after it in term {begin.term}: terms never fall"
    return Fork(mine.commit, reason)


def _leader_without(mine: Log, theirs: Log) -> Fork | None:
    """A leader of a later term than that in which an entry was known to be decided must have had the entry."""
    decided, term = mine.commit, mine.hard_state.term
    later = next((run for run in theirs.terms if run.term > term), None)
    if later is None or not decided:
        return None
    known, own = mine.term_at(decided), theirs.term_at(decided)
    if later.first > decided and (own is None or known is None or own == known):
        return None
    reason = f"decided by term {term}, and a leader of term {later.term} began at {later.first} without it"
    return Fork(decided, reason)


def _came_back(mine: Log, theirs: Log) -> Fork | None:
    """A removed id never comes back: a log that is decided beyond the removal, or holds it, knows of it."""
    there = theirs.configuration.voters | theirs.configuration.learners
    gone = mine.configuration.removed & there
    if not gone:
        return None
    end = min(theirs.last.index, mine.commit)
    holds = end >= theirs.commit and theirs.term_at(end) == mine.term_at(end) is not None
    voters = theirs.voters_at(end) if holds else frozenset()
    for member_id in sorted(gone):
        index = mine.removed_at.get(member_id, mine.commit)
        if index <= theirs.commit or (index <= end and member_id in voters):
            return Fork(
                index, f"member {hex_id(member_id)} was removed by one, and is a member in the other ever since"
            )
    return None


def _stranger(mine: Log, theirs: Log) -> Fork | None:
    """Who ever was a member stays known, as a member or as removed: a log that is decided further has heard of all."""
    if not (mine.complete and theirs.complete) or mine.commit < theirs.commit:
        return None
    known, there = mine.configuration, theirs.configuration
    heard_of = {member.id for member in known.members} | known.removed
    strange = ({member.id for member in there.members} | there.removed) - heard_of
    if not strange:
        return None
    told = ", ".join(hex_id(member_id) for member_id in sorted(strange))
    return Fork(
        theirs.commit, f"one knows of {told} by then, of which the other has never heard, though it is decided further"
    )


def _term_differences(one: Entries, other: Entries, first: int, last: int) -> tuple[int | None, int | None]:
    """The first index with different terms, and the first with equal ones after it.

    Walks both logs' runs side by side: no run is looked at twice, however many a node has sent.
    """
    if last < first:
        return None, None
    left, right = (bisect_right(entries.terms, first, key=lambda run: run.first) - 1 for entries in (one, other))
    differ: int | None = None
    while True:
        mine, theirs = one.terms[left], other.terms[right]
        index = max(first, mine.first, theirs.first)
        if mine.term != theirs.term and differ is None:
            differ = index
        elif mine.term == theirs.term and differ is not None:
            return differ, index
        end = min(mine.last, theirs.last)
        if end >= last:
            return differ, None
        left += mine.last == end
        right += theirs.last == end
