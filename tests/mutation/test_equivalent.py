"""What is listed as equivalent is still made, each has its reason, and only what is listed is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.equivalent import LISTED, read, split, stale
from tests.mutation.operators import mutants
from tests.mutation.test_operators import SOURCE

ROOT = Path(__file__).parents[2]
ENTRY = '[[mutant]]\nfile = "thing.py"\nfunction = "Thing.big"\nchange = "{}"\nwhy = "{}"\n'


def test_what_is_listed_is_left_out_and_nothing_else() -> None:
    made = mutants(Path("thing.py"), SOURCE)
    listed = read(ENTRY.format("self.size > 5  →  self.size >= 5", "it is never 5"))
    rest, unseen = split(made, listed)
    assert [mutant.after for mutant in unseen] == ["self.size >= 5"]
    assert len(rest) == len(made) - 1
    assert stale(made, listed) == []


def test_one_that_is_not_made_any_more_is_told() -> None:
    made = mutants(Path("thing.py"), SOURCE)
    listed = read(ENTRY.format("self.size > 6  →  self.size >= 6", "it is never 6"))
    assert stale(made, listed) == list(listed)
    assert stale(mutants(Path("other.py"), SOURCE), listed) == []


def test_one_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say why"):
        read(ENTRY.format("a  →  b", " "))


def test_every_entry_is_still_a_mutant() -> None:
    listed = read(LISTED.read_text())
    made = [m for file in {known.file for known in listed} for m in mutants(Path(file), (ROOT / file).read_text())]
    assert [f"{known.file} {known.function}: {known.change}" for known in stale(made, listed)] == []
    assert {known.file for known in listed} <= {mutant.path.as_posix() for mutant in made}
