"""Fetch snapshot files to this machine and look inside; bring files to nodes. Memory stays flat, every file is hashed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.base import MAY_RUN_STILL, Action
from fleetrecover.ending import scratch
from fleetrecover.errors import CommandFailed, FormatError, InputError, OutcomeUnknown, Refused
from fleetrecover.etcd import bbolt, snapshot
from fleetrecover.etcd.membership import Member
from fleetrecover.model import Host, Result, Transport
from fleetrecover.remote import READ_POLICY, RECONNECT_POLICY
from fleetrecover.snapshots import archive
from fleetrecover.snapshots.archive import Kind
from fleetrecover.snapshots.catalogue import LOCAL, Found, Row, State

Progress = Callable[[str, int, int], None]
"""Told what is moved, bytes so far, bytes in all."""

__all__ = [
    "Content",
    "Obtained",
    "Progress",
    "accepted",
    "fetch",
    "look_inside",
    "obtain",
    "obtain_local",
    "push",
    "scratch",
    "sha256_of",
    "silent",
    "with_content",
]

_SPARE = 256 << 20


@dataclass(frozen=True)
class Content:
    """What is inside of a snapshot file. `identity`: SHA-256 of the database without its checksum."""

    kind: Kind
    state: State
    identity: str
    size: int
    revision: int
    compact_revision: int
    keys: int | None
    cluster_version: str
    auth: bool
    reason: str = ""
    notes: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()


@dataclass(frozen=True)
class Obtained:
    """A snapshot that lies here, taken out of whatever it was packed in. `sha256` is of the file at `path`."""

    path: Path
    name: str
    size: int
    sha256: str
    content: Content
    source: str


def silent(_what: str, _done: int, _all: int) -> None:
    """Progress that nobody looks at."""


def sha256_of(path: Path) -> str:
    """The hash of a file here, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def look_inside(path: Path, name: str, plain: Path, *, count_keys: bool = True) -> Content:
    """Take the database out of the file at `path` into `plain`, and read it. Raises FormatError where it cannot be read."""
    room = shutil.disk_usage(plain.parent).free - _SPARE
    with path.open("rb") as file, _private(plain) as sink:
        unpacked = archive.unpack(file, sink, name, limit=max(1, min(room, archive.MAX_SIZE)))
    with plain.open("rb") as database:
        size = database.seek(0, 2)
        checksum = snapshot.verify(database)
        body = size - snapshot.TRAILER if checksum.present else size
        try:
            db = bbolt.read_facts(snapshot.reader(database), source=name, size=body, count_keys=count_keys, attempts=1)
        except FormatError as error:
            if checksum.present and not checksum.sound:
                raise FormatError(f"its checksum is wrong, and {error.reason}", source=name) from error
            raise
    state = State.WHOLE if checksum.sound else State.DAMAGED if checksum.present else State.UNCHECKED
    reason = {
        State.WHOLE: "",
        State.DAMAGED: "its SHA-256 does not match: the file was cut or changed after it was written",
        State.UNCHECKED: "it has no checksum: a copied database, which may lag behind its log, or a snapshot that was cut",
    }[state]
    return Content(
        kind=Kind.RAW if state is State.UNCHECKED and not unpacked.kind.packed else unpacked.kind,
        state=state,
        identity=checksum.sha256,
        size=size,
        revision=db.revision,
        compact_revision=db.compact_revision,
        keys=db.keys,
        cluster_version=db.cluster_version,
        auth=db.auth_enabled,
        reason=reason,
        notes=unpacked.notes,
        members=db.members,
    )


def with_content(found: Found, content: Content) -> Found:
    """The row of a file, and what is in it."""
    return replace(
        found,
        kind=content.kind,
        state=content.state,
        identity=content.identity,
        db_size=content.size,
        revision=content.revision,
        compact_revision=content.compact_revision,
        keys=content.keys,
        cluster_version=content.cluster_version,
        auth=content.auth,
        reason=content.reason,
        notes=content.notes,
    )


