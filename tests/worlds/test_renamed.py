"""A container that was renamed while its etcd serves: `recover` gives it its own name back, and `undo` takes just that back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fleetrecover import steps as s
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.renamed import renamed
from fleetrecover.facts import RUN_LABEL
from tests.worlds.breaks import lay_disks
from tests.worlds.history import History
from tests.worlds.hosts import Host, own_container
from tests.worlds.seams import Answer, Command, exchanged, type_in
from tests.worlds.world import World


@pytest.fixture(autouse=True)
def product() -> Iterator[None]:
    with exchanged():
        yield


def world(*called: str, version: str = "3.4.23", **wrong: object) -> World:
    """Hosts that serve, whose containers have these names; the first one's is what `wrong` says besides."""
    dice = random.Random("renamed")
    history = History(len(called), dice, learners=False)
    history.run()
    hosts = [Host(number, None, [], trouble="off") for number in range(1, len(called) + 1)]
    lay_disks(history, hosts)
    made = World(hosts, dice, history.acknowledged, version)
    made.founding = len(called)
    for host, name in zip(hosts, called, strict=True):
        host.containers = [replace(own_container(host.number, len(called), version), name=name)]
        made.power(host, "")
    made.settle()
    hosts[0].change(hosts[0].containers[0].id, **wrong)
    return made


def say(made: World, verb: str, run: str | None = None) -> Answer:
    return type_in(made, Command(verb, run=run))


def codes(made: World) -> tuple[int, int, int]:
    return say(made.copy(), "recover").code, say(made, "verify").code, say(made, "diagnose").code


def only_names(host: Host, run: str) -> bool:
    pin = host.kept[run].pin
    return pin is not None and pin.names_only


def names(made: World) -> list[list[tuple[str, str, str]]]:
    return [[(c.name, c.state, c.restart_policy) for c in host.containers] for host in made.hosts]


@pytest.mark.parametrize("policy", ["always", "no"])
@pytest.mark.parametrize("called", [("etcd-old",), ("etcd-old", "etcd", "etcd"), ("etcd-old", "etcd_bak", "etcd")])
def test_it_gets_its_name_back_and_runs_on(called: tuple[str, ...], policy: str) -> None:
    made = world(*called, restart_policy=policy)
    before = names(made)
    assert [say(made, verb).code for verb in ("verify", "diagnose")] == [10, 10]
    done = say(made, "recover")
    assert (done.code, done.plans[0].remedy) == (0, Remedy.REPAIR)
    steps = done.plans[0].steps
    assert [type(step) for step in steps if not isinstance(step, s.OpenRun)] == [s.GiveNameBack] * (
        len(called) - called.count("etcd")
    )
    assert names(made) == [[("etcd", "running", rest[0][2])] for rest in before]
    assert codes(made) == (0, 0, 0)
    taken_back = say(made, "undo", done.plans[0].run)
    assert (taken_back.code, taken_back.message) == (0, "undone")
    assert names(made) == before
    assert codes(made) == (0, 10, 10)


def test_what_its_owner_calls_otherwise_is_left_as_it_is() -> None:
    made = world("etcd1", "etcd2", "etcd3")
    assert codes(made) == (0, 0, 0)
    assert names(made) == [[(f"etcd{number}", "running", "always")] for number in (1, 2, 3)]


def test_nothing_is_renamed_over_another_or_where_another_runs_too() -> None:
    made = world("etcd-old", "etcd", "etcd")
    [first, *_] = made.hosts
    survey = made.survey()
    assert renamed(survey, survey.node("n1")) is not None
    assert renamed(survey, survey.node("n2")) is None
    own = first.containers[0]
    for other in (
        replace(own, id="b", name="etcd-older"),
        replace(own, id="b", name="etcd", labels={RUN_LABEL: "r1"}, state="exited"),
    ):
        first.containers = [own, other]
        survey = made.survey()
        assert renamed(survey, survey.node("n1")) is None
    first.containers, first.process = [own], None
    survey = made.survey()
    assert renamed(survey, survey.node("n1")) is None, "who does not serve is started, and named then"


def test_a_name_is_given_back_before_anything_is_asked_in_that_container() -> None:
    """With the emptied one, which is replaced: that run voted, and is not taken back for the sake of a name."""
    made = world("etcd-old", "etcd-old", "etcd-old")
    made.end(made.hosts[2], gently=True)
    made.hosts[2].containers, made.hosts[2].disk = [replace(made.hosts[2].containers[0], state="exited")], None
    made.settle()
    done = say(made, "recover")
    assert done.code == 0
    kinds = [type(step) for step in done.plans[0].steps if not isinstance(step, s.OpenRun)]
    assert kinds[:2] == [s.GiveNameBack] * 2
    assert {s.RemoveMember, s.AddMember} <= set(kinds[2:])
    assert [[name for name, *_ in each if "fleetrecover" not in name] for each in names(made)] == [["etcd"]] * 3
    assert say(made, "undo", done.plans[0].run).code == 20


def test_a_run_of_names_that_then_votes_says_so() -> None:
    """Interrupted before it is closed, it goes on with what is to be done then: the removal of who is dead, on the leader."""
    made = world("etcd", "etcd", "etcd")
    leader = next(host for host in made.hosts if host.process and host.process.leads)
    leader.change(leader.containers[0].id, name="etcd-old")
    run = say(made, "recover").plans[0].run
    assert only_names(leader, run)
    leader.kept[run].finished = False
    gone = next(host for host in made.hosts if host is not leader)
    made.power(gone, "off")
    made.settle()
    done = type_in(made, Command("recover", frozenset({gone.name})))
    assert (done.code, done.plans[0].run) == (10, run)
    assert {step.node for step in done.plans[0].steps} == {leader.name}
    assert not only_names(leader, run)
    assert say(made, "undo", run).code == 20


def test_one_with_the_force_flag_is_rebuilt_not_renamed() -> None:
    made = world("etcd-old", forced=True)
    found = diagnose(made.survey(), Wish())
    assert found.remedy is Remedy.REPAIR
    [advice] = [each.advice for each in found.findings if each.code == "force-flag"]
    assert advice == "`fleetrecover recover` takes it away"
    done = say(made, "recover")
    assert (done.code, made.hosts[0].containers[-1].name) == (0, "etcd")
    assert not any(isinstance(step, s.GiveNameBack) for step in done.plans[0].steps)
