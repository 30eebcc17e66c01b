"""`report`, `undo` and `clean`: what can be told of a run that was, and done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fleetrecover.cli import Yes, ask, print_json, reached, settings

app = typer.Typer()

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="The run's id, or the beginning of it; see `fleetrecover runs`.")
]


AcceptLoss = Annotated[
    str | None,
    typer.Option(
        "--accept-loss",
        metavar="N|unknown",
        help="What may be lost by this, beside the yes: so many revisions, or `unknown` where it cannot be told.",
    ),
]


@app.command()
def undo(run: Run, yes: Yes = None, accept_loss: AcceptLoss = None) -> None:
    """Put everything back as it was before a run: containers, restart policies, data. The same command again resumes."""
    from fleetrecover.undo import undo as work

    accepted = _accepted(accept_loss)
    with reached() as (fleet, transport):
        done = work(_means(fleet, transport, yes), run, accepted)
    if settings.json:
        print_json(_document(done))
    elif done.outcome == "nothing":
        settings.out.print(f"Nothing to do: run {done.run} is undone.", markup=False)
    else:
        settings.out.print(
            f"Run {done.run} is undone on {', '.join(done.nodes)}: all is as it was before.", markup=False
        )
        for note in done.notes:
            settings.out.print(f"But {note}.", markup=False, soft_wrap=True)
        if done.written_since:
            settings.out.print(
                f"{done.written_since} revisions that were written since are not in the cluster any more; they lie kept, "
                "below withdrawn/ in the run's directory.",
                markup=False,
            )


@app.command()
def clean(run: Run, yes: Yes = None, accept_loss: AcceptLoss = None) -> None:
    """Remove what a run kept aside, once the cluster is whole; says how much space that frees."""
    from fleetrecover.undo import clean as work

    accepted = _accepted(accept_loss)
    with reached() as (fleet, transport):
        done = work(_means(fleet, transport, yes), run, accepted)
    if settings.json:
        print_json(_document(done))
    else:
        settings.out.print(f"What run {done.run} had kept is removed: {done.bytes / 1e6:,.1f} MB freed.", markup=False)


@app.command()
def report(
    run: Run,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one HTML file, for the post-mortem.")
    ] = None,
) -> None:
    """What one run did, from this bastion's journal: found, decided, done, checked. Asks no node."""
    from fleetrecover.journal import find_run, read_events
    from fleetrecover.report import story
    from fleetrecover.report.console import print_story
    from fleetrecover.report.files import write_private
    from fleetrecover.report.html import render

    path = find_run(run)
    told = story.tell(path.stem, path.parent.name, read_events(path))
    if html is not None:
        write_private(html, render(told))
        settings.err.print(f"written to {html}", markup=False)
    if settings.json:
        print_json(story.document(told))
    elif html is None:
        print_story(settings.out, told)


def _accepted(told: str | None) -> Any:
    """What `--accept-loss` says. Raises UsageError."""
    from fleetrecover.decide.kept import Loss
    from fleetrecover.errors import UsageError

    if told is None:
        return Loss()
    if told == "unknown":
        return Loss(unknown=True)
    if told.isascii() and told.isdigit():
        return Loss(most=int(told))
    raise UsageError(f"--accept-loss {told}: give a number of revisions, or the word unknown")


def _means(fleet: Any, transport: Any, yes: str | None) -> Any:
    from fleetrecover.report.console import ConsoleEvents
    from fleetrecover.undo import Means

    events = ConsoleEvents(settings.err, verbose=settings.verbose)
    return Means(fleet, transport, events, lambda survey, plan: _confirm(survey, plan, yes))


def _confirm(survey: Any, plan: Any, yes: str | None) -> None:
    """Show what would be done, the dangers first, and want the cluster's name."""
    from fleetrecover.decide.explain import explain
    from fleetrecover.decide.undo import CleanPlan

    err = settings.err
    for part in plan.stages:
        err.print(f"{part.title}:", markup=False)
        for step in part.steps:
            said = explain(step, survey.fleet.etcd.cli)
            err.print(f"   {step.node}: {said.title}", markup=False, soft_wrap=True)
            for command in said.commands if settings.verbose else ():
                err.print(f"      {command}", markup=False, soft_wrap=True)
    if isinstance(plan, CleanPlan):
        told = ", ".join(f"{size / 1e6:,.1f} MB on {name}" for name, size in plan.frees.items())
        for note in plan.notes:
            err.print(f"Note: {note}", markup=False, soft_wrap=True)
        err.print(f"This frees {plan.bytes / 1e6:,.1f} MB ({told}). It cannot be taken back.", markup=False)
    else:
        for warning in plan.warnings:
            err.print(f"WARNING: {warning}", style="bold red", markup=False, soft_wrap=True)
    ask(plan.cluster, yes)


def _document(done: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "run": done.run,
        "outcome": done.outcome,
        "nodes": list(done.nodes),
        "bytes": done.bytes,
        "written_since": done.written_since,
        "notes": list(done.notes),
        "steps": [
            {"step": o.step, "node": o.node, "seconds": o.seconds, "detail": o.detail, "ok": o.ok}
            for o in done.outcomes
        ],
    }
