"""Every snapshot on every node, and in a directory here: what it is, and whether it is whole."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from fleetrecover import bounds
from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.probes import ranges
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.ending import scratch
from fleetrecover.errors import FleetRecoverError, FormatError, InputError, RemoteError
from fleetrecover.etcd import bbolt, snapshot
from fleetrecover.facts import Survey
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import look_at
from fleetrecover.snapshots import archive
from fleetrecover.snapshots.archive import Kind, base_name
from fleetrecover.snapshots.catalogue import NOT_SNAPSHOTS, Best, Catalogue, Found, State, make_catalogue
from fleetrecover.snapshots.rights import may_not_read
from fleetrecover.snapshots.transfer import Content, Progress, fetch, look_inside, silent, with_content
from fleetrecover.survey import Reader

COUNTED = 64 << 20
"""Bare files up to this size, bytes, are fetched whole, so that their keys can be counted; of larger ones a few pages."""
OLD_PART = ".part"


def list_snapshots(
    fleet: Fleet,
    transport: Transport,
    local: Path | None = None,
    *,
    survey: Survey | None = None,
    progress: Progress = silent,
    newest: int | None = None,
) -> Catalogue:
    """Look at all nodes at once. With a survey, each row says what it would lose. A node that fails is a problem.

    With `newest`, only so many of the youngest files of each node are looked into.
    """
    lister = _Lister(fleet, transport, progress, newest)
    found = look_at(fleet.hosts, lister.node, timeout=bounds.SNAPSHOTS)
    files: list[Found] = []
    problems: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, RemoteError):
            problems.append((name, value.reason))
        elif isinstance(value, str):
            problems.append((name, value))
        else:
            files += value
    if local is not None:
        files += list_local(local)
    best = best_of(survey, transport) if survey is not None else None
    return make_catalogue(files, best, problems)


def list_local(directory: Path) -> list[Found]:
    """The snapshots in a directory here; one that cannot be read is a row, too. Raises InputError."""
    if not directory.is_dir():
        raise InputError(f"--local {directory}: there is no such directory")
    found = []
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in NOT_SNAPSHOTS or not path.is_file():
            continue
        status = path.stat()
        file = Found(None, str(path), path.name, status.st_size, status.st_mtime, State.UNREADABLE)
        with scratch() as directory_of_ours:
            try:
                file = with_content(file, look_inside(path, path.name, directory_of_ours / "db"))
            except (FormatError, OSError) as error:
                file = replace(file, reason=error.reason if isinstance(error, FormatError) else str(error))
        found.append(file)
    return found


@dataclass
class _Lister:
    """Looks at nodes. The same packed file on several nodes is fetched once: `_seen` holds contents by the file's hash."""

    fleet: Fleet
    transport: Transport
    progress: Progress
    newest: int | None = None
    _seen: dict[tuple[str, int], Content | FormatError] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: dict[tuple[str, int], threading.Lock] = field(default_factory=dict)

    def node(self, host: Host) -> list[Found] | str:
        """All files of one node; the reason where its directory cannot be read."""
        reader = Reader(host, self.transport)
        try:
            directory = reader.read(commands.listing(self.fleet.etcd.snapshots))
        except FormatError as error:
            return error.message
        if why := may_not_read(directory):
            return f"{host.name}: {why}"
        if not directory.exists:
            return []
        wanted = [file for file in directory.files if file.name not in NOT_SNAPSHOTS]
        if self.newest is not None:
            wanted = sorted(wanted, key=lambda file: file.mtime, reverse=True)[: self.newest]
        return [self.file(reader, file) for file in wanted]

    def file(self, reader: Reader, file: commands.SnapshotFile) -> Found:
        """One file: hashed on the node; a packed or small one is fetched, of a large one a few pages are."""
        row = Found(reader.host.name, file.path, file.name, file.size, file.mtime, State.UNREADABLE)
        if not file.readable:
            return replace(row, reason="it may not be read by the login user")
        if file.name.endswith(OLD_PART):
            return replace(row, reason="left over from a save that did not come to its end")
        try:
            kind = archive.recognise(file.head, file.size, file.name)
            row = replace(row, kind=kind)
            if kind.packed or file.size <= COUNTED:
                return with_content(row, self.content(reader, file))
            return self.from_pages(reader, file, row, kind)
        except FormatError as error:
            return replace(row, reason=error.reason)

    def content(self, reader: Reader, file: commands.SnapshotFile) -> Content:
        """What is in a file, fetched unless the same file was fetched from another node."""
        digest = reader.read(commands.digest(file.path, file.size, checksum=False))
        key = (digest.body, file.size)
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            if key not in self._seen:
                self._seen[key] = self.fetched(reader, file, digest.body)
        content = self._seen[key]
        if isinstance(content, FormatError):
            raise content
        return content

    def fetched(self, reader: Reader, file: commands.SnapshotFile, sha256: str) -> Content | FormatError:
        with scratch() as directory:
            try:
                fetch(reader.host, self.transport, file.path, file.size, sha256, directory / "file", self.progress)
                return look_inside(directory / "file", file.name, directory / "db")
            except FormatError as error:
                return error

    def from_pages(self, reader: Reader, file: commands.SnapshotFile, row: Found, kind: Kind) -> Found:
        """A large bare one: the checksum on the node, and the facts from a few of its pages."""
        digest = reader.read(commands.digest(file.path, file.size))
        trailing = snapshot.has_trailer(file.size)
        state = State.WHOLE if digest.sound else State.DAMAGED if trailing else State.UNCHECKED
        body = file.size - snapshot.TRAILER if trailing else file.size
        db = bbolt.read_facts(
            lambda wanted: reader.read(ranges(file.path, wanted)), source=file.name, size=body, attempts=1
        )
        reasons = {
            State.DAMAGED: "its SHA-256 does not match: the file was cut or changed after it was written",
            State.UNCHECKED: "it has no checksum: a copied database, or a snapshot that was cut",
        }
        content = Content(
            kind,
            state,
            digest.body,
            file.size,
            db.revision,
            db.compact_revision,
            None,
            db.cluster_version,
            db.auth_enabled,
            reasons.get(state, ""),
        )
        return with_content(row, content)


