"""Mutants that change nothing that anybody could see: `equivalent.toml` lists them, each with its reason.

    [[mutant]]
    file = "fleetrecover/decide/survivor.py"
    function = "choose_survivor"
    change = "a <= b  →  a < b"
    why = "both are never equal: …"

A change is told as the tool tells it, not by its line, so that what moves stays listed. One that is found several times in
its function is meant each time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import Mutant

LISTED = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Known:
    """One that is listed."""

    file: str
    function: str
    change: str
    why: str

    def is_of(self, mutant: Mutant) -> bool:
        """Whether this mutant is meant."""
        same = (self.function, self.change) == (mutant.qualname, f"{mutant.before}  →  {mutant.after}")
        return same and mutant.path.as_posix().endswith(self.file)


def read(text: str) -> tuple[Known, ...]:
    """What is listed. Raises ValueError for an entry without a reason."""
    found = tuple(Known(**entry) for entry in tomllib.loads(text).get("mutant", ()))
    for known in found:
        if not known.why.strip():
            raise ValueError(f"{known.file} {known.function}: {known.change}: it does not say why it changes nothing")
    return found


def split(mutants: Iterable[Mutant], listed: Iterable[Known]) -> tuple[list[Mutant], list[Mutant]]:
    """Those that are to be killed, and those that nobody can see."""
    known = tuple(listed)
    judged: tuple[list[Mutant], list[Mutant]] = ([], [])
    for mutant in mutants:
        judged[any(each.is_of(mutant) for each in known)].append(mutant)
    return judged


def stale(mutants: Iterable[Mutant], listed: Iterable[Known]) -> list[Known]:
    """Those of the files of these mutants (all that they have) which are no mutants any more."""
    made = list(mutants)
    files = {mutant.path.as_posix() for mutant in made}
    ours = [known for known in listed if any(file.endswith(known.file) for file in files)]
    return [known for known in ours if not any(known.is_of(mutant) for mutant in made)]
