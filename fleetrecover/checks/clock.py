"""PURE: whether the hosts' clocks agree with this machine's: certificates and leases depend on them."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes("clock", "clocks", "clock")
