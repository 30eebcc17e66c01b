"""The scripts over a WAL directory of its own: killed before any of their programs, looked at, and given again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover.commands import actions, containers, probes, snapshots, wal_dir
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.probes import DataListing
from fleetrecover.commands.trial import copy_for_trial
from fleetrecover.facts import Keep
from fleetrecover.runtime.containers import Containers
from tests.commands.shells import NAMES, SHELLS, program

RUN = "r1"
PROGRAMS = ("mv", "cp", "ln", "rm", "rmdir", "mkdir", "diff", "sync")
MOST = 80
"""More programs than any of the scripts starts."""


class Place:
    """A node's data and WAL on this machine, and what runs keep there."""

    def __init__(self, root: Path, wal: Path) -> None:
        self.root, self.data, self.wal = root, root / "etcd", wal
        self.paths = RunPaths(f"{self.data}.fleetrecover", RUN, str(wal))
        (self.data / "member" / "snap").mkdir(parents=True)
        (self.data / "member" / "snap" / "db").write_text("the database")
        wal.mkdir(parents=True)
        (wal / "0.wal").write_text("the log")
        (wal / "1.wal").write_text("more of the log")
        wal.chmod(0o700)
        Path(self.paths.root).mkdir(mode=0o700, parents=True)
        self.before = self.picture()
        self.tools = root / "tools"
        for name in PROGRAMS:
            real = shutil.which("true" if name == "sync" else name)  # of all of the machine: it takes long
            program(
                self.tools,
                name,
                f'read n < {root}/count; n=$((n + 1)); echo $n > {root}/count; [ $n != "$STOP" ] || kill -9 0; exec {real} "$@"',
            )

    def picture(self) -> dict[str, str]:
        """What etcd would find: every file and directory in place, with its mode."""
        found = {}
        for name, top in (("data", self.data / "member"), ("wal", self.wal)):
            for path in (top, *sorted(top.rglob("*"))):
                if path.exists():
                    told = path.read_text() if path.is_file() else "a directory"
                    found[f"{name}/{path.relative_to(top)}"] = f"{path.stat().st_mode:o} {told}"
        return found

    def run(self, action: Action, stop: int = 0, shell: str = "sh") -> int:
        """Run a script's action; the whole of it is killed before its so many-th program."""
        (self.root / "count").write_text("0\n")
        script = action.command.script.encode()
        env = os.environ | {"PATH": f"{self.tools}:{os.environ['PATH']}", "STOP": str(stop)}
        words = shell.split()
        done = subprocess.run(words, input=script, env=env, check=False, start_new_session=True, capture_output=True)
        return done.returncode

    def ended(self, action: Action, stop: int) -> bool:
        """Whether the action came to its end before it was to be killed."""
        code = self.run(action, stop)
        assert code in (0, -9), code
        return code == 0

    def seen(self, wal: str | None = None) -> DataListing:
        script = probes.data_listing(str(self.data), str(self.wal) if wal is None else wal).command.script
        said = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout.decode()
        return probes.parse_listing(str(self.data), said)

    def keep(self) -> Keep:
        [found] = self.seen().keeps
        return found

    def read(self) -> dict[str, str]:
        """What a survey reads as the node's data: the original where it is kept, else what lies in place."""
        listing = self.seen()
        files = listing.kept_files[RUN] if listing.keeps[0].original else listing.files
        return {Path(file.path).name: Path(file.path).read_text() for file in files}

    def copied(self) -> None:
        """As it is after a reset: the original kept, a copy of it changed and proven."""
        assert self.run(actions.move_aside(Containers("true").quiet, self.paths, str(self.data))) == 0
        assert self.run(actions.copy_original(self.paths, str(self.data), need=1)) == 0
        Path(self.paths.at("partial")).rename(self.paths.at("reset"))
        (Path(self.paths.at("reset")) / "member" / "wal" / "2.wal").write_text("written by the reset")
        (Path(self.paths.at("reset")) / "wal").mkdir()  # as the engine makes it for a mount


WHOLE = {"db": "the database", "0.wal": "the log", "1.wal": "more of the log"}
OURS = WHOLE | {"2.wal": "written by the reset"}


