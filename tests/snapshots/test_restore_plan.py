"""The plan of a restore, from values alone: its order, its refusals, and that it only ever does what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.commands.snapshots import RestoreState, Tool
from fleetrecover.decide import restore as r
from fleetrecover.decide.diagnosis import Wish, diagnose, find_open_run
from fleetrecover.errors import FleetRecoverError, Refused, Undetermined
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import Keep, Pin, Survey
from fleetrecover.runtime.containers import Containers
from tests.decide.logs import log
from tests.fakes.nodes import FakeFleet

CHOSEN = r.Chosen("snap", "a" * 64, "b" * 64, 1 << 20, 77)
OLD, NEW = Tool("etcdctl", False), Tool("etcdutl", True)


def situation(survey: Survey, **more: Any) -> r.Situation:
    names = [node.name for node in survey.nodes]
    dead = frozenset(more.pop("dead", ()))
    return r.Situation(
        chosen=more.pop("chosen", CHOSEN),
        dead=dead,
        states=more.pop("states", {}),
        tools=more.pop("tools", dict.fromkeys(names, OLD)),
        neighbours=more.pop("neighbours", {}),
        seats=diagnose(survey, Wish(dead)).seats,
        open_run=find_open_run(survey),
        **more,
    )


def make(survey: Survey, **more: Any) -> r.RestorePlan:
    return r.make_restore_plan(
        survey, situation(survey, **more), run="r1", token="t1", started="2020-01-01T00:00:00Z", tool="test"
    )


def kinds(plan: r.RestorePlan, node: str) -> list[str]:
    return [type(step).__name__ for step in plan.steps if step.node == node]


def test_the_order() -> None:
    plan = make(FakeFleet.broken(3, wiped=1).survey(), neighbours={"n2": ("kube-apiserver",)})
    assert kinds(plan, "n2") == [
        *("OpenRun", "NoteRestore", "SendSnapshot", "RestoreData", "StopNeighbours", "Fence"),
        *("KeepData", "AdoptRestored", "StartOriginal", "StartNeighbours"),
    ]
    assert "KeepData" not in kinds(plan, "n3"), "a wiped node has nothing to keep"
    assert plan.prover == "n1"
    assert kinds(plan, "n1")[:4] == ["OpenRun", "NoteRestore", "SendSnapshot", "TrialBoot"]
    stages = [stage.name for stage in plan.stages]
    assert stages == ["open", "prove", "prepare", "fence", "switch", "start", "quorum", "kubernetes"]
    for step in plan.steps:
        assert step.explain(Containers()).title


def test_everybody_gets_the_same_token_and_members() -> None:
    plan = make(FakeFleet.broken(3).survey())
    found = [step for step in plan.steps if isinstance(step, s.RestoreData)]
    assert len({(step.identity.token, step.identity.cluster) for step in found}) == 1
    assert [step.identity.name for step in found] == ["etcd-n1", "etcd-n2", "etcd-n3"]
    assert all(step.identity.peer_urls == (f"https://10.0.0.{n}:2380",) for n, step in enumerate(found, 1))


def test_the_revision_is_raised_only_where_every_tool_can() -> None:
    survey = FakeFleet.broken(2).survey()
    assert make(survey, tools={"n1": NEW, "n2": NEW}).bump == r.BUMP
    mixed = make(survey, tools={"n1": NEW, "n2": OLD})
    assert mixed.bump == 0
    assert any("cannot raise" in note for note in mixed.notes)


def test_a_node_that_is_away_blocks_until_it_is_declared_dead() -> None:
    """rke#2424, rancher#30915: a partial restore beside a member that goes on serving is a split brain."""
    survey = FakeFleet.broken(3, dead=1).survey()
    with pytest.raises(Undetermined, match="n3"):
        make(survey)
    plan = make(survey, dead=("n3",))
    assert plan.targets == ("n1", "n2")
    assert plan.left_out == {"n3": "declared dead"}


def test_fewer_hosts_than_were_in_it() -> None:
    survey = FakeFleet.broken(5, dead=4).survey()
    plan = make(survey, dead=("n2", "n3", "n4", "n5"))
    [step] = [step for step in plan.steps if isinstance(step, s.RestoreData)]
    assert [name for name, _ in step.identity.cluster] == ["etcd-n1"]


def test_a_host_without_a_container_gets_one_made_from_another() -> None:
    """rke#613, #1955: onto new nodes."""
    fleet = FakeFleet.broken(3, wiped=1)
    fleet.node("n3").container = None
    plan = make(fleet.survey())
    [new] = [step for step in plan.steps if isinstance(step, s.StartNew)]
    assert "--initial-advertise-peer-urls=https://10.0.0.3:2380" in new.spec.argv
    assert new.restart_policy == "always"
    assert any(kind == "CheckFiles" for kind in kinds(plan, "n3"))


