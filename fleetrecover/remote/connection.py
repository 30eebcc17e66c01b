"""SSH to every host of a fleet: Fabric connections, tuned, strict about host keys, and bounded in every wait.

What Fabric does by default and is not wanted here: it accepts any host key, lets one silent host hang everything, reads
our standard input, polls each 10 ms, and reads known_hosts anew for each host.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
from fabric import Config, Connection

from fleetrecover import limits
from fleetrecover.commands.login_shell import LoginShell
from fleetrecover.errors import RemoteError
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.remote import failures, sockets
from fleetrecover.remote.bulk import BulkUnavailable, ProcessWire, client_argv
from fleetrecover.remote.carrier import Carrier
from fleetrecover.remote.conversation import Conversation, Wire
from fleetrecover.remote.known_hosts import KnownHosts, Trust, fingerprint
from fleetrecover.remote.login import Keys, Login
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings, Target

_LOG = logging.getLogger(__name__)
_WIRE_LOG = "fleetrecover.remote.wire"
# Without a handler of its own, Paramiko's log would go to stderr through logging's last resort.
logging.getLogger(_WIRE_LOG).addHandler(logging.NullHandler())

_AT_ONCE = 3
"""Connections to one host at most: a batch that takes long holds up nobody else's."""
_RECEIVE = 1 << 20
_NEVER = 1 << 62
_GLOBAL_REQUEST = b"\x50"  # RFC 4254, 4
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


class SshTransport(Carrier):
    """Carries commands to the hosts of a fleet; implements `model.Transport`. Thread-safe.

    `sleep` is waited with when a server has no free session yet. `bulk_client` is the `ssh` to move bulk data with;
    None means to find it, "" to do without.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        settings: Settings | None = None,
        sleep: Callable[[float], None] = time.sleep,
        bulk_client: str | None = None,
    ) -> None:
        super().__init__(fleet, settings or Settings(fleet))
        self._sleep = sleep
        self._timeout = fleet.ssh.connect_timeout
        self._client = find_client() if bulk_client is None else bulk_client
        self._lock = threading.Lock()
        self._links: dict[Target, list[_Link]] = {}
        self._keys = Keys()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}

    def close(self) -> None:
        """Drop every connection. Can be called twice; a batch that is under way ends with OutcomeUnknown."""
        with self._lock:
            links = [link for several in self._links.values() for link in several]
        # Those behind a gateway first.
        for link in sorted(links, key=lambda link: link.target.gateway is None):
            link.drop()

    def _transfer(self, host: Host, command: Command, shell: LoginShell, *, bulk: bool, **streams: Any) -> Result:
        """Run one command with its streams, through the ssh client if it is for bulk and there is one that works."""
        if bulk and self._client:
            try:
                return self._converse_bulk(host, command, shell, streams)
            except BulkUnavailable as error:
                # Nothing was run. Paramiko does it, or says exactly why it cannot be done.
                _LOG.debug("%s: the ssh client cannot be used: %s", host.name, error)
        return self._converse(host, [command], shell, **streams)[0]

    def _converse_bulk(self, host: Host, command: Command, shell: LoginShell, streams: Mapping[str, Any]) -> Result:
        target = self._settings.target(host)
        argv = client_argv(self._client, target, self._timeout, *shell.words)
        wire = ProcessWire(argv, 2 * self._timeout + shell.patience)
        try:
            results = self._conversation(host, target, wire, [command], shell, streams).run()
            wire.finish()
        except BaseException:
            wire.kill()
            raise
        return results[0]

    def _converse(self, host: Host, commands: list[Command], shell: LoginShell, **streams: Any) -> list[Result]:
        target = self._settings.target(host)
        link = self._claim(target)
        try:
            wire = _ChannelWire(link.start(" ".join(shell.words)))
            try:
                results = self._conversation(host, target, wire, commands, shell, streams).run()
            except BaseException:
                # Whatever it was, the channel is in an unknown state; the next batch makes a new connection.
                link.drop()
                raise
            wire.finish()
            return results
        finally:
            link.busy.release()

    def _conversation(
        self,
        host: Host,
        target: Target,
        wire: Wire,
        commands: list[Command],
        shell: LoginShell,
        streams: Mapping[str, Any],
    ) -> Conversation:
        return Conversation(
            host=host.name,
            wire=wire,
            commands=commands,
            shell=shell,
            user=target.user,
            start_limit=self._timeout + shell.patience,
            **streams,
        )

    def _claim(self, target: Target) -> _Link:
        """Return a link whose `busy` is held for the caller: a free one, else one more, else wait for the first."""
        first = self._link(target)
        with self._lock:
            links = self._links[target]
            for link in links:
                if link.busy.acquire(blocking=False):
                    return link
            if len(links) < _AT_ONCE:
                links.append(first.another())
                links[-1].busy.acquire()
                return links[-1]
        first.busy.acquire()
        return first

    def _link(self, target: Target) -> _Link:
        """Return the first link to a server; it is the one that connections through a gateway share."""
        failures.refuse_beyond_us(target)
        gateway = self._link(target.gateway) if target.gateway else None
        with self._lock:
            if target not in self._links:
                trust = self._known_hosts(target).trust(target.known_as, target.known_port)
                self._links[target] = [
                    _Link(
                        target,
                        trust=trust,
                        keys=self._keys,
                        gateway=gateway,
                        timeout=self._timeout,
                        sleep=self._sleep,
                    )
                ]
            return self._links[target][0]

    def _known_hosts(self, target: Target) -> KnownHosts:
        """Return the known hosts in a target's files, read once for all targets."""
        paths = target.known_hosts
        if paths not in self._known:
            try:
                self._known[paths] = KnownHosts.load(paths)
            except OSError as error:
                raise failures.unreadable_known_hosts(target, error) from error
        return self._known[paths]


