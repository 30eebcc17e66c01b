"""Events for programs: a line each, as they happen; and no reader can hold up what is done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli
from fleetrecover.errors import InputError, UsageError
from fleetrecover.report.lines import Lines

NOBODY = 'cluster = "prod"\n[ssh]\nknown_hosts = "k"\nconnect_timeout = 1\n[[hosts]]\nname = "a"\naddress = "127.0.0.1"\nport=1\n'


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_log_of_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.toml").write_text(NOBODY)
    (tmp_path / "k").touch()
    reader, writer = os.pipe()
    assert cli.run(["recover", "--log", "log.jsonl", "--yes", "prod", f"--events={writer}"]) == 12
    events = told((tmp_path / "log.jsonl").read_text())
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600
    assert [events[0]["event"], events[0]["command"]] == ["begin", "recover"]
    assert [each["event"] for each in events[-2:]] == ["error", "end"]
    assert events[-1]["exit_code"] == events[-2]["exit_code"] == 12
    assert {each["schema"] for each in events} == {1}
    with os.fdopen(reader) as stream:
        assert told(stream.read()) == events
    assert cli.run(["recover", "--log", "log.jsonl", "--yes", "prod"]) == 12
    assert len(told((tmp_path / "log.jsonl").read_text())) == 2 * len(events), "a log is added to"


def test_a_reader_that_does_not_read_or_is_gone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetrecover.limits.READER", 0.01)
    said: list[str] = []
    lines = Lines(said.append)
    reader, full = os.pipe()
    gone, closed = os.pipe()
    os.close(gone)
    lines.to_descriptor(full)
    lines.to_descriptor(closed)
    for _ in range(40):
        lines.write("note", text="x" * 4000)
    assert [each.partition(": ")[2] for each in said] == [
        "Broken pipe; nothing more is written there",
        "nobody reads it; nothing more is written there",
    ]
    os.close(reader)


def test_what_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    lines = Lines(lambda _: None)
    with pytest.raises(UsageError, match="--events 1"):
        lines.to_descriptor(1)
    with pytest.raises(UsageError, match="--events 999: Bad file"):
        lines.to_descriptor(999)
    with pytest.raises(InputError, match="--log"):
        lines.to_file(tmp_path)


def test_these_options_may_stand_anywhere() -> None:
    words = cli.hoist(["undo", "r1", "--log", "x", "--events=3"])
    assert words == ["--log", "x", "--events=3", "undo", "r1"]
    assert cli.command_of(words) == "undo"
