"""Hints as a person reads them: shell commands at a host, commands of the product, and what is to be done at a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.worlds.disks import Disk
from tests.worlds.hosts import Host
from tests.worlds.world import World

_HOSTS = r"(?:n\d+)(?:(?:, | and )n\d+)*"
_AT = re.compile(rf"\bon ({_HOSTS}):? `((?:docker (?:update|stop|start|rm|rename)|mv) [^`]+)`")
_SHELL = re.compile(r"`((?:docker (?:update|stop|start|rm|rename)|mv) [^`]+)`")
_PRODUCT = re.compile(
    r"fleetrecover (recover|undo|clean|verify|diagnose)\b((?: (?:--\w[\w-]*|r\d+T\w+-\w+|[\w.-]+(?<!\.)))*)"
)
_DEAD = re.compile(r"--dead '?(etcd-n\d+|n\d+|member|[0-9a-f]{3,})\b")
_WAYS = re.compile(r"to go on from ([^:]+): (.*?)(?=; to go on from|; then|$)")
_SAME = re.compile(
    r"(?:the|run the|give the) same command again|the same command goes on|run it again|run this again|look again"
)
_MEND = re.compile(
    r"reachable|bring|switch|power|mended|\bback\b|start the container engine|user and key|make it|let us in|systemctl start"
)
BEYOND = re.compile(
    r"snapshot|inspect|copy the data|clocks|firewall|inventory|hosts\.toml|etcdctl|fleetrecover plan|addresses|network|the load"
)
"""What a hint may ask that no world has: there the night ends, and it is no fault of the product."""


def hosts_in(world: World, text: str) -> list[Host]:
    """The hosts that a text names, in the fleet's order."""
    return [host for host in world.hosts if re.search(rf"(?<![\w-]){host.name}\b", text)]


def dead_words(text: str) -> list[str]:
    """What a hint says to give as --dead, as it would be typed."""
    return _DEAD.findall(text)


def leave_out(text: str) -> list[str]:
    """Which --dead a hint says to leave out."""
    found = re.search(r"leave ((?:--dead \S+ ?)+)out", text) or re.search(r"leave out ((?:--dead \S+ ?)+)", text)
    return dead_words(found[1]) if found else []


def product_commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Verb and words of the product's commands in a hint, in order."""
    for found in _PRODUCT.finditer(text):
        yield found[1], found[2].split()


def says_again(text: str) -> bool:
    """Whether the same command is to be given again."""
    return bool(_SAME.search(text))


def asks_to_mend(text: str) -> bool:
    """Whether somebody is to make a host, its login or its engine work again."""
    return bool(_MEND.search(text))


@dataclass(frozen=True)
class Typed:
    """Shell commands that are typed on hosts: (host, command)."""

    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{command} on {host}" for host, command in self.lines)

    def do(self, world: World) -> None:
        for name, command in self.lines:
            shell(world, world.host(name), command)


def shell_ways(world: World, text: str, node: str | None) -> Iterator[Typed]:
    """What a hint's shell commands offer; where it says "to go on from A …; to go on from B …", only the better side's."""
    ways = [(hosts_in(world, names), Typed(tuple(_at(world, rest)))) for names, rest in _WAYS.findall(text)]
    if ways:
        yield max(ways, key=lambda way: _worth(world, way[0]))[1]
        return
    lines = tuple(_at(world, text))
    if lines:
        yield Typed(lines)
        return
    for command in _SHELL.findall(text):
        if node is not None and any(host.name == node for host in world.hosts):
            yield Typed(((node, command),))


def _at(world: World, text: str) -> Iterator[tuple[str, str]]:
    for names, command in _AT.findall(text):
        for host in hosts_in(world, names):
            yield host.name, command


def _worth(world: World, hosts: list[Host]) -> int:
    """A person knows which cluster is theirs, and sees the revisions."""
    from tests.worlds.history import CLUSTER

    disks = [host.disk for host in hosts if host.disk is not None and host.disk.cluster == CLUSTER]
    return max((disk.revision for disk in disks), default=-1)


# --- a shell, as far as hints need one --------------------------------------------------------------------------------


def shell(world: World, host: Host, text: str) -> None:
    """Type a line of commands on a host; the first that fails ends it."""
    for command in text.split("&&"):
        words = command.replace(";", " ").split()
        if not words or not _one(world, host, words):
            return


def _one(world: World, host: Host, words: list[str]) -> bool:
    if words[0] == "mv":
        return _move(world, host, words[-1])
    if words[0] != "docker" or not host.accessible:
        return False
    container = host.named(words[2] if words[1] == "rename" else words[-1]) or next(
        (c for c in host.containers if c.running and words[-1] == "etcd"), None
    )
    if container is None:
        return False
    verb = words[1]
    if verb == "update":
        policy = next((word.partition("=")[2] for word in words if word.startswith("--restart=")), "no")
        host.change(container.id, restart_policy=policy)
    elif verb == "stop":
        world.stop(host, container.id)
    elif verb == "start":
        world.start(host, container.id)
    elif verb == "rename":
        host.change(container.id, name=words[-1])
    elif verb == "rm" and not container.running:
        host.containers = [c for c in host.containers if c.id != container.id]
    world.settle()
    return True


def _move(world: World, host: Host, target: str) -> bool:
    """Move the data directory's member aside, to a name of the operator's own."""
    if host.disk is None or not host.reachable:
        return False
    running = host.process
    if running is not None:
        world.end(host, gently=True)
    name = target.rpartition("/")[2]
    while name in host.given_up:
        name += "-"
    host.given_up[name], host.disk = host.disk, None
    return True


def misplaced_copy(world: World, names: list[Host]) -> Host | None:
    """Of two hosts with one member's data, the one where that member does not belong."""
    for host in names:
        disk: Disk | None = host.disk
        if disk is not None and disk.roster().hosts.get(disk.member) != host.number:
            return host
    return names[-1] if names else None
