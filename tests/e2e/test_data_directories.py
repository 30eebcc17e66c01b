"""Data directories as they are in the field, each recovered on real hosts: nothing is lost, and the original stays."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import EXT4, image_on, lose_two
from tests.e2e.tool import Tool, tree_hash

pytestmark = pytest.mark.lab

MEMBER = "/var/lib/etcd/member"
SPARE = "/mnt/spare"
ROOTS = {
    "etcd1": "/var/lib/etcd/.fleetrecover",
    "etcd2": "/opt/etcd-data.fleetrecover",
    "etcd3": "/var/lib/etcd.fleetrecover",
}


def stopped(lab: Lab, script: str, *names: str) -> None:
    """Do something to hosts' data directories while etcd is stopped; the container is started anew."""
    for name in names or [host.name for host in lab.hosts]:
        lab.shell(name, f"set -e; docker stop etcd >/dev/null\n{script}\ndocker start etcd >/dev/null")


@contextmanager
def own_filesystem(lab: Lab, name: str, make: Sequence[str] = EXT4) -> Iterator[None]:
    """The host's data on a filesystem of its own, mounted at the data directory."""
    with image_on(lab, name, "data.img", "/var/lib/etcd", make):
        stopped(
            lab,
            "mkdir -p /tmp/new\n"
            "mount -o loop /opt/data.img /tmp/new; cp -a /var/lib/etcd/. /tmp/new/; chmod 700 /tmp/new; umount /tmp/new\n"
            "rm -rf /var/lib/etcd/member; mount -o loop /opt/data.img /var/lib/etcd",
            name,
        )
        yield


@contextmanager
def linked(lab: Lab, name: str) -> Iterator[None]:
    """The host's data directory is a symbolic link."""
    stopped(lab, "mv /var/lib/etcd /opt/etcd-data; ln -s /opt/etcd-data /var/lib/etcd", name)
    try:
        yield
    finally:
        lab.shell(
            name,
            "docker rm -f $(docker ps -aq) >/dev/null 2>&1; rm -rf /var/lib/etcd /opt/etcd-data /opt/etcd-data.fleetrecover;"
            " mkdir -m 700 /var/lib/etcd",
        )


@contextmanager
def spare_filesystem(lab: Lab, name: str) -> Iterator[None]:
    """Another filesystem with space, which only root may write to."""
    lab.shell(name, f"mkdir -p {SPARE}; mount -t tmpfs -o mode=700,size=1g tmpfs {SPARE}")
    try:
        yield
    finally:
        lab.shell(name, f"umount -l {SPARE}; rmdir {SPARE}")


def leave_free(lab: Lab, name: str, megabytes: int) -> None:
    """Fill the host's disk but for so much."""
    lab.fill_disk(name)
    [fill] = lab.host(name).disk.glob(".lab-fill")
    with fill.open("r+b") as file:
        file.truncate(fill.stat().st_size - megabytes * 2**20)


def everything_is_there(lab: Lab, tool: Tool, written: dict[str, str]) -> None:
    for host in lab.hosts:
        assert lab.client().verify(written, host.name).whole
    checked = tool.run("verify")
    assert checked.code == 0, checked.out


def test_mount_point_symbolic_link_and_another_user(fleet: Fleet) -> None:
    """etcd is not root; the survivor's data has a filesystem of its own, a joiner's is behind a link, one's is not there.

    etcd's user may read and write the copy and a joiner's new data, and nothing that we keep; undo brings back what was.
    """
    lab, tool = fleet(3)
    with own_filesystem(lab, "etcd1"), linked(lab, "etcd2"):
        for host in lab.hosts:
            as_user(lab, host.name)
        lab.wait_healthy()
        written = lab.client().fill("/before/", 100)
        lab.shell("etcd3", "docker rm -f etcd; rm -rf /var/lib/etcd")
        lab.shell("etcd2", "docker stop etcd; rm -f /opt/etcd-data/member/wal/*")
        lab.shell("etcd1", "docker stop etcd")
        before = tree_hash(lab, "etcd1", MEMBER), tree_hash(lab, "etcd2", MEMBER)
        done = tool.recover(lab.name).document
        assert done["survivor"]["name"] == "etcd1"
        everything_is_there(lab, tool, written)
        run = done["run"]
        places = {name: f"{root}/{run}" for name, root in ROOTS.items()}
        assert tree_hash(lab, "etcd1", f"{places['etcd1']}/original/member") == before[0]
        assert tree_hash(lab, "etcd2", f"{places['etcd2']}/original/member") == before[1]
        assert "etcd.fleetrecover" not in lab.shell("etcd1", "ls /var/lib")
        for name, place in places.items():
            assert set(lab.shell(name, "find /var/lib/etcd/member/ -printf '%U\\n'").split()) == {"1717"}
            assert lab.shell(name, "docker inspect -f '{{.Config.User}}' etcd").strip() == "1717:1717"
            assert lab.shell(name, f"stat -c '%a %u' {ROOTS[name]} {place}").split("\n")[:2] == ["700 0", "700 0"]
        undone = tool.run("undo", run, "--yes", lab.name)
        assert undone.code == 0, undone.err
        assert (tree_hash(lab, "etcd1", MEMBER), tree_hash(lab, "etcd2", MEMBER)) == before
        assert lab.shell("etcd2", "readlink /var/lib/etcd").strip() == "/opt/etcd-data"


