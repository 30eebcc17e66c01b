"""A random dozen of the fault matrix's cells (benchmarks/fault_matrix.py), and of kills that `undo` follows.

The seed is printed; $FLEETRECOVER_SEED gives it again, $FLEETRECOVER_CELLS how many.
"""

from __future__ import annotations

import os
import random

import pytest

from benchmarks import fault_matrix as matrix

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CELLS = int(os.environ.get("FLEETRECOVER_CELLS", "12"))


@pytest.fixture(scope="module")
def seed() -> int:
    """Another one each time."""
    value = int(os.environ.get("FLEETRECOVER_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nFLEETRECOVER_SEED={value}")
    return value


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("version", "share", "undo"),
    [("3.4.23", 3, False), ("3.5.16", 3, False), ("3.3.25", 3, False), ("3.4.23", 3, True)],
)
def test_whatever_fails_the_same_command_finishes(seed: int, version: str, share: int, undo: bool) -> None:
    """Converged, nothing acknowledged lost, the original as it was, nothing left over."""
    cells = max(1, CELLS * share // 12)
    found = matrix.run_cells(f"tf-{os.getpid()}", version, cells, seed, None, undo=undo)
    assert len(found) == cells
    assert [finding for finding in found if not finding.good] == [], f"FLEETRECOVER_SEED={seed}"
