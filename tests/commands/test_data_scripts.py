"""The scripts that look at, keep, copy and put back a data directory, on this machine's sh: odd places, hostile names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetrecover.commands import actions, containers, probes
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.probes import DataListing
from fleetrecover.errors import FormatError
from fleetrecover.model import Command, Result
from fleetrecover.runtime.containers import Containers

NASTY = "$(touch pwned)`touch pwned`;touch pwned;'\"\n\x1b[31m& |"


def sh(command: Command | Action, path: str = "", cwd: Path | None = None) -> int:
    script = command.script if isinstance(command, Command) else command.command.script
    environment = os.environ | ({"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    return subprocess.run(["sh"], input=script.encode(), check=False, env=environment, cwd=cwd).returncode


def seen(data: Path, cwd: Path | None = None) -> DataListing:
    script = probes.data_listing(str(data)).command.script
    said = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True, cwd=cwd).stdout.decode()
    return probes.parse_listing(str(data), said)


def make_data(root: Path) -> Path:
    data = root / "etcd"
    for name in ("wal", "snap"):
        (data / "member" / name).mkdir(parents=True)
        (data / "member" / name / "0.wal").write_text(f"what lies in {name}")
    return data


def content(directory: Path) -> dict[str, str]:
    return {str(p.relative_to(directory)): p.read_text() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


@pytest.fixture
def paths(data: Path) -> RunPaths:
    found = RunPaths(f"{data}.fleetrecover", "r1")
    Path(found.root).mkdir(parents=True, mode=0o700)
    return found


def keep(data: Path, paths: RunPaths, work: Path, need: int = 4096) -> Action:
    return actions.keep_elsewhere(Containers("true").quiet, paths, str(data), work=str(work), need=need)


# --- --work-dir --------------------------------------------------------------------------------------------------------


def test_keeping_elsewhere_and_putting_back(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """The one elsewhere is the original, what stood in place the working copy; undo brings it back, and can be repeated."""
    before, work = content(data / "member"), tmp_path / "spare"
    work.mkdir()
    for _ in range(2):
        assert sh(keep(data, paths, work)) == 0
    assert not (data / "member").exists()
    assert content(work / "r1" / "original" / "member") == before == content(Path(paths.at("partial")) / "member")
    assert (work / "r1").stat().st_mode & 0o777 == 0o700
    [kept] = seen(data).keeps
    assert kept.original and kept.partial and kept.elsewhere == str(work / "r1" / "original")
    Path(paths.at("partial")).rename(paths.at("reset"))
    (Path(paths.at("reset")) / "member" / "new").write_text("written by the reset")
    assert sh(actions.adopt(paths, str(data))) == 0
    for _ in range(2):
        assert sh(actions.put_data_back(Containers("true").quiet, paths, str(data))) == 0
    assert content(data / "member") == before
    assert "new" in content(work / "r1" / "withdrawn" / "member")
    [kept] = seen(data).keeps
    assert not kept.original
    assert kept.elsewhere_bytes > 0
    assert sh(actions.remove_run(paths)) == 0
    assert list(work.iterdir()) == []


def test_undo_before_the_copy_elsewhere_was_adopted(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """Copies of ours are removed to make room; nothing else is."""
    before, work = content(data / "member"), tmp_path / "spare"
    work.mkdir()
    assert sh(keep(data, paths, work)) == 0
    (Path(paths.at("partial")) / "member" / "wal" / "0.wal").write_text("its commit was raised")
    assert sh(actions.put_data_back(Containers("true").quiet, paths, str(data))) == 0
    assert content(data / "member") == before
    assert not Path(paths.at("partial")).exists()


def test_a_copy_elsewhere_that_was_interrupted(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """Until it is whole and compared it is no original; one that is not equal any more is kept, and made anew."""
    before, work = content(data / "member"), tmp_path / "spare"
    (work / "r1" / "original.new" / "member").mkdir(parents=True)
    Path(paths.at("original")).symlink_to(work / "r1" / "original")
    [kept] = seen(data).keeps
    assert not kept.original and kept.elsewhere == str(work / "r1" / "original")
    assert sh(actions.put_data_back(Containers("true").quiet, paths, str(data))) == 0
    assert content(data / "member") == before
    Path(paths.at("original-elsewhere")).unlink(missing_ok=True)
    shutil.copytree(data / "member", work / "r1" / "original" / "member")
    (work / "r1" / "original" / "member" / "wal" / "0.wal").write_text("older")
    if not Path(paths.at("original")).is_symlink():
        Path(paths.at("original")).symlink_to(work / "r1" / "original")
    assert sh(keep(data, paths, work)) == 0
    assert content(work / "r1" / "original" / "member") == before
    assert (work / "r1" / "superseded" / "member" / "wal" / "0.wal").read_text() == "older"


def test_no_space_elsewhere_changes_nothing(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """It is looked at on the node, too."""
    before = content(data)
    assert sh(keep(data, paths, tmp_path / "spare", need=1 << 60)) == actions.NO_SPACE
    assert content(data) == before
    assert sh(actions.copy_original(paths, str(data), need=1 << 60)) == actions.NO_SPACE


def test_clean_removes_no_directory_that_a_link_of_somebody_names(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """Only one that bears the run's name."""
    precious = tmp_path / "precious" / "original"
    precious.mkdir(parents=True)
    Path(paths.at("original")).symlink_to(precious)
    assert seen(data).keeps[0].elsewhere is None
    assert sh(actions.remove_run(paths)) == 0
    assert precious.is_dir()


