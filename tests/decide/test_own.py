"""Which container is a node's own, what it is called, and when that is asked and not guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.own import own_container, own_name, standing_container, unclear
from fleetrecover.docker.argv import from_argv
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Container, Keep, NodeFacts, Pin, Role, settle
from tests.decide.logs import log
from tests.decide.surveys import container, node, survey

RUN = "r20260101T000000Z-abcd"


def opened(**more: object) -> Keep:
    pin = Pin(RUN, "prod", "etcd1", "2026-01-01T00:00:00Z", "reset", (), "")
    return replace(Keep(RUN, f"/var/lib/etcd.fleetrecover/{RUN}", pin), **more)  # type: ignore[arg-type]


def called(name: str, number: int = 1) -> NodeFacts:
    """A node whose only container has that name, its etcd being called etcdN."""
    config = EtcdConfig.of(from_argv(["docker", "run", "etcd", "etcd", f"--name=etcd{number}"]))
    return node(number, containers=(container(name=name, config=config),))


@pytest.mark.parametrize(
    "name", ["etcd1", "prod-etcd-1", "kolla_etcd", "demo_etcd_1", "systemd-etcd", "etcd-member", "etcd-server-old-dc"]
)
def test_another_name_is_its_own_and_stays(name: str) -> None:
    one = called(name)
    seen = survey(one)
    assert own_container(seen, one) is one.containers[0]
    assert own_name(seen, one) == name
    assert standing_container(seen, one) is one.containers[0]


@pytest.mark.parametrize("name", ["etcd-old", "etcd_bak", "etcd.orig-2", "etcd-broken", "etcd-old-58"])
def test_one_that_was_set_aside_by_hand_gets_the_inventorys_name_again(name: str) -> None:
    one = called(name)
    assert own_name(survey(one), one) == "etcd"
    assert standing_container(survey(one), one) is None


def test_the_hosts_own_word_comes_before_the_fleets() -> None:
    both = (container(name="etcd", id="a" * 64), container(name="blue", id="b" * 64))
    one = node(1, containers=both)
    assert own_name(survey(one), one) == "etcd"
    said = replace(one, host=replace(one.host, container="blue"))
    assert own_container(survey(said), said) is both[1]
    assert own_name(survey(said), said) == "blue"


@pytest.mark.parametrize("before", ["etcd1", "prod-etcd-1"])
def test_what_an_open_run_has_set_aside_is_the_original_whatever_its_name(before: str) -> None:
    aside = container("exited", name=f"{before}.fleetrecover-{RUN}", restart_policy="no")
    one = node(1, containers=(aside,), keeps=(opened(names={aside.id: before}),))
    assert own_container(survey(one), one) is aside
    assert own_name(survey(one), one) == before


def test_a_joiner_in_its_place_is_not_the_own_one() -> None:
    aside = container("exited", name=f"etcd1.fleetrecover-{RUN}", restart_policy="no")
    labels = {RUN_LABEL: RUN, ROLE_LABEL: Role.JOINING.value}
    joiner = container(id="j" * 64, name="etcd1", labels=labels)
    keeps = (opened(names={aside.id: "etcd1"}),)
    one = node(1, containers=settle((aside, joiner), keeps), keeps=keeps)
    assert own_container(survey(one), one) is one.containers[0]
    assert standing_container(survey(one), one) is one.containers[1]


@pytest.mark.parametrize("fenced", [False, True])
def test_the_one_that_lived_and_the_same_after_the_fence(fenced: bool) -> None:
    """A younger one that nothing starts is a leftover; the fence makes both look alike, but for what it wrote down."""
    lives = container(id="a" * 64, name="etcd1", created="2025-01-01T00:00:00Z")
    idle = container("exited", id="b" * 64, name="etcd1-copy", restart_policy="no", created="2026-01-01T00:00:00Z")
    keeps: tuple[Keep, ...] = ()
    if fenced:
        keeps = (
            opened(names={lives.id: "etcd1", idle.id: "etcd1-copy"}, policies={lives.id: "always", idle.id: "no"}),
        )
        lives = replace(lives, name=f"etcd1.fleetrecover-{RUN}", state="exited", restart_policy="no")
    one = node(1, containers=(idle, lives), keeps=keeps)
    assert own_container(survey(one), one) is lives
    assert own_name(survey(one), one) == "etcd1"


def bare(number: int) -> NodeFacts:
    return node(number, containers=())


def test_a_node_without_one_is_told_by_the_others() -> None:
    alike = survey(called("prod-etcd", 1), called("prod-etcd", 2), bare(3))
    assert own_name(alike, alike.node("etcd3")) == "prod-etcd"
    logs = log(1, [(2, 20)])
    each = survey(replace(called("etcd1", 1), log=logs), called("etcd2", 2), bare(3))
    assert own_name(each, each.node("etcd3")) == "etcd3"
    mixed = survey(called("blue", 1), called("green", 2), bare(3))
    assert own_name(mixed, mixed.node("etcd3")) == "etcd"
    said = replace(bare(3), host=replace(bare(3).host, container="red"))
    assert own_name(survey(*alike.nodes[:2], said), said) == "red"
    assert own_name(survey(bare(1)), bare(1)) == "etcd"


def two(first: str | None = "/a", second: str | None = "/b") -> tuple[Container, Container]:
    return (
        container("exited", id="a" * 64, name="blue", data_path=first),
        container("exited", id="b" * 64, name="green", data_path=second),
    )


def test_two_with_data_of_their_own_are_not_guessed() -> None:
    one = node(1, log(1, [(2, 20)]), containers=two())
    assert {each.name for each in unclear(survey(one).fleet, one)} == {"blue", "green"}
    judged = diagnose(survey(one), Wish())
    assert (judged.verdict, judged.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert judged.cause is not None
    assert judged.cause.code == "which-container"
    assert 'container = "NAME"' in judged.cause.advice
    assert unclear(survey(one).fleet, node(1, containers=two("/a", "/a"))) == ()
    assert unclear(survey(one).fleet, node(1, containers=two("/a", None))) != ()


def test_a_word_in_the_inventory_makes_it_clear() -> None:
    one = node(1, containers=two())
    said = replace(one, host=replace(one.host, container="green"))
    assert unclear(survey(said).fleet, said) == ()
    assert own_name(survey(said), said) == "green"
    assert unclear(survey(one).fleet, node(1, containers=(container(), *two()))) == ()
