"""Whose a container is, by what the nodes show."""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Keep, Pin, Role, settle
from tests.decide.surveys import container, node

RUN = "r20260101T000000Z-abcd"
OURS = container(labels={RUN_LABEL: RUN, ROLE_LABEL: Role.JOINING.value})


def keep(**more: object) -> Keep:
    """A run that has begun on the node."""
    pin = Pin(RUN, "prod", "etcd1", "2026-01-01T00:00:00Z", "reset", (), "")
    return replace(Keep(RUN, f"/var/lib/etcd.fleetrecover/{RUN}", pin), **more)  # type: ignore[arg-type]


def test_what_a_run_has_made_is_the_nodes_own_once_the_run_is_closed() -> None:
    for keeps, own in (
        ([keep()], False),
        ([keep(finished=True)], True),
        ([keep(undone=True)], True),
        ([], True),
    ):
        [found] = settle([OURS], keeps)
        assert (found.role is None, found.made_for, found.made_by) == (own, Role.JOINING, RUN)
        assert (node(1, containers=(found,)).original("etcd") == found) is own


def test_a_quarantine_is_never_anybodys_own() -> None:
    [found] = settle([container(labels={RUN_LABEL: RUN, ROLE_LABEL: Role.QUARANTINE.value})], [])
    assert found.role is Role.QUARANTINE


def test_set_aside_by_a_later_run() -> None:
    later = replace(OURS, name="etcd.fleetrecover-r20270101T000000Z-0123--")
    [found] = settle([later], [keep(finished=True)])
    assert (found.run, found.kept_name) == ("r20270101T000000Z-0123", "etcd")


def test_of_two_that_were_set_aside_the_one_that_the_run_found() -> None:
    old = container("exited", id="a" * 64, name=f"etcd.fleetrecover-{RUN}", created="2026-01-01T00:00:00Z")
    new = container("exited", id="b" * 64, name=f"etcd.fleetrecover-{RUN}-", created="2026-02-01T00:00:00Z")
    found = node(1, containers=(old, new), keeps=(keep(names={"a" * 64: "etcd"}),))
    assert found.original("etcd") == old
    assert node(1, containers=(old, new)).original("etcd") == new


def test_of_two_that_the_run_found_the_one_that_stood_in_its_place_then() -> None:
    """The other had been set aside by an earlier run, for good: it carries the force flag."""
    earlier = "r20250101T000000Z-0123"
    first = container("exited", id="a" * 64, name=f"etcd.fleetrecover-{earlier}", created="2026-02-01T00:00:00Z")
    stood = container("exited", id="b" * 64, name=f"etcd.fleetrecover-{RUN}", created="2026-01-01T00:00:00Z")
    names = {first.id: first.name, stood.id: "etcd"}
    for both in ((first, stood), (stood, first)):
        assert node(1, containers=both, keeps=(keep(names=names),)).original("etcd") == stood
