"""Snapshots for the person at the terminal, and as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from fleetrecover.plain import counted
from fleetrecover.report.console import print_judgement, print_stage_title
from fleetrecover.report.document import SCHEMA
from fleetrecover.report.tables import Column, print_table, prose
from fleetrecover.report.tables import Row as TableRow
from fleetrecover.snapshots.catalogue import Catalogue, Found, Row, State
from fleetrecover.steps.words import headline

if TYPE_CHECKING:
    from fleetrecover.decide.restore import RestorePlan
    from fleetrecover.facts import Survey
    from fleetrecover.snapshots.prune import Pruning
    from fleetrecover.snapshots.restore import Report
    from fleetrecover.snapshots.save import Saved
    from fleetrecover.snapshots.schedule import Row as ScheduleRow

_COLOURS = {State.WHOLE: "green", State.UNCHECKED: "yellow", State.DAMAGED: "red", State.UNREADABLE: "red"}


def size_text(size: int) -> str:
    """Bytes for a person."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def loss_text(row: Row) -> str:
    """What a row would lose, in words."""
    loss = row.loss
    if loss is None:
        return ""
    parts = []
    if loss.revisions is not None:
        told = counted(abs(loss.revisions), "revision")
        parts.append(told if loss.revisions >= 0 else f"ahead by {told}")
    if loss.minutes is not None and loss.minutes > 0:
        parts.append(f"{loss.minutes:,.0f} min" if loss.minutes >= 1 else "under 1 min")
    return ", ".join(parts)


_CATALOGUE = (
    Column("name"),
    Column("taken (UTC)", 1),
    Column("state", 1),
    Column("would lose", 2),
    Column("revision", 3),
    Column("nodes", 3),
    Column("database", 4),
    Column("keys", 5),
    Column("kind", 6),
)


def print_catalogue(out: Console, catalogue: Catalogue) -> None:
    """One row for each distinct content, under its first name; whole names."""
    print_table(out, _CATALOGUE, [_catalogue_row(row) for row in catalogue.rows])
    if not catalogue.rows:
        out.print("No snapshots were found.")
    if catalogue.best is not None and catalogue.rows:
        best = catalogue.best
        out.print(f"Losses are against {escape(best.node)}, at revision {best.revision}.")
    for row in catalogue.rows:
        for note in row.first.notes:
            prose(out, f"Note: {row.names[0]}: {note}")
    for node, why in catalogue.problems:
        out.print(f"[red]{escape(node)} could not be looked at:[/] {escape(why)}")


def _catalogue_row(row: Row) -> TableRow:
    first, also = row.first, row.names[1:]
    cells = (
        row.names[0] + (" (newest)" if row.newest else ""),
        f"{row.time:%Y-%m-%d %H:%M:%S}",
        row.state.value,
        loss_text(row),
        "" if first.revision is None else str(first.revision),
        ", ".join(row.places),
        size_text(first.db_size or first.size),
        "" if first.keys is None else str(first.keys),
        first.kind.value if first.kind else "",
    )
    notes = [*([first.reason] if first.reason else []), *([f"also called {', '.join(also)}"] if also else [])]
    return TableRow(cells, {2: _COLOURS[row.state]}, "; ".join(notes))


def file_document(file: Found) -> dict[str, Any]:
    """One file."""
    return {"node": file.node, "path": file.path, "name": file.name, "size": file.size}


def row_document(row: Row) -> dict[str, Any]:
    """One row."""
    first = row.first
    return {
        "names": list(row.names),
        "nodes": list(row.places),
        "time": row.time.isoformat().replace("+00:00", "Z"),
        "state": row.state.value,
        "reason": first.reason or None,
        "kind": first.kind.value if first.kind else None,
        "sha256": first.identity or None,
        "size": first.db_size or first.size,
        "revision": first.revision,
        "compact_revision": first.compact_revision,
        "keys": first.keys,
        "newest": row.newest,
        "loses": None if row.loss is None else {"revisions": row.loss.revisions, "minutes": row.loss.minutes},
        "notes": list(first.notes),
        "files": [file_document(file) for file in row.files],
    }


