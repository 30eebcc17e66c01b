"""docs/limits.md, made of `limits.py` and `bounds.py`: `python -m tests.limits >docs/limits.md`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from fleetrecover import bounds, limits

HEAD = """# How long at most, and how much at most

Made of `fleetrecover/limits.py` and `fleetrecover/bounds.py` by `python -m tests.limits >docs/limits.md`; a test compares.
"""
UNITS = {1 << 30: "GiB", 1 << 20: "MiB"}
OTHER_UNITS = {"VERIFY_LOOKS": "looks", "ELECTIONS": "election timeouts", "BYTES_A_SECOND": "bytes a second"}
"""What is not seconds; in `bounds`, seconds are floats and all else are bytes or counts."""


@dataclass(frozen=True)
class Row:
    """One limit: its name, its value as a person reads it, and its reason."""

    section: str
    name: str
    value: str
    reason: str


def rows(module: ModuleType) -> Iterator[Row]:
    """The limits of a module in its order; its comments `# --- title ---` are the sections."""
    path = Path(str(module.__file__))
    lines = path.read_text().splitlines()
    titles = {at: line.strip("# -") for at, line in enumerate(lines, 1) if line.startswith("# --- ")}
    body = ast.parse(path.read_text()).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        section = next((titles[at] for at in sorted(titles, reverse=True) if at < node.lineno), "")
        if not section:
            continue
        name, value = node.targets[0].id, getattr(module, node.targets[0].id)
        yield Row(section, name, told(name, value, module), docstring(following))


def docstring(node: ast.stmt | None) -> str:
    """The text right below a constant, on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def told(name: str, value: object, module: ModuleType) -> str:
    """A value with its unit."""
    if isinstance(value, tuple):
        return ", ".join(f"{each:g}" for each in value) + " s"
    if isinstance(value, int) and module is bounds:
        unit = next((size for size in UNITS if value % size == 0), 1)
        return f"{value // unit} {UNITS[unit]}" if unit > 1 else f"{value:,}"
    if isinstance(value, int):
        return f"{value:,} {OTHER_UNITS.get(name, 's')}"
    return f"{value:,g} {OTHER_UNITS.get(name, 's')}" if isinstance(value, float) else str(value)


def page() -> str:
    """The whole page."""
    parts, section = [HEAD], ""
    for module in (limits, bounds):
        for row in rows(module):
            if row.section != section:
                section = row.section
                parts.append(f"\n## {section[0].upper()}{section[1:]}\n\n| | | |\n|---|---|---|\n")
            parts.append(f"| `{row.name}` | {row.value} | {row.reason} |\n")
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
