"""PURE: all checks, in the order in which they are told; and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass

from fleetrecover.checks import (
    alarms,
    autostart,
    certificates,
    clock,
    cluster,
    engine,
    image,
    login,
    managers,
    ports,
    snapshots,
    space,
    versions,
)
from fleetrecover.checks.base import Check, Observed
from fleetrecover.checks.without import Without
from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.words import Verdict

_OF_HOSTS = (
    login.CHECK,
    engine.CHECK,
    image.CHECK,
    space.CHECK,
    certificates.CHECK,
    clock.CHECK,
    ports.CHECK,
    autostart.CHECK,
    managers.CHECK,
    snapshots.CHECK,
    alarms.CHECK,
    versions.CHECK,
)
ALL: tuple[Check, ...] = (cluster.rest(_OF_HOSTS), *_OF_HOSTS)
SOMETHING_WRONG = Verdict.DEGRADED.exit_code


@dataclass(frozen=True)
class Checked:
    """One check and what it found, worst first."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that it found is more than a note."""
        return all(found.severity is Severity.INFO for found in self.findings)


@dataclass(frozen=True)
class CheckReport:
    """All of them. `without` answers `--without`; None where that was not asked."""

    observed: Observed
    checked: tuple[Checked, ...]
    without: Without | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict that `diagnose` gives."""
        return self.observed.conclusion.verdict

    @property
    def ok(self) -> bool:
        """Whether nothing would stop a recovery, and the host of `--without` may be taken down."""
        return self.exit_code == 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, worst first."""
        return ranked(found for each in self.checked for found in each.findings)

    @property
    def exit_code(self) -> int:
        """Diagnose's code; 10 where the cluster is healthy and something else is wrong."""
        if self.verdict is not Verdict.HEALTHY:
            return self.verdict.exit_code
        refused = self.without is not None and not self.without.allowed
        return SOMETHING_WRONG if refused or not all(each.ok for each in self.checked) else 0


def check_all(observed: Observed, without: Without | None = None) -> CheckReport:
    """Make every check."""
    checked = tuple(Checked(check, ranked(check.find(observed))) for check in ALL)
    return CheckReport(observed, checked, without)
