"""Odd answers: what a broken, strange or hostile node may send in place of what it was asked for. All from one seed."""

from __future__ import annotations

import inspect
import json
import os
import random
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fleetrecover.commands import containers, etcdctl, evidence, login_shell, managers, probes, snapshots
from fleetrecover.commands.base import Probe
from fleetrecover.commands.paths import RunPaths
from fleetrecover.model import Result
from fleetrecover.runtime.containers import Containers

SEED = int(os.environ.get("FLEETRECOVER_SEED", "0"))

_SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 2**64, 10**4000, 1e308, -1e308, 0.5),
    *("", "x", "-", "/", "inf", "nan", "1e999", "²", "٣", "\x1b[2J", "\x00", "../..", "$(id)", "a=b", "9" * 5000),
)
_KEYS = (
    *("Id", "Name", "State", "Status", "Config", "HostConfig", "Labels", "Image", "Env", "Cmd", "Entrypoint", "Mounts"),
    *("RestartPolicy", "MaximumRetryCount", "NetworkMode", "ExitCode", "Created", "StartedAt", "Error", "Binds"),
    *("run", "cluster", "survivor", "started", "kind", "dead", "tool", "revision", "hash", "compact_revision"),
    *("member_id", "cluster_id", "version", "token", "who", "host", "pid", "born", "since", "Endpoint", "header"),
    *("members", "member", "ID", "peerURLs", "clientURLs", "isLearner", "name", "alarms", "alarm", "memberID", "count"),
    *("kvs", "leader", "dbSize", "raftTerm", "raftIndex", "errors", "HashKV", "raft_term", "NetworkSettings"),
)


def odd_value(rng: random.Random, depth: int = 4) -> Any:
    """Any JSON value, with the keys that our answers have."""
    kind = rng.randrange(5) if depth else 0
    if kind == 1:
        return [odd_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind in (2, 3):
        return {rng.choice(_KEYS): odd_value(rng, depth - 1) for _ in range(rng.randrange(8))}
    return rng.choice(_SCALARS)


def odd_json(rng: random.Random) -> str:
    """A JSON text, or what was one: cut off, with numbers that are none, or nested without end."""
    text = json.dumps(odd_value(rng))
    match rng.randrange(8):
        case 0:
            return text[: rng.randrange(len(text) + 1)]
        case 1:
            return "[" * 50_000 + text
        case 2:
            return '{"a":' * 300 + "1" + "}" * 300
        case 3:
            return f'[{{"Id": NaN, "State": {text}, "ExitCode": -Infinity}}]'
        case 4:
            return f"[{text}, 1e999]"
        case 5:
            return f"[{text}]"
    return text


def odd_answer(rng: random.Random, script: str) -> bytes:
    """Something in place of what a script prints: bytes of no kind, JSON, or lines with the keys that the script has."""
    keys = sorted(set(re.findall(r"\b([a-z]{2,12})=", script))) or ["x"]

    def lines() -> str:
        values = (odd_json(rng) if rng.randrange(2) else str(rng.choice(_SCALARS)) for _ in range(8))
        return "\n".join(f"{rng.choice(keys)}={value}" for value in values) + "\n"

    match rng.randrange(7):
        case 0:
            return rng.randbytes(rng.randrange(400))
        case 1:
            return odd_json(rng).encode("utf-8", "surrogatepass")
        case 2:
            return "\n".join(str(rng.choice(_SCALARS)) for _ in range(rng.randrange(9))).encode()
        case 3:
            return b" ".join(str(rng.choice(_SCALARS))[:40].encode() for _ in range(9)) + b"\n"
        case 4:
            return ("real=/d\n" + lines()).encode() + rng.randbytes(9)
        case 5:
            return ("real=/d\nkeep=/d.fleetrecover/r1\n" + lines()).encode()
    return lines().encode()


# --- every probe there is ---


def _sample(name: str, hint: Any) -> Any:
    """An argument of that name and type."""
    known = {
        "wanted": [(0, 64), (4096, 64)],
        "targets": [("etcd2", "10.0.0.2", 2380)],
        "paths": RunPaths("/d.fleetrecover", "r1", "/w al/wal"),
    }
    origin = typing.get_origin(hint)
    if hint is snapshots.SchedulePaths:
        return snapshots.SchedulePaths("/opt/rke/etcd-snapshots")
    if origin in (Sequence, tuple, list):
        [inner, *_] = typing.get_args(hint)
        if inner is evidence.CertificateFiles:
            return [evidence.CertificateFiles("/c.pem", "/k.pem", "/ca.pem")]
        return known[name] if name in known and inner is not str else ["/a", "b c"]
    if origin is types.UnionType:
        return _sample(name, typing.get_args(hint)[0])
    simple = {str: "/a b", int: 96, float: 3.0, bool: True}
    return simple[hint] if hint in simple else known[name]


def _made(function: Callable[..., Any]) -> Probe[Any]:
    hints = typing.get_type_hints(function)
    wanted = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    needed = [p for p in wanted if p.default is inspect.Parameter.empty]
    arguments: Mapping[str, Any] = {p.name: _sample(p.name, hints[p.name]) for p in needed}
    made: Probe[Any] = function(**arguments)
    return made


def every_probe() -> Iterator[tuple[str, Probe[Any]]]:
    """Every Probe that a function or method of `commands/` gives, with arguments of our own."""
    ctl = etcdctl.Etcdctl(Containers(), "etcd", "http://127.0.0.1:2379")
    for module in (probes, containers, evidence, managers, login_shell, snapshots):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            gives = typing.get_type_hints(function).get("return")
            if function.__module__ == module.__name__ and typing.get_origin(gives) is Probe:
                yield f"{module.__name__.rpartition('.')[2]}.{name}", _made(function)
    for name, method in inspect.getmembers(ctl, inspect.ismethod):
        if typing.get_origin(typing.get_type_hints(method.__func__).get("return")) is Probe:
            yield f"etcdctl.{name}", _made(method)


def answer(probe: Probe[Any], stdout: bytes, stderr: bytes = b"", code: int = 0) -> Result:
    """What a node gave back."""
    return Result(probe.command, code, stdout, stderr)
