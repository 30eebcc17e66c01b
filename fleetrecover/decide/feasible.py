"""PURE: whether `recover` would really do what a diagnosis promises: its plan is made, and what would be refused is a finding.

A command that is advised and then refused, or finds nothing to do, leads round in a ring.
"""

from __future__ import annotations

from dataclasses import replace

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Wish
from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.errors import Refused
from fleetrecover.facts import Survey

REFUSED = "refused"
LEFT_OUT = "left-out"
_PROMISE = "`fleetrecover recover`"
_OURS = frozenset(
    {"run-open", "force-flag", "leftover-container", "renamed-container", "returned-member", "wrong-host"}
)
"""Findings whose advice is what `recover` does about them by the way."""


def feasible(survey: Survey, diagnosis: Diagnosis, wish: Wish) -> Diagnosis:
    """The diagnosis; its remedy is BLOCKED where the plan would be refused, and NONE where nothing would be done."""
    if diagnosis.remedy in (Remedy.BLOCKED, Remedy.NONE) or diagnosis.refusal is not None or wish.work_dir is not None:
        return diagnosis
    try:
        plan = make_plan(survey, diagnosis, wish, run="r", started="")
    except Refused as error:
        return refused(diagnosis, error)
    return left_out(diagnosis, plan)


def refused(diagnosis: Diagnosis, error: Refused) -> Diagnosis:
    """The diagnosis, its remedy blocked by what the plan would be refused for."""
    cause = Finding(
        Severity.ERROR, None, REFUSED, error.message.removesuffix("; nothing was changed"), error.hint or ""
    )
    findings = ranked([*diagnosis.findings, cause])
    return replace(diagnosis, remedy=Remedy.BLOCKED, findings=findings, cause=cause)


def left_out(diagnosis: Diagnosis, plan: Plan) -> Diagnosis:
    """The diagnosis; where its plan does nothing at all it promises nothing, and says why hosts are left out."""
    if not plan.empty:
        return diagnosis
    told = {found.node for found in diagnosis.findings if found.waits}
    found = [
        Finding(Severity.INFO, name, LEFT_OUT, f"{name} is left out: {why}", "" if name in told else why)
        for name, why in plan.left_out.items()
    ]
    return replace(diagnosis, remedy=Remedy.NONE, findings=(*diagnosis.findings, *found))


def sober(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis, in which nothing is said to be mended by `recover` while something blocks it, or it does nothing."""
    blocked = diagnosis.remedy is Remedy.BLOCKED or diagnosis.refusal is not None
    if not blocked and diagnosis.remedy is not Remedy.NONE:
        return diagnosis
    return replace(diagnosis, findings=tuple(_sober(diagnosis, each) for each in diagnosis.findings))


def _sober(diagnosis: Diagnosis, found: Finding) -> Finding:
    if found.code not in _OURS or _PROMISE not in found.advice:
        return found
    run = diagnosis.open_run
    if found.code == "run-open" and run is not None:
        return replace(
            found,
            advice=f"`recover` goes on with it once nothing blocks it; `fleetrecover undo {run.run}` takes it back",
        )
    return replace(found, advice="`recover` mends it on its way, once nothing blocks it")
