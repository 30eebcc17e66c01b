"""Restores that are interrupted, resumed and undone; onto other hosts, fewer hosts, and hosts that have nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import fault_matrix as matrix
from benchmarks.faulty import Point
from fleetrecover.lab import Lab, rke
from fleetrecover.steps import ROLLING
from tests.e2e.conftest import Fleet
from tests.e2e.faults import killed
from tests.e2e.snapshots import DIRECTORY, content, destroy, restored, saved

pytestmark = pytest.mark.lab


RESTORE = ("snapshot", "restore", "snap")


def run_of(lab: Lab) -> Path:
    """The directory of the youngest run on etcd1."""
    return matrix.runs_on(lab, "etcd1")[-1]


def started(lab: Lab) -> dict[str, str]:
    """When each host's containers were started, those that run."""
    look = "docker inspect -f '{{.Name}} {{.State.StartedAt}}' $(docker ps -q) | sort"
    return {host.name: lab.shell(host.name, f'[ -z "$(docker ps -q)" ] || {look}') for host in lab.hosts}


def test_interrupted_resumed_and_undone(fleet: Fleet) -> None:
    """Killed, undone; killed, resumed with the same token; finished, undone: each time all is back, byte for byte.

    Names, policies and states of every container, Kubernetes' and RKE's own among them, and each host's data.
    """
    lab, tool = fleet(3, kubernetes=True)
    lab.exec("etcd1", rke.kubernetes_run(ROLLING))
    lab.client().fill("/k/", 100, 100)
    saved(tool, "snap")
    lab.client().put("/late", "x")
    for host in lab.hosts:
        lab.shell(host.name, "docker kill etcd >/dev/null")  # so that nothing changes by itself
    before = {host.name: matrix.picture(lab, host.name) for host in lab.hosts}
    killed(lab, Point("KeepData", "etcd1", "keep-data"), *RESTORE)
    assert not any(started(lab).values()), "etcd, and all that lives by it, is stopped"
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code in (12, 20), "an open restore is no business of recover"
    assert "`fleetrecover snapshot restore` again" in ran.err
    undone = tool.run("undo", run_of(lab).name, "--yes", lab.name, "--json")
    assert undone.code == 0, undone.err
    assert undone.document["written_since"] == 0
    assert {host.name: matrix.picture(lab, host.name) for host in lab.hosts} == before
    killed(lab, Point("AdoptRestored", "etcd2", "adopt-restored"), *RESTORE)
    token = json.loads((run_of(lab) / "restore.json").read_text())["token"]
    done = restored(tool, lab, "snap")
    assert done["outcome"] == "restored"
    assert json.loads((run_of(lab) / "restore.json").read_text())["token"] == token
    assert len(done["members"]) == 3
    assert lab.client().count("/k/") == 100
    assert lab.client().get("/late") is None
    running = started(lab)
    assert all("kube-apiserver" in said for said in running.values())
    assert ROLLING in running["etcd1"]
    for number in range(5):
        lab.client().put(f"/since/{number}", "x")
    undone = tool.run("undo", done["run"], "--yes", lab.name, "--json")
    assert undone.code == 0, undone.err
    assert undone.document["written_since"] == 5
    assert "LOSES" in undone.err
    assert {host.name: matrix.picture(lab, host.name) for host in lab.hosts} == before
    for name, said in started(lab).items():
        assert "kube-apiserver" in said
        assert not set(said.splitlines()) & set(running[name].splitlines()), "no watch has seen revisions go back"
    again = tool.run("undo", done["run"], "--yes", lab.name, "--json")
    assert (again.code, again.document["outcome"]) == (0, "nothing")


def test_onto_hosts_that_have_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """No host has its container, two lack the image, helpers of a failed restore lie around, the directory is a link."""
    lab, tool = fleet(3, "3.5.16", kubernetes=True)
    lab.client().fill("/k/", 30, 30)
    kept = content(lab, "etcd1")
    saved(tool, "snap")
    like = tmp_path / "inspect.json"
    like.write_text(lab.shell("etcd1", "docker inspect etcd"))
    image = rke.image_name("3.5.16")
    for host in lab.hosts:
        lab.shell(host.name, "docker rm -f etcd >/dev/null; rm -rf /var/lib/etcd/member")
    for name in ("etcd2", "etcd3"):
        lab.shell(name, f"docker rmi {image} >/dev/null")
    for helper in ("etcd-restore", "etcd-checksum-checker"):
        lab.shell("etcd1", f"docker create --name {helper} {image} etcdctl snapshot restore x >/dev/null")
    lab.shell("etcd1", f"mv {DIRECTORY} /opt/rke/elsewhere && ln -s /opt/rke/elsewhere {DIRECTORY}")
    ran = tool.run("snapshot", "restore", "snap", "--yes", lab.name)
    assert ran.code == 20, ran.err
    assert "--like" in ran.err
    done = restored(tool, lab, "snap", "--like", str(like))
    assert sorted(done["members"]) == ["etcd1", "etcd2", "etcd3"]
    assert {step["node"] for step in done["steps"] if step["step"] == "EnsureImage"} == {"etcd2", "etcd3"}
    for host in lab.hosts:
        assert content(lab, host.name) == kept
        assert lab.shell(host.name, "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' etcd").strip() == "always"
    assert all(node["there"] for node in saved(tool, "again")["nodes"])
    assert lab.host("etcd1").path("/opt/rke/elsewhere/again.zip").exists()
    assert len(tool.run("snapshot", "list", "--json", "--no-loss").document["snapshots"]) == 2


def test_fewer_hosts_and_one_without_a_container(fleet: Fleet) -> None:
    """One host is dead, another has lost its container: the cluster comes back with two, one made from the other."""
    lab, tool = fleet(3, kubernetes=True)
    lab.client().fill("/k/", 30, 30)
    saved(tool, "snap")
    destroy(lab, "etcd1", "etcd2", "etcd3")
    lab.shell("etcd2", "docker rm -f etcd >/dev/null")
    lab.power_off("etcd3")
    ran = tool.run("snapshot", "restore", "snap", "--yes", lab.name)
    assert ran.code == 12
    done = restored(tool, lab, "snap", "--dead", "etcd3")
    assert sorted(done["members"]) == ["etcd1", "etcd2"]
    assert lab.client().count("/k/") == 30
    assert lab.shell("etcd2", "docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' etcd").strip() == "always"
    lab.power_on("etcd3")
