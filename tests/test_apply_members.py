"""What a step asks, waits for and repeats besides acting: starting, joining, promoting, and taking back a join that failed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import limits
from fleetrecover import steps as s
from fleetrecover.apply import Applier, reason_of
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import CommandFailed, FleetRecoverError
from fleetrecover.facts import Container
from fleetrecover.journal import Journal
from fleetrecover.model import Command, Host
from fleetrecover.remote import WaitTimeout
from tests.decide import surveys
from tests.fakes.cluster import Cluster, Engine, Listed
from tests.fakes.nodes import make_container
from tests.fakes.transport import FakeTransport
from tests.test_scrub import Silent

PATHS = RunPaths("/d.fleetrecover", "r1")
URL = {1: "https://10.0.0.1:2380", 2: "https://10.0.0.2:2380"}
OWN: dict[int, Container] = {number: make_container(number, 2) for number in (1, 2)}
JOIN = s.Join("etcd2", PATHS, "/d", "etcd1", OWN[2].spec, "etcd-join", "etcd-n2", (URL[2],), "0:0", "0700")  # type: ignore[arg-type]
PROMOTE = s.Promote("etcd2", PATHS, "/d", "etcd1", (URL[2],))
ADD = s.AddMember("etcd2", PATHS, "/d", "etcd1", "n2", (URL[2],), learner=True)


class Bench:
    """An applier over two nodes of one cluster, with a clock of its own."""

    def __init__(self, tmp_path: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.now = 0.0
        more: dict[str, Any] = {"run etcd-join": self.joins, "start": self.starts, "run etcd": self.starts}
        self.transport = FakeTransport({host: cluster.answers(host, **more) for host in cluster.engines})
        nodes = [surveys.node(number, containers=(OWN[number],)) for number in (1, 2)]
        self.journal = Journal(tmp_path / "r1.jsonl", "r1")
        self.applier = Applier(
            surveys.survey(*nodes),
            self.transport,
            "t",
            self.journal,
            Silent(),  # type: ignore[arg-type]
            self.sleep,
            lambda: self.now,
        )
        self.comes = True

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def joins(self, host: Host, _: Command) -> str:
        """The joiner's container starts; its etcd, if it comes, names itself."""
        self.cluster.engines[host.name].containers["etcd-join"] = ("running" if self.comes else "exited", "r1", "j")
        if self.comes:
            self.cluster.serving[host.name] = 7
        return ""

    def starts(self, host: Host, _: Command) -> str:
        if self.comes:
            self.cluster.serving[host.name] = 1
        return ""

    def names(self, host: str | None = None) -> list[str]:
        return [name for name in self.transport.names(host) if name not in ("container-state", "endpoint-status")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    members = [Listed(1, "n1", URL[1]), Listed(7, "", URL[2], learner=True)]
    return Bench(tmp_path, Cluster(members, {"etcd1": Engine(), "etcd2": Engine()}, {"etcd1": 1}))


# --- starting ---

START = s.StartOriginal("etcd1", PATHS, "/d", "own1", "etcd", "always")


def test_a_member_that_is_started_is_waited_for(bench: Bench) -> None:
    bench.cluster.serving.clear()
    bench.cluster.leader = 0

    def elects(seconds: float) -> None:
        bench.now += seconds
        bench.cluster.leader = 1 if bench.now > 5 else 0

    bench.applier.sleep = elects
    assert bench.applier.do(START) == "etcd, restart policy always"
    assert 5 < bench.now < 7
    assert bench.applier.moments == {"writable": bench.now}


def test_one_that_never_answers_is_told_with_its_last_words(bench: Bench) -> None:
    bench.comes = False
    bench.cluster.serving.clear()
    bench.cluster.told["etcd1"] = "C | etcdmain: open /ca.pem: no such file"
    bench.cluster.engines["etcd1"].containers["etcd"] = ("exited", "", "own1")
    with pytest.raises(WaitTimeout, match=r"container etcd is exited; it last said: C \| etcdmain: open /ca.pem"):
        bench.applier.do(START)
    assert limits.HEALTHY - 2 <= bench.now <= limits.HEALTHY
    assert bench.applier.moments == {}


def test_what_stands_in_its_place_is_removed_unless_it_is_itself(bench: Bench) -> None:
    step = replace(START, replaces="etcd")
    bench.cluster.engines["etcd1"].containers["etcd"] = ("exited", "r1", "another")
    bench.applier.do(step)
    assert bench.names()[:2] == ["remove-container", "start"]
    bench.transport.asked.clear()
    bench.cluster.engines["etcd1"].containers["etcd"] = ("exited", "", "own1")
    bench.applier.do(step)
    assert bench.names()[0] == "start"


# --- joining ---


def test_a_joiner_is_started_once(bench: Bench) -> None:
    assert bench.applier.do(JOIN) == "started as etcd-n2"
    assert bench.names("etcd2") == ["data-dir", "remove-container", "run etcd-join"]
    bench.transport.asked.clear()
    assert bench.applier.do(JOIN) == "started as etcd-n2"
    assert "run etcd-join" not in bench.names("etcd2")


@pytest.mark.parametrize(("state", "run"), [("exited", "r1"), ("running", "r0")])
def test_one_that_has_ended_or_is_another_runs_is_made_anew(bench: Bench, state: str, run: str) -> None:
    bench.cluster.engines["etcd2"].containers["etcd-join"] = (state, run, "j")
    bench.applier.do(JOIN)
    assert bench.names("etcd2")[-2:] == ["remove-container", "run etcd-join"]


def test_a_joiner_that_ends_is_told_at_once(bench: Bench) -> None:
    bench.comes = False
    bench.cluster.told["etcd2"] = "C | etcdmain: error validating peerURLs"
    with pytest.raises(CommandFailed, match=r"the joiner ended: .*error validating peerURLs"):
        bench.applier.do(JOIN)
    assert bench.now < 1


def test_one_that_is_no_member_is_not_started(bench: Bench) -> None:
    bench.cluster.members.pop()
    with pytest.raises(CommandFailed, match="etcd-n2 is not in the member list"):
        bench.applier.do(JOIN)
    assert "run etcd-join" not in bench.names()


def test_another_members_answer_is_not_the_joiners(bench: Bench) -> None:
    """Its own log must name its id: what answers there may be an older member."""
    bench.applier.do(JOIN)
    bench.cluster.serving["etcd2"] = 3
    with pytest.raises(WaitTimeout, match="etcd-n2 to start"):
        bench.applier.await_joined(JOIN)
    bench.cluster.members[1].name = "n2"
    bench.applier.await_joined(JOIN)


REOPEN = s.Reopen("etcd2", PATHS, "/d", JOIN.spec, "etcd-join")


def test_one_that_takes_no_clients_is_started_again(bench: Bench) -> None:
    """It came in by a raft snapshot: its port would open 15 s late."""

    def restarts(host: Host, _: Command) -> str:
        bench.cluster.serving[host.name] = 7
        return ""

    bench.transport.script("etcd2", "restart", restarts)
    assert bench.applier.do(REOPEN) == "etcd-join, started again"
    assert bench.names("etcd2") == ["restart", "endpoint-health"]
    assert bench.applier.do(REOPEN) == "it takes clients"
    assert bench.names("etcd2") == ["restart", "endpoint-health"]


# --- promoting ---


def test_a_learner_is_promoted_when_it_has_caught_up(bench: Bench) -> None:
    bench.cluster.lagging = 4
    bench.cluster.busy = 2
    assert bench.applier.do(PROMOTE) == "voter 7"
    assert bench.names().count("member-promote") == 7
    assert not bench.cluster.members[1].learner
    assert bench.applier.do(PROMOTE) == "already a voter (7)"
    assert bench.names().count("member-promote") == 7


def test_one_that_never_catches_up_is_told(bench: Bench) -> None:
    bench.cluster.lagging = 10**6
    with pytest.raises(FleetRecoverError, match="in sync with leader"):
        bench.applier.do(PROMOTE)
    assert bench.now >= limits.PROMOTE.total - 1


def test_one_that_is_gone_is_not_promoted(bench: Bench) -> None:
    bench.cluster.members.pop()
    with pytest.raises(CommandFailed, match="it is not in the member list any more"):
        bench.applier.do(PROMOTE)


# --- a join that failed ---


def failed_join(*, learner: bool = True) -> s.Stage:
    made = s.stage("join", "Join", [[replace(ADD, learner=learner), JOIN, PROMOTE]])
    assert made is not None
    return made


def test_the_learner_of_a_join_that_failed_is_removed(bench: Bench) -> None:
    bench.applier.take_back_join(failed_join())
    assert [member.id for member in bench.cluster.members] == [1]


@pytest.mark.parametrize("why", ["a voter", "gone", "added as a voter"])
def test_nothing_else_is_removed(bench: Bench, why: str) -> None:
    if why == "a voter":
        bench.cluster.members[1].learner = False
    if why == "gone":
        bench.cluster.members.pop()
    before = [member.id for member in bench.cluster.members]
    bench.applier.take_back_join(failed_join(learner=why != "added as a voter"))
    assert [member.id for member in bench.cluster.members] == before
    assert "member-remove" not in bench.names()


# --- what is written down ---


def test_the_journal_has_stage_intent_command_and_result(bench: Bench) -> None:
    made = s.stage("start", "Start", [[START]])
    assert made is not None
    bench.applier.stage(made)
    bench.journal.close()
    text = (bench.journal.path).read_text()
    assert [line.partition('"event": "')[2].partition('"')[0] for line in text.splitlines()] == [
        *("stage", "intent", "command", "result")
    ]


def test_the_reason_is_the_most_fatal_line() -> None:
    ill = '{"level":"error","msg":"not fatal"}'
    assert reason_of(["fine", ill, "more"]) == (ill, ["fine", "more"])
    assert reason_of([ill, "panic: no", "more"])[0] == "panic: no"
    assert reason_of(["fine"]) == ("", ["fine"])
