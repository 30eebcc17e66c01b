"""Small values that scripts are made of: where a run keeps its things, whether a neighbour has stayed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import Neighbour
from fleetrecover.facts import DataDir

NOW = Neighbour("apiserver", "id", "running", "always", "2026-01-02", 0)


@pytest.mark.parametrize(
    ("now", "before", "stayed"),
    [
        (NOW, None, True),
        (NOW, NOW, True),
        (NOW, replace(NOW, started="2026-01-01"), False),
        (replace(NOW, state="restarting"), None, False),
        (replace(NOW, state="exited"), NOW, False),
    ],
)
def test_what_was_started_anew_meanwhile_has_not_stayed(now: Neighbour, before: Neighbour | None, stayed: bool) -> None:
    assert now.stayed_since(before) is stayed


@pytest.mark.parametrize(
    ("state", "runs"),
    [("running", True), ("restarting", True), ("paused", True), ("exited", False), ("created", False)],
)
def test_what_would_run_by_itself_in_a_moment_runs(state: str, runs: bool) -> None:
    assert replace(NOW, state=state).running is runs


def test_a_node_without_data_has_a_place_for_a_run_all_the_same() -> None:
    """Also where it is not known which directory is etcd's."""
    assert RunPaths.of(None, "r1").root == "/var/lib/etcd.fleetrecover/r1"
    there = DataDir("/d", "/srv/d", True, True, "/srv/d.fleetrecover", wal="/fast/wal")
    assert RunPaths.of(there, "r1") == RunPaths("/srv/d.fleetrecover", "r1", "/fast/wal")
