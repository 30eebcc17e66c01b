"""PURE: the story of a run as one HTML file for the post-mortem: no script, nothing loaded from anywhere.

Built as a tree and serialised by the standard library, so that whatever a node returned stands there as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from fleetrecover.plain import counted, visible
from fleetrecover.report.picture import before_and_after, timeline
from fleetrecover.report.story import Act, Session, Story
from fleetrecover.report.summary import kept, summary
from fleetrecover.steps.words import name_of

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #ffffff; --soft: #545b64; --rule: #dde1e6; --good: #1a7f37;
  --bad: #b42318; --doubt: #7a5600; --bar: #2f6fb5; --bar2: #9cc0e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181c; --soft: #a9b0ba; --rule: #3a4048;
  --good: #57c278; --bad: #ff8a7a; --doubt: #e0b74a; --bar: #6aa9ee; --bar2: #2b4b70; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); }
td { overflow-wrap: anywhere; } th { font-weight: 600; color: var(--soft); }
code, pre { font: 13px/1.4 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0; }
.ok { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .doubt { color: var(--doubt); }
.lead { font-size: 1.05rem; } details { margin: .2rem 0; } summary { cursor: pointer; color: var(--soft); }
:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; }
.scroll { overflow-x: auto; max-width: 100%; margin: .5rem 0; } svg { display: block; font: 14px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .name { font-weight: 600; } .grid { stroke: var(--rule); }
.session { stroke: var(--soft); stroke-dasharray: 4 3; } .bar { stroke: var(--paper); stroke-width: 1; }
.done { fill: var(--bar); } .wait { fill: url(#hatch); } .failed { fill: var(--bad); }
.hatch-ground { fill: var(--bar2); } .hatch-line { fill: var(--bar); }
.member { fill: none; stroke-width: 2; } .well { stroke: var(--good); } .ill { stroke: var(--bad); stroke-dasharray: 5 3; }
@media (max-width: 600px) {
  thead { position: absolute; left: -9999px; } tr { display: block; border-bottom: 1px solid var(--rule); padding: .3rem 0; }
  td, tbody th { display: block; border: 0; padding: .1rem 0; } }
@media print { details > * { display: block; } details::details-content { content-visibility: visible; }
  .scroll { overflow: visible; } svg { width: 100%; height: auto; } }
"""

GOOD = ("recovered", "healthy", "undone", "cleaned", "restored", "tried", "step done")


