"""Running our scripts on every sh that this machine has, with stand-ins for other programs on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from fleetrecover.model import Command

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]
NAMES = [shell[0] for shell in SHELLS]


def begin(shell: list[str], command: Command, path: Path | None = None, **env: str) -> subprocess.Popen[bytes]:
    """Start a command's script in a process group of its own, as the batch does."""
    search = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    process = subprocess.Popen(
        shell,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PATH": search} | env,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(command.script.encode())
    process.stdin.close()
    process.stdin = None
    return process


def run(shell: list[str], command: Command, path: Path | None = None, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command's script to its end."""
    process = begin(shell, command, path, **env)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(shell, process.returncode, out, err)


def program(directory: Path, name: str, body: str) -> Path:
    """A stand-in for a program, in POSIX sh; returns the directory for PATH."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{body}\n")
    (directory / name).chmod(0o755)
    return directory
