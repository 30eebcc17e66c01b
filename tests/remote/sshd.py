"""A real sshd on a high port of 127.0.0.1, started by a test, and gone after it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest

from fleetrecover.model import Fleet, Host, SshSettings

SSHD = "/usr/sbin/sshd"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    """Make a key pair; return the path of the private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)], check=True)
    return path


def public(path: Path) -> str:
    """Return `kind blob` of a key pair's public half."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@dataclass
class Sshd:
    """One sshd, on loopback unless told otherwise. `extra` are further lines of sshd_config."""

    directory: Path
    extra: tuple[str, ...] = ()
    listen: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        """Make the keys, once, and start; returns when it listens."""
        self.directory.mkdir(exist_ok=True, parents=True)
        for key in (self.host_key, self.login_key):
            if not key.exists():
                make_key(key)
        self.authorize(self.login_key)
        config = self.directory / "sshd_config"
        config.write_text("\n".join([*self.extra, *self._settings(), ""]))
        Path("/run/sshd").mkdir(exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True)
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.01)
        raise RuntimeError((self.directory / "log").read_text())

    def _settings(self) -> list[str]:
        return [
            f"Port {self.port}",
            f"ListenAddress {self.listen}",
            f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {self.open_directory / 'authorized'}",
            f"PidFile {self.directory / 'pid'}",
            "PermitRootLogin prohibit-password",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "MaxStartups 1000",
            f"SetEnv HOME={self.directory}",  # this machine's ~/.bashrc is not what is tested
            "LogLevel VERBOSE",
        ]

    @property
    def host_key(self) -> Path:
        return self.directory / "host_key"

    @property
    def login_key(self) -> Path:
        return self.directory / "login_key"

    @cached_property
    def open_directory(self) -> Path:
        """sshd reads authorized keys as the user who logs in, and pytest's directories are for their owner only."""
        path = Path(tempfile.mkdtemp(prefix="fleetrecover-sshd-"))
        path.chmod(0o755)
        return path

    def authorize(self, key: Path) -> None:
        """Let this key in, and no other."""
        path = self.open_directory / "authorized"
        path.write_text(public(key) + "\n")
        path.chmod(0o644)

    def known_line(self, name: str | None = None) -> str:
        """Return the line of known_hosts that is right for this server."""
        return f"{name or f'[127.0.0.1]:{self.port}'} {public(self.host_key)}\n"

    def fleet(self, *, known: str | None = None, names: tuple[str, ...] = ("etcd1",), **ssh: object) -> Fleet:
        """Return a fleet all of whose hosts are this server; `known` replaces what stands in known_hosts."""
        path = self.directory / "known_hosts"
        path.write_text(self.known_line() if known is None else known)
        settings: dict[str, object] = {
            "user": "root",
            "port": self.port,
            "key": self.login_key,
            "known_hosts": path,
            "connect_timeout": 10.0,
            **ssh,
        }
        return Fleet(
            cluster="test",
            hosts=tuple(Host(name=name, address="127.0.0.1") for name in names),
            ssh=SshSettings(**settings),  # type: ignore[arg-type]
        )

    def sessions(self) -> list[int]:
        """Return the process numbers of the children that serve connections."""
        assert self.process is not None
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = entry.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid:
                    found.append(int(entry.parent.name))
        return found

    def cut(self) -> None:
        """Kill the children that serve connections, as if the network had gone."""
        for pid in self.sessions():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it, and what it serves."""
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)
            self.process = None
        shutil.rmtree(self.open_directory, ignore_errors=True)


def install() -> None:
    """Install sshd where it is missing, without letting its package start a service."""
    if Path(SSHD).exists():
        return
    if shutil.which("apt-get") is None:
        pytest.skip("there is no sshd")
    guard = Path("/usr/sbin/policy-rc.d")
    ours = not guard.exists()
    if ours:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    try:
        command = [
            "apt-get",
            "install",
            "-y",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=300",
            "openssh-server",
        ]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
    finally:
        if ours:
            guard.unlink()