def test_work_directories_that_will_not_do(tmp_path: Path) -> None:
    """Not there, or open to everybody: said before anything is changed."""
    for mode, problem in ((0o700, None), (0o777, "everybody may write there")):
        tmp_path.chmod(mode)
        probe = probes.work_dir(str(tmp_path))
        said = subprocess.run(["sh"], input=probe.command.script.encode(), capture_output=True, check=True)
        found = probe.parse(_result(probe.command, said.stdout))
        assert (found.problem, found.free > 0) == (problem, True)
    probe = probes.work_dir(str(tmp_path / "none"))
    said = subprocess.run(["sh"], input=probe.command.script.encode(), capture_output=True, check=True)
    assert probe.parse(_result(probe.command, said.stdout)).problem == "there is no such directory"


# --- as it is in the field ---------------------------------------------------------------------------------------------


def test_a_reflink_is_tried_before_it_is_relied_on(paths: RunPaths) -> None:
    """Either way nothing stays."""
    assert sh(actions.probe_reflink(paths)) in (0, actions.NO_REFLINK)
    assert list(Path(paths.root).iterdir()) == []


def test_parts_that_lie_somewhere_else_are_told(data: Path, tmp_path: Path) -> None:
    """A copy of a symbolic link is no copy of what it leads to."""
    assert seen(data).data.inner == ()
    (data / "member" / "wal").rename(tmp_path / "fast-disk")
    (data / "member" / "wal").symlink_to(tmp_path / "fast-disk")
    assert seen(data).data.inner == ("member/wal is a symbolic link",)


def test_a_data_directory_behind_a_symbolic_link(data: Path, tmp_path: Path) -> None:
    """What runs keep lies beside the real one."""
    link = tmp_path / "link"
    link.symlink_to(data)
    found = seen(link).data
    assert (found.real, found.symlink, found.keep_root) == (str(data), True, f"{data}.fleetrecover")


def test_the_copy_gets_the_label_of_the_data(data: Path, paths: RunPaths, tmp_path: Path) -> None:
    """SELinux: without it a container that was not started with :z may not enter the copy."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "chcon").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/chcon.log\n')
    (tools / "chcon").chmod(0o755)
    assert sh(actions.move_aside(Containers("true").quiet, paths, str(data))) == 0
    assert sh(actions.copy_original(paths, str(data), need=4096), str(tools)) == 0
    made = tmp_path / "var" / "etcd"
    label = "system_u:object_r:container_file_t:s0"
    assert sh(actions.ensure_data_dir(str(made), None, "700", label), str(tools)) == 0
    assert (tmp_path / "chcon.log").read_text().splitlines() == [
        f"--reference={data} {paths.at('partial')}",
        f"{label} {made}",
    ]
    listing = f"real=/d\nlabel={label}\n"
    assert probes.parse_listing("/d", listing).data.label == label
    assert probes.parse_listing("/d", "real=/d\nlabel=?\n").data.label == ""


def test_the_copy_belongs_to_whom_the_data_belongs(data: Path, paths: RunPaths) -> None:
    """etcd may run as somebody else."""
    if os.geteuid() == 0:
        for path in (data, *data.rglob("*")):
            os.chown(path, 1717, 1718)
    data.chmod(0o750)
    assert sh(actions.move_aside(Containers("true").quiet, paths, str(data))) == 0
    assert sh(actions.copy_original(paths, str(data), need=4096)) == 0
    for path in (Path(paths.at("partial")), Path(paths.at("partial")) / "member" / "wal" / "0.wal"):
        assert (path.stat().st_uid, path.stat().st_gid) == (data.stat().st_uid, data.stat().st_gid)
    assert Path(paths.at("partial")).stat().st_mode & 0o777 == 0o750
    assert Path(paths.at("original")).stat().st_mode & 0o777 == 0o700


# --- hostile names -----------------------------------------------------------------------------------------------------


def test_names_of_files_forge_no_line(data: Path, tmp_path: Path) -> None:
    """A file name may hold a line feed, and what looks like our own lines after it; and nothing of it is run."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    forged = 'x\nkeep=r9\npin={"run":"r9"}\nreal=y\nmember=1\nroot=z\nhold={}'
    for name in (forged, NASTY):
        (data / name).touch()
        (data / "member" / "wal" / f"{name}.wal").touch()
    root = Path(f"{data}.fleetrecover")
    for name in (NASTY, "r2\nkeep=r3", "..r", "-rf"):
        (root / name).mkdir(parents=True)
    before = content(tmp_path)
    found = seen(data, cwd)
    assert found.data.real == str(data)
    assert found.keeps == ()
    assert found.hold is None
    assert len(found.files) == 3
    assert all("\n" not in name for name in (*found.data.others, *(f.path for f in found.files)))
    assert list(cwd.iterdir()) == []
    assert content(tmp_path) == before


