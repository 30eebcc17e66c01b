"""Disks that have what a survivor has not: nothing is done over them, and what is announced is what is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.candidates import writes_beyond
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.richer import CODE
from fleetrecover.decide.sides import histories, two_histories
from fleetrecover.decide.survivor import Choice, ProofKind, choose_survivor
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import ConfChange
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Keep, NodeFacts, Pin, Role
from fleetrecover.steps import OpenRun
from tests.decide.logs import candidate, log
from tests.decide.surveys import container, database, node, survey
from tests.decide.test_resume import NEXT, RUN
from tests.fakes.nodes import FakeFleet

DOWN = (container("exited"),)


def emptied(number: int, *runs: tuple[int, int]) -> Log:
    """A disk begun anew: the first members, perhaps more, and nothing of a client."""
    return log(number, [(1, 3), *runs], writes=0)


def promoted(number: int = 2) -> Log:
    """A member that has the data, compacted, and whose own promotion is the last that it knows, undecided."""
    new = 0x101
    return log(
        new,
        [(3, 1)],
        first=18,
        snapshot=(3, 17),
        commit=17,
        voters=(1, 3),
        learners=(new,),
        voters_at_end=(1, 3, new),
        learners_at_end=(),
        removed=(2,),
        removed_at={2: 9},
        writes=0,
    )


def removed() -> Log:
    """A member that knows of its own removal, undecided: it cannot be reset."""
    return log(3, [(1, 3), (4, 22)], commit=20, voters_at_end=(1, 2), writes=18)


# --- the choice ---


def test_one_whose_promotion_is_not_decided_survives_before_an_emptied_one() -> None:
    choice = choose_survivor([candidate(emptied(1)), candidate(promoted())], {})
    assert isinstance(choice, Choice)
    assert (choice.survivor, choice.beyond, choice.proof) == ("etcd257", (), ProofKind.BEST)


def test_what_an_emptied_survivor_lacks_is_named() -> None:
    choice = choose_survivor([candidate(emptied(2)), candidate(removed())], {})
    assert isinstance(choice, Choice)
    assert (choice.survivor, choice.beyond, choice.overridden) == ("etcd2", ("etcd3",), False)


def test_writes_count_though_nothing_tells_that_they_are_decided() -> None:
    """A power cut leaves the commit behind: what clients wrote is there all the same."""
    behind = replace(removed(), hard_state=replace(removed().hard_state, commit=3))
    choice = choose_survivor([candidate(emptied(2)), candidate(behind)], {})
    assert isinstance(choice, Choice)
    assert choice.beyond == ("etcd3",)


def leaving(above: dict[str, int], *, changes: int = 1) -> Log:
    """A voter of three that leads, and whose log ends with its own removal; nothing above 14 is known to be decided."""
    removal = ConfChange(14 + sum(above.values()), 4, "remove", 3)
    found = log(3, [(3, 14), (4, sum(above.values()))], commit=13, voters_at_end=(1, 2), above=(removal,) * changes)
    return replace(
        found, above_commit={"put": 1, **above} if "put" not in above else {**above, "put": above["put"] + 1}
    )


def test_a_voter_that_knows_of_its_own_removal_counts_with_what_clients_wrote_before_it() -> None:
    """A quorum may have acknowledged it by that log, so it is not thrown away in silence."""
    behind = log(2, [(3, 14)], commit=13)
    choice = choose_survivor([candidate(behind), candidate(leaving({"empty": 1, "put": 5, "conf-change": 1}))], {})
    assert isinstance(choice, Choice)
    assert (choice.survivor, choice.beyond) == ("etcd2", ("etcd3",))


def test_where_only_the_removal_and_the_leaders_first_entry_are_beyond_nothing_is_lost() -> None:
    """The put above the commit is in both logs."""
    behind = log(2, [(3, 14)], commit=13)
    choice = choose_survivor([candidate(behind), candidate(leaving({"empty": 1, "conf-change": 1}))], {})
    assert isinstance(choice, Choice)
    assert (choice.survivor, choice.beyond) == ("etcd2", ())


def test_a_log_that_has_another_entry_at_the_end_lacks_what_is_above_the_commit() -> None:
    other = log(2, [(3, 13), (2, 1)], commit=13)
    assert writes_beyond(leaving({"empty": 1, "conf-change": 1}), other)
    assert not writes_beyond(replace(leaving({"empty": 1, "conf-change": 1}), above_commit={"conf-change": 3}), other)


def test_what_is_in_no_database_is_not_said_to_be_restored_from_one() -> None:
    gone = leaving({"empty": 1, "put": 5, "conf-change": 1})
    nodes = (
        node(2, log(2, [(3, 14)], commit=13), containers=DOWN),
        node(3, gone, containers=DOWN, db=database(9, applied=13)),
    )
    found = diagnose(survey(*nodes), dead(1))
    assert found.cause is not None and found.cause.code == CODE
    assert "--survivor etcd2" in found.cause.advice and "snapshot restore" not in found.cause.advice


def test_who_names_the_survivor_gives_the_rest_up_and_is_believed() -> None:
    choice = choose_survivor([candidate(emptied(2)), candidate(removed())], {}, "etcd2")
    assert isinstance(choice, Choice)
    assert choice.overridden


@pytest.mark.parametrize("runs", [(), ((2, 1),)])
def test_emptied_disks_do_not_prove_each_other_complete(runs: tuple[tuple[int, int], ...]) -> None:
    """Nor when one of them has led since: not one entry of a client is no evidence that there never was one."""
    choice = choose_survivor([candidate(emptied(number, *runs)) for number in (1, 2, 3)], {})
    assert isinstance(choice, Choice)
    assert choice.proof is ProofKind.BEST
    assert "or was emptied" in choice.doubts[0]


def test_one_write_of_a_client_is_enough_to_prove_with() -> None:
    choice = choose_survivor([candidate(log(number, [(1, 3), (2, 2)], writes=1)) for number in (1, 2, 3)], {})
    assert isinstance(choice, Choice)
    assert choice.proof is ProofKind.COMPLETE


# --- the judgement ---


def test_nothing_is_reset_over_the_data_of_one_that_cannot_survive() -> None:
    found = diagnose(survey(node(2, emptied(2), containers=DOWN), node(3, removed(), containers=DOWN)), dead(1))
    assert (found.verdict, found.remedy) == (Verdict.QUORUM_LOST, Remedy.BLOCKED)
    assert found.cause is not None and found.cause.code == CODE
    assert "etcd3:/root/etcd3.db" in found.cause.advice and "--survivor etcd2" in found.cause.advice


def dead(*numbers: int, survivor: str | None = None) -> Wish:
    return Wish(frozenset(f"{number}" for number in numbers), survivor)


def test_a_survivor_that_is_named_is_reset_all_the_same() -> None:
    nodes = (node(2, emptied(2), containers=DOWN), node(3, removed(), containers=DOWN))
    found = diagnose(survey(*nodes), dead(1, survivor="etcd2"))
    assert found.remedy is Remedy.RESET
    assert found.choice is not None and found.choice.overridden


def damaged(revision: int, applied: int) -> NodeFacts:
    return node(1, None, db=database(revision, applied=applied), containers=DOWN)


def test_emptied_ones_are_not_started_beside_a_damaged_log_whose_database_has_data() -> None:
    young = [node(number, emptied(number), containers=DOWN) for number in (2, 3)]
    found = diagnose(survey(damaged(2, 4), *young), Wish())
    assert found.cause is not None and (found.remedy, found.cause.code) == (Remedy.BLOCKED, CODE)
    assert diagnose(survey(damaged(1, 3), *young), Wish()).remedy is Remedy.START


@pytest.mark.parametrize(("applied", "blocked"), [(21, True), (20, False)])
def test_a_damaged_log_counts_as_far_as_its_database_has_applied(applied: int, blocked: bool) -> None:
    others = [node(number, log(number, [(1, 3), (2, 17)]), containers=DOWN) for number in (2, 3)]
    found = diagnose(survey(damaged(15, applied), *others), Wish())
    assert (found.cause is not None and found.cause.code == CODE) is blocked


def pinned(kind: str = "reset", **more: object) -> Keep:
    pin = Pin(RUN, "prod", "etcd3", "2026-01-01T00:00:00Z", kind)
    return Keep(RUN, f"/var/lib/etcd.fleetrecover/{RUN}", pin, containers=True, **more)  # type: ignore[arg-type]


def test_a_run_does_not_go_on_with_an_emptied_disk_once_the_data_is_back() -> None:
    chief = node(3, emptied(3), keeps=(pinned(original=True, work=True),), containers=DOWN)
    back = node(1, log(1, [(1, 3), (2, 15)], writes=13), containers=DOWN)
    found = diagnose(survey(back, node(2), chief), Wish())
    assert found.cause is not None and (found.remedy, found.cause.code) == (Remedy.BLOCKED, CODE)
    assert f"fleetrecover undo {RUN}" in found.cause.advice
    settled = replace(back, keeps=(pinned(original=True),))
    assert diagnose(survey(settled, node(2), chief), Wish()).remedy is Remedy.RESET
    assert diagnose(survey(back, node(2), chief), Wish(survivor="etcd3")).remedy is Remedy.RESET


def test_where_no_log_can_be_read_the_best_database_can_be_restored() -> None:
    """One of a client's writes; not where the logs contradict each other, nor of a host that is declared dead."""
    empty, some, more = (
        node(n, None, containers=DOWN, db=database(revision)) for n, revision in ((1, 1), (2, 7), (3, 9))
    )

    def advice(*nodes: NodeFacts, dead: frozenset[str] = frozenset()) -> str:
        found = diagnose(survey(*nodes), Wish(dead))
        assert found.cause is not None and (found.remedy, found.cause.code) == (Remedy.BLOCKED, "no-survivor")
        return found.cause.advice

    assert "snapshot restore etcd3:/root/etcd3.db`; what its log had beyond that is lost" in advice(empty, some, more)
    assert "snapshot restore etcd2:/root/etcd2.db`" in advice(empty, some, more, dead=frozenset({"etcd3"}))
    assert "snapshot restore" not in advice(empty)


