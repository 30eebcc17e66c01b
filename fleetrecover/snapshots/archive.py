"""PURE: what a snapshot file really is, and how its database is taken out of it without trusting it.

RKE and Rancher write a snapshot bare (old), as `.zip`, or, for a while, as `.gz` that in fact is a zip. The zip has one
entry whose name is absolute, `/backup/NAME`, and sometimes a second one, `/etc/kubernetes/NAME.rkestate`, which holds secrets
and is never read here (rke-tools, main.go, AddFileToZip and decompressFile: its restore looks for exactly `/backup/NAME`
in `NAME.zip`, so a zip that was renamed is of no use to RKE).

Names in an archive are only compared, never used as paths. What is taken out is bounded by what the archive announces, by
a limit, and by the first bytes having to be those of an etcd database.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from fleetrecover.errors import FormatError, InputError
from fleetrecover.etcd import bbolt
from fleetrecover.etcd.snapshot import has_trailer

MAX_SIZE = 16 << 30
"""More than this is no etcd database: 8 GiB is the most that etcd advises."""
MAX_RATIO = 200
"""A database that packs better than this is a bomb, if it is large: real ones pack 3 to 12 to 1."""
BOMB_SIZE = 256 << 20
MAX_ENTRIES = 64
HEAD = 128
_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@=-]{0,199}")
_META_MAGIC = struct.Struct("<I")


class Kind(StrEnum):
    """What a snapshot file is."""

    BARE = "bare"
    ZIP = "zip"
    GZ_ZIP = "gz, in fact zip"
    GZIP = "gzip"
    RAW = "raw database"

    @property
    def packed(self) -> bool:
        """Whether the database has to be taken out of it."""
        return self in (Kind.ZIP, Kind.GZ_ZIP, Kind.GZIP)


@dataclass(frozen=True)
class Unpacked:
    """What was taken out. `entry` is the name inside of a zip, `notes` is what a person should know of it."""

    kind: Kind
    size: int
    entry: str = ""
    notes: tuple[str, ...] = ()


def check_name(name: str) -> str:
    """Return a snapshot's name as it may be given to a new one, without `.zip`. Raises InputError."""
    bare = name.removesuffix(".zip")
    if not _NAME.fullmatch(bare):
        raise InputError(
            f"{name!r} cannot be the name of a snapshot",
            hint="letters, digits and . _ : + @ = - are allowed, up to 200, the first a letter or digit",
        )
    return bare


def recognise(head: bytes, size: int, name: str, *, source: str = "") -> Kind:
    """Tell from the first HEAD bytes, the size and the name. Raises FormatError with the reason."""
    source = source or name
    if size == 0:
        raise FormatError("the file is empty", source=source)
    if head.startswith(b"PK\x03\x04"):
        return Kind.GZ_ZIP if name.endswith(".gz") else Kind.ZIP
    if head.startswith(b"PK\x05\x06"):
        raise FormatError("a zip with nothing in it", source=source)
    if head.startswith(b"\x1f\x8b"):
        return Kind.GZIP
    if is_database(head):
        return Kind.BARE if has_trailer(size) else Kind.RAW
    if not any(head):
        raise FormatError("it begins with zeros: not written to its end, or a disk has failed", source=source)
    raise FormatError("neither an etcd database nor a zip of one", source=source)


def is_database(head: bytes) -> bool:
    """Whether these are the first bytes of a bbolt file: its magic stands after the page's header."""
    return len(head) >= 20 and _META_MAGIC.unpack_from(head, 16)[0] == bbolt.MAGIC


