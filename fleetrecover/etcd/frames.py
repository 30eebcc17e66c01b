"""The frames and records that a WAL segment is made of, and the question whether a bad one is torn or damaged.

The format is told in `wal.py`. What etcd repairs by itself (`isTornEntry` in server/wal/decoder.go and server/wal/
repair.go, v3.5.16) is a tail of the last segment whose write did not get to the disk as a whole: a frame cut off by the
end of the file, or a record with a 512-byte sector of zeros in it.
"""

from __future__ import annotations

import struct

from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.log import Torn
from fleetrecover.etcd.protobuf import BYTES, VARINT, read_varint, write_varint

METADATA, ENTRY, STATE, CRC, SNAPSHOT = 1, 2, 3, 4, 5
SECTOR = 512
FRAME = struct.Struct("<q")
LENGTH_MASK = (1 << 56) - 1

# Type, checksum, and data of no length: the head of the shortest record with data.
_SHORTEST = 8
_ZEROS = bytes(1 << 20)
# How far behind damage records of a later flush are looked for, and how much is hashed for it at most; bytes.
_LOOK_AHEAD = 4 << 20
_HASH_BUDGET = 64 << 20


class Damage(Exception):
    """A record that does not check out; `judge` turns it into Torn or FormatError."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def frame_record(kind: int, data: bytes | None, crc: int) -> bytes:
    """Frame one record as etcd's encoder does (server/wal/encoder.go): length, record, padding to 8 bytes.

    A crc record has no data, not even empty ones: None.
    """
    record = b"\x08" + write_varint(kind) + b"\x10" + write_varint(crc)
    if data is not None:
        record += b"\x1a" + write_varint(len(data)) + data
    padding = -len(record) % 8
    length = len(record) | ((0x80 | padding) << 56 if padding else 0)
    return length.to_bytes(8, "little") + record + bytes(padding)


def span_of(frame: int, offset: int) -> tuple[int, int, int]:
    """Where the record of the frame at `offset` starts and ends, and where the next frame stands."""
    start = offset + 8
    end = start + (frame & LENGTH_MASK)
    return start, end, end + ((frame >> 56) & 7) if frame < 0 else end


def parse_record(data: bytes, start: int, end: int, name: str) -> tuple[int, int, int, int]:
    """Parse the record in `data[start:end]`: (type, crc, where its data starts, length of it). Raises Damage."""
    try:
        head = parse_head(data, start, end)
        if head is not None and head[2] + head[3] == end:
            return head
        # Not as etcd writes it, but perhaps a record all the same.
        found = protobuf.message(data[start:end], {1: VARINT, 2: VARINT, 3: BYTES}, source=name, base=start)
    except FormatError as error:
        raise Damage(f"not a record: {error.reason}") from None
    body = found.get(3)
    return (
        protobuf.number(found, 1),
        protobuf.number(found, 2) & 0xFFFFFFFF,
        body.offset if body else end,
        len(body.data) if body else 0,
    )


def parse_head(data: bytes, start: int, end: int) -> tuple[int, int, int, int] | None:
    """Parse the head of a record as etcd writes it, 08 type 10 crc 1a length: (type, crc, start and length of its data).

    None for anything else. Raises FormatError when a number runs over `end`. Written for speed.
    """
    if end - start < _SHORTEST or data[start] != 0x08 or data[start + 2] != 0x10 or data[start + 1] >= 0x80:
        return None
    packed = int.from_bytes(data[start + 3 : start + 8], "little")
    if packed & 0x8080808080 == 0x80808080:
        # Fifteen of sixteen checksums take five bytes.
        at = start + 8
        crc = (
            packed & 0x7F
            | packed >> 1 & 0x3F80
            | packed >> 2 & 0x1FC000
            | packed >> 3 & 0xFE00000
            | packed >> 4 & 0xF0000000
        )
    else:
        crc, at = read_varint(data, start + 3, end)
        crc &= 0xFFFFFFFF
    if at + 1 >= end or data[at] != 0x1A:
        return None
    size = data[at + 1]
    body = at + 2
    if size >= 0x80:
        size, body = read_varint(data, at + 1, end)
    return data[start + 1], crc, body, size


# ---------------------------------------------------------------------------------------------------------------------
# Torn or damaged


def judge(name: str, data: bytes, offset: int, reason: str, is_last: bool) -> Torn:
    """Tell a torn write, which etcd cuts off, from damage, which makes the log worthless: FormatError.

    Stricter than etcd in two points, in which etcd would take lost, acknowledged writes for a torn tail: where the
    record's own length, which stands in its head, contradicts the frame's; and where records of a later flush follow.
    """
    size = len(data)
    (frame,) = FRAME.unpack_from(data, offset)
    start, end, after = span_of(frame, offset)
    if not is_last or (after <= size and not _has_zero_sector(data, start, after)):
        raise FormatError(f"{reason}: the log is damaged", source=name, offset=offset)
    claimed = _claimed_length(data, start, min(after, size))
    if claimed is not None and claimed != end - start:
        raise FormatError(
            f"{reason}, and its length does not agree with its frame's: the log is damaged", source=name, offset=offset
        )
    if after <= size:
        _refuse_later_flush(name, data, offset, after, reason)
    return Torn(name, offset, reason, _last_nonzero(data, offset) - offset)


def check_end(name: str, data: bytes, offset: int, is_last: bool) -> Torn | None:
    """Look at what follows the last record: nothing, preallocated zeros, or the remains of a torn write.

    In a segment that is not the last, etcd reads on in the next one, whose first record shows whether anything was
    lost here. Raises FormatError for damage.
    """
    size = len(data)
    if offset + 8 > size:
        if offset == size:
            return None
        if not is_last:
            raise FormatError("the segment ends within a frame", source=name, offset=offset)
        return Torn(name, offset, "a frame is cut off by the end of the file", size - offset)
    if not is_last:
        return None
    position = _first_nonzero(data, offset)
    if position == size:
        return None
    reason = "the end is followed by something else than zeros"
    _refuse_later_flush(name, data, offset, position & ~7, reason)
    return Torn(name, offset, reason, _last_nonzero(data, offset) - offset)


def _refuse_later_flush(name: str, data: bytes, offset: int, position: int, reason: str) -> None:
    later = _later_flush(data, position)
    if later is not None:
        raise FormatError(
            f"{reason}, but records of a later flush follow at {later}: the log is damaged", source=name, offset=offset
        )


def _first_nonzero(data: bytes, offset: int) -> int:
    """Where the first byte that is not zero stands, from `offset` on; the size of `data` if there is none."""
    size = len(data)
    while offset < size:
        chunk = data[offset : offset + len(_ZEROS)]
        if chunk != _ZEROS[: len(chunk)]:
            return offset + len(chunk) - len(chunk.lstrip(b"\0"))
        offset += len(chunk)
    return size


def _last_nonzero(data: bytes, offset: int) -> int:
    """Where the last byte that is not zero ends, not before `offset`."""
    end = len(data)
    while end > offset:
        start = max(offset, end - len(_ZEROS))
        chunk = data[start:end]
        if chunk != _ZEROS[: len(chunk)]:
            return start + len(chunk.rstrip(b"\0"))
        end = start
    return offset


def _has_zero_sector(data: bytes, start: int, end: int) -> bool:
    """Whether one of the sectors that `data[start:end]` touches is all zeros within it (etcd's isTornEntry)."""
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if data[start:stop] == _ZEROS[: stop - start]:
            return True
        start = stop
    return False


def _claimed_length(data: bytes, start: int, end: int) -> int | None:
    """The record's length as its own head gives it; None when the head did not get to the disk.

    0 when the head is there and makes no sense.
    """
    head_end = min(end, start + 24)
    border = (start // SECTOR + 1) * SECTOR
    if head_end - start < 20 or _has_zero_sector(data, start, head_end):
        return None
    if border < head_end and data[border:head_end].count(0) == head_end - border:
        return None
    try:
        head = parse_head(data, start, head_end)
    except FormatError:
        return 0
    return head[2] + head[3] - start if head else 0


def _later_flush(data: bytes, position: int) -> int | None:
    """Find proof, from `position` on, that etcd flushed again afterwards: an entry, a hard state, then an entry.

    etcd writes a batch's entries, then the hard state, then flushes before it goes on (wal.Save); a hard state alone
    is not flushed. So an entry behind a state behind an entry was written after everything before that state had
    reached the disk. A record counts when its checksum continues the one before. Returns the last entry's offset.
    """
    size = len(data)
    position = (position + 7) & ~7
    limit = min(size, position + _LOOK_AHEAD)
    budget = _HASH_BUDGET
    view = memoryview(data)
    while position + 8 <= limit and budget > 0:
        found = _glance(data, position, size)
        if found is None:
            position += 8
            continue
        stage = 1 if found[0] == ENTRY else 0
        while True:
            at = found[4]
            following = _glance(data, at, size)
            if following is None:
                break
            kind, crc, body, span, _ = following
            budget -= span
            if budget < 0 or crc32c(view[body : body + span], found[1]) != crc:
                break
            if kind == ENTRY and stage == 2:
                return at
            stage = 1 if kind == ENTRY and stage == 0 else 2 if kind == STATE and stage == 1 else stage
            found = following
        position = found[4]
    return None


def _glance(data: bytes, offset: int, size: int) -> tuple[int, int, int, int, int] | None:
    """Read the head of what may be a record: (type, crc, start and length of its data, offset after it), or None."""
    if offset + 8 > size:
        return None
    (frame,) = FRAME.unpack_from(data, offset)
    start, end, after = span_of(frame, offset)
    if after > size or after % 8:
        return None
    try:
        head = parse_head(data, start, end)
    except FormatError:
        return None
    if head is None or head[2] + head[3] != end or head[0] not in (METADATA, ENTRY, STATE, SNAPSHOT):
        return None
    return (*head, after)
