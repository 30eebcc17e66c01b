"""Every JSON document is as docs/schema says, no key more and none fewer: over drawn worlds, and as the program prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli, saved
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish
from fleetrecover.decide.finding import Severity
from fleetrecover.decide.survivor import ProofKind
from fleetrecover.decide.verdict import Check, Judgement
from fleetrecover.errors import FleetRecoverError, Refused
from fleetrecover.journal import Journal
from fleetrecover.outcome import Outcome, Report
from fleetrecover.plain import dumps
from fleetrecover.report.document import (
    diagnosis_document,
    error_document,
    judgement_document,
    plan_document,
    report_document,
    survey_document,
)
from fleetrecover.report.lines import LinedEvents, Lines
from fleetrecover.saved import SavedSurvey
from fleetrecover.steps import Fence
from tests.fakes.nodes import FakeFleet
from tests.schemas import HOME, check, schema, wrong
from tests.test_saved import telling
from tests.worlds.breaks import draw


def shown(document: Any) -> Any:
    """As it is printed and read."""
    return json.loads(dumps(document))


def test_documents_of_drawn_worlds() -> None:
    held = [SavedSurvey(draw(seed).world.survey(True)) for seed in range(25)]
    held += [SavedSurvey(FakeFleet.broken(3, wiped=2).survey()), SavedSurvey(telling())]
    plans = 0
    for each in held:
        check("saved-survey", json.loads(saved.text_of(each)))
        check("survey", shown(survey_document(each.survey)))
        try:
            found, told = saved.concluded(each, Wish())
            check("diagnose", shown(diagnosis_document(found, told.diagnosis)))
            found, diagnosis, plan = saved.plan_of(each, Wish(), run="r1", started="2026-01-01T00:00:00Z")
        except FleetRecoverError as error:
            check("error", shown(error_document(error)))
            continue
        if plan is not None:
            check("plan", shown(plan_document(found, diagnosis, plan)))
            plans += 1
    assert plans > 3


def test_what_a_recovery_and_a_verification_print() -> None:
    judgement = Judgement((Check("all voters", True, "3"),), ("a",), 7, True)
    outcomes = (Outcome("Fence", "a", 0.1, "stopped", None), Outcome("Fence", "b", 0.1, "", Refused("no")))
    for told in (judgement, None):
        report = Report("r1", "recovered", Remedy.RESET, None, 7, 8, told, 1.5, 2.5, outcomes, {"c": "away"})
        check("recover", shown(report_document(report)))
    rest = {"cluster": "prod", "verdict": Verdict.HEALTHY.value, "missing": [], "next": "Nothing to do."}
    check("verify", shown(judgement_document(judgement) | rest))


def test_the_programs_own_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for run in ("r1", "r2"):
        journal = Journal.open("prod", run)
        journal.write("begin", command="recover", survivor="a")
        journal.close()
    log = ["--log", "l.jsonl"]
    for words, name in ((["runs"], "runs"), (["support", "r1"], "support"), (["report", "nothing"], "error")):
        cli.run([*words, "--json", *log])
        check(name, json.loads(capsys.readouterr().out))
    events = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert {each["event"] for each in events} == {"begin", "error", "end"}
    for each in events:
        check("event", each)


class Quiet:
    """An onlooker who says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def test_events_of_a_plan(tmp_path: Path) -> None:
    found = FakeFleet.broken(3, wiped=2).survey()
    plan = saved.plan_of(SavedSurvey(found), Wish(), run="r1", started="2026-01-01T00:00:00Z")[2]
    assert plan is not None
    lines = Lines(pytest.fail)
    lines.to_file(tmp_path / "l")
    events = LinedEvents(Quiet(), lines)
    for stage in plan.stages:
        events.stage_begins(stage)
        for step in stage.steps:
            events.step_begins(step)
            events.step_ends(step, Outcome(type(step).__name__, step.node, 0.1, "done", None))
    events.note("x")
    events.moved("db", 5)
    events.moved("db", 9, ended=True)
    lines.write("wait", text="…")
    lines.close()
    told = [json.loads(line) for line in (tmp_path / "l").read_text().splitlines()]
    assert {each["event"] for each in told} == {"stage", "step-begin", "step-end", "note", "moved", "wait"}
    assert Fence.__name__ in {each.get("step") for each in told}
    for each in told:
        check("event", each)


def test_the_words_of_the_schemas_are_the_programs() -> None:
    told = schema("diagnose")
    assert set(told["properties"]["verdict"]["enum"]) == {each.value for each in Verdict}
    assert set(told["properties"]["remedy"]["enum"]) == {each.value for each in Remedy}
    assert set(told["$defs"]["finding"]["properties"]["severity"]["enum"]) == {each.value for each in Severity}
    assert set(told["$defs"]["choice"]["properties"]["proof"]["enum"]) == {each.value for each in ProofKind}


def test_the_validator_can_fail() -> None:
    """Each kind of rule is broken once, and told."""
    good = {"schema": 1, "runs": []}
    for bad in (
        {**good, "more": 1},
        {"schema": 1},
        {**good, "schema": True},
        {**good, "runs": [3]},
        {**good, "runs": {}},
    ):
        assert wrong(bad, schema("runs"), schema("runs"), "x"), bad
    assert wrong("A b", {"pattern": "^[a-z]+$"}, {}, "x") and wrong(3, {"enum": [4]}, {}, "x")
    for path in sorted(HOME.glob("*.json")):
        assert schema(path.stem)["$id"] == f"{path.stem}-1"
