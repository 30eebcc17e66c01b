"""Remove superfluous snapshots by hand: what a schedule's retention does, for all files and with the whole picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.snapshots import PREFIX
from fleetrecover.errors import CommandFailed, Refused, RemoteError, StoppedPartWay
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import fan_out
from fleetrecover.snapshots import schedule
from fleetrecover.snapshots.catalogue import Catalogue, Row, State
from fleetrecover.snapshots.listing import list_snapshots
from fleetrecover.snapshots.rights import refuse_without_snapshots
from fleetrecover.snapshots.transfer import Progress
from fleetrecover.survey import take_survey

PERIOD = 600
"""Seconds within which scheduled snapshots of several nodes are of one time, where no node says how often it takes them."""
_AUTOMATIC = re.compile(
    rf"{re.escape(PREFIX)}.*|\d{{4}}-\d\d-\d\dT.*_etcd(\.zip|\.gz)?|rke_etcd_snapshot_\d{{4}}-.*|c-[a-z0-9]+-r[ls]?-.*"
)
"""Names that this program's schedule, RKE's, Rancher's, and a save without a name give."""


@dataclass(frozen=True)
class Pruning:
    """What is to go, and what stays. `by_hand` is superfluous, too, but somebody gave it a name: it goes only if that is said."""

    rows: tuple[Row, ...]
    kept: tuple[Row, ...]
    by_hand: tuple[Row, ...] = ()

    def with_named(self) -> Pruning:
        """The same, with what was named by hand."""
        return replace(self, rows=self.rows + self.by_hand, by_hand=())

    def without_named(self) -> Pruning:
        """The same; what was named by hand stays."""
        return replace(self, kept=self.kept + self.by_hand, by_hand=())


def superfluous(catalogue: Catalogue, keep: int, keep_for: int, now: datetime, period: int = PERIOD) -> Pruning:
    """PURE: the whole ones beyond the `keep` newest points in time that are older than `keep_for` seconds.

    Damaged ones are left alone, and the newest point stays whatever was asked. `period`: see `points_in_time`.
    """
    whole = [row for row in catalogue.rows if row.state is State.WHOLE]
    old = now - timedelta(seconds=keep_for)
    beyond = [row for point in points_in_time(whole, period)[max(1, keep) :] for row in point]
    gone = [row for row in beyond if not keep_for or row.time < old]
    named = tuple(row for row in gone if not automatic(row))
    rest = tuple(row for row in gone if automatic(row))
    return Pruning(rest, tuple(row for row in whole if row not in gone), named)


def automatic(row: Row) -> bool:
    """Whether all of its names are such as programs give."""
    return all(_AUTOMATIC.fullmatch(name) for name in row.names)


def points_in_time(rows: Iterable[Row], period: int) -> list[list[Row]]:
    """PURE: the rows by the point in time that they are of, the newest point first.

    RKE takes a snapshot on every node under one name: those are one point. Our schedule names the second, and each node
    has its own, in the order in which they came up: of those, one of each node within a `period` (seconds: the time between
    two on one node) are one point.
    """
    points: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: row.time, reverse=True):
        point = next((point for point in points if _belongs(row, point, period)), None)
        if point is None:
            points.append([row])
        else:
            point.append(row)
    return points


def _belongs(row: Row, point: Sequence[Row], period: int) -> bool:
    if any(set(row.names) & set(other.names) for other in point):
        return True
    if not all(_scheduled(each) for each in (row, *point)):
        return False
    taken = {place for other in point for place in other.places}
    return not taken & set(row.places) and point[0].time - row.time < timedelta(seconds=period)


def _scheduled(row: Row) -> bool:
    return all(name.startswith(PREFIX) for name in row.names)


def plan(fleet: Fleet, transport: Transport, keep: int, keep_for: int, progress: Progress) -> Pruning:
    """What could go. Raises Refused without quorum: then any snapshot may be the last good one."""
    survey = take_survey(fleet, transport, logs=False)
    if not any(node.healthy for node in survey.nodes):
        raise Refused(
            "the cluster has no quorum, so any snapshot may be needed; nothing was removed",
            hint="bring it back first: `fleetrecover recover`",
        )
    away = [node.name for node in survey.nodes if not node.reachable]
    if away:
        raise Refused(f"{', '.join(away)} cannot be looked at, so it is not known what is newest; nothing was removed")
    refuse_without_snapshots(fleet, transport)
    found = list_snapshots(fleet, transport, progress=progress)
    if found.problems:
        told = "; ".join(f"{name}: {why}" for name, why in found.problems)
        raise Refused(f"it is not known what is newest; nothing was removed ({told})")
    every = [row.status.every for row in schedule.status(fleet, transport) if row.status and row.status.installed]
    return superfluous(found, keep, keep_for, datetime.now(UTC), max([*every, 0]) or PERIOD)


def apply(fleet: Fleet, transport: Transport, pruning: Pruning) -> None:
    """Remove them. Raises StoppedPartWay."""
    paths: dict[str, list[str]] = {}
    for row in pruning.rows:
        for file in row.files:
            if file.node is not None:
                paths.setdefault(file.node, []).append(file.path)

    def one(host: Host) -> None:
        [result] = transport.batch(host, [commands.prune_files(paths[host.name]).command])
        if not result.ok:
            raise CommandFailed(host.name, result.error_text[-300:], exit_code=result.exit_code)

    found = fan_out([host for host in fleet.hosts if host.name in paths], one)
    failed = [value.message for value in found.values() if isinstance(value, RemoteError)]
    if failed:
        raise StoppedPartWay(f"some could not be removed: {'; '.join(failed)}", hint="the same command again goes on")
