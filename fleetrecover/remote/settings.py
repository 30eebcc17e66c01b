"""Where and how to connect: the inventory first, below it what ssh(1) says (`resolved.py`).

What the inventory says of user, port and gateway is given to ssh when it is asked, so it counts in Match and in tokens.
Nothing in the ssh configuration can loosen the check of host keys: StrictHostKeyChecking is not read.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from fleetrecover.errors import InputError
from fleetrecover.model import Fleet, Host
from fleetrecover.remote import config_reader
from fleetrecover.remote.resolved import (
    JumpLoop,
    NoDump,
    Query,
    Resolved,
    ask_client,
    ask_defaults,
    configured,
    find_client,
)
from fleetrecover.remote.tokens import Tokens, without_tilde

DEFAULT_PORT = 22
_GATEWAY = re.compile(r"(?:(?P<user>.+)@)?(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>\d+))?")
_MAX_HOPS = 8
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
AGENT = "SSH_AUTH_SOCK"
"""The variable that names the agent's socket."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class Target:
    """One SSH server, everything about it decided.

    `label` is what messages call it; `known_as` the name to look up in known_hosts, at `known_port` (HostKeyAlias has no
    port). `keys` are the keys to offer, private or public ones whose other half the agent holds; if `only_keys` is
    false, the agent's others too. `must_load`: the keys are the inventory's, and one that cannot be used is an error;
    `own_keys`, `own_known_hosts`: they are not what the ssh configuration says alone.
    `agent` is the agent's socket. `family` is of socket.AF_*. `beyond_us` is what the ssh configuration has that only
    ssh(1) itself can do, `undone` the options that keep ssh(1) from what would be in our way.
    """

    label: str
    address: str
    port: int
    user: str
    known_as: str
    known_hosts: tuple[Path, ...]
    keys: tuple[Path, ...] = ()
    only_keys: bool = False
    must_load: bool = False
    own_keys: bool = False
    own_known_hosts: bool = False
    certificates: tuple[Path, ...] = ()
    agent: str | None = field(default_factory=lambda: os.environ.get(AGENT) or None)
    gateway: Target | None = None
    proxy_command: str | None = None
    family: int = socket.AF_UNSPEC
    bind_address: str | None = None
    alias: str | None = None
    asked: Query | None = field(default=None, compare=False)
    beyond_us: tuple[str, ...] = field(default=(), compare=False)
    undone: tuple[str, ...] = field(default=(), compare=False)

    @property
    def place(self) -> str:
        """What a person would type after `ssh`."""
        return f"{self.user}@{self.address}" + (f" port {self.port}" if self.port != DEFAULT_PORT else "")

    @property
    def known_port(self) -> int:
        """The port under which it stands in known_hosts."""
        return DEFAULT_PORT if self.alias else self.port

    @property
    def gateways(self) -> tuple[Target, ...]:
        """The jump hosts, the first one to be logged in to first."""
        return (*self.gateway.gateways, self.gateway) if self.gateway is not None else ()


