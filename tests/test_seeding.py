"""How new data is made on hosts: our scripts run by this machine's sh on real etcd's data; interrupted after every command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands import actions, probes
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import CommandFailed, FleetRecoverError, OutcomeUnknown
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import HardState, Log
from fleetrecover.etcd.seed import Seed, seeded
from fleetrecover.facts import Survey
from fleetrecover.journal import Journal
from fleetrecover.model import Command, Host, Result
from fleetrecover.runtime.containers import Containers
from tests.commands.shells import NAMES, SHELLS, program
from tests.decide import surveys
from tests.etcd import cases
from tests.test_scrub import Silent

RUN, TOKEN, TERM = "r1", "token", 1_000_000_007


@dataclass
class LocalTransport:
    """Runs each host's scripts here. `cut_after` commands the connection is lost: that one has run, or not (`before`)."""

    shell: list[str]
    path: str
    cut_after: int = -1
    before: bool = False
    count: int = 0
    names: list[str] = field(default_factory=list)

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        return [self.run(host, command, b"") for command in commands]

    def upload(
        self, host: Host, command: Command, source: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        return self.run(host, command, source.read())

    def relay(
        self,
        source: Host,
        read: Command,
        destination: Host,
        write: Command,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Result, Result]:
        given = self.run(source, read, b"")
        taken = self.run(destination, write, given.stdout)
        if not taken.ok:
            raise CommandFailed(destination.name, taken.error_text, exit_code=taken.exit_code)
        return given, taken

    def run(self, host: Host, command: Command, sent: bytes) -> Result:
        self.count += 1
        self.names.append(command.name)
        lost = OutcomeUnknown(host.name, "the connection was lost")
        if self.cut_after == self.count and self.before:
            raise lost
        environment = os.environ | {"PATH": self.path}
        done = subprocess.run(
            [*self.shell, "-c", command.script], input=sent, capture_output=True, env=environment, check=False
        )
        if self.cut_after == self.count:
            raise lost
        return Result(command, done.returncode, done.stdout, done.stderr)


class Quiet(Silent):
    """Nobody looks on, not even at what is moved."""

    def moved(self, *_: object, **__: object) -> None:
        pass


@dataclass
class World:
    """Three hosts, each a directory here: the first has its data moved aside, the second old data, the third nothing."""

    root: Path
    version: str
    shell: list[str]

    def __post_init__(self) -> None:
        # a snapshot that is used, and a log behind it
        self.source = cases.directories(self.version, "single")["n1"]
        self.root.mkdir(exist_ok=True)
        docker = program(self.root / "bin", "docker", "exit 1")
        self.path = f"{docker}:{os.environ['PATH']}"
        for name in ("etcd1", "etcd2", "etcd3"):
            hold = Path(self.paths(name).hold)
            hold.mkdir(parents=True)
            (hold / "token").write_text(TOKEN)
            self.data(name).mkdir(parents=True)
            Path(self.paths(name).root).mkdir()
        kept = Path(self.paths("etcd1").at("original"))
        for kind, files in (("wal", self.source.wal), ("snap", self.source.snap)):
            (kept / "member" / kind).mkdir(parents=True)
            for file, content in files.items():
                (kept / "member" / kind / file).write_bytes(content)
        self.log = self.source.log()

    def data(self, name: str) -> Path:
        return self.root / name / "data"

    def paths(self, name: str) -> RunPaths:
        return RunPaths(f"{self.data(name)}.fleetrecover", RUN)

    def seed(self, number: int) -> Seed:
        return Seed.of(self.log, self.log.node_id if number == 1 else number, TERM)

    def make(self, number: int) -> s.SeedData:
        name = f"etcd{number}"
        return s.SeedData(
            name,
            self.paths(name),
            str(self.data(name)),
            source="etcd1",
            kept=self.paths("etcd1"),
            seed=self.seed(number),
            end=self.log.last,
            voters=self.log.configuration_at_end.voters,
            need=1 << 20,
        )

    def adopt(self, number: int) -> s.AdoptSeed:
        name, seed = f"etcd{number}", self.seed(number)
        return s.AdoptSeed(
            name,
            self.paths(name),
            str(self.data(name)),
            member_id=seed.node_id,
            cluster_id=seed.cluster_id,
            term=seed.term,
            index=seed.end,
        )

    def survey(self) -> Survey:
        """What a look at the runs' directories shows, by the program's own listing."""
        nodes = []
        for number in (1, 2, 3):
            data = str(self.data(f"etcd{number}"))
            script = probes.data_listing(data).command.script
            said = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()
            listing = probes.parse_listing(data, said)
            nodes.append(surveys.node(number, data=listing.data, keeps=listing.keeps))
        return surveys.survey(*nodes)

    def do(self, steps: Sequence[s.Step], transport: LocalTransport | None = None) -> list[str]:
        """Do the steps, as a run does; the names of the commands."""
        carrier = transport or LocalTransport(self.shell, self.path)
        journal = Journal(self.root / f"journal-{len(list(self.root.glob('journal-*')))}", RUN)
        applier = Applier(self.survey(), carrier, TOKEN, journal, Quiet(), lambda _: None)  # type: ignore[arg-type]
        try:
            for step in steps:
                applier.do(step)
        finally:
            journal.close()
        return carrier.names

    def all_steps(self) -> list[s.Step]:
        return [self.make(1), self.make(2), self.make(3)]

    def read(self, number: int, part: str = "work") -> Log:
        where = Path(self.paths(f"etcd{number}").at(part)) if part else self.data(f"etcd{number}")
        found = inspect(where).log
        assert isinstance(found, Log)
        return found

    def assert_made(self, part: str = "work") -> None:
        for number in (1, 2, 3):
            found = self.read(number, part)
            assert found.node_id == self.seed(number).node_id
            assert found.hard_state == HardState(TERM, 0, self.log.last.index)
            assert found.last == self.log.last
            where = Path(self.paths(f"etcd{number}").at(part)) if part else self.data(f"etcd{number}")
            assert (where / "member/snap/db").read_bytes() == self.source.snap["db"]
            assert {file.name for file in (where / "member/snap").iterdir()} == {"db", self.log.snap_name}
            for name in self.log.segments:
                assert (where / "member/wal" / name).stat().st_size >= len(self.source.wal[name])


def world(tmp_path: Path, version: str = "3.5.16", shell: list[str] | None = None) -> World:
    return World(tmp_path, version, shell or SHELLS[0])


@pytest.mark.parametrize(
    ("version", "shell"), [("3.3.25", SHELLS[0]), *(("3.5.16", shell) for shell in SHELLS)], ids=["3.3.25", *NAMES]
)
def test_every_host_gets_it_as_its_own_members_and_it_is_adopted(
    version: str, shell: list[str], tmp_path: Path
) -> None:
    made = world(tmp_path, version, shell)
    original = sorted((path, path.read_bytes()) for path in Path(made.paths("etcd1").at("original")).rglob("*.*"))
    made.do(made.all_steps())
    made.assert_made()
    again = made.do(made.all_steps())
    assert not {"seed-begin", "seed-database", "snapshot-receive"} & set(again), "what is there and right is left"
    made.do([made.adopt(1), made.adopt(2), made.adopt(3)])
    made.assert_made(part="")
    made.do([made.adopt(1), made.adopt(2), made.adopt(3)])
    made.assert_made(part="")
    assert original == sorted((p, p.read_bytes()) for p in Path(made.paths("etcd1").at("original")).rglob("*.*"))
    for number in (1, 2, 3):
        assert oct((made.data(f"etcd{number}") / "member").stat().st_mode)[-3:] == "700"


def last_segment(member: Path) -> Path:
    return sorted((member / "wal").iterdir())[-1]


def halved(file: Path, *, zeros: bool) -> None:
    """Cut at its half, or zeros from there on, as a copy that was broken off leaves it."""
    content = file.read_bytes()
    half = len(content.rstrip(b"\0")) // 2
    file.write_bytes(content[:half] + (bytes(len(content) - half) if zeros else b""))


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def snapshot_of(member: Path) -> Path:
    return next((member / "snap").glob("*.snap"))


def emptied(member: Path) -> None:
    """A member without data: by etcd a new voter under its old id."""
    for file in [*(member / "snap").iterdir(), *(member / "wal").iterdir()]:
        file.unlink()


def of_member(member: Path, number: int) -> None:
    """Its log becomes another member's, else whole."""
    log = inspect(member.parent).log
    assert isinstance(log, Log)
    parts = [(name, (member / "wal" / name).read_bytes()) for name in log.segments]
    for name, data in seeded(parts, Seed.of(log, number, TERM)):
        (member / "wal" / name).write_bytes(data)


HALF_DONE: dict[str, Callable[[Path], None]] = {
    "log cut in a record": lambda m: halved(last_segment(m), zeros=False),
    "log zero from its half on": lambda m: halved(last_segment(m), zeros=True),
    "one byte of the log flipped": lambda m: flip(last_segment(m), 2000),
    "no log": lambda m: last_segment(m).unlink(),
    "snap half": lambda m: halved(snapshot_of(m), zeros=False),
    "snap missing": lambda m: snapshot_of(m).unlink(),
    "database cut": lambda m: halved(m / "snap/db", zeros=False),
    "database half zeros": lambda m: halved(m / "snap/db", zeros=True),
    "one byte of the database flipped": lambda m: flip(m / "snap/db", 5000),
    "database missing": lambda m: (m / "snap/db").unlink(),
    "empty member": emptied,
    "no member": shutil.rmtree,
    "an id that is no member's": lambda m: of_member(m, 77),
    "another member's id": lambda m: of_member(m, 1),
}
"""What etcd starts with silently, or not at all: found on real etcd with half-done data."""


def test_what_lies_ready_and_is_not_right_is_made_anew(tmp_path: Path) -> None:
    """Each flaw on one host, in turn; every one is found before anything is put in place, and mended."""
    made = world(tmp_path)
    made.do(made.all_steps())
    for flaw, spoil in HALF_DONE.items():
        spoil(Path(made.paths("etcd2").at("work")) / "member")
        assert made.do([made.make(2)]).count("seed-begin") == 1, flaw
    made.assert_made()


def test_what_is_ready_for_another_membership_or_term_is_made_anew_and_never_adopted(tmp_path: Path) -> None:
    made = world(tmp_path)
    step = made.make(2)
    earlier = replace(step, seed=replace(step.seed, term=TERM - 1))
    made.do([earlier])
    with pytest.raises(CommandFailed, match="expected member 2, term"):
        made.do([made.adopt(2)])
    assert not (made.data("etcd2") / "member").exists()
    made.do(made.all_steps())
    made.assert_made()


def test_nothing_is_put_over_what_lies_in_place(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.do(made.all_steps())
    (made.data("etcd2") / "member/wal").mkdir(parents=True)
    with pytest.raises(CommandFailed, match="there is data where there must be none"):
        made.do([made.adopt(2)])
    assert (made.data("etcd2") / "member/wal").is_dir()


def test_a_survivor_whose_log_is_another_than_was_chosen_ends_it(tmp_path: Path) -> None:
    made = world(tmp_path)
    wrong = replace(made.make(2), end=replace(made.log.last, index=made.log.last.index - 1))
    with pytest.raises(CommandFailed, match="its log ends at"):
        made.do([wrong])
    assert not Path(made.paths("etcd2").at("work")).exists()


def test_a_run_that_lost_the_node_writes_nothing(tmp_path: Path) -> None:
    made = world(tmp_path)
    (Path(made.paths("etcd2").hold) / "token").write_text("another")
    with pytest.raises(FleetRecoverError):
        made.do([made.make(2)])
    assert not Path(made.paths("etcd2").at("partial")).exists()


FEW = [pytest.param(25, marks=pytest.mark.long), pytest.param(1, marks=pytest.mark.slow)]
"""Each how many-th command is broken: a few each time, at night every one."""


@pytest.mark.parametrize("stride", FEW)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_connection_lost_at_every_command(before: bool, stride: int, tmp_path: Path) -> None:
    """At whatever command the connection is lost, in this run it is looked at again, and the end is the same."""
    whole = world(tmp_path / "whole")
    steps = [*whole.all_steps(), whole.adopt(1), whole.adopt(2), whole.adopt(3)]
    count = len(whole.do(steps))
    for position in range(6, count + 1, stride):
        made = world(tmp_path / f"{position}")
        cut = LocalTransport(made.shell, made.path, cut_after=position, before=before)
        made.do([*made.all_steps(), made.adopt(1), made.adopt(2), made.adopt(3)], cut)
        made.assert_made(part="")


@pytest.mark.parametrize("stride", FEW)
def test_killed_after_every_command_it_is_made_anew(stride: int, tmp_path: Path) -> None:
    """The program is killed after each command of making; a rerun comes to the same end, and no half is ever called whole."""

    class Killed(BaseException):
        pass

    class Mortal(LocalTransport):
        def run(self, host: Host, command: Command, sent: bytes) -> Result:
            result = super().run(host, command, sent)
            if self.count == deadline:
                raise Killed
            return result

    whole = world(tmp_path / "whole")
    count = len(whole.do([whole.make(1), whole.make(2)]))
    for deadline in range(8, count + 1, stride):
        made = world(tmp_path / f"{deadline}")
        with pytest.raises(Killed):
            made.do([made.make(1), made.make(2)], Mortal(made.shell, made.path))
        for number in (1, 2):
            if Path(made.paths(f"etcd{number}").at("work")).exists():
                assert made.read(number).hard_state == HardState(TERM, 0, made.log.last.index)
        made.do(made.all_steps())
        made.assert_made()


def test_undo_takes_what_was_adopted_out_again(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.do([*made.all_steps(), made.adopt(1)])
    step = made.adopt(1)
    back = actions.put_data_back(Containers("true").quiet, step.paths, step.data)
    assert subprocess.run(["sh", "-c", back.command.script], check=False).returncode == 0
    assert (made.data("etcd1") / "member/snap/db").read_bytes() == made.source.snap["db"]
    assert made.read(1, part="").hard_state == made.log.hard_state
    assert made.read(1, part="withdrawn").hard_state.term == TERM
