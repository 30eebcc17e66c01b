"""The looking of `recover`, of `plan` and of a fab task: when it looks again, and what it then refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleetrecover import recover as flow
from fleetrecover import single
from fleetrecover import steps as s
from fleetrecover.decide.conclusion import conclude
from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from fleetrecover.decide.plan import Plan, fingerprint
from fleetrecover.decide.seen import Seen, best_at_rest, best_seen
from fleetrecover.decide.survivor import ProofKind
from fleetrecover.decide.verdict import Expectation, Hashes, judge
from fleetrecover.errors import CommandFailed, FleetRecoverError, Held, Refused, StoppedPartWay, Undetermined
from fleetrecover.facts import RESEED, Container, Keep, NodeFacts, Pin, Problem, Survey
from fleetrecover.outcome import Outcome
from fleetrecover.recover import Recovery
from fleetrecover.report.document import plan_document
from fleetrecover.report.files import plan_text, read_plan, write_private
from fleetrecover.survey import _ask_again
from tests.decide.logs import log
from tests.decide.surveys import container, database, members, node, status, survey
from tests.decide.test_diagnosis import off
from tests.decide.test_resume import finish
from tests.fakes.nodes import FakeFleet, make_container
from tests.fakes.transport import FakeTransport, failed
from tests.test_scrub import Silent


class Confirmed(Exception):
    """The question was reached."""


@dataclass
class World:
    """What the surveys show, one after another, the last one for ever; what was done, and how long was waited."""

    surveys: list[Survey]
    done: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    looks: int = 0
    fails: FleetRecoverError | None = None
    then: Callable[[], None] = lambda: None

    def take(self, *_: object, **__: object) -> Survey:
        self.looks += 1
        return self.surveys.pop(0) if len(self.surveys) > 1 else self.surveys[0]

    def step(self, step: s.Step) -> Outcome:
        self.done.append(f"{type(step).__name__} on {step.node}")
        return Outcome(type(step).__name__, step.node, 0.0, "", self.fails)

    def means(self, confirm: Callable[..., None] = lambda *_: None) -> Recovery:
        fleet = self.surveys[0].fleet
        return Recovery(fleet, FakeTransport({}), Silent(), confirm, sleep=self.waits.append)  # type: ignore[arg-type]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """`world(survey, …)`: the flow sees these surveys, its hold is given, and its steps are only noted down."""

    def make(*surveys: Survey) -> World:
        made = World(list(surveys))
        monkeypatch.setattr(flow, "take_survey", made.take)
        monkeypatch.setattr(flow, "with_snapshots", lambda _, __, diagnosis: diagnosis)
        for module in (flow, single):
            monkeypatch.setattr(module, "hold", lambda *_: contextlib.nullcontext(SimpleNamespace(token="t")))
        applier: Any = lambda *_: SimpleNamespace(  # noqa: E731
            step=made.step, stage=lambda stage: [made.step(each) for each in stage.steps] and {}
        )
        monkeypatch.setattr(single, "Applier", applier)
        monkeypatch.setattr(flow, "Applier", applier)
        monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path))
        return made

    yield make


def down(number: int) -> tuple[Container]:
    """The container of that host, stopped."""
    return (replace(make_container(number, 3), state="exited"),)


def broken() -> Survey:
    return FakeFleet.broken(3, wiped=2).survey()


def mended() -> Survey:
    fleet = FakeFleet.broken(3, wiped=2)
    finish(fleet, Wish())
    return fleet.survey()


# --- the second look, under the hold ---


def test_nothing_is_done_where_the_cluster_came_back_while_the_plan_was_read(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "take_hashes", lambda *_: Hashes(10, dict.fromkeys(("n1", "n2", "n3"), (7, 0))))
    seen = world(broken(), mended())
    report = flow.recover(seen.means(), Wish())
    assert (report.outcome, seen.looks, seen.done) == ("healthy", 2, [])


def test_another_plan_at_the_second_look_is_not_what_was_agreed_to(world: Callable[..., World]) -> None:
    """One container was made anew meanwhile: there is still something to do, and it is something else."""
    first = broken()
    last = first.nodes[2]
    anew = replace(last, containers=(replace(last.containers[0], id="made anew"),))
    other = replace(first, nodes=(*first.nodes[:2], anew))
    for act in (
        lambda seen: flow.recover(seen.means(), Wish()),
        lambda seen: single.do_next(seen.means(), Wish(), "fence"),
    ):
        seen = world(first, other)
        with pytest.raises(Refused, match="nothing was changed"):
            act(seen)
        assert (seen.looks, seen.done) == (2, [])


def test_recover_goes_on_where_the_second_look_shows_the_same(world: Callable[..., World]) -> None:
    seen = world(broken())
    with contextlib.suppress(FleetRecoverError, AttributeError):
        flow.recover(seen.means(), Wish())
    assert seen.done[:2] == ["OpenRun on n1", "Fence on n1"]


def test_a_task_of_fab_looks_again_too(world: Callable[..., World]) -> None:
    seen = world(broken(), mended())
    with pytest.raises(Refused, match="changed while the plan was being read; nothing was changed"):
        single.do_next(seen.means(), Wish(), "fence")
    assert (seen.looks, seen.done) == (2, [])
    same = world(broken())
    single.do_next(same.means(), Wish(), "fence", "n1")
    assert same.done == ["OpenRun on n1", "Fence on n1"]


@pytest.mark.parametrize(
    ("error", "code"), [(CommandFailed("n1", "docker stop failed", exit_code=1), 21), (Held("another run"), 23)]
)
def test_a_task_that_fails_has_the_exit_code_of_what_happened(
    world: Callable[..., World], error: FleetRecoverError, code: int
) -> None:
    seen = world(broken())
    seen.fails = error
    with pytest.raises(FleetRecoverError) as raised:
        single.do_next(seen.means(), Wish(), "fence", "n1")
    assert raised.value.code == code
    assert error.message in raised.value.message


def test_what_stops_a_run_after_its_fence_does_not_say_that_nothing_was_changed(world: Callable[..., World]) -> None:
    seen = broken()
    gone = replace(seen, nodes=(*seen.nodes[:2], replace(seen.nodes[2], reachable=False, cli_version=None)))
    made = world(seen, seen, gone)
    with pytest.raises(StoppedPartWay) as raised:
        flow.recover(made.means(), Wish())
    assert "n3 is neither reachable nor declared dead" in raised.value.message
    assert "nothing was changed" not in raised.value.message


# --- a saved plan ---


def test_a_saved_plan_is_done_as_it_is_or_not_at_all(world: Callable[..., World], tmp_path: Path) -> None:
    seen = world(broken())
    found, diagnosis, plan = flow.look(seen.means(), Wish())
    assert plan is not None
    saved = tmp_path / "plan.json"
    write_private(saved, plan_text(plan_document(found, diagnosis, plan)))

    def confirm(*_: object) -> None:
        raise Confirmed

    with pytest.raises(Confirmed):
        flow.recover(world(broken()).means(confirm), Wish(), agreed=read_plan(saved))
    other = FakeFleet.broken(3, wiped=2)
    assert other.nodes[2].container is not None
    other.nodes[2].container = replace(other.nodes[2].container, id="made anew")
    changed = world(other.survey())
    with pytest.raises(Refused, match="not as it was when that plan was made; nothing was changed"):
        flow.recover(changed.means(confirm), Wish(), agreed=read_plan(saved))
    assert changed.done == []


def plan_of(seen: Survey) -> Plan:
    from fleetrecover.decide.diagnosis import diagnose
    from fleetrecover.decide.plan import make_plan

    return make_plan(seen, diagnose(seen, Wish()), Wish(), run="r", started="2026-01-01T00:00:00Z")


def test_the_fingerprint_knows_whom_it_can_stop_and_which_containers_there_are() -> None:
    """The same steps, on a fleet that is another one: not what was agreed to."""
    seen = broken()
    plan = plan_of(seen)
    last = seen.nodes[2]
    for other in (
        replace(last, cli_version=None),
        replace(last, containers=(replace(last.containers[0], id="other"),)),
        replace(last, containers=(replace(last.containers[0], name="other"),)),
        replace(last, containers=()),
    ):
        assert fingerprint(replace(seen, nodes=(*seen.nodes[:2], other)), plan) != fingerprint(seen, plan)
    assert fingerprint(seen, plan) == fingerprint(broken(), plan)


# --- a leader that is named ---


def led(*, leader: int = 1, containers: tuple[Any, ...] = ()) -> Survey:
    """etcd1 is off; etcd2 names it as its leader, or nobody."""
    follower = node(2, log(2, [(5, 100)]), status=status(2, leader=leader, term=5, commit=100))
    own = containers or (electing(5000),)
    return survey(off(1), replace(follower, containers=own), node(3, None, containers=down(3)))


def electing(milliseconds: int) -> Container:
    """etcd2's container, running with that election timeout."""
    made = make_container(2, 3)
    assert made.config is not None
    return replace(made, config=replace(made.config, election=milliseconds))


