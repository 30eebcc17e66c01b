"""What is said and would be done in every scene is what is kept. On purpose: `python -m tests.golden --write`, and read it."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re

import pytest

from tests.golden.answers import answers_text
from tests.golden.commands import MADE, module_text
from tests.golden.scenes import names, scene
from tests.golden.terminals import ESCAPES, SHOTS, seen_on, shot_text
from tests.golden.texts import ANSWERS, SCRIPTS, SHORT, TEXTS, read_scripts, scene_text

SHOWN = 60
"""Lines of a difference that are told."""
KEPT = 560_000
"""Bytes in which all of it must stay: what nobody can read nobody reviews."""


def same(kept: str, now: str, name: str) -> None:
    """Fail with what differs, in a bounded number of lines."""
    if kept == now:
        return
    told = list(difflib.unified_diff(kept.splitlines(), now.splitlines(), f"kept {name}", "now", lineterm="", n=2))
    more = f"\n… and {len(told) - SHOWN} lines more" if len(told) > SHOWN else ""
    wanted = "if that is right: python -m tests.golden --write"
    pytest.fail("\n".join([*told[:SHOWN], wanted]) + more, pytrace=False)


@pytest.mark.parametrize("name", names())
def test_a_scene(name: str) -> None:
    scripts: dict[str, str] = {}
    text = scene_text(name, scene(name), scripts)
    kept = read_scripts(SCRIPTS.read_text())
    for script, now in scripts.items():
        if len(now) > SHORT:
            continue
        near = difflib.get_close_matches(
            now, [o for n, o in kept.items() if n.rpartition(".")[0] == script.rpartition(".")[0]], 1
        )
        same(kept.get(script, near[0] if near else ""), now, f"script {script}")
    same((TEXTS / f"{name}.txt").read_text(), text, name)


@pytest.mark.parametrize("name", SHOTS)
def test_a_command_on_a_terminal(name: str) -> None:
    same((TEXTS / f"{name}.term").read_text(), shot_text(SHOTS[name]), name)


@pytest.mark.parametrize("name", ["diagnose", "check", "snapshot-list"])
def test_without_colours_it_is_the_same(name: str) -> None:
    plain, coloured = (seen_on(SHOTS[name], 80, colours=colours) for colours in (False, True))
    assert "\x1b" not in plain[0] and "\x1b" in coloured[0]
    assert (ESCAPES.sub("", coloured[0]), coloured[1]) == plain


@pytest.mark.parametrize("module", MADE)
def test_the_commands_of_a_module(module: str) -> None:
    same((TEXTS / f"{module}.sh").read_text(), module_text(module), f"commands/{module}.py")


def test_what_is_made_of_answers() -> None:
    same(ANSWERS.read_text(), answers_text(), "answers")


@pytest.mark.parametrize("module", MADE)
def test_no_command_is_left_out(module: str) -> None:
    found = importlib.import_module(f"fleetrecover.commands.{module}")
    called = {label.split()[0] for label, _ in MADE[module]()}
    ours = [each for each in vars(found).items() if getattr(each[1], "__module__", "") == found.__name__]
    makers = {name for name, each in ours if inspect.isfunction(each) and not name.startswith("_") and _makes(each)}
    assert makers <= called


def _makes(function: object) -> bool:
    """Whether it makes a command that is sent."""
    made = str(inspect.signature(function).return_annotation)  # type: ignore[arg-type]
    return made == "Command" or made.startswith(("Action", "Probe"))


def test_nothing_is_kept_that_nobody_asks_for_and_not_too_much() -> None:
    wanted = {f"{name}.txt" for name in names()} | {f"{name}.term" for name in SHOTS} | {SCRIPTS.name}
    wanted |= {ANSWERS.name} | {f"{module}.sh" for module in MADE}
    assert {path.name for path in TEXTS.iterdir()} == wanted
    assert sum(path.stat().st_size for path in TEXTS.iterdir()) < KEPT
    text = "".join((TEXTS / f"{name}.txt").read_text() for name in names())
    assert set(read_scripts(SCRIPTS.read_text())) <= set(re.findall(r"[a-zA-Z.-]+\.[0-9a-f]{5}(?=[ \n])", text))
