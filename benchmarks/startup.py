"""How long commands take to start, as a multiple of an empty python's own start.

    python -m benchmarks.startup [--rounds 15]

All are run in turn, a round each, so that what else the machine does falls on all alike; medians are compared. `--json`
prints the table for a program. Whether a goal is kept is told by the exit code: 0 where all are, 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
EMPTY = "empty python"
PROGRAM = (sys.executable, "-m", "fleetrecover")
COMMANDS: dict[str, tuple[str, ...]] = {
    EMPTY: (sys.executable, "-c", ""),
    "import typer": (sys.executable, "-c", "import typer"),
    "--version": (*PROGRAM, "--version"),
    "--help": (*PROGRAM, "--help"),
    "diagnose --help": (*PROGRAM, "diagnose", "--help"),
    "runs": (*PROGRAM, "runs"),
    "runs --json": (*PROGRAM, "runs", "--json"),
}
GOALS = {"--version": 5.0, "--help": 5.0, "runs": 10.0}
"""The most that each may take, in starts of an empty python."""


def once(argv: tuple[str, ...], state: str) -> float:
    """Seconds from the start of that process to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FLEETRECOVER_STATE": state}
    begun = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=True)
    return time.perf_counter() - begun


def measure(rounds: int) -> dict[str, float]:
    """The median seconds of each command; the first round, which fills the caches, does not count."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as state:
        for number in range(rounds + 1):
            for name, argv in COMMANDS.items():
                seconds = once(argv, state)
                if number:
                    taken[name].append(seconds)
    return {name: median(each) for name, each in taken.items()}


def main() -> int:
    """Measure, print, and say whether every goal is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.rounds)
    ratios = {name: seconds / found[EMPTY] for name, seconds in found.items()}
    if asked.json:
        print(json.dumps({"seconds": found, "ratios": ratios, "goals": GOALS}))
    else:
        print("| command | ms | × empty python | goal |\n|-|-|-|-|")
        for name, seconds in found.items():
            print(f"| {name} | {seconds * 1000:.0f} | {ratios[name]:.1f} | {GOALS.get(name, '')} |")
    return int(any(ratios[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    raise SystemExit(main())
