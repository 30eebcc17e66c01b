"""Real etcd on loopback starts from logs that were made of another member's: nothing lost, one content, writable."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from fleetrecover.etcd import etcdctl
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.seed import Seed, seeded
from tests.etcd import binaries
from tests.etcd.cluster import Cluster, Node

EACH_TIME = (("3.4.23", False), ("3.5.16", True))
NIGHTLY = [(version, snap) for version in binaries.VERSIONS for snap in (False, True)]
WORLDS = [pytest.param(*each, marks=() if each in EACH_TIME else pytest.mark.slow) for each in NIGHTLY]
pytestmark = pytest.mark.lab


def read(directory: Path) -> Log:
    found = inspect(directory)
    assert isinstance(found.log, Log), found.log
    return found.log


def seed_from(source: Path, target: Path, seed: Seed) -> None:
    """What is done on a node: the database and the snapshot that is used as they are, the log rewritten."""
    log = read(source)
    shutil.rmtree(target, ignore_errors=True)
    (target / "member/snap").mkdir(parents=True)
    (target / "member/wal").mkdir()
    target.chmod(0o700)
    for name in ("db", *([log.snap_name] if log.snap_name else [])):
        shutil.copy(source / "member/snap" / name, target / "member/snap" / name)
    parts = [(name, (source / "member/wal" / name).read_bytes()) for name in log.segments]
    for (name, data), (_, was) in zip(seeded(parts, seed), parts, strict=True):
        file = target / "member/wal" / name
        file.write_bytes(data)
        with file.open("r+b") as opened:
            opened.truncate(max(len(data), len(was)))


def written_under_load(cluster: Cluster, count: int) -> set[str]:
    """Several writers, then SIGKILL of all under them; what was acknowledged."""
    acknowledged: set[str] = set()
    enough, stop = threading.Event(), threading.Event()

    def load(writer: int) -> None:
        number = 0
        while not stop.is_set():
            key = f"w{writer}-{number}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                if cluster.ctl("put", key, "x", check=False, timeout=2).returncode == 0:
                    acknowledged.add(key)
            number += 1
            if len(acknowledged) >= count:
                enough.set()

    writers = [threading.Thread(target=load, args=(each,)) for each in range(3)]
    for each in writers:
        each.start()
    enough.wait(60)
    cluster.kill_all()
    stop.set()
    for each in writers:
        each.join()
    return acknowledged


def hashes(cluster: Cluster, nodes: list[Node], revision: int) -> set[int]:
    """The members' content at that revision."""
    asked = ("endpoint", "hashkv", f"--rev={revision}")
    return {etcdctl.parse_endpoint_hashkv(cluster.ctl(*asked, "-w", "json", node=n).stdout)[0].hash for n in nodes}


@pytest.mark.parametrize(("version", "snap"), WORLDS)
def test_every_member_at_hand_has_all_and_the_dead_are_gone(version: str, snap: bool, tmp_path: Path) -> None:
    """Five, of which two are dead and two have lost their disks; then one of the dead comes back, and is refused."""
    flags = ("--heartbeat-interval=50", "--election-timeout=500", *(("--snapshot-count=20",) if snap else ()))
    with Cluster(version, tmp_path, size=5, flags=flags) as cluster:
        cluster.start_all()
        ids = {
            m.name: m.id for m in etcdctl.parse_member_list(cluster.ctl("member", "list", "-w", "json").stdout).members
        }
        acknowledged = written_under_load(cluster, 60)
        best = max(cluster.nodes, key=lambda node: read(node.data).last)
        log = read(best.data)
        assert bool(log.snap_name) is snap
        others = [node for node in cluster.nodes if node is not best]
        alive, dead = [best, *others[:2]], others[2:]
        source = tmp_path / "original"
        shutil.copytree(best.data, source)
        term = log.hard_state.term + 10**9
        for node in alive:
            seed_from(source, node.data, Seed.of(log, ids[node.name], term, [ids[each.name] for each in dead]))
            made = read(node.data)
            assert (made.node_id, made.commit) == (ids[node.name], log.last.index + 2)
        for node in alive:
            cluster.start(node)
        cluster.wait(alive)
        for node in alive:
            listed = etcdctl.parse_member_list(cluster.ctl("member", "list", "-w", "json", node=node).stdout).members
            assert {member.id for member in listed} == {ids[each.name] for each in alive}
            keys = set(cluster.ctl("get", "w", "--prefix", "--keys-only", node=node).stdout.split())
            assert acknowledged <= keys
        cluster.ctl("put", "after", "the reseed", node=alive[1])
        [status] = etcdctl.parse_endpoint_status(cluster.ctl("endpoint", "status", "-w", "json", node=alive[1]).stdout)
        cluster.ctl("get", "after", node=alive[0])
        cluster.wait(alive)
        assert len(hashes(cluster, alive, status.header.revision)) == 1
        assert status.raft_term > term
        back = dead[0]
        cluster.start(back)
        assert back.process is not None
        assert back.process.wait(30) in (0, 1)
        assert "permanently removed" in cluster.log(back)
