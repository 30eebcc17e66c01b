"""One conversation with one `sh`: feed the script, take the two streams apart, know what is certain when it ends.

It does not matter what carries it: `Wire` is an SSH channel (connection.py) or the pipes of an `ssh` process (bulk.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from fleetrecover import bounds, limits
from fleetrecover.commands.login_shell import PLAIN, LoginShell
from fleetrecover.errors import LoginFailed, OutcomeUnknown, RemoteError, SudoFailed, SudoHangs, TooMuch, Unreachable
from fleetrecover.model import Command, Result
from fleetrecover.remote.script import Cutter, Flood, Script, batch_script, seconds

OVERTIME = bounds.OVERTIME
_AT_ONCE = 4 * bounds.MIB
_CHUNK = 256 * 1024

Progress = Callable[[int], None]
"""Called with the number of bytes that have been moved so far."""


class Wire(Protocol):
    """Two output streams and an input, none of which blocks."""

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""

    @property
    def heard(self) -> float:
        """When the other side last gave any sign of life, by `time.monotonic`."""

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Yield what has come, as (1 or 2, data)."""

    def write(self, data: bytes | memoryview) -> int:
        """Send as much as can be sent now; return how much."""

    def end(self) -> None:
        """Say that no more input will come."""

    def wait(self, timeout: float, *, to_write: bool) -> None:
        """Wait until there is something to read, room to write if asked for, or the timeout has passed."""

    def status(self) -> int | None:
        """Return the exit code of `sh` (or what started it) once closed; None if the connection was lost first."""


@dataclass
class Conversation:
    """Runs commands over a wire. `host` names the node in errors; `start_limit` bounds the start of `sh`, in seconds.

    `source` is streamed to the (one) command's standard input; `sink` takes its standard output.
    """

    host: str
    wire: Wire
    commands: Sequence[Command]
    shell: LoginShell = PLAIN
    user: str = ""
    start_limit: float = limits.CONNECT
    source: IO[bytes] | None = None
    sink: IO[bytes] | None = None
    progress: Progress | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._script: Script = batch_script(self.commands, stdin=self.source is not None)
        self._moved = 0
        most = [command.most for command in self.commands]
        self._out = Cutter(self._script.nonce, self._store if self.sink is not None else None, most)
        self._err = Cutter(self._script.nonce, most=most)
        self._outbox = memoryview(self._script.text)
        self._script_sent = False
        self._input_ended = False

    def run(self) -> list[Result]:
        """Hold the conversation; one result for each command.

        Raises TooMuch where the node sends more than a command's `most`, or goes on sending beyond its time.
        """
        step, since, heard = -1, self.clock(), self.clock()
        while True:
            came = self._take_in()
            if came:
                heard = self.clock()
            if self._done > len(self.commands):
                return self._results()
            if self._done != step:
                step, since = self._done, self.clock()
            if self.wire.closed:
                raise self._cut_off()
            self._send()
            now = self.clock()
            if now > since + self._limit() and now > heard + limits.SILENCE:
                raise self._stalled(now - since)
            if now > since + self._limit() + OVERTIME:
                raise self._endless(now - since)
            if now > max(heard, self.wire.heard) + limits.NO_SIGN:
                raise self._dead(now - max(heard, self.wire.heard))
            if came <= _AT_ONCE:
                self.wire.wait(limits.LISTEN, to_write=bool(self._outbox) or self._may_stream)

    def _take_in(self) -> int:
        """Take what has come, for a moment at most: who sends without a pause must not keep us from looking at the clock."""
        came = 0
        for stream, data in self.wire.read():
            try:
                (self._out if stream == 1 else self._err).feed(data)
            except Flood as flood:
                raise self._flooded(flood) from None
            came += len(data)
            if came > _AT_ONCE or self._done > len(self.commands):
                break
        return came

    @property
    def _done(self) -> int:
        """How many separators have come on both streams."""
        return min(self._out.done, self._err.done)

    @property
    def _may_stream(self) -> bool:
        return self.source is not None and not self._input_ended and self._done > 0

    def _limit(self) -> float:
        if self._done == 0:
            return self.start_limit
        return seconds(self.commands[self._done - 1].timeout) + limits.KILL_GRACE

    def _send(self) -> None:
        """Send what there is room for: the script, and after `sh` has started, the source."""
        while not self._input_ended:
            if not self._outbox:
                self._script_sent = True
                if self.source is None:
                    self._end()
                    return
                if not self._may_stream:
                    return
                self._outbox = memoryview(self.source.read(_CHUNK))
                if not self._outbox:
                    self._end()
                    return
            count = self.wire.write(self._outbox)
            if not count:
                return
            self._outbox = self._outbox[count:]
            if self._script_sent:
                self._move(count)
                return  # look at what has come before sending more: the command may have ended

    def _end(self) -> None:
        self._input_ended = True
        self.wire.end()

    def _store(self, data: bytes) -> None:
        assert self.sink is not None
        self.sink.write(data)
        self._move(len(data))

    def _move(self, count: int) -> None:
        self._moved += count
        if self.progress is not None:
            self.progress(self._moved)

    def _results(self) -> list[Result]:
        # one stream may have brought a separator that nobody asked for
        pieces = zip(self.commands, self._out.codes, self._out.pieces, self._err.pieces, strict=False)
        return [Result(command, code, out, err) for command, code, out, err in pieces]

    def _cut_off(self) -> RemoteError:
        """Say what is known when the streams end before the last separator."""
        status = self.wire.status()
        if self._done:
            return unknown(self.host, self.commands, self._done - 1, self._why_cut(status))
        said = (self._err.rest() or self._out.rest()).decode("utf-8", "replace").strip()
        if status is None:
            if self._script_sent:
                return unknown(self.host, self.commands, 0, "the connection was lost")
            return Unreachable(self.host, "the connection was lost before anything was run", hint="run it again")
        return no_start(self.host, self.user, status, said, self.shell)

    def _why_cut(self, status: int | None) -> str:
        """Of a script that had begun. An engine that is stopped takes with it the container that gave us the shell."""
        if status is None or not self.shell.engine:
            return "the connection was lost"
        return f"the container of `{self.shell.engine}` that gave us root was ended (exit code {status})"

    def _dead(self, after: float) -> RemoteError:
        if self._done == 0 and not self._script_sent:
            return Unreachable(
                self.host, f"it gave no sign of life for {after:.0f} s; nothing was run", hint="run it again"
            )
        return unknown(self.host, self.commands, max(0, self._done - 1), f"no sign of life came for {after:.0f} s")

    def _endless(self, after: float) -> RemoteError:
        """Say that the node is alive, and sends for longer than anything of ours may run there."""
        if self._done == 0:
            return self._too_much(f"its login went on printing for {after:.0f} s, and no `sh` was started")
        name = self.commands[self._done - 1].name
        return self._too_much(f"{name} had not ended after {after:.0f} s, while it went on sending")

    def _flooded(self, flood: Flood) -> RemoteError:
        if flood.index < 0:
            return self._too_much(f"its login printed more than {flood.limit:,} bytes before any `sh` was started")
        name = self.commands[min(flood.index, len(self.commands) - 1)].name
        return self._too_much(f"{name} printed more than {flood.limit:,} bytes")

    def _too_much(self, what: str) -> TooMuch:
        hint = (
            "log in and look at what it prints: ~/.bashrc and its like first; what is taken at most stands in bounds.py"
        )
        return TooMuch(self.host, f"{what}: no more is taken", hint=hint)

    def _stalled(self, after: float) -> RemoteError:
        if self._done == 0 and self.shell.by:
            return slow_start(self.host, self.user, self.commands, after, self.shell)
        if self._done == 0 and not self._script_sent:
            return Unreachable(
                self.host, f"it stopped answering; nothing was run in {after:.0f} s", hint="run it again"
            )
        return unknown(self.host, self.commands, max(0, self._done - 1), f"no answer came for {after:.0f} s")


