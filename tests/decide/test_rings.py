"""What is said after `→` leads on: it can be typed, is not refused, and does not end where it began."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any, cast

import pytest

from fleetrecover import recover as flow
from fleetrecover.commands.probes import parse_pin
from fleetrecover.decide.away import typed
from fleetrecover.decide.conclusion import combine, conclude
from fleetrecover.decide.dead import refuse_living_dead, resolved
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.policies import expectation
from fleetrecover.errors import Degraded, InputError
from fleetrecover.facts import Container, Keep, Pin, Problem, Survey
from fleetrecover.steps import RemoveMember
from tests.decide.logs import log
from tests.decide.surveys import container, database, members, node, status, survey
from tests.decide.test_diagnosis import DOWN, blocked, off
from tests.decide.test_diagnosis import serving as begun
from tests.decide.test_plan import degraded, of
from tests.fakes.nodes import CLUSTER


def serving(*numbers: int, listed: tuple[int, ...] = (1, 2, 3)) -> Survey:
    """These serve, of a list of members; the others of three hosts are off."""
    found = [
        node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(*listed))
        if n in numbers
        else off(n)
        for n in (1, 2, 3)
    ]
    return survey(*found)


def told(seen: Survey, *dead: str) -> tuple[Remedy, str, str]:
    """The remedy, what the findings advise of n3 or nobody, and what is to be typed next."""
    wish = Wish(frozenset(dead))
    found = combine(seen, diagnose(seen, wish), wish=wish)
    advice = "; ".join(f.advice for f in found.diagnosis.findings if f.node in (None, "etcd3"))
    return found.diagnosis.remedy, advice, found.next


# --- a member's host is off while quorum stands ---


def test_a_member_that_is_off_is_brought_back_or_declared_dead() -> None:
    remedy, advice, following = told(serving(1, 2))
    assert remedy is Remedy.NONE, "nothing is ours to do"
    for words in (advice, following):
        assert "bring etcd3 back; or, if it is gone for good and switched off" in words
        assert "`fleetrecover recover --dead etcd3` has it removed" in words
        assert "mends" not in words


def test_recover_says_the_same_with_nothing_done(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = serving(1, 2)
    nothing = cast("Any", None)
    monkeypatch.setattr(flow, "take_hashes", lambda *_: None)
    means = flow.Recovery(seen.fleet, nothing, nothing, nothing)
    with pytest.raises(Degraded) as caught:
        flow.nothing_to_do(means, seen, diagnose(seen, Wish()))
    assert caught.value.hint == conclude(seen, Wish()).next
    assert "--dead etcd3" in (caught.value.hint or "")


def test_one_that_is_declared_dead_is_removed() -> None:
    remedy, _, following = told(degraded(3, 1, gone=1).survey(), "n3")
    assert remedy is Remedy.REPAIR
    assert following.startswith("Next: `fleetrecover recover --dead n3` mends")


def test_one_that_answers_is_never_said_to_be_dead() -> None:
    seen = serving(1, 2)
    locked = replace(seen.nodes[2], problem=Problem("login", "etcd3: no key was accepted", "ssh-copy-id root@etcd3"))
    _, advice, following = told(replace(seen, nodes=(*seen.nodes[:2], locked)))
    assert "--dead" not in advice + following
    assert "ssh-copy-id" in following


def test_what_can_be_reached_is_mended_beside_one_that_cannot() -> None:
    fleet = degraded(5, 2, gone=1)
    seen = fleet.survey()
    found = diagnose(seen, Wish())
    assert found.remedy is Remedy.REPAIR, "n4 can be started or replaced"
    assert [f.node for f in found.findings if f.waits] == ["n5"]


def test_a_host_that_is_no_member_and_off_is_waited_for() -> None:
    remedy, advice, following = told(serving(1, 2, listed=(1, 2)))
    assert remedy is Remedy.NONE
    assert "bring etcd3 back (an empty disk is fine): then `fleetrecover recover` brings it in" in advice
    assert "--dead" not in following and "when etcd3 is back" in following


# --- words that can be typed ---


@pytest.mark.parametrize(
    ("name", "host", "word"),
    [("old", None, "old"), ("", None, "ca"), ("etcd1", None, "ca"), ("old", "etcd2", "etcd2")],
)
def test_the_word_for_a_member_is_one_word_that_means_it(name: str, host: str | None, word: str) -> None:
    """A label with a blank is two words, and a host's name would mean that host."""
    assert typed(serving(1, 2), Seat(0xCA, name, (), learner=False, host=host)) == word


def test_a_member_without_host_is_told_with_what_removes_it() -> None:
    seen = serving(1, 2, 3, listed=(1, 2, 3, 0xCA))
    remedy, advice, _ = told(seen)
    assert remedy is Remedy.NONE
    assert "`fleetrecover recover --dead etcd202` has it removed" in advice
    assert diagnose(seen, Wish(frozenset({"ca"}))).remedy is Remedy.REPAIR


def test_one_without_host_may_run_where_we_cannot_look() -> None:
    remedy, advice, _ = told(serving(1, 2, listed=(1, 2, 0xCA)))
    assert remedy is Remedy.NONE
    assert "bring etcd3 back: etcd202 may be what it holds; add its host" in advice


