"""PURE: one machine, or one member, under two names of the inventory: it would be counted twice, and another not at all."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import combinations

from fleetrecover.decide.by_hand import set_aside
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.membership import addresses_of, host_of_url, own_id
from fleetrecover.decide.sides import by_cluster, contradict, go_on_from, histories_told, move_away
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import NodeFacts, Survey

Sign = Callable[[NodeFacts], Hashable | None]


def same_machine(survey: Survey) -> tuple[Finding, ...]:
    """One finding for each two entries of the inventory that lead to one machine, or to one member's data.

    Virtual machines cloned from one image share machine-id, host name and SSH host key, but never a boot; the hosts of
    one kernel (containers) share a boot, but have names of their own. So only all three together are one machine.
    """
    pairs = combinations(survey.nodes, 2)
    return tuple(finding for one, other in pairs if (finding := _compared(survey, one, other)) is not None)


def _compared(survey: Survey, one: NodeFacts, other: NodeFacts) -> Finding | None:
    names = f"{one.name} and {other.name}"
    advice = (
        f"look at the addresses of {names} in hosts.toml, and at what they resolve to (`getent hosts`, `ssh -G`); an entry "
        "that leads elsewhere must be mended, or taken out"
    )
    if _equal(one, other, _boot):
        return _found(other, f"{names} are one machine under two names (same machine-id, boot and host name)", advice)
    if not _equal(one, other, _member):
        return None
    message = (
        f"{names} both hold the data of member {hex_id(own_id(one) or 0)}: they are one machine under two names, or one's disk "
        "is a copy of the other's"
    )
    if one.log is not None and other.log is not None and contradict(one.log, other.log):
        sides = by_cluster(survey, ((one.name,), (other.name,)))
        # an empty one is moved away, too: both claim to be one member
        able = [side for side in sides if not side.empty] or sides
        return _found(other, histories_told(sides, message), go_on_from(survey, sides, able))
    return _found(other, message, f"{advice}; if they are two machines, {_copy_away(survey, one, other)}")


def _copy_away(survey: Survey, one: NodeFacts, other: NodeFacts) -> str:
    """Which of two is the member, as far as that can be told, and the command that moves the other one's data away."""
    for keeps, leaves in ((one, other), (other, one)):
        at_home = _at_home(keeps) and not _at_home(leaves)
        if not leaves.healthy and (keeps.healthy or at_home):
            why = "serves" if keeps.healthy else "is where its peer URL leads"
            return f"{keeps.name} {why}: on {leaves.name}: `{move_away(survey, leaves, 'copy')}`, then the same command again"
    return (
        "decide which of them is the member, and on the other one stop etcd and move the copy away: "
        f"`{set_aside(other.data, 'copy')}`"
    )


def _at_home(node: NodeFacts) -> bool:
    """Whether the member's peer URL, as its own log has it, leads to this node."""
    member = node.log.configuration_at_end.member(node.log.node_id) if node.log is not None else None
    named = {host_of_url(url) for url in member.peer_urls} if member is not None else set()
    return bool(named & addresses_of(node))


def _found(node: NodeFacts, message: str, advice: str) -> Finding:
    return Finding(Severity.ERROR, node.name, "same-machine", message, advice)


def _equal(one: NodeFacts, other: NodeFacts, sign: Sign) -> bool:
    mine = sign(one)
    return mine is not None and mine == sign(other)


def _boot(node: NodeFacts) -> Hashable | None:
    return (node.machine, node.boot, node.hostname) if node.machine and node.boot else None


def _member(node: NodeFacts) -> Hashable | None:
    cluster = node.status.cluster_id if node.status else node.log.cluster_id if node.log else None
    own = own_id(node)
    return (cluster, own) if own and cluster is not None else None
