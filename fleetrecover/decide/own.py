"""PURE: which container is a node's own etcd, and what it is called: the one place that knows.

The inventory's name (the host's, else `[etcd] container`) comes first. Where no container has it, the own one is found by
what runs: Kubespray's etcd1, etcd2, kolla's, compose's. It comes back under the name that it had; only one that was plainly set
aside by hand (`etcd-old`) gets the inventory's name again.
"""

from __future__ import annotations

import re

from fleetrecover.decide.membership import own_id, seats_of
from fleetrecover.facts import KEPT_INFIX, Container, NodeFacts, Role, Survey
from fleetrecover.model import Fleet

_BY_HAND = re.compile(r"[-_.](old|older|bak|backup|orig|original|broken|save|saved|prev|previous|bad)([-_.]?\d*)", re.I)


def wanted_name(fleet: Fleet, node: NodeFacts) -> str:
    """The name that the inventory says, which need not be there."""
    return node.host.container or fleet.etcd.container


def own_of(fleet: Fleet, node: NodeFacts) -> Container | None:
    """The node's own etcd container, whatever it is called now; None where it has none."""
    return node.original(wanted_name(fleet, node))


def own_container(survey: Survey, node: NodeFacts) -> Container | None:
    """The same, of a survey."""
    return own_of(survey.fleet, node)


def own_name(survey: Survey, node: NodeFacts) -> str:
    """What the node's own container is called when it stands; where it has none, what one is to be called."""
    found = own_container(survey, node)
    return _name_of(survey.fleet, node, found) if found is not None else _name_to_give(survey, node)


def standing_container(survey: Survey, node: NodeFacts) -> Container | None:
    """The container that has the own one's name now; None while a run, or somebody, has set it aside."""
    return node.named(own_name(survey, node))


def unclear(fleet: Fleet, node: NodeFacts) -> tuple[Container, ...]:
    """The containers of which each could be the node's own, on data of their own; empty where it is clear which is."""
    wanted = wanted_name(fleet, node)
    theirs = [c for c in node.containers if c.role is None]
    if any(wanted in (c.name, c.kept_name) for c in theirs):
        return ()
    chosen = own_of(fleet, node)
    others = [c for c in theirs if chosen is not None and c.data_path != chosen.data_path]
    return (chosen, *others) if chosen is not None and others else ()


def _name_of(fleet: Fleet, node: NodeFacts, container: Container) -> str:
    recorded = next((k.names[container.id] for k in node.open_keeps() if container.id in k.names), container.name)
    name, wanted = recorded.partition(KEPT_INFIX)[0], wanted_name(fleet, node)
    by_hand = name.startswith(wanted) and _BY_HAND.fullmatch(name[len(wanted) :])
    return wanted if by_hand else name


def _name_to_give(survey: Survey, node: NodeFacts) -> str:
    """For a node without one: its joiner's, the inventory's for it, else what the others' names tell, else the inventory's."""
    ours = next((c.name for c in node.containers if c.role in (Role.JOINING, Role.MEMBER)), None)
    said = ours or node.host.container
    if said:
        return said
    others = [(each, found) for each in survey.nodes if (found := own_container(survey, each)) is not None]
    names = {_name_of(survey.fleet, each, found) for each, found in others}
    if len(names) == 1:
        return names.pop()
    if others and all(found.etcd_name == _name_of(survey.fleet, each, found) for each, found in others):
        return _member_name(survey, node) or survey.fleet.etcd.container
    return survey.fleet.etcd.container


def _member_name(survey: Survey, node: NodeFacts) -> str:
    """The member name that any log, or a running cluster, has for that host; empty where none tells."""
    mine = own_id(node)
    for each in survey.nodes:
        for seat in seats_of(survey, each.log.configuration_at_end) if each.log is not None else ():
            if seat.name and (seat.host == node.name or (mine is not None and seat.id == mine)):
                return seat.name
    return ""
