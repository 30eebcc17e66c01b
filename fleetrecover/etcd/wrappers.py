"""PURE: etcd behind something else: seen through for reading; never rewritten, since what the wrapper adds is not known.

- `sh -c 'exec etcd --name $NODE …'`: the last command of the script, where it is plain words and variables of the container;
- an image's own script (`kolla_start`, `entrypoint.sh etcd …`, `run.sh`): what it does is its own affair, but etcd takes its
  settings from the `ETCD_…` variables of the container, and from flags that stand behind the word `etcd`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHELLS = frozenset({"sh", "bash", "ash", "dash", "busybox", "su"})
_EXPANSION = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_NOT_PLAIN = re.compile(r"[`|<>(){}*?\[\]!~]|\$")
_COMMANDS = re.compile(r"&&|\|\||[;\n]")


@dataclass(frozen=True)
class Wrapped:
    """What stands around etcd (`by`, for a person), and the words from `etcd` on; None where they are not known."""

    by: str
    argv: tuple[str, ...] | None


def unwrap(argv: Sequence[str], environment: Mapping[str, str]) -> Wrapped | None:
    """See through a wrapper; None where the words are neither a shell's nor a script's."""
    if not argv:
        return None
    base = argv[0].rpartition("/")[2]
    shown = " ".join(argv)[:120]
    if base in SHELLS:
        script = next((argv[at + 1] for at, word in enumerate(argv[:-1]) if re.fullmatch(r"-\w*c", word)), None)
        return Wrapped(shown, _of_script(script, environment) if script else None)
    found = next((at for at, word in enumerate(argv) if at and word.rpartition("/")[2] == "etcd"), None)
    return Wrapped(shown, tuple(argv[found:]) if found is not None else None)


def _of_script(script: str, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The words of the last command, if it is etcd and nothing in it is computed."""
    last = _COMMANDS.split(script.replace("\\\n", " ").strip())[-1].strip().removeprefix("exec ").strip()
    filled = _EXPANSION.sub(lambda match: environment.get(match[1] or match[2], ""), last)
    if _NOT_PLAIN.search(filled):
        return None
    try:
        words = shlex.split(filled)
    except ValueError:
        return None
    return tuple(words) if words and words[0].rpartition("/")[2] == "etcd" else None
