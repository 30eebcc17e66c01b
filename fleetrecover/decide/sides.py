"""PURE: histories of a cluster that exclude each other: whose data is ahead, which is empty, and what leads out of it.

Two ways lead there. Members whose disks were emptied and that start again with their old command make a new cluster, under
the old ids and often the old cluster id: it answers, and it is empty. And somebody has reset or restored one side. What
serves is then not what is best, and repairing it would set the better data aside; so nothing is done before a person has
seen both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fleetrecover.decide.by_hand import set_aside
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.loss import iso
from fleetrecover.decide.words import Remedy
from fleetrecover.etcd.membership import hex_id
from fleetrecover.etcd.wal import Log, compare_logs
from fleetrecover.facts import Keep, NodeFacts, Survey
from fleetrecover.runtime import runtime_of

MOVING = 5000
"""Entries, or revisions, that a member that follows may be ahead of what its cluster said a moment before."""


@dataclass(frozen=True)
class Side:
    """Nodes whose data is of one history."""

    nodes: tuple[NodeFacts, ...]

    @property
    def names(self) -> str:
        """The hosts, for a sentence."""
        return ", ".join(node.name for node in self.nodes)

    @property
    def cluster(self) -> int | None:
        """The id of the cluster that they name."""
        return next((found for node in self.nodes if (found := cluster_of(node)) is not None), None)

    @property
    def serves(self) -> bool:
        """Whether one of them has a quorum behind it."""
        return any(node.healthy for node in self.nodes)

    @property
    def revision(self) -> int | None:
        """The greatest revision that one of them tells of."""
        return max((found for node in self.nodes if (found := revision_of(node)) is not None), default=None)

    @property
    def index(self) -> int:
        """The last index that one of them knows."""
        ends = [node.log.last.index for node in self.nodes if node.log]
        return max([*ends, *(node.status.commit for node in self.nodes if node.status)], default=0)

    @property
    def commit(self) -> int:
        """The last index that one of them knows to be decided."""
        decided = [node.log.commit for node in self.nodes if node.log]
        return max([*decided, *(node.status.commit for node in self.nodes if node.status)], default=0)

    @property
    def made(self) -> float | None:
        """When the oldest of their WALs was begun, in our time; None where no filesystem tells."""
        return min((n.made - (n.clock_offset or 0.0) for n in self.nodes if n.made is not None), default=None)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written there, as far as every one of them tells."""
        return all(never_written(node) for node in self.nodes)

    @property
    def writes(self) -> int | None:
        """How many writes of clients the logs hold that could be read."""
        return max((n.log.writes for n in self.nodes if n.log is not None and n.log.writes is not None), default=None)

    @property
    def exact(self) -> bool:
        """Whether the revision is of all that the log holds: said by a running etcd, or applied to the end."""
        return self.empty or all(
            n.status or (n.db and n.log and n.db.consistent_index >= n.log.last.index) for n in self.nodes
        )

    def told(self, *, cluster: bool = False) -> str:
        """The side in one clause."""
        verb = "serves" if len(self.nodes) == 1 else "serve"
        parts = [f"{self.names} ({verb})" if self.serves else self.names]
        name = f" of cluster {hex_id(self.cluster)}" if cluster and self.cluster is not None else ""
        floor = "" if self.exact else "at least "
        revision = "not known" if self.revision is None else f"{floor}{self.revision:,}"
        parts.append(f"{name}: revision {revision}, last index {self.index:,}, decided up to {self.commit:,}")
        if self.writes:
            parts.append(f", {self.writes:,} {'write' if self.writes == 1 else 'writes'} in the log")
        parts.append(", empty: nothing was ever written there" if self.empty else "")
        parts.append(f", begun {iso(self.made)}" if self.made is not None else "")
        return "".join(parts)


def cluster_of(node: NodeFacts) -> int | None:
    """The cluster that a node's etcd, or its data, belongs to."""
    return node.status.cluster_id if node.status else node.log.cluster_id if node.log else None


def revision_of(node: NodeFacts) -> int | None:
    """The revision of a node's data: what its etcd says, or what its database has, whichever is greater."""
    found = [node.status.revision] if node.status else []
    return max([*found, *([node.db.revision] if node.db else [])], default=None)


def never_written(node: NodeFacts) -> bool:
    """Whether a node's etcd has begun with an empty directory, and no client has written anything since.

    The log tells: what was acknowledged is in it, while a database may lag behind, and does after each crash. A snapshot of
    no more than the first members tells of no write, where the database has none: else it is a restored one.
    """
    revision = revision_of(node)
    if revision is not None and revision > 1:
        return False
    if node.log is None:
        return node.status is not None
    known = node.log.snapshot.index == 0 or revision is not None
    return known and node.log.from_the_beginning and node.log.writes == 0


def surely_empty(node: NodeFacts) -> bool:
    """The same, where nothing can be under way either: its etcd does not run, or answers that it has no leader."""
    if node.status is not None:
        quiet = node.status.leader_id == 0
    else:
        quiet = not any(c.running and not c.isolated for c in node.containers)
    return quiet and node.log is not None and never_written(node)