def catalogue_document(cluster: str, catalogue: Catalogue) -> dict[str, Any]:
    """`snapshot list --json`."""
    best = catalogue.best
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "snapshots": [row_document(row) for row in catalogue.rows],
        "best": None
        if best is None
        else {
            "node": best.node,
            "revision": best.revision,
            "written": best.written.isoformat().replace("+00:00", "Z") if best.written else None,
        },
        "problems": [{"node": node, "error": why} for node, why in catalogue.problems],
    }


def print_saved(out: Console, saved: Saved) -> None:
    """A snapshot that was taken."""
    quorum = "" if saved.quorum else ", which has no quorum"
    keys = counted(saved.content.keys or 0, "key")
    out.print(
        f"{saved.name}: from {saved.source}{quorum}, revision {saved.content.revision}, {keys}, "
        f"{size_text(saved.content.size)}, packed {size_text(saved.size)}",
        markup=False,
        soft_wrap=True,
    )
    for node, why in saved.placed.items():
        told = f"{node}: not there: {why}" if why else f"{node}:{saved.path} (read back as written)"
        out.print(f"  {told}", markup=False, soft_wrap=True)
    if saved.fetched is not None:
        out.print(f"  here: {saved.fetched}", markup=False, soft_wrap=True)


def saved_document(cluster: str, saved: Saved) -> dict[str, Any]:
    """`snapshot save --json`."""
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "name": saved.name,
        "source": saved.source,
        "quorum": saved.quorum,
        "revision": saved.content.revision,
        "keys": saved.content.keys,
        "size": saved.content.size,
        "sha256": saved.content.identity,
        "file_sha256": saved.sha256,
        "path": saved.path,
        "nodes": [{"node": node, "there": not why, "error": why or None} for node, why in saved.placed.items()],
        "fetched": str(saved.fetched) if saved.fetched else None,
    }


def print_restore_plan(out: Console, survey: Survey, plan: RestorePlan, *, commands: bool) -> None:
    """Every step; with `commands` each with what it runs."""
    chosen = plan.chosen
    prose(
        out,
        f"Restore {chosen.name} (from {chosen.source}): revision {chosen.revision}, {size_text(chosen.size)}, "
        f"database {chosen.identity[:16]}…, on {', '.join(plan.targets)}",
    )
    number = 0
    for part in [*plan.stages, *([plan.closing] if plan.closing else [])]:
        print_stage_title(out, part)
        for step in part.steps:
            number += 1
            title, said = headline(step, survey.fleet)
            prose(out, f"{step.node}: {title}", first=f" {number:3}. ", then=" " * 6)
            for line in (line for command in said.commands if commands for line in command.splitlines()):
                out.print(f"        [dim]{escape(line)}[/]", soft_wrap=True)
            if commands and said.undo:
                out.print(f"        undo:   {escape(said.undo)}", soft_wrap=True)
    for name, why in plan.left_out.items():
        prose(out, f"Left out: {name}: {why}")
    for note in plan.notes:
        prose(out, f"Note: {note}")


def print_restored(out: Console, report: Report) -> None:
    """What a restore did."""
    out.print(f"\n[bold]Run {report.run}: {report.outcome}[/]")
    print_judgement(out, report.judgement)
    if report.trial is not None:
        out.print(f"  in its trial the snapshot had revision {report.trial.revision}, hash {report.trial.hash}")
    out.print(
        f"  writable after {report.seconds_to_writable} s, whole after {report.seconds_to_whole} s, revision "
        f"{report.judgement.revision}"
    )
    prose(
        out,
        f"the old data lies kept on the nodes; when you are sure, this removes it: `fleetrecover clean {report.run}`",
        first="  ",
    )