class Once(Generic[K, V]):
    """Values that are made once for each key, whichever thread asks first; the others wait for it. So are its errors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._each: dict[K, threading.Lock] = {}
        self._made: dict[K, V | Exception] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made now if there is none yet."""
        with self._lock:
            own = self._each.setdefault(key, threading.Lock())
        with own:
            if key not in self._made:
                try:
                    self._made[key] = make()
                except Exception as error:
                    self._made[key] = error
            found = self._made[key]
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Settings:
    """Turns hosts of a fleet into targets. Thread-safe: each destination is resolved once, several at the same time.

    `config` is the one ssh configuration to read ("none": not any); None: the user's and the system's. `client` is the
    ssh(1) to ask, "" if there is none.
    """

    fleet: Fleet
    config: str | None = field(default_factory=configured)
    client: str = field(default_factory=find_client)
    _targets: Once[Host, Target] = field(default_factory=Once, init=False, repr=False)
    _answers: Once[Query, Resolved] = field(default_factory=Once, init=False, repr=False)
    _defaults: Once[str, tuple[str, ...]] = field(default_factory=Once, init=False, repr=False)

    def target(self, host: Host) -> Target:
        """Return how to reach a host of the inventory; decided once. InputError where the configuration is wrong."""
        return self._targets.get(host, lambda: self._decide(host))

    def _decide(self, host: Host) -> Target:
        ssh = self.fleet.ssh
        gateway = host.gateway if host.gateway is not None else ssh.gateway
        if gateway is not None:
            gateway = _checked_gateway(gateway)
        query = Query(host.address, host.user or ssh.user, host.port or ssh.port, gateway)
        key = host.key or ssh.key
        return self._target(host.name, query, key, _GatewayKey(host.gateway_key or ssh.gateway_key, key), 0)

    def _target(self, label: str, query: Query, key: Path | None, gateway_key: _GatewayKey, hops: int) -> Target:
        if hops > _MAX_HOPS:
            raise InputError(
                f"{label}: more than {_MAX_HOPS} jump hosts in a row",
                hint="look for a ProxyJump that leads back to itself in the ssh configuration",
            )
        found = self._resolve(query)
        address = found.one("hostname") or query.host
        port, user = int(found.one("port") or DEFAULT_PORT), found.one("user") or ""
        alias, jump = found.one("hostkeyalias"), found.one("proxyjump")
        tokens = Tokens(
            host=address,
            original=query.host,
            port=port,
            user=user,
            known_as=alias or query.host,
            digest=found.one("controlpath") or "",
            jump=jump or "",
        )
        command = found.one("proxycommand") if jump is None else None
        return Target(
            label=label,
            address=address,
            port=port,
            user=user,
            known_as=alias or address,
            known_hosts=self._known_hosts(found),
            keys=(key,) if key else self._keys(found, tokens),
            only_keys=key is not None or found.yes("identitiesonly"),
            must_load=key is not None,
            own_keys=key is not None,
            own_known_hosts=self.fleet.ssh.known_hosts is not None,
            certificates=tuple(tokens.path(p, "CertificateFile") for p in found.all("certificatefile")),
            agent=_agent(found),
            gateway=self._gateway(jump, gateway_key, hops) if jump else None,
            proxy_command=tokens.command(command) if command else None,
            family=_FAMILIES.get((found.one("addressfamily") or "").lower(), socket.AF_UNSPEC),
            bind_address=found.one("bindaddress"),
            alias=alias,
            asked=query,
            beyond_us=tuple(_beyond_us(found)),
            undone=tuple(_undone(found)),
        )

    def _gateway(self, spec: str, key: _GatewayKey, hops: int) -> Target:
        """Turn `[user@]host[:port][,…]` into a target; the last one named is the nearest to the host.

        As with ssh(1), each jump host is resolved by itself: what is given for the host does not count for it.
        """
        before, _, last = spec.rpartition(",")
        match = _parse_gateway(last)
        address = match["bracketed"] or match["host"]
        port = int(match["port"]) if match["port"] else None
        query = Query(address, match["user"], port, before or None)
        gateway = self._target(f"gateway {address}", query, key.own, key, hops + 1)
        if key.own is None and key.hosts is not None and key.hosts not in gateway.keys:
            # [ssh] key is for the hosts; a gateway is tried with its own keys first.
            gateway = replace(gateway, keys=(*gateway.keys, key.hosts), own_keys=True)
        return gateway

    def _resolve(self, query: Query) -> Resolved:
        try:
            return self._answers.get(query, lambda: self._ask(query))
        except JumpLoop:
            # A ProxyJump under `Host *` applies to the jump host itself, too; ssh(1) gives up there, we leave it out.
            alone = replace(query, jump="none")
            return self._answers.get(alone, lambda: self._ask(alone))

    def _ask(self, query: Query) -> Resolved:
        return _without_own_jump(self._read(query), query)

    def _read(self, query: Query) -> Resolved:
        if self.client:
            # A client from before 6.8 cannot say what it makes of its configuration: then the files are read here.
            with suppress(NoDump):
                return replace(
                    ask_client(self.client, self.config, query),
                    defaults=self._defaults.get(self.client, lambda: ask_defaults(self.client)),
                )
        return config_reader.read(self.config, query)

    def _keys(self, found: Resolved, tokens: Tokens) -> tuple[Path, ...]:
        """Return the keys that are configured, else the default ones that exist."""
        if found.values.get("identityfile", ()) == found.defaults:
            default = (without_tilde(p, "IdentityFile") for p in found.defaults)
            return tuple(path for path in default if path.exists())
        return tuple(dict.fromkeys(tokens.path(p, "IdentityFile") for p in found.all("identityfile")))

    def _known_hosts(self, found: Resolved) -> tuple[Path, ...]:
        if self.fleet.ssh.known_hosts:
            return (self.fleet.ssh.known_hosts,)
        return tuple(
            without_tilde(path, keyword)
            for keyword in ("userknownhostsfile", "globalknownhostsfile")
            for path in found.all(keyword)
        )


