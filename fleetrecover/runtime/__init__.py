"""PURE: what runs etcd on a node: the seam (`base`), docker and podman behind it (`containers`), and which one a host has."""

from fleetrecover.runtime.base import LOOPBACK, Defined, Listed, MemberIdentity, Runtime, State
from fleetrecover.runtime.choose import KINDS, kind_of, runtime_of

__all__ = [
    "KINDS",
    "LOOPBACK",
    "Defined",
    "Listed",
    "MemberIdentity",
    "Runtime",
    "State",
    "kind_of",
    "runtime_of",
]
