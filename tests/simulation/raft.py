"""A model of a Raft cluster as etcd runs it, small and hostile: what lies on the disks in the end, and what was promised.

What is modelled, after go.etcd.io/etcd/raft v3.5 and etcdserver/raft.go:
- terms, votes, elections, log replication by messages that are delayed, lost and reordered;
- a follower answers only after its entries, term and vote are flushed; a leader sends before it has flushed, and counts
  itself after; a commit alone is written without a flush;
- a crash keeps what was flushed, and of what was only written a prefix of any length;
- changes of membership one at a time (a voter or a learner added, a learner promoted, a member removed), in force on a
  node once it has applied them; a leader proposes one only when it has applied all earlier ones; nobody campaigns with a
  decided change unapplied; a member that has applied its own removal stops, and may be started again;
- snapshots of what was applied, after which a node keeps some entries in memory to send, and some in its WAL to be
  read; who is too far behind is sent a snapshot, which replaces its log;
- partitions, restarts, members that are added empty and members that are replaced.

What is done to disks by people (`tampers`), and is no part of Raft: a disk is emptied and begun anew, with
`--initial-cluster-state` `new` or `existing`; an older image of it is put back; `--force-new-cluster` on one member.

A log is held whole, for the judge; `first` and `snap` of a disk say which part of it could be read from a WAL. A write
counts as acknowledged as soon as any leader's commit covers it, which is earlier than etcd tells its client.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulation.disks import log_of

__all__ = ["ADD", "EMPTY", "LEARN", "PROMOTE", "REMOVE", "WRITE", "Cluster", "Disk", "Entry", "Node", "State", "log_of"]

WRITE, EMPTY, ADD, REMOVE, LEARN, PROMOTE = "write", "empty", "add", "remove", "learn", "promote"
EXPEL = "expel"
"""A removal as a forced reset writes it."""
CHANGES = frozenset({ADD, REMOVE, EXPEL, LEARN, PROMOTE})
TAMPERS = ("wipe-new", "wipe-existing", "roll-back", "reset")
MOST_VOTERS, MOST_NODES, WIRE = 5, 9, 120


class Entry(NamedTuple):
    """`value` is the number of a write, or a member's id; 0 for a leader's first entry."""

    term: int
    kind: str
    value: int


class Message(NamedTuple):
    """`place` is the index before the entries, the end of a candidate's log, or how far a follower has stored."""

    kind: str
    source: int
    target: int
    term: int
    place: int = 0
    log_term: int = 0
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    good: bool = True
    branch: int = 0


class State(NamedTuple):
    term: int
    vote: int
    commit: int


class Received(NamedTuple):
    """A snapshot from a leader, with the hard state that makes it valid."""

    state: State
    log: tuple[Entry, ...]


@dataclass(frozen=True)
class Ack:
    """By whom an entry was decided: the voters that were counted by, and the history (0, or one that a tamper began)."""

    entry: Entry
    index: int
    voters: frozenset[int]
    branch: int


class Members(NamedTuple):
    voters: frozenset[int] = frozenset()
    learners: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()

    def after(self, entry: Entry) -> Members:
        voters, learners, removed = self
        one = frozenset({entry.value})
        if entry.kind not in CHANGES or entry.value in removed:
            return self
        if entry.kind in (REMOVE, EXPEL):
            return Members(voters - one, learners - one, removed | one) if one <= voters | learners else self
        if entry.kind == LEARN:
            return self if one <= voters else Members(voters, learners | one, removed)
        if entry.kind == PROMOTE and not one <= learners:
            return self
        return Members(voters | one, learners - one, removed)


def members_of(entries: Iterable[Entry], start: Members | None = None) -> Members:
    found = start or Members()
    for entry in entries:
        if entry.kind in CHANGES:
            found = found.after(entry)
    return found


Record = State | Received | tuple[int, Entry]


@dataclass
class Disk:
    """What a member has written. `pending` are records that no flush has covered yet, in the order of writing.

    `snap` is the index of its snapshot, 0 for none; entries from `first` on can be read from its WAL.
    """

    state: State
    log: list[Entry]
    pending: list[Record] = field(default_factory=list)
    snap: int = 0
    first: int = 1

    def flush(self) -> None:
        self.keep(len(self.pending))

    def keep(self, count: int) -> None:
        """Let the first `count` pending records reach the disk, and lose the others."""
        for record in self.pending[:count]:
            if isinstance(record, State):
                self.state = record
            elif isinstance(record, Received):
                self.state, self.log = record.state, list(record.log)
                self.snap, self.first = len(self.log), len(self.log) + 1
            else:
                index, entry = record
                del self.log[index - 1 :]
                self.log.append(entry)
        self.pending.clear()

    @property
    def must_flush(self) -> bool:
        """Whether something waits that answers depend on; a change of commit alone does not."""
        return any(not isinstance(record, State) or record[:2] != self.state[:2] for record in self.pending)

    def image(self) -> Disk:
        return Disk(self.state, list(self.log), [], self.snap, self.first)


