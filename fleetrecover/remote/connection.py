"""SSH to every host of a fleet: Fabric connections, tuned, strict about host keys, and bounded in every wait.

What Fabric does by default and is not wanted here: it accepts any host key, lets one silent host hang everything, reads
our standard input, polls each 10 ms, and reads known_hosts anew for each host.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import paramiko
from fabric import Config, Connection

from fleetrecover.errors import RemoteError
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.remote import failures, sockets
from fleetrecover.remote.bulk import SMALL, BulkUnavailable, ProcessWire, RelayPipe, client_argv, find_client
from fleetrecover.remote.conversation import DEAD_AFTER, Conversation, Progress, Wire
from fleetrecover.remote.known_hosts import KnownHosts, Trust
from fleetrecover.remote.settings import Settings, Target, default_keys

_LOG = logging.getLogger(__name__)
_WIRE_LOG = "fleetrecover.remote.wire"
# Without a handler of its own, Paramiko's log would go to stderr through logging's last resort.
logging.getLogger(_WIRE_LOG).addHandler(logging.NullHandler())

_KEEPALIVE = 5
_AT_ONCE = 3
"""Connections to one host at most: a batch that takes long holds up nobody else's."""
_RECEIVE = 1 << 20
_NEVER = 1 << 62
_GLOBAL_REQUEST = b"\x50"  # RFC 4254, 4
_CLOSE_WAIT = 2.0
_SESSION_WAITS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


