"""`fleetrecover support`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleetrecover.cli import print_json, settings
from fleetrecover.cli_runs import Run

app = typer.Typer()


@app.command()
def support(
    run: Run,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write it; else ./fleetrecover-RUN.tar.gz."),
    ] = None,
) -> None:
    """One archive of what a run did, without names and addresses, for whoever is to help. Asks no node."""
    from fleetrecover.journal import find_run
    from fleetrecover.report.files import write_private_bytes
    from fleetrecover.support import files_of, packed

    journal = find_run(run)
    files = files_of(journal)
    target = output or Path(f"fleetrecover-{journal.stem}.tar.gz")
    write_private_bytes(target, packed(journal.stem, files))
    if settings.json:
        print_json({"schema": 1, "run": journal.stem, "file": str(target), "files": list(files)})
    else:
        settings.out.print(f"written to {target}: {', '.join(files)}", markup=False, soft_wrap=True)