def test_a_run_does_not_go_on_over_a_disk_of_another_history() -> None:
    """What serves was moved away by hand, as the hint for two histories says; the run's own copy must not come back for it."""
    chief = node(3, log(3, [(1, 3), (5, 9)]), keeps=(pinned(original=True),), containers=DOWN)
    back = node(1, log(1, [(1, 3), (3, 5)], commit=7), containers=DOWN)
    found = diagnose(survey(back, node(2), chief), Wish())
    assert found.cause is not None and (found.remedy, found.cause.code) == (Remedy.BLOCKED, CODE)
    assert "of another history" in found.cause.message and f"fleetrecover undo {RUN}" in found.cause.advice


@pytest.mark.parametrize("removed_too", [False, True])
def test_what_is_in_a_log_alone_is_kept_and_gone_on_without(removed_too: bool) -> None:
    """Where the survivor has no container, the command alone would be refused at once: what comes before it is said first."""
    best = node(3, removed(), containers=DOWN, db=database(5, applied=10))
    chief = node(2, log(2, [(1, 3), (4, 12)], commit=9), containers=() if removed_too else DOWN)
    found = diagnose(survey(node(1, None), chief, best), Wish(frozenset({"etcd1"})))
    assert found.cause is not None and found.cause.code == CODE
    before, command, _ = found.cause.advice.partition("`fleetrecover recover --survivor etcd2` goes on without it")
    assert command and "keep its disk" in before
    assert ("etcd2 has no etcd container" in before and "run-config etcd1" in before) is removed_too


