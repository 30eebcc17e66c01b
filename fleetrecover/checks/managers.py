"""PURE: who else starts etcd: a unit, the kubelet, swarm. No matter while it serves; it stops a recovery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fleetrecover.checks.base import Check, Observed, told
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.managers import UNIT_HELD, cannot_hold, held_by_others

BY = frozenset(f"managed-by-{code}" for code in ("kubelet", "swarm", "scheduler", "unit", "cron", "compose"))
CODES = BY | {"etcd-unit", "managers-unknown", UNIT_HELD}


def find(observed: Observed) -> Iterator[Finding]:
    """What diagnose says of them; a warning where a manager could not be kept from starting etcd while we work."""
    stuck = {
        (node.name, f"managed-by-{manager.code}")
        for node in observed.survey.nodes
        for _, manager in held_by_others(node)
        if manager.starter is None or cannot_hold(node, manager.starter)
    }
    for found in told(observed, CODES):
        stops = found.code == "managers-unknown" or (found.node, found.code) in stuck
        stops = stops and found.severity is Severity.INFO
        yield replace(found, severity=Severity.WARNING) if stops else found


CHECK = Check("managers", "who else starts etcd", find, CODES)
