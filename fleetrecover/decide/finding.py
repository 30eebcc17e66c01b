"""PURE: one thing that a person should know, and how findings are ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know; `advice` says what to do.

    `waits`: nothing is ours to do about it before somebody has brought a host back, or has declared it dead.
    """

    severity: Severity
    node: str | None
    code: str
    message: str
    advice: str = ""
    waits: bool = False


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Worst first; equal ones in the order in which they were found; each once."""
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: order[finding.severity]))
