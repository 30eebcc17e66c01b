"""PURE: the story of a run in Markdown, for a ticket: the summary, what was done, the proof, what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fleetrecover.plain import visible
from fleetrecover.report.story import Session, Story
from fleetrecover.report.summary import kept, summary
from fleetrecover.steps.words import name_of

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def render(story: Story) -> str:
    """The whole text."""
    return visible("\n".join(_lines(story)) + "\n")


def plain(text: str) -> str:
    r"""Text in which nothing is a mark, on one line.

    >>> plain("a|b\n<c>")
    'a\\|b \\<c\\>'
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _lines(story: Story) -> Iterator[str]:
    yield f"# Cluster {plain(story.cluster)}, run {plain(story.run)}"
    yield ""
    for title, text in summary(story):
        yield f"- **{title}**: {plain(text)}"
    for number, session in enumerate(story.sessions, 1):
        yield from _session(session, number, len(story.sessions))
    lying = kept(story)
    if lying:
        yield from ("", "## What is kept", "")
        yield from _table(("node", "what"), lying)


def _session(session: Session, number: int, of: int) -> Iterator[str]:
    which = f" ({number} of {of})" if of > 1 else ""
    yield from ("", f"## fleetrecover {plain(session.command)}{which}: {plain(session.told)}", "")
    yield f"begun {plain(session.begun)}" + (f", ended {plain(session.ended)}" if session.ended else "")
    if session.error:
        yield from ("", f"**{plain(session.error)}**")
    if session.acts:
        rows = [
            (act.node, name_of(act.step), "" if act.seconds is None else f"{act.seconds:.1f}", act.result)
            for act in session.acts
        ]
        yield ""
        yield from _table(("node", "step", "seconds", "what came of it"), rows)
    checks = session.report.get("checks") or ()
    if checks:
        yield ""
        rows_of = [("ok" if c.get("ok") else "BAD", str(c.get("name")), str(c.get("detail"))) for c in checks]
        yield from _table(("", "check", "what was found"), rows_of)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(plain(cell) for cell in row)} |"
