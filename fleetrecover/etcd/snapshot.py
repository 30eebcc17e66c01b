"""Snapshot files, as `etcdctl snapshot save` writes them: a bbolt database and the SHA-256 of all of it.

Format (etcdutl/snapshot/v3_snapshot.go and client/v3/snapshot, v3.5.16): the size of a database is a multiple of 512,
so a size that leaves 32 means that the last 32 bytes are the checksum. A copied `member/snap/db` has none.
`snapshot status` does not look at the checksum, `snapshot restore` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt
from fleetrecover.etcd.bbolt import DbFacts, Ranges
from fleetrecover.etcd.crc import crc32c

TRAILER = 32
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Checksum:
    """`present`: whether the file has a checksum at all; `sound`: whether it has one and it matches."""

    present: bool
    sound: bool
    sha256: str


@dataclass(frozen=True)
class Status:
    """What `etcdctl snapshot status` prints, from the same walk over the whole file.

    `hash` is the CRC-32C over every bucket's name, keys and values; `total_keys` counts the keys of all buckets (from
    3.6 on etcdutl counts the names that live instead, for which it holds all of them in memory);
    `total_size` is in bytes, without the checksum; `revision` is the last in the key bucket, 0 when it is empty.
    """

    hash: int
    revision: int
    total_keys: int
    total_size: int


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot file: its size in bytes, its checksum and the database in it; `status` when it was asked for."""

    size: int
    checksum: Checksum
    db: DbFacts
    status: Status | None = None


def has_trailer(size: int) -> bool:
    """Whether a file of this size, bytes, ends with a checksum."""
    return size % 512 == TRAILER


def reader(file: IO[bytes]) -> Callable[[Ranges], list[bytes]]:
    """Make of a seekable file what `bbolt.read_facts` reads through."""

    def read(ranges: Ranges) -> list[bytes]:
        parts: list[bytes] = []
        for offset, size in ranges:
            file.seek(offset)
            parts.append(file.read(size))
        return parts

    return read


def verify(file: IO[bytes], progress: Callable[[int], None] | None = None) -> Checksum:
    """Hash a seekable file from its beginning and compare with its checksum; `progress` is told bytes done.

    Without a checksum, `sha256` is that of the whole file.
    """
    size = file.seek(0, 2)
    present = has_trailer(size)
    left = size - TRAILER if present else size
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            break
        digest.update(chunk)
        left -= len(chunk)
        if progress is not None:
            progress(len(chunk))
    trailer = file.read(TRAILER) if present else b""
    return Checksum(present, present and trailer == digest.digest(), digest.hexdigest())


def status(file: IO[bytes], *, source: str = "snapshot") -> Status:
    """Walk the whole file and compute what `etcdctl snapshot status` prints. Raises FormatError."""
    read = reader(file)
    meta = bbolt.read_meta(read, source)
    checksum = revision = total = 0
    for bucket, pairs in bbolt.walk_buckets(read, source):
        checksum = crc32c(bucket, checksum)
        for key, value in pairs:
            checksum = crc32c(value, crc32c(key, checksum))
            total += 1
            if bucket == b"key":
                if len(key) < 17:
                    raise FormatError("a key is not a revision", source=source)
                revision = int.from_bytes(key[:8], "big")
    return Status(checksum, revision, total, meta.high_water * meta.page_size)


def read_snapshot(file: IO[bytes], *, source: str = "snapshot", full: bool = False) -> SnapshotFacts:
    """Read a snapshot file or a bare database. With `full`, every page is read too, for `status`.

    Raises FormatError when it is no etcd database. A checksum that is missing or wrong is a fact, not an error.
    """
    size = file.seek(0, 2)
    body = size - TRAILER if has_trailer(size) else size
    db = bbolt.read_facts(reader(file), source=source, size=body, attempts=1)
    return SnapshotFacts(size, verify(file), db, status(file, source=source) if full else None)
