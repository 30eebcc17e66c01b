"""PURE: etcd's `--config-file`: its YAML as the flags that say the same.

With that file etcd ignores every other flag and variable. The keys are the flags' names, but for the two sections of TLS
(etcd `embed/config.go`, `client-transport-security` and `peer-transport-security`; `etcd.conf.yml.sample`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from fleetrecover.errors import Unsupported

SECTIONS = {"client-transport-security": "", "peer-transport-security": "peer-"}
PEER_ONLY = {"allowed-cn": "peer-cert-allowed-cn", "allowed-hostname": "peer-cert-allowed-hostname"}
MOST_BYTES = 1 << 20


def flags_of(text: str, path: str) -> dict[str, str]:
    """The settings by the flag's name. Raises Unsupported that names the file and what is wrong with it."""
    if len(text) > MOST_BYTES:
        raise Unsupported(f"--config-file={path}: it has more than {MOST_BYTES >> 20} MB")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise Unsupported(f"--config-file={path}{place}: it is not YAML: {getattr(error, 'problem', error)}") from error
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise Unsupported(f"--config-file={path}: it is no table of settings")
    flags: dict[str, str] = {}
    for key, value in found.items():
        if key in SECTIONS:
            flags |= _section(str(key), value, path)
        elif (said := _text(value)) is not None:
            flags[str(key)] = said
    return flags


def _section(name: str, table: Any, path: str) -> dict[str, str]:
    if table is None:
        return {}
    if not isinstance(table, Mapping):
        raise Unsupported(f"--config-file={path}: {name} is no table")
    prefix = SECTIONS[name]
    return {
        PEER_ONLY.get(str(key), f"{prefix}{key}") if prefix else str(key): said
        for key, value in table.items()
        if (said := _text(value)) is not None
    }


def _text(value: Any) -> str | None:
    """A value as a flag has it; None for one that is not given."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    return str(value)