def test_it_looks_again_an_election_timeout_later_and_blocks_where_a_leader_is_still_named(
    world: Callable[..., World],
) -> None:
    seen = world(led())
    with pytest.raises(Undetermined, match="etcd2 names etcd1 as leader"):
        flow.recover(seen.means(), Wish(frozenset({"etcd1"})))
    assert seen.waits == [5.0, 6.0]
    assert seen.done == []


def test_a_leader_that_died_a_moment_ago_does_not_hold_it_up(world: Callable[..., World]) -> None:
    for names_it in (1, 2):
        seen = world(*[led()] * names_it, led(leader=0))
        _, diagnosis, plan = flow.look(seen.means(), Wish(frozenset({"etcd1"})))
        assert plan is not None
        assert diagnosis.remedy == "reset"
        assert len(seen.waits) == names_it


def test_the_wait_is_the_containers_own_election_timeout_and_none_without_need(world: Callable[..., World]) -> None:
    seen = world(led(containers=(electing(2500),)), led(leader=0))
    flow.look(seen.means(), Wish(frozenset({"etcd1"})))
    assert seen.waits == [2.5]
    quiet = world(led(leader=0))
    flow.look(quiet.means(), Wish(frozenset({"etcd1"})))
    assert quiet.waits == []
    healthy = world(mended())
    flow.look(healthy.means(), Wish())
    assert healthy.waits == []


