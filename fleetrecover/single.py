"""One step at a time, for who wants to go by hand: the same plan, functions and hold as `recover`.

A step is done only if everything that comes before it in the plan is done already, so that going by hand is as safe as
`recover`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.plan import Plan, fingerprint
from fleetrecover.errors import FleetRecoverError, Refused, StoppedPartWay, UsageError, changing
from fleetrecover.facts import RESEED
from fleetrecover.journal import Journal
from fleetrecover.outcome import Outcome
from fleetrecover.recover import Recovery, hold, look

TASKS = ("fence", "keep-data", "reset", "start", "member-add", "join", "promote")
"""What can be done by itself, in the order of the runbook; each step says which of them does it."""


def do_next(means: Recovery, wish: Wish, task: str, host: str | None = None) -> tuple[Outcome, ...]:
    """Do the steps of one task that can be done now, on one host or on all.

    Returns what came of them. Raises UsageError for a task or host that is not there, Refused where something else must
    come first, nothing of that kind is left to do, or the fleet has changed meanwhile; StoppedPartWay where a step failed.
    """
    if task not in TASKS:
        raise UsageError(f"{task} is no task", hint=f"one of: {', '.join(TASKS)}")
    if host is not None and host not in {each.name for each in means.fleet.hosts}:
        raise UsageError(f"there is no host {host} in the inventory")
    survey, diagnosis, plan = look(means, wish)
    if plan is None:
        raise Refused(f"nothing is to be done: {diagnosis.why}")
    if plan.method is not None and plan.method.name == RESEED:
        # nothing may be put in place before all of it is whole, whatever fails meanwhile
        raise Refused(
            f"run {plan.run} goes by reseed, which is done as a whole; nothing was changed",
            hint="`fleetrecover recover` goes on with it; single steps are for a reset",
        )
    chosen, first = ready(plan, task, host)
    if not chosen:
        raise Refused(
            f"{task}{f' on {host}' if host else ''}: nothing can be done now",
            hint=f"first comes {first}" if first else "the plan has no such step left: see `fab plan`",
        )
    means.confirm(survey, diagnosis, plan)
    with hold(means, survey, plan) as held:
        again, _, fresh = look(means, wish, run=plan.run)
        if fresh is None or fingerprint(again, fresh) != fingerprint(survey, plan):
            raise Refused(
                "the fleet changed while the plan was being read; nothing was changed",
                hint="run the same command again",
            )
        chosen, _ = ready(fresh, task, host)
        # when the units are held, no container is made behind our back any more: then it is looked at again
        chosen = tuple(step for step in chosen if isinstance(step, s.HoldUnit)) or chosen
        journal = Journal.open(means.fleet.cluster, plan.run)
        try:
            journal.write("begin", command=f"fab {task}", cluster=fresh.cluster, survivor=fresh.survivor)
            applier = Applier(again, means.transport, held.token, journal, means.events, means.sleep, means.clock)
            with changing():
                outcomes = tuple(applier.step(step) for step in chosen)
            bad = [outcome for outcome in outcomes if outcome.error is not None]
            journal.write("end", outcome="stopped" if bad else "step done")
        finally:
            journal.close()
    if bad and bad[0].error is not None:
        with changing():
            raise stopped(task, bad[0].node, bad[0].error)
    return outcomes


def stopped(task: str, node: str, error: FleetRecoverError) -> FleetRecoverError:
    """The error that ends a task whose step has failed; one that has an exit code of its own stays what it is."""
    if error.code != FleetRecoverError.code:
        return error
    return StoppedPartWay(
        f"{task} on {node}: {error.message}",
        hint=(f"{error.hint}; " if error.hint else "")
        + "nothing was lost: what was there lies kept; the same task again goes on, or `fleetrecover undo`",
    )


def ready(plan: Plan, task: str, host: str | None) -> tuple[tuple[s.Step, ...], str]:
    """The steps of this task that nothing stands before, and the name of what stands before the others."""
    return unhindered(plan, lambda step: task in step.tasks and host in (None, step.node))


def unhindered(plan: Plan, wanted: Callable[[s.Step], bool]) -> tuple[tuple[s.Step, ...], str]:
    """The wanted steps that nothing stands before, and the name of what stands before the others.

    A step has to wait for every step of an earlier stage and for the earlier ones of its own lane; lanes do not wait
    for each other. What is a node's own affair holds up that node's steps alone, and is nothing to do by itself. Steps
    that are chosen count as done for those after them.
    """
    chosen: list[s.Step] = []
    held: dict[str, str] = {}
    for part in plan.stages:
        waiting = ""
        for lane in part.lanes:
            for step in lane:
                mine = wanted(step)
                if not mine and isinstance(step, s.OwnAffair):
                    held.setdefault(step.node, by_hand(step))
                    continue
                if not mine or step.node in held:
                    waiting = waiting or held.get(step.node, by_hand(step))
                    break
                chosen.append(step)
        if waiting:
            own_alone = all(isinstance(step, s.OwnAffair) for step in chosen)
            return () if own_alone else tuple(chosen), waiting
    return tuple(chosen), ""


def by_hand(step: s.Step) -> str:
    """What to type for a step, and what that is: a task of `fab`, or the command that does the rest."""
    typed = f"`fab {step.tasks[0]}`" if step.tasks else "`fleetrecover recover`"
    return f"{typed} ({step.words}, on {step.node})"


def what_next(plan: Plan, done: Sequence[s.Step]) -> str:
    """What to type when these steps of the plan are done."""
    left = [step for step in plan.steps if all(step is not each for each in done)]
    if left:
        return f"next: {by_hand(next((step for step in left if not isinstance(step, s.OwnAffair)), left[0]))}"
    return "every step is done; next: `fleetrecover recover` checks the result and closes the run"
