"""Choose from every subset of the disks that a history leaves, and compare with what was promised."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from fleetrecover.decide.survivor import Candidate, NoChoice, ProofKind, choose_survivor
from tests.simulation.raft import Cluster, Node, log_of, writes_on

MOST_SUBSETS = 40

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
    acknowledged: int = 0
    complete: int = 0
    complete_lost: int = 0
    best: int = 0
    best_lost: int = 0
    nobody: int = 0
    contradictions: int = 0
    accused: int = 0
    sure: int = 0
    sure_wrong: int = 0
    worse: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Everything that must never be."""
        return self.complete_lost + self.contradictions + self.accused + self.sure_wrong


def history(seed: str, count: Count) -> None:
    """Let one random cluster live, and judge what it leaves."""
    dice = random.Random(seed)
    cluster = Cluster(dice.randint(1, 5), dice, changes=dice.random() < 0.4)
    cluster.run(dice.choice((300, 800, 2000)))
    judge(cluster, count, seed, dice)


def judge(cluster: Cluster, count: Count, seed: str, dice: random.Random) -> None:
    """Count what the choice says of the subsets of readable disks, at most `MOST_SUBSETS` of them."""
    count.histories += 1
    count.acknowledged += len(cluster.acknowledged)
    disks = [node for node in cluster.nodes.values() if node.disk.log]
    subsets = [chosen for size in range(1, len(disks) + 1) for chosen in combinations(disks, size)]
    if len(subsets) > MOST_SUBSETS:
        subsets = dice.sample(subsets, MOST_SUBSETS)
    candidates = {node.id: Candidate(f"etcd{node.id}", log_of(node)) for node in disks}
    for subset in subsets:
        judge_subset(cluster, subset, [candidates[node.id] for node in subset], count, seed)


def judge_subset(
    cluster: Cluster, subset: Sequence[Node], candidates: Sequence[Candidate], count: Count, seed: str
) -> None:
    by_name = {f"etcd{node.id}": node for node in subset}
    choice = choose_survivor(candidates, {})
    told = f"seed {seed}, disks {sorted(by_name)}"
    if isinstance(choice, NoChoice):
        count.nobody += 1
        if choice.contradiction:
            count.contradictions += 1
            count.failures.append(f"{told}: {choice.reason}")
        return
    if any(found.code == "rolled-back" for found in choice.aside):
        count.accused += 1
        count.failures.append(f"{told}: {choice.aside}")
    chosen = by_name[choice.survivor]
    lost = cluster.acknowledged - writes_on(chosen)
    if choice.proof is ProofKind.COMPLETE:
        count.complete += 1
        if lost:
            count.complete_lost += 1
            count.failures.append(f"{told}: {choice.survivor} lacks {sorted(lost)}")
        for name, rule in WORSE.items():
            other = by_name[max(candidates, key=rule).host]
            count.worse[name] += bool(cluster.acknowledged - writes_on(other))
    else:
        count.best += 1
        count.best_lost += bool(lost)
    sure = chosen.disk.log[len(chosen.disk.log) - choice.unacknowledged :]
    wrong = [entry for entry in sure if entry.value in cluster.acknowledged and entry.kind == "write"]
    count.sure += len(sure)
    if wrong:
        count.sure_wrong += len(wrong)
        count.failures.append(f"{told}: called certainly not acknowledged, and was: {wrong}")
