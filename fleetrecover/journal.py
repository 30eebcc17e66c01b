"""The journal: what a run meant to do and what came of it, one JSON object a line, appended and fsynced.

It is a record, not a source of truth: a rerun looks at the nodes. Files are 0600 below a directory that is 0700:
`$FLEETRECOVER_STATE`, else `$XDG_STATE_HOME/fleetrecover`, else `~/.local/state/fleetrecover`. Commands are recorded in the
form that may be shown, never with what they hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from fleetrecover.decide.run_names import match_run
from fleetrecover.errors import InputError
from fleetrecover.plain import dumps


def state_directory() -> Path:
    """Where this bastion keeps its runs."""
    told = os.environ.get("FLEETRECOVER_STATE")
    if told:
        return Path(told)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "fleetrecover"


def now() -> str:
    """The present moment, ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """Append to one run's file. Thread-safe; every line is on the disk before `write` returns."""

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self.run = run
        self._lock = Lock()
        for directory in (path.parent.parent, path.parent):
            # what `parents=True` makes has the usual mode
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.chmod(0o700)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(self._fd, 0o600)

    @classmethod
    def open(cls, cluster: str, run: str, directory: Path | None = None) -> Journal:
        """Open the journal of a run; a resumed run goes on in its file."""
        return cls((directory or state_directory()) / cluster / f"{run}.jsonl", run)

    def write(self, event: str, **fields: Any) -> None:
        """Append one event. `fields` must be JSON-able."""
        line = dumps({"at": now(), "run": self.run, "event": event, **fields})
        with self._lock:
            os.write(self._fd, line.encode() + b"\n")
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


@dataclass(frozen=True)
class PastRun:
    """A run that this bastion has a journal of. `outcome` is None where it never came to an end."""

    run: str
    cluster: str
    command: str
    started: str
    ended: str | None
    outcome: str | None
    survivor: str | None
    path: Path
    members: tuple[int, int] | None = None  # of the report at the end: how many serve, of how many that should

    @property
    def told(self) -> str:
        """The outcome for a person; where there were fewer members than hosts, how many of how many."""
        if self.members is None or self.members[0] == self.members[1]:
            return self.outcome or "did not end"
        return f"{self.outcome or 'did not end'} ({self.members[0]} of {self.members[1]})"


def read_events(path: Path) -> list[dict[str, Any]]:
    """All events of a journal; a last line that was cut off by a crash is left out. Raises InputError."""
    events: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise InputError(f"{path}: the journal cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError as error:
            if number >= len(lines) - 1:
                break
            raise InputError(f"{path}, line {number}: not JSON: {error}") from error
        if isinstance(event, dict):
            events.append(event)
    return events


def past_runs(directory: Path | None = None) -> Iterator[PastRun]:
    """Every run that this bastion knows, oldest first."""
    root = directory or state_directory()
    if not root.is_dir():
        return
    paths = sorted(root.glob("*/*.jsonl"), key=lambda path: path.name)
    for path in paths:
        yield summary(path)


def find_run(run: str, directory: Path | None = None) -> Path:
    """The journal of a run, by its id, or enough of its beginning or end. Raises InputError."""
    root = directory or state_directory()
    paths = {path.stem: path for path in root.glob("*/*.jsonl")}
    return paths[match_run(run, paths, where="on this bastion")]


def summary(path: Path) -> PastRun:
    """A journal in one row."""
    events = read_events(path)
    begun: Mapping[str, Any] = next((event for event in events if event.get("event") == "begin"), {})
    ended: Mapping[str, Any] = next((event for event in reversed(events) if event.get("event") == "end"), {})
    return PastRun(
        run=path.stem,
        cluster=path.parent.name,
        command=str(begun.get("command", "")),
        started=str(events[0].get("at", "")) if events else "",
        ended=ended.get("at"),
        outcome=ended.get("outcome"),
        survivor=begun.get("survivor"),
        path=path,
        members=_members(ended.get("report")),
    )


def _members(report: Any) -> tuple[int, int] | None:
    if not isinstance(report, dict) or not isinstance(report.get("members"), list):
        return None
    there, missing = len(report["members"]), report.get("missing", report.get("left_out"))
    return there, there + (len(missing) if isinstance(missing, list | dict) else 0)
