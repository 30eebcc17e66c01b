"""What the version before leaves on a node is understood: read by the real scripts from real directories, resumed and undone."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.commands import actions, probes
from fleetrecover.commands.base import BUSY
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide import undo as u
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose, find_open_run
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.regrown import adopted
from fleetrecover.etcd.log import Log
from fleetrecover.facts import Keep, KeptData, NodeFacts, Survey
from fleetrecover.kept import look_at_kept
from fleetrecover.model import Command, Host, Result
from fleetrecover.runtime.containers import Containers
from fleetrecover.steps import Adopt, CopyData, Quarantine
from fleetrecover.survey import Reader, read_remote_log
from tests.etcd.writers import WalWriter, conf_change, etcd_db, put
from tests.fakes.nodes import CLUSTER, FakeFleet, make_container

RUN = "r20260101T000000Z-abcd"
OWN = make_container(1, 3)


class Local:
    """A transport to this machine: every command is run here, by sh."""

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        return [self.run(command) for command in commands]

    def run(self, command: Command) -> Result:
        done = subprocess.run(["sh"], input=command.script.encode(), capture_output=True, check=False)
        return Result(command, done.returncode, done.stdout, done.stderr)


def wal(voters: Sequence[int], entries: int, more: Sequence[bytes] = ()) -> WalWriter:
    writer = WalWriter(node_id=1, cluster_id=CLUSTER).open()
    for number in voters:
        member = {"peerURLs": [f"https://10.0.0.{number}:2380"], "name": f"etcd-n{number}"}
        writer.change(1, number, conf_change(0, number, member))
    for count in range(entries):
        writer.entry(2, len(voters) + 1 + count, put(f"k{count}"))
    last = len(voters) + entries
    for change in more:
        last += 1
        writer.change(3, last, change)
    writer.state(3, 1, last)
    return writer


def lay(member: Path, writer: WalWriter) -> None:
    for part in ("wal", "snap"):
        (member / part).mkdir(parents=True)
    for name, content in writer.segments:
        (member / "wal" / name).write_bytes(bytes(content))
    (member / "snap" / "db").write_bytes(etcd_db())


ORIGINAL = wal((1, 2, 3), 10)
RESET = wal((1, 2, 3), 10, (conf_change(1, 2), conf_change(1, 3)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A survivor in whose place the reset copy lies, as the version before left it: its files, byte for byte of that shape."""
    path = tmp_path / "etcd"
    lay(path / "member", RESET)
    run = tmp_path / "etcd.fleetrecover" / RUN
    run.mkdir(parents=True, mode=0o700)
    pin = {"cluster": "fake", "dead": [], "kind": "reset", "run": RUN, "started": "2026-01-01T00:00:00Z"}
    (run / "run.json").write_text(json.dumps(pin | {"survivor": "n1", "tool": "fleetrecover 0.1.0"}, indent=1) + "\n")
    before = {
        "Id": OWN.id,
        "Name": "/etcd",
        "State": {"Status": "exited"},
        "HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
    }
    (run / "containers.json").write_text(json.dumps([before]) + "\n")
    lay(run / "original" / "member", ORIGINAL)
    proof = {
        "revision": 11,
        "hash": 7,
        "compact_revision": -1,
        "member_id": 1,
        "cluster_id": CLUSTER,
        "version": "3.4.23",
    }
    (run / "proof.json").write_text(json.dumps(proof) + "\n")
    return path


def facts(data: Path) -> NodeFacts:
    """The survivor's node as a survey would see it, from the real scripts and parsers."""
    local = Local()
    reader = Reader(Host("n1", "10.0.0.1"), local)  # type: ignore[arg-type]
    listing = reader.read(probes.data_listing(str(data)))
    seen = NodeFacts(
        reader.host,
        reachable=True,
        cli_version="20.10",
        containers=(replace(OWN, state="exited", data_path=str(data)),),
        images=frozenset({OWN.image, OWN.image_id}),
        data=listing.data,
        keeps=listing.keeps,
        hold=listing.hold,
    )
    return replace(seen, log=in_place(data)) if listing.data.has_member else seen


def in_place(data: Path) -> Log:
    reader = Reader(Host("n1", "10.0.0.1"), Local())  # type: ignore[arg-type]
    return read_remote_log(reader, reader.read(probes.member_files(str(data / "member"))))


def survey(data: Path) -> Survey:
    """Three hosts, of which the others were wiped."""
    fleet = FakeFleet.broken(3, wiped=2).survey()
    return replace(fleet, nodes=(facts(data), *fleet.nodes[1:]))


def keep_of(data: Path) -> Keep:
    found = facts(data).keep(RUN)
    assert found is not None
    return found


def test_a_run_left_open_by_the_version_before_is_resumed(data: Path) -> None:
    """Its reset copy is in place: it is not made again, and the others are brought in."""
    seen = survey(data)
    assert adopted(seen.node("n1"), RUN)
    run = find_open_run(seen)
    assert run is not None
    assert (run.run, run.survivor, run.kind, run.pinned, run.cluster) == (RUN, "n1", "reset", True, "fake")
    found = diagnose(seen, Wish())
    assert (found.remedy, found.refusal) == (Remedy.RESET, None)
    plan = make_plan(seen, found, Wish(), run="r2", started="2026-01-02T00:00:00Z")
    assert (plan.run, plan.survivor, plan.joins) == (RUN, "n1", ("n2", "n3"))
    assert not any(isinstance(step, CopyData | Quarantine | Adopt) for step in plan.steps)