def begun_anew(survey: Survey) -> dict[str, str]:
    """The hosts whose data is surely empty and of another history than data that another host has, and why, by host.

    They are no evidence and no member of anything that is to come back; what lies there is kept aside all the same.
    """
    full = [node for node in survey.nodes if node.log is not None and not never_written(node)]
    found: dict[str, str] = {}
    for node in survey.nodes:
        if node.log is None or not surely_empty(node):
            continue
        other = next((each for each in full if each.log is not None and contradict(node.log, each.log)), None)
        if other is not None:
            found[node.name] = (
                f"{node.name}'s data was begun anew and is empty, beside that of {other.name}: its disk was emptied, and its "
                "etcd has started from nothing"
            )
    return found


def contradict(one: Log, other: Log) -> bool:
    """Whether two logs cannot be of one history."""
    return compare_logs(one, other).fork is not None


# --- what serves, and what is beyond it ---


def beyond(survey: Survey, spare: Collection[str] = ()) -> tuple[NodeFacts, ...]:
    """The nodes at rest, or running without a quorum, whose data has what the cluster that serves has not.

    Whatever their member ids: a hand-made reset, or one replacement before the disks were emptied, unseats those who
    have the data. `spare` are hosts whose data was given up with open eyes. One that was begun anew, and is empty, has nothing
    that could be missing, however far its log goes.
    """
    live = [node for node in survey.nodes if node.healthy and node.status]
    if not live:
        return ()
    clusters = {cluster_of(node) for node in live}
    spare = {*spare, *begun_anew(survey)}
    return tuple(
        node
        for node in survey.nodes
        if not node.healthy
        and node.name not in spare
        and cluster_of(node) in {*clusters, None}
        and (_more(node, live) or _still_behind(survey, node, live))
    )


def _more(node: NodeFacts, live: Sequence[NodeFacts]) -> bool:
    serving = Side(tuple(live))
    # an empty cluster has not moved on: whoever has writes had them before it began
    slack = MOVING if _follows(node, live) and not (serving.empty and not never_written(node)) else 0
    decided = node.log.commit if node.log is not None else 0
    revision = node.db.revision if node.db is not None else 0
    if decided > serving.index + slack or revision > (serving.revision or 0) + slack:
        return True
    return node.log is not None and any(other.log is not None and contradict(node.log, other.log) for other in live)


def _still_behind(survey: Survey, node: NodeFacts, live: Sequence[NodeFacts]) -> bool:
    """Whether what serves now lacks what the node knew to be decided a moment before: then that was no race between two looks."""
    commit, revision = survey.decided.get(node.name, (0, 0))
    serving = Side(tuple(live))
    return commit > serving.index or revision > (serving.revision or 0)


def ahead(survey: Survey) -> dict[str, tuple[int, int]]:
    """What hosts whose etcd runs without answering well know beyond what serves: (commit, revision); a second look tells.

    One that follows may have moved on while we looked.
    """
    live = [node for node in survey.nodes if node.healthy and node.status]
    serving, clusters = Side(tuple(live)), {cluster_of(node) for node in live}
    found = {}
    for node in survey.nodes if live else ():
        runs = any(c.state == "running" and not c.isolated for c in node.containers)
        known = (node.log.commit if node.log else 0, node.db.revision if node.db else 0)
        more = known[0] > serving.index or known[1] > (serving.revision or 0)
        if runs and more and not node.healthy and cluster_of(node) in clusters:
            found[node.name] = known
    return found


def _follows(node: NodeFacts, live: Sequence[NodeFacts]) -> bool:
    """Whether a node runs as a member of the cluster that serves, in its term: it may have moved on while we looked."""
    runs = any(c.state == "running" and not c.isolated for c in node.containers)
    terms = {each.status.raft_term for each in live if each.status}
    seated = {member.id for each in live for member in each.members or ()}
    return runs and node.log is not None and node.log.last.term in terms and node.log.node_id in seated


def beyond_finding(survey: Survey, better: Sequence[NodeFacts]) -> Finding:
    """That what serves lacks what these nodes have: both sides, which is ahead, and what to type."""
    live = Side(tuple(node for node in survey.nodes if node.healthy))
    other = Side(tuple(better))
    verb = "serves" if len(live.nodes) == 1 else "serve"
    message = (
        f"{live.names} {verb}, but {other.names}'s data has what was decided and is "
        f"not there: {_both((live, other))}; what serves was emptied or rolled back, or an earlier reset has forked the cluster"
    )
    return Finding(Severity.ERROR, better[0].name, "forgotten", message, way_out(survey, (live, other)))


# --- sides that exclude each other ---


def by_cluster(survey: Survey, clusters: Iterable[Iterable[str]]) -> tuple[Side, ...]:
    """One side for each cluster, given its hosts."""
    return tuple(Side(tuple(survey.node(name) for name in names)) for names in clusters)


def histories(survey: Survey) -> tuple[Side, ...]:
    """The nodes with a log, in groups in which no two exclude each other; empty ones apart from those with data."""
    groups: list[list[NodeFacts]] = []
    for node in survey.nodes:
        if node.log is None:
            continue
        home = next((group for group in groups if all(_fit(node, other) for other in group)), None)
        if home is None:
            groups.append([node])
        else:
            home.append(node)
    return tuple(Side(tuple(group)) for group in groups)


