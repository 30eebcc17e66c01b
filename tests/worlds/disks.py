"""What lies on a member's disk, as a value: the whole history of its log, and what its files would tell of it.

A disk remembers more than its files: `entries` begin at index 1 even where the log was compacted, so that the oracle knows
what the data has. The readers only ever get what etcd would have written: real WAL and `.snap` bytes go through
`fleetrecover.etcd.wal.read_log`, so the logs here have every field that those of a real node have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.membership import Member
from fleetrecover.etcd.wal import Log, read_log
from tests.etcd.writers import WalWriter, bytes_field, conf_change, put, v2store, varint_field

WRITE, EMPTY, ADD, LEARNER, PROMOTE, REMOVE, UPDATE, PUBLISH = (
    *("write", "empty", "add", "learner", "promote", "remove", "update", "publish"),
)
DETOUR = 1000
"""Added to the number of a host: its address, spelled in another way, as an exchange of two URLs needs for a moment."""
FORCED = -1
"""In the place of a host's number: a removal that was not asked for, as a forced reset writes it."""
_CHANGES = frozenset({ADD, LEARNER, PROMOTE, REMOVE, UPDATE, PUBLISH})
_IN_RAFT = frozenset({ADD, LEARNER, PROMOTE, REMOVE, UPDATE})


class Entry(NamedTuple):
    """One entry of a log. `value` is the number of a write or a member's id, `host` the number of the member's host."""

    term: int
    kind: str
    value: int = 0
    host: int = 0


@dataclass(frozen=True)
class Roster:
    """Who is a member: id → number of the host that its peer URL names, and whether it has published its name."""

    voters: frozenset[int]
    learners: frozenset[int]
    removed: frozenset[int]
    hosts: dict[int, int]
    urls: dict[int, str]
    named: frozenset[int]


@dataclass(frozen=True)
class Disk:
    """A data directory. `first` is the first index that the WAL still has, `snapshot` the newest `.snap` (0: none).

    `applied` is the database's consistent index; `sound` is False for a log that etcd would not start on.
    """

    cluster: int
    member: int
    entries: tuple[Entry, ...]
    term: int = 0
    vote: int = 0
    commit: int = 0
    snapshot: int = 0
    first: int = 1
    applied: int = 0
    sound: bool = True

    @property
    def last(self) -> tuple[int, int]:
        """Term and index of the last entry."""
        return (self.entries[-1].term, len(self.entries)) if self.entries else (0, 0)

    @cached_property
    def writes(self) -> frozenset[int]:
        """The writes that the whole log has."""
        return frozenset(entry.value for entry in self.entries if entry.kind == WRITE)

    @cached_property
    def revision(self) -> int:
        """What the database would answer."""
        return 1 + sum(1 for entry in self.entries[: self.applied] if entry.kind == WRITE)

    def roster(self, index: int | None = None) -> Roster:
        """The membership at an index, at the end of the log without one."""
        known = self._rosters
        found = known.get(index)
        if found is None:
            found = known[index] = _roster(self.changes(index))
        return found

    def changes(self, index: int | None = None) -> tuple[Entry, ...]:
        """The entries up to an index that change the membership."""
        entries = self.entries if index is None else self.entries[:index]
        return tuple([entry for entry in entries if entry.kind in _CHANGES])

    @cached_property
    def _rosters(self) -> dict[int | None, Roster]:
        return {}

    @cached_property
    def log(self) -> Log:
        """What the reader makes of its files."""
        return log_of(self)

    @cached_property
    def db(self) -> DbFacts:
        """What the reader makes of its database."""
        return db_of(self)


def roster(entries: Iterable[Entry]) -> Roster:
    """The membership after these entries, as raft counts it."""
    return _roster(tuple(entries))


@lru_cache(maxsize=50000)
def _roster(entries: tuple[Entry, ...]) -> Roster:
    voters: set[int] = set()
    learners: set[int] = set()
    removed: set[int] = set()
    named: set[int] = set()
    hosts: dict[int, int] = {}
    urls: dict[int, str] = {}
    for entry in entries:
        kind, member = entry.kind, entry.value
        if kind not in _CHANGES or member in removed:
            continue
        if kind == PUBLISH:
            named.add(member)
        elif kind == REMOVE:
            voters.discard(member)
            learners.discard(member)
            hosts.pop(member, None)
            removed.add(member)
        elif kind == UPDATE:
            hosts[member], urls[member] = entry.host % DETOUR, peer_url(entry.host)
        elif kind == PROMOTE:
            learners.discard(member)
            voters.add(member)
        else:
            (learners if kind == LEARNER else voters).add(member)
            hosts[member], urls[member] = entry.host, peer_url(entry.host)
            if entry.term == 1:
                named.add(member)
    return Roster(frozenset(voters), frozenset(learners), frozenset(removed), hosts, urls, frozenset(named))


def common(one: Sequence[Entry], other: Sequence[Entry]) -> int:
    """How many entries two logs have in common from the beginning."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    return next(at for at in range(size) if one[at] != other[at])


# --- as files ---------------------------------------------------------------------------------------------------------


def member_name(host: int) -> str:
    """etcd's name of the member on that host."""
    return f"etcd-n{host}"


def peer_url(host: int) -> str:
    """The peer URL of the member on that host; above DETOUR another spelling of the same address."""
    return f"https://10.0.0.{host % DETOUR}:{'0' * (host >= DETOUR)}2380"


