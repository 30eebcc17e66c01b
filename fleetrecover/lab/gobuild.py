"""etcd 3.6 and 3.7, which no distribution packages: built once from etcd's own Go modules, into the lab's cache.

A folder of `modules/` for each minor version holds a go.mod and a go.sum, which pin every module by version and
checksum. etcd's commands are built as they are: `etcdutl` has its entry point in its own package main, so a main of ours
could not call it. `go` itself fetches what is pinned, from where this machine's Go is set up to fetch.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from fleetrecover.errors import InputError
from fleetrecover.lab.lock import held
from fleetrecover.lab.rke import version_tuple
from fleetrecover.lab.system import SEARCH_PATH, LabError

MODULES = Path(__file__).parent / "modules"
FIRST = (3, 6)
"""From this version on etcd is built."""

PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
    "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
}
BUILD_SECONDS = 1800.0
"""How long one build may take, and how long another process waits for it: 80 s of one core, and what is fetched."""


class NoGo(InputError):
    """There is no Go here that can build this version of etcd."""


def pinned() -> dict[str, Path]:
    """The versions that can be built, such as "3.6.14" → the folder of its go.mod; oldest first."""
    found = {}
    for file in MODULES.glob("*/go.mod"):
        version = re.search(rf"{re.escape(PROGRAMS['etcd'])} v(\S+)", file.read_text())
        if version:
            found[version[1]] = file.parent
    return dict(sorted(found.items(), key=lambda item: version_tuple(item[0])))


def build(version: str, target: Path, progress: Callable[[str], None]) -> None:
    """Build the programs of `version` into `target`/usr/bin, unless they are there; one process at a time.

    Raises NoGo where Go is missing or too old, InputError for a version that is not pinned, LabError when the build
    fails.
    """
    folder = pinned().get(version)
    if folder is None:
        raise InputError(
            f"the lab can build etcd {' and '.join(pinned())}, not {version}",
            hint="choose one of these with --etcd, or give the programs with --etcd-binaries DIR",
        )
    with held(target.with_name(f".{target.name}.lock"), BUILD_SECONDS):
        if target.is_dir():
            return
        go = find_go(version)
        progress(f"building etcd {version} from its Go modules: a minute or two, once")
        place = target.with_name(f".new-{target.name}")
        shutil.rmtree(place, ignore_errors=True)  # a build that was killed: nobody else has the lock
        for program, package in PROGRAMS.items():
            _go_build(go, folder, package, place / "usr/bin" / program)
        place.rename(target)


def find_go(version: str) -> str:
    """The `go` that can build this version of etcd; NoGo says what to install.

    A `go` of 1.21 or newer says itself that it is too old, or fetches a newer one, as it is set up to.
    """
    folder = pinned()[version]
    wanted = go_directive((folder / "go.mod").read_text())
    go = shutil.which("go") or shutil.which("go", path=f"/usr/local/go/bin:{SEARCH_PATH}")
    hint = f"install Go {wanted} or newer, or give the programs of etcd with --etcd-binaries DIR"
    if go is None:
        raise NoGo(f"etcd {version} is built from its Go modules, and there is no Go here", hint=hint)
    asked = _run([go, "version"], folder, 120.0)
    said = asked.stdout.decode("utf-8", "replace").strip()
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", said)
    if asked.returncode != 0 or not found:
        raise NoGo(f"the Go here cannot build etcd {version}: {_last_words(asked)}", hint=hint)
    if version_tuple(found[1]) < version_tuple(wanted):
        raise NoGo(f"etcd {version} needs Go {wanted}, and here is {found[1]}", hint=hint)
    return go


def go_directive(text: str) -> str:
    """The Go that a go.mod asks for: "go 1.25.0" → "1.25.0"."""
    found = re.search(r"^go (\d+(?:\.\d+)*)$", text, re.MULTILINE)
    if not found:
        raise LabError("a go.mod of the lab does not say which Go it needs")
    return found[1]


def _go_build(go: str, folder: Path, package: str, output: Path) -> None:
    """One program, linked statically: it needs no C library in its image."""
    argv = ["nice", go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
    done = _run([*argv, "-o", str(output), package], folder, BUILD_SECONDS)
    if done.returncode != 0:
        raise LabError(
            f"{output.name} could not be built: {_last_words(done)}",
            hint=f"try it: cd {folder} && go build -mod=readonly -o /dev/null {package}",
        )


def _run(argv: list[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Go with the settings of this machine, but for a workspace around us and C."""
    environment = os.environ | {"GOWORK": "off", "CGO_ENABLED": "0"}
    environment.setdefault("HOME", str(Path.home()))
    try:
        return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        raise LabError(f"`{' '.join(argv)}` did not end within {seconds:g} s") from expired


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """The end of what a program said; Go's first lines tell of modules that it downloads."""
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return "; ".join(said[-3:]) or f"exit code {done.returncode}"
