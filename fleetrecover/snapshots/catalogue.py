"""PURE: from the files that were found to one row for each distinct content: what it is, where, and what it would lose."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.errors import InputError, Refused
from fleetrecover.snapshots.archive import Kind, base_name

LOCAL = "(here)"
NOT_SNAPSHOTS = ("pki.bundle.tar.gz",)
"""Files that RKE keeps in the same directory and that are no snapshots."""

_TIME = re.compile(
    r"(?<!\d)(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[T_ -]"
    r"(?P<hour>\d\d)[:_.-]?(?P<minute>\d\d)[:_.-]?(?P<second>\d\d)(?:\.\d{1,9}(?=Z|[+-]\d\d))?"
    r"(?P<zone>Z|[+-]\d\d[:_.-]?\d\d)?"
)
_UNIX = re.compile(r"-(1\d{9})(\.zip)?$")
"""Seconds since the epoch at the end of a name: K3s and RKE2 name theirs so."""


class State(StrEnum):
    """How much a snapshot file is worth."""

    WHOLE = "whole"
    UNCHECKED = "no checksum"  # a raw database: restore needs --skip-hash-check, and it may lag behind its log
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Found:
    """One file. `node` is None for the local directory; `mtime` in seconds since the epoch; `size` of the file, bytes.

    `identity` is the SHA-256 of the database without its checksum, "" where it could not be read.
    """

    node: str | None
    path: str
    name: str
    size: int
    mtime: float
    state: State
    kind: Kind | None = None
    identity: str = ""
    db_size: int = 0
    revision: int | None = None
    compact_revision: int | None = None
    keys: int | None = None
    cluster_version: str = ""
    auth: bool = False
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The node's name, or that it lies here."""
        return self.node or LOCAL

    @property
    def time(self) -> datetime:
        """When it was taken: as its name says, else when the file was last written."""
        return named_time(self.name) or datetime.fromtimestamp(self.mtime, UTC)


@dataclass(frozen=True)
class Loss:
    """What restoring it would lose against the best survivor. None where one of the two is not known."""

    revisions: int | None
    minutes: float | None


