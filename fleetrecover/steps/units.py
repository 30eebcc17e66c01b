"""PURE: steps that concern a systemd unit that starts an etcd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fleetrecover import limits
from fleetrecover.commands import units
from fleetrecover.commands.base import Action
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, Step, said
from fleetrecover.steps.containers import FenceTarget


@dataclass(frozen=True)
class HoldUnit(Deeds):
    """Keep a systemd unit that starts the node's etcd from starting, whatever starts it. Nothing is stopped by this."""

    words: ClassVar[str] = "keep the unit from starting"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    unit: str

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (units.hold_unit(self.paths, self.unit),)

    def explain(self, rt: Runtime) -> Explained:
        title = f"keep the unit {self.unit} from starting, whatever starts it"
        return self.said(title, after="systemd has the drop-in", rt=rt)

    def told(self) -> str:
        return self.unit


@dataclass(frozen=True)
class StopUnit(Deeds):
    """Stop a unit that is held, and what it runs, gently; its containers (called `name`) are set aside before that."""

    words: ClassVar[str] = "stop the unit and its container"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    unit: str
    name: str
    targets: tuple[FenceTarget, ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        targets = [(target.id, target.keep_as, target.paused) for target in self.targets]
        return (rt.stop_unit(self.paths, self.unit, self.name, targets),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(
            f"stop the unit {self.unit} and its container {self.name} gently",
            "the unit is kept from starting",
            f"the unit is stopped, and no container is called {self.name}",
            rt=rt,
        )

    def told(self) -> str:
        return ", ".join([self.unit, *(target.keep_as for target in self.targets)])


@dataclass(frozen=True)
class ReleaseUnit(Step):
    """Let a unit start again, and start it if `starts`: it ran before it was held.

    `remakes`: it makes its container (`name`) anew when it starts. `waits`: until a linearizable read succeeds there.
    """

    words: ClassVar[str] = "give the unit back"
    tasks: ClassVar[tuple[str, ...]] = ("start",)

    unit: str
    name: str
    starts: bool
    remakes: bool
    waits: bool = True

    def release(self, rt: Runtime) -> Action:
        """What is sent."""
        return rt.release_unit(self.paths, self.unit, self.name, remakes=self.remakes)

    def explain(self, rt: Runtime) -> Explained:
        how = "start it" if self.starts else "leave it stopped, as it was"
        if self.starts and self.remakes:
            how += f", by which it makes {self.name} anew with its own command on the data that lies there"
        after = "a linearizable read succeeds" if self.waits else ""
        return said(f"give the unit {self.unit} back: {how}", [self.release(rt)], "", after)

    def longest_wait(self) -> float:
        return limits.HEALTHY if self.waits else 0.0
