"""The plan's safety lines, one at a time: each test fails where its line is inverted or dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, close_stale, diagnose
from fleetrecover.decide.plan import Plan, check_plan, make_plan
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.room import SPACE_MARGIN
from fleetrecover.errors import FleetRecoverError, Refused
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Keep, Pin, Proof, Role, Survey
from tests.decide.test_resume import NEXT, RUN, all_steps, assert_whole, finish, interrupted_everywhere, planned
from tests.fakes.nodes import CLUSTER, DATA, FakeFleet, make_log

PATHS = RunPaths(DATA + ".fleetrecover", RUN)


def of(fleet: FakeFleet, wish: Wish | None = None) -> Plan:
    _, plan = planned(fleet, wish or Wish())
    assert plan is not None
    return plan


def changed(survey: Survey, name: str, **more: object) -> Survey:
    """The same survey, but for some facts of a node."""
    nodes = tuple(replace(n, **more) if n.name == name else n for n in survey.nodes)  # type: ignore[arg-type]
    return replace(survey, nodes=nodes)


def made(survey: Survey, wish: Wish | None = None, run: str = RUN) -> Plan:
    wish = wish or Wish()
    return make_plan(survey, diagnose(survey, wish), wish, run=run, started="2026-01-01T00:00:00Z")


def steps_of(plan: Plan, kind: type[s.Step]) -> list[s.Step]:
    return [step for step in plan.steps if isinstance(step, kind)]


# --- the reset ---


def test_a_reset_outside_of_quarantine_is_no_plan() -> None:
    fleet = FakeFleet.broken(3, wiped=2)
    plan, known = of(fleet), fleet.survey().fleet
    [good] = [step for step in plan.steps if isinstance(step, s.Quarantine)]
    check_plan(known, plan)
    for spec in (replace(good.spec, network="host"), replace(good.spec, restart="always")):
        bad = replace(good, spec=spec)
        stages = (s.Stage("reset", "", ((bad,),)),)
        with pytest.raises(FleetRecoverError):
            check_plan(known, replace(plan, stages=stages))


def test_a_forced_container_is_neither_joined_nor_rebuilt() -> None:
    fleet = FakeFleet.broken(3, wiped=2)
    plan, known = of(fleet), fleet.survey().fleet
    join = next(step for step in plan.steps if isinstance(step, s.Join))
    forced = replace(join.spec, command=(*(join.spec.command or ()), "--force-new-cluster"))
    with pytest.raises(FleetRecoverError):
        check_plan(known, replace(plan, stages=(*plan.stages, s.Stage("x", "", ((replace(join, spec=forced),),)))))


def test_only_the_survivor_whose_copy_is_in_place_is_left_unfenced() -> None:
    """Another node whose data looks like a proven copy of this run is stopped like all others."""
    fleet = FakeFleet.broken(3, wiped=1)
    pin = Pin(RUN, "fake", "n1", "2026-01-01T00:00:00Z", "reset")
    for node in fleet.nodes[:2]:
        proof = Proof(30, 7, 0, node.number, CLUSTER, "3.4.23")
        node.keeps[RUN] = Keep(RUN, PATHS.root, pin, containers=True, original=True, proof=proof)
        node.kept = node.data
    fenced = {step.node for step in of(fleet).steps if isinstance(step, s.Fence)}
    assert fenced == {"n2", "n3"}


def test_the_space_for_the_copy_is_asked_to_the_byte() -> None:
    seen = FakeFleet.broken(3, wiped=2).survey()
    data = seen.node("n1").data
    assert data is not None
    need = data.size + SPACE_MARGIN
    assert SPACE_MARGIN >= 64 << 20
    assert made(changed(seen, "n1", data=replace(data, free=need))).survivor == "n1"
    with pytest.raises(Refused, match="needs"):
        made(changed(seen, "n1", data=replace(data, free=need - 1)))


def database(revision: int) -> DbFacts:
    return DbFacts(4096, 1, 4096, 1, None, revision, -1, -1, None, (), frozenset(), "3.4.0", "", (), False, ())


def test_the_reset_must_have_what_the_database_had() -> None:
    seen = FakeFleet.broken(3, wiped=2).survey()
    [step] = steps_of(made(changed(seen, "n1", db=database(1234))), s.Quarantine)
    assert isinstance(step, s.Quarantine)
    assert step.min_revision == 1234


@pytest.mark.parametrize(("had", "gets"), [("no", "always"), ("unless-stopped", "unless-stopped")])
def test_a_rebuilt_container_starts_by_itself_again(had: str, gets: str) -> None:
    """The container that carries the force flag is rebuilt; one that somebody made by hand had no restart policy."""
    fleet = FakeFleet.broken(3, wiped=2)
    node = fleet.node("n1")
    assert node.container is not None
    node.container = replace(node.container, forced=True, restart_policy=had)
    fleet.do(all_steps(of(fleet)))  # the fence
    [step] = steps_of(of(fleet), s.StartRebuilt)
    assert isinstance(step, s.StartRebuilt)
    assert step.restart_policy == gets


def test_a_run_that_only_repaired_is_not_the_one_that_resets() -> None:
    """What began as a start and changes to a reset gets an id of its own, so that each can be taken back for what it was."""
    fleet = FakeFleet.broken(3, wiped=1)
    pin = Pin(RUN, "fake", "", "2026-01-01T00:00:00Z", Remedy.REPAIR.value)
    for node in fleet.nodes:
        node.keeps[RUN] = Keep(RUN, PATHS.root, pin, containers=True)
    seen = fleet.survey()
    plan = made(seen, Wish(survivor="n1"), NEXT)
    assert (plan.run, plan.remedy, plan.resumed) == (NEXT, Remedy.RESET, False)
    assert {step.node for step in plan.steps if isinstance(step, s.CloseEarlier)} == {"n1", "n2", "n3"}
    assert {step.pin.kind for step in plan.steps if isinstance(step, s.OpenRun)} == {Remedy.RESET.value}


# --- several to replace ---


def degraded(nodes: int, lost: int, *, gone: int = 0) -> FakeFleet:
    """A cluster that serves; of its last members the data is lost, the very last are off."""
    fleet = FakeFleet.broken(nodes)
    for node in fleet.nodes:
        node.data = make_log(node.number, nodes, 9)
    finish(fleet, Wish())
    for node in fleet.nodes[nodes - lost :]:
        assert node.container is not None
        node.container, node.data = replace(node.container, state="exited"), None
    for node in fleet.nodes[nodes - gone :]:
        node.accessible = False
    return fleet


@pytest.mark.parametrize(("nodes", "lost"), [(5, 2), (7, 3), (7, 2), (4, 1)])
def test_all_that_are_gone_are_removed_before_anybody_is_added(nodes: int, lost: int) -> None:
    fleet = degraded(nodes, lost)
    plan = of(fleet)
    assert plan.remedy is Remedy.REPAIR
    kinds = [type(step) for step in plan.steps if isinstance(step, s.RemoveMember | s.AddMember)]
    assert kinds == [s.RemoveMember] * lost + [s.AddMember] * lost
    assert plan.joins == tuple(f"n{number}" for number in range(nodes - lost + 1, nodes + 1))
    adding = [part for part in plan.stages if any(isinstance(step, s.AddMember) for step in part.steps)]
    assert len(adding) == lost
    assert all(len(part.lanes) == 1 for part in adding), "one at a time"
    assert interrupted_everywhere(fleet, Wish()) > 5


def test_a_preparation_that_fails_holds_up_only_its_own_node() -> None:
    plan = of(degraded(5, 2))
    part = plan.stage("prepare")
    assert part is not None
    assert (len(part.lanes), part.essential) == (2, frozenset())
    removing = [step for step in plan.steps if isinstance(step, s.RemoveMember)]
    assert {step.node for step in removing} == {step.leader for step in removing}


def test_the_dead_and_those_without_data_are_removed_together() -> None:
    fleet = degraded(5, 2, gone=1)
    plan = of(fleet, Wish(dead=frozenset({"n5"})))
    kinds = [(type(step).__name__, step.node) for step in plan.steps if isinstance(step, s.RemoveMember | s.AddMember)]
    assert [kind for kind, _ in kinds] == ["RemoveMember", "RemoveMember", "AddMember"]
    assert plan.joins == ("n4",)


def test_nobody_is_replaced_while_a_voter_is_away_that_stays() -> None:
    """etcd would refuse the new one for a minute and a half; nothing is taken away for it."""
    fleet = degraded(5, 2, gone=1)
    diagnosis, plan = planned(fleet, Wish())
    assert diagnosis.verdict is Verdict.DEGRADED
    assert plan is not None
    assert plan.steps == ()
    assert "n5 is a member and not connected" in plan.left_out["n4"]


def test_a_member_of_another_id_is_replaced_and_never_started() -> None:
    fleet = degraded(3, 0)
    node = fleet.node("n3")
    assert node.container is not None
    node.container = replace(node.container, state="exited")
    assert [step.node for step in steps_of(of(fleet), s.StartOriginal)] == ["n3"]
    node.data = make_log(77, 3, 9)
    plan = of(fleet)
    assert [step.member_id for step in plan.steps if isinstance(step, s.RemoveMember)] == [3]
    assert plan.joins == ("n3",)


def test_a_running_voter_is_not_stopped_while_quorum_may_rest_on_it() -> None:
    """Its log could not be read, and one of two others does not answer at this moment either."""
    seen = degraded(3, 0).survey()
    seen = changed(seen, "n2", status=None, members=None)
    seen = changed(seen, "n3", status=None, members=None, log=None)
    diagnosis = diagnose(seen, Wish())
    assert diagnosis.remedy is Remedy.REPAIR
    plan = made(seen)
    assert not steps_of(plan, s.Fence) + steps_of(plan, s.RemoveMember)
    assert "quorum may rest on it" in plan.left_out["n3"]


# --- our own joiner ---


def left_behind(*, running: bool, keep: str) -> FakeFleet:
    """A join that failed: our joiner has the name, the node's own container lies set aside; its run is over, or gone."""
    fleet = degraded(3, 0)
    node = fleet.node("n3")
    own = node.container
    assert own is not None
    labels = {RUN_LABEL: RUN, ROLE_LABEL: Role.JOINING.value}
    aside = replace(own, name=f"etcd.fleetrecover-{RUN}", state="exited", restart_policy="no")
    joiner = replace(own, id="join9", labels=labels, state="running" if running else "exited", restart_policy="no")
    node.container, node.others = aside, [joiner]
    if not running:
        node.data = None
    pin = Pin(RUN, "fake", "", "2026-01-01T00:00:00Z", Remedy.REPAIR.value)
    if keep != "gone":
        node.keeps[RUN] = Keep(
            RUN, PATHS.root, pin, containers=True, policies={own.id: "always"}, finished=keep == "finished"
        )
    return fleet


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("keep", ["open", "finished"])
def test_a_joiner_is_never_the_nodes_own_and_the_original_comes_back(running: bool, keep: str) -> None:
    fleet = left_behind(running=running, keep=keep)
    own = fleet.survey().node("n3").original("etcd")
    assert own is not None
    assert own.id == "own3"
    diagnosis, _ = planned(fleet, Wish())
    assert diagnosis.remedy in (Remedy.REPAIR, Remedy.FINISH)
    end, _ = finish(fleet, Wish())
    assert_whole(fleet, end, Wish())


