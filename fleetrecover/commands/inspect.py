"""PURE: what a container engine's `inspect` gives, and `containers.json` of a run's directory, which has that shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleetrecover.answers import load_json
from fleetrecover.errors import FormatError


def inspected(text: str, source: str) -> tuple[Mapping[str, Any], ...]:
    """Documents of `inspect`, of containers or images; their parts are of the kinds that they must be. Raises FormatError."""
    value = load_json(text, source)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise FormatError("not a JSON list of objects", source=source)
    for each in value:
        _check_shape(each, source)
    return tuple(value)


_SHAPE: Mapping[str, type] = {
    **dict.fromkeys(("Id", "Name", "Image", "Created"), str),
    **dict.fromkeys(("State", "Config", "HostConfig", "NetworkSettings"), dict),
    "Mounts": list,
}


def _check_shape(document: Mapping[str, Any], source: str) -> None:
    for key, kind in _SHAPE.items():
        if document.get(key) is not None and not isinstance(document[key], kind):
            raise FormatError(f"{key} is not what `inspect` gives: {str(document[key])[:80]!r}", source=source)
    if not isinstance((document.get("Config") or {}).get("Labels") or {}, dict):
        raise FormatError("Labels is not what `inspect` gives", source=source)


def restart_policy(inspect: Mapping[str, Any]) -> str:
    """The restart policy of an inspect document, as `docker update --restart` takes it."""
    policy = (inspect.get("HostConfig") or {}).get("RestartPolicy") or {}
    name, count = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{count}" if name == "on-failure" and count else name


def is_up(state: Mapping[str, Any]) -> bool:
    """Whether a container with that `State` runs, or does so by itself in a moment."""
    return str(state.get("Status", "")) in ("running", "restarting", "paused")
