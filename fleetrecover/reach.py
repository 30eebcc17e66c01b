"""`fleetrecover hosts`: where and how SSH reaches each host of the inventory, as it is resolved; nothing is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleetrecover.model import Fleet, Host
from fleetrecover.remote.fanout import fan_out
from fleetrecover.remote.login_shell import engine_of
from fleetrecover.remote.settings import Settings, Target


def targets(fleet: Fleet, settings: Settings | None = None) -> list[tuple[Host, Target]]:
    """Resolve all hosts, several at a time, in the inventory's order. InputError where the ssh configuration is wrong."""
    resolver = settings or Settings(fleet)
    found = fan_out(fleet.hosts, resolver.target)
    return [(host, target) for host in fleet.hosts if isinstance(target := found[host.name], Target)]


def document(fleet: Fleet, reached: Sequence[tuple[Host, Target]]) -> dict[str, Any]:
    """Return the JSON of `hosts --json`."""
    return {
        "schema": 1,
        "cluster": fleet.cluster,
        "hosts": [_entry(host, target) for host, target in reached],
    }


def _entry(host: Host, target: Target) -> dict[str, Any]:
    return {
        "name": host.name,
        "address": target.address,
        "port": target.port,
        "user": target.user,
        "keys": _paths(target.keys),
        "certificates": _paths(target.certificates),
        "agent": target.agent,
        "known_hosts": _paths(target.known_hosts),
        "gateway": [_hop(each) for each in target.gateways],
        "proxy_command": target.proxy_command,
        "host_key_alias": target.alias,
    }


def _hop(target: Target) -> dict[str, Any]:
    key = str(target.keys[0]) if target.keys else None
    return {"address": target.address, "port": target.port, "user": target.user, "key": key}


def _paths(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]


def lines(fleet: Fleet, reached: Sequence[tuple[Host, Target]]) -> list[str]:
    """Return the text for a person: a paragraph for each host."""
    found: list[str] = []
    for host, target in reached:
        alias = f", as {target.alias}" if target.alias else ""
        found += [
            f"{host.name}: {target.place}",
            f"  through    {_through(target)}",
            f"  keys       {_keys(target)}",
            f"  host keys  {', '.join(_paths(target.known_hosts)) or 'none are known'}{alias}",
            f"  rights     {_rights(fleet, host, target)}",
        ]
    by = "ssh(1)" if fleet.ssh.client == "openssh" else "Paramiko; bulk data by ssh(1)"
    return [*found, f"carried by {by}"]


def _through(target: Target) -> str:
    if target.proxy_command is not None:
        return target.proxy_command
    return " → ".join(gateway.place for gateway in target.gateways) or "directly"


def _rights(fleet: Fleet, host: Host, target: Target) -> str:
    """As whom scripts run there, as far as that is known without asking the host."""
    if fleet.ssh.sudo:
        return "root, by sudo -n"
    if target.user == "root":
        return "root"
    if (cli := engine_of(fleet, host)) is None:
        return f"{target.user}'s"
    return f"{target.user}'s; root's through {cli}, where {target.user} may use it"


def _keys(target: Target) -> str:
    own = [*_paths(target.keys), *(f"{path} (certificate)" for path in target.certificates)]
    if target.agent is not None:
        others = "" if target.only_keys else ", and its others"
        own.append(f"agent {target.agent}{others}" if own else f"agent {target.agent}")
    return ", ".join(own) or "none"
