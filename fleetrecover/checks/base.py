"""PURE: what every check is given, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from fleetrecover.decide.conclusion import Conclusion
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.facts import Survey

_ORDER = (Severity.INFO, Severity.WARNING, Severity.ERROR)


@dataclass(frozen=True)
class SnapshotSeen:
    """The newest snapshot of a node that can be restored. `taken` in seconds since the epoch; `whole`: its checksum held.

    `late` says what is wrong with a schedule of ours there ("" where nothing is, or there is none).
    """

    node: str
    name: str = ""
    taken: float | None = None
    whole: bool = False
    late: str = ""


@dataclass(frozen=True)
class Observed:
    """A look at a healthy day: the survey, the one judgement of it, and what only `check` asks for besides.

    `images`: for each host the ids of the images that etcd runs from anywhere in the fleet, None for one that the host lacks.
    `snapshots`: of each host that could be asked; `snapshots_problem`: why they could not be looked at, else "".
    """

    survey: Survey
    conclusion: Conclusion
    images: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    snapshots: tuple[SnapshotSeen, ...] = ()
    snapshots_problem: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What `diagnose` has found."""
        return self.conclusion.diagnosis.findings


@dataclass(frozen=True)
class Check:
    """One thing that a recovery stands on. `codes`: of diagnose's findings, those that are told here."""

    name: str
    title: str
    find: Callable[[Observed], Iterable[Finding]]
    codes: frozenset[str] = frozenset()


def told(observed: Observed, codes: Iterable[str], least: Severity = Severity.INFO) -> Iterator[Finding]:
    """Diagnose's own findings of these codes. `least`: what is no matter while it serves may stop a recovery all the same."""
    wanted = frozenset(codes)
    for found in observed.findings:
        if found.code in wanted:
            yield replace(found, severity=max(found.severity, least, key=_ORDER.index))


def of_codes(name: str, title: str, *codes: str, least: Severity = Severity.INFO) -> Check:
    """A check that diagnose has made already."""
    return Check(name, title, lambda observed: told(observed, codes, least), frozenset(codes))
