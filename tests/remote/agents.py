"""ssh-agents for tests: the real one, and one that holds a hardware key which is not there."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KIND = b"sk-ssh-ed25519@openssh.com"
_APPLICATION = b"ssh:"


@contextmanager
def real_agent(directory: Path, *keys: Path) -> Iterator[Path]:
    """An ssh-agent that holds these keys, in this order, and the certificates that lie beside them; gives its socket."""
    path = directory / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            assert process.poll() is None
        try:
            for key in keys:
                environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
                subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment, capture_output=True)
            yield path
        finally:
            process.terminate()


class HardwareAgent:
    """Speaks the agent's protocol (draft-miller-ssh-agent) for one sk-ssh-ed25519 key, as if it had been touched."""

    def __init__(self, directory: Path) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.path = directory / "hardware.sock"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def blob(self) -> bytes:
        public = self._key.public_key().public_bytes_raw()
        return _string(_KIND) + _string(public) + _string(_APPLICATION)

    @property
    def public(self) -> str:
        return f"{_KIND.decode()} {b64encode(self.blob).decode()}"

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._server.accept()[0],), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError, struct.error):
            while True:
                (length,) = struct.unpack(">I", sock.recv(4, socket.MSG_WAITALL))
                request = sock.recv(length, socket.MSG_WAITALL)
                answer = self._answer(request)
                sock.sendall(_string(answer))

    def _answer(self, request: bytes) -> bytes:
        if request[0] == 11:
            return b"\x0c" + struct.pack(">I", 1) + _string(self.blob) + _string(b"token")
        if request[0] == 13:
            (length,) = struct.unpack_from(">I", request, 1)
            (size,) = struct.unpack_from(">I", request, 5 + length)
            data = request[9 + length : 9 + length + size]
            seen = b"\x01" + struct.pack(">I", 7)  # a finger was there, for the seventh time
            signed = hashlib.sha256(_APPLICATION).digest() + seen + hashlib.sha256(data).digest()
            return b"\x0e" + _string(_string(_KIND) + _string(self._key.sign(signed)) + seen)
        return b"\x05"


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