@cache
def payload(kind: str, value: int, host: int, bootstrap: bool) -> bytes:
    """What an entry carries, as etcd spells it."""
    about = {"peerURLs": [peer_url(host)]}
    match kind:
        case "write":
            return put(f"k{value}")
        case "add":
            return conf_change(0, value, about | ({"name": member_name(host)} if bootstrap else {}))
        case "learner":
            return conf_change(3, value, about | {"isLearner": True})
        case "promote":
            return conf_change(0, value, about | {"isPromote": True})
        case "remove":
            return conf_change(1, value, request=0 if host == FORCED else 1)
        case "update":
            return conf_change(2, value, about)
        case "publish":
            told = json.dumps({"name": member_name(host), "clientURLs": [f"https://10.0.0.{host}:2379"]}).encode()
            path = f"/0/members/{value:x}/attributes".encode()
            return varint_field(1, 7) + bytes_field(2, b"PUT") + bytes_field(3, path) + bytes_field(4, told)
        case _:
            return b""


@lru_cache(maxsize=20000)
def log_of(disk: Disk) -> Log:
    """What the reader makes of its files."""
    return read_log(_segment(disk), [_snap(disk)] if disk.snapshot else [])


def _segment(disk: Disk) -> list[tuple[str, bytes]]:
    writer = WalWriter(node_id=disk.member, cluster_id=disk.cluster, size=64).open(disk.first if disk.first > 1 else 0)
    received = disk.snapshot and disk.first > disk.snapshot
    if received:
        writer.snapshot(disk.entries[disk.snapshot - 1].term, disk.snapshot)
    for index in range(disk.first, len(disk.entries) + 1):
        entry = disk.entries[index - 1]
        data = payload(entry.kind, entry.value, entry.host, entry.term == 1)
        writer.entry(entry.term, index, data, kind=int(entry.kind in _IN_RAFT))
    if disk.term:
        writer.state(disk.term, disk.vote, disk.commit)
    if disk.snapshot and not received:
        writer.snapshot(disk.entries[disk.snapshot - 1].term, disk.snapshot)
    return writer.done()


def _snap(disk: Disk) -> tuple[str, bytes]:
    """Its `.snap` file, with the membership as it was at that index."""
    seen, term = disk.roster(disk.snapshot), disk.entries[disk.snapshot - 1].term
    ids = sorted(seen.voters | seen.learners)
    store = json.loads(v2store([(m, "", m in seen.learners) for m in ids], seen.removed))
    listed = store["Root"]["Children"]["0"]["Children"]["members"]["Children"]
    for member in ids:
        children = listed[f"{member:x}"]["Children"]
        host = seen.hosts[member]
        children["raftAttributes"]["Value"] = json.dumps(
            {"peerURLs": [seen.urls[member]], "isLearner": member in seen.learners}
        )
        if member in seen.named:
            told = {"name": member_name(host), "clientURLs": [f"https://10.0.0.{host}:2379"]}
            children["attributes"]["Value"] = json.dumps(told)
    state = b"".join(varint_field(2 if m in seen.learners else 1, m) for m in ids)
    metadata = bytes_field(1, state) + varint_field(2, disk.snapshot) + varint_field(3, term)
    body = bytes_field(1, json.dumps(store).encode()) + bytes_field(2, metadata)
    return f"{term:016x}-{disk.snapshot:016x}.snap", varint_field(1, crc32c(body)) + bytes_field(2, body)


@lru_cache(maxsize=20000)
def db_of(disk: Disk) -> DbFacts:
    """What the reader makes of its database."""
    seen = disk.roster(disk.applied)
    members = tuple(
        Member(m, member_name(h), (seen.urls[m],), (), m in seen.learners) for m, h in sorted(seen.hosts.items())
    )
    return DbFacts(
        page_size=4096,
        txid=disk.applied + 1,
        size=1 << 20,
        consistent_index=disk.applied,
        term=None,
        revision=disk.revision,
        compact_revision=-1,
        scheduled_compact_revision=-1,
        conf_state=None,
        members=members,
        removed=seen.removed,
        cluster_version="3.4.0",
        storage_version="",
        alarms=(),
        auth_enabled=False,
        buckets=("key", "meta"),
        keys=None,
        stable=True,
    )


def raised(disk: Disk) -> Disk:
    """The copy whose commit was raised to its last index."""
    if disk.commit >= len(disk.entries):
        return disk
    term, vote = (disk.last[0], 0) if disk.last[0] > disk.term else (disk.term, disk.vote)
    return replace(disk, term=term, vote=vote, commit=len(disk.entries))


def reset(disk: Disk) -> Disk | None:
    """What `--force-new-cluster` makes of it: the log cut at commit, everybody else removed. None: etcd panics."""
    kept = disk.entries[: disk.commit]
    seen = roster(kept)
    if disk.member not in seen.voters:
        return None
    term = disk.term
    others = sorted((seen.voters | seen.learners) - {disk.member})
    entries = (*kept, *(Entry(term, REMOVE, member, FORCED) for member in others), Entry(term + 1, EMPTY))
    size = len(entries)
    return replace(disk, entries=entries, term=term + 1, vote=disk.member, commit=size, applied=size)


__all__ = ["Disk", "Entry", "Roster", "common", "db_of", "log_of", "raised", "reset", "roster"]
