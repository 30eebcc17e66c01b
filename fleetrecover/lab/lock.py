"""One process at a time acts on a lab; within a process, one thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fleetrecover.errors import Held

WAIT = 60.0

_inside: dict[Path, threading.RLock] = {}
_depth: dict[Path, int] = {}
_guard = threading.Lock()


@contextlib.contextmanager
def held(path: Path, wait: float = WAIT) -> Iterator[None]:
    """Hold the lab's lock file, which lies beside the lab. Reentrant; Held when another process does not let go."""
    with _guard:
        inside = _inside.setdefault(path, threading.RLock())
    with inside:
        if _depth.get(path, 0):
            yield
            return
        handle = _acquire(path, wait)
        _depth[path] = 1
        try:
            yield
        finally:
            _depth[path] = 0
            os.close(handle)


def _acquire(path: Path, wait: float) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + wait
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            if time.monotonic() > end:
                raise Held(
                    f"another process is acting on the lab ({path})", hint="wait for it, then try again"
                ) from error
            time.sleep(0.1)
            continue
        if _is_current(handle, path):
            return handle
        os.close(handle)  # `down` of another process deleted the file that we locked


def _is_current(handle: int, path: Path) -> bool:
    try:
        return os.fstat(handle).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
