"""undo and clean as a whole, over a fleet of values: what is looked at again after the question, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleetrecover import undo
from fleetrecover.decide import undo as u
from fleetrecover.decide.kept import Loss
from fleetrecover.errors import Refused
from fleetrecover.facts import KeptData, Survey
from fleetrecover.steps import BeginUndo
from tests.decide.test_resume import RUN
from tests.decide.test_undo import UndoFleet, picture, recovered
from tests.fakes.nodes import FakeFleet


class World:
    """A fleet, and an operator who takes his time; `meanwhile` happens while he reads."""

    def __init__(self, fleet: UndoFleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.fleet = fleet
        self.asked = 0
        self.failed: dict[str, Any] = {}
        self.outcomes: tuple[Any, ...] = ()
        self.done: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.shown: Callable[[Survey], Survey] = lambda survey: survey
        monkeypatch.setenv("FLEETRECOVER_STATE", str(tmp_path / "state"))
        monkeypatch.setattr(undo, "take_survey", lambda *_, **__: self.survey())
        monkeypatch.setattr(undo, "verify", lambda *_, **__: (self.survey(), self.judged()))
        monkeypatch.setattr(undo, "_hold", lambda *_: contextlib.nullcontext(SimpleNamespace(token="t")))
        monkeypatch.setattr(undo, "_worker", lambda *_: self)

    def all_of(self, stages: Any) -> None:
        for part in stages:
            self.done += [type(step).__name__ for step in part.steps]
            self.fleet.do(part.steps)

    def survey(self) -> Survey:
        return self.shown(self.fleet.survey())

    def judged(self) -> SimpleNamespace:
        whole = len(self.fleet.live) == len(self.fleet.nodes)
        return SimpleNamespace(
            ok=whole, checks=() if whole else (SimpleNamespace(name="members", detail="?", ok=False),)
        )

    @property
    def means(self) -> Any:
        def confirm(*_: object) -> None:
            self.asked += 1
            self.meanwhile()

        return SimpleNamespace(
            fleet=self.fleet.survey().fleet,
            transport=None,
            events=SimpleNamespace(note=lambda _: None),
            confirm=confirm,
            sleep=None,
            clock=None,
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(recovered(), monkeypatch, tmp_path)


def kept_ahead(survey: Survey) -> Survey:
    return with_kept(survey, KeptData("/original", 61, 20, 20, 0xC1, 1))


def with_kept(survey: Survey, data: KeptData) -> Survey:
    def one(node: Any) -> Any:
        if node.name != "n1":
            return node
        return replace(node, keeps=tuple(replace(keep, kept=(data,)) for keep in node.keeps))

    return replace(survey, nodes=tuple(one(node) for node in survey.nodes))


# --- clean ---------------------------------------------------------------------------------------------------------------


def test_clean_removes_what_a_finished_run_kept(world: World) -> None:
    assert undo.clean(world.means, RUN).outcome == "cleaned"
    assert world.done.count("RemoveRun") == 3


def test_clean_looks_again_after_the_question(world: World) -> None:
    """Two hosts burn down while the operator reads: the originals stay."""
    world.meanwhile = lambda: world.fleet.live.__delitem__(slice(1, None))
    with pytest.raises(Refused, match="not whole"):
        undo.clean(world.means, RUN)
    assert (world.asked, world.done) == (1, [])


def test_clean_compares_what_is_kept_before_the_question_and_after_it(world: World) -> None:
    def ahead() -> None:
        world.shown = kept_ahead

    world.meanwhile = ahead
    with pytest.raises(Refused, match="31 revisions ahead"):
        undo.clean(world.means, RUN)
    assert (world.asked, world.done) == (1, [])
    with pytest.raises(Refused, match="31 revisions ahead"):
        undo.clean(world.means, RUN)
    assert world.asked == 1, "it is not even asked"
    assert undo.clean(world.means, RUN, Loss(31)).outcome == "cleaned"


def test_clean_of_what_cannot_be_read_wants_a_word_of_its_own(world: World) -> None:
    unread = KeptData("/original", problem="not a WAL")
    world.shown = lambda survey: with_kept(survey, unread)
    with pytest.raises(Refused, match="cannot be told"):
        undo.clean(world.means, RUN)
    assert undo.clean(world.means, RUN, Loss(unknown=True)).outcome == "cleaned"


def test_clean_does_what_was_agreed_to_and_nothing_else(world: World) -> None:
    world.meanwhile = world.fleet.nodes[1].keeps.clear
    with pytest.raises(Refused, match="changed"):
        undo.clean(world.means, RUN)
    assert world.done == []


# --- undo ----------------------------------------------------------------------------------------------------------------


def test_undo_puts_back_and_says_so(world: World) -> None:
    done = undo.undo(world.means, RUN)
    assert (done.outcome, done.written_since, world.asked) == ("undone", 0, 1)
    assert undo.undo(world.means, RUN).outcome == "nothing"


def test_undo_says_at_its_end_what_cannot_be_put_back(world: World) -> None:
    """An earlier run's joiner that this run has removed: written down when it began, and made by nobody again."""
    [keep] = [node.keeps[RUN] for node in world.fleet.nodes if node.name == "n2"]
    world.fleet.node("n2").keeps[RUN] = replace(keep, names={**keep.names, "joined": "etcd"})
    assert undo.undo(world.means, RUN).notes == (
        "n2: container etcd is gone and cannot be put back; its inspect is in the run's containers.json",
    )


def test_undo_without_the_survivor_is_refused_unless_that_is_said(world: World) -> None:
    """What clients have written since is on a node that nobody sees: a yes alone is not enough."""
    for node in world.fleet.nodes[1:]:
        node.keeps[RUN] = replace(node.keeps[RUN], no_data=True)
    world.fleet.node("n1").accessible = False
    before = picture(world.fleet)
    with pytest.raises(Refused, match="cannot be told") as told:
        undo.undo(world.means, RUN)
    assert "--accept-loss unknown" in (told.value.hint or "")
    assert "n1" in told.value.message
    assert (world.asked, world.done, picture(world.fleet)) == (0, [], before)
    with pytest.raises(Refused):
        undo.undo(world.means, RUN, Loss(5000))
    with pytest.raises(Exception, match="what remains: n1"):
        undo.undo(world.means, RUN, Loss(unknown=True))
    assert world.done[0] == "BeginUndo"


def test_undo_looks_again_after_the_question(world: World) -> None:
    """The survivor goes away while the operator reads: what was known is not known any more."""
    world.meanwhile = lambda: setattr(world.fleet.node("n1"), "accessible", False)
    with pytest.raises(Refused, match="cannot be told"):
        undo.undo(world.means, RUN)
    assert world.done == []


def test_undo_is_for_what_was_shown(world: World) -> None:
    """More was written while the operator read than he was told of."""

    def busy(survey: Survey) -> Survey:
        nodes = tuple(replace(n, status=replace(n.status, revision=5000)) if n.status else n for n in survey.nodes)
        return replace(survey, nodes=nodes)

    def written() -> None:
        world.shown = busy

    world.meanwhile = written
    with pytest.raises(Refused, match="changed"):
        undo.undo(world.means, RUN)
    assert world.done == []


def test_every_node_is_marked_before_anything_is_done_to_it() -> None:
    for part in u.make_undo(recovered().survey(), RUN).stages[:1]:
        for lane in part.lanes:
            assert isinstance(lane[0], BeginUndo)
    assert FakeFleet is not UndoFleet
