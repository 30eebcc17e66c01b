"""The command that recreates a node's etcd as it is started: read only. Stopped and renamed containers are read, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetrecover.decide.own import own_of, unclear
from fleetrecover.errors import InputError, RemoteError
from fleetrecover.facts import KEPT_INFIX, NodeFacts
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.runtime import Defined, runtime_of
from fleetrecover.survey import Reader


@dataclass(frozen=True)
class Found:
    """A container of a host: the command that makes it anew, ready to paste, and its definition as JSON."""

    host: Host
    name: str
    state: str
    command: str
    document: Mapping[str, Any]


def read_config(fleet: Fleet, transport: Transport, host: str, container: str | None = None) -> Found:
    """A container's definition: the one named, else the node's etcd, also where a run has set it aside.

    Raises InputError for a host or container that is not there, Unsupported or Refused for one that cannot be
    reproduced, RemoteError where the node cannot be reached.
    """
    try:
        target = fleet.host(host)
    except KeyError:
        known = ", ".join(each.name for each in fleet.hosts)
        raise InputError(f"there is no host {host} in the inventory", hint=f"hosts: {known}") from None
    reader, rt = Reader(target, transport), runtime_of(fleet, target)
    found = _defined(fleet, reader, container)
    return Found(target, found.name, found.status, rt.pasted(found.definition), rt.document(found.definition))


def _defined(fleet: Fleet, reader: Reader, container: str | None) -> Defined:
    rt, wanted = runtime_of(fleet, reader.host), reader.host.container or fleet.etcd.container
    found = rt.defined(container or wanted, reader.read)
    if found is not None:
        return found
    if container is None:
        listed = reader.read(rt.listing(wanted))
        there = rt.instances(listed, reader.read)
        kept = sorted((each.name for each in there if each.name.startswith(wanted + KEPT_INFIX)), reverse=True)
        node = NodeFacts(reader.host, reachable=True, containers=there)
        own = own_of(fleet, node)
        name = next(iter(kept), own.name if own is not None and not unclear(fleet, node) else None)
        found = rt.defined(name, reader.read) if name is not None else None
    if found is None:
        raise InputError(
            f"there is no container {container or wanted} on {reader.host.name}", hint=_others(fleet, reader)
        )
    return found


def _others(fleet: Fleet, reader: Reader) -> str:
    rt = runtime_of(fleet, reader.host)
    see = f"see `{rt.hand.list()}` there"
    try:
        names = rt.names(reader.read(rt.listing(reader.host.container or fleet.etcd.container)))
    except RemoteError:
        return see
    return f"what may be one: {', '.join(sorted(names))}" if names else see
