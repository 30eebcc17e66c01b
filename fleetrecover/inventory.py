"""hosts.toml → Fleet.

The schema stands once, in the dataclasses of model.py: their fields are the keys, their types and defaults are what is
checked and filled in. Every error names the file, the table, the key, what is wrong, and what to do next.
"""

from __future__ import annotations

import codecs
import difflib
import ipaddress
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fleetrecover.errors import InputError
from fleetrecover.model import EtcdSettings, Fleet, Host, KubernetesSettings, SshSettings

ENVIRONMENT = "FLEETRECOVER_INVENTORY"
DEFAULT = Path("hosts.toml")
SYSTEM = Path("/etc/fleetrecover")


def places() -> tuple[Path, ...]:
    """Where an inventory is looked for that nobody has named: here, the user's, the machine's; the first that is there."""
    config = os.environ.get("XDG_CONFIG_HOME")
    users = (Path(config) if config else Path("~/.config").expanduser()) / "fleetrecover"
    return DEFAULT, users / DEFAULT, SYSTEM / DEFAULT


SECTIONS: Mapping[str, type] = {"ssh": SshSettings, "etcd": EtcdSettings, "kubernetes": KubernetesSettings}
"""The tables that may stand once, and the dataclass of each."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_NUMBERS = re.compile(r"[0-9.]+")
_ZONE = re.compile(r"[A-Za-z0-9._-]+")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
CHOICES: Mapping[str, tuple[str, ...]] = {
    "client": ("paramiko", "openssh"),
    "runtime": ("docker", "podman", "systemd", "static-pod"),
}
"""Keys that take one of a few words."""
_TYPE_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def find(path: Path | None) -> Path:
    """Return the argument, else $FLEETRECOVER_INVENTORY, else the first of `places`. InputError if it does not exist."""
    hint = "make one with `fleetrecover init --from HOST`, HOST being any etcd node; or copy hosts.example.toml"
    if path is not None:
        origin = "--inventory"
    elif os.environ.get(ENVIRONMENT):
        path, origin = Path(os.environ[ENVIRONMENT]), f"${ENVIRONMENT}"
    else:
        looked = places()
        # one that is there and may not be read is meant, and said to be unreadable
        path = next((each for each in looked if os.path.lexists(each)), looked[0])
        others = ", ".join(str(each) for each in looked[1:])
        origin = f"the default; nor is there one at {others}"
    path = Path(os.path.expanduser(path))  # noqa: PTH111  # raises nothing for a home of nobody
    if not path.exists():
        raise InputError(f"{path}: there is no such inventory ({origin})", hint=hint)
    return path


def load_fleet(path: Path | None = None) -> Fleet:
    """Read the inventory that `find` finds. InputError if anything in it is wrong."""
    path = find(path)
    try:
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(f"{path}, line 1: it is UTF-16, by its byte order mark", hint="save the file in UTF-8")
        text = data.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", hint="it has to be a file you may read"
        ) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: it is not UTF-8", hint="save the file in UTF-8") from error
    return parse_fleet(text, path)


def parse_fleet(text: str, source: Path) -> Fleet:
    """Turn the text of an inventory into a Fleet; `source` is named in errors."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{source}: {_syntax(error, text)}", hint="hosts.example.toml shows how it is written"
        ) from error
    top = _Table(source, "the top of the file", data)
    top.refuse_unknown(["cluster", "hosts", *SECTIONS])
    cluster = top.name("cluster", "the name that the operator types to confirm")
    sections = {key: _section(top, key, kind) for key, kind in SECTIONS.items()}
    hosts = _hosts(top)
    _refuse_duplicates(source, hosts, sections["ssh"].port or 22)
    return Fleet(cluster=cluster, hosts=hosts, source=source, **sections)


def _section(top: _Table, key: str, kind: type) -> Any:
    value = top.data.get(key, {})
    if not isinstance(value, dict):
        raise top.error(key, f"is {_describe(value)}, but it is a table", f"write [{key}] on a line of its own")
    return _Table(top.source, f"[{key}]", value).build(kind)


