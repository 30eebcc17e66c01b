"""Quorum stands, or can stand again by starting what is there: no reset, on real hosts."""

from __future__ import annotations

from typing import Any

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, original_containers

pytestmark = pytest.mark.lab

# the newest with every change, the oldest, without learners, where a member is replaced; the others at night
VERSIONS = (*(pytest.param(each, marks=pytest.mark.slow) for each in ("3.3.25", "3.4.23", "3.6.14")), "3.5.30")
REPLACED = ("3.3.25", *(pytest.param(each, marks=pytest.mark.slow) for each in ("3.4.23", "3.6.14")), "3.5.30")


def written(lab: Lab, count: int = 300) -> dict[str, str]:
    return lab.client().fill("/before/", count)


def repaired(lab: Lab, tool: Tool, *more: str, starts: bool = False) -> dict[str, Any]:
    """Run `recover`; it must be good, must not have reset anything, and only `starts` where it should."""
    done = tool.recover(lab.name, *more).document
    assert done["outcome"] == "recovered"
    steps = {step["step"] for step in done["steps"]}
    assert not {"CopyData", "RaiseCommit", "Quarantine", "Adopt"} & steps
    assert ("AwaitQuorum" in steps) is starts
    return done


def assert_whole(
    lab: Lab, tool: Tool, keys: dict[str, str], hosts: tuple[str, ...] = ("etcd1", "etcd2", "etcd3")
) -> None:
    client = lab.client()
    for host in hosts:
        assert client.verify(keys, host).whole
        asked = "docker inspect -f '{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}' etcd"
        assert lab.shell(host, asked).strip() == "running always"
    client.put("/after", "repair", hosts[0])
    assert {client.get("/after", host) for host in hosts} == {"repair"}


@pytest.mark.parametrize("version", REPLACED)
def test_a_wiped_member_is_replaced(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    keys = written(lab)
    before = original_containers(lab)
    lab.shell("etcd2", "docker stop etcd")
    lab.wipe("etcd2")
    assert tool.run("diagnose", "--json").document["verdict"] == "degraded"
    repaired(lab, tool)
    assert_whole(lab, tool, keys)
    assert original_containers(lab) == before
    assert tool.run("verify", "--json").code == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stopped_member_is_started(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    keys = written(lab)
    lab.shell("etcd3", "docker stop etcd")
    assert tool.run("diagnose", "--json").code == 10
    repaired(lab, tool)
    assert_whole(lab, tool, keys)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_dead_member_is_removed(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    keys = written(lab)
    lab.power_off("etcd3")
    done = repaired(lab, tool, "--dead", "etcd3")
    assert sorted(done["members"]) == ["etcd1", "etcd2"]
    assert_whole(lab, tool, keys, ("etcd1", "etcd2"))
    # and it comes back: the same command without --dead brings it in as a new member
    lab.power_on("etcd3")
    done = repaired(lab, tool)
    assert len(done["members"]) == 3
    assert_whole(lab, tool, keys)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_member_without_container_gets_one(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    keys = written(lab)
    lab.remove_etcd("etcd2")
    repaired(lab, tool)
    assert_whole(lab, tool, keys)


@pytest.mark.parametrize("version", VERSIONS)
def test_two_of_three_stopped_are_started(fleet: Fleet, version: str) -> None:
    lab, tool = fleet(3, version)
    keys = written(lab)
    before = original_containers(lab)
    for host in ("etcd1", "etcd2"):
        lab.shell(host, "docker stop etcd")
    seen = tool.run("diagnose", "--json")
    assert (seen.code, seen.document["remedy"]) == (11, "start"), seen.document
    repaired(lab, tool, starts=True)
    assert_whole(lab, tool, keys)
    assert original_containers(lab) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_all_three_killed_and_stopped_are_started(fleet: Fleet, version: str) -> None:
    """Killed under load, so the commit on disk lags: a start, unlike a reset, needs no help to keep the tail."""
    lab, tool = fleet(3, version)
    writer = lab.client().writer(prefix="/load/", threads=4)
    writer.start()
    writer.wait_for(300)
    for host in lab.hosts:
        lab.shell(host.name, "docker update --restart=no etcd")
    lab.kill_etcd("etcd1", "etcd2", "etcd3")
    keys = writer.stop()
    for host in lab.hosts:
        lab.shell(host.name, "docker update --restart=always etcd; docker stop etcd")
    repaired(lab, tool, starts=True)
    assert_whole(lab, tool, keys)


def test_one_wiped_and_one_stopped_start_first_then_replace(fleet: Fleet) -> None:
    lab, tool = fleet(3, "3.4.23")
    keys = written(lab)
    for host in ("etcd1", "etcd2", "etcd3"):
        lab.shell(host, "docker stop etcd")
    lab.wipe("etcd2")
    repaired(lab, tool, starts=True)
    assert_whole(lab, tool, keys)


def test_a_healthy_cluster_is_left_alone(fleet: Fleet) -> None:
    lab, tool = fleet(3, "3.4.23")
    before = original_containers(lab)
    assert tool.run("diagnose", "--json").code == 0
    done = tool.run("recover", "--json", "--yes", lab.name)
    assert (done.code, done.document["outcome"]) == (0, "healthy")
    assert original_containers(lab) == before
