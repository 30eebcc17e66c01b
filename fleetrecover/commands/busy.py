"""PURE: the mark that one of our scripts runs on a node, in POSIX sh. No two of them ever run there at once.

The mark is the file `busy` beside the hold, not in it: it outlives a hold that is let go, or broken after its holder died,
for the script may go on on the node. It holds one line, `PID-BORN BOOT BEGUN LIMIT NAME`: a process is told from a later one
of the same number by its start time (field 22 of /proc/PID/stat), and by the kernel's boot id from one of before a reboot. BEGUN
is in seconds since the boot, so no clock is compared; LIMIT, in seconds, is when the node itself ends it. A mark whose process
is gone is removed by whoever finds it. The version before kept `PID-BORN` in hold/busy, which is looked at, too.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence

from fleetrecover.commands.environment import LOGIN
from fleetrecover.commands.shell import quote

LONGEST = 8 * 3600
"""No script of ours is waited for longer than this, in seconds."""
GRACE = 10
"""Seconds that the end of a script at its limit may take."""

_FUNCTIONS = (
    # a zombie does nothing any more
    "born() {",
    '  stat=$(sed -e "s/.*) //" "/proc/$1/stat" 2>/dev/null) || return 0',
    "  # shellcheck disable=SC2086",
    "  set -- $stat",
    '  case ${1:-Z} in Z|X) ;; *) printf %s "${20:-}" ;; esac',
    "}",
    "boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=",
    "up() { cut -d. -f1 /proc/uptime 2>/dev/null || echo 0; }",
    # $1: a mark's line; whether its process is there still
    "lives() {",
    "  # shellcheck disable=SC2086",
    "  set -- $1",
    '  [ -n "${1:-}" ] || return 1',
    '  [ -z "${2:-}" ] || [ -z "$boot" ] || [ "$2" = "$boot" ] || return 1',
    '  [ -n "${1##*-}" ] && [ "$(born "${1%%-*}")" = "${1##*-}" ]',
    "}",
    # $1: a mark's line; how many seconds its process may still take
    "left() {",
    "  # shellcheck disable=SC2086",
    "  set -- $1",
    f"  more=$(( ${{3:-$(up)}} + ${{4:-120}} + {GRACE} - $(up) ))",
    '  if [ "$more" -gt 0 ]; then echo "$more"; else echo 1; fi',
    "}",
    # $1: a file, $2: what it said, of a process that is gone; takes it away. The right to that is a file, too, and only one
    # can make it: while he has it nobody else takes away what is there, so what he finds unchanged is what he removes
    "oust() {",
    '  if ln "$busy.$$" "$1.${2%% *}" 2>/dev/null; then',
    '    [ "$(cat "$1" 2>/dev/null)" != "$2" ] || rm -f "$1"',
    '    rm -f "$1.${2%% *}"',
    "    return 0",
    "  fi",
    '  set -- "$1.${2%% *}"',
    '  set -- "$1" "$(cat "$1" 2>/dev/null)"',
    '  if [ -z "$2" ]; then return 0; fi',
    '  if lives "$2"; then sleep 1; else oust "$1" "$2"; fi',
    "}",
)


def mark_of(hold: str) -> str:
    """The path of the mark, for the node's hold at that path."""
    return posixpath.join(posixpath.dirname(hold), "busy")


def old_mark_of(hold: str) -> str:
    """Where the version before had it."""
    return posixpath.join(hold, "busy")


def claim(hold: str, name: str, limit: float, *, refused: int) -> list[str]:
    """Lines that set the mark for this shell, or exit with `refused` where another's process lives; `$busy` is its path then.

    Of two that find none at the same time one gets it; of two that find a stale one, one takes it away.
    """
    word = "".join(char if char.isalnum() or char in "._-" else "-" for char in name)[:60] or "command"
    return [
        *_FUNCTIONS,
        f"busy={quote(mark_of(hold))}",
        f'me="$$-$(born $$) ${{boot:--}} $(up) {math.ceil(limit)} {word}"',
        "other() {",
        '  name=$(printf %s "${1##* }" | tr -cd "A-Za-z0-9._-")',
        '  printf "busy: %s, at most %s s more\\n" "${name:-command}" "$(left "$1")" >&2',
        f"  exit {refused}",
        "}",
        f"old=$(cat {quote(old_mark_of(hold))} 2>/dev/null) || old=",
        'if lives "$old"; then other "$old - $(up) 120 command"; fi',
        # made beside it and linked: it is there with what it says, or not at all, and only one can do that
        'echo "$me" > "$busy.$$" || exit 1',
        "tries=0",
        'until ln "$busy.$$" "$busy" 2>/dev/null; do',
        "  tries=$((tries + 1))",
        '  if [ "$tries" -gt 9 ]; then echo "$busy cannot be made" >&2; rm -f "$busy.$$"; exit 1; fi',
        '  found=$(cat "$busy" 2>/dev/null) || continue',
        '  if lives "$found"; then rm -f "$busy.$$"; other "$found"; fi',
        '  oust "$busy" "$found"',
        "done",
        'rm -f "$busy.$$"',
    ]


def clear_stale(keep_root: str, hold: str) -> list[str]:
    """Lines that remove a mark whose process is gone, and keep one of the version before whose hold is about to go."""
    mark, old = quote(posixpath.join(keep_root, "busy")), quote(old_mark_of(hold))
    return [
        *_FUNCTIONS,
        f"busy={mark}",
        f"old=$(cat {old} 2>/dev/null) || old=",
        'if lives "$old" && [ ! -e "$busy" ]; then echo "$old ${boot:--} $(up) 120 command" > "$busy"; fi',
        'found=$(cat "$busy" 2>/dev/null) || found=',
        'if [ -n "$found" ] && ! lives "$found"; then',
        '  echo "$$-$(born $$) ${boot:--} $(up) 1 clear" > "$busy.$$" && oust "$busy" "$found"',
        "fi",
        'if [ ! -e "$busy" ]; then rm -f "$busy".*; fi',
    ]


WITH_THE_CONNECTION: Sequence[str] = (
    # the process group of this script is its own (setsid); the ssh server's process of our connection is its ancestor
    # (of a shell that the container engine gave, that of its client is)
    f"sshd=${{{LOGIN}:-$$}}",
    'while [ "$sshd" -gt 1 ]; do',
    '  case $(cat "/proc/$sshd/comm" 2>/dev/null) in sshd*) break ;; esac',
    '  sshd=$(sed -e "s/.*) //" "/proc/$sshd/stat" 2>/dev/null | cut -d" " -f2)',
    "  sshd=${sshd:-1}",
    "done",
    'group=$(sed -e "s/.*) //" /proc/$$/stat 2>/dev/null | cut -d" " -f3)',
    "watcher=",
    'if [ "$sshd" -gt 1 ] && [ "$group" = $$ ]; then',
    '  since=$(born "$sshd")',
    "  {",
    '    while sleep 2; do [ "$(born "$sshd")" = "$since" ] || kill -TERM "-$group"; done',
    "  } </dev/null >/dev/null 2>&1 3<&- 4>&- &",
    "  watcher=$!",
    "fi",
)
"""Lines that end this script, and all that it has started, soon after the connection over which it came has gone."""

LET_GO: Sequence[str] = ('[ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true',)
