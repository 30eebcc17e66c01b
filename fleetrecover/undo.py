"""`undo`: put everything back as it was before a run. `clean`: remove what a run kept, once the cluster is well.

Both look, plan, ask, look again under the hold, act, and look once more. Both can be interrupted and given again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from fleetrecover import limits
from fleetrecover import steps as s
from fleetrecover.apply import Applier, Events
from fleetrecover.commands import snapshots
from fleetrecover.decide import undo as u
from fleetrecover.decide.kept import Loss, check_kept
from fleetrecover.decide.rights import refuse_without_rights
from fleetrecover.errors import (
    CheckFailed,
    FleetRecoverError,
    InputError,
    Refused,
    RemoteError,
    StoppedPartWay,
    Undetermined,
    changing,
)
from fleetrecover.facts import Survey
from fleetrecover.hold import NodeHold, make_holder
from fleetrecover.journal import Journal
from fleetrecover.kept import look_at_kept
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.outcome import Outcome
from fleetrecover.recover import run_paths
from fleetrecover.remote import look_at
from fleetrecover.steps import RESTORE
from fleetrecover.survey import Reader, take_survey
from fleetrecover.verify import verify


@dataclass(frozen=True)
class Means:
    """What undo and clean need from outside. `confirm` is shown what would be done; it raises if the answer is not yes."""

    fleet: Fleet
    transport: Transport
    events: Events
    confirm: Callable[[Survey, u.UndoPlan | u.CleanPlan], None]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Undone:
    """What came of it. `outcome`: undone, cleaned, or nothing (it had been done before)."""

    run: str
    outcome: str
    nodes: tuple[str, ...]
    bytes: int = 0
    written_since: int | None = 0
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Undoer(Applier):
    """Does the steps of undo and clean, and those that they share with recover."""

    failed: dict[str, FleetRecoverError] = field(default_factory=dict)

    @singledispatchmethod
    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        return super().do(step)

    @do.register
    def _(self, step: s.PutContainerBack) -> str | None:
        done = super().do(step)
        if step.wait:
            self.let_it_answer(step.node, step.name)
        return done

    @do.register
    def _(self, step: s.ReleaseUnit) -> str | None:
        """As recover does it, but what is put back may have no quorum: then it only gets its head start."""
        done = super().do(replace(step, waits=False))
        if step.waits:
            self.let_it_answer(step.node, step.name)
        return done

    def let_it_answer(self, node: str, name: str) -> None:
        """Give the member with the most data a head start: it answers, or has ended, or the time is up."""

        def told() -> bool:
            state = self.state(node, name)
            return (state is not None and state.ended) or self.try_read(node, self.ctl(node).status()) is not None

        try:
            self.wait(told, what=f"etcd on {node} to answer", timeout=limits.HEAD_START, host=node)
        except RemoteError as error:
            self.events.note(f"{error.message}; the others are started all the same")

    @do.register
    def _(self, step: s.StartStopped) -> str:
        stopped = self.read(step.node, snapshots.restore_state(step.paths)).stopped
        names = [name for name in step.names if name in stopped]
        if names:
            self.act(step, self.rt(step.node).start_neighbours(names))
        return ", ".join(names) or "none had been stopped"

    def all_of(self, stages: tuple[s.Stage, ...]) -> None:
        """Do every stage; a node that failed is left out of what follows, the others go on."""
        for part in stages:
            rest = part.without(self.failed)
            if rest is not None:
                self.failed.update(self.stage(rest))


def undo(means: Means, wanted: str, accepted: Loss | None = None) -> Undone:
    """Put back what was before the run. `accepted` is what the operator has said may be lost by it, beside his yes.

    Raises InputError, Refused, Held before anything was changed; else StoppedPartWay.
    """
    accepted = accepted or Loss()
    survey = take_survey(means.fleet, means.transport)
    refuse_without_rights(survey.nodes)
    run = _run_meant(survey, wanted)
    survey = look_at_kept(survey, means.transport, run)
    plan = _plan(means, survey, run)
    if not plan.stages:
        return _nothing_left(plan)
    _refuse_blind(plan, accepted)
    means.confirm(survey, plan)
    journal = Journal.open(means.fleet.cluster, run)
    try:
        with _hold(means, survey, run) as held:
            again = look_at_kept(take_survey(means.fleet, means.transport), means.transport, run)
            fresh = _plan(means, again, run)
            _refuse_blind(fresh, accepted)
            if not _same(plan, fresh):
                raise Refused(
                    "the fleet changed while that was being read; nothing was changed", hint="give the command again"
                )
            journal.write("begin", command="undo", cluster=plan.cluster, survivor=plan.survivor)
            worker = _worker(means, again, held.token, journal)
            try:
                with changing():
                    worker.all_of(fresh.stages)
                    result = _judge_undo(means, fresh, worker)
            except BaseException as error:
                journal.write("end", outcome="undo-stopped", error=str(error), kind=type(error).__name__)
                raise
        journal.write("end", outcome="undone", written_since=fresh.written_since)
        return result
    finally:
        journal.close()


def _run_meant(survey: Survey, wanted: str) -> str:
    """The run's id. Raises InputError; Undetermined where it may lie on a node that cannot be looked at now."""
    away = [node.name for node in survey.nodes if not node.accessible]
    known = any(keep.run.startswith(wanted) for node in survey.nodes for keep in node.keeps)
    try:
        return u.find_run(survey, wanted)
    except InputError as error:
        if known or not away:
            raise
        raise Undetermined(
            f"{error.message}; not looked at: {', '.join(away)}; nothing was changed",
            hint="`fleetrecover survey` shows why; then give the same command again",
        ) from error


