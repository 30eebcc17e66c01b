"""PURE: whether there is a snapshot to fall back on: young, and whole by its checksum."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.checks.base import Check, Observed
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.loss import seconds

OLDEST = 25 * 3600.0
"""Older than so many seconds is too old: RKE's default takes one every 12 h, a nightly one is a day old at most."""
ADVICE = "`fleetrecover snapshot save` takes one now, `fleetrecover snapshot schedule --every 12h --keep 6` takes them regularly"
CODES = frozenset({"no-snapshot", "snapshot-old", "snapshot-unproven", "snapshot-late", "snapshots-unread"})


def find(observed: Observed) -> Iterator[Finding]:
    """A warning for each: none at all, none whole, too old, a schedule that is late."""
    for seen in observed.snapshots:
        if seen.late:
            yield _warn(
                seen.node,
                "snapshot-late",
                f"{seen.node}: the schedule: {seen.late}",
                "see `fleetrecover snapshot status`",
            )
    if observed.snapshots_problem:
        why = f"the snapshots could not be looked at: {observed.snapshots_problem}"
        yield _warn(None, "snapshots-unread", why, "see `fleetrecover snapshot list`")
        return
    files = [seen for seen in observed.snapshots if seen.taken is not None]
    if not files:
        directory = observed.survey.fleet.etcd.snapshots
        yield _warn(None, "no-snapshot", f"no host has a snapshot in {directory}", ADVICE)
        return
    whole = [seen for seen in files if seen.whole]
    if not whole:
        names = ", ".join(sorted({f"{seen.name} on {seen.node}" for seen in files}))
        yield _warn(None, "snapshot-unproven", f"no newest snapshot is whole by its checksum: {names}", ADVICE)
        return
    newest = max(whole, key=lambda seen: seen.taken or 0.0)
    age = (seconds(observed.survey.taken_at) or 0.0) - (newest.taken or 0.0)
    if age > OLDEST:
        message = f"the newest snapshot that is whole, {newest.name} on {newest.node}, is {age / 3600:,.0f} h old"
        yield _warn(None, "snapshot-old", message, ADVICE)


def _warn(node: str | None, code: str, message: str, advice: str) -> Finding:
    return Finding(Severity.WARNING, node, code, message, advice)


CHECK = Check("snapshots", "a snapshot to fall back on", find, CODES)