@dataclass(frozen=True)
class Row:
    """One distinct content, and everywhere it lies."""

    files: tuple[Found, ...]
    newest: bool = False
    loss: Loss | None = None

    @property
    def first(self) -> Found:
        """The file that speaks for all of them."""
        return self.files[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Its names, once each."""
        return tuple(dict.fromkeys(file.name for file in self.files))

    @property
    def places(self) -> tuple[str, ...]:
        """The nodes that have it, once each."""
        return tuple(dict.fromkeys(file.where for file in self.files))

    @property
    def time(self) -> datetime:
        """The earliest time that any of its files gives: a copy is younger than what it was made from."""
        return min(file.time for file in self.files)

    @property
    def state(self) -> State:
        """How much it is worth."""
        return self.first.state


@dataclass(frozen=True)
class Best:
    """The best survivor, or the living cluster: how far it is, and when it last wrote (None: not known)."""

    node: str
    revision: int | None
    written: datetime | None


@dataclass(frozen=True)
class Catalogue:
    """All rows, the newest first. `problems` are nodes that could not be looked at, by name, with the reason."""

    rows: tuple[Row, ...]
    best: Best | None
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def newest(self) -> Row | None:
        """The newest whole one."""
        return next((row for row in self.rows if row.newest), None)


def named_time(name: str) -> datetime | None:
    """The time in a snapshot's name, in UTC; None if there is none. Colons may have become `_`, `.` or `-`.

    >>> named_time("rke_etcd_snapshot_2019-04-05T10:11:12+02:00").isoformat()
    '2019-04-05T08:11:12+00:00'
    """
    match = _TIME.search(name)
    if match is None:
        seconds = _UNIX.search(name)
        return datetime.fromtimestamp(int(seconds[1]), UTC) if seconds else None
    try:
        day, clock = "-".join(match.group("year", "month", "day")), ":".join(match.group("hour", "minute", "second"))
        moment = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError:
        return None
    zone = match["zone"] or "Z"
    if zone == "Z":
        return moment.replace(tzinfo=UTC)
    digits = re.sub(r"\D", "", zone)
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    if offset >= timedelta(hours=24):
        return None
    return moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset)).astimezone(UTC)


def make_catalogue(
    files: Iterable[Found], best: Best | None = None, problems: Sequence[tuple[str, str]] = ()
) -> Catalogue:
    """Group by content, order by time, mark the newest, reckon what each would lose."""
    groups: dict[object, list[Found]] = {}
    for number, file in enumerate(files):
        key = (file.identity, file.state) if file.identity else number
        groups.setdefault(key, []).append(file)
    rows = sorted((Row(tuple(group)) for group in groups.values()), key=lambda row: row.time, reverse=True)
    newest = next((row for row in rows if row.state is State.WHOLE), None)
    done = tuple(Row(row.files, row is newest, loss(row, best)) for row in rows)
    return Catalogue(done, best, tuple(problems))


def loss(row: Row, best: Best | None) -> Loss | None:
    """What this one would lose against the best survivor; below zero where it is ahead."""
    if best is None or row.state not in (State.WHOLE, State.UNCHECKED):
        return None
    revision = row.first.revision
    revisions = None if revision is None or best.revision is None else best.revision - revision
    minutes = None if best.written is None else round((best.written - row.time).total_seconds() / 60, 1)
    return Loss(revisions, minutes)


def select(catalogue: Catalogue, wanted: str) -> Row:
    """The row that is meant by a name. Raises InputError for none or several, Refused for one that is not whole.

    RKE takes its snapshots on every node, under one name and with different contents: the name alone then means the one
    with the most in it, and says so through `Row.first`; `NAME@NODE` means that node's.
    """
    name, at, node = wanted.rpartition("@")
    if not at or node not in {place for row in catalogue.rows for place in row.places}:
        name, node = wanted, ""
    matching = [
        row
        for row in catalogue.rows
        if any(name in (file.name, base_name(file.name)) and (not node or file.where == node) for file in row.files)
        or (len(name) >= 8 and row.first.identity.startswith(name))
    ]
    if not matching:
        raise InputError(f"there is no snapshot called {wanted}", hint=_near(catalogue, name))
    whole = [row for row in matching if row.state is State.WHOLE]
    if not whole:
        row = matching[0]
        raise Refused(
            f"{wanted} is {row.state.value}: {row.first.reason or row.first.where}; nothing was changed",
            hint="`fleetrecover snapshot list` shows which are whole",
        )
    return max(whole, key=lambda row: (row.first.revision or 0, row.time))


def _near(catalogue: Catalogue, name: str) -> str:
    known = list(dict.fromkeys(known for row in catalogue.rows for known in row.names))
    near = difflib.get_close_matches(name, [*known, *(base_name(each) for each in known)], n=3)
    if near:
        return f"did you mean {' or '.join(dict.fromkeys(near))}?"
    return "`fleetrecover snapshot list` shows what there is"


def snapshot_finding(catalogue: Catalogue, *, log_readable: bool) -> Finding | None:
    """What `recover` should say of snapshots: no log can be read, or the newest one is ahead of the best survivor.

    It never falls back to a snapshot by itself: this is a finding, with the numbers and the command to type.
    """
    whole = [row for row in catalogue.rows if row.state is State.WHOLE and row.first.revision is not None]
    if not whole:
        if log_readable:
            return None
        return Finding(Severity.ERROR, None, "no-snapshot", "no log can be read, and there is no whole snapshot either")
    row = max(whole, key=lambda each: (each.first.revision or 0, each.time))
    told = f"{row.names[0]} on {', '.join(row.places)}, revision {row.first.revision}, taken {row.time:%Y-%m-%d %H:%M:%S} UTC"
    advice = f"`fleetrecover snapshot restore {row.names[0]}` restores it"
    if not log_readable:
        message = f"no log can be read; the best whole snapshot is {told}"
        return Finding(Severity.WARNING, None, "snapshot-instead", message, advice)
    lost = row.loss.revisions if row.loss else None
    if lost is not None and lost < 0 and catalogue.best is not None:
        message = (
            f"a snapshot is {-lost} revisions ahead of the best survivor {catalogue.best.node} "
            f"(revision {catalogue.best.revision}): {told}"
        )
        return Finding(Severity.WARNING, None, "snapshot-ahead", message, f"{advice}, if that history is the right one")
    return None
