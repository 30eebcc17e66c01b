"""Units are held, stopped and given back, on this machine's shells with stand-ins for systemctl and docker.

Drop a look, or an order, and one of these fails. What a real systemd does with the same scripts: tests/e2e/test_units.py.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.commands import units
from fleetrecover.commands.base import Action
from fleetrecover.commands.managers import starters
from fleetrecover.commands.paths import RunPaths
from fleetrecover.facts import Starter
from fleetrecover.model import Command, Result
from tests.commands.shells import NAMES, SHELLS, program, run

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
UNIT = "etcd.service"

# A little systemd: a unit is a directory with a file `state` in it, and starts unless its drop-in's assertion fails.
SYSTEMCTL = r"""
cd "$WORLD" || exit 1
verb=$1; shift
unit=; property=
while [ $# -gt 0 ]; do
  case $1 in --) ;; -p) shift; property=$1 ;; -*) ;; *) unit=$1 ;; esac
  shift
done
echo "$verb $unit" | sed 's/ $//' >> told
conf=settings/$unit.d/50-fleetrecover.conf
case $verb in
  daemon-reload) rm -rf loaded; mkdir loaded; [ -e deaf ] || cp -r settings/. loaded/ 2>/dev/null; true ;;
  show) case $property in
    ActiveState) echo "ActiveState=$(cat state)" ;;
    SubState) head -n 1 sub | sed 's/^/SubState=/'; sed -i 1d sub; [ -s sub ] || echo running > sub ;;
    DropInPaths) if [ -e "loaded/$unit.d/50-fleetrecover.conf" ]; then
      echo "DropInPaths=/usr/lib/systemd/system/$unit.d/10.conf @SETTINGS@/$unit.d/50-fleetrecover.conf"
      else echo DropInPaths=; fi ;;
    esac ;;
  stop) [ -e stubborn ] || echo inactive > state ;;
  start) mark=$(sed -n 's/^AssertPathExists=!//p' "loaded/$unit.d/50-fleetrecover.conf" 2>/dev/null)
    if [ -n "$mark" ] && [ -e "$mark" ]; then echo "Assertion failed on job for $unit." >&2; exit 1; fi
    [ ! -e broken ] || exit 1
    echo active > state ;;
esac
"""

# Containers are files named by their id, with their name and state in them.
DOCKER = r"""
cd "$WORLD/containers" || exit 1
find_it() { [ -f "$1" ] && { echo "$1"; return; }; grep -l "^$1 " * 2>/dev/null | head -n 1; }
for last; do :; done
case $1 in
  inspect) id=$(find_it "$last"); [ -n "$id" ] || exit 1; cut -d' ' -f1 "$id" | sed 's,^,/,' ;;
  rename) echo "docker rename $2 $3" >> ../told; state=$(cut -d' ' -f2 "$2"); echo "$3 $state" > "$2" ;;
  unpause) echo "docker unpause $2" >> ../told ;;
  stop) id=$(find_it "$last"); [ -n "$id" ] || exit 1
    echo "docker stop $(cut -d' ' -f1 "$id")" >> ../told; echo "$(cut -d' ' -f1 "$id") exited" > "$id" ;;
esac
"""


class World:
    """A host's files, and its stand-ins."""

    def __init__(self, shell: list[str], root: Path) -> None:
        self.shell, self.root = shell, root
        for name in ("settings", "loaded", "containers"):
            (root / name).mkdir()
        self.write("state", "active")
        self.write("sub", "running")
        self.tools = program(root / "bin", "systemctl", SYSTEMCTL.replace("@SETTINGS@", str(root / "settings")))
        program(root / "bin", "docker", DOCKER)
        self.paths = RunPaths(str(root / "etcd.fleetrecover"), "r1")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text + "\n")

    def read(self, name: str) -> str:
        return (self.root / name).read_text().strip()

    def container(self, cid: str, name: str, state: str = "running") -> None:
        self.write(f"containers/{cid}", f"{name} {state}")

    def act(self, action: Action) -> tuple[int, str]:
        script = action.command.script.replace(units.SETTINGS, str(self.root / "settings"))
        done = run(self.shell, Command("x", script), self.tools, WORLD=str(self.root))
        return done.returncode, done.stdout.decode().strip()

    def hold(self, paths: RunPaths | None = None) -> int:
        return self.act(units.hold_unit(paths or self.paths, UNIT))[0]

    def stop(self, *containers: tuple[str, str, bool]) -> int:
        return self.act(units.stop_unit("docker", self.paths, UNIT, "etcd1", containers))[0]

    def release(self, *, remakes: bool = True) -> tuple[int, str]:
        return self.act(units.release_unit("docker", self.paths, UNIT, "etcd1", remakes=remakes))

    @property
    def told(self) -> list[str]:
        done = self.read("told").splitlines() if (self.root / "told").exists() else []
        return [line for line in done if not line.startswith("show")]

    @property
    def conf(self) -> Path:
        return self.root / "settings" / f"{UNIT}.d" / units.DROP_IN

    @property
    def mark(self) -> Path:
        return Path(self.paths.at("fenced"))


