"""Members that run on another host than their peer URL names: seen, said, and set right in an order that etcd takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.placement import Change, Misplaced, can_elect, changes, misplaced
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.verdict import judge
from fleetrecover.facts import Problem, Survey
from fleetrecover.steps import AddMember, RemoveMember, UpdateMember
from fleetrecover.verify import whole_fleet
from tests.decide.test_resume import all_steps, assert_whole, finish, interrupted_everywhere, planned
from tests.fakes.nodes import FakeFleet, address, make_log


def url(number: int) -> str:
    return f"https://{address(number)}:2380"


def swapped(nodes: int = 3, *, serving: bool = True) -> FakeFleet:
    """Two hosts have each other's data; with `serving` the cluster has found a leader all the same."""
    fleet = FakeFleet.broken(nodes)
    for node in fleet.nodes:
        node.data = make_log(node.number, nodes, 9)
    if serving:
        finish(fleet, Wish())
    fleet.swap_data("n1", "n2")
    return fleet


def seats(*numbers: int, urls: dict[int, int] | None = None) -> tuple[Seat, ...]:
    """Members 1 and up on the hosts of their numbers; by `urls` a member has the URL of another number."""
    return tuple(Seat(n, f"etcd-n{n}", (url((urls or {}).get(n, n)),), False, f"n{n}") for n in numbers)


def wrong(found: tuple[Seat, ...], *numbers: int) -> list[Misplaced]:
    """Those of the seats that are to get the URL of their own number."""
    return [Misplaced(seat, f"n{seat.id}", ("n9",), (url(seat.id),)) for seat in found if seat.id in numbers]


def played(found: tuple[Seat, ...], made: tuple[Change, ...]) -> dict[int, tuple[str, ...]]:
    """The URLs after the changes; none of which may be refused."""
    now = {seat.id: seat.peer_urls for seat in found}
    for change in made:
        others = {each for other, urls in now.items() if other != change.seat.id for each in urls}
        assert not others & set(change.peer_urls), "Peer URLs already exists"
        now[change.seat.id] = change.peer_urls
    return now


@pytest.mark.parametrize(
    ("urls", "detours"),
    [
        ({1: 2, 2: 1}, 1),
        ({1: 2, 2: 3, 3: 1}, 1),
        ({1: 2, 2: 1, 3: 4, 4: 3}, 2),
        ({1: 2, 2: 7}, 0),  # a chain, whose end is free
        ({1: 8}, 0),
    ],
)
def test_no_change_is_one_that_etcd_refuses(urls: dict[int, int], detours: int) -> None:
    found = seats(1, 2, 3, 4, 5, urls=urls)
    made, blocked = changes(wrong(found, *urls), found)
    assert not blocked
    assert played(found, made) == {n: (url(n),) for n in (1, 2, 3, 4, 5)}
    assert sum(change.detour for change in made) == detours


def test_a_url_that_a_member_has_who_is_away_is_waited_for_unless_he_is_removed() -> None:
    found = seats(1, 2, 3, urls={1: 9, 2: 1})
    made, blocked = changes(wrong(found, 1), found)
    assert not made
    assert [(one.seat.id, other.id) for one, other in blocked] == [(1, 2)]
    made, blocked = changes(wrong(found, 1), found, removed={2})
    assert ([change.peer_urls for change in made], blocked) == ([(url(1),)], ())


def test_an_exchange_that_was_interrupted_is_finished() -> None:
    """The detour is a URL of the right host, but nobody's last one."""
    fleet = swapped()
    _, plan = planned(fleet, Wish())
    assert plan is not None
    steps = [step for step in plan.steps if isinstance(step, UpdateMember)]
    assert [step.detour for step in steps] == [True, False, False]
    opening = [step for step in plan.steps if not isinstance(step, UpdateMember)]
    fleet.do([*opening, *steps[:2]])
    assert [finding.node for finding in diagnose(fleet.survey(), Wish()).findings if finding.code == "wrong-host"] == [
        "n1"
    ]
    _, rest = planned(fleet, Wish())
    assert rest is not None
    left = [step for step in rest.steps if isinstance(step, UpdateMember)]
    assert [(step.member_id, step.peer_urls, step.detour) for step in left] == [(2, (url(1),), False)]


def test_the_finding_the_check_and_the_verdict() -> None:
    seen = swapped().survey()
    found = diagnose(seen, Wish())
    assert (found.verdict, found.remedy) == (Verdict.DEGRADED, Remedy.REPAIR)
    assert [finding.node for finding in found.findings if finding.code == "wrong-host"] == ["n1", "n2"]
    [check] = [check for check in judge(seen, None, whole_fleet(seen)).checks if check.name == "members in place"]
    assert not check.ok
    right = FakeFleet.broken(3)
    finish(right, Wish())
    [check] = [
        c for c in judge(right.survey(), None, whole_fleet(right.survey())).checks if c.name == "members in place"
    ]
    assert check.ok


@pytest.mark.parametrize(("nodes", "serving"), [(3, True), (5, True), (3, False), (5, False)])
def test_it_is_set_right_whatever_interrupts_it(nodes: int, serving: bool) -> None:
    fleet = swapped(nodes, serving=serving)
    assert interrupted_everywhere(fleet.copy(), Wish()) > 3
    end, _ = finish(fleet, Wish())
    assert_whole(fleet, end, Wish())
    assert {member.id: member.peer_urls for member in fleet.live if member.id <= 2} == {1: (url(2),), 2: (url(1),)}


