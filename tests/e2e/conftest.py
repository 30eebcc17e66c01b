"""One lab for each fleet size and module run, given a fresh etcd cluster for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from fleetrecover.lab.gobuild import NoGo
from fleetrecover.lab.image import etcd_image
from tests.e2e.tool import Tool

Fleet = Callable[..., tuple[Lab, Tool]]

ELECTION = 2000
"""Milliseconds: with RKE's 5000 the tests would do little else than wait for elections. The drill's test has RKE's."""


@pytest.fixture(scope="session")
def labs() -> Iterator[dict[str, Lab]]:
    """Labs by number of hosts, and whether Kubernetes' containers run there; made when first asked for."""
    made: dict[str, Lab] = {}
    yield made
    for lab in made.values():
        lab.down()


@pytest.fixture
def fleet(labs: dict[str, Lab], tmp_path: Path) -> Fleet:
    """`fleet(nodes, etcd)`: a lab with a fresh, healthy cluster, and the program on its inventory."""

    def make(nodes: int = 3, etcd: str = "3.4.23", *, kubernetes: bool = False) -> tuple[Lab, Tool]:
        try:
            etcd_image(etcd, lambda _: None)
        except NoGo as error:
            pytest.skip(f"{error.message}: {error.hint}")
        kind = f"{'k' if kubernetes else 't'}{nodes}"
        for other, unused in labs.items():
            running = [host.name for host in unused.hosts if host.running]
            if other != kind and running:  # twenty etcds that nobody looks at take as much of two cores as a recovery
                unused.power_off(*running)
        if kind not in labs:
            labs[kind] = Lab.up(
                f"{kind}-{os.getpid()}", nodes=nodes, etcd=etcd, kubernetes=kubernetes, election=ELECTION
            )
        else:
            labs[kind].reset_etcd(etcd)
        lab = labs[kind]
        return lab, Tool(lab.inventory, tmp_path / "state")

    return make