def _plan(means: Means, survey: Survey, run: str) -> u.UndoPlan:
    """Plan the undo; how far a restore has come is read from the nodes."""
    nodes = {node.name: node for node in survey.nodes if node.accessible and node.keep(run) is not None}
    states: dict[str, snapshots.RestoreState] = {}
    if any((keep := node.keep(run)) and keep.pin and keep.pin.kind == RESTORE for node in nodes.values()):

        def one(host: Host) -> snapshots.RestoreState:
            probe = snapshots.restore_state(run_paths(nodes[host.name], run))
            return Reader(host, means.transport).read(probe)

        for name, found in look_at([node.host for node in nodes.values()], one).items():
            if isinstance(found, RemoteError):
                raise Undetermined(f"{found.message}; nothing was changed", hint="give the command again") from found
            states[name] = found
    return u.make_undo(survey, run, states)


def _refuse_blind(plan: u.UndoPlan, accepted: Loss) -> None:
    """Nobody takes data out of service of which it is not known what clients wrote to it, unless that was said, too."""
    if plan.blind and not accepted.unknown:
        where = f" ({'; '.join(f'{name}: {why}' for name, why in plan.away.items())})" if plan.away else ""
        raise Refused(
            f"it cannot be told what clients have written since run {plan.run}{where}: its undo would take that out of "
            "service; nothing was changed",
            hint=f"bring {plan.survivor or 'all nodes'} back and give the command again; or, if it may be lost whatever it is: "
            f"fleetrecover undo {plan.run} --accept-loss unknown",
        )


SLACK = 1000
"""So many revisions may be written while an operator reads, without his yes being for something else."""


def _same(agreed: u.UndoPlan, fresh: u.UndoPlan) -> bool:
    """Whether what was agreed to is what would be done now."""
    more = (fresh.written_since or 0) > (agreed.written_since or 0) + SLACK
    known = fresh.written_since is not None or agreed.written_since is None
    return fresh.nodes == agreed.nodes and set(fresh.held_back) == set(agreed.held_back) and known and not more


def _nothing_left(plan: u.UndoPlan) -> Undone:
    if plan.away:
        raise StoppedPartWay(
            f"run {plan.run} is undone on every node that can be reached; what remains: "
            + "; ".join(f"{name}: {why}" for name, why in plan.away.items()),
            hint=f"when that is mended: fleetrecover undo {plan.run}",
        )
    return Undone(plan.run, "nothing", ())


