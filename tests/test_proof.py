"""What the applier checks before it believes: the quarantine's answers, the raised commit, whose a peer URL is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.apply import applier as steps_done
from fleetrecover.commands.paths import RunPaths
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.errors import CommandFailed, FleetRecoverError
from fleetrecover.journal import Journal
from tests.decide import surveys
from tests.decide.logs import log
from tests.fakes.transport import FakeTransport, failed
from tests.test_scrub import Silent

PATHS = RunPaths("/d.fleetrecover", "r1")
QUARANTINE = s.Quarantine("etcd1", PATHS, "/d", ContainerSpec("img"), "quarantine", 1, 40)


def status(member: int = 1, revision: int = 41) -> bytes:
    header = {"cluster_id": 9, "member_id": member, "revision": revision, "raft_term": 3}
    body = {"header": header, "version": "3.4.23", "dbSize": 4096, "leader": member, "raftIndex": 60, "raftTerm": 3}
    return json.dumps([{"Endpoint": "e", "Status": body}]).encode()


def members(**urls: str) -> bytes:
    """Members by `m` and their id: `m1="https://…"`."""
    rows = [
        {"ID": int(key[1:]), "name": f"n{key[1:]}", "peerURLs": [url], "clientURLs": []} for key, url in urls.items()
    ]
    return json.dumps({"header": {"cluster_id": 9}, "members": rows}).encode()


def hashed() -> bytes:
    return json.dumps(
        [{"Endpoint": "e", "HashKV": {"header": {"revision": 41}, "hash": 7, "compact_revision": 0}}]
    ).encode()


def answers(**more: Any) -> dict[str, Any]:
    good = {
        "container-state": b'[{"State": {"Status": "running"}}]',
        "endpoint-health": b"http://127.0.0.1:2379 is healthy: successfully committed proposal",
        "endpoint-status": status(),
        "member-list": members(m1="https://10.0.0.1:2380"),
        "hashkv": hashed(),
    }
    return good | more


def applier(tmp_path: Path, hosts: dict[str, Any], nodes: tuple[Any, ...] = ()) -> Applier:
    found = nodes or (surveys.node(1),)
    journal = Journal(tmp_path / "state" / "prod" / "r1.jsonl", "r1")
    return Applier(surveys.survey(*found), FakeTransport(hosts), "t", journal, Silent(), lambda _: None)  # type: ignore[arg-type]


def test_a_quarantine_that_answers_as_it_must(tmp_path: Path) -> None:
    proof = applier(tmp_path, {"etcd1": answers()}).interrogate(QUARANTINE)
    assert (proof.revision, proof.hash, proof.member_id, proof.cluster_id) == (41, 7, 1, 9)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"endpoint-status": status(revision=39)}, "the revision is 39; its database was at 40 before"),
        ({"member-list": members(m1="https://a:1", m2="https://b:1")}, "the members are 1, 2; expected 1 alone"),
        ({"member-list": members(m2="https://b:1")}, "the members are 2; expected 1 alone"),
        ({"endpoint-status": status(member=2)}, "expected 1 alone"),
    ],
)
def test_a_quarantine_with_less_or_with_others_is_no_proof(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(CommandFailed, match=said):
        applier(
            tmp_path, {"etcd1": answers(**{key.replace("_", "-"): value for key, value in more.items()})}
        ).interrogate(QUARANTINE)


def test_a_revision_that_is_just_reached_is_enough(tmp_path: Path) -> None:
    more = {"endpoint-status": status(revision=40)}
    assert applier(tmp_path, {"etcd1": answers() | more}).interrogate(QUARANTINE).revision == 40


@pytest.mark.parametrize(
    ("runs", "commit", "good"), [([(3, 60)], 60, True), ([(3, 60)], 59, False), ([(3, 59)], 59, False)]
)
def test_the_raised_commit_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[tuple[int, int]], commit: int, good: bool
) -> None:
    monkeypatch.setattr(steps_done, "read_remote_log", lambda *_: log(1, runs, commit=commit))
    step = s.RaiseCommit("etcd1", PATHS, "/d", None, 3, 60)
    hosts = {"etcd1": {"member-files": b"", "rename": b"", "*": b""}}
    work = applier(tmp_path, hosts)
    if good:
        assert work.do(step) == "commit 60"
        return
    with pytest.raises(CommandFailed, match="expected term 3, index and commit 60"):
        work.do(step)


# --- members ---


ADD = s.AddMember("etcd2", PATHS, "/d", "etcd1", "n2", ("https://10.0.0.2:2380",), learner=True)
BOTH = (surveys.node(1, log(1, [(3, 60)]), status=surveys.status(1, healthy=True, leader=1)), surveys.node(2))


def test_a_member_that_runs_elsewhere_is_never_taken_for_the_one_to_be_added(tmp_path: Path) -> None:
    """A survivor whose peer URL was another host's: "already a member" was itself, and the join failed for ever."""
    listed = members(m1="https://10.0.0.2:2380")
    with pytest.raises(CommandFailed, match="is that of member 1, which runs on etcd1"):
        applier(tmp_path, {"etcd1": {"member-list": listed}}, BOTH).do(ADD)
    listed = members(m1="https://10.0.0.1:2380", m5="https://10.0.0.2:2380")
    assert applier(tmp_path, {"etcd1": {"member-list": listed}}, BOTH).do(ADD) == "already a member (5)"


