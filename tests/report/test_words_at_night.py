"""What was found wrong by reading the kept outputs as the one who is called at night: each word with its reason."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from fleetrecover.decide.conclusion import absent, what_next
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.run_names import LAST, match_run
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.errors import InputError
from fleetrecover.facts import Keep, Pin, Survey
from fleetrecover.report.console import choice_lines, print_diagnosis, print_finding, print_nothing_to_do
from fleetrecover.report.tables import wrapped
from fleetrecover.runtime.containers import Containers
from fleetrecover.steps import AwaitQuorum
from tests.decide.test_restore_resume import broken as restoring
from tests.fakes.nodes import FakeFleet
from tests.report.test_console import Screen


def next_of(survey: Survey, wish: Wish) -> str:
    return what_next(diagnose(survey, wish), absent(survey), len(survey.nodes))


def test_the_next_command_has_what_was_said_already() -> None:
    """Typed without it, it is refused, or another one survives."""
    lost = FakeFleet.broken(3, wiped=1, dead=1).survey()
    assert next_of(lost, Wish(frozenset({"n3"}))).count("--dead n3`") == 2
    assert "`fleetrecover recover --dead n3`" in str(diagnose(lost, Wish()).cause)
    shorter = FakeFleet.broken(3, wiped=1).survey()
    assert "`fleetrecover recover --survivor n2` resets" in next_of(shorter, Wish(survivor="n2"))
    assert "`fleetrecover recover` starts" in next_of(shorter, Wish())


def test_those_who_are_dead_already_stay_so_in_the_hint() -> None:
    """The one who is told to declare n4 dead, too, must not take n5's word back by that."""
    survey = FakeFleet.broken(5, wiped=1, dead=2).survey()
    cause = diagnose(survey, Wish(frozenset({"n5"}))).cause
    assert cause is not None and "`fleetrecover recover --dead n5 --dead n4`" in cause.advice


OPEN = {"prove": "undetermined", "switch": "undetermined", "start": "undetermined", "kubernetes": "degraded"}


@pytest.mark.parametrize("stage", OPEN)
def test_a_restore_is_finished_by_the_restore_alone(stage: str) -> None:
    """`recover` would close the run, and what lived by etcd would stay stopped for good."""
    fleet = restoring(3, 1, 0, 0)
    for part in fleet.plan(()).stages:
        if part.name == stage:
            break
        fleet.do(part.steps)
    told = diagnose(fleet.survey(), Wish())
    assert (told.remedy, told.verdict.value) == (Remedy.BLOCKED, OPEN[stage])
    assert told.cause is not None and "the same `fleetrecover snapshot restore` again" in told.cause.advice
    assert "`fleetrecover recover`" not in " ".join(finding.advice for finding in told.findings)
    if stage == "kubernetes":
        assert "snapshot restore" in next_of(fleet.survey(), Wish())


def test_a_run_that_is_being_undone_is_not_offered_to_be_cleaned() -> None:
    survey = FakeFleet.broken(3).survey()
    pin = Pin("r1", "fake", "n1", "2026-01-01T00:00:00Z", "reset")
    kept = Keep("r1", "/var/lib/etcd.fleetrecover/r1", pin, finished=True, bytes=10**6)

    def codes(*keeps: Keep) -> set[str]:
        nodes = tuple(replace(node, keeps=(keep,)) for node, keep in zip(survey.nodes, keeps, strict=True))
        return {finding.code for finding in diagnose(replace(survey, nodes=nodes), Wish()).findings}

    assert "kept-data" in codes(kept, kept, kept)
    assert "kept-data" not in codes(replace(kept, undoing=True, finished=False), kept, kept)


@pytest.mark.parametrize(
    ("read", "needed", "missing", "said"),
    [
        (1, 2, ("n2", "n3"), "1 of the 2 logs needed could be read. Writes that only n2, n3 held are lost with them."),
        (2, 3, ("n3",), "Writes that only n3 held are lost with it."),
        (1, 1, (), "as many logs could be read as are needed (1), but not all that they say is beyond doubt."),
        (2, 1, (), "as many logs could be read as are needed (1)"),
    ],
)
def test_what_is_not_proven_says_why(read: int, needed: int, missing: tuple[str, ...], said: str) -> None:
    choice = Choice("n1", "it is", ProofKind.BEST, needed, read, 3, missing, ("n1",))
    assert said in choice_lines(choice, Remedy.RESET)[1]


