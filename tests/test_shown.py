"""What is shown of a step is what is sent: every kind that is nothing but actions, driven over a node that says yes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import Identity, Tool
from fleetrecover.facts import Pin
from fleetrecover.journal import Journal
from fleetrecover.model import Command, Host, Result
from fleetrecover.runtime import runtime_of
from fleetrecover.steps.words import kinds
from fleetrecover.undo import Undoer
from tests.decide import surveys
from tests.test_scrub import Silent

BASE = ("etcd1", RunPaths("/d.fleetrecover", "r1", "/fast/etcd"), "/d")
TARGET = s.FenceTarget("c" * 64, "etcd", "etcd.kept")
URL = "https://10.0.0.1:2380"
DEEDS: tuple[s.Deeds, ...] = (
    s.OpenRun(*BASE, Pin("r1", "c", "etcd1", "", "reset"), ("c" * 64,)),
    s.FinishRun(*BASE),
    s.CloseEarlier(*BASE, RunPaths("/d.fleetrecover", "r0")),
    s.BeginUndo(*BASE),
    s.MarkUndone(*BASE),
    s.RemoveRun(*BASE, 1),
    s.Fence(*BASE, (TARGET, TARGET)),
    s.GiveNameBack(*BASE, "c" * 64, "other", "etcd"),
    s.RestorePolicy(*BASE, "etcd", "always"),
    s.RemoveLeftover(*BASE, "etcd", "r0"),
    s.RemoveOurs(*BASE, ("a", "b")),
    s.PutContainerBack(*BASE, "c" * 64, "etcd", "always", True),
    s.RemoveKept(*BASE, (("c" * 64, "etcd.kept"),)),
    s.HoldUnit(*BASE, "etcd.service"),
    s.StopUnit(*BASE, "etcd.service", "etcd", (TARGET,)),
    s.KeepData(*BASE),
    s.ProbeReflink(*BASE),
    s.KeepElsewhere(*BASE, "/w", 1, ("etcd-q",)),
    s.CopyData(*BASE, 1, False, ("etcd-q", "etcd-old-q")),
    s.Adopt(*BASE, ("etcd-q",)),
    s.PutDataBack(*BASE),
    s.StopNeighbours(*BASE, ("kube-apiserver",)),
    s.NoteRestore(*BASE, {"token": "t"}),
    s.RestoreData(*BASE, "etcd:3.5", Tool("etcdutl", True), Identity("n", (URL,), (("n", (URL,)),), "t"), 1, 0, "0:0"),
    s.AdoptRestored(*BASE),
)


class Yes:
    """A node to which everything succeeds; what it was sent is in `sent`."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def batch(self, _host: Host, commands: Sequence[Command]) -> list[Result]:
        self.sent += [command.display for command in commands]
        return [Result(command, 0, b"", b"") for command in commands]


def test_every_kind_is_here() -> None:
    assert {type(step) for step in DEEDS} == {kind for kind in kinds() if issubclass(kind, s.Deeds)}


@pytest.mark.parametrize("step", DEEDS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("applier", [Applier, Undoer], ids=lambda kind: str(kind.__name__))
def test_what_is_shown_is_what_is_sent(applier: Any, step: s.Deeds, tmp_path: Path) -> None:
    node = Yes()
    journal = Journal(tmp_path / "r1.jsonl", "r1")
    survey = surveys.survey(surveys.node(1))
    done = applier(survey, node, "t", journal, Silent(), lambda _: None).do(step)
    journal.close()
    assert node.sent and node.sent == list(step.explain(runtime_of(survey.fleet)).commands)
    assert done == step.told()
