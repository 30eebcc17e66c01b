"""Right above the prompt: verdict, survivor, what may be lost, what stops serving; one line each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.decide.survivor import ProofKind
from fleetrecover.report import console
from fleetrecover.report.last_word import last_word
from fleetrecover.steps import Fence, Stage
from tests.decide.test_verdict import changed, whole
from tests.report.test_console import RUN, Screen, fleet


@pytest.mark.parametrize(("nodes", "width"), [(3, 80), (5, 80), (7, 80), (5, 100), (5, 160)])
def test_a_line_each_at_the_end_of_the_screen(nodes: int, width: int) -> None:
    screen = Screen(width)
    console.print_last_word(screen.out, *fleet(nodes))
    screen.check()
    titles = [line.partition(":")[0] for line in screen.lines if line]
    assert titles == ["Verdict", "Survivor", "May be lost", "Stops serving"]


def test_where_quorum_is_lost_and_it_is_proven() -> None:
    survey, diagnosis, plan = fleet(5)
    assert diagnosis.choice is not None
    told = dict(last_word(survey, diagnosis, plan))
    assert told["Verdict"] == "quorum-lost: 0 of 5 hosts serve"
    assert told["Survivor"].startswith(diagnosis.choice.survivor)
    assert told["Stops serving"] == "nothing: nothing serves now"
    proven = replace(diagnosis, choice=replace(diagnosis.choice, proof=ProofKind.COMPLETE))
    assert dict(last_word(survey, proven, plan))["May be lost"] == "nothing that was acknowledged"
    doubtful = replace(diagnosis.choice, proof=ProofKind.BEST, missing=("n2", "n3"))
    assert dict(last_word(survey, replace(diagnosis, choice=doubtful), plan))["May be lost"] == "what only n2, n3 held"


def test_what_the_operator_himself_has_chosen_to_lose() -> None:
    survey, diagnosis, plan = fleet(5)
    assert diagnosis.choice is not None
    chosen = replace(diagnosis.choice, overridden=True, loses="3 entries that n2 has")
    told = dict(last_word(survey, replace(diagnosis, choice=chosen), plan))
    assert told["Survivor"].endswith("your own choice")
    assert told["May be lost"] == "by your own choice: 3 entries that n2 has"


def test_a_repair_names_nobody_and_loses_nothing() -> None:
    down = changed(whole(), "n3", status=None, containers=())
    diagnosis = diagnose(down, Wish())
    plan = make_plan(down, diagnosis, Wish(), run=RUN, started="2026-01-02T12:00:00Z")
    told = dict(last_word(down, diagnosis, plan))
    assert told["Verdict"] == "degraded: 2 of 3 hosts serve"
    assert (told["Survivor"], told["May be lost"]) == ("none is needed: nothing is reset", "nothing")
    assert told["Stops serving"] == "nothing that serves now"


def test_a_member_that_serves_and_is_stopped_is_named() -> None:
    survey = whole()
    diagnosis = diagnose(survey, Wish())
    _, _, plan = fleet(5)
    part = plan.stages[0]
    fences = [step for step in part.steps if isinstance(step, Fence)]
    one = replace(plan, stages=(Stage(part.name, part.title, ((replace(fences[0], node="n2"),),)),))
    assert dict(last_word(survey, diagnosis, one))["Stops serving"] == "etcd on n2, for a while"