@pytest.fixture
def world(shell: list[str], tmp_path: Path) -> World:
    return World(shell, tmp_path)


ASIDE = ("abc", "etcd1.fleetrecover-r1", False)


def test_held_it_does_not_start_and_nothing_was_stopped(world: World) -> None:
    assert world.hold() == 0
    assert world.told == ["daemon-reload"]
    assert world.conf.read_text().splitlines()[1:] == [
        "[Unit]",
        f"AssertPathExists=!{world.mark}",
        f"RequiresMountsFor={world.paths.root}",
    ]
    assert world.conf.stat().st_mode & 0o777 == 0o644
    assert Path(world.paths.root).stat().st_mode & 0o777 == 0o700
    assert run(world.shell, Command("x", f"systemctl start {UNIT}"), world.tools, WORLD=str(world.root)).returncode == 1


@pytest.mark.parametrize(
    ("state", "was"),
    [
        ("active", "active"),
        ("activating", "active"),
        ("reloading", "active"),
        ("inactive", "stopped"),
        ("failed", "stopped"),
    ],
)
def test_what_it_was_is_written_down_once(world: World, state: str, was: str) -> None:
    """Also where a later run takes it over, and when the unit is stopped long since."""
    world.write("state", state)
    assert world.hold() == 0
    assert (
        world.conf.read_text()
        .splitlines()[0]
        .endswith(f"r1: this unit is held while the run is under way; before, it was {was}")
    )
    world.write("state", "inactive" if was == "active" else "active")
    later = RunPaths(world.paths.keep_root, "r2")
    assert world.hold() == 0
    assert world.hold(later) == 0
    first = world.conf.read_text().splitlines()
    assert (first[0].split()[2], first[0].endswith(was)) == ("r2:", True)
    assert Path(later.at("fenced")).exists()
    assert not Path(world.paths.root).exists(), "a run that never came further leaves nothing"


def test_a_run_that_kept_something_keeps_it_when_another_takes_the_unit_over(world: World) -> None:
    assert world.hold() == 0
    Path(world.paths.at("run.json")).write_text("{}")
    assert world.hold(RunPaths(world.paths.keep_root, "r2")) == 0
    assert Path(world.paths.at("run.json")).exists()
    assert not world.mark.exists()


def test_a_systemd_that_does_not_take_the_drop_in_is_not_believed(world: World) -> None:
    world.write("deaf", "")
    assert world.hold() == units.NOT_HELD
    world.container("abc", "etcd1")
    assert world.stop(ASIDE) == units.NOT_HELD
    assert world.read("containers/abc") == "etcd1 running"


def test_what_is_starting_is_let_come_up_first(world: World) -> None:
    """Between its ExecStartPre and its start it still makes a container; then no more."""
    world.write("sub", "start-pre\nstart\nrunning")
    assert world.hold() == 0
    assert (world.root / "told").read_text().count("show") >= 5


def test_one_that_is_starting_for_ever_is_refused(world: World) -> None:
    world.write("sub", "\n".join(["start"] * 100))
    held = units.hold_unit(world.paths, UNIT)
    brief = replace(held, command=replace(held.command, script=held.command.script.replace("-le 60", "-le 1")))
    assert world.act(brief)[0] == units.STARTING


def test_stopped_gently_its_container_renamed_before_that(world: World) -> None:
    """What the unit does to its container when it stops, `docker rm` perhaps, finds none of that name."""
    world.container("abc", "etcd1")
    assert world.hold() == 0
    assert world.stop(ASIDE) == 0
    assert world.told[1:] == [
        "docker rename abc etcd1.fleetrecover-r1",
        "docker stop etcd1.fleetrecover-r1",
        f"stop {UNIT}",
    ]
    assert (world.read("state"), world.read("containers/abc")) == ("inactive", "etcd1.fleetrecover-r1 exited")
    assert world.stop(ASIDE) == 0
    assert sum("rename" in line for line in world.told) == 1


def test_a_paused_one_is_woken_so_that_it_can_flush(world: World) -> None:
    world.container("abc", "etcd1")
    assert world.hold() == 0
    assert world.stop((*ASIDE[:2], True)) == 0
    assert world.told[2:4] == ["docker unpause abc", "docker stop etcd1.fleetrecover-r1"]


@pytest.mark.parametrize("gone", ["drop-in", "mark"])
def test_one_that_is_not_held_is_not_stopped(world: World, gone: str) -> None:
    """It would come back at once."""
    world.container("abc", "etcd1")
    if gone == "mark":
        assert world.hold() == 0
        world.mark.unlink()
    assert world.stop(ASIDE) == units.NOT_HELD
    assert world.read("containers/abc") == "etcd1 running"
    assert not any(line.startswith(("stop", "docker")) for line in world.told)


