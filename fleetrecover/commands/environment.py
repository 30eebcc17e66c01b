"""PURE: what a script of ours finds in its environment: how it came to the rights that it has (see `login_shell`)."""

from __future__ import annotations

LOGIN = "FLEETRECOVER_LOGIN"
"""Of root's, through the container engine: the process of the ssh session that the script belongs to."""
THROUGH = "FLEETRECOVER_THROUGH"
"""The same: the engine's command."""
NO_ENGINE = "FLEETRECOVER_NO_ENGINE"
"""Of a login that is not root: what keeps it from being root through the engine, for a person."""

WHO = f"""\
printf 'who=%s (uid %s)\\n' "$(id -un 2>/dev/null)" "$(id -u)"
echo "no-engine=${{{NO_ENGINE}:-}}"
"""
"""Lines that say as whom a script looks, as `who=` and `no-engine=`."""