def test_an_etcd_that_answers_with_an_error_is_one_that_could_not_be_asked() -> None:
    """From the exit code of etcdctl to the verdict: never a reset."""
    nodes = [node(n, log(n, [(2, 20)]), containers=(replace(make_container(n, 3), state="running"),)) for n in (1, 2)]
    transport = FakeTransport({f"etcd{n}": {"*": failed(1, "context deadline exceeded")} for n in (1, 2)})
    asked = _ask_again(survey(*nodes, node(3, None, containers=(container("exited"),))), transport)
    assert [n.status for n in asked.nodes] == [None] * 3
    from fleetrecover.decide.diagnosis import diagnose

    found = diagnose(asked, Wish())
    assert found.cause is not None
    assert (found.remedy, found.cause.code) == ("blocked", "not-asked")
    assert "context deadline exceeded" in found.why


# --- --dead for a host that answers ---


def answering(**more: Any) -> Survey:
    """etcd1 has the longest log; etcd2 is stale; etcd3 is off."""
    first = node(1, log(1, [(2, 56)]), containers=down(1))
    return survey(replace(first, **more), node(2, log(2, [(2, 16)]), containers=down(2)), off(3))


class TestLivingDead:
    def refused(self, world: Callable[..., World], seen: Survey, *dead: str) -> Refused:
        made = world(seen)
        with pytest.raises(Refused) as raised:
            flow.recover(made.means(), Wish(frozenset(dead)))
        assert made.done == []
        assert raised.value.code == 20
        assert "--dead is for hosts that are switched off; nothing was changed" in raised.value.message
        return raised.value

    @pytest.mark.parametrize("word", ["etcd1", "1"])
    def test_it_is_told_what_would_be_lost(self, world: Callable[..., World], word: str) -> None:
        error = self.refused(world, answering(), word, "etcd3")
        assert "etcd1 answers SSH and its log is 40 entries ahead of etcd2" in error.message
        assert error.hint is not None
        assert "leave --dead etcd1 out" in error.hint

    def test_one_entry_is_one_entry(self, world: Callable[..., World]) -> None:
        error = self.refused(world, answering(log=log(1, [(2, 17)])), "etcd1", "etcd3")
        assert "its log is 1 entry ahead of etcd2" in error.message

    def test_a_healthy_cluster_is_no_exception(self, world: Callable[..., World]) -> None:
        error = self.refused(world, mended(), "n2")
        assert "n2 answers SSH, and its etcd is healthy" in error.message

    def test_a_ruined_disk_needs_no_such_word(self, world: Callable[..., World]) -> None:
        ruined = answering(log=None, log_problem=Problem("corrupt", "a bit flip"))
        error = self.refused(world, ruined, "etcd1", "etcd3")
        assert error.hint is not None
        assert "joins anew" in error.hint
        _, _, plan = flow.look(world(ruined).means(), Wish(frozenset({"etcd3"})))
        assert plan is not None
        assert plan.survivor == "etcd2"

    def test_an_engine_that_does_not_answer_is_named(self, world: Callable[..., World]) -> None:
        seen = answering(cli_version=None, cli_problem=Problem("format", "Cannot connect to the Docker daemon"))
        error = self.refused(world, seen, "etcd1", "etcd3")
        assert "its container engine does not: Cannot connect" in error.message
        assert error.hint is not None
        assert "start the container engine" in error.hint
        assert "switch etcd1 off" in error.hint

    @pytest.mark.parametrize("kind", ["host-key", "login", "sudo"])
    def test_a_host_that_does_not_let_us_in_is_switched_on(self, world: Callable[..., World], kind: str) -> None:
        closed = replace(off(3), problem=Problem(kind, "etcd3: no key was accepted", "see [ssh]"))
        seen = answering()
        error = self.refused(world, replace(seen, nodes=(*seen.nodes[:2], closed)), "etcd3")
        assert "no key was accepted" in error.message

    def test_one_that_is_off_is_believed(self, world: Callable[..., World]) -> None:
        _, _, plan = flow.look(world(answering()).means(), Wish(frozenset({"etcd3"})))
        assert plan is not None
        assert plan.remedy == "start"
        assert {step.node for step in plan.steps} == {"etcd1", "etcd2"}


