"""The journal of a run, told again: on the terminal, as JSON, as one HTML file."""

from __future__ import annotations

import json
import os
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli
from fleetrecover.journal import Journal
from fleetrecover.report.html import render
from fleetrecover.report.story import document, tell

NASTY = "<script>alert(1)</script> & \"quoted\" 'too' [bold]x[/]"


def begin(**more: Any) -> dict[str, Any]:
    """The first event of a session."""
    return {"at": "2026-01-01T00:00:00.000Z", "event": "begin", "command": "recover", "survivor": "etcd1"} | more


def event(kind: str, **more: Any) -> dict[str, Any]:
    """Any other event."""
    return {"at": "2026-01-01T00:00:01.000Z", "event": kind} | more


KILLED = [
    begin(dead=["etcd3"]),
    event("stage", name="fence", title="Fence every node"),
    event("intent", step="Fence", node="etcd1"),
    event("command", node="etcd1", name="fence", shown="docker stop etcd"),
    event("result", step="Fence", node="etcd1", seconds=0.25, detail="etcd.old", error=None),
    event("intent", step="Fence", node="etcd2"),
    event("unknown", node="etcd2", name="fence", error="the connection dropped"),
]
RESUMED = [
    begin(),
    event("stage", name="members", title="Bring etcd2 in"),
    event("intent", step="AddMember", node="etcd2"),
    event("command", node="etcd1", name="member-add", shown="etcdctl member add"),
    event("result", step="AddMember", node="etcd2", seconds=1.5, detail="", error="etcd2: too few started members"),
    event("end", outcome="partial", report={"checks": [{"name": "members", "ok": False, "detail": NASTY}]}),
]


class TestTheStory:
    def test_a_killed_run_and_the_one_that_resumed_it(self) -> None:
        story = tell("r1", "prod", [*KILLED, *RESUMED])
        killed, resumed = story.sessions
        assert killed.ended is None
        assert "did not end" in killed.told
        assert killed.dead == ("etcd3",)
        done, cut = killed.acts
        assert (done.stage, done.result, done.seconds, done.commands) == (
            "Fence every node",
            "etcd.old",
            0.25,
            ("docker stop etcd",),
        )
        assert not cut.ended
        assert cut.doubts == ("the connection dropped",)
        assert "in the middle" in cut.result
        assert story.outcome == resumed.outcome == "partial"

    def test_what_a_step_asks_of_the_leader_belongs_to_the_step(self) -> None:
        [add] = tell("r1", "prod", RESUMED).sessions[0].acts
        assert add.commands == ("etcdctl member add",)
        assert add.error == add.result == "etcd2: too few started members"

    def test_events_without_a_beginning_are_told_too(self) -> None:
        story = tell("r1", "prod", KILLED[1:])
        assert [act.step for act in story.sessions[0].acts] == ["Fence", "Fence"]
        assert tell("r1", "prod", []).outcome == "nothing is written down"

    def test_the_document_has_every_step(self) -> None:
        found = document(tell("r1", "prod", [*KILLED, *RESUMED]))
        json.dumps(found)
        assert [len(session["steps"]) for session in found["sessions"]] == [2, 1]
        assert [step["ended"] for step in found["sessions"][0]["steps"]] == [True, False]


class Reader(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


class TestTheHtmlFile:
    def test_it_says_what_the_story_says(self) -> None:
        page = Reader(render(tell("r1", "prod", [*KILLED, *RESUMED])))
        for word in (
            "Cluster prod, run r1",
            "Fence every node",
            "docker stop etcd",
            "too few started members",
            "partial",
        ):
            assert word in page.text

    def test_what_a_node_returned_is_text_and_nothing_is_loaded(self) -> None:
        nasty = [event("intent", step="Fence", node=NASTY), event("result", node=NASTY, seconds=0, detail=NASTY)]
        diagnosis = {"verdict": NASTY, "why": NASTY, "survivor": {"name": NASTY}, "nodes": [{"name": NASTY}]}
        page = Reader(render(tell(NASTY, NASTY, [begin(diagnosis=diagnosis), *nasty, *RESUMED])))
        assert "script" not in page.tags
        assert page.text.count(NASTY) >= 8


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bastion with one run."""
    monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path / "state"))
    journal = Journal.open("prod", "r20260101T000000Z-abcd")
    for one in [*KILLED, *RESUMED]:
        journal.write(one["event"], **{name: value for name, value in one.items() if name not in ("at", "event")})
    journal.close()
    return tmp_path


class TestTheCommand:
    def test_as_text_as_json_and_as_html(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.run(["report", "r2026"]) == 0
        said = capsys.readouterr().out
        assert "Bring etcd2 in" in said
        assert NASTY in said
        assert cli.run(["report", "r20260101T000000Z-abcd", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outcome"] == "partial"
        page = state / "post-mortem.html"
        assert cli.run(["report", "r2026", "--html", str(page)]) == 0
        assert page.read_text().startswith("<!doctype html>")
        assert page.stat().st_mode & 0o777 == 0o600

    def test_a_run_that_is_not_known(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.run(["report", "r1999"]) == 3
        assert "r20260101T000000Z-abcd" in capsys.readouterr().err

    def test_a_file_that_cannot_be_written(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.run(["report", "r2026", "--html", os.fspath(state / "nowhere" / "x.html")]) == 3
        assert "cannot be written" in capsys.readouterr().err
