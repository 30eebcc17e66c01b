"""What the terminal shows at 80, 100 and 160 columns: no word broken, five nodes on a screen, one name for each step."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Wish, diagnose
from fleetrecover.decide.plan import Plan, make_plan
from fleetrecover.decide.verdict import Check, Judgement
from fleetrecover.facts import Problem, Survey
from fleetrecover.journal import PastRun
from fleetrecover.outcome import Outcome, Report
from fleetrecover.report import console, runs, story
from fleetrecover.report.tables import Column, Row, arrange, print_table, prose, wrapped
from fleetrecover.report.terminal import SafeConsole
from fleetrecover.steps.words import kinds
from tests.fakes.nodes import FakeFleet, make_log

RUN = "r20260102T120000Z-ab12"
ALSO_WORDS = ("Fence", "Join", "Promote", "Adopt")
CLASS_NAMES = re.compile(rf"\b({'|'.join(k.__name__ for k in kinds() if k.__name__ not in ALSO_WORDS)})\b")


class Screen:
    """A terminal (or none) of so many columns, without colours."""

    def __init__(self, width: int, *, terminal: bool = True) -> None:
        self.width = width
        self.file = io.StringIO()
        self.out = SafeConsole(
            file=self.file, width=width, force_terminal=terminal, color_system=None, highlight=False, _environ={}
        )

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def check(self) -> None:
        """Nothing is wider than the screen, so the terminal breaks nothing."""
        assert all(len(line) <= self.width for line in self.lines), [x for x in self.lines if len(x) > self.width]


def fleet(nodes: int, *, away: int = 1) -> tuple[Survey, Diagnosis, Plan]:
    """So many nodes, two with data, the last ones away and declared dead."""
    found = FakeFleet.broken(nodes, wiped=nodes - away - 2, dead=away)
    for each in found.nodes[:2]:
        each.data = make_log(each.number, nodes, 1000)
    survey = found.survey()
    said = "10.0.0.9 port 22 did not answer within 10 s"
    gone = tuple(
        node
        if node.reachable
        else replace(node, problem=Problem("unreachable", f"{node.name}: {said}", "try `ssh x true`"))
        for node in survey.nodes
    )
    survey = replace(survey, nodes=gone)
    wish = Wish(frozenset(node.name for node in gone if not node.reachable))
    judged = diagnose(survey, wish)
    return survey, judged, make_plan(survey, judged, wish, run=RUN, started="", tool="")


# --- tables ---

COLUMNS = (Column("node"), Column("state", 1), Column("log", 2), Column("data", 3, droppable=True))
ROWS = [Row(("etcd1", "running, restart always", "4, 66 (65)", "12 MB, 30.0 GB free")), Row(("etcd22", "none", "", ""))]


def table(width: int, rows: Sequence[Row] = ROWS) -> list[str]:
    screen = Screen(width)
    print_table(screen.out, COLUMNS, rows)
    return screen.lines


def test_a_table_that_fits_is_one_line_a_row() -> None:
    assert table(80) == [
        "node    state                    log         data",
        "etcd1   running, restart always  4, 66 (65)  12 MB, 30.0 GB free",
        "etcd22  none",
    ]


def test_what_has_no_room_is_dropped_or_goes_below() -> None:
    assert table(60)[1] == "etcd1   running, restart always  4, 66 (65)"
    assert table(40) == [
        "node    state",
        "etcd1   running, restart always",
        "    log 4, 66 (65)",
        "etcd22  none",
    ]
    assert table(20)[:2] == ["node", "etcd1"]


def test_columns_without_anything_are_left_out() -> None:
    assert arrange(COLUMNS, [Row(("etcd1", "", "4", ""))], 80) == ([0, 2], [])


def test_what_a_node_says_neither_acts_nor_marks_up() -> None:
    [_, line] = table(80, [Row(("etcd1", "[bold]x[/]\x1b[2J", "", ""))])
    assert line == "etcd1  [bold]x[/]\\x1b[2J"


def test_prose_is_wrapped_between_words_on_a_terminal_and_nowhere_else() -> None:
    text = "copy /etc/kubernetes/ssl/kube-ca.pem from etcd3, then run this again"
    assert wrapped(text, 30, "  → ", "    ") == [
        "  → copy",
        "    /etc/kubernetes/ssl/kube-ca.pem",
        "    from etcd3, then run this",
        "    again",
    ]
    assert wrapped("then type `fleetrecover undo r1` here", 30, "", "  ") == [
        "then type",
        "  `fleetrecover undo r1` here",
    ]
    plain = Screen(40, terminal=False)
    prose(plain.out, text, first="  → ")
    assert plain.lines == [f"  → {text}"]


# --- what is shown of a fleet ---


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("nodes", [3, 5, 7])
def test_nothing_is_wider_than_the_screen(nodes: int, width: int) -> None:
    survey, judged, plan = fleet(nodes)
    screen = Screen(width)
    console.print_survey(screen.out, survey)
    console.print_diagnosis(screen.out, survey, judged)
    console.print_outline(screen.out, plan)
    screen.check()
    assert not CLASS_NAMES.search(screen.text)


@pytest.mark.parametrize(("nodes", "width", "height"), [(3, 80, 24), (5, 100, 40)])
def test_a_diagnosis_fits_the_screen(nodes: int, width: int, height: int) -> None:
    survey, judged, _ = fleet(nodes)
    screen = Screen(width)
    console.print_diagnosis(screen.out, survey, judged)
    screen.check()
    assert len(screen.lines) < height, screen.text


def test_the_table_of_a_diagnosis_as_it_is_at_80_columns() -> None:
    survey, judged, _ = fleet(3)
    screen = Screen(80)
    console.print_diagnosis(screen.out, survey, judged)
    assert screen.lines[:5] == [
        "Cluster fake",
        "node  container               etcd         log: term, index (commit)",
        "n1    exited, restart always  not running  2, 1003 (1003)",
        "n2    exited, restart always  not running  2, 1003 (1003)",
        "n3    host does not answer",
    ]


def test_nobody_is_called_survivor_where_nothing_is_reset() -> None:
    survey, judged, _ = fleet(3)
    assert judged.remedy is Remedy.START
    screen = Screen(100)
    console.print_diagnosis(screen.out, survey, judged)
    assert "Survivor" not in screen.text and "Longest log: n1" in screen.text
    reset = Screen(100)
    console.print_diagnosis(reset.out, *fleet(5)[:2])
    assert "Survivor: n1" in reset.text


def test_an_act_that_several_findings_call_for_is_said_once() -> None:
    screen = Screen(160)
    console.print_diagnosis(screen.out, *fleet(5)[:2])
    assert screen.text.count("bring back the disk of a member") == 1
    assert screen.text.count("may hold more") > 1


def test_the_outline_names_each_node_once() -> None:
    *_, plan = fleet(5)
    screen = Screen(160)
    console.print_outline(screen.out, plan)
    for line in screen.lines:
        for group in re.findall(r"(?:n\d, )+n\d:", line):
            names = group.rstrip(":").split(", ")
            assert len(names) == len(set(names)), line


def test_the_plan_calls_a_step_what_the_story_calls_it() -> None:
    survey, judged, plan = fleet(5)
    screen = Screen(160, terminal=False)
    console.print_plan(screen.out, survey, judged, plan, commands=False)
    told = io.StringIO()
    events = console.ConsoleEvents(SafeConsole(file=told, width=160), survey.fleet, verbose=True)
    for step in plan.steps:
        events.step_begins(step)
        events.step_ends(step, Outcome(type(step).__name__, step.node, 0.1))
        name = step.words
        assert f". {step.node}: {name}" in screen.text
        assert f"✓ {step.node}: {name} (0.1 s)" in told.getvalue()
    assert not CLASS_NAMES.search(told.getvalue())


# --- checks, reports, runs ---


def judgement(*bad: str) -> Judgement:
    names = ("members", "healthy", "one cluster", "same content", "revision", "no alarm", "no force flag")
    more = ("restart policies", "no second container", "no returned member")
    return Judgement(
        tuple(Check(n, n not in bad, "what was found") for n in (*names, *more)), ("n1",), 5, hash_equal=True
    )


def test_every_check_that_is_bad_says_what_to_type() -> None:
    names = [check.name for check in judgement().checks]
    screen = Screen(100)
    console.print_judgement(screen.out, judgement(*names, "something new"))
    screen.check()
    for number, name in enumerate(names):
        at = next(n for n, line in enumerate(screen.lines) if line.startswith(f"  BAD {name:20} "))
        assert "→" in screen.lines[at + 1], name
        assert number == 0 or at > 0
    good = Screen(100)
    console.print_judgement(good.out, judgement())
    assert "→" not in good.text and good.text.count("  ok  ") == len(names)


def report(*steps: str) -> Report:
    outcomes = tuple(Outcome(step, "n1", 0.1) for step in steps)
    return Report(RUN, "recovered", Remedy.START, None, 5, 5, judgement(), 1.0, 2.0, outcomes)


def test_nothing_is_said_to_be_kept_where_nothing_is() -> None:
    started, reset = Screen(100), Screen(100)
    console.print_report(started.out, report("OpenRun", "StartOriginal", "AwaitQuorum"))
    console.print_report(reset.out, report("OpenRun", "Fence"))
    assert "clean" not in started.text
    assert f"`fleetrecover clean {RUN}`" in reset.text


def past(run: str, **more: object) -> PastRun:
    values: dict[str, object] = {
        "cluster": "prod",
        "command": "recover",
        "started": "2026-01-02T12:00:00.123Z",
        "ended": "2026-01-02T12:01:00.123Z",
        "outcome": "recovered",
        "survivor": "etcd1",
        "path": Path("x"),
    }
    return PastRun(run=run, **(values | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_runs_show_the_whole_id(width: int) -> None:
    screen = Screen(width)
    rows = [past(RUN), past("r20260102T130000Z-cd34", command="fab keep-data", outcome="step done", survivor=None)]
    runs.print_runs(screen.out, [*rows, past("r20260103T130000Z-ef56", outcome=None, ended=None, members=None)])
    screen.check()
    for run in (RUN, "r20260102T130000Z-cd34", "r20260103T130000Z-ef56"):
        assert any(line.startswith(run + " ") for line in screen.lines)
    assert "did not end" in screen.text and "one step done, goes on" in screen.text


@pytest.mark.parametrize(
    ("members", "word"), [((1, 3), "recovered (1 of 3)"), ((3, 3), "recovered"), (None, "recovered")]
)
def test_a_run_that_left_members_out_says_so(members: tuple[int, int] | None, word: str) -> None:
    assert runs.outcome_words(past(RUN, members=members)) == word


def test_the_story_of_a_run_calls_the_steps_so_too() -> None:
    events: list[dict[str, object]] = [
        {"event": "begin", "at": "2026", "command": "recover"},
        {"event": "intent", "step": "StopNeighbours", "node": "n1"},
        {"event": "result", "step": "StopNeighbours", "node": "n1", "seconds": 1.0, "detail": "x"},
    ]
    screen = Screen(100)
    console.print_story(screen.out, story.tell(RUN, "prod", events))
    assert "n1: stop what lives by etcd (1.0 s): x" in screen.text
    assert "StopNeighbours" not in screen.text


def test_a_healthy_cluster_without_any_finding_is_shown() -> None:
    survey, judged = fleet(3)[:2]
    screen = Screen(100)
    console.print_diagnosis(screen.out, survey, replace(judged, findings=()))
    assert judged.verdict.value in screen.text
