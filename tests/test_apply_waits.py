"""What a step does while an earlier script of ours still runs on the node, and after a connection that was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands.base import BUSY, TIMED_OUT
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import CommandFailed, OutcomeUnknown, Unreachable
from fleetrecover.journal import Journal
from tests.decide import surveys
from tests.fakes.transport import FakeTransport, failed

KEEP = s.KeepData("etcd1", RunPaths("/d.fleetrecover", "r1"), "/d")
RUNS = failed(BUSY, "busy: copy, at most 3000 s more\n")


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


def keep_data(tmp_path: Path, *answers: Any, cut: bool = False) -> tuple[int, list[str], float]:
    """Keep a node's data, with what it answers in turn: how often it was asked, what was said, how long it took."""
    transport = FakeTransport({"etcd1": {"keep-data": list(answers)}})
    if cut:
        transport.cut("etcd1", "keep-data")
    now = [0.0]
    said = Listener()
    journal = Journal(tmp_path / "r1.jsonl", "r1")
    survey = surveys.survey(surveys.node(1))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    applier = Applier(survey, transport, "t", journal, said, sleep, lambda: now[0])  # type: ignore[arg-type]
    try:
        assert applier.do(KEEP) == "/d.fleetrecover/r1/original"
    finally:
        journal.close()
    return len(transport.asked), said.notes, now[0]


def test_an_earlier_script_is_waited_for_far_longer_than_a_connection(tmp_path: Path) -> None:
    """A copy of half an hour: nobody gives up after two minutes, and somebody says now and then what is waited for."""
    tried, notes, took = keep_data(tmp_path, *[RUNS] * 600, 0)
    assert tried == 601
    assert took >= 1800
    assert any("copy" in note and "of at most 3000 s" in note for note in notes)
    assert len(notes) > 50


def test_a_lost_connection_in_a_long_copy_looks_again(tmp_path: Path) -> None:
    """The node answers again, the copy still runs there: it is waited for, and then looked at by the same script."""
    tried, notes, _ = keep_data(tmp_path, 0, *[RUNS] * 100, 0, cut=True)
    assert tried == 102
    assert any("looking at what is there" in note for note in notes)


def test_a_connection_that_is_lost_again_while_it_is_waited(tmp_path: Path) -> None:
    tried, _, _ = keep_data(tmp_path, RUNS, Unreachable("etcd1", "refused"), RUNS, 0)
    assert tried == 4


def test_what_does_not_even_end_at_its_limit_is_told(tmp_path: Path) -> None:
    """Never a success, and never an endless wait."""
    with pytest.raises(OutcomeUnknown, match=r"copy.* still runs there") as told:
        keep_data(tmp_path, RUNS)
    assert "same command again" in (told.value.hint or "")


def test_what_the_node_itself_has_ended_is_tried_again(tmp_path: Path) -> None:
    assert keep_data(tmp_path, TIMED_OUT, 0)[0] == 2


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="no space is left there"):
        keep_data(tmp_path, failed(1, "mv: cannot create: No space left on device"))
