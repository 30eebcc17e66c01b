"""Reads and writes as different types: a dry run holds no Action, so it cannot write.

A Probe may be repeated freely. An Action is never repeated without looking at the node first; its script is guarded by
the run's hold, so that a controller that was asleep while another one took over can no longer write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fleetrecover import limits
from fleetrecover.answers import understood
from fleetrecover.commands import busy
from fleetrecover.commands.shell import quote
from fleetrecover.model import Command, Result

T_co = TypeVar("T_co", covariant=True)

TIMED_OUT = 124
"""Exit code of a command that the node itself has ended at its time limit (as coreutils' timeout gives it)."""
LOST_HOLD = 97
"""Exit code of an Action whose run no longer holds the node; nothing was done."""
BUSY = 98
"""Exit code of an Action that found an earlier one of ours still running on the node; nothing was done."""
MAY_RUN_STILL = (TIMED_OUT, BUSY)
"""Exit codes that leave open what has come of an Action: the node is looked at before anything else is done."""


@dataclass(frozen=True)
class Probe(Generic[T_co]):
    """A read: a command, and a pure function from its result to a value.

    `parse` is given the result only if its exit code is accepted. Whatever is wrong with an answer is a FormatError.
    """

    command: Command
    meaning: Callable[[Result], T_co]

    def parse(self, result: Result) -> T_co:
        """Make sense of a result. Raises FormatError, and nothing else."""
        return understood(self.command.name, lambda: self.meaning(result))


@dataclass(frozen=True)
class Action:
    """A write. `undo` says, for a person, how it is taken back. What it makes is for the login user alone (umask 077).

    `ends_alone`: it may be ended at any moment without harm (it makes a copy that is thrown away unless it is whole), so
    it does not outlive the connection over which it was started, where the node notices that.
    """

    command: Command
    undo: str = ""
    ends_alone: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        lines: Sequence[str],
        *,
        timeout: float = limits.CHANGE,
        undo: str = "",
        shown: str = "",
        ends_alone: bool = False,
    ) -> Action:
        """Of a script's lines, which end at the first that fails; without `shown` the lines are what is shown."""
        script = "\n".join(["set -eu", "umask 077", *lines, ""])
        return cls(Command(name, script, timeout=timeout, shown=shown or "\n".join(lines)), undo, ends_alone)

    def guarded(self, hold: str, token: str) -> Command:
        """Return the command that does nothing unless the run with `token` holds the node, and nothing else of ours runs.

        `hold` is the directory of the node's hold. Whether something runs is told by a mark beside it, which outlives the
        hold: see `busy`. The token is looked at once more when the mark is set, since the hold may have been broken between.
        """
        mine = f'[ "$(cat {quote(f"{hold}/token")} 2>/dev/null)" = {quote(token)} ] || '
        name, limit = self.command.name, self.command.timeout
        script = "\n".join(
            [
                "umask 077",
                f"{mine}exit {LOST_HOLD}",
                *busy.claim(hold, name, limit, refused=BUSY),
                f'{mine}{{ rm -f "$busy"; exit {LOST_HOLD}; }}',
                *(busy.WITH_THE_CONNECTION if self.ends_alone else ()),
                "(",
                self.command.script.rstrip("\n"),
                ")",
                "code=$?",
                *(busy.LET_GO if self.ends_alone else ()),
                'rm -f "$busy"',
                'exit "$code"',
                "",
            ]
        )
        return replace(self.command, script=script, shown=self.command.display)


@dataclass(frozen=True)
class Busy:
    """What a node said of the command of ours that runs there still: its name, and for how many seconds more it may."""

    name: str
    seconds: float


def busy_with(result: Result) -> Busy | None:
    """Who is in the way, of a result with the exit code BUSY; None for another result. Bounded, whatever the node says."""
    if result.exit_code != BUSY:
        return None
    found = re.search(r"^busy: ([A-Za-z0-9._ -]{1,60}), at most (\d{1,6}) s more$", result.error_text, re.MULTILINE)
    return Busy(found[1], float(min(int(found[2]), busy.LONGEST))) if found else Busy("a command", 120.0)
