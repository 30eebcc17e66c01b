"""PURE: an inventory from what one node knows of its cluster's members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetrecover.decide.membership import host_of_url
from fleetrecover.drafts.draft import Draft, Row, unique_name
from fleetrecover.errors import InputError
from fleetrecover.facts import NodeFacts


def from_node(node: NodeFacts, cluster: str) -> Draft:
    """The members that a node knows of: asked of its etcd, else read from its log, else from its own command line.

    Raises InputError where it knows of none.
    """
    found, origin = _members(node)
    if not found:
        why = (
            "; ".join(p.message for p in (node.log_problem, node.status_problem, node.cli_problem) if p)
            or "no etcd there"
        )
        raise InputError(
            f"{node.host.address} knows of no etcd members: {why}",
            hint="name another etcd node, or copy hosts.example.toml and fill it in",
        )
    rows: list[Row] = []
    names: set[str] = set()
    for name, address in found:
        own = _same(node, address)
        rows.append(
            Row(
                name=unique_name(name.removeprefix("etcd-") or address, names),
                address=node.host.address if own else address,
                etcd_address=address if own and address != node.host.address else None,
            )
        )
    notes = [
        f"the members are {origin} of {node.host.address}",
        "SSH goes to the addresses that etcd uses: look them over",
    ]
    ssh = {key: value for key in ("user", "port") if (value := getattr(node.host, key)) is not None}
    return Draft(cluster, tuple(rows), ssh=ssh, notes=tuple(notes))


def _members(node: NodeFacts) -> tuple[list[tuple[str, str]], str]:
    """(member's name, address) of each, and where that stands."""
    if node.members:
        listed = [(member.name, list(member.peer_urls)) for member in node.members]
        return _addresses(listed), "those that etcd lists, as seen by the etcd"
    if node.log is not None and node.log.configuration.members:
        kept = [(member.name, list(member.peer_urls)) for member in node.log.configuration.members]
        return _addresses(kept), "read from the log"
    for container in node.containers:
        if container.config is not None and container.config.initial_cluster:
            told = [(name, list(urls)) for name, urls in container.config.initial_cluster.items()]
            return _addresses(told), "those of --initial-cluster, which may be out of date, in the container"
    return [], ""


def _addresses(members: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    found = [(name, next((host for url in urls if (host := host_of_url(url))), "")) for name, urls in members]
    return sorted((name or address, address) for name, address in found if address)


def _same(node: NodeFacts, address: str) -> bool:
    """Whether a peer address is that node's own."""
    own = {node.host.address, node.hostname}
    for container in node.containers:
        own |= {host_of_url(url) for url in container.peer_urls}
    return address in own
