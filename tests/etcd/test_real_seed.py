"""Real etcd on loopback starts from logs that were made of another member's: nothing lost, one content, writable."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fleetrecover.decide.membership import quorum
from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor
from fleetrecover.etcd import etcdctl
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.seed import Seed, seeded
from tests.conftest import SEED
from tests.etcd import binaries
from tests.etcd.cluster import Cluster, Node, written_under_load

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


HISTORIES = int(os.environ.get("FLEETRECOVER_HISTORIES", "12"))


def shaken(cluster: Cluster, dice: random.Random, count: int) -> set[str]:
    """Writes under which members are killed and started again, one at a time; then all are killed. What was acknowledged."""
    acknowledged: set[str] = set()
    for part in range(dice.randint(1, 3)):
        for number in range(count):
            key = f"p{part}-{number}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                node = dice.choice([each for each in cluster.nodes if each.process is not None])
                if cluster.ctl("put", key, "x", node=node, check=False, timeout=3).returncode == 0:
                    acknowledged.add(key)
        victim = dice.choice(cluster.nodes)
        if victim.process is None:
            cluster.start(victim)
        else:
            cluster.stop(victim, dice.choice((signal.SIGKILL, signal.SIGTERM)))
    cluster.kill_all()
    return acknowledged


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("version", binaries.VERSIONS)
def test_random_histories_lose_nothing_where_the_choice_is_complete(version: str, tmp_path: Path) -> None:
    """Three or five members, with and without snapshots, killed at random; a part of the disks lost, a part of the hosts dead."""
    complete = 0
    for number in range(HISTORIES):
        dice = random.Random(f"{os.environ[SEED]} {version} {number}")
        place, size = tmp_path / str(number), dice.choice((3, 3, 5))
        snaps = ("--snapshot-count=15",) if dice.random() < 0.5 else ()
        with Cluster(
            version, place, size=size, flags=("--heartbeat-interval=50", "--election-timeout=500", *snaps)
        ) as cluster:
            cluster.start_all()
            listed = etcdctl.parse_member_list(cluster.ctl("member", "list", "-w", "json").stdout).members
            ids = {member.name: member.id for member in listed}
            acknowledged = shaken(cluster, dice, dice.randint(5, 25))
            readable = dice.sample(cluster.nodes, dice.randint(size - quorum(size) + 1, size))
            lost = [node for node in cluster.nodes if node not in readable]
            dead = [node for node in lost if dice.random() < 0.5]
            choice = choose_survivor([Candidate(node.name, read(node.data)) for node in readable], {})
            assert isinstance(choice, Choice), choice
            complete += choice.proof is ProofKind.COMPLETE
            chief = next(node for node in readable if node.name == choice.survivor)
            log, source = read(chief.data), place / "original"
            shutil.copytree(chief.data, source)
            term = max(read(node.data).hard_state.term for node in readable) + 10**9
            alive = [node for node in cluster.nodes if node not in dead]
            for node in alive:
                seed_from(source, node.data, Seed.of(log, ids[node.name], term, [ids[each.name] for each in dead]))
            for node in dice.sample(alive, len(alive)):
                cluster.start(node)
            cluster.wait(alive)
            for node in alive:
                keys = set(cluster.ctl("get", "p", "--prefix", "--keys-only", node=node).stdout.split())
                assert choice.proof is not ProofKind.COMPLETE or acknowledged <= keys, (
                    f"{SEED}={os.environ[SEED]}, {number}"
                )
            cluster.ctl("put", "after", "the reseed", node=alive[-1])
            cluster.wait(alive)
            [status] = etcdctl.parse_endpoint_status(
                cluster.ctl("endpoint", "status", "-w", "json", node=alive[-1]).stdout
            )
            assert len(hashes(cluster, alive, status.header.revision)) == 1
        shutil.rmtree(place)
    assert complete > HISTORIES // 2
