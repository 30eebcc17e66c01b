"""`[etcd] cli` may be a path with blanks: it stands quoted in every script that a node is given."""

from __future__ import annotations

import inspect
import subprocess
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from fleetrecover.commands import containers, etcdctl, snapshots, trial, units
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import Identity, Tool
from fleetrecover.model import Command
from fleetrecover.runtime.containers import Containers

CLI = "/opt/my tools/doc'ker"
_KNOWN: Mapping[str, Any] = {
    "cli": CLI,
    "paths": RunPaths("/d.fleetrecover", "r1", "/w al/wal"),
    "ctl": etcdctl.Etcdctl(Containers(CLI), "etcd", "http://127.0.0.1:2379"),
    "tool": Tool("etcdutl", True),
    "containers": [("a b", "c'd", True)],
    "identity": Identity("n", ("http://a",), (("n", ("http://a",)),), "t"),
}
_SIMPLE: Mapping[Any, Any] = {str: "a b", int: 5, bool: True, float: 1.0}


def _value(name: str, hint: Any) -> Any:
    if name in _KNOWN:
        return _KNOWN[name]
    return ["a", "b c"] if typing.get_origin(hint) is Sequence else _SIMPLE[hint]


def scripts() -> Iterator[tuple[str, Command]]:
    """Of every function of `commands/` that takes the engine's command line tool."""
    for module in (containers, snapshots, trial, units):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            hints = typing.get_type_hints(function)
            gives = typing.get_origin(hints.get("return")) or hints.get("return")
            takes = {"cli", "ctl"} & set(hints)
            if function.__module__ != module.__name__ or gives not in (Probe, Action, Command) or not takes:
                continue
            yield f"{module.__name__.rpartition('.')[2]}.{name}", _command(function, hints)


def _command(function: Callable[..., Any], hints: Mapping[str, Any]) -> Command:
    wanted = inspect.signature(function).parameters.values()
    made = function(**{p.name: _value(p.name, hints[p.name]) for p in wanted if p.name in hints})
    command: Command = made if isinstance(made, Command) else made.command
    return command


SCRIPTS = dict(scripts())


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_quoted(name: str) -> None:
    script = SCRIPTS[name].script
    assert "my tools" in script or name == "snapshots.scheduler", "it is not used at all"
    assert CLI not in script, "as it is it would be several words, and open a quote"
    assert script.count("'/opt/my tools/doc'\"'\"'ker'") == script.count("my tools")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=60)


def test_all_that_there_are_were_tried() -> None:
    assert len(SCRIPTS) >= 30
