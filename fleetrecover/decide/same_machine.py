"""PURE: one machine, or one member, under two names of the inventory: it would be counted twice, and another not at all."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import combinations

from fleetrecover.decide.by_hand import set_aside
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.membership import own_id
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import NodeFacts, Survey

Sign = Callable[[NodeFacts], Hashable | None]


def same_machine(survey: Survey) -> tuple[Finding, ...]:
    """One finding for each two entries of the inventory that lead to one machine, or to one member's data.

    Virtual machines cloned from one image share machine-id, host name and SSH host key, but never a boot; the hosts of
    one kernel (containers) share a boot, but have names of their own. So only all three together are one machine.
    """
    return tuple(
        finding for one, other in combinations(survey.nodes, 2) if (finding := _compared(one, other)) is not None
    )


def _compared(one: NodeFacts, other: NodeFacts) -> Finding | None:
    names = f"{one.name} and {other.name}"
    advice = (
        f"look at the addresses of {names} in hosts.toml, and at what they resolve to (`getent hosts`, `ssh -G`); an entry "
        "that leads elsewhere must be mended, or taken out"
    )
    if _equal(one, other, _boot):
        return _found(other, f"{names} are one machine under two names (same machine-id, boot and host name)", advice)
    if _equal(one, other, _member):
        member = hex_id(own_id(one) or 0)
        return _found(
            other,
            f"{names} both hold the data of member {member}: they are one machine under two names, or one's disk is a copy of "
            "the other's",
            f"{advice}; if they are two machines, decide which of them is the member, and on the other one stop etcd and move "
            f"the copy away: `{set_aside(other.data, 'copy')}`",
        )
    return None


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
