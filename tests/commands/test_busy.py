"""No two scripts of ours run on a node at once, whatever becomes of the run that has started them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetrecover.commands import actions
from fleetrecover.commands.base import BUSY, LOST_HOLD, Action, busy_with
from fleetrecover.commands.environment import LOGIN
from fleetrecover.commands.paths import RunPaths
from fleetrecover.model import Command, Result
from tests.commands.shells import NAMES, SHELLS, begin, program, run

HOLDER = {"token": "t", "run": "r1", "who": "ann", "host": "bastion 1", "pid": 7, "born": "9", "since": "now"}
pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(str(tmp_path / "etcd.fleetrecover"), "r1")


def take(shell: list[str], paths: RunPaths, token: str) -> None:
    assert run(shell, actions.take_hold(paths, HOLDER | {"token": token}, token).command).returncode == 0


def waiting(tmp_path: Path, *, name: str = "copy", timeout: float = 3600) -> Action:
    """An action that runs until a file is there, and then says that it has ended."""
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\necho ended\n"
    return Action(Command(name, script, timeout=timeout))


def quick(tmp_path: Path) -> Action:
    return Action(Command("quick", f": > {tmp_path}/done\n"))


def until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def mark(paths: RunPaths) -> Path:
    return Path(paths.keep_root) / "busy"


def running(shell: list[str], tmp_path: Path, paths: RunPaths, **how: object) -> subprocess.Popen[bytes]:
    take(shell, paths, "first")
    process = begin(shell, waiting(tmp_path, **how).guarded(paths.hold, "first"))  # type: ignore[arg-type]
    until(mark(paths).exists)
    return process


def said(done: subprocess.CompletedProcess[bytes]) -> Result:
    return Result(Command("x", ""), done.returncode, done.stdout, done.stderr)


def test_the_next_one_is_refused_while_one_runs_and_told_how_long_it_may_take(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    first = running(shell, tmp_path, paths)
    found = busy_with(said(run(shell, quick(tmp_path).guarded(paths.hold, "first"))))
    assert found is not None
    assert found.name == "copy"
    assert 3500 < found.seconds <= 3610
    assert not (tmp_path / "done").exists()
    (tmp_path / "go").touch()
    assert first.communicate()[0] == b"ended\n"
    assert not mark(paths).exists()
    assert run(shell, quick(tmp_path).guarded(paths.hold, "first")).returncode == 0
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("how", ["released", "broken"])
def test_the_mark_outlives_the_hold(shell: list[str], tmp_path: Path, paths: RunPaths, how: str) -> None:
    """Ctrl-C lets the hold go, and a dead bastion's hold is broken: the script on the node goes on."""
    first = running(shell, tmp_path, paths)
    end = actions.release_hold(paths, "first") if how == "released" else actions.break_hold(paths, "first")
    assert run(shell, end.command).returncode == 0
    assert not Path(paths.hold).exists()
    take(shell, paths, "second")
    assert run(shell, quick(tmp_path).guarded(paths.hold, "second")).returncode == BUSY
    (tmp_path / "go").touch()
    first.communicate()
    assert run(shell, quick(tmp_path).guarded(paths.hold, "second")).returncode == 0


