"""Remove superfluous snapshots by hand: what a schedule's retention does, for all files and with the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleetrecover.commands import snapshots as commands
from fleetrecover.errors import CommandFailed, Refused, RemoteError, StoppedPartWay
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import fan_out
from fleetrecover.snapshots.catalogue import Catalogue, Row, State
from fleetrecover.snapshots.listing import list_snapshots
from fleetrecover.snapshots.transfer import Progress
from fleetrecover.survey import take_survey


@dataclass(frozen=True)
class Pruning:
    """What is to go, and what stays."""

    rows: tuple[Row, ...]
    kept: tuple[Row, ...]


def superfluous(catalogue: Catalogue, keep: int, keep_for: int, now: datetime) -> Pruning:
    """PURE: the whole ones beyond the `keep` newest that are older than `keep_for` seconds. Damaged ones are left alone.

    RKE takes a snapshot on every node under one name: those count as one, so that `keep` means points in time.
    """
    whole = [row for row in catalogue.rows if row.state is State.WHOLE]
    names: list[str] = []
    for row in whole:
        if row.names[0] not in names:
            names.append(row.names[0])
    old = now - timedelta(seconds=keep_for)
    gone = [row for row in whole if row.names[0] in names[max(1, keep) :] and (not keep_for or row.time < old)]
    return Pruning(tuple(gone), tuple(row for row in whole if row not in gone))


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
    return superfluous(list_snapshots(fleet, transport, progress=progress), keep, keep_for, datetime.now(UTC))


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
