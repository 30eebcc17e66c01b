"""What is random in the tests is chosen once for all processes of a run, and told."""

from __future__ import annotations

import os
import random

import pytest

SEED = "FLEETRECOVER_SEED"


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed before any worker is started; the workers see it in their environment."""
    os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Told at the beginning, so that a failure can be had again."""
    if not hasattr(session.config, "workerinput"):
        session.config.get_terminal_writer().line(f"{SEED}={os.environ[SEED]}")
