"""Members whose etcd keeps its WAL in a directory of its own (`--wal-dir`): recovered whole, undone byte for byte."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from fleetrecover.lab import Lab
from fleetrecover.lab.rke import etcd_run, image_name
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import image_on
from tests.e2e.snapshots import restored, saved
from tests.e2e.tool import Tool, tree_hash

pytestmark = pytest.mark.lab

MEMBER = "/var/lib/etcd/member"
WALS = {
    "etcd1": ("/mnt/fast/etcd", "--volume=/mnt/fast:/wal", "/wal/etcd"),  # on another filesystem
    "etcd2": ("/opt/logs/etcd", "--volume=/opt/logs:/wal", "/wal/etcd"),  # on another mount of the same
    "etcd3": ("/var/lib/etcd/wal", "", "/var/lib/rancher/etcd/wal"),  # inside of the data directory
}
"""Of each host: where its WAL lies, the volume for it, and what its etcd calls it."""


@contextmanager
def mounted(lab: Lab, name: str) -> Iterator[None]:
    """Another filesystem on a host, at /mnt/fast."""
    with image_on(lab, name, "wal.img", "/mnt/fast"):
        lab.shell(name, "mkdir -p /mnt/fast; mount -o loop /opt/wal.img /mnt/fast")
        yield


def begun_with_wal_directories(lab: Lab) -> None:
    """A fresh cluster whose members have their WALs apart."""
    for host in lab.hosts:
        lab.shell(host.name, "docker rm -f etcd >/dev/null; rm -rf /var/lib/etcd/* /opt/logs; mkdir -p /opt/logs")
    state = lab.state
    for spec in state.hosts:
        _, volume, inside = WALS[spec.name]
        words = etcd_run(spec, state.hosts, state.etcd)
        at = words.index(image_name(state.etcd))
        words[at:at] = [volume] if volume else []
        lab.shell(spec.name, shlex.join([*words, f"--wal-dir={inside}"]))
    lab.wait_healthy()
    for name, (wal, _, _) in WALS.items():
        lab.shell(name, f"ls {wal}/*.wal >/dev/null; [ ! -e {MEMBER}/wal ]")


def hashes(lab: Lab, name: str) -> tuple[str, str]:
    """Of a host's data and of its WAL."""
    return tree_hash(lab, name, MEMBER), tree_hash(lab, name, WALS[name][0])


def everything_is_there(lab: Lab, tool: Tool, written: dict[str, str]) -> None:
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole
        wal = WALS[host.name][0]
        lab.shell(host.name, f"ls {wal}/*.wal >/dev/null; [ ! -e {MEMBER}/wal ]")
        assert lab.shell(host.name, "docker ps -a --format '{{.Names}}'").split()[0] == "etcd"
        assert "--wal-dir=" in lab.shell(host.name, "docker inspect etcd")
    checked = tool.run("verify")
    assert checked.code == 0, checked.out


@pytest.mark.parametrize("survivor", [pytest.param("etcd1", marks=pytest.mark.slow), "etcd3"])
def test_quorum_lost_recovered_undone_and_recovered(fleet: Fleet, survivor: str) -> None:
    """One member is left, one's log is garbage, one has nothing: whole, nothing lost; undo gives back both directories."""
    lab, tool = fleet(3, "3.5.30")
    with ExitStack() as stack:
        stack.enter_context(mounted(lab, "etcd1"))
        begun_with_wal_directories(lab)
        written = lab.client().fill("/before/", 300)
        broken, gone = (name for name in WALS if name != survivor)
        lab.shell(gone, f"docker stop etcd; rm -rf {MEMBER} {WALS[gone][0]}")
        lab.shell(broken, f"docker stop etcd; for f in {WALS[broken][0]}/*.wal; do echo garbage > $f; done")
        lab.shell(survivor, "docker stop etcd")
        before = {name: hashes(lab, name) for name in (survivor, broken)}
        told = tool.run("diagnose", "--json", "--trial")
        assert told.code == 11, told.err
        assert [(t["node"], t["error"]) for t in told.document["trial"]] == [(survivor, None)]
        assert {name: hashes(lab, name) for name in before} == before

        done = tool.recover(lab.name).document
        assert (done["outcome"], done["survivor"]["name"], done["hash_equal"]) == ("recovered", survivor, True)
        everything_is_there(lab, tool, written)

        undone = tool.run("undo", "--last", "--yes", lab.name)
        assert undone.code == 0, undone.err
        assert {name: hashes(lab, name) for name in before} == before
        assert lab.shell(gone, f"ls -A {MEMBER} {WALS[gone][0]} 2>/dev/null || true").strip() in (
            "",
            f"{WALS[gone][0]}:",
        )

        assert tool.recover(lab.name).document["outcome"] == "recovered"
        everything_is_there(lab, tool, written)
        # what the undo had taken out is ahead of what serves now, by entries of its own making
        cleaned = tool.run("clean", "--finished", "--yes", lab.name, "--accept-loss", "1000")
        assert cleaned.code == 0, cleaned.err
        for name, (wal, _, _) in WALS.items():
            lab.shell(name, f"[ ! -e {wal}.fleetrecover ]")


def test_a_snapshot_is_restored(fleet: Fleet) -> None:
    """Each host gets its new log where its etcd looks for it; undo brings back what was."""
    lab, tool = fleet(3, "3.5.30")
    with mounted(lab, "etcd1"):
        begun_with_wal_directories(lab)
        written = lab.client().fill("/before/", 200)
        saved(tool, "snap")
        later = lab.client().fill("/after/", 50)
        for name in WALS:
            lab.shell(name, "docker stop etcd")
        before = {name: hashes(lab, name) for name in WALS}
        restored(tool, lab, "snap")
        everything_is_there(lab, tool, written)
        undone = tool.run("undo", "--last", "--yes", lab.name)
        assert undone.code == 0, undone.err
        assert {name: hashes(lab, name) for name in WALS} == before
        for name in WALS:
            lab.shell(name, "docker start etcd")
        lab.wait_healthy()
        everything_is_there(lab, tool, written | later)