def test_one_that_runs_on_and_one_that_made_a_container_meanwhile_are_told(world: World) -> None:
    world.container("abc", "etcd1")
    assert world.hold() == 0
    world.write("stubborn", "")
    assert world.stop(ASIDE) == units.RUNS_ON
    (world.root / "stubborn").unlink()
    (world.root / "containers" / "abc").unlink()
    world.container("new", "etcd1")
    assert world.stop(ASIDE) == units.MADE_ANEW
    assert set(units.REFUSALS) == {
        units.NOT_HELD,
        units.STARTING,
        units.RUNS_ON,
        units.MADE_ANEW,
        units.DOES_NOT_START,
    }


def test_given_back_it_runs_again_and_nothing_is_left(world: World) -> None:
    world.container("abc", "etcd1")
    assert world.hold() == 0
    assert world.stop() == units.MADE_ANEW  # its container still has the name
    Path(world.paths.at("run.json")).write_text("{}")
    assert world.release() == (0, units.STARTED)
    assert world.told[-4:] == ["docker stop etcd1", f"reset-failed {UNIT}", f"start {UNIT}", "daemon-reload"]
    assert world.read("state") == "active"
    assert not world.conf.parent.exists()
    assert not world.mark.exists()
    assert Path(world.paths.at("run.json")).exists()
    assert world.release() == (0, "")


def test_one_that_starts_what_is_there_is_started_beside_it(world: World) -> None:
    world.container("abc", "etcd1")
    assert world.hold() == 0
    world.write("state", "inactive")
    assert world.release(remakes=False) == (0, units.STARTED)
    assert world.read("containers/abc") == "etcd1 running"


def test_one_that_only_starts_a_container_is_left_stopped_where_there_is_none(world: World) -> None:
    """It would only fail, again and again, as it did before."""
    assert world.hold() == 0
    world.write("state", "inactive")
    assert world.release(remakes=False) == (0, "")
    assert world.read("state") == "inactive"
    assert not world.conf.exists()


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_a_hold_that_is_taken_back_at_once_leaves_no_trace(world: World, state: str) -> None:
    """Neither a start nor a stop, nor a file."""
    world.write("state", state)
    assert world.hold() == 0
    assert world.release() == (0, "")
    assert world.told == ["daemon-reload", "daemon-reload"]
    assert world.read("state") == state
    assert not Path(world.paths.root).exists()
    assert not world.conf.parent.exists()


def test_what_does_not_start_is_told_and_what_it_was_stays_known(world: World) -> None:
    assert world.hold() == 0
    world.write("state", "inactive")
    world.write("broken", "")
    assert world.release() == (units.DOES_NOT_START, "")
    assert world.conf.exists()
    (world.root / "broken").unlink()
    assert world.release() == (0, units.STARTED)


def test_a_hold_that_another_run_has_left_is_given_back_whole(world: World) -> None:
    assert world.hold(RunPaths(world.paths.keep_root, "r0")) == 0
    world.write("state", "inactive")
    assert world.release() == (0, units.STARTED)
    assert not Path(world.paths.keep_root, "r0", "fenced").exists()


# --- and seen by the survey ---

LISTS = r"""
case $1 in
  list-units) echo 'etcd.service loaded active running etcd' ;;
  list-unit-files) echo 'etcd.service enabled' ;;
  show) printf '%s\n' 'Id=etcd.service' LoadState=loaded ActiveState=inactive UnitFileState=enabled Type=simple \
    "ExecStart={ path=@SCRIPT@ ; argv[]=@SCRIPT@ ; ignore_errors=no ; }" ;;
esac
"""


def seen(shell: list[str], root: Path, settings: Path) -> tuple[Starter, ...]:
    script = root / "etcd"
    script.write_text(
        "#!/bin/sh\n/usr/bin/docker run \\\n  --restart=on-failure:5 \\\n  --name=etcd1 \\\n  quay.io/coreos/etcd\n"
    )
    tools = program(root / "tools", "systemctl", LISTS.replace("@SCRIPT@", str(script)))
    probe = starters(["etcd1"])
    text = probe.command.script.replace(units.SETTINGS, str(settings)).replace("/etc/cron", "/nowhere/cron")
    done = run(shell, Command("x", text), tools)
    return probe.parse(Result(probe.command, done.returncode, done.stdout, done.stderr))


def test_a_unit_is_seen_with_its_script_and_who_holds_it(world: World, shell: list[str], tmp_path: Path) -> None:
    settings = world.root / "settings"
    [free] = [each for each in seen(shell, tmp_path, settings) if each.name == UNIT]
    assert (free.service, free.settings, free.held_by, free.to_run) == ("simple", True, "", False)
    assert any("run" in line and "--name=etcd1" in line for line in free.commands.splitlines()), free.commands
    assert world.hold() == 0
    [held] = [each for each in seen(shell, tmp_path, settings) if each.name == UNIT]
    assert (held.held_by, held.was_active, held.to_run) == ("r1", True, True)
    shutil.rmtree(settings)
    [shut] = [each for each in seen(shell, tmp_path, settings) if each.name == UNIT]
    assert not shut.settings
