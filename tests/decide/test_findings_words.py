"""Findings that tell the next act: a full disk, a container under another name, what runs that are over still keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.diagnosis import Finding, Remedy, Severity, Wish, diagnose
from fleetrecover.facts import Container, Keep, NodeFacts, Pin, Survey
from fleetrecover.hold import not_taken
from fleetrecover.model import Command, Result
from tests.decide.logs import log
from tests.decide.surveys import container, members, node, status, survey

MB = 1 << 20


def found(code: str, *nodes: NodeFacts) -> list[Finding]:
    return [finding for finding in diagnose(survey(*nodes), Wish()).findings if finding.code == code]


def with_free(free: int, size: int = 4096) -> NodeFacts:
    one = node(1, log(1, [(2, 20)]), containers=(container("exited"),))
    assert one.data is not None
    return replace(one, data=replace(one.data, free=free, size=size))


# --- a full disk ---


def test_a_full_disk_is_an_error_that_says_what_etcd_cannot_do() -> None:
    [told] = found("space", with_free(0))
    assert told.severity is Severity.ERROR
    assert told.message == "etcd1: no space is left on the filesystem of /var/lib/etcd: etcd cannot write there"
    assert told.advice == "free 67 MB on it, then run this again"


def test_the_work_directory_is_advised_only_where_it_helps() -> None:
    """etcd allocates a segment of 64 MB where its data lies, wherever the original is kept."""
    [little] = found("space", with_free(64 * MB - 1, size=500 * MB))
    assert little.severity is Severity.ERROR and "--work-dir" not in little.advice
    [enough] = found("space", with_free(64 * MB, size=500 * MB))
    assert enough.severity is Severity.WARNING and "--work-dir" in enough.advice
    assert not found("space", with_free(600 * MB, size=500 * MB))


@pytest.mark.parametrize(
    ("free", "said", "word"),
    [
        (1 << 30, b"mkdir: No space left on device", "no space is left on the filesystem of /keep"),
        (0, b"", "no space is left on the filesystem of /keep"),
        (1 << 30, b"mkdir: Read-only file system", "its hold could not be taken: mkdir: Read-only file system"),
        (1 << 30, b"", "its hold could not be taken: exit code 1"),
    ],
)
def test_a_hold_that_cannot_be_taken_says_why(free: int, said: bytes, word: str) -> None:
    error = not_taken(with_free(free), "/keep", Result(Command("take-hold", ""), 1, b"", said))
    assert error.message.startswith(f"etcd1: {word}")
    assert "run the same command again" in (error.hint or "")


# --- a container under another name ---


def test_a_renamed_container_that_recover_brings_back_keeps_its_policy() -> None:
    renamed = node(1, log(1, [(2, 20)]), containers=(container("exited", name="etcd-old-58"),))
    assert not found("second-container", renamed)
    [told] = found("renamed-container", renamed)
    serving = replace(renamed, status=status(1, healthy=True, leader=1), members=members(1))
    assert "docker rename etcd-old-58 etcd" in found("renamed-container", serving)[0].advice, "who serves is not known"
    assert "--restart=no" not in told.advice
    assert "`fleetrecover recover` gives it the name etcd back" in told.advice


def test_one_beside_the_nodes_own_is_to_be_kept_from_starting() -> None:
    second = container("exited", name="etcd-old-58", id="d" * 64)
    both = node(1, log(1, [(2, 20)]), containers=(container("exited"), second))
    assert not found("renamed-container", both)
    [told] = found("second-container", both)
    assert told.advice == "`docker update --restart=no etcd-old-58`"


def test_a_second_one_that_runs_on_the_same_data_is_stopped_by_hand() -> None:
    def advice(own: Container, other: Container, **more: object) -> str:
        both = node(1, log(1, [(2, 20)], voters=(1,)), containers=(own, other), **more)
        return found("second-container", both)[0].advice

    beside = container("restarting", name="etcd-old", id="d" * 64, restart_policy="no")
    for own in (container(), container("exited")):
        assert advice(own, beside) == "`docker update --restart=no etcd-old && docker stop -t 30 etcd-old`"
    for other in (
        replace(beside, data_path="/var/lib/etcd-events"),
        replace(beside, state="exited", restart_policy="always"),
    ):
        assert advice(container(), other) == "`docker update --restart=no etcd-old`"
    assert not found("second-container", node(1, containers=(container(), replace(beside, state="exited"))))
    serves = {"status": status(1, healthy=True, leader=1), "members": members(1)}
    told = advice(container("exited"), replace(beside, state="running"), **serves)
    assert "`docker rename etcd etcd-unused && docker rename etcd-old etcd`" in told, "who serves is not stopped"


def test_of_two_renamed_ones_only_the_nodes_own_is_left_alone() -> None:
    older = container("exited", name="etcd-older", id="d" * 64, created="2025-01-01T00:00:00Z")
    pair = node(1, log(1, [(2, 20)]), containers=(container("exited", name="etcd-old"), older))
    assert [f.message for f in found("renamed-container", pair)] == [
        "etcd1: its etcd container is called etcd-old, and there is no etcd"
    ]
    assert len(found("second-container", pair)) == 1


# --- what is kept ---


def keep(run: str, *, finished: bool = True) -> Keep:
    paths = RunPaths("/var/lib/etcd.fleetrecover", run)
    return Keep(run, paths.root, Pin(run, "prod", "etcd1", "2026", "reset"), finished=finished, bytes=2_000_000)


def kept(*runs: str) -> Survey:
    return survey(*(node(n, log(n, [(2, 20)]), keeps=tuple(keep(run) for run in runs)) for n in (1, 2, 3)))


def test_what_one_run_keeps_is_one_line() -> None:
    [told] = [f for f in diagnose(kept("r1"), Wish()).findings if f.code == "kept-data"]
    assert told.message == "run r1 keeps 6 MB of what was there before, on etcd1, etcd2, etcd3"
    assert told.advice == "`fleetrecover clean r1` removes it, once all is whole and you are sure"


def test_what_many_runs_keep_is_one_line_too() -> None:
    diagnosis = diagnose(kept("r1", "r2", "r3"), Wish())
    [told] = [f for f in diagnosis.findings if f.code == "kept-data"]
    assert told.message.startswith("3 runs that are over keep 18 MB")
    assert "`fleetrecover clean --finished`" in told.advice
    assert diagnosis.remedy is not Remedy.FINISH


def test_a_run_that_is_open_is_not_counted_among_them() -> None:
    one = node(1, log(1, [(2, 20)]), keeps=(keep("r1", finished=False),))
    assert not found("kept-data", one)
