"""What takes longer than a moment is told once, with its node and limit; and its end. The clock is a number."""

from __future__ import annotations

import io
from typing import IO, Any

import pytest

from fleetrecover import limits
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import Unreachable
from fleetrecover.model import Command, Fleet, Host, Result
from fleetrecover.outcome import Outcome
from fleetrecover.report.console import ConsoleEvents
from fleetrecover.report.terminal import SafeConsole
from fleetrecover.report.waits import PatientTransport, Waits
from fleetrecover.steps import AwaitQuorum, EnsureImage, Fence, FenceTarget, Promote
from tests.fakes.transport import FakeTransport

PATHS = RunPaths("/keep", "r1")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Told:
    """Waits, their clock, and the lines that were said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.waits = Waits(self.lines.append, self.clock)

    def after(self, seconds: float) -> list[str]:
        self.clock.now += seconds
        self.waits.tick()
        return self.lines


def test_what_is_over_in_a_moment_is_not_told() -> None:
    told = Told()
    key = told.waits.begin("etcd1", "no answer yet")
    assert told.after(limits.TELL_AFTER - 0.1) == []
    told.waits.end(key, "it answered")
    assert told.after(60) == []


def test_what_takes_longer_is_told_once_and_so_is_its_end() -> None:
    told = Told()
    key = told.waits.begin("etcd1", "no answer yet")
    assert told.after(limits.TELL_AFTER) == ["   … etcd1: no answer yet"]
    assert len(told.after(10)) == 1
    told.waits.end(key, "it answered")
    assert told.lines[1:] == ["   · etcd1: it answered after 12.0 s"]


def test_while_a_step_goes_on_the_questions_behind_it_are_not_told() -> None:
    told = Told()
    told.waits.begin("etcd1", "wait for a leader, at most 90 s", step="wait for a leader")
    told.waits.begin("etcd2", "no answer yet")
    assert told.after(limits.TELL_AFTER) == ["   … etcd1: wait for a leader, at most 90 s"]


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (AwaitQuorum("etcd1", PATHS, "/d", ("etcd1",)), "wait for a leader, at most 90 s"),
        (Fence("etcd1", PATHS, "/d", (FenceTarget("c", "etcd", "x"),)), "stop and set aside, at most 90 s"),
        (Promote("etcd1", PATHS, "/d", "etcd2", ()), "make it a voter, at most 15 min"),
        (EnsureImage("etcd1", PATHS, "/d", "i", "", "etcd2"), "bring the image, for as long as anything moves"),
    ],
)
def test_a_step_says_what_is_waited_for_where_and_how_long_at_most(step: Any, line: str) -> None:
    told, out = Told(), io.StringIO()
    events = ConsoleEvents(SafeConsole(file=out, width=160), Fleet("c", (Host("etcd1", "10.0.0.1"),)), waits=told.waits)
    events.step_begins(step)
    assert told.after(limits.TELL_AFTER) == [f"   … etcd1: {line}"]
    assert out.getvalue() == ""
    events.step_ends(step, Outcome(type(step).__name__, "etcd1", 2.5, "done so"))
    assert out.getvalue() == f"   ✓ etcd1: {line.partition(',')[0]} (2.5 s): done so\n"
    assert told.waits.steps() == ()


class Slow(FakeTransport):
    """A transport that lets time pass."""

    def __init__(self, told: Told, seconds: float, answers: Any) -> None:
        super().__init__(answers)
        self.told, self.seconds = told, seconds

    def batch(self, host: Host, commands: Any) -> list[Result]:
        self.told.after(self.seconds)
        return super().batch(host, commands)

    def upload(self, host: Host, command: Command, source: IO[bytes], progress: Any = None) -> Result:
        self.told.after(self.seconds)
        return super().upload(host, command, source, progress)


HOST = Host("etcd1", "192.0.2.1")


def test_a_node_that_takes_its_time_is_named_with_the_limits() -> None:
    told = Told()
    patient = PatientTransport(Slow(told, 3.0, {"etcd1": {"*": b""}}), told.waits, 10)
    patient.batch(HOST, [Command("machine", "", timeout=20), Command("containers", "", timeout=30)])
    assert told.lines == [
        "   … etcd1: no answer yet; waiting for machine, containers, at most 50 s (at most 10 s for a connection)",
        "   · etcd1: it answered after 3.0 s",
    ]
    told.lines.clear()
    patient.upload(HOST, Command("load", "", timeout=60), io.BytesIO(b"x"))
    assert "what is sent there (load), at most 60 s" in told.lines[0]


def test_one_that_never_answers_has_its_end_told_too() -> None:
    told = Told()
    patient = PatientTransport(Slow(told, 10.0, {"etcd1": Unreachable("etcd1", "no route")}), told.waits, 10)
    with pytest.raises(Unreachable):
        patient.batch(HOST, [Command("machine", "")])
    assert told.lines[-1] == "   · etcd1: it gave no answer after 10.0 s"


def test_what_goes_on_in_the_background_is_waited_for_by_nobody() -> None:
    told = Told()
    PatientTransport(Slow(told, 3.0, {"etcd1": {"*": b""}}), told.waits, 10).batch(HOST, [Command("beat", "")])
    assert told.lines == []
