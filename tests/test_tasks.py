"""`fab`: the tasks in the runbook's order, each with its number; what one did, and which comes next."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli, single
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.outcome import Outcome
from fleetrecover.steps import AddMember
from tests.fakes.nodes import FakeFleet

ROOT = Path(__file__).parents[1]
ORDER = [
    *("survey", "diagnose", "plan", "run-config", "fence", "keep-data", "reset", "start"),
    *("member-add", "join", "promote", "verify", "undo"),
]


def test_the_tasks_are_listed_in_the_runbooks_order() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fabric", "--list"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = re.findall(r"^  ([a-z-]+) +(\d+)\. ", done.stdout, re.MULTILINE)
    assert rows == [(name, str(number)) for number, name in enumerate(ORDER, 1)]


def test_every_task_of_a_step_is_one_that_fab_has() -> None:
    assert set(single.TASKS) <= set(ORDER)


def test_a_task_shows_only_what_it_does_and_ends_with_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    survey = FakeFleet.broken(3, wiped=2).survey()
    judged = diagnose(survey, Wish())
    plan = make_plan(survey, judged, Wish(), run="r1", started="", tool="")

    @contextmanager
    def reached(only: str | None = None) -> Iterator[tuple[Any, Any]]:
        yield survey.fleet, None

    def do_next(means: Any, wish: Wish, task: str, host: str | None) -> tuple[Outcome, ...]:
        means.confirm(survey, judged, plan)
        chosen, _ = single.ready(plan, task, host)
        return tuple(Outcome(type(step).__name__, step.node, 0.1) for step in chosen)

    monkeypatch.setattr(cli, "reached", reached)
    monkeypatch.setattr(single, "do_next", do_next)
    monkeypatch.setattr(cli.settings, "_consoles", {})
    monkeypatch.setattr(cli.settings, "json", False)
    assert cli.run(["step", "fence", "--yes", survey.fleet.cluster]) == 0
    shown = capsys.readouterr()
    assert shown.out == "fence: done on n1, n2, n3; next: `fab keep-data` (move the data aside, on n1)\n"
    assert "fab fence, of run r1: quorum-lost" in shown.err
    assert "stop and set aside" in shown.err and "quarantine" not in shown.err
    assert not re.search(r"\b(OpenRun|KeepData|AddMember)\b", shown.out + shown.err)


def test_the_runbook_is_gone_through_by_typing_what_comes_next() -> None:
    """Only the task that was named last is typed: each does something, and the last one leaves nothing to do."""
    fleet = FakeFleet.broken(3, wiped=2)
    typed: list[str] = []
    task = "fence"
    for _ in range(20):
        survey = fleet.survey()
        judged = diagnose(survey, Wish())
        plan = make_plan(survey, judged, Wish(), run="r1", started="", tool="")
        chosen, first = single.ready(plan, task, None)
        assert chosen, f"after {typed}: {task} can do nothing, first comes {first}"
        fleet.do(chosen)
        typed.append(task)
        told = re.search(r"next: `fab ([a-z-]+)`", single.what_next(plan, chosen))
        if told is None:
            break
        task = told.group(1)
    assert typed == ["fence", "keep-data", "reset", "start", *("member-add", "join", "promote") * 2, "start"]


@pytest.mark.parametrize("task", ["member-add", "join", "promote", "start"])
def test_what_another_node_still_needs_for_itself_holds_up_no_step_of_this_one(task: str) -> None:
    """etcd3's image and files are looked at before etcd3 is added, not before etcd2 is made a voter."""
    fleet = FakeFleet.broken(3, wiped=2)
    for name in ("fence", "keep-data", "reset", "start", "member-add", "join", "promote"):
        survey = fleet.survey()
        plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run="r1", started="", tool="")
        host = "n2" if name in ("member-add", "join", "promote") else None
        if name == task and host is not None:
            early, first = single.ready(plan, name, "n3")
            assert not early
            assert "n2" in first or "on n3" in first
        chosen, first = single.ready(plan, name, host)
        assert chosen, first
        assert host is None or {step.node for step in chosen} == {host}
        fleet.do(chosen)


def test_a_nodes_own_affair_stands_before_its_own_next_step() -> None:
    fleet = FakeFleet.broken(3, wiped=2)
    for name in ("fence", "keep-data", "reset", "start"):
        survey = fleet.survey()
        plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run="r1", started="", tool="")
        fleet.do(single.ready(plan, name, None)[0])
    survey = fleet.survey()
    plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run="r1", started="", tool="")
    assert [
        type(step).__name__
        for step in single.unhindered(plan, lambda step: isinstance(step, AddMember) and step.node == "n2")[0]
    ] == []
    assert (
        "bring the image" in single.unhindered(plan, lambda step: isinstance(step, AddMember) and step.node == "n2")[1]
    )
