"""A Transport with behaviour and no network: what each host answers is scripted by the command's name.

    transport = FakeTransport({
        "etcd1": {"inspect": b'[{"Id": …}]', "member-add": [failed(1, "unhealthy cluster"), b"added"]},
        "etcd2": Unreachable("etcd2", "refused the connection"),
    })

What stands for an answer:
- `bytes` or `str`: exit code 0 and that on standard output;
- an `int`: that exit code and no output;
- `reply(stdout, stderr, exit_code)`, or `failed(code, stderr)`;
- a callable `(host, command) -> any of these`, for behaviour that remembers;
- a list of these: one for each time it is asked; the last one stays;
- an exception: raised, as the real transport does.

A command that nobody scripted fails the test with its name, unless there is a `"*"`. `asked` records everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from fleetrecover.errors import CommandFailed, OutcomeUnknown
from fleetrecover.model import Command, Host, Result

Answer = Any
"""See the module's text; mypy cannot say a type that contains itself and callables of itself."""


@dataclass(frozen=True)
class Reply:
    """What a command gives back."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0


def reply(stdout: bytes | str = b"", stderr: bytes | str = b"", exit_code: int = 0) -> Reply:
    """Return an answer in full."""
    return Reply(_bytes(stdout), _bytes(stderr), exit_code)


def failed(exit_code: int = 1, stderr: bytes | str = b"") -> Reply:
    """Return the answer of a command that failed."""
    return Reply(b"", _bytes(stderr), exit_code)


@dataclass(frozen=True)
class Asked:
    """One thing that the transport was asked to do. `how` is batch, upload or download; `sent` is what was uploaded."""

    host: str
    command: Command
    how: str = "batch"
    sent: bytes = b""

    @property
    def name(self) -> str:
        """The command's name."""
        return self.command.name


class FakeTransport:
    """Answers from a script; implements `model.Transport`. Thread-safe.

    A host whose value is an exception cannot be reached; `cut(host, name)` lets the connection drop while a command of
    that name runs: it has an effect (its answer is computed), but the caller gets OutcomeUnknown.
    """

    def __init__(self, hosts: Mapping[str, Mapping[str, Answer] | BaseException]) -> None:
        self._hosts: dict[str, Any] = dict(hosts)
        self._lock = threading.RLock()
        self._times: dict[tuple[str, str], int] = {}
        self._cuts: set[tuple[str, str]] = set()
        self.asked: list[Asked] = []
        self.closed = False

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """Answer each command in turn."""
        return [self._answer(host, command, Asked(host.name, command)) for command in commands]

    def upload(
        self, host: Host, command: Command, source: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """Answer the command; what was sent is in `asked`."""
        sent = source.read()
        result = self._answer(host, command, Asked(host.name, command, "upload", sent))
        if progress is not None:
            progress(len(sent))
        return result

    def download(
        self, host: Host, command: Command, sink: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """Answer the command, its standard output into `sink`."""
        result = self._answer(host, command, Asked(host.name, command, "download"))
        sink.write(result.stdout)
        if progress is not None:
            progress(len(result.stdout))
        return Result(command, result.exit_code, b"", result.stderr)

    def relay(
        self,
        source: Host,
        read: Command,
        destination: Host,
        write: Command,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Result, Result]:
        """Answer both commands; what the first gives is what the second was sent."""
        given = self._answer(source, read, Asked(source.name, read, "relay"))
        taken = self._answer(destination, write, Asked(destination.name, write, "relay", given.stdout))
        for host, result in ((source, given), (destination, taken)):
            if not result.ok:
                raise CommandFailed(host.name, result.error_text, exit_code=result.exit_code, stderr=result.error_text)
        if progress is not None:
            progress(len(given.stdout))
        return given, taken

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def script(self, host: str, name: str, answer: Answer) -> None:
        """Change what a host answers from now on."""
        with self._lock:
            self._hosts[host][name] = answer
            self._times.pop((host, name), None)

    def reach(self, host: str, answers: Mapping[str, Answer] | BaseException) -> None:
        """Make a host reachable with these answers, or unreachable with this error."""
        with self._lock:
            self._hosts[host] = answers

    def cut(self, host: str, name: str) -> None:
        """Let the connection to `host` drop, once, while a command called `name` runs."""
        self._cuts.add((host, name))

    def names(self, host: str | None = None) -> list[str]:
        """Return the names of the commands that were asked for, in order; of one host, or of all."""
        return [asked.name for asked in self.asked if host in (None, asked.host)]

    def _answer(self, host: Host, command: Command, asked: Asked) -> Result:
        with self._lock:
            answers = self._hosts.get(host.name)
            if answers is None:
                raise AssertionError(f"the test scripts no host {host.name}")
            if isinstance(answers, BaseException):
                raise answers
            self.asked.append(asked)
            if command.name not in answers and "*" not in answers:
                raise AssertionError(f"the test scripts no answer of {host.name} to {command.name}: {command.script}")
            answer = self._pick(host.name, command.name, answers.get(command.name, answers.get("*")))
            result = _result(host, command, answer)
            if (host.name, command.name) in self._cuts:
                self._cuts.remove((host.name, command.name))
                raise OutcomeUnknown(host.name, f"the connection was lost while {command.name} was running")
            return result

    def _pick(self, host: str, name: str, answer: Answer) -> Answer:
        if not isinstance(answer, list):
            return answer
        times = self._times.get((host, name), 0)
        self._times[host, name] = times + 1
        return answer[min(times, len(answer) - 1)]


def _result(host: Host, command: Command, answer: Answer) -> Result:
    if callable(answer) and not isinstance(answer, type):
        answer = answer(host, command)
    if isinstance(answer, BaseException):
        raise answer
    if isinstance(answer, Result):
        return Result(command, answer.exit_code, answer.stdout, answer.stderr)
    if isinstance(answer, Reply):
        return Result(command, answer.exit_code, answer.stdout, answer.stderr)
    if isinstance(answer, int):
        return Result(command, answer, b"", b"")
    return Result(command, 0, _bytes(answer), b"")


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
