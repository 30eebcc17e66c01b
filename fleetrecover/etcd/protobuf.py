"""As much of protobuf's wire format as etcd's files need, with every length checked.

The wire format is that of protobuf.dev/programming-guides/encoding; etcd writes it with gogo/protobuf, which keeps the
order of field numbers. Readers here accept any order and skip fields that they do not know, as etcd does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleetrecover.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MASK64 = (1 << 64) - 1
_MAX_FIELD = (1 << 29) - 1


def read_varint(data: bytes, position: int, end: int, *, source: str = "", base: int = 0) -> tuple[int, int]:
    """Return (value, position after it); the value is cut to 64 bits.

    `base` is the offset of `data` in the file `source`; both only serve the message of the FormatError that is raised
    when the varint runs over `end` or over ten bytes.
    """
    value = shift = 0
    at = position
    while True:
        if at >= end:
            raise FormatError("a number is cut off", source=source, offset=base + position)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & MASK64, at
        shift += 7
        if shift >= 70:
            raise FormatError("a number is longer than ten bytes", source=source, offset=base + position)


def write_varint(value: int) -> bytes:
    """Encode an unsigned 64-bit number."""
    if not 0 <= value <= MASK64:
        raise ValueError(f"not an unsigned 64-bit number: {value}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True)
class Field:
    """One field: `value` is the number of a numeric field, `data` the bytes of a length-delimited one.

    `offset` is where the field's content starts in the file.
    """

    number: int
    wire: int
    value: int
    data: bytes
    offset: int


def fields(data: bytes, *, source: str = "", base: int = 0) -> Iterator[Field]:
    """Yield the fields of one message in the order in which they stand.

    Raises FormatError, naming the offset, on a cut-off or impossible field; groups are not accepted, etcd writes none.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = read_varint(data, position, end, source=source, base=base)
        number, wire = key >> 3, key & 7
        if not 1 <= number <= _MAX_FIELD:
            raise FormatError(f"field number {number} does not exist", source=source, offset=base + start)
        if wire == VARINT:
            at = position
            value, position = read_varint(data, position, end, source=source, base=base)
            yield Field(number, wire, value, b"", base + at)
            continue
        if wire == BYTES:
            size, position = read_varint(data, position, end, source=source, base=base)
        elif wire == FIXED64:
            size = 8
        elif wire == FIXED32:
            size = 4
        else:
            raise FormatError(f"wire type {wire} is not one that etcd writes", source=source, offset=base + start)
        if size > end - position:
            raise FormatError(
                f"field {number} claims {size} bytes, {end - position} are left", source=source, offset=base + start
            )
        content = data[position : position + size]
        if wire == BYTES:
            yield Field(number, wire, 0, content, base + position)
        else:
            yield Field(number, wire, int.from_bytes(content, "little"), b"", base + position)
        position += size


def message(data: bytes, wires: dict[int, int], *, source: str = "", base: int = 0) -> dict[int, Field]:
    """Return the last field of each number in `wires` ({number: wire type}); others are skipped.

    Raises FormatError when one of them has another wire type than said, as etcd's own decoder does.
    """
    found: dict[int, Field] = {}
    for field in fields(data, source=source, base=base):
        wanted = wires.get(field.number)
        if wanted is None:
            continue
        if field.wire != wanted:
            raise FormatError(
                f"field {field.number} has wire type {field.wire}, not {wanted}", source=source, offset=field.offset
            )
        found[field.number] = field
    return found


def number(found: dict[int, Field], which: int) -> int:
    """Return the number in field `which` of what `message` found; 0, protobuf's default, when absent."""
    field = found.get(which)
    return field.value if field else 0


def content(found: dict[int, Field], which: int) -> bytes:
    """Return the bytes in field `which` of what `message` found; empty when absent."""
    field = found.get(which)
    return field.data if field else b""


def packed_or_single(field: Field, *, source: str = "") -> list[int]:
    """Return the numbers of one occurrence of a repeated numeric field, packed or not."""
    if field.wire == VARINT:
        return [field.value]
    if field.wire != BYTES:
        raise FormatError(f"field {field.number} is not a list of numbers", source=source, offset=field.offset)
    values: list[int] = []
    position = 0
    while position < len(field.data):
        value, position = read_varint(field.data, position, len(field.data), source=source, base=field.offset)
        values.append(value)
    return values


def text(data: bytes, *, source: str = "", offset: int | None = None) -> str:
    """Decode UTF-8; FormatError when it is not."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8: {error.reason}", source=source, offset=offset) from None
