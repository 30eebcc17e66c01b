"""What a step does about an engine that refuses in passing, and about one that means it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetrecover.apply import Applier
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide import steps as s
from fleetrecover.errors import CommandFailed
from fleetrecover.journal import Journal
from tests.decide import surveys
from tests.fakes.transport import FakeTransport, failed
from tests.test_scrub import Silent

PASSING = failed(1, "Error response from daemon: Cannot update container 57968c: runc did not terminate successfully")
FENCE = s.Fence(
    "etcd1", RunPaths("/d.fleetrecover", "r1"), "/d", (s.FenceTarget("c" * 64, "etcd", "etcd.kept", paused=False),)
)


def fence(tmp_path: Path, *answers: object) -> tuple[list[float], int]:
    """Fence, with what the node answers in turn; how long was waited between, and how often it was tried."""
    transport = FakeTransport({"etcd1": {"fence": list(answers)}})
    waits: list[float] = []
    journal = Journal(tmp_path / "r1.jsonl", "r1")
    survey = surveys.survey(surveys.node(1))
    applier = Applier(survey, transport, "t", journal, Silent(), waits.append)  # type: ignore[arg-type]
    try:
        assert applier.do(FENCE) == "etcd.kept"
    finally:
        journal.close()
        tried = len(transport.asked)
    return waits, tried


def test_an_etcd_that_crashes_while_its_policy_is_changed_is_fenced_all_the_same(tmp_path: Path) -> None:
    """Found by the fault matrix: a container that ends in that moment makes `docker update` fail."""
    waits, tried = fence(tmp_path, PASSING, PASSING, b"")
    assert tried == 3
    assert len(waits) == 2


def test_what_is_no_passing_refusal_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="No such container"):
        fence(tmp_path, failed(1, "Error: No such container: etcd"), b"")


def test_it_does_not_go_on_for_ever(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="Cannot update container"):
        fence(tmp_path, PASSING)
