"""A true history: what members wrote, who voted for whom, which writes were decided, who was replaced. Raft in rounds.

Each round some members reach each other; one that may win is their leader for a term and writes; what a quorum of its own
voters has is decided, and counts as acknowledged. The order within a round does not matter to what lies on the disks, so
there are no messages (tests/simulation has them). Two decisions at one index would be a fault of the model, and are asserted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tests.worlds.disks import (
    ADD,
    EMPTY,
    LEARNER,
    PROMOTE,
    PUBLISH,
    REMOVE,
    WRITE,
    Disk,
    Entry,
    common,
    roster,
)

CLUSTER = 0xC1
FIRST_NEW_ID = 0x101


@dataclass
class Draft:
    """A member while it lives. `known` is the commit in its memory; `match` how much of its leader's log it has."""

    member: int
    host: int
    entries: list[Entry]
    term: int = 0
    vote: int = 0
    commit: int = 0
    known: int = 0
    match: int = 0
    snapshot: int = 0
    first: int = 1

    @property
    def last(self) -> tuple[int, int]:
        return (self.entries[-1].term, len(self.entries)) if self.entries else (0, 0)


@dataclass
class History:
    """Who lives now (`members`), the disks of those who were removed, and what was acknowledged."""

    size: int
    dice: random.Random
    learners: bool
    members: list[Draft] = field(default_factory=list)
    former: list[tuple[int, Disk]] = field(default_factory=list)  # (host, disk)
    acknowledged: set[int] = field(default_factory=set)
    decided: dict[int, Entry] = field(default_factory=dict)
    writes: int = 0
    next_id: int = FIRST_NEW_ID

    def __post_init__(self) -> None:
        first = [Entry(1, ADD, member, member) for member in range(1, self.size + 1)]
        for number in range(1, self.size + 1):
            self.members.append(Draft(number, number, list(first), 1, 0, self.size, self.size))
        self.decided.update(enumerate(first, 1))

    def run(self) -> None:
        """Some rounds; everybody is there in the first, so that the cluster has begun."""
        self.round(list(self.members))
        for _ in range(self.dice.choice((0, 1, 2, 2, 3, 4))):
            whole = self.dice.random() < 0.4
            self.round([m for m in self.members if whole or self.dice.random() < 0.65])

    # --- a round ---

    def round(self, up: list[Draft]) -> None:
        leader = self.elected(up)
        if leader is None:
            return
        term = max(m.term for m in up) + 1
        for member in up:
            behind = member.last <= leader.last
            member.term, member.vote, member.match = term, leader.member if behind else 0, 0
        self.append(leader, up, Entry(term, EMPTY), sure=0.9)
        for _ in range(self.dice.choice((0, 1, 2, 3, 5, 8))):
            self.write(leader, up)
        if self.dice.random() < 0.35:
            self.change(leader, up)
        for member in up:
            self.settle(member, leader)

    def elected(self, up: list[Draft]) -> Draft | None:
        able = []
        for member in up:
            voters = roster(member.entries[: member.known]).voters
            votes = {other.member for other in up if other.member in voters and other.last <= member.last}
            if member.member in voters and len(votes) > len(voters) // 2:
                able.append(member)
        return self.dice.choice(able) if able else None

    def write(self, leader: Draft, up: list[Draft]) -> None:
        self.writes += 1
        self.append(leader, up, Entry(leader.term, WRITE, self.writes), sure=0.85)

    def append(self, leader: Draft, up: list[Draft], entry: Entry, *, sure: float) -> None:
        leader.entries.append(entry)
        leader.match = len(leader.entries)
        for follower in up:
            if follower is not leader and self.dice.random() < sure:
                self.replicate(leader, follower)
        self.decide(leader, up)

    def replicate(self, leader: Draft, follower: Draft) -> None:
        seen = roster(leader.entries[: leader.known])
        if follower.member not in seen.voters | seen.learners:
            return
        same = common(leader.entries, follower.entries)
        assert same >= follower.known, "the model itself is wrong: a decided entry would be replaced"
        follower.entries[:] = leader.entries
        follower.match = len(leader.entries)

    def decide(self, leader: Draft, up: list[Draft]) -> None:
        voters = roster(leader.entries[: leader.known]).voters
        there = {member.member: member.match for member in up}
        ends = sorted((there.get(member, 0) for member in voters), reverse=True)
        index = ends[len(voters) // 2]
        if index <= leader.known or leader.entries[index - 1].term != leader.term:
            return
        for position in range(leader.known + 1, index + 1):
            entry = leader.entries[position - 1]
            assert self.decided.setdefault(position, entry) == entry, "the model itself is wrong: two decisions"
            if entry.kind == WRITE:
                self.acknowledged.add(entry.value)
        leader.known = index
        if entry.kind in (ADD, REMOVE, PROMOTE):
            self.decide(leader, up)

    def settle(self, member: Draft, leader: Draft) -> None:
        """What a member keeps of a round: its commit on disk lags a little, since a commit alone is not flushed."""
        if member is not leader:
            member.known = max(member.known, min(leader.known, member.match))
        member.commit = max(member.commit, member.known - self.dice.choice((0, 1, 1, 1, 2)))
        if self.dice.random() < 0.3:
            member.known = member.commit
        if member.commit > member.first and self.dice.random() < 0.2:
            member.snapshot = max(member.snapshot, self.dice.randint(max(member.first, 1), member.commit))
            member.first = max(member.first, self.dice.randint(1, member.snapshot))

    # --- changes of membership ---

    def change(self, leader: Draft, up: list[Draft]) -> None:
        """Replace a member, as an operator does who lost a disk; any of the steps may be the last one of the round."""
        for change in self.replacement(leader, up):
            if leader.known != len(leader.entries):
                return
            self.append(leader, up, change, sure=0.9)
            if self.dice.random() < 0.3:
                self.write(leader, up)

    def replacement(self, leader: Draft, up: list[Draft]) -> Iterator[Entry]:
        victim = self.dice.choice(self.members)
        seen = roster(leader.entries)
        if victim is leader or victim.member not in seen.voters or len(seen.voters) < 2:
            return
        yield Entry(leader.term, REMOVE, victim.member)
        if leader.known != len(leader.entries):
            return
        self.bury(victim, up)
        new = Draft(self.next_id, victim.host, [])
        self.next_id += 1
        yield Entry(leader.term, LEARNER if self.learners else ADD, new.member, new.host)
        if leader.known != len(leader.entries) and self.learners:
            return
        self.join(new, leader, up)
        if self.learners:
            yield Entry(leader.term, PROMOTE, new.member, new.host)
        yield Entry(leader.term, PUBLISH, new.member, new.host)

    def bury(self, victim: Draft, up: list[Draft]) -> None:
        self.members.remove(victim)
        if victim in up:
            up.remove(victim)
        self.former.append((victim.host, self.disk(victim)))

    def join(self, new: Draft, leader: Draft, up: list[Draft]) -> None:
        """It gets the whole log, or a snapshot taken right then and what follows."""
        new.term = leader.term
        self.members.append(new)
        up.append(new)
        if new.member not in roster(leader.entries[: leader.known]).hosts:
            return  # a voter whose addition is not decided is added, and empty
        new.entries, new.match = list(leader.entries), len(leader.entries)
        new.known = new.commit = leader.known
        if self.dice.random() < 0.4:
            new.snapshot = leader.known
            new.first = leader.known + 1
        self.decide(leader, up)

    # --- what is left ---

    def disk(self, member: Draft) -> Disk:
        """The member's disk as it lies there when its power fails."""
        snapshot = min(member.snapshot, member.commit)
        first = min(member.first, snapshot + 1)
        applied = max(snapshot, member.commit, member.known - self.dice.choice((0, 0, 1, 3)))
        applied = min(applied, len(member.entries))
        return Disk(
            CLUSTER,
            member.member,
            tuple(member.entries),
            member.term,
            member.vote,
            member.commit,
            snapshot,
            first,
            applied,
        )

    def restarts(self, disk: Disk) -> Disk:
        """The disk after its etcd has campaigned in vain for a while."""
        vain = self.dice.choice((0, 0, 0, 1, 4, 13))
        return replace(disk, term=disk.term + vain, vote=disk.member) if vain else disk
