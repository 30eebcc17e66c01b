"""PURE: whether all members run one version of etcd: a rolling upgrade that was left half done."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.checks.base import Check, Observed
from fleetrecover.decide.finding import Finding, Severity

CODES = frozenset({"versions-differ"})


def find(observed: Observed) -> Iterator[Finding]:
    """A warning where they differ, with who runs what."""
    hosts: dict[str, list[str]] = {}
    for node in observed.survey.nodes:
        if node.status is not None and node.status.version:
            hosts.setdefault(node.status.version, []).append(node.name)
    if len(hosts) > 1:
        told = "; ".join(f"{version} on {', '.join(names)}" for version, names in sorted(hosts.items()))
        yield Finding(
            Severity.WARNING,
            None,
            "versions-differ",
            f"the members run different versions of etcd: {told}",
            "end the upgrade: an older etcd may refuse what a newer one has written",
        )


CHECK = Check("versions", "one version of etcd", find, CODES)
