"""The TCP connection below SSH: bounded in time, name lookup too, and without needless delays."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

DEAD_PEER_MS = 30_000
"""Milliseconds after which a peer that acknowledges nothing is given up."""


class QuickSocket(socket.socket):
    """A socket that acknowledges at once, and sends at once.

    Paramiko's small packets otherwise wait for delayed acknowledgements; Linux clears TCP_QUICKACK by itself, so it is
    set again after each receive.
    """

    def tune(self) -> None:
        """Set the options of a connected socket."""
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)

    def recv(self, *args: Any) -> bytes:
        """Receive, and acknowledge at once."""
        data = super().recv(*args)
        with suppress(OSError):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data


def connect(address: str, port: int, timeout: float) -> QuickSocket:
    """Connect within `timeout` seconds, the name's lookup included. OSError if none of its addresses answers."""
    deadline = time.monotonic() + timeout
    failure: OSError = TimeoutError("timed out")
    for family, _, _, _, where in _lookup(address, port, timeout):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        sock = QuickSocket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(left)
            sock.connect(where)
            sock.tune()
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _lookup(address: str, port: int, timeout: float) -> list[Any]:
    """getaddrinfo, bounded: the C library's own limit is half a minute for each name server."""
    found: list[Any] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM))
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
