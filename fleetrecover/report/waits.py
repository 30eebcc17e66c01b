"""What is being waited for: said when it takes longer than a moment, and known when the operator interrupts.

A step, or a command that a node has not answered, is written down when it begins. What has lasted for `TELL_AFTER`
seconds is told once, with its node and how long it may take at most; so is its end, where a step's own line does not tell that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from fleetrecover import limits
from fleetrecover.model import Command, Host, Result, Transport

QUIET = frozenset({"beat", "release-hold"})
"""Commands that go on in the background: nobody waits for them."""


@dataclass
class Wait:
    """Something that has begun and not ended. `step` is what a person calls it, empty for a mere question to a node."""

    node: str
    text: str
    begun: float
    step: str = ""
    run: str = ""
    told: bool = False


class Waits:
    """Thread-safe. `say` is given whole lines; `clock` is in seconds. Nothing is told unless `tick` is called."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._open: dict[int, Wait] = {}
        # an interruption asks in the middle of anything, on the same thread
        self._lock = threading.RLock()
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self.ended_steps = 0
        self.run = ""

    def begin(self, node: str, text: str, *, step: str = "", run: str = "") -> int:
        """Something begins; returns what `end` wants."""
        with self._lock:
            wait = Wait(node, text, self._clock(), step, run)
            self._open[id(wait)] = wait
            self.run = run or self.run
            self._some.set()
            return id(wait)

    def end(self, key: int, how: str = "") -> None:
        """It has ended; where it had been told, and `how` is given, that is told too."""
        with self._lock:
            wait = self._open.pop(key, None)
            if wait is None:
                return
            self.ended_steps += 1 if wait.step else 0
            if not self._open:
                self._some.clear()
        if wait.told and how:
            self._say(f"   · {wait.node}: {how} after {self._clock() - wait.begun:.1f} s")

    def tick(self) -> None:
        """Tell what has lasted for long enough; questions to nodes only where no step says already what goes on."""
        with self._lock:
            busy = any(wait.step for wait in self._open.values())
            late = [w for w in self._open.values() if not w.told and self._clock() - w.begun >= limits.TELL_AFTER]
            tell = [wait for wait in late if wait.step or not busy]
            for wait in tell:
                wait.told = True
        for wait in tell:
            self._say(f"   … {wait.node}: {wait.text}")

    def steps(self) -> tuple[Wait, ...]:
        """The steps that have begun and not ended, in the order in which they began."""
        with self._lock:
            return tuple(wait for wait in self._open.values() if wait.step)

    def watch(self) -> None:
        """Have a thread look at the clock, while anything is open."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="waits", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while True:
            self._some.wait()
            self.tick()
            time.sleep(limits.TELL_TICK)


class PatientTransport:
    """A transport that has `waits` tell when a node takes its time. `connect` is the limit for a connection, in seconds."""

    def __init__(self, inner: Transport, waits: Waits, connect: float) -> None:
        self._inner = inner
        self._waits = waits
        self._connect = connect

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """See Transport."""
        if all(command.name in QUIET for command in commands):
            return self._inner.batch(host, commands)
        limit = sum(command.timeout for command in commands)
        with self._waiting(host, f"{_names(commands)}, at most {limit:.0f} s"):
            return self._inner.batch(host, commands)

    def upload(
        self, host: Host, command: Command, source: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """See Transport."""
        with self._waiting(host, f"what is sent there ({command.name}), at most {command.timeout:.0f} s"):
            return self._inner.upload(host, command, source, progress)

    def download(
        self, host: Host, command: Command, sink: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """See Transport."""
        with self._waiting(host, f"what comes from there ({command.name}), at most {command.timeout:.0f} s"):
            return self._inner.download(host, command, sink, progress)

    def relay(
        self,
        source: Host,
        read: Command,
        destination: Host,
        write: Command,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Result, Result]:
        """See Transport."""
        with self._waiting(destination, f"what {source.name} sends it, for as long as anything moves"):
            return self._inner.relay(source, read, destination, write, progress)

    def close(self) -> None:
        """See Transport."""
        self._inner.close()

    @contextmanager
    def _waiting(self, host: Host, what: str) -> Iterator[None]:
        connect = f"at most {self._connect:g} s for a connection"
        key = self._waits.begin(host.name, f"no answer yet; waiting for {what} ({connect})")
        how = "it gave no answer"
        try:
            yield
            how = "it answered"
        finally:
            self._waits.end(key, how)


def _names(commands: Sequence[Command]) -> str:
    """What was asked, in a few words."""
    names = list(dict.fromkeys(command.name for command in commands))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
