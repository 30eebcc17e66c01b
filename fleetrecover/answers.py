"""PURE: what came from a node, made sense of: whatever is wrong with it is a FormatError, and nothing else.

One mechanism for all: `Probe.parse` goes through `understood`, and so does whatever else reads an answer. So an odd
answer can never end a command for the other nodes, and a fault of ours in reading it is seen: in the message, with its
kind and place, and with `-v` as a traceback.
"""

from __future__ import annotations

import json
import logging
import math
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fleetrecover import bounds
from fleetrecover.errors import FleetRecoverError, FormatError

T = TypeVar("T")

LOG = logging.getLogger("fleetrecover.answers")
"""Told, at level DEBUG, the traceback of what was not foreseen."""
_PACKAGE = str(Path(__file__).parent)


def understood(source: str, read: Callable[[], T]) -> T:
    """What `read` makes of the answer to `source`. Raises FormatError where it cannot, whatever the exception was.

    Errors of ours (a RemoteError, Refused) are passed on as they are.
    """
    try:
        return read()
    except FleetRecoverError:
        raise
    except Exception as error:
        LOG.debug("%s: its answer could not be read", source, exc_info=True)
        raise FormatError(f"not what was expected: {_what(error)}", source=source) from error


def _what(error: Exception) -> str:
    """The kind of an exception, where in this program it came up, and what it says, which may hold the node's words."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(_PACKAGE)]
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{place}: {str(error)[:200]}"


def load_json(
    data: str | bytes,
    source: str,
    *,
    offset: int | None = None,
    limit: int = bounds.JSON,
    values: int = bounds.JSON_VALUES,
) -> Any:
    """Parse JSON from a node. Raises FormatError: no JSON, not finite, or more than the bounds allow.

    `limit` is in bytes (of a str: characters), `values` counts brackets and commas.
    """
    if len(data) > limit:
        raise FormatError(f"{len(data)} bytes of JSON, more than {limit}", source=source, offset=offset)
    opening, commas = _counts(data)
    if opening + commas > values:
        raise FormatError(f"JSON with more than {values} values", source=source, offset=offset)
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_float=_finite)
        if opening > bounds.JSON_DEPTH:
            _check_depth(value)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not JSON: {error}", source=source, offset=offset) from None
    return value


def _counts(data: str | bytes) -> tuple[int, int]:
    if isinstance(data, str):
        return data.count("[") + data.count("{"), data.count(",")
    return data.count(b"[") + data.count(b"{"), data.count(b",")


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word[:40]} is too large a number")
    return value


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > bounds.JSON_DEPTH:
            raise ValueError(f"nested deeper than {bounds.JSON_DEPTH} levels")
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [part for each in inner for part in (each.values() if isinstance(each, dict) else each)]


def unzipped(data: bytes, size: int, source: str) -> bytes:
    """Decompress one gzip member of at most `size` bytes; what comes after is not read. Raises FormatError."""
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError(f"not gzip: {error}", source=source) from error
    if len(content) > size:
        raise FormatError(f"more than the {size} bytes that were asked for are packed in it", source=source)
    if not stream.eof:
        raise FormatError("a gzip that is cut off", source=source)
    return content


def json_object(text: str, source: str) -> dict[str, Any]:
    """A JSON object. Raises FormatError for anything else."""
    value = load_json(text, source)
    if not isinstance(value, dict):
        raise FormatError("not a JSON object", source=source)
    return value
