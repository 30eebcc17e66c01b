"""Ways to lose a cluster that take no time, for tests of what comes after."""

from __future__ import annotations

from fleetrecover.lab import Lab


def lose_two(lab: Lab, keys: int = 100) -> dict[str, str]:
    """Write, then take container and data of etcd2 and etcd3 away: etcd1 stays, without quorum. Returns what was written."""
    written = lab.client().fill("/before/", keys)
    for name in ("etcd2", "etcd3"):
        lab.remove_etcd(name)
        lab.wipe(name)
    return written
