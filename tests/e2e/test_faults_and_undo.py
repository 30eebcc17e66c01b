"""The other half of a random dozen of the fault matrix: the same command again, and `undo` instead of it."""

from __future__ import annotations

import pytest

from tests.e2e.faults import some_cells

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("version", "share", "undo"), [("3.5.16", 3, False), ("3.4.23", 3, True)])
def test_the_same_command_finishes_or_undo_puts_all_back(version: str, share: int, undo: bool) -> None:
    some_cells(version, share, undo=undo)
