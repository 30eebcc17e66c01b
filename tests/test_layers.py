"""The arrows of the layers: a pure core, a thin shell, and one place for each library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fleetrecover"
PURE = (
    "checks",
    "decide",
    "steps",
    "etcd",
    "docker",
    "commands",
    "model",
    "errors",
    "facts",
    "plain",
    "answers",
    "bounds",
    "limits",
)
# what a pure module may import of ours
ALLOWED = {*PURE, ""}
IMPURE_STDLIB = {"subprocess", "socket", "threading", "time", "urllib.request", "http.client"}


def modules(*parts: str) -> Iterator[Path]:
    """Files of these parts of the package."""
    for part in parts:
        single = PACKAGE / f"{part}.py"
        yield from [single] if single.exists() else sorted((PACKAGE / part).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, but for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "fleetrecover"}
    return found


@pytest.mark.parametrize("path", sorted(modules(*PURE)), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_is_pure(path: Path) -> None:
    """It imports nothing that looks at a node, a clock or the network, and nothing of the shell around it."""
    names = imported(path)
    if path.name != "local.py":  # reads the files that `inspect` is given
        assert not names & IMPURE_STDLIB
    ours = {name.split(".")[1] for name in names if name.startswith("fleetrecover.")}
    assert ours - {"__version__"} <= ALLOWED, f"{path.name} imports {ours - ALLOWED}"


def test_only_remote_imports_fabric_paramiko_and_tenacity() -> None:
    """One place for each of them."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "remote" in path.relative_to(PACKAGE).parts:
            continue
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & {"fabric", "paramiko", "tenacity", "invoke"}, path


def test_nothing_is_swallowed() -> None:
    """No `except …: pass` anywhere."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), f"{path}:{node.lineno}"


def test_remote_commands_are_spelled_in_one_place() -> None:
    """`etcdctl`'s changes of membership and docker's changes of containers are written in commands/ alone."""
    words = ("member add", "member remove", "member promote", "rename {", "update --restart")
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        if "commands" in parts or "lab" in parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            # text for a person may name a command; what is run never stands outside
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Command", "Action"):
                text = ast.unparse(node)
                assert not any(word in text for word in words), f"{path}:{node.lineno}"