def test_nothing_is_said_of_no_logs() -> None:
    """A run that goes on has chosen before, and reads none."""
    choice = Choice("n1", "chosen by run r1", ProofKind.BEST, 0, 0, 0, (), ("n1",))
    assert choice_lines(choice, Remedy.RESET) == ["Survivor: n1: chosen by run r1."]


def test_one_waits_has_and_several_have() -> None:
    one, two = (AwaitQuorum("n1", None, "", nodes) for nodes in (("n1",), ("n1", "n2")))  # type: ignore[arg-type]
    assert "until n1 has elected" in one.explain(Containers()).title
    assert "until n1, n2 have elected" in two.explain(Containers()).title


def test_what_blocks_is_not_told_twice() -> None:
    survey = FakeFleet.broken(3).survey()
    told = diagnose(survey, Wish())
    same = [
        Finding(Severity.ERROR, node, "x", "n1: a pod", "stop the kubelet" if not node else "") for node in ("n1", None)
    ]
    screen = Screen(100)
    print_diagnosis(screen.out, survey, replace(told, findings=tuple(same)))
    assert screen.text.count("a pod") == 1 and "→ stop the kubelet" in screen.text


def test_a_node_is_named_once() -> None:
    screen = Screen(100)
    print_finding(screen.out, Finding(Severity.WARNING, "n3", "x", "member n3 is not healthy"))
    print_finding(screen.out, Finding(Severity.WARNING, "n3", "x", "certificate /a is over"))
    print_finding(screen.out, Finding(Severity.WARNING, "n3", "x", "member n33 is not healthy"))
    assert [line.split(maxsplit=1)[1] for line in screen.lines] == [
        "member n3 is not healthy",
        "n3: certificate /a is over",
        "n3: member n33 is not healthy",
    ]


def test_no_plan_of_an_ill_cluster_says_what_waits() -> None:
    survey = FakeFleet.broken(3).survey()
    told = replace(diagnose(survey, Wish()), remedy=Remedy.NONE, verdict=Verdict.DEGRADED, why="n3 is away")
    waits = Finding(Severity.WARNING, "n3", "member-unhealthy", "n3 is away", "bring n3 back", waits=True)
    screen = Screen(100)
    print_nothing_to_do(screen.out, survey, replace(told, findings=(waits,)))
    assert screen.lines == ["Nothing to do: n3 is away.", "It serves, but something waits for you: bring n3 back."]
    well = Screen(100)
    print_nothing_to_do(well.out, survey, replace(told, verdict=Verdict.HEALTHY))
    assert well.lines == ["Nothing to do: n3 is away."]


def test_the_last_of_no_runs() -> None:
    with pytest.raises(InputError, match=r"^there is no run on any node that is not undone$"):
        match_run(LAST, (), where="on any node")


COMMAND = "cat /var/lib/etcd/member/snap/db | sha256sum && printf '%s %s' one two && echo done with all of it"


@pytest.mark.parametrize("width", range(44, 140, 7))
@pytest.mark.parametrize("before", ["", "on n1: ", "to go on from n1, n2, n3, which is a long way to go: "])
def test_a_command_that_has_no_room_on_a_line_can_be_pasted_as_it_stands(width: int, before: str) -> None:
    """A shell reads the lines as the one command, wherever they were broken."""
    lines = wrapped(f"{before}`{COMMAND}`, then `fleetrecover recover`", width, "  → ", "    ")
    assert all(len(line) <= width for line in lines)
    pasted = "\n".join(lines).partition("`")[2].partition("`")[0]
    shell = ["sh", "-c", f"set -f; set -- {pasted.replace('|', 'X').replace('&&', 'Y')}; printf '<%s>' \"$@\""]
    plain = [*shell[:2], f"set -f; set -- {COMMAND.replace('|', 'X').replace('&&', 'Y')}; printf '<%s>' \"$@\""]
    assert subprocess.check_output(shell) == subprocess.check_output(plain)