def unknown(host: str, commands: Sequence[Command], running: int, why: str) -> OutcomeUnknown:
    """Return the error for a batch that was cut off while command number `running` (from 0) ran.

    It shows the command's name and what may be shown of it, never its script.
    """
    command = commands[running]
    what = f"{command.name} ({command.shown})" if command.shown else command.name
    after = len(commands) - running - 1
    more = f", and the {after} after it," if after else ""
    return OutcomeUnknown(
        host,
        f"{why} while {what} was running; it{more} may or may not have run",
        hint="look at the node before doing anything else: running the same fleetrecover command again does that",
    )


def no_shell(host: str, user: str, status: int, said: str) -> LoginFailed:
    """Return the error for a login that starts something else than `sh`, or nothing."""
    return LoginFailed(
        host,
        f"it let {user or 'us'} in, but did not start `sh` (exit code {status}): {said or 'it said nothing'}",
        hint="the login user needs a shell that can start `sh`; look at its entry in /etc/passwd",
    )


def no_start(host: str, user: str, status: int, said: str, shell: LoginShell) -> RemoteError:
    """Return the error for a login in which `sh` did not start, whoever was to start it."""
    if shell.sudo:
        return sudo_failed(host, user, said)
    if shell.engine:
        return engine_failed(host, user, said, shell.engine)
    return no_shell(host, user, status, said)


def engine_failed(host: str, user: str, said: str, cli: str) -> LoginFailed:
    """Return the error for a container engine that gives no root shell, though it did before."""
    return LoginFailed(
        host,
        f"{user or 'the login user'} has no sudo and is root through `{cli} run` there, which failed: "
        f"{said or 'it said nothing'}",
        hint=f"start the container engine there (`systemctl start {cli}` as root) and run it again; or log in as root, or "
        "set `sudo = true` below [ssh] in hosts.toml",
    )


def slow_start(host: str, user: str, commands: Sequence[Command], after: float, shell: LoginShell) -> OutcomeUnknown:
    """Return the error for a `sudo -n`, or an engine, that has started nothing yet, and may still do so."""
    if shell.engine:
        return OutcomeUnknown(
            host,
            f"waited {after:.0f} s for `{shell.engine} run` to give {user or 'the login user'} a root shell; "
            f"{commands[0].name} may or may not run yet",
            hint=f"log in and try `time {shell.engine} version`: the engine there is overloaded, or its disk hangs",
        )
    return SudoHangs(
        host,
        f"waited {after:.0f} s for `sudo -n sh` to start for {user or 'the login user'}; {commands[0].name} may or may not "
        "run yet",
        hint=(
            "log in and try `time sudo -n true`: sudo may be asking a name server or a directory that does not answer; "
            "connect_timeout in hosts.toml, [ssh], is how long it is waited for"
        ),
    )


def sudo_failed(host: str, user: str, said: str) -> SudoFailed:
    """Return the error for a refused `sudo -n`, with what to configure."""
    return SudoFailed(
        host,
        f"`sudo -n sh` was refused for {user or 'the login user'}: {said or 'it said nothing'}",
        hint=(
            f"allow it on the node with `visudo -f /etc/sudoers.d/fleetrecover`: "
            f"`{user or 'USER'} ALL=(root) NOPASSWD: ALL` and, where sudo wants a terminal, "
            f"`Defaults:{user or 'USER'} !requiretty`; or log in as root and set sudo = false"
        ),
    )
