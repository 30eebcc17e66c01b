"""The rehearsal, and going by hand with one task for each step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.test_recover import write_and_kill
from tests.e2e.tool import ROOT, Tool

pytestmark = pytest.mark.lab


def test_a_drill_beside_the_leftover_of_a_killed_one(tmp_path: Path) -> None:
    """Killed in the middle, the next one clears up, and shows that not one acknowledged key is missing."""
    name = f"d{os.getpid()}"
    tool = Tool(tmp_path / "none.toml", tmp_path / "state")
    killed = tool.start("drill", "--name", name)
    deadline = time.monotonic() + 120
    while name not in Lab.names() and time.monotonic() < deadline:
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    ran = tool.run("drill", "--json", "--name", name)
    assert ran.code == 0, ran.err
    assert ran.document["ok"] is True
    assert ran.document["keys_found"] == ran.document["keys_acknowledged"] >= 2000
    assert name not in Lab.names()


def fab(tool: Tool, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Fabric task."""
    argv = [str(Path(sys.executable).parent / "fab"), *words]
    return subprocess.run(
        argv, env=tool.environment, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )


def test_step_by_step_with_fabric(fleet: Fleet) -> None:
    """Every step by hand, in order; a step that is not its turn is refused and changes nothing."""
    lab, tool = fleet(3)
    acknowledged, _, others = write_and_kill(lab)
    for name in others:
        lab.wipe(name)
    yes = ("--yes", lab.name)
    early = fab(tool, "reset", *yes)
    assert early.returncode == 20, early.stderr
    assert "first comes" in early.stderr
    first, second = others
    order = [
        ("fence",), ("keep-data",), ("reset",), ("start",),
        ("member-add", "--host", first), ("join", "--host", first), ("promote", "--host", first),
        ("member-add", "--host", second), ("join", "--host", second), ("promote", "--host", second),
        ("start", "--host", first), ("start", "--host", second),
    ]  # fmt: skip
    for task in order:
        done = fab(tool, *task, *yes)
        assert done.returncode == 0, f"{task}: {done.stderr}"
    assert fab(tool, "verify").returncode == 0
    for host in lab.hosts:
        assert lab.client().verify(acknowledged, host.name).missing == ()


def test_every_task_is_listed() -> None:
    """The tasks of INTERFACE.md."""
    listed = json.loads(
        subprocess.run(
            [str(Path(sys.executable).parent / "fab"), "--list", "--list-format=json"],
            capture_output=True, text=True, cwd=ROOT, check=True,
        ).stdout
    )  # fmt: skip
    promised = "survey diagnose plan run-config fence keep-data reset start member-add join promote verify undo"
    assert {task["name"] for task in listed["tasks"]} == set(promised.split())
