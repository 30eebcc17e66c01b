"""The seventeen breaks of a newcomer's night, each brought to its end with the program's own words, and judged with etcdctl.

Some have a test of their own elsewhere: 6 (disks exchanged) in test_several, 12 (killed in the middle) in test_faults, 14 (begun
anew) in test_begun_anew, 16 (fab alone) in test_drill, 17 (restored from snapshots) in test_snapshots.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import lose_two
from tests.e2e.tool import Ran, Tool, tree_hash

pytestmark = pytest.mark.lab

MEMBER = "/var/lib/etcd/member"
HOSTS = ("etcd1", "etcd2", "etcd3")
SSL = "/etc/kubernetes/ssl"


def written(lab: Lab, count: int = 60) -> dict[str, str]:
    return lab.client().fill("/night/", count)


def assert_all_there(lab: Lab, tool: Tool, keys: dict[str, str]) -> None:
    """Three members, each with every key, as etcdctl says it; and the program says the same."""
    listed = json.loads(lab.etcdctl("etcd1", "member", "list", "--write-out=json").stdout)
    assert len(listed["members"]) == 3
    client = lab.client()
    for host in HOSTS:
        assert client.verify(keys, host).whole, host
    checked = tool.run("verify")
    assert checked.code == 0, checked.out + checked.err
    judged = tool.run("diagnose")
    assert judged.code == 0, judged.out + judged.err


def wiped_and_cut(lab: Lab) -> None:
    """etcd2 comes back with an empty disk, etcd3 cannot be reached."""
    lab.power_off("etcd2")
    lab.wipe("etcd2")
    lab.power_on("etcd2")
    lab.cut("etcd3")


def assert_brought_back(lab: Lab, tool: Tool, keys: dict[str, str]) -> None:
    """One `recover` without further words ends it, with everything there."""
    done = recover(lab, tool)
    assert done.code == 0, done.err
    assert_all_there(lab, tool, keys)


def recover(lab: Lab, tool: Tool, *words: str) -> Ran:
    return tool.run("recover", "--yes", lab.name, *words)


@pytest.mark.slow
def test_1_one_wiped_and_ones_network_cut(fleet: Fleet) -> None:
    lab, tool = fleet()
    keys = written(lab)
    wiped_and_cut(lab)
    try:
        seen = tool.run("diagnose")
        assert "--dead etcd3" in seen.out + seen.err
        assert "--dead etcd2" not in seen.out + seen.err, "it answers"
        part = recover(lab, tool, "--dead", "etcd3")
        assert part.code == 10, part.err
        assert "etcd3" in part.out + part.err
    finally:
        lab.mend("etcd3")
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_2_two_powered_off_and_their_disks_wiped(fleet: Fleet) -> None:
    lab, tool = fleet()
    keys = written(lab)
    lab.power_off("etcd2", "etcd3")
    for name in ("etcd2", "etcd3"):
        lab.wipe(name)
    few = recover(lab, tool, "--dead", "etcd2")
    assert few.code == 12, few.err
    assert "--dead etcd3" in few.err
    part = recover(lab, tool, "--dead", "etcd2", "--dead", "etcd3")
    assert part.code == 10, part.err
    assert all(name in part.out + part.err for name in ("etcd2", "etcd3", "fleetrecover recover"))
    lab.power_on("etcd2", "etcd3")
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_3_all_stopped_and_none_starts_by_itself(fleet: Fleet) -> None:
    lab, tool = fleet()
    keys = written(lab)
    before = lab.etcdctl("etcd1", "member", "list").stdout
    for name in HOSTS:
        lab.shell(name, "docker update --restart=no etcd; docker stop etcd")
    done = recover(lab, tool)
    assert done.code == 0, done.err
    assert lab.etcdctl("etcd1", "member", "list").stdout == before, "started, and nothing reset"
    assert_all_there(lab, tool, keys)


@pytest.mark.slow
def test_4_wiped_and_cut_but_mended_first(fleet: Fleet) -> None:
    lab, tool = fleet()
    keys = written(lab)
    wiped_and_cut(lab)
    lab.mend("etcd3")
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_5_two_disks_are_full(fleet: Fleet) -> None:
    """The full disks are named, with what to do; once there is space the same command ends it."""
    lab, tool = fleet()
    keys = written(lab)
    for name in HOSTS:
        lab.shell(name, "docker stop etcd")
    for name in ("etcd2", "etcd3"):
        lab.fill_disk(name)
    try:
        stopped = recover(lab, tool)
        assert stopped.code not in (0, 1), stopped.err
        assert re.search(r"etcd[23].*(no space left|free)", stopped.err), stopped.err
    finally:
        for name in ("etcd2", "etcd3"):
            lab.unfill_disk(name)
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_7_a_stale_copy_on_one_and_another_wiped(fleet: Fleet) -> None:
    lab, tool = fleet()
    lab.shell("etcd2", f"docker stop etcd; cp -a {MEMBER} /var/lib/older; docker start etcd")
    lab.wait_healthy()
    keys = written(lab, 120)
    lab.power_off(*HOSTS)
    stale = lab.host("etcd2").path("/var/lib/older")
    lab.wipe("etcd2")
    shutil.copytree(stale, lab.host("etcd2").path(MEMBER))
    lab.wipe("etcd3")
    lab.power_on(*HOSTS)
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
@pytest.mark.slow
def test_8_two_emptied_and_a_forced_container_made_by_hand(fleet: Fleet) -> None:
    """Its start cuts off what was not known to be decided, which then is in one database only: who joins would lack it."""
    lab, tool = fleet()
    keys = lose_two(lab)
    command = tool.run("run-config", "etcd1").out.strip()
    lab.shell("etcd1", "docker rm --force etcd")
    forced = command.replace(" --initial-cluster-state", " --force-new-cluster --initial-cluster-state", 1)
    assert forced != command
    lab.shell("etcd1", forced)
    lab.wait_healthy(["etcd1"])
    told = recover(lab, tool)
    if told.code:
        assert told.code == 12, told.err
        save, restore = re.findall(r"`fleetrecover (snapshot [^`]*)`", told.err)[-2:]
        assert tool.run(*save.split()).code == 0
        restored = tool.run(*restore.split(), "--yes", lab.name)
        assert restored.code == 0, restored.err
    assert_all_there(lab, tool, keys)


def test_9_the_container_is_renamed_on_one_and_removed_on_another(fleet: Fleet) -> None:
    lab, tool = fleet()
    keys = written(lab)
    lab.shell("etcd2", "docker stop etcd; docker rename etcd etcd-old-58")
    lab.remove_etcd("etcd3")
    lab.wipe("etcd3")
    assert_brought_back(lab, tool, keys)
    for name in HOSTS:
        assert lab.shell(name, "docker ps --all --format '{{.Names}}'").split() == ["etcd"]


@pytest.mark.slow
def test_10_a_certificate_is_gone_and_a_key_is_empty(fleet: Fleet) -> None:
    """Both files are named before anything waits; put back, the same command ends it."""
    lab, tool = fleet()
    keys = written(lab)
    key = lab.shell("etcd1", f"ls {SSL}/kube-etcd-*-key.pem").split()[0]
    lab.shell("etcd2", f"cp {SSL}/kube-ca.pem /root/ca; rm {SSL}/kube-ca.pem")
    lab.shell("etcd1", f"cp -p {key} /root/key; : >{key}")
    try:
        lab.kill_all_at_once(power=True)
        lab.power_on(*HOSTS)
        refused = recover(lab, tool)
        told = refused.out + refused.err + tool.run("diagnose").out
        assert refused.code not in (0, 1, 21), told
        assert f"{SSL}/kube-ca.pem" in told
        assert key in told
    finally:
        lab.shell("etcd2", f"cp /root/ca {SSL}/kube-ca.pem")
        lab.shell("etcd1", f"cp -p /root/key {key}")
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_11_the_engine_is_stopped_on_two(fleet: Fleet) -> None:
    """The cause is named, and nobody is told to declare a host dead that answers."""
    lab, tool = fleet()
    keys = written(lab)
    for name in ("etcd1", "etcd3"):
        lab.stop_dockerd(name)
    try:
        refused = recover(lab, tool)
        assert refused.code == 12, refused.err
        assert "--dead" not in refused.err
        assert "docker" in refused.err
    finally:
        for name in ("etcd1", "etcd3"):
            lab.start_dockerd(name)
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_13_a_finished_run_is_undone_and_then_recovered(fleet: Fleet) -> None:
    """The emptied members never begin anew beside the one with the data."""
    lab, tool = fleet()
    keys = written(lab)
    for name in ("etcd2", "etcd3"):
        lab.shell(name, "docker stop etcd")
        lab.wipe(name)
    done = tool.recover(lab.name).document
    undone = tool.run("undo", done["run"], "--yes", lab.name, "--accept-loss", "0")
    assert undone.code in (0, 20), undone.err
    assert_brought_back(lab, tool, keys)


def test_15_a_living_host_with_the_best_log_is_called_dead(fleet: Fleet) -> None:
    """Refused, with how far its log is ahead; without that word every key comes back."""
    lab, tool = fleet()
    lab.client().fill("/first/", 6)
    lab.shell("etcd2", "docker update --restart=no etcd; docker stop etcd")
    keys = written(lab, 40)
    lab.remove_etcd("etcd3")
    lab.wipe("etcd3")
    lab.kill_all_at_once(power=True)
    lab.power_on(*HOSTS)
    before = tree_hash(lab, "etcd2", MEMBER)
    refused = recover(lab, tool, "--dead", "etcd1")
    assert refused.code == 20, refused.err
    assert re.search(r"etcd1 answers SSH", refused.err)
    assert re.search(r"[1-9]\d* entr(y|ies) ahead of etcd2", refused.err), refused.err
    assert tree_hash(lab, "etcd2", MEMBER) == before
    assert_brought_back(lab, tool, keys)


@pytest.mark.slow
def test_12_the_terminal_is_closed_in_the_middle(fleet: Fleet) -> None:
    """Ctrl-C says what was being done and what to type; the same command goes on."""
    lab, tool = fleet()
    keys = lose_two(lab)
    for signal, code in ((2, 130), (1, 129), (9, -9)):
        running = tool.start("recover", "--yes", lab.name)
        assert running.stderr is not None
        for line in running.stderr:
            if "✓" in line:
                break
        running.send_signal(signal)
        try:
            _, err = running.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        assert running.returncode in (code, 0), err
        if running.returncode == 130:
            assert "fleetrecover recover" in err
    assert_brought_back(lab, tool, keys)
