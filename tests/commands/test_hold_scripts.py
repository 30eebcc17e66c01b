"""The scripts of the hold, on this machine's sh: whatever a power cut leaves of one, the next run gets past it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fleetrecover.commands import actions, probes
from fleetrecover.commands.base import LOST_HOLD, Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.facts import Hold
from fleetrecover.model import Command
from fleetrecover.runtime.containers import Containers

HOLDER = {"token": "mine", "run": "r1", "who": "ann", "host": "bastion 1", "pid": 7, "born": "9", "since": "now"}


def sh(command: Command | Action) -> int:
    script = command.script if isinstance(command, Command) else command.command.script
    return subprocess.run(["sh"], input=script.encode(), check=False).returncode


def seen(data: Path) -> Hold | None:
    script = probes.data_listing(str(data)).command.script
    said = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout.decode()
    return probes.parse_listing(str(data), said).hold


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "etcd"
    path.mkdir()
    return path


def paths(data: Path) -> RunPaths:
    return RunPaths(f"{data}.fleetrecover", "r1")


def test_one_takes_it_and_the_other_does_not(data: Path) -> None:
    """And whoever has it may take it twice."""
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == 0
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == 0
    assert sh(actions.take_hold(paths(data), HOLDER | {"token": "other"}, "other")) == actions.HELD
    hold = seen(data)
    assert hold is not None
    assert (hold.token, hold.who, hold.since) == ("mine", "ann", "now")


def test_what_a_power_cut_left_of_a_hold_can_be_seen_and_broken(data: Path) -> None:
    """The directory was made, nothing had been written into it: it would block every run for ever."""
    Path(paths(data).hold).mkdir(parents=True)
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == actions.HELD
    hold = seen(data)
    assert hold is not None
    assert hold.token == ""
    assert sh(actions.break_hold(paths(data), hold.token)) == 0
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == 0


def test_only_the_hold_of_the_dead_one_is_broken(data: Path) -> None:
    """Somebody else may have taken it meanwhile."""
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == 0
    assert sh(actions.break_hold(paths(data), "dead")) == actions.HELD
    assert sh(actions.release_hold(paths(data), "dead")) == 0
    assert seen(data) is not None


def test_who_lost_it_writes_nothing(data: Path) -> None:
    """The guard is in each write."""
    assert sh(actions.take_hold(paths(data), HOLDER, "mine")) == 0
    mark = actions.mark(paths(data), "finished")
    Path(paths(data).root).mkdir()
    assert sh(mark.guarded(paths(data).hold, "theirs")) == LOST_HOLD
    assert not Path(paths(data).at("finished")).exists()
    assert sh(mark.guarded(paths(data).hold, "mine")) == 0
    assert Path(paths(data).at("finished")).exists()


def test_put_data_back_from_every_state(data: Path) -> None:
    """Moved or not, joined or not, half done: what was is back, what the run made lies withdrawn."""
    for before in ("original", "nothing"):
        for now in ("new", "empty"):
            where = data.parent / f"{before}-{now}" / "etcd"
            where.mkdir(parents=True)
            p = paths(where)
            Path(p.root).mkdir(parents=True)
            if now == "new":
                (where / "member").mkdir()
                (where / "member" / "f").write_text("new")
            if before == "original":
                (Path(p.at("original")) / "member").mkdir(parents=True)
                (Path(p.at("original")) / "member" / "f").write_text("old")
            else:
                Path(p.no_data).touch()
            for _ in range(2):
                assert sh(actions.put_data_back(Containers("true").quiet, p, str(where))) == 0
            kept = Path(p.at("withdrawn")) / "member" / "f"
            assert kept.exists() == (now == "new")
            if before == "original":
                assert (where / "member" / "f").read_text() == "old"
            else:
                assert not (where / "member").exists()


def test_data_that_the_run_never_moved_stays(data: Path) -> None:
    """No original and no mark that there was none: it was not touched."""
    Path(paths(data).root).mkdir(parents=True)
    (data / "member").mkdir()
    assert sh(actions.put_data_back(Containers("true").quiet, paths(data), str(data))) == 0
    assert (data / "member").is_dir()


def with_tool(tmp_path: Path, tool: str, body: str, action: Action) -> subprocess.CompletedProcess[bytes]:
    """Run an action where one tool is another one."""
    fake = tmp_path / "bin" / tool
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    script = f"PATH={fake.parent}:$PATH\n{action.command.script}"
    return subprocess.run(["sh"], input=script.encode(), check=False, capture_output=True)


def test_a_full_disk_is_not_taken_for_a_hold_of_somebody_else(data: Path, tmp_path: Path) -> None:
    Path(paths(data).keep_root).mkdir()
    full = 'case "$*" in *-p*) exec /bin/mkdir "$@" ;; esac; echo "mkdir: x: No space left on device" >&2; exit 1'
    done = with_tool(tmp_path, "mkdir", full, actions.take_hold(paths(data), HOLDER, "mine"))
    assert done.returncode == 1
    assert b"No space left" in done.stderr


def test_a_hold_that_could_not_be_written_leaves_nothing_behind(data: Path, tmp_path: Path) -> None:
    action = actions.take_hold(paths(data), HOLDER, "mine")
    assert with_tool(tmp_path, "chmod", "exit 1", action).returncode not in (0, actions.HELD)
    assert not Path(paths(data).hold).exists()
    assert sh(action) == 0
    assert Path(paths(data).token).read_text() == "mine"
