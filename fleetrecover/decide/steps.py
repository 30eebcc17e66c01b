"""PURE: the steps of a plan under the name that they had until they knew themselves; they stand in `fleetrecover.steps`."""

from __future__ import annotations

from fleetrecover.steps import *  # noqa: F403
