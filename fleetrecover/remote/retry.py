"""What is tried again, when, and for how long. Every policy is bounded and has a name.

Reads are repeated freely. A write never is: whether it was done has to be looked up first (`OutcomeUnknown`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import tenacity

from fleetrecover import limits
from fleetrecover.commands.etcdctl import NOT_IN_SYNC, PASSING
from fleetrecover.errors import CommandFailed, OutcomeUnknown, RemoteError, SudoHangs, TooMuch, Unreachable

T = TypeVar("T")
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Policy:
    """When to try again.

    `retry_on` says which exceptions are worth it. It ends as `tries` says, with the last exception; pauses that grow have
    jitter. `sleep` and `clock` are replaced in tests.
    """

    retry_on: Callable[[BaseException], bool]
    tries: limits.Tries
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
            stop=tenacity.stop_after_attempt(self.tries.attempts) | _OutOfTime(self.tries.total, self.clock),
            before_sleep=tell,
            reraise=True,
        )
        return retrying(work)

    def with_sleep(self, sleep: Sleep, clock: Callable[[], float] | None = None) -> Policy:
        """Return the same policy with another sleep, and another clock."""
        return replace(self, sleep=sleep, clock=clock or self.clock)

    def _wait(self) -> Any:
        first, longest = self.tries.first, self.tries.longest
        if first == longest:
            return tenacity.wait_fixed(first)
        return tenacity.wait_exponential(multiplier=first, max=longest) + tenacity.wait_random(0, first / 2)


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


READ_POLICY = Policy(_lost, limits.READ)
"""For reads: a node that could not be reached, or was lost in the middle, is asked again."""

LOOK_POLICY = Policy(
    lambda error: isinstance(error, OutcomeUnknown) and not isinstance(error, SudoHangs | TooMuch), limits.LOOK
)
"""For a survey: a node lost in the middle is asked again; one that cannot be reached at all is a row in the survey."""

RECONNECT_POLICY = Policy(_lost, limits.RECONNECT)
"""After an unknown outcome: wait for the node to answer again, so that what is there can be looked at."""


def refusal(*texts: str) -> Callable[[BaseException], bool]:
    """Return a predicate: the command ran and was refused, with one of these texts in its standard error."""

    def matches(error: BaseException) -> bool:
        return isinstance(error, CommandFailed) and any(text in error.stderr or text in str(error) for text in texts)

    return matches


MEMBER_ADD_POLICY = Policy(refusal(*PASSING), limits.MEMBER)
"""For changes of membership, refused for some 5 s after the last join. Each new try looks first whether it was done."""

FENCE_POLICY = Policy(refusal("Cannot update container"), limits.FENCE)
"""For `docker update`, which fails when the container ends, or starts again, in that moment, as a crashing etcd does."""

PROMOTE_POLICY = Policy(refusal(*PASSING, NOT_IN_SYNC), limits.PROMOTE)
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
    interval: float = limits.POLL,
    longest: float = limits.LONGEST_POLL,
    describe: Callable[[], str] | None = None,
    on_poll: Callable[[str], None] | None = None,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Call `probe` until it returns something other than None or False, and return that.

    `what` completes "waited for …". A lost connection is looked at again like a "not yet". After `timeout` seconds
    WaitTimeout says what was waited for, and what was seen last: `describe()` or the last lost connection. `on_poll` is
    told of a lost connection, else "", before each pause. A pause is at least `interval`, and as long as the probe took
    (`longest` at most): a node that is slow to answer is not kept busy by being asked.
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
        pause = max(interval, min(clock() - asked, longest))
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
