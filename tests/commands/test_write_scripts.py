"""Each look before an act, on this machine's shells with stand-ins for docker: drop the look, and one of these fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetrecover.commands import actions, containers
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.etcd.log import HardState
from fleetrecover.etcd.wal import Append
from fleetrecover.runtime.containers import Containers
from tests.commands.shells import NAMES, SHELLS, program, run

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
RECORD = b"\x01\x02\xff\x00\x07"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a log in it."""
    wal = tmp_path / "etcd" / "member" / "wal"
    wal.mkdir(parents=True)
    (wal / "0.wal").write_bytes(b"log" + bytes(61))
    return tmp_path / "etcd"


@pytest.fixture
def paths(data: Path) -> RunPaths:
    found = RunPaths(f"{data}.fleetrecover", "r1")
    Path(found.root).mkdir(parents=True)
    return found


def docker(tmp_path: Path, body: str) -> Path:
    """A stand-in that writes down its arguments and does `body`; `$*` is what it was told."""
    return program(tmp_path / "bin", "docker", f'printf "%s\\n" "$*" >> {tmp_path}/told\n{body}')


def told(tmp_path: Path) -> list[str]:
    return (tmp_path / "told").read_text().splitlines() if (tmp_path / "told").exists() else []


def code(shell: list[str], action: Action, tools: Path | None = None) -> int:
    return run(shell, action.command, tools).returncode


# --- a container that runs on the data ------------------------------------------------------------------------------------


def container(
    tmp_path: Path, source: str, *, writes: str = "true", what: str = "/usr/local/bin/etcd --x img /etcd"
) -> Path:
    said = f"echo 'is={what}'; echo '{writes} {source}'"
    return docker(tmp_path, f"case $1 in ps) echo abc ;; inspect) {said} ;; esac")


@pytest.mark.parametrize("where", ["etcd", ".", "etcd/member", "link", "link/member", "etcd/", "/"])
def test_data_is_not_moved_from_under_a_running_etcd(
    shell: list[str], tmp_path: Path, data: Path, paths: RunPaths, where: str
) -> None:
    """Its bind is the directory, one above it, one below it, or leads there by a symbolic link."""
    (tmp_path / "link").symlink_to(data)
    source = "/" if where == "/" else f"{tmp_path}/{where}"
    tools = container(tmp_path, source)
    assert code(shell, actions.move_aside(Containers("docker").quiet, paths, str(data)), tools) == actions.STILL_RUNNING
    assert (data / "member").is_dir()


@pytest.mark.parametrize(
    ("where", "writes", "what"),
    [
        ("other", "true", "/etcd img /etcd"),
        ("etcd-two", "true", "/etcd img /etcd"),
        (".", "false", "/etcd img /etcd"),
        (".", "true", "/hyperkube kubelet img /kubelet"),
    ],
)
def test_other_containers_do_not_stand_in_the_way(
    shell: list[str], tmp_path: Path, data: Path, paths: RunPaths, where: str, writes: str, what: str
) -> None:
    """Beside it; the whole host read-only; an agent with the whole host, which is no etcd."""
    tools = container(tmp_path, f"{tmp_path}/{where}", writes=writes, what=what)
    assert code(shell, actions.move_aside(Containers("docker").quiet, paths, str(data)), tools) == 0
    assert not (data / "member").exists()


def test_a_link_to_the_data_directory_is_followed_on_our_side_too(
    shell: list[str], tmp_path: Path, data: Path, paths: RunPaths
) -> None:
    (tmp_path / "link").symlink_to(data)
    tools = container(tmp_path, str(data))
    assert (
        code(shell, actions.move_aside(Containers("docker").quiet, paths, f"{tmp_path}/link"), tools)
        == actions.STILL_RUNNING
    )


def test_a_container_that_cannot_be_looked_at_counts_as_one_that_runs_there(
    shell: list[str], tmp_path: Path, data: Path, paths: RunPaths
) -> None:
    """One that has ended meanwhile does not; and an engine that does not answer is no "nothing runs"."""
    move = actions.move_aside(Containers("docker").quiet, paths, str(data))
    assert code(shell, move, docker(tmp_path, "[ $1 = ps ] && echo abc")) == actions.STILL_RUNNING
    assert code(shell, move, docker(tmp_path, "exit 1")) not in (0, actions.STILL_RUNNING)
    assert (data / "member").is_dir()
    once = f"[ $1 = ps ] && [ ! -e {tmp_path}/once ] && : > {tmp_path}/once && echo abc; [ $1 = ps ]"
    assert code(shell, move, docker(tmp_path, once)) == 0


