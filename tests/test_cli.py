"""The command line as typed: help that is whole, the version, colours, the first word of a survey, runs by their ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from fleetrecover import __version__, cli
from fleetrecover.cli_init import not_reached
from fleetrecover.errors import HostKeyProblem, LoginFailed, OutcomeUnknown, RemoteError, Unreachable
from fleetrecover.facts import NodeFacts, Problem
from fleetrecover.journal import Journal
from fleetrecover.model import Host

ROOT = Path(__file__).parents[1]
NOWHERE = 'cluster = "prod"\n[ssh]\nknown_hosts = "known_hosts"\nconnect_timeout = 1\n' + "".join(
    f'[[hosts]]\nname = "etcd{n}"\naddress = "127.0.0.1"\nport = {n}\n' for n in (1, 2, 3)
)
"""Hosts on ports where nobody listens."""


def run(tmp_path: Path, *words: str, stdout: int | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "hosts.toml").write_text(NOWHERE)
    (tmp_path / "known_hosts").touch()
    found = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "COLUMNS")}
    found |= {
        "PYTHONPATH": str(ROOT),
        "FLEETRECOVER_STATE": str(tmp_path / "state"),
        "TERM": "xterm",
        "HOME": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-m", "fleetrecover", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=found | environment,
        check=False,
    )


@pytest.mark.parametrize("words", [("--help",), ("snapshot", "--help"), ("lab", "--help"), ()])
def test_help_is_never_cut_off(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    told = done.stdout + done.stderr
    assert "Commands:" in told and "..." not in told.partition("Commands:")[2]
    if words[:1] != ("snapshot",) and words[:1] != ("lab",):
        assert "-V, --version" in told and "$NO_COLOR" in told
        assert "is nothing left over that will hurt" in told
    assert done.returncode == (0 if words else 2)
    assert not told.startswith("fleetrecover: Usage")


@pytest.mark.parametrize("words", [("-V",), ("--version",), ("--json", "-V"), ("survey", "--version")])
def test_the_version(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, f"fleetrecover {__version__}\n")


def test_the_first_word_of_a_survey_is_who_is_asked(tmp_path: Path) -> None:
    done = run(tmp_path, "survey")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("asking 3 nodes: etcd1, etcd2, etcd3 …\n")
    one = run(tmp_path, "run-config", "etcd2")
    assert one.stderr.startswith("asking 1 node: etcd2 …\n")
    assert json.loads(run(tmp_path, "survey", "--json").stdout)["cluster"] == "prod"


def on_a_terminal(tmp_path: Path, *words: str, **environment: str) -> str:
    master, slave = pty.openpty()
    run(tmp_path, *words, stdout=slave, **environment)
    os.close(slave)
    said = b""
    try:
        while piece := os.read(master, 65536):
            said += piece
    except OSError:  # the end, on Linux
        said += b""
    os.close(master)
    return said.decode()


def test_colours_on_a_terminal_and_none_with_no_color(tmp_path: Path) -> None:
    assert "\x1b[" in on_a_terminal(tmp_path, "diagnose")
    assert "\x1b[" not in on_a_terminal(tmp_path, "diagnose", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(tmp_path, "--no-color", "diagnose")
    assert "\x1b[" in on_a_terminal(tmp_path, "diagnose", NO_COLOR="")
    assert "\x1b[" not in run(tmp_path, "diagnose").stdout


# --- exit codes ---


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run-config", "etcd1"), 12),
        (("init", "--from", "root@127.0.0.1:1", "-o", "-"), 12),
        (("init", "--from", "no-such-host.invalid", "-o", "-"), 12),
        (("undo", "r1", "--yes", "prod"), 12),
        (("undo",), 2),
        (("undo", "r1", "--last"), 2),
        (("clean",), 2),
        (("clean", "r1", "--finished"), 2),
        (("snapshot", "list"), 12),
        (("report", "nothing"), 3),
        (("diagnose",), 12),
    ],
)
def test_what_cannot_be_reached_or_was_typed_wrongly_is_no_fault_of_the_program(
    tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [RemoteError, Unreachable, HostKeyProblem, LoginFailed, OutcomeUnknown])
def test_a_remote_error_that_escapes_is_undetermined(kind: type[RemoteError]) -> None:
    assert kind("etcd1", "x").code == 12


def test_init_says_what_diagnose_says_of_a_host_key() -> None:
    hint = "log in once and compare the fingerprint with the one on the node's console: `ssh …`"
    node = NodeFacts(
        Host("node", "x"), reachable=False, problem=Problem("host-key", "node: its host key is not in f", hint)
    )
    error = not_reached("root@10.0.0.1", node)
    assert (error.code, error.message, error.hint) == (12, "root@10.0.0.1: its host key is not in f", hint)


# --- runs ---


def test_a_report_by_the_last_four_characters(tmp_path: Path) -> None:
    runs = [f"r2026010{n}T120000Z-ab{n}{n}" for n in range(1, 8)]
    for name in runs:
        journal = Journal.open("prod", name, tmp_path / "state")
        journal.write("begin", command="recover", cluster="prod", survivor="etcd1")
        journal.write("end", outcome="recovered", report={"members": ["a"], "left_out": {"b": "x", "c": "y"}})
        journal.close()
    assert runs[3] in run(tmp_path, "report", "ab44").stdout
    unknown = run(tmp_path, "report", "zz99")
    assert unknown.returncode == 3
    assert unknown.stderr.count("r2026010") == 5
    table = run(tmp_path, "runs").stdout
    assert all(name in table for name in runs)
    assert "recovered (1 of 3)" in table


def test_options_that_may_stand_anywhere_are_moved_to_the_front() -> None:
    assert cli.hoist(["diagnose", "-V", "--json"]) == ["-V", "--json", "diagnose"]
    assert cli.command_of(cli.hoist(["undo", "r1", "--inventory", "x"])) == "undo"


def test_a_method_that_is_not_there(tmp_path: Path) -> None:
    for command in ("plan", "recover"):
        done = run(tmp_path, command, "--method", "reseat")
        assert done.returncode == 2
        assert "--method reseat: there is no such method" in done.stderr
        assert "auto, reseed, reset" in done.stderr