class _Link:
    """One SSH connection: made on first use, made anew after it broke. `busy` is held while a channel is in use."""

    def __init__(
        self,
        target: Target,
        *,
        trust: Trust,
        keys: Keys,
        gateway: _Link | None,
        timeout: float,
        sleep: Callable[[float], None],
    ) -> None:
        self.target = target
        self.busy = threading.Lock()
        self._trust = trust
        self._keys = keys
        self._gateway = gateway
        self._timeout = timeout
        self._sleep = sleep
        self._opening = threading.Lock()
        self._connection: Connection | None = None
        self._server: OfferedTransport | None = None

    def another(self) -> _Link:
        """Return one more link to the same server, not connected yet."""
        return _Link(
            self.target,
            trust=self._trust,
            keys=self._keys,
            gateway=self._gateway,
            timeout=self._timeout,
            sleep=self._sleep,
        )

    def connected(self) -> Connection:
        """Return the connection, made now if there is none that lives."""
        with self._opening:
            if self._connection is None or not self._connection.is_connected or _is_dead(self._connection.transport):
                self.drop()
                self._connection = self._connect()
            return self._connection

    def drop(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Connection.close() leaves a client alone that is half open.
            connection.client.close()

    def start(self, shell: str) -> paramiko.Channel:
        """Open a channel and start `shell` in it; the script has not been sent yet, so this may be tried twice."""
        was_open = self._connection is not None
        try:
            return self._start(shell)
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.drop()
            if not was_open or isinstance(error, paramiko.ChannelException):
                raise failures.no_session(self.target, error, self._timeout) from error
        # The connection had died since the last batch; nothing was sent.
        try:
            return self._start(shell)
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.drop()
            raise failures.no_session(self.target, error, self._timeout) from error

    def _start(self, shell: str) -> paramiko.Channel:
        connection = self.connected()
        with self._bounded(connection):
            channel = self._open_session(connection.transport)
            channel.settimeout(self._timeout)
            channel.exec_command(shell)
        return channel

    def _open_session(self, transport: paramiko.Transport) -> paramiko.Channel:
        """Open a session channel. With MaxSessions 1 the server may need a moment to forget the last one."""
        for pause in limits.SESSION_PAUSES:
            try:
                return transport.open_session(timeout=self._timeout)
            except paramiko.ChannelException:
                self._sleep(pause)
        return transport.open_session(timeout=self._timeout)

    def _connect(self) -> Connection:
        deadline = time.monotonic() + self._timeout
        login = Login(self.target, self._keys)
        connection = self._make(login, self._open_gateway())
        sock: sockets.QuickSocket | sockets.ProxySocket | None = None
        try:
            with self._bounded(connection):
                if connection.gateway is False:
                    sock = self._socket()
                    connection.connect_kwargs["sock"] = sock
                self._set_limits(connection, max(0.1, deadline - time.monotonic()))
                connection.open()
        except RemoteError:
            connection.client.close()
            if sock is not None:
                sock.close()
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            connection.client.close()
            said = sock.said() if isinstance(sock, sockets.ProxySocket) else ""
            if sock is not None:
                sock.close()
            raise self._explain(error, login, deadline, said) from error
        connection.connect_kwargs.pop("sock", None)
        _watch(connection.transport)
        return connection

    def _make(self, login: Login, gateway: Any) -> Connection:
        """Return Fabric's connection, not open yet. Its Config is its own: one that threads share is a race."""
        connection = Connection(
            host=self.target.address,
            user=self.target.user,
            port=self.target.port,
            gateway=gateway,
            forward_agent=False,
            config=Config(lazy=True, ssh_config=paramiko.SSHConfig()),
            connect_kwargs={
                "auth_strategy": login,
                "look_for_keys": False,
                "allow_agent": False,
                "transport_factory": self._transport,
            },
        )
        connection.client.set_missing_host_key_policy(KnownKeysOnly(self.target, self._trust))
        connection.client.set_log_channel(_WIRE_LOG)
        return connection

    @staticmethod
    def _set_limits(connection: Connection, left: float) -> None:
        connection.connect_timeout = left
        connection.connect_kwargs.update(banner_timeout=left, auth_timeout=left, channel_timeout=left)

    def _socket(self) -> sockets.QuickSocket | sockets.ProxySocket:
        """Return what reaches the server where no jump host does: TCP, or the pipes of its ProxyCommand."""
        target = self.target
        if target.proxy_command is not None:
            return sockets.ProxySocket(target.proxy_command)
        return sockets.connect(
            target.address, target.port, self._timeout, family=target.family, source=target.bind_address
        )

    def _open_gateway(self) -> Any:
        """Return what Fabric takes as gateway: a connection that is open, or False for none."""
        if self._gateway is None:
            return False
        try:
            return self._gateway.connected()
        except RemoteError as error:
            raise type(error)(self.target.label, f"its {error.message}", hint=error.hint) from error

    def _transport(self, sock: Any, **options: Any) -> paramiko.Transport:
        """Make Paramiko's transport: ask for the kind of key that we know, use a fast cipher, never re-key.

        Re-keying in the middle of a bulk transfer can deadlock (paramiko#822); AES-GCM and AES-CTR are good for far
        more than what we move. Only this instance is changed.
        """
        transport = self._server = OfferedTransport(_Heard(sock), **options)
        transport.packetizer.REKEY_BYTES = _NEVER
        transport.packetizer.REKEY_PACKETS = 1 << 31
        wanted = transport.get_security_options()
        wanted.ciphers = _first(_CIPHERS, wanted.ciphers)
        wanted.key_types = _first(_algorithms(self._trust.kinds), wanted.key_types)
        return transport

    def _explain(self, error: Exception, login: Login, deadline: float, said: str) -> RemoteError:
        late = time.monotonic() >= deadline - 0.05
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer) and self._server is not None:
            return failures.incompatible(self.target, error, self._server)
        if (login.tried or isinstance(error, paramiko.AuthenticationException)) and not late:
            refused = isinstance(error, paramiko.AuthenticationException)
            # else sshd hung up on us after too many keys
            why = (login.why or str(error)) if refused else (str(error) or "the server hung up")
            return failures.login_failed(
                self.target,
                login.tried,
                why,
                passed_over=login.passed_over(),
                rsa_refused=login.rsa_refused,
                only_sha1=login.only_sha1,
            )
        if late and not isinstance(error, TimeoutError):
            return failures.silent(self.target, self._timeout, said)
        return failures.unreachable(self.target, error, self._timeout, said)

    @contextmanager
    def _bounded(self, connection: Connection) -> Iterator[None]:
        """Close the connection if what is inside takes longer than the connect timeout.

        Some of Paramiko's waits have no timeout of their own, the answer to an exec request for one.
        """
        timer = threading.Timer(self._timeout, connection.client.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class OfferedTransport(paramiko.Transport):  # type: ignore[misc]
    """Paramiko's transport, which remembers what the server offered: it is told where nothing of it will do."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.offered: Mapping[str, list[str]] = {}
        super().__init__(*args, **options)

    def _really_parse_kex_init(self, message: Any, ignore_first_byte: bool = False) -> Any:
        parsed = super()._really_parse_kex_init(message, ignore_first_byte)
        if not ignore_first_byte and not self.offered:  # our own has the first byte
            self.offered = {key: list(value) for key, value in parsed.items() if isinstance(value, list)}
        return parsed


class _Heard:
    """A socket, or what a gateway gives in its place, that remembers when anything last came."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.last = time.monotonic()

    def recv(self, *args: Any) -> bytes:
        """Receive, and note the moment."""
        data: bytes = self._sock.recv(*args)
        if data:
            self.last = time.monotonic()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _watch(transport: paramiko.Transport) -> None:
    """Ask the server every few seconds for a sign of life.

    A server that hangs, or a gateway that does, still acknowledges what TCP sends. Paramiko's own keepalive wants no
    answer; this one does, and any answer will do, a refusal too.
    """

    server = weakref.proxy(transport)

    def ask() -> None:
        message = paramiko.Message()
        message.add_byte(_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        server._send_user_message(message)

    transport.packetizer.set_keepalive(limits.KEEPALIVE, ask)


def _is_dead(transport: paramiko.Transport | None) -> bool:
    """Whether nothing has come for so long that the server must be taken for gone."""
    return transport is not None and time.monotonic() - transport.sock.last > limits.NO_SIGN


class KnownKeysOnly(paramiko.RejectPolicy):  # type: ignore[misc]
    """Accepts a key that known_hosts has for this very host, and rejects all else.

    The client is given no keys of its own, so Paramiko asks this policy about every key: it knows of several keys of
    one kind, of @revoked, and of what to tell the operator.
    """

    def __init__(self, target: Target, trust: Trust) -> None:
        self._target = target
        self._trust = trust

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Return if the key is known; else raise HostKeyProblem."""
        if not self._trust.accepts(key.asbytes()):
            offered = getattr(client.get_transport(), "offered", {}).get("server_key_algo_list", ())
            shown = failures.ShownKey(key.get_name(), fingerprint(key.asbytes()))
            raise failures.unknown_key(self._target, shown, self._trust, offered)


class _ChannelWire:
    """A Paramiko channel as a `Wire`."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._signal = _Signal()
        channel.in_buffer.set_event(self._signal)
        channel.in_stderr_buffer.set_event(self._signal)

    @property
    def heard(self) -> float:
        return float(self._channel.get_transport().sock.last)

    @property
    def closed(self) -> bool:
        channel = self._channel
        ended = channel.closed or channel.eof_received
        return ended and not channel.recv_ready() and not channel.recv_stderr_ready()

    def read(self) -> Iterator[tuple[int, bytes]]:
        self._signal.lower()
        while self._channel.recv_ready():
            yield 1, self._channel.recv(_RECEIVE)
        while self._channel.recv_stderr_ready():
            yield 2, self._channel.recv_stderr(_RECEIVE)

    def write(self, data: bytes | memoryview) -> int:
        if not self._channel.send_ready():
            return 0
        try:
            return int(self._channel.send(bytes(data[:65536])))
        except OSError:  # closed under our hands; `closed` tells
            return 0

    def end(self) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()

    def wait(self, timeout: float, *, to_write: bool) -> None:
        if not to_write:
            self._signal.wait(timeout)
        elif not self._channel.send_ready():
            # Paramiko tells nobody when the window opens again.
            self._signal.wait(limits.FEW_PACKETS)

    def status(self) -> int | None:
        # The exit status may come a moment after the end of the output.
        self._channel.status_event.wait(limits.CLOSE)
        return None if self._channel.exit_status == -1 else int(self._channel.exit_status)

    def finish(self) -> None:
        """Wait until the server has closed the channel too: with MaxSessions 1 the next one is refused before."""
        until = time.monotonic() + limits.CLOSE
        while not self._channel.closed and time.monotonic() < until:
            self._signal.lower()
            if not self._channel.closed:
                self._signal.wait(limits.GLANCE)
        self._channel.close()


class _Signal(threading.Event):
    """An event that two buffers raise and only the reader lowers: one that is empty cannot hide the other's data."""

    def clear(self) -> None:
        """Do nothing: this is how a buffer says that it is empty."""

    def lower(self) -> None:
        """Make ready for the next wait; what comes from now on raises it."""
        super().clear()


def _first(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """Return what is available, the wanted ones first."""
    chosen = [name for name in wanted if name in available]
    return chosen + [name for name in available if name not in chosen]


def _algorithms(kinds: Sequence[str]) -> list[str]:
    """Return the signature algorithms for kinds of keys: an ssh-rsa key signs with SHA-2 today."""
    return [name for kind in kinds for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))]
