"""Undo and clean on real hosts, and two operators at once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.fault_matrix import CORRUPT, HOSTS, break_cluster, picture
from benchmarks.faulty import SURVIVOR
from fleetrecover.lab import Lab, rke
from fleetrecover.steps import ROLLING
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool

pytestmark = pytest.mark.lab


def still(lab: Lab) -> None:
    """Stop what would change by itself, so that before and after can be compared byte by byte."""
    for name in (SURVIVOR, CORRUPT):
        lab.shell(name, "docker kill etcd >/dev/null 2>&1 || docker stop etcd")


def rolling(lab: Lab) -> None:
    """A container that is called as RKE's own rolling snapshots, and runs."""
    image = rke.image_name(lab.version)
    watch = f"-e ETCDCTL_API=3 {image} etcdctl --endpoints=http://127.0.0.1:1 watch x"
    lab.shell(SURVIVOR, f"docker run -d --name={ROLLING} --restart=always {watch} >/dev/null")


STARTED = f"docker inspect -f '{{{{.State.StartedAt}}}} {{{{.State.Running}}}}' {ROLLING}"


def run_of(lab: Lab) -> str:
    """The id of the only run that has left something on the survivor."""
    [path] = lab.host(SURVIVOR).path("/var/lib/etcd.fleetrecover").glob("r*")
    return path.name


def test_undo_after_a_whole_recovery(fleet: Fleet) -> None:
    """Inspect output and data are as before, byte by byte; it says what clients lose; a second undo has nothing to do."""
    lab, tool = fleet(3, "3.4.23")
    break_cluster(lab)
    still(lab)
    rolling(lab)
    before = {name: picture(lab, name) for name in HOSTS}
    since = lab.shell(SURVIVOR, STARTED)
    ran = tool.recover(lab.name)
    steps = [(step["step"], step["detail"]) for step in ran.document["steps"]]
    assert ("StopNeighbours", ROLLING) in steps
    assert ("StartNeighbours", f"{ROLLING} run") in steps
    assert lab.shell(SURVIVOR, STARTED) != since, "RKE's snapshots were stopped, and taken up again"
    for number in range(5):
        lab.client().put(f"/later/{number}", "x")
    run = run_of(lab)
    undone = tool.run("undo", run, "--yes", lab.name, "--json")
    assert undone.code == 0, undone.err
    assert undone.document["outcome"] == "undone"
    assert undone.document["written_since"] >= 5
    assert "LOSES" in undone.err
    assert {name: picture(lab, name) for name in HOSTS} == before
    again = tool.run("undo", run, "--yes", lab.name, "--json")
    assert (again.code, again.document["outcome"]) == (0, "nothing")
    # and from there it can be recovered anew
    assert tool.recover(lab.name).document["outcome"] == "recovered"


def test_undo_starts_what_ran_and_says_who_is_away(fleet: Fleet) -> None:
    """An unreachable node is said, the rest is done; the same command finishes it."""
    lab, tool = fleet(3, "3.4.23")
    break_cluster(lab)
    tool.recover(lab.name)
    run = run_of(lab)
    lab.cut("etcd3")
    first = tool.run("undo", run, "--yes", lab.name)
    assert first.code == 21, first.err
    assert "etcd3" in first.err
    assert "running" in lab.shell(
        SURVIVOR, "docker inspect -f '{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}' etcd"
    )
    lab.mend("etcd3")
    second = tool.run("undo", run, "--yes", lab.name)
    assert second.code == 0, second.err
    assert "etcd" not in lab.shell("etcd3", "docker ps -a --format '{{.Names}}'")


def test_clean_wants_a_whole_cluster_and_frees_space(fleet: Fleet) -> None:
    """Refused while a member is away; then the run's directory is gone and the cluster as good as before."""
    lab, tool = fleet(3, "3.4.23")
    break_cluster(lab)
    tool.recover(lab.name)
    run = run_of(lab)
    lab.shell("etcd2", "docker stop etcd")
    refused = tool.run("clean", run, "--yes", lab.name)
    assert refused.code == 20, refused.err
    assert lab.host(SURVIVOR).path("/var/lib/etcd.fleetrecover").joinpath(run, "original").is_dir()
    lab.shell("etcd2", "docker start etcd")
    lab.wait_healthy()
    cleaned = tool.run("clean", run, "--yes", lab.name, "--json")
    assert cleaned.code == 0, cleaned.err
    assert cleaned.document["bytes"] > 10**6
    for name in HOSTS:
        assert not lab.host(name).path("/var/lib/etcd.fleetrecover").exists()
    assert tool.run("verify").code == 0


def test_two_operators_and_a_holder_that_slept(fleet: Fleet, tmp_path: Path) -> None:
    """The second gets 23 and is told who; a stopped holder is taken over from, and writes nothing when it wakes."""
    lab, tool = fleet(3, "3.4.23")
    break_cluster(lab)
    first = tool.start("recover", "--yes", lab.name, "--json")
    hold = lab.host(SURVIVOR).path("/var/lib/etcd.fleetrecover/hold/holder.json")
    token = hold.with_name("token")
    until(token.exists)
    other = Tool(lab.inventory, tmp_path / "other")
    second = other.run("recover", "--yes", lab.name)
    assert second.code == 23, second.err
    assert f"process {first.pid}" in second.err
    assert "since" in second.err
    first.send_signal(signal.SIGSTOP)
    # as seen from another bastion: nothing is known of the process, only that its counter stands still
    document = json.loads(hold.read_text())
    hold.write_text(json.dumps(document | {"host": "elsewhere 0"}))
    third = other.run("recover", "--yes", lab.name, "--json")
    assert third.code == 0, third.err
    before = {name: picture(lab, name)[0] for name in HOSTS}
    first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=300)
    assert first.returncode == 23, said
    assert {name: picture(lab, name)[0] for name in HOSTS} == before
    assert other.run("verify").code == 0


def test_a_killed_holder_does_not_block(fleet: Fleet) -> None:
    """Its process is gone on this machine, so nobody waits for its counter."""
    lab, tool = fleet(3, "3.4.23")
    break_cluster(lab)
    first = tool.start("recover", "--yes", lab.name, "--json")
    until(lambda: lab.host(SURVIVOR).path("/var/lib/etcd.fleetrecover/hold/token").exists())
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert tool.recover(lab.name).document["outcome"] == "recovered"


def until(true: object, seconds: float = 60) -> None:
    """Wait until it is so."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