@pytest.fixture(params=["beside", "inside", "another filesystem"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "node"
    if request.param == "beside":
        yield Place(root, root / "fast disk" / "wal")
    elif request.param == "inside":
        yield Place(root, root / "etcd" / "wal")
    elif not os.access("/dev/shm", os.W_OK):
        pytest.skip("there is no second filesystem to write to")
    else:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            yield Place(root, Path(other) / "wal")


@pytest.mark.parametrize(
    "place",
    [
        "beside",
        pytest.param("inside", marks=pytest.mark.slow),
        pytest.param("another filesystem", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_a_move_that_is_killed_anywhere(place: Place) -> None:
    """Whole or not at all to whoever looks; given again it ends; what starts an etcd, or undo, puts all back before."""
    move = actions.move_aside(Containers("true").quiet, place.paths, str(place.data))
    for stop in range(1, MOST):
        ended = place.ended(move, stop)
        assert place.read() == WHOLE, stop
        assert place.keep().original == ended or place.keep().original
        if not place.keep().original:
            assert place.seen().data.has_member
            assert place.run(actions.reunite(Containers("true").quiet, place.paths, str(place.data))) == 0
            assert place.picture() == place.before, stop
            assert not place.ended(move, stop) or ended
        assert place.run(move) == 0
        assert place.picture() == {} and place.read() == WHOLE, "moved, and nothing left behind"
        assert place.keep().wal_bytes > 0 and place.keep().bytes > place.keep().wal_bytes
        assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
        assert place.picture() == place.before, stop
        if ended:
            break
    assert stop > 4


@pytest.mark.long
@pytest.mark.parametrize("place", ["another filesystem"], indirect=True)
def test_undo_that_is_killed_anywhere_after_the_copy_was_adopted(place: Place) -> None:
    """Byte for byte as it was, whenever and however often; what was in place is withdrawn, with its log."""
    back = actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))
    for stop in range(1, MOST):
        place.copied()
        assert place.run(actions.adopt(place.paths, str(place.data))) == 0
        assert place.read() == WHOLE
        ended = place.ended(back, stop)
        if place.keep().original:
            assert place.read() == WHOLE, stop
        assert place.run(back) == 0
        assert place.run(back) == 0, "and once more changes nothing"
        assert place.picture() == place.before, stop
        assert not place.keep().original
        [*_, withdrawn] = place.keep().withdrawn
        assert (Path(place.paths.at(withdrawn)) / "member" / "snap" / "db").read_text() == "the database"
        assert (Path(place.paths.wal_link(withdrawn)) / "2.wal").read_text() == "written by the reset", stop
        assert place.run(actions.remove_run(place.paths)) == 0
        Path(place.paths.root).mkdir(mode=0o700, parents=True)
        if ended:
            break
    assert stop > 8


@pytest.mark.parametrize("place", ["inside"], indirect=True)
def test_an_adoption_that_is_killed_anywhere(place: Place) -> None:
    """The copy's log comes to its own place before its data; nothing of it stays in `member`."""
    adopt = actions.adopt(place.paths, str(place.data))
    for stop in range(1, MOST):
        place.copied()
        ended = place.ended(adopt, stop)
        assert place.read() == WHOLE, "the original is the evidence, all the while"
        assert place.run(adopt) == 0
        listing = place.seen()
        assert {Path(f.path).name: Path(f.path).read_text() for f in listing.files} == OURS
        assert not (place.data / "member" / "wal").exists() and not Path(place.paths.at("reset")).exists()
        assert not listing.keeps[0].reset and listing.data.has_member and not listing.data.others
        assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
        assert place.picture() == place.before
        assert place.run(actions.remove_run(place.paths)) == 0
        assert not Path(place.paths.wal_keep_root).exists(), "clean leaves nothing"
        Path(place.paths.root).mkdir(mode=0o700, parents=True)
        if ended:
            break
    assert stop > 8


def test_undo_before_the_adoption_has_ended(place: Place) -> None:
    """The copy's log alone is in place: it is taken out like all that is ours."""
    place.copied()
    lines = "\n".join(["set -eu", *wal_dir.put(place.paths, "reset")])
    subprocess.run(["sh"], input=lines.encode(), check=True)
    assert place.seen().data.has_member and not (place.data / "member").exists()
    assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert place.picture() == place.before


@pytest.mark.long
@pytest.mark.parametrize("place", ["another filesystem"], indirect=True)
def test_work_dir_takes_the_data_and_the_log_is_kept_beside_itself(place: Place) -> None:
    """With --work-dir, killed anywhere: the copy to be worked on is in one piece, and undo gives everything back."""
    keep = actions.keep_elsewhere(
        Containers("true").quiet, place.paths, str(place.data), work=str(place.root / "spare"), need=1
    )
    back = actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))
    for stop in range(1, MOST):
        (place.root / "spare").mkdir()
        code = place.run(keep, stop)
        assert code in (0, -9)
        assert place.read() == WHOLE, stop
        if code != 0 and stop % 3 == 0:
            assert place.run(back) == 0
            assert place.picture() == place.before, stop
            assert place.run(actions.remove_run(place.paths)) == 0
            Path(place.paths.root).mkdir(mode=0o700, parents=True)
        assert place.run(keep) == 0
        files = {p.name: p.read_text() for p in Path(place.paths.at("partial")).rglob("*") if p.is_file()}
        assert files == WHOLE and (Path(place.paths.at("partial")) / "member" / "wal" / "0.wal").exists(), stop
        assert place.run(back, stop) in (0, -9)
        assert place.run(back) == 0
        assert place.picture() == place.before, stop
        assert place.run(actions.remove_run(place.paths)) == 0
        Path(place.paths.root).mkdir(mode=0o700, parents=True)
        shutil.rmtree(place.root / "spare")
        if code == 0:
            break
    assert stop > 12


@pytest.mark.parametrize("shell", SHELLS, ids=NAMES)
def test_in_every_shell(place: Place, shell: list[str]) -> None:
    """All of it, one after the other."""
    spare = place.root / "spare"
    spare.mkdir()
    for keep in (
        actions.move_aside(Containers("true").quiet, place.paths, str(place.data)),
        actions.keep_elsewhere(Containers("true").quiet, place.paths, str(place.data), work=str(spare), need=1),
    ):
        back = [
            actions.put_data_back(Containers("true").quiet, place.paths, str(place.data)),
            actions.remove_run(place.paths),
        ]
        copy = (
            []
            if keep.command.name == "keep-elsewhere"
            else [actions.copy_original(place.paths, str(place.data), need=1)]
        )
        onward = [actions.rename_part(place.paths, "partial", "reset"), actions.adopt(place.paths, str(place.data))]
        for action in (keep, *copy, *onward, *back):
            assert place.run(action, shell=" ".join(shell)) == 0, action.command.name
        assert place.picture() == place.before
        Path(place.paths.root).mkdir(mode=0o700, parents=True)


def test_work_dir_after_the_adoption(place: Place) -> None:
    """What the run had put in place is withdrawn, data and log, and is found there."""
    (place.root / "spare").mkdir()
    work = str(place.root / "spare")
    assert (
        place.run(actions.keep_elsewhere(Containers("true").quiet, place.paths, str(place.data), work=work, need=1))
        == 0
    )
    Path(place.paths.at("partial")).rename(place.paths.at("reset"))
    (Path(place.paths.at("reset")) / "member" / "wal" / "2.wal").write_text("written by the reset")
    assert place.run(actions.adopt(place.paths, str(place.data))) == 0
    for _ in range(2):
        assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert place.picture() == place.before
    assert (Path(place.paths.wal_link("withdrawn")) / "2.wal").read_text() == "written by the reset"


def test_a_node_that_has_a_log_and_no_data(place: Place) -> None:
    """A log alone is data, too: it is moved out of a new member's way, and given back."""
    shutil.rmtree(place.data / "member")
    before = place.picture()
    assert place.seen().data.has_member
    assert place.run(containers.record_containers("true", place.paths, [], str(place.data))) == 0
    assert not place.keep().no_data
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert place.keep().original and place.picture() == {} and not place.seen().data.has_member
    assert place.run(actions.ensure_data_dir(str(place.data), None, None, "", place.paths)) == 0
    assert place.wal.stat().st_mode & 0o777 == 0o700, "as the one before it"
    (place.data / "member").mkdir()  # a new member has begun, and not yet its log
    assert place.run(actions.reunite(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert list(place.wal.iterdir()) == [], "the old log is not the new member's"
    assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert place.picture() == before


def test_what_somebody_else_has_begun_is_not_run_over(place: Place) -> None:
    """Parted by an interruption, and then somebody started an etcd, which has begun a log: refused, nothing is lost."""
    move = actions.move_aside(Containers("true").quiet, place.paths, str(place.data))
    stop = next(n for n in range(1, MOST) if place.ended(move, n) or not place.wal.exists())
    assert stop and (place.data / "member").exists()
    place.wal.mkdir()
    (place.wal / "9.wal").write_text("begun anew")
    for action in (move, actions.reunite(Containers("true").quiet, place.paths, str(place.data))):
        assert place.run(action) == actions.OCCUPIED
    assert (place.wal / "9.wal").read_text() == "begun anew"
    assert (Path(place.paths.wal_at("original")) / "0.wal").read_text() == "the log"


def test_a_container_that_runs_on_the_log_alone_is_seen(place: Place) -> None:
    """Neither moved nor put back under it."""
    docker = str(place.root / "engine" / "docker")
    for source in (place.wal.parent, place.wal, place.wal / "0.wal"):
        said = f"is=/etcd x etcd /etcd\ntrue {source}"
        program(place.root / "engine", "docker", f'case $1 in ps) echo c1 ;; *) printf "%s\\n" "{said}" ;; esac')
        assert (
            place.run(actions.move_aside(Containers(docker).quiet, place.paths, str(place.data)))
            == actions.STILL_RUNNING
        )
        assert place.picture() == place.before
    said = f"is=/etcd x etcd /etcd\ntrue {place.root}/elsewhere"
    program(place.root / "engine", "docker", f'case $1 in ps) echo c1 ;; *) printf "%s\\n" "{said}" ;; esac')
    assert place.run(actions.move_aside(Containers(docker).quiet, place.paths, str(place.data))) == 0


def test_a_link_or_somebody_elses_directory_is_not_used(place: Place) -> None:
    """Whoever may write beside the WAL could put one there for us to move it into."""
    (place.root / "trap").mkdir()
    Path(place.paths.wal_keep_root).symlink_to(place.root / "trap")
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == actions.NOT_OURS
    assert place.picture() == place.before and list((place.root / "trap").iterdir()) == []


def test_clean_removes_no_directory_that_a_link_of_somebody_names(place: Place) -> None:
    """Only one that bears the run's name."""
    precious = place.root / "precious" / "original"
    precious.mkdir(parents=True)
    Path(place.paths.wal_link("original")).symlink_to(precious)
    assert place.seen().keeps[0].wal_bytes == 0
    assert place.run(actions.remove_run(place.paths)) == 0
    assert precious.is_dir()


def test_clean_that_is_killed_parts_nothing(place: Place) -> None:
    """A finished run's log that outlives its data for a moment is not taken for one astray."""
    place.copied()
    assert place.run(actions.adopt(place.paths, str(place.data))) == 0
    assert place.run(actions.mark(place.paths, "finished")) == 0
    served = place.picture()
    for stop in range(1, MOST):
        ended = place.ended(actions.remove_run(place.paths), stop)
        assert place.run(actions.reunite(Containers("true").quiet, place.paths, str(place.data))) == 0
        assert place.picture() == served
        if ended:
            break


def test_where_no_container_tells_of_it_any_more(place: Place) -> None:
    """The run's own link says where the WAL was, and the listing goes by it."""
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == 0
    assert place.seen("").data.wal == str(place.wal)
    assert {Path(f.path).name for f in place.seen("").kept_files[RUN]} == set(WHOLE)
    assert place.run(actions.mark(place.paths, "undone")) == 0
    assert place.seen("").data.wal == "", "a closed run says nothing of what is"


@pytest.mark.parametrize("place", ["beside"], indirect=True)
def test_a_restore_puts_the_log_in_its_place(place: Place) -> None:
    """A snapshot is restored into one directory; killed anywhere, it comes to its two places."""
    adopt = snapshots.adopt_restored(place.paths, str(place.data))
    for stop in range(1, MOST):
        assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == 0
        restored = Path(place.paths.at("restored")) / "member"
        for name, file, text in (("snap", "db", "the snapshot"), ("wal", "0.wal", "a new log")):
            (restored / name).mkdir(parents=True)
            (restored / name / file).write_text(text)
        ended = place.ended(adopt, stop)
        assert place.run(adopt) == 0
        assert (place.data / "member" / "snap" / "db").read_text() == "the snapshot"
        assert (place.wal / "0.wal").read_text() == "a new log" and not (place.data / "member" / "wal").exists()
        assert place.run(actions.put_data_back(Containers("true").quiet, place.paths, str(place.data))) == 0
        assert place.picture() == place.before
        assert place.run(actions.remove_run(place.paths)) == 0
        Path(place.paths.root).mkdir(mode=0o700, parents=True)
        if ended:
            break


def test_a_trial_copies_the_log_into_its_copy(place: Place) -> None:
    """One directory, the data untouched; a stale log in `member` is not this etcd's."""
    (place.data / "member" / "wal").mkdir()
    (place.data / "member" / "wal" / "0.wal").write_text("stale")
    before = place.picture()
    paths = RunPaths(place.paths.keep_root, "trial-1", str(place.wal))
    action = copy_for_trial(paths, str(place.data / "member"), str(place.data), need=1, wal=str(place.wal))
    assert place.run(action) == 0
    assert place.picture() == before
    copy = Path(paths.at("partial")) / "member"
    assert {p.name: p.read_text() for p in copy.rglob("*") if p.is_file()} == WHOLE


def test_no_space_for_the_log_where_it_belongs(place: Place) -> None:
    """It is looked at on its own filesystem, before anything is put there."""
    place.copied()
    program(place.tools, "df", "echo h; echo none 100 100 0 100% /")
    assert place.run(actions.adopt(place.paths, str(place.data))) == actions.NO_SPACE
    assert not place.wal.exists() and (Path(place.paths.at("reset")) / "member" / "wal" / "2.wal").exists()


def test_what_was_parted_for_one_part_is_moved_whole_for_another(place: Place) -> None:
    """A plan that is made anew may call what it discards otherwise: data and log go there together."""
    first = actions.move_aside(Containers("true").quiet, place.paths, str(place.data), "discarded-1")
    stop = next(n for n in range(1, MOST) if place.ended(first, n) or not place.wal.exists())
    assert stop and (place.data / "member").exists()
    assert place.keep().parted
    assert {Path(file.path).name for file in place.seen().files} == set(WHOLE), "it is read as one log all the same"
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data), "discarded-2")) == 0
    assert (Path(place.paths.at("discarded-2")) / "member" / "snap" / "db").exists()
    assert (Path(place.paths.wal_link("discarded-2")) / "0.wal").read_text() == "the log"
    assert not place.keep().parted


