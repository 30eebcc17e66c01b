"""Every wait has one home, a reason, and a line in docs/limits.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover import bounds, limits
from tests.limits import page, rows

ROOT = Path(__file__).parents[1]
WAITS = {"timeout", "interval", "start_limit", "pause"}
SLEEPS = {"sleep", "wait", "join", "settimeout"}


def numbers(path: Path) -> Iterator[str]:
    """Where a file waits for a number that stands there, and not for one of `limits`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [word.value for word in node.keywords if word.arg in WAITS]
        given += node.args[:1] if called.lstrip("_") in SLEEPS else []
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {value.value}"


@pytest.mark.parametrize("module", [limits, bounds], ids=lambda module: str(module.__name__))
def test_every_limit_has_a_reason(module: object) -> None:
    assert [row.name for row in rows(module) if not row.reason] == []  # type: ignore[arg-type]


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/limits.md").read_text() == page(), "python -m tests.limits >docs/limits.md"


def test_no_wait_stands_anywhere_else() -> None:
    """The lab, which only builds what we practise on, has its own."""
    files = [path for path in (ROOT / "fleetrecover").rglob("*.py") if "lab" not in path.parts]
    assert [each for path in sorted(files) for each in numbers(path)] == []
