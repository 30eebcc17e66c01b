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
    "runtime",
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


def test_nobody_above_the_seam_knows_containers() -> None:
    """What is docker's or podman's own is imported by `runtime/` alone; a definition's type stands in `facts`, opaque."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if home(path) in ("docker", "runtime", "lab") or path.name == "facts.py":
            continue
        theirs = ("fleetrecover.docker", "fleetrecover.commands.containers", "fleetrecover.runtime.")
        named = {name for name in imported(path) if name.startswith(theirs)}
        assert not named, f"{path.relative_to(PACKAGE)} imports {named}"


def test_only_the_seam_asks_for_the_command_line_tool() -> None:
    """`[etcd] cli` is the containers' own: advice and commands are spelled by the runtime."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if home(path) not in ("docker", "runtime", "lab", "model", "inventory", "drafts"):
            assert ".etcd.cli" not in path.read_text(), path


# --- floors ---

CLI = ("cli", "cli_check", "cli_hosts", "cli_init", "cli_manual", "cli_runs", "cli_snapshot", "cli_support")
FLOORS: tuple[tuple[str, ...], ...] = (
    ("bounds", "limits", "errors", "ending"),
    ("plain", "answers", "codec", "cli_group"),
    ("model",),
    ("etcd",),
    ("docker",),
    ("facts",),
    ("commands",),
    ("runtime",),
    ("steps",),
    ("decide",),
    ("checks",),
    ("inventory", "journal", "outcome", "remote"),
    ("drafts", "survey", "reach"),
    ("hold", "kept", "verify", "lab"),
    ("seeding",),
    ("apply",),
    ("trial", "snapshots", "run_config"),
    ("recover", "redact"),
    ("single", "undo", "checking", "saved", "inspecting", "drill"),
    ("report",),
    ("interrupt", "support"),
    (*CLI, "manual", "offline"),
    ("start",),
    ("__main__",),
)
"""From the ground up: a module or package imports what stands on a lower floor, and nothing beside it or above."""
UP = {("recover", "report"), ("seeding", "apply"), ("snapshots", "recover")}
"""What runs up all the same: the journal has the documents that `--json` prints; a type; a restore looks as recover does."""
LATE = (*CLI, "manual", "offline", "start")
"""Where an import may stand in a function: a command loads what it needs, so that help and version load nothing."""
LATE_TOO = {("recover", "snapshots"), ("report", "journal")}
"""A circle: a restore stands on recover's flow, and recover's diagnosis names the snapshots that there are. And the lines of
`--log`, which every command has at hand and few write, load the journal with the first."""


def home(path: Path) -> str:
    """The package or module of ours that a file belongs to."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def edges() -> Iterator[tuple[str, str, bool]]:
    """(who imports, what, whether in a function) for every import of ours."""
    homes = {home(path) for path in PACKAGE.rglob("*.py")}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        within = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("fleetrecover"):
                continue
            parts = str(node.module).split(".")
            for name in parts[1:2] or [alias.name for alias in node.names if alias.name in homes]:
                if name != home(path):
                    yield home(path), name, id(node) in within


def test_no_import_runs_up() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    assert {home(path) for path in PACKAGE.rglob("*.py")} - floor.keys() == {"__init__"}
    together = {*CLI, "manual", "offline"}
    up = {(who, what) for who, what, _ in edges() if floor[what] >= floor[who] and not {who, what} <= together}
    assert up == UP


def test_no_import_hides_in_a_function() -> None:
    assert {(who, what) for who, what, late in edges() if late and who not in LATE} == LATE_TOO


# --- sizes ---

LONG_CLASSES = {"Lab", "Containers"}
"""Above 300 lines: the lab, and a class that only hands verbs on."""
LONG_FUNCTIONS = {
    *("parse_listing", "node_document", "quarantine", "plan", "finish", "from_inspect", "make_undo", "segment"),
    *("keep_elsewhere", "init"),
}
"""Above 50 lines: one table or one script, or a loop that is hot; none is to be added."""


def test_nothing_grows_beyond_what_one_reads_at_once() -> None:
    classes, functions = set(), set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            lines = getattr(node, "end_lineno", 0) - getattr(node, "lineno", 0) + 1
            if isinstance(node, ast.ClassDef) and lines > 300:
                classes.add(node.name)
            if isinstance(node, ast.FunctionDef) and lines > 50:
                functions.add(node.name)
    assert (classes, functions) == (LONG_CLASSES, LONG_FUNCTIONS)
