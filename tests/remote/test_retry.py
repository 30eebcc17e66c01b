from __future__ import annotations

import pytest

from fleetrecover.errors import (
    CommandFailed,
    HostKeyProblem,
    LoginFailed,
    OutcomeUnknown,
    RemoteError,
    SudoHangs,
    TooMuch,
    Unreachable,
)
from fleetrecover.remote import (
    LOOK_POLICY,
    MEMBER_ADD_POLICY,
    READ_POLICY,
    RECONNECT_POLICY,
    Policy,
    WaitTimeout,
    wait_until,
)


class Clock:
    """Time that only passes while someone sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class Failing:
    """Raises each of these in turn, then returns "done"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def unhealthy() -> CommandFailed:
    return CommandFailed("etcd1", "member add failed", exit_code=1, stderr="Error: etcdserver: unhealthy cluster")


def test_a_read_is_repeated_when_the_connection_failed() -> None:
    clock = Clock()
    work = Failing(Unreachable("a", "refused"), OutcomeUnknown("a", "dropped"))
    assert READ_POLICY.with_sleep(clock.sleep, clock).run(work) == "done"
    assert work.calls == 3
    assert len(clock.slept) == 2
    assert 0.5 <= clock.slept[0] <= clock.slept[1]


def test_a_read_is_not_repeated_for_ever() -> None:
    clock = Clock()
    work = Failing(*[Unreachable("a", f"try {n}") for n in range(9)])
    with pytest.raises(Unreachable, match="try 2"):
        READ_POLICY.with_sleep(clock.sleep, clock).run(work)
    assert work.calls == READ_POLICY.tries.attempts


def test_the_total_time_bounds_it_too() -> None:
    clock = Clock()

    def work() -> None:
        clock.now += 59.9
        raise Unreachable("a", "slow")

    with pytest.raises(Unreachable):
        READ_POLICY.with_sleep(clock.sleep, clock).run(work)
    assert clock.slept == []


@pytest.mark.parametrize(
    "error",
    [
        HostKeyProblem("a", "x"),
        LoginFailed("a", "x"),
        CommandFailed("a", "x", exit_code=1),
        ValueError(),
        KeyboardInterrupt(),
    ],
)
def test_what_will_not_get_better_is_not_repeated(error: BaseException) -> None:
    clock = Clock()
    work = Failing(error)
    with pytest.raises(type(error)):
        READ_POLICY.with_sleep(clock.sleep, clock).run(work)
    assert (work.calls, clock.slept) == (1, [])


def test_member_add_is_repeated_four_times_a_second_while_it_is_refused() -> None:
    clock = Clock()
    told: list[float] = []
    work = Failing(*[unhealthy() for _ in range(5)])
    policy = MEMBER_ADD_POLICY.with_sleep(clock.sleep, clock)
    assert policy.run(work, before_retry=lambda error, wait: told.append(wait)) == "done"
    assert clock.slept == told == [0.25] * 5


def test_member_add_is_not_repeated_when_its_outcome_is_unknown() -> None:
    """It may have been done: a second one would add the member twice."""
    clock = Clock()
    work = Failing(OutcomeUnknown("a", "dropped"))
    with pytest.raises(OutcomeUnknown):
        MEMBER_ADD_POLICY.with_sleep(clock.sleep, clock).run(work)
    assert work.calls == 1


def test_member_add_gives_up_after_a_minute_and_a_half() -> None:
    clock = Clock()
    with pytest.raises(CommandFailed):
        MEMBER_ADD_POLICY.with_sleep(clock.sleep, clock).run(Failing(*[unhealthy() for _ in range(999)]))
    assert clock.now == 1090.0


def test_waiting_until_it_is_so() -> None:
    clock = Clock()
    states = iter([None, False, "", Unreachable("a", "rebooting")])
    shown: list[str] = []

    def probe() -> str | bool | None:
        state = next(states, "leader")
        if isinstance(state, RemoteError):
            raise state
        return state

    # An empty string is a value like any other.
    assert wait_until(probe, what="a leader", timeout=10, sleep=clock.sleep, clock=clock) == ""
    result = wait_until(probe, what="a leader", timeout=10, on_poll=shown.append, sleep=clock.sleep, clock=clock)
    assert result == "leader"
    assert shown == ["a: rebooting"]
    assert clock.slept == [1.0] * 3


def test_waiting_ends_and_says_what_was_seen_last() -> None:
    clock = Clock()
    with pytest.raises(WaitTimeout, match="etcd1: waited 5 s for a leader; last seen: 1 of 3 voters") as caught:
        wait_until(
            lambda: None,
            what="a leader",
            host="etcd1",
            timeout=5,
            describe=lambda: "1 of 3 voters",
            sleep=clock.sleep,
            clock=clock,
        )
    assert caught.value.hint
    assert sum(clock.slept) == 5.0


def test_waiting_does_not_hide_a_fault() -> None:
    clock = Clock()
    with pytest.raises(HostKeyProblem):
        wait_until(Failing(HostKeyProblem("a", "changed")), what="x", timeout=5, sleep=clock.sleep, clock=clock)


@pytest.mark.parametrize("policy", [LOOK_POLICY, READ_POLICY, RECONNECT_POLICY])
def test_a_node_that_sends_too_much_is_not_asked_for_it_again(policy: Policy) -> None:
    """It would send the same, and take as much time and memory each time."""
    clock, work = Clock(), Failing(TooMuch("a", "it printed more than 1 bytes"))
    with pytest.raises(TooMuch):
        policy.with_sleep(clock.sleep, clock).run(work)
    assert work.calls == 1


def test_a_look_is_repeated_where_the_connection_was_lost_and_not_where_sudo_hangs() -> None:
    clock, work = Clock(), Failing(OutcomeUnknown("a", "dropped"))
    assert LOOK_POLICY.with_sleep(clock.sleep, clock).run(work) == "done"
    with pytest.raises(SudoHangs):
        LOOK_POLICY.with_sleep(clock.sleep, clock).run(Failing(SudoHangs("a", "x")))