def test_a_voter_of_the_commit_alone_is_told_by_its_id() -> None:
    """It has no name, and is no host's: `member ca` would be two words."""
    one = log(1, [(2, 20)], voters=(1, 2, 0xCA), voters_at_end=(1, 2))
    nameless = replace(one.configuration, members=tuple(m for m in one.configuration.members if m.id != 0xCA))
    first = node(1, replace(one, configuration=nameless), containers=DOWN)
    found = diagnose(survey(first, node(2, None, containers=DOWN), node(3, None, containers=DOWN)), Wish())
    blocked(found, "unaccounted")
    assert found.cause is not None and found.cause.advice.endswith("`fleetrecover recover --dead ca`")


# --- nothing is promised that would be refused ---


def no_container() -> Survey:
    return survey(node(1, log(1, [(2, 20)], voters=(1,)), containers=()))


def test_what_the_plan_would_be_refused_for_is_said_before() -> None:
    seen = no_container()
    assert diagnose(seen, Wish()).remedy is Remedy.RESET, "else this tests nothing"
    found = combine(seen, diagnose(seen, Wish()), wish=Wish())
    assert (found.verdict, found.diagnosis.remedy) == (Verdict.QUORUM_LOST, Remedy.BLOCKED)
    assert found.diagnosis.cause is not None and found.diagnosis.cause in found.diagnosis.findings
    assert "etcd1 has no etcd container" in found.next and "resets a copy" not in found.next


def test_what_is_blocked_promises_nothing_by_the_way() -> None:
    forced = container("exited", name="etcd", forced=True)
    seen = survey(node(1, log(1, [(2, 20)]), containers=(forced,)), off(2), off(3))
    [flag] = [f for f in diagnose(seen, Wish()).findings if f.code == "force-flag"]
    assert flag.advice == "`fleetrecover recover` takes it away", "else this tests nothing"
    found = conclude(seen, Wish())
    assert found.diagnosis.remedy is Remedy.BLOCKED
    [flag] = [f for f in found.diagnosis.findings if f.code == "force-flag"]
    assert "`fleetrecover" not in flag.advice


# --- the same words, typed again ---


def told_before(*, finished: bool, undone: bool = False) -> Keep:
    """A run that was told `--dead old`, which stood for member ca then."""
    pin = Pin("r1", "prod", "etcd1", "2026-01-01T00:00:00Z", "reset", dead=("ca",), meant=(("old", "ca"),))
    return Keep("r1", "/d/r1", pin, original=True, finished=finished, undone=undone)


def reborn(keep: Keep, *, away: bool = False) -> Survey:
    """Host etcd3 has a new member that is called `old`, as the one was that is gone."""
    listed = (*members(1, 2), replace(members(3)[0], name="old"))
    serve = [
        node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=listed, keeps=(keep,))
        for n in (1, 2, 3)
    ]
    return survey(*serve[:2], off(3) if away else serve[2])


@pytest.mark.parametrize("finished", [False, True])
def test_a_word_stays_what_it_was_when_the_run_began(finished: bool) -> None:
    """Typed again it is done, and means neither the host's new member nor nobody."""
    seen = reborn(told_before(finished=finished))
    assert resolved(seen, Wish(frozenset({"old"}))).dead == {"ca"}
    refuse_living_dead(seen, Wish(frozenset({"old"})))
    diagnose(seen, Wish(frozenset({"old"})))
    whole = replace(seen, nodes=tuple(replace(n, members=members(1, 2, 3)) for n in seen.nodes))
    diagnose(whole, Wish(frozenset({"old"})))


def test_a_word_for_a_host_that_is_off_now_means_it_once_the_run_is_over() -> None:
    words = Wish(frozenset({"old"}))
    assert resolved(reborn(told_before(finished=True), away=True), words).dead == {"etcd3"}
    assert resolved(reborn(told_before(finished=False), away=True), words).dead == {"ca"}
    assert resolved(reborn(told_before(finished=True, undone=True)), words).dead == {"etcd3"}


def test_what_a_word_stood_for_is_written_down_and_read_back() -> None:
    away = serving(1, 2, 3, listed=(1, 2, 3, 0xCA))
    meant = resolved(away, Wish(frozenset({"etcd202", "etcd1"})))
    assert meant.dead == {"ca", "etcd1"} and meant.meant == {("etcd202", "ca")}
    assert resolved(away, meant) == meant
    pin = told_before(finished=False).pin
    assert pin is not None
    assert parse_pin(json.dumps(asdict(pin))) == pin


def test_a_word_that_never_was_anybodys_is_still_wrong() -> None:
    seen = reborn(told_before(finished=False))
    with pytest.raises(InputError, match="--dead older: there is no such host"):
        diagnose(seen, Wish(frozenset({"older"})))


# --- where a member may be, and what is left without it ---


