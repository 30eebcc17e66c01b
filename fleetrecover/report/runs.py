"""The list of past runs, for a terminal. Apart from the rest, which brings along all that judges and plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from fleetrecover.report.tables import Column, Row, print_table

if TYPE_CHECKING:
    from fleetrecover.journal import PastRun

_RUN_COLUMNS = (
    Column("run"),
    Column("command", 1),
    Column("begun (UTC)", 2),
    Column("outcome", 1),
    Column("survivor", 3),
    Column("cluster", 4),
    Column("ended (UTC)", 5, droppable=True),
)


def print_runs(out: Console, runs: Sequence[PastRun]) -> None:
    """Past runs, the whole id of each."""
    rows = [
        Row((r.run, r.command, moment(r.started), outcome_words(r), r.survivor or "", r.cluster, moment(r.ended or "")))
        for r in runs
    ]
    print_table(out, _RUN_COLUMNS, rows)
    if not rows:
        out.print("No run is known on this bastion.")


def moment(at: str) -> str:
    """An instant of a journal, to the second.

    >>> moment("2026-01-02T12:00:00.123Z")
    '2026-01-02 12:00:00'
    """
    return at[:19].replace("T", " ")


_OUTCOMES = {
    "step done": "one step done, goes on",
    "stopped": "stopped part-way",
    "undo-stopped": "undo stopped part-way",
    "partial": "in part; goes on",
    "check-failed": "done, check failed",
}


def outcome_words(run: PastRun) -> str:
    """How a run ended, for a person."""
    if run.outcome is None:
        return "did not end"
    of = f" ({run.members[0]} of {run.members[1]})" if run.members and run.members[0] < run.members[1] else ""
    return _OUTCOMES.get(run.outcome, run.outcome) + of
