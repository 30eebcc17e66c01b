"""Each step has one name in words, and every wait a limit; runs by the end of their ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleetrecover import limits, single
from fleetrecover.decide import undo
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.run_names import ENOUGH, LAST, match_run
from fleetrecover.errors import InputError, Undetermined
from fleetrecover.facts import Keep, Pin, Problem
from fleetrecover.model import Fleet
from fleetrecover.plain import counted
from fleetrecover.remote.retry import MEMBER_ADD_POLICY, PROMOTE_POLICY
from fleetrecover.steps import Deeds, EnsureImage, MarkUndone, OwnAffair, SendSnapshot, Step
from fleetrecover.steps.words import kinds, limit_of, name_of
from tests.decide.surveys import node, survey
from tests.fakes.nodes import FakeFleet


def test_every_step_has_a_name_of_its_own() -> None:
    assert {SendSnapshot, MarkUndone} <= set(kinds())
    assert [kind for kind in kinds() if not kind.words] == []
    names = [kind.words for kind in kinds()]
    assert len(set(names)) == len(names)
    ours = {kind.__name__ for kind in kinds()}
    assert not any(name in " ".join(names) for name in ours - {"Fence", "Join", "Promote", "Adopt"})


def test_every_step_explains_itself_and_a_task_of_fab_is_one_that_exists() -> None:
    for kind in kinds():
        assert kind.explain is not Step.explain, kind
        assert set(kind.tasks) <= set(single.TASKS), kind
        if issubclass(kind, Deeds):
            assert kind.actions is not Deeds.actions and kind.told is not Deeds.told, kind


def plans() -> Iterator[tuple[Fleet, Plan]]:
    for nodes in (1, 2, 3, 5):
        for wiped in range(nodes):
            for version in ("3.3.25", "3.4.23"):
                survey = FakeFleet.broken(nodes, wiped=wiped, version=version).survey()
                judged = diagnose(survey, Wish())
                yield survey.fleet, make_plan(survey, judged, Wish(), run="r1", started="", tool="")


def test_every_step_of_every_plan_has_a_limit_and_a_task_of_fab() -> None:
    for fleet, plan in plans():
        for step in plan.steps:
            assert isinstance(step, EnsureImage) or limit_of(step, fleet), name_of(step)
            assert step.tasks, name_of(step)


def test_the_limits_are_those_that_are_kept() -> None:
    assert (MEMBER_ADD_POLICY.tries, PROMOTE_POLICY.tries) == (limits.MEMBER, limits.PROMOTE)


def test_a_plan_can_be_done_task_by_task_as_each_says_which_is_next() -> None:
    """What is told to be next can be done, and leads to the end."""
    for _, plan in plans():
        done: list[Step] = []
        told = single.what_next(plan, done)
        while "fab" in told:
            task = told.split("`")[1].removeprefix("fab ")
            left = [step for step in plan.steps if not any(step is each for each in done)]
            first = next((step for step in left if not isinstance(step, OwnAffair)), left[0])
            assert task in first.tasks
            done.append(first)
            told = single.what_next(plan, done)
        assert len(done) == len(plan.steps)
        assert told == "every step is done; next: `fleetrecover recover` checks the result and closes the run"


def test_what_must_come_first_is_told_as_a_task() -> None:
    for _, plan in plans():
        _, first = single.ready(plan, "promote", None)
        assert first.startswith(("`fab fence` (", "`fab start` (")), first
        assert not any(kind.__name__ in first for kind in kinds())


# --- runs ---

RUNS = [f"r20260102T12000{n}Z-{n}{n}ab" for n in range(7)]
WHERE = "on this bastion"


@pytest.mark.parametrize("wanted", [RUNS[3], "33ab", "Z-33ab", RUNS[3][:19]])
def test_a_run_is_named_by_its_id_its_beginning_or_its_end(wanted: str) -> None:
    assert match_run(wanted, RUNS, where=WHERE) == RUNS[3]


def test_the_whole_id_wins_and_last_is_the_youngest() -> None:
    assert match_run("r1", ["r1", "r11", "r111"], where=WHERE) == "r1"
    assert match_run(LAST, [*RUNS[3:], *RUNS[:3]], where=WHERE) == RUNS[6]


@pytest.mark.parametrize("wanted", ["ab", "r2026", "3ab"])
def test_too_little_names_nothing(wanted: str) -> None:
    assert len(wanted) < ENOUGH or wanted.startswith("r")
    with pytest.raises(InputError) as caught:
        match_run(wanted, RUNS, where=WHERE)
    assert caught.value.hint is not None and caught.value.hint.count("r20260102") <= 5


def test_an_unknown_run_lists_the_five_nearest() -> None:
    with pytest.raises(InputError, match="run 34ab is not known on this bastion") as caught:
        match_run("34ab", RUNS, where=WHERE)
    hint = caught.value.hint or ""
    assert hint.count("r20260102") == 5
    assert hint.index("33ab") < hint.index("00ab") if "00ab" in hint else True
    with pytest.raises(InputError, match="there is no run on this bastion"):
        match_run("x", [], where=WHERE)


def keep(run: str, **more: bool) -> Keep:
    return Keep(run, "/keep", Pin(run, "prod", "etcd1", "2026", "reset"), **more)  # type: ignore[arg-type]


def test_the_last_run_is_the_youngest_that_is_not_undone_and_closed_ones_are_over() -> None:
    trial = Keep("trial-9", "/keep", None)
    first, second = (
        node(1, keeps=(keep("r1", finished=True), keep("r2"), trial)),
        node(2, keeps=(keep("r3", undone=True),)),
    )
    looked = survey(first, second)
    assert undo.find_run(looked, LAST) == "r2"
    assert undo.find_run(looked, "r3") == "r3"
    assert undo.closed_runs(looked) == ("r1", "r3")
    with pytest.raises(InputError):
        undo.find_run(survey(node(1, keeps=(keep("r3", undone=True),))), LAST)


def test_where_no_node_can_be_reached_it_is_not_the_name_that_is_wrong() -> None:
    away = node(1, reachable=False, problem=Problem("unreachable", "etcd1: no route"))
    with pytest.raises(Undetermined, match="etcd1: no route"):
        undo.find_run(survey(away), "r1")


@pytest.mark.parametrize(
    ("number", "noun", "told"),
    [(0, "entry", "0 entries"), (1, "entry", "1 entry"), (2, "day", "2 days"), (1000, "member", "1,000 members")],
)
def test_one_and_many(number: int, noun: str, told: str) -> None:
    assert counted(number, noun) == told