# --- what is announced is what is done ---


def advice(*nodes: NodeFacts) -> str:
    seen = survey(*nodes)
    return two_histories(seen, histories(seen)).advice


def test_the_way_out_only_promises_who_can_survive() -> None:
    assert "goes on from the data of etcd1" in advice(node(1, log(1, [(1, 3), (2, 9)])), node(2, emptied(2)))
    told = advice(node(2, emptied(2)), node(3, removed()))
    assert "goes on from" not in told and "restored" in told


def test_the_way_out_takes_a_run_back_that_goes_on_from_another() -> None:
    chief = node(3, emptied(3), keeps=(pinned(original=True),))
    assert f"`fleetrecover undo {RUN}`" in advice(node(1, log(1, [(1, 3), (2, 9)])), chief)
    assert "undo" not in advice(node(1, log(1, [(1, 3), (2, 9)])), replace(chief, keeps=(pinned("repair"),)))


# --- a repair that lost its quorum ---


def test_a_repair_that_moved_data_and_lost_quorum_is_reset_from_the_survivor_that_is_chosen_now() -> None:
    fleet = FakeFleet.broken(3, dead=1)
    seen = fleet.survey()
    keep = Keep(RUN, "/k", Pin(RUN, "fake", "", "2026-01-01T00:00:00Z", "repair"), containers=True, original=True)
    seen = replace(seen, nodes=tuple(replace(n, keeps=(keep,)) if n.name == "n2" else n for n in seen.nodes))
    wish = Wish(frozenset({"n3"}))
    found = diagnose(seen, replace(wish, survivor="n1"))
    assert found.open_run is not None and found.open_run.pinned
    for run in (NEXT, RUN):
        assert make_plan(seen, found, wish, run=run, started="2026-01-02T00:00:00Z").survivor == "n1"


def test_what_an_earlier_run_left_and_this_one_removes_is_written_down() -> None:
    """Else an undo could not say that it is gone."""
    fleet = FakeFleet.broken(3, wiped=1)
    labels = {RUN_LABEL: RUN, ROLE_LABEL: Role.JOINING.value}
    seen = fleet.survey()
    left = replace(seen.node("n3").containers[0], id="joined", name="etcd-joined", labels=labels)
    nodes = tuple(replace(n, containers=(*n.containers, left)) if n.name == "n3" else n for n in seen.nodes)
    seen = replace(seen, nodes=nodes)
    wish = Wish(survivor="n1")
    plan = make_plan(seen, diagnose(seen, wish), wish, run=NEXT, started="2026-01-02T00:00:00Z")
    opened = next(step for step in plan.steps if isinstance(step, OpenRun) and step.node == "n3")
    assert "joined" in opened.containers