class SshTransport:
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
        self._fleet = fleet
        self._settings = settings or Settings(fleet)
        self._sleep = sleep
        self._timeout = fleet.ssh.connect_timeout
        self._shell = "sudo -n sh" if fleet.ssh.sudo else "sh"
        self._client = find_client() if bulk_client is None else bulk_client
        self._lock = threading.Lock()
        self._links: dict[Target, list[_Link]] = {}
        self._keys = _Keys()
        self._known: dict[tuple[Path, ...], KnownHosts] = {}

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """Run the commands one after another over one channel; one result each, whatever the exit codes are."""
        if not commands:
            return []
        return self._converse(host, list(commands))

    def upload(self, host: Host, command: Command, source: IO[bytes], progress: Progress | None = None) -> Result:
        """Run one command with `source` streamed to its standard input.

        `progress` is called with the bytes sent so far. The command's script is not on a command line here either. If
        the connection is lost, the command sees the end of its input like any other: it must not take what came for
        whole without checking its size or hash.
        """
        return self._transfer(host, command, source=source, progress=progress, bulk=_size(source) >= SMALL)

    def download(
        self,
        host: Host,
        command: Command,
        sink: IO[bytes],
        progress: Progress | None = None,
        *,
        size: int | None = None,
    ) -> Result:
        """Run one command and stream its standard output into `sink`; the Result's stdout is empty.

        `progress` is called with the bytes received so far. A `size` that is known to be small saves a connection.
        """
        return self._transfer(host, command, sink=sink, progress=progress, bulk=size is None or size >= SMALL)

    def relay(
        self, source: Host, read: Command, destination: Host, write: Command, progress: Progress | None = None
    ) -> tuple[Result, Result]:
        """Stream the output of `read` on one host to the input of `write` on another, through this machine.

        If reading fails, `write` is cut off rather than given a short input as if it were all; it must still check what
        it got. Returns both results, both accepted; raises CommandFailed, or the RemoteError of the side that failed.
        """
        pipe = RelayPipe()
        outcome: list[Result | BaseException] = []

        def fetch() -> None:
            try:
                outcome.append(self._transfer(source, read, sink=pipe, bulk=True))
            except BaseException as error:
                outcome.append(error)
            pipe.end(failed=not (isinstance(outcome[0], Result) and outcome[0].ok))

        thread = threading.Thread(target=fetch, daemon=True, name=f"relay from {source.name}")
        thread.start()
        try:
            written = self._transfer(destination, write, source=pipe, progress=progress, bulk=True)
        except BrokenPipeError:
            # Only a source that has failed breaks the pipe.
            thread.join()
            raise _relay_failure(source, outcome[0]) from None
        finally:
            pipe.leave()
        thread.join()
        if not written.ok:
            raise failures.failed(destination.name, written)
        if isinstance(outcome[0], BrokenPipeError):
            raise failures.failed(destination.name, written, "it ended before it had read all")
        if not isinstance(outcome[0], Result) or not outcome[0].ok:
            raise _relay_failure(source, outcome[0])
        return outcome[0], written

    def close(self) -> None:
        """Drop every connection. Can be called twice; a batch that is under way ends with OutcomeUnknown."""
        with self._lock:
            links = [link for several in self._links.values() for link in several]
        # Those behind a gateway first.
        for link in sorted(links, key=lambda link: link.target.gateway is None):
            link.drop()

    def __enter__(self) -> SshTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _transfer(self, host: Host, command: Command, *, bulk: bool, **streams: Any) -> Result:
        """Run one command with its streams, through the ssh client if it is for bulk and there is one that works."""
        if bulk and self._client:
            try:
                return self._converse_bulk(host, command, streams)
            except BulkUnavailable as error:
                # Nothing was run. Paramiko does it, or says exactly why it cannot be done.
                _LOG.debug("%s: the ssh client cannot be used: %s", host.name, error)
        return self._converse(host, [command], **streams)[0]

    def _converse_bulk(self, host: Host, command: Command, streams: Mapping[str, Any]) -> Result:
        target = self._settings.target(host)
        wire = ProcessWire(client_argv(self._client, target, self._timeout, *self._shell.split()), 2 * self._timeout)
        try:
            results = self._conversation(host, target, wire, [command], streams).run()
            wire.finish()
        except BaseException:
            wire.kill()
            raise
        return results[0]

    def _converse(self, host: Host, commands: list[Command], **streams: Any) -> list[Result]:
        target = self._settings.target(host)
        link = self._claim(target)
        try:
            wire = _ChannelWire(link.start(self._shell))
            try:
                results = self._conversation(host, target, wire, commands, streams).run()
            except BaseException:
                # Whatever it was, the channel is in an unknown state; the next batch makes a new connection.
                link.drop()
                raise
            wire.finish()
            return results
        finally:
            link.busy.release()

    def _conversation(
        self, host: Host, target: Target, wire: Wire, commands: list[Command], streams: Mapping[str, Any]
    ) -> Conversation:
        return Conversation(
            host=host.name,
            wire=wire,
            commands=commands,
            sudo=self._fleet.ssh.sudo,
            user=target.user,
            start_limit=self._timeout,
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
        gateway = self._link(target.gateway) if target.gateway else None
        with self._lock:
            if target not in self._links:
                trust = self._known_hosts(target).trust(target.known_as, target.port)
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
        keys: _Keys,
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
        for pause in _SESSION_WAITS:
            try:
                return transport.open_session(timeout=self._timeout)
            except paramiko.ChannelException:
                self._sleep(pause)
        return transport.open_session(timeout=self._timeout)

    def _connect(self) -> Connection:
        deadline = time.monotonic() + self._timeout
        login = _Login(self.target, self._keys)
        connection = self._make(login, self._open_gateway())
        try:
            with self._bounded(connection):
                if connection.gateway is False:
                    sock = sockets.connect(self.target.address, self.target.port, self._timeout)
                    connection.connect_kwargs["sock"] = sock
                self._set_limits(connection, max(0.1, deadline - time.monotonic()))
                connection.open()
        except RemoteError:
            connection.client.close()
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            connection.client.close()
            raise self._explain(error, login, deadline) from error
        connection.connect_kwargs.pop("sock", None)
        _watch(connection.transport)
        return connection

    def _make(self, login: _Login, gateway: Any) -> Connection:
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

    def _open_gateway(self) -> Any:
        """Return what Fabric takes as gateway: a connection that is open, a ProxyCommand, or False for none."""
        if self._gateway is None:
            return self.target.proxy_command or False
        try:
            return self._gateway.connected()
        except RemoteError as error:
            raise type(error)(self.target.label, f"its {error.message}", hint=error.hint) from error

    def _transport(self, sock: Any, **options: Any) -> paramiko.Transport:
        """Make Paramiko's transport: ask for the kind of key that we know, use a fast cipher, never re-key.

        Re-keying in the middle of a bulk transfer can deadlock (paramiko#822); AES-GCM and AES-CTR are good for far
        more than what we move. Only this instance is changed.
        """
        transport = paramiko.Transport(_Heard(sock), **options)
        transport.packetizer.REKEY_BYTES = _NEVER
        transport.packetizer.REKEY_PACKETS = 1 << 31
        wanted = transport.get_security_options()
        wanted.ciphers = _first(_CIPHERS, wanted.ciphers)
        wanted.key_types = _first(_algorithms(self._trust.kinds), wanted.key_types)
        return transport

    def _explain(self, error: Exception, login: _Login, deadline: float) -> RemoteError:
        late = time.monotonic() >= deadline - 0.05
        if isinstance(error, paramiko.AuthenticationException) and not late:
            return failures.login_failed(self.target, login.tried, login.why or str(error))
        if login.tried and not late:  # sshd hung up on us after too many keys
            return failures.login_failed(self.target, login.tried, str(error) or "the server hung up")
        if late and not isinstance(error, TimeoutError):
            return failures.silent(self.target, self._timeout)
        return failures.unreachable(self.target, error, self._timeout)

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

    transport.packetizer.set_keepalive(_KEEPALIVE, ask)


def _is_dead(transport: paramiko.Transport | None) -> bool:
    """Whether nothing has come for so long that the server must be taken for gone."""
    return transport is not None and time.monotonic() - transport.sock.last > DEAD_AFTER


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
            raise failures.unknown_key(self._target, key, self._trust)


class _Login:
    """Offers keys until one is accepted: those that are set, else the agent's and the default ones, as OpenSSH does.

    Given to Paramiko as `auth_strategy`. `tried` names what was offered, never a key itself.
    """

    def __init__(self, target: Target, keys: _Keys) -> None:
        self.tried: list[str] = []
        self.why = ""
        self._target = target
        self._keys = keys

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in, or raise AuthenticationException."""
        for name, key in self._candidates():
            self.tried.append(name)
            try:
                more = transport.auth_publickey(self._target.user, key)
            except paramiko.BadAuthenticationType as error:
                self.why = f"the server takes only {', '.join(error.allowed_types)}"
                raise
            except paramiko.AuthenticationException as error:
                if not transport.is_active():
                    raise
                self.why = "" if str(error).startswith("Authentication failed") else str(error)
                continue
            if not more:
                return
            self.why = f"the key {name} was accepted, but the server also wants {', '.join(more)}"
            break
        raise paramiko.AuthenticationException("no key was accepted")

    def _candidates(self) -> Iterator[tuple[str, paramiko.PKey]]:
        for path in self._target.keys:
            if self._target.only_keys:
                yield str(path), self._keys.must_load(self._target, path)
            else:
                key = self._keys.load(path)
                if key is not None:
                    yield str(path), key
        if self._target.only_keys:
            return
        for key in self._keys.from_agent():
            yield f"agent: {key.comment or key.get_name()}", key
        if not self._target.keys:
            for path in default_keys():
                key = self._keys.load(path)
                if key is not None:
                    yield str(path), key


class _Keys:
    """Our own private keys, each loaded once for all connections. Nothing of them is ever logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[Path, paramiko.PKey | str] = {}
        self._agent: list[paramiko.PKey] | None = None

    def load(self, path: Path) -> paramiko.PKey | None:
        """Return the key in a file, or None if there is none that can be used without a passphrase."""
        found = self._read(path)
        return None if isinstance(found, str) else found

    def must_load(self, target: Target, path: Path) -> paramiko.PKey:
        """Return the key in a file, or the agent's key of that name; else LoginFailed."""
        found = self._read(path)
        if not isinstance(found, str):
            return found
        public = _public_blob(path)
        for key in self.from_agent() if public else ():
            if key.asbytes() == public:
                return key
        raise failures.unreadable_key(target, path, found)

    def from_agent(self) -> list[paramiko.PKey]:
        """Return the agent's keys, asked for once; none if there is no agent."""
        with self._lock:
            if self._agent is None:
                try:
                    self._agent = list(paramiko.Agent().get_keys())
                except (paramiko.SSHException, OSError):
                    self._agent = []
            return self._agent

    def _read(self, path: Path) -> paramiko.PKey | str:
        with self._lock:
            if path not in self._loaded:
                self._loaded[path] = _read_key(path)
            return self._loaded[path]


def _read_key(path: Path) -> paramiko.PKey | str:
    """Return the key in a file, or why it cannot be used."""
    try:
        return paramiko.PKey.from_path(path)
    except paramiko.PasswordRequiredException:
        return "it has a passphrase, and the agent does not hold it"
    except TypeError:  # what cryptography raises for an encrypted key, in some of its versions
        return "it has a passphrase, and the agent does not hold it"
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        return str(error) or type(error).__name__


def _public_blob(path: Path) -> bytes | None:
    import base64

    with suppress(OSError, ValueError, IndexError):
        return base64.b64decode(path.with_name(path.name + ".pub").read_text().split()[1])
    return None


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
            self._signal.wait(0.002)

    def status(self) -> int | None:
        # The exit status may come a moment after the end of the output.
        self._channel.status_event.wait(_CLOSE_WAIT)
        return None if self._channel.exit_status == -1 else int(self._channel.exit_status)

    def finish(self) -> None:
        """Wait until the server has closed the channel too: with MaxSessions 1 the next one is refused before."""
        until = time.monotonic() + _CLOSE_WAIT
        while not self._channel.closed and time.monotonic() < until:
            self._signal.lower()
            if not self._channel.closed:
                self._signal.wait(0.05)
        self._channel.close()


class _Signal(threading.Event):
    """An event that two buffers raise and only the reader lowers: one that is empty cannot hide the other's data."""

    def clear(self) -> None:
        """Do nothing: this is how a buffer says that it is empty."""

    def lower(self) -> None:
        """Make ready for the next wait; what comes from now on raises it."""
        super().clear()


def _relay_failure(source: Host, outcome: Result | BaseException) -> BaseException:
    return outcome if isinstance(outcome, BaseException) else failures.failed(source.name, outcome)


def _size(source: IO[bytes]) -> int:
    """Return how much is left in a file; a stream that cannot tell counts as large."""
    try:
        here = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(here)
    except (OSError, AttributeError, ValueError):
        return SMALL
    return end - here


def _first(wanted: Sequence[str], available: Sequence[str]) -> list[str]:
    """Return what is available, the wanted ones first."""
    chosen = [name for name in wanted if name in available]
    return chosen + [name for name in available if name not in chosen]


def _algorithms(kinds: Sequence[str]) -> list[str]:
    """Return the signature algorithms for kinds of keys: an ssh-rsa key signs with SHA-2 today."""
    return [name for kind in kinds for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))]
