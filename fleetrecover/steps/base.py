"""PURE: what a step is, and how steps are put together.

A step knows itself: what a person calls it, which task of `fab` does it, how long it may take, its words and its exact
commands. It names everything that it needs and nothing that it does not, so that a plan can be saved, printed and compared.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fleetrecover.commands import actions
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.runtime import Runtime


@dataclass(frozen=True)
class Explained:
    """A step for the eye: what it does, with which commands, what is checked before and after, and how it is undone.

    `seconds` is the limit of its commands all together, 0 where it is not known from them. What is only known later (the
    initial cluster of a joiner, a member's id) stands in angle brackets.
    """

    title: str
    commands: tuple[str, ...]
    before: str
    after: str
    undo: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """One thing done on one node. `paths` are the run's on that node, `data` is its data directory (real path)."""

    words: ClassVar[str] = ""
    """Its name wherever a person reads it; programs (the journal, `--json`) know it by its class."""
    tasks: ClassVar[tuple[str, ...]] = ()
    """The tasks of `fab` that do it; none where only a whole command does."""
    patience: ClassVar[float] = 0.0
    """Seconds that it may wait, beside the limits of its commands."""
    moves: ClassVar[bool] = False
    """Whether it may take as long as anything moves."""

    node: str
    paths: RunPaths
    data: str

    def explain(self, rt: Runtime) -> Explained:
        """In words, and in its exact commands; `rt` is what runs etcd on its node."""
        raise NotImplementedError(f"no words are known for {type(self).__name__}")

    def longest_wait(self) -> float:
        """Seconds that this one may wait, beside the limits of its commands."""
        return self.patience


@dataclass(frozen=True)
class Deeds(Step):
    """A step that is nothing but actions: those that are shown are those that are sent, in that order."""

    passing: ClassVar[bool] = False
    """Whether the engine may refuse an action for a reason that passes, as `docker update` while a container ends."""

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        """What is sent, in order; each looks before it acts, so that it can be sent again."""
        raise NotImplementedError(f"nothing is known that {type(self).__name__} would do")

    def told(self) -> str:
        """What is worth telling when it is done."""
        return self.node

    def said(self, title: str, before: str = "", after: str = "", *, rt: Runtime, undo: str | None = None) -> Explained:
        """Its actions with these words around them."""
        return said(title, self.actions(rt), before, after, undo)


class OwnAffair:
    """What a step makes sure of for its own node alone, and as often as it is asked.

    A survey does not see whether it was done, so every plan has it anew: it stands before that node's next steps, and
    before no other node's.
    """


@dataclass(frozen=True)
class Stage:
    """Lanes run beside each other, the steps of a lane one after another.

    A failure on a node in `essential` ends the plan after this stage; on another node it is told, and the rest goes on.
    """

    name: str
    title: str
    lanes: tuple[tuple[Step, ...], ...]
    essential: frozenset[str] = frozenset()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, lane by lane."""
        return tuple(step for lane in self.lanes for step in lane)

    def without(self, failed: Collection[str]) -> Stage | None:
        """The stage without the steps on nodes that failed; None if none is left."""
        lanes = [[step for step in lane if step.node not in failed] for lane in self.lanes]
        return stage(self.name, self.title, lanes, tuple(self.essential))


def stage(name: str, title: str, lanes: Sequence[Sequence[Step]], essential: Sequence[str] = ()) -> Stage | None:
    """A stage of the lanes that have any step; None if none has."""
    filled = tuple(tuple(lane) for lane in lanes if lane)
    return Stage(name, title, filled, frozenset(essential)) if filled else None


def said(title: str, did: Sequence[Action], before: str, after: str, undo: str | None = None) -> Explained:
    """A step in words, with the actions that it sends; without `undo`, the actions say how they are undone."""
    commands = tuple(action.command.display for action in did)
    seconds = sum(action.command.timeout for action in did)
    how = "; ".join(action.undo for action in did if action.undo) if undo is None else undo
    return Explained(title, commands, before, after, how, seconds)


def together(step: Step, rt: Runtime) -> tuple[Action, ...]:
    """What comes before an etcd is started, or a run is closed: its WAL directory lies with its data, if it has one."""
    return (actions.reunite(rt.quiet, step.paths, step.data),) if step.paths.wal else ()
