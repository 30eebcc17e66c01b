"""Choose from every subset of the disks that a history leaves, and compare with what was promised.

Where nobody has tampered with a disk, nothing may go wrong. Where somebody has, a write can be lost that no readable log
can tell of: it is counted apart (`outside`), and only if an omniscient judge agrees that nothing was there to be seen:

- no readable disk, whosever it is, knows the write to be decided, or the chosen one has a snapshot that stands for all that
  such a disk knows; and
- of the voters that truly decided the first entry that the chosen log lacks, n − q + 1 have disks that were read, rank no
  higher than the chosen one, and do not show that they forgot (they are not bare, and nobody whose disk was read voted
  for them in a term unknown to them): so one of them held the entry, and has lost every trace of it; or
- the write was acknowledged in another history: on the other side of a hand-made reset, or where disks that have forgotten
  have decided otherwise in a place that was decided before.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import Any

from fleetrecover.decide.candidates import FORGETFUL
from fleetrecover.decide.membership import logs_needed, quorum
from fleetrecover.decide.survivor import Candidate, Choice, NoChoice, ProofKind, choose_survivor
from tests.simulation.old_rule import old_choice
from tests.simulation.raft import TAMPERS, WRITE, Ack, Cluster, Node, log_of, writes_on

MOST_SUBSETS = 12

Rule = Callable[[Candidate], Any]
WORSE: Mapping[str, Rule] = {
    "first in the list": lambda c: 0,
    "hard state's term": lambda c: c.log.hard_state.term,
    "last index without term": lambda c: c.log.last.index,
    "commit": lambda c: c.log.commit,
}
"""Those of facts/ETCD.md §3 that a log alone can follow; the others are in tests/decide/test_worse_rules.py."""


@dataclass
class Count:
    """What was seen over many histories."""

    histories: int = 0
    tampered: int = 0
    acknowledged: int = 0
    complete: int = 0
    complete_lost: int = 0
    outside: int = 0
    best: int = 0
    best_lost: int = 0
    nobody: int = 0
    contradictions: int = 0
    split: int = 0
    accused: int = 0
    forgetful: int = 0
    sure: int = 0
    sure_wrong: int = 0
    sure_outside: int = 0
    old_lost: int = 0
    old_complete: int = 0
    hidden: int = 0
    worse: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Everything that must never be."""
        return self.complete_lost + self.contradictions + self.accused + self.sure_wrong

    def add(self, other: Count) -> None:
        """Take in what another process has counted."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, mine + theirs)


def history(seed: str, count: Count) -> None:
    """Let one random cluster live, and judge what it leaves."""
    dice = random.Random(seed)
    tampers: Sequence[str] = ()
    if dice.random() < 0.4:
        tampers = TAMPERS if dice.random() < 0.3 else (dice.choice(TAMPERS),)
    changes, snapshots = dice.random() < 0.7, dice.random() < 0.7
    cluster = Cluster(dice.randint(1, 5), dice, changes=changes, snapshots=snapshots, tampers=tampers)
    cluster.run(dice.choice((300, 600, 1200)))
    judge(cluster, count, seed, dice)


def judge(cluster: Cluster, count: Count, seed: str, dice: random.Random) -> None:
    """Count what the choice says of the subsets of readable disks, at most `MOST_SUBSETS` of them."""
    count.histories += 1
    count.tampered += bool(cluster.tampered)
    count.acknowledged += len(cluster.acknowledged)
    disks = list(cluster.nodes.values())
    subsets = [chosen for size in range(1, len(disks) + 1) for chosen in combinations(disks, size)]
    if len(subsets) > MOST_SUBSETS:
        subsets = dice.sample(subsets, MOST_SUBSETS)
    candidates = {node.id: Candidate(f"etcd{node.id}", log_of(node)) for node in disks}
    held = {node.id: writes_on(node) for node in disks}
    for subset in subsets:
        Subset(cluster, subset, [candidates[node.id] for node in subset], held, count, seed).judge()


@dataclass(frozen=True)
class Subset:
    """The disks that were read, and what is right to say of them."""

    cluster: Cluster
    disks: Sequence[Node]
    candidates: Sequence[Candidate]
    held: Mapping[int, frozenset[int]]
    count: Count
    seed: str

    def fail(self, what: str) -> None:
        kinds = self.cluster.tampered
        self.count.failures.append(f"seed {self.seed}, disks {[node.id for node in self.disks]}, {kinds}: {what}")

    def judge(self) -> None:
        count, tampered = self.count, self.cluster.tampered
        choice = choose_survivor(self.candidates, {})
        if isinstance(choice, NoChoice):
            count.nobody += 1
            if choice.contradiction and tampered:
                count.split += 1
            elif choice.contradiction:
                count.contradictions += 1
                self.fail(choice.reason)
            return
        self.judge_accused(choice)
        by_name = {f"etcd{node.id}": node for node in self.disks}
        chosen = by_name[choice.survivor]
        lost = self.cluster.acknowledged - self.held[chosen.id]
        count.hidden += any("who voted before" in doubt for doubt in choice.doubts)
        if choice.proof is ProofKind.COMPLETE:
            self.judge_complete(chosen, lost)
        else:
            count.best += 1
            count.best_lost += bool(lost)
        if not tampered:
            self.judge_old_rule()
        self.judge_sure(chosen, choice.unacknowledged)

    def judge_accused(self, choice: Choice) -> None:
        if not any(found.code == "rolled-back" for found in choice.aside):
            return
        accused = {found.host for found in choice.aside if found.code in FORGETFUL}
        if any(node.forgot for node in self.disks if f"etcd{node.id}" in accused):
            self.count.forgetful += 1
        elif "reset" in self.cluster.tampered:
            self.count.forgetful += 1  # by the other history they have
        else:
            self.count.accused += 1
            self.fail(f"accused: {choice.aside}")

    def judge_complete(self, chosen: Node, lost: set[int]) -> None:
        count = self.count
        count.complete += 1
        if lost and all(self.untold(write, chosen) for write in lost):
            count.outside += 1
        elif lost:
            count.complete_lost += 1
            self.fail(f"etcd{chosen.id} lacks {sorted(lost)}")
        if not self.cluster.tampered:
            for name, rule in WORSE.items():
                worse = int(max(self.candidates, key=rule).host.removeprefix("etcd"))
                count.worse[name] += bool(self.cluster.acknowledged - self.held[worse])

    def judge_old_rule(self) -> None:
        survivor, complete = old_choice(self.candidates)
        if complete:
            self.count.old_complete += 1
            self.count.old_lost += bool(self.cluster.acknowledged - self.held[int(survivor.removeprefix("etcd"))])

    def judge_sure(self, chosen: Node, many: int) -> None:
        log = chosen.disk.log
        sure = log[len(log) - many :]
        self.count.sure += len(sure)
        wrong = [entry.value for entry in sure if entry.kind == WRITE and entry.value in self.cluster.acks]
        unseen = [write for write in wrong if self.lackers(write) and self.untold(write, chosen)]
        self.count.sure_outside += len(unseen)
        if len(wrong) > len(unseen):
            self.count.sure_wrong += len(wrong) - len(unseen)
            self.fail(f"etcd{chosen.id}: called certainly not acknowledged, and was: {sorted(wrong)}")

    # --- what could be seen ---

    def untold(self, write: int, chosen: Node) -> bool:
        """Whether nobody could tell, from these disks, that a write was acknowledged and is not in the chosen log."""
        ack = self.cluster.acks[write]
        shown = chosen.disk.first if chosen.disk.first <= len(chosen.disk.log) else chosen.disk.snap
        tell = [node for node in self.disks if knows(node, ack) and node.disk.state.commit >= shown]
        if not self.cluster.tampered or tell:
            return False
        if ack.branch != chosen.branch:
            return True
        lacked = (each for each in self.cluster.decisions if each.branch == ack.branch and not holds(chosen, each))
        first = next(lacked, None)
        if first is None:
            return True
        end = rank(chosen)
        counted = [node for node in self.silent() if node.id in first.voters and rank(node) <= end]
        return len(counted) >= logs_needed(len(first.voters))

    def lackers(self, write: int) -> bool:
        """Whether, as far as these disks show, too many voters lack a write for it to have been acknowledged."""
        voters = self.cluster.acks[write].voters
        lacking = [node for node in self.silent() if node.id in voters and write not in self.held[node.id]]
        return len(voters) - len(lacking) < quorum(len(voters))

    def silent(self) -> list[Node]:
        """The disks that do not show that they have forgotten."""
        longest = max(len(node.disk.log) for node in self.disks)
        return [
            node
            for node in self.disks
            if not (bare(node) and len(node.disk.log) < longest)
            and not any(
                other.disk.state.vote == node.id and other.disk.state.term > node.disk.state.term
                for other in self.disks
            )
        ]


def rank(node: Node) -> tuple[int, int]:
    log = node.disk.log
    return (log[-1].term, len(log)) if log else (0, 0)


def bare(node: Node) -> bool:
    """Whether a disk holds nothing but what etcd writes when it begins."""
    return all(entry.term == 1 for entry in node.disk.log)


def holds(node: Node, ack: Ack) -> bool:
    log = node.disk.log
    return ack.index <= len(log) and log[ack.index - 1] == ack.entry


def knows(node: Node, ack: Ack) -> bool:
    """Whether a disk holds an entry and knows it to be decided."""
    return ack.index <= node.disk.state.commit and holds(node, ack)
