"""Interrupted anywhere, every container comes back under its own name, whatever it is and whatever the inventory says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.own import own_name
from tests.decide.test_resume import RUN, all_steps, finish, planned
from tests.fakes.nodes import FakeFleet

NAMES: dict[str, Callable[[int], tuple[str, str]]] = {
    # what the node's container is called, and what it is to be called in the end
    "Kubespray's": lambda number: (f"etcd{number}",) * 2,
    "one for all": lambda _: ("prod-etcd",) * 2,
    "the members' own": lambda number: (f"etcd-n{number}",) * 2,
    "compose's": lambda number: (f"node{number}_etcd_1",) * 2,
    "one of them is the inventory's": lambda number: ("etcd" if number == 2 else f"etcd{number}",) * 2,
    "set aside by hand": lambda _: ("etcd-old", "etcd"),
}


def renamed(kind: str, nodes: int, wiped: int, version: str) -> FakeFleet:
    fleet = FakeFleet.broken(nodes, wiped, 0, version)
    for node in fleet.nodes:
        assert node.container is not None
        node.container = replace(node.container, name=NAMES[kind](node.number)[0])
    return fleet


@pytest.mark.parametrize("version", ["3.3.25", "3.4.23"])
@pytest.mark.parametrize(
    ("nodes", "wiped"), [(1, 0), (2, 1), (3, 1), (3, 2), pytest.param(5, 3, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("kind", NAMES)
def test_every_container_comes_back_under_its_own_name(kind: str, nodes: int, wiped: int, version: str) -> None:
    fleet = renamed(kind, nodes, wiped, version)
    wish, interruptions = Wish(), 0
    for _ in range(6):
        _, plan = planned(fleet, wish)
        if plan is None:
            break
        for step in all_steps(plan):
            for effect in fleet.effects(step):
                effect()
                interrupted = fleet.copy()
                finish(interrupted, wish)
                interruptions += 1
                assert_named(interrupted, kind)
    assert interruptions
    assert_named(fleet, kind)


def assert_named(fleet: FakeFleet, kind: str) -> None:
    for node in fleet.nodes:
        assert [c.name for c in node.containers] == [NAMES[kind](node.number)[1]]
        assert [c.id for c in node.containers] == [f"own{node.number}"]
        assert node.containers[0].restart_policy == "always"


@pytest.mark.parametrize(
    ("kind", "name"), [("Kubespray's", "etcd"), ("one for all", "prod-etcd"), ("the members' own", "etcd-n3")]
)
def test_a_node_whose_container_is_gone_gets_one_with_the_name_that_the_others_tell(kind: str, name: str) -> None:
    fleet = renamed(kind, 3, 2, "3.4.23")
    fleet.nodes[2].container = None
    seen = fleet.survey()
    assert own_name(seen, seen.node("n3")) == name
    finish(fleet, Wish())
    assert [c.name for c in fleet.nodes[2].containers] == [name]
    assert [c.made_by for c in fleet.nodes[2].containers] == [RUN]
