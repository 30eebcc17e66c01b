"""Real etcd on loopback: the record that raises commit, and the judgement on torn and damaged tails."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt, etcdctl, snapshot
from fleetrecover.etcd.frames import ENTRY, FRAME, span_of
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Append, Broken, Log
from fleetrecover.etcd.wal import raise_commit
from fleetrecover.lab.rke import version_tuple
from tests.etcd import binaries, cases
from tests.etcd.cluster import Cluster, Node, written_under_load

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("version", binaries.ALL)]


def read(directory: Path) -> Log:
    found = inspect(directory)
    assert isinstance(found.log, Log), found.log
    assert not found.contradiction
    return found.log


def applied(directory: Path) -> int:
    """The last index that is in the database."""
    path = directory / "member/snap/db"
    with path.open("rb") as file:
        return bbolt.read_facts(snapshot.reader(file), size=path.stat().st_size).consistent_index


def write(directory: Path, append: Append) -> None:
    """What the remote command does: cut if need be, write in place."""
    with (directory / "member" / "wal" / append.segment).open("r+b") as file:
        if append.cut:
            file.truncate(append.offset)
        file.seek(append.offset)
        file.write(append.data)


@contextlib.contextmanager
def reset(version: str, source: Path, copy: Path, append: Append | None) -> Iterator[tuple[Cluster, Node]]:
    """Start a cluster of one on a copy of `source`, with the record appended."""
    shutil.copytree(source, copy)
    if append is not None:
        write(copy, append)
    with Cluster(version, copy.parent) as cluster:
        (node,) = cluster.nodes
        node.data = copy
        node.name = "reset"
        cluster.start(node, "--force-new-cluster")
        cluster.wait()
        yield cluster, node


def killed_cluster(version: str, directory: Path) -> tuple[Path, str]:
    """Three members, SIGKILL right after the last acknowledgement. Returns the best directory and the last key.

    On a busy machine the kill may come so late that the commit, or the write itself, has reached the disk; then all of it is
    done again.
    """
    for attempt in range(10):
        place = directory / str(attempt)
        with Cluster(version, place, size=3, flags=("--heartbeat-interval=200", "--election-timeout=2000")) as cluster:
            cluster.start_all()
            last = ""
            for number in range(12):
                last = f"key-{number}"
                cluster.ctl("put", last, "acknowledged")
            cluster.kill_all()
            directories = [node.data for node in cluster.nodes]
        survivor = max(directories, key=lambda each: read(each).last)
        log = read(survivor)
        if log.commit < log.last.index and log.above_commit == {"put": 1} and applied(survivor) < log.last.index:
            return survivor, last
    raise AssertionError("ten times the kill came too late to prove anything")


def test_raised_commit_keeps_the_last_acknowledged_write(version: str, tmp_path: Path) -> None:
    survivor, last = killed_cluster(version, tmp_path / "cluster")
    log = read(survivor)
    append = raise_commit(log)
    with reset(version, survivor, tmp_path / "kept", append) as (cluster, node):
        assert etcdctl.parse_get(cluster.ctl("get", last, "-w", "json").stdout).count == 1
        (member,) = etcdctl.parse_member_list(cluster.ctl("member", "list", "-w", "json").stdout).members
        assert member.id == log.node_id
        cluster.ctl("put", "after", "the reset")
        cluster.stop(node)
    after = read(tmp_path / "kept")
    assert after.configuration.voters == {log.node_id}
    assert after.configuration.removed == log.configuration.voters - {log.node_id}
    assert (log.expelled, after.expelled) == (frozenset(), after.configuration.removed)
    assert after.node_id == log.node_id
    assert after.cluster_id == log.cluster_id


def test_without_it_the_write_is_lost(version: str, tmp_path: Path) -> None:
    """The fault that the record is there for; without it the test above would prove nothing."""
    survivor, last = killed_cluster(version, tmp_path / "cluster")
    with reset(version, survivor, tmp_path / "lost", None) as (cluster, _):
        assert etcdctl.parse_get(cluster.ctl("get", last, "-w", "json").stdout).count == 0


def test_raised_commit_under_load(version: str, tmp_path: Path) -> None:
    """Several writers, SIGKILL of all; then every acknowledged write is there."""
    with Cluster(version, tmp_path / "cluster", size=3) as cluster:
        cluster.start_all()
        acknowledged = written_under_load(cluster, 21)
        directories = [node.data for node in cluster.nodes]
    survivor = max(directories, key=lambda directory: read(directory).last)
    with reset(version, survivor, tmp_path / "kept", raise_commit(read(survivor))) as (cluster, _):
        listed = cluster.ctl("get", "w", "--prefix", "--keys-only").stdout.split()
        assert len(acknowledged) > 20
        assert acknowledged <= set(listed)


def test_torn_tail_is_what_etcd_repairs(version: str, tmp_path: Path) -> None:
    """etcd starts on a cut frame and has what we say is left; the raised commit works on it too.

    From 3.7 on it starts from the WAL's newest snapshot record alone, and wants the database that goes with it.
    """
    whole, source = recorded(version, tmp_path)
    (segment,) = (source / "member/wal").glob("*.wal")
    data = segment.read_bytes()
    segment.write_bytes(data[: entry_offsets(data)[-1] + 40])
    for db in (source / "member/snap").glob("db"):
        db.unlink()  # it is ahead of the log now
    for snap in (source / "member/snap").glob("*.snap"):
        snap.unlink()
    found = inspect(source)
    assert isinstance(found.log, Log)
    log = found.log
    assert log.torn is not None
    assert log.last.index == whole.last.index - 1
    if version_tuple(version) >= (3, 7):
        assert start_on(version, source) is None
        return
    with reset(version, source, tmp_path / "repaired", raise_commit(log)) as (cluster, node):
        cluster.stop(node)
    repaired = read(tmp_path / "repaired")
    assert repaired.term_at(log.last.index) == log.last.term
    assert repaired.digest_at(log.last.index) == log.digest_at(log.last.index)
    assert repaired.last.index > log.last.index


def entry_offsets(data: bytes) -> list[int]:
    """Where the frames of the entries stand."""
    found: list[int] = []
    offset = 0
    while (frame := FRAME.unpack_from(data, offset)[0]) != 0:
        start, _, after = span_of(frame, offset)
        if data[start + 1] == ENTRY:
            found.append(offset)
        offset = after
    return found


@pytest.mark.parametrize("where", [0.3, 0.6, 1.0])
def test_damage_is_where_etcd_dies(version: str, tmp_path: Path, where: float) -> None:
    _, source = recorded(version, tmp_path)
    (segment,) = (source / "member/wal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    offsets = entry_offsets(bytes(data))
    data[offsets[int((len(offsets) - 1) * where)] + 40] ^= 0x21
    segment.write_bytes(data)
    assert isinstance(inspect(source).log, Broken)
    assert start_on(version, source) is None


def test_damaged_length_is_where_etcd_dies_or_forgets(version: str, tmp_path: Path) -> None:
    """Why the reader is stricter: 3.5 and 3.6 take this for a torn tail, cut half of the log off, and serve."""
    whole, source = recorded(version, tmp_path)
    (segment,) = (source / "member/wal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    offsets = entry_offsets(bytes(data))
    data[offsets[int(len(offsets) * 0.8)] + 4] ^= 0x21
    segment.write_bytes(data)
    assert isinstance(inspect(source).log, Broken)
    (source / "member/snap/db").unlink()  # else etcd 3.5 may notice that it is ahead of the log
    for snap in (source / "member/snap").glob("*.snap"):
        snap.unlink()
    index = start_on(version, source)
    if version.startswith(("3.5", "3.6")):
        assert index is not None
        assert index < whole.last.index
    else:
        assert index is None


def start_on(version: str, source: Path) -> int | None:
    """Start etcd on a data directory. Returns its commit index when it serves; None when it exits with an error."""
    with Cluster(version, source.parent / "started") as cluster:
        (node,) = cluster.nodes
        node.data = source
        cluster.start(node, "--force-new-cluster")
        assert node.process is not None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            exit_code = node.process.poll()
            if exit_code is not None:
                assert exit_code != 0
                return None
            answer = cluster.ctl("endpoint", "status", "-w", "json", check=False)
            if answer.returncode == 0:
                return etcdctl.parse_endpoint_status(answer.stdout)[0].raft_index
    raise AssertionError("etcd neither serves nor exits")


def recorded(version: str, tmp_path: Path) -> tuple[Log, Path]:
    """The recorded single member as a directory that etcd can start on."""
    directory = cases.directories(version, "single")["n1"]
    for part, files in (("wal", directory.wal), ("snap", directory.snap)):
        place = tmp_path / "source" / "member" / part
        place.mkdir(parents=True)
        place.chmod(0o700)
        for name, content in files.items():
            (place / name).write_bytes(content)
    (tmp_path / "source").chmod(0o700)
    return directory.log(), tmp_path / "source"


def test_database_of_a_running_etcd(version: str, tmp_path: Path) -> None:
    """Read in place while etcd writes: the facts are those of etcd, or said to be unsteady."""
    with Cluster(version, tmp_path) as cluster:
        cluster.start_all()
        path = cluster.nodes[0].data / "member/snap/db"
        for number in range(300):
            cluster.ctl("put", f"key-{number % 20}", "x" * 500) if number % 10 == 0 else None
            with path.open("rb") as file, contextlib.suppress(FormatError):
                facts = bbolt.read_facts(snapshot.reader(file), size=path.stat().st_size)
                assert facts.revision <= 31 or not facts.stable
        time.sleep(0.5)  # etcd commits every 100 ms
        (status,) = etcdctl.parse_endpoint_status(cluster.ctl("endpoint", "status", "-w", "json").stdout)
        with path.open("rb") as file:
            facts = bbolt.read_facts(snapshot.reader(file), size=path.stat().st_size)
        assert facts.stable
        assert facts.revision == status.header.revision == 31
        assert facts.consistent_index == status.raft_index


def test_snapshot_of_some_size(version: str, tmp_path: Path) -> None:
    """Branch pages, overflow pages, deletions and a compaction: the hash is etcd's."""
    with Cluster(version, tmp_path) as cluster:
        cluster.start_all()
        for batch in range(25):
            puts = "\n".join(f"put key-{batch % 20}-{number} {'x' * 300}" for number in range(100))
            cluster.ctl("txn", text=f"\n{puts}\n\n\n")
        cluster.ctl("del", "key-3-", "--prefix")
        revision = etcdctl.parse_get(cluster.ctl("get", "x", "-w", "json").stdout).header.revision
        cluster.ctl("compaction", str(revision - 2), "--physical")
        cluster.ctl("put", "big", "b" * 100_000)
        target = tmp_path / "snapshot.db"
        cluster.ctl("snapshot", "save", str(target))
        said = etcdctl.parse_snapshot_status(cluster.snapshot_status(target))
    with target.open("rb") as file:
        facts = snapshot.read_snapshot(file, full=True)
    assert facts.checksum.sound
    assert facts.status is not None
    assert (facts.status.hash, facts.status.revision) == (said.hash, said.revision)
    assert facts.status.total_size == said.total_size
    assert said.total_key > 1000
    if version_tuple(version) < (3, 6):
        assert facts.status.total_keys == said.total_key


def test_a_downgrade_that_is_enabled_is_read(version: str, tmp_path: Path) -> None:
    if version_tuple(version) < (3, 6):
        pytest.skip("its etcdctl has no downgrade")
    target = {"3.6": "3.5.0", "3.7": "3.6.0"}[version[:3]]
    with Cluster(version, tmp_path) as cluster:
        cluster.start_all()
        for expected, words in ((target, ("enable", target)), ("", ("cancel",))):
            deadline = time.monotonic() + 20  # not before the cluster has agreed on its version
            while cluster.ctl("downgrade", *words, check=False).returncode != 0 and time.monotonic() < deadline:
                time.sleep(0.2)
            cluster.ctl("put", "x", "y")
            time.sleep(0.5)  # etcd commits every 100 ms
            db = inspect(cluster.nodes[0].data).db
            assert isinstance(db, bbolt.DbFacts)
            assert db.downgrade == expected