@dataclass(frozen=True)
class _GatewayKey:
    """What jump hosts are logged in to with: a key of their `own`, else theirs in ssh_config, and the `hosts`' one."""

    own: Path | None
    hosts: Path | None


def _without_own_jump(found: Resolved, query: Query) -> Resolved:
    """Leave out a ProxyJump, of `Host *`, that leads to the very host; ssh(1) refuses it, or goes round for ever."""
    jump = found.one("proxyjump")
    if jump is None or query.jump is not None or "," in jump:
        return found
    match = _parse_gateway(jump)
    own = (query.host, found.one("hostname"))
    if (match["bracketed"] or match["host"]) not in own or match["port"] not in (None, found.one("port")):
        return found
    return replace(found, values={k: v for k, v in found.values.items() if k != "proxyjump"})


def _parse_gateway(spec: str) -> re.Match[str]:
    match = _GATEWAY.fullmatch(spec.strip().removeprefix("ssh://").removesuffix("/"))
    address = (match["bracketed"] or match["host"]) if match is not None else "-"
    if match is None or address.startswith("-") or (match["user"] or "").startswith("-"):
        raise InputError(
            f"gateway {spec!r} is not of the form user@host:port",
            hint='write it as gateway = "ops@bastion:22" in hosts.toml, an IPv6 address as "ops@[fd00::1]:22"',
        )
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise InputError(f"gateway {spec!r}: {match['port']} is not a port", hint="SSH's is 22")
    return match


def _checked_gateway(spec: str) -> str:
    """Return the inventory's gateway as ssh takes it."""
    if spec.lower() == "none":
        return "none"
    return ",".join(_parse_gateway(each)[0] for each in spec.split(","))


def _agent(found: Resolved) -> str | None:
    """Return the agent's socket. As ssh does: $SSH_AUTH_SOCK, unless IdentityAgent says otherwise."""
    said = next(iter(found.values.get("identityagent", ())), AGENT)
    if said.lower() == "none":
        return None
    if said == AGENT:
        return os.environ.get(AGENT) or None
    if said.startswith("$") and not said.startswith("${"):
        return os.environ.get(said[1:]) or None
    return said


def _undone(found: Resolved) -> Iterator[str]:
    """Yield options against settings that are for a person's session; said only where they are set: old clients know none."""
    if found.one("remotecommand") is not None:
        yield "RemoteCommand=none"
    if found.yes("forkafterauthentication"):
        yield "ForkAfterAuthentication=no"


def _beyond_us(found: Resolved) -> Iterator[str]:
    """Yield what only ssh(1) itself can do of it."""
    for keyword, name in (("bindinterface", "BindInterface"), ("proxyusefdpass", "ProxyUseFdpass")):
        value = found.one(keyword)
        if value is not None and value.lower() != "no":
            yield f"{name} {value}"
    for keyword, name in (("pkcs11provider", "PKCS11Provider"), ("knownhostscommand", "KnownHostsCommand")):
        value = found.one(keyword)
        if value is not None:
            yield f"{name} {value}"
