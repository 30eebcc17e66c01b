"""A bad network in userspace, for kernels without netem: a TCP proxy that delays, stalls, says nothing, and drops."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CHUNK = 16384


class Proxy:
    """Stands in front of one TCP service, on an address of loopback.

    `delay`: seconds that each direction takes. `limit`: bytes, both directions together, after which a connection is
    reset, as one is by a failing network: an amount and not a time, so that a slow machine sees the same. `mute`: new
    connections are accepted and nothing is ever said. `dropped` counts the connections that were reset.
    """

    def __init__(self, address: str, port: int, *, delay: float = 0.0, limit: int | None = None) -> None:
        self.target = (address, port)
        self.delay = delay
        self.limit = limit
        self.mute = False
        self.dropped = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True, name=f"proxy {self.port}").start()

    def drop(self) -> None:
        """Reset every connection that stands now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.dropped += pair.reset()

    def stall(self) -> None:
        """Let every connection that stands now hang: TCP acknowledges, and nothing passes. New ones work."""
        with self._lock:
            for pair in self._pairs:
                pair.open.clear()

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            pair = _Pair(self, client)
            with self._lock:
                self._pairs.append(pair)
            if not self.mute:
                threading.Thread(target=pair.begin, daemon=True).start()


class _Pair:
    """One connection and its continuation."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self.open = threading.Event()
        self.open.set()
        self.moved = 0
        self.ended = False

    def begin(self) -> None:
        try:
            self.server = socket.create_connection(self.proxy.target, timeout=10)
        except OSError:
            self.reset()
            return
        self.server.settimeout(None)
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((self.client, self.server), (self.server, self.client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self.open.wait()
                if self.proxy.delay:
                    time.sleep(self.proxy.delay)
                self.moved += len(data)
                if self.proxy.limit is not None and self.moved > self.proxy.limit:
                    self.proxy.dropped += self.reset()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def reset(self) -> int:
        """Reset both ends; 1 if they were not yet."""
        if self.ended:
            return 0
        self.ended = True
        self.open.set()
        for end in (self.client, self.server):
            if end is not None:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD)  # wakes whoever reads from it
                    end.close()
        return 1


@contextmanager
def proxied(*targets: tuple[str, int], **how: object) -> Iterator[list[Proxy]]:
    """A proxy in front of each target."""
    proxies = [Proxy(*target, **how) for target in targets]  # type: ignore[arg-type]
    try:
        yield proxies
    finally:
        for proxy in proxies:
            proxy.close()
