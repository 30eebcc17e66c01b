"""PURE: the words of a judgement: the verdict, the remedy, the operator's wish, the run under way, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fleetrecover.decide.barriers import forbidding
from fleetrecover.decide.finding import Finding
from fleetrecover.decide.membership import Seat, quorum
from fleetrecover.decide.survivor import Choice
from fleetrecover.facts import RESET

AUTO = "auto"
"""The method that the plan chooses."""


class Verdict(StrEnum):
    """The words of INTERFACE.md."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    QUORUM_LOST = "quorum-lost"
    UNDETERMINED = "undetermined"

    @property
    def exit_code(self) -> int:
        """The exit code of `diagnose`."""
        return {"healthy": 0, "degraded": 10, "quorum-lost": 11, "undetermined": 12}[self.value]


class Remedy(StrEnum):
    """What `recover` would do."""

    NONE = "none"
    FINISH = "finish"  # everything stands; a run has still to be closed
    REPAIR = "repair"  # quorum stands: replace members one at a time
    START = "start"  # enough members can simply be started
    RESET = "reset"  # quorum is lost for good
    BLOCKED = "blocked"  # not safe, or nothing to recover from


@dataclass(frozen=True)
class Wish:
    """What the operator has said. `survivor` is a host; `dead` are words for hosts or members, as they were typed.

    `decide.dead.resolved` makes of those words hosts, and ids of members that are no hosts, once, for all that follows.

    `meant` has the words of it that stand for members that are no hosts, each with the id that was found for it; `spelt` all
    words that were resolved, each with what they stand for, to say of which word is spoken.

    `work_dir` is a directory on the survivor's node that takes the kept original, where there is no space for a copy.

    `method` is how a cluster without quorum is brought back: AUTO, or facts' RESET or RESEED.
    """

    dead: frozenset[str] = frozenset()
    survivor: str | None = None
    work_dir: str | None = None
    meant: frozenset[tuple[str, str]] = frozenset()
    spelt: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)
    method: str = AUTO


@dataclass(frozen=True)
class OpenRun:
    """A run that has begun and is not closed. `pinned` once data was moved: the survivor never changes after that."""

    run: str
    survivor: str
    kind: str
    pinned: bool
    nodes: tuple[str, ...]
    started: str
    dead: tuple[str, ...]
    cluster: str = ""
    method: str = RESET


@dataclass(frozen=True)
class Diagnosis:
    """The judgement. `seats` are the cluster's members as far as known, `choice` the survivor where one is needed."""

    verdict: Verdict
    remedy: Remedy
    seats: tuple[Seat, ...]
    findings: tuple[Finding, ...]
    choice: Choice | None = None
    open_run: OpenRun | None = None
    why: str = ""
    startable: tuple[str, ...] = ()
    cause: Finding | None = None  # of a verdict that blocks: the finding that says so
    options: str = ""  # what the operator has said, as it is typed again: " --dead etcd3"

    @property
    def voters(self) -> tuple[Seat, ...]:
        """The members that vote."""
        return tuple(seat for seat in self.seats if not seat.learner)

    @property
    def quorum(self) -> int:
        """How many voters make a quorum."""
        return quorum(len(self.voters)) if self.voters else 0

    @property
    def refusal(self) -> Finding | None:
        """What forbids the remedy, though the judgement stands: nothing is begun before that is mended."""
        return forbidding(self.remedy, self.findings)
