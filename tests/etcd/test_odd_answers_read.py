"""Answers of etcdctl as clusters really give them: odd names, members that never started, large ids, words of later versions.

Own inputs of the kinds et-members and et-status-36 of tests/cases; what protobuf leaves out when it is zero is not there.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleetrecover.errors import FormatError
from fleetrecover.etcd.etcdctl import parse_endpoint_status, parse_member_list

LARGE = 2**64 - 1


@pytest.mark.parametrize("name", ["ноде-é", 'n"1 $(id)', "etcd.1.example.net ", "0", "a=b,c=http://x:1", "\u202egnp"])
def test_a_member_of_any_name(name: str) -> None:
    text = json.dumps({"members": [{"ID": LARGE, "name": name, "peerURLs": ["http://10.9.0.1:2380"]}]})
    [member] = parse_member_list(text).members
    assert (member.id, member.name, member.peer_urls, member.client_urls) == (
        LARGE,
        name,
        ("http://10.9.0.1:2380",),
        (),
    )
    assert not member.learner


@pytest.mark.parametrize(
    ("row", "learner"),
    [
        ({"ID": 1, "peerURLs": ["https://[2001:db8:9::1]:2380"]}, False),
        ({"ID": 2, "name": "", "peerURLs": ["http://a:2380", "http://b:2380"], "clientURLs": None}, False),
        ({"ID": 3, "peerURLs": ["http://a:2380"], "isLearner": True, "clientURLs": []}, True),
    ],
)
def test_one_that_never_started(row: dict[str, Any], learner: bool) -> None:
    [member] = parse_member_list(json.dumps({"header": {"cluster_id": LARGE}, "members": [row]})).members
    assert (member.name, member.client_urls, member.learner) == ("", (), learner)
    assert list(member.peer_urls) == row["peerURLs"]


STATUS = {"version": "3.6.0", "dbSize": 4096, "raftIndex": 8, "raftTerm": 2}


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        # since 3.6: what it may hold, how it is stored, and a downgrade under way
        (
            {
                "storageVersion": "3.6.0",
                "dbSizeQuota": 2**40,
                "downgradeInfo": {"enabled": True, "targetVersion": "3.5"},
            },
            0,
        ),
        # of a version to come, nested and in lists
        ({"leader": LARGE, "shards": [{"id": 1}], "feature": {"on": [True, None, 1.5]}}, LARGE),
        # without a leader the field is left out, and errors say it
        ({"errors": ["etcdserver: no leader"], "header": {"member_id": 2**63, "raft_term": 7}}, 0),
    ],
)
def test_a_status_with_words_that_are_not_known(more: dict[str, Any], wanted: int) -> None:
    [status] = parse_endpoint_status(json.dumps([{"Endpoint": "https://127.0.0.1:2379", "Status": STATUS | more}]))
    assert (status.version, status.leader, status.raft_index) == ("3.6.0", wanted, 8)
    assert status.header.member_id == more.get("header", {}).get("member_id", 0)


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "x", None, [1], True])
def test_an_id_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        parse_member_list(json.dumps({"members": [{"ID": value, "name": "a"}]}))
