"""Ctrl-C: what was in the middle, what may still run on which node, and what to type next."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from fleetrecover.errors import Interrupted
from fleetrecover.report.waits import Wait, Waits

READS = frozenset(
    {"survey", "diagnose", "plan", "verify", "check", "hosts", "runs", "report", "run-config", "inspect", "support"}
)
"""Commands that change nothing."""
ASKS = frozenset({"recover", "step", "undo", "clean", "restore"})
"""Commands whose every change is a step."""


@dataclass
class Interruption:
    """What was going on when the operator pressed Ctrl-C first."""

    waits: Waits
    pressed: bool = False
    steps: tuple[Wait, ...] = ()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal: remember, say at once that it was heard, and unwind."""
        if not self.pressed:
            self.pressed = True
            self.steps = self.waits.steps()
            held = "interrupted; letting go of the nodes, which takes some seconds (Ctrl-C again leaves at once)\n"
            # no console and no lock: this runs in the middle of anything
            os.write(2, ("\n" + (held if self.waits.run else "")).encode())
        raise KeyboardInterrupt

    def error(self, command: str) -> Interrupted:
        """The error to end with. `command` is the program's command that ran."""
        steps = self.steps if self.pressed else self.waits.steps()
        return told(command, steps, self.waits.ended_steps, self.waits.run)


@contextmanager
def listening(waits: Waits) -> Iterator[Interruption]:
    """Hear Ctrl-C for as long as the context lasts; where it is ignored, or somebody else's, it stays so."""
    heard = Interruption(waits)
    try:
        before = signal.getsignal(signal.SIGINT)
        ours = before is signal.default_int_handler
        if ours:
            signal.signal(signal.SIGINT, heard)
    except ValueError:  # not the main thread
        ours = False
    try:
        yield heard
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def told(command: str, steps: tuple[Wait, ...], ended: int, run: str) -> Interrupted:
    """The words: `steps` were in the middle, `ended` were done, of `run`."""
    if steps:
        what = "; ".join(f"{wait.node}: {wait.step}" for wait in steps)
        where = ", ".join(dict.fromkeys(wait.node for wait in steps))
        message = f"interrupted in the middle of {what}. It may still run on {where}; the next look waits for it"
        return Interrupted(message, hint=_next(command, run))
    if ended:
        return Interrupted(
            f"interrupted between two steps of run {run}; what was done stands", hint=_next(command, run)
        )
    if command in READS | ASKS:
        return Interrupted("interrupted; nothing was changed", hint=None)
    return Interrupted("interrupted", hint="the same command again goes on")


def _next(command: str, run: str) -> str:
    if command in ("undo", "clean"):
        return f"`fleetrecover {command} {run}` goes on"
    if command == "drill":  # its fleet is gone with it
        return "`fleetrecover drill` begins anew"
    again = "the same command again goes on" if command == "restore" else "`fleetrecover recover` goes on"
    return f"{again}, `fleetrecover undo {run}` takes it back"
