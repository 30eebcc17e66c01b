"""PURE: the writes of a trial: a copy beside the data, and its removal. The data itself is only read."""

from __future__ import annotations

import posixpath

from fleetrecover import limits
from fleetrecover.commands import wal_dir
from fleetrecover.commands.actions import DIFFERS, NO_SPACE
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import copied, quote
from fleetrecover.commands.space import unless_free
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Role
from fleetrecover.model import Command

TRIAL_PREFIX = "trial-"


def copy_for_trial(paths: RunPaths, member: str, data: str, *, need: int, wal: str | None = None) -> Action:
    """Copy a `member` directory to the trial's `partial/` and compare. Differs where an etcd wrote meanwhile: once more.

    `wal` is its WAL, where that lies in a directory of its own; in the copy it lies in `member`.
    """
    partial = quote(paths.at("partial"))
    copy, source = quote(posixpath.join(paths.at("partial"), "member")), quote(member)
    need_kib = need // 1024 + 1024
    own = wal_dir.into_copy_from(wal, posixpath.join(paths.at("partial"), "member")) if wal is not None else ["true"]
    inside = "\n".join(["(", *own, ")"])  # a shell of its own: a copy that differs is made again
    script = "\n".join(
        [
            "set -eu",
            "umask 077",
            f"mkdir -p {quote(paths.root)}",
            *unless_free(
                quote(paths.root),
                str(need_kib),
                f'echo "{need_kib} KiB needed, $free KiB free" >&2; rmdir {quote(paths.root)}; exit {NO_SPACE}',
            ),
            "for attempt in 1 2 3; do",
            f"  rm -rf -- {partial}; mkdir {partial}",
            f"  {copied(source, copy)}",
            f"  if diff -rq {source} {copy} >&2 && {inside}; then same=1; break; else same=0; sleep 1; fi",
            "done",
            f'[ "$same" = 1 ] || exit {DIFFERS}',
            f"chown --reference={quote(data)} {partial} 2>/dev/null || true",
            f"chmod --reference={quote(data)} {partial} 2>/dev/null || true",
            f"chcon --reference={quote(data)} {partial} 2>/dev/null || true",
            "",
        ]
    )
    shown = f"cp -a {source} {copy}; diff -rq {source} {copy}"
    undo = f"rm -rf {quote(paths.root)}"
    return Action(Command("trial-copy", script, timeout=limits.COMPARE, shown=shown), undo, ends_alone=True)


def remove_trials(cli: str, keep_root: str) -> Action:
    """Remove every trial's container and copy, this one's and those that an interrupted one has left."""
    label = quote(f"label={ROLE_LABEL}={Role.QUARANTINE.value}")
    template = quote('{{index .Config.Labels "' + RUN_LABEL + '"}}')
    script = "\n".join(
        [
            "set -eu",
            f"for c in $({quote(cli)} ps -aq --no-trunc --filter {label}); do",
            f'  case "$({quote(cli)} inspect -f {template} "$c")" in',
            f'    {TRIAL_PREFIX}*) {quote(cli)} rm -f "$c" >/dev/null ;;',
            "  esac",
            "done",
            f"rm -rf -- {quote(keep_root)}/{TRIAL_PREFIX}*",
            "",
        ]
    )
    return Action(Command("trial-remove", script, timeout=limits.REMOVE), undo="they were copies of ours")