def test_nobody_has_a_container() -> None:
    fleet = FakeFleet.broken(2)
    like = fleet.node("n1").container
    assert like is not None
    for node in fleet.nodes:
        node.container = None
    with pytest.raises(Refused, match="no node has an etcd container"):
        make(fleet.survey())
    plan = make(fleet.survey(), like=like.spec, like_hostname="n1")
    assert sum(isinstance(step, s.StartNew) for step in plan.steps) == 2


def test_a_serving_cluster_is_not_overwritten_unasked() -> None:
    survey = FakeFleet.broken(1).survey()
    [node] = survey.nodes
    from fleetrecover.facts import EtcdStatus

    status = EtcdStatus("3.4.23", 1, 2, 1, 3, 9, 9, 100, False, True)
    living = replace(survey, nodes=(replace(node, status=status),))
    with pytest.raises(Refused, match="serves"):
        make(living)
    assert make(living, replace_living=True).targets == ("n1",)


def test_another_clusters_snapshot_is_refused_unless_it_is_meant() -> None:
    """Known by a member's id or address; names do not count, since RKE calls members alike everywhere."""
    survey = FakeFleet.broken(2).survey()
    theirs = replace(CHOSEN, members=(Member(0x77, "etcd-n1", ("https://192.0.2.1:2380",)),))
    with pytest.raises(Refused, match="another cluster") as told:
        make(survey, chosen=theirs)
    assert "--other-cluster" in str(told.value.hint)
    plan = make(survey, chosen=theirs, other_cluster=True)
    assert any("ANOTHER CLUSTER" in note for note in plan.notes)
    same_address = replace(CHOSEN, members=(Member(0x77, "x", ("https://10.0.0.2:2380",)),))
    assert any("when it was taken the members were x" in note for note in make(survey, chosen=same_address).notes)
    assert make(survey, chosen=replace(CHOSEN, members=(Member(1, "x", ("https://192.0.2.1:2380",)),))).targets


def test_a_snapshot_that_is_too_new_is_refused() -> None:
    survey = FakeFleet.broken(2).survey()
    old, new = Tool("etcdctl", False, "3.4.23"), Tool("etcdutl", True, "3.5.16")
    newer = replace(CHOSEN, cluster_version="3.5.0")
    with pytest.raises(Refused, match=r"3\.5\.0, too new.*n2 has 3\.4\.23"):
        make(survey, chosen=newer, tools={"n1": new, "n2": old})
    assert make(survey, chosen=newer, tools={"n1": new, "n2": new}).targets
    assert make(survey, chosen=replace(CHOSEN, cluster_version="3.4.0"), tools={"n1": new, "n2": new}).targets


def test_a_node_without_the_image_gets_it_and_does_not_prove() -> None:
    plan = make(FakeFleet.broken(2).survey(), givers={"n1": ("n2", "sha256:etcd")})
    assert plan.prover == "n2"
    [step] = [step for step in plan.steps if isinstance(step, s.EnsureImage)]
    assert (step.node, step.source, step.image_id) == ("n1", "n2", "sha256:etcd")
    order = kinds(plan, "n1")
    assert order.index("EnsureImage") < order.index("RestoreData") < order.index("Fence")


def test_a_node_that_is_declared_dead_but_answers_is_recorded_before_it_is_stopped() -> None:
    """Else `undo` would not know what it had been."""
    plan = make(FakeFleet.broken(3).survey(), dead=("n3",), neighbours={"n3": ("kube-apiserver",)})
    assert plan.targets == ("n1", "n2")
    assert kinds(plan, "n3") == ["OpenRun", "StopNeighbours", "Fence"]
    assert plan.closing is not None
    assert {step.node for step in plan.closing.steps} == {"n1", "n2", "n3"}


def with_keep(survey: Survey, kind: str, *, original: bool) -> Survey:
    pin = Pin("r0", survey.fleet.cluster, "n1", "2020-01-01T00:00:00Z", kind)
    nodes = tuple(
        replace(node, keeps=(Keep("r0", "/x", pin, containers=True, original=original),)) for node in survey.nodes
    )
    return replace(survey, nodes=nodes)


def state(*parts: str, note: Mapping[str, Any] | None = None) -> RestoreState:
    default = {
        "snapshot": "snap",
        "identity": CHOSEN.identity,
        "token": "first",
        "bump": 0,
        "cluster": [["etcd-n1", ["https://10.0.0.1:2380"]], ["etcd-n2", ["https://10.0.0.2:2380"]]],
        "hosts": ["n1", "n2"],
    }
    return RestoreState(note or default, frozenset(parts))


def test_an_open_reset_comes_first() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), "reset", original=True)
    with pytest.raises(Refused, match="r0"):
        make(survey)


