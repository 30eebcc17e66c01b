"""Histories that are reseeded in the middle: whoever is at hand gets the best log, in a new term, without the others.

Then the cluster lives on, crashes, is parted and changes its members as before; and some of those who were removed come
back with what they had: a shorter log or a longer one, a lower term or, having campaigned, a higher one. The model itself
asserts that no term has two leaders and that nothing decided is replaced. Here it is asked

- that no write is lost which was acknowledged before, where the choice was provably complete;
- that none is lost that was acknowledged since, ever;
- that most clusters serve again, however they are shaken.

The dead who come back are fewer than a quorum of any membership that the chosen log leaves possible: more of them elect among
each other, and nothing that is written on other disks can keep them from it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from fleetrecover.decide.membership import quorum
from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor, electorates
from tests.simulation.judge import rank
from tests.simulation.raft import EXPEL, Cluster, Disk, Entry, Node, State, log_of, writes_on

MARGIN = 40
"""So that a returned member which campaigns may overtake the new term; the product's is 10^9."""


@dataclass
class Rules:
    """What a reseed keeps; each can be broken, to see that the model notices."""

    removes: bool = True
    all_get_it: bool = True
    enough: bool = True  # the choice is judged as it is; else as if it were always complete


@dataclass
class Tally:
    """What was seen over many histories."""

    histories: int = 0
    reseeded: int = 0
    complete: int = 0
    served: int = 0
    returned: int = 0
    acknowledged: int = 0
    since: int = 0
    lost: int = 0
    lost_since: int = 0
    broken: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Everything that must never be."""
        return self.lost + self.lost_since + self.broken

    def add(self, other: Tally) -> None:
        """Take in what another process has counted."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def history(seed: str, tally: Tally, rules: Rules | None = None) -> None:
    """Let one random cluster live, be reseeded, and live on; count what came of it."""
    dice = random.Random(seed)
    rules = rules or Rules()
    cluster = Cluster(dice.randint(1, 5), dice, changes=dice.random() < 0.6, snapshots=dice.random() < 0.7)
    cluster.run(dice.choice((150, 300, 600, 1200)))
    tally.histories += 1
    readable = [node for node in cluster.nodes.values() if dice.random() < 0.6]
    choice = choose_survivor([Candidate(f"etcd{node.id}", log_of(node)) for node in readable], {})
    if not isinstance(choice, Choice):
        return
    before = set(cluster.acknowledged)
    chief = next(node for node in readable if f"etcd{node.id}" == choice.survivor)
    # a host whose disk is lost is at hand all the same: it gets the data, too
    wiped = [node for node in cluster.nodes.values() if node not in readable and dice.random() < 0.5]
    heirs = reseed(cluster, chief, [*readable, *wiped], rules)
    if not heirs:
        return
    tally.reseeded += 1
    complete = choice.proof is ProofKind.COMPLETE
    tally.complete += complete
    tally.acknowledged += len(before)
    try:
        live_on(cluster, heirs, tally)
    except AssertionError as error:
        tally.broken += 1
        tally.failures.append(f"seed {seed}: {error}")
        return
    judge(cluster, heirs, before if complete or not rules.enough else set(), before, tally, seed)


def reseed(cluster: Cluster, chief: Node, at_hand: Sequence[Node], rules: Rules) -> list[Node]:
    """Give everybody at hand the chosen log under its own id; the rest is removed. Returns the heirs."""
    log = log_of(chief)
    members = log.configuration_at_end.voters | log.configuration_at_end.learners
    heirs = [node for node in at_hand if node.id in members]
    removed = sorted(members - {node.id for node in heirs}) if rules.removes else []
    term = max(max(node.disk.state.term, rank(node)[0]) for node in at_hand) + MARGIN
    entries = [*chief.disk.log, *(Entry(term, EXPEL, member) for member in removed)]
    snap, first = chief.disk.snap, chief.disk.first
    possible = electorates(log)
    cluster.branches += 1
    for node in heirs:
        if not rules.all_get_it and node is not chief and node.disk.log and cluster.dice.random() < 0.5:
            node.disk.state = State(term, 0, node.disk.state.commit)
        else:
            node.disk = Disk(State(term, 0, len(entries)), list(entries), [], snap, first)
        node.branch = cluster.branches
    away = [node for node in cluster.nodes.values() if node not in heirs]
    cluster.dice.shuffle(away)
    back: list[int] = []
    for node in away:
        ids = {*back, node.id}
        # those at hand who were no members are fenced, and stay so
        few = all(len(ids & voters) < quorum(len(voters)) for voters in possible)
        if node not in at_hand and few and cluster.dice.random() < 0.7:
            back.append(node.id)
    cluster.gone = {node.id for node in away} - set(back)
    cluster.wire, cluster.cut = [], set()
    return heirs


def live_on(cluster: Cluster, heirs: Sequence[Node], tally: Tally) -> None:
    """Start all, let some of the removed come back at once or later, and let everybody live."""
    dice = cluster.dice
    known = len(cluster.acknowledged)
    for node in heirs:
        if dice.random() < 0.8:
            node.boot()
    tally.returned += any(n not in heirs and n.id not in cluster.gone for n in cluster.nodes.values())
    for _ in range(dice.randint(1, 3)):
        cluster.run(dice.choice((150, 400)))
        for node in cluster.nodes.values():
            if node.id not in cluster.gone and dice.random() < 0.9 and not node.up:
                node.boot()
    for _ in range(8):
        if len(cluster.acknowledged) > known:
            break
        # all are well, and hear each other: somebody leads in the end
        cluster.cut = set()
        for node in cluster.nodes.values():
            if node.id not in cluster.gone and not node.up:
                node.boot()
        cluster.run(600)
    tally.served += len(cluster.acknowledged) > known


def judge(
    cluster: Cluster, heirs: Sequence[Node], promised: set[int], before: set[int], tally: Tally, seed: str
) -> None:
    """Look for every write in the best log of the reseeded cluster, as its next leader would have it."""
    alive = [node for node in cluster.nodes.values() if node in heirs or node.branch == heirs[0].branch]
    best = max(alive, key=rank)
    held = writes_on(best)
    since = cluster.acknowledged - before
    tally.since += len(since)
    lost, lost_since = promised - held, since - held
    tally.lost += bool(lost)
    tally.lost_since += bool(lost_since)
    if lost or lost_since:
        tally.failures.append(f"seed {seed}: lost {sorted(lost)}, since {sorted(lost_since)}")


def some(seed: str, first: int, last: int) -> Tally:
    """The histories `first` to `last` - 1."""
    tally = Tally()
    for number in range(first, last):
        history(f"{seed}-{number}", tally)
    return tally