def _hosts(top: _Table) -> tuple[Host, ...]:
    value = top.data.get("hosts")
    example = 'add, for each etcd node:\n[[hosts]]\nname = "etcd1"\naddress = "10.0.0.11"'
    if value is None or value == []:
        raise InputError(f"{top.source}: there are no hosts", hint=example)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise top.error("hosts", "is not a list of tables", f"write [[hosts]], with two brackets; {example}")
    return tuple(_host(top.source, number, item) for number, item in enumerate(value, 1))


def _host(source: Path, number: int, data: dict[str, Any]) -> Host:
    name = data.get("name")
    title = f"[[hosts]] number {number}" + (f" ({name})" if isinstance(name, str) and name else "")
    table = _Table(source, title, data)
    table.refuse_unknown([f.name for f in fields(Host)])
    table.name("name", "it stands in file names and containers' names")
    host: Host = table.build(Host)
    address, port = table.address("address")
    if port is not None and host.port is not None and port != host.port:
        hint = "write the port once, as port = …"
        raise table.error("address", f"is {host.address!r}, but port is {host.port}", hint)
    changes: dict[str, Any] = {"address": address, "port": port or host.port}
    if host.etcd_address is not None:
        changes["etcd_address"], port = table.address("etcd_address")
        if port is not None:
            hint = f'write etcd_address = "{changes["etcd_address"]}": etcd\'s ports are found from its own flags'
            raise table.error("etcd_address", f"is {host.etcd_address!r}, but takes no port", hint)
    return replace(host, **changes)


def _refuse_duplicates(source: Path, hosts: Sequence[Host], port: int) -> None:
    names: dict[str, int] = {}
    places: dict[tuple[str, str, int], tuple[int, str]] = {}
    for number, host in enumerate(hosts, 1):
        if host.name in names:
            raise InputError(
                f"{source}: [[hosts]] number {number}: the name {host.name} is also that of number {names[host.name]}",
                hint="give every host a name of its own",
            )
        names[host.name] = number
        for key in ("address", "etcd_address"):
            address = getattr(host, key)
            if address is None:
                continue
            # Several nodes behind one address, each at a port of its own, are several nodes.
            place = (key, _canonical(address), (host.port or port) if key == "address" else 0)
            other = places.get(place)
            if other is not None:
                raise InputError(
                    f"{source}: [[hosts]] number {number} ({host.name}): its {key} {address} is also that of "
                    f"number {other[0]} ({other[1]})",
                    hint="one node, one table: two would stop, count or recover the same etcd twice",
                )
            places[place] = (number, host.name)


def _is_six(text: str) -> bool:
    """Whether it is an IPv6 address, with or without a zone (fe80::1%eth0)."""
    address, percent, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not percent or _ZONE.fullmatch(zone) is not None