@pytest.mark.parametrize("word", ["n3", "etcd-n3", "3"])
def test_a_plan_means_the_same_by_each_word(word: str) -> None:
    """Quorum lost: who survives, who joins, who is left out; and with quorum: who is removed, and nothing beside."""
    from fleetrecover.decide.diagnosis import diagnose
    from fleetrecover.decide.plan import make_plan

    def steps(seen: Survey, dead: str) -> tuple[object, ...]:
        wish = Wish(frozenset({dead}))
        plan = make_plan(seen, diagnose(seen, wish), wish, run="r", started="2026-01-01T00:00:00Z")
        return ([(type(each).__name__, each.node) for each in plan.steps], plan.joins, dict(plan.left_out))

    fleet = FakeFleet.broken(3, dead=1)
    fleet.nodes[1].data = None
    assert steps(fleet.survey(), word) == steps(fleet.survey(), "n3")
    assert steps(fleet.survey(), word)[2] == {"n3": "declared dead"}
    whole = FakeFleet.broken(3)
    finish(whole, Wish())
    whole.nodes[2].accessible = False
    if word == "3":
        word = format(next(member.id for member in whole.live if member.name == "etcd-n3"), "x")
    assert steps(whole.survey(), word) == steps(whole.survey(), "n3")
    assert ("RemoveMember", "n1") in steps(whole.survey(), word)[0]  # type: ignore[operator]


def test_a_run_remembers_who_was_dead_as_long_as_he_does_not_answer() -> None:
    """Also from a run of an earlier version, which wrote the words down as they were typed."""
    pin = Pin("r1", "prod", "etcd1", "2026-01-01T00:00:00Z", "reset", dead=("3", "etcd3", "never-heard-of"))
    keep = Keep("r1", "/d/r1", pin, original=True)
    first = node(1, log(1, [(2, 56)]), containers=(container("exited"),), keeps=(keep,))
    away = survey(first, node(2, None), off(3))
    assert flow.effective(Wish(), away).dead == {"etcd3"}
    back = survey(first, node(2, None), node(3, None))
    assert flow.effective(Wish(), back).dead == frozenset()
    closed = survey(first, node(2, None), replace(off(3), problem=Problem("host-key", "changed")))
    assert flow.effective(Wish(), closed).dead == frozenset()


# --- not behind the best that was seen before ---


