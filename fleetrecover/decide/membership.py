"""PURE: whose member is whose: from members of a configuration to hosts of the inventory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from fleetrecover.etcd.membership import Configuration, Member, hex_id
from fleetrecover.facts import NodeFacts, Survey

PEER_PORT = 2380


def quorum(voters: int) -> int:
    """How many of `voters` must agree.

    >>> [quorum(n) for n in (1, 2, 3, 4, 5)]
    [1, 2, 2, 3, 3]
    """
    return voters // 2 + 1


def logs_needed(voters: int) -> int:
    """How many sound logs always include one that holds every acknowledged write: n − q + 1.

    Every acknowledged write is on q voters; n − q + 1 voters cannot all be among the other n − q.

    >>> [logs_needed(n) for n in (1, 2, 3, 4, 5)]
    [1, 1, 2, 2, 3]
    """
    return voters - quorum(voters) + 1


@dataclass(frozen=True)
class Seat:
    """A member of the cluster's configuration, and the inventory's host that it is, if any."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    learner: bool
    host: str | None

    @property
    def label(self) -> str:
        """How a person would call it: the host's name, else the member's."""
        return self.host or self.name or f"member {self.id:x}"

    def among(self, names: frozenset[str]) -> bool:
        """Whether it is one of these, as `decide.dead` makes them of an operator's words: hosts, and ids of members without.

        A member whose name is that of another one's host is not meant by it.
        """
        own = {self.host} if self.host is not None else {self.name}
        return bool(names & {*own, hex_id(self.id)})


def following(node: NodeFacts, seat: Seat) -> bool:
    """Whether a node's etcd says that it is this member, a learner, and has a leader: it answers no linearizable read then."""
    said = node.status
    return seat.learner and said is not None and said.is_learner and said.member_id == seat.id and said.leader_id != 0


@lru_cache(maxsize=4096)
def host_of_url(url: str) -> str:
    """The host part of a URL, without brackets and port; empty where there is none.

    >>> host_of_url("https://10.0.0.1:2380"), host_of_url("https://[fd00::1]:2380")
    ('10.0.0.1', 'fd00::1')
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def addresses_of(node: NodeFacts) -> frozenset[str]:
    """Every address under which a node's etcd may stand in a peer URL."""
    found = {node.host.address, node.host.etcd_address or node.host.address}
    for container in node.containers:
        found.update(host_of_url(url) for url in container.peer_urls)
    return frozenset(found - {"", "127.0.0.1", "localhost", "0.0.0.0", "::"})


def peer_addresses(nodes: Iterable[NodeFacts]) -> dict[str, tuple[str, int]]:
    """The address and port at which each node's etcd listens to its peers, by the node's name, as its own command says."""
    found: dict[str, tuple[str, int]] = {}
    for node in nodes:
        for container in node.containers:
            for url in container.peer_urls:
                host, port = host_of_url(url), port_of_url(url)
                if host and node.name not in found:
                    found[node.name] = (host, port)
    return found


def port_of_url(url: str) -> int:
    """The port of a peer URL, etcd's own where none is said.

    >>> port_of_url("https://10.0.0.1:2380"), port_of_url("https://10.0.0.1")
    (2380, 2380)
    """
    try:
        return urlsplit(url).port or PEER_PORT
    except ValueError:
        return PEER_PORT


def own_id(node: NodeFacts) -> int | None:
    """The member id that a node's running etcd, or the WAL in its data directory, names."""
    if node.status is not None:
        return node.status.member_id
    return node.log.node_id if node.log is not None else None


def seats(survey: Survey, members: tuple[Member, ...], learners: frozenset[int]) -> tuple[Seat, ...]:
    """Find each member's host: by the id in its data, else by an address in its peer URL, else by its etcd name."""
    by_id = {own: node for node in survey.nodes if (own := own_id(node)) is not None}
    addresses = [(node, addresses_of(node)) for node in survey.nodes]
    taken: dict[str, int] = {}
    found: list[Seat] = []
    for member in sorted(members, key=lambda m: m.id not in by_id):
        # where disks were exchanged, the host at a member's address is another member's by its data
        likely = (by_id.get(member.id), _by_address(addresses, member), _by_name(survey, member))
        node = next((each for each in likely if each is not None and each.name not in taken), None)
        if node is not None:
            taken[node.name] = member.id
        found.append(
            Seat(
                id=member.id,
                name=member.name,
                peer_urls=member.peer_urls,
                learner=member.id in learners,
                host=node.name if node else None,
            )
        )
    order = {node.name: position for position, node in enumerate(survey.nodes)}
    return tuple(sorted(found, key=lambda seat: (order.get(seat.host or "", len(order)), seat.id)))


def seats_of(survey: Survey, configuration: Configuration) -> tuple[Seat, ...]:
    """The seats of a configuration that a log tells of. A voter whose addresses are not known still has its seat."""
    known = {member.id: member for member in configuration.members}
    ids = configuration.voters | configuration.learners
    members = tuple(known.get(member_id, Member(member_id)) for member_id in sorted(ids))
    return seats(survey, members, configuration.learners)


def _by_address(addresses: Sequence[tuple[NodeFacts, frozenset[str]]], member: Member) -> NodeFacts | None:
    hosts = {host_of_url(url) for url in member.peer_urls} - {""}
    matching = [node for node, at in addresses if hosts & at]
    return matching[0] if len(matching) == 1 else None


def _by_name(survey: Survey, member: Member) -> NodeFacts | None:
    if not member.name:
        return None
    matching = [
        node
        for node in survey.nodes
        if node.name == member.name or any(c.etcd_name == member.name for c in node.containers)
    ]
    return matching[0] if len(matching) == 1 else None
