"""`fleetrecover check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetrecover.cli import print_json, reached, settings
from fleetrecover.errors import UsageError

app = typer.Typer()
READABLE = 0o644
"""node_exporter runs as a user of its own, and what the file says is no secret."""

WithoutHost = Annotated[
    str | None, typer.Option("--without", metavar="NAME", help="May this host be taken down? Says what is left then.")
]
AllIn = Annotated[
    Path | None,
    typer.Option("--all", metavar="DIR", help="Every inventory (*.toml) of this directory, a row for each cluster."),
]
Textfile = Annotated[
    Path | None,
    typer.Option(
        "--prometheus", metavar="FILE", help="Write metrics for node_exporter's textfile collector (*.prom), too."
    ),
]


@app.command()
def check(without: WithoutHost = None, every: AllIn = None, prometheus: Textfile = None) -> None:
    """On a healthy day: everything that would stop a recovery; read only. Exit code 0, 10, 11 or 12."""
    if every is not None and without is not None:
        raise UsageError("--without asks about a host of one cluster, --all about many clusters; give one of them")
    if prometheus is not None and prometheus.suffix != ".prom":
        raise UsageError(
            f"--prometheus {prometheus}: node_exporter reads files called *.prom only",
            hint=f"fleetrecover check --prometheus {prometheus.with_suffix('.prom')}",
        )
    raise typer.Exit(_many(every, prometheus) if every is not None else _single(without, prometheus))


def _single(without: str | None, prometheus: Path | None) -> int:
    from fleetrecover.checking import check as work
    from fleetrecover.report.checks import check_document, print_check
    from fleetrecover.report.metrics import Metrics

    metrics = Metrics()
    with reached() as (fleet, transport):
        report = work(fleet, transport, without)
    metrics.add(report)
    _write(metrics.text(), prometheus)
    if settings.json:
        print_json(check_document(report))
    else:
        print_check(settings.out, report)
    return report.exit_code


def _many(directory: Path, prometheus: Path | None) -> int:
    from fleetrecover import remote
    from fleetrecover.checking import check_many, worst
    from fleetrecover.report.checks import clusters_document, print_clusters
    from fleetrecover.report.metrics import Metrics

    metrics = Metrics()
    rows = check_many(directory, remote.open_transport, metrics.add)
    for row in rows:
        if not row.verdict:
            metrics.add_failure(row.cluster, row.exit_code)
    _write(metrics.text(), prometheus)
    if settings.json:
        print_json(clusters_document(rows))
    else:
        print_clusters(settings.out, rows)
    return worst(rows)


def _write(text: str, path: Path | None) -> None:
    from fleetrecover.report.files import write_private

    if path is not None:
        write_private(path, text, READABLE)
        settings.err.print(f"written to {path}", markup=False)