class TestNotBehind:
    def judged(self, before: Seen | None) -> tuple[bool, str]:
        nodes = [
            node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3))
            for n in (1, 2, 3)
        ]
        expected = Expectation(("etcd1", "etcd2", "etcd3"), {}, before=before)
        checks = judge(survey(*nodes), Hashes(10, {}), expected).checks
        [check] = [check for check in checks if check.name == "revision"]
        return check.ok, check.detail

    def test_a_run_that_ends_behind_is_bad_and_says_where_more_was(self) -> None:
        assert self.judged(Seen(61, "etcd1")) == (False, "revision 10; etcd1 had 61")
        assert self.judged(Seen(11, "etcd1"))[0] is False
        assert self.judged(Seen(10, "etcd1")) == (True, "revision 10, not behind the 10 that etcd1 had")
        assert self.judged(None) == (True, "revision 10")

    def test_the_best_is_on_any_disk_or_said_by_any_etcd(self) -> None:
        from fleetrecover.decide.diagnosis import diagnose

        stopped = node(2, log(2, [(2, 20)]), db=database(9, applied=20), containers=(container("exited"),))
        seen = survey(node(1, log(1, [(2, 20)]), status=status(1)), stopped, node(3, None))
        assert best_seen(seen, diagnose(seen, Wish())) == Seen(10, "etcd1")
        assert best_at_rest(seen) == Seen(9, "etcd2")
        ahead = survey(*seen.nodes[:1], replace(stopped, db=database(30, applied=20)), node(3, None))
        assert best_seen(ahead, diagnose(ahead, Wish())) == Seen(30, "etcd2")

    def test_what_the_operator_gives_up_by_name_does_not_count(self) -> None:
        from fleetrecover.decide.diagnosis import diagnose

        one = node(1, log(1, [(2, 56)]), db=database(46, applied=56), containers=(container("exited"),))
        other = node(2, log(2, [(2, 16)]), db=database(6, applied=16), containers=(container("exited"),))
        seen = survey(one, other, node(3, None))
        assert best_seen(seen, diagnose(seen, Wish(survivor="etcd2"))) == Seen(6, "etcd2")
        assert best_seen(seen, diagnose(seen, Wish())) == Seen(46, "etcd1")

    def test_what_a_run_has_set_aside_was_settled_when_it_began(self) -> None:
        from fleetrecover.decide.diagnosis import diagnose

        keep = Keep("r1", "/d/r1", Pin("r1", "prod", "etcd2", "2026-01-01T00:00:00Z", "reset"), original=True)
        one = node(1, log(1, [(2, 56)]), db=database(46, applied=56), containers=down(1), keeps=(keep,))
        other = node(2, log(2, [(2, 16)]), db=database(6, applied=16), containers=down(2), keeps=(keep,))
        seen = survey(one, other, node(3, None, containers=down(3)))
        diagnosis = replace(diagnose(seen, Wish()), choice=None)
        assert diagnosis.open_run is not None
        assert best_seen(seen, diagnosis) == Seen(6, "etcd2")
        assert best_seen(seen, replace(diagnosis, open_run=None)) == Seen(46, "etcd1")

    @pytest.mark.parametrize("failures", [{}, {"etcd3": Held("x")}])
    def test_a_run_that_ends_behind_is_neither_recovered_nor_partial(
        self, monkeypatch: pytest.MonkeyPatch, failures: dict[str, FleetRecoverError]
    ) -> None:
        """Whatever else has failed: "nothing was lost" may not be said."""
        nodes = [
            node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3))
            for n in (1, 2, 3)
        ]
        seen = survey(*nodes)
        monkeypatch.setattr(flow, "verify", lambda _, __, wanted: (seen, judge(seen, Hashes(10, {}), wanted(seen))))
        world = World([seen])
        run = flow._Run(world.means(), Wish(), SimpleNamespace(), "t", failures=failures, seen=Seen(61, "etcd1"))  # type: ignore[arg-type]
        plan = Plan("r1", "prod", Remedy.REPAIR, None, (), None)
        report = run.finish(seen, plan, None, SimpleNamespace(), 0.0)  # type: ignore[arg-type]
        assert (report.outcome, report.revision_before, report.revision_after) == ("check-failed", 61, 10)
        assert report.judgement is not None
        assert "revision 10; etcd1 had 61" in {check.detail for check in report.judgement.checks if not check.ok}

    def test_a_run_notes_what_there_was_before_its_first_change(
        self, world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        noted: list[Seen | None] = []

        def work(self: Any, *_: object) -> None:
            noted.append(self.seen)
            raise Confirmed

        monkeypatch.setattr(flow._Run, "work", work)
        fleet = FakeFleet.broken(3, wiped=2).survey()
        first = replace(fleet.nodes[0], db=database(18, applied=22))
        with pytest.raises(Confirmed):
            flow.recover(world(replace(fleet, nodes=(first, *fleet.nodes[1:]))).means(), Wish())
        assert noted == [Seen(18, "n1")]


# --- what was not reached is not known ---


def test_checks_do_not_guess_about_what_was_not_reached() -> None:
    def checks(away: NodeFacts, hosts: tuple[str, ...]) -> dict[str, tuple[bool, str]]:
        nodes = [
            node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3))
            for n in (1, 3)
        ]
        policies = dict.fromkeys(hosts, "always")
        found = judge(survey(nodes[0], away, nodes[1]), None, Expectation(hosts, {}, policies=policies))
        return {check.name: (check.ok, check.detail) for check in found.checks}

    seen = checks(off(2), ("etcd1", "etcd2", "etcd3"))
    assert seen["restart policies"] == (False, "not known: etcd2 was not reached")
    assert seen["healthy"] == (False, "no linearizable read on etcd2 (etcd2 was not reached)")
    for name in ("no returned member", "no second container", "no force flag", "no alarm"):
        assert seen[name][1].endswith("; not known: etcd2 was not reached"), seen[name]
    left_out = checks(off(2), ("etcd1", "etcd3"))
    assert left_out["restart policies"] == (True, "always on etcd1, etcd3")
    there = checks(node(2, None, containers=()), ("etcd1", "etcd2", "etcd3"))
    assert there["restart policies"] == (False, "etcd2 has no container etcd")
    assert there["no alarm"] == (True, "none raised")


