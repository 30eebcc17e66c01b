"""PURE: the events of a journal → the story of a run: what was seen, decided, done, and how it ended.

A run may have been begun several times (a rerun resumes): each of these is a session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Act:
    """One step as the journal has it. `seconds` is None, and `result` says so, where it was begun and never ended."""

    at: str
    stage: str
    step: str
    node: str
    seconds: float | None = None
    detail: str = ""
    error: str | None = None
    commands: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the journal has its result."""
        return self.seconds is not None

    @property
    def result(self) -> str:
        """What came of it, in words."""
        if not self.ended:
            return "no result: the run ended in the middle of it"
        return self.error or self.detail or "done"


@dataclass(frozen=True)
class Session:
    """One time that the command ran. The documents are those of `diagnose --json`, `plan --json` and `recover --json`."""

    begun: str
    command: str
    survivor: str | None
    dead: tuple[str, ...]
    acts: tuple[Act, ...]
    ended: str | None = None
    outcome: str | None = None
    error: str | None = None
    diagnosis: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """How it ended, in words."""
        if self.ended is None:
            return "did not end: the program was killed or lost its machine"
        return self.outcome or "ended"


@dataclass(frozen=True)
class Story:
    """One run from its first event to its last."""

    run: str
    cluster: str
    sessions: tuple[Session, ...]

    @property
    def outcome(self) -> str:
        """How the last session ended."""
        return self.sessions[-1].told if self.sessions else "nothing is written down"


def tell(run: str, cluster: str, events: Iterable[Mapping[str, Any]]) -> Story:
    """The story of these events; events that belong to no session make one of their own."""
    sessions: list[list[Mapping[str, Any]]] = []
    for event in events:
        if event.get("event") == "begin" or not sessions:
            sessions.append([])
        sessions[-1].append(event)
    return Story(run, cluster, tuple(_session(part) for part in sessions))


def _session(events: list[Mapping[str, Any]]) -> Session:
    first = events[0]
    begun: Mapping[str, Any] = first if first.get("event") == "begin" else {}
    end: Mapping[str, Any] = next((event for event in reversed(events) if event.get("event") == "end"), {})
    return Session(
        begun=_text(first.get("at")),
        command=_text(begun.get("command")),
        survivor=begun.get("survivor"),
        dead=tuple(begun.get("dead") or ()),
        acts=tuple(_acts(events)),
        ended=end.get("at"),
        outcome=end.get("outcome"),
        error=end.get("error"),
        diagnosis=begun.get("diagnosis") or {},
        plan=begun.get("plan") or {},
        report=end.get("report") or {},
    )


def _acts(events: Iterable[Mapping[str, Any]]) -> list[Act]:
    done: list[Act] = []
    open_: dict[str, int] = {}
    stage = ""
    for event in events:
        kind, node = event.get("event"), _text(event.get("node"))
        if kind == "stage":
            stage = _text(event.get("title"))
        elif kind == "intent":
            open_[node] = len(done)
            done.append(Act(_text(event.get("at")), stage, _text(event.get("step")), node))
        elif kind in ("command", "unknown", "result"):
            # what a step asks of the leader is written down with the leader's name
            place = open_.get(node, next(iter(open_.values())) if len(open_) == 1 else None)
            if place is None:
                continue
            done[place] = _with(done[place], event)
            if kind == "result":
                open_.pop(node, None)
    return done


def _with(act: Act, event: Mapping[str, Any]) -> Act:
    if event.get("event") == "command":
        return replace(act, commands=(*act.commands, _text(event.get("shown"))))
    if event.get("event") == "unknown":
        return replace(act, doubts=(*act.doubts, _text(event.get("error"))))
    return replace(
        act,
        seconds=float(event.get("seconds") or 0.0),
        detail=_text(event.get("detail")),
        error=event.get("error"),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def document(story: Story) -> dict[str, Any]:
    """`report RUN --json`."""
    return {
        "schema": 1,
        "run": story.run,
        "cluster": story.cluster,
        "outcome": story.outcome,
        "sessions": [
            {
                "begun": session.begun,
                "ended": session.ended,
                "command": session.command,
                "outcome": session.outcome,
                "error": session.error,
                "survivor": session.survivor,
                "dead": list(session.dead),
                "diagnosis": dict(session.diagnosis) or None,
                "plan": dict(session.plan) or None,
                "report": dict(session.report) or None,
                "steps": [
                    {
                        "at": act.at,
                        "stage": act.stage,
                        "step": act.step,
                        "node": act.node,
                        "seconds": act.seconds,
                        "detail": act.detail,
                        "error": act.error,
                        "ended": act.ended,
                        "commands": list(act.commands),
                        "outcome_unknown": list(act.doubts),
                    }
                    for act in session.acts
                ],
            }
            for session in story.sessions
        ],
    }
