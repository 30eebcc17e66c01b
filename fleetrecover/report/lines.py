"""What happens, for a program: a JSON object a line, to a file (`--log`) and to an open descriptor (`--events`).

Each has `schema`, `at` (ISO 8601, UTC) and `event`; docs/schema/event.json says what else. No reader can hold up a recovery:
one that is gone, full, or has not read for a second is left out from then on, and that is said.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleetrecover import limits
from fleetrecover.errors import InputError, UsageError
from fleetrecover.plain import dumps

if TYPE_CHECKING:
    from fleetrecover.apply import Events
    from fleetrecover.outcome import Outcome
    from fleetrecover.steps import Stage, Step

SCHEMA = 1


class Lines:
    """Where events go. Thread-safe; writes nothing while nobody listens. `complain` is told of a reader that is left out."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._targets: dict[int, str] = {}
        self._lock = threading.Lock()

    def to_file(self, path: Path) -> None:
        """Append to a file, 0600. Raises InputError."""
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(f"--log {path}: {error.strerror}", hint="name a file that you may write") from error
        self._targets[fd] = f"--log {path}"

    def to_descriptor(self, fd: int) -> None:
        """Write to a descriptor that was opened for us; from now on it does not block. Raises UsageError."""
        hint = "open one for it: fleetrecover --events 3 … 3>events.jsonl"
        if fd < 3:
            raise UsageError(f"--events {fd}: the answer and the story have that one", hint=hint)
        try:
            os.write(fd, b"")
            os.set_blocking(fd, False)
        except OSError as error:
            raise UsageError(f"--events {fd}: {error.strerror}", hint=hint) from error
        os.set_inheritable(fd, False)
        self._targets[fd] = f"--events {fd}"

    def write(self, event: str, **fields: Any) -> None:
        """Tell one event. `fields` must be JSON-able."""
        if not self._targets:
            return
        from fleetrecover.journal import now

        line = dumps({"schema": SCHEMA, "at": now(), "event": event, **fields}).encode() + b"\n"
        lost: list[str] = []
        with self._lock:
            for fd, name in tuple(self._targets.items()):
                problem = _write(fd, line)
                if problem:
                    del self._targets[fd]
                    os.close(fd)
                    lost.append(f"{name}: {problem}; nothing more is written there")
        for each in lost:
            self._complain(each)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for fd in self._targets:
                os.close(fd)
            self._targets.clear()


def _write(fd: int, data: bytes) -> str:
    """Write all of it; returns what went wrong, empty for nothing."""
    deadline = time.monotonic() + limits.READER
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([], [fd], [], left)[1]:
                return "nobody reads it"
        except OSError as error:
            return error.strerror or "cannot be written"
    return ""


class LinedEvents:
    """Tells an onlooker, and writes the same as lines."""

    def __init__(self, onlooker: Events, lines: Lines) -> None:
        self._onlooker, self._lines = onlooker, lines

    def stage_begins(self, stage: Stage) -> None:
        """A stage begins."""
        self._lines.write("stage", name=stage.name, title=stage.title)
        self._onlooker.stage_begins(stage)

    def step_begins(self, step: Step) -> None:
        """A step begins."""
        self._lines.write("step-begin", run=step.paths.run, node=step.node, step=type(step).__name__)
        self._onlooker.step_begins(step)

    def step_ends(self, step: Step, outcome: Outcome) -> None:
        """A step has ended."""
        from fleetrecover.report.document import outcome_document

        self._lines.write("step-end", **(outcome_document(outcome) | {"run": step.paths.run}))
        self._onlooker.step_ends(step, outcome)

    def note(self, message: str) -> None:
        """Something to know now."""
        self._lines.write("note", text=message)
        self._onlooker.note(message)

    def moved(self, what: str, done: int, *, ended: bool = False) -> None:
        """So many bytes have been moved; a line is written when it has ended."""
        if ended:
            self._lines.write("moved", what=what, bytes=done)
        self._onlooker.moved(what, done, ended=ended)
