"""What is tried again, when, and for how long. Every policy is bounded and has a name.

Reads are repeated freely. A write never is: whether it was done has to be looked up first (`OutcomeUnknown`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import tenacity

from fleetrecover.commands.etcdctl import NOT_IN_SYNC, PASSING
from fleetrecover.errors import CommandFailed, OutcomeUnknown, RemoteError, SudoHangs, TooMuch, Unreachable

T = TypeVar("T")
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Policy:
    """When to try again.

    `retry_on` says which exceptions are worth it. Waits grow from `first_wait` by doubling, with jitter, up to
    `longest_wait`; if both are equal, the wait is constant. It ends after `attempts` or `total` seconds, whichever is
    first, with the last exception. `sleep` and `clock` are replaced in tests.
    """

    retry_on: Callable[[BaseException], bool]
    attempts: int
    total: float
    first_wait: float
    longest_wait: float
    sleep: Sleep = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, work: Callable[[], T], *, before_retry: Callable[[BaseException, float], None] | None = None) -> T:
        """Call `work` until it succeeds or the policy ends; `before_retry` is told the exception and the wait."""

        def tell(state: tenacity.RetryCallState) -> None:
            if before_retry is not None and state.outcome is not None:
                before_retry(_exception(state), state.upcoming_sleep)

        retrying = tenacity.Retrying(
            sleep=self.sleep,
            retry=tenacity.retry_if_exception(self.retry_on),
            wait=self._wait(),
            stop=tenacity.stop_after_attempt(self.attempts) | _OutOfTime(self.total, self.clock),
            before_sleep=tell,
            reraise=True,
        )
        return retrying(work)

    def with_sleep(self, sleep: Sleep, clock: Callable[[], float] | None = None) -> Policy:
        """Return the same policy with another sleep, and another clock."""
        return replace(self, sleep=sleep, clock=clock or self.clock)

    def _wait(self) -> Any:
        if self.first_wait == self.longest_wait:
            return tenacity.wait_fixed(self.first_wait)
        growing = tenacity.wait_exponential(multiplier=self.first_wait, max=self.longest_wait)
        return growing + tenacity.wait_random(0, self.first_wait / 2)


class _OutOfTime(tenacity.stop.stop_base):
    """Stop when the next wait would end after `total` seconds."""

    def __init__(self, total: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline = clock() + total

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return self._clock() + retry_state.upcoming_sleep > self._deadline


def _exception(state: tenacity.RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error


def _lost(error: BaseException) -> bool:
    return isinstance(error, Unreachable | OutcomeUnknown) and not isinstance(error, TooMuch)


READ_POLICY = Policy(retry_on=_lost, attempts=3, total=60.0, first_wait=0.5, longest_wait=5.0)
"""For reads: a node that could not be reached, or was lost in the middle, is asked again."""

LOOK_POLICY = Policy(
    retry_on=lambda error: isinstance(error, OutcomeUnknown) and not isinstance(error, SudoHangs | TooMuch),
    attempts=3,
    total=60.0,
    first_wait=0.5,
    longest_wait=2.0,
)
"""For a survey: a node lost in the middle is asked again; one that cannot be reached at all is a row in the survey."""

RECONNECT_POLICY = Policy(retry_on=_lost, attempts=60, total=120.0, first_wait=1.0, longest_wait=5.0)
"""After an unknown outcome: wait for the node to answer again, so that what is there can be looked at."""


def refusal(*texts: str) -> Callable[[BaseException], bool]:
    """Return a predicate: the command ran and was refused, with one of these texts in its standard error."""

    def matches(error: BaseException) -> bool:
        return isinstance(error, CommandFailed) and any(text in error.stderr or text in str(error) for text in texts)

    return matches


MEMBER_ADD_POLICY = Policy(retry_on=refusal(*PASSING), attempts=91, total=90.0, first_wait=1.0, longest_wait=1.0)
"""For changes of membership, refused for some 5 s after the last join. Each new try looks first whether it was done."""

FENCE_POLICY = Policy(
    retry_on=refusal("Cannot update container"), attempts=8, total=20.0, first_wait=0.5, longest_wait=4.0
)
"""For `docker update`, which fails when the container ends, or starts again, in that moment, as a crashing etcd does."""

PROMOTE_POLICY = Policy(
    retry_on=refusal(*PASSING, NOT_IN_SYNC), attempts=1801, total=900.0, first_wait=0.5, longest_wait=0.5
)
"""For `member promote`, refused until the learner has caught up: long, because a database may be large."""


class WaitTimeout(RemoteError):
    """Something that was waited for did not come about; the message says what was seen last."""

    kind = "timeout"


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    timeout: float,
    host: str = "cluster",
    interval: float = 1.0,
    describe: Callable[[], str] | None = None,
    on_poll: Callable[[str], None] | None = None,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call `probe` until it returns something other than None or False, and return that.

    `what` completes "waited for …". A lost connection is looked at again like a "not yet". After `timeout` seconds
    WaitTimeout says what was waited for, and what was seen last: `describe()` or the last lost connection. `on_poll` is
    told of a lost connection, else "", before each pause. A pause is at least `interval`, and as long as the probe took (2 s
    at most): a node that is slow to answer is not kept busy by being asked.
    """
    deadline = clock() + timeout
    while True:
        seen, asked = "", clock()
        try:
            value = probe()
            if value is not None and value is not False:
                return value
        except (Unreachable, OutcomeUnknown) as error:
            seen = error.message
        pause = max(interval, min(clock() - asked, 2.0))
        if clock() + pause > deadline:
            seen = seen or (describe() if describe is not None else "")
            raise WaitTimeout(
                host,
                f"waited {timeout:g} s for {what}; {f'last seen: {seen}' if seen else 'it did not come about'}",
                hint="look at the node's etcd log (`docker logs --tail 50 etcd`), then run the same command again",
            )
        if on_poll is not None:
            on_poll(seen)
        sleep(pause)
