"""Random ssh configurations, as people write them and as they do not; each from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("etcd1", "etcd2", "db.etcd1.example.net", "10.9.0.1", "10.8.0.1", "fd00::7", "bastion", "UPPER.example.net")
PATTERNS = ("*", "etcd*", "etcd?", "!etcd2", "10.9.*", "10.?.0.1", "*.example.net", "bastion", "fd00:*", "nobody", "?")
USERS = ("core", "rancher", "op", "root", "a.b")
VALUES = {
    "HostName": ("10.9.0.1", "%h.example.net", "Mixed.Example.NET", "fd00::9", "x%%y", "192.0.2.7"),
    "User": USERS,
    "Port": ("22", "2222", "0022", "65535"),
    "IdentityFile": (
        "~/.ssh/a",
        "/k/%h_%r",
        "%d/.ssh/id_%n",
        "~/with blank/k",
        "/k/%%",
        "none",
        "/k/%p-%u-%i-%L-%l-%k",
        "/k/#1",
    ),
    "CertificateFile": ("/c/%h-cert.pub", "~/c", "/with blank/c"),
    "IdentitiesOnly": ("yes", "no", "true", "false"),
    "UserKnownHostsFile": ("none", "/kh/%k", "~/.ssh/kh_%h /kh/two", "/kh/a"),
    "GlobalKnownHostsFile": ("none", "/g/a /g/b", "/g/c"),
    "HostKeyAlias": ("alias", "Alias.Of.%h", "ETCD"),
    "IdentityAgent": ("none", "SSH_AUTH_SOCK", "/agent/%u.sock", "~/agent", "$NO_SUCH_AGENT"),
    "ProxyJump": ("none", "bastion", "ops@jump:2200", "one,two@three:33", "[fd00::1]:2022", "ssh://u@j.example.net:24"),
    "ProxyCommand": ("none", "nc %h %p", "sh -c \"nc '%h' %p\"", "connect -u %r %n  # no comment", "x %%h"),
    "AddressFamily": ("any", "inet", "inet6"),
    "ServerAliveInterval": ("5", "60"),
    "StrictHostKeyChecking": ("no", "accept-new"),
    "Compression": ("yes",),
    "Ciphers": ("aes128-ctr,aes256-ctr",),
    "SendEnv": ("LANG LC_*",),
    "LocalForward": ("1234 localhost:80",),
}
RAW = ("ProxyJump", "ProxyCommand")
LISTS = ("UserKnownHostsFile", "GlobalKnownHostsFile", "SendEnv", "LocalForward")


@dataclass
class World:
    """A configuration (`files`, the first is the one that is named), a destination, and what the inventory says of it."""

    seed: int
    host: str
    user: str | None
    port: int | None
    gateway: str | None
    files: dict[str, str] = field(default_factory=dict)

    def write(self, directory: Path) -> Path:
        """Write the files; return the first."""
        for name, text in self.files.items():
            (directory / name).write_bytes(text.replace("@HERE@", str(directory)).encode())
        return directory / next(iter(self.files))

    def told(self) -> str:
        """Everything of it, for a failing test."""
        return f"seed {self.seed}: {self.host} user={self.user} port={self.port} gateway={self.gateway}\n" + "\n".join(
            f"--- {name}\n{text}" for name, text in self.files.items()
        )


def make(seed: int) -> World:
    """Make the world of a seed."""
    rng = random.Random(seed)
    world = World(
        seed,
        host=rng.choice(NAMES),
        user=rng.choice((None, None, *USERS)),
        port=rng.choice((None, None, 22, 2022)),
        gateway=rng.choice((None, None, None, None, "none", "ops@gate:2201")),
    )
    included = [f"part{number}" for number in range(rng.choice((0, 0, 1, 2)))]
    end = rng.choice(("\n", "\n", "\n", "\r\n"))
    for name in ("config", *included):
        parts = included if name == "config" else []
        lines = [_line(rng, parts) for _ in range(rng.randint(1, 14))]
        world.files[name] = end.join(lines) + rng.choice(("", end))
    return world


def _line(rng: random.Random, included: list[str]) -> str:
    kind = rng.random()
    indent = rng.choice(("", "  ", "\t", "    "))
    if kind < 0.06:
        return rng.choice(("", "   ", "# a comment", "  # it's one, too", "#Host *"))
    if kind < 0.22:
        return indent + _keyword(rng, "Host") + " ".join(_quoted(rng, p) for p in _some(rng, PATTERNS)) + _comment(rng)
    if kind < 0.42:
        return indent + rng.choice(("Match ", "match ", "MATCH\t")) + _criteria(rng) + _comment(rng)
    if kind < 0.48 and included:
        path = rng.choice((*included, "part*", "nothing*"))
        return indent + _keyword(rng, "Include") + f"@HERE@/{path}" + _comment(rng)
    if kind < 0.484:
        return indent + rng.choice(
            ("Nonsense yes", "Port", 'User "open', "Port 99999", "IdentitiesOnly perhaps", "User two words", "Tag lab")
        )
    name = rng.choice(tuple(VALUES))
    value = rng.choice(VALUES[name])
    if name in RAW:
        return indent + _keyword(rng, name) + value
    if name in LISTS:
        return indent + _keyword(rng, name) + value + _comment(rng)
    return indent + _keyword(rng, name) + _quoted(rng, value) + _comment(rng)


def _keyword(rng: random.Random, name: str) -> str:
    return rng.choice((name, name, name.lower(), name.upper())) + rng.choice((" ", " ", "\t", "  ", "=", " = ", "= "))


def _quoted(rng: random.Random, value: str) -> str:
    if " " in value or "#" in value or rng.random() < 0.15:
        return f'"{value}"' if rng.random() < 0.8 else f"'{value}'"
    return value


def _comment(rng: random.Random) -> str:
    return rng.choice(("", "", "", "", "", " # Bob's box", "  #moved", " ", "\t"))


def _some(rng: random.Random, values: tuple[str, ...]) -> list[str]:
    return rng.sample(values, rng.randint(1, 3))


def _criteria(rng: random.Random) -> str:
    if rng.random() < 0.12:
        return rng.choice(("all", "final all", "canonical all", "!all"))
    words = []
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(("host", "originalhost", "user", "localuser", "final", "canonical", "host", "user"))
        if rng.random() < 0.02:
            name = rng.choice(("tagged", "localnetwork", "nonsense"))
        negated = "!" if rng.random() < 0.2 else ""
        if name in ("final", "canonical"):
            words.append(negated + name)
            continue
        values = (*USERS, "*", "!core") if "user" in name else PATTERNS
        argument = ",".join(_some(rng, values))
        argument = f'"{argument}"' if rng.random() < 0.25 else argument
        words.append(negated + name + rng.choice((" ", " ", "=", " = ")) + argument)
    return " ".join(words)
