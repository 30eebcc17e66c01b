"""PURE: whether each host's container engine answers and has an etcd container that could be made again as it is."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.checks.base import Check, Observed, told
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.own import own_container

CODES = frozenset(
    {
        "no-engine",
        "no-container",
        "wrapped",
        "which-container",
        "in-container",
        "other-runtime",
        "wal-apart",
        "auto-remove",
    }
)


def find(observed: Observed) -> Iterator[Finding]:
    """What diagnose says of the engine, and settings of etcd's container that no recovery could reproduce."""
    yield from told(observed, CODES, least=Severity.WARNING)
    for node in observed.survey.nodes:
        own = own_container(observed.survey, node) if node.accessible else None
        if own is not None and own.spec is None:
            yield Finding(
                Severity.WARNING,
                node.name,
                "container-unread",
                f"{node.name}: container {own.name} has a setting that could not be reproduced: {own.spec_problem}",
                "make the container without it; until then its node is left out where it would have to be made anew",
            )


CHECK = Check("engine", "container engine and container", find, CODES)