def test_a_member_without_host_may_be_on_a_disk_that_cannot_be_read() -> None:
    """Disks were exchanged: it runs there, so it cannot honestly be declared dead."""
    one, two = (node(n, log(n, [(2, 20)], voters=(1, 2, 0xCA)), containers=DOWN) for n in (1, 2))
    found = diagnose(survey(one, two, off(3)), Wish())
    blocked(found, "unaccounted")
    assert found.cause is not None
    assert found.cause.advice.startswith("bring etcd3 back: etcd202 may be what it holds; ")
    given_up = diagnose(survey(one, two, off(3)), Wish(frozenset({"etcd3"})))
    assert given_up.cause is not None and "bring" not in given_up.cause.advice


def test_the_only_readable_log_is_not_advised_to_be_given_up() -> None:
    found = diagnose(survey(node(1, None, containers=DOWN), off(2)), Wish())
    blocked(found, "unaccounted")
    assert found.cause is not None
    assert "--dead" not in found.cause.advice and "`fleetrecover snapshot restore`" in found.cause.advice
    with_one = diagnose(survey(node(1, log(1, [(2, 20)], voters=(1, 2)), containers=DOWN), off(2)), Wish())
    assert with_one.cause is not None and "--dead etcd2" in with_one.cause.advice


def test_a_removed_container_is_told_with_a_model() -> None:
    alone = combine(no_container(), diagnose(no_container(), Wish()), wish=Wish())
    assert "create it again" in alone.next and "run-config" not in alone.next
    [bare] = no_container().nodes
    seen = survey(bare, node(2, None, containers=DOWN))
    [told_of] = [f for f in diagnose(seen, Wish()).findings if f.code == "no-container"]
    assert "`fleetrecover run-config etcd2`" in told_of.advice


# --- a container that carries the force flag ---


@pytest.mark.parametrize(("state", "remedy"), [("running", Remedy.REPAIR), ("exited", Remedy.NONE)])
def test_one_that_serves_in_a_forced_container_is_given_another(state: str, remedy: Remedy) -> None:
    forced = node(
        1,
        log(1, [(2, 20)], voters=(1,)),
        status=status(1, healthy=True, leader=1),
        members=members(1),
        containers=(container(state, forced=True),),
    )
    assert diagnose(survey(forced), Wish()).remedy is remedy


def test_the_policy_of_a_forced_one_that_was_taken_by_hand_is_not_waited_for() -> None:
    """`docker update --restart=no` was advised; what takes its place has the fleet's policy."""
    one = node(1, log(1, [(2, 20)]), containers=(container("exited", forced=True, restart_policy="no"),))
    two = node(2, log(2, [(2, 20)]), containers=(container("exited", restart_policy="no"),))
    three = node(3, log(3, [(2, 20)]), containers=(container("exited", forced=True),))
    wanted = expectation(survey(one, two, three), ("etcd1", "etcd2", "etcd3"), {}, None)
    assert wanted.policies == {"etcd2": "no", "etcd3": "always"}


# --- one that was begun anew has nothing to lose ---


def test_an_emptied_disk_whose_log_goes_further_does_not_block_what_serves() -> None:
    """It is stopped already, so `stop the empty side` would lead to the same words again."""
    live = [begun(n, commit=9, revision=6, salt=0) for n in (2, 3)]
    anew = node(1, log(1, [(1, 3), (5, 9)], salt=7, writes=0), db=database(1), containers=DOWN)
    assert diagnose(survey(anew, *live), Wish()).remedy is Remedy.REPAIR
    written = replace(anew, log=log(1, [(1, 3), (5, 9)], salt=7, writes=1))
    blocked(diagnose(survey(written, *live), Wish()), "forgotten")


def test_an_emptied_disk_is_replaced_and_not_started() -> None:
    fleet = degraded(3, 1)
    [own] = [member.id for member in fleet.live if member.name == "etcd-n3"]
    fleet.nodes[2].data = log(own, [(7, 12)], writes=0, cluster=CLUSTER)
    plan = of(fleet)
    [removed] = [step for step in plan.steps if isinstance(step, RemoveMember)]
    assert (removed.member_id, removed.why) == (own, "its data was begun anew, and is empty")
    assert plan.joins == ("n3",)
    fleet.nodes[2].data = log(own, [(7, 12)], writes=1, cluster=CLUSTER)
    assert diagnose(fleet.survey(), Wish()).remedy is Remedy.BLOCKED


def test_a_forced_container_beside_a_member_that_serves_is_removed_by_hand() -> None:
    """`recover` leaves it alone there, so it must not be said to take it away."""
    beside = container("exited", id="b", name="etcd-old", forced=True, restart_policy="no")

    def advice(*containers: Container, healthy: bool = True) -> list[str]:
        said = status(1, healthy=healthy, leader=1)
        one = node(1, log(1, [(2, 20)], voters=(1,)), status=said, members=members(1), containers=containers)
        return [f.advice for f in diagnose(survey(one), Wish()).findings if f.code == "force-flag"]

    [told_of] = advice(container(), beside)
    assert told_of.endswith("on etcd1: `docker update --restart=no etcd-old && docker rm etcd-old`")
    ours = ["`fleetrecover recover` takes it away"]
    assert advice(container(), beside, healthy=False) == ours
    assert advice(container(forced=True)) == ours
