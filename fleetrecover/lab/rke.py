"""RKE1's shape of the containers, as `docker run` commands. Pure."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from fleetrecover.lab.layout import RKE_ELECTION, HostSpec

SSL = "/etc/kubernetes/ssl"
HYPERKUBE = "rancher/hyperkube:lab"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
CIPHERS = ",".join(
    f"TLS_ECDHE_{kind}_WITH_{cipher}"
    for cipher in ("AES_256_GCM_SHA384", "AES_128_GCM_SHA256")
    for kind in ("RSA", "ECDSA")
)


def version_tuple(version: str) -> tuple[int, ...]:
    """ "3.4.23" → (3, 4, 23); what follows a "+" tells builds of one version apart."""
    return tuple(int(part) for part in version.partition("+")[0].split("."))


def image_name(version: str) -> str:
    """As RKE names it; a tag has no "+"."""
    return f"rancher/mirrored-coreos-etcd:v{version.replace('+', '-')}-rancher1"


def etcd_flags(
    spec: HostSpec, hosts: Sequence[HostSpec], version: str, *, internal: bool = False, election: int = RKE_ELECTION
) -> list[str]:
    """etcd's command line after the program. With `internal` it listens on its one address, so 127.0.0.1 fails.

    `election` is its election timeout in milliseconds.
    """
    listen = spec.address if internal else "0.0.0.0"
    flags = {
        "name": spec.member,
        "data-dir": "/var/lib/rancher/etcd/",
        "listen-client-urls": f"https://{listen}:2379",
        "listen-peer-urls": f"https://{listen}:2380",
        "advertise-client-urls": f"https://{spec.address}:2379",
        "initial-advertise-peer-urls": f"https://{spec.address}:2380",
        "initial-cluster-token": "etcd-cluster-1",
        "initial-cluster": ",".join(f"{peer.member}=https://{peer.address}:2380" for peer in hosts),
        "initial-cluster-state": "new",
        "trusted-ca-file": f"{SSL}/kube-ca.pem",
        "cert-file": f"{SSL}/{spec.certificate}.pem",
        "key-file": f"{SSL}/{spec.certificate}-key.pem",
        "peer-trusted-ca-file": f"{SSL}/kube-ca.pem",
        "peer-cert-file": f"{SSL}/{spec.certificate}.pem",
        "peer-key-file": f"{SSL}/{spec.certificate}-key.pem",
        "client-cert-auth": "true",
        "peer-client-cert-auth": "true",
        "heartbeat-interval": f"{election // 10}",
        "election-timeout": f"{election}",
    }
    if version_tuple(version) >= (3, 4, 15):
        flags["cipher-suites"] = CIPHERS
    if version_tuple(version)[:2] == (3, 4):
        flags["enable-v2"] = "true"
    return [f"--{name}={value}" for name, value in flags.items()]


def etcd_run(
    spec: HostSpec, hosts: Sequence[HostSpec], version: str, *, internal: bool = False, election: int = RKE_ELECTION
) -> list[str]:
    """The `docker run` that makes the container `etcd`."""
    endpoint = spec.address if internal else "127.0.0.1"
    environment = {
        "ETCDCTL_API": "3",
        "ETCDCTL_CACERT": f"{SSL}/kube-ca.pem",
        "ETCDCTL_CERT": f"{SSL}/{spec.certificate}.pem",
        "ETCDCTL_KEY": f"{SSL}/{spec.certificate}-key.pem",
        "ETCDCTL_ENDPOINTS": f"https://{endpoint}:2379",
        "ETCD_UNSUPPORTED_ARCH": platform.machine(),
    }
    return [
        "docker",
        "run",
        "--detach",
        "--name=etcd",
        "--network=host",
        "--restart=always",
        "--label=io.rancher.rke.container.name=etcd",
        "--volume=/var/lib/etcd:/var/lib/rancher/etcd/:z",
        "--volume=/etc/kubernetes:/etc/kubernetes:z",
        *(f"--env={name}={value}" for name, value in environment.items()),
        image_name(version),
        "/usr/local/bin/etcd",
        *etcd_flags(spec, hosts, version, internal=internal, election=election),
    ]


def kubernetes_run(name: str) -> list[str]:
    """A stand-in that runs, stops at once on SIGTERM, and has a control plane container's name and label."""
    return [
        "docker",
        "run",
        "--detach",
        f"--name={name}",
        "--network=host",
        "--restart=always",
        f"--label=io.rancher.rke.container.name={name}",
        "--volume=/etc/kubernetes:/etc/kubernetes:z",
        HYPERKUBE,
        "/bin/sh",
        "-c",
        "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done",
        name,
    ]