def best_of(survey: Survey, transport: Transport) -> Best | None:
    """The living cluster, or the survivor that would be chosen: how far it is, and when it last wrote."""
    living = [node for node in survey.nodes if node.healthy and node.status]
    if living:
        first = max(living, key=lambda node: node.status.revision if node.status else 0)
        return Best(first.name, first.status.revision if first.status else None, datetime.now(UTC))
    try:
        choice = diagnose(survey, Wish()).choice
    except FleetRecoverError:
        choice = None
    with_db = [node for node in survey.nodes if node.db is not None]
    chosen = (
        survey.node(choice.survivor)
        if choice is not None
        else max(with_db, key=lambda n: n.db.revision if n.db else 0, default=None)
    )
    if chosen is None:
        return None
    revision = chosen.status.revision if chosen.status else chosen.db.revision if chosen.db else None
    written = None
    if chosen.log_path:
        try:
            seconds = Reader(chosen.host, transport).read(commands.last_written(chosen.log_path, chosen.log_wal or ""))
        except (FormatError, RemoteError):
            seconds = None
        written = datetime.fromtimestamp(seconds, UTC) if seconds else None
    return Best(chosen.name, revision, written)


def readable_log(survey: Survey) -> bool:
    """Whether any node's log could be read."""
    return any(node.log is not None for node in survey.nodes)


def local_file(wanted: str) -> Path | None:
    """The file here that is meant; None where there is none, so that a name or a path on the nodes is meant."""
    path = Path(os.path.expanduser(wanted))  # noqa: PTH111  # raises nothing for a home of nobody
    return path if path.is_file() else None


def named_by_path(catalogue: Catalogue, wanted: str, directory: str) -> str:
    """The name of what is meant by a path on the nodes, also as `NODE:PATH`; a name stays as it is. Raises InputError.

    `directory` is the nodes' snapshot directory as the inventory has it; a node may have it elsewhere, behind a link.
    """
    if "/" not in wanted:
        return wanted
    node, colon, path = wanted.partition(":/")
    node, path = (node, "/" + path) if colon and "/" not in node else ("", wanted)
    here = [f for row in catalogue.rows for f in row.files if f.node is not None and node in ("", f.node)]
    match = posixpath.basename(posixpath.normpath(path))
    if not any(_same_path(path, file, directory) for file in here):
        raise InputError(
            f"{wanted}: there is no such file here, and no node has it in {directory}",
            hint="`fleetrecover snapshot list` shows what is on the nodes; its name alone, without the path, will do",
        )
    return f"{match}@{node}" if node else match


def _same_path(path: str, file: Found, directory: str) -> bool:
    wanted = posixpath.normpath(path)
    folders = {posixpath.normpath(directory), posixpath.normpath(posixpath.dirname(file.path))}
    return posixpath.dirname(wanted) in folders and posixpath.basename(wanted) in (file.name, base_name(file.name))


def hosts_by_name(hosts: Sequence[Host]) -> dict[str, Host]:
    """Hosts by their names."""
    return {host.name: host for host in hosts}
