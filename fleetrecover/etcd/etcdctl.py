"""What etcdctl prints with `-w json`, 3.3 to 3.6 (etcdctl/ctlv3/command/printer_json.go and ep_command.go).

It is Go's encoding/json over the protobuf messages: 64-bit ids are plain JSON numbers (a reader that makes floats of
them ruins them), and fields of value zero are left out. All functions take standard output and raise FormatError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fleetrecover import bounds
from fleetrecover.errors import FormatError
from fleetrecover.etcd.bbolt import ALARMS, Alarm
from fleetrecover.etcd.membership import Member, hex_id, member_from_json, parse_json

__all__ = [
    "Added",
    "EndpointHealth",
    "EndpointStatus",
    "HashKV",
    "Header",
    "KeyValues",
    "MemberList",
    "SnapshotStatus",
    "hex_id",
    "parse_alarm_list",
    "parse_endpoint_hashkv",
    "parse_endpoint_health",
    "parse_endpoint_status",
    "parse_get",
    "parse_member_add",
    "parse_member_list",
    "parse_snapshot_status",
]

_MAX_OUTPUT = bounds.JSON
_HEALTHY = re.compile(r"^(?P<endpoint>\S+) is healthy: .*?(?:took = (?P<took>\S+))?$")
_UNHEALTHY = re.compile(r"^(?P<endpoint>\S+) is unhealthy: (?P<error>.*)$")
_DURATION = re.compile(r"([0-9.]+)(h|ms|m|s|µs|μs|us|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Header:
    """What every answer opens with. `revision` is the store's at that moment; `raft_term` the member's."""

    cluster_id: int = 0
    member_id: int = 0
    revision: int = 0
    raft_term: int = 0


@dataclass(frozen=True)
class EndpointStatus:
    """`endpoint status`. `leader` is 0 when the member knows of none; `raft_index` is its commit, not its last index.

    Sizes in bytes. `raft_applied_index`, `db_size_in_use`, `is_learner` and `errors` from 3.4 on, zero or empty before.
    """

    endpoint: str
    header: Header
    version: str
    db_size: int
    db_size_in_use: int
    leader: int
    raft_index: int
    raft_term: int
    raft_applied_index: int
    is_learner: bool
    errors: tuple[str, ...]


@dataclass(frozen=True)
class EndpointHealth:
    """`endpoint health`: whether a linearizable read succeeded. `took` in seconds, None when it is not said."""

    endpoint: str
    healthy: bool
    took: float | None
    error: str


@dataclass(frozen=True)
class HashKV:
    """`endpoint hashkv`. Equal data gives an equal hash, when `compact_revision` is equal too (-1: never compacted)."""

    endpoint: str
    header: Header
    hash: int
    compact_revision: int


@dataclass(frozen=True)
class MemberList:
    """`member list` and what else answers with all members. `name` is empty for a member that never started."""

    header: Header
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Added:
    """`member add`: the new member, and all members with it."""

    header: Header
    member: Member
    members: tuple[Member, ...]


@dataclass(frozen=True)
class KeyValues:
    """`get`. Keys and values stay in base64, as printed; `count` is of all that match, not only of those returned."""

    header: Header
    count: int
    keys: tuple[str, ...]
    values: tuple[str, ...]
    mod_revisions: tuple[int, ...]


@dataclass(frozen=True)
class SnapshotStatus:
    """`snapshot status`; sizes in bytes. `version` from 3.6 on."""

    hash: int
    revision: int
    total_key: int
    total_size: int
    version: str


def parse_endpoint_status(text: str) -> tuple[EndpointStatus, ...]:
    """Parse `endpoint status -w json`.

    `[{"Endpoint":"127.0.0.1:2379","Status":{"header":{"cluster_id":1,"member_id":2,"revision":3,"raft_term":4},
    "version":"3.4.23","dbSize":20480,"leader":2,"raftIndex":29,"raftTerm":2,"raftAppliedIndex":29,
    "dbSizeInUse":20480}}]`; endpoints that did not answer are left out.
    """
    return tuple(_status(row) for row in _rows(text, "endpoint status"))


def _status(row: dict[str, Any]) -> EndpointStatus:
    body = _object(row, "Status", "endpoint status")
    return EndpointStatus(
        endpoint=_string(row, "Endpoint"),
        header=_header(body),
        version=_string(body, "version"),
        db_size=_number(body, "dbSize"),
        db_size_in_use=_number(body, "dbSizeInUse"),
        leader=_number(body, "leader"),
        raft_index=_number(body, "raftIndex"),
        raft_term=_number(body, "raftTerm"),
        raft_applied_index=_number(body, "raftAppliedIndex"),
        is_learner=_boolean(body, "isLearner"),
        errors=_strings(body, "errors"),
    )


def parse_endpoint_health(text: str) -> tuple[EndpointHealth, ...]:
    """Parse `endpoint health`, as JSON or, since 3.3 up to some release knows no JSON here, as text.

    `[{"endpoint":"127.0.0.1:2379","health":true,"took":"1.5ms"}]`, with `error` when it is false; or
    `127.0.0.1:2379 is healthy: successfully committed proposal: took = 1.5ms` and
    `127.0.0.1:2379 is unhealthy: failed to commit proposal: context deadline exceeded`, on either stream.
    """
    if text.lstrip().startswith("["):
        return tuple(
            EndpointHealth(
                _string(row, "endpoint"), _boolean(row, "health"), _seconds(_string(row, "took")), _string(row, "error")
            )
            for row in _rows(text, "endpoint health")
        )
    found: list[EndpointHealth] = []
    for line in text.splitlines():
        healthy, unhealthy = _HEALTHY.match(line.strip()), _UNHEALTHY.match(line.strip())
        if healthy:
            found.append(EndpointHealth(healthy["endpoint"], True, _seconds(healthy["took"] or ""), ""))
        elif unhealthy:
            found.append(EndpointHealth(unhealthy["endpoint"], False, None, unhealthy["error"]))
    if not found:
        raise FormatError("no endpoint's health is in it", source="endpoint health")
    return tuple(found)


def parse_endpoint_hashkv(text: str) -> tuple[HashKV, ...]:
    """Parse `endpoint hashkv -w json`: `[{"Endpoint":"…","HashKV":{"header":{…},"hash":1946856601,…}}]`."""
    found: list[HashKV] = []
    for row in _rows(text, "endpoint hashkv"):
        body = _object(row, "HashKV", "endpoint hashkv")
        found.append(
            HashKV(
                _string(row, "Endpoint"),
                _header(body),
                _number(body, "hash"),
                _number(body, "compact_revision"),
            )
        )
    return tuple(found)


def parse_member_list(text: str) -> MemberList:
    """Parse `member list -w json`, and `member remove`, `update` and `promote`, which answer alike.

    `{"header":{…},"members":[{"ID":1,"name":"n1","peerURLs":["…"],"clientURLs":["…"],"isLearner":true}]}`.
    """
    top = _top(text, "member list")
    return MemberList(_header(top), _members(top))


def parse_member_add(text: str) -> Added:
    """Parse `member add -w json`: like the list, with the new one as `member`."""
    top = _top(text, "member add")
    return Added(_header(top), _member(_object(top, "member", "member add")), _members(top))


def parse_alarm_list(text: str) -> tuple[Alarm, ...]:
    """Parse `alarm list -w json`: `{"header":{…},"alarms":[{"memberID":1,"alarm":1}]}`; `{}` when there is none."""
    top = _top(text, "alarm list")
    found: list[Alarm] = []
    for row in _list(top, "alarms"):
        kind = row.get("alarm", 0)
        found.append(Alarm(_number(row, "memberID"), kind if isinstance(kind, str) else _alarm_kind(row)))
    return tuple(found)


def parse_count(text: str) -> int:
    """Parse `get --limit=1 -w json`: `{"header":{…},"kvs":[…],"more":true,"count":24}`, without `count` when it is 0."""
    return _number(_top(text, "get"), "count")


def _alarm_kind(row: dict[str, Any]) -> str:
    kind = _number(row, "alarm")
    return ALARMS.get(kind, str(kind))


def parse_snapshot_status(text: str) -> SnapshotStatus:
    """Parse `snapshot status -w json`: `{"hash":1264735363,"revision":24,"totalKey":24,"totalSize":24576}`."""
    top = _top(text, "snapshot status")
    return SnapshotStatus(
        _number(top, "hash"),
        _number(top, "revision"),
        _number(top, "totalKey"),
        _number(top, "totalSize"),
        _string(top, "version"),
    )


def parse_get(text: str) -> KeyValues:
    """Parse `get -w json`: `{"header":{…},"kvs":[{"key":"a2V5","mod_revision":17,"value":"dg==",…}],"count":1}`."""
    top = _top(text, "get")
    rows = _list(top, "kvs")
    return KeyValues(
        _header(top),
        _number(top, "count"),
        tuple(_string(row, "key") for row in rows),
        tuple(_string(row, "value") for row in rows),
        tuple(_number(row, "mod_revision") for row in rows),
    )


# ---------------------------------------------------------------------------------------------------------------------


def _json(text: str, source: str) -> Any:
    return parse_json(text.strip().encode("utf-8", "surrogatepass"), source=f"etcdctl {source}", limit=_MAX_OUTPUT)


def _rows(text: str, source: str) -> list[dict[str, Any]]:
    value = _json(text, source)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise FormatError("not a list of objects", source=f"etcdctl {source}")
    return value


def _top(text: str, source: str) -> dict[str, Any]:
    value = _json(text, source)
    if not isinstance(value, dict):
        raise FormatError("not an object", source=f"etcdctl {source}")
    return value


def _object(row: dict[str, Any], key: str, source: str) -> dict[str, Any]:
    value = row.get(key)
    if not isinstance(value, dict):
        raise FormatError(f"{key!r} is missing or no object", source=f"etcdctl {source}")
    return value


def _list(row: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = row.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise FormatError(f"{key!r} is not a list of objects", source="etcdctl")
    return value


def _number(row: dict[str, Any], key: str) -> int:
    """A whole number; absent means 0. A string of digits is taken too, as protobuf's own JSON writes 64-bit numbers."""
    value = row.get(key, 0)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
        value = int(value)
    if type(value) is not int:
        raise FormatError(f"{key!r} is not a whole number", source="etcdctl")
    return value


