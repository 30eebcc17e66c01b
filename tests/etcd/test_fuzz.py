"""A small dose of the fuzzing; `python -m tests.etcd.fuzz` gives the full one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetrecover.errors import FormatError
from tests.etcd import fuzz


def test_mutations() -> None:
    scores = fuzz.run(4000, seed=7)
    for score in scores.values():
        assert score.seen == 500
        assert score.slowest < 2.0
    assert any(score.refused for score in scores.values())


def test_the_seeds_are_good() -> None:
    """Otherwise nothing behind the first check would be reached."""
    fuzz.read_db(fuzz.DB)
    fuzz.read_db(fuzz.SNAPSHOT)
    assert fuzz.REFERENCE.last.index == 21
    assert fuzz.REFERENCE.snapshot.index == 20


@pytest.mark.parametrize("target", fuzz.TARGETS, ids=lambda target: target.name)
@given(data=st.binary(max_size=4096))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes(target: fuzz.Target, data: bytes) -> None:
    with contextlib.suppress(FormatError):
        target.read(data)
