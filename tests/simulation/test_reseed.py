"""Reseed in the model: nothing is lost; and the model notices where one of its rules is broken."""

from __future__ import annotations

import pytest

from tests.simulation.reseed import Rules, Tally, history


def played(histories: int, rules: Rules | None = None, *, until_wrong: bool = False, name: str = "reseed") -> Tally:
    tally = Tally()
    for number in range(histories):
        history(f"{name}-{number}", tally, rules)
        if until_wrong and tally.wrong:
            break
    return tally


def test_nothing_that_was_promised_is_lost_and_nothing_since() -> None:
    seen = played(800)
    assert seen.failures == []
    assert seen.wrong == 0
    assert seen.reseeded > 500
    assert seen.complete > 200
    assert seen.returned > 100
    # the model crashes and parts its members all the while, so some come to nothing in the time that they have
    assert seen.served > 0.8 * seen.reseeded
    assert seen.since > 1000


@pytest.mark.slow
def test_the_same_in_a_hundred_thousand() -> None:
    seen = played(100_000, name="nightly")
    assert seen.failures == []
    assert seen.complete > 20_000


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Rules(all_get_it=False), id="commit raised where some keep a shorter log"),
        pytest.param(Rules(enough=False), id="fewer logs than are needed"),
        pytest.param(Rules(removes=False), id="the dead are not removed"),
    ],
)
def test_the_model_notices_a_broken_rule(broken: Rules) -> None:
    assert played(4000, broken, until_wrong=True).wrong
