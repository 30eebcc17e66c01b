"""A scene as text: what is typed, what is said, and below a plan the names of the scripts that each of its steps sends.

The scripts themselves stand once each in a file of their own, by their kind of step, action and a few digits of a digest.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetrecover.model import Fleet
from fleetrecover.runtime import Runtime, runtime_of
from fleetrecover.steps import Deeds, Step
from tests.golden.scenes import Scene
from tests.golden.stage import say

HERE = Path(__file__).parent
OCTAL = re.compile(r"(?:\\[0-7]{3}){8,}")
TEXTS = HERE / "texts"
SCRIPTS = TEXTS / "scripts.txt"
ANSWERS = TEXTS / "answers.txt"
MARK = "=== "
SHORT = 700
LONGEST = 400
"""Bytes of a payload that are kept; of what is longer its digest."""


def scene_text(name: str, scene: Scene, scripts: dict[str, str]) -> str:
    """Everything of one scene; its scripts are put into `scripts` by their names."""
    situation = scene.situation()
    fleet = situation.survey.fleet
    lines = [f"# {name}: {scene.told}", ""]
    shown: list[str] = []
    for words in scene.typed:
        said = say(situation, shlex.split(words))
        lines += [f"$ fleetrecover {words}", *(line.rstrip() for line in said.text.splitlines())]
        lines += [f"[exit code {said.code}]", ""]
        sends = list(_sent(said.plan, fleet, scripts)) if said.plan is not None else []
        if sends and sends != shown:
            lines += ["what is sent:", *sends, ""]
            shown = sends
    return "\n".join(lines)


def _sent(plan: Any, fleet: Fleet, scripts: dict[str, str]) -> Iterator[str]:
    """A line for each step: the names of what it sends, or shows where it is known only then what it sends."""
    for part in [*plan.stages, *([plan.closing] if getattr(plan, "closing", None) else [])]:
        for step in part.steps:
            names = " ".join(
                _keep(step, name, script, scripts) for name, script in _scripts(step, runtime_of(fleet, step.node))
            )
            yield f"  {step.node} {type(step).__name__}: {names or 'nothing'}"


def _scripts(step: Step, rt: Runtime) -> Iterator[tuple[str, str]]:
    if isinstance(step, Deeds):
        yield from ((action.command.name, action.command.script) for action in step.actions(rt))
    elif shown := step.explain(rt).commands:
        yield f"shown-{type(step).__name__}", "\n".join(shown)


def _keep(step: Step, name: str, script: str, scripts: dict[str, str]) -> str:
    """Keep a script under a name of its own; what is only its own node's number in it is a #."""
    text = readable(script).replace(step.paths.run, "RUN")
    if number := re.fullmatch(r"n(\d)", step.node):
        text = re.sub(rf"\b(own|etcd-n|10\.0\.0\.){number[1]}\b", r"\1#", text)
    key = f"{name}.{hashlib.sha256(text.encode()).hexdigest()[:5]}"
    scripts[key] = text
    return key


def scripts_text(scripts: dict[str, str]) -> str:
    """The scripts as one file, which `read_scripts` reads; the long ones stand in `commands`, with other arguments."""
    short = {name: text for name, text in scripts.items() if len(text) <= SHORT}
    return "".join(f"{MARK}{name}\n{text}\n\n" for name, text in sorted(short.items()))


def read_scripts(text: str) -> dict[str, str]:
    """The scripts of such a file."""
    parts = (part.partition("\n") for part in text.split(MARK)[1:])
    return {name: script.removesuffix("\n\n") for name, _, script in parts}


def readable(script: str) -> str:
    r"""A script with its octal payloads as text.

    >>> readable(r"printf '\150\145\154\154\157\040\150\151\041'")
    "printf '«hello hi!»'"
    """

    def decoded(found: re.Match[str]) -> str:
        data = bytes(int(digits, 8) for digits in found[0].split("\\")[1:])
        if len(data) > LONGEST:
            return f"«{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:8]}»"
        return f"«{data.decode('utf-8', 'backslashreplace')}»"

    return OCTAL.sub(decoded, script).strip()
