"""PURE: what a run keeps, beside what serves: which of them knows more.

Within one cluster the index of what is decided tells, and the revision; beside another cluster (a restored one, one begun
anew) only the revision does. What cannot be read is not taken for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleetrecover.errors import Refused
from fleetrecover.facts import KeptData, NodeFacts, Survey


@dataclass(frozen=True)
class Loss:
    """What the operator has said may be lost, in words of his own: so many revisions or entries, or whatever it is."""

    most: int = 0
    unknown: bool = False


@dataclass(frozen=True)
class Ahead:
    """By how much a run's kept data is ahead of what serves. `where` names the part that is furthest ahead.

    `unknown` says of which parts it cannot be told, and why.
    """

    revisions: int = 0
    entries: int = 0
    where: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """So many revisions; where there are none, so many entries of the log."""
        return self.revisions or self.entries

    @property
    def told(self) -> str:
        """The count in words."""
        number, what = self.count, "revision" if self.revisions else "log entry"
        return f"{number} {what}" if number == 1 else f"{number} {'revisions' if self.revisions else 'log entries'}"


def ahead_of_serving(survey: Survey, run: str, *, originals_only: bool = False) -> Ahead:
    """Compare everything that the run keeps (or its originals) with what serves now."""
    serving = [node.status for node in survey.nodes if node.healthy and node.status is not None]
    revision = max((status.revision for status in serving), default=0)
    commit = max((status.commit for status in serving), default=0)
    cluster = serving[0].cluster_id if serving else None
    best = Ahead()
    unknown: list[str] = []
    for node, data in kept_parts(survey, run):
        if originals_only and not is_original(data):
            continue
        if not data.known:
            unknown.append(f"{node.name}: {data.part}: {data.problem or 'nobody has looked'}")
            continue
        same = data.cluster_id is not None and data.cluster_id == cluster
        found = Ahead(
            max(0, (data.revision or 0) - revision),
            max(0, (data.commit or 0) - commit) if same else 0,
            f"{data.part} on {node.name}",
        )
        if (found.revisions, found.entries) > (best.revisions, best.entries):
            best = found
    return replace(best, unknown=tuple(unknown))


def kept_parts(survey: Survey, run: str) -> list[tuple[NodeFacts, KeptData]]:
    """Everything that the run keeps, with its node; a keep at which nobody has looked is one part that is not known."""
    found: list[tuple[NodeFacts, KeptData]] = []
    for node in survey.nodes:
        keep = node.keep(run)
        if keep is None:
            continue
        if keep.kept is None and (keep.original or keep.discarded or keep.withdrawn):
            found.append((node, KeptData(keep.path)))
        found += [(node, data) for data in keep.kept or ()]
    return found


def is_original(data: KeptData) -> bool:
    """Whether it is the data that lay in place before the run."""
    return data.part.endswith("/original")


def check_kept(survey: Survey, run: str, accepted: Loss) -> None:
    """Raise Refused where what is kept is ahead of what serves, or it cannot be told, unless that was said to be accepted."""
    found = ahead_of_serving(survey, run)
    if found.count > accepted.most:
        raise Refused(
            f"{found.where} is {found.told} ahead of what serves: removing it would lose them for ever; nothing was removed",
            hint=f"`fleetrecover undo {run}` puts it back; if it is to be lost: fleetrecover clean {run} --accept-loss "
            f"{found.count}",
        )
    if found.unknown and not accepted.unknown:
        raise Refused(
            f"it cannot be told whether what is kept is ahead of what serves ({'; '.join(found.unknown)}); nothing was removed",
            hint="`fleetrecover inspect` reads a copy of it; if it may be lost whatever it is: fleetrecover clean "
            f"{run} --accept-loss unknown",
        )
