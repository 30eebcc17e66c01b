"""More than one member to replace, in one command; and members that run where others think that somebody else is."""

from __future__ import annotations

import json

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.test_repair import assert_whole, written
from tests.e2e.tool import Ran, Tool, original_containers

pytestmark = pytest.mark.lab

LIMIT = 60.0
"""Seconds within which the cluster must be whole again."""


def names(count: int) -> tuple[str, ...]:
    return tuple(f"etcd{number}" for number in range(1, count + 1))


def assert_one_command(lab: Lab, tool: Tool, keys: dict[str, str], hosts: tuple[str, ...]) -> Ran:
    """One `recover` must do all of it, with nothing lost, and within the time that was promised."""
    before = original_containers(lab)
    ran = tool.recover(lab.name)
    done = ran.document
    print(
        f"\n{len(hosts)} members: writable after {done['seconds_to_writable']} s, whole after {done['seconds_to_whole']} s"
    )
    assert (done["outcome"], len(done["members"]), done["hash_equal"]) == ("recovered", len(hosts), True)
    assert done["seconds_to_whole"] < LIMIT, [(s["step"], s["node"], s["seconds"]) for s in done["steps"]]
    assert_whole(lab, tool, keys, hosts)
    assert original_containers(lab) == before
    assert [tool.run(word).code for word in ("verify", "diagnose")] == [0, 0]
    return ran


@pytest.mark.parametrize(("count", "lost"), [(5, 2), pytest.param(7, 3, marks=pytest.mark.slow)])
def test_all_killed_and_several_disks_lost(fleet: Fleet, count: int, lost: int) -> None:
    lab, tool = fleet(count)
    keys = written(lab)
    hosts = names(count)
    for host in hosts:
        lab.shell(host, "docker update --restart=no etcd")
    lab.kill_etcd(*hosts)
    for host in hosts:
        lab.shell(host, "docker update --restart=always etcd; docker stop etcd")
    for host in hosts[-lost:]:
        lab.wipe(host)
    ran = assert_one_command(lab, tool, keys, hosts)
    kinds = [step["step"] for step in ran.document["steps"]]
    assert "Quarantine" not in kinds
    assert kinds.count("RemoveMember") == kinds.count("AddMember") == lost
    assert "AddMember" not in kinds[: len(kinds) - kinds[::-1].index("RemoveMember")]


@pytest.mark.parametrize(
    ("count", "lost"), [pytest.param(5, 2, marks=pytest.mark.slow), pytest.param(7, 3, marks=pytest.mark.slow)]
)
def test_a_degraded_cluster_that_has_lost_several(fleet: Fleet, count: int, lost: int) -> None:
    lab, tool = fleet(count)
    keys = written(lab)
    hosts = names(count)
    for host in hosts[-lost:]:
        lab.shell(host, "docker stop etcd")
        lab.wipe(host)
    assert tool.run("diagnose", "--json").document["verdict"] == "degraded"
    assert_one_command(lab, tool, keys, hosts)


def swap(lab: Lab, one: str, other: str) -> None:
    """The data of two hosts changes places, as if their disks had been exchanged; all etcds were stopped for it."""
    for each in lab.hosts:
        lab.shell(each.name, "docker stop etcd")
    packed = {
        host: lab.exec(host, ["tar", "-C", "/var/lib/etcd", "-cf", "-", "member"]).stdout for host in (one, other)
    }
    for host, source in ((one, other), (other, one)):
        lab.shell(host, "rm -rf /var/lib/etcd/member")
        done = lab.exec(host, ["tar", "-C", "/var/lib/etcd", "-xf", "-"], input=packed[source])
        assert done.returncode == 0, done.stderr


def start(lab: Lab, *hosts: str) -> None:
    for host in hosts:
        lab.shell(host, "docker start etcd")


def peer_urls(lab: Lab, host: str) -> dict[str, list[str]]:
    """Each member's peer URLs by its name."""
    ctl = "docker exec -e ETCDCTL_API=3 etcd etcdctl member list -w json"
    return {each["name"]: each["peerURLs"] for each in json.loads(lab.shell(host, ctl))["members"]}


def assert_placed(lab: Lab) -> None:
    """Each member is found at its own host: whichever is stopped, the two others serve."""
    hosts = {host.name: f"https://{host.address}:2380" for host in lab.hosts}
    for name in hosts:
        assert sorted(peer_urls(lab, name).values()) == sorted([url] for url in hosts.values())
    for name in hosts:
        lab.shell(name, "docker stop etcd")
        lab.wait_healthy([other for other in hosts if other != name])
        lab.shell(name, "docker start etcd")
        lab.wait_healthy()


def test_two_disks_were_exchanged_and_a_leader_was_found(fleet: Fleet) -> None:
    """It serves, but the two do not hear each other: one more failure, and it does not."""
    lab, tool = fleet(3)
    keys = written(lab)
    swap(lab, "etcd1", "etcd2")
    start(lab, "etcd3", "etcd1", "etcd2")
    lab.wait_healthy(["etcd3"])
    seen = tool.run("diagnose", "--json")
    wrong = [found["node"] for found in seen.document["findings"] if found["code"] == "wrong-host"]
    assert (seen.code, wrong) == (10, ["etcd1", "etcd2"]), seen.document
    assert tool.run("verify").code == 10
    done = tool.recover(lab.name).document
    assert [step["step"] for step in done["steps"]].count("UpdateMember") == 3
    assert_whole(lab, tool, keys)
    assert_placed(lab)
    assert [tool.run(word).code for word in ("verify", "diagnose", "recover")] == [0, 0, 0]


def test_two_disks_were_exchanged_and_the_third_is_lost(fleet: Fleet) -> None:
    """The two that are left never hear each other: it takes a reset, and the survivor gets its host's URL before any add."""
    lab, tool = fleet(3)
    keys = written(lab)
    swap(lab, "etcd1", "etcd2")
    lab.wipe("etcd3")
    start(lab, "etcd1", "etcd2")
    done = tool.recover(lab.name).document
    kinds = [step["step"] for step in done["steps"]]
    assert kinds.index("UpdateMember") < kinds.index("AddMember")
    assert done["survivor"]["proof"] == "provably-complete"
    assert_whole(lab, tool, keys)
    assert_placed(lab)
    assert [tool.run(word).code for word in ("verify", "diagnose", "recover")] == [0, 0, 0]
