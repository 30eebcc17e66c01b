"""PURE: an Ansible inventory in its INI form, as ansible-core 2.19's plugins/inventory/ini.py reads it."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import dataclass, field
from typing import Any

from fleetrecover.drafts.ansible_groups import Groups, host_pattern

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_GROUP_NAME = re.compile(r"([^\s:\]]+)\s*(?:#.*)?")


@dataclass
class _Reading:
    into: Groups
    section: str = "ungrouped"
    kind: str = "hosts"
    line: int = 0
    declared: set[str] = field(default_factory=lambda: {"all", "ungrouped"})
    wanted: dict[str, tuple[int, str]] = field(default_factory=dict)  # a group that is only mentioned: where, and how


def read_ini(text: str, into: Groups) -> None:
    """Add what the text says. Raises ValueError that names the line and what is wrong with it."""
    reading = _Reading(into)
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        reading.line = number
        if not line or line[0] in "#;":
            continue
        try:
            _take(reading, line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    for name, (number, how) in reading.wanted.items():
        if name not in reading.declared:
            raise ValueError(f"line {number}: [{how}] is of a group {name} that is nowhere: write a line [{name}]")


def _take(reading: _Reading, line: str) -> None:
    header = _SECTION.fullmatch(line)
    if header is not None:
        _open(reading, header[1], header[2] or "hosts", f"{header[1]}:{header[2]}")
    elif line.startswith("[") and line.endswith("]"):
        raise ValueError(f"{line} is not the head of a section: write [group], [group:vars] or [group:children]")
    elif reading.kind == "children":
        name = _GROUP_NAME.fullmatch(line)
        if name is None:
            raise ValueError(f"{line} is not the name of a group")
        reading.into.group(reading.section).children.setdefault(name[1])
        reading.wanted.setdefault(name[1], (reading.line, f"{reading.section}:children"))
    elif reading.kind == "vars":
        key, found, value = line.partition("=")
        if not found:
            raise ValueError(f"{line}: a variable is written key=value")
        reading.into.group(reading.section).variables[key.strip()] = value_of(value.strip())
    else:
        _host(reading, line)


def _open(reading: _Reading, name: str, kind: str, written: str) -> None:
    if kind not in ("hosts", "children", "vars"):
        raise ValueError(f"[{written}] is of an unknown kind: write [group], [group:vars] or [group:children]")
    reading.section, reading.kind = name, kind
    reading.into.group(name)
    if kind == "vars":
        reading.wanted.setdefault(name, (reading.line, written))
    else:
        reading.declared.add(name)


def _host(reading: _Reading, line: str) -> None:
    words = shlex.split(line, comments=True)
    if not words:
        return
    hosts, port = host_pattern(words[0])
    variables: dict[str, Any] = {}
    for word in words[1:]:
        key, found, value = word.partition("=")
        if not found:
            raise ValueError(f"{word}: what follows a host is written key=value")
        variables[key] = value_of(value)
    for host in hosts:
        reading.into.add_host(reading.section, host, port, variables)


def value_of(text: str) -> Any:
    """A value: what Python's literals say (so a number ends before a comment), else the text as it is.

    >>> value_of("2222 # moved"), value_of("yes"), value_of('"a b"')
    (2222, 'yes', 'a b')
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