def _string(row: dict[str, Any], key: str) -> str:
    value = row.get(key) or ""
    if not isinstance(value, str):
        raise FormatError(f"{key!r} is not a string", source="etcdctl")
    return value


def _boolean(row: dict[str, Any], key: str) -> bool:
    value = row.get(key) or False
    if not isinstance(value, bool):
        raise FormatError(f"{key!r} is neither true nor false", source="etcdctl")
    return value


def _strings(row: dict[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise FormatError(f"{key!r} is not a list of strings", source="etcdctl")
    return tuple(value)


def _header(row: dict[str, Any]) -> Header:
    value = row.get("header")
    if value is None:
        return Header()
    if not isinstance(value, dict):
        raise FormatError("'header' is not an object", source="etcdctl")
    return Header(*(_number(value, key) for key in ("cluster_id", "member_id", "revision", "raft_term")))


def _members(row: dict[str, Any]) -> tuple[Member, ...]:
    return tuple(_member(each) for each in _list(row, "members"))


def _member(row: dict[str, Any]) -> Member:
    number = _number(row, "ID")
    if not 0 <= number < 1 << 64:  # it goes into commands, in hex
        raise FormatError(f"{number} is no member's id", source="etcdctl")
    return member_from_json(row, number, source="etcdctl")


def _seconds(text: str) -> float | None:
    """Seconds of a Go duration, "1m2.5s" or "735.3µs"; None for anything else."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return _total(parts)


def _total(parts: Iterable[tuple[str, str]]) -> float | None:
    try:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    except ValueError:
        return None
