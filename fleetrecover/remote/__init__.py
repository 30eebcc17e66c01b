"""Connection, fan-out and retry: the only importers of Fabric, Paramiko and tenacity.

They cost a quarter of a second to import, so they are imported when they are first used, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetrecover.model import Fleet, Transport
    from fleetrecover.remote.connection import SshTransport
    from fleetrecover.remote.fanout import fan_out, look_at
    from fleetrecover.remote.retry import (
        FENCE_POLICY,
        LOOK_POLICY,
        MEMBER_ADD_POLICY,
        PROMOTE_POLICY,
        READ_POLICY,
        RECONNECT_POLICY,
        Policy,
        WaitTimeout,
        refusal,
        wait_until,
    )

__all__ = [
    "FENCE_POLICY",
    "LOOK_POLICY",
    "MEMBER_ADD_POLICY",
    "PROMOTE_POLICY",
    "READ_POLICY",
    "RECONNECT_POLICY",
    "Policy",
    "SshTransport",
    "WaitTimeout",
    "fan_out",
    "look_at",
    "open_transport",
    "refusal",
    "wait_until",
]

_HOMES = {"SshTransport": "connection", "fan_out": "fanout", "look_at": "fanout"}


def open_transport(fleet: Fleet) -> Transport:
    """Return what the inventory's `[ssh] client` says: Fabric's connections, or the machine's own ssh(1)."""
    if fleet.ssh.client == "openssh":
        from fleetrecover.remote.openssh import OpenSshTransport

        return OpenSshTransport(fleet)
    from fleetrecover.remote.connection import SshTransport

    return SshTransport(fleet)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'retry')}"), name)