# --- reseed ---


def to_reseed(**parts: Any) -> Survey:
    """Quorum lost, two disks of three; `parts`: what is otherwise of the survivor's database."""
    fleet = FakeFleet.broken(3, wiped=2)
    fleet.databases = True
    seen = fleet.survey()
    chief = seen.nodes[0]
    assert chief.db is not None
    return replace(seen, nodes=(replace(chief, db=replace(chief.db, **parts)), *seen.nodes[1:]))


def test_a_reseed_is_not_done_step_by_step(world: Callable[..., World]) -> None:
    """A single step goes on with the other hosts where one has failed: nothing might be whole, and be put in place."""
    seen = world(to_reseed())
    with pytest.raises(Refused, match="done as a whole; nothing was changed") as caught:
        single.do_next(seen.means(), Wish(method=RESEED), "fence")
    assert "`fleetrecover recover` goes on with it" in (caught.value.hint or "")
    assert seen.done == []


def test_what_speaks_against_a_reseed_is_refused_before_anything_and_stops_it_after_the_fence(
    world: Callable[..., World],
) -> None:
    seen = world(to_reseed(downgrade="3.4.0"))
    with pytest.raises(Refused, match=r"a downgrade to 3\.4\.0 is enabled"):
        flow.recover(seen.means(), Wish(method=RESEED))
    assert seen.done == []
    seen = world(to_reseed(), to_reseed(), to_reseed(downgrade="3.4.0"))
    with pytest.raises(StoppedPartWay, match=r"a downgrade to 3\.4\.0 is enabled") as caught:
        flow.recover(seen.means(), Wish(method=RESEED))
    assert {done.partition(" ")[0] for done in seen.done} == {"OpenRun", "Fence"}
    assert "fleetrecover undo" in (caught.value.hint or "")


# --- what is said at the end ---


def test_more_is_said_of_the_data_only_where_it_is_proven() -> None:
    choice = diagnose(broken(), Wish()).choice
    assert choice is not None
    proven, best = (replace(choice, proof=kind) for kind in (ProofKind.COMPLETE, ProofKind.BEST))
    assert flow.worth(proven) == flow.worth(None) == "and nothing was lost"
    assert "nothing was lost" not in flow.worth(best) and f"{choice.survivor}'s data" in flow.worth(best)


@pytest.mark.parametrize(("serving", "code"), [(3, 0), (2, 10), (0, 21)])
def test_whoever_fails_after_the_last_check_makes_no_refusal_of_what_was_done(serving: int, code: int) -> None:
    """12 would say that nothing was changed."""
    whole = mended()
    nodes = [replace(n, status=None, members=None, containers=down(i)) for i, n in enumerate(whole.nodes, 1)]
    left = replace(whole, nodes=(*whole.nodes[:serving], *nodes[serving:]))
    assert flow.since(conclude(left, Wish())) == code
