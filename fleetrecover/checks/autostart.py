"""PURE: whether etcd comes back after a reboot, and nothing else does on its data: restart policies and second containers."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes(
    *("autostart", "restart policies and second containers"),
    *("no-restart-policy", "second-container", "renamed-container", "force-flag", "crash-loop", "leftover-container"),
)
