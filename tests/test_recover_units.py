"""`recover` and units: after the hold it looks again, goes on only with what was agreed to, and else lets the units go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import recover as flow
from fleetrecover import single
from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.errors import CommandFailed, FleetRecoverError, StoppedPartWay
from fleetrecover.facts import Survey
from fleetrecover.journal import Journal
from fleetrecover.undo import Undoer
from tests.decide import surveys
from tests.fakes.nodes import FakeFleet, Unit
from tests.fakes.transport import FakeTransport, failed
from tests.test_recover import World, world
from tests.test_scrub import Silent

__all__ = ["world"]


def managed(held_by: str = "") -> Survey:
    fleet = FakeFleet.broken(3, wiped=2)
    for node in fleet.nodes:
        node.unit = Unit(held_by=held_by, was_active=bool(held_by))
    return fleet.survey()


class ByRun(World):
    """The surveys, in which a unit that is held is so by whatever run has begun."""

    run = ""

    def take(self, *_: object, **__: object) -> Survey:
        seen = super().take()
        nodes = [
            replace(n, starters=tuple(replace(u, held_by=u.held_by and self.run) for u in n.starters))
            for n in seen.nodes
        ]
        return replace(seen, nodes=tuple(nodes))


@pytest.fixture
def units(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def make(*seen: Survey) -> World:
        made = world(*seen)
        made.__class__ = ByRun
        monkeypatch.setattr(flow, "take_survey", made.take)
        monkeypatch.setattr(flow, "new_run", lambda: "r-now")
        ByRun.run = "r-now"
        return made

    return make


HELD = [f"HoldUnit on n{n}" for n in (1, 2, 3)]
LET_GO = [f"ReleaseUnit on n{n}" for n in (1, 2, 3)]


def test_after_the_hold_it_looks_again_and_goes_on(units: Callable[..., World]) -> None:
    seen = units(managed(), managed(), managed("any"))
    with contextlib.suppress(FleetRecoverError, AttributeError):
        flow.recover(seen.means(), Wish())
    assert seen.done[:6] == [*HELD, "OpenRun on n1", "StopUnit on n1", "Fence on n1"]


@pytest.mark.parametrize("then", ["held by none", "another survivor", "nothing to do"])
def test_what_the_hold_shows_otherwise_ends_the_run_and_lets_the_units_go(
    units: Callable[..., World], then: str
) -> None:
    other = managed("any")
    if then == "held by none":
        other = managed()
    elif then == "another survivor":
        first, second, third = other.nodes
        swapped = FakeFleet.broken(3, wiped=2)
        swapped.swap_data("n1", "n2")
        moved = swapped.survey().nodes
        other = replace(
            other,
            nodes=(replace(moved[0], starters=first.starters), replace(moved[1], starters=second.starters), third),
        )
    else:
        fleet = FakeFleet.broken(1)
        for node in fleet.nodes:
            node.unit = None
        from tests.test_recover import mended

        other = mended()
    seen = units(managed(), managed(), other)
    with pytest.raises(StoppedPartWay) as raised:
        flow.recover(seen.means(), Wish())
    assert seen.done == [*HELD, *LET_GO]
    assert "moved" in raised.value.message or "nothing was lost" in raised.value.message


def test_a_hold_that_fails_is_taken_back_everywhere(
    units: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = units(managed())
    real: Any = flow.Applier  # type: ignore[attr-defined]

    def failing(*words: object) -> object:
        made = real(*words)
        took = made.stage

        def stage(part: s.Stage) -> object:
            took(part)
            raise StoppedPartWay("n2: systemd does not take the drop-in")

        made.stage = stage
        return made

    monkeypatch.setattr(flow, "Applier", failing)
    with pytest.raises(StoppedPartWay, match="does not take the drop-in"):
        flow.recover(seen.means(), Wish())
    assert seen.done == [*HELD, *LET_GO]


def test_a_task_of_fab_holds_and_looks_again_before_it_stops_anything(units: Callable[..., World]) -> None:
    seen = units(managed())
    single.do_next(seen.means(), Wish(), "fence")
    assert seen.done == HELD
    again = units(managed("any"))
    single.do_next(again.means(), Wish(), "fence", "n1")
    assert again.done == ["OpenRun on n1", "StopUnit on n1", "Fence on n1"]


# --- what a step does ---

BASE = ("etcd1", RunPaths("/d.fleetrecover", "r1"), "/d")
RELEASE = s.ReleaseUnit(*BASE, "etcd.service", "etcd", starts=True, remakes=True, waits=True)


def applier(kind: type[Applier], tmp_path: Path, answers: dict[str, object], waited: list[str]) -> Applier:
    transport = FakeTransport({"etcd1": answers})
    journal, events = Journal(tmp_path / "r1.jsonl", "r1"), Silent()
    made = kind(surveys.survey(surveys.node(1)), transport, "t", journal, events, lambda _: None)  # type: ignore[arg-type]
    made.wait_healthy = lambda node, container: waited.append(f"{node} {container}")  # type: ignore[method-assign]
    return made


def test_a_unit_that_is_given_back_is_waited_for(tmp_path: Path) -> None:
    waited: list[str] = []
    made = applier(Applier, tmp_path, {"release-unit": "started\n", "hold-unit": b"", "stop-unit": b""}, waited)
    assert made.do(s.HoldUnit(*BASE, "etcd.service")) == "etcd.service"
    targets = (s.FenceTarget("c" * 64, "etcd", "etcd.kept"),)
    assert made.do(s.StopUnit(*BASE, "etcd.service", "etcd", targets)) == "etcd.service, etcd.kept"
    assert made.do(RELEASE) == "etcd.service, started"
    assert waited == ["etcd1 etcd"]
    assert made.do(replace(RELEASE, waits=False)) == "etcd.service, started"
    assert waited == ["etcd1 etcd"]


def test_undo_waits_for_nothing_that_may_have_no_quorum(tmp_path: Path) -> None:
    waited: list[str] = []
    made = applier(Undoer, tmp_path, {"release-unit": "started\n"}, waited)
    given: list[str] = []
    made.let_it_answer = lambda node, name: given.append(f"{node} {name}")  # type: ignore[attr-defined]
    assert made.do(RELEASE) == "etcd.service, started"
    assert (waited, given) == ([], ["etcd1 etcd"])


def test_a_refusal_says_what_it_means(tmp_path: Path) -> None:
    made = applier(Applier, tmp_path, {"hold-unit": failed(76), "still-held": b""}, [])
    with pytest.raises(CommandFailed, match="systemd does not take the drop-in for that unit"):
        made.do(s.HoldUnit(*BASE, "etcd.service"))
