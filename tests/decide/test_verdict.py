"""The checks of a whole cluster: each is good where all is well, and bad for the one thing that it is there to see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.verdict import Check, Expectation, Hashes, judge
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, NodeFacts, Problem, Role, Survey
from fleetrecover.verify import whole_fleet
from tests.decide.test_resume import RUN, finish
from tests.fakes.nodes import FakeFleet

SAME = Hashes(30, {"n1": (7, 0), "n2": (7, 0), "n3": (7, 0)})


def whole() -> Survey:
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    return fleet.survey()


def changed(seen: Survey, name: str, **more: object) -> Survey:
    nodes = tuple(replace(n, **more) if n.name == name else n for n in seen.nodes)  # type: ignore[arg-type]
    return replace(seen, nodes=nodes)


def with_container(seen: Survey, name: str, **more: object) -> Survey:
    """The node's own container, changed."""
    [own] = seen.node(name).containers
    return changed(seen, name, containers=(replace(own, **more),))  # type: ignore[arg-type]


def beside(seen: Survey, node: str, **more: object) -> Survey:
    """A second container on the node."""
    [own] = seen.node(node).containers
    values: dict[str, object] = {"id": "second", "name": "other", "state": "exited", "restart_policy": "no"}
    return changed(seen, node, containers=(own, replace(own, **(values | more))))  # type: ignore[arg-type]


def check(name: str, seen: Survey, hashes: Hashes | None = SAME, expected: Expectation | None = None) -> Check:
    [found] = [each for each in judge(seen, hashes, expected or whole_fleet(seen)).checks if each.name == name]
    return found


def test_a_whole_cluster_is_whole() -> None:
    seen = whole()
    judgement = judge(seen, SAME, whole_fleet(seen))
    assert [each.name for each in judgement.checks if not each.ok] == []
    assert judgement.ok
    assert judgement.hash_equal is True


@pytest.mark.parametrize("other", [(8, 0), (7, 3), None])
def test_another_hash_another_compaction_or_none_is_not_the_same_content(other: tuple[int, int] | None) -> None:
    hashes = Hashes(30, {"n1": (7, 0), "n2": other, "n3": (7, 0)})
    judgement = judge(whole(), hashes, whole_fleet(whole()))
    assert not check("same content", whole(), hashes).ok
    assert judgement.hash_equal is (None if other is None else False)


def test_two_leaders_or_two_clusters_are_not_one() -> None:
    seen = whole()
    status = seen.node("n2").status
    assert status is not None
    assert check("one cluster", seen).ok
    assert not check("one cluster", changed(seen, "n2", status=replace(status, leader_id=status.member_id))).ok
    assert not check("one cluster", changed(seen, "n2", status=replace(status, cluster_id=5))).ok


@pytest.mark.parametrize(
    ("container", "good"),
    [
        ({"forced": True, "name": "other"}, False),  # stopped, without a policy: somebody may start it
        ({"forced": True, "name": f"etcd.fleetrecover-{RUN}"}, True),
        ({"forced": True, "name": f"etcd.fleetrecover-{RUN}", "restart_policy": "always"}, False),
        ({"forced": True, "name": f"etcd.fleetrecover-{RUN}", "state": "running"}, False),
        ({"forced": False, "name": "other"}, True),
    ],
)
def test_what_carries_the_force_flag_is_bad_unless_it_lies_aside(container: dict[str, object], good: bool) -> None:
    assert check("no force flag", beside(whole(), "n2", **container)).ok is good


def test_the_nodes_own_container_with_the_flag() -> None:
    for state in ("running", "exited"):
        assert not check("no force flag", with_container(whole(), "n2", forced=True, state=state)).ok


def test_a_second_container_that_would_start_or_runs() -> None:
    seen = whole()
    assert check("no second container", beside(seen, "n1")).ok
    assert not check("no second container", beside(seen, "n1", restart_policy="always")).ok
    assert not check("no second container", beside(seen, "n1", state="running")).ok
    labels = {RUN_LABEL: RUN, ROLE_LABEL: Role.QUARANTINE.value}
    assert not check("no second container", beside(seen, "n1", labels=labels)).ok


def test_a_restart_policy_is_held_against_what_it_was() -> None:
    seen = whole()
    wanted = replace(whole_fleet(seen), policies=dict.fromkeys(("n1", "n2", "n3"), "always"))
    assert check("restart policies", seen, expected=wanted).ok
    assert not check("restart policies", with_container(seen, "n2", restart_policy="no"), expected=wanted).ok
    # where nobody has taken it away it is the operator's; that etcd stays away is said
    none = check("restart policies", with_container(seen, "n2", restart_policy="no"))
    assert none.ok
    assert "etcd stays away after a reboot on n2" in none.detail
    assert "update --restart=always" in none.detail


def test_what_was_not_looked_at_is_not_guessed() -> None:
    away = NodeFacts(whole().node("n3").host, reachable=False, problem=Problem("unreachable", "n3: no answer"))
    seen = replace(whole(), nodes=(*whole().nodes[:2], away))
    found = check("restart policies", seen)
    assert (found.ok, found.detail) == (False, "not known: n3 was not reached")


def test_an_alarm_and_a_member_that_is_missing() -> None:
    seen = whole()
    assert not check("no alarm", changed(seen, "n1", alarms=("NOSPACE 1",))).ok
    assert not check("healthy", changed(seen, "n3", status=None, members=None)).ok
    listed = tuple(member for member in seen.node("n1").members or () if member.name != "etcd-n3")
    for node in ("n1", "n2", "n3"):
        seen = changed(seen, node, members=listed)
    found = check("members", seen)
    assert (found.ok, found.detail) == (False, "not voting: n3")
