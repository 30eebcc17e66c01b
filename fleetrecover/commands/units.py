"""PURE: how a systemd unit that starts etcd's container is held, stopped, and given back.

A unit is held by a drop-in that asserts that a file of the run is not there: it then does not start, whoever asks (a person,
its own Restart=, a boot, another unit), and says why. `systemctl mask` will not do: it fails where the unit's file lies in
/etc/systemd/system, and its --runtime form is gone after a reboot. What the unit was before is written into the drop-in,
once, so that whoever gives it back knows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from fleetrecover import limits
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import quote
from fleetrecover.model import Command

SETTINGS = "/etc/systemd/system"
"""Where an administrator's additions to units lie; they last."""
DROP_IN = "50-fleetrecover.conf"
ACTIVE, STOPPED = "active", "stopped"
"""The words for what a unit was before it was held."""
STARTED = "started"
"""What the script that gives a unit back says where it has started it."""

NOT_HELD = 76
"""systemd does not heed the drop-in."""
STARTING = 77
"""The unit is on its way up and does not get there."""
RUNS_ON = 78
"""The unit does not stop."""
MADE_ANEW = 79
"""The unit has made a container since we have looked."""
DOES_NOT_START = 80
"""The unit that is given back does not start."""

REFUSALS: Mapping[int, str] = {
    NOT_HELD: "systemd does not take the drop-in for that unit",
    STARTING: "the unit has been starting for a minute and gets no further",
    RUNS_ON: "the unit does not stop",
    MADE_ANEW: "the unit has made the container anew meanwhile; the same command again sees that one",
    DOES_NOT_START: "the unit does not start",
}

_PLAIN = re.compile(r"/[A-Za-z0-9/._@:+-]+")


def can_be_named(path: str) -> bool:
    """Whether a path can stand in a unit's file as it is, in every setting and version of systemd."""
    return _PLAIN.fullmatch(path) is not None


def drop_in(unit: str) -> str:
    """The path of the drop-in that holds a unit."""
    return posixpath.join(SETTINGS, f"{unit}.d", DROP_IN)


def _state(unit: str) -> str:
    """Words of sh that give a unit's state; `--value` came only with systemd 230."""
    return f"$(systemctl show -p ActiveState -- {quote(unit)} | sed 's/^ActiveState=//')"


def _action(name: str, lines: Sequence[str], *, timeout: float, undo: str, shown: str) -> Action:
    script = "\n".join(["set -eu", "export LC_ALL=C", *lines, ""])
    return Action(Command(name, script, timeout=timeout, shown=shown), undo)


def hold_unit(paths: RunPaths, unit: str) -> Action:
    """Keep a unit from starting, whatever starts it; one that is starting right now is let come up first.

    What it was is taken from an earlier run's drop-in where there is one. Nothing is stopped. Exit codes NOT_HELD, STARTING.
    """
    target, mark = drop_in(unit), paths.at("fenced")
    text = f"[Unit]\\nAssertPathExists=!{mark}\\nRequiresMountsFor={paths.root}\\n"
    was = r"sed -n '1s/^# fleetrecover .* \([a-z]*\)$/\1/p'"
    return _action(
        "hold-unit",
        [
            "umask 077",
            f"was=$({was} {quote(target)} 2>/dev/null || true)",
            "case $was in active|stopped) ;; *)",
            f"  case {_state(unit)} in active|activating|reloading|refreshing) was={ACTIVE} ;; *) was={STOPPED} ;; esac ;;",
            "esac",
            f"mkdir -p {quote(paths.root)}",
            f"chmod 700 {quote(paths.keep_root)} {quote(paths.root)}",
            f": > {quote(mark)}",
            f"sync -f {quote(paths.root)} 2>/dev/null || sync",
            f"old=$(sed -n 's/^AssertPathExists=!//p' {quote(target)} 2>/dev/null || true)",
            "umask 022",
            f"mkdir -p {quote(posixpath.dirname(target))}",
            # beside it first: systemd reads no half of it, and nothing that does not end in .conf
            f"printf '# fleetrecover %s: this unit is held while the run is under way; before, it was %s\\n{text}'"
            f' {quote(paths.run)} "$was" > {quote(target + ".new")}',
            f"mv -f {quote(target + '.new')} {quote(target)}",
            f"sync -f {quote(target)} 2>/dev/null || sync",
            "systemctl daemon-reload",
            f"systemctl show -p DropInPaths -- {quote(unit)} | grep -qF {quote(target)} || exit {NOT_HELD}",
            # of a run before this one that never came further
            f'case $old in {quote(mark)}) ;; /*/fenced) rm -f "$old"; rmdir "${{old%/*}}" 2>/dev/null || true ;; esac',
            # what is between its ExecStartPre and its start still makes a container; what waits to restart does not
            "n=0",
            f"while case $(systemctl show -p SubState -- {quote(unit)}) in"
            " SubState=condition|SubState=start-pre|SubState=start|SubState=start-post) true ;; *) false ;; esac; do",
            f'  n=$((n + 1)); [ "$n" -le 60 ] || exit {STARTING}',
            "  sleep 1",
            "done",
        ],
        timeout=limits.UNIT,
        undo=f"rm {target}; systemctl daemon-reload",
        shown=f"write {target}: AssertPathExists=!{mark}; systemctl daemon-reload",
    )


