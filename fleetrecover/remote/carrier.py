"""What every way of carrying commands has in common: batches, uploads, downloads, and relays from node to node."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import IO, Any, TypeVar

from fleetrecover.commands.login_shell import LoginShell
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.remote import failures
from fleetrecover.remote.bulk import SMALL, RelayPipe
from fleetrecover.remote.conversation import Progress
from fleetrecover.remote.login_shell import LoginShells
from fleetrecover.remote.settings import Settings

C = TypeVar("C", bound="Carrier")


class Carrier(ABC):
    """A `model.Transport`, but for how a conversation is held and ended: `_converse`, `_transfer`, `close`."""

    def __init__(self, fleet: Fleet, settings: Settings) -> None:
        self._settings = settings
        self._shells = LoginShells(
            fleet,
            lambda host: settings.target(host).user,
            lambda host, command, shell: self._converse(host, [command], shell)[0],
        )

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """Run the commands one after another over one channel; one result each, whatever the exit codes are."""
        if not commands:
            return []
        return self._converse(host, list(commands), self._shells.of(host))

    def upload(self, host: Host, command: Command, source: IO[bytes], progress: Progress | None = None) -> Result:
        """Run one command with `source` streamed to its standard input.

        `progress` is called with the bytes sent so far. The command's script is not on a command line here either. If
        the connection is lost, the command sees the end of its input like any other: it must not take what came for
        whole without checking its size or hash.
        """
        bulk = _size(source) >= SMALL
        return self._transfer(host, command, self._shells.of(host), source=source, progress=progress, bulk=bulk)

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
        bulk = size is None or size >= SMALL
        return self._transfer(host, command, self._shells.of(host), sink=sink, progress=progress, bulk=bulk)

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
                outcome.append(self._transfer(source, read, self._shells.of(source), sink=pipe, bulk=True))
            except BaseException as error:
                outcome.append(error)
            pipe.end(failed=not (isinstance(outcome[0], Result) and outcome[0].ok))

        thread = threading.Thread(target=fetch, daemon=True, name=f"relay from {source.name}")
        thread.start()
        try:
            shell = self._shells.of(destination)
            written = self._transfer(destination, write, shell, source=pipe, progress=progress, bulk=True)
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

    @abstractmethod
    def close(self) -> None:
        """Drop every connection. Can be called twice; a batch that is under way ends with OutcomeUnknown."""

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _converse(self, host: Host, commands: list[Command], shell: LoginShell, **streams: Any) -> list[Result]:
        """Run commands over one channel, in that shell."""

    @abstractmethod
    def _transfer(self, host: Host, command: Command, shell: LoginShell, *, bulk: bool, **streams: Any) -> Result:
        """Run one command with its streams; `bulk`: they may be large."""


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
