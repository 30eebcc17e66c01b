"""PURE: which runtime a host has: as the inventory says, for the whole fleet or for that host alone."""

from __future__ import annotations

from collections.abc import Callable

from fleetrecover.model import Fleet, Host
from fleetrecover.runtime.base import Runtime
from fleetrecover.runtime.containers import Containers


def _containers(fleet: Fleet, host: Host | None) -> Runtime:
    kind = kind_of(fleet, host)
    if kind not in KINDS or kind == fleet.etcd.runtime:
        # the fleet's command line tool is that of the fleet's own runtime
        return Containers("podman" if kind == "podman" and fleet.etcd.cli == "docker" else fleet.etcd.cli)
    return Containers(kind)


KINDS: dict[str, Callable[[Fleet, Host | None], Runtime]] = {"docker": _containers, "podman": _containers}
"""Those that are built, by their names in the inventory."""


def kind_of(fleet: Fleet, host: Host | None = None) -> str:
    """What the inventory says that runs etcd on a host."""
    return (host.runtime if host is not None else None) or fleet.etcd.runtime


def runtime_of(fleet: Fleet, host: Host | str | None = None) -> Runtime:
    """The runtime of a host, or of the fleet's hosts in general. One that is not built yet is looked at as containers: what it
    would be asked to change is refused before that (`decide/untouchable.py`). A name that the inventory does not have is one of
    the fleet's in general.
    """
    found = next((each for each in fleet.hosts if each.name == host), None) if isinstance(host, str) else host
    return KINDS.get(kind_of(fleet, found), _containers)(fleet, found)
