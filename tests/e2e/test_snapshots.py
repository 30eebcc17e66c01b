"""Snapshots on real hosts: saved under load, restored after everything is gone, etcd's own and ours, without quorum."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import pytest

from fleetrecover.lab.rke import version_tuple
from tests.e2e.conftest import Fleet
from tests.e2e.snapshots import DIRECTORY, content, destroy, hash_at, restored, saved
from tests.e2e.tool import original_containers

pytestmark = pytest.mark.lab

VERSIONS = (
    "3.3.25",
    *(pytest.param(each, marks=pytest.mark.slow) for each in ("3.4.23", "3.5.16", "3.5.30", "3.7.1")),
    "3.6.14",
)
"""The oldest and the newest; those between them at night."""


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_lost(fleet: Fleet, version: str, tmp_path: Path) -> None:
    """Saved under load, data, containers and snapshots destroyed: every key up to the snapshot is there, the hash equal.

    What is left is the file that was fetched, and `docker inspect` of one of the old containers.
    """
    lab, tool = fleet(3, version)
    before = original_containers(lab)
    writer = lab.client().writer(prefix="/load/", threads=8)
    writer.start()
    writer.wait_for(300)
    taken = saved(tool, "under-load", "--fetch", str(tmp_path))
    writer.wait_for(500)
    writer.stop()
    assert all(node["there"] for node in taken["nodes"])
    kept, digest = content(lab, "etcd1", taken["revision"]), hash_at(lab, "etcd1", taken["revision"])
    old_cluster = json.loads(lab.etcdctl("etcd1", "endpoint", "status", "-w", "json").stdout)[0]
    like = tmp_path / "inspect.json"
    like.write_text(lab.shell("etcd2", "docker inspect etcd"))
    for host in lab.hosts:
        lab.shell(host.name, f"docker rm -f etcd >/dev/null; rm -rf /var/lib/etcd/* {DIRECTORY}")
    done = restored(tool, lab, str(tmp_path / "under-load.zip"), "--like", str(like))
    assert done["outcome"] == "restored"
    assert done["snapshot"]["hash"] == digest
    assert done["snapshot"]["revision"] == taken["revision"]
    assert done["hash_equal"] is True
    assert len(done["members"]) == 3
    for host in lab.hosts:
        assert content(lab, host.name) == kept
    new_cluster = json.loads(lab.etcdctl("etcd1", "endpoint", "status", "-w", "json").stdout)[0]
    ids = [status["Status"]["header"]["cluster_id"] for status in (old_cluster, new_cluster)]
    assert ids[0] != ids[1], "a fresh token gives a fresh cluster"
    bumps = version_tuple(version) >= (3, 5)
    assert (done["revision_raised_by"] > 0) is bumps
    old = lab.etcdctl("etcd1", "get", "/load/", "--prefix", f"--rev={taken['revision']}")
    assert (old.returncode != 0) is bumps, "old revisions are compacted away where the tool can"
    if bumps:
        assert done["revision_after"] > 1_000_000_000
    else:
        assert hash_at(lab, "etcd3", taken["revision"]) == digest
    assert original_containers(lab) == before
    lab.client().put("/after", "restore")
    assert tool.run("verify", "--json").code == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_passes_theirs_and_theirs_ours(fleet: Fleet, version: str, tmp_path: Path) -> None:
    """etcd's own tool restores what we took, unzipped; we restore what etcd's own tool took, bare."""
    lab, tool = fleet(3, version)
    lab.client().fill("/k/", 50, 100)
    saved(tool, "ours", "--fetch", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "ours.zip") as archive:
        [entry] = archive.infolist()
        assert entry.orig_filename == "/backup/ours", "RKE's decompressFile looks for exactly that"
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        plain = archive.read(entry)
    lab.host("etcd1").path("/var/lib/etcd/ours.db").write_bytes(plain)
    inside = "/var/lib/rancher/etcd"
    their = "etcdctl" if version_tuple(version) < (3, 6) else "etcdutl"
    lab.shell(
        "etcd1",
        f"docker exec -e ETCDCTL_API=3 etcd {their} snapshot restore {inside}/ours.db --data-dir {inside}/theirs",
    )
    lab.shell(
        "etcd1", "[ -s /var/lib/etcd/theirs/member/snap/db ] && rm -rf /var/lib/etcd/theirs /var/lib/etcd/ours.db"
    )
    lab.shell(
        "etcd2", f"docker exec etcd etcdctl snapshot save {inside}/x.db && mv /var/lib/etcd/x.db {DIRECTORY}/theirs"
    )
    kept = content(lab, "etcd1")
    lab.client().put("/later", "gone")
    destroy(lab)
    done = restored(tool, lab, "theirs")
    assert done["outcome"] == "restored"
    assert content(lab, "etcd3") == kept


def test_without_quorum_it_saves_and_says_so(fleet: Fleet) -> None:
    """A lone member gives a snapshot; `diagnose` tells of one that is ahead of every log; nothing falls back to it."""
    lab, tool = fleet(3)
    lab.client().fill("/k/", 40, 40)
    taken = saved(tool, "before")
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member")
    time.sleep(1)
    lone = saved(tool, "lone")
    assert lone["quorum"] is False
    assert lone["revision"] >= taken["revision"]
    lab.shell("etcd1", "docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member")
    ran = tool.run("diagnose", "--json")
    assert ran.code in (11, 12)
    [finding] = [f for f in ran.document["findings"] if f["code"] == "snapshot-instead"]
    assert str(lone["revision"]) in finding["message"]
    assert "snapshot restore" in finding["advice"]
    assert tool.run("recover", "--yes", lab.name).code in (12, 20)
