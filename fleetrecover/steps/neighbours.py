"""PURE: steps that concern containers that live by etcd: apiservers, and RKE's that takes snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fleetrecover.commands.base import Action
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, Step, said

ROLLING = "etcd-rolling-snapshots"
"""RKE's container that takes snapshots; without quorum it takes none but goes on removing old ones."""


@dataclass(frozen=True)
class StopNeighbours(Deeds):
    """Stop the containers that live by etcd, noting which of them ran."""

    words: ClassVar[str] = "stop what lives by etcd"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    names: tuple[str, ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (rt.stop_neighbours(self.paths, self.names),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(f"stop {', '.join(self.names)}, where they run", "which of them ran is noted", rt=rt)

    def told(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True)
class StartNeighbours(Step):
    """Start again, in order, those that the run has stopped, and see that they stay up."""

    words: ClassVar[str] = "start again what lives by etcd"

    names: tuple[str, ...]

    def explain(self, rt: Runtime) -> Explained:
        did = [rt.start_neighbours(self.names)]
        return said("start again those that were stopped", did, "", "they stay up")


@dataclass(frozen=True)
class StartStopped(Step):
    """Start those of these neighbours (snapshots, apiservers) that the run had stopped; whether they stay up is theirs."""

    words: ClassVar[str] = "start what had been stopped beside etcd"

    names: tuple[str, ...]

    def explain(self, rt: Runtime) -> Explained:
        command = rt.hand.start(f"<those of {', '.join(self.names)} that the run had stopped>")
        return Explained(self.words, (command,), "its own note of what ran", "", "")
