"""`fleetrecover snapshot …`: what was asked for on stdout, the story on stderr."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fleetrecover.cli import Dead, Yes, ask, print_json, reached, settings
from fleetrecover.cli_group import Group
from fleetrecover.errors import Degraded, Refused, Undetermined, UsageError

if TYPE_CHECKING:
    from fleetrecover.report.bars import Bars
    from fleetrecover.snapshots.prune import Pruning

app = typer.Typer(
    help="Snapshots: list, save, restore, and take them regularly.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    cls=Group,
)

Local = Annotated[Path | None, typer.Option("--local", metavar="DIR", help="Look in this directory here, too.")]

_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str, option: str) -> int:
    """Seconds of `90s`, `30m`, `12h`, `3d`. Raises UsageError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{option} {text}: not a length of time", hint="give it as 30m, 12h or 3d")
    return int(match[1]) * _UNITS[match[2]]


def progress_shown() -> AbstractContextManager[Bars]:
    """Bars for the transfers of a command."""
    from fleetrecover.report.bars import shown

    return shown(settings.err)


@app.command("list")
def list_(
    local: Local = None,
    loss: Annotated[
        bool, typer.Option("--loss/--no-loss", help="Reckon what each would lose; needs a look at the cluster.")
    ] = True,
) -> None:
    """Every snapshot on every node: one row for each distinct content; read only."""
    from fleetrecover.report.snapshots import catalogue_document, print_catalogue
    from fleetrecover.report.tables import prose
    from fleetrecover.snapshots.listing import list_snapshots
    from fleetrecover.survey import take_survey

    with reached() as (fleet, transport), progress_shown() as progress:
        survey = take_survey(fleet, transport) if loss else None
        found = list_snapshots(fleet, transport, local, survey=survey, progress=progress)
    if settings.json:
        print_json(catalogue_document(fleet.cluster, found))
    else:
        print_catalogue(settings.out, found)
    if {node for node, _ in found.problems} >= {host.name for host in fleet.hosts}:
        prose(
            settings.err,
            "no node could be looked at, so it is not known what there is: `fleetrecover diagnose` says more",
        )
        raise typer.Exit(Undetermined.code)


@app.command()
def save(
    name: Annotated[str | None, typer.Argument(help="Its name; else rke_etcd_snapshot_TIME.")] = None,
    fetch: Annotated[Path | None, typer.Option("--fetch", metavar="DIR", help="Bring a copy here.")] = None,
) -> None:
    """Take a snapshot now, with or without quorum, and put it on every node that answers."""
    from fleetrecover.errors import StoppedPartWay
    from fleetrecover.report.snapshots import print_saved, saved_document
    from fleetrecover.snapshots.save import save as take

    with reached() as (fleet, transport), progress_shown() as progress:
        events = settings.events(fleet)
        saved = take(fleet, transport, events, name, fetch_to=fetch, progress=progress)
    if settings.json:
        print_json(saved_document(fleet.cluster, saved))
    else:
        print_saved(settings.out, saved)
    missing = {node: why for node, why in saved.placed.items() if why}
    if missing:
        told = "; ".join(f"{node}: {why}" for node, why in missing.items())
        raise StoppedPartWay(
            f"the snapshot {saved.name} is good, but it is not on every node: {told}",
            hint="when that is mended, `fleetrecover snapshot save` takes another",
        )


@app.command()
def restore(
    snapshot: Annotated[str, typer.Argument(metavar="NAME-OR-FILE", help="A name from the list, or a file here.")],
    dead: Dead = None,
    yes: Yes = None,
    local: Local = None,
    replace_living: Annotated[
        bool, typer.Option("--replace-living", help="Restore although the cluster serves: its newer writes go.")
    ] = False,
    other_cluster: Annotated[
        bool, typer.Option("--other-cluster", help="Restore although the snapshot is of another cluster's members.")
    ] = False,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="FILE", help="`docker inspect` of an etcd container, where no node has one."),
    ] = None,
) -> None:
    """Restore a snapshot on all nodes, proven first in quarantine. The same command again resumes."""
    from fleetrecover.report.snapshots import print_restore_plan, print_restored, restored_document
    from fleetrecover.snapshots.restore import Means, Wanted
    from fleetrecover.snapshots.restore import restore as run

    with reached() as (fleet, transport), progress_shown() as progress:

        def confirm(survey: Any, plan: Any) -> None:
            progress.stop()
            print_restore_plan(settings.err, survey, plan, commands=settings.verbose)
            ask(fleet.cluster, yes)

        means = Means(fleet, transport, settings.events(fleet), confirm, progress)
        report = run(means, Wanted(snapshot, frozenset(dead or ()), local, replace_living, like, other_cluster))
    if settings.json:
        print_json(restored_document(fleet.cluster, report))
    else:
        print_restored(settings.out, report)


