"""PURE: the lines of sh that move, copy and give back a WAL that lies in a directory of its own (`--wal-dir`).

Data and WAL may lie on two filesystems, so a node's data goes aside by two renames, and something may fall between them. The
order makes that one state, whatever was interrupted: out goes the WAL first, then `member`; in comes `member` first, then the
WAL. Parted, `member` always lies in place and its WAL aside, in a part without a `member`; `reunite` puts it back. Nobody
starts an etcd before that: it would begin a new log beside the old database.

Each function gives no line where etcd has no WAL directory of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from fleetrecover.commands.codes import DIFFERS, ELSEWHERE, NO_SPACE, NOT_OURS, OCCUPIED
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import copied, quote
from fleetrecover.commands.space import unless_free

NO_MEMBER = "no-member"
"""A mark in a part: only a WAL was there, and no `member` will follow."""
PUT = "wal-put"
"""Where the WAL of a copy goes when it was put in place, so that `member` is adopted without one in it."""


def filled(path: str) -> str:
    """A condition: whether the directory at `path` (a word of sh) has anything in it."""
    return f'[ -n "$(ls -A {path} 2>/dev/null)" ]'


def data_there(paths: RunPaths, member: str) -> str:
    """A condition: whether any of a node's data is in place. `member` is a path."""
    if not paths.wal:
        return f"[ -e {quote(member)} ]"
    return f"{{ [ -e {quote(member)} ] || {filled(quote(paths.wal))}; }}"


def out(paths: RunPaths, part: str) -> list[str]:
    """Move the WAL to where that part's lies. The link that says where is made first."""
    if not paths.wal:
        return []
    wal, kept, link = quote(paths.wal), quote(paths.wal_at(part)), quote(paths.wal_link(part))
    return [
        *_keep_root(paths),
        f"ln -sfn {kept} {link}",
        f"if {filled(wal)}; then",
        f"  [ ! -e {kept} ] || exit {OCCUPIED}",
        "  sync",
        f"  mv {wal} {kept}",
        "  sync",
        "fi",
    ]


def out_to_fresh(paths: RunPaths) -> list[str]:
    """The same for a part whose name the shell has chosen, in `$away`, and which is no part yet."""
    if not paths.wal:
        return []
    wal, root = quote(paths.wal), quote(paths.wal_at(""))
    return [
        *_keep_root(paths),
        f'to={root}"${{away##*/}}"',
        '[ ! -e "$to" ] || exit ' + str(OCCUPIED),
        f'ln -sfn "$to" {quote(paths.wal_link(""))}"${{away##*/}}"',
        f'if {filled(wal)}; then sync; mv {wal} "$to"; sync; fi',
    ]


def withdraw(paths: RunPaths, name: str) -> list[str]:
    """Move a WAL of ours out, where the original is kept, for a `member` that goes to a work directory as `name` (of sh)."""
    if not paths.wal:
        return []
    wal, part = quote(paths.wal), f'{quote(paths.at(""))}"{name}"'
    to = f'{quote(paths.wal_at(""))}"{name}"'
    return [
        f"if [ -d {quote(paths.wal_at('original'))} ] && {filled(wal)}; then",
        f"  [ ! -e {to} ] || exit {OCCUPIED}",
        f"  mkdir -p {part}; : > {part}/{NO_MEMBER}",
        f'  ln -sfn {to} {quote(paths.wal_link(""))}"{name}"',
        f"  sync; mv {wal} {to}; sync",
        "fi",
    ]


def _in(source: str, wal: str) -> list[str]:
    """Lines that move a directory to where the WAL belongs, both quoted: an empty one there gives way, any other refuses it."""
    return [f"rmdir {wal} 2>/dev/null || [ ! -e {wal} ] || exit {OCCUPIED}", f"mv {source} {wal}", "sync"]


def back(paths: RunPaths, part: str) -> list[str]:
    """Move the WAL of a part back in place. One that has none is left alone."""
    if not paths.wal:
        return []
    wal, kept = quote(paths.wal), quote(paths.wal_at(part))
    return [
        f"if [ -d {kept} ]; then",
        *(f"  {line}" for line in _in(kept, wal)),
        "fi",
    ]


def same_place(paths: RunPaths) -> list[str]:
    """Refuse where the WAL that the run keeps came from another directory: its command was changed meanwhile."""
    if not paths.wal:
        return []
    link, kept = quote(paths.wal_link("original")), quote(paths.wal_at("original"))
    return [f'[ ! -L {link} ] || [ "$(readlink {link})" = {kept} ] || exit {ELSEWHERE}']