def stop_unit(cli: str, paths: RunPaths, unit: str, name: str, containers: Sequence[tuple[str, str, bool]]) -> Action:
    """Stop a unit that is held, and what it runs, gently. `containers` are (id, name under which it is set aside, paused).

    They are renamed first: what the unit does to its container when it stops (`docker rm`) then finds none. Exit codes
    NOT_HELD, RUNS_ON, MADE_ANEW (`name` is taken by a container that is none of these).
    """
    docker = quote(cli)
    lines: list[str] = [
        f"systemctl show -p DropInPaths -- {quote(unit)} | grep -qF {quote(drop_in(unit))} || exit {NOT_HELD}",
        f"[ -e {quote(paths.at('fenced'))} ] || exit {NOT_HELD}",
    ]
    for container, aside, paused in containers:
        cid = quote(container)
        lines += [
            f"if said=$({docker} inspect --type container -f '{{{{.Name}}}}' {cid} 2>/dev/null); then",
            f'  [ "$said" = {quote("/" + aside)} ] || [ "$said" = {quote(aside)} ] || {docker} rename {cid} {quote(aside)}',
            *([f"  {docker} unpause {cid} >/dev/null 2>&1 || true"] if paused else []),
            f"  {docker} stop -t 30 {cid} >/dev/null",
            "fi",
        ]
    lines += [
        f"systemctl stop -- {quote(unit)}",
        f"case {_state(unit)} in inactive|failed) ;; *) exit {RUNS_ON} ;; esac",
        f"if {docker} inspect --type container {quote(name)} >/dev/null 2>&1; then exit {MADE_ANEW}; fi",
    ]
    shown = [f"{cli} rename {cid} {aside}; {cli} stop -t 30 {cid}" for cid, aside, _ in containers]
    return _action(
        "stop-unit",
        lines,
        timeout=limits.CONTAINER + limits.UNIT_MORE * max(1, len(containers)),
        undo=f"systemctl start {unit}, where it ran, when it is given back",
        shown="; ".join([*shown, f"systemctl stop {unit}"]),
    )


def release_unit(cli: str, paths: RunPaths, unit: str, name: str, *, remakes: bool) -> Action:
    """Let a unit start again, and start it where it ran before it was held; prints STARTED then.

    One that `remakes` the container named `name` finds that stopped gently; another is left stopped where none of the name is
    there, since it had nothing to start before, either. The drop-in goes last, so that it is known
    until then what the unit was. Exit code DOES_NOT_START.
    """
    docker, target = quote(cli), drop_in(unit)
    there = f"{docker} inspect --type container {quote(name)} >/dev/null 2>&1"
    gently = f"    if {there}; then {docker} stop -t 30 {quote(name)} >/dev/null; fi"
    startable = "true" if remakes or not name else there
    return _action(
        "release-unit",
        [
            f"[ -e {quote(target)} ] || exit 0",
            f"was=$(sed -n '1s/^# fleetrecover .* \\([a-z]*\\)$/\\1/p' {quote(target)})",
            f"mark=$(sed -n 's/^AssertPathExists=!//p' {quote(target)})",
            'case $mark in /*/fenced) rm -f "$mark" ;; esac',
            f"rm -f {quote(paths.at('fenced'))}",
            f'if [ "$was" = {ACTIVE} ] && {startable}; then',
            f"  case {_state(unit)} in active|activating|reloading|refreshing) ;; *)",
            *([gently] if remakes else []),
            f"    systemctl reset-failed -- {quote(unit)} 2>/dev/null || true",
            f"    systemctl start -- {quote(unit)} || exit {DOES_NOT_START}",
            f"    echo {STARTED} ;;",
            "  esac",
            "fi",
            f"rm -f {quote(target)}",
            f"rmdir {quote(posixpath.dirname(target))} {quote(paths.root)} 2>/dev/null || true",
            "systemctl daemon-reload",
        ],
        timeout=limits.UNIT_RELEASE,
        undo=f"write {target} again, as before",
        shown=f"rm {paths.at('fenced')}; systemctl start {unit}, where it ran before; rm {target}; systemctl daemon-reload",
    )
