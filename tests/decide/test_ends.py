"""What a run leaves, or finds, that no rerun came out of: each now has an end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide import undo as u
from fleetrecover.decide.dead import resolved
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose, live_seats
from fleetrecover.decide.leftovers import leftovers
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.placement import displaced
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.seen import Seen, best_seen
from fleetrecover.decide.sides import ahead, beyond
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Container, EtcdStatus, Keep, NodeFacts, Pin, Role, Survey
from fleetrecover.steps import Fence, OpenRun, Promote, PutContainerBack, RemoveMember, StartOriginal
from tests.decide.logs import log
from tests.decide.surveys import container, database, members, node, status, survey
from tests.decide.test_plan import degraded, of

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


# --- undo does not start what carries the force flag ---


def test_a_forced_container_is_not_started_by_an_undo_but_where_it_is_alone() -> None:
    def held(voters: tuple[int, ...], **more: object) -> list[str]:
        own = container("exited", name=f"etcd.fleetrecover-{RUN}", restart_policy="no", **{"forced": True, **more})
        recorded = keep(names={own.id: "etcd"}, policies={own.id: "always"}, ran=frozenset({own.id}))
        seen = survey(node(1, log(1, [(2, 20)], voters=voters), containers=(own,), keeps=(recorded,)))
        plan = u.make_undo(seen, RUN)
        steps = [step for part in plan.stages for step in part.steps if isinstance(step, PutContainerBack)]
        assert [(step.start, step.restart_policy) for step in steps] == [
            (False, "no") if plan.held_back else (True, "always")
        ]
        return list(plan.held_back.values())

    assert "--force-new-cluster" in held((1, 2, 3))[0]
    assert held((1,)) == []
    assert held((1, 2, 3), forced=False) == []


# --- what another run that is open has left ---


def test_the_joiner_of_another_open_run_stands_in_the_way_of_the_one_that_is_gone_on_with() -> None:
    labels = {RUN_LABEL: "r20251231T000000Z-0ld1", ROLE_LABEL: Role.JOINING.value}
    joiner = container("exited", id="j" * 64, labels=labels)
    one = node(1, containers=(joiner,))
    assert leftovers(one, RUN) == (joiner,)
    assert leftovers(one, None) == (joiner,)
    assert leftovers(one, "r20251231T000000Z-0ld1") == ()


# --- a member whose place another one has ---


def test_a_member_at_whose_url_another_serves_is_removed_where_every_disk_is_known() -> None:
    listed = (*members(1, 2), replace(members(2)[0], id=7, name="etcd7"))
    one, two = (node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=listed) for n in (1, 2))
    seats = seats_in(one, two)
    assert [seat.id for seat in displaced(survey(one, two), seats)] == [7]
    found = diagnose(survey(one, two), Wish())
    [gone] = [each for each in found.findings if each.code == "member-gone"]
    assert (gone.waits, gone.advice) == (False, "`fleetrecover recover` removes it")
    plan = make_plan(survey(one, two), found, Wish(), run=RUN, started="")
    assert [step.member_id for step in plan.steps if isinstance(step, RemoveMember)] == [7]
    for odd in (
        replace(two, status=status(2)),
        replace(two, status=status(7, healthy=True, leader=1)),
    ):
        assert displaced(survey(one, odd), seats) == ()
    assert two.data is not None
    unread = node(3, data=replace(two.data, has_member=True))
    assert displaced(survey(one, two, unread), seats) == (), "it may be what that disk holds"
    assert displaced(survey(one, two, node(3)), seats) != ()


def seats_in(*nodes: NodeFacts) -> tuple[Seat, ...]:
    return live_seats(survey(*nodes), nodes)


# --- an etcd that ends on its data ---


@pytest.mark.parametrize("state", ["exited", "restarting"])
def test_one_that_ended_since_the_run_began_is_replaced(state: str) -> None:
    fleet = degraded(3, 1)
    [own] = [member.id for member in fleet.live if member.name == "etcd-n3"]
    third = fleet.nodes[2]
    alike = fleet.survey().nodes[0].log
    assert alike is not None
    third.data = replace(alike, node_id=own)
    assert third.container is not None

    def removed(code: int = 2) -> list[int]:
        assert third.container is not None
        third.container = replace(third.container, state=state, exit_code=code)
        return [step.member_id for step in of(fleet).steps if isinstance(step, RemoveMember)]

    assert removed() == [], "first it is started"
    recorded = keep(run="run", containers=True, pin=replace(keep().pin, run="run"))  # type: ignore[type-var]
    third.keeps = {"run": recorded}
    assert removed() == [own]
    assert removed(0) == []
    third.keeps = {"run": replace(recorded, finished=True)}
    assert removed() == []


# --- words and choices of before ---


def test_that_a_run_has_chosen_is_no_word_for_what_it_lacks() -> None:
    """The one that is ahead was away when the run began, and is back: the run does not go on, and its end would be held to it."""
    pin = Pin(RUN, "prod", "etcd1", "2026-01-01T00:00:00Z", "reset")
    chief = node(1, log(1, [(2, 20)], commit=20), db=database(15), keeps=(keep(pin=pin, original=True),))
    back = node(2, log(2, [(2, 30)], commit=28), db=database(25))
    seen = survey(chief, back, node(3, reachable=False, cli_version=None))
    wish = Wish(frozenset({"etcd3"}))
    found = diagnose(seen, wish)
    assert (found.remedy, found.cause.code if found.cause else "") == (Remedy.BLOCKED, "richer-disk")
    assert found.cause is not None
    assert found.cause.advice.endswith("to give that up: --survivor etcd1")
    assert best_seen(
        seen, replace(found, choice=Choice("etcd1", "", ProofKind.BEST, 0, 0, 0, (), (), overridden=True)), wish
    ) == Seen(25, "etcd2")
    named = replace(wish, survivor="etcd1")
    said = diagnose(seen, named)
    assert said.remedy is Remedy.RESET
    assert best_seen(seen, said, named) == Seen(15, "etcd1")
    level = survey(chief, replace(back, log=log(2, [(2, 30)], commit=20)), seen.nodes[2])
    assert diagnose(level, wish).remedy is Remedy.RESET, "what is not decided is no loss"


def test_a_log_of_before_a_reset_proves_nothing_beside_it() -> None:
    alone = node(1, log(1, [(2, 20)], voters=(1, 2)))
    wish = Wish(frozenset({"etcd2"}))

    def proof(*keeps: Keep, moved: bool = False) -> ProofKind | None:
        assert alone.data is not None
        one = replace(alone, keeps=keeps, data=replace(alone.data, has_member=not moved))
        found = diagnose(survey(one, node(2, reachable=False, cli_version=None)), wish)
        return found.choice.proof if found.choice is not None else None

    assert proof() is ProofKind.COMPLETE
    reset = Pin(RUN, "prod", "etcd2", "2026-01-01T00:00:00Z", "reset")
    assert proof(keep(pin=reset)) is ProofKind.BEST
    assert proof(keep(pin=reset, undone=True)) is ProofKind.COMPLETE
    assert proof(keep(pin=replace(reset, survivor="etcd1"), finished=True)) is ProofKind.COMPLETE
    assert proof(keep(original=True), moved=True) is ProofKind.BEST, "a repair had set it aside"
    assert proof(keep(original=True)) is ProofKind.COMPLETE


# --- what serves is behind ---


def test_what_was_known_a_moment_before_is_held_against_what_serves_now() -> None:
    live = [
        node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3)) for n in (1, 2)
    ]
    other = node(3, log(3, [(2, 25)], commit=24), status=status(3, leader=1))
    seen = survey(*live, other)
    assert ahead(seen) == {"etcd3": (24, 0)}
    assert beyond(seen) == (), "it may have moved on while we looked"
    assert beyond(replace(seen, decided={"etcd3": (24, 0)})) == (other,)
    assert beyond(replace(seen, decided={"etcd3": (20, 0)})) == ()
    assert ahead(survey(*live, replace(other, containers=(container("exited"),)))) == {}
    assert ahead(survey(*live, replace(other, status=status(3, healthy=True, leader=1)))) == {}


def test_an_empty_cluster_has_not_moved_on() -> None:
    live = [
        node(
            n,
            log(n, [(2, 20)], writes=0),
            status=replace(status(n, healthy=True, leader=1), revision=1),
            members=members(1, 2, 3),
        )
        for n in (1, 2)
    ]
    other = node(3, log(3, [(2, 25)], commit=24), status=status(3, leader=1))
    assert beyond(survey(*live, other)) == (other,)
    assert beyond(survey(*live, replace(other, log=log(3, [(2, 25)], commit=24, writes=0), status=None))) == ()
