"""Surveys for the tests of the judgement, from logs."""

from __future__ import annotations

from typing import Any

from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.log import Log
from fleetrecover.facts import Container, DataDir, EtcdStatus, LiveMember, NodeFacts, Survey
from fleetrecover.model import Fleet, Host

TAKEN = "2026-01-02T12:00:00.000Z"


def container(state: str = "running", **more: Any) -> Container:
    values: dict[str, Any] = {
        "id": "c" * 64,
        "name": "etcd",
        "state": state,
        "image": "etcd:v3.4",
        "image_id": "sha256:1",
        "restart_policy": "always",
        "network": "host",
        "labels": {},
        "exit_code": 0,
        "created": "2026-01-01T00:00:00Z",
        "config": None,
        "data_path": "/var/lib/etcd",
    }
    return Container(**(values | more))


def status(number: int, *, healthy: bool = False, leader: int = 0, commit: int = 20, term: int = 2) -> EtcdStatus:
    return EtcdStatus("3.4.23", number, 9, leader, term, commit, 10, 4096, is_learner=False, healthy=healthy)


def node(number: int, log: Log | None = None, **more: Any) -> NodeFacts:
    data = DataDir("/var/lib/etcd", "/var/lib/etcd", True, log is not None, "/var/lib/etcd.fleetrecover", 4096, 1 << 33)
    values: dict[str, Any] = {
        "reachable": True,
        "cli_version": "20.10",
        "containers": (container(),),
        "data": data,
        "log": log,
        "clock_offset": 0.0,
    }
    return NodeFacts(Host(f"etcd{number}", f"10.0.0.{number}"), **(values | more))


def survey(*nodes: NodeFacts) -> Survey:
    return Survey(Fleet("prod", tuple(each.host for each in nodes)), nodes, TAKEN)


def members(*numbers: int) -> tuple[LiveMember, ...]:
    return tuple(LiveMember(n, f"etcd{n}", (f"https://10.0.0.{n}:2380",), (), is_learner=False) for n in numbers)


def database(revision: int, *, applied: int = 0, stable: bool = True) -> DbFacts:
    """A database of that revision that has applied the log up to an index."""
    return DbFacts(
        4096, 1, 4096, applied, None, revision, -1, -1, None, (), frozenset(), "3.4.0", "", (), False, (), stable=stable
    )
