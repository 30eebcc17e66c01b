"""Look at etcd's files on this machine: what `fleetrecover inspect PATH` shows, with `describe`.

The one module here that opens files, and only for reading. What it is given is told from names and contents:
a data directory (with or without `member/`), a WAL directory, one segment, a database, a `.snap` file, a snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.errors import FormatError, InputError
from fleetrecover.etcd import bbolt, snapshot, stores, wal
from fleetrecover.etcd import snap as snap_format
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.frames import CRC
from fleetrecover.etcd.log import Broken, Log
from fleetrecover.etcd.snap import Snap
from fleetrecover.etcd.snapshot import SnapshotFacts

# A segment is 64 MB and ends with the record that fills it; a .snap holds the v2 store. Larger ones are not etcd's.
MAX_SEGMENT = 1 << 30


@dataclass(frozen=True)
class Inspection:
    """What one path turned out to be, and what is known of it.

    `kind` is "data directory", "WAL directory", "WAL segment", "database", "snapshot" or ".snap file". Of the facts
    those are set that belong to the kind; a part that is damaged or missing is a Broken. `packed` says in what it was packed.
    """

    path: Path
    kind: str
    log: Log | Broken | None = None
    db: DbFacts | Broken | None = None
    snap: Snap | None = None
    snapshot: SnapshotFacts | None = None
    packed: str = ""

    @property
    def contradiction(self) -> str:
        """Why log and database cannot be of one moment; empty when they can be."""
        if (
            isinstance(self.log, Log)
            and isinstance(self.db, DbFacts)
            and self.db.consistent_index > self.log.last.index
        ):
            return (
                f"the database has applied entry {self.db.consistent_index}, "
                f"but the log ends at {self.log.last.index}: the WAL has lost entries"
            )
        return ""

    @property
    def sound(self) -> bool:
        """Whether nothing that was looked at is damaged."""
        checksum = self.snapshot.checksum if self.snapshot else None
        bad_checksum = checksum is not None and checksum.present and not checksum.sound
        return not (isinstance(self.log, Broken) or isinstance(self.db, Broken) or bad_checksum or self.contradiction)


def inspect(path: Path, *, full: bool = False) -> Inspection:
    """Find out what `path` is and read it. With `full`, every page of a snapshot or database is read and hashed.

    Raises InputError when there is nothing to read, and FormatError when a single file is not what it should be; in a
    directory, a damaged part is a value beside the others.
    """
    try:
        return _inspect_directory(path) if path.is_dir() else _inspect_file(path, full)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _inspect_directory(path: Path) -> Inspection:
    root = path / "member" if (path / "member").is_dir() else path
    if (root / "wal").is_dir() or (root / "snap").is_dir():
        log, db = _log(root / "wal", root / "snap"), _database(root / "snap" / "db")
        return Inspection(path, "data directory", log=_named(log, db), db=db)
    if any(wal.parse_name(each.name) for each in root.iterdir()):
        beside = root.parent / "snap"
        return Inspection(path, "WAL directory", log=_log(root, beside))
    raise InputError(
        f"{path} is no data directory of etcd: it has neither member/ nor WAL segments",
        hint="give the directory that etcd is started with as --data-dir",
    )


def _sizes(directory: Path) -> dict[str, int]:
    return (
        {each.name: each.stat().st_size for each in directory.iterdir() if each.is_file()} if directory.is_dir() else {}
    )


def _log(wal_directory: Path, snap_directory: Path) -> Log | Broken:
    def read(directory: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        return ((name, _content(directory / name)) for name in names)

    def fetch(needed: wal.Needed) -> tuple[Iterable[tuple[str, bytes]], Iterable[tuple[str, bytes]]]:
        return read(wal_directory, needed.segments), read(snap_directory, [needed.snap] if needed.snap else [])

    try:
        return wal.load_log(_sizes(wal_directory), _sizes(snap_directory), fetch)
    except FormatError as error:
        return Broken(error.reason, error.source, error.offset)


def _named(log: Log | Broken, db: DbFacts | Broken | None) -> Log | Broken:
    try:
        return stores.named(log, db if isinstance(db, DbFacts) else None) if isinstance(log, Log) else log
    except FormatError as error:
        return Broken(error.reason, error.source, error.offset)


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_SEGMENT:
        raise FormatError(f"larger than {MAX_SEGMENT} bytes", source=path.name)
    return path.read_bytes()


def _database(path: Path) -> DbFacts | Broken | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return bbolt.read_facts(snapshot.reader(file), source=path.name, size=path.stat().st_size)
    except FormatError as error:
        return Broken(error.reason, error.source, error.offset)


def _inspect_file(path: Path, full: bool) -> Inspection:
    # etcd sets aside what it mends, or cannot use; a person may have given it any name after that
    name = re.sub(r"(\.(wal|snap))\.[^/]*$", r"\1", path.name)
    if not wal.parse_name(name) and (name.endswith(".wal") or _begins_as_wal(path)):
        name = "0000000000000000-0000000000000000.wal"  # its number is lost with its name; one segment needs none
    if wal.parse_name(name):
        return Inspection(path, "WAL segment", log=wal.read_log([(name, _content(path))], partial=True))
    if name.endswith(".snap"):
        return Inspection(path, ".snap file", snap=snap_format.read_snap(name, _content(path)))
    return inspect_database(path, path, full)


def _begins_as_wal(path: Path) -> bool:
    """Whether a file begins as each WAL segment does: with a record of type crc (wal/encoder.go, saveCrc)."""
    with path.open("rb") as file:
        return file.read(11)[8:] == bytes([0x08, CRC, 0x10])


def inspect_database(path: Path, plain: Path, full: bool, packed: str = "") -> Inspection:
    """The database or snapshot at `plain`, which is what `path` is or holds. Raises FormatError."""
    with plain.open("rb") as file:
        facts = snapshot.read_snapshot(file, source=path.name, full=full)
    kind = "snapshot" if facts.checksum.present else "database"
    return Inspection(path, kind, db=facts.db, snapshot=facts, packed=packed)
