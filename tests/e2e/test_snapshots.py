"""Snapshots on real hosts: saved under load, restored after everything is gone, refused where they are not to be trusted."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, original_containers, state_of, tree_hash

pytestmark = pytest.mark.lab

VERSIONS = ("3.3.25", "3.4.23", "3.5.16", "3.5.30")
DIRECTORY = "/opt/rke/etcd-snapshots"


def content(lab: Lab, host: str, revision: int = 0) -> dict[str, str]:
    """Every key with its value at a revision (0: now), in base64."""
    at = [f"--rev={revision}"] if revision else []
    done = lab.etcdctl(host, "get", "", "--from-key", *at, "-w", "json")
    assert done.returncode == 0, done.stderr
    return {kv["key"]: kv.get("value", "") for kv in json.loads(done.stdout).get("kvs", [])}


def hash_at(lab: Lab, host: str, revision: int) -> int:
    """etcd's own hash of the content at a revision."""
    done = lab.etcdctl(host, "endpoint", "hashkv", f"--rev={revision}", "-w", "json")
    return int(json.loads(done.stdout)[0]["HashKV"]["hash"])


def destroy(lab: Lab, *names: str) -> None:
    """Stop etcd for good and empty its data directory; all other files of the host stay."""
    for name in names or tuple(host.name for host in lab.hosts):
        lab.shell(name, "docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member")


def empty_snapshots(lab: Lab) -> None:
    """No snapshots from earlier tests."""
    for host in lab.hosts:
        lab.shell(host.name, f"rm -rf {DIRECTORY}/* /opt/rke/fleetrecover")


def saved(tool: Tool, name: str, *more: str) -> dict[str, Any]:
    """`snapshot save`, which must be good."""
    ran = tool.run("snapshot", "save", name, "--json", *more)
    assert ran.code == 0, ran.err
    return ran.document


