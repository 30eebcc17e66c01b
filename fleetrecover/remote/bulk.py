"""Bulk data through the machine's own `ssh` client: faster than Paramiko, and sound at any size.

The client is as strict as we are, and reads nobody's configuration: everything is on its command line, where there is
never a secret. Scripts go to the remote `sh` on standard input, as everywhere.

Before the script is sent, a line that does nothing but answer goes ahead of it. So it is certain that nothing was run
if the client cannot connect, and Paramiko can take over, or say exactly what is wrong.
"""

from __future__ import annotations

import fcntl
import os
import queue
import secrets
import select
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fleetrecover import bounds, limits
from fleetrecover.remote.settings import AGENT, Target

SMALL = 8 * 1024 * 1024
"""Bytes below which a new connection costs more than it saves."""

_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,chacha20-poly1305@openssh.com"
_PIPE_SIZE = 1 << 20
_HEARD = 1 << 16
"""Bytes of noise that are kept: what a login shell says before ours starts may be long."""
_FAMILIES: dict[int, str] = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}


class BulkUnavailable(Exception):
    """The client could not bring up a shell; nothing was run.

    `status` is its exit code (255: of ssh itself, None: it was given up), `out` and `err` what was said.
    """

    def __init__(self, message: str, *, status: int | None = None, out: str = "", err: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.out = out
        self.err = err


def client_argv(client: str, target: Target, timeout: float, *words: str) -> list[str]:
    """Return the command line that logs in to `target` as strictly as `connection` does, and runs `words` there.

    Through a gateway it is a ProxyCommand of the same strictness: ProxyJump would take the gateway's options from the
    user's configuration.
    """
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={' '.join(_path(p) for p in target.known_hosts) or '/dev/null'}",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "PasswordAuthentication=no",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ControlMaster=no",
        "ControlPath=none",
        "Compression=no",
        f"Ciphers={_CIPHERS}",
        f"ConnectTimeout={max(1, round(timeout))}",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=6",
        "LogLevel=ERROR",
        *(f"IdentityFile={_path(p)}" for p in target.keys),
        *(f"CertificateFile={_path(p)}" for p in target.certificates),
        *(["IdentitiesOnly=yes"] if target.only_keys else []),
        *agent_option(target.agent),
        *([f"HostKeyAlias={target.alias}"] if target.alias else []),
        *([f"AddressFamily={_FAMILIES[target.family]}"] if target.family in _FAMILIES else []),
        *([f"BindAddress={target.bind_address}"] if target.bind_address else []),
        *([f"ProxyCommand={command}"] if (command := _proxy(client, target, timeout)) else []),
    ]
    argv = [client, "-F", "/dev/null", "-T", "-p", str(target.port), "-l", target.user]
    for option in options:
        argv += ["-o", option]
    return [*argv, *words] if words[:1] == ("-W",) else [*argv, "--", target.address, *words]


def agent_option(path: str | None) -> list[str]:
    """Return the option that names the agent: as its socket is in the environment, nothing has to be said."""
    if path is None:
        return ["IdentityAgent=none"]
    return [] if path == os.environ.get(AGENT) else [f"IdentityAgent={_path(Path(path))}"]


def _proxy(client: str, target: Target, timeout: float) -> str:
    if target.gateway is not None:
        forward = f"[{target.address}]:{target.port}" if ":" in target.address else f"{target.address}:{target.port}"
        argv = client_argv(client, target.gateway, timeout, "-W", forward)
        argv += ["--", target.gateway.address]
        return shlex.join(argv).replace("%", "%%")
    return (target.proxy_command or "").replace("%", "%%")


def _path(path: Path) -> str:
    """Return a path as a word of ssh_config: in quotes, with `%` taken literally."""
    return '"' + str(path).replace("%", "%%") + '"'


