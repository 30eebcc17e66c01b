"""PURE: what an undo takes out of service and what it brings back, in revisions; and who may be started after it.

"Nothing" and "not known" are different values: where the survivor, or its proof, cannot be seen, nobody knows what clients
have written since, and None says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleetrecover.decide.kept import is_original
from fleetrecover.decide.membership import quorum
from fleetrecover.decide.regrown import adopted
from fleetrecover.facts import Keep, KeptData, NodeFacts, Survey


@dataclass(frozen=True)
class Change:
    """What an undo changes. `revisions` and `entries` of the log are lost by it; None where that cannot be known.

    `gains`: by how many revisions what is put back is ahead of what serves or lies in place now.
    """

    revisions: int | None
    entries: int | None = None
    gains: int = 0


@dataclass(frozen=True)
class Starting:
    """Whose container is started first, if that matters; whose is not, and why."""

    first: str | None = None
    not_these: Mapping[str, str] = field(default_factory=dict)


def moves(node: NodeFacts, keep: Keep) -> bool:
    """Whether data is still to be moved on the node."""
    has_member = node.data is not None and node.data.has_member
    return keep.original or keep.parted or (keep.no_data and has_member)


def serving(survey: Survey) -> list[NodeFacts]:
    """The nodes whose etcd has quorum behind it."""
    return [node for node in survey.nodes if node.healthy and node.status is not None]


def change_by(survey: Survey, run: str, kind: str, todo: Sequence[NodeFacts]) -> Change:
    """What the undo of a run that is no restore takes out and brings back. `todo` are the nodes that it acts on."""
    moving = [node for node in todo if (keep := node.keep(run)) is not None and moves(node, keep)]
    if not moving:
        return Change(0)
    after = _best_after(survey, run, moving)
    if kind == "reset":
        return _since_the_proof(survey, run, moving, after)
    stays = [node for node in serving(survey) if node not in moving]
    now = _in_place(stays or moving)
    if stays:
        return Change(0, 0, _more(after, now))
    lost = None if now is None or after is None else max(0, now - after)
    return Change(lost, None, _more(after, now))


def _since_the_proof(survey: Survey, run: str, moving: Sequence[NodeFacts], after: int | None) -> Change:
    """Since the reset's proof, on the survivor: 0 where it never got so far as to serve."""
    pins = [keep.pin for node in survey.nodes if (keep := node.keep(run)) is not None and keep.pin]
    name = next((pin.survivor for pin in pins if pin.kind == "reset"), "")
    chief = next((node for node in survey.nodes if node.name == name and node.accessible), None)
    keep = chief.keep(run) if chief is not None else None
    if chief is None or keep is None:
        return Change(None)
    if keep.proof is None:
        # an undo sets the proof aside once the copy is out; then others may still have what was written to it
        return Change(None if keep.undoing or keep.undone else 0)
    members = _recovered(survey, chief, run)
    if not members:
        others = [node for node in moving if node is not chief and node.data is not None and node.data.has_member]
        in_place = chief.data is not None and chief.data.has_member and adopted(chief, run)
        return Change(None if in_place or (others and _joined_by(others, run)) else 0)
    now = _in_place(members)
    original = next((data for data in keep.kept or () if is_original(data)), None)
    ends = [n.status.commit if n.healthy and n.status else n.log.last.index if n.log else 0 for n in members]
    entries = max(0, max(ends) - original.index) if original is not None and original.index is not None else None
    return Change(None if now is None else max(0, now - keep.proof.revision), entries, _more(after, now))


def _joined_by(nodes: Iterable[NodeFacts], run: str) -> bool:
    """Whether any of them has data in place that is not its original: what the run has brought in."""
    return any(keep.original or keep.no_data for node in nodes if (keep := node.keep(run)) is not None)


def _recovered(survey: Survey, chief: NodeFacts, run: str) -> list[NodeFacts]:
    """The members of the cluster that the reset has made: those that serve, else those that the survivor's log counts."""
    live = serving(survey)
    if live:
        return live
    if not adopted(chief, run) or chief.log is None:
        return []
    ids = {member.id for member in chief.log.configuration_at_end.members} | {chief.log.node_id}
    return [
        node
        for node in survey.nodes
        if node.data is not None and node.data.has_member and node.log is not None and node.log.node_id in ids
    ]


