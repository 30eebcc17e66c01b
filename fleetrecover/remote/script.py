r"""What is fed to the one `sh` that runs a batch, and how its two output streams are cut apart again. Pure.

The script goes to the standard input of `sh` (or `sudo -n sh`): what a command holds is never on a command line, in
the environment or in a file. For each command it does this, in the words of POSIX sh:

    printf '%s\n' '{ SCRIPT } </dev/null' | setsid sh &    # its own process group; printf is a builtin of the shell
    setsid sh -c 'sleep N; …kill -ALRM us…' &              # the alarm clock, in a group of its own
    wait                                                   # the alarm interrupts it: TERM to the group, KILL after 5 s

A here-document would be shorter, but bash writes one to $TMPDIR, and a full disk is a common cause of what we repair.
`timeout` would do, but busybox's kills only its child, not the group. A command ended by the alarm has exit code 124.

Between commands a separator is printed on both streams: `NONCE INDEX CODE\n`. The nonce is random for each batch and
unknown to the commands, so their output may hold any byte. What comes before the first separator (INDEX 0) is the
noise of a login shell and is thrown away; it also tells that sh, and sudo before it, did start. Anything else that holds
the nonce is output like any other: a shell whose login exports SHELLOPTS with xtrace or verbose shows it on its own.

The whole is one compound command, so sh runs nothing before all of it has arrived. If the connection drops, the next
separator cannot be written, and that ends the batch on the node.
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetrecover import bounds, limits
from fleetrecover.commands.base import TIMED_OUT
from fleetrecover.commands.shell import quote
from fleetrecover.model import Command

# $1: the shell of the batch, $2: seconds. It rings only as long as that shell is its parent: a process number that was
# given to another process is never signalled. It rings every second, so a signal lost to a race does no harm.
_ALARM = (
    'sleep "$2"; while read -r _ _ _ parent _ </proc/$$/stat && [ "$parent" = "$1" ] && kill -ALRM "$1"; '
    "do sleep 1; done"
)

# Descriptor 4 is the real standard error: the shell's own notes ("Terminated") are not a command's output.
# A `wait` that ends with more than 128 was interrupted, or the child was killed: it is waited for again, until it is gone
# or cannot even be killed (a hanging disk). bash may lose a child that ends while the alarm rings; that ends here too.
# The clock is killed with KILL, the process before its group: between the two it cannot start another `sleep`.
_FUNCTIONS = rf"""
exec 4>&2 2>/dev/null
set +e +f +u +v +x +C
LC_ALL=C; export LC_ALL
PATH=${{PATH:-/usr/bin:/bin}}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
command -v setsid >/dev/null || setsid() {{ exec "$@"; }}
_signal() {{ kill "$1" "-$_child" || kill "$1" "$_child"; }}
_ring() {{
  _rung=$((_rung + 1))
  case $_rung in
    1) _signal -TERM ;;
    {limits.KILL_GRACE + 1}) _signal -KILL ;;
  esac
}}
trap _ring ALRM
_mark() {{ printf '%s %s %s\n' "$_nonce" "$1" "$2" && printf '%s %s %s\n' "$_nonce" "$1" "$2" >&4 || exit 1; }}
_run() {{
  _rung=0
  printf '%s\n' "$3" | setsid sh 2>&4 4>&- &
  _child=$!
  setsid sh -c {quote(_ALARM)} alarm "$$" "$2" </dev/null >/dev/null 4>&- &
  _clock=$!
  while :; do
    _seen=$_rung
    wait "$_child"
    _code=$?
    [ "$_code" -gt 128 ] || break
    if [ "$_seen" = "$_rung" ]; then kill -0 "$_child" || break
    elif [ "$_rung" -gt {limits.KILL_GRACE + 1} ]; then break
    fi
  done
  kill -KILL "$_clock"; kill -KILL "-$_clock"; wait "$_clock"
  if [ "$_rung" != 0 ]; then kill -KILL "-$_child"; _code={TIMED_OUT}; fi
  _mark "$1" "$_code"
}}
"""


@dataclass(frozen=True)
class Script:
    """One batch, ready to be fed: the text for sh's standard input, and the nonce that its separators bear."""

    text: bytes
    nonce: bytes


