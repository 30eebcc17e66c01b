"""Inputs from public reports, each with what is right, through the command line; `try` beside this file is the runner.

Nodes are real sshds in namespaces of their own, with stand-ins for docker and systemctl, so all of them are the lab's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KINDS = sorted({path.parent.name.partition("-")[0] for path in HERE.glob("*/case.json")} - {"own"})  # test_own.py


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fleetrecover` of this working tree, for other users too."""
    script = tmp_path_factory.mktemp("bin") / "fleetrecover"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m fleetrecover "$@"\n')
    script.chmod(0o755)
    return script


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="nodes want namespaces")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_for_each(command: Path, kind: str) -> None:
    names = sorted(path.parent.name for path in HERE.glob(f"{kind}-*/case.json"))
    done = subprocess.run(
        [sys.executable, str(HERE / "try"), "--fleetrecover", str(command), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [line for line in done.stdout.splitlines() if not line.startswith("PASS ")]
    assert wrong == [f"{len(names)} of {len(names)}"], "\n".join(wrong) + done.stderr[-2000:]
