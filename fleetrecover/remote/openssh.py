"""Everything over the machine's own ssh(1): one multiplexed connection to each host (ControlMaster), for `client = "openssh"`.

It speaks what the library no longer does (servers of RKE1's years), and does all that the ssh configuration says, since
it reads it itself. Beyond that it is held as strictly as Paramiko is: host keys are always checked, nothing is asked,
nothing is forwarded. Jump hosts have a connection of their own, which their hosts share. Scripts go to the remote `sh` on
its standard input; on no command line there is a secret. The sockets lie in a directory that only we can enter.

A master ends when we close it, and also when we are killed: it is watched over by a shell that reads from us.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from fleetrecover import limits
from fleetrecover.commands.login_shell import LoginShell
from fleetrecover.errors import InputError, RemoteError, Unreachable
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.remote import failures, ssh_says
from fleetrecover.remote.bulk import BulkUnavailable, ProcessWire
from fleetrecover.remote.carrier import Carrier
from fleetrecover.remote.conversation import Conversation, no_start, slow_start
from fleetrecover.remote.known_hosts import KnownHosts
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings, Target

_AT_ONCE = 4
"""Sessions on one connection at most; sshd's own limit is 10 (MaxSessions)."""
_LONGEST_SOCKET = 70
"""Characters of a directory for sockets: their paths have 108 at most, and ssh puts a suffix to them for a moment."""

# Job control is off here, so a background job's standard input is /dev/null unless it is said where it comes from.
_WATCH = """
exec 3<&0
"$@" </dev/null 3<&- &
master=$!
{ read -r _ <&3; kill "$master"; } 2>/dev/null &
watch=$!
exec 3<&-
wait "$master"
code=$?
kill "$watch" 2>/dev/null
exit "$code"
"""

STRICT = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "VerifyHostKeyDNS=no",
    "UpdateHostKeys=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "Tunnel=no",
    "AddKeysToAgent=no",
    "RequestTTY=no",
    "VisualHostKey=no",
    "Compression=no",
    "ConnectionAttempts=1",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=6",
    "LogLevel=INFO",  # what algorithms were missing is said at this level
)
"""Said before the ssh configuration is read, so it counts whatever stands there."""


def master_argv(client: str, config: str | None, target: Target, socket: Path, proxy: str, timeout: float) -> list[str]:
    """Return the command line of the connection that all sessions with one host share.

    `proxy` is the command that leads through its jump host, "" if there is none.
    """
    assert target.asked is not None
    options = [*STRICT, *target.undone, "ControlMaster=yes", f"ControlPath={_quoted(socket)}", "ControlPersist=no"]
    options.append(f"ConnectTimeout={max(1, round(timeout))}")
    if proxy:
        options += [f"ProxyCommand={proxy}", "ProxyUseFdpass=no"]
    elif target.proxy_command is None:
        options += ["ProxyJump=none", "ProxyCommand=none"]
    if target.own_keys:
        options += [f"IdentityFile={_quoted(path)}" for path in target.keys]
    if target.must_load:
        options.append("IdentitiesOnly=yes")
    if target.own_known_hosts:
        options += [f"UserKnownHostsFile={_quoted(path)}" for path in target.known_hosts]
        options.append("GlobalKnownHostsFile=/dev/null")
    argv = [client, *(["-F", config] if config is not None else []), "-N", "-T"]
    for option in options:
        argv += ["-o", option]
    user, port = ["-l", target.user], ["-p", str(target.port)]
    return [*argv, *user, *port, "--", target.asked.host]


def session_argv(client: str, target: Target, socket: Path, *words: str, forward: str = "") -> list[str]:
    """Return the command line of a session over a connection that is there; it can make none of its own.

    It runs `words`, or connects its standard input and output to `forward`, host:port as seen from there.
    """
    argv = [client, "-F", "/dev/null", "-T"]
    for option in ("BatchMode=yes", "ControlMaster=no", "RequestTTY=no", "ProxyCommand=exit 255", "LogLevel=ERROR"):
        argv += ["-o", option]
    return [*argv, "-S", str(socket), *(["-W", forward] if forward else []), "--", target.address, *words]


