"""A directory made from another member's, as a reseed makes it on a node: by the product's own reader and writer."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.seed import Seed, seeded


def read(directory: Path) -> Log:
    """The log in a data directory, which must be readable."""
    found = inspect(directory)
    assert isinstance(found.log, Log), found.log
    return found.log


def seed_from(source: Path, target: Path, seed: Seed, log: Log | None = None) -> None:
    """What is done on a node: the database and the snapshot that is used as they are, the log, `source`'s, rewritten."""
    log = log or read(source)
    shutil.rmtree(target, ignore_errors=True)
    (target / "member/snap").mkdir(parents=True)
    (target / "member/wal").mkdir()
    target.chmod(0o700)
    for name in ("db", *([log.snap_name] if log.snap_name else [])):
        shutil.copy(source / "member/snap" / name, target / "member/snap" / name)
    for name, data in seeded(((name, _content(source, name, log)) for name in log.segments), seed):
        file = target / "member/wal" / name
        file.write_bytes(data)
        os.truncate(file, max(len(data), (source / "member/wal" / name).stat().st_size))


def _content(source: Path, name: str, log: Log) -> bytes:
    """A segment without the zeros, and what is torn, behind the log's end."""
    with (source / "member/wal" / name).open("rb") as file:
        return file.read(log.tail.offset if name == log.tail.segment else -1)
