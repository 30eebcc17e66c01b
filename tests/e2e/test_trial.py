"""`diagnose --trial` on real hosts: what it answers, that it touches nothing, and that a killed one is cleaned up."""

from __future__ import annotations

import time

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, tree_hash

pytestmark = pytest.mark.lab


def broken(fleet: Fleet, version: str) -> tuple[Lab, Tool, dict[str, str]]:
    """One host gone, the two others' etcd stopped."""
    lab, tool = fleet(3, version)
    keys = lab.client().fill("/before/", 300)
    lab.power_off("etcd3")
    for host in ("etcd1", "etcd2"):
        lab.shell(host, "docker stop etcd")
    return lab, tool, keys


def leftovers(lab: Lab, host: str) -> str:
    return lab.shell(host, "docker ps -a --format '{{.Names}}' | grep -v '^etcd$'; ls -d /var/lib/etcd.*; true").strip()


@pytest.mark.parametrize("version", [pytest.param("3.3.25", marks=pytest.mark.slow), "3.5.30"])
def test_a_trial_says_what_each_candidate_would_be(fleet: Fleet, version: str) -> None:
    lab, tool, keys = broken(fleet, version)
    before = tree_hash(lab, "etcd1", "/var/lib/etcd")
    ran = tool.run("diagnose", "--dead", "etcd3", "--trial", "--json")
    assert ran.code == 11, ran.err
    trials = {trial["node"]: trial for trial in ran.document["trial"]}
    assert set(trials) == {"etcd1", "etcd2"}
    assert all(trial["error"] is None and trial["keys"] == len(keys) for trial in trials.values()), trials
    assert trials["etcd1"]["hash"] == trials["etcd2"]["hash"]
    assert tree_hash(lab, "etcd1", "/var/lib/etcd") == before
    assert leftovers(lab, "etcd1") == leftovers(lab, "etcd2") == ""


def test_what_a_killed_trial_leaves_is_named_and_removed_by_the_next(fleet: Fleet) -> None:
    lab, tool, _ = broken(fleet, "3.4.23")
    running = tool.start("diagnose", "--dead", "etcd3", "--trial")
    deadline = time.monotonic() + 60
    while "quarantine" not in lab.shell("etcd1", "docker ps --format '{{.Names}}'"):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    running.kill()
    running.communicate()
    seen = tool.run("diagnose", "--dead", "etcd3", "--json").document
    assert "leftover-trial" in [finding["code"] for finding in seen["findings"]]
    again = tool.run("diagnose", "--dead", "etcd3", "--trial", "--json").document
    assert any(trial["error"] is None for trial in again["trial"])
    assert leftovers(lab, "etcd1") == ""


def test_there_is_nothing_to_try_while_quorum_stands(fleet: Fleet) -> None:
    _, tool = fleet(3, "3.4.23")
    assert tool.run("diagnose", "--trial", "--json").code == 20
