"""PURE: the greatest revision that was seen before a run, on whichever disk: what comes of the run must not be behind it."""

from __future__ import annotations

from dataclasses import dataclass

from fleetrecover.decide.sides import revision_of
from fleetrecover.decide.words import Diagnosis, OpenRun, Remedy, Wish
from fleetrecover.facts import NodeFacts, Survey


@dataclass(frozen=True)
class Seen:
    """A revision, and the host on which it was seen."""

    revision: int
    host: str


def best_seen(survey: Survey, diagnosis: Diagnosis, wish: Wish | None = None) -> Seen | None:
    """The greatest revision that a disk or an etcd tells of; None where none does.

    What was given up with open eyes does not count: by `--survivor`, or by a run that has set the other data aside. That a
    run under way has chosen somebody is no such word.
    """
    choice, run = diagnosis.choice, diagnosis.open_run
    named = run is None or not run.pinned or (wish is not None and wish.survivor is not None)
    if choice is not None and choice.overridden and named:
        return _best([survey.node(choice.survivor)])
    spare = given_up(survey, diagnosis.open_run)
    return _best([node for node in survey.nodes if node.name not in spare])


def best_at_rest(survey: Survey) -> Seen | None:
    """The same of what does not run: a member that runs may have moved on since the others were asked."""
    return _best([n for n in survey.nodes if not any(c.running and not c.isolated for c in n.containers)])


def given_up(survey: Survey, run: OpenRun | None) -> frozenset[str]:
    """The hosts whose data the run under way has set aside: whose data it goes on with was settled when it began."""
    if run is None or not run.pinned or run.kind != Remedy.RESET:
        return frozenset()
    kept = {node.name for node in survey.nodes if (keep := node.keep(run.run)) is not None and keep.original}
    return frozenset(kept - {run.survivor})


def _best(nodes: list[NodeFacts]) -> Seen | None:
    found = [(revision, node.name) for node in nodes if (revision := revision_of(node)) is not None]
    best = max(found, key=lambda pair: pair[0], default=None)
    return Seen(*best) if best is not None else None
