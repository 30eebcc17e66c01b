"""One lab for each fleet size and module run, given a fresh etcd cluster for every test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.tool import Tool

Fleet = Callable[..., tuple[Lab, Tool]]


@pytest.fixture(scope="session")
def labs() -> Iterator[dict[int, Lab]]:
    """Labs by number of hosts, made when first asked for."""
    made: dict[int, Lab] = {}
    yield made
    for lab in made.values():
        lab.down()


@pytest.fixture
def fleet(labs: dict[int, Lab], tmp_path: Path) -> Fleet:
    """`fleet(nodes, etcd)`: a lab with a fresh, healthy cluster, and the program on its inventory."""

    def make(nodes: int = 3, etcd: str = "3.4.23") -> tuple[Lab, Tool]:
        if nodes not in labs:
            labs[nodes] = Lab.up(f"t{nodes}-{os.getpid()}", nodes=nodes, etcd=etcd)
        else:
            labs[nodes].reset_etcd(etcd)
        lab = labs[nodes]
        return lab, Tool(lab.inventory, tmp_path / "state")

    return make
