"""PURE: whether each host reaches the others' peer ports."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes("ports", "peer ports between the hosts", "peer-port")
