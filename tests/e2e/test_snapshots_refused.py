"""Snapshots that are damaged, hostile, mistyped or of another place are refused, and nothing that serves is touched."""

from __future__ import annotations

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleetrecover.lab import Lab, rke
from tests.e2e.conftest import Fleet
from tests.e2e.snapshots import DIRECTORY, restored, saved, wait
from tests.e2e.tool import Ran, state_of

pytestmark = pytest.mark.lab


def zip_of(entries: dict[str, bytes]) -> bytes:
    """A zip with entries of just these names."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return sink.getvalue()


@pytest.mark.slow
def test_what_is_not_to_be_trusted_is_refused_before_anything_is_touched(fleet: Fleet, tmp_path: Path) -> None:
    """Damaged, hostile, mistyped: each is refused with its reason, by `list` and by `restore`; nothing changes."""
    lab, tool = fleet(3)
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

    def refused(name: str) -> tuple[str, int]:
        ran = tool.run("snapshot", "restore", name, "--yes", lab.name, "--replace-living", "--json")
        return name, ran.code

    with ThreadPoolExecutor(4) as pool:
        assert dict(pool.map(refused, bad)) == dict.fromkeys(bad, 20)
    ran = tool.run("snapshot", "restore", "good:with:colon", "--yes", lab.name, "--json")
    assert ran.code == 3
    assert "good:with:colons" in ran.err, "it says which name may be meant"
    assert tool.run("snapshot", "restore", "good:with:colons", "--yes", lab.name).code == 20, "the cluster serves"
    assert tool.run("snapshot", "restore", str(tmp_path / "nothing"), "--yes", lab.name).code == 3
    lab.stop_dockerd("etcd3")
    ran = tool.run("snapshot", "restore", "good:with:colons", "--yes", lab.name, "--replace-living")
    lab.start_dockerd("etcd3")
    assert ran.code == 12, "an unreachable node may go on serving (no split brain by a partial restore)"
    assert "--dead" not in ran.err, "it answers SSH: the cause is named, not a word that would make it dead"
    assert "start the container engine" in ran.err
    assert {host.name: state_of(lab, host.name) for host in lab.hosts} == before
    assert lab.client().count("/k/") == 200


def other_snapshot(lab: Lab, image: str) -> None:
    """Put a snapshot of another cluster, of one member at another address, on etcd1 as `other`."""
    words = [
        "etcd --name=stranger --data-dir=/data --listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://10.255.255.1:2380 --initial-cluster=stranger=http://10.255.255.1:2380",
    ]
    lab.shell("etcd1", f"docker run -d --name other --network=none -v /opt/rke/other:/data {image} {' '.join(words)}")
    ctl = "docker exec -e ETCDCTL_API=3 other etcdctl"
    lab.shell(
        "etcd1", f"for n in $(seq 60); do {ctl} put /of/another cluster >/dev/null 2>&1 && break; sleep 0.5; done"
    )
    lab.shell("etcd1", f"{ctl} snapshot save /data/other >/dev/null && mv /opt/rke/other/other {DIRECTORY}/other")
    lab.shell("etcd1", "docker rm -f other >/dev/null")


def broken_inside(plain: bytes) -> bytes:
    """A snapshot whose checksum is right, but one key's record is not: etcd cannot load it."""
    body = bytearray(plain[:-32])
    place = body.index(b"\x0a\x0b/k/")
    body[place] = 0xFF
    return bytes(body) + hashlib.sha256(body).digest()


def test_what_does_not_belong_here_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    """Of another cluster, too new for the image, sound but unusable: each is told, and the cluster serves on.

    Onto other and more hosts than were in it is done when it is said that this is meant; and undone, all is as it was.
    """
    lab, tool = fleet(3, "3.5.16")
    lab.client().fill("/new/", 20, 50)
    version = lab.client().connect("etcd1")
    wait(lambda: version.request("GET", "/version")["etcdcluster"] == "3.5.0", 60)
    version.close()
    saved(tool, "newer", "--fetch", str(tmp_path))

    lab, tool = fleet(3, "3.4.23")
    lab.client().fill("/k/", 200, 200)
    saved(tool, "good", "--fetch", str(tmp_path))
    other_snapshot(lab, rke.image_name("3.4.23"))
    before = {host.name: state_of(lab, host.name) for host in lab.hosts}

    def attempt(wanted: str, *more: str) -> Ran:
        return tool.run("snapshot", "restore", wanted, "--yes", lab.name, "--replace-living", "--json", *more)

    ran = attempt(str(tmp_path / "newer.zip"))
    assert ran.code == 20, ran.err
    assert "3.5.0, too new" in ran.err
    ran = attempt("other")
    assert ran.code == 20, ran.err
    assert "another cluster" in ran.err
    assert "--other-cluster" in ran.err
    assert {host.name: state_of(lab, host.name) for host in lab.hosts} == before, "nothing was changed"

    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        plain = archive.read(archive.infolist()[0])
    (tmp_path / "bad").write_bytes(broken_inside(plain))
    ran = attempt(str(tmp_path / "bad"))
    assert ran.code == 21, ran.err
    assert "Prove the snapshot" in ran.err
    containers = lab.shell("etcd1", "docker ps -a --format '{{.Names}} {{.State}}'").splitlines()
    assert containers == ["etcd running"], "the trial leaves nothing, and etcd was not touched"
    assert lab.client().count("/k/") == 200
    [run] = lab.host("etcd1").path("/var/lib/etcd.fleetrecover").glob("r*")
    undone = tool.run("undo", run.name, "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert lab.client().count("/k/") == 200

    done = restored(tool, lab, "other", "--replace-living", "--other-cluster")
    assert len(done["members"]) == 3
    assert lab.client().count() == 1
    assert lab.client().get("/of/another") == "cluster"
    undone = tool.run("undo", done["run"], "--yes", lab.name)
    assert undone.code == 0, undone.err
    lab.wait_healthy([host.name for host in lab.hosts])
    assert lab.client().count("/k/") == 200