def _judge_undo(means: Means, plan: u.UndoPlan, worker: Undoer) -> Undone:
    away = dict(plan.away) | {name: error.message for name, error in worker.failed.items()}
    if away:
        raise StoppedPartWay(
            f"run {plan.run} is undone on {', '.join(n for n in plan.nodes if n not in away) or 'no node'}; what remains: "
            + "; ".join(f"{name}: {why}" for name, why in away.items()),
            hint=f"when that is mended, give the same command again: fleetrecover undo {plan.run}",
        )
    wrong = u.remains(take_survey(means.fleet, means.transport, logs=False), plan.run, plan.held_back)
    if wrong:
        raise CheckFailed(
            f"everything was done, but not all is as it was: {'; '.join(wrong)}", hint="see `fleetrecover survey`"
        )
    told = tuple(f"{node}: {name} is not started: {why}" for (node, name), why in plan.held_back.items())
    told += plan.losses
    return Undone(plan.run, "undone", plan.nodes, 0, plan.written_since, tuple(worker.outcomes), told)


def clean(means: Means, wanted: str, accepted: Loss | None = None) -> Undone:
    """Remove what a run kept. `accepted` is what the operator has said may be lost by it, beside his yes.

    Raises Refused unless the run is closed, the cluster is whole and healthy, and nothing that is kept is ahead of it: before
    the question, and after it.
    """
    accepted = accepted or Loss()
    survey, run, plan = _look_to_clean(means, wanted, accepted)
    means.confirm(survey, plan)
    journal = Journal.open(means.fleet.cluster, run)
    try:
        with _hold(means, survey, run) as held:
            # what was well when the question was put may have burned down before it was answered
            survey, run, fresh = _look_to_clean(means, run, accepted)
            if set(fresh.frees) != set(plan.frees):
                raise Refused(
                    "the fleet changed while that was being read; nothing was removed", hint="give the command again"
                )
            plan = fresh
            journal.write("begin", command="clean", cluster=plan.cluster)
            worker = _worker(means, survey, held.token, journal)
            with changing():
                worker.all_of(plan.stages)
        outcome = "partial" if worker.failed else "cleaned"
        journal.write("end", outcome=outcome, bytes=plan.bytes)
    finally:
        journal.close()
    if worker.failed:
        raise StoppedPartWay(
            "not everything was removed: " + "; ".join(error.message for error in worker.failed.values()),
            hint=f"when that is mended, give the same command again: fleetrecover clean {run}",
        )
    return Undone(run, "cleaned", tuple(plan.frees), plan.bytes, None, tuple(worker.outcomes))


def _look_to_clean(means: Means, wanted: str, accepted: Loss) -> tuple[Survey, str, u.CleanPlan]:
    """A fresh look at the cluster and at what the run keeps. Raises Refused where it may still be needed."""
    survey, judgement = verify(means.fleet, means.transport)
    refuse_without_rights(survey.nodes, "nothing was removed")
    run = _run_meant(survey, wanted)
    plan = u.make_clean(survey, run)
    if not judgement.ok:
        bad = "; ".join(f"{check.name}: {check.detail}" for check in judgement.checks if not check.ok)
        raise Refused(
            f"the cluster is not whole, so what was kept may still be needed; nothing was removed ({bad})",
            hint="see `fleetrecover verify`",
        )
    survey = look_at_kept(survey, means.transport, run)
    check_kept(survey, run, accepted)
    return survey, run, plan


def _worker(means: Means, survey: Survey, token: str, journal: Journal) -> Undoer:
    return Undoer(survey, means.transport, token, journal, means.events, means.sleep, means.clock)


def _hold(means: Means, survey: Survey, run: str) -> NodeHold:
    paths = {node.name: run_paths(node, run) for node in survey.nodes}
    return NodeHold(
        means.transport,
        survey.nodes,
        lambda node: paths[node.name],
        make_holder(run),
        sleep=means.sleep,
        note=means.events.note,
    )
