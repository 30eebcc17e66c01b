"""`inspect`: what a path on this machine is, also where it is packed as RKE, Rancher and `snapshot save` pack snapshots."""

from __future__ import annotations

import shutil
from pathlib import Path

from fleetrecover.ending import scratch
from fleetrecover.errors import FormatError, InputError
from fleetrecover.etcd import local
from fleetrecover.etcd.local import Inspection
from fleetrecover.snapshots import archive

SPARE = 256 << 20
"""Bytes that are left free here when something is unpacked."""


def inspect(path: Path, *, full: bool = False) -> Inspection:
    """Find out what `path` is and read it. Raises InputError, FormatError."""
    try:
        kind = _packing(path)
        if kind is not None:
            return _unpacked(path, kind, full)
        return _bare(path, full)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def _bare(path: Path, full: bool) -> Inspection:
    try:
        return local.inspect(path, full=full)
    except FormatError:
        known = path.is_dir() or ".wal" in path.name or ".snap" in path.name
        if not known:  # why it is nothing at all says more than why it is no database
            with path.open("rb") as file:
                archive.recognise(file.read(archive.HEAD), path.stat().st_size, path.name)
        raise


def _packing(path: Path) -> archive.Kind | None:
    """In what a file is packed; None for what is no archive. The first bytes tell, not the name."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(archive.HEAD)
    if not head.startswith((b"PK", b"\x1f\x8b")):
        return None
    return archive.recognise(head, path.stat().st_size, path.name)


def _unpacked(path: Path, kind: archive.Kind, full: bool) -> Inspection:
    with scratch() as directory:
        plain = directory / "db"
        room = shutil.disk_usage(directory).free - SPARE
        if room <= 0:
            raise InputError(
                f"{path}: there is no room in {directory.parent} to unpack it",
                hint="set TMPDIR to a directory with more room",
            )
        with path.open("rb") as file, plain.open("xb") as sink:
            archive.unpack(file, sink, path.name, limit=room)
        return local.inspect_database(path, plain, full, kind.value)
