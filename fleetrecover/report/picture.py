"""PURE: a run as pictures in SVG: nodes as lanes and steps as bars (what waits is hatched); members before and after.

Colours come from the page's style, so that they fit light, dark and paper; nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from fleetrecover.plain import counted
from fleetrecover.report.story import Act, Session, Story
from fleetrecover.report.summary import members, moment
from fleetrecover.steps.words import name_of, waits

WIDTH, LABEL, LANE, BAR = 960, 110, 34, 20
TICKS = 6
THINNEST = 3.0
GAP = 2.0
"""Seconds that are drawn between two sessions, however long it was."""


@dataclass(frozen=True)
class Placed:
    """A step's bar: seconds from the picture's beginning."""

    act: Act
    start: float
    end: float


def placed(story: Story) -> tuple[list[Placed], list[float], float]:
    """Each step's place, where sessions begin, and how long all is. Pauses between sessions are cut to GAP."""
    bars: list[Placed] = []
    begins: list[float] = []
    offset = 0.0
    for session in story.sessions:
        begins.append(offset)
        spans = _spans(session)
        bars += [Placed(act, offset + start, offset + end) for act, start, end in spans]
        offset += max((end for _, _, end in spans), default=0.0) + GAP
    return bars, begins, max(offset - GAP, 1.0)


def _spans(session: Session) -> list[tuple[Act, float, float]]:
    """Each step's begin and end in seconds since the session's first step. One without a result lasts until the last sign."""
    starts = [(act, found.timestamp()) for act in session.acts if (found := moment(act.at)) is not None]
    begin = min((start for _, start in starts), default=0.0)
    last = max((start + (act.seconds or 0.0) for act, start in starts), default=0.0) - begin
    spans = {id(act): start - begin for act, start in starts}
    return [
        (act, spans.get(id(act), 0.0), spans.get(id(act), 0.0) + act.seconds if act.seconds is not None else last)
        for act in session.acts
    ]


def timeline(parent: Element, story: Story) -> None:
    """Nodes as lanes, steps as bars: as many as the journal has steps."""
    bars, begins, length = placed(story)
    nodes = list(dict.fromkeys(bar.act.node for bar in bars))
    if not nodes:
        return
    height = LANE * len(nodes) + 40
    about = (
        f"{counted(len(bars), 'step')} on {counted(len(nodes), 'node')} in {length:,.0f} s; the table below has each"
    )
    svg = _svg(parent, WIDTH, height, "timeline", "The run in time", about)
    _hatching(svg)
    scale = (WIDTH - LABEL - 10) / length
    _axis(svg, length, scale, height)
    for begin in begins[1:]:
        x = f"{LABEL + begin * scale:.1f}"
        SubElement(svg, "line", {"class": "session", "x1": x, "x2": x, "y1": "0", "y2": str(height - 24)})
    for lane, node in enumerate(nodes):
        SubElement(svg, "text", {"x": "0", "y": str(lane * LANE + 20)}).text = node
        for bar in bars:
            if bar.act.node == node:
                _bar(svg, bar, lane, scale)


def _bar(svg: Element, bar: Placed, lane: int, scale: float) -> None:
    act = bar.act
    waiting = not act.ended or waits(act.step)
    state = "failed" if act.error is not None or not act.ended else "wait" if waiting else "done"
    width = max((bar.end - bar.start) * scale, THINNEST)
    place = {"x": f"{min(LABEL + bar.start * scale, WIDTH - width):.1f}", "y": str(lane * LANE + 5)}
    rect = SubElement(svg, "rect", {**place, "width": f"{width:.1f}", "height": str(BAR), "class": f"bar {state}"})
    seconds = "no result" if act.seconds is None else f"{act.seconds:.1f} s"
    SubElement(rect, "title").text = f"{act.node}: {name_of(act.step)}, {seconds}: {act.result}"


def _axis(svg: Element, length: float, scale: float, height: int) -> None:
    for tick in range(TICKS + 1):
        at = length * tick / TICKS
        x = f"{LABEL + at * scale:.1f}"
        SubElement(svg, "line", {"class": "grid", "x1": x, "x2": x, "y1": "0", "y2": str(height - 24)})
        anchor = "end" if tick == TICKS else "middle"
        SubElement(svg, "text", {"x": x, "y": str(height - 8), "text-anchor": anchor}).text = f"{at:,.0f} s"


def _hatching(svg: Element) -> None:
    attributes = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    pattern = SubElement(SubElement(svg, "defs"), "pattern", {"id": "hatch", **attributes})
    SubElement(pattern, "path", {"class": "hatch-ground", "d": "M0 0h6v6H0z"})
    SubElement(pattern, "path", {"class": "hatch-line", "d": "M0 0h2v6H0z"})


def before_and_after(parent: Element, story: Story) -> None:
    """The members as boxes: before the run, and after it."""
    for title, nodes in zip(("Before", "After"), members(story), strict=True):
        if nodes:
            _boxes(parent, title, nodes)


def _boxes(parent: Element, title: str, nodes: Sequence[tuple[str, str, bool]]) -> None:
    about = "; ".join(f"{name}: {state}" for name, state, _ in nodes)
    svg = _svg(parent, 180 * len(nodes) + 90, 64, "members", title, about)
    SubElement(svg, "text", {"x": "0", "y": "36"}).text = title
    for at, (name, state, well) in enumerate(nodes):
        x = 80 + 180 * at
        box = {"x": str(x), "y": "4", "width": "170", "height": "54", "rx": "6"}
        SubElement(svg, "path", {"class": "member well" if well else "member ill", "d": _box(box)})
        SubElement(svg, "text", {"x": str(x + 10), "y": "26", "class": "name"}).text = name
        SubElement(svg, "text", {"x": str(x + 10), "y": "46"}).text = state


def _box(box: dict[str, str]) -> str:
    """A box as a path: `rect` is what bars are, and nothing else."""
    return f"M{box['x']} {box['y']}h{box['width']}v{box['height']}h-{box['width']}z"


def _svg(parent: Element, width: int, height: int, kind: str, title: str, about: str) -> Element:
    """A picture with its name and its text for who does not see it; what is too wide is scrolled, by keyboard, too."""
    around = SubElement(parent, "div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": title})
    words = {"role": "img", "aria-label": f"{title}: {about}", "class": kind}
    return SubElement(around, "svg", {"viewBox": f"0 0 {width} {height}", "width": str(width), **words})
