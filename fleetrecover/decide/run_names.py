"""PURE: which run is meant: its id, or enough of its beginning or its end."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from fleetrecover.errors import InputError

LAST = "--last"
"""Stands for the youngest run that can be meant."""
ENOUGH = 4
"""So many characters of a run's end name it."""
NEAREST = 5


def match_run(wanted: str, runs: Collection[str], *, where: str) -> str:
    """The run that is meant by `wanted`, among the ids of `runs`; `where` says whose they are, for the error.

    An id that is whole wins; else one that begins with it, or ends with its four or more characters. Raises InputError
    where that is none or several, with the nearest five.
    """
    known = sorted(runs)
    if not known and wanted == LAST:
        raise InputError(
            f"there is no run {where} that is not undone",
            hint="`fleetrecover runs` lists those that this bastion has seen",
        )
    if not known:
        raise InputError(f"run {wanted} is not known: there is no run {where}", hint="`fleetrecover runs` lists them")
    if wanted == LAST:
        return known[-1]
    found = [run for run in known if run == wanted]
    found = found or [run for run in known if run.startswith(wanted)]
    if len(wanted) >= ENOUGH:
        found = found or [run for run in known if run.endswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[-NEAREST:])
        raise InputError(
            f"run {wanted} is ambiguous: {len(found)} runs {where} are called so", hint=f"among them: {shown}"
        )
    near = ", ".join(nearest(wanted, known))
    raise InputError(
        f"run {wanted} is not known {where}", hint=f"the nearest: {near}; `fleetrecover runs` lists them all"
    )


def nearest(wanted: str, runs: Collection[str]) -> tuple[str, ...]:
    """The five runs whose ids are most like it, the most like first; of equals the youngest."""

    def alike(run: str) -> float:
        return max(difflib.SequenceMatcher(None, wanted, part).ratio() for part in (run, run[-len(wanted) :] or run))

    return tuple(sorted(sorted(runs, reverse=True), key=alike, reverse=True)[:NEAREST])