def test_two_that_do_not_hear_each_other_are_not_waited_for() -> None:
    """The third disk is lost: both have sound data, and could be started for ever without electing a leader."""
    fleet = swapped(serving=False)
    fleet.node("n3").data = None
    diagnosis, plan = planned(fleet, Wish())
    assert plan is not None
    assert (diagnosis.remedy, plan.survivor) == (Remedy.RESET, "n1")
    kinds = [type(step) for step in plan.steps]
    assert kinds.index(UpdateMember) < kinds.index(AddMember)
    [step] = [step for step in plan.steps if isinstance(step, UpdateMember)]
    assert (step.leader, step.member_id, step.peer_urls) == ("n1", 2, (url(1),))
    assert interrupted_everywhere(fleet, Wish()) > 10


def test_a_survivor_whose_address_was_changed_gets_its_own_before_anybody_is_added() -> None:
    """Nobody has the old one; while others are members it may be another way to the host, alone it is what joiners are told."""
    fleet = FakeFleet.broken(3, wiped=2)
    chief = fleet.node("n1")
    assert chief.data is not None
    moved = tuple(
        replace(m, peer_urls=("https://10.9.9.9:2380",)) if m.id == 1 else m for m in chief.data.configuration.members
    )
    configuration = replace(chief.data.configuration, members=moved)
    chief.data = replace(chief.data, configuration=configuration, configuration_at_end=configuration)
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert [step.peer_urls for step in plan.steps if isinstance(step, UpdateMember)] == [(url(1),)]
    assert interrupted_everywhere(fleet, Wish()) > 10
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    fleet.live[0] = replace(fleet.live[0], peer_urls=("https://10.9.9.9:2380",))
    assert diagnose(fleet.survey(), Wish()).verdict is Verdict.HEALTHY


def known(seen: Survey) -> tuple[Seat, ...]:
    return diagnose(seen, Wish()).seats


def test_who_can_elect() -> None:
    """Two of five are exchanged: with two that are right they are enough, with one it depends on whose log is longer."""
    fleet = swapped(5, serving=False)
    seen = fleet.survey()
    found = known(seen)
    assert [one.host for one in misplaced(seen, found)] == ["n1", "n2"]
    assert can_elect(seen, found, ("n1", "n3", "n4"))
    assert can_elect(seen, found, ("n3", "n4", "n5"))
    assert not can_elect(seen, found, ("n3", "n4"))
    # a leader that is where it belongs hears all, but must have a log that they vote for
    assert can_elect(seen, found, ("n1", "n2", "n3"))
    third = fleet.node("n3")
    third.data = make_log(3, 5, 8)
    assert not can_elect(fleet.survey(), found, ("n1", "n2", "n3"))
    assert can_elect(fleet.survey(), found, ("n1", "n3", "n4"))


def test_the_update_is_asked_of_one_that_has_quorum() -> None:
    _, plan = planned(swapped(5), Wish())
    assert isinstance(plan, Plan)
    asked = {step.leader for step in all_steps(plan) if isinstance(step, UpdateMember)}
    assert len(asked) == 1


def test_one_of_two_that_were_exchanged_is_lost_then() -> None:
    """Its host is known by its name, since at its address another member runs; removed, it leaves the URL to that one."""
    fleet = swapped(5)
    names = {1: "etcd-n2", 2: "etcd-n1"}  # as each has published itself from the host that it runs on
    fleet.live = [replace(member, name=names.get(member.id, member.name)) for member in fleet.live]
    node = fleet.node("n1")
    assert node.container is not None
    node.container, node.data = replace(node.container, state="exited"), None
    _, plan = planned(fleet, Wish())
    assert plan is not None
    assert not plan.notes
    kinds = [step for step in plan.steps if isinstance(step, RemoveMember | UpdateMember | AddMember)]
    assert [type(step) for step in kinds] == [RemoveMember, UpdateMember, AddMember]
    assert [step.member_id for step in kinds if isinstance(step, RemoveMember | UpdateMember)] == [2, 1]
    assert plan.joins == ("n1",)
    end, _ = finish(fleet, Wish())
    assert_whole(fleet, end, Wish())


def test_an_address_that_is_also_the_hosts_own_is_in_place() -> None:
    """Another host has still the container with which this member ran there before it moved."""
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    seen = fleet.survey()
    [first] = seen.node("n1").containers
    [second] = seen.node("n2").containers
    old = replace(first, id="old", name="etcd-old", state="exited", restart_policy="no")
    nodes = tuple(replace(n, containers=(second, old)) if n.name == "n2" else n for n in seen.nodes)
    assert misplaced(replace(seen, nodes=nodes), known(seen)) == ()


@pytest.mark.parametrize("exchanged", [True, False])
def test_members_that_run_and_do_not_answer_block_unless_they_cannot_hear_each_other(exchanged: bool) -> None:
    """An etcd that has started without quorum takes no client: it may be serving all the same, but not these two."""
    fleet = swapped(serving=False)
    if not exchanged:
        fleet.swap_data("n1", "n2")
    fleet.node("n3").data = None
    seen = fleet.survey()
    nodes = tuple(
        replace(
            n,
            containers=tuple(replace(c, state="running") for c in n.containers),
            status_problem=Problem("command", "context deadline exceeded"),
        )
        for n in seen.nodes
    )
    found = diagnose(replace(seen, nodes=nodes), Wish())
    assert found.remedy is (Remedy.RESET if exchanged else Remedy.BLOCKED)
