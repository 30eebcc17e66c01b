"""The scripts for real, on every sh there is: what they find, what they refuse, and what the retention removes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.actions import DIFFERS, OCCUPIED
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import PREFIX, Schedule, SchedulePaths
from fleetrecover.model import Command, Result
from fleetrecover.runtime.containers import Containers
from tests.snapshots.files import rke_zip, snapshot

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
WHOLE = snapshot()


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Each shell in turn."""
    found: list[str] = request.param
    return found


def run(shell: list[str], command: Command, sent: bytes | None = None, path: Path | None = None) -> Result:
    """Run a command's script; with `sent`, that comes on its standard input, with `path` it finds no other programs."""
    argv, given = (shell, command.script.encode()) if sent is None else ([*shell, "-c", command.script], sent)
    environment = dict(os.environ) | ({"PATH": str(path)} if path else {})
    done = subprocess.run(argv, capture_output=True, check=False, timeout=60, env=environment, input=given)
    return Result(command, done.returncode, done.stdout, done.stderr)


def test_a_directory_behind_a_link_with_odd_names(shell: list[str], tmp_path: Path) -> None:
    """rancher#25410 and windows#119: the directory is a symbolic link, names hold colons; and worse."""
    real = tmp_path / "real place"
    real.mkdir()
    names = ["2020-01-01T00:00:00Z_etcd.zip", "with space", "new\nline", "$(touch x)", "'\"", "-n"]
    for name in names:
        (real / name).write_bytes(WHOLE)
    (real / "sub").mkdir()
    (real / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to(real)
    probe = commands.listing(str(tmp_path / "link"))
    found = probe.parse(run(shell, probe.command))
    assert (found.real, found.symlink, found.exists) == (str(real), True, True)
    assert sorted(file.name for file in found.files) == sorted(names)
    assert all(file.size == len(WHOLE) and file.head == WHOLE[:128] for file in found.files)
    nothing = commands.listing(str(tmp_path / "nothing" / "there"))
    assert not nothing.parse(run(shell, nothing.command)).exists


@pytest.mark.parametrize("openssl", [True, False])
def test_the_checksum_is_checked_on_the_node(shell: list[str], tmp_path: Path, openssl: bool) -> None:
    path = None
    if not openssl:
        path = tmp_path / "bin"
        path.mkdir()
        for tool in ("stat", "head", "tail", "od", "tr", "cut", "sha256sum", shell[0]):
            (path / tool).symlink_to(shutil.which(tool) or tool)
    whole, flipped, raw = tmp_path / "who le", tmp_path / "flipped", tmp_path / "raw"
    whole.write_bytes(WHOLE)
    flipped.write_bytes(WHOLE[:99] + bytes([WHOLE[99] ^ 1]) + WHOLE[100:])
    raw.write_bytes(WHOLE[:-32])
    probes = [commands.digest(str(file), file.stat().st_size) for file in (whole, flipped, raw)]
    found = [probe.parse(run(shell, probe.command, path=path)) for probe in probes]
    assert [digest.sound for digest in found] == [True, False, False]
    assert found[0].body == hashlib.sha256(WHOLE[:-32]).hexdigest() == found[2].body
    assert found[2].trailer == ""
    grown = commands.digest(str(whole), 5)
    assert run(shell, grown.command).exit_code == 1


def test_what_is_received_is_whole_or_not_there(shell: list[str], tmp_path: Path) -> None:
    target = tmp_path / "new dir" / "snap:shot.zip"
    data = rke_zip("x", WHOLE)
    digest = hashlib.sha256(data).hexdigest()
    action = commands.receive(str(target), len(data), digest)
    assert run(shell, action.command, data[:-1]).exit_code == DIFFERS
    assert run(shell, action.command, data[:-1] + b"x").exit_code == DIFFERS
    assert list(target.parent.iterdir()) == []
    assert run(shell, action.command, data).ok
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600
    assert run(shell, action.command, data).ok, "the same again is no harm"
    other = commands.receive(str(target), 3, hashlib.sha256(b"abc").hexdigest())
    assert run(shell, other.command, b"abc").exit_code == commands.EXISTS
    assert target.read_bytes() == data


def test_a_large_database_is_given_the_time_that_it_takes() -> None:
    """etcdctl's own limit is 5 s where it is only asked something: 1 GB takes longer to save on a busy machine."""
    ctl = Etcdctl(Containers(), "etcd", "https://127.0.0.1:2379")
    inside = commands.save_in_data_dir(ctl, "/data/x", "/var/lib/etcd/x", "/snapshots/x", need=10**9)
    outside = commands.save_by_copy("docker", ctl, "/tmp/x", "/snapshots/x", need=10**9)
    for action in (inside, outside):
        assert "--command-timeout=110s" in action.command.script
        assert action.command.timeout > 110


def test_restored_data_moves_in_once(shell: list[str], tmp_path: Path) -> None:
    data = tmp_path / "etcd"
    data.mkdir()
    paths = RunPaths(str(tmp_path / "etcd.fleetrecover"), "r1")
    source = Path(paths.at("restored")) / "member"
    source.mkdir(parents=True)
    (source / "x").write_text("new")
    (data / "member").mkdir()
    adopt = commands.adopt_restored(paths, str(data)).command
    assert run(shell, adopt).exit_code == OCCUPIED
    (data / "member").rmdir()
    assert run(shell, adopt).ok
    assert (data / "member" / "x").read_text() == "new"
    assert run(shell, adopt).ok, "done already"
    probe = commands.restore_state(paths)
    assert probe.parse(run(shell, probe.command)).adopted


# --- the schedule's own script ---

FAKE_DOCKER = """#!/bin/sh
# exec -e … CONTAINER etcdctl …
case "$*" in
  *"endpoint health"*) [ ! -e {home}/unhealthy ] || { echo "context deadline exceeded" >&2; exit 1; } ;;
  *"snapshot save"*)
    [ ! -e {home}/unsavable ] || { echo "no luck" >&2; exit 1; }
    cat {home}/snapshot > {data}/.fleetrecover-scheduled ;;
  *) exit 9 ;;
esac
"""


class Node:
    """A node with the script installed and a container command that only pretends."""

    def __init__(self, directory: Path, shell: list[str], *, keep: int, keep_for: int = 0) -> None:
        self.home, self.data, self.snapshots = directory, directory / "etcd", directory / "rke" / "snap shots"
        for path in (self.data / "member" / "snap", self.snapshots, directory / "bin"):
            path.mkdir(parents=True)
        (directory / "snapshot").write_bytes(WHOLE)
        docker = directory / "bin" / "docker"
        docker.write_text(FAKE_DOCKER.replace("{home}", str(directory)).replace("{data}", str(self.data)))
        docker.chmod(0o755)
        self.paths = SchedulePaths(str(self.snapshots))
        Path(self.paths.home).mkdir()
        ctl = Etcdctl(Containers(str(docker)), "abc", "https://127.0.0.1:2379", ("/ca", "/cert", "/key"))
        file = str(self.data / ".fleetrecover-scheduled")
        wanted = Schedule(1, keep, keep_for)
        Path(self.paths.script).write_text(
            commands.schedule_script(str(docker), ctl, "etcd", file, file, self.paths, wanted)
        )
        self.shell = shell

    def run(self, word: str = "now") -> int:
        """Run it once."""
        done = subprocess.run([*self.shell, self.paths.script, word], capture_output=True, timeout=60, check=False)
        return done.returncode

    def old(self, *days: int) -> list[str]:
        """Snapshots of ours, so many days old."""
        names = []
        for day in days:
            name = f"{PREFIX}2020-01-{31 - day:02}T00:00:00Z"
            (self.snapshots / name).write_bytes(WHOLE)
            names.append(name)
        return names

    @property
    def names(self) -> set[str]:
        """All files in the snapshot directory."""
        return {path.name for path in self.snapshots.iterdir()}


def test_it_saves_checks_and_keeps_the_newest_of_its_own(shell: list[str], tmp_path: Path) -> None:
    node = Node(tmp_path, shell, keep=3)
    first = node.old(1, 2, 3, 4, 5)
    others = {
        "2019-01-01T00:00:00Z_etcd.zip",
        "c-abcde-rl-x",
        "fleetrecover-r_mine",
        f"{PREFIX}2020-01-01T00:00:00Z.bak",
    }
    for name in others:
        (node.snapshots / name).write_bytes(b"x")
    assert node.run() == 0
    assert others < node.names
    ours = node.names - others
    assert len(ours) == 3
    assert set(first[:2]) < ours
    [new] = ours - set(first)
    assert (node.snapshots / new).read_bytes() == WHOLE
    assert (node.snapshots / new).stat().st_mode & 0o777 == 0o600
    probe = commands.schedule_status(node.paths)
    status = probe.parse(run(shell, probe.command))
    assert (status.outcome, status.name, status.every, status.keep, status.failures) == ("saved", new, 1, 3, 0)


@pytest.mark.parametrize("trouble", ["unhealthy", "unsavable", "damaged", "cut", "empty"])
def test_it_never_removes_while_no_new_one_succeeds(shell: list[str], tmp_path: Path, trouble: str) -> None:
    """rancher#36492: good snapshots were pruned after the outage."""
    node = Node(tmp_path, shell, keep=1)
    kept = set(node.old(1, 2, 3, 4))
    if trouble in ("unhealthy", "unsavable"):
        (tmp_path / trouble).touch()
    data = {"damaged": WHOLE[:50] + b"!" + WHOLE[51:], "cut": WHOLE[:-9], "empty": b""}.get(trouble, WHOLE)
    (tmp_path / "snapshot").write_bytes(data)
    for count in (1, 2):
        assert node.run() == 1
        assert node.names == kept
        probe = commands.schedule_status(node.paths)
        status = probe.parse(run(shell, probe.command))
        assert (status.outcome, status.failures) == ("failed", count)
    assert not list(node.data.glob(".fleet*")), "nothing is left in etcd's directory"
    (tmp_path / trouble).unlink(missing_ok=True)
    (tmp_path / "snapshot").write_bytes(WHOLE)
    assert node.run() == 0
    assert len(node.names) == 1, "now it goes on"


def test_age_never_removes_the_newest(shell: list[str], tmp_path: Path) -> None:
    node = Node(tmp_path, shell, keep=9, keep_for=60)
    for name in node.old(1, 2, 3):
        os.utime(node.snapshots / name, (0, 0))
    assert node.run() == 0
    assert len(node.names) == 1
    [last] = node.names
    os.utime(node.snapshots / last, (0, 0))
    (tmp_path / "unhealthy").touch()
    assert node.run() == 1
    assert node.names == {last}


def test_it_waits_until_it_is_due(shell: list[str], tmp_path: Path) -> None:
    node = Node(tmp_path, shell, keep=9)
    text = Path(node.paths.script).read_text().replace("every=1;", "every=3600;")
    Path(node.paths.script).write_text(text)
    assert node.run("due") == 0
    assert len(node.names) == 1
    assert node.run("due") == 0
    assert len(node.names) == 1


# --- the schedule, whatever the clock did ---


def named(node: Node, *times: str) -> list[str]:
    """Whole snapshots of ours with these times in their names, in the order in which they were written."""
    names = [f"{PREFIX}{time}" for time in times]
    for name in names:
        (node.snapshots / name).write_bytes(WHOLE)
    return names


def newest(node: Node) -> str:
    """The name that the schedule's state gives."""
    lines = Path(node.paths.state).read_text().splitlines()
    return dict(line.partition("=")[::2] for line in lines)["name"]


@pytest.mark.parametrize("keep", [1, 2, 6])
def test_a_clock_that_was_ahead(shell: list[str], tmp_path: Path, keep: int) -> None:
    """Names of a time that is yet to come are the oldest: else each new one would be removed as it is written."""
    node = Node(tmp_path, shell, keep=keep)
    ahead = named(node, *(f"2099-01-0{day}T00:00:00Z" for day in range(1, 7)))
    first = node.old(1)
    written = []
    for _ in range(3):
        assert node.run() == 0
        written.append(newest(node))
        assert written[-1] in node.names
        assert len(node.names) == keep
    assert len(set(written)) == 3, "no two have the same name"
    assert set(written[-keep:]) <= node.names
    if keep == 6:
        assert node.names == {*written, *first, *ahead[-2:]}, "the ones with the latest names of those that are left"


def test_a_time_of_writing_that_is_yet_to_come_counts_as_old(shell: list[str], tmp_path: Path) -> None:
    node = Node(tmp_path, shell, keep=2)
    good, strange = node.old(2)[0], node.old(1)[0]
    os.utime(node.snapshots / strange, (4_000_000_000, 4_000_000_000))
    assert node.run() == 0
    assert node.names == {good, newest(node)}


def test_a_clock_that_has_gone_back(shell: list[str], tmp_path: Path) -> None:
    """What was written last is kept, though every name that is there is younger."""
    node = Node(tmp_path, shell, keep=2)
    clock = tmp_path / "clock"
    date = f"""date() {{
  case "$*" in *+%s) echo 86400; return ;; esac
  echo x >> {clock}; echo "1970-01-02T00:00:0$(wc -l < {clock} | tr -d ' ')Z"
}}
"""
    script = Path(node.paths.script)
    script.write_text(script.read_text().replace("umask 077\n", "umask 077\n" + date, 1))
    node.old(1, 2, 3)
    for _ in range(3):
        assert node.run() == 0
        assert newest(node) in node.names
        assert newest(node).startswith(f"{PREFIX}1970")
        assert len(node.names) == 2


def test_a_clock_that_stands_still(shell: list[str], tmp_path: Path) -> None:
    """An older snapshot is never written over."""
    node = Node(tmp_path, shell, keep=2)
    script = Path(node.paths.script)
    still = "date() { case $* in *+%s) echo 86400 ;; *) echo 1970-01-02T00:00:00Z ;; esac; }\nsleep() { :; }\n"
    script.write_text(script.read_text().replace("umask 077\n", "umask 077\n" + still, 1))
    assert node.run() == 0
    [only] = node.names
    (node.snapshots / only).write_bytes(b"the older one")
    assert node.run() == 1
    assert (node.snapshots / only).read_bytes() == b"the older one"


def test_ages_mean_nothing_right_after_a_jump(shell: list[str], tmp_path: Path) -> None:
    """The clock is suddenly years ahead: by their age all would go at once."""
    node = Node(tmp_path, shell, keep=9, keep_for=3600)
    kept = node.old(1, 2, 3)
    for name in kept:
        os.utime(node.snapshots / name, (1_600_000_000, 1_600_000_000))
    Path(node.paths.state).write_text("last=1600000100\noutcome=saved\n")
    assert node.run() == 0
    assert set(kept) < node.names
    (node.snapshots / newest(node)).touch()
    assert node.run() == 0
    assert not set(kept) & node.names, "the next time they are old"


@pytest.mark.parametrize("mark", ["@ENVIRONMENT@", "@TICK@", "@CLI@", "@PREFIX@", "\\1", "\\g<0>", "@DIR@@HOME@"])
def test_what_looks_like_a_mark_stays_what_it_is(shell: list[str], tmp_path: Path, mark: str) -> None:
    """Values come from the node's containers: none of them may become part of the script."""
    touched = tmp_path / "touched"
    cli = f"doc ker/{mark}"
    ctl = Etcdctl(Containers(cli), "etcd", f"http://x y;touch {touched};", ("/c' a", mark, "$(touch x)"))
    evil = f"/d b/{mark}/.fleetrecover-scheduled"
    paths = SchedulePaths(f"{tmp_path}/{mark}/snap shots")
    text = commands.schedule_script(cli, ctl, f"et cd {mark}", evil, evil, paths, Schedule(3600, 6))
    asked = 'printf "%s|" "$cli" "$container" "$dir" "$home" "$inside" "$onhost" "$prefix"; exit 0\n'
    head = text.split("state=$home/state")[0] + asked
    done = subprocess.run([*shell, "-c", head], capture_output=True, text=True, check=True, timeout=60)
    wanted = [cli, f"et cd {mark}", paths.snapshots, paths.home, evil, evil, PREFIX]
    assert done.stdout.split("|")[:-1] == wanted
    subprocess.run([*shell, "-s", "due"], input=text, text=True, capture_output=True, check=False, timeout=60)
    assert not touched.exists()


def test_a_snapshot_directory_that_looks_like_a_mark(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "@MAX@").mkdir()
    (tmp_path / "@MAX@" / "x").write_bytes(WHOLE)
    probe = commands.listing(str(tmp_path / "@MAX@"))
    assert [file.name for file in probe.parse(run(shell, probe.command)).files] == ["x"]
