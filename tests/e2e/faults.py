"""Random cells of the fault matrix (benchmarks/fault_matrix.py) as tests.

The seed is in the header of the run; $FLEETRECOVER_SEED gives it again, $FLEETRECOVER_CELLS how many of a dozen or more.
"""

from __future__ import annotations

import os
import random

from benchmarks import fault_matrix as matrix
from benchmarks.faulty import Fault, Point
from fleetrecover.lab import Lab
from tests.conftest import SEED

VERSIONS = ("3.4.23", "3.5.30")


def killed(lab: Lab, point: Point, *words: str) -> None:
    """The program with these words, killed right after one command of a step on a node."""
    fault = Fault(lab.name, point=point, kind="kill", moment="after")
    code, said = matrix.run(lab, fault, *words, "--yes", lab.name)
    assert code == -9, said


def some_version(of: str) -> str:
    """One of etcd's versions, by the seed."""
    return random.Random(f"{os.environ[SEED]} {of}").choice(VERSIONS)


def some_cells(version: str, share: int, *, undo: bool = False, job: str = "recover") -> None:
    """Run `share` cells of each dozen: converged, nothing acknowledged lost, the original as it was, nothing left over."""
    seed = int(os.environ[SEED])
    cells = max(1, int(os.environ.get("FLEETRECOVER_CELLS", "12")) * share // 12)
    found = matrix.run_cells(f"tf-{os.getpid()}", version, cells, seed, None, undo=undo, job=job)
    assert len(found) == cells
    assert [finding for finding in found if not finding.good] == [], f"{SEED}={seed}"
