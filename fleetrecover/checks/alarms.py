"""PURE: etcd's alarms, and its authentication, which a recovery cannot do with."""

from __future__ import annotations

from fleetrecover.checks.base import of_codes

CHECK = of_codes("alarms", "alarms and authentication", "alarm", "auth-enabled")
