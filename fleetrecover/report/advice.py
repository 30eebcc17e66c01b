"""PURE: what to type, or to do, where a check is not good."""

from __future__ import annotations

from collections.abc import Mapping

LOOK = "`fleetrecover diagnose` says what to do"

_BY_CHECK: Mapping[str, str] = {
    "members": "`fleetrecover recover` brings in who is missing; `fleetrecover diagnose` says more",
    "healthy": "`fleetrecover diagnose` says why; `fleetrecover recover` mends what can be mended",
    "same content": "`fleetrecover verify` once more; if it stays so, `etcdctl endpoint hashkv --cluster` shows which member "
    "differs",
    "revision": "write nothing more to the cluster; `fleetrecover diagnose` says which side knows more",
    "no alarm": "free space or compact and defragment, then `etcdctl alarm disarm`",
    "no force flag": "`fleetrecover recover` takes it away",
    "restart policies": "`fleetrecover recover` gives them back, or `docker update --restart=always etcd` on that node",
    "no second container": "after a look at it, `docker update --restart=no NAME` on that node",
    "no returned member": "`fleetrecover recover` fences it, and brings it in as a new member",
}


def advice_for(check: str) -> str:
    """What to do about a check of that name.

    >>> advice_for("no force flag")
    '`fleetrecover recover` takes it away'
    """
    return _BY_CHECK.get(check, LOOK)
