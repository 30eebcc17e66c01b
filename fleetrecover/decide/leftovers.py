"""PURE: containers that a run of ours made and left standing, though the run is over or gone."""

from __future__ import annotations

from fleetrecover.facts import Container, NodeFacts, Role, Survey

TRIAL = "trial-"
"""How the runs of `diagnose --trial` are called: they are short, and clean up by themselves."""


def open_runs(survey: Survey) -> frozenset[str]:
    """The runs that are under way on any node."""
    return frozenset(keep.run for node in survey.nodes for keep in node.open_keeps())


def leftovers(survey: Survey, node: NodeFacts) -> tuple[Container, ...]:
    """The joiners and quarantines of runs that are not under way any more, but for a joiner that is all that the node has."""
    under_way = open_runs(survey)
    return tuple(
        container
        for container in node.containers
        if container.role in (Role.JOINING, Role.QUARANTINE)
        and container.made_by is not None
        and container.made_by not in under_way
        and not container.made_by.startswith(TRIAL)
    )