@pytest.mark.parametrize("running", [True, False])
def test_a_joiner_whose_run_is_cleaned_away(running: bool) -> None:
    """Nobody knows the original's restart policy any more; it comes back all the same."""
    fleet = left_behind(running=running, keep="gone")
    end, _ = finish(fleet, Wish())
    assert end.verdict is Verdict.HEALTHY
    [found] = fleet.node("n3").containers
    assert (found.id, found.name, found.state) == ("own3", "etcd", "running")


def test_a_joiner_that_is_all_that_a_node_has_is_its_own() -> None:
    fleet = left_behind(running=True, keep="finished")
    fleet.node("n3").container = None
    seen = fleet.survey().node("n3")
    own = seen.original("etcd")
    assert own is not None
    assert own.id == "join9"
    assert diagnose(fleet.survey(), Wish()).verdict is Verdict.HEALTHY


# --- restart policies ---


def policy_of(*keeps: Keep, **container: object) -> str:
    fleet = FakeFleet.broken(1)
    node = fleet.node("n1")
    assert node.container is not None
    node.container = replace(node.container, **container)  # type: ignore[arg-type]
    node.keeps = {keep.run: keep for keep in keeps}
    seen = fleet.survey().node("n1")
    return true_policy(seen, seen.containers[0])


def kept(run: str, policy: str, **more: object) -> Keep:
    pin = Pin(run, "fake", "", "2026-01-01T00:00:00Z", "reset")
    return replace(Keep(run, f"/d/{run}", pin, containers=True, policies={"own1": policy}), **more)  # type: ignore[arg-type]