@pytest.mark.parametrize("how", ["released", "broken"])
def test_a_script_of_the_version_before_is_waited_for_too(
    shell: list[str], tmp_path: Path, paths: RunPaths, how: str
) -> None:
    """It had its mark in the hold: it is seen there, and kept when the hold goes."""
    take(shell, paths, "first")
    old = subprocess.Popen(["sleep", "60"])
    try:
        born = Path(f"/proc/{old.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        (Path(paths.hold) / "busy").write_text(f"{old.pid}-{born}\n")
        assert run(shell, quick(tmp_path).guarded(paths.hold, "first")).returncode == BUSY
        end = actions.release_hold(paths, "first") if how == "released" else actions.break_hold(paths, "first")
        assert run(shell, end.command).returncode == 0
        take(shell, paths, "second")
        assert run(shell, quick(tmp_path).guarded(paths.hold, "second")).returncode == BUSY
    finally:
        old.kill()
        old.wait()
    assert run(shell, quick(tmp_path).guarded(paths.hold, "second")).returncode == 0


@pytest.mark.parametrize("what", ["gone", "another process of that number", "before a reboot", "nonsense", "empty"])
def test_a_mark_of_which_the_process_is_gone_is_removed(
    shell: list[str], tmp_path: Path, paths: RunPaths, what: str
) -> None:
    take(shell, paths, "t")
    me = os.getpid()
    born = Path(f"/proc/{me}/stat").read_text().rpartition(") ")[2].split()[19]
    line = {
        "gone": f"4194399-1 {BOOT} 1 60 copy",
        "another process of that number": f"{me}-1 {BOOT} 1 60 copy",
        "before a reboot": f"{me}-{born} 00000000-0000-0000-0000-000000000000 1 60 copy",
        "nonsense": "; touch pwned $(touch pwned)",
        "empty": "",
    }[what]
    mark(paths).write_text(line + "\n")
    assert run(shell, quick(tmp_path).guarded(paths.hold, "t")).returncode == 0
    assert (tmp_path / "done").exists()
    assert [entry.name for entry in Path(paths.keep_root).iterdir()] == ["hold"]
    mark(paths).write_text(f"{me}-{born} {BOOT} 1 60 copy\n")
    assert run(shell, quick(tmp_path).guarded(paths.hold, "t")).returncode == BUSY, "this process lives"


def test_a_killed_script_leaves_a_mark_that_stops_nobody_and_goes_with_the_hold(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    first = running(shell, tmp_path, paths)
    os.killpg(first.pid, 9)
    first.communicate()
    assert mark(paths).exists()
    assert run(shell, quick(tmp_path).guarded(paths.hold, "first")).returncode == 0
    mark(paths).write_text(f"4194399-1 {BOOT} 1 60 copy\n")
    assert run(shell, actions.release_hold(paths, "first").command).returncode == 0
    assert not Path(paths.keep_root).exists()


def test_the_exit_code_is_the_scripts_own_and_its_traps_are_too(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    take(shell, paths, "t")
    script = f"set -eu\ntrap ': > {tmp_path}/trapped' EXIT\nexit 7\n"
    assert run(shell, Action(Command("x", script)).guarded(paths.hold, "t")).returncode == 7
    assert (tmp_path / "trapped").exists()
    assert not mark(paths).exists()


def test_who_lost_the_hold_while_it_waited_for_its_turn_writes_nothing(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    """The token is looked at again once the mark is set: `ln`, which sets it, is where the hold is lost here."""
    if shell[0] == "busybox":
        pytest.skip("its sh has an ln of its own")
    take(shell, paths, "t")
    slow = program(tmp_path / "bin", "ln", f'echo other > {paths.token}\nexec /bin/ln "$@"')
    assert run(shell, quick(tmp_path).guarded(paths.hold, "t"), slow).returncode == LOST_HOLD
    assert not (tmp_path / "done").exists()
    assert not mark(paths).exists()


def test_of_many_at_once_one_at_a_time_runs(shell: list[str], tmp_path: Path, paths: RunPaths) -> None:
    """Also where the mark of a process that is gone is in the way, which each of them finds and takes away."""
    take(shell, paths, "t")
    script = f"mkdir {tmp_path}/one || exit 9\nsleep 0.2\nrmdir {tmp_path}/one\n"
    for _ in range(ROUNDS):
        mark(paths).write_text("4194304-1 - 1 1 copy\n")
        each = [begin(shell, Action(Command("x", script)).guarded(paths.hold, "t")) for _ in range(8)]
        codes = sorted(process.wait() for process in each)
        for process in each:
            process.communicate()
        assert set(codes) <= {0, BUSY}
        assert 0 in codes
        assert not list(mark(paths).parent.glob("busy*"))


ROUNDS = 3


def test_who_was_taking_a_mark_away_and_is_gone_is_in_nobodys_way(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    take(shell, paths, "t")
    mark(paths).write_text("4194304-1 - 1 1 copy\n")
    mark(paths).with_name("busy.4194304-1").write_text("4194303-1 - 1 1 move\n")
    assert run(shell, Action(Command("x", "echo done")).guarded(paths.hold, "t")).returncode == 0
    assert not list(mark(paths).parent.glob("busy*"))


def test_a_copy_ends_with_its_connection(shell: list[str], tmp_path: Path, paths: RunPaths) -> None:
    """The ssh server's process, of which it is a descendant, goes away: what can be thrown away does not go on."""
    take(shell, paths, "t")
    server = tmp_path / "sshd-session"
    server.symlink_to("/bin/dash" if Path("/bin/dash").exists() else "/bin/sh")
    inner = tmp_path / "inner.sh"
    for ends_alone in (True, False):
        action = Action(Command("copy", f"echo $$ > {tmp_path}/pid; while :; do sleep 0.2; done\n"), "", ends_alone)
        inner.write_text(action.guarded(paths.hold, "t").script)
        (tmp_path / "pid").unlink(missing_ok=True)
        line = f"setsid {' '.join(shell)} {inner} & wait"
        session = subprocess.Popen([server, "-c", line], start_new_session=True, stdout=subprocess.DEVNULL)
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
        pid = int((tmp_path / "pid").read_text())
        session.kill()
        session.wait()
        if ends_alone:
            until_gone(pid)
        else:
            time.sleep(2.5)
            assert alive(pid)
            os.killpg(pid, 9)
            until_gone(pid)


def test_a_copy_of_the_container_engines_ends_with_the_connection_of_its_client(
    shell: list[str], tmp_path: Path, paths: RunPaths
) -> None:
    """A shell that the engine gave is no descendant of the ssh server's process; its client is."""
    take(shell, paths, "t")
    server = tmp_path / "sshd-session"
    server.symlink_to("/bin/dash" if Path("/bin/dash").exists() else "/bin/sh")
    session = subprocess.Popen([server, "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    client = session.stdout.readline().strip()
    action = Action(Command("copy", f"echo $$ > {tmp_path}/pid; while :; do sleep 0.2; done\n"), "", ends_alone=True)
    copy = begin(shell, action.guarded(paths.hold, "t"), None, **{LOGIN: client})
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    session.kill()
    session.wait()
    copy.communicate(timeout=60)
    until_gone(int((tmp_path / "pid").read_text()))
    os.kill(int(client), 9)


def until_gone(pid: int) -> None:
    until(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False
