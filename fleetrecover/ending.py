"""How the program ends early: SIGTERM and SIGHUP become an exception, as Ctrl-C does, so that everything is put away.

A dropped login to the bastion, `systemctl stop` or a reboot then leaves no hold on a node and no secret in a file. What
lies in `scratch` is removed at the latest when the process ends, also where a thread was using it.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

HEEDED = (signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """The process was told to end by a signal; `code` is the exit code that a shell gives for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number
        self.code = 128 + number


def heed_signals() -> None:
    """Have SIGTERM and SIGHUP raise Terminated in the main thread; one that is ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in HEEDED:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in HEEDED:  # the second one must not interrupt the putting away; SIGKILL still ends it
        signal.signal(each, signal.SIG_IGN)
    raise Terminated(number)


_in_use: set[str] = set()


@contextmanager
def scratch() -> Iterator[Path]:
    """A private directory (0700) that is gone afterwards, however the program ends: snapshots hold secrets."""
    heed_signals()
    name = tempfile.mkdtemp(prefix="fleetrecover-")
    _in_use.add(name)
    try:
        yield Path(name)
    finally:
        _remove(name)


def _remove(name: str) -> None:
    shutil.rmtree(name, ignore_errors=True)
    _in_use.discard(name)


@atexit.register
def _remove_all() -> None:
    """Threads are not waited for; what they had open is gone with the process, and nothing of it has a name any more."""
    for name in tuple(_in_use):
        _remove(name)
