"""The schedule where systemd runs: the units as systemd-analyze sees them, and a real systemd that runs them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.snapshots import CRON, LOOP, SYSTEMD, UNIT, SchedulePaths
from tests.snapshots.systemd import NotPossible, systemd
from tests.snapshots.test_commands import Node


def test_the_units_say_what_is_wanted() -> None:
    """It looks every minute at the most, however long the interval, so that a node that was off catches up."""
    paths = SchedulePaths("/opt/rke/etcd-snapshots")
    units = commands.systemd_units(paths, 12 * 3600)
    assert set(units) == {f"/etc/systemd/system/{UNIT}.service", f"/etc/systemd/system/{UNIT}.timer"}
    service, timer = (units[f"/etc/systemd/system/{UNIT}.{kind}"] for kind in ("service", "timer"))
    assert "ExecStart=/bin/sh /opt/rke/fleetrecover/snapshot.sh due" in service
    assert "Type=oneshot" in service
    assert "OnUnitInactiveSec=60s" in timer
    assert "OnUnitInactiveSec=5s" in commands.systemd_units(paths, 5)[f"/etc/systemd/system/{UNIT}.timer"]
    script = commands.install_schedule(paths, "#!/bin/sh\n", SYSTEMD, 60).command.script
    assert "systemctl enable --now" in script
    for other in (CRON, LOOP):
        assert "enable --now" not in commands.install_schedule(paths, "#!/bin/sh\n", other, 60).command.script


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("directory", ["/opt/rke/etcd-snapshots", "/srv/snap shots 100%/$x/snaps"])
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path, directory: str) -> None:
    paths = SchedulePaths(directory)
    files = []
    for name, text in commands.systemd_units(paths, 60).items():
        file = tmp_path / Path(name).name
        file.write_text(text)
        files.append(str(file))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if UNIT in line]
    assert (done.returncode, said) == (0, []), done.stderr


def wait(check: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@pytest.mark.lab
def test_a_real_systemd_runs_it(tmp_path: Path) -> None:
    """Taken every second, two kept; none removed while none succeeds; on after a reboot; gone when taken away."""
    shared = tmp_path / "shared"
    shared.mkdir()
    node = Node(shared, ["sh"], keep=2)
    script = Path(node.paths.script).read_text()
    try:
        with systemd(shared) as machine:
            found = machine.run("sh", script=commands.scheduler("docker").command.script)
            assert found.stdout.strip() == SYSTEMD

            install = commands.install_schedule(node.paths, script, SYSTEMD, 1).command.script
            done = machine.run("sh", script=install)
            assert done.returncode == 0, done.stderr
            seen: set[str] = set()

            def taken(wanted: int) -> bool:
                seen.update(node.names)
                return len(seen) >= wanted

            wait(lambda: taken(4), "four have been taken")
            wait(lambda: len({n for n in node.names if not n.startswith(".")}) == 2, "two are kept")

            status = commands.schedule_status(node.paths)
            (shared / "unhealthy").touch()
            state = Path(node.paths.state)
            wait(lambda: "outcome=failed" in state.read_text(), "without quorum it fails")
            kept = node.names
            failures = state.read_text()
            wait(lambda: state.read_text() != failures, "it goes on trying")
            assert node.names == kept
            said = machine.run("sh", script=status.command.script).stdout
            assert "means=systemd" in said

            (shared / "unhealthy").unlink()
            machine.cut()
            machine.boot()
            wait(lambda: not kept & node.names, "after a reboot it goes on")

            done = machine.run("sh", script=commands.remove_schedule(node.paths).command.script)
            assert done.returncode == 0, done.stderr
            assert UNIT not in machine.run("systemctl", "list-timers", "--all").stdout
            assert "means=" not in machine.run("sh", script=status.command.script).stdout
            assert machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""
    except NotPossible as error:
        pytest.skip(f"systemd cannot be booted here: {error}")


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cron") is None, reason="needs cron")
def test_a_real_cron_runs_it(tmp_path: Path) -> None:
    """Cron looks once a minute."""
    shared = tmp_path / "shared"
    shared.mkdir()
    node = Node(shared, ["sh"], keep=2)
    script = Path(node.paths.script).read_text()
    try:
        with systemd(shared) as machine:
            assert machine.run("cron").returncode == 0
            done = machine.run("sh", script=commands.install_schedule(node.paths, script, CRON, 1).command.script)
            assert done.returncode == 0, done.stderr
            wait(lambda: bool(node.names), "cron has run it", 150)
            status = commands.schedule_status(node.paths).command.script
            assert "means=cron" in machine.run("sh", script=status).stdout
            machine.run("sh", script=commands.remove_schedule(node.paths).command.script)
            assert "means=" not in machine.run("sh", script=status).stdout
    except NotPossible as error:
        pytest.skip(f"systemd cannot be booted here: {error}")
