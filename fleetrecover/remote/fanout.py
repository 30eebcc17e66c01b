"""The same work on all hosts at once; a failing host is a value beside the others."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from fleetrecover import bounds
from fleetrecover.answers import understood
from fleetrecover.errors import FormatError, OddAnswer, OutcomeUnknown, RemoteError
from fleetrecover.model import Host

T = TypeVar("T")

WORKERS = 32
"""Enough on two cores: more threads only wait for each other."""

_TICK = 0.5


def fan_out(
    hosts: Iterable[Host], work: Callable[[Host], T], *, workers: int = WORKERS, timeout: float | None = None
) -> dict[str, T | RemoteError]:
    """Run `work` for every host; return what it gave, or the RemoteError that it raised, in the hosts' order.

    Any other exception is a fault of ours: it is raised, after every host has ended. With `timeout`, in seconds, a host
    that has not ended by then is OutcomeUnknown. KeyboardInterrupt is raised at once; the threads are daemons, and end
    when the transport is closed.
    """
    fleet = list(hosts)
    todo: queue.SimpleQueue[Host] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, T | BaseException]] = queue.SimpleQueue()
    for host in fleet:
        todo.put(host)
    for number in range(min(workers, len(fleet))):
        threading.Thread(target=_serve, args=(todo, done, work), name=f"fan-out {number}", daemon=True).start()
    outcomes = _collect(done, len(fleet), timeout)
    if len(outcomes) < len(fleet):
        _drain(todo)
    return _judge(fleet, outcomes, timeout)


def look_at(
    hosts: Iterable[Host],
    work: Callable[[Host], T],
    *,
    workers: int = WORKERS,
    timeout: float | None = bounds.LOOK,
) -> dict[str, T | RemoteError]:
    """`fan_out` for work that only reads: whatever comes up while one host's answers are read is that host's failure.

    An exception that nobody foresaw is OddAnswer here: it says what it was and where. Work that changes something goes
    through `fan_out`, where a fault of ours ends the command.
    """

    def one(host: Host) -> T:
        try:
            return understood("what it answered", lambda: work(host))
        except FormatError as error:
            raise OddAnswer.of(host.name, error) from error

    return fan_out(hosts, one, workers=workers, timeout=timeout)


def _serve(
    todo: queue.SimpleQueue[Host],
    done: queue.SimpleQueue[tuple[str, T | BaseException]],
    work: Callable[[Host], T],
) -> None:
    while True:
        try:
            host = todo.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((host.name, work(host)))
        except BaseException as error:
            done.put((host.name, error))


def _collect(
    done: queue.SimpleQueue[tuple[str, T | BaseException]], count: int, timeout: float | None
) -> dict[str, T | BaseException]:
    deadline = None if timeout is None else time.monotonic() + timeout
    outcomes: dict[str, T | BaseException] = {}
    while len(outcomes) < count:
        left = _TICK if deadline is None else min(_TICK, deadline - time.monotonic())
        if left <= 0:
            break
        try:
            name, outcome = done.get(timeout=left)
        except queue.Empty:
            continue
        outcomes[name] = outcome
    return outcomes


def _drain(todo: queue.SimpleQueue[Host]) -> None:
    """Take back what no worker has begun."""
    while True:
        try:
            todo.get_nowait()
        except queue.Empty:
            return


def _judge(
    fleet: list[Host], outcomes: dict[str, T | BaseException], timeout: float | None
) -> dict[str, T | RemoteError]:
    judged: dict[str, T | RemoteError] = {}
    for host in fleet:
        outcome = outcomes[host.name] if host.name in outcomes else _late(host, timeout or 0)
        if isinstance(outcome, BaseException) and not isinstance(outcome, RemoteError):
            raise outcome
        judged[host.name] = outcome
    return judged


def _late(host: Host, timeout: float) -> OutcomeUnknown:
    return OutcomeUnknown(
        host.name, f"it had not ended after {timeout:g} s", hint="look at the node, then run it again"
    )
