"""A few of a random dozen of the fault matrix: `undo` instead of the same command again."""

from __future__ import annotations

import pytest

from tests.e2e.faults import some_cells, some_version

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


def test_undo_puts_all_back() -> None:
    some_cells(some_version("undo"), 1, undo=True)