@app.command()
def schedule(
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Time between two: 30m, 12h, 1d.")] = "12h",
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many to keep on each node.")] = 6,
    keep_for: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Remove those that are older; never the newest.")
    ] = None,
) -> None:
    """Have every node take snapshots regularly; nothing has to run here."""
    from fleetrecover.commands.snapshots import Schedule
    from fleetrecover.snapshots import schedule as flow

    wanted = Schedule(seconds(every, "--every"), keep, seconds(keep_for, "--for") if keep_for else 0)
    with reached() as (fleet, transport):
        events = settings.events(fleet)
        found = flow.schedule(fleet, transport, events, wanted)
    _show_schedule(fleet.cluster, found)


@app.command()
def unschedule() -> None:
    """Take the schedule away from every node; the snapshots stay."""
    from fleetrecover.snapshots import schedule as flow

    with reached() as (fleet, transport):
        found = flow.unschedule(fleet, transport)
    _show_schedule(fleet.cluster, found)


@app.command()
def status() -> None:
    """What every node has scheduled and what came of it; read only. Exit code 10 where a schedule fails, 12 unknown."""
    from fleetrecover.snapshots import schedule as flow

    with reached() as (fleet, transport):
        found = flow.status(fleet, transport)
    _show_schedule(fleet.cluster, found)
    if all(row.status is None for row in found):
        raise typer.Exit(Undetermined.code)
    raise typer.Exit(Degraded.code if any(row.problem for row in found) else 0)


def _show_schedule(cluster: str, found: Any) -> None:
    from fleetrecover.report.snapshots import print_schedule, schedule_document

    if settings.json:
        print_json(schedule_document(cluster, found))
    else:
        print_schedule(settings.out, found)


@app.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many whole ones to keep, by content.")] = 6,
    keep_for: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Of the rest, keep those that are younger.")
    ] = None,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Those that somebody gave a name, too; else they are asked for apart.")
    ] = False,
    yes: Yes = None,
) -> None:
    """Remove what is superfluous: only whole snapshots, only with quorum, never the newest ones."""
    from fleetrecover.report.snapshots import print_pruned, print_pruning, pruned_document
    from fleetrecover.snapshots import prune as flow

    with reached() as (fleet, transport), progress_shown() as progress:
        plan = flow.plan(fleet, transport, keep, seconds(keep_for, "--for") if keep_for else 0, progress)
        progress.stop()
        plan = plan.with_named() if by_hand else plan
        if plan.rows:
            print_pruning(settings.err, plan.rows)
            ask(fleet.cluster, yes)
        plan = named_too(fleet.cluster, plan, yes)
        flow.apply(fleet, transport, plan)
    if settings.json:
        print_json(pruned_document(fleet.cluster, plan))
    else:
        print_pruned(settings.out, plan)


def named_too(cluster: str, plan: Pruning, yes: str | None) -> Pruning:
    """Ask apart for those that somebody has named: whoever gave a name to a snapshot wanted to find it again."""
    from fleetrecover.report.snapshots import print_pruning

    if not plan.by_hand:
        return plan
    print_pruning(settings.err, plan.by_hand, "named by hand, and superfluous")
    if yes is not None or not sys.stdin.isatty():
        settings.err.print("these stay; --by-hand removes them, too", markup=False)
        return plan.without_named()
    try:
        ask(cluster, None)
    except Refused:
        return plan.without_named()
    return plan.with_named()