def _fit(one: NodeFacts, other: NodeFacts) -> bool:
    assert one.log is not None and other.log is not None
    return never_written(one) == never_written(other) and not contradict(one.log, other.log)


def two_histories(survey: Survey, sides: Sequence[Side], reason: str = "") -> Finding:
    """That there are several histories and none may be chosen by us: all sides, which is ahead, and what to type."""
    return Finding(Severity.ERROR, None, "contradiction", histories_told(sides, reason), way_out(survey, sides))


def histories_told(sides: Sequence[Side], reason: str = "") -> str:
    """That the sides exclude each other, each with what it has, and which is ahead."""
    why = f" ({reason})" if reason else ""
    return f"there are {len(sides)} histories that exclude each other: {_both(sides)}{why}"


def two_clusters(survey: Survey, sides: Sequence[Side]) -> Finding:
    """The same for nodes that belong to different clusters."""
    message = f"the nodes belong to {len(sides)} different clusters: {_both(sides, cluster=True)}"
    advice = way_out(survey, sides) + "; a node that belongs to neither is taken out of the inventory"
    return Finding(Severity.ERROR, None, "two-clusters", message, advice)


def best_side(sides: Sequence[Side]) -> Side | None:
    """The side that is ahead, by revision where all tell theirs, else by what is decided; None where two are level."""
    told = all(side.revision is not None for side in sides)

    def rank(side: Side) -> tuple[bool, int, int, int]:
        return (not side.empty, (side.revision or 0) if told else 0, side.commit, side.index)

    order = sorted(sides, key=rank, reverse=True)
    level = len(order) > 1 and rank(order[0]) == rank(order[1])
    return None if level else order[0]


def _both(sides: Sequence[Side], *, cluster: bool = False) -> str:
    best = best_side(sides)
    told = "; ".join(side.told(cluster=cluster) for side in sides)
    return told + (f"; ahead: {best.names}" if best is not None else "; none is ahead of the other")


def way_out(survey: Survey, sides: Sequence[Side]) -> str:
    """What to type. An empty side is only stopped; of sides with data one is moved away by hand, and nothing is deleted."""
    full = [side for side in sides if not side.empty]
    empty = [side for side in sides if side.empty]
    if len(full) == 1:
        what = _each(survey, empty, "")
        return f"stop the empty side, {what}; {_then(survey, full[0])}"
    return go_on_from(survey, sides, sides)


def go_on_from(survey: Survey, sides: Sequence[Side], able: Sequence[Side]) -> str:
    """What leads on from each of the sides that are `able`: on all others the data is moved away."""
    ways = [
        f"to go on from {side.names}: {_each(survey, [s for s in sides if s is not side], 'given-up')}" for side in able
    ]
    decide = "decide which is to stay; the other is moved away by hand, and is kept: " if len(ways) > 1 else ""
    return f"{decide}{'; '.join(ways)}; then `fleetrecover recover`"


def _then(survey: Survey, full: Side) -> str:
    """What comes after the empty side was stopped: what is said of the side with data must be what is done."""
    pinned = next((keep for n in survey.nodes for keep in n.open_keeps() if keep.pin and _moved(keep)), None)
    names = {node.name for node in full.nodes}
    first = ""
    if pinned is not None and pinned.pin is not None and pinned.pin.survivor not in {*names, ""}:
        first = f"`fleetrecover undo {pinned.run}`, which goes on from {pinned.pin.survivor}, takes that back; "
    if any(node.log is not None and node.log.node_id in node.log.configuration_at_end.voters for node in full.nodes):
        return f"{first}then `fleetrecover recover` goes on from the data of {full.names}"
    return (
        f"{first}then `fleetrecover recover` tells how the data of {full.names} is restored, since no member's reset can "
        "go on from it"
    )


def _moved(keep: Keep) -> bool:
    """Whether a run that resets has moved data on a node: its survivor is settled then."""
    resets = keep.pin is not None and keep.pin.kind == Remedy.RESET
    return resets and bool(keep.original or keep.partial or keep.work or keep.booted or keep.reset or keep.proof)


def _each(survey: Survey, sides: Iterable[Side], suffix: str) -> str:
    """The command on each host; hosts with the same command together."""
    told: dict[str, list[str]] = {}
    for side in sides:
        for node in side.nodes:
            told.setdefault(move_away(survey, node, suffix), []).append(node.name)
    return ", ".join(f"on {' and '.join(names)}: `{command}`" for command, names in told.items())


def move_away(survey: Survey, node: NodeFacts, suffix: str) -> str:
    """The command that stops a node's etcd, if it runs, and gives its data another name; without a suffix it only stops it."""
    running = next((c.name for c in node.containers if c.running and not c.isolated), None)
    hand = runtime_of(survey.fleet, node.host).hand
    words = [] if running is None and suffix else [hand.stop(running or "etcd")]
    words += [set_aside(node.data, suffix)] if suffix else []
    return " && ".join(words)
