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

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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


class Ed25519Token:
    """A key of the kind sk-ssh-ed25519 (OpenSSH, PROTOCOL.u2f)."""

    kind = b"sk-ssh-ed25519@openssh.com"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def public(self) -> bytes:
        return _string(self._key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class EcdsaToken:
    """A key of the kind sk-ecdsa, which all tokens have (OpenSSH, PROTOCOL.u2f)."""

    kind = b"sk-ecdsa-sha2-nistp256@openssh.com"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def public(self) -> bytes:
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return _string(b"nistp256") + _string(point)

    def sign(self, data: bytes) -> bytes:
        numbers = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return b"".join(_string(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)


class HardwareAgent:
    """Speaks the agent's protocol (draft-miller-ssh-agent) for one hardware key, as if it had been touched."""

    def __init__(self, directory: Path, token: Ed25519Token | EcdsaToken) -> None:
        self._token = token
        self.path = directory / "hardware.sock"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def blob(self) -> bytes:
        return _string(self._token.kind) + self._token.public() + _string(_APPLICATION)

    @property
    def public(self) -> str:
        return f"{self._token.kind.decode()} {b64encode(self.blob).decode()}"

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
            return b"\x0e" + _string(_string(self._token.kind) + _string(self._token.sign(signed)) + seen)
        return b"\x05"


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