def test_no_space_for_a_copy(fleet: Fleet) -> None:
    """It is said how much is missing and what can be done; with --work-dir it is done, and taken back again."""
    lab, tool = fleet(3)
    written = lose_two(lab)
    lab.shell("etcd1", "docker stop etcd")
    before = tree_hash(lab, "etcd1", MEMBER)
    leave_free(lab, "etcd1", 90)
    refused = tool.run("recover", "--yes", lab.name)
    assert refused.code == 20, refused.err
    assert "MB are free there" in refused.err
    assert "--work-dir DIR" in refused.err
    wrong = tool.run("recover", "--yes", lab.name, "--work-dir", "/tmp")
    assert (wrong.code, "everybody may write there" in wrong.err) == (20, True), wrong.err
    assert tool.run("recover", "--work-dir", "relative").code == 2
    assert "fleetrecover" not in lab.shell("etcd1", "ls -a /var/lib")
    with spare_filesystem(lab, "etcd1"):
        done = tool.recover(lab.name, "--work-dir", SPARE).document
        everything_is_there(lab, tool, written)
        kept = f"{SPARE}/{done['run']}"
        assert tree_hash(lab, "etcd1", f"{kept}/original/member") == before
        assert lab.shell("etcd1", f"stat -c %a {kept}").strip() == "700"
        undone = tool.run("undo", done["run"], "--yes", lab.name)
        assert undone.code == 0, undone.err
        assert tree_hash(lab, "etcd1", MEMBER) == before
        assert lab.shell("etcd1", f"ls {kept}").split() == ["original", "withdrawn"]


@pytest.mark.slow
def test_a_copy_that_takes_no_space(fleet: Fleet) -> None:
    """On btrfs there is not enough for a copy, and it needs none: it is tried, and then done, without --work-dir."""
    make = shutil.which("mkfs.btrfs")
    if make is None:
        pytest.skip("there is no mkfs.btrfs")
    lab, tool = fleet(3)
    with own_filesystem(lab, "etcd1", (make, "-q")):
        lab.wait_healthy()
        lab.client().fill("/big/", 4000, size=10_000)
        written = lose_two(lab)
        lab.shell("etcd1", "docker stop etcd")
        before = tree_hash(lab, "etcd1", MEMBER)
        free = int(lab.shell("etcd1", "sync; df -Pk /var/lib/etcd | awk 'END { print $4 }'"))
        lab.shell("etcd1", f"fallocate -l {free - 150 * 1024}k /var/lib/etcd/fill; sync")
        done = tool.recover(lab.name).document
        assert "ProbeReflink" in [step["step"] for step in done["steps"]]
        everything_is_there(lab, tool, written)
        assert tree_hash(lab, "etcd1", f"{ROOTS['etcd1']}/{done['run']}/original/member") == before


def test_data_that_is_not_all_in_one_place(fleet: Fleet) -> None:
    """The log on a disk of its own: no copy of a link is a copy, so the survivor is refused, before anything is touched."""
    lab, tool = fleet(3)
    lose_two(lab)
    lab.shell("etcd1", f"docker stop etcd; mv {MEMBER}/wal /opt/fast-wal; ln -s /opt/fast-wal {MEMBER}/wal")
    before = lab.shell("etcd1", "find /var/lib/etcd* /opt/fast-wal; docker ps -a --format '{{.Names}} {{.ID}}'")
    ran = tool.run("recover", "--yes", lab.name)
    assert ran.code == 20, ran.err
    assert "member/wal is a symbolic link" in ran.err
    assert lab.shell("etcd1", "find /var/lib/etcd* /opt/fast-wal; docker ps -a --format '{{.Names}} {{.ID}}'") == before
    lab.shell(
        "etcd1",
        f"rm {MEMBER}/wal; mv /opt/fast-wal {MEMBER}/wal; mkdir {MEMBER}/x; mount --bind {MEMBER}/wal {MEMBER}/wal",
    )
    ran = tool.run("recover", "--yes", lab.name)
    lab.shell("etcd1", f"umount {MEMBER}/wal")
    assert ran.code == 20, ran.err
    assert "member/wal is a mount point" in ran.err


def as_user(lab: Lab, name: str) -> None:
    """The host's etcd as user 1717, otherwise the same."""
    [inspect] = json.loads(lab.shell(name, "docker inspect etcd"))
    config, hosting = inspect["Config"], inspect["HostConfig"]
    words = ["docker", "run", "-d", "--name=etcd", "--network=host", "--restart=always", "--user=1717:1717"]
    words += [f"--volume={bind}" for bind in hosting["Binds"]] + [f"--env={entry}" for entry in config["Env"]]
    words += [config["Image"], *config["Cmd"]]
    lab.shell(
        name,
        "set -e; docker rm -f etcd >/dev/null; chown -R 1717:1717 /var/lib/etcd/ /etc/kubernetes/ssl\n"
        + shlex.join(words),
    )
