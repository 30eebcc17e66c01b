"""The main job on real hosts: nothing acknowledged is lost, and the cluster is whole."""

from __future__ import annotations

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, leader_of, original_containers, restart_policy, state_of, tree_hash

pytestmark = pytest.mark.lab

ENDS = ("3.3.25", *(pytest.param(each, marks=pytest.mark.slow) for each in ("3.4.23", "3.6.14")), "3.5.30")
"""The oldest and the newest; those between them at night."""
NEWEST = (*(pytest.param(each, marks=pytest.mark.slow) for each in ("3.3.25", "3.4.23", "3.6.14")), "3.5.30")


def write_and_kill(
    lab: Lab, count: int = 600, *, leader: str | None = None, power: bool = True
) -> tuple[dict[str, str], str, list[str]]:
    """Write until `count` writes are acknowledged, then kill every host at once, under load; without `power` every etcd alone.

    Returns the acknowledged, who led (`leader`, where that is known), and the others. The leader's log holds every acknowledged
    write; a follower's may lack any number of them, so the tests keep the leader's disk where they ask for all.
    """
    leader = leader or leader_of(lab)
    writer = lab.client().writer(prefix="/load/", threads=8)
    writer.start()
    writer.wait_for(count)
    lab.kill_all_at_once(power=power)
    acknowledged = writer.stop()
    assert len(acknowledged) >= count
    if power:
        lab.power_on(*(host.name for host in lab.hosts))
    return acknowledged, leader, [host.name for host in lab.hosts if host.name != leader]


def assert_whole(lab: Lab, tool: Tool, acknowledged: dict[str, str]) -> None:
    """Every member has every acknowledged write, takes new ones, and the tool's own check agrees."""
    client = lab.client()
    for host in lab.hosts:
        assert client.verify(acknowledged, host.name).missing == ()
        assert client.verify(acknowledged, host.name).wrong == ()
    client.put("/after", "recovery")
    assert {client.get("/after", host.name) for host in lab.hosts} == {"recovery"}
    checked = tool.run("verify", "--json")
    assert checked.code == 0, checked.out
    assert checked.document["hash_equal"] is True


@pytest.mark.parametrize("version", ENDS)
def test_two_of_three_lost(fleet: Fleet, version: str) -> None:
    """Killed all at once under load, two disks lost: what the readable log holds is there, on three healthy members."""
    lab, tool = fleet(3, version)
    before = original_containers(lab)
    acknowledged, leader, others = write_and_kill(lab)
    for name in others:
        lab.wipe(name)
    done = tool.recover(lab.name).document
    assert done["outcome"] == "recovered"
    assert done["survivor"]["name"] == leader
    assert done["survivor"]["proof"] == "best-available"
    assert done["survivor"]["logs_read"] == 1
    assert done["hash_equal"] is True
    assert done["revision_after"] >= done["revision_before"]
    assert len(done["members"]) == 3
    assert_whole(lab, tool, acknowledged)
    assert original_containers(lab) == before


@pytest.mark.parametrize("version", NEWEST)
def test_three_of_five_lost(fleet: Fleet, version: str) -> None:
    """Five members, three disks lost."""
    lab, tool = fleet(5, version)
    acknowledged, leader, others = write_and_kill(lab)
    for name in others[:3]:
        lab.wipe(name)
    done = tool.recover(lab.name).document
    assert done["survivor"]["name"] in (leader, others[3])
    assert (done["survivor"]["logs_needed"], done["survivor"]["logs_read"]) == (3, 2)
    assert len(done["members"]) == 5
    assert_whole(lab, tool, acknowledged)


def lag_and_kill(lab: Lab) -> dict[str, str]:
    """etcd2 misses the last writes, then all are killed and etcd3's disk is lost; returns what was acknowledged."""
    writer = lab.client().writer(prefix="/first/", threads=8)
    writer.start()
    writer.wait_for(200)
    acknowledged = dict(writer.stop())
    lab.shell("etcd2", "docker update --restart=no etcd; docker kill etcd")
    client = lab.client()
    writer = client.writer(prefix="/second/", threads=8)
    writer.start()
    writer.wait_for(300)
    restart_policy(lab, "no")
    lab.kill_all_at_once(power=True)
    acknowledged |= writer.stop()
    lab.power_on(*(host.name for host in lab.hosts))
    restart_policy(lab, "always")
    lab.wipe("etcd3")
    return acknowledged