def base_name(name: str) -> str:
    """The name without what the packing added.

    >>> base_name("c-x-rl-1.zip"), base_name("2019-01-01T00:00:00Z_etcd")
    ('c-x-rl-1', '2019-01-01T00:00:00Z_etcd')
    """
    for suffix in (".zip", ".gz"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name


def unpack(
    file: IO[bytes], sink: IO[bytes], name: str, *, limit: int = MAX_SIZE, progress: Callable[[int], None] | None = None
) -> Unpacked:
    """Write the database of a snapshot file, with its checksum if it has one, to `sink`. Raises FormatError.

    `file` is seekable. `limit` is the most that may come out, bytes; `progress` is told bytes as they are written.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEAD)
    kind = recognise(head, size, name)
    file.seek(0)
    if kind in (Kind.ZIP, Kind.GZ_ZIP):
        return _unpack_zip(file, sink, name, kind, min(limit, MAX_SIZE), progress)
    chunks = _gunzip(file, name) if kind is Kind.GZIP else _chunks(file)
    written = _write(chunks, sink, name, min(limit, MAX_SIZE), progress)
    return Unpacked(kind, written)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _gunzip(file: IO[bytes], source: str) -> Iterator[bytes]:
    """Decompress gzip, a bounded piece at a time: one member after another, as gzip(1) does; zeros may pad its end."""
    stream = zlib.decompressobj(wbits=31)
    try:
        for chunk in _chunks(file):
            left = chunk
            while left:
                if stream.eof:
                    left = left.lstrip(b"\0")
                    if not left:
                        break
                    stream = zlib.decompressobj(wbits=31)
                yield stream.decompress(left, _CHUNK)
                left = stream.unused_data if stream.eof else stream.unconsumed_tail
    except zlib.error as error:
        raise FormatError(f"damaged gzip: {error}", source=source) from error
    if not stream.eof:
        raise FormatError("the gzip is cut off", source=source)


def _write(
    chunks: Iterator[bytes], sink: IO[bytes], source: str, limit: int, progress: Callable[[int], None] | None
) -> int:
    """Copy, at most `limit` bytes, and only if it begins as a database does."""
    written = 0
    head = b""
    for chunk in chunks:
        if len(head) < 20:
            head += chunk[:64]
            if len(head) >= 20 and not is_database(head):
                raise FormatError("what is packed in it is no etcd database", source=source)
        written += len(chunk)
        if written > limit:
            raise FormatError(f"more than {limit} bytes come out of it: it is not read any further", source=source)
        sink.write(chunk)
        if progress is not None:
            progress(len(chunk))
    if not is_database(head):
        raise FormatError("what is packed in it is no etcd database", source=source)
    return written


# --- zip -------------------------------------------------------------------------------------------------------------


def _unpack_zip(
    file: IO[bytes], sink: IO[bytes], name: str, kind: Kind, limit: int, progress: Callable[[int], None] | None
) -> Unpacked:
    try:
        with zipfile.ZipFile(file) as archive:
            entry = choose_entry(archive.infolist(), name)
            _check_sizes(entry, name, limit)
            with archive.open(entry) as stream:
                size = _write(_entry_chunks(stream, entry, name), sink, name, entry.file_size, progress)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise FormatError(f"damaged zip: {error}", source=name) from error
    if size != entry.file_size:
        raise FormatError(f"{size} bytes came out of the zip, {entry.file_size} were announced", source=name)
    return Unpacked(kind, size, entry.orig_filename, _zip_notes(entry, name))


def _entry_chunks(stream: IO[bytes], entry: zipfile.ZipInfo, source: str) -> Iterator[bytes]:
    try:
        yield from _chunks(stream)
    except zipfile.BadZipFile as error:
        raise FormatError(f"{entry.orig_filename} in the zip is damaged: {error}", source=source) from error


def choose_entry(entries: list[zipfile.ZipInfo], source: str) -> zipfile.ZipInfo:
    """The one entry that is the snapshot. Raises FormatError for a zip that is not of the shape RKE and Rancher write.

    Accepted are `/backup/NAME`, `backup/NAME` and `NAME`, once; beside it `….rkestate`, which is left alone.
    """
    if len(entries) > MAX_ENTRIES:
        raise FormatError(f"a zip with {len(entries)} entries is no snapshot", source=source)
    found: list[zipfile.ZipInfo] = []
    for entry in entries:
        path = entry.orig_filename
        if "\0" in path or "\\" in path or ".." in path.split("/"):
            raise FormatError(
                f"the zip has an entry {path!r}, which points outside: it is not to be trusted", source=source
            )
        if path.endswith("/"):
            continue
        folder, base = posixpath.split(path)
        if base.endswith(".rkestate") and folder in ("/etc/kubernetes", "etc/kubernetes", ""):
            continue
        if folder not in ("/backup", "backup", ""):
            raise FormatError(
                f"the zip has an entry {path!r}, which no snapshot has: it is not to be trusted", source=source
            )
        found.append(entry)
    if not found:
        raise FormatError("there is no snapshot in the zip", source=source)
    if len(found) > 1:
        names = ", ".join(entry.orig_filename for entry in found)
        raise FormatError(
            f"there are {len(found)} files in the zip, so it is not known which is meant: {names}", source=source
        )
    return found[0]


def _check_sizes(entry: zipfile.ZipInfo, source: str, limit: int) -> None:
    if entry.flag_bits & 0x1:
        raise FormatError("the zip is encrypted", source=source)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError(f"the zip is packed by method {entry.compress_type}, not by deflate", source=source)
    if entry.file_size > limit:
        raise FormatError(
            f"the zip announces {entry.file_size} bytes, more than {limit}: a zip bomb, or no snapshot", source=source
        )
    if entry.file_size > BOMB_SIZE and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        raise FormatError(
            f"{entry.compress_size} bytes in the zip announce {entry.file_size}: a zip bomb, not a snapshot",
            source=source,
        )


def _zip_notes(entry: zipfile.ZipInfo, name: str) -> tuple[str, ...]:
    wanted = f"/backup/{base_name(name)}"
    if entry.orig_filename == wanted or not name.endswith(".zip"):
        return ()
    return (f"its entry is {entry.orig_filename}, not {wanted}: RKE's own restore would not find it",)


def pack(
    source: IO[bytes], sink: IO[bytes], name: str, size: int, progress: Callable[[int], None] | None = None
) -> None:
    """Write the zip that RKE's own restore accepts as `NAME.zip`: one entry `/backup/NAME`, deflated, of `size` bytes."""
    entry = zipfile.ZipInfo(f"/backup/{name}", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100600 << 16
    entry.create_system = 3
    entry.file_size = size
    with (
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(entry, "w", force_zip64=size >= (1 << 31)) as target,
    ):
        for chunk in _chunks(source):
            target.write(chunk)
            if progress is not None:
                progress(len(chunk))
