"""Generated containers, rebuilt by us and by runlike on one dockerd; writes the table of docs/run-config.md.

    python benchmarks/roundtrip.py [--count 500] [--runlike PATH] [--write docs/run-config.md]

Needs root, dockerd, docker, busybox; runlike from requirements-compare.txt (without it, only ours is counted).
"""

from __future__ import annotations

import argparse
import collections
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fleetrecover.errors import FleetRecoverError
from tests.docker.dockerd import PrivateDockerd, missing
from tests.docker.generated import bodies
from tests.docker.roundtrip import create, ours, runlikes

RUNLIKE = next(
    line.partition("==")[2].strip()
    for line in (Path(__file__).resolve().parents[1] / "requirements-compare.txt").read_text().splitlines()
    if line.startswith("runlike==")
)
BEGIN, END = "<!-- roundtrip: begin -->", "<!-- roundtrip: end -->"


class Tally:
    """How many came back equal, and for the others the fields that did not."""

    def __init__(self) -> None:
        self.equal = 0
        self.fields: collections.Counter[str] = collections.Counter()
        self.first: dict[str, str] = {}

    def add(self, lines: list[str], body: dict[str, Any]) -> None:
        """Count one container."""
        self.equal += not lines
        for field in sorted({_field(line) for line in lines}):
            self.fields[field] += 1
        for line in lines:
            self.first.setdefault(_field(line), f"{line}\n      of {body}")


def _field(line: str) -> str:
    found = re.match(r"((?:[A-Za-z]+)(?:\.[A-Za-z]+)?)[.:]|(docker refused|runlike failed|not shell|we refused)", line)
    return (found[1] or found[2]) if found else line[:40]


def run(count: int, runlike: str | None) -> tuple[int, Tally, Tally, PrivateDockerd]:
    """Make `count` containers and rebuild each twice."""
    mine, theirs, made = Tally(), Tally(), 0
    with PrivateDockerd() as daemon:
        daemon.docker("create", "--name=other", "--ipc=shareable", "--volume=/from/other", "plain:1", "/bin/true")
        info = daemon.api("GET", "/info")

        @settings(
            max_examples=count * 3,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(bodies(), st.sampled_from(daemon.clients), st.booleans())
        def check(body: dict[str, Any], client: str, secret: bool) -> None:
            nonlocal made
            identifier = create(daemon, body) if made < count else None
            if identifier is None:
                return
            made += 1
            try:
                original = daemon.inspect_container(identifier)
                try:
                    mine.add(ours(daemon, original, client=client, secret=secret, info=info), body)
                except (FleetRecoverError, RuntimeError, AssertionError) as error:
                    mine.add([f"we refused: {type(error).__name__} {error}"], body)
                if runlike:
                    theirs.add(runlikes(daemon, original, runlike=runlike), body)
            finally:
                daemon.remove(identifier)
            if made % 100 == 0:
                print(f"{made} containers, {mine.equal} equal, runlike {theirs.equal}", file=sys.stderr)

        check()
        daemon.version = info["ServerVersion"]
    return made, mine, theirs, daemon


def table(made: int, mine: Tally, theirs: Tally, version: str, runlike: str | None) -> str:
    """The table as Markdown."""
    lost = ", ".join(f"{field} {count}" for field, count in theirs.fields.most_common(12))
    lines = [
        f"dockerd {version} on Linux {platform.release().split('-')[0]}, {made} generated containers:",
        "",
        "| | came back equal | did not |",
        "|---|---|---|",
        f"| fleetrecover | {mine.equal} | {made - mine.equal} |",
    ]
    if runlike:
        lines.append(f"| runlike {RUNLIKE} | {theirs.equal} | {made - theirs.equal} |")
        lines += ["", f"What differed after runlike, by field and number of containers: {lost}."]
    return "\n".join(lines)


def main() -> int:
    """Run, print, and write the table when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=int(os.environ.get("FLEETRECOVER_ROUNDTRIP", "500")))
    parser.add_argument("--runlike", default=shutil.which("runlike"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    why = missing()
    if why:
        print(f"no private dockerd: {why}", file=sys.stderr)
        return 3
    made, mine, theirs, daemon = run(options.count, options.runlike)
    text = table(made, mine, theirs, daemon.version, options.runlike)
    print(text)
    for field, line in mine.first.items():
        print(f"ours, {field} ({mine.fields[field]}): {line}", file=sys.stderr)
    if options.write:
        page = options.write.read_text()
        head, _, rest = page.partition(BEGIN)
        _, _, tail = rest.partition(END)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
    return 0 if mine.equal == made else 1


if __name__ == "__main__":
    sys.exit(main())
