"""The rehearsal fleet: hosts on this one Linux machine that are real where it matters. Needs root.

    from fleetrecover.lab import Lab

    lab = Lab.up("demo", nodes=3, etcd="3.4.23", progress=print)   # or Lab.load("demo"); 3 s with a warm cache
    client = lab.client()                                          # past SSH, Docker and etcdctl
    with client.writer(threads=8) as writer:                       # remembers what etcd acknowledged
        writer.wait_for(1000)
        lab.kill_all_at_once()                                     # every host loses power in the same instant
        acknowledged = writer.stop()
    lab.power_on("etcd1")                                          # the same disk; quorum is lost
    # … fleetrecover recover --inventory {lab.inventory} …
    assert client.verify(acknowledged, "etcd1").whole
    lab.reset_etcd("3.5.16")                                       # all repaired, a fresh cluster, seconds
    lab.down()                                                     # Lab.clear("demo") also clears half a lab

A host (`LabHost`: name etcd1, host name node1, address, pid, directory) is a set of mount, network, PID, UTS and IPC
namespaces. Its root is an overlay over the machine's own, so every file can be changed in it; /var/lib, /opt, /root,
/etc/kubernetes and some more lie on a disk image of its own (`lab.host("etcd1").path("/var/lib/etcd")` is where they can
be read from here, powered off or not). In it run an sshd, a dockerd with its containerd, and an etcd as RKE1 starts it.
Users: root, `ops` (may `sudo -n`), `nosudo`; all with the lab's key.

    looking     exec, shell, etcdctl, ssh_argv, status
    breaking    power_off, cut, netem, kill_etcd, kill_all_at_once, remove_etcd, wipe, stop_dockerd, fill_disk
    mending     power_on, mend, clear_netem, start_dockerd, unfill_disk, reset_etcd, wait_healthy

Layers: `fleet` (Lab) → `host` → `system`; pure: `layout`, `files`, `rke`; programs: `apt` → `packages` → `image`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleetrecover.lab.client import Client, EtcdFailed, Verdict, Writer
    from fleetrecover.lab.fleet import HostStatus, Lab, LabStatus
    from fleetrecover.lab.host import LabHost
    from fleetrecover.lab.system import LabError, MissingTools

__all__ = [
    "Client",
    "EtcdFailed",
    "HostStatus",
    "Lab",
    "LabError",
    "LabHost",
    "LabStatus",
    "MissingTools",
    "Verdict",
    "Writer",
]

_HOMES = {
    **dict.fromkeys(("Client", "EtcdFailed", "Verdict", "Writer"), "client"),
    **dict.fromkeys(("HostStatus", "Lab", "LabStatus"), "fleet"),
    "LabHost": "host",
    **dict.fromkeys(("LabError", "MissingTools"), "system"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a third of the start of every command would be the lab's certificates and images."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
