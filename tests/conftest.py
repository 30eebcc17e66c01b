"""What is random in the tests is chosen once for all processes of a run, and told."""

from __future__ import annotations

import os
import random

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


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before any worker is started; the workers see it in their environment."""
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))
    os.environ.setdefault(WORLDS, "1")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Told at the beginning, so that a failure can be had again."""
    if not hasattr(session.config, "workerinput"):
        session.config.get_terminal_writer().line(f"{SEED}={os.environ[SEED]}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the order within a file stays. (xdist keeps it: --no-loadscope-reorder.)"""
    items.sort(key=lambda item: next((n for n, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))
