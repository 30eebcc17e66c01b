"""One lab for all tests here that only break and repair it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fleetrecover.lab import Lab


@pytest.fixture(scope="session")
def shared() -> Iterator[Lab]:
    name = f"labtest-{os.getpid()}"
    lab = Lab.up(name, nodes=3)
    yield lab
    Lab.clear(name)


@pytest.fixture
def lab(shared: Lab) -> Lab:
    """The shared lab with a fresh, healthy cluster."""
    shared.reset_etcd()
    return shared
