"""Whatever fails at whatever moment, the same command finishes: a third of a random dozen of the fault matrix."""

from __future__ import annotations

import pytest

from tests.e2e.faults import some_cells, some_version

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]


def test_the_same_command_finishes() -> None:
    some_cells(some_version("recover"), 3)


@pytest.mark.slow
def test_the_same_command_finishes_where_members_are_added_as_voters() -> None:
    some_cells("3.3.25", 6)