@pytest.mark.parametrize("version", NEWEST)
def test_two_of_three_disks_readable_the_better_log_is_chosen(fleet: Fleet, version: str) -> None:
    """Two logs of three are proof: not one acknowledged write is missing, though the other log lacks 300 of them."""
    lab, tool = fleet(3, version)
    acknowledged = lag_and_kill(lab)
    lab.remove_etcd("etcd2")  # it cannot simply be started, so it takes a reset
    judged = tool.run("diagnose", "--json")
    assert judged.code == 11, judged.err
    assert judged.document["survivor"]["name"] == "etcd1"
    assert judged.document["survivor"]["proof"] == "provably-complete"
    before = tree_hash(lab, "etcd1", "/var/lib/etcd/member")
    done = tool.recover(lab.name).document
    assert done["survivor"]["name"] == "etcd1"
    assert_whole(lab, tool, acknowledged)
    kept = f"/var/lib/etcd.fleetrecover/{done['run']}/original/member"
    assert tree_hash(lab, "etcd1", kept) == before


def test_two_members_with_their_data_are_started_not_reset(fleet: Fleet) -> None:
    """Where a quorum of members has its data, Raft itself chooses the better log; nothing is reset."""
    lab, tool = fleet(3)
    acknowledged = lag_and_kill(lab)
    done = tool.recover(lab.name).document
    assert done["remedy"] == "repair"
    assert not any(step["step"] == "Quarantine" for step in done["steps"])
    assert_whole(lab, tool, acknowledged)


def test_the_same_command_again_and_a_power_cut_of_every_host_after_the_recovery(fleet: Fleet) -> None:
    """There is nothing to do, and it says so. The flag is nowhere: the cluster comes back as it was, by itself."""
    lab, tool = fleet(3)
    acknowledged, _, others = write_and_kill(lab)
    for name in others:
        lab.wipe(name)
    run = tool.recover(lab.name).document["run"]
    before = {host.name: state_of(lab, host.name) for host in lab.hosts}
    again = tool.recover(lab.name).document
    assert (again["outcome"], again["run"]) == ("healthy", None)
    assert {host.name: state_of(lab, host.name) for host in lab.hosts} == before
    listed = tool.run("runs", "--json").document["runs"]
    assert [(row["run"], row["outcome"]) for row in listed] == [(run, "recovered")]
    lab.kill_all_at_once(power=True)
    lab.power_on(*(host.name for host in lab.hosts))
    lab.wait_healthy()
    assert_whole(lab, tool, acknowledged)
    for host in lab.hosts:
        assert "force-new-cluster" not in lab.shell(host.name, "docker inspect $(docker ps -aq)")


def test_an_unreachable_node_that_nobody_declared_dead_blocks(fleet: Fleet) -> None:
    """It may be serving on the other side: exit 12, and nothing changed anywhere. Declared dead, it does not block."""
    lab, tool = fleet(3)
    acknowledged, leader, (wiped, gone) = write_and_kill(lab)
    lab.power_off(gone)
    lab.wipe(wiped)
    for name in (leader, wiped):  # nothing but us may change these hosts now
        lab.shell(name, "docker kill etcd || true")
    lab.shell(wiped, "rm -rf /var/lib/etcd/member")
    before = {name: state_of(lab, name) for name in (leader, wiped)}
    for command in (["diagnose"], ["recover", "--yes", lab.name]):
        ran = tool.run(*command)
        assert ran.code == 12, ran.err
        assert f"--dead {gone}" in ran.out + ran.err
    assert {name: state_of(lab, name) for name in (leader, wiped)} == before
    done = tool.recover(lab.name, "--dead", gone).document
    assert done["left_out"] == {gone: "declared dead"}
    assert len(done["members"]) == 2
    for name in (leader, wiped):
        assert lab.client().verify(acknowledged, name).missing == ()


def test_a_replaced_host_gets_image_and_command_from_the_survivor(fleet: Fleet) -> None:
    """A bare node in the place of a lost one: no container, no image, no data. Registries may be out of reach."""
    lab, tool = fleet(3)
    acknowledged, leader, (bare, other) = write_and_kill(lab)
    lab.wipe(bare)
    lab.wipe(other)
    lab.shell(bare, "docker rm -f etcd; docker rmi -f $(docker images -q) || true; rm -rf /var/lib/etcd")
    done = tool.recover(lab.name).document
    assert done["survivor"]["name"] == leader
    brought = [step for step in done["steps"] if (step["step"], step["node"]) == ("EnsureImage", bare)]
    assert "from " + leader in brought[0]["detail"]
    assert_whole(lab, tool, acknowledged)
    config = original_containers(lab)[bare]
    assert any(f"--name=etcd-{lab.host(bare).hostname}" == word for word in config["command"])
    assert config["restart"] == "always"
    lab.power_off(bare)
    lab.power_on(bare)
    lab.wait_healthy()
