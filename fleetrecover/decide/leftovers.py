"""PURE: containers that a run of ours made and left standing, though the run is over or gone, or another one goes on."""

from __future__ import annotations

from fleetrecover.facts import Container, NodeFacts, Role

TRIAL = "trial-"
"""How the runs of `diagnose --trial` are called: they are short, and clean up by themselves."""


def leftovers(node: NodeFacts, run: str | None) -> tuple[Container, ...]:
    """The joiners and quarantines of every run but `run`, which is gone on with, if any; but for a joiner that is the node's own.

    Of several runs that were not finished one is gone on with: what the others made stands in its way.
    """
    return tuple(
        container
        for container in node.containers
        if container.role in (Role.JOINING, Role.QUARANTINE)
        and container.made_by not in (None, run)
        and not str(container.made_by).startswith(TRIAL)
    )
