"""The program with a fault in it is the program: each kind of fault finds what it puts another in the place of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faulty import Fault, Point

KINDS = ("kill", "power", "cut", "dockerd", "dockerd-crash", "none")


@pytest.mark.parametrize("mend_after", [None, 3.0])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_each_kind_of_fault_can_be_laid_over_the_program(
    tmp_path: Path, mend_after: float | None, elsewhere: bool
) -> None:
    words = []
    for kind in KINDS:
        fault = Fault("no-lab", Point("Join", "etcd2", "run etcd"), kind, "etcd2", "during", 0.1, mend_after, elsewhere)
        words.append(str(tmp_path / f"{kind}.json"))
        Path(words[-1]).write_text(fault.dumps())
    code = (
        "import sys; from pathlib import Path; from benchmarks.faulty import Fault, wrap\n"
        "for word in sys.argv[1:]: wrap(Fault.load(Path(word)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
