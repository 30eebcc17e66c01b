"""Ctrl-C, in a process of its own: what was in the middle, what to type next, exit code 130. No test looks at a clock."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover.interrupt import told
from fleetrecover.report.waits import Wait, Waits

ROOT = Path(__file__).parents[1]
INVENTORY = 'cluster = "prod"\n[[hosts]]\nname = "etcd1"\naddress = "192.0.2.1"\n'
DRIVER = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
from fleetrecover import cli, recover, survey
from fleetrecover.commands.paths import RunPaths
from fleetrecover.steps import AwaitQuorum, Promote

STEP = AwaitQuorum("etcd1", RunPaths("/keep", "r1"), "/data", ("etcd1",))
def stay(*_, **__):
    print("MARKER", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.05)
"""


@pytest.fixture
def terminal() -> Iterator[int]:
    """The slave side of a terminal, for the standard input."""
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def interrupted(
    tmp_path: Path, body: str, *words: str, marker: str = "MARKER", stdin: int | None = None
) -> tuple[int, str]:
    """Run a command line with parts of the program replaced by `body`; press Ctrl-C when `marker` is on stderr."""
    (tmp_path / "hosts.toml").write_text(INVENTORY)
    script = DRIVER + textwrap.dedent(body) + f"\nsys.exit(cli.run({list(words)!r}))\n"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FLEETRECOVER_STATE": str(tmp_path / "state")}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    )
    assert process.stderr is not None
    seen = b""
    while marker.encode() not in seen:
        byte = process.stderr.read(1)
        assert byte, seen.decode()
        seen += byte
    process.send_signal(signal.SIGINT)
    seen += process.stderr.read()
    return process.wait(), seen.decode()


def test_in_the_middle_of_a_step_it_says_which_and_what_to_type(tmp_path: Path) -> None:
    body = """
    def run(means, wish, agreed=None):
        means.events.step_begins(STEP)
        stay()
    recover.recover = run
    """
    code, said = interrupted(tmp_path, body, "recover", "--yes", "prod")
    assert code == 130
    assert "interrupted in the middle of etcd1: wait for a leader. It may still run on etcd1" in said
    assert "`fleetrecover recover` goes on, `fleetrecover undo r1` takes it back" in said
    assert "AwaitQuorum" not in said and "Traceback" not in said


def test_steps_on_other_threads_are_named_too(tmp_path: Path) -> None:
    body = """
    def run(means, wish, agreed=None):
        other = Promote("etcd2", RunPaths("/keep", "r1"), "/data", "etcd1", ())
        worker = threading.Thread(target=lambda: (means.events.step_begins(other), time.sleep(600)), daemon=True)
        means.events.step_begins(STEP)
        worker.start()
        while len(cli.settings.waits.steps()) < 2:
            time.sleep(0.01)
        stay()
    recover.recover = run
    """
    code, said = interrupted(tmp_path, body, "recover", "--yes", "prod")
    assert code == 130
    assert "in the middle of etcd1: wait for a leader; etcd2: make it a voter. It may still run on etcd1, etcd2" in said


def test_what_is_let_go_of_meanwhile_is_said_at_once(tmp_path: Path) -> None:
    """The nodes' holds are released before the last word; a step that ends meanwhile was still in the middle."""
    body = """
    from fleetrecover.outcome import Outcome
    def run(means, wish, agreed=None):
        means.events.step_begins(STEP)
        try:
            stay()
        finally:
            means.events.step_ends(STEP, Outcome("AwaitQuorum", "etcd1", 1.0))
            print("RELEASED", file=sys.stderr, flush=True)
    recover.recover = run
    """
    code, said = interrupted(tmp_path, body, "recover", "--yes", "prod")
    assert code == 130
    assert said.index("letting go of the nodes") < said.index("RELEASED") < said.index("in the middle of etcd1")


def test_at_the_question_there_is_a_new_line_and_nothing_was_changed(tmp_path: Path, terminal: int) -> None:
    body = "recover.recover = lambda *_, **__: cli.ask('prod', None)"
    code, said = interrupted(tmp_path, body, "recover", marker="anything else to leave: ", stdin=terminal)
    assert code == 130
    assert said.endswith("anything else to leave: \nfleetrecover: interrupted; nothing was changed\n")


@pytest.mark.parametrize("words", [("survey",), ("--json", "diagnose"), ("verify",)])
def test_a_look_changes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    body = """
    import fleetrecover.verify
    survey.take_survey = recover.take_survey = fleetrecover.verify.take_survey = stay
    """
    code, said = interrupted(tmp_path, body, *words)
    assert code == 130
    assert "interrupted; nothing was changed" in said


# --- the words alone ---


def steps(*names: str) -> tuple[Wait, ...]:
    return tuple(Wait(name, "", 0.0, "stop and set aside", "r1") for name in names)


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("recover", "`fleetrecover recover` goes on, `fleetrecover undo r1` takes it back"),
        ("step", "`fleetrecover recover` goes on, `fleetrecover undo r1` takes it back"),
        ("restore", "the same command again goes on, `fleetrecover undo r1` takes it back"),
        ("undo", "`fleetrecover undo r1` goes on"),
        ("drill", "`fleetrecover drill` begins anew"),
        ("clean", "`fleetrecover clean r1` goes on"),
    ],
)
def test_what_to_type_depends_on_the_command(command: str, hint: str) -> None:
    assert told(command, steps("etcd1"), 0, "r1").hint == hint
    between = told(command, (), 3, "r1")
    assert between.hint == hint and "between two steps of run r1" in between.message


def test_a_command_whose_changes_are_no_steps_does_not_claim_that_nothing_was_changed() -> None:
    assert told("save", (), 0, "").message == "interrupted"
    assert told("recover", (), 0, "").message == "interrupted; nothing was changed"


def test_a_wait_that_is_no_step_is_not_in_the_middle() -> None:
    waits = Waits(lambda _: None)
    waits.begin("etcd1", "no answer yet")
    assert waits.steps() == ()
