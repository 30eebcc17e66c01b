from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.remote.sshd import Sshd, install


@pytest.fixture(scope="session")
def _sshd_installed() -> None:
    if os.geteuid() != 0:
        pytest.skip("a real sshd needs root")
    install()


@pytest.fixture(scope="session")
def sshd(_sshd_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all tests that do not break it."""
    server = Sshd(tmp_path_factory.mktemp("sshd")).start()
    yield server
    server.stop()


@pytest.fixture
def make_sshd(_sshd_installed: None, tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Start servers of one's own, with further lines of sshd_config."""
    servers: list[Sshd] = []

    def start(*extra: str) -> Sshd:
        servers.append(Sshd(tmp_path / f"sshd{len(servers)}", extra=extra).start())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def plain_user(_sshd_installed: None) -> Iterator[str]:
    """A login user without sudo, whose login shell is not bash."""
    name = f"frtest{os.getpid()}"
    subprocess.run(["useradd", "-M", "-d", "/", "-s", "/bin/sh", "-p", "*", name], check=True)
    assert pwd.getpwnam(name)
    yield name
    subprocess.run(["userdel", name], check=True)


@pytest.fixture(scope="session")
def no_shell_user(_sshd_installed: None) -> Iterator[str]:
    """A user who may log in, but has no shell."""
    name = f"frnosh{os.getpid()}"
    subprocess.run(["useradd", "-M", "-d", "/", "-s", "/usr/sbin/nologin", "-p", "*", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True)
