"""Free space is read right whatever the filesystem and its mount point are called, and a check that cannot read it fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fleetrecover.commands import actions, probes, snapshots
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.space import free_kib, unless_free
from fleetrecover.commands.trial import copy_for_trial
from fleetrecover.model import Command
from fleetrecover.runtime.containers import Containers
from tests.commands.shells import program, run

HEAD = "Filesystem 1024-blocks Used Available Capacity Mounted on"
LINES = {
    "/dev/sda1 1000000 400000 600000 45% /": 600000,
    "/dev/sda1 1000000 400000 600000 45% /mnt/my disk": 600000,
    "/dev/sda1 1000000 400000 600000 45% /mnt/12 13 14 15% x": 600000,
    "//server/some share 1000000 400000 600000 45% /mnt/a b c": 600000,
    "tmpfs 0 0 0 - /mnt/a b": 0,
    "/dev/sda1 1000000 1050000 -50000 106% /mnt/a b": 0,
}
SH = ["sh"]


def df(tmp_path: Path, line: str) -> Path:
    return program(tmp_path / "bin", "df", f"echo '{HEAD}'\necho '{line}'")


@pytest.mark.parametrize("line", LINES)
def test_free_kib_on_every_awk(tmp_path: Path, line: str) -> None:
    said = run(SH, Command("x", free_kib("/d")), df(tmp_path, line))
    assert int(said.stdout) == LINES[line]
    busybox = program(tmp_path / "bin", "awk", 'exec busybox awk "$@"')
    assert int(run(SH, Command("x", free_kib("/d")), busybox).stdout) == LINES[line]


@pytest.mark.parametrize("line", ["", "df: /d: Stale file handle", "a b c d"])
def test_where_it_cannot_be_read_the_check_fails(tmp_path: Path, line: str) -> None:
    script = "\n".join(["set -eu", *unless_free("/d", "1", "exit 69"), "exit 0", ""])
    assert run(SH, Command("x", script), df(tmp_path, line)).returncode == 69


def test_the_check_needs_as_much_as_it_says(tmp_path: Path) -> None:
    for need, code in (("600000", 0), ("600001", 69)):
        script = "\n".join(["set -eu", *unless_free("/d", need, "exit 69"), "exit 0", ""])
        assert run(SH, Command("x", script), df(tmp_path, next(iter(LINES)))).returncode == code


def test_every_script_that_looks_at_free_space_reads_it_there(tmp_path: Path) -> None:
    """A mount point with a blank: the listings tell it, the writes refuse."""
    tools = df(tmp_path, "/dev/sda1 1000000 999990 10 100% /mnt/my disk")
    data = tmp_path / "etcd"
    paths = RunPaths(f"{data}.fleetrecover", "r1")
    (data / "member").mkdir(parents=True)
    (Path(paths.at("original")) / "member").mkdir(parents=True)
    Path(paths.keep_root, "r2").mkdir()
    for probe in (
        probes.data_listing(str(data)),
        probes.work_dir(str(tmp_path)),
        snapshots.listing(str(tmp_path / "none")),
    ):
        done = run(SH, probe.command, tools)
        assert b"free=10\n" in done.stdout, probe.command.name
    member = str(data / "member")
    for action in (
        actions.copy_original(paths, str(data), need=1),
        actions.keep_elsewhere(
            Containers("true").quiet, RunPaths(paths.keep_root, "r2"), str(data), work=str(tmp_path), need=1
        ),
        copy_for_trial(RunPaths(paths.keep_root, "trial-1"), member, str(data), need=1),
        snapshots.receive(str(tmp_path / "snap"), 1, "0" * 64),
    ):
        done = run(SH, action.command, tools)
        assert done.returncode == actions.NO_SPACE, (action.command.name, done.stderr)
        assert b"10 KiB free" in done.stderr


def test_nothing_reads_df_in_another_way() -> None:
    """One function knows how its line is read."""
    root = Path(actions.__file__).parent
    found = subprocess.run(["grep", "-l", "df -P", "-r", str(root), "--include=*.py"], capture_output=True, check=True)
    assert [Path(name).name for name in found.stdout.decode().split()] == ["space.py"]
