"""`report`, `undo` and `clean`: what can be told of a run that was, and done with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetrecover.cli import Yes, ask, print_json, reached, settings
from fleetrecover.decide.run_names import LAST
from fleetrecover.errors import UsageError
from fleetrecover.plain import counted

app = typer.Typer()

_RUN_HELP = "The run's id, or enough of it: its beginning, or its last four characters; see `fleetrecover runs`."
Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN_HELP)]
MaybeRun = Annotated[str | None, typer.Argument(metavar="RUN", help=_RUN_HELP)]


AcceptLoss = Annotated[
    str | None,
    typer.Option(
        "--accept-loss",
        metavar="N|unknown",
        help="What may be lost by this, beside the yes: so many revisions, or `unknown` where it cannot be told.",
    ),
]


@app.command()
def undo(
    run: MaybeRun = None,
    last: Annotated[bool, typer.Option("--last", help="The youngest run that is not undone.")] = False,
    yes: Yes = None,
    accept_loss: AcceptLoss = None,
) -> None:
    """Put everything back as it was before a run: containers, restart policies, data. The same command again resumes."""
    from fleetrecover.report.tables import prose
    from fleetrecover.undo import undo as work

    wanted = _one(run, LAST if last else None, "--last")
    accepted = _accepted(accept_loss)
    with reached() as (fleet, transport):
        done = work(_means(fleet, transport, yes), wanted, accepted)
    if settings.json:
        print_json(_document(done))
    elif done.outcome == "nothing":
        settings.out.print(f"Nothing to do: run {done.run} is undone.", markup=False)
    else:
        settings.out.print(
            f"Run {done.run} is undone on {', '.join(done.nodes)}: all is as it was before.", markup=False
        )
        for note in done.notes:
            prose(settings.out, f"But {note}.")
        if done.written_since:
            prose(
                settings.out,
                f"{counted(done.written_since, 'revision')} written since {'is' if done.written_since == 1 else 'are'} not in "
                "the cluster any more; what was written lies kept, below withdrawn/ in the run's directory.",
            )


@app.command()
def clean(
    run: MaybeRun = None,
    finished: Annotated[bool, typer.Option("--finished", help="Every run that is finished or undone.")] = False,
    yes: Yes = None,
    accept_loss: AcceptLoss = None,
) -> None:
    """Remove what a run kept aside, once the cluster is whole; says how much space that frees."""
    from fleetrecover.report.tables import prose
    from fleetrecover.undo import clean as work

    wanted = _one(run, "" if finished else None, "--finished")
    accepted = _accepted(accept_loss)
    with reached() as (fleet, transport):
        runs = [wanted] if wanted else _closed(fleet, transport)
        means = _means(fleet, transport, yes, of=runs)
        done = [work(means, each, accepted) for each in runs]
    if settings.json:
        print_json(_document(done[0]) if wanted else {"schema": 1, "runs": [_document(each) for each in done]})
        return
    for each in done:
        prose(settings.out, f"What run {each.run} had kept is removed: {each.bytes / 1e6:,.1f} MB freed.")
    if not done:
        prose(settings.out, "Nothing to do: no run that is finished or undone keeps anything.")


def _one(run: str | None, instead: str | None, option: str) -> str:
    """Either the run that was named, or what the option stands for. Raises UsageError for none and for both."""
    if (run is None) == (instead is None):
        raise UsageError(f"name one RUN, or give {option}", hint="`fleetrecover runs` lists them")
    return run if run is not None else instead or ""


def _closed(fleet: Any, transport: Any) -> list[str]:
    from fleetrecover.decide.rights import refuse_without_rights
    from fleetrecover.decide.undo import closed_runs
    from fleetrecover.survey import take_survey

    survey = take_survey(fleet, transport, logs=False)
    refuse_without_rights(survey.nodes, "nothing was removed")
    return list(closed_runs(survey))


@app.command()
def report(
    run: Run,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one HTML file, for the post-mortem.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write it as Markdown, for a ticket.")
    ] = None,
) -> None:
    """What one run did, from this bastion's journal: found, decided, done, checked. Asks no node."""
    from fleetrecover.journal import find_run, read_events
    from fleetrecover.report import markdown as ticket
    from fleetrecover.report import story
    from fleetrecover.report.console import print_story
    from fleetrecover.report.files import write_private
    from fleetrecover.report.html import render

    journal = find_run(run)
    told = story.tell(journal.stem, journal.parent.name, read_events(journal))
    for path, text in ((html, render), (markdown, ticket.render)):
        if path is not None:
            write_private(path, text(told))
            settings.err.print(f"written to {path}", markup=False)
    if settings.json:
        print_json(story.document(told))
    elif html is None and markdown is None:
        print_story(settings.out, told)


def _accepted(told: str | None) -> Any:
    """What `--accept-loss` says. Raises UsageError."""
    from fleetrecover.decide.kept import Loss

    if told is None:
        return Loss()
    if told == "unknown":
        return Loss(unknown=True)
    if told.isascii() and told.isdigit():
        return Loss(most=int(told))
    raise UsageError(f"--accept-loss {told}: give a number of revisions, or the word unknown")


def _means(fleet: Any, transport: Any, yes: str | None, of: Sequence[str] = ()) -> Any:
    """What undo and clean need. Several runs are confirmed with one answer: all of them are named before it."""
    from fleetrecover.report.tables import prose
    from fleetrecover.undo import Means

    asked: list[str] = []

    def confirm(survey: Any, plan: Any) -> None:
        if len(of) > 1 and not asked:
            prose(settings.err, f"{len(of)} runs are cleaned, one after another: {', '.join(of)}")
        _show(survey, plan)
        if not asked:
            ask(plan.cluster, yes)
            asked.extend(of[1:])

    return Means(fleet, transport, settings.events(fleet), confirm)


def _show(survey: Any, plan: Any) -> None:
    """What would be done, the dangers last."""
    from fleetrecover.decide.undo import CleanPlan
    from fleetrecover.report.tables import prose
    from fleetrecover.steps.words import headline

    err = settings.err
    for part in plan.stages:
        err.print(f"{part.title}:", markup=False)
        for step in part.steps:
            title, said = headline(step, survey.fleet)
            prose(err, f"{step.node}: {title}", first="   ", then=" " * 7)
            for command in said.commands if settings.verbose else ():
                err.print(f"      {command}", markup=False, soft_wrap=True)
    if isinstance(plan, CleanPlan):
        told = ", ".join(f"{size / 1e6:,.1f} MB on {name}" for name, size in plan.frees.items())
        for note in plan.notes:
            prose(err, f"Note: {note}")
        prose(err, f"This frees {plan.bytes / 1e6:,.1f} MB ({told}). It cannot be taken back.")
    else:
        for warning in plan.warnings:
            prose(err, f"WARNING: {warning}", style="bold red")


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
