"""`fleetrecover hosts`."""

from __future__ import annotations

import typer

from fleetrecover.cli import print_json, settings

app = typer.Typer()


@app.command()
def hosts() -> None:
    """Where and how SSH reaches each host, as `ssh -G` resolves it; connects to nothing."""
    from fleetrecover.inventory import load_fleet
    from fleetrecover.reach import document, lines, targets

    fleet = load_fleet(settings.inventory)
    reached = targets(fleet)
    if settings.json:
        print_json(document(fleet, reached))
        return
    for line in lines(fleet, reached):
        settings.out.print(line, markup=False, soft_wrap=True)
