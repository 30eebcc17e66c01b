"""What is fenced stays down, whoever tries; and members that come back with their old data are found, and made new ones."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.test_undo import until
from tests.e2e.tool import Tool, original_containers

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")
KEEP = "/var/lib/etcd.fleetrecover"
ETCDS = "ps -eo args | grep -c '[/]usr/local/bin/etcd' || true"


def etcds(lab: Lab) -> dict[str, int]:
    """How many etcd processes run on each host."""
    return {name: int(lab.shell(name, ETCDS)) for name in HOSTS}


def lose_two_and_kill_the_recovery(lab: Lab, tool: Tool) -> None:
    """Two disks and containers are lost; the program is killed once every node is fenced and the survivor's data is moved."""
    lab.kill_all_at_once(power=True)
    lab.power_on(*HOSTS)
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker rm --force etcd")
        lab.wipe(name)
    first = tool.start("recover", "--yes", lab.name)
    until(lambda: any(lab.host("etcd1").path(KEEP).glob("*/original")), 120)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()


def test_fenced_nodes_stay_down_whoever_tries(fleet: Fleet) -> None:
    """A reboot, a restart of dockerd, and what Rancher's agent or a person would type; then the same command finishes."""
    lab, tool = fleet(3, "3.4.23")
    keys = lab.client().fill("/before/", 200)
    before = original_containers(lab)
    lose_two_and_kill_the_recovery(lab, tool)
    lab.kill_all_at_once(power=True)
    lab.power_on(*HOSTS)
    for name in HOSTS:
        lab.stop_dockerd(name)
        lab.start_dockerd(name)
    told = lab.exec("etcd1", ["docker", "start", "etcd"])
    assert told.returncode != 0
    assert b"No such container" in told.stderr
    assert lab.exec("etcd1", ["docker", "restart", "etcd"]).returncode != 0
    assert etcds(lab) == dict.fromkeys(HOSTS, 0)
    assert tool.run("diagnose", "--json").document["survivor"]["name"] == "etcd1"
    done = tool.recover(lab.name).document
    assert done["outcome"] == "recovered"
    client = lab.client()
    assert all(client.verify(keys, name).whole for name in HOSTS)
    assert original_containers(lab)["etcd1"] == before["etcd1"]


def test_rke_that_makes_the_container_anew_in_the_middle(fleet: Fleet) -> None:
    """`rke up` finds no container named etcd and runs a new one, on the emptied directory: that one is set aside, too."""
    lab, tool = fleet(3, "3.5.30")
    keys = lab.client().fill("/before/", 200)
    made = tool.run("run-config", "etcd1").out
    lose_two_and_kill_the_recovery(lab, tool)
    lab.shell("etcd1", f"docker rm --force etcd >/dev/null 2>&1; {made}")
    until(lambda: lab.host("etcd1").path("/var/lib/etcd/member/wal").is_dir(), 60)
    done = tool.recover(lab.name).document
    assert (done["outcome"], done["survivor"]["name"]) == ("recovered", "etcd1")
    client = lab.client()
    assert all(client.verify(keys, name).whole for name in HOSTS)
    checked = tool.run("verify")
    assert checked.code == 0, checked.out


def test_two_that_were_declared_dead_come_back(fleet: Fleet) -> None:
    """Found, said loudly, not taken for members; the same command makes new ones of them, and the old data is kept."""
    lab, tool = fleet(3, "3.5.30")
    keys = lab.client().fill("/before/", 200)
    lab.power_off("etcd2", "etcd3")
    done = tool.recover(lab.name, "--dead", "etcd2", "--dead", "etcd3").document
    assert done["outcome"] == "recovered"
    assert done["members"] == ["etcd1"]
    client = lab.client()
    keys |= {f"/since/{n}": str(n) for n in range(50)}
    for n in range(50):
        client.put(f"/since/{n}", str(n), "etcd1")
    old = {name: member_of(tool, lab.host(name).path("/var/lib/etcd")) for name in ("etcd2", "etcd3")}
    lab.power_on("etcd2", "etcd3")
    found = tool.run("diagnose", "--json")
    assert found.code == 10, found.err
    loud = {f["node"]: f for f in found.document["findings"] if f["code"] == "returned-member"}
    assert set(loud) == {"etcd2", "etcd3"}
    assert {f["severity"] for f in loud.values()} == {"error"}
    assert "OLD quorum" in loud["etcd2"]["message"]
    checked = tool.run("verify", "--json")
    assert checked.code != 0
    assert [c["name"] for c in checked.document["checks"] if not c["ok"]].count("no returned member") == 1
    again = tool.recover(lab.name).document
    assert sorted(again["members"]) == list(HOSTS)
    assert all(client.verify(keys, name).whole for name in HOSTS)
    checked = tool.run("verify")
    assert checked.code == 0, checked.out
    for name, member in old.items():
        [kept] = lab.host(name).path(KEEP).glob("*/original")
        assert member_of(tool, kept) == member != member_of(tool, lab.host(name).path("/var/lib/etcd"))


def member_of(tool: Tool, directory: Path) -> str:
    """The id of the member whose data lies there."""
    found = tool.run("inspect", str(directory), "--json")
    assert found.code == 0, found.err
    return str(found.document["log"]["nodeId"])
