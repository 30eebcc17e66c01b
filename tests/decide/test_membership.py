"""Whose member is whose."""

from __future__ import annotations

import pytest

from fleetrecover.decide.membership import Seat, host_of_url, logs_needed, port_of_url, quorum, seats, seats_of
from fleetrecover.etcd.membership import Configuration, Member
from tests.decide.logs import configuration, log
from tests.decide.surveys import node, survey


@pytest.mark.parametrize("voters", range(1, 12))
def test_logs_needed_always_meet_a_quorum_and_one_fewer_may_not(voters: int) -> None:
    assert logs_needed(voters) + quorum(voters) == voters + 1
    assert 2 * quorum(voters) > voters


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://10.0.0.1:2381", "10.0.0.1", 2381),
        ("https://[fd00::1]:2380", "fd00::1", 2380),
        ("https://etcd1", "etcd1", 2380),
        ("https://[broken", "", 2380),
        ("", "", 2380),
    ],
)
def test_urls(url: str, host: str, port: int) -> None:
    assert (host_of_url(url), port_of_url(url)) == (host, port)


def test_a_member_is_found_by_its_id_before_its_address() -> None:
    """etcd1's disk was put into etcd2's machine: the id in the data says whose it is."""
    swapped = survey(node(1), node(2, log(1, [(1, 9)])))
    found = seats_of(swapped, configuration((1, 2)))
    assert {seat.id: seat.host for seat in found}[1] == "etcd2"


def test_a_member_is_found_by_its_address_then_by_its_name() -> None:
    by_address = Member(7, "whoever", ("https://10.0.0.2:2380",))
    by_name = Member(8, "etcd3", ("https://192.168.0.3:2380",))
    found = seats(survey(node(1), node(2), node(3)), (by_address, by_name), frozenset())
    assert {seat.id: seat.host for seat in found} == {7: "etcd2", 8: "etcd3"}


def test_a_member_that_is_no_host_keeps_its_seat() -> None:
    found = seats_of(survey(node(1, log(1, [(1, 9)]))), Configuration(voters=frozenset({1, 99})))
    assert [(seat.label, seat.host) for seat in found] == [("etcd1", "etcd1"), ("member 63", None)]


def test_one_host_has_one_seat() -> None:
    twice = (Member(1, "etcd1", ("https://10.0.0.1:2380",)), Member(4, "etcd1", ("https://10.0.0.1:2380",)))
    found = seats(survey(node(1, log(1, [(1, 9)]))), twice, frozenset())
    assert sorted((seat.id, seat.host) for seat in found) == [(1, "etcd1"), (4, None)]


def test_who_is_meant_by_hosts_and_ids() -> None:
    """A member's name counts only where it is no host: another one's host may be called so."""
    seated = Seat(0xAB, "etcd3", (), learner=False, host="etcd1")
    assert seated.among(frozenset({"etcd1"})) and seated.among(frozenset({"ab"}))
    assert not seated.among(frozenset({"etcd3"}))
    away = Seat(0xAB, "etcd3", (), learner=False, host=None)
    assert away.among(frozenset({"etcd3"})) and away.among(frozenset({"ab"}))
    assert not away.among(frozenset({"etcd1"}))