def restored_document(cluster: str, report: Report) -> dict[str, Any]:
    """`snapshot restore --json`."""
    trial = report.trial
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "run": report.run,
        "outcome": report.outcome,
        "snapshot": {
            "name": report.plan.chosen.name,
            "sha256": report.plan.chosen.identity,
            "revision": report.plan.chosen.revision,
            "hash": trial.hash if trial else None,
            "compact_revision": trial.compact_revision if trial else None,
        },
        "revision_after": report.judgement.revision,
        "revision_raised_by": report.plan.bump,
        "hash_equal": report.judgement.hash_equal,
        "members": list(report.judgement.members),
        "left_out": dict(report.plan.left_out),
        "seconds_to_writable": report.seconds_to_writable,
        "seconds_to_whole": report.seconds_to_whole,
        "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in report.judgement.checks],
        "steps": [
            {
                "step": outcome.step,
                "node": outcome.node,
                "seconds": outcome.seconds,
                "detail": outcome.detail,
                "error": outcome.error.message if outcome.error else None,
            }
            for outcome in report.outcomes
        ],
    }


_SCHEDULE = (
    Column("node"),
    Column("schedule", 1),
    Column("run by", 5),
    Column("last", 2),
    Column("newest good", 3),
    Column("RKE's own", 4),
)


def print_schedule(out: Console, rows: Sequence[ScheduleRow]) -> None:
    """One row a node."""
    print_table(out, _SCHEDULE, [_schedule_row(row) for row in rows])


def _schedule_row(row: ScheduleRow) -> TableRow:
    status = row.status
    rolling = "" if row.rolling is None else row.rolling.state
    if status is None or not status.installed:
        return TableRow((row.node, "none" if status else "", "", "", "", rolling), note=row.problem)
    limit = f", for {duration(status.keep_for)}" if status.keep_for else ""
    wanted = f"every {duration(status.every)}, keep {status.keep}{limit}"
    last = "" if status.last is None else f"{duration(status.clock - status.last)} ago: {status.outcome}"
    good = "" if status.good is None else f"{duration(status.clock - status.good)} ago: {status.name}"
    return TableRow((row.node, wanted, status.means, last, good, rolling), note=row.problem)


def duration(seconds: float) -> str:
    """Seconds for a person.

    >>> duration(43200), duration(90), duration(5)
    ('12 h', '90 s', '5 s')
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def schedule_document(cluster: str, rows: Sequence[ScheduleRow]) -> dict[str, Any]:
    """`snapshot status --json`. Times in seconds since the epoch, of the node's clock."""
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "nodes": [
            {
                "node": row.node,
                "problem": row.problem or None,
                "rolling": None if row.rolling is None else row.rolling.state,
                **(
                    {"installed": None}
                    if row.status is None
                    else {
                        "installed": row.status.installed,
                        "means": row.status.means or None,
                        "every": row.status.every,
                        "keep": row.status.keep,
                        "for": row.status.keep_for or None,
                        "last": row.status.last,
                        "outcome": row.status.outcome or None,
                        "message": row.status.message or None,
                        "good": row.status.good,
                        "name": row.status.name or None,
                        "failures": row.status.failures,
                    }
                ),
            }
            for row in rows
        ],
    }


def print_pruning(out: Console, rows: Sequence[Row], word: str = "superfluous") -> None:
    """What is to go, before it is asked."""
    for row in rows:
        out.print(f"{word}: {row.names[0]} on {', '.join(row.places)}", markup=False, soft_wrap=True)


def print_pruned(out: Console, pruning: Pruning) -> None:
    """What came of it."""
    files = sum(len(row.files) for row in pruning.rows)
    told = (
        f"removed: {counted(len(pruning.rows), 'snapshot')}, {counted(files, 'file')}"
        if pruning.rows
        else "nothing removed"
    )
    out.print(f"{told}; {counted(len(pruning.kept), 'snapshot')} kept", markup=False, soft_wrap=True)


def pruned_document(cluster: str, pruning: Pruning) -> dict[str, Any]:
    """`snapshot prune --json`."""
    return {
        "schema": SCHEMA,
        "cluster": cluster,
        "removed": [row_document(row) for row in pruning.rows],
        "kept": [row_document(row) for row in pruning.kept],
    }
