"""etcd 3.6 and 3.7 on real hosts, and what 3.5 leaves behind for the day on which it becomes 3.6."""

from __future__ import annotations

import json

import pytest

from benchmarks.fault_matrix import picture
from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.test_recover import assert_whole, write_and_kill
from tests.e2e.tool import leader_of, original_containers, restart_policy, tree_hash

pytestmark = pytest.mark.lab

NEW = ("3.6.14", pytest.param("3.7.1", marks=pytest.mark.slow))


@pytest.mark.parametrize("version", NEW)
def test_two_disks_lost_under_load_and_a_power_cut_after_it(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    before = original_containers(lab)
    acknowledged, leader, others = write_and_kill(lab)
    for name in others:
        lab.wipe(name)
    ran = tool.recover(lab.name)
    assert ran.code == 0
    assert ran.document["survivor"]["name"] == leader
    assert_whole(lab, tool, acknowledged)
    assert original_containers(lab) == before
    lab.kill_all_at_once(power=True)
    lab.power_on(*(host.name for host in lab.hosts))
    lab.wait_healthy()
    assert_whole(lab, tool, acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.6.14", "3.7.1"])
def test_five_members_three_disks_lost_and_all_taken_back(fleet: Fleet, version: str) -> None:
    """`undo` puts every byte back where it was."""
    lab, tool = fleet(5, version)
    restart_policy(lab, "no")
    acknowledged, leader, others = write_and_kill(lab)
    for name in others[:3]:
        lab.wipe(name)
    was = {host.name: tree_hash(lab, host.name, "/var/lib/etcd") for host in lab.hosts}
    assert tool.recover(lab.name).document["survivor"]["name"] == leader
    assert_whole(lab, tool, acknowledged)
    undone = tool.run("undo", "--last", "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert {host.name: tree_hash(lab, host.name, "/var/lib/etcd") for host in lab.hosts} == was


def lead(lab: Lab, name: str) -> None:
    """Make that host's member the leader."""
    leader = leader_of(lab)
    if leader != name:
        [status] = json.loads(lab.etcdctl(name, "endpoint", "status", "-w", "json").stdout)
        moved = lab.etcdctl(leader, "move-leader", f"{status['Status']['header']['member_id']:x}")
        assert moved.returncode == 0, moved.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("3.5.30", "3.6.14"), ("3.6.14", "3.7.1")])
def test_a_rolling_upgrade_that_was_caught_by_the_loss(fleet: Fleet, old: str, new: str) -> None:
    """One of three is upgraded, and only its disk is left: whose etcd could not join it is named, nothing is touched."""
    lab, tool = fleet(3, old)
    lab.upgrade_etcd("etcd1", new)
    lab.wait_healthy()
    lead(lab, "etcd1")
    restart_policy(lab, "no")
    acknowledged, leader, others = write_and_kill(lab, 100)
    assert leader == "etcd1"
    for name in others:
        lab.wipe(name)
    was = {host.name: picture(lab, host.name) for host in lab.hosts}
    for method in ("reset", "reseed"):
        refused = tool.run("recover", "--yes", lab.name, "--method", method)
        assert refused.code == 20, refused.err
        assert "etcd2: its etcd is" in refused.err
        assert "older etcd does not join" in refused.err
    assert {host.name: picture(lab, host.name) for host in lab.hosts} == was
    for name in others:  # what it says is to be done
        lab.upgrade_etcd(name, new, start=False)  # two that start blank would be an empty cluster
    done = tool.recover(lab.name).document
    assert (done["outcome"], done["survivor"]["name"]) == ("recovered", "etcd1")
    assert_whole(lab, tool, acknowledged)


def test_what_joins_on_3_5_16_leave_behind_is_said_by_all(fleet: Fleet) -> None:
    """A promotion that etcd itself does not write down: nothing is ill, and the way to 3.6 is barred. All say 10."""
    lab, tool = fleet(3, "3.5.16")
    lab.client().fill("/before/", 50)
    lose_two(lab)
    ran = tool.run("recover", "--json", "--yes", lab.name)
    lab.client().fill("/after/", 5)
    assert ran.code == 10, ran.err
    assert ran.document["outcome"] == "recovered"
    assert ran.document["missing"] == []
    assert "3.5.26" in ran.document["next"]
    judged = tool.run("diagnose", "--json")
    assert judged.code == 10
    [found] = [each for each in judged.document["findings"] if each["code"] == "stale-learner"]
    assert "etcd-node2" in found["message"]
    assert "etcd-node3" in found["message"]
    assert tool.run("verify", "--json").code == 10


def lose_two(lab: Lab) -> None:
    """The disks of all but the first, and the power of all."""
    lab.kill_all_at_once(power=True)
    lab.power_on(*(host.name for host in lab.hosts))
    for name in ("etcd2", "etcd3"):
        lab.wipe(name)
