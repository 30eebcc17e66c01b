"""The next disaster: a cluster that was recovered before is recovered again, from a node that was brought in then."""

from __future__ import annotations

import pytest

from benchmarks.faulty import Point
from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.faults import killed

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")


def lose(lab: Lab, *names: str) -> None:
    """Container and data of these hosts, for good, while all lose power."""
    for name in names:
        lab.remove_etcd(name)
        lab.shell(name, "rm -rf /var/lib/etcd/member")
    lab.kill_all_at_once(power=True)
    lab.power_on(*HOSTS)


def test_a_node_that_was_brought_in_survives_the_next_time(fleet: Fleet) -> None:
    """Its container is one that we made, and it is its own now; `undo` of the second run puts it back as it was."""
    lab, tool = fleet(3, "3.5.30")
    keys = lab.client().fill("/before/", 200)
    lose(lab, "etcd2", "etcd3")
    assert tool.recover(lab.name).document["survivor"]["name"] == "etcd1"
    keys |= lab.client().fill("/between/", 200)
    made = lab.shell("etcd2", "docker inspect -f '{{.Id}} {{.HostConfig.RestartPolicy.Name}}' etcd").split()
    assert made[1] == "always"
    lose(lab, "etcd1", "etcd3")
    again = tool.recover(lab.name).document
    assert again["survivor"]["name"] == "etcd2"
    client = lab.client()
    assert all(client.verify(keys, name).whole for name in HOSTS)
    assert lab.shell("etcd2", "docker inspect -f '{{.Id}} {{.HostConfig.RestartPolicy.Name}}' etcd").split() == made
    assert tool.run("verify").code == 0
    undone = tool.run("undo", again["run"], "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert lab.shell("etcd2", "docker inspect -f '{{.Id}} {{.HostConfig.RestartPolicy.Name}}' etcd").split() == made
    assert "etcd" not in lab.shell("etcd3", "docker ps -a --format '{{.Names}}'").split()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.3.25", "3.5.30"])
def test_a_voter_that_was_added_and_never_comes_back(fleet: Fleet, version: str) -> None:
    """The run's new cluster has lost its quorum in turn: the same command, told who is dead, keeps what was written since."""
    lab, tool = fleet(3, version)
    keys = lab.client().fill("/before/", 100)
    lose(lab, "etcd2", "etcd3")
    killed(lab, Point("StartOriginal", "etcd1", "start"), "recover")
    lab.wait_healthy(["etcd1"])
    lab.client().put("/since", "x", "etcd1")
    added = ("AddMember", "member-add") if version.startswith("3.3") else ("Promote", "member-promote")
    killed(lab, Point(added[0], "etcd2", added[1]), "recover")
    lab.power_off("etcd2")
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code == 12
    assert "--dead etcd2" in ran.err
    done = tool.recover(lab.name, "--dead", "etcd2").document
    assert (done["outcome"], sorted(done["members"])) == ("recovered", ["etcd1", "etcd3"])
    assert lab.client().verify(keys | {"/since": "x"}, "etcd3").whole
    ran = tool.run("recover", "--dead", "etcd2", "--yes", lab.name)
    assert ran.code in (0, 10), "nothing is left open"
