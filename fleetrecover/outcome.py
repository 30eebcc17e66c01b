"""PURE: what came of a step, and of a whole recovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.excluded import Excluded
from fleetrecover.decide.survivor import Choice
from fleetrecover.decide.verdict import Judgement
from fleetrecover.errors import FleetRecoverError


@dataclass(frozen=True)
class Outcome:
    """What came of one step. `detail` says what was found; `error` is set where it failed. Seconds are wall time."""

    step: str
    node: str
    seconds: float
    detail: str = ""
    error: FleetRecoverError | None = None

    @property
    def ok(self) -> bool:
        """Whether the step is done."""
        return self.error is None


@dataclass(frozen=True)
class Report:
    """What a recovery did. Seconds are counted from the confirmation; None where it never came to that.

    `missing` are those of the inventory's `hosts` that are no members at the end; `exit_code` is that of a recovery that ended
    well, and `next` says what is left to be done, where something is. `method` is the way in which quorum was brought back, if
    it was lost for good; `excluded` says of each host why it was not chosen, or is left out.
    """

    run: str
    outcome: str
    remedy: Remedy
    survivor: Choice | None
    revision_before: int | None
    revision_after: int
    judgement: Judgement | None
    seconds_to_writable: float | None
    seconds_to_whole: float | None
    outcomes: tuple[Outcome, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, FleetRecoverError] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    hosts: int = 0
    exit_code: int = 0
    next: str = ""
    method: str | None = None
    excluded: tuple[Excluded, ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether the run has set anything aside: a container or data."""
        return any(outcome.ok and outcome.step in _KEEPING for outcome in self.outcomes)


_KEEPING = frozenset({"Fence", "KeepData", "KeepElsewhere", "AdoptRestored"})
"""Steps after which something lies kept."""