# --- copies and moves -----------------------------------------------------------------------------------------------------


def test_a_copy_that_differs_is_none(shell: list[str], tmp_path: Path, data: Path, paths: RunPaths) -> None:
    if shell[0] == "busybox":
        pytest.skip("its sh has a cp of its own")
    assert code(shell, actions.move_aside(Containers("true").quiet, paths, str(data))) == 0
    tools = program(tmp_path / "bin", "cp", 'for last; do :; done; /bin/cp "$@" && echo x >> "$last/wal/0.wal"')
    assert code(shell, actions.copy_original(paths, str(data), need=1), tools) == actions.DIFFERS
    assert code(shell, actions.copy_original(paths, str(data), need=1)) == 0


def test_nothing_is_moved_over_what_lies_there(shell: list[str], data: Path, paths: RunPaths) -> None:
    """An original is kept already, and there is data again: neither is touched."""
    (Path(paths.at("original")) / "member").mkdir(parents=True)
    assert code(shell, actions.move_aside(Containers("true").quiet, paths, str(data))) == actions.OCCUPIED
    reset = Path(paths.at("reset")) / "member"
    reset.mkdir(parents=True)
    assert code(shell, actions.adopt(paths, str(data))) == actions.OCCUPIED
    assert reset.is_dir()
    assert (data / "member" / "wal").is_dir()
    (data / "member").rename(data / "away")
    assert code(shell, actions.adopt(paths, str(data))) == 0
    assert code(shell, actions.adopt(paths, str(data))) == 0, "and it can be given again"


def test_a_part_is_not_renamed_over_another(shell: list[str], paths: RunPaths) -> None:
    for name in ("work", "booted"):
        Path(paths.at(name)).mkdir()
    assert code(shell, actions.rename_part(paths, "work", "booted")) == actions.OCCUPIED
    assert Path(paths.at("work")).is_dir()


# --- the raised commit ----------------------------------------------------------------------------------------------------


def appending() -> Append:
    return Append("0.wal", 3, RECORD, cut=False, hard_state=HardState(1, 1, 1))


def wal(paths: RunPaths, content: bytes) -> Path:
    path = Path(paths.at("partial")) / "member" / "wal" / "0.wal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_record_is_written_where_nothing_stands_and_read_back(shell: list[str], paths: RunPaths) -> None:
    path = wal(paths, b"log" + bytes(20))
    raised = actions.append_to_wal(paths, appending())
    for _ in range(2):
        assert code(shell, raised) == 0
        assert path.read_bytes() == b"log" + RECORD + bytes(15)


def test_a_record_is_not_written_over_another(shell: list[str], paths: RunPaths) -> None:
    path = wal(paths, b"log" + b"\0\0more" + bytes(14))
    before = path.read_bytes()
    assert code(shell, actions.append_to_wal(paths, appending())) == actions.NOT_BLANK
    assert path.read_bytes() == before


def test_a_record_that_did_not_read_back_is_no_success(shell: list[str], tmp_path: Path, paths: RunPaths) -> None:
    """As on a disk that takes writes and forgets them."""
    if shell[0] == "busybox":
        pytest.skip("its sh has a dd of its own")
    wal(paths, b"log" + bytes(20))
    tools = program(tmp_path / "bin", "dd", "cat >/dev/null")
    raised = actions.append_to_wal(paths, appending())
    assert code(shell, raised, tools) == actions.MISWRITTEN


# --- containers -----------------------------------------------------------------------------------------------------------


def test_a_fenced_container_has_no_restart_policy_before_it_is_stopped(shell: list[str], tmp_path: Path) -> None:
    """Else the engine starts it again, at the next boot at the latest."""
    tools = docker(tmp_path, "[ $1 = inspect ] && echo /etcd; true")
    assert code(shell, containers.fence("docker", "abc", "etcd", "etcd.kept"), tools) == 0
    assert [line.split(" -f ")[0] for line in told(tmp_path)] == [
        "update --restart=no abc",
        "stop -t 30 abc",
        "inspect",
        "rename abc etcd.kept",
    ]