def reunite(paths: RunPaths, data: str, quiet: Sequence[str]) -> list[str]:
    """Put a WAL back beside its `member`, where an interruption has parted them. `quiet`: lines that refuse what runs."""
    if not paths.wal:
        return []
    wal, member = quote(paths.wal), quote(posixpath.join(data, "member"))
    return [
        *same_place(paths),
        f"for link in {quote(paths.keep_root)}/*/wal-of-*; do",
        '  part=${link%/wal-of-*}/${link##*/wal-of-}; run=${link%/*}; aside=$(readlink "$link") || continue',
        f'  [ -d "$aside" ] && [ -e {member} ] || continue',
        f'  [ ! -e "$part/member" ] && [ ! -e "$part/{NO_MEMBER}" ] || continue',
        '  [ ! -e "$run/finished" ] && [ ! -e "$run/undone" ] || continue',
        *(f"  {line}" for line in quiet),
        *(f"  {line}" for line in _in('"$aside"', wal)),
        "done",
    ]


def into_copy(paths: RunPaths, part: str, copy: str) -> list[str]:
    """Copy the WAL of a part into the copy of its `member`, as its `wal`, and compare."""
    return into_copy_from(paths.wal_at(part), copy) if paths.wal else []


def into_copy_from(wal: str, copy: str) -> list[str]:
    """Copy a WAL's directory into the copy of its `member`, as its `wal`, and compare. What lay there is not this etcd's."""
    inside = quote(posixpath.join(copy, "wal"))
    return [
        f"rm -rf -- {inside}",
        f"if [ -d {quote(wal)} ]; then",
        f"  {copied(quote(wal), inside)}",
        f"  diff -rq {quote(wal)} {inside} >&2 || exit {DIFFERS}",
        "fi",
    ]


def put(paths: RunPaths, part: str) -> list[str]:
    """Put the WAL of a copy in place, before its `member`: copied, since that may be another filesystem, and compared."""
    if not paths.wal:
        return []
    wal, parent = quote(paths.wal), quote(posixpath.dirname(paths.wal))
    source, fresh = quote(posixpath.join(paths.at(part), "member", "wal")), quote(paths.wal_at("incoming"))
    gone = quote(posixpath.join(paths.at(part), PUT))
    short = f'echo "$need KiB needed, $free KiB free in" {parent} >&2; exit {NO_SPACE}'
    return [
        f"if [ -e {source} ]; then",
        f"  if {filled(wal)}; then",
        f"    diff -rq {source} {wal} >&2 || exit {OCCUPIED}",
        "  else",
        *(f"    {line}" for line in _keep_root(paths)),
        f"    rm -rf -- {fresh}",
        f"    need=$(( $(du -sk {source} | cut -f1) + 1024 ))",
        *(f"    {line}" for line in unless_free(parent, '"$need"', short)),
        f"    cp -a {source} {fresh}",
        f"    diff -rq {source} {fresh} >&2 || exit {DIFFERS}",
        f"    chcon -R --reference={quote(paths.wal_at('original'))} {fresh} 2>/dev/null || true",
        "    sync",
        *(f"    {line}" for line in _in(fresh, wal)),
        "  fi",
        f"  rm -rf -- {gone}; mv {source} {gone}; sync",
        "fi",
        f"{filled(wal)} || exit {DIFFERS}",
        f"rm -rf -- {gone}",
    ]


def empty(paths: RunPaths, data: str) -> list[str]:
    """Make the WAL directory of a new member, empty, with the owner, mode and label of the one before it, or of the data's."""
    if not paths.wal:
        return []
    wal = quote(paths.wal)
    return [
        f"if [ ! -d {wal} ]; then",
        f"  (umask 022; mkdir -p {quote(posixpath.dirname(paths.wal))}); mkdir {wal}",
        f'  like={quote(paths.wal_at("original"))}; [ -d "$like" ] || like={quote(data)}',
        *(f'  {tool} --reference="$like" {wal} 2>/dev/null || true' for tool in ("chown", "chmod", "chcon")),
        "fi",
    ]


def removed(paths: RunPaths) -> list[str]:
    """Remove the WALs that the run keeps, by its links; before what they belong to, so that none is taken for one astray."""
    return [
        f"for link in {quote(paths.root)}/wal-of-*; do",
        '  [ -L "$link" ] || continue',
        '  aside=$(readlink "$link"); top=${aside%/*}',
        f"  case $top in /*.fleetrecover/{quote(paths.run)}) ;; *) continue ;; esac",
        '  rm -rf -- "$top"; rmdir "${top%/*}" 2>/dev/null || true',
        "done",
    ]


def _keep_root(paths: RunPaths) -> list[str]:
    """Make the run's directory beside the WAL's; a link, or somebody else's, is not used."""
    root, mine = quote(paths.wal_keep_root), quote(posixpath.join(paths.wal_keep_root, paths.run))
    return [
        f"[ ! -L {root} ] || exit {NOT_OURS}",
        f"mkdir -p {mine}",
        f'[ "$(stat -c %u {root})" = "$(id -u)" ] || exit {NOT_OURS}',
        f"chmod 700 {root} {mine}",
    ]
