"""PURE: what forbids to begin, though it is clear what would have to be done: found before the first change.

Each is a finding like any other, so that `diagnose` and `check` tell it, too; `recover` refuses with it where its way needs
what is forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.versions import DOWNGRADE, FLAG, IMAGE, JOINER, version_barriers
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.runtime import runtime_of

AUTO_REMOVE, AUTH, OTHER_NAME, HALF_UNDONE = "auto-remove", "auth-enabled", "other-name", "undo-open"

_FORBIDS = {
    AUTO_REMOVE: ("reset", "repair"),
    AUTH: ("reset", "repair"),
    OTHER_NAME: ("reset", "repair", "start", "finish"),
    DOWNGRADE: ("reset", "repair", "start"),
    IMAGE: ("reset", "repair", "start"),
    FLAG: ("reset", "repair", "start"),
    JOINER: ("reset",),
}
"""For each code the remedies that it forbids."""


class RunNamed(Protocol):
    """What has to be known of the run that is under way."""

    @property
    def run(self) -> str:
        """Its id."""

    @property
    def cluster(self) -> str:
        """The cluster's name where it was begun."""


def forbidding(remedy: str, findings: Iterable[Finding]) -> Finding | None:
    """The first of the findings that forbids this remedy; None where none does."""
    errors = (found for found in findings if found.severity is Severity.ERROR)
    return next((found for found in errors if remedy in _FORBIDS.get(found.code, ())), None)


def barriers(survey: Survey, run: RunNamed | None) -> Iterator[Finding]:
    """All of them, node by node."""
    if run is not None and run.cluster and run.cluster != survey.fleet.cluster:
        yield _other_name(survey, run)
    yield from _authentication(survey)
    yield from version_barriers(survey)
    for node in survey.nodes:
        yield from _auto_remove(survey, node)


def _other_name(survey: Survey, run: RunNamed) -> Finding:
    mine = survey.fleet.cluster
    return Finding(
        Severity.ERROR,
        None,
        OTHER_NAME,
        f"run {run.run} was begun on these nodes for the cluster {run.cluster!r}, and is not closed; this inventory calls it "
        f"{mine!r}",
        f'if it is the same cluster, set cluster = "{run.cluster}" in hosts.toml and give the same command again, which '
        f"finishes it; or `fleetrecover undo {run.run}` takes it back",
    )


def _authentication(survey: Survey) -> Iterator[Finding]:
    """etcd's own authentication: health, hashkv and changes of membership want a user then, and we have none."""
    if any(node.healthy for node in survey.nodes):
        return  # it answers us, so it is off: what an older disk says counts no more
    known = [node.name for node in survey.nodes if node.db is not None and node.db.auth_enabled]
    if known:
        yield Finding(
            Severity.ERROR,
            known[0],
            AUTH,
            f"etcd's authentication is on (by the data of {', '.join(known)}): a reset, or a change of membership, could not be "
            "proven or done without a user",
            "while the cluster serves: `etcdctl --user root auth disable`, recover, then `auth enable`; without a quorum: "
            "bring back enough members that they can simply be started, or restore a snapshot from before it was turned on",
        )


def _auto_remove(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    for container in node.containers:
        if container.role is None and container.vanishes:
            name, hand = container.name, runtime_of(survey.fleet, node.host).hand
            yield Finding(
                # who serves is fenced by nothing but a reset, and there is none while one serves
                Severity.INFO if node.healthy else Severity.ERROR,
                node.name,
                AUTO_REMOVE,
                f"{node.name}: container {name} was started with --rm: stopping it destroys it, and nothing could put it back",
                f"`fleetrecover run-config {node.name} --container {name}` prints its command: take --rm out of it, stop what "
                f"starts it (a unit, a script), `{hand.stop(name)}`, and run the command; then give the same command again",
            )


def half_undone(survey: Survey) -> Finding | None:
    """A run whose undo has begun on a node and not ended there: what lies where is its to say, nobody else's."""
    begun = {keep.run: node.name for node in survey.nodes for keep in node.keeps if keep.undoing}
    if not begun:
        return None
    run = max(begun)
    names = ", ".join(node.name for node in survey.nodes for keep in node.keeps if keep.run == run and keep.undoing)
    return Finding(
        Severity.ERROR,
        begun[run],
        HALF_UNDONE,
        f"the undo of run {run} was begun and has not ended on {names}: what was before the run is in place in part only",
        f"`fleetrecover undo {run}` ends it, whatever state it was interrupted in; then look again",
    )