def test_a_run_that_is_over_has_no_say_in_restart_policies() -> None:
    assert policy_of(kept(RUN, "always"), restart_policy="no") == "always"
    for over in ("finished", "undone"):
        assert policy_of(kept(RUN, "always", **{over: True}), restart_policy="unless-stopped") == "unless-stopped"
    assert policy_of(kept(RUN, "always", finished=True), kept(NEXT, "on-failure"), restart_policy="no") == "on-failure"


def test_but_in_that_of_a_container_that_lies_where_it_put_it() -> None:
    aside = f"etcd.fleetrecover-{RUN}"
    assert policy_of(kept(RUN, "always", finished=True), name=aside, restart_policy="no") == "always"
    # and of one that another run, under way, has found there and is bringing back
    found = kept(NEXT, "no", names={"own1": aside})
    assert policy_of(kept(RUN, "always", finished=True), found, restart_policy="no") == "always"


def test_what_an_outgrown_run_took_is_given_back_before_it_is_closed() -> None:
    fleet = FakeFleet.broken(2, wiped=1)
    node = fleet.node("n1")
    assert node.container is not None
    node.container = replace(node.container, restart_policy="no")
    closed = Keep(RUN, PATHS.root, Pin(RUN, "fake", "n1", "2026-01-01T00:00:00Z", "reset"), policies={"own1": "always"})
    node.keeps[RUN] = closed
    fleet.node("n2").keeps[RUN] = replace(closed, finished=True)
    seen = close_stale(fleet.survey(), Wish())
    plan = made(seen, run=NEXT)
    mine = [step for step in plan.steps if step.node == "n1"]
    assert [type(step) for step in mine[:3]] == [s.RestorePolicy, s.CloseEarlier, s.OpenRun]
