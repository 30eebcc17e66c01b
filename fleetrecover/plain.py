"""PURE: text that came from a node, made harmless for a terminal and for a file; JSON of ours likewise.

A name, a path or a log line of a node may hold terminal escapes, control characters of either range, marks that reverse
the direction of writing, and halves of surrogate pairs. Each is shown as its code instead: it can be seen, and does nothing.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
import re
from typing import Any

_UNSAFE = r"\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f{_UNSAFE}]")
_IN_JSON = re.compile(rf"[{_UNSAFE}]")


def visible(text: str) -> str:
    r"""Return `text` with everything that a terminal would act on shown as its code; line feeds and tabs stay.

    >>> visible("\x1b[2Jgone")
    '\\x1b[2Jgone'
    """
    return _CONTROL.sub(_code, text)


def harmful(text: str) -> bool:
    """Whether a terminal would act on something in it."""
    return _CONTROL.search(text) is not None


def dumps(document: Any, *, indent: int | None = None) -> str:
    r"""Return `document` as JSON that can be shown on a terminal and encoded; it reads back as the same.

    >>> dumps({"name": "\x9b2J\u202e"})
    '{"name": "\\u009b2J\\u202e"}'
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, default=str)
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def is_address(text: str) -> bool:
    """Whether a text is an IP address of either version, and nothing else."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def version_numbers(text: str, parts: int = 3) -> tuple[int, ...]:
    """The numbers of a version, to be compared; () where there are none.

    >>> version_numbers("3.5.16"), version_numbers("3.10.0", 2) > version_numbers("3.4.23", 2), version_numbers("")
    ((3, 5, 16), True, ())
    """
    return tuple(int(part) for part in re.findall(r"\d+", text)[:parts])


def version_text(numbers: tuple[int, ...]) -> str:
    """The same in words: (3, 6) is 3.6."""
    return ".".join(map(str, numbers))


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun.

    >>> counted(1, "entry"), counted(2, "entry"), counted(1234, "key")
    ('1 entry', '2 entries', '1,234 keys')
    """
    if number == 1:
        return f"1 {noun}"
    many = plural or (noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else noun + "s")
    return f"{number:,} {many}"


def clean_path(path: str) -> str:
    """A path as Go's `path.Clean` leaves it: no trailing or doubled slashes, no dots."""
    return re.sub(r"^//+", "/", posixpath.normpath(path)) if path else path


def inside(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or lies below it."""
    path, directory = clean_path(path), clean_path(directory)
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def words(text: str) -> tuple[str, ...]:
    """The words of a text: a readable way to write a long list of names."""
    return tuple(text.split())