def test_a_container_that_another_made_is_not_removed(shell: list[str], tmp_path: Path) -> None:
    """It has the name, and not the label of this run."""
    remove = containers.remove_container("docker", "etcd", "fleetrecover.run", "r1")
    other = docker(tmp_path, 'case "$*" in *Labels*) echo r2 ;; esac')
    assert code(shell, remove, other) == actions.NAME_TAKEN
    assert not any(line.startswith(("stop", "rm", "update")) for line in told(tmp_path))
    ours = docker(tmp_path, 'case "$*" in *Labels*) echo r1 ;; esac')
    assert code(shell, remove, ours) == 0
    assert told(tmp_path)[-1] == "rm etcd"


def test_a_container_is_not_put_back_over_another(shell: list[str], tmp_path: Path) -> None:
    tools = docker(tmp_path, 'case "$*" in *.Id*) echo other ;; *.Name*) echo /x ;; esac')
    for action in (
        containers.put_container_back("docker", "abc", "etcd", "always", start=True),
        containers.start_original("docker", "abc", "etcd", "always"),
        containers.give_name_back("docker", "abc", "etcd-old", "etcd"),
    ):
        assert code(shell, action, tools) == actions.NAME_TAKEN
    assert not any(line.startswith(("rename", "update", "start")) for line in told(tmp_path))


def test_a_name_is_given_back_once_and_nothing_else_is_done(shell: list[str], tmp_path: Path) -> None:
    back = containers.give_name_back("docker", "abc", "etcd-old", "etcd")
    for now, done in (("etcd-old", ["rename abc etcd"]), ("etcd", [])):
        (tmp_path / "told").unlink(missing_ok=True)
        tools = docker(tmp_path, f'case "$*" in *.Name*) echo /{now} ;; esac')
        assert code(shell, back, tools) == 0
        assert [line for line in told(tmp_path) if not line.startswith("inspect")] == done


def test_a_container_that_is_not_started_is_not(shell: list[str], tmp_path: Path) -> None:
    tools = docker(tmp_path, 'case "$*" in *.Name*) echo /etcd ;; esac')
    for start in (False, True):
        assert code(shell, containers.put_container_back("docker", "abc", "etcd", "no", start=start), tools) == 0
        assert ("start abc" in told(tmp_path)) is start


def test_a_kept_container_that_runs_is_not_removed(shell: list[str], tmp_path: Path) -> None:
    kept = containers.remove_kept_container("docker", "abc", "etcd.kept")
    runs = docker(tmp_path, 'case "$*" in *-f*) echo "/etcd.kept true" ;; esac')
    assert code(shell, kept, runs) == actions.STILL_RUNNING
    assert not any(line.startswith("rm") for line in told(tmp_path))


# --- what undo and a new beginning leave ----------------------------------------------------------------------------------


def test_the_proof_goes_aside_with_the_copy_of_which_it_is(shell: list[str], data: Path, paths: RunPaths) -> None:
    """When the original lies in place again nothing says that it is the reset copy; wherever that was interrupted."""
    (Path(paths.at("original")) / "member").mkdir(parents=True)
    Path(paths.proof).write_text("{}")
    for _ in range(2):
        assert code(shell, actions.put_data_back(Containers("true").quiet, paths, str(data))) == 0
        assert not Path(paths.proof).exists()
        assert Path(paths.proof + ".undone").exists()
        assert (Path(paths.at("withdrawn")) / "member" / "wal").is_dir()


def test_a_run_that_was_undone_begins_anew(shell: list[str], paths: RunPaths) -> None:
    """What was before it is recorded again; of one that was not undone the record stays."""
    names = ("containers.json", "proof.json", "no-data", "finished", "undoing", "undone")
    for name in names:
        Path(paths.at(name)).write_text("old")
    assert code(shell, actions.open_run(paths, {"run": "r1"})) == 0
    assert sorted(path.name for path in Path(paths.root).iterdir()) == [
        "containers.json.undone",
        "proof.json.undone",
        "run.json",
    ]
    Path(paths.containers).write_text("new")
    assert code(shell, actions.open_run(paths, {"run": "r1"})) == 0
    assert Path(paths.containers).read_text() == "new"


def test_what_is_finished_is_not_being_undone(shell: list[str], paths: RunPaths) -> None:
    assert code(shell, actions.mark(paths, "undoing")) == 0
    assert code(shell, actions.mark(paths, "finished")) == 0
    assert not Path(paths.at("undoing")).exists()
    assert Path(paths.at("finished")).exists()
