"""The flow before the first change: a saved plan that is another one, and a fleet that is another one at the second look."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from fleetrecover import recover as flow
from fleetrecover.decide.diagnosis import Diagnosis, Wish, diagnose
from fleetrecover.decide.plan import Plan, fingerprint, make_plan
from fleetrecover.errors import InputError, Refused, Undetermined
from fleetrecover.facts import Survey
from fleetrecover.journal import Journal, summary
from fleetrecover.recover import Recovery, recover
from fleetrecover.report.document import plan_document
from fleetrecover.report.files import Saved, plan_text, read_plan
from tests.decide.test_plan import changed, degraded
from tests.decide.test_resume import finish
from tests.fakes.nodes import FakeFleet, make_log
from tests.test_scrub import Silent

Looked = tuple[Survey, Diagnosis, Plan | None]


class Begun(Exception):
    """The first change would be made now."""


def looked(survey: Survey, run: str = "r7") -> Looked:
    diagnosis = diagnose(survey, Wish())
    return survey, diagnosis, make_plan(survey, diagnosis, Wish(), run=run, started="2026-01-01T00:00:00Z")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str | None]]:
    """Run `recover` on looks that were taken before; gives the runs that were asked for, and raises Begun at the first change."""

    def go(*looks: Looked, agreed: Saved | None = None) -> list[str | None]:
        asked: list[str | None] = []

        def look(_: object, __: object, run: str | None = None) -> Looked:
            asked.append(run)
            return looks[len(asked) - 1]

        def begin(*_: object) -> None:
            raise Begun

        held = type("Held", (), {"token": "t"})()
        monkeypatch.setattr(flow, "look", look)
        monkeypatch.setattr(flow, "hold", lambda *_: nullcontext(held))
        monkeypatch.setattr(Journal, "open", begin)
        monkeypatch.setattr(flow, "drop_dead_holds", lambda *_: None)
        monkeypatch.setattr(flow, "take_hashes", lambda *_: None)
        means = Recovery(looks[0][0].fleet, cast("Any", None), cast("Any", Silent()), lambda *_: None)
        recover(means, Wish(), agreed=agreed)
        return asked

    return go


def test_what_was_confirmed_is_begun(play: Callable[..., list[str | None]]) -> None:
    first = looked(FakeFleet.broken(3).survey())
    with pytest.raises(Begun):
        play(first, first)


def test_what_changed_since_is_refused_and_told(play: Callable[..., list[str | None]]) -> None:
    seen = FakeFleet.broken(3).survey()
    again = changed(seen, "n2", log=make_log(2, 3, 19))
    with pytest.raises(
        Refused, match="n2: its log: was of member 2, to term 2, index 21, is of member 2, to term 2, index 22"
    ):
        play(looked(seen), looked(again))


def test_what_has_mended_itself_meanwhile_is_nothing_to_do(play: Callable[..., list[str | None]]) -> None:
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    well = fleet.survey()
    ill = changed(well, "n2", status=None, members=None)
    assert play(looked(ill), (well, diagnose(well, Wish()), None)) == [None, "r7"]


def test_what_serves_now_with_less_than_was_seen_is_not_healthy(play: Callable[..., list[str | None]]) -> None:
    """Two emptied members begin anew between the two looks, and outvote the one that has the data."""
    fleet = FakeFleet.broken(3)
    finish(fleet, Wish())
    well = fleet.survey()
    own = well.node("n3").log
    assert own is not None
    conf, end = own.configuration, own.configuration_at_end
    further = replace(
        make_log(own.node_id, 3, 80), configuration=conf, configuration_at_end=end, removed_at=own.removed_at
    )
    ill = changed(changed(well, "n2", status=None, members=None), "n3", log=further)
    with pytest.raises(
        Undetermined, match="at index 50, revision 30; a moment ago index 83, revision 30 was known by n3's log"
    ):
        play(looked(ill), (well, diagnose(well, Wish()), None))


# --- saved plans ---


def saved(tmp_path: Path, seen: Survey, run: str = "r7") -> tuple[Path, Looked]:
    survey, diagnosis, plan = looked(seen, run)
    assert plan is not None
    path = tmp_path / "plan.json"
    path.write_text(plan_text(plan_document(survey, diagnosis, plan)))
    return path, (survey, diagnosis, plan)


def test_a_saved_plan_is_done_under_its_own_run(tmp_path: Path, play: Callable[..., list[str | None]]) -> None:
    path, first = saved(tmp_path, FakeFleet.broken(3).survey())
    plan = first[2]
    assert plan is not None
    assert read_plan(path) == Saved("r7", fingerprint(first[0], plan), "reset")
    asked: list[str] = []
    with pytest.raises(Begun):
        asked += play(first, first, agreed=read_plan(path))  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["commands", "node", "run", "fingerprint", "left_out"])
def test_an_edited_plan_is_refused(tmp_path: Path, where: str) -> None:
    path, _ = saved(tmp_path, FakeFleet.broken(3).survey())
    document = json.loads(path.read_text())
    step = document["stages"][1]["steps"][0]
    if where == "commands":
        step["commands"] = ["rm -rf /var/lib/etcd"]
    elif where == "node":
        step["node"] = "n3"
    elif where == "left_out":
        document["left_out"] = {"n3": "because"}
    else:
        document[where] = "r8"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="is not as `fleetrecover plan -o` wrote it"):
        read_plan(path)


def test_a_plan_of_a_version_before_and_what_is_none(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, FakeFleet.broken(3).survey())
    document = json.loads(path.read_text())
    del document["digest"]
    path.write_text(json.dumps(document))
    with pytest.raises(Refused):
        read_plan(path)
    for text in ("[]", "{}", "x", '{"run": "r1"}'):
        path.write_text(text)
        with pytest.raises(InputError, match="not a saved plan"):
            read_plan(path)


def test_laid_out_anew_it_is_still_the_same(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, FakeFleet.broken(3).survey())
    before = read_plan(path)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_plan(path) == before


def test_a_saved_plan_of_another_fleet_or_another_run_is_refused(
    tmp_path: Path, play: Callable[..., list[str | None]]
) -> None:
    seen = FakeFleet.broken(3).survey()
    path, _ = saved(tmp_path, seen)
    agreed = read_plan(path)
    other = looked(changed(seen, "n2", log=make_log(2, 3, 19)))
    with pytest.raises(Refused, match="not as it was when that plan was made"):
        play(other, other, agreed=agreed)
    with pytest.raises(Refused, match="and run r9 is under way"):
        play(looked(seen, "r9"), looked(seen, "r9"), agreed=agreed)


def test_a_saved_plan_that_was_done_is_not_done_again(tmp_path: Path, play: Callable[..., list[str | None]]) -> None:
    fleet = degraded(3, 1)
    path, first = saved(tmp_path, fleet.survey())
    keep = next(iter(fleet.node("n1").keeps.values()))
    fleet.node("n1").keeps = {keep.run: keep} | {"r7": type(keep)("r7", "/d/r7", keep.pin, finished=True)}
    seen = fleet.survey()
    assert first[2] is not None
    with pytest.raises(Refused, match="run r7 of that plan has been closed on n1"):
        play((seen, first[1], first[2]), first, agreed=read_plan(path))


def test_runs_say_on_how_many_members(tmp_path: Path) -> None:
    path = tmp_path / "prod" / "r1.jsonl"
    path.parent.mkdir()

    def told(**report: object) -> str:
        path.write_text(json.dumps({"event": "end", "outcome": "recovered", "report": report}) + "\n")
        return summary(path).told

    assert told(members=["etcd1"], missing=["etcd2", "etcd3"]) == "recovered (1 of 3)"
    assert told(members=["etcd1", "etcd2", "etcd3"], missing=[]) == "recovered"
    assert told(members=["etcd1"]) == "recovered", "of a version that did not write it down"
    assert summary(path).outcome == "recovered"