def test_what_a_closed_run_keeps_is_not_put_back(place: Place) -> None:
    """Somebody has removed half of what it kept, by hand: the other half is not this etcd's log."""
    place.copied()
    assert place.run(actions.adopt(place.paths, str(place.data))) == 0
    shutil.rmtree(place.paths.at("original"))
    shutil.rmtree(place.wal)
    for word in ("finished", "undone"):
        (Path(place.paths.root) / word).touch()
        assert not place.keep().parted
        assert place.run(actions.reunite(Containers("true").quiet, place.paths, str(place.data))) == 0
        assert not place.wal.exists()
        (Path(place.paths.root) / word).unlink()
    assert place.keep().parted


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_not_used(place: Place) -> None:
    Path(place.paths.wal_keep_root).mkdir()
    os.chown(place.paths.wal_keep_root, 65534, 65534)
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == actions.NOT_OURS
    assert place.picture() == place.before
    Path(place.paths.wal_link("original")).symlink_to(place.paths.wal_at("original"))
    (Path(place.paths.wal_at("original"))).mkdir(parents=True)
    (Path(place.paths.wal_at("original")) / "9.wal").write_text("planted")
    assert place.read() == WHOLE and not place.keep().parted, "nor is it looked into"


def test_a_copy_of_the_log_that_differs_is_none(place: Place) -> None:
    """Both ways: into the copy that is worked on, and out of it."""
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == 0
    real = shutil.which("cp")
    spoil = f'{real} "$@"; for last; do :; done; for f in "$last"/*.wal; do [ ! -f "$f" ] || echo spoilt >> "$f"; done'
    copy = actions.copy_original(place.paths, str(place.data), need=1)
    program(place.tools, "cp", spoil)
    assert place.run(copy) == actions.DIFFERS
    program(place.tools, "cp", f'exec {real} "$@"')
    assert place.run(copy) == 0
    Path(place.paths.at("partial")).rename(place.paths.at("reset"))
    program(place.tools, "cp", spoil)
    assert place.run(actions.adopt(place.paths, str(place.data))) == actions.DIFFERS
    assert place.picture() == {}, "nothing was put in place"


def test_a_copy_is_not_put_over_a_log_that_is_in_place(place: Place) -> None:
    """Somebody has begun one there meanwhile."""
    place.copied()
    place.wal.mkdir()
    (place.wal / "9.wal").write_text("begun anew")
    assert place.run(actions.adopt(place.paths, str(place.data))) == actions.OCCUPIED
    assert (place.wal / "9.wal").read_text() == "begun anew" and not (place.data / "member").exists()


def test_a_wal_directory_that_is_another_one_now(place: Place) -> None:
    """Somebody has changed the command meanwhile: nothing is copied, adopted or put back without the log that was kept."""
    assert place.run(actions.move_aside(Containers("true").quiet, place.paths, str(place.data))) == 0
    other = RunPaths(place.paths.keep_root, RUN, str(place.root / "another"))
    for action in (
        actions.copy_original(other, str(place.data), need=1),
        actions.adopt(other, str(place.data)),
        actions.put_data_back(Containers("true").quiet, other, str(place.data)),
        actions.reunite(Containers("true").quiet, other, str(place.data)),
        actions.move_aside(Containers("true").quiet, other, str(place.data)),
    ):
        assert place.run(action) == actions.ELSEWHERE
    assert place.read() == WHOLE and place.picture() == {}
