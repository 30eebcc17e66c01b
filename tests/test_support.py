"""`support RUN`: one archive, without anybody's names."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from fleetrecover import cli
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.plan import make_plan
from fleetrecover.journal import Journal
from fleetrecover.report.document import diagnosis_document, plan_document
from tests.test_saved import NAMES, telling

RUN = "r20260101T000000Z-0001"


def test_an_archive_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    found = telling()
    told = diagnose(found, Wish())
    plan = make_plan(found, told, Wish(), run=RUN, started="2026-01-01T00:00:00Z", tool="t")
    journal = Journal.open("prod", RUN)
    journal.write(
        "begin",
        command="recover",
        cluster="prod",
        survivor=plan.survivor,
        dead=[],
        diagnosis=diagnosis_document(found, told),
        plan=plan_document(found, told, plan),
    )
    journal.write("note", text="10.20.30.2 (muenchen-2) gave no answer")
    journal.write("end", outcome="recovered", report={"members": ["berlin-7"], "left_out": {"muenchen-2": "away"}})
    journal.close()
    assert cli.run(["support", RUN]) == 0
    file = tmp_path / f"fleetrecover-{RUN}.tar.gz"
    assert file.stat().st_mode & 0o777 == 0o600 and str(file.name) in capsys.readouterr().out
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as archive:
        files = {entry.name.partition("/")[2]: archive.extractfile(entry) for entry in archive}
        texts = {name: opened.read().decode() for name, opened in files.items() if opened}
    assert set(texts) == {"README", "journal.jsonl", "report.json", "report.html", "diagnosis.json"}
    names = [name for name in NAMES if name not in ("deploy", "/home/deploy", "registry.corp.test")]
    for name, text in texts.items():
        assert not [word for word in names if word in text], name
    assert json.loads(texts["diagnosis.json"])["verdict"] == told.verdict.value
    lines = [json.loads(line) for line in texts["journal.jsonl"].splitlines()]
    assert [line["event"] for line in lines] == ["begin", "note", "end"]
    assert lines[0]["survivor"] == lines[0]["diagnosis"]["survivor"]["name"] != plan.survivor
    assert lines[2]["report"]["members"][0] in json.dumps(lines[0]["plan"])


def test_a_run_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path))
    assert cli.run(["support", "nothing"]) == 3
