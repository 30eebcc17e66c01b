"""PURE: whether each host lets us in, and lets us do what a recovery does: SSH, its host key, sudo, reading and writing data."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.checks.base import Check, Observed, told
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.rights import lacking, to_add

CODES = frozenset(
    {
        *("remote", "unreachable", "host-key", "login", "sudo", "command", "unknown", "too-much", "answer"),
        *("forbidden", "unwritable", "same-machine"),
    }
)


def find(observed: Observed) -> Iterator[Finding]:
    """What diagnose says, and where the login user could not do the writes of a recovery."""
    found = list(told(observed, CODES, least=Severity.WARNING))
    yield from found
    known = {each.node for each in found}
    for node in observed.survey.nodes:
        why = lacking(node.data) if node.reachable else ""
        if why and node.name not in known:
            yield Finding(Severity.WARNING, node.name, "unwritable", f"{node.name}: {why}", to_add(node))
    for node in observed.survey.nodes:
        if node.through:
            said = (
                f"{node.name}: the login user is root through `{node.through} run` there: as long as its engine answers"
            )
            yield Finding(Severity.INFO, node.name, "through-engine", said)


CHECK = Check("login", "login, sudo and rights", find, CODES)