def test_recover_leaves_an_open_restore_alone() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), r.KIND, original=True)
    found = diagnose(survey, Wish())
    assert found.remedy.value == "blocked"
    assert any(finding.code == "restore-open" for finding in found.findings)


def test_a_restore_that_reached_some_nodes_is_not_called_two_clusters() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), r.KIND, original=True)
    other = replace(survey.nodes[1], log=log(2, [(1, 3)], cluster=77))
    found = diagnose(replace(survey, nodes=(survey.nodes[0], other)), Wish())
    assert found.remedy.value == "blocked"
    assert found.why == "run r0 is restoring a snapshot on n1, n2 and has moved data"
    assert "`fleetrecover snapshot restore` again" in found.findings[0].advice


def test_resumed_with_the_first_token_and_only_what_is_missing() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), r.KIND, original=True)
    states = {"n1": state("snapshot.db", "original", "adopted"), "n2": state("snapshot.db", "restored")}
    plan = make(survey, states=states)
    assert plan.resumed
    assert plan.run == "r0"
    assert plan.token == "first"
    assert not plan.needs_snapshot
    assert "KeepData" not in kinds(plan, "n1")
    assert {"KeepData", "AdoptRestored", "StartOriginal"} <= set(kinds(plan, "n2"))
    assert "TrialBoot" not in kinds(plan, "n1")


def test_resumed_before_all_was_ready_sends_again() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), r.KIND, original=False)
    plan = make(survey, states={"n1": state("restored"), "n2": state()})
    assert plan.needs_snapshot
    assert "RestoreData" not in kinds(plan, "n1")
    assert "RestoreData" in kinds(plan, "n2")
    assert plan.token == "first"


def test_another_snapshot_cannot_slip_into_an_open_restore() -> None:
    survey = with_keep(FakeFleet.broken(2).survey(), r.KIND, original=True)
    states = {"n1": state("original"), "n2": state()}
    with pytest.raises(Refused, match="another snapshot"):
        make(survey, states=states, chosen=replace(CHOSEN, identity="c" * 64))


def test_no_space_is_known_before() -> None:
    fleet = FakeFleet.broken(2)
    survey = fleet.survey()
    nodes = tuple(replace(n, data=replace(n.data, free=1 << 20)) if n.data else n for n in survey.nodes)
    with pytest.raises(Refused, match="are free"):
        make(replace(survey, nodes=nodes))


def test_the_invariants_are_checked() -> None:
    survey = FakeFleet.broken(2).survey()
    plan = make(survey)
    by_name = {stage.name: stage for stage in plan.stages}
    wrong = replace(plan, stages=(by_name["fence"], by_name["prepare"]))
    with pytest.raises(FleetRecoverError, match="invariant"):
        r.check_restore(survey.fleet, wrong)
    late = replace(plan, stages=(by_name["start"], by_name["fence"]))
    with pytest.raises(FleetRecoverError, match="invariant"):
        r.check_restore(survey.fleet, late)
    changed = [
        replace(step, sha256="c" * 64) if isinstance(step, s.SendSnapshot) and step.node == "n2" else step
        for step in by_name["prepare"].steps
    ]
    other = s.Stage("prepare", "", (tuple(changed),))
    with pytest.raises(FleetRecoverError, match="invariant"):
        r.check_restore(survey.fleet, replace(plan, stages=(other,)))


@pytest.mark.parametrize("what", ["token", "cluster", "bump"])
def test_nodes_that_would_not_be_members_of_one_cluster_are_no_plan(what: str) -> None:
    survey = FakeFleet.broken(2).survey()
    plan = make(survey)
    r.check_restore(survey.fleet, plan)
    steps = [step for step in plan.steps if isinstance(step, s.RestoreData)]
    other = replace(steps[1], bump=7)
    if what != "bump":
        value: Any = "other" if what == "token" else (("etcd-n9", ("https://10.0.0.9:2380",)),)
        other = replace(steps[1], identity=replace(steps[1].identity, **{what: value}))
    with pytest.raises(FleetRecoverError, match="invariant"):
        r.check_restore(survey.fleet, replace(plan, stages=(s.Stage("prepare", "", ((steps[0], other),)),)))


@pytest.mark.parametrize("policy", ["no", "always", "unless-stopped"])
def test_a_restart_policy_stays_what_it_was(policy: str) -> None:
    """The advice against a split brain is to set `no`: a restore that started with `always` could never end well."""
    fleet = FakeFleet.broken(3, wiped=1)
    for node in fleet.nodes:
        assert node.container is not None
        node.container = replace(node.container, restart_policy=policy)
    plan = make(fleet.survey())
    assert {step.restart_policy for step in plan.steps if isinstance(step, s.StartOriginal)} == {policy}
