"""Snapshots that are taken regularly, and those that are removed: never the last good one, never without quorum."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Fleet
from tests.e2e.snapshots import DIRECTORY, saved, wait

pytestmark = pytest.mark.lab


def test_prune(fleet: Fleet) -> None:
    """Only whole ones beyond the newest go, on every node; damaged and foreign files stay; without quorum nothing goes."""
    lab, tool = fleet(3)
    for number in range(3):
        lab.client().fill(f"/{number}/", 10, 100)
        saved(tool, f"s{number}")
    lab.host("etcd2").path(f"{DIRECTORY}/damaged.zip").write_bytes(b"PK\x03\x04")
    lab.host("etcd3").path(f"{DIRECTORY}/notes.txt").write_bytes(b"somebody else's")

    def names() -> list[set[str]]:
        return [{path.name for path in lab.host(host.name).path(DIRECTORY).iterdir()} for host in lab.hosts]

    refused = tool.run("snapshot", "prune", "--keep", "2", "--by-hand", "--json")
    assert refused.code == 20, "nobody said yes"
    whole = {f"s{number}.zip" for number in range(3)}
    assert names() == [whole, whole | {"damaged.zip"}, whole | {"notes.txt"}]
    young = tool.run("snapshot", "prune", "--keep", "1", "--for", "1d", "--yes", lab.name, "--json")
    assert (young.code, young.document["removed"]) == (0, [])
    named = tool.run("snapshot", "prune", "--keep", "2", "--yes", lab.name, "--json")
    assert (named.code, named.document["removed"]) == (0, []), "somebody has given it a name"
    ran = tool.run("snapshot", "prune", "--keep", "2", "--by-hand", "--yes", lab.name, "--json")
    assert ran.code == 0, ran.err
    assert [name for row in ran.document["removed"] for name in row["names"]] == ["s0.zip"]
    whole -= {"s0.zip"}
    assert names() == [whole, whole | {"damaged.zip"}, whole | {"notes.txt"}]
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker kill etcd >/dev/null")
    lost = tool.run("snapshot", "prune", "--keep", "1", "--yes", lab.name, "--json")
    assert lost.code == 20, lost.err
    assert "quorum" in lost.err
    assert names() == [whole, whole | {"damaged.zip"}, whole | {"notes.txt"}]


def test_the_schedule_through_a_loss_of_quorum(fleet: Fleet) -> None:
    """Every 3 s, keep 3: three are kept; without quorum nothing is removed; after it, it goes on by itself."""
    lab, tool = fleet(3)
    lab.client().fill("/k/", 20, 20)
    for host in lab.hosts:
        lab.host(host.name).path(f"{DIRECTORY}/c-abcde-rl-xyz").write_bytes(b"somebody else's")
    ran = tool.run("snapshot", "schedule", "--every", "3s", "--keep", "3")
    assert ran.code == 0, ran.err

    def ours(name: str) -> list[str]:
        return lab.shell(name, f"ls {DIRECTORY} | grep fleetrecover-r_ || true").split()

    def failures() -> int:
        state = lab.shell("etcd1", "cat /opt/rke/fleetrecover/state")
        return int(dict(line.split("=", 1) for line in state.splitlines())["failures"])

    wait(lambda: all(len(ours(host.name)) == 3 for host in lab.hosts) and bool(ours("etcd1")), 90)
    first = ours("etcd1")
    wait(lambda: not set(first) & set(ours("etcd1")), 90)
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker stop -t 5 etcd >/dev/null")
    wait(lambda: "failed" in lab.shell("etcd1", "cat /opt/rke/fleetrecover/state"), 60)
    kept, tried = ours("etcd1"), failures()
    wait(lambda: failures() >= tried + 1, 90)
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
    for host in lab.hosts:
        wait(lambda host=host: not lab.shell(host.name, "pgrep -f '[s]napshot.sh' || true"), 30)  # type: ignore[misc]
        assert not lab.host(host.name).path("/opt/rke/fleetrecover/snapshot.sh").exists()
        assert len(ours(host.name)) >= 3, "what was taken stays"
    for host in lab.hosts:
        assert lab.host(host.name).path(f"{DIRECTORY}/c-abcde-rl-xyz").exists()
    rows = tool.run("snapshot", "list", "--json").document["snapshots"]
    assert all(row["state"] == "whole" for row in rows if row["names"][0].startswith("fleetrecover-r_"))
