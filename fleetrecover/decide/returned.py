"""PURE: members of the old cluster that came back after the others went on without them.

A recovered cluster keeps its cluster id (docs/decisions/0004), so a member that was left behind is told that it was removed as
soon as it reaches one of the others, and ends. Until then, and again after each restart, it runs on its old data; two or more
of them that reach each other but not the cluster can form the old quorum, and serve what was true before the recovery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetrecover.decide.membership import quorum
from fleetrecover.facts import NodeFacts, Survey


@dataclass(frozen=True)
class Returned:
    """A host whose data is that of a member that is no more. `armed`: its etcd runs, or would start by itself."""

    node: str
    member_id: int | None
    electorate: frozenset[int]
    armed: bool


def returned_members(survey: Survey, members: frozenset[int], dead: frozenset[str]) -> tuple[Returned, ...]:
    """The hosts with data of this cluster under an id that is not in its member list."""
    clusters = {node.status.cluster_id for node in survey.nodes if node.healthy and node.status}
    found = []
    for node in survey.nodes:
        log = node.log
        if log is None or node.name in dead or log.cluster_id not in clusters or log.node_id in members:
            continue
        if node.data is None or not node.data.has_member:
            continue
        found.append(Returned(node.name, log.node_id, log.configuration_at_end.voters, armed(survey, node)))
    return tuple(found)


def armed(survey: Survey, node: NodeFacts) -> bool:
    """Whether an etcd runs in the open on the node, or would after a reboot."""
    return any(c.role is None and not c.isolated and c.armed for c in node.containers)


def old_quorum(returned: Sequence[Returned]) -> tuple[str, ...]:
    """Those armed members that could form a quorum of their own old configuration, if there are enough of them."""
    for one in returned:
        mine = [other for other in returned if other.armed and other.member_id in one.electorate]
        if one.armed and len(mine) >= quorum(len(one.electorate)):
            return tuple(other.node for other in mine)
    return ()


def split(survey: Survey) -> tuple[tuple[str, ...], ...]:
    """The groups of healthy nodes that do not agree on who the members are: more than one is a split brain."""
    groups: dict[frozenset[int], list[str]] = {}
    for node in survey.nodes:
        if node.healthy and node.members is not None:
            groups.setdefault(frozenset(member.id for member in node.members), []).append(node.name)
    disjoint = {
        ids: names
        for ids, names in groups.items()
        if any(node.status and node.status.member_id not in ids for node in survey.nodes if node.healthy)
    }
    return tuple(tuple(names) for names in groups.values()) if len(groups) > 1 and disjoint else ()