def render(story: Story) -> str:
    """The whole file, as text."""
    page = Element("html", lang="en")
    head = SubElement(page, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = f"{story.cluster}: run {story.run}"
    SubElement(head, "style").text = STYLE
    body = SubElement(page, "body")
    SubElement(body, "h1").text = f"Cluster {story.cluster}, run {story.run}"
    lead = SubElement(body, "p", {"class": "lead"})
    lead.text = "Outcome: "
    SubElement(lead, "span", {"class": "ok" if story.outcome in GOOD else "bad"}).text = story.outcome
    _summary(body, story)
    for number, session in enumerate(story.sessions, 1):
        _session(body, session, number, len(story.sessions))
    return "<!doctype html>\n" + visible(tostring(page, encoding="unicode", method="html")) + "\n"


def _summary(body: Element, story: Story) -> None:
    """What a reader wants first: in words, and as pictures."""
    _facts(body, [(title, text) for title, text in summary(story) if title != "outcome"])
    before_and_after(body, story)
    if any(session.acts for session in story.sessions):
        SubElement(body, "h2").text = "The run in time"
        key = SubElement(body, "p")
        key.text = (
            "A lane for each node, a bar for each step: hatched where it waits, red where it failed or has no result."
        )
        if len(story.sessions) > 1:
            key.text += " A dashed line begins each further session; the pauses between them are cut."
        timeline(body, story)
    lying = kept(story)
    if lying:
        SubElement(body, "h2").text = "What is kept, and where"
        _table(body, ("node", "what"), lying)


def _session(body: Element, session: Session, number: int, of: int) -> None:
    title = f"fleetrecover {session.command}" if session.command else "Without a beginning"
    SubElement(body, "h2").text = title + (f" (session {number} of {of})" if of > 1 else "")
    _facts(
        body,
        [
            ("begun", session.begun),
            ("ended", session.ended or session.told),
            ("outcome", session.outcome or ""),
            ("declared dead", ", ".join(session.dead)),
            ("survivor", session.survivor or ""),
            ("error", session.error or ""),
            *_figures(session.report),
        ],
    )
    if session.diagnosis:
        _diagnosis(body, session.diagnosis)
    if session.report.get("checks"):
        SubElement(body, "h3").text = "The final check"
        rows = [("ok" if c.get("ok") else "BAD", c.get("name"), c.get("detail")) for c in session.report["checks"]]
        _table(body, ("", "check", "what was found"), rows)
    if session.acts:
        SubElement(body, "h3").text = "What was done"
        _acts(body, session.acts)


def _figures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not report:
        return []
    named = {
        "revision_before": "revision before",
        "revision_after": "revision after",
        "seconds_to_writable": "seconds until writable",
        "seconds_to_whole": "seconds until whole",
        "hash_equal": "equal hash on all members",
    }
    rows = [(title, str(report[key])) for key, title in named.items() if report.get(key) is not None]
    return rows + [(f"left out: {name}", str(why)) for name, why in (report.get("left_out") or {}).items()]


def _diagnosis(body: Element, found: Mapping[str, Any]) -> None:
    SubElement(body, "h3").text = "What was found before anything was changed"
    SubElement(body, "p").text = f"{found.get('verdict')}: {found.get('why')}"
    choice = found.get("survivor")
    if choice:
        _facts(
            body,
            [
                ("survivor", choice.get("name")),
                ("why", choice.get("why")),
                ("proof", choice.get("proof")),
                ("logs read", f"{choice.get('logs_read')} of {choice.get('logs_needed')} needed"),
                ("logs missing", ", ".join(choice.get("missing") or ())),
                ("may miss", "; ".join(choice.get("may_miss") or ())),
                ("doubts", "; ".join(choice.get("doubts") or ())),
                ("what this choice loses", choice.get("loses") or ""),
            ],
        )
    _table(
        body,
        ("node", "reached", "container", "etcd", "log: term, index (commit)", "revision"),
        [_node(node) for node in found.get("nodes") or ()],
    )
    findings = found.get("findings") or ()
    if findings:
        rows = [(f.get("severity"), f.get("node") or "", f.get("message"), f.get("advice") or "") for f in findings]
        _table(body, ("", "node", "finding", "what to do"), rows)


def _node(node: Mapping[str, Any]) -> tuple[str, ...]:
    container, etcd, log = node.get("container") or {}, node.get("etcd") or {}, node.get("log") or {}
    return (
        str(node.get("name")),
        "yes" if node.get("reachable") else f"no: {node.get('error')}",
        f"{container.get('name')}: {container.get('state')}" if container else "none",
        f"{etcd.get('version')}, {'healthy' if etcd.get('healthy') else 'no leader'}"
        if etcd.get("version")
        else "not running",
        f"{log.get('term')}, {log.get('index')} ({log.get('commit')})" if log else str(node.get("log_error") or ""),
        str(node.get("revision") if node.get("revision") is not None else ""),
    )


def _acts(body: Element, acts: Sequence[Act]) -> None:
    table = _head(body, ("begun", "stage", "node", "step", "seconds", "what came of it"))
    stage = None
    for act in acts:
        row = SubElement(table, "tr")
        for cell in (act.at, act.stage if act.stage != stage else "", act.node, name_of(act.step)):
            SubElement(row, "td").text = cell
        stage = act.stage
        SubElement(row, "td").text = "" if act.seconds is None else f"{act.seconds:.1f}"
        told = SubElement(row, "td", {"class": "ok" if act.ended and act.error is None else "bad"})
        told.text = act.result
        for doubt in act.doubts:
            SubElement(told, "div", {"class": "doubt"}).text = f"outcome unknown for a while: {doubt}"
        if act.commands:
            more = SubElement(told, "details")
            SubElement(more, "summary").text = counted(len(act.commands), "command")
            for command in act.commands:
                SubElement(more, "pre").text = command


def _facts(body: Element, rows: Sequence[tuple[str, Any]]) -> None:
    table = SubElement(body, "table")
    for name, value in rows:
        if value in ("", None):
            continue
        row = SubElement(table, "tr")
        SubElement(row, "th", scope="row").text = name
        SubElement(row, "td").text = str(value)


def _head(body: Element, names: Sequence[str]) -> Element:
    table = SubElement(body, "table")
    row = SubElement(SubElement(table, "thead"), "tr")
    for name in names:
        SubElement(row, "th", scope="col").text = name
    return SubElement(table, "tbody")


def _table(body: Element, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = _head(body, names)
    for cells in rows:
        row = SubElement(table, "tr")
        for cell in cells:
            style = {"ok": "ok", "BAD": "bad", "error": "bad", "warning": "doubt"}.get(str(cell))
            SubElement(row, "td", {"class": style} if style else {}).text = "" if cell is None else str(cell)
