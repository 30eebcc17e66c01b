"""Names, addresses and places of a lab, all derived from where it lies. Pure, apart from reading a state file."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fleetrecover.errors import InputError

BASE = "/var/lib/fleetrecover-lab"
CGROUP = "fleetrecover-lab"
MAX_NODES = 7
MARK = "FLEETRECOVER_LAB_HOST"
NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")

#: directories of a host that lie on its own disk and are bind-mounted; all else is an overlay over the machine's root.
#: /var/lib is one file system, so that etcd's data can be renamed to a sibling directory.
BINDS = ("/var/lib", "/var/log", "/opt", "/root", "/home", "/tmp", "/etc/kubernetes")


def base_directory(directory: Path | None = None) -> Path:
    """Where labs lie: the argument, else $FLEETRECOVER_LAB_DIR, else /var/lib/fleetrecover-lab."""
    return Path(directory or os.environ.get("FLEETRECOVER_LAB_DIR") or BASE).absolute()


def check_name(name: str) -> str:
    """A lab's name is a directory, a control group and part of the certificates: lower case, digits, dashes."""
    if not NAME_PATTERN.fullmatch(name):
        raise InputError(f"{name!r} is no name for a lab", hint="use lower-case letters, digits and dashes, at most 32")
    return name


@dataclass(frozen=True)
class HostSpec:
    """What is fixed of a host: the inventory's name etcdN, the machine's own host name nodeN, its address."""

    number: int
    name: str
    hostname: str
    address: str

    @property
    def member(self) -> str:
        """RKE1's name for the etcd member."""
        return f"etcd-{self.hostname}"

    @property
    def certificate(self) -> str:
        """RKE1's name for the certificate, which is not the member's."""
        return f"kube-etcd-{self.address.replace('.', '-')}"


RKE_ELECTION = 5000
"""The election timeout that RKE1 gives its etcd, in milliseconds; its heartbeat is a tenth of that."""


@dataclass(frozen=True)
class LabState:
    """What `lab.json` says. It is written before anything is made, so that a killed `up` can be cleaned up.

    `election` is etcd's election timeout, in milliseconds.
    """

    name: str
    directory: str
    subnet: str
    etcd: str
    kubernetes: bool = False
    internal: bool = False
    complete: bool = False
    election: int = RKE_ELECTION
    hosts: tuple[HostSpec, ...] = field(default_factory=tuple)

    @property
    def path(self) -> Path:
        """The lab's own directory."""
        return Path(self.directory)

    @property
    def tag(self) -> str:
        """Six hex digits that tell this lab's links from any other's."""
        return tag_of(self.path)

    @property
    def bridge(self) -> str:
        """The bridge that all hosts are plugged into."""
        return f"frb-{self.tag}"

    @property
    def gateway(self) -> str:
        """This machine's own address on the bridge."""
        return str(ipaddress.ip_network(self.subnet)[1])

    @property
    def cgroup(self) -> str:
        """The control group of everything in the lab, relative to the hierarchy."""
        return f"{CGROUP}/{self.path.name}-{self.tag}"

    def veth(self, spec: HostSpec) -> str:
        """The machine's end of a host's cable."""
        return f"frv-{self.tag}-{spec.number}"

    def host_directory(self, spec: HostSpec) -> Path:
        """Where a host's disk and boot script lie."""
        return self.path / spec.name

    def dumps(self) -> str:
        """The text of `lab.json`."""
        return json.dumps(asdict(self), indent=2) + "\n"


def loads(text: str) -> LabState:
    """Read `lab.json`; InputError when it is not one."""
    try:
        raw = json.loads(text)
        hosts = tuple(HostSpec(**host) for host in raw.pop("hosts"))
        return LabState(hosts=hosts, **raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the lab's state file cannot be read: {error}", hint="fleetrecover lab down") from error


def tag_of(directory: Path) -> str:
    """Six hex digits from the lab's place: a killed `up` that left no state is found by them."""
    return hashlib.sha256(str(directory).encode()).hexdigest()[:6]


def make_hosts(subnet: str, nodes: int) -> tuple[HostSpec, ...]:
    """Hosts etcd1… at .11…"""
    if not 1 <= nodes <= MAX_NODES:
        raise InputError(f"a lab has 1 to {MAX_NODES} hosts, not {nodes}")
    network = ipaddress.ip_network(subnet)
    return tuple(HostSpec(n, f"etcd{n}", f"node{n}", str(network[10 + n])) for n in range(1, nodes + 1))


def choose_subnet(tag: str, taken: Iterable[str]) -> str:
    """A 10.x.y.0/24 that overlaps nothing in `taken` (routes, other labs); the same lab gets the same one again."""
    networks = [ipaddress.ip_network(text, strict=False) for text in taken]
    start = int(tag, 16)
    for step in range(0x8000):
        second, third = divmod((start + step * 257) % 0x8000, 256)
        subnet = ipaddress.ip_network(f"10.{second + 64}.{third}.0/24")
        if not any(network.version == 4 and network.overlaps(subnet) for network in networks):
            return str(subnet)
    raise InputError("no free 10.x.y.0/24 network is left on this machine")


def taken_networks(routes_json: str) -> list[str]:
    """The destinations in `ip -json route show table all`; default routes are no obstacle."""
    destinations = [route.get("dst", "") for route in json.loads(routes_json or "[]")]
    return [text for text in destinations if text and text != "default" and ":" not in text and text != "0.0.0.0/0"]
