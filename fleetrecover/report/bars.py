"""A bar for each transfer on standard error, while any goes on; where that is no terminal, nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn


class Bars:
    """Called from any thread with what is moved, bytes so far, and bytes in all (None: not known beforehand).

    Nothing is drawn between transfers, so that a question can be asked and answered there.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, whole: int | None) -> None:
        """Tell of a transfer."""
        if not self._console.is_terminal:
            return
        with self._lock:
            if self._live is None:
                self._live = self._start()
            if what not in self._tasks:
                self._tasks[what] = self._live.add_task(what, total=whole)
            self._live.update(self._tasks[what], completed=done)
            if self._live.finished:
                self._close()

    def _start(self) -> Progress:
        words = TextColumn("{task.description}", markup=False)
        live = Progress(
            words, BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=self._console, transient=True
        )
        live.start()
        return live

    def ended(self, what: str) -> None:
        """A transfer has ended, whole or not."""
        with self._lock:
            if self._live is not None and what in self._tasks:
                self._live.remove_task(self._tasks.pop(what))
                if not self._tasks:
                    self._close()

    def stop(self) -> None:
        """Take the bars away, those of transfers that broke off, too."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = None
        self._tasks.clear()


@contextmanager
def shown(console: Console) -> Iterator[Bars]:
    """Bars for the transfers of a command; none are left behind."""
    bars = Bars(console)
    try:
        yield bars
    finally:
        bars.stop()
