"""Snapshots that the nodes take by themselves: a script on each, run by systemd, cron, or a loop where there is neither."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from fleetrecover.apply import Events
from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.base import Action
from fleetrecover.commands.snapshots import LOOP, Neighbour, Schedule, SchedulePaths, ScheduleStatus
from fleetrecover.decide.own import own_of
from fleetrecover.errors import CommandFailed, InputError, Refused, RemoteError, StoppedPartWay
from fleetrecover.facts import NodeFacts
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import fan_out, look_at
from fleetrecover.runtime import runtime_of
from fleetrecover.snapshots.rights import refuse_without_snapshots
from fleetrecover.steps import ROLLING
from fleetrecover.survey import Reader, take_survey

LATE = 2.5
"""A schedule that has had no good snapshot for so many intervals is a problem."""


@dataclass(frozen=True)
class Row:
    """One node's schedule. `rolling` is RKE's own container, if the node has one; `problem` is "" where all is well."""

    node: str
    status: ScheduleStatus | None
    rolling: Neighbour | None = None
    problem: str = ""


def schedule(fleet: Fleet, transport: Transport, events: Events, wanted: Schedule) -> tuple[Row, ...]:
    """Install it on every node that answers. Raises Refused where no node can, StoppedPartWay where one lacks it."""
    if wanted.keep_for and wanted.keep_for < wanted.every:
        raise InputError("--for is shorter than --every: each snapshot would be removed before the next one")
    survey = take_survey(fleet, transport, logs=False)
    nodes = {node.name: node for node in survey.nodes if node.accessible}
    if not nodes:
        raise Refused("no node can be reached; nothing was changed", hint="`fleetrecover survey` shows why")
    refuse_without_snapshots(fleet, transport)
    paths = SchedulePaths(fleet.etcd.snapshots)

    def one(host: Host) -> str:
        return install(fleet, transport, nodes[host.name], paths, wanted)

    found = fan_out([node.host for node in nodes.values()], one)
    failed = {name: value.message for name, value in found.items() if isinstance(value, RemoteError)}
    failed |= {n.name: n.problem.message if n.problem else "away" for n in survey.nodes if not n.accessible}
    for name, means in found.items():
        if means == LOOP:
            events.note(
                f"{name} runs neither systemd nor cron: a loop was started there, which ends at its next reboot; "
                "then run `fleetrecover snapshot schedule` again"
            )
    rows = status(fleet, transport)
    for row in rows:
        if row.rolling is not None and row.rolling.running:
            events.note(f"{row.node}: RKE's {ROLLING} runs there, too; each of the two removes only its own snapshots")
    if failed:
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise StoppedPartWay(f"not scheduled everywhere: {told}", hint="the same command again goes on")
    return rows


def install(fleet: Fleet, transport: Transport, node: NodeFacts, paths: SchedulePaths, wanted: Schedule) -> str:
    """Install it on one node; returns what runs it there. Raises CommandFailed."""
    own = own_of(fleet, node)
    if own is None or own.config is None or not own.config.data_dir or not own.data_path:
        why = own.spec_problem if own else "there is no etcd container"
        raise CommandFailed(
            node.name,
            f"no schedule: its etcd's data directory is not on the host ({why})",
            exit_code=commands.NOT_ON_HOST,
        )
    file = ".fleetrecover-scheduled"
    inside, outside = posixpath.join(own.config.data_dir, file), posixpath.join(own.data_path, file)
    rt = runtime_of(fleet, node.host)
    ctl = rt.ctl(own)
    script = rt.schedule_script(ctl, own.kept_name or own.name, inside, outside, paths, wanted)
    means = Reader(node.host, transport).read(rt.scheduler())
    action = commands.install_schedule(paths, script, means, wanted.every)
    _run(transport, node.host, action)
    return means


def unschedule(fleet: Fleet, transport: Transport) -> tuple[Row, ...]:
    """Take it away everywhere. The snapshots stay. Raises Refused, StoppedPartWay."""
    refuse_without_snapshots(fleet, transport)
    action = commands.remove_schedule(SchedulePaths(fleet.etcd.snapshots))
    found = fan_out(fleet.hosts, lambda host: _run(transport, host, action))
    failed = {name: value.message for name, value in found.items() if isinstance(value, RemoteError)}
    rows = status(fleet, transport)
    if failed:
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise StoppedPartWay(f"the schedule is still on some nodes: {told}", hint="the same command again goes on")
    return rows


def _run(transport: Transport, host: Host, action: Action) -> None:
    [result] = transport.batch(host, [action.command])
    if not result.ok:
        said = result.error_text[-300:] or f"exit code {result.exit_code}"
        raise CommandFailed(host.name, f"{action.command.name}: {said}", exit_code=result.exit_code, stderr=said)


def status(fleet: Fleet, transport: Transport) -> tuple[Row, ...]:
    """Every node's schedule, and what came of it; read only."""
    probe = commands.schedule_status(SchedulePaths(fleet.etcd.snapshots))

    def one(host: Host) -> Row:
        reader, around = Reader(host, transport), runtime_of(fleet, host).neighbours([ROLLING])
        results = reader.batch([probe, around])
        found = reader.parse(probe, results[0])
        rolling, _ = reader.attempt(around, results[1])
        return Row(host.name, found, next(iter(rolling or ()), None), problem_of(found))

    found = look_at(fleet.hosts, one)
    return tuple(
        Row(name, None, problem=value.reason) if isinstance(value, RemoteError) else value
        for name, value in found.items()
    )


def problem_of(status: ScheduleStatus) -> str:
    """What is wrong with a node's schedule; "" where nothing is, or nothing is scheduled."""
    if not status.installed:
        return ""
    if not status.means:
        return "the script is there, but nothing runs it; `fleetrecover snapshot schedule` again"
    if status.outcome == "failed":
        return f"{status.message} ({status.failures} in a row); nothing was removed"
    if status.good is not None and status.clock - status.good > LATE * max(status.every, 60):
        return f"the last good one is {(status.clock - status.good) / 60:,.0f} min old"
    return ""