def fetch(
    host: Host, transport: Transport, path: str, size: int, sha256: str, target: Path, progress: Progress = silent
) -> None:
    """Copy a file of a node to this machine, and check it. A broken connection begins anew. Raises FormatError."""
    if shutil.disk_usage(target.parent).free < size + _SPARE:
        raise Refused(
            f"{size / 1e6:,.0f} MB of {host.name} do not fit on this machine ({target.parent})",
            hint="set TMPDIR to a directory with more room",
        )

    def attempt() -> Result:
        with _private(target) as sink:
            return transport.download(
                host, commands.fetch(path, size), sink, lambda done: progress(f"{host.name}:{path}", done, size)
            )

    result = READ_POLICY.run(attempt)
    if not result.ok:
        raise FormatError(result.error_text[-300:] or f"exit code {result.exit_code}", source=f"{host.name}:{path}")
    if sha256 and (target.stat().st_size != size or sha256_of(target) != sha256):
        raise FormatError("what arrived is not what lies there; it is being written, or a disk fails", source=path)


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as sink:
        yield sink


def push(host: Host, transport: Transport, action: Action, source: Path, progress: Progress = silent) -> Result:
    """Send a file to a node with an action of `commands.snapshots.receive`. Raises CommandFailed.

    The action writes the file whole or not at all and looks first, so an unknown outcome is simply tried again.
    """
    size = source.stat().st_size

    def attempt() -> Result:
        with source.open("rb") as file:
            result = transport.upload(host, action.command, file, lambda done: progress(f"to {host.name}", done, size))
        if result.exit_code in MAY_RUN_STILL:
            raise OutcomeUnknown(host.name, f"{action.command.name} has not ended in time")
        return result

    result = RECONNECT_POLICY.run(attempt)
    if not result.ok:
        why = commands.REFUSALS.get(result.exit_code, "")
        said = "; ".join(part for part in (why, result.error_text[-300:]) if part)
        raise CommandFailed(
            host.name, f"{action.command.name}: {said}", exit_code=result.exit_code, stderr=result.error_text
        )
    return result


# --- getting hold of one -----------------------------------------------------------------------------------------------


def obtain_local(path: Path, directory: Path) -> Obtained:
    """A snapshot that lies on this machine, ready to be restored. Raises InputError, FormatError, Refused."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    plain = directory / "snapshot.db"
    content = look_inside(path, path.name, plain)
    return accepted(Obtained(plain, path.name, plain.stat().st_size, sha256_of(plain), content, LOCAL))


def obtain(row: Row, hosts: dict[str, Host], transport: Transport, directory: Path, progress: Progress) -> Obtained:
    """Fetch a row's snapshot from whichever node still gives it as it was. Raises Refused with every reason."""
    packed, plain = directory / "fetched", directory / "snapshot.db"
    reasons = []
    for file in row.files:
        try:
            if file.node is None:
                content = look_inside(Path(file.path), file.name, plain)
            else:
                fetch(hosts[file.node], transport, file.path, file.size, "", packed, progress)
                content = look_inside(packed, file.name, plain)
                packed.unlink()
            if content.identity != row.first.identity:
                raise FormatError("it is not what was listed a moment ago", source=file.path)
        except FormatError as error:
            reasons.append(f"{file.where}: {error.message}")
            continue
        return accepted(Obtained(plain, file.name, plain.stat().st_size, sha256_of(plain), content, file.where))
    raise Refused(f"{row.names[0]} could not be read: {'; '.join(reasons)}; nothing was changed")


def accepted(found: Obtained) -> Obtained:
    """Return it if it may be restored. Raises Refused: damaged, or without a checksum."""
    if found.content.state is not State.WHOLE:
        raise Refused(
            f"{found.name} ({found.source}) is {found.content.state.value}: {found.content.reason}; nothing was changed",
            hint="choose another: `fleetrecover snapshot list` shows which are whole",
        )
    return found
