"""PURE: does each member run on the host that its peer URL names, and the changes of URLs that set it right.

Where the data of two hosts was exchanged (disks, volumes, an address given to another machine), each etcd goes on as the
member that its data names, at an address that the others know as somebody else's: they find another id there ("ID mismatch")
and do not talk to it. Such a member is heard only by way of the connections that it opens itself to members that are where
they belong; two of them never hear each other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fleetrecover.decide.membership import Seat, addresses_of, host_of_url, own_id, port_of_url, quorum
from fleetrecover.decide.own import own_container
from fleetrecover.facts import NodeFacts, Survey


@dataclass(frozen=True)
class Misplaced:
    """A member whose data lies on `host` while its peer URL names another one.

    `named` are the hosts (of the inventory, else addresses) that the URL names. `wanted` are the peer URLs that the host's own
    container gives itself; empty where they are not known.
    """

    seat: Seat
    host: str
    named: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """The peer URLs that a member is to get. `detour`: only for a moment, to free the URL for another one."""

    seat: Seat
    host: str
    peer_urls: tuple[str, ...]
    detour: bool = False


def misplaced(survey: Survey, seats: Sequence[Seat], sole: Collection[str] = ()) -> tuple[Misplaced, ...]:
    """The members that do not run where their peer URL points.

    An address that no host of the inventory has may be another network card of the right one, so it counts only for those
    hosts in `sole` (a survivor that was reset): there the own container's word holds, since nobody else is there yet.
    """
    found = []
    for seat in seats:
        if seat.host is None or not seat.peer_urls:
            continue
        node = survey.node(seat.host)
        if own_id(node) != seat.id:
            continue
        named = {host_of_url(url) for url in seat.peer_urls} - {""}
        wanted = wanted_urls(survey, node)
        others = [other.name for other in survey.nodes if other.name != node.name and named & addresses_of(other)]
        elsewhere = not named & addresses_of(node) and bool(others or (node.name in sole and wanted))
        if elsewhere or on_a_detour(seat.peer_urls):
            found.append(Misplaced(seat, node.name, tuple(others) or tuple(sorted(named)), wanted))
    return tuple(found)


def displaced(survey: Survey, seats: Sequence[Seat]) -> tuple[Seat, ...]:
    """The members that run nowhere: at their peer URL another one serves, and no host of the inventory has their data.

    Only where every host's disk is known: one that cannot be looked at may be where the data is.
    """
    if not all(_disk_known(node) for node in survey.nodes):
        return ()
    ids = {seat.id for seat in seats}

    def taken(seat: Seat) -> bool:
        named = {host_of_url(url) for url in seat.peer_urls} - {""}
        there = [node for node in survey.nodes if named & addresses_of(node)]
        return bool(there) and all(node.healthy and own_id(node) in ids - {seat.id} for node in there)

    return tuple(seat for seat in seats if seat.host is None and taken(seat))


def _disk_known(node: NodeFacts) -> bool:
    empty = node.data is not None and not node.data.has_member
    return node.accessible and (empty or own_id(node) is not None)


def wanted_urls(survey: Survey, node: NodeFacts) -> tuple[str, ...]:
    """The peer URLs that the node's own container gives itself; none where they are not known."""
    found = own_container(survey, node)
    return found.peer_urls if found is not None else ()


def on_a_detour(peer_urls: Sequence[str]) -> bool:
    """Whether these are URLs that an exchange was interrupted at.

    >>> on_a_detour(("https://10.0.0.1:02380",)), on_a_detour(("https://10.0.0.1:2380",))
    (True, False)
    """
    return any(url.rpartition(":")[2].startswith("0") for url in peer_urls)


def detour(url: str) -> str:
    """Another spelling of the same address: etcd takes it for another URL, and every peer still finds the way there.

    >>> detour("https://10.0.0.1:2380"), detour("https://[fd00::1]:2380")
    ('https://10.0.0.1:02380', 'https://[fd00::1]:02380')
    """
    scheme, _, rest = url.partition("://")
    host = rest.rpartition("]")[0] + "]" if rest.startswith("[") else rest.partition(":")[0].partition("/")[0]
    return f"{scheme}://{host}:0{port_of_url(url)}"


def changes(
    wrong: Sequence[Misplaced], seats: Sequence[Seat], removed: Collection[int] = ()
) -> tuple[tuple[Change, ...], tuple[tuple[Misplaced, Seat], ...]]:
    """The changes in an order that etcd takes, which refuses a peer URL that another member has; and those that are blocked.

    Each is one change of the configuration, voted on by a quorum that none of them makes smaller: a member that was not
    found at its URL is not found less. Members in a ring (two that were exchanged) begin with a detour. Blocked is one
    whose URL belongs to a member that is right, or away; those in `removed` are gone before.
    """
    now = {seat.id: set(seat.peer_urls) for seat in seats if seat.id not in removed}
    todo = [each for each in wrong if each.wanted and each.seat.id in now]
    made: list[Change] = []
    blocked: list[tuple[Misplaced, Seat]] = []

    def holder(one: Misplaced) -> Seat | None:
        return next((s for s in seats if s.id in now and s.id != one.seat.id and now[s.id] & set(one.wanted)), None)

    while todo:
        free = next((each for each in todo if holder(each) is None), None)
        if free is not None:
            made.append(Change(free.seat, free.host, free.wanted))
            now[free.seat.id] = set(free.wanted)
            todo.remove(free)
            continue
        first = todo[0]
        other = holder(first)
        held = {each.seat.id for each in todo}
        if other is None or other.id not in held or on_a_detour(tuple(now[first.seat.id])):
            blocked += [(first, other)] if other is not None else []
            todo.remove(first)
            continue
        aside = tuple(detour(url) for url in first.wanted)
        made.append(Change(first.seat, first.host, aside, detour=True))
        now[first.seat.id] = set(aside)
    return tuple(made), tuple(blocked)


def can_elect(survey: Survey, seats: Sequence[Seat], ready: Sequence[str]) -> bool:
    """Whether the voters on the hosts `ready`, once started, hear enough of each other to elect a leader.

    A leader that is where it belongs hears all of them; one that is not hears only those that are, and itself.
    """
    voters = [seat for seat in seats if not seat.learner]
    need = quorum(len(voters)) if voters else 1
    wrong = {each.host for each in misplaced(survey, seats)} & set(ready)
    right = [name for name in ready if name not in wrong]
    if not wrong or len(right) >= need or (len(right) + 1 >= need and right):
        return len(ready) >= need
    ends = {name: log.last for name in ready if (log := survey.node(name).log) is not None}
    return len(ready) >= need and any(
        sum(1 for end in ends.values() if (end.term, end.index) <= (ends[name].term, ends[name].index)) >= need
        for name in right
        if name in ends
    )
