"""Where and how to connect: the inventory first, ~/.ssh/config below it, OpenSSH's defaults below that.

Of ~/.ssh/config these are honoured: HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump, ProxyCommand,
HostKeyAlias, UserKnownHostsFile, GlobalKnownHostsFile, and Include, Host and Match around them. Nothing in it can
loosen the check of host keys: StrictHostKeyChecking is not read.
"""

from __future__ import annotations

import getpass
import re
import shlex
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fleetrecover.errors import InputError
from fleetrecover.model import Fleet, Host

DEFAULT_PORT = 22
_GATEWAY = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<bracketed>[^\]]+)\]|(?P<host>[^:]+))(?::(?P<port>\d+))?")
_MAX_HOPS = 8
_MAX_INCLUDES = 16


@dataclass(frozen=True)
class Target:
    """One SSH server, everything about it decided.

    `label` is what messages call it; `known_as` the name to look up in known_hosts (HostKeyAlias, else the address).
    `keys` are the private keys to offer; if `only_keys` is false, the agent's and the default ones too.
    """

    label: str
    address: str
    port: int
    user: str
    known_as: str
    known_hosts: tuple[Path, ...]
    keys: tuple[Path, ...] = ()
    only_keys: bool = False
    gateway: Target | None = None
    proxy_command: str | None = None

    @property
    def place(self) -> str:
        """What a person would type after `ssh`."""
        return f"{self.user}@{self.address}" + (f" port {self.port}" if self.port != DEFAULT_PORT else "")


def default_keys() -> tuple[Path, ...]:
    """Return the default private keys that exist, in OpenSSH's order."""
    paths = (Path("~/.ssh").expanduser() / name for name in ("id_rsa", "id_ecdsa", "id_ed25519"))
    return tuple(path for path in paths if path.exists())


@dataclass
class Settings:
    """Turns hosts of a fleet into targets. ~/.ssh/config is read once, on first use."""

    fleet: Fleet
    config_path: Path = field(default_factory=lambda: Path("~/.ssh/config").expanduser())
    system_config_path: Path = Path("/etc/ssh/ssh_config")
    _targets: dict[Host, Target] = field(default_factory=dict, init=False, repr=False)

    def target(self, host: Host) -> Target:
        """Return how to reach a host of the inventory; decided once."""
        if host not in self._targets:
            self._targets[host] = self._decide(host)
        return self._targets[host]

    def _decide(self, host: Host) -> Target:
        ssh = self.fleet.ssh
        key = host.key or ssh.key
        return self._target(
            label=host.name,
            address=host.address,
            user=host.user or ssh.user,
            port=host.port or ssh.port,
            key=key,
            gateway=host.gateway if host.gateway is not None else ssh.gateway,
            hops=0,
        )

    def _target(
        self, *, label: str, address: str, user: str | None, port: int | None, key: Path | None, gateway: str | None,
        hops: int,
    ) -> Target:  # fmt: skip
        if hops > _MAX_HOPS:
            raise InputError(
                f"{label}: more than {_MAX_HOPS} jump hosts in a row",
                hint=f"look for a ProxyJump that leads back to itself in {self.config_path}",
            )
        config = self._lookup(address)
        jump = gateway if gateway is not None else config.get("proxyjump")
        own_keys = (key,) if key else tuple(Path(p).expanduser() for p in config.get("identityfile", []))
        return Target(
            label=label,
            address=config.get("hostname", address),
            port=port or int(config.get("port", DEFAULT_PORT)),
            user=user or config.get("user") or getpass.getuser(),
            known_as=config.get("hostkeyalias", config.get("hostname", address)),
            known_hosts=self._known_hosts(config),
            keys=own_keys,
            only_keys=key is not None or config.get("identitiesonly", "no").lower() == "yes",
            gateway=self._gateway(jump, "" if gateway else address, hops) if jump else None,
            proxy_command=config.get("proxycommand") if jump is None else None,
        )

    def _gateway(self, spec: str, behind: str, hops: int) -> Target | None:
        """Turn `[user@]host[:port][,…]` into a target; the last one named is the nearest to the host.

        A ProxyJump under `Host *` also applies to the jump host `behind` which we already are: it is left out.
        """
        if spec.lower() == "none":
            return None
        before, _, last = spec.rpartition(",")
        match = _GATEWAY.fullmatch(last.strip().removeprefix("ssh://"))
        if match is None:
            raise InputError(
                f"gateway {spec!r} is not of the form user@host:port",
                hint='write it as gateway = "ops@bastion:22" in hosts.toml, an IPv6 address as "ops@[fd00::1]:22"',
            )
        address = match["bracketed"] or match["host"]
        if address == behind:
            return None
        gateway = self._target(
            label=f"gateway {address}",
            address=address,
            user=match["user"],
            port=int(match["port"]) if match["port"] else None,
            key=None,
            gateway=before or None,
            hops=hops + 1,
        )
        # [ssh] key is for the hosts; a gateway is tried with its own keys first.
        own = gateway.keys or default_keys()
        if self.fleet.ssh.key and self.fleet.ssh.key not in own:
            gateway = replace(gateway, keys=(*own, self.fleet.ssh.key))
        return gateway

    def _known_hosts(self, config: dict[str, Any]) -> tuple[Path, ...]:
        if self.fleet.ssh.known_hosts:
            return (self.fleet.ssh.known_hosts,)
        user = config.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        system = config.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
        return tuple(Path(p).expanduser() for p in shlex.split(f"{user} {system}") if p.lower() != "none")

    def _lookup(self, address: str) -> dict[str, Any]:
        return dict(self._ssh_config.lookup(address)) if self._ssh_config is not None else {}

    @cached_property
    def _ssh_config(self) -> Any:
        text = "\n".join(
            part for part in (_read(self.config_path, 0), _read(self.system_config_path, 0)) if part.strip()
        )
        if not text:
            return None
        from paramiko import SSHConfig
        from paramiko.ssh_exception import ConfigParseError

        try:
            return SSHConfig.from_text(text)
        except ConfigParseError as error:
            raise InputError(
                f"{self.config_path}: {error}", hint="`ssh -G some-host` shows what OpenSSH says about it"
            ) from error


def _read(path: Path, depth: int) -> str:
    """Return a config file with its Includes put in place, which Paramiko does not do; "" if there is none.

    As in OpenSSH, what an Include inside a Host block brings belongs to that block, and an included file's own Host
    lines end with it: the block that was open goes on after it.
    """
    if depth > _MAX_INCLUDES:
        raise InputError(
            f"{path}: Include goes deeper than {_MAX_INCLUDES}", hint="look for a file that includes itself"
        )
    try:
        text = path.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    lines: list[str] = []
    block = "Host *"
    for line in text.splitlines():
        keyword, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() == "include":
            for pattern in shlex.split(value, comments=True):
                for included in _included(pattern, path.parent):
                    lines += [_read(included, depth + 1), block]
        else:
            if keyword.lower() in ("host", "match"):
                block = line
            lines.append(line)
    return "\n".join(lines)


def _included(pattern: str, base: Path) -> list[Path]:
    path = Path(pattern).expanduser()
    if not path.is_absolute():
        path = base / path
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
