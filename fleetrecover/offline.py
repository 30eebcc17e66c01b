"""`survey --save`, `diagnose --from`, `plan --from`: a second pair of eyes on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fleetrecover import saved
from fleetrecover.cli import print_json, settings
from fleetrecover.errors import UsageError
from fleetrecover.journal import now
from fleetrecover.recover import new_run

if TYPE_CHECKING:
    from fleetrecover.decide.diagnosis import Diagnosis, Wish
    from fleetrecover.decide.plan import Plan
    from fleetrecover.facts import Survey
    from fleetrecover.model import Fleet, Transport


def save(fleet: Fleet, transport: Transport, target: Path, *, redact: bool) -> Survey:
    """Take a survey and write it to a file, 0600. Returns it as it is in the file."""
    from fleetrecover.report.files import write_private
    from fleetrecover.report.tables import prose

    found = saved.take(fleet, transport)
    called: Mapping[str, str] = {}
    if redact:
        found, called = saved.redacted(found)
    write_private(target, saved.text_of(found, redacted=redact))
    for name, other in called.items():
        prose(settings.err, f"in the file, {name} is called {other}")
    prose(settings.err, f"saved to {target}; elsewhere: `fleetrecover diagnose --from {target.name}`")
    return found.survey


def diagnose_file(origin: Path, wish: Wish) -> int:
    """Print the diagnosis of a saved survey; returns the exit code."""
    from fleetrecover.report.console import print_diagnosis
    from fleetrecover.report.document import diagnosis_document

    found, told = saved.concluded(saved.read(origin), wish)
    if settings.json:
        print_json(diagnosis_document(found, told.diagnosis))
    else:
        settings.err.print(f"as it was at {found.taken_at}, by {origin}", markup=False, soft_wrap=True)
        print_diagnosis(settings.out, found, told.diagnosis)
    return told.exit_code


def plan_file(origin: Path, wish: Wish) -> tuple[Survey, Diagnosis, Plan | None]:
    """The plan for a saved survey. Raises UsageError for a work directory, which nobody has looked at."""
    if wish.work_dir is not None:
        raise UsageError("--work-dir is looked at on its node, and --from asks no node", hint="leave one of them out")
    return saved.plan_of(saved.read(origin), wish, run=new_run(), started=now())