class ProcessWire:
    """The pipes of an `ssh` process as a `Wire`. BulkUnavailable if it does not come up within `timeout` seconds."""

    def __init__(self, argv: list[str], timeout: float) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        except OSError as error:
            raise BulkUnavailable(str(error)) from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin: int | None = self._process.stdin.fileno()
        self._streams = {self._process.stdout.fileno(): 1, self._process.stderr.fileno(): 2}
        self._early: list[tuple[int, bytes]] = []
        for descriptor in (self._stdin, *self._streams):
            os.set_blocking(descriptor, False)
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        try:
            self._greet(timeout)
        except BaseException:
            self.kill()
            raise

    def _greet(self, timeout: float) -> None:
        """Wait for the shell to answer; what it said before is noise."""
        token = secrets.token_hex(16).encode()
        self.write(b"echo " + token + b"\n")
        heard = {1: b"", 2: b""}
        until = time.monotonic() + timeout
        while token + b"\n" not in heard[1]:
            for stream, data in self.read():
                heard[stream] += data
            if max(map(len, heard.values())) > bounds.NOISE:
                raise BulkUnavailable(f"its login printed more than {bounds.NOISE:,} bytes")
            out, err = (heard[stream][-_HEARD:].decode("utf-8", "replace").strip() for stream in (1, 2))
            if self.closed:
                raise BulkUnavailable(err or "ssh ended", status=self._ended(), out=out, err=err)
            if time.monotonic() > until:
                raise BulkUnavailable(f"ssh did not come up within {timeout:g} s", out=out, err=err)
            if token + b"\n" not in heard[1]:
                self.wait(limits.WAKE, to_write=False)

    @property
    def heard(self) -> float:
        """Now: the client watches the server itself, and ends when it is gone (ServerAliveInterval)."""
        return time.monotonic()

    @property
    def closed(self) -> bool:
        """Whether both output streams have ended."""
        return not self._streams

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield what has come."""
        for descriptor, stream in list(self._streams.items()):
            try:
                data = os.read(descriptor, _PIPE_SIZE)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                yield stream, data
            else:
                del self._streams[descriptor]

    def write(self, data: bytes | memoryview) -> int:
        """Send as much as the pipe takes."""
        if self._stdin is None:
            return 0
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except OSError:  # ssh has ended; `closed` tells
            self._stdin = None
            return 0

    def end(self) -> None:
        """Close the standard input."""
        self._stdin = None
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self, timeout: float, *, to_write: bool) -> None:
        """Wait for the pipes."""
        poll = select.poll()
        for descriptor in self._streams:
            poll.register(descriptor, select.POLLIN)
        if to_write and self._stdin is not None:
            poll.register(self._stdin, select.POLLOUT)
        poll.poll(timeout * 1000)

    def status(self) -> int | None:
        """Return the exit code; None if ssh lost the connection, which it says with 255."""
        code = self._ended()
        return None if code is None or code == 255 or code < 0 else code

    def _ended(self) -> int | None:
        try:
            return self._process.wait(limits.CLIENT_END)
        except subprocess.TimeoutExpired:
            return None

    def finish(self) -> None:
        """Let it end by itself, and reap it."""
        self.end()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limits.CLIENT_END)
        self.kill()

    def kill(self) -> None:
        """End it now, and reap it. Its ProxyCommand ends with its pipes."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._stdin = None
        self._streams.clear()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class RelayPipe:
    """A bounded pipe between two threads that can break: a reader never takes a failed source for its end.

    It is the `sink` of a download and the `source` of an upload.
    """

    def __init__(self, depth: int = 16) -> None:
        self._chunks: queue.Queue[bytes] = queue.Queue(depth)
        self._ended = False
        self._broken = False
        self._gone = False

    def write(self, data: bytes) -> int:
        """Put in some data; BrokenPipeError if nobody reads any more."""
        while not self._gone:
            try:
                self._chunks.put(data, timeout=limits.WAKE)
            except queue.Full:
                continue
            return len(data)
        raise BrokenPipeError("the receiving end has failed")

    def read(self, _size: int = -1) -> bytes:
        """Return the next data, b"" at the end; BrokenPipeError if the source has failed."""
        while True:
            if self._broken:
                raise BrokenPipeError("the sending end has failed")
            try:
                return self._chunks.get(timeout=limits.GLANCE)
            except queue.Empty:
                if self._ended and self._chunks.empty() and not self._broken:
                    return b""

    def end(self, *, failed: bool) -> None:
        """Say that no more will be written, because all was, or because the source failed."""
        self._broken = failed
        self._ended = True

    def leave(self) -> None:
        """Say that nobody will read any more."""
        self._gone = True