def test_a_run_left_by_the_version_before_is_undone(data: Path) -> None:
    seen = look_at_kept(survey(data), Local(), RUN)  # type: ignore[arg-type]
    [original] = seen.node("n1").keep(RUN).kept or ()  # type: ignore[union-attr]
    assert (original.index, original.member_id, original.cluster_id, original.problem) == (13, 1, CLUSTER, None)
    assert original.voters == {1, 2, 3}
    plan = u.make_undo(seen, RUN)
    assert [type(step).__name__ for part in plan.stages for step in part.steps if step.node == "n1"][:3] == [
        "BeginUndo",
        "Fence",
        "PutDataBack",
    ]
    paths = RunPaths(f"{data}.fleetrecover", RUN)
    for action in (actions.mark(paths, "undoing"), actions.put_data_back(Containers("true").quiet, paths, str(data))):
        assert Local().run(action.command).ok
    assert not adopted(facts(data), RUN)
    assert keep_of(data).undoing
    assert {member.id for member in in_place(data).configuration_at_end.members} == {1, 2, 3}
    assert Local().run(actions.mark(paths, "undone").command).ok
    assert (keep_of(data).undone, keep_of(data).undoing, keep_of(data).withdrawn) == (True, False, ("withdrawn",))


def test_an_undo_that_the_version_before_left_half_way_is_not_taken_for_a_reset(data: Path) -> None:
    """It put the original back and left the proof where it was: the original must not be started as the reset copy."""
    run = Path(f"{data}.fleetrecover") / RUN
    shutil.move(data / "member", run / "withdrawn")
    shutil.move(run / "original" / "member", data / "member")
    (run / "original").rmdir()
    seen = survey(data)
    assert keep_of(data).proof is not None
    assert not adopted(seen.node("n1"), RUN)
    plan = make_plan(seen, diagnose(seen, Wish()), Wish(), run="r2", started="2026-01-02T00:00:00Z")
    assert any(isinstance(step, CopyData) for step in plan.steps)


def test_what_is_not_the_member_of_the_proof_is_not_the_reset_copy(data: Path) -> None:
    """Somebody else's data in the survivor's place."""
    node = facts(data)
    assert node.log is not None
    assert adopted(node, RUN)
    for other in (replace(node.log, node_id=5), replace(node.log, cluster_id=5)):
        assert not adopted(replace(node, log=other), RUN)


def test_the_hold_and_the_running_script_of_the_version_before(data: Path) -> None:
    """The mark of what runs stood in the hold: it is waited for, and it does not go with the hold."""
    paths = RunPaths(f"{data}.fleetrecover", RUN)
    hold = Path(paths.hold)
    hold.mkdir()
    holder = {"token": "old", "run": RUN, "who": "ann", "host": "b 1", "pid": 1, "born": "1", "since": "then"}
    (hold / "holder.json").write_text(json.dumps(holder) + "\n")
    (hold / "token").write_text("old")
    (hold / "beat").write_text("17\n")
    runs = subprocess.Popen(["sleep", "60"])
    try:
        born = Path(f"/proc/{runs.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        (hold / "busy").write_text(f"{runs.pid}-{born}\n")
        seen = facts(data).hold
        assert seen is not None
        assert (seen.token, seen.who, seen.beat) == ("old", "ann", "17")
        assert Local().run(actions.break_hold(paths, "old").command).ok
        assert Local().run(actions.take_hold(paths, holder | {"token": "new"}, "new").command).ok
        assert Local().run(actions.still_held().guarded(paths.hold, "new")).exit_code == BUSY
    finally:
        runs.kill()
        runs.wait()
    assert Local().run(actions.still_held().guarded(paths.hold, "new")).ok


def test_the_names_of_what_is_kept_are_those_of_the_version_before(data: Path) -> None:
    """Every part of a run's directory, by its old name."""
    run = Path(f"{data}.fleetrecover") / RUN
    for part in ("partial", "work", "booted", "reset", "discarded-1f", "withdrawn"):
        (run / part / "member").mkdir(parents=True)
    (run / "no-data").touch()
    (run / "finished").touch()
    keep = keep_of(data)
    assert keep.partial and keep.work and keep.booted and keep.reset and keep.original and keep.no_data
    assert (keep.finished, keep.undone, keep.undoing) == (True, False, False)
    assert (keep.discarded, keep.withdrawn) == (("discarded-1f",), ("withdrawn",))
    (run / "undoing").touch()
    assert (keep_of(data).finished, keep_of(data).undoing) == (False, True)


# --- what is kept, as it is read -------------------------------------------------------------------------------------------


def test_what_is_kept_is_read_part_by_part_and_what_cannot_be_read_says_so(data: Path) -> None:
    run = Path(f"{data}.fleetrecover") / RUN
    lay(run / "withdrawn" / "member", RESET)
    (run / "withdrawn" / "member" / "snap" / "db").write_bytes(b"no database")
    (run / "discarded-1" / "member" / "wal").mkdir(parents=True)
    (run / "discarded-2" / "member" / "wal").mkdir(parents=True)
    (run / "discarded-2" / "member" / "wal" / "0000000000000000-0000000000000000.wal").write_bytes(b"no log" * 99)
    found = look_at_kept(survey(data), Local(), RUN).node("n1").keep(RUN)  # type: ignore[arg-type]
    assert found is not None
    by_part: dict[str, KeptData] = {Path(each.part).name: each for each in found.kept or ()}
    assert set(by_part) == {"original", "withdrawn", "discarded-2"}, "an empty directory holds nothing"
    assert by_part["original"].revision is not None
    assert (by_part["withdrawn"].revision, by_part["withdrawn"].known) == (None, True)
    assert not by_part["discarded-2"].known
    assert by_part["discarded-2"].problem
