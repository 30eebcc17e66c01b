"""A reseed taken back from anywhere, and its undo interrupted anywhere: all is as it was, or goes on to the end."""

from __future__ import annotations

import pytest

from fleetrecover.decide import undo as u
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.facts import RESEED
from tests.decide.test_resume import RUN, assert_whole, finish
from tests.decide.test_undo import UndoFleet, picture, put_back
from tests.decide.test_undo_interrupted import goes_on_or_back, interrupted, stopped_everywhere
from tests.fakes.nodes import FakeFleet

CASES = [(2, 1, 0), (3, 0, 2), (3, 2, 0), (3, 1, 1), (5, 2, 1)]


def broken(nodes: int, wiped: int, dead: int) -> tuple[UndoFleet, Wish]:
    fleet = UndoFleet(FakeFleet.broken(nodes, wiped, dead).nodes, databases=True)
    gone = frozenset(node.name for node in fleet.nodes if not node.accessible)
    return fleet, Wish(dead=gone, method=RESEED)


@pytest.mark.parametrize(
    ("nodes", "wiped", "dead"), [pytest.param(*c, marks=[pytest.mark.long] if c[0] > 3 else []) for c in CASES]
)
def test_from_wherever_it_was_stopped_all_is_put_back(nodes: int, wiped: int, dead: int) -> None:
    """After each step; then it can be recovered anew, by either method."""
    fleet, wish = broken(nodes, wiped, dead)
    before, tried = picture(fleet), 0
    for stopped in stopped_everywhere(fleet, wish):
        tried += 1
        put_back(stopped)
        assert picture(stopped) == before
        assert u.make_undo(stopped.survey(), RUN).stages == ()
        for method in (RESEED, "reset"):
            anew = stopped.copy()
            word = Wish(wish.dead, method=method)
            assert_whole(anew, finish(anew, word)[0], word)
    assert tried > 8


@pytest.mark.parametrize(
    ("nodes", "wiped", "dead"), [pytest.param(*c, marks=[pytest.mark.long] if c[0] > 3 else []) for c in CASES]
)
def test_recover_or_undo_after_every_interruption_of_every_undo(nodes: int, wiped: int, dead: int) -> None:
    """Either recover is refused and undo puts everything back; or it goes on to a whole cluster, and nothing starts too early."""
    fleet, wish = broken(nodes, wiped, dead)
    before, tried, refused = picture(fleet), 0, 0
    for stopped in stopped_everywhere(fleet, wish):
        for half in interrupted(stopped):
            tried += 1
            refused += goes_on_or_back(half, wish, before)
    assert tried > 50
    assert refused > 0
