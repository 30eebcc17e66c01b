"""PURE: what stands right above the prompt, one line each: verdict, survivor, what may be lost, what stops serving."""

from __future__ import annotations

from collections.abc import Sequence

from fleetrecover.decide.diagnosis import Diagnosis, Remedy
from fleetrecover.decide.plan import Plan
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.facts import Survey
from fleetrecover.plain import counted
from fleetrecover.steps import Fence, StopNeighbours, StopUnit

NAMED = 3
"""So many names are told; of more, how many there are."""


def last_word(survey: Survey, diagnosis: Diagnosis, plan: Plan) -> tuple[tuple[str, str], ...]:
    """Titles and their words, short enough for one line of 80 columns where names are short."""
    resets = diagnosis.remedy is Remedy.RESET and diagnosis.choice is not None
    return (
        ("Verdict", _verdict(survey, diagnosis)),
        (
            "Survivor",
            _survivor(diagnosis.choice) if resets and diagnosis.choice else "none is needed: nothing is reset",
        ),
        ("May be lost", _lost(diagnosis.choice) if resets and diagnosis.choice else "nothing"),
        ("Stops serving", _stops(survey, plan)),
    )


def _verdict(survey: Survey, diagnosis: Diagnosis) -> str:
    serving = sum(node.healthy for node in survey.nodes)
    return f"{diagnosis.verdict.value}: {serving} of {counted(len(survey.nodes), 'host')} {_verb(serving, 'serves', 'serve')}"


def _survivor(choice: Choice) -> str:
    how = "provably complete" if choice.proof is ProofKind.COMPLETE else "best available, not proven complete"
    return f"{choice.survivor}, {'your own choice' if choice.overridden else how}"


def _lost(choice: Choice) -> str:
    if choice.loses:
        return f"by your own choice: {choice.loses}"
    if choice.proof is ProofKind.COMPLETE:
        return "nothing that was acknowledged"
    if choice.missing:
        return f"what only {_names(choice.missing, 'member')} held"
    return "what no log that was read tells of"


def _stops(survey: Survey, plan: Plan) -> str:
    steps = [step for part in plan.stages for step in part.steps]
    fenced = {step.node for step in steps if isinstance(step, Fence | StopUnit)}
    serving = [node.name for node in survey.nodes if node.healthy and node.name in fenced]
    besides = sorted({name for step in steps if isinstance(step, StopNeighbours) for name in step.names})
    told = [f"etcd on {_names(serving, 'host')}, for a while"] if serving else []
    told += [f"{_names(besides, 'container')} beside etcd, for a while"] if besides else []
    if told:
        return "; ".join(told)
    return "nothing that serves now" if any(node.healthy for node in survey.nodes) else "nothing: nothing serves now"


def _names(names: Sequence[str], noun: str) -> str:
    return ", ".join(names) if len(names) <= NAMED else counted(len(names), noun)


def _verb(number: int, one: str, many: str) -> str:
    return one if number == 1 else many
