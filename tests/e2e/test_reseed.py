"""Reseed on real hosts: whole, nothing lost, every definition and every member as it was; refused; interrupted; taken back."""

from __future__ import annotations

import pytest

from benchmarks.fault_matrix import picture
from fleetrecover.decide.membership import quorum
from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.faults import some_cells
from tests.e2e.test_recover import assert_whole, write_and_kill
from tests.e2e.tool import Tool, original_containers, restart_policy, tree_hash

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]

MEMBER = "/var/lib/etcd/member"
EACH_TIME = ((3, "3.4.23"), (3, "3.6.14"))
NIGHTLY = ((3, "3.3.25"), (3, "3.5.16"), (3, "3.5.30"), (3, "3.7.1"), (5, "3.6.14"), (5, "3.7.1"))
WORLDS = (*EACH_TIME, *(pytest.param(*each, marks=pytest.mark.slow) for each in NIGHTLY))


def lose_most(lab: Lab) -> tuple[dict[str, str], str, list[str]]:
    """Killed all at once under load, the leader's disk and a minority's left, and nothing starts by itself that nobody asked for.

    An emptied member that starts by itself is a new voter under its old id: two of them are an empty cluster.
    """
    restart_policy(lab, "no")
    acknowledged, leader, others = write_and_kill(lab)
    restart_policy(lab, "always")
    lost = others[: quorum(len(lab.hosts))]
    for name in lost:
        lab.wipe(name)
    return acknowledged, leader, lost


def ids_of(tool: Tool) -> dict[str, str]:
    """The members' ids by host, as the program sees them."""
    return {member["host"]: member["id"] for member in tool.run("diagnose", "--json").document["members"]}


@pytest.mark.parametrize(("nodes", "version"), WORLDS)
def test_a_majority_lost(fleet: Fleet, nodes: int, version: str) -> None:
    """Every host has all again under its own id, by its own definition, and after a power cut of all; then undo, byte by byte."""
    lab, tool = fleet(nodes, version)
    before, ids = original_containers(lab), ids_of(tool)
    acknowledged, leader, others = lose_most(lab)
    was = {host.name: picture(lab, host.name) for host in lab.hosts}
    tree = tree_hash(lab, leader, MEMBER)
    planned = tool.run("plan", "--json", "--method", "reseed").document
    assert planned["method"] == "reseed"
    assert {each["host"] for each in planned["excluded"]} == {host.name for host in lab.hosts} - {leader}
    assert {each["host"] for each in planned["excluded"] if each["code"] == "log-missing"} == set(others)
    done = tool.recover(lab.name, "--method", "reseed").document
    assert (done["outcome"], done["method"], done["survivor"]["name"]) == ("recovered", "reseed", leader)
    assert done["hash_equal"] is True
    kinds = {step["step"] for step in done["steps"]}
    assert {"SeedData", "ProveSeed", "AdoptSeed"} <= kinds
    assert not kinds & {"AddMember", "Join", "Promote", "RemoveMember"}
    assert_whole(lab, tool, acknowledged)
    assert (original_containers(lab), ids_of(tool)) == (before, ids)
    assert tree_hash(lab, leader, f"/var/lib/etcd.fleetrecover/{done['run']}/original/member") == tree
    lab.kill_all_at_once(power=True)
    lab.power_on(*(host.name for host in lab.hosts))
    lab.wait_healthy()
    assert_whole(lab, tool, acknowledged)
    undone = tool.run("undo", done["run"], "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert {host.name: picture(lab, host.name) for host in lab.hosts} == was


@pytest.mark.slow
def test_the_dead_are_removed_in_the_log_and_refused_when_they_come_back(fleet: Fleet) -> None:
    lab, tool = fleet(3, "3.5.16")
    acknowledged, leader, (wiped, gone) = lose_most(lab)
    lab.power_off(gone)
    done = tool.recover(lab.name, "--method", "reseed", "--dead", gone).document
    assert done["left_out"] == {gone: "declared dead"}
    assert len(done["members"]) == 2
    for name in (leader, wiped):
        assert lab.client().verify(acknowledged, name).missing == ()
    lab.power_on(gone)
    back = tool.recover(lab.name).document
    assert back["outcome"] == "recovered"
    assert_whole(lab, tool, acknowledged)


@pytest.mark.slow
def test_a_host_without_a_definition_is_refused_and_reset_instead(fleet: Fleet) -> None:
    lab, tool = fleet(3, "3.4.23")
    acknowledged, _, others = lose_most(lab)
    lab.shell(others[0], "docker rm -f etcd")
    refused = tool.run("recover", "--yes", lab.name, "--method", "reseed")
    assert refused.code == 20, refused.err
    assert f"{others[0]} has no etcd container of its own" in refused.err
    assert "--method reset" in refused.err
    done = tool.recover(lab.name).document
    assert done["method"] == "reset"
    assert_whole(lab, tool, acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize(("version", "share", "undo"), [("3.5.16", 6, False), ("3.4.23", 3, True)])
def test_a_reseed_is_finished_or_undone_whatever_fails(version: str, share: int, undo: bool) -> None:
    some_cells(version, share, undo=undo, job="reseed")
