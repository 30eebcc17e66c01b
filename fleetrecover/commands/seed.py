"""PURE: the writes of a reseed: a node's new data is made beside what it has, file by file, and is whole or not there.

It grows in `partial/`, is called `work/` when it was read back, and is adopted from there. What is booted in quarantine is a
copy of its own, `booted/`, that is thrown away.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from fleetrecover import bounds, limits
from fleetrecover.commands.actions import as_data, enough
from fleetrecover.commands.base import Action
from fleetrecover.commands.codes import DIFFERS
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import copied, quote
from fleetrecover.model import Command

SNAP, WAL = "member/snap", "member/wal"


def begin(paths: RunPaths, part: str, gone: Sequence[str], *, need: int) -> Action:
    """Make the empty directories of new data. `gone` are parts that an earlier attempt may have left; `need` in bytes."""
    made = " ".join(quote(posixpath.join(paths.at(part), each)) for each in (SNAP, WAL))
    away = " ".join(quote(paths.at(each)) for each in gone)
    lines = [f"rm -rf -- {away}", *enough(paths.root, need), f"mkdir -p {made}"]
    return Action.of(
        "seed-begin",
        lines,
        timeout=limits.SETTLED,
        undo=f"rm -rf {quote(paths.at(part))} (a copy of ours)",
        ends_alone=True,
    )


def copy_database(paths: RunPaths, source: str, part: str, size: int) -> Action:
    """On the survivor itself: copy a database into new data, and compare. `source` is a path."""
    target = quote(posixpath.join(paths.at(part), SNAP, "db"))
    lines = [copied(quote(source), target), f"cmp {quote(source)} {target} >&2 || exit {DIFFERS}"]
    return Action.of(
        "seed-database",
        lines,
        timeout=limits.for_bytes(3 * size, limits.RUN),
        undo="only the copy is changed",
        ends_alone=True,
    )


def send_database(path: str, size: int) -> Command:
    """Write the survivor's database to standard output; a read, though a long one."""
    script = f"cat {quote(path)}\n"
    return Command(
        "seed-send",
        script,
        timeout=limits.for_bytes(size, limits.RUN),
        most=size + bounds.MIB,
        shown=script.strip(),
    )


def settle(paths: RunPaths, part: str, data: str, lengths: Mapping[str, int]) -> Action:
    """Fill the segments of new data with zeros to their lengths, bytes; give it the owner of what was before; flush it."""
    whole, before = quote(paths.at(part)), quote(posixpath.join(paths.at("original"), "member"))
    lines = [f"truncate -s {size} {quote(posixpath.join(paths.at(part), WAL, name))}" for name, size in lengths.items()]
    lines += [
        *as_data(data, paths.at(part)),
        f'like={before}; [ -e "$like" ] || like={quote(data)}',
        *(f'{tool} -R --reference="$like" {whole}/member 2>/dev/null || true' for tool in ("chown", "chcon")),
        f"sync -f {whole} 2>/dev/null || sync",
    ]
    return Action.of("seed-settle", lines, timeout=limits.SETTLED, undo="only the copy is changed", ends_alone=True)


def throw_away(paths: RunPaths, part: str) -> Action:
    """Remove a copy of ours."""
    return Action.of(
        "seed-remove",
        [f"rm -rf -- {quote(paths.at(part))}"],
        timeout=limits.SETTLED,
        undo="it was a copy of ours",
        ends_alone=True,
    )