def _in_place(nodes: Iterable[NodeFacts]) -> int | None:
    """The highest revision that serves or lies in place on these nodes; None where one of them cannot be read."""
    found: list[int] = []
    for node in nodes:
        if node.healthy and node.status is not None:
            found.append(node.status.revision)
        elif node.data is None or not node.data.has_member:
            continue
        elif node.db is None:
            return None
        else:
            found.append(node.db.revision)
    return max(found, default=None)


def _best_after(survey: Survey, run: str, moving: Sequence[NodeFacts]) -> int | None:
    """The highest revision that the disks have after the undo; None where none of them is known."""
    found: list[int] = []
    for node in survey.nodes:
        keep = node.keep(run)
        if node in moving:
            found += [
                d.revision for d in (keep.kept or () if keep else ()) if is_original(d) and d.revision is not None
            ]
        elif node.healthy and node.status is not None:
            found.append(node.status.revision)
        elif node.db is not None and node.data is not None and node.data.has_member:
            found.append(node.db.revision)
    return max(found, default=None)


def _more(after: int | None, now: int | None) -> int:
    return max(0, after - now) if after is not None and now is not None else 0


# --- who is started ---


def who_starts(survey: Survey, run: str, todo: Sequence[NodeFacts]) -> Starting:
    """Who is started after the undo. Nobody may be able to begin an empty quorum, nor one that has forgotten.

    A member without data would begin the cluster anew, or vote as one that has forgotten. Members that are behind what the
    best log knows to be decided are as they may be, as long as they are too few for a quorum: else one of them has forgotten.
    A container with the force flag makes its member the only one at each start.
    """
    disks = {node.name: _after(node, run) for node in survey.nodes if node.accessible}
    known = {name: disk for name, disk in disks.items() if disk is not None and disk.commit is not None}
    best = max(known, key=lambda name: (known[name].commit or 0, known[name].revision or 0), default=None)
    not_these = {
        node.name: "it had no data before the run, and would begin an empty cluster; it has no restart policy now. "
        "`fleetrecover recover` brings it in"
        for node in todo
        if disks.get(node.name) is None
    }
    not_these |= {
        node.name: "its container carries --force-new-cluster: started, it would expel every other member; it has no restart "
        "policy now. `fleetrecover recover` brings it in"
        for node in todo
        if node.name not in not_these and _expels(node, run, disks.get(node.name))
    }
    if best is None:
        return Starting(None, not_these)
    decided, voters = known[best].commit or 0, known[best].voters
    behind = [name for name, disk in known.items() if (disk.index or 0) < decided]
    empty = [name for name in disks if disks[name] is None]
    if voters and len(behind) + len(empty) >= quorum(len(voters)):
        lag = (
            f"its log ends before what {best} knows to be decided, and with others it could begin a quorum without it; it has no "
            f"restart policy now. `fleetrecover diagnose` shows both sides"
        )
        not_these |= {node.name: lag for node in todo if node.name in behind}
    return Starting(best, not_these)


def _expels(node: NodeFacts, run: str, disk: KeptData | None) -> bool:
    """Whether a container that ran before the run carries the force flag, on data of more than one member."""
    keep = node.keep(run)
    forced = keep is not None and any(c.forced and c.id in keep.ran for c in node.containers)
    return forced and (disk is None or disk.member_id is None or disk.voters != {disk.member_id})


def _after(node: NodeFacts, run: str) -> KeptData | None:
    """What will lie in place on a node; None for nothing. What cannot be read is something of which nothing is known."""
    keep = node.keep(run)
    if keep is not None and keep.original:
        return next((data for data in keep.kept or () if is_original(data)), KeptData(keep.path))
    if keep is not None and keep.no_data:
        return None
    if node.data is None:
        return KeptData("its data directory, which could not be looked at")
    if not node.data.has_member:
        return None
    log = node.log
    if log is None:
        return KeptData(node.data.path, node.db.revision if node.db else None)
    voters = log.configuration_at_end.voters
    revision = node.db.revision if node.db else None
    return KeptData(node.data.path, revision, log.last.index, log.commit, log.cluster_id, log.node_id, voters)
