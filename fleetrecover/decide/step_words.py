"""PURE: one name for each step, in words, wherever a person reads it; and how long one may take.

Programs (the journal, `--json`) know a step by its class; a person never sees that.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleetrecover.decide import steps as s
from fleetrecover.decide.explain import Explained, explain
from fleetrecover.errors import FleetRecoverError

NAMES: Mapping[str, str] = {
    # recover
    "OpenRun": "note the run down",
    "Fence": "stop and set aside",
    "HoldUnit": "keep the unit from starting",
    "StopUnit": "stop the unit and its container",
    "ReleaseUnit": "give the unit back",
    "KeepData": "move the data aside",
    "ProbeReflink": "see that a copy takes no space",
    "KeepElsewhere": "keep a compared copy in the work directory",
    "CopyData": "copy the data and compare",
    "RaiseCommit": "raise the copy's commit",
    "Quarantine": "reset the copy in quarantine",
    "Adopt": "put the proven copy in place",
    "StartOriginal": "start its own container",
    "StartRebuilt": "start it rebuilt, without the force flag",
    "AwaitQuorum": "wait for a leader",
    "EnsureImage": "bring the image",
    "CheckFiles": "check the files that etcd needs",
    "RemoveMember": "remove the old member",
    "UpdateMember": "give the member its host's peer URL",
    "RemoveLeftover": "remove what an earlier run left",
    "AddMember": "add as a member",
    "Join": "join",
    "Promote": "make it a voter",
    "GiveNameBack": "give the container its name back",
    "RestorePolicy": "give the restart policy back",
    "FinishRun": "mark the run as finished",
    "CloseEarlier": "close an earlier run",
    # undo and clean
    "BeginUndo": "note that the run is taken back",
    "RemoveOurs": "remove what the run made",
    "PutDataBack": "put the data back",
    "PutContainerBack": "put the container back",
    "StartStopped": "start what had been stopped beside etcd",
    "MarkUndone": "mark the run as undone",
    "RemoveKept": "remove the containers that were set aside",
    "RemoveRun": "remove what was kept",
    # restore
    "NoteRestore": "note the restore down",
    "SendSnapshot": "bring the snapshot",
    "TrialBoot": "try the snapshot in quarantine",
    "RestoreData": "make the data from the snapshot",
    "AdoptRestored": "put the restored data in place",
    "StartNew": "start with the restored data",
    "StopNeighbours": "stop what lives by etcd",
    "StartNeighbours": "start again what lives by etcd",
}
"""By the class's name, as the journal has it."""

HEALTH_TIMEOUT = 90.0
QUARANTINE_TIMEOUT = 120.0
JOIN_TIMEOUT = 120.0
MEMBER_TIMEOUT = 90.0
"""For changes of membership."""
PROMOTE_TIMEOUT = 900.0

_LIMITS: Mapping[str, float] = {
    "Quarantine": QUARANTINE_TIMEOUT,
    "StartRebuilt": HEALTH_TIMEOUT,
    "AwaitQuorum": HEALTH_TIMEOUT,
    "RemoveMember": MEMBER_TIMEOUT,
    "AddMember": MEMBER_TIMEOUT,
    "Join": JOIN_TIMEOUT,
    "Promote": PROMOTE_TIMEOUT,
    "CheckFiles": 20.0,
    "TrialBoot": QUARANTINE_TIMEOUT,
}


def name_of(step: s.Step | str) -> str:
    """What a person calls a step, or the class of that name; a class that is not known is shown in plain words.

    >>> name_of("AwaitQuorum"), name_of("SomethingNew")
    ('wait for a leader', 'something new')
    """
    key = step if isinstance(step, str) else type(step).__name__
    return NAMES.get(key) or "".join(f" {c.lower()}" if c.isupper() else c for c in key).strip()


def headline(step: s.Step, cli: str) -> tuple[str, Explained]:
    """A step's name and what it does, for a plan; and the rest of what is to be said of it."""
    said, name = explain(step, cli), name_of(step)
    return (said.title if said.title.startswith(name) else f"{name}: {said.title}"), said


def limit_of(step: s.Step, cli: str = "docker") -> float | None:
    """How long a step may take at most, in seconds; None where that depends on how much there is to move."""
    name = type(step).__name__
    if name in ("EnsureImage", "SendSnapshot"):
        return None
    told = _LIMITS.get(name)
    if (isinstance(step, s.StartOriginal) and step.waits_for == "health") or (
        isinstance(step, s.ReleaseUnit) and step.waits
    ):
        told = HEALTH_TIMEOUT
    try:
        acts = explain(step, cli).seconds
    except (FleetRecoverError, TypeError):  # whoever looks on must never stop a run
        return told
    return (told or 0.0) + acts if told or acts else None


def waits(step: str) -> bool:
    """Whether a step, by its class's name, is mostly waiting for something to happen.

    >>> waits("AwaitQuorum"), waits("KeepData")
    (True, False)
    """
    return step in _WAITING


_WAITING = frozenset(
    {
        *("Quarantine", "TrialBoot", "AwaitQuorum", "StartOriginal", "StartRebuilt", "StartNew"),
        *("AddMember", "RemoveMember", "Join", "Promote"),
    }
)


def limit_text(seconds: float | None) -> str:
    """The limit in words.

    >>> limit_text(90.0), limit_text(3600.0), limit_text(None)
    ('at most 90 s', 'at most 60 min', 'for as long as anything moves')
    """
    if seconds is None:
        return "for as long as anything moves"
    return f"at most {seconds / 60:.0f} min" if seconds > 300 else f"at most {seconds:.0f} s"