def _quoted(path: Path) -> str:
    """Return a path as a word of ssh_config: in quotes, with `%` taken literally."""
    return '"' + str(path).replace("%", "%%") + '"'


class OpenSshTransport(Carrier):
    """Carries commands to the hosts of a fleet over ssh(1); implements `model.Transport`. Thread-safe.

    `sleep` is waited with when a server has no free session yet. InputError if the machine has no ssh(1).
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        settings: Settings | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(fleet, settings or Settings(fleet))
        self._client = self._settings.client or find_client()
        if not self._client:
            raise InputError(
                '[ssh] client = "openssh" in the inventory, but there is no `ssh` on this machine',
                hint="install the OpenSSH client, or remove the line",
            )
        self._sleep = sleep
        self._timeout = fleet.ssh.connect_timeout
        self._lock = threading.Lock()
        self._directory: Path | None = None
        self._masters: dict[Target, _Master] = {}

    def close(self) -> None:
        """Drop every connection, and remove the sockets. Can be called twice."""
        with self._lock:
            masters, self._masters = list(self._masters.values()), {}
            directory, self._directory = self._directory, None
        # Those behind a gateway first.
        for master in sorted(masters, key=lambda master: -len(master.target.gateways)):
            master.close()
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def _transfer(self, host: Host, command: Command, shell: LoginShell, *, bulk: bool, **streams: Any) -> Result:
        return self._converse(host, [command], shell, **streams)[0]

    def _converse(self, host: Host, commands: list[Command], shell: LoginShell, **streams: Any) -> list[Result]:
        target = self._settings.target(host)
        master = self._master(target)
        with master.turn:
            wire = self._start(host, master, commands, shell)
            conversation = Conversation(
                host=host.name,
                wire=wire,
                commands=commands,
                shell=shell,
                user=target.user,
                start_limit=self._timeout + shell.patience,
                **streams,
            )
            try:
                with master.counted():
                    results = conversation.run()
                    wire.finish()
            except BaseException:
                wire.kill()
                raise
            return results

    def _master(self, target: Target) -> _Master:
        """Return the connection to a server, not made yet; it is the one that those behind it share."""
        gateway = self._master(target.gateway) if target.gateway is not None else None
        with self._lock:
            if self._directory is None:
                self._directory = socket_directory()
            if target not in self._masters:
                socket = self._directory / str(len(self._masters))
                self._masters[target] = _Master(
                    target, socket, gateway, client=self._client, config=self._settings.config, timeout=self._timeout
                )
            return self._masters[target]

    def _start(self, host: Host, master: _Master, commands: list[Command], shell: LoginShell) -> ProcessWire:
        """Start `sh` in a session; nothing of ours has been run before it answers, so this may be tried again."""
        again, waits = True, iter(limits.SESSION_PAUSES)
        while True:
            socket = master.connected()
            argv = session_argv(self._client, master.target, socket, *shell.words)
            limit = 2 * self._timeout + shell.patience
            try:
                return ProcessWire(argv, limit)
            except BulkUnavailable as error:
                if ssh_says.is_refused_session(error.err):
                    pause = next(waits, None)
                    if pause is None and not master.in_use:
                        raise failures.no_command(master.target, "it has no room for a session") from error
                    self._sleep(pause or limits.SESSION_PAUSES[-1])
                elif error.status == 255 and again and not master.lives:
                    again = False  # it had died since the last batch; nothing was sent
                else:
                    raise self._explain(host, master.target, error, commands, shell, limit) from error

    def _explain(
        self,
        host: Host,
        target: Target,
        error: BulkUnavailable,
        commands: list[Command],
        shell: LoginShell,
        limit: float,
    ) -> RemoteError:
        """Say why `sh` did not come up though we are logged in."""
        if error.status is None:
            if shell.by:
                return slow_start(host.name, target.user, commands, limit, shell)
            return Unreachable(host.name, f"it stopped answering; nothing was run: {error}", hint="run it again")
        if error.status == 255 or error.status < 0:
            return ssh_says.explain(target, error.err, self._timeout)
        said = error.err or error.out
        return no_start(host.name, target.user, error.status, said, shell)


class _Master:
    """One connection: made on first use, made anew after it broke. `turn` bounds the sessions on it."""

    def __init__(
        self, target: Target, socket: Path, gateway: _Master | None, *, client: str, config: str | None, timeout: float
    ) -> None:
        self.target = target
        self.turn = threading.Semaphore(_AT_ONCE)
        self._socket = socket
        self._gateway = gateway
        self._client = client
        self._config = config
        self._timeout = timeout
        self._opening = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._sessions = 0
        self._count = threading.Lock()
        self._closed = False

    @property
    def lives(self) -> bool:
        """Whether the connection is there."""
        return self._process is not None and self._process.poll() is None and self._socket.exists()

    @property
    def in_use(self) -> bool:
        """Whether a session is under way on it."""
        return self._sessions > 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a session while it is under way."""
        with self._count:
            self._sessions += 1
        try:
            yield
        finally:
            with self._count:
                self._sessions -= 1

    def connected(self) -> Path:
        """Return the socket of the connection, made now if there is none that lives."""
        with self._opening:
            if not self.lives:
                self._end()
                self._open()
            return self._socket

    def close(self) -> None:
        """End the connection for good, and with it the sessions on it."""
        self._closed = True
        self._end()

    def _open(self) -> None:
        if self._closed:
            raise Unreachable(self.target.label, "the connection was closed", hint="run it again")
        argv = master_argv(self._client, self._config, self.target, self._socket, self._proxy(), self._timeout)
        with tempfile.TemporaryFile() as said:
            try:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCH, "sh", *argv],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,  # Ctrl-C is ours to handle
                )
            except OSError as error:
                raise InputError(f"{self._client} cannot be run: {error.strerror}") from error
            self._await(said)

    def _await(self, said: IO[bytes]) -> None:
        """Wait until the master has logged in: then its socket is there."""
        assert self._process is not None
        until = time.monotonic() + 2 * self._timeout
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > until:
                late = self._process.poll() is None
                self._end()
                size = os.fstat(said.fileno()).st_size
                text = os.pread(said.fileno(), 1 << 16, max(0, size - (1 << 16))).decode("utf-8", "replace")
                raise failures.silent(self.target, self._timeout) if late else self._explain(text)
            time.sleep(limits.MASTER_POLL)

    def _explain(self, said: str) -> RemoteError:
        """Say why it did not get in. Which host key was shown, ssh says only to who asks for more: it is run again."""
        if ssh_says.is_host_key(said):
            argv = master_argv(self._client, self._config, self.target, self._socket, self._proxy(), self._timeout)
            argv[1:1] = ["-o", "LogLevel=DEBUG1"]
            with suppress(subprocess.TimeoutExpired, OSError):
                more = subprocess.run(
                    argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * self._timeout, check=False
                )
                shown = ssh_says.shown_key(more.stderr.decode("utf-8", "replace"))
                if shown is not None and more.returncode != 0:
                    trust = KnownHosts.load(self.target.known_hosts).trust(self.target.known_as, self.target.known_port)
                    return failures.unknown_key(self.target, shown, trust)
        return ssh_says.explain(self.target, said, self._timeout)

    def _proxy(self) -> str:
        """Return the ProxyCommand over the jump host's connection, which is made before; "" if there is none."""
        if self._gateway is None:
            return ""
        try:
            socket = self._gateway.connected()
        except RemoteError as error:
            raise type(error)(self.target.label, f"its {error.message}", hint=error.hint) from error
        address = f"[{self.target.address}]" if ":" in self.target.address else self.target.address
        argv = session_argv(self._client, self._gateway.target, socket, forward=f"{address}:{self.target.port}")
        return shlex.join(argv).replace("%", "%%")

    def _end(self) -> None:
        """End the process and what it has started, and remove its socket."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the watching shell ends it
            try:
                process.wait(limits.CLIENT_END)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                process.wait()
        self._socket.unlink(missing_ok=True)


def socket_directory() -> Path:
    """Make a directory of mode 0700 whose path is short enough for sockets."""
    base = tempfile.gettempdir()
    path = tempfile.mkdtemp(prefix="fleetrecover-", dir=base if len(base) < _LONGEST_SOCKET else "/tmp")
    return Path(path)