@dataclass
class Node:
    """A member. `forgot` says that its disk has lost, by a tamper or in its wake, what it had once flushed."""

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
    compacted: int = 0
    branch: int = 0
    forgot: bool = False
    image: tuple[Disk, int] | None = None
    _members: tuple[int, Members] = (0, Members())

    @property
    def last(self) -> tuple[int, int]:
        return (self.log[-1].term, len(self.log)) if self.log else (0, 0)

    def members(self) -> Members:
        upto, known = self._members
        if upto > self.applied:
            upto, known = 0, Members()
        if upto < self.applied:
            known = members_of(self.log[upto : self.applied], known)
            self._members = (self.applied, known)
        return known

    def voters(self) -> frozenset[int]:
        return self.members().voters

    def save(self) -> None:
        self.disk.pending.append(State(self.term, self.vote, self.commit))

    def boot(self) -> None:
        """Start from what the disk holds."""
        state = self.disk.state
        self.up, self.role, self.silence = True, "follower", 0
        self.term, self.vote, self.commit = state.term, state.vote, min(state.commit, len(self.disk.log))
        self.log = list(self.disk.log)
        self.applied, self.compacted = self.commit, self.disk.snap
        self.after_flush, self.votes, self.match, self.next = [], set(), {}, {}
        self._members = (0, Members())


