"""A model of a Raft cluster as etcd runs it, small and hostile: what lies on the disks in the end, and what was promised.

What is modelled, after go.etcd.io/etcd/raft v3.5 and etcdserver/raft.go:
- terms, votes, elections, log replication by messages that are delayed, lost and reordered;
- a follower answers only after its entries, term and vote are flushed; a leader sends before it has flushed, and counts
  itself after; a commit alone is written without a flush;
- a crash keeps what was flushed, and of what was only written a prefix of any length;
- changes of membership, one voter at a time, in force on a node once it has applied them; a leader proposes one only
  when it has applied all earlier ones; nobody campaigns with a decided change unapplied;
- partitions, restarts, members that are added empty and members that are removed.

A write counts as acknowledged as soon as any leader's commit covers it, which is earlier than etcd tells its client.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from fleetrecover.etcd.log import Entries, HardState, Log, Position, Tail, TermRun
from fleetrecover.etcd.membership import ConfChange, Configuration, Member

CLUSTER = 0xC1
WRITE, EMPTY, ADD, REMOVE = "write", "empty", "add", "remove"


class Entry(NamedTuple):
    """`value` is the number of a write, or a member's id; 0 for a leader's first entry."""

    term: int
    kind: str
    value: int


class Message(NamedTuple):
    kind: str
    source: int
    target: int
    term: int
    place: int = 0
    log_term: int = 0
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    good: bool = True


class State(NamedTuple):
    term: int
    vote: int
    commit: int


@dataclass
class Disk:
    """What a member has written. `pending` are records that no flush has covered yet, in the order of writing."""

    state: State
    log: list[Entry]
    pending: list[State | tuple[int, Entry]] = field(default_factory=list)

    def flush(self) -> None:
        self.keep(len(self.pending))

    def keep(self, count: int) -> None:
        """Let the first `count` pending records reach the disk, and lose the others."""
        for record in self.pending[:count]:
            if isinstance(record, State):
                self.state = record
            else:
                index, entry = record
                del self.log[index - 1 :]
                self.log.append(entry)
        self.pending.clear()

    @property
    def must_flush(self) -> bool:
        """Whether something waits that answers depend on; a change of commit alone does not."""
        return any(not isinstance(record, State) or record[:2] != self.state[:2] for record in self.pending)


@dataclass
class Node:
    id: int
    disk: Disk
    bootstrap: int = 0
    up: bool = True
    role: str = "follower"
    term: int = 0
    vote: int = 0
    commit: int = 0
    applied: int = 0
    log: list[Entry] = field(default_factory=list)
    silence: int = 0
    votes: set[int] = field(default_factory=set)
    match: dict[int, int] = field(default_factory=dict)
    next: dict[int, int] = field(default_factory=dict)
    pending_change: int = 0
    after_flush: list[Message] = field(default_factory=list)

    @property
    def last(self) -> tuple[int, int]:
        return (self.log[-1].term, len(self.log)) if self.log else (0, 0)

    def voters(self) -> frozenset[int]:
        return members_of(self.log[: self.applied])

    def removed(self, member: int) -> bool:
        return any(entry.kind == REMOVE and entry.value == member for entry in self.log[: self.applied])

    def save(self) -> None:
        self.disk.pending.append(State(self.term, self.vote, self.commit))

    def boot(self) -> None:
        """Start from what the disk holds."""
        state = self.disk.state
        self.up, self.role, self.silence = True, "follower", 0
        self.term, self.vote, self.commit = state.term, state.vote, min(state.commit, len(self.disk.log))
        self.log = list(self.disk.log)
        self.applied = self.commit
        self.after_flush, self.votes, self.match, self.next = [], set(), {}, {}


def members_of(entries: Iterable[Entry]) -> frozenset[int]:
    found: set[int] = set()
    for entry in entries:
        if entry.kind == ADD:
            found.add(entry.value)
        elif entry.kind == REMOVE:
            found.discard(entry.value)
    return frozenset(found)


@dataclass
class Cluster:
    """The whole history. `acknowledged` are the writes that a client may have been promised."""

    size: int
    dice: random.Random
    changes: bool = False
    nodes: dict[int, Node] = field(default_factory=dict)
    wire: list[Message] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    writes: int = 0
    decided: dict[int, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = [Entry(1, ADD, member) for member in range(1, self.size + 1)]
        for member in range(1, self.size + 1):
            node = Node(member, Disk(State(1, 0, self.size), list(first)), bootstrap=self.size)
            node.boot()
            self.nodes[member] = node

    # --- the history ---

    def run(self, steps: int) -> None:
        deeds = [self.deliver] * 100 + [self.flush] * 60 + [self.tick] * 22 + [self.propose] * 14 + [self.apply] * 16
        deeds += [self.crash] * 2 + [self.restart] * 4 + [self.partition, self.heal]
        if self.changes:
            deeds += [self.change] * 4
        for _ in range(steps):
            self.dice.choice(deeds)()
        for node in self.nodes.values():
            if node.up:
                self.stop(node)

    def some(self, *, up: bool = True) -> Node | None:
        found = [node for node in self.nodes.values() if node.up is up]
        return self.dice.choice(found) if found else None

    def flush(self) -> None:
        node = self.some()
        if node is None or not node.disk.pending or not (node.disk.must_flush or self.dice.random() < 0.1):
            return
        node.disk.flush()
        self.wire += node.after_flush
        node.after_flush.clear()
        if node.role == "leader":
            node.match[node.id] = len(node.log)
            self.advance(node)

    def crash(self) -> None:
        node = self.some()
        if node is not None:
            self.stop(node)

    def stop(self, node: Node) -> None:
        node.up = False
        node.disk.keep(self.dice.randint(0, len(node.disk.pending)))

    def restart(self) -> None:
        node = self.some(up=False)
        if node is not None:
            node.boot()

    def partition(self) -> None:
        self.cut = {member for member in self.nodes if self.dice.random() < 0.5}

    def heal(self) -> None:
        self.cut = set()

    def tick(self) -> None:
        node = self.some()
        if node is None:
            return
        if node.role == "leader":
            for peer in self.peers(node):
                self.send_entries(node, peer)
            return
        node.silence += 1
        if node.silence > self.dice.randint(3, 9):
            self.campaign(node)

    def apply(self) -> None:
        node = self.some()
        if node is not None and node.applied < node.commit:
            node.applied = self.dice.randint(node.applied + 1, node.commit)
            if node.role == "leader" and node.id not in node.voters():
                node.role = "follower"

    def propose(self) -> None:
        leaders = [node for node in self.nodes.values() if node.up and node.role == "leader"]
        if leaders:
            leader = self.dice.choice(leaders)
            for _ in range(self.dice.choice((1, 1, 1, 3))):
                self.writes += 1
                self.append(leader, Entry(leader.term, WRITE, self.writes))

    def change(self) -> None:
        leaders = [node for node in self.nodes.values() if node.up and node.role == "leader"]
        if not leaders:
            return
        leader = self.dice.choice(leaders)
        voters = leader.voters()
        if leader.applied < leader.pending_change:
            return
        if self.dice.random() < 0.5 and len(voters) > 1:
            entry = Entry(leader.term, REMOVE, self.dice.choice(sorted(voters)))
        elif len(voters) < 5 and len(self.nodes) < 8:
            member = max(self.nodes) + 1
            self.nodes[member] = Node(member, Disk(State(0, 0, 0), []))
            entry = Entry(leader.term, ADD, member)
        else:
            return
        self.append(leader, entry)
        leader.pending_change = len(leader.log)

    # --- raft ---

    def peers(self, node: Node) -> list[int]:
        return sorted(node.voters() - {node.id})

    def send(self, node: Node, message: Message, *, at_once: bool = False) -> None:
        if at_once or not node.disk.pending:
            self.wire.append(message)
        else:
            node.after_flush.append(message)

    def campaign(self, node: Node) -> None:
        undone = node.log[node.applied : node.commit]
        if node.id not in node.voters() or any(entry.kind in (ADD, REMOVE) for entry in undone):
            return
        node.term, node.vote, node.role = node.term + 1, node.id, "candidate"
        node.votes, node.silence = {node.id}, 0
        node.save()
        log_term, index = node.last
        for peer in self.peers(node):
            self.send(node, Message("vote", node.id, peer, node.term, index, log_term))
        self.count_votes(node)

    def count_votes(self, node: Node) -> None:
        voters = node.voters()
        if len(node.votes & voters) <= len(voters) // 2:
            return
        node.role = "leader"
        node.pending_change = len(node.log)
        node.match = {}
        node.next = {}
        self.append(node, Entry(node.term, EMPTY, 0))

    def append(self, leader: Node, entry: Entry) -> None:
        leader.log.append(entry)
        leader.disk.pending.append((len(leader.log), entry))
        leader.save()
        for peer in self.peers(leader):
            self.send_entries(leader, peer)

    def send_entries(self, leader: Node, peer: int) -> None:
        following = leader.next.get(peer, len(leader.log))
        before = following - 1
        log_term = leader.log[before - 1].term if before else 0
        entries = tuple(leader.log[before : before + self.dice.randint(1, 6)])
        self.send(
            leader,
            Message("entries", leader.id, peer, leader.term, before, log_term, entries, leader.commit),
            at_once=True,
        )

    def advance(self, leader: Node) -> None:
        voters = leader.voters()
        if not voters:
            return
        ends = sorted((leader.match.get(member, 0) for member in voters), reverse=True)
        index = ends[len(voters) // 2]
        if index <= leader.commit or leader.log[index - 1].term != leader.term:
            return
        for position in range(leader.commit + 1, index + 1):
            entry = leader.log[position - 1]
            known = self.decided.setdefault(position, entry)
            assert known == entry, f"the model itself is wrong: two decisions at {position}"
            if entry.kind == WRITE:
                self.acknowledged.add(entry.value)
        leader.commit = index
        leader.save()

    def deliver(self) -> None:
        if not self.wire:
            return
        if len(self.wire) > 120:
            del self.wire[: len(self.wire) - 120]
        at = self.dice.randrange(len(self.wire)) if self.dice.random() < 0.3 else 0
        message = self.wire.pop(at)
        node = self.nodes.get(message.target)
        apart = (message.source in self.cut) != (message.target in self.cut)
        if node is None or not node.up or apart or self.dice.random() < 0.03 or node.removed(message.source):
            return
        if message.term > node.term:
            node.term, node.vote, node.role = message.term, 0, "follower"
            node.save()
        if message.term < node.term:
            if message.kind in ("vote", "entries"):
                answer = "voted" if message.kind == "vote" else "stored"
                self.send(node, Message(answer, node.id, message.source, node.term, good=False))
            return
        getattr(self, f"on_{message.kind}")(node, message)

    def on_vote(self, node: Node, message: Message) -> None:
        fresh = (message.log_term, message.place) >= node.last
        good = fresh and node.vote in (0, message.source) and node.role != "leader"
        if good:
            node.vote, node.silence = message.source, 0
            node.save()
        self.send(node, Message("voted", node.id, message.source, node.term, good=good))

    def on_voted(self, node: Node, message: Message) -> None:
        if node.role == "candidate" and message.good:
            node.votes.add(message.source)
            self.count_votes(node)

    def on_entries(self, node: Node, message: Message) -> None:
        if node.role == "leader":
            raise AssertionError("the model itself is wrong: two leaders in one term")
        node.role, node.silence = "follower", 0
        before = message.place
        if before > len(node.log) or (before and node.log[before - 1].term != message.log_term):
            self.send(node, Message("stored", node.id, message.source, node.term, len(node.log), good=False))
            return
        for offset, entry in enumerate(message.entries):
            index = before + offset + 1
            if index <= len(node.log) and node.log[index - 1].term == entry.term:
                continue
            assert index > node.commit, "the model itself is wrong: a decided entry would be replaced"
            del node.log[index - 1 :]
            node.log.append(entry)
            node.disk.pending.append((index, entry))
        last = before + len(message.entries)
        node.commit = max(node.commit, min(message.commit, last))
        node.save()
        self.send(node, Message("stored", node.id, message.source, node.term, last))

    def on_stored(self, node: Node, message: Message) -> None:
        if node.role != "leader":
            return
        if not message.good:
            node.next[message.source] = max(1, min(message.place + 1, node.next.get(message.source, 1) - 1))
            return
        node.match[message.source] = max(node.match.get(message.source, 0), message.place)
        node.next[message.source] = node.match[message.source] + 1
        self.advance(node)


# --- what lies on a disk, as the readers would tell it ------------------------------------------------------------------


def writes_on(node: Node) -> frozenset[int]:
    return frozenset(entry.value for entry in node.disk.log if entry.kind == WRITE)


def log_of(node: Node) -> Log:
    """The disk of a stopped member as `fleetrecover.etcd.wal.read_log` would give it, without a snapshot."""
    entries, state = node.disk.log, node.disk.state
    runs: list[TermRun] = []
    for index, entry in enumerate(entries, 1):
        if runs and runs[-1].term == entry.term:
            runs[-1] = TermRun(entry.term, runs[-1].first, index)
        else:
            runs.append(TermRun(entry.term, index, index))
    digests = array("I", (hash((entry.kind, entry.value)) & 0xFFFFFFFF for entry in entries))
    commit = min(state.commit, len(entries))
    above = tuple(
        ConfChange(index, entry.term, entry.kind, entry.value, Member(entry.value) if entry.kind == ADD else None)
        for index, entry in enumerate(entries[commit:], commit + 1)
        if entry.kind in (ADD, REMOVE)
    )
    return Log(
        node_id=node.id,
        cluster_id=CLUSTER,
        hard_state=HardState(state.term, state.vote, commit),
        last=Position(entries[-1].term, len(entries)) if entries else Position(0, 0),
        snapshot=Position(0, 0),
        snap_name="",
        entries=Entries(1, tuple(runs), digests),
        segments=("0000000000000000-0000000000000000.wal",),
        tail=Tail("0000000000000000-0000000000000000.wal", 0, 0),
        torn=None,
        configuration=configuration(entries[:commit]),
        configuration_at_end=configuration(entries),
        conf_changes_above_commit=above,
        above_commit={},
        snapshot_records=(),
        voters_before=voters_before(entries),
    )


def configuration(entries: list[Entry]) -> Configuration:
    voters = members_of(entries)
    removed = frozenset(entry.value for entry in entries if entry.kind == REMOVE)
    return Configuration(tuple(Member(each) for each in sorted(voters)), voters, frozenset(), removed)


def voters_before(entries: list[Entry]) -> frozenset[int] | None:
    for position in range(len(entries) - 1, -1, -1):
        if entries[position].kind in (ADD, REMOVE):
            return members_of(entries[:position]) if entries[position].term > 1 else None
    return None
