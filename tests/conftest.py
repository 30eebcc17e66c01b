"""What is random in the tests is chosen once for all processes of a run, and told."""

from __future__ import annotations

import os
import random
import re

import pytest
from hypothesis import settings

settings.register_profile("no-clock", deadline=None)
settings.load_profile("no-clock")
"""No test fails by being slow: on a busy machine the first example of a test may take a second."""

SEED = "FLEETRECOVER_SEED"
WORLDS = "FLEETRECOVER_WORLDS"
"""Which random worlds are tried: the same ones with every change, to judge it and not the dice; others at night."""

LONGEST = ("e2e/test_snapshots", "e2e/test_recover", "e2e/test_faults", "e2e/test_undo", "e2e/", "lab/", "remote/")
"""The files that take longest, as measured, in the order in which they are begun: several processes end together then."""


MORE_OF_THE_SAME = re.compile(
    r"\[(?:.*-)?(?:bash|busybox)(?:-.*)?\]$"  # in one shell is enough for a minute
    r"|commands/test_wal_dir\.py::(?!test_in_every_shell)"
    r"|tests/test_seeding\.py"
    r"|decide/test_(?:resume|names_resume|reseed_resume|reseed_undo)\.py::.*(?:\[4-|3\.3\.25)"
    r"|decide/test_units\.py::test_undo_after_every_effect"
    r"|decide/test_undo\.py::test_undo_after_every_effect\[(?:4-|.*wal apart)"
    r"|snapshots/test_commands\.py::test_(?:a_clock_that_was_ahead|ages_mean)"
)
"""What `make check` leaves to `make test`, to stay under a minute: tests whose like in small it has."""


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before any worker is started; the workers see it in their environment."""
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))
    os.environ.setdefault(WORLDS, "1")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Told at the beginning, so that a failure can be had again."""
    if not hasattr(session.config, "workerinput"):
        session.config.get_terminal_writer().line(f"{SEED}={os.environ[SEED]}")


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark as long what is more of the same; here, so that `-m` sees it."""
    if MORE_OF_THE_SAME.search(item.nodeid):
        item.add_marker(pytest.mark.long)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the order within a file stays. (xdist keeps it: --no-loadscope-reorder.)"""
    items.sort(key=lambda item: next((n for n, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))
