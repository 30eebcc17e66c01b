"""A learner is no voter: it is not counted as one in what is said, however many there are; as in sv-learner-count."""

from __future__ import annotations

import pytest

from fleetrecover.decide.diagnosis import Remedy, Wish, diagnose
from tests.decide.logs import log
from tests.decide.surveys import node, survey


@pytest.mark.parametrize(
    ("voters", "learners", "here", "said"),
    [
        ((1, 2, 3), (4,), (1, 4), "all 3 voters are accounted for"),
        ((2, 3), (1,), (1, 3), "all 2 voters are accounted for"),
        ((1, 2), (3, 4), (1, 3, 4), "all 2 voters are accounted for"),
    ],
)
def test_only_voters_are_counted(
    voters: tuple[int, ...], learners: tuple[int, ...], here: tuple[int, ...], said: str
) -> None:
    everyone = (*voters, *learners)
    logs = {n: log(n, [(2, 20)], voters=voters, learners=learners) for n in here}
    nodes = [node(n, logs.get(n)) for n in everyone]
    found = diagnose(survey(*nodes), Wish())
    assert found.remedy is Remedy.RESET
    assert said in found.why
