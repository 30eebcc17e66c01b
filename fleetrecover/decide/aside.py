"""PURE: containers that are set aside, each under a name by which nothing finds it."""

from __future__ import annotations

from collections.abc import Iterable

from fleetrecover.commands.paths import RunPaths
from fleetrecover.facts import Container, NodeFacts
from fleetrecover.steps import FenceTarget


def aside_targets(paths: RunPaths, node: NodeFacts, containers: Iterable[Container]) -> tuple[FenceTarget, ...]:
    """These containers of a node with the names that they get: one that lies aside already keeps its own, no two are the same."""
    taken = {container.name for container in node.containers}
    targets: list[FenceTarget] = []
    for container in containers:
        keep_as = container.name if container.kept_name else paths.kept_name(container.name)
        while keep_as != container.name and keep_as in taken:
            keep_as += "-"
        taken.add(keep_as)
        targets.append(FenceTarget(container.id, container.name, keep_as, container.state == "paused"))
    return tuple(targets)
