"""The `docker run` that recreates a container of a node: read only. Stopped and renamed containers are read, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetrecover.commands import probes
from fleetrecover.decide.own import own_of, unclear
from fleetrecover.docker.etcd_config import is_etcd
from fleetrecover.docker.spec import ContainerSpec, from_inspect
from fleetrecover.errors import InputError, RemoteError
from fleetrecover.facts import KEPT_INFIX, NodeFacts
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.survey import Reader, container_facts


@dataclass(frozen=True)
class Found:
    """A container of a host and its spec."""

    host: Host
    name: str
    state: str
    spec: ContainerSpec


def read_config(fleet: Fleet, transport: Transport, host: str, container: str | None = None) -> Found:
    """The spec of a container: the one named, else the node's etcd, also where a run has set it aside.

    Raises InputError for a host or container that is not there, Unsupported or Refused for one that cannot be
    reproduced, RemoteError where the node cannot be reached.
    """
    try:
        target = fleet.host(host)
    except KeyError:
        known = ", ".join(each.name for each in fleet.hosts)
        raise InputError(f"there is no host {host} in the inventory", hint=f"hosts: {known}") from None
    reader = Reader(target, transport)
    document = _document(fleet, reader, container)
    images = reader.read(probes.images(fleet.etcd.cli, [str(document.get("Image", ""))]))
    info = reader.read(probes.engine_info(fleet.etcd.cli))
    spec = from_inspect(document, images.get(str(document.get("Image", ""))), info)
    name = str(document.get("Name", "")).lstrip("/")
    return Found(target, name, str((document.get("State") or {}).get("Status", "")), spec)


def _document(fleet: Fleet, reader: Reader, container: str | None) -> Mapping[str, Any]:
    if container is not None:
        found = reader.read(probes.container_state(fleet.etcd.cli, container))
        if found is None:
            raise InputError(f"there is no container {container} on {reader.host.name}", hint=_others(fleet, reader))
        return found
    wanted = reader.host.container or fleet.etcd.container
    documents = reader.read(probes.containers(fleet.etcd.cli, wanted))
    by_name = {str(each.get("Name", "")).lstrip("/"): each for each in documents}
    kept = sorted(name for name in by_name if name.startswith(wanted + KEPT_INFIX))
    for name in [wanted, *reversed(kept)]:
        if name in by_name:
            return by_name[name]
    node = NodeFacts(
        reader.host,
        reachable=True,
        containers=tuple(container_facts(each, None) for each in documents if is_etcd(each)),
    )
    own = own_of(fleet, node)
    if own is None or unclear(fleet, node):
        raise InputError(f"there is no container {wanted} on {reader.host.name}", hint=_others(fleet, reader))
    return by_name[own.name]


def _others(fleet: Fleet, reader: Reader) -> str:
    try:
        found: Sequence[Mapping[str, Any]] = reader.read(
            probes.containers(fleet.etcd.cli, reader.host.container or fleet.etcd.container)
        )
    except RemoteError:
        return "see `docker ps -a` there"
    names = ", ".join(sorted(str(each.get("Name", "")).lstrip("/") for each in found))
    return f"what may be one: {names}" if names else "see `docker ps -a` there"
