"""A reseed is planned again after every effect of every plan: it comes to the same end, and nothing starts too early.

That nobody starts before the last one's data is in place, and none is put in place before the last one is whole, the fakes
assert at every effect; what is here is that it always goes on, with the same survivor and the same method.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Remedy, Wish
from fleetrecover.errors import Refused
from fleetrecover.facts import RESEED, Pin
from fleetrecover.steps import AddMember, AdoptSeed, Join, SeedData, StartOriginal
from tests.decide.test_resume import BY_SIZE, all_steps, assert_whole, finish, interrupted_everywhere, planned
from tests.fakes.nodes import FakeFleet, make_log

CASES = [
    (nodes, wiped, dead, version)
    for nodes in range(1, 6)
    for wiped in range(nodes)
    for dead in range(nodes - wiped)
    for version in ("3.3.25", "3.4.23")
]


def broken(nodes: int, wiped: int, dead: int, version: str) -> tuple[FakeFleet, Wish]:
    """A fleet that has lost its quorum, and the operator's word."""
    fleet = FakeFleet.broken(nodes, wiped, dead, version)
    fleet.databases = True
    gone = frozenset(node.name for node in fleet.nodes if not node.accessible)
    return fleet, Wish(dead=gone, method=RESEED)


@pytest.mark.parametrize(
    ("nodes", "wiped", "dead", "version"),
    [pytest.param(*case, marks=BY_SIZE.get(case[0], ())) for case in CASES],
)
def test_replanning_after_every_effect_comes_to_the_same_end(nodes: int, wiped: int, dead: int, version: str) -> None:
    fleet, wish = broken(nodes, wiped, dead, version)
    assert interrupted_everywhere(fleet, wish) > 0


@pytest.mark.parametrize(("nodes", "wiped", "dead"), [(3, 2, 0), (3, 1, 1), (5, 2, 1)])
def test_every_host_at_hand_gets_the_best_log_under_its_own_id(nodes: int, wiped: int, dead: int) -> None:
    fleet, wish = broken(nodes, wiped, dead, "3.4.23")
    _, plan = planned(fleet, wish)
    assert plan is not None and plan.method is not None
    assert (plan.remedy, plan.survivor, plan.method.name) == (Remedy.RESET, "n1", RESEED)
    at_hand = [node for node in fleet.nodes if node.accessible]
    seeds = {step.node: step for step in plan.steps if isinstance(step, SeedData)}
    assert {name: step.seed.node_id for name, step in seeds.items()} == {node.name: node.number for node in at_hand}
    gone = {node.number for node in fleet.nodes if not node.accessible}
    assert {step.seed.removed for step in seeds.values()} == {tuple(sorted(gone))}
    assert {step.source for step in seeds.values()} == {"n1"}
    assert not [step for step in plan.steps if isinstance(step, AddMember | Join)]
    started = [step for step in plan.steps if isinstance(step, StartOriginal)]
    assert {step.node for step in started} == {node.name for node in at_hand}
    adopted = [step.node for step in plan.steps if isinstance(step, AdoptSeed)]
    assert adopted[0] == "n1"


def test_a_run_goes_on_with_its_method() -> None:
    """Asked again without a word, it is the same; with another word it is refused once data was moved."""
    fleet, wish = broken(3, 2, 0, "3.4.23")
    plain = replace(wish, method="auto")
    _, plan = planned(fleet, wish)
    assert plan is not None
    fence = plan.stage("fence")
    assert fence is not None
    fleet.do(fence.steps)
    for word in (plain, wish):
        _, again = planned(fleet, word)
        assert again is not None and again.method is not None and again.method.name == RESEED
    _, other = planned(fleet, replace(wish, method="reset"))
    assert other is not None and other.method is not None and other.method.name == "reset"
    _, plan = planned(fleet, wish)
    keep = plan.stage("keep") if plan else None
    assert keep is not None
    fleet.do(keep.steps)
    with pytest.raises(Refused, match="goes by reseed and has moved data"):
        planned(fleet, replace(wish, method="reset"))
    end, _ = finish(fleet, plain)
    assert_whole(fleet, end, plain)


def test_auto_resets_and_says_that_it_could_be_reseeded() -> None:
    fleet, wish = broken(3, 2, 0, "3.4.23")
    _, plan = planned(fleet, replace(wish, method="auto"))
    assert plan is not None and plan.method is not None
    assert plan.method.name == "reset"
    assert "--method reseed" in plan.method.why
    fleet.databases = False
    _, plan = planned(fleet, replace(wish, method="auto"))
    assert plan is not None and plan.method is not None
    assert "n1's database cannot be read" in plan.method.why


def begin(fleet: FakeFleet, wish: Wish, *stages: str) -> None:
    """Do these stages, planning anew before each."""
    for name in stages:
        _, plan = planned(fleet, wish)
        part = plan.stage(name) if plan else None
        assert part is not None, name
        fleet.do(part.steps)


def test_a_dead_host_that_is_named_after_the_survivor_has_its_new_data() -> None:
    """Two of three have theirs; the third burns down between: the two are a quorum, and go on."""
    fleet, wish = broken(3, 2, 0, "3.4.23")
    begin(fleet, wish, "fence", "keep", "seed", "prove", "adopt-first")
    fleet.node("n3").accessible = False
    lost = replace(wish, dead=frozenset({"n3"}))
    fleet.node("n3").seed = None
    assert interrupted_everywhere(fleet, lost) > 3


def test_clones_of_another_membership_are_made_anew() -> None:
    """Before anything is in place one more host dies: what lies ready counts it as a voter, and is not used."""
    fleet, wish = broken(3, 2, 0, "3.4.23")
    begin(fleet, wish, "fence", "keep", "seed")
    fleet.node("n3").accessible = False
    lost = replace(wish, dead=frozenset({"n3"}))
    _, plan = planned(fleet, lost)
    assert plan is not None
    assert {step.seed.removed for step in plan.steps if isinstance(step, SeedData)} == {(3,)}
    assert interrupted_everywhere(fleet, lost) > 3


@pytest.mark.parametrize("wiped", [1, 2])
def test_a_host_that_was_no_member_comes_in_when_quorum_stands(wiped: int) -> None:
    """Three members, and a fourth host that has only its container: it is told in the plan, and added afterwards."""
    fleet = FakeFleet.broken(4, 1)
    fleet.databases = True
    for node in fleet.nodes[:3]:
        node.data = make_log(node.number, 3, 20 - node.number) if node.number <= 3 - wiped else None
    wish = Wish(method=RESEED, survivor="n1")
    _, plan = planned(fleet, wish)
    assert plan is not None
    assert {step.node for step in plan.steps if isinstance(step, SeedData)} == {"n1", "n2", "n3"}
    assert (plan.joins, plan.left_out) == (("n4",), {})
    assert any("n4 is brought in as new" in note for note in plan.notes)
    assert interrupted_everywhere(fleet, wish) > 10
    assert {member.id for member in fleet.live} == {1, 2, 3, 101}


def test_what_is_pinned() -> None:
    """The method stands in run.json, so that any bastion goes on with it."""
    fleet, wish = broken(3, 2, 0, "3.4.23")
    _, plan = planned(fleet, wish)
    assert plan is not None
    for step in all_steps(plan):
        fleet.do([step])
    pins = [keep.pin for node in fleet.nodes for keep in node.keeps.values()]
    assert len(pins) == 3
    assert all(isinstance(pin, Pin) and (pin.method, pin.kind) == (RESEED, "reset") for pin in pins)
