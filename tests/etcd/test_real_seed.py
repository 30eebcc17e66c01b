"""Real etcd on loopback starts from logs that were made of another member's: nothing lost, one content, writable."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from benchmarks.reseed_histories import run_history
from benchmarks.reseed_world import Count
from fleetrecover.etcd import etcdctl
from fleetrecover.etcd.seed import Seed
from tests.conftest import SEED
from tests.etcd import binaries
from tests.etcd.cluster import Cluster, Node, written_under_load
from tests.etcd.reseeding import read, seed_from

EVERY = (*binaries.VERSIONS, *binaries.BUILT)
EACH_TIME = (("3.4.23", False), ("3.5.16", True), (binaries.BUILT[0], True))
NIGHTLY = [(version, snap) for version in EVERY for snap in (False, True)]
WORLDS = [pytest.param(*each, marks=() if each in EACH_TIME else pytest.mark.slow) for each in NIGHTLY]
pytestmark = pytest.mark.lab


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


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("version", "histories"),
    [(binaries.BUILT[0], 2), *(pytest.param(version, HISTORIES, marks=pytest.mark.slow) for version in EVERY)],
)
def test_random_histories_lose_nothing_where_the_choice_is_complete(version: str, histories: int) -> None:
    """As `benchmarks/reseed_histories.py` makes them, which raises where anything but a write is wrong."""
    total = Count()
    for number in range(histories):
        dice = random.Random(f"{os.environ[SEED]} {version} {number}")
        told = f"{SEED}={os.environ[SEED]}, {version}, history {number}"
        print(told)
        found = run_history(version, dice.choice((3, 3, 5)), dice)
        assert not found.lost, told
        total.add(found)
    assert total.complete >= histories // 2
