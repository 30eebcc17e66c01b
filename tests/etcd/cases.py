"""The recorded fixtures, as the readers want them."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fleetrecover.etcd.wal import Log, Needed, load_log

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = ("3.3.25", "3.4.23", "3.5.16", "3.5.30", "3.6.14", "3.7.1")


@dataclass
class DataDirectory:
    """One member's files: name → content."""

    wal: dict[str, bytes] = field(default_factory=dict)
    snap: dict[str, bytes] = field(default_factory=dict)

    @property
    def db(self) -> io.BytesIO:
        return io.BytesIO(self.snap["db"])

    def sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        return {name: len(data) for name, data in self.wal.items()}, {
            name: len(data) for name, data in self.snap.items()
        }

    def fetch(self, needed: Needed) -> tuple[Iterable[tuple[str, bytes]], Iterable[tuple[str, bytes]]]:
        snaps = [(needed.snap, self.snap[needed.snap])] if needed.snap else []
        return ((name, self.wal[name]) for name in needed.segments), snaps

    def log(self) -> Log:
        return load_log(*self.sizes(), self.fetch)


@cache
def _archive(version: str, case: str) -> dict[str, bytes]:
    content = lzma.decompress((FIXTURES / version / f"{case}.tar.xz").read_bytes())
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found


def file(version: str, case: str, name: str) -> bytes:
    return _archive(version, case)[name]


def directories(version: str, case: str) -> dict[str, DataDirectory]:
    """The data directories of a case, by member name; fresh copies of the dictionaries."""
    found: dict[str, DataDirectory] = {}
    for path, content in _archive(version, case).items():
        parts = path.split("/")
        if len(parts) == 4:
            directory = found.setdefault(parts[0], DataDirectory())
            (directory.wal if parts[2] == "wal" else directory.snap)[parts[3]] = content
    return found


def text(version: str, name: str) -> str:
    return (FIXTURES / version / name).read_text()