def _is_four(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    """Whether it can be a host's name; digits and dots alone are an address, and a wrong one."""
    return _HOST_NAME.fullmatch(text) is not None and _NUMBERS.fullmatch(text) is None


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower().rstrip(".")


@dataclass(frozen=True)
class _Table:
    """One table of the file, and how it is named in errors."""

    source: Path
    title: str
    data: Mapping[str, Any]

    def error(self, key: str, what: str, hint: str) -> InputError:
        return InputError(f"{self.source}: {self.title}: {key} {what}", hint=hint)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        for key in self.data:
            if key in known:
                continue
            close = difflib.get_close_matches(key, known, 1)
            elsewhere = [
                name for name, kind in SECTIONS.items() if key in _keys(kind) and name != self.title.strip("[]")
            ]
            if close:
                hint = f"did you mean {close[0]}?"
            elif elsewhere:
                hint = f"it belongs under [{elsewhere[0]}]"
            else:
                hint = f"known here: {', '.join(known)}; hosts.example.toml shows every key"
            raise self.error(key, "is not a known key", hint)

    def name(self, key: str, purpose: str) -> str:
        """Return a required name that is safe in file names, labels and on command lines."""
        if key not in self.data:
            raise self.error(key, "is missing", f'add {key} = "…": {purpose}')
        value = self.data[key]
        if not isinstance(value, str):
            raise self.error(key, f"is {_describe(value)}, not a string", f'write {key} = "…", in quotes')
        if not _SAFE_NAME.fullmatch(value):
            raise self.error(
                key,
                f"is {value!r}, which is not a safe name",
                "use letters, digits, dots, underscores and hyphens, and begin with a letter or digit",
            )
        return value

    def address(self, key: str) -> tuple[str, int | None]:
        """Return the address without brackets, and the port if one stands behind it."""
        value = self.data[key]
        bracketed = _BRACKETED.fullmatch(value)
        host, port = (bracketed[1], bracketed[2]) if bracketed else (value, None)
        if bracketed is None and value.count(":") == 1:
            host, _, port = value.partition(":")
        if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise self.error(key, f"is {value!r}: {port!r} is not a port", "a port is between 1 and 65535; SSH's is 22")
        if not (_is_six(host) if bracketed or ":" in host else _is_four(host) or _is_name(host)):
            hint = "write a host name or an IP address alone; the user and port have keys of their own"
            raise self.error(key, f"is {value!r}, which is neither a host name nor an IP address", hint)
        return host, int(port) if port is not None else None

    def build(self, kind: type) -> Any:
        """Make the dataclass `kind` from the table."""
        self.refuse_unknown(_keys(kind))
        hints = typing.get_type_hints(kind)
        values = {}
        for field in fields(kind):
            if field.name in self.data:
                values[field.name] = self._value(field.name, hints[field.name])
            elif _required(field):
                raise self.error(field.name, "is missing", f'add {field.name} = "…"')
        return kind(**values)

    def _value(self, key: str, hint: Any) -> Any:
        value = self.data[key]
        wanted = _without_none(hint)
        if typing.get_origin(wanted) is tuple:
            if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
                raise self.error(key, f"is {_describe(value)}, not a list of strings", f'write {key} = ["…", "…"]')
            return tuple(value)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        # In Python True is an int; in an inventory it is a slip.
        if not isinstance(value, str if wanted is Path else wanted) or (isinstance(value, bool) and wanted is not bool):
            raise self.error(key, f"is {_describe(value)}, not {_TYPE_NAMES[wanted]}", _correct(key, wanted))
        return self._checked(key, value, wanted)

    def _checked(self, key: str, value: Any, wanted: Any) -> Any:
        if isinstance(value, str) and (not value or any(ord(letter) < 32 for letter in value)):
            what = "is empty" if not value else "holds a control character"
            raise self.error(key, what, f"give {key} a value, or remove the line")
        if key == "port" and not 1 <= value <= 65535:
            raise self.error(key, f"is {value}, which is not a port", "a port is between 1 and 65535; SSH's is 22")
        if key == "connect_timeout" and not 0 < value <= 3600:
            raise self.error(
                key, f"is {value:g}", "give the seconds to wait for a connection: more than 0, at most 3600"
            )
        if key == "user" and (value.startswith("-") or re.search(r"[\s@:]", value)):
            raise self.error(key, f"is {value!r}, which is not a login name", "give the login name alone")
        if key in CHOICES and value not in CHOICES[key]:
            raise self.error(key, f"is {value!r}", f"it is one of {', '.join(CHOICES[key])}")
        if key == "gateway" and (value.startswith("-") or re.search(r"\s", value)):
            raise self.error(key, f"is {value!r}", 'write it as gateway = "ops@bastion:22"')
        if key == "container" and not _SAFE_NAME.fullmatch(value):
            raise self.error(key, f"is {value!r}, which no container is called", "`docker ps -a` shows the names")
        return self._path(key, value) if wanted is Path else value

    def _path(self, key: str, value: str) -> Path:
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise self.error(key, f"is {value!r}: there is no such user here", "write the path from / on") from error


def _keys(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _describe(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)


def _correct(key: str, wanted: Any) -> str:
    examples = {
        str: f'write {key} = "…", in quotes',
        int: f"write {key} = 22, without quotes",
        Path: f'write {key} = "…"',
    }
    return examples.get(wanted, f"write {key} = {'true' if wanted is bool else '10'}, without quotes")


def _syntax(error: tomllib.TOMLDecodeError, text: str) -> str:
    """Return `line 3: message`, and the line itself; Python 3.11 has the place in the message only."""
    match = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
    if match is None:
        return f"line {text.count(chr(10)) + 1}: the file ends too early: {error}"
    line = int(match[1])
    shown = text.splitlines()[line - 1].strip() if line <= len(text.splitlines()) else ""
    return f"line {line}: {str(error)[: match.start()].strip()}: {shown}"
