"""PURE: whether each host has space for a copy of its data, as a survivor's is made; and data that no copy can be made of."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes("space", "space for a copy of the data", "space")
