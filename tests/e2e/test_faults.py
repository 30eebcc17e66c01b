"""Whatever fails at whatever moment, the same command finishes: part of a random dozen of the fault matrix."""

from __future__ import annotations

import pytest

from tests.e2e.faults import some_cells

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(("version", "share"), [("3.4.23", 4), ("3.3.25", 2)])
def test_the_same_command_finishes(version: str, share: int) -> None:
    some_cells(version, share)
