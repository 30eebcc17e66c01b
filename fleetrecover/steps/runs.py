"""PURE: steps that concern a run's own record on a node."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from fleetrecover.commands import actions
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.facts import Pin
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, together


@dataclass(frozen=True)
class OpenRun(Deeds):
    """Make the run's directory, pin the survivor, save what the containers were."""

    words: ClassVar[str] = "note the run down"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    pin: Pin
    containers: tuple[str, ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (
            actions.open_run(self.paths, asdict(self.pin)),
            rt.record(self.paths, self.containers, self.data),
        )

    def explain(self, rt: Runtime) -> Explained:
        return self.said("note the run down, and what the containers are", after="the record reads back", rt=rt)

    def told(self) -> str:
        return self.paths.root


@dataclass(frozen=True)
class FinishRun(Deeds):
    """Mark the run as finished on the node."""

    words: ClassVar[str] = "mark the run as finished"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (*together(self, rt), actions.mark(self.paths, "finished"))

    def explain(self, rt: Runtime) -> Explained:
        return self.said("mark the run as finished", "the final check was good", rt=rt)

    def told(self) -> str:
        return self.paths.run


@dataclass(frozen=True)
class CloseEarlier(Deeds):
    """Mark an earlier run, for which nothing is to be done any more, as finished on the node."""

    words: ClassVar[str] = "close an earlier run"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    earlier: RunPaths

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (*together(self, rt), actions.mark(self.earlier, "finished"))

    def explain(self, rt: Runtime) -> Explained:
        title = f"mark the earlier run {self.earlier.run} as finished"
        return self.said(title, "nothing is to be done for it any more", rt=rt)

    def told(self) -> str:
        return self.earlier.run


@dataclass(frozen=True)
class BeginUndo(Deeds):
    """Mark that the run is being taken back on the node, before anything is changed there."""

    words: ClassVar[str] = "note that the run is taken back"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (actions.mark(self.paths, "undoing"),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(self.words, rt=rt)

    def told(self) -> str:
        return self.paths.run


@dataclass(frozen=True)
class MarkUndone(Deeds):
    """Mark the run as undone on the node."""

    words: ClassVar[str] = "mark the run as undone"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (*together(self, rt), actions.mark(self.paths, "undone"))

    def explain(self, rt: Runtime) -> Explained:
        return self.said("mark the run as undone", rt=rt)

    def told(self) -> str:
        return self.paths.run


@dataclass(frozen=True)
class RemoveRun(Deeds):
    """Remove the run's directory. `frees` in bytes."""

    words: ClassVar[str] = "remove what was kept"

    frees: int

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (actions.remove_run(self.paths),)

    def explain(self, rt: Runtime) -> Explained:
        title = f"remove {self.paths.root} ({self.frees / 1e6:,.1f} MB)"
        return self.said(title, "the cluster is whole", "it is gone", rt=rt)

    def told(self) -> str:
        return f"{self.frees / 1e6:,.1f} MB"
