"""PURE: by which method a cluster without quorum is brought back: the operator's word, the run's that is under way, or ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetrecover.decide.reseed import Refusal, Reseeding
from fleetrecover.decide.words import AUTO, OpenRun, Wish
from fleetrecover.errors import Refused
from fleetrecover.facts import RESEED, RESET

METHODS = (AUTO, RESEED, RESET)
"""What can be typed."""


@dataclass(frozen=True)
class Method:
    """The method, RESET or RESEED, and why it is that one."""

    name: str
    why: str


def method_of(wish: Wish, run: OpenRun | None, reseeding: Reseeding | Sequence[Refusal]) -> Method:
    """The method of a plan that resets or reseeds. `run` is the one under way, if this plan goes on with it.

    Once data was moved the method never changes. Raises Refused where another one is typed then.
    """
    if run is not None and run.pinned:
        if wish.method not in (AUTO, run.method):
            raise Refused(
                f"run {run.run} goes by {run.method} and has moved data; it cannot change to {wish.method} now; nothing was "
                "changed",
                hint=f"leave --method out, and it goes on; or `fleetrecover undo {run.run}`, and begin again",
            )
        return Method(run.method, f"run {run.run} goes by it")
    if wish.method != AUTO:
        return Method(wish.method, "asked for with --method")
    if run is not None and run.method == RESEED:
        return Method(RESEED, f"run {run.run} has begun with it")
    could = "it could be reseeded, which is faster: --method reseed"
    if not isinstance(reseeding, Reseeding):
        could = f"it cannot be reseeded: {told(reseeding)}"
    return Method(RESET, f"a reset is what is done unless --method says another; {could}")


def told(refusals: Sequence[Refusal]) -> str:
    """The reasons in one sentence, each once."""
    return "; ".join(dict.fromkeys(each.reason for each in refusals))
