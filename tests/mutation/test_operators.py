"""The mutants themselves: a judge that changes nothing would find that nothing is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mutation.operators import mutants, mutated_code

SOURCE = """
from functools import cache

class Thing:
    @property
    def big(self):
        return self.size > 5

@cache
def quorum(n, *, dead=False):
    if not dead and n in (1, 2):
        return n // 2 + 1
    raise ValueError(f"{n + 1}")

def total(found):
    return max(each for each in found if each)
"""


def test_every_change_is_another_program() -> None:
    path = Path("thing.py")
    found = mutants(path, SOURCE)
    codes = {mutated_code(mutant, SOURCE) for mutant in found}
    assert len(codes) == len(found) > 10
    assert {mutant.qualname for mutant in found} == {"Thing.big", "quorum", "total"}
    assert not [mutant for mutant in found if "ValueError" in mutant.before and "raise" not in mutant.before]


TYPES = """
def read(data):
    def inner(n: A | B) -> C | D:
        return n
    found: A | B = cast(A | B, inner(data))
    kind = A | None
    return found
"""


def test_what_only_a_type_checker_reads_is_left_alone() -> None:
    assert not [mutant for mutant in mutants(Path("thing.py"), TYPES) if "|" in mutant.before]


@pytest.mark.parametrize("after", ["n // 2 - 1", "n * 2"])
def test_the_code_is_that_of_the_function_with_the_change(after: str) -> None:
    space: dict[str, Any] = {}
    exec(compile(SOURCE, "thing.py", "exec"), space)
    mutant = next(each for each in mutants(Path("thing.py"), SOURCE) if each.after == after)
    function = space["quorum"].__wrapped__
    function.__code__ = mutated_code(mutant, SOURCE)
    assert function(2) == {"n // 2 - 1": 0, "n * 2": 5}[after]
