"""What a run leaves, or finds, that no rerun came out of: each now has an end."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide import undo as u
from fleetrecover.decide.dead import resolved
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.steps import Fence, OpenRun, Promote, StartOriginal
from fleetrecover.facts import Container, EtcdStatus, Keep, NodeFacts, Pin, Survey
from tests.decide.logs import log
from tests.decide.surveys import container, members, node, status, survey

RUN = "r20260101T000000Z-abcd"


def keep(**more: object) -> Keep:
    pin = Pin(RUN, "prod", "", "2026-01-01T00:00:00Z", "repair")
    return replace(Keep(RUN, f"/var/lib/etcd.fleetrecover/{RUN}", pin, containers=True), **more)  # type: ignore[arg-type]


# --- a learner in its own container ---


def learner(**more: object) -> Survey:
    """Two serve; the third runs as a learner in its node's own container, and is refused linearizable reads for that."""
    listed = tuple(replace(row, is_learner=row.id == 3) for row in members(1, 2, 3))
    said: EtcdStatus = replace(status(3, leader=1), is_learner=True)
    nodes = [node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=listed) for n in (1, 2)]
    last = node(3, log(3, [(2, 20)], voters=(1, 2), learners=(3,)), status=replace(said, **more))  # type: ignore[arg-type]
    return survey(*nodes, last)


def test_a_learner_that_follows_in_its_own_container_is_made_a_voter() -> None:
    seen = learner()
    found = diagnose(seen, Wish())
    assert found.remedy is Remedy.REPAIR
    assert [each.code for each in found.findings if each.node == "etcd3"] == ["learner"]
    plan = make_plan(seen, found, Wish(), run=RUN, started="")
    assert [type(step) for step in plan.steps if not isinstance(step, OpenRun)] == [Promote]


def test_one_that_follows_nobody_or_is_another_is_started_afresh() -> None:
    for odd in ({"leader_id": 0}, {"member_id": 4}, {"is_learner": False}):
        found = diagnose(learner(**odd), Wish())
        assert "member-unhealthy" in [each.code for each in found.findings if each.node == "etcd3"]
    plan = make_plan(learner(leader_id=0), diagnose(learner(leader_id=0), Wish()), Wish(), run=RUN, started="")
    assert [type(step) for step in plan.steps if not isinstance(step, OpenRun)] == [StartOriginal]


# --- words that were added to a run that is under way ---


def test_a_word_that_comes_later_is_noted_down_in_the_run_too() -> None:
    """The member that it stood for is removed, and another may be called so by then: the word means the one that is gone."""
    alive = [
        node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 9)) for n in (1, 2)
    ]
    begun = survey(*(replace(each, keeps=(keep(),)) for each in alive))
    wish = Wish(frozenset({"etcd9"}))
    found = diagnose(begun, wish)
    assert found.open_run is not None
    opened = [s for s in make_plan(begun, found, wish, run="r", started="").steps if isinstance(s, OpenRun)]
    assert [step.pin.meant for step in opened] == [(("etcd9", "9"),)]
    pin = replace(opened[0].pin, run=RUN)
    noted = survey(*(replace(each, keeps=(keep(pin=pin),)) for each in alive))
    again = make_plan(noted, diagnose(noted, wish), wish, run="r", started="")
    assert not [step for step in again.steps if isinstance(step, OpenRun)], "once"
    other = Wish(frozenset({hex(2)[2:]}))
    assert resolved(noted, other).dead == {"etcd2"}


# --- undo of what has only started ---


def after(own: Container, **kept: object) -> NodeFacts:
    names = {own.id: "etcd"}
    recorded = keep(names=names, policies={own.id: "always"}, **kept)
    return node(1, log(1, [(2, 20)]), containers=(own,), keeps=(recorded,))


def test_what_the_run_has_started_is_stopped_again() -> None:
    def stops(own: Container, **kept: object) -> bool:
        plan = u.make_undo(survey(after(own, **kept)), RUN)
        return any(isinstance(step, Fence) for part in plan.stages for step in part.steps)

    own = container()
    assert stops(own)
    assert not stops(own, ran=frozenset({own.id}))
    assert not stops(container("exited"))
    assert u.remains(survey(after(own)), RUN) == ["etcd1: container etcd runs, and did not before the run"]
    assert u.remains(survey(after(own, ran=frozenset({own.id}))), RUN) == []
    assert u.remains(survey(after(container("exited"))), RUN) == []
