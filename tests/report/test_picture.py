"""The post-mortem's pictures, summary and ticket: as many bars as steps, nothing loaded, readable in light and dark."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from fleetrecover.report import html, markdown
from fleetrecover.report.picture import GAP, placed
from fleetrecover.report.story import Story, tell
from fleetrecover.report.summary import kept, members, summary
from fleetrecover.steps.words import name_of
from tests.report.test_story import KILLED, NASTY, RESUMED, begin

CHOICE = {
    "name": "etcd1",
    "why": "its log is the longest",
    "proof": "provably-complete",
    "logs_read": 2,
    "logs_needed": 2,
}
NODES = [
    {"name": "etcd1", "reachable": True, "etcd": {"version": "3.4.23", "healthy": False}, "log": {"index": 9}},
    {"name": "etcd2", "reachable": True, "etcd": {}, "log": None},
    {"name": "etcd3", "reachable": False},
]
LOST = {"verdict": "quorum-lost", "remedy": "reset", "why": "no leader", "survivor": CHOICE, "nodes": NODES}


def at(second: float, kind: str, **more: Any) -> dict[str, Any]:
    return {"at": f"2026-01-01T00:00:{second:06.3f}Z", "event": kind} | more


def step(second: float, name: str, node: str, seconds: float, **more: Any) -> list[dict[str, Any]]:
    ended = {"step": name, "node": node, "seconds": seconds, "detail": "", "error": None} | more
    return [at(second, "intent", step=name, node=node), at(second + seconds, "result", **ended)]


REPORT = {
    "members": ["etcd1", "etcd2"],
    "revision_before": 61,
    "revision_after": 61,
    "hash_equal": True,
    "seconds_to_writable": 20.5,
}
WHOLE = [
    at(0, "begin", command="recover", survivor="etcd1", diagnosis=LOST),
    at(0, "stage", name="fence", title="Fence every node"),
    *step(1, "Fence", "etcd1", 2.0, detail="etcd.old"),
    *step(1, "Fence", "etcd2", 4.0, detail="etcd.old"),
    *step(5, "KeepData", "etcd1", 0.5, detail="/var/lib/etcd.fleetrecover/r1/original"),
    *step(6, "AwaitQuorum", "etcd1", 10.0),
    at(30, "end", outcome="recovered", report=REPORT),
]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag]


def bars(page: Page) -> list[str]:
    return [str(rect["class"]) for rect in page.named("rect")]


@pytest.mark.parametrize("events", [WHOLE, [*KILLED, *RESUMED], KILLED[1:], [begin()], []])
def test_as_many_bars_as_the_journal_has_steps_and_nothing_is_loaded(events: list[dict[str, Any]]) -> None:
    story = tell("r1", "prod", events)
    text = html.render(story)
    page = Page(text)
    assert len(bars(page)) == sum(len(session.acts) for session in story.sessions)
    assert not re.search(r"https?:|@import|url\((?!#hatch\))", text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"}


def test_what_waits_is_hatched_and_what_failed_or_has_no_result_is_told_as_such() -> None:
    assert bars(Page(html.render(tell("r1", "prod", WHOLE)))).count("bar wait") == 1
    killed = html.render(tell("r1", "prod", [*KILLED, *RESUMED]))
    assert bars(Page(killed)) == ["bar done", "bar failed", "bar failed"]
    assert "no result: the run ended in the middle of it" in killed


def test_bars_stand_where_their_steps_were_and_inside_of_the_picture() -> None:
    story = tell("r1", "prod", WHOLE)
    found, _, length = placed(story)
    assert [(bar.act.node, bar.start, bar.end) for bar in found] == [
        ("etcd1", 0, 2),
        ("etcd2", 0, 4),
        ("etcd1", 4, 4.5),
        ("etcd1", 5, 15),
    ]
    assert length == 15
    for rect in Page(html.render(story)).named("rect"):
        assert float(rect["x"] or -1) >= 0 and float(rect["x"] or 0) + float(rect["width"] or 0) <= 961


def test_the_single_tasks_of_fab_are_one_picture_however_long_the_pauses() -> None:
    tasks = []
    for hour, name in enumerate(("fence", "keep-data", "reset")):
        for found in [
            at(0, "begin", command=f"fab {name}"),
            *step(1, "Fence", "etcd1", 2.0),
            at(4, "end", outcome="step done"),
        ]:
            tasks.append(found | {"at": found["at"].replace("T00", f"T{hour:02}")})
    story = tell("r1", "prod", tasks)
    _, begins, length = placed(story)
    assert (begins, length) == ([0, 2 + GAP, 4 + 2 * GAP], 6 + 2 * GAP)
    page = Page(html.render(story))
    assert [svg["class"] for svg in page.named("svg")] == ["timeline"]


def test_every_picture_has_its_words_and_is_reached_by_keyboard() -> None:
    page = Page(html.render(tell("r1", "prod", WHOLE)))
    pictures = page.named("svg")
    assert [svg["class"] for svg in pictures] == ["members", "members", "timeline"]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert "etcd3: away" in str(pictures[0]["aria-label"])
    regions = [div for div in page.named("div") if div.get("class") == "scroll"]
    assert len(regions) == 3
    assert all(div["tabindex"] == "0" and div["aria-label"] for div in regions)
    assert page.named("html")[0]["lang"] == "en"


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """As WCAG 2.1 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_is_readable_in_light_and_dark(scheme: int) -> None:
    found = colours(re.findall(r":root \{(.*?)\}", html.STYLE, re.S)[scheme])
    for name, least in {"ink": 7, "soft": 4.5, "good": 4.5, "bad": 4.5, "doubt": 4.5, "bar": 3}.items():
        light, dark = sorted((luminance(found[name]), luminance(found["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, name


# --- the summary and the ticket ---


def told(events: list[dict[str, Any]]) -> dict[str, str]:
    return dict(summary(tell("r1", "prod", events)))


def test_the_summary() -> None:
    found = told(WHOLE)
    assert found["survivor"] == "etcd1: its log is the longest"
    assert found["what may be lost"].startswith("nothing: provably complete")
    assert "writable again at 2026-01-01 00:00:20 UTC, 20 s later" in found["did not serve"]
    assert (found["revision"], found["content"]) == ("61, before 61", "the same on all members, by its hash")


def test_what_is_not_proven_is_not_called_nothing() -> None:
    doubtful = CHOICE | {"proof": "best-available", "missing": ["etcd2"], "may_miss": ["etcd2 may hold more"]}
    found = told([begin(diagnosis=LOST | {"survivor": doubtful})])
    assert "not proven complete: writes that only etcd2 held; etcd2 may hold more" in found["what may be lost"]
    assert "no moment from which it was writable" in found["did not serve"]
    overridden = CHOICE | {"loses": "entries 5 to 9"}
    assert "entries 5 to 9" in told([begin(diagnosis=LOST | {"survivor": overridden})])["what may be lost"]


def test_a_repair_lost_nothing_and_never_ceased_to_serve() -> None:
    found = told([begin(diagnosis=LOST | {"verdict": "degraded", "remedy": "repair"})])
    assert found["what may be lost"] == "nothing: no data was reset"
    assert "did not serve" not in found


def test_members_before_and_after() -> None:
    before, after = members(tell("r1", "prod", WHOLE))
    assert [state for _, state, _ in before] == ["no leader", "no data", "away"]
    assert [(name, well) for name, _, well in after] == [("etcd1", True), ("etcd2", True), ("etcd3", False)]


def test_what_is_kept_until_it_is_removed() -> None:
    story = tell("r1", "prod", WHOLE)
    assert ("etcd1", "/var/lib/etcd.fleetrecover/r1/original") in kept(story)
    cleaned = [*WHOLE, at(40, "begin", command="clean"), at(41, "end", outcome="cleaned")]
    assert kept(tell("r1", "prod", cleaned)) == []


def test_the_ticket_has_each_step_and_nothing_in_it_is_a_mark() -> None:
    nasty: Story = tell(NASTY, NASTY, [*WHOLE[:-1], *step(20, "Join", "etcd2", 1.0, error=f"a|b\n# {NASTY}")])
    text = markdown.render(nasty)
    rows = [line for line in text.splitlines() if line.startswith("| etcd")]
    assert len(rows) == 5 + len(kept(nasty))
    assert f"| etcd1 | {name_of('AwaitQuorum')} | 10.0 | done |" in rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 5) for row in rows)
    assert not re.search(r"(?<!\\)<", text)
