"""The contract of the seam, on values: docker, podman, and the stand-in that has no engine."""

from __future__ import annotations

from typing import Any

import pytest

from fleetrecover.docker.argv import from_argv
from fleetrecover.facts import Definition
from fleetrecover.inventory import CHOICES
from fleetrecover.model import EtcdSettings, Fleet, Host
from fleetrecover.runtime import KINDS, runtime_of
from fleetrecover.runtime.containers import Containers
from tests.runtime import contract
from tests.runtime.processes import Process, Processes, opaque

PASSWORD = "hunter22"
FLAGS = (
    "--name=etcd-n1",
    "--data-dir=/var/lib/etcd",
    "--listen-client-urls=https://0.0.0.0:2379",
    "--initial-advertise-peer-urls=https://10.0.0.1:2380",
    "--initial-cluster=etcd-n1=https://10.0.0.1:2380,etcd-n2=https://10.0.0.2:2380",
    "--cert-file=/etc/kubernetes/ssl/etcd.pem",
    "--key-file=/etc/kubernetes/ssl/etcd-key.pem",
    "--trusted-ca-file=/etc/kubernetes/ssl/ca.pem",
)


def container() -> Definition:
    options = ["--name=etcd", "--network=host", "--restart=always", f"--env=MY_PASSWORD={PASSWORD}"]
    mounts = ["--volume=/var/lib/etcd:/var/lib/etcd", "--volume=/etc/kubernetes:/etc/kubernetes"]
    return from_argv(["docker", "run", *options, *mounts, "quay.io/coreos/etcd:v3.5.16", "etcd", *FLAGS])


def plain_process() -> Definition:
    return opaque(Process("etcd", ("/usr/local/bin/etcd", *FLAGS), (("MY_PASSWORD", PASSWORD),)))


@pytest.mark.parametrize(
    ("rt", "own"),
    [(Containers(), container()), (Containers("podman"), container()), (Processes(), plain_process())],
    ids=["docker", "podman", "process"],
)
def test_definitions(rt: Any, own: Definition) -> None:
    contract.definitions(rt, own, PASSWORD)


def test_a_host_has_the_runtime_that_the_inventory_gives_it() -> None:
    kinds = (None, "podman", "docker", "systemd")
    hosts = tuple(Host(f"n{n}", f"10.0.0.{n}", runtime=kind) for n, kind in enumerate(kinds))

    def found(settings: EtcdSettings) -> list[tuple[str, str]]:
        fleet = Fleet("c", hosts, etcd=settings)
        return [(each.name, each.cli) for each in (runtime_of(fleet, host) for host in hosts)]

    docker, podman = ("docker", "/usr/local/bin/docker"), ("podman", "podman")
    assert found(EtcdSettings(cli=docker[1])) == [docker, podman, docker, docker]
    assert found(EtcdSettings(runtime="podman")) == [podman, podman, ("docker", "docker"), ("docker", "docker")]
    assert set(KINDS) <= set(CHOICES["runtime"])
