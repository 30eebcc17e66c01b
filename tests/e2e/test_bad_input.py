"""Bad input on real hosts: a clear message, the right exit code, and nothing changed."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, original_containers, state_of

pytestmark = pytest.mark.lab


def everything(lab: Lab) -> dict[str, str]:
    """The state of every host."""
    return {host.name: state_of(lab, host.name) for host in lab.hosts}


def with_inventory(tool: Tool, tmp_path: Path, old: str, new: str) -> Tool:
    """The tool on a copy of the inventory in which `old` is replaced."""
    text = tool.inventory.read_text()
    assert old in text
    changed = tmp_path / "hosts.toml"
    changed.write_text(text.replace(old, new))
    return replace(tool, inventory=changed)


def test_healthy_and_degraded(fleet: Fleet) -> None:
    """A healthy cluster is left alone; a member that is stopped makes it degraded, and is no reason for a reset."""
    lab, tool = fleet(3)
    before = everything(lab)
    assert tool.run("diagnose").code == 0
    assert tool.run("verify").code == 0
    done = tool.recover(lab.name).document
    assert done["outcome"] == "healthy"
    assert everything(lab) == before
    lab.shell("etcd3", "docker stop etcd")
    degraded = everything(lab)
    judged = tool.run("diagnose", "--json")
    assert (judged.code, judged.document["verdict"]) == (10, "degraded")
    assert tool.run("verify").code == 10
    wrong = tool.run("recover", "--yes", "another")
    assert wrong.code == 20
    assert "another" in wrong.err
    assert everything(lab) == degraded
    assert tool.run("recover").code == 20  # no terminal, not confirmed
    assert everything(lab) == degraded


def test_names_that_are_not_there(fleet: Fleet) -> None:
    """No such host in --dead or --survivor."""
    lab, tool = fleet(3)
    lab.shell("etcd2", "docker stop etcd")
    lab.shell("etcd3", "docker stop etcd")
    before = everything(lab)
    for words in (["--dead", "etcd9"], ["--survivor", "etcd9"], ["--survivor", "etcd1", "--dead", "etcd1"]):
        ran = tool.run("recover", "--yes", lab.name, *words)
        assert ran.code == 3, ran.err
        assert words[1] in ran.err
    assert everything(lab) == before


def test_unknown_and_changed_host_keys(fleet: Fleet, tmp_path: Path) -> None:
    """A host whose key is not known, or another one, is never logged in to: it is a row, and it blocks."""
    lab, tool = fleet(3)
    known = tmp_path / "known_hosts"
    original = next(line for line in tool.inventory.read_text().splitlines() if line.startswith("known_hosts"))
    known.write_text("")
    ran = with_inventory(tool, tmp_path, original, f'known_hosts = "{known}"').run("diagnose", "--json")
    assert ran.code == 12, ran.err
    assert all(not node["reachable"] and "key" in node["error"] for node in ran.document["nodes"])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    known.write_text("".join(f"{host.address} {other}\n" for host in lab.hosts))
    ran = with_inventory(tool, tmp_path, original, f'known_hosts = "{known}"').run(
        "recover", "--json", "--yes", lab.name
    )
    assert ran.code == 12, ran.err


def test_wrong_login_and_no_sudo(fleet: Fleet, tmp_path: Path) -> None:
    """A login that is refused, and one that may not sudo, are told as such; one that may works as root does."""
    _, tool = fleet(3)
    user = next(line for line in tool.inventory.read_text().splitlines() if line.startswith("user"))
    wrong = with_inventory(tool, tmp_path, user, 'user = "nobody-here"').run("diagnose", "--json")
    assert wrong.code == 12
    assert "nobody-here" in wrong.document["nodes"][0]["error"]
    refused = with_inventory(tool, tmp_path, user, 'user = "nosudo"\nsudo = true').run("diagnose", "--json")
    assert refused.code == 12
    assert "sudo" in refused.document["nodes"][0]["error"]
    allowed = with_inventory(tool, tmp_path, user, 'user = "ops"\nsudo = true').run("diagnose", "--json")
    assert (allowed.code, allowed.document["verdict"]) == (0, "healthy"), allowed.err


def test_no_engine_on_a_node(fleet: Fleet) -> None:
    """Where docker does not answer nothing can be stopped, so its voter is not accounted for."""
    lab, tool = fleet(3)
    lab.stop_dockerd("etcd2")
    lab.stop_dockerd("etcd3")
    try:
        ran = tool.run("recover", "--yes", lab.name, "--json")
        assert ran.code == 12, ran.err
        assert "etcd2" in ran.err
        assert "etcd3" in ran.err
    finally:
        lab.start_dockerd("etcd2")
        lab.start_dockerd("etcd3")


def test_no_etcd_container_anywhere(fleet: Fleet) -> None:
    """Without any container nobody knows the command: refused, and the data stays where it is."""
    lab, tool = fleet(3)
    for host in lab.hosts:
        lab.remove_etcd(host.name)
    before = everything(lab)
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code == 20, ran.err
    assert "no etcd container" in ran.err
    assert everything(lab) == before


def test_members_of_two_clusters(fleet: Fleet) -> None:
    """etcd3 was set up as a cluster of its own: the evidence contradicts itself."""
    lab, tool = fleet(3)
    lab.shell("etcd3", "docker stop etcd; rm -rf /var/lib/etcd/member")
    lab.shell(
        "etcd3",
        "image=$(docker inspect -f '{{.Config.Image}}' etcd); docker rm etcd >/dev/null; docker run -d --name etcd"
        " --network host --restart=always -v /var/lib/etcd:/var/lib/rancher/etcd/:z -e ETCDCTL_API=3 $image"
        " /usr/local/bin/etcd --name=alone --data-dir=/var/lib/rancher/etcd/ --listen-client-urls=http://0.0.0.0:2379"
        " --advertise-client-urls=http://127.0.0.1:2379; sleep 4; docker stop etcd",
    )
    for name in ("etcd1", "etcd2"):
        lab.shell(name, "docker stop etcd")
    before = everything(lab)
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code == 12, ran.err
    assert "2 different clusters" in ran.err
    assert everything(lab) == before


def test_run_config_recreates_the_container(fleet: Fleet) -> None:
    """What it prints, run as it is, gives the same container; a container that is not there is told."""
    lab, tool = fleet(3)
    before = original_containers(lab)["etcd1"]
    printed = tool.run("run-config", "etcd1")
    assert printed.code == 0, printed.err
    lab.shell("etcd1", "docker stop etcd && docker rename etcd etcd.fleetrecover-r1")
    assert tool.run("run-config", "etcd1").out.replace(".fleetrecover-r1", "") == printed.out
    lab.shell("etcd1", printed.out)
    lab.wait_healthy()
    assert original_containers(lab)["etcd1"] == before
    missing = tool.run("run-config", "etcd1", "--container", "nothing")
    assert missing.code == 3
    assert "etcd.fleetrecover-r1" in missing.err
    assert tool.run("run-config", "etcd9").code == 3
