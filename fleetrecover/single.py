"""One step at a time, for who wants to go by hand: the same plan, functions and hold as `recover`.

A step is done only if everything that comes before it in the plan is done already, so that going by hand is as safe as
`recover`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetrecover.apply import Applier
from fleetrecover.decide import steps as s
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.plan import Plan
from fleetrecover.errors import Refused, UsageError
from fleetrecover.journal import Journal
from fleetrecover.outcome import Outcome
from fleetrecover.recover import Recovery, hold, look

KINDS: dict[str, tuple[type[s.Step], ...]] = {
    "fence": (s.OpenRun, s.Fence),
    "keep-data": (s.KeepData, s.KeepElsewhere),
    "reset": (s.CopyData, s.RaiseCommit, s.Quarantine, s.Adopt),
    "start": (s.RemoveLeftover, s.StartOriginal, s.StartRebuilt, s.AwaitQuorum, s.RestorePolicy),
    "member-add": (s.EnsureImage, s.CheckFiles, s.RemoveMember, s.UpdateMember, s.AddMember),
    "join": (s.EnsureImage, s.CheckFiles, s.Join),
    "promote": (s.Promote,),
}
"""What each task does, as kinds of steps."""


def do_next(means: Recovery, wish: Wish, task: str, host: str | None = None) -> tuple[Outcome, ...]:
    """Do the steps of one task that can be done now, on one host or on all.

    Returns what came of them. Raises UsageError for a task or host that is not there, Refused where something else must
    come first or nothing of that kind is left to do.
    """
    if task not in KINDS:
        raise UsageError(f"{task} is no task", hint=f"one of: {', '.join(KINDS)}")
    if host is not None and host not in {each.name for each in means.fleet.hosts}:
        raise UsageError(f"there is no host {host} in the inventory")
    survey, diagnosis, plan = look(means, wish)
    if plan is None:
        raise Refused(f"nothing is to be done: {diagnosis.why}")
    chosen, first = ready(plan, KINDS[task], host)
    if not chosen:
        raise Refused(
            f"{task}{f' on {host}' if host else ''}: nothing can be done now",
            hint=f"first comes {first}" if first else "the plan has no such step left: see `fab plan`",
        )
    means.confirm(survey, diagnosis, plan)
    with hold(means, survey, plan) as held:
        journal = Journal.open(means.fleet.cluster, plan.run)
        try:
            journal.write("begin", command=f"fab {task}", cluster=plan.cluster, survivor=plan.survivor)
            applier = Applier(survey, means.transport, held.token, journal, means.events, means.sleep, means.clock)
            outcomes = tuple(applier.step(step) for step in chosen)
            bad = [outcome for outcome in outcomes if outcome.error is not None]
            journal.write("end", outcome="stopped" if bad else "step done")
        finally:
            journal.close()
    if bad and bad[0].error is not None:
        raise bad[0].error
    return outcomes


def ready(plan: Plan, kinds: Sequence[type[s.Step]], host: str | None) -> tuple[tuple[s.Step, ...], str]:
    """The steps of these kinds that nothing stands before, and the name of what stands before the others.

    A step has to wait for every step of an earlier stage and for the earlier ones of its own lane; lanes do not wait
    for each other. Steps that are chosen count as done for those after them.
    """
    chosen: list[s.Step] = []
    for part in plan.stages:
        waiting = ""
        for lane in part.lanes:
            for step in lane:
                wanted = isinstance(step, tuple(kinds)) and host in (None, step.node)
                if not wanted:
                    waiting = waiting or f"{type(step).__name__} on {step.node}"
                    break
                chosen.append(step)
        if waiting:
            return tuple(chosen), waiting
    return tuple(chosen), ""
