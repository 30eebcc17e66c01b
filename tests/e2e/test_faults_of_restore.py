"""Whatever fails while a snapshot is restored, the same command finishes, or `undo` brings all back: a random few, nightly."""

from __future__ import annotations

import pytest

from tests.e2e.faults import some_cells

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("version", "share", "undo"), [("3.5.16", 3, False), ("3.4.23", 2, True)])
def test_a_restore_is_finished_or_undone(version: str, share: int, undo: bool) -> None:
    some_cells(version, share, undo=undo, job="restore")
