"""The frozen vocabulary that everything else is spoken in.

Only the words that several layers share stand here: a host, a fleet, a command, its result, and the transport
that carries the one to the other. Layer-specific words live with their layer (`etcd/`, `docker/`, `decide/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from fleetrecover import bounds, limits


@dataclass(frozen=True)
class SshSettings:
    """`[ssh]` of the inventory. `key`, `gateway_key`, `known_hosts`: paths with ~ expanded; `connect_timeout` in seconds.

    A value of None for `user`, `port`, `key`, `gateway` or `gateway_key` means: not said, so the ssh configuration
    decides. `client` is what carries everything: "paramiko", or "openssh", the machine's own ssh(1).
    """

    user: str | None = None
    port: int | None = None
    key: Path | None = None
    known_hosts: Path | None = None
    gateway: str | None = None
    gateway_key: Path | None = None
    connect_timeout: float = limits.CONNECT
    sudo: bool = False
    client: str = "paramiko"


@dataclass(frozen=True)
class EtcdSettings:
    """`[etcd]` of the inventory; the defaults are RKE1's.

    `runtime` is what runs etcd ("docker", "podman", "systemd" or "static-pod"), `unit` the name of its systemd unit.
    """

    container: str = "etcd"
    cli: str = "docker"
    snapshots: str = "/opt/rke/etcd-snapshots"
    runtime: str = "docker"
    unit: str | None = None


@dataclass(frozen=True)
class KubernetesSettings:
    """`[kubernetes]` of the inventory: containers to stop before and restart after a restore, in this order."""

    restart: tuple[str, ...] = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class Host:
    """One `[[hosts]]` table: an etcd node. The per-host values win over `[ssh]`."""

    name: str
    address: str
    etcd_address: str | None = None
    user: str | None = None
    port: int | None = None
    key: Path | None = None
    gateway: str | None = None
    gateway_key: Path | None = None
    container: str | None = None
    runtime: str | None = None


@dataclass(frozen=True)
class Fleet:
    """The inventory: `hosts` in the order in which members are to join."""

    cluster: str
    hosts: tuple[Host, ...]
    ssh: SshSettings = field(default_factory=SshSettings)
    etcd: EtcdSettings = field(default_factory=EtcdSettings)
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    source: Path | None = None

    def host(self, name: str) -> Host:
        """Return the host called `name`; KeyError if there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)


@dataclass(frozen=True)
class Command:
    """One remote command as data: a piece of POSIX sh, and what is accepted of it.

    `script` is complete and already quoted (build it with `fleetrecover.commands.shell`). It is handed to `sh` on its
    standard input, never on a command line, so what it holds does not show in the node's process list.
    `shown` is what a person sees of it in a plan, a log or the journal: secrets are masked there.
    `timeout`, seconds, is enforced on the node too, so that nothing of ours outlives it. `most` is how many bytes are
    taken from each of its output streams.
    """

    name: str
    script: str
    timeout: float = limits.COMMAND
    ok_codes: tuple[int, ...] = (0,)
    shown: str = ""
    most: int = bounds.ANSWER

    @property
    def display(self) -> str:
        """What may be shown and logged of it."""
        return self.shown or self.script


@dataclass(frozen=True)
class Result:
    """What one remote command gave back; bytes, because WAL segments travel this way too."""

    command: Command
    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def ok(self) -> bool:
        """Whether the exit code is one that the command accepts."""
        return self.exit_code in self.command.ok_codes

    @property
    def text(self) -> str:
        """Standard output as text; undecodable bytes are replaced."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def error_text(self) -> str:
        """Standard error as text, stripped."""
        return self.stderr.decode("utf-8", "replace").strip()


class Transport(Protocol):
    """What carries commands to hosts. `remote.SshTransport` is the real one; the tests' fake has behaviour too.

    Thread-safe. A connection to a host is made on first use and kept.
    """

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """Run the commands one after another over one channel; one result each, whatever the exit codes are.

        Every command gets its own stdin from /dev/null. A failing command does not stop the ones after it.
        Raises Unreachable, HostKeyProblem, LoginFailed, SudoFailed before anything was run; OutcomeUnknown after.
        """

    def upload(
        self, host: Host, command: Command, source: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """Run one command with `source` streamed to its standard input."""

    def download(
        self, host: Host, command: Command, sink: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """Run one command and stream its standard output into `sink`; the Result's stdout is empty."""

    def relay(
        self,
        source: Host,
        read: Command,
        destination: Host,
        write: Command,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Result, Result]:
        """Stream the output of `read` on one host to the input of `write` on another, through this machine.

        Returns both results, both accepted. Raises CommandFailed, or the RemoteError of the side that failed.
        """

    def close(self) -> None:
        """Drop every connection. Can be called twice."""