@dataclass
class Cluster:
    """The whole history. `acknowledged` are the writes that a client may have been promised, `acks` say by whom.

    `decisions` are all decided entries, in the order of time.
    """

    size: int
    dice: random.Random
    changes: bool = False
    snapshots: bool = False
    tampers: Sequence[str] = ()
    nodes: dict[int, Node] = field(default_factory=dict)
    wire: list[Message] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    acks: dict[int, Ack] = field(default_factory=dict)
    decisions: list[Ack] = field(default_factory=list)
    writes: int = 0
    decided: dict[tuple[int, int], Entry] = field(default_factory=dict)
    branches: int = 0
    tampered: list[str] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)  # who never comes back

    def __post_init__(self) -> None:
        for member in range(1, self.size + 1):
            node = Node(member, Disk(State(1, 0, self.size), self.bootstrapped()), bootstrap=self.size)
            node.boot()
            self.nodes[member] = node
        self.decided = {(0, index): entry for index, entry in enumerate(self.bootstrapped(), 1)}

    def bootstrapped(self) -> list[Entry]:
        return [Entry(1, ADD, member) for member in range(1, self.size + 1)]

    # --- the history ---

    def run(self, steps: int) -> None:
        deeds = [self.deliver] * 100 + [self.flush] * 60 + [self.tick] * 22 + [self.propose] * 14 + [self.apply] * 16
        deeds += [self.crash] * 2 + [self.restart] * 4 + [self.partition, self.heal]
        if self.changes:
            deeds += [self.change] * 6
        if self.snapshots:
            deeds += [self.snapshot] * 3
        if self.tampers:
            deeds += [self.tamper] * 2 + [self.take_image]
        pick, count = self.dice.random, len(deeds)
        for _ in range(steps):
            deeds[int(pick() * count)]()
        for node in self.nodes.values():
            if node.up:
                self.stop(node)

    def some(self, *, up: bool = True) -> Node | None:
        found = [node for node in self.nodes.values() if node.up is up and node.id not in self.gone]
        return found[int(self.dice.random() * len(found))] if found else None

    def flush(self) -> None:
        node = self.some()
        if node is None or not node.disk.pending or not (node.disk.must_flush or self.dice.random() < 0.1):
            return
        self.sync(node)

    def sync(self, node: Node) -> None:
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
        if node is None or node.applied >= node.commit:
            return
        node.applied = self.dice.randint(node.applied + 1, node.commit)
        if node.id in node.members().removed:
            self.sync(node)
            node.up, node.role = False, "follower"

    def propose(self) -> None:
        leaders = self.leaders()
        if leaders:
            leader = self.dice.choice(leaders)
            for _ in range(self.dice.choice((1, 1, 1, 3))):
                self.writes += 1
                self.append(leader, Entry(leader.term, WRITE, self.writes))

    def leaders(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.up and node.role == "leader"]

    def change(self) -> None:
        """Propose a change of membership, where the leader has applied the one before."""
        leaders = self.leaders()
        if not leaders:
            return
        leader = self.dice.choice(leaders)
        if leader.applied < leader.pending_change:
            return
        voters, learners, _ = leader.members()
        kind = self.dice.choice((REMOVE, REMOVE, ADD, LEARN, PROMOTE))
        if kind == REMOVE and len(voters) > 1:
            member = self.dice.choice(sorted(voters | learners))
        elif kind == PROMOTE and learners and len(voters) < MOST_VOTERS:
            member = self.dice.choice(sorted(learners))
        elif kind in (ADD, LEARN) and len(voters) < MOST_VOTERS and len(self.nodes) < MOST_NODES:
            member = max(self.nodes) + 1
            self.nodes[member] = Node(member, Disk(State(0, 0, 0), []), branch=leader.branch)
        else:
            return
        self.append(leader, Entry(leader.term, kind, member))
        leader.pending_change = len(leader.log)

    def snapshot(self) -> None:
        """Take a snapshot of what is applied, and let go of what is behind it."""
        node = self.some()
        if node is None or node.applied <= max(node.disk.snap, node.bootstrap):
            return
        self.sync(node)
        disk = node.disk
        disk.snap = node.applied
        disk.first = self.dice.choice((disk.first, self.dice.randint(min(disk.first, disk.snap), disk.snap + 1)))
        node.compacted = max(node.compacted, disk.snap - self.dice.choice((0, 0, 3, 10)))

    # --- what people do to disks ---

    def take_image(self) -> None:
        node = self.some()
        if node is not None and node.image is None:
            node.image = (node.disk.image(), node.branch)

    def tamper(self) -> None:
        node = self.some(up=False)
        if node is None or len(self.tampered) >= 3 or self.dice.random() < 0.6:
            return
        deed = self.dice.choice(self.tampers)
        done: dict[str, Callable[[Node], bool]] = {
            "wipe-new": self.wipe_new,
            "wipe-existing": self.wipe_existing,
            "roll-back": self.roll_back,
            "reset": self.reset,
        }
        if done[deed](node):
            self.tampered.append(deed)
            if deed != "reset":
                node.forgot = True

    def wipe_new(self, node: Node) -> bool:
        """Emptied, and started with its old command: etcd writes the first members anew. Only they can."""
        if not node.bootstrap:
            return False
        node.disk, node.branch = Disk(State(1, 0, self.size), self.bootstrapped()), 0
        return True

    def wipe_existing(self, node: Node) -> bool:
        """Emptied, and started with `existing`: it takes its old id from any peer, and writes nothing but that."""
        node.disk = Disk(State(0, 0, 0), [])
        return True

    def roll_back(self, node: Node) -> bool:
        if node.image is None:
            return False
        (image, node.branch), node.image = node.image, None
        node.disk = image
        return True

    def reset(self, node: Node) -> bool:
        """`--force-new-cluster`: cut at the commit on disk, and the removal of everybody else, decided at once."""
        disk = node.disk
        members = members_of(disk.log[: disk.state.commit])
        if node.id not in members.voters:
            return False
        del disk.log[disk.state.commit :]
        others = sorted((members.voters | members.learners) - {node.id})
        disk.log += [Entry(disk.state.term, EXPEL, other) for other in others]
        disk.state = State(disk.state.term, disk.state.vote, len(disk.log))
        self.branches += 1
        node.branch = self.branches
        return True

    # --- raft ---

    def peers(self, node: Node) -> list[int]:
        voters, learners, _ = node.members()
        return sorted((voters | learners) - {node.id})

    def send(self, node: Node, message: Message, *, at_once: bool = False) -> None:
        if at_once or not node.disk.pending:
            self.wire.append(message)
        else:
            node.after_flush.append(message)

    def campaign(self, node: Node) -> None:
        undone = node.log[node.applied : node.commit]
        if node.id not in node.voters() or any(entry.kind in CHANGES for entry in undone):
            return
        node.term, node.vote, node.role = node.term + 1, node.id, "candidate"
        node.votes, node.silence = {node.id}, 0
        node.save()
        log_term, index = node.last
        for peer in sorted(node.voters() - {node.id}):
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
        if before < leader.compacted:
            place = leader.applied
            whole = tuple(leader.log[:place])
            message = Message(
                "snapshot", leader.id, peer, leader.term, place, whole[-1].term, whole, branch=leader.branch
            )
            self.send(leader, message, at_once=True)
            return
        log_term = leader.log[before - 1].term if before else 0
        entries = tuple(leader.log[before : before + self.dice.randint(1, 6)])
        self.send(
            leader,
            Message(
                "entries", leader.id, peer, leader.term, before, log_term, entries, leader.commit, branch=leader.branch
            ),
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
            if self.decided.setdefault((leader.branch, position), entry) != entry:
                assert self.tampered, f"the model itself is wrong: two decisions at {position}"
                self.branches += 1
                leader.branch = self.branches  # disks that have forgotten have begun another history
            self.decisions.append(Ack(entry, position, voters, leader.branch))
            if entry.kind == WRITE and entry.value not in self.acks:
                self.acknowledged.add(entry.value)
                self.acks[entry.value] = self.decisions[-1]
        leader.commit = index
        leader.save()

    def deliver(self) -> None:
        if not self.wire:
            return
        if len(self.wire) > WIRE:
            del self.wire[: len(self.wire) - WIRE]
        at = self.dice.randrange(len(self.wire)) if self.dice.random() < 0.3 else 0
        message = self.wire.pop(at)
        node = self.nodes.get(message.target)
        apart = (message.source in self.cut) != (message.target in self.cut)
        if node is None or not node.up or apart or self.dice.random() < 0.03:
            return
        if message.source in node.members().removed:
            return
        if message.term > node.term:
            node.term, node.vote, node.role = message.term, 0, "follower"
            node.save()
        if message.term < node.term:
            if message.kind in ("vote", "entries", "snapshot"):
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

    def follow(self, node: Node, message: Message) -> bool:
        """Take the sender for the leader of the term; False where Raft is broken, and the node gives up, as etcd does."""
        if node.role == "leader":
            assert self.tampered, "the model itself is wrong: two leaders in one term"
            self.stop(node)
            return False
        node.role, node.silence = "follower", 0
        return True

    def on_entries(self, node: Node, message: Message) -> None:
        if not self.follow(node, message):
            return
        before = message.place
        if before > len(node.log) or (before > node.commit and node.log[before - 1].term != message.log_term):
            self.send(node, Message("stored", node.id, message.source, node.term, len(node.log), good=False))
            return
        for offset, entry in enumerate(message.entries):
            index = before + offset + 1
            if index <= len(node.log) and node.log[index - 1].term == entry.term:
                continue
            if index <= node.commit:
                assert self.tampered, "the model itself is wrong: a decided entry would be replaced"
                self.stop(node)
                return
            self.drop_from(node, index)
            node.log.append(entry)
            node.disk.pending.append((index, entry))
        node.branch = message.branch
        last = before + len(message.entries)
        node.commit = max(node.commit, min(message.commit, last))
        node.save()
        self.send(node, Message("stored", node.id, message.source, node.term, last))

    def on_snapshot(self, node: Node, message: Message) -> None:
        if not self.follow(node, message):
            return
        place, whole = message.place, message.entries
        if place <= node.commit:
            self.send(node, Message("stored", node.id, message.source, node.term, node.commit))
            return
        if place <= len(node.log) and node.log[place - 1].term == message.log_term:
            node.commit = place
            node.save()
        else:
            self.drop_from(node, 1, whole)
            node.log = list(whole)
            node.commit = node.applied = node.compacted = place
            node._members = (0, Members())
            node.disk.pending.append(Received(State(node.term, node.vote, place), whole))
            node.branch = message.branch
        self.send(node, Message("stored", node.id, message.source, node.term, place))

    def drop_from(self, node: Node, index: int, instead: Sequence[Entry] = ()) -> None:
        """Drop the entries from `index` on; who drops an acknowledged write has forgotten it, in a tamper's wake."""
        if self.tampered and not node.forgot:
            kept = set(instead)
            node.forgot = any(e.value in self.acks and e not in kept for e in node.log[index - 1 :] if e.kind == WRITE)
        del node.log[index - 1 :]

    def on_stored(self, node: Node, message: Message) -> None:
        if node.role != "leader":
            return
        stored = node.match.get(message.source, 0)
        if not message.good:
            if message.place >= stored:  # else it is stale, or from a disk that was emptied: etcd takes no notice
                node.next[message.source] = max(1, min(message.place + 1, node.next.get(message.source, 1) - 1))
            return
        node.match[message.source] = max(stored, min(message.place, len(node.log)))
        node.next[message.source] = node.match[message.source] + 1
        self.advance(node)


def writes_on(node: Node) -> frozenset[int]:
    """The writes that a disk holds, in its entries or behind its snapshot."""
    return frozenset(entry.value for entry in node.disk.log if entry.kind == WRITE)
