"""The bars of a transfer: seen on a real terminal, and not a byte of them where there is none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = """
from fleetrecover.cli_snapshot import progress_shown
with progress_shown() as progress:
    progress("to [etcd1]", 3_000_000, 10_000_000)
    progress("to etcd2", 10_000_000, 10_000_000)
    progress("to [etcd1]", 10_000_000, 10_000_000)
    print("between", flush=True)
    progress("from etcd3", 500, 1000)
    progress.stop()
    print("asked", flush=True)
"""


def on_a_terminal() -> str:
    """What the program writes when its standard error is a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    running = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux's word for the end of a terminal
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert running.wait(60) == 0, seen
    return seen.decode()


def test_a_terminal_shows_what_goes_where_and_how_far() -> None:
    seen = on_a_terminal()
    first, rest = seen.split("between")
    assert "to [etcd1]" in first
    assert "to etcd2" in first
    assert "10.0/10.0 MB" in first
    assert "\x1b[2K" in first, "the bars are taken away when all are done"
    between, after = rest.split("asked")
    assert "from etcd3" in between
    assert "500/1,000 bytes" in between or "0.5/1.0 kB" in between
    assert "etcd" not in after, "nothing is drawn over a question"


def test_no_terminal_no_bars() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("between\nasked\n", "")
