"""Whether the login may read and write where snapshots lie: asked before a snapshot is saved, scheduled or removed."""

from __future__ import annotations

from fleetrecover.commands import snapshots as commands
from fleetrecover.decide.rights import ROOT, refuse, what_to_add
from fleetrecover.errors import RemoteError
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import look_at
from fleetrecover.survey import Reader


def may_not_read(directory: commands.SnapshotDirectory) -> str:
    """Why the directory is not known: the login may not look; empty where it may."""
    if not directory.forbidden:
        return ""
    add = what_to_add(directory.who, engine=directory.no_engine)
    return f"the login user {directory.who} may not read {directory.forbidden}: {add}"


def refuse_without_snapshots(fleet: Fleet, transport: Transport) -> None:
    """Raise Refused where a login that is not root may not read or write the snapshot directory of a node that answers."""

    def one(host: Host) -> commands.SnapshotDirectory:
        return Reader(host, transport).read(commands.listing(fleet.etcd.snapshots))

    told: dict[str, tuple[str, str, str]] = {}
    for name, found in look_at(fleet.hosts, one).items():
        if isinstance(found, RemoteError) or not found.who or found.who.endswith(ROOT):
            continue
        if found.forbidden or found.unwritable:
            verb, where = ("read", found.forbidden) if found.forbidden else ("write in", found.unwritable)
            told[name] = (found.who, f"the login user {found.who} may not {verb} {where}", found.no_engine)
    refuse(told)