UPDATE = s.UpdateMember("etcd1", PATHS, "/d", "etcd1", 1, "etcd1", ("https://10.0.0.1:2380",))


def test_a_peer_url_is_changed_once_and_again_only_while_etcd_is_not_ready(tmp_path: Path) -> None:
    wrong, right = members(m1="https://10.0.0.2:2380"), members(m1="https://10.0.0.1:2380")
    work = applier(tmp_path, {"etcd1": {"member-list": right}}, BOTH)
    assert str(work.do(UPDATE)).endswith("already")
    hosts = {"etcd1": {"member-list": wrong, "member-update": [failed(1, "etcdserver: unhealthy cluster"), b""]}}
    work = applier(tmp_path, hosts, BOTH)
    work.do(UPDATE)
    assert [each for each in work.transport.names() if each == "member-update"] == ["member-update"] * 2  # type: ignore[attr-defined]
    script = next(a.command.script for a in work.transport.asked if a.name == "member-update")  # type: ignore[attr-defined]
    assert "member update 1 --peer-urls=https://10.0.0.1:2380" in script
    work = applier(
        tmp_path, {"etcd1": {"member-list": wrong, "member-update": failed(1, "Peer URLs already exists")}}, BOTH
    )
    with pytest.raises(CommandFailed, match="already exists"):
        work.do(UPDATE)


# --- who cannot elect ---


def test_a_wait_in_vain_says_what_each_member_says_the_reason_first(tmp_path: Path) -> None:
    said = {
        "etcd1": b"2026 I | etcdmain: etcd Version: 3.4.23\n2026 C | etcdmain: open /etc/ca.pem: no such file or directory\n",
        "etcd2": b"2026 I | raft: 2 is starting a new election at term 7\n",
    }
    hosts = {
        name: {
            "container-state": b'[{"State": {"Status": "restarting"}}]',
            "container-logs": text,
            "endpoint-status": failed(1, "context deadline exceeded"),
        }
        for name, text in said.items()
    }
    now = iter(range(0, 10**6, 30))
    work = applier(tmp_path, hosts, (surveys.node(1), surveys.node(2)))
    work.clock = lambda: float(next(now))
    step = s.AwaitQuorum("etcd1", PATHS, "/d", ("etcd1", "etcd2"))
    with pytest.raises(FleetRecoverError) as caught:
        work.do(step)
    lines = caught.value.message.splitlines()
    assert lines[1] == (
        "  etcd1: container etcd is restarting: 2026 C | etcdmain: open /etc/ca.pem: no such file or directory"
    )
    assert all(line.startswith(("  etcd1: ", "  etcd2: ")) for line in lines[1:])
    assert "starting a new election" in lines[-1]
    assert "--survivor" in (caught.value.hint or "")
    with pytest.raises(FleetRecoverError) as caught:
        work.do(replace(step, else_reset=False))
    assert "fleetrecover undo r1" in (caught.value.hint or "") and "--survivor" not in (caught.value.hint or "")
