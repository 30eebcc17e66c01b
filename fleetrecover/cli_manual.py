"""`fleetrecover completion` and `fleetrecover manual`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleetrecover.errors import UsageError

app = typer.Typer()


@app.command()
def completion(shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """The script with which a shell completes the commands and options, on stdout."""
    from fleetrecover import manual

    if shell not in manual.SHELLS:
        raise UsageError(f"{shell}: no completion is made for it", hint=f"one of {', '.join(manual.SHELLS)}")
    sys.stdout.write(manual.completion(shell))


@app.command("manual")
def manual_() -> None:
    """The manual page, on stdout: `fleetrecover manual | man -l -`."""
    from fleetrecover import manual

    sys.stdout.write(manual.page())
