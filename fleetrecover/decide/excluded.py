"""PURE: why not this host: every host that was not chosen, or is left out, each with a reason that has a code."""

from __future__ import annotations

from dataclasses import dataclass

from fleetrecover.decide.diagnosis import Diagnosis
from fleetrecover.decide.plan import Plan
from fleetrecover.facts import NodeFacts, Survey


@dataclass(frozen=True)
class Excluded:
    """A host, and why it is not the survivor, or not a member: `code` for programs, `reason` for a person."""

    host: str
    code: str
    reason: str


def excluded(survey: Survey, diagnosis: Diagnosis, plan: Plan) -> tuple[Excluded, ...]:
    """All hosts but the survivor, in the inventory's order; where nobody is chosen, those that are left out."""
    found = []
    for node in survey.nodes:
        if node.name == plan.survivor:
            continue
        why = _left_out(node, plan) or (_not_chosen(survey, node, diagnosis, plan) if plan.survivor else None)
        found += [why] if why is not None else []
    return tuple(found)


def _left_out(node: NodeFacts, plan: Plan) -> Excluded | None:
    why = plan.left_out.get(node.name)
    if why is None:
        return None
    code = "declared-dead" if node.name in plan.dead else "left-out"
    if not node.accessible and code == "left-out":
        code = node.problem.kind if node.problem is not None else "unreachable"
    return Excluded(node.name, code, why)


def _not_chosen(survey: Survey, node: NodeFacts, diagnosis: Diagnosis, plan: Plan) -> Excluded:
    aside = next((a for a in diagnosis.choice.aside if a.host == node.name), None) if diagnosis.choice else None
    if aside is not None:
        return Excluded(node.name, aside.code, aside.reason)
    chosen = survey.node(plan.survivor).log if plan.survivor is not None else None
    if node.log is None:
        problem = node.log_problem
        what = f"{node.name}'s log cannot be read: {problem.message if problem else 'nobody has looked'}"
        return Excluded(node.name, f"log-{problem.kind}" if problem else "no-log", what)
    end = f"{node.name}'s log ends at term {node.log.last.term}, index {node.log.last.index}"
    if chosen is None or plan.resumed:
        return Excluded(node.name, "run-has-chosen", f"run {plan.run} has chosen {plan.survivor}; {end}")
    mine, theirs = ((log.last.term, log.last.index) for log in (node.log, chosen))
    if mine == theirs:
        return Excluded(node.name, "equal-log", f"{end}, as that of {plan.survivor} does")
    further = "longer-log" if mine > theirs else "shorter-log"
    there = f"that of {plan.survivor} at term {theirs[0]}, index {theirs[1]}"
    return Excluded(node.name, further, f"{end}, {there}")
