"""What forbids to touch a node is told by diagnose, and refuses a plan before its first change; who serves is left in peace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.untouchable import node_kinds, refusal
from fleetrecover.docker.argv import from_argv
from fleetrecover.errors import Refused
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.facts import NodeFacts, Problem, Starter, StarterKind
from tests.decide.logs import log
from tests.decide.surveys import container, node, status, survey
from tests.fakes.nodes import FakeFleet

PATHS = RunPaths("/var/lib/etcd.fleetrecover", "r1")
BASE = ("etcd1", PATHS, "/var/lib/etcd")
FENCE = s.Fence(*BASE, (s.FenceTarget("c", "etcd", "etcd.fleetrecover-r1"),))
TOUCHING = {
    "fence": FENCE,
    "keep": s.KeepData(*BASE),
    "elsewhere": s.KeepElsewhere(*BASE, "/w", 1),
    "adopt": s.Adopt(*BASE),
    "start": s.StartOriginal(*BASE, "c", "etcd", "always"),
}
SWARM = {"com.docker.swarm.task.id": "x"}
SCRIPT = EtcdConfig.read(from_argv(["docker", "run", "--entrypoint=dumb-init", "kolla/etcd:1", "kolla_start"]))
CRON = Starter(StarterKind.CRON, "/etc/cron.d/etcd", "@reboot root docker start etcd")
UNIT = Starter(StarterKind.UNIT, "etcd.service", "/usr/bin/etcd", active=True)
FORBIDDEN = Problem("forbidden", "the login user op may not read /var/lib/etcd", "sudo = true")


def in_runtime(word: str) -> NodeFacts:
    return replace(node(1), host=replace(node(1).host, runtime=word))


CASES: dict[str, tuple[str, NodeFacts]] = {
    "a swarm": ("managed-by-swarm", node(1, containers=(container(labels=SWARM),))),
    "cron": ("managed-by-cron", node(1, starters=(CRON,))),
    "an etcd of the host": ("etcd-unit", node(1, starters=(UNIT,))),
    "an etcd of the host alone": ("etcd-unit", node(1, containers=(), starters=(UNIT,))),
    "no right to read": ("forbidden", node(1, log_problem=FORBIDDEN)),
    "in the container": ("in-container", node(1, containers=(container(data_path=None, inside="/d"),))),
    "a script": ("wrapped", node(1, containers=(container(config=SCRIPT),))),
    "a unit, by the inventory": ("other-runtime", in_runtime("systemd")),
    "a static pod, by the inventory": ("other-runtime", in_runtime("static-pod")),
    "two that could be it": (
        "which-container",
        node(1, containers=(container(name="a", data_path="/a"), container(name="b", id="b" * 64, data_path="/b"))),
    ),
}


@pytest.mark.parametrize("step", TOUCHING)
@pytest.mark.parametrize("case", CASES)
def test_it_is_told_and_refused(case: str, step: str) -> None:
    code, one = CASES[case]
    [told] = [each for each in node_kinds(survey(one)) if each.code == code]
    assert told.severity is Severity.ERROR
    assert told.advice
    why = refusal(survey(one), [TOUCHING[step]])
    assert why is not None
    assert why.code == code


@pytest.mark.parametrize("case", CASES)
def test_another_node_may_be_touched_and_a_record_be_made(case: str) -> None:
    _, one = CASES[case]
    record = s.FinishRun(*BASE)
    assert refusal(survey(one, node(2)), [replace(FENCE, node="etcd2"), record]) is None


@pytest.mark.parametrize("case", [case for case in CASES if case != "an etcd of the host alone"])
def test_who_serves_is_told_of_for_information(case: str) -> None:
    code, one = CASES[case]
    serving = replace(one, status=status(1, healthy=True, leader=1))
    [told] = [each for each in node_kinds(survey(serving)) if each.code == code]
    assert told.severity is Severity.INFO or code == "etcd-unit"
    assert refusal(survey(serving), [FENCE]) is not None, "and is not fenced all the same"


def test_a_plain_container_is_nobodys() -> None:
    assert refusal(survey(node(1)), list(TOUCHING.values())) is None
    assert [each.code for each in node_kinds(survey(node(1)))] == []
    assert refusal(survey(in_runtime("podman")), list(TOUCHING.values())) is None


def test_not_knowing_who_starts_it_is_not_nobody() -> None:
    for one, severity in (
        (node(1), Severity.WARNING),
        (node(1, status=status(1, healthy=True, leader=1)), Severity.INFO),
    ):
        [told] = node_kinds(survey(replace(one, starters_problem=Problem("format", "exit code 124"))))
        assert (told.code, told.severity) == ("managers-unknown", severity)
        assert "exit code 124" in told.message


def test_where_nothing_may_be_written_not_even_a_record_is_made() -> None:
    one = node(1)
    assert one.data is not None
    shut = replace(one, data=replace(one.data, unwritable="/var/lib/", who="op (uid 1000)"))
    why = refusal(survey(shut), [s.FinishRun(*BASE)])
    assert why is not None
    assert (why.code, "op (uid 1000)" in why.message, "sudo" in why.advice) == ("unwritable", True, True)


def test_a_plan_that_would_fence_a_managed_container_is_none() -> None:
    fleet = FakeFleet.broken(3, wiped=2)
    wish = Wish()
    seen = fleet.survey()
    assert make_plan(seen, diagnose(seen, wish), wish, run="r1", started="t").steps
    for number in range(3):
        nodes = list(seen.nodes)
        nodes[number] = replace(nodes[number], starters=(CRON,))
        held = replace(seen, nodes=tuple(nodes))
        with pytest.raises(Refused, match=f"n{number + 1}: .*/etc/cron.d/etcd.*nothing was changed") as caught:
            make_plan(held, diagnose(held, wish), wish, run="r1", started="t")
        assert caught.value.hint


def test_what_may_not_be_read_comes_before_every_conclusion() -> None:
    hidden = node(1, log_problem=FORBIDDEN)
    for seen in (survey(hidden), survey(hidden, node(2, log(2, [(2, 20)])))):
        judged = diagnose(seen, Wish())
        assert (judged.verdict, judged.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
        assert judged.cause is not None
        assert judged.cause.code == "forbidden"
        assert "snapshot" not in judged.cause.advice
        assert sum(each.code == "forbidden" for each in judged.findings) == 1
    other = diagnose(survey(hidden, node(2, log(2, [(2, 20)]))), Wish(dead=frozenset({"etcd1"})))
    assert other.cause is None or other.cause.code != "forbidden"


def test_data_in_the_container_is_the_reason_and_no_snapshot_is_advised() -> None:
    one = node(1, containers=(container("exited", data_path=None, inside="/etcd-data"),), data=None)
    judged = diagnose(survey(one), Wish())
    assert judged.remedy is Remedy.BLOCKED
    assert judged.cause is not None
    assert judged.cause.code == "in-container"
    assert "docker cp etcd:/etcd-data" in judged.cause.advice


def test_voters_are_counted_without_learners() -> None:
    two = log(1, [(2, 20)])
    learner = replace(two.configuration, learners=frozenset({3}), voters=frozenset({1, 2}))
    two = replace(two, configuration=learner, configuration_at_end=learner)
    seen = survey(node(1, two), node(2, containers=(container("exited"),)), node(3, containers=(container("exited"),)))
    judged = diagnose(seen, Wish())
    assert "all 2 voters" in judged.why, judged.why
