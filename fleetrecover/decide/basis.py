"""PURE: what a plan rests on: if it is equal, what was agreed to is what will be done; and in words, what is not.

In it: what is to be done and how, who survives, who is dead; for each node whether it can be reached, its containers, the
runs under way on it, and where its log ends while that decides anything; and the steps. Not in it: what changes by itself
while quorum stands: who leads, whether a member answers at this moment, how far a log has come, states of processes, clocks,
sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fleetrecover import steps as s
from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.units import made_by_unit
from fleetrecover.facts import NodeFacts, Survey

if TYPE_CHECKING:
    from fleetrecover.decide.plan import Plan

Basis = Mapping[tuple[str, str], object]
"""(whose, what) → its value; whose is a node's name, or empty."""


def fingerprint(survey: Survey, plan: Plan) -> str:
    """The basis in one short word."""
    return hashlib.sha256(repr(sorted(basis(survey, plan).items())).encode()).hexdigest()[:16]


def basis(survey: Survey, plan: Plan) -> Basis:
    """What the plan rests on."""
    found: dict[tuple[str, str], object] = {
        ("", "the cluster"): plan.cluster,
        ("", "the way"): _way(plan.remedy),
        ("", "the survivor"): plan.survivor or "none",
        ("", "the method"): plan.method.name if plan.method is not None else "none",
        ("", "declared dead"): ", ".join(sorted(plan.dead)) or "none",
    }
    for node in survey.nodes:
        found |= {(node.name, what): value for what, value in _node(node, plan).items()}
    for position, step in enumerate(step for step in plan.steps if not _idle(survey, step)):
        found["", f"step {position + 1:3}"] = _step(step)
    return found


def _way(remedy: Remedy) -> str:
    """A run that has only to be closed, and one that has something to mend, differ in their steps."""
    return Remedy.REPAIR.value if remedy is Remedy.FINISH else remedy.value


def _node(node: NodeFacts, plan: Plan) -> dict[str, str]:
    # one that a unit makes anew again and again has another id, or none, at each look
    lasting = (c for c in node.containers if not made_by_unit(node, c))
    containers = ", ".join(f"{c.name} ({c.id[:12]})" for c in sorted(lasting, key=lambda c: c.name))
    kept = [
        " ".join((k.run, *(part for part in ("original", "work", "booted", "reset") if getattr(k, part))))
        for k in node.open_keeps()
    ]
    found = {
        "access": "given" if node.accessible else "not given",
        "containers": containers or "none",
        "runs under way": ", ".join(kept) or "none",
    }
    if node.log is not None and plan.remedy not in (Remedy.REPAIR, Remedy.FINISH):
        end = node.log.last
        found["its log"] = f"of member {node.log.node_id:x}, to term {end.term}, index {end.index}"
    return found


def _idle(survey: Survey, step: s.Step) -> bool:
    """Whether a step changes nothing that is agreed to: a record, or the start of a container that stands as it should.

    Whether that one, or a unit, runs at this moment changes by itself: it may be starting again and again.
    """
    if isinstance(step, s.OpenRun | s.StopUnit):
        return True
    if not isinstance(step, s.StartOriginal):
        return False
    there = survey.node(step.node).named(step.name)
    return there is not None and (there.id, there.restart_policy) == (step.container_id, step.restart_policy)


def _step(step: s.Step) -> str:
    """A step, without who is asked and without what is measured."""
    name = type(step).__name__
    match step:
        case s.RemoveMember():
            return f"{name} {step.member_id:x} ({step.member_name})"
        case s.UpdateMember():
            return f"{name} {step.member_id:x} ({step.member_name}) to {', '.join(step.peer_urls)}"
        case s.AddMember():
            kind = "learner" if step.learner else "voter"
            return f"{name} of {step.node} as a {kind} at {', '.join(step.peer_urls)}"
        case s.HoldUnit() | s.ReleaseUnit():
            return f"{name} {step.unit} on {step.node}"
        case s.KeepElsewhere():
            return f"{name} on {step.node} in {step.work}"
        case s.StartOriginal() | s.StartRebuilt() | s.RestorePolicy():
            return f"{name} on {step.node}, restart policy {step.restart_policy}"
        case s.GiveNameBack():
            return f"{name} on {step.node}: {step.name} to {step.was}"
        case s.AwaitQuorum():
            return f"{name} of {', '.join(step.nodes)}"
        case s.SeedData() | s.ProveSeed():
            gone = ", ".join(f"{member:x}" for member in step.seed.removed) or "nobody"
            # the new term is not in it: members without a leader raise theirs all the while
            return f"{name} on {step.node} as {step.seed.node_id:x}, without {gone}"
        case s.AdoptSeed():
            return f"{name} on {step.node} as {step.member_id:x}"
        case s.RaiseCommit():
            return f"{name} on {step.node} to term {step.term}, index {step.last}"
    return f"{name} on {step.node}"


def differences(before: Basis, after: Basis) -> tuple[str, ...]:
    """Each difference in words: whose, what it was, what it is. Of steps, those that have come and those that have gone."""
    found = []
    for key in dict.fromkeys([*before, *after]):
        whose, what = key
        was, now = before.get(key), after.get(key)
        if was != now and not what.startswith("step "):
            found.append(f"{whose + ': ' if whose else ''}{what}: was {_said(was)}, is {_said(now)}")
    steps = [[value for (_, what), value in side.items() if what.startswith("step ")] for side in (before, after)]
    gone = [str(step) for step in steps[0] if step not in steps[1]]
    come = [str(step) for step in steps[1] if step not in steps[0]]
    found += [f"no more to be done: {', '.join(gone)}"] if gone else []
    found += [f"to be done besides: {', '.join(come)}"] if come else []
    if not found and steps[0] != steps[1]:
        found.append("the steps are in another order")
    return tuple(found)


def _said(value: object) -> str:
    return "nothing" if value is None else str(value)
