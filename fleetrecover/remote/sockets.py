"""The TCP connection below SSH: bounded in time, name lookup too, and without needless delays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

from fleetrecover import limits

_SAID = 2048


class QuickSocket(socket.socket):
    """A socket that acknowledges at once, and sends at once.

    Paramiko's small packets otherwise wait for delayed acknowledgements; Linux clears TCP_QUICKACK by itself, so it is
    set again after each receive.
    """

    def tune(self) -> None:
        """Set the options of a connected socket."""
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * limits.DEAD_PEER))

    def recv(self, *args: Any) -> bytes:
        """Receive, and acknowledge at once."""
        data = super().recv(*args)
        with suppress(OSError):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def connect(
    address: str, port: int, timeout: float, *, family: int = socket.AF_UNSPEC, source: str | None = None
) -> QuickSocket:
    """Connect within `timeout` seconds, the name's lookup included. OSError if none of its addresses answers.

    `family` is AddressFamily, `source` BindAddress of ssh_config(5).
    """
    deadline = time.monotonic() + timeout
    failure: OSError = TimeoutError("timed out")
    for found, _, _, _, where in _lookup(address, port, timeout, family):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = QuickSocket(found, socket.SOCK_STREAM)
        try:
            sock.settimeout(left)
            if source:
                sock.bind((source, 0))
            sock.connect(where)
            sock.tune()
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


class ProxySocket:
    """A ProxyCommand's pipes as a socket: it is run by a shell, as ssh(1) does, and ends with the connection.

    Its standard error is kept, bounded, to be told where the connection fails.
    """

    def __init__(self, command: str) -> None:
        self._sock, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the connection
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=self._said.fileno(),
                    start_new_session=True,  # Ctrl-C is ours to handle
                )
            except OSError:
                self._sock.close()
                self._said.close()
                raise

    def said(self) -> str:
        """What the command has said on its standard error so far; its last lines."""
        file = self._said.fileno()
        # Never seek: the command writes at the same place of the same open file.
        return os.pread(file, _SAID, max(0, os.fstat(file).st_size - _SAID)).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the command, and whatever it has started."""
        self._sock.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(limits.PROXY_END)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _lookup(address: str, port: int, timeout: float, family: int) -> list[Any]:
    """getaddrinfo, bounded: the C library's own limit is half a minute for each name server."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(address, port, family, socket.SOCK_STREAM))
        except UnicodeError as error:
            failed.append(socket.gaierror(socket.EAI_NONAME, f"not a host name: {error}"))
        except OSError as error:
            failed.append(error)

    if _is_number(address):
        ask()
    else:
        thread = threading.Thread(target=ask, daemon=True, name=f"lookup {address}")
        thread.start()
        thread.join(timeout)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"the name {address} was not resolved within {timeout:g} s")
    return list(found)


def _is_number(address: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, address)
            return True
    return False
