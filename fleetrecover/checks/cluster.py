"""PURE: the verdict itself, and every finding of diagnose that is told by no other check: none is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fleetrecover.checks.base import Check, Observed
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.words import Verdict

CODE = "verdict"


def rest(others: Collection[Check]) -> Check:
    """The check of the cluster itself, beside these."""
    claimed = frozenset(code for check in others for code in check.codes)

    def find(observed: Observed) -> Iterable[Finding]:
        diagnosis = observed.conclusion.diagnosis
        found = [each for each in observed.findings if each.code not in claimed]
        bad = any(each.severity is not Severity.INFO for each in observed.findings)
        if diagnosis.verdict is not Verdict.HEALTHY and not bad:
            found.append(
                Finding(
                    Severity.ERROR, None, CODE, f"{diagnosis.verdict.value}: {diagnosis.why}", observed.conclusion.next
                )
            )
        return found

    return Check("cluster", "the cluster itself", find)