def test_a_path_with_a_line_feed_is_refused(tmp_path: Path) -> None:
    """Of the link's target only the first line would be seen."""
    data = make_data(tmp_path / "a\nb")
    script = probes.data_listing(str(data)).command.script
    assert subprocess.run(["sh"], input=script.encode(), capture_output=True, check=False).returncode != 0


def test_paths_that_look_like_commands(tmp_path: Path) -> None:
    """Every script that takes a path, on a path that would do harm if it were not quoted everywhere."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    data = make_data(tmp_path / NASTY.replace("\n", ""))
    found = seen(data, cwd)
    assert found.data.real == str(data) and found.data.has_member
    paths = RunPaths(found.data.keep_root, "r1")
    Path(paths.root).mkdir(parents=True)
    work = tmp_path / f"work {NASTY}"
    work.mkdir()
    nasty = [
        actions.take_hold(paths, {"token": NASTY, "run": NASTY}, NASTY),
        actions.copy_original(paths, str(data), need=1 << 60),
        actions.keep_elsewhere(Containers("true").quiet, paths, str(data), work=str(work), need=4096),
        actions.rename_part(paths, "partial", "work"),
        actions.rename_part(paths, "work", "reset"),
        actions.adopt(paths, str(data)),
        actions.put_data_back(Containers("true").quiet, paths, str(data)),
        containers.remove_container("true", NASTY, "fleetrecover.run", NASTY),
        containers.fence("true", NASTY, NASTY, NASTY),
        containers.start_original("true", NASTY, NASTY, NASTY),
        containers.give_name_back("true", NASTY, NASTY, NASTY),
        containers.run_container(NASTY, ["true", NASTY], [f"A={NASTY}".replace("\n", "")], ["true"]),
        actions.ensure_data_dir(str(data), None, None, NASTY),
        actions.remove_run(paths),
        actions.release_hold(paths, NASTY),
    ]
    for action in nasty:
        sh(action, cwd=cwd)
        assert list(cwd.iterdir()) == [], action.command.name
    assert content(data / "member") != {}


def test_a_place_that_somebody_else_made_is_not_used(data: Path, tmp_path: Path) -> None:
    """Who owns the data directory could lead us, as root, to change any other."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    root = Path(f"{data}.fleetrecover")
    root.symlink_to(victim)
    (victim / "r1").mkdir()
    paths = RunPaths(str(root), "r1")
    assert sh(actions.take_hold(paths, {}, "token")) == actions.NOT_OURS
    assert seen(data).keeps == ()
    assert [entry.name for entry in victim.iterdir()] == ["r1"]
    root.unlink()
    if os.geteuid() == 0:
        (root / "r1").mkdir(parents=True)
        os.chown(root, 1717, 1717)
        assert sh(actions.take_hold(paths, {}, "token")) == actions.NOT_OURS
        assert seen(data).keeps == ()


def test_a_real_path_must_be_one() -> None:
    with pytest.raises(FormatError):
        probes.parse_listing("/d", "real=d\n")


def _result(command: Command, stdout: bytes) -> Result:
    return Result(command, 0, stdout, b"")
