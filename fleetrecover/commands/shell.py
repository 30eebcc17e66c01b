"""How a piece of POSIX sh is written: quoting, octal payloads, and writing a small file.

Everything here is pure. The scripts run on dash, bash and busybox's ash; they use nothing outside POSIX sh.
A NUL byte cannot stand in a shell script, so every function refuses it rather than lose what follows it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from fleetrecover.errors import InputError

# A shell reads the words of `printf` into memory and some limit a line; this keeps each line at some 8 kB.
_OCTAL_LINE = 2048


def quote(text: str) -> str:
    """Return `text` as one word of sh, whatever it holds.

    >>> quote("it's")
    '\\'it\\'"\\'"\\'s\\''
    """
    _refuse(text)
    return shlex.quote(text)


def join(argv: Iterable[str]) -> str:
    """Return the words as one command line of sh.

    >>> join(["docker", "inspect", "a b"])
    "docker inspect 'a b'"
    """
    return " ".join(quote(word) for word in argv)


def octal(data: bytes) -> str:
    r"""Return `data` as the format string of `printf`, every byte as three octal digits.

    `printf '<octal>'` then prints exactly `data`. `\ooo` in the *format* is the one spelling that every printf knows;
    `\xHH` is not known to dash, `\0ooo` only to `%b`.

    >>> octal(b"A\n%")
    '\\101\\012\\045'
    """
    return "".join(f"\\{byte:03o}" for byte in data)


def printf(data: bytes) -> str:
    """Return a script that prints exactly `data`, which may hold any byte, NUL too."""
    lines = [f"printf '{octal(data[at : at + _OCTAL_LINE])}'" for at in range(0, len(data), _OCTAL_LINE)]
    return " && ".join(lines) or "printf ''"


def write_file(path: str, data: bytes, mode: int = 0o600) -> str:
    """Return a script that writes `data` to `path`, whole or not at all.

    It is written beside the target under umask 077, flushed, given its `mode`, and moved over the target: at no time
    is it readable by others, or half there. On failure what stood at `path` is untouched; a `path.new` that a power cut
    left over is replaced.
    """
    if not 0 <= mode <= 0o7777:
        raise InputError(f"{mode:o} is not a file mode", hint="give an octal mode such as 0o600")
    target = quote(path)
    # A path that begins with a dash would be read as an option; ./ in front of it means the same file.
    if path.startswith("-"):
        target = quote(f"./{path}")
    return (
        f"(umask 077; t={target}.new; trap 'rm -f \"$t\"' EXIT; trap 'exit 143' HUP INT TERM; rm -f \"$t\"\n"
        f'{{ {printf(data)}; }} >"$t" && chmod {mode:04o} "$t" && sync && mv -f "$t" {target} && sync)'
    )


def _refuse(text: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise InputError(
            f"half of a surrogate pair cannot be put on a shell's command line: {text!r}",
            hint="look where this value comes from: no name, path or setting that was read as UTF-8 holds one",
        )
    if "\0" in text:
        raise InputError(
            f"a NUL byte cannot be put on a shell's command line: {text!r}",
            hint="look where this value comes from: a name, path or setting never holds a NUL byte",
        )


def copied(source: str, target: str) -> str:
    """A line that copies a file or directory, sharing space where the filesystem can; both are words of sh, quoted already."""
    return f"cp -a --reflink=auto {source} {target} 2>/dev/null || {{ rm -rf -- {target}; cp -a {source} {target}; }}"


def synced(path: str) -> str:
    """Return a script that flushes the filesystem on which a path lies, or all of them where that cannot be said."""
    return f"sync -f {quote(path)} 2>/dev/null || sync"
