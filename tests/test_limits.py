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
    """Where a file waits for a number that stands there, or for a constant of its own, and not for one of `limits`."""
    tree = ast.parse(path.read_text())
    own = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, int | float)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [word.value for word in node.keywords if word.arg in WAITS]
        given += node.args[:1] if called.lstrip("_") in SLEEPS else []
        for value in given:
            for part in (value.left, value.right) if isinstance(value, ast.BinOp) else (value,):
                number = isinstance(part, ast.Constant) and isinstance(part.value, int | float) and part is value
                if number or (isinstance(part, ast.Name) and part.id in own):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(part)}"


@pytest.mark.parametrize("module", [limits, bounds], ids=lambda module: str(module.__name__))
def test_every_limit_has_a_reason(module: object) -> None:
    assert [row.name for row in rows(module) if not row.reason] == []  # type: ignore[arg-type]


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/limits.md").read_text() == page(), "python -m tests.limits >docs/limits.md"


def test_no_wait_stands_anywhere_else() -> None:
    """The lab, which only builds what we practise on, has its own."""
    files = [path for path in (ROOT / "fleetrecover").rglob("*.py") if "lab" not in path.parts]
    assert [each for path in sorted(files) for each in numbers(path)] == []
