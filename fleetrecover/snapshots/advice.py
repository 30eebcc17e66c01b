"""What `diagnose` and `recover` say of snapshots while quorum is lost: the numbers, and the command to type. Never more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict
from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.restore import restore_under_way
from fleetrecover.errors import FleetRecoverError
from fleetrecover.facts import Survey
from fleetrecover.model import Fleet, Transport
from fleetrecover.snapshots.catalogue import Catalogue, snapshot_finding
from fleetrecover.snapshots.listing import list_snapshots, readable_log

NEWEST = 2
"""So many of each node are looked into: an outage is no time to read everything."""


def advised(fleet: Fleet, transport: Transport, survey: Survey, diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis, with a finding about snapshots where they matter: no log can be read, or one is ahead."""
    return advised_by(lambda: youngest(fleet, transport, survey), survey, diagnosis)


def youngest(fleet: Fleet, transport: Transport, survey: Survey) -> Catalogue:
    """The snapshots that the hosts at hand have, of which only the youngest are looked into. Raises FleetRecoverError."""
    return list_snapshots(reachable(fleet, survey), transport, survey=survey, newest=NEWEST)


def advised_by(look: Callable[[], Catalogue], survey: Survey, diagnosis: Diagnosis) -> Diagnosis:
    """The same, by what `look` finds; it is asked only where snapshots matter, and may raise."""
    lost = diagnosis.verdict in (Verdict.QUORUM_LOST, Verdict.UNDETERMINED)
    if not lost or diagnosis.remedy not in (Remedy.RESET, Remedy.BLOCKED):
        return diagnosis
    if diagnosis.open_run is not None and (diagnosis.open_run.pinned or restore_under_way(diagnosis.open_run)):
        return diagnosis
    try:
        found = look()
    except FleetRecoverError as error:
        finding: Finding | None = Finding(
            Severity.INFO, None, "snapshots-unread", f"the snapshots could not be looked at: {error.message}"
        )
    else:
        finding = snapshot_finding(found, log_readable=readable_log(survey))
    if finding is None:
        return diagnosis
    return replace(diagnosis, findings=ranked([*diagnosis.findings, finding]))


def reachable(fleet: Fleet, survey: Survey) -> Fleet:
    """The fleet without the nodes that did not answer a moment ago: they would be waited for once more."""
    return replace(fleet, hosts=tuple(node.host for node in survey.nodes if node.reachable))
