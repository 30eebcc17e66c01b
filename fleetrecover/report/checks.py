"""What `check` says: to a person on a terminal, and to a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from fleetrecover.checking import Cluster
from fleetrecover.checks.table import CheckReport
from fleetrecover.decide.finding import Severity
from fleetrecover.plain import counted
from fleetrecover.report.document import finding_document
from fleetrecover.report.tables import Column, Row, print_table, prose

_MARK = {Severity.ERROR: ("BAD ", "red"), Severity.WARNING: ("BAD ", "yellow"), Severity.INFO: ("note", "")}


def print_check(out: Console, report: CheckReport) -> None:
    """One line a check, what it found below it; the answer last, right above the prompt."""
    for each in report.checked:
        prose(out, f"{'ok ' if each.ok else 'BAD'} {each.check.title}", style="" if each.ok else "bold")
        for found in each.findings:
            mark, style = _MARK[found.severity]
            prose(out, found.message, first=f"    {mark} ", then=" " * 9, style=style)
            if found.advice and found.severity is not Severity.INFO:
                prose(out, found.advice, first=" " * 9 + "→ ", then=" " * 11)
    if report.without is not None:
        prose(out, report.without.sentence, style="" if report.without.allowed else "bold red")
    prose(out, summary(report), style="" if report.ok else "bold")


def summary(report: CheckReport) -> str:
    """The answer in one line."""
    bad = [found for found in report.findings if found.severity is not Severity.INFO]
    hosts = counted(len(report.observed.survey.nodes), "host")
    if not bad:
        return f"{report.verdict.value}: nothing on {hosts} would stop a recovery"
    verb = "stands" if len(bad) == 1 else "stand"
    return f"{report.verdict.value}: {counted(len(bad), 'thing')} on {hosts} {verb} in a recovery's way"


def check_document(report: CheckReport) -> dict[str, Any]:
    """`check --json`."""
    asked = report.without
    return {
        "schema": 1,
        "cluster": report.observed.survey.fleet.cluster,
        "verdict": report.verdict.value,
        "ok": report.ok,
        "exit_code": report.exit_code,
        "checks": [
            {
                "name": each.check.name,
                "title": each.check.title,
                "ok": each.ok,
                "findings": [finding_document(found) for found in each.findings],
            }
            for each in report.checked
        ],
        "without": None
        if asked is None
        else asdict(asked) | {"recoverable": asked.recoverable, "provable": asked.provable, "why": asked.sentence},
    }


def print_clusters(out: Console, rows: Sequence[Cluster]) -> None:
    """One row a cluster, and how many are well."""
    columns = (Column("cluster"), Column("verdict"), Column("errors", 1), Column("warnings", 1), Column("first", 2))
    table = [
        Row(
            (row.cluster, row.verdict or "not judged", str(row.errors), str(row.warnings), row.error or row.first),
            {1: "red"} if row.exit_code else {},
        )
        for row in rows
    ]
    print_table(out, columns, table)
    well = sum(row.exit_code == 0 for row in rows)
    prose(out, f"{well} of {counted(len(rows), 'cluster')}: nothing would stop a recovery")


def clusters_document(rows: Sequence[Cluster]) -> dict[str, Any]:
    """`check --all --json`."""
    return {"schema": 1, "clusters": [asdict(row) for row in rows]}
