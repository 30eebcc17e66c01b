"""`make mutants`: change one line at a time and see whether the unit tests notice.

python -m tests.mutation --sample 400 --seed 1                  # of all that decides something
python -m tests.mutation fleetrecover/decide/survivor.py --all  # every mutant of a file
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.mutation.plugin import Runner

PLACES = ("decide", "etcd", "docker", "commands", "apply")


def main() -> int:
    """Run, and say how many were killed; the exit code is pytest's, for the run without any mutant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, help="files or directories; all that decides something, if none")
    parser.add_argument("--sample", type=int, default=400, help="how many mutants (default: 400)")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/mutants.jsonl"), help="those that lived, one a line")
    parser.add_argument("--tests", nargs="+", default=["tests"], help="the tests that are to notice")
    asked = parser.parse_args()
    paths = asked.paths or [Path("fleetrecover") / place for place in PLACES]
    files = [each for path in paths for each in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for each in (signal.SIGINT, signal.SIGHUP):  # a shell's background ignores them, and so would what the tests start
        signal.signal(each, signal.default_int_handler)
    runner = Runner(tuple(files), 0 if asked.all else asked.sample, asked.seed, asked.jobs, asked.out)
    arguments = [
        "-m",
        "not lab and not long and not slow",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:timeout",
    ]
    return pytest.main([*arguments, "-o", "addopts=--strict-markers", *asked.tests], plugins=[runner])


if __name__ == "__main__":
    sys.exit(main())
