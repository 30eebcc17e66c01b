"""What a step does about an engine that refuses in passing, and about one that means it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import CommandFailed, FleetRecoverError
from fleetrecover.journal import Journal
from fleetrecover.undo import Undoer
from tests.decide import surveys
from tests.fakes.nodes import make_container
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


WALLED = RunPaths("/d.fleetrecover", "r1", "/fast/etcd")
BASE = ("etcd1", WALLED, "/d")
PARTED = failed(65, "")
LOOKS_FIRST: dict[str, s.Step] = {
    "start": s.StartOriginal(*BASE, "c" * 64, "etcd", "always"),
    "rebuilt": s.StartRebuilt(*BASE, make_container(1, 1, wal=True).spec, "etcd", "always", "why"),  # type: ignore[arg-type]
    "finish": s.FinishRun(*BASE),
    "close": s.CloseEarlier(*BASE, WALLED),
    "put back": s.PutContainerBack(*BASE, "c" * 64, "etcd", "always", start=True),
    "undone": s.MarkUndone(*BASE),
}


@pytest.mark.parametrize("name", LOOKS_FIRST)
def test_before_an_etcd_is_started_or_a_run_closed_its_log_lies_with_its_data(name: str, tmp_path: Path) -> None:
    """An interruption may have parted them: if they cannot be put together nothing is started, and no run is closed."""
    for walled in (True, False):
        transport = FakeTransport({"etcd1": {"reunite": PARTED, "*": failed(9, "it went on")}})
        journal = Journal(tmp_path / f"{walled}.jsonl", "r1")
        survey = surveys.survey(surveys.node(1))
        worker = Undoer(survey, transport, "t", journal, Silent(), lambda _: None)  # type: ignore[arg-type]
        step = LOOKS_FIRST[name] if walled else replace(LOOKS_FIRST[name], paths=RunPaths("/d.fleetrecover", "r1"))
        try:
            with pytest.raises(FleetRecoverError) as caught:
                worker.do(step)
        finally:
            journal.close()
        assert (transport.names()[0] == "reunite") is walled
        assert ("there is data where there must be none" in caught.value.message) is walled, caught.value.message


def test_one_that_stays_stopped_need_not_be_looked_at(tmp_path: Path) -> None:
    transport = FakeTransport({"etcd1": {"*": b""}})
    journal = Journal(tmp_path / "r1.jsonl", "r1")
    survey = surveys.survey(surveys.node(1))
    worker = Undoer(survey, transport, "t", journal, Silent(), lambda _: None)  # type: ignore[arg-type]
    worker.do(s.PutContainerBack(*BASE, "c" * 64, "etcd", "no", start=False))
    journal.close()
    assert transport.names() == ["put-container-back"]
