"""PURE: the story of a run in a few lines: what was lost, when it did not serve, who survived and why, what is kept and where.

Told the same way in the HTML file and in the ticket.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetrecover.report.story import Session, Story

KEEPING = ("KeepData", "KeepElsewhere", "Fence", "AdoptRestored")
"""Steps whose result names what lies kept."""


def moment(text: str | None) -> datetime | None:
    """An event's time; None for none."""
    try:
        found = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def summary(story: Story) -> list[tuple[str, str]]:
    """Titles and sentences; what the journal does not tell is left out."""
    first = next((each for each in story.sessions if each.diagnosis), None)
    choice: Mapping[str, Any] = (first.diagnosis.get("survivor") or {}) if first is not None else {}
    rows = [
        ("outcome", story.outcome),
        ("survivor", f"{choice['name']}: {choice.get('why') or ''}" if choice.get("name") else ""),
        ("what may be lost", _lost(choice, str(first.diagnosis.get("remedy") or "")) if first is not None else ""),
        ("did not serve", _outage(story)),
        ("revision", _revisions(story)),
        ("content", _content(story)),
    ]
    return [(title, text) for title, text in rows if text]


def _lost(choice: Mapping[str, Any], remedy: str) -> str:
    if remedy in ("start", "repair", "finish"):
        return "nothing: no data was reset"
    if not choice:
        return ""
    loses = [str(choice["loses"])] if choice.get("loses") else []
    if choice.get("proof") == "provably-complete" and not loses:
        read, needed = choice.get("logs_read"), choice.get("logs_needed")
        return f"nothing: provably complete, {read} logs read of {needed} needed"
    missing = ", ".join(choice.get("missing") or ())
    told = [*loses, f"writes that only {missing} held" if missing else "", *(choice.get("may_miss") or ())]
    return "best available, not proven complete: " + (
        "; ".join(each for each in told if each) or "see the doubts below"
    )


def _outage(story: Story) -> str:
    """From when nothing was served (as the command saw it) until it was writable; nothing for a cluster with quorum."""
    for session in story.sessions:
        found = session.diagnosis.get("verdict")
        begun = moment(session.begun)
        if begun is None or found != "quorum-lost":
            continue
        writable = next((end for each in story.sessions if (end := _writable(each)) is not None), None)
        since = f"at {_clock(begun)}, when the run began, nothing was served"
        if writable is None:
            return f"{since}; the journal has no moment from which it was writable again"
        return f"{since}; writable again at {_clock(writable)}, {(writable - begun).total_seconds():,.0f} s later"
    return ""


def _writable(session: Session) -> datetime | None:
    begun, after = moment(session.begun), session.report.get("seconds_to_writable")
    return begun + timedelta(seconds=float(after)) if begun is not None and isinstance(after, int | float) else None


def _clock(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _revisions(story: Story) -> str:
    report = _last_report(story)
    before, after = report.get("revision_before"), report.get("revision_after")
    if after is None:
        return ""
    return f"{after}" + (f", before {before}" if before is not None else "")


def _content(story: Story) -> str:
    equal = _last_report(story).get("hash_equal")
    if equal is None:
        return ""
    return "the same on all members, by its hash" if equal else "NOT the same on all members"


def _last_report(story: Story) -> Mapping[str, Any]:
    return next((each.report for each in reversed(story.sessions) if each.report), {})


def kept(story: Story) -> list[tuple[str, str]]:
    """By node what lies kept there: data and containers that were set aside. Nothing once all was put back or removed."""
    if story.outcome in ("undone", "cleaned"):
        return []
    found: dict[tuple[str, str], None] = {}
    for session in story.sessions:
        for act in session.acts:
            if act.step in KEEPING and act.ended and act.error is None and act.detail:
                found[act.node, act.detail] = None
    return list(found)


def members(story: Story) -> tuple[list[tuple[str, str, bool]], list[tuple[str, str, bool]]]:
    """Before and after: each node's name, how it is in a word, and whether that is well."""
    first = next((each for each in story.sessions if each.diagnosis), None)
    nodes = (first.diagnosis.get("nodes") or ()) if first is not None else ()
    report = _last_report(story)
    voters = [str(name) for name in report.get("members") or ()]
    before = [(str(node.get("name")), *_state(node)) for node in nodes]
    names = dict.fromkeys([*(name for name, _, _ in before), *voters])
    after = [(name, "voter" if name in voters else "no member", name in voters) for name in names] if voters else []
    return before, after


def _state(node: Mapping[str, Any]) -> tuple[str, bool]:
    etcd, log = node.get("etcd") or {}, node.get("log")
    if not node.get("reachable"):
        return "away", False
    if etcd.get("healthy"):
        return "healthy", True
    if etcd.get("version"):
        return "no leader", False
    return ("stopped, has its data" if log else "no data", False)
