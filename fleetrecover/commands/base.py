"""Reads and writes as different types: a dry run holds no Action, so it cannot write.

A Probe may be repeated freely. An Action is never repeated without looking at the node first; its script is guarded by
the run's hold, so that a controller that was asleep while another one took over can no longer write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from fleetrecover.answers import understood
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
    """A write. `undo` says, for a person, how it is taken back. What it makes is for the login user alone (umask 077)."""

    command: Command
    undo: str = ""

    def guarded(self, hold: str, token: str) -> Command:
        """Return the command that does nothing unless the run with `token` holds the node, and nothing else of ours runs.

        `hold` is the directory of the node's hold. A process number is told from a later process of the same number by
        its start time, field 22 of /proc/PID/stat.
        """
        token_file, busy = quote(f"{hold}/token"), quote(f"{hold}/busy")
        guard = (
            f'umask 077\n[ "$(cat {token_file} 2>/dev/null)" = {quote(token)} ] || exit {LOST_HOLD}\n'
            'born() { sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null | cut -d" " -f20; }\n'
            f"other=$(cat {busy} 2>/dev/null) || other=\n"
            f'if [ -n "$other" ] && [ "$(born "${{other%%-*}}")" = "${{other##*-}}" ]; then exit {BUSY}; fi\n'
            f'echo "$$-$(born $$)" > {busy}\n'
        )
        return replace(self.command, script=guard + self.command.script, shown=self.command.display)