def batch_script(commands: Sequence[Command], *, nonce: str | None = None, stdin: bool = False) -> Script:
    """Return the script that runs the commands one after another, whatever each of them returns.

    With `stdin`, the commands inherit what comes on standard input after the script, instead of /dev/null. A shell may
    read ahead, so the feeder must not send any of it before the first separator has come.
    """
    nonce = nonce or secrets.token_hex(16)
    source = "<&3 3<&-" if stdin else "</dev/null"
    lines = ["{", "exec 3<&0" if stdin else "", f"_nonce={nonce}", _FUNCTIONS, "_mark 0 0"]
    for index, command in enumerate(commands, 1):
        inner = f"{{ :\n{command.script}\n}} {source}"
        lines.append(f"_run {index} {seconds(command.timeout)} {quote(inner)}")
    lines += ["exit 0", "}", ""]
    return Script("\n".join(lines).encode("utf-8", "surrogateescape"), nonce.encode())


def seconds(timeout: float) -> int:
    """Return a timeout as whole seconds, at least one: not every `sleep` knows fractions."""
    return max(1, math.ceil(timeout))


_MARK = re.compile(rb" (0|[1-9][0-9]{0,5}) ([0-9]{1,3})\n")
_MARK_SIZE = 12
"""Bytes of the longest separator after its nonce: ` INDEX CODE` and the line feed."""


class Flood(Exception):
    """More came than is taken of one command (`index` from 0; -1 before the first one)."""

    def __init__(self, index: int, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.index = index
        self.limit = limit


class Cutter:
    """Cuts one output stream at the separators, as it comes in.

    `done` says how many separators have come: 0 before sh has started, 1 while the first command runs, and so on.
    `pieces[i]` and `codes[i]` are the output and exit code of command i; with a `sink`, the output goes there instead.
    `most[i]` is how many bytes are taken of command i; more, or more noise than NOISE before the first, is Flood. Where
    `most` is not given nothing is limited.
    """

    def __init__(
        self, nonce: bytes, sink: Callable[[bytes], object] | None = None, most: Sequence[int] | None = None
    ) -> None:
        self._nonce = nonce
        self._sink = sink
        self._limits = None if most is None else [bounds.NOISE, *most]
        self._size = 0
        self._tail = b""
        self._parts: list[bytes] = []
        self.done = 0
        self.pieces: list[bytes] = []
        self.codes: list[int] = []
        self.noise = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        data = self._tail + data
        start = 0  # where to look: before it there is only output
        while True:
            at = data.find(self._nonce, start)
            if at < 0:
                keep = min(len(data) - start, len(self._nonce) - 1)
                self._take(data[: len(data) - keep])
                self._tail = data[len(data) - keep :]
                return
            after = at + len(self._nonce)
            mark = _MARK.match(data, after)
            if mark is None and len(data) < after + _MARK_SIZE and b"\n" not in data[after:]:
                self._take(data[:at])
                self._tail = data[at:]
                return
            if mark is None or int(mark[1]) != self.done:
                start = after  # the nonce, but no separator: output like any other
                continue
            self._take(data[:at])
            self._cut(int(mark[2]))
            data, start = data[mark.end() :], 0

    def rest(self) -> bytes:
        """What came after the last separator: the output of a command that did not end, or sh's last words."""
        return b"".join(self._parts) + self._tail

    def _take(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        if self._limits is not None:
            limit = self._limits[min(self.done, len(self._limits) - 1)]
            if self._size > limit:
                raise Flood(self.done - 1, limit)
        if self._sink is not None and self.done:
            self._sink(data)
        else:
            self._parts.append(data)

    def _cut(self, code: int) -> None:
        piece = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self.done:
            self.pieces.append(piece)
            self.codes.append(code)
        else:
            self.noise = piece
        self.done += 1
