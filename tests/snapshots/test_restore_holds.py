"""A restore that fails before anything is stopped lets the units go that it holds; afterwards they stay held."""

from __future__ import annotations

from typing import Any

import pytest

from fleetrecover import steps as s
from fleetrecover.decide import restore as r
from fleetrecover.decide.units import HOLD
from fleetrecover.errors import StoppedPartWay
from fleetrecover.snapshots import restore as flow
from tests.decide.test_restore_units import managed
from tests.decide.test_units import REMAKES


class Recorder:
    """An applier that writes down what it is given; the stage called `fails` does."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.stages: list[str] = []
        self.let_go: list[str] = []

    def stage(self, stage: s.Stage) -> dict[str, Any]:
        self.stages.append(stage.name)
        if stage.name == self.fails:
            raise StoppedPartWay("n2: no")
        return {}

    def step(self, step: s.Step) -> None:
        assert isinstance(step, s.ReleaseUnit) and not step.starts
        self.let_go.append(step.node)


class Looker:
    def __init__(self, plan: r.RestorePlan) -> None:
        self.plan = plan

    def look(self, run: str, token: str) -> tuple[Any, r.RestorePlan]:
        assert (run, token) == (self.plan.run, self.plan.token)
        return "seen", self.plan


def working(then: r.RestorePlan) -> Any:
    return flow._Run(means=None, looker=Looker(then), journal=None, token="t")  # type: ignore[arg-type]


def held_and_then() -> tuple[r.RestorePlan, s.Stage, r.RestorePlan]:
    """The plan, what it holds, and the plan once that is held."""
    fleet = managed(REMAKES)
    plan = fleet.plan(())
    held = plan.stage(HOLD)
    assert held is not None
    fleet.do(held.steps)
    return plan, held, fleet.plan(())


def test_it_looks_again_and_goes_on_with_what_was_agreed_to() -> None:
    plan, held, then = held_and_then()
    applier: Any = Recorder()
    assert working(then).after_hold(applier, held, plan) == ("seen", then)
    assert then.stage(HOLD) is None
    assert (applier.stages, applier.let_go) == ([HOLD], [])


@pytest.mark.parametrize("why", ["the hold fails", "held by none", "other targets"])
def test_what_is_found_otherwise_ends_it(why: str) -> None:
    plan, held, then = held_and_then()
    if why == "held by none":
        then = plan
    elif why == "other targets":
        then = managed(REMAKES, wiped=0).plan(("n3",))
    applier: Any = Recorder(HOLD if why == "the hold fails" else "")
    with pytest.raises(StoppedPartWay):
        working(then).after_hold(applier, held, plan)
    assert applier.let_go == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("fails", "let_go"), [("open", True), ("prove", True), ("prepare", True), ("fence", False), ("start", False)]
)
def test_who_fails_before_anything_is_stopped_lets_them_go(fails: str, let_go: bool) -> None:
    _, held, then = held_and_then()
    applier: Any = Recorder(fails)
    with pytest.raises(StoppedPartWay):
        working(then).apply(applier, then, held)
    assert applier.let_go == (["n1", "n2", "n3"] if let_go else [])
    again: Any = Recorder(fails)
    with pytest.raises(StoppedPartWay):
        working(then).apply(again, then, None)
    assert again.let_go == [], "of an earlier command's hold nothing is known here"
