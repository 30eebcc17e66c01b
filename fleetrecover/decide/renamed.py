"""PURE: a node's own container that somebody has renamed while its etcd serves on: it is given its own name back.

A container's name is nothing to its etcd, but all to who looks after it by that name (RKE, a person, this program). What a
container is to be called is told by `own`: one that its owner calls otherwise keeps its name.
"""

from __future__ import annotations

from fleetrecover.decide.own import own_container, own_name, standing_container
from fleetrecover.facts import Container, NodeFacts, Survey


def renamed(survey: Survey, node: NodeFacts) -> Container | None:
    """The container that serves on the node under another name than its own; None where it has it, or nothing can be done.

    Nothing is done where anything else has the name, nor where another etcd runs there, too: which of them serves?
    """
    own = own_container(survey, node)
    if own is None or not node.healthy or standing_container(survey, node) is not None:
        return None
    running = [c.id for c in node.containers if c.running and not c.isolated]
    return own if own.name != own_name(survey, node) and running == [own.id] else None


def in_place(survey: Survey, node: NodeFacts) -> Container | None:
    """The container that has the own one's name, or serves in its stead."""
    return standing_container(survey, node) or renamed(survey, node)
