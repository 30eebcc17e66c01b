"""PURE: frozen dataclasses ⇄ JSON by their own type hints, and nothing else: no class is named in the data, none is run.

The types that may be read are those that the hints name, from a closed list: texts, numbers, truth, None, paths, moments,
enumerations, tuples, sets, mappings with texts as keys, dataclasses, and arrays of 32-bit numbers. Every error names the place,
`survey.nodes[2].log.tail`, and what is wrong there. What is bounded is the number of values, not only their bytes: short text
can hold many.
"""

from __future__ import annotations

import base64
import binascii
import sys
import types
import typing
from array import array
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Any

from fleetrecover.errors import InputError

DEPTH = 32
VALUES = 2_000_000
"""So many values are read at most; a survey of 200 nodes has some 100,000."""
_PLAIN = (str, int, float, bool)


class Malformed(InputError):
    """The data is not what the type says; the message begins with the place."""


def encode(value: Any) -> Any:
    """The value as JSON: dataclasses are objects, whatever equals its default is left out."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Path | datetime):
        return str(value) if isinstance(value, Path) else value.isoformat()
    if isinstance(value, array):
        packed = array("I", value)
        return base64.b64encode(_little(packed).tobytes()).decode()
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [encode(each) for each in value]
    if isinstance(value, set | frozenset):
        return [encode(each) for each in sorted(value)]
    if is_dataclass(value):
        return {f.name: encode(each) for f, each in _told(value)}
    raise TypeError(f"{type(value).__name__} cannot be saved")


def _told(value: Any) -> list[tuple[Field[Any], Any]]:
    kind: Any = type(value)
    known = hints_of(kind)
    pairs = [(f, getattr(value, f.name)) for f in fields(value) if f.name in known]
    return [(f, each) for f, each in pairs if not _is_default(f, each)]


def _is_default(field: Field[Any], value: Any) -> bool:
    if field.default is not MISSING:
        return bool(value == field.default) and type(value) is type(field.default)
    return field.default_factory is not MISSING and bool(value == field.default_factory())


@dataclass
class _Reading:
    left: int

    def take(self, place: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Malformed(f"{place}: more values than the {VALUES:,} that are read")


def decode(data: Any, hint: Any, place: str) -> Any:
    """The value of that type. Raises Malformed."""
    return _decode(data, hint, place, _Reading(VALUES))


def _decode(data: Any, hint: Any, place: str, state: _Reading) -> Any:
    state.take(place)
    if place.count(".") + place.count("[") > DEPTH:
        raise Malformed(f"{place}: nested too deeply")
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _of_union(data, parts, place, state)
    if hint in _PLAIN:
        return _plain(data, hint, place)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _made(lambda: hint(data), data, hint.__name__, place)
    if hint is Path:
        return Path(_plain(data, str, place))
    if hint is datetime:
        return _made(lambda: datetime.fromisoformat(_plain(data, str, place)), data, "a moment", place)
    if is_dataclass(hint):
        return _of_class(data, hint, place, state)
    if origin is tuple:
        return _of_tuple(data, parts, place, state)
    if origin is frozenset:
        return frozenset(_decode(each, parts[0], f"{place}[{n}]", state) for n, each in enumerate(_listed(data, place)))
    if origin in (Mapping, dict):
        return _of_mapping(data, parts, place, state)
    if hint is array:
        return _numbers(data, place)
    raise TypeError(f"{place}: {hint} cannot be read")


def _of_union(data: Any, parts: tuple[Any, ...], place: str, state: _Reading) -> Any:
    if data is None:
        if type(None) in parts:
            return None
        raise Malformed(f"{place}: nothing stands there")
    [hint] = [part for part in parts if part is not type(None)]
    return _decode(data, hint, place, state)


def _plain(data: Any, hint: type, place: str) -> Any:
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    # in Python True is an int
    if not isinstance(data, hint) or (isinstance(data, bool) and hint is not bool):
        raise Malformed(f"{place}: {_what(data)} stands where {hint.__name__} belongs")
    return data


def _made(work: Callable[[], Any], data: Any, wanted: str, place: str) -> Any:
    try:
        return work()
    except ValueError as error:
        raise Malformed(f"{place}: {str(data)[:40]!r} is no {wanted}") from error


def _of_class(data: Any, kind: Any, place: str, state: _Reading) -> Any:
    table, known = _table(data, place), hints_of(kind)
    for key in table:
        if key not in known:
            raise Malformed(f"{place}: {key[:40]!r} is not a known key")
    values = {key: _decode(table[key], known[key], f"{place}.{key}", state) for key in table}
    missing = [f.name for f in fields(kind) if f.name not in values and _required(f)]
    if missing:
        raise Malformed(f"{place}: {missing[0]} is missing")
    return kind(**values)


class _Numbers:
    """`array[int]`, which Python 3.11 cannot say when it runs."""

    def __class_getitem__(cls, _: Any) -> type:
        return array


@cache
def hints_of(kind: Any) -> Mapping[str, Any]:
    """The types of a dataclass's fields. One that may hold anything (a node's own words, unread) is never saved."""
    hints = typing.get_type_hints(kind, localns={"array": _Numbers})
    return {f.name: hints[f.name] for f in fields(kind) if f.init and Any not in typing.get_args(hints[f.name])}


def _required(field: Field[Any]) -> bool:
    return field.init and field.default is MISSING and field.default_factory is MISSING


def _of_tuple(data: Any, parts: tuple[Any, ...], place: str, state: _Reading) -> tuple[Any, ...]:
    found = _listed(data, place)
    if len(parts) == 2 and parts[1] is Ellipsis:
        return tuple(_decode(each, parts[0], f"{place}[{n}]", state) for n, each in enumerate(found))
    if len(found) != len(parts):
        raise Malformed(f"{place}: {len(found)} values where {len(parts)} belong")
    return tuple(
        _decode(each, part, f"{place}[{n}]", state) for n, (each, part) in enumerate(zip(found, parts, strict=True))
    )


def _of_mapping(data: Any, parts: tuple[Any, ...], place: str, state: _Reading) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, each in _table(data, place).items():
        here = f"{place}.{key[:40]}"
        made[_made(partial(int, key), key, "whole number", here) if parts[0] is int else key] = _decode(
            each, parts[1], here, state
        )
    return made


def _numbers(data: Any, place: str) -> array[int]:
    try:
        packed = base64.b64decode(_plain(data, str, place), validate=True)
    except binascii.Error as error:
        raise Malformed(f"{place}: not base64") from error
    if len(packed) % 4:
        raise Malformed(f"{place}: {len(packed)} bytes, not a multiple of 4")
    made = array("I")
    made.frombytes(packed)
    return _little(made)


def _little(numbers: array[int]) -> array[int]:
    """The same numbers, with their bytes swapped where this machine has the greater end first."""
    if sys.byteorder == "big":
        numbers = array("I", numbers)
        numbers.byteswap()
    return numbers


def _listed(data: Any, place: str) -> list[Any]:
    if not isinstance(data, list):
        raise Malformed(f"{place}: {_what(data)} stands where a list belongs")
    return data


def _table(data: Any, place: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Malformed(f"{place}: {_what(data)} stands where an object belongs")
    return data


def _what(data: Any) -> str:
    return "null" if data is None else f"{type(data).__name__} {str(data)[:40]!r}"