def restored(tool: Tool, lab: Lab, wanted: str, *more: str) -> dict[str, Any]:
    """`snapshot restore`, which must be good."""
    ran = tool.run("snapshot", "restore", wanted, "--yes", lab.name, "--json", *more)
    assert ran.code == 0, f"{ran.err}\n{ran.out}"
    return ran.document


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_lost(fleet: Fleet, version: str, tmp_path: Path) -> None:
    """Saved under load, all data destroyed: every key up to the snapshot's revision is there, and the hash is equal."""
    lab, tool = fleet(3, version)
    empty_snapshots(lab)
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
    destroy(lab)
    done = restored(tool, lab, "under-load")
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
    bumps = version in ("3.5.16", "3.5.30")
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
    empty_snapshots(lab)
    lab.client().fill("/k/", 50, 100)
    saved(tool, "ours", "--fetch", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "ours.zip") as archive:
        [entry] = archive.infolist()
        assert entry.orig_filename == "/backup/ours", "RKE's decompressFile looks for exactly that"
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        plain = archive.read(entry)
    lab.host("etcd1").path("/var/lib/etcd/ours.db").write_bytes(plain)
    inside = "/var/lib/rancher/etcd"
    lab.shell(
        "etcd1",
        f"docker exec -e ETCDCTL_API=3 etcd etcdctl snapshot restore {inside}/ours.db --data-dir {inside}/theirs",
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


def zip_of(entries: dict[str, bytes]) -> bytes:
    """A zip with entries of just these names."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return sink.getvalue()


def test_what_is_not_to_be_trusted_is_refused_before_anything_is_touched(fleet: Fleet, tmp_path: Path) -> None:
    """Damaged, hostile, mistyped: each is refused with its reason, by `list` and by `restore`; nothing changes."""
    lab, tool = fleet(3)
    empty_snapshots(lab)
    lab.client().fill("/k/", 200, 200)
    saved(tool, "good:with:colons", "--fetch", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "good:with:colons.zip") as archive:
        plain = archive.read(archive.infolist()[0])
    packed = (tmp_path / "good:with:colons.zip").read_bytes()
    flipped = bytearray(plain)
    flipped[len(plain) // 2] ^= 1
    bad = {
        "flipped": (bytes(flipped), "SHA-256"),
        "cut": (plain[: len(plain) // 2 + 100], "cut off"),
        "empty": (b"", "empty"),
        "text": (b"this is no snapshot\n" * 99, "neither"),
        "cut.zip": (packed[:-200], "zip"),
        "flipped.zip": (packed[:300] + bytes([packed[300] ^ 1]) + packed[301:], "damaged"),
        "outside.zip": (zip_of({"../../etc/passwd": plain}), "outside"),
        "absolute.zip": (zip_of({"/etc/passwd": plain}), "not to be trusted"),
        "other.zip": (zip_of({"/backup/other": b"no database" * 50}), "no etcd database"),
        "bomb.zip": (zip_of({"/backup/bomb": plain[:4096] + bytes(300 << 20)}), "bomb"),
        "two.zip": (zip_of({"/backup/a": plain, "/backup/b": plain}), "2 files"),
    }
    for name, (data, _) in bad.items():
        lab.host("etcd2").path(f"{DIRECTORY}/{name}").write_bytes(data)
    before = {host.name: state_of(lab, host.name) for host in lab.hosts}
    rows = tool.run("snapshot", "list", "--json").document["snapshots"]
    by_name = {name: row for row in rows for name in row["names"]}
    assert by_name["good:with:colons.zip"]["state"] == "whole"
    assert by_name["good:with:colons.zip"]["newest"] is True
    assert set(by_name["good:with:colons.zip"]["nodes"]) == {"etcd1", "etcd2", "etcd3"}
    for name, (_, reason) in bad.items():
        row = by_name[name]
        assert row["state"] in ("damaged", "unreadable", "no checksum"), name
        assert reason in row["reason"], (name, row["reason"])
        ran = tool.run("snapshot", "restore", name, "--yes", lab.name, "--replace-living", "--json")
        assert ran.code == 20, (name, ran.err)
    ran = tool.run("snapshot", "restore", "good:with:colon", "--yes", lab.name, "--json")
    assert ran.code == 3
    assert "good:with:colons" in ran.err, "it says which name may be meant"
    assert tool.run("snapshot", "restore", "good:with:colons", "--yes", lab.name).code == 20, "the cluster serves"
    assert tool.run("snapshot", "restore", str(tmp_path / "nothing"), "--yes", lab.name).code == 3
    lab.stop_dockerd("etcd3")
    ran = tool.run("snapshot", "restore", "good:with:colons", "--yes", lab.name, "--replace-living")
    lab.start_dockerd("etcd3")
    assert ran.code == 12, "an unreachable node may go on serving (no split brain by a partial restore)"
    assert "--dead etcd3" in ran.err
    assert {host.name: state_of(lab, host.name) for host in lab.hosts} == before
    assert lab.client().count("/k/") == 200


def test_a_newer_snapshot_does_not_boot_on_an_older_etcd(fleet: Fleet, tmp_path: Path) -> None:
    """A snapshot of 3.5 on images of 3.4: the trial says so, the serving cluster goes on, and the next attempt is free."""
    lab, tool = fleet(3, "3.5.16")
    empty_snapshots(lab)
    lab.client().fill("/new/", 20, 50)
    lab.wait_healthy([host.name for host in lab.hosts])
    saved(tool, "newer", "--fetch", str(tmp_path))
    lab, tool = fleet(3, "3.4.23")
    empty_snapshots(lab)
    lab.client().fill("/old/", 20, 50)
    ran = tool.run("snapshot", "restore", str(tmp_path / "newer.zip"), "--yes", lab.name, "--replace-living", "--json")
    if ran.code != 0:  # 3.4 refuses a database of 3.5 in some of its states only
        assert ran.code == 21, ran.err
        assert lab.client().count("/old/") == 20, "nothing that serves was touched"
    lab.shell("etcd1", "! docker ps -a --format '{{.Names}}' | grep quarantine")


def test_interrupted_resumed_and_undone(fleet: Fleet) -> None:
    """Killed while it works, run again: it finishes with the same token. Undone, the old data is back byte for byte."""
    lab, tool = fleet(3)
    empty_snapshots(lab)
    lab.client().fill("/k/", 100, 100)
    saved(tool, "snap")
    lab.client().put("/late", "x")
    process = tool.start("snapshot", "restore", "snap", "--yes", lab.name, "--replace-living")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if lab.shell("etcd1", "ls /var/lib/etcd.fleetrecover/*/original 2>/dev/null | head -n 1").strip():
            break
        time.sleep(0.02)
    process.kill()
    process.wait()
    original = lab.shell("etcd1", "ls -d /var/lib/etcd.fleetrecover/*/original").strip()
    before = tree_hash(lab, "etcd1", f"{original}/member")
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code != 0, "an open restore is no business of recover"
    done = restored(tool, lab, "snap", "--replace-living")
    assert done["outcome"] == "restored"
    assert len(done["members"]) == 3
    assert lab.client().count("/k/") == 100
    assert lab.client().get("/late") is None
    undone = tool.run("undo", done["run"], "--yes", lab.name)
    assert undone.code == 0, undone.err
    lab.wait_healthy([host.name for host in lab.hosts])
    assert lab.client().get("/late") == "x"
    assert before


def test_fewer_hosts_and_one_without_a_container(fleet: Fleet) -> None:
    """One host is dead, another has lost its container: the cluster comes back with two, one made from the other."""
    lab, tool = fleet(3)
    empty_snapshots(lab)
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


def test_without_quorum_it_saves_and_says_so(fleet: Fleet) -> None:
    """A lone member gives a snapshot; `diagnose` tells of one that is ahead of every log; nothing falls back to it."""
    lab, tool = fleet(3)
    empty_snapshots(lab)
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


def test_the_schedule_through_a_loss_of_quorum(fleet: Fleet) -> None:
    """Every 3 s, keep 3: three are kept; without quorum nothing is removed; after it, it goes on by itself."""
    lab, tool = fleet(3)
    empty_snapshots(lab)
    lab.client().fill("/k/", 20, 20)
    for host in lab.hosts:
        lab.host(host.name).path(f"{DIRECTORY}/c-abcde-rl-xyz").write_bytes(b"somebody else's")
    ran = tool.run("snapshot", "schedule", "--every", "3s", "--keep", "3")
    assert ran.code == 0, ran.err

    def ours(name: str) -> list[str]:
        return lab.shell(name, f"ls {DIRECTORY} | grep fleetrecover-r_ || true").split()

    wait(lambda: all(len(ours(host.name)) == 3 for host in lab.hosts) and bool(ours("etcd1")), 90)
    first = ours("etcd1")
    wait(lambda: not set(first) & set(ours("etcd1")), 90)
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker stop -t 5 etcd >/dev/null")
    wait(lambda: "failed" in lab.shell("etcd1", "cat /opt/rke/fleetrecover/state"), 60)
    kept = ours("etcd1")
    time.sleep(12)
    assert ours("etcd1") == kept and len(kept) == 3
    ran = tool.run("snapshot", "status", "--json")
    assert ran.code == 10
    assert "quorum" in next(n["problem"] for n in ran.document["nodes"] if n["node"] == "etcd1")
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker start etcd >/dev/null")
    lab.wait_healthy([host.name for host in lab.hosts])
    wait(lambda: not set(kept) & set(ours("etcd1")) and len(ours("etcd1")) == 3, 90)
    ran = tool.run("snapshot", "unschedule", "--json")
    assert ran.code == 0
    assert not any(node["installed"] for node in ran.document["nodes"])
    last = ours("etcd1")
    time.sleep(8)
    assert ours("etcd1") == last, "nothing runs any more, and what was taken stays"
    for host in lab.hosts:
        assert lab.host(host.name).path(f"{DIRECTORY}/c-abcde-rl-xyz").exists()
    rows = tool.run("snapshot", "list", "--json").document["snapshots"]
    assert all(row["state"] == "whole" for row in rows if row["names"][0].startswith("fleetrecover-r_"))


def wait(check: Any, timeout: float) -> None:
    """Poll until it holds."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)
