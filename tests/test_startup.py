"""What a command imports, counted: help in an outage comes at once, and a program may ask for `runs` often."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetrecover import start

ROOT = Path(__file__).parents[1]
SLOW = {"fabric", "paramiko", "invoke", "tenacity", "cryptography", "crc32c", "yaml", "_ssl", "pydantic"}
"""What only a command that reaches a node, or looks into a certificate, needs."""
COUNT = """
import contextlib, io, json, sys
from fleetrecover.cli import run
with contextlib.redirect_stdout(io.StringIO()) as out:
    code = run(sys.argv[1:])
print(json.dumps([code, out.getvalue(), sorted(sys.modules)]))
"""


def imported(tmp_path: Path, *words: str, **environment: str) -> tuple[str, set[str]]:
    """What that command line prints, and the modules that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLEETRECOVER_STATE": str(tmp_path), **environment},
        check=True,
    )
    code, out, modules = json.loads(done.stdout)
    assert code == 0, done.stderr
    return out, set(modules)


def ours(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("fleetrecover.")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--version",), "fleetrecover 0."),
        (("-V",), "fleetrecover 0."),
        (("--help",), "The rehearsal fleet, kept, to practise on."),
        (("diagnose", "--help"), "--dead"),
        (("recover", "--help"), "--survivor"),
        (("snapshot", "--help"), "Snapshots: list"),
    ],
)
def test_help_imports_nothing_that_works(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    told, modules = imported(tmp_path, *words)
    assert said in told
    assert not {name.split(".")[0] for name in modules} & (SLOW | {"rich"})
    assert not ours(modules) & {"lab", "remote", "etcd", "docker", "facts", "survey", "recover", "snapshots"}


QUICK = """
import json, sys
from fleetrecover.start import main
main()
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("word", ["--help", "-h", "--version", "-V"])
def test_the_parser_is_not_imported_for_help_and_version(tmp_path: Path, word: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", QUICK, word]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert {name for name in json.loads(done.stderr) if name.startswith("fleetrecover")} == {
        "fleetrecover",
        "fleetrecover.start",
    }
    assert not {"typer", "rich", "dataclasses", "typing"} & set(json.loads(done.stderr))
    assert done.stdout == imported(tmp_path, word, COLUMNS="80")[0]


def test_the_kept_help_is_what_the_parser_prints() -> None:
    assert start.page() == start.made(), "write it anew: python -m fleetrecover.start"


def test_a_narrow_terminal_has_its_help_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert start.quick(["--help"]) is None
    monkeypatch.setenv("COLUMNS", "200")
    assert start.quick(["--help"]) == start.page()
    assert start.quick(["diagnose", "--help"]) is None


def test_runs_and_their_json_import_nothing_that_judges(tmp_path: Path) -> None:
    for words in (("runs",), ("runs", "--json")):
        _, modules = imported(tmp_path, *words)
        assert not {name.split(".")[0] for name in modules} & SLOW
        assert not ours(modules) & {"lab", "remote", "etcd", "docker", "facts", "survey", "recover", "snapshots"}


def test_a_part_is_imported_when_it_is_wanted(tmp_path: Path) -> None:
    told, modules = imported(tmp_path, "lab", "--help")
    assert "power-off" not in told and "break" in told
    assert "fleetrecover.lab.cli" in modules
    assert "cryptography" not in modules
