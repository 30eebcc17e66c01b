"""PURE: the inventory to be, and its text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleetrecover.errors import InputError
from fleetrecover.inventory import parse_fleet


@dataclass(frozen=True)
class Row:
    """One `[[hosts]]` table. None: the default applies. `sudo` is for the whole fleet: see `shared`."""

    name: str
    address: str
    etcd_address: str | None = None
    user: str | None = None
    port: int | None = None
    key: str | None = None
    gateway: str | None = None
    gateway_key: str | None = None
    container: str | None = None


@dataclass(frozen=True)
class Draft:
    """An inventory to be. `notes` are for the person who is going to look it over."""

    cluster: str
    rows: tuple[Row, ...]
    ssh: Mapping[str, Any] = field(default_factory=dict)
    etcd: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def shared(draft: Draft) -> Draft:
    """The draft with the jump host in `[ssh]` where all hosts have the same one, and a word on logins that are not root."""
    ways = {(row.gateway, row.gateway_key) for row in draft.rows}
    ssh = dict(draft.ssh)
    rows = draft.rows
    if len(ways) == 1 and "gateway" not in ssh:
        [(gateway, key)] = ways
        if gateway is not None:
            ssh |= {"gateway": gateway} | ({"gateway_key": key} if key else {})
            rows = tuple(replace(row, gateway=None, gateway_key=None) for row in rows)
    return replace(draft, ssh=ssh, rows=rows, notes=(*draft.notes, *_login_notes(rows, ssh)))


def _login_notes(rows: tuple[Row, ...], ssh: Mapping[str, Any]) -> list[str]:
    others = sorted(
        {row.user for row in rows if row.user not in (None, "root")} | {ssh.get("user") or "root"} - {"root"}
    )
    if not others or ssh.get("sudo"):
        return []
    who = ", ".join(str(user) for user in others)
    return [
        f"{who} is not root: where `sudo -n true` works for {who}, write sudo = true under [ssh]; without it, being in "
        "the docker group is enough where the host has `nsenter`: `fleetrecover check` says whether it is root there"
    ]


def render(draft: Draft, source: Path) -> str:
    """The inventory's text, checked by reading it as every command will. Raises InputError where it would not be taken."""
    lines = [f"# {' '.join(note.split())}" for note in draft.notes]
    lines += ["# every key and its default: hosts.example.toml", f"cluster = {_quoted(draft.cluster)}", ""]
    for title, table in (("ssh", draft.ssh), ("etcd", draft.etcd)):
        if table:
            lines += [f"[{title}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]
    for row in draft.rows:
        lines.append("[[hosts]]")
        for key in Row.__dataclass_fields__:
            value = getattr(row, key)
            if value is not None:
                lines.append(f"{key} = {_value(value)}")
        lines.append("")
    text = "\n".join(lines)
    parse_fleet(text, source)
    return text


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's, and DEL is the one character that only TOML forbids."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def text_of(value: Any) -> str | None:
    """A value as text; None for what is not there or empty."""
    return None if value in (None, "") else str(value)


def port_of(value: Any, source: Path, host: str) -> int | None:
    """A port; None for none, and for SSH's own. Raises InputError for what is no number."""
    if value in (None, ""):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {host}: the port {value!r} is no number") from error
    if not 1 <= number <= 65535:
        raise InputError(f"{source}: {host}: {number} is not a port", hint="a port is between 1 and 65535")
    return None if number == 22 else number


def gateway_of(address: str, user: str | None = None, port: int | str | None = None) -> str:
    """A jump host as hosts.toml has it: an address with colons stands in brackets.

    >>> gateway_of("10.0.0.1"), gateway_of("2001:db8::1", "jump", 22)
    ('10.0.0.1', 'jump@[2001:db8::1]:22')
    """
    bare = address.strip("[]")
    where = f"[{bare}]" if ":" in bare else bare
    return (f"{user}@" if user else "") + where + (f":{port}" if port not in (None, "") else "")


def safe_name(name: str) -> str:
    """A name that may stand in file names: what is not allowed becomes a hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "host"


def unique_name(name: str, taken: set[str]) -> str:
    """A safe name that is not taken yet; it is taken then."""
    base = found = safe_name(name)
    count = 2
    while found in taken:
        found, count = f"{base}-{count}", count + 1
    taken.add(found)
    return found
