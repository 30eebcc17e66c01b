"""PURE: the question who else would start a container: systemd's units, what their scripts do, and cron."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fleetrecover import limits
from fleetrecover.commands.base import Probe
from fleetrecover.commands.shell import quote
from fleetrecover.commands.units import ACTIVE, DROP_IN, SETTINGS
from fleetrecover.facts import Starter, StarterKind
from fleetrecover.model import Command, Result

ENGINES = "docker|podman|nerdctl|crictl|ctr"
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "Type",
    "Restart",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecStop",
    "WorkingDirectory",
)
MOST_UNITS = 1000
MOST_LINES = 400
"""Lines that are taken of what a node answers; each is cut at 2,000 characters there."""

# Everything of systemd's in two calls; a script that a unit runs is looked into, since Kubespray's does the `docker run`.
_SCRIPT = """
export LC_ALL=C
# where systemd does not run, list-units fails at once, and reading all unit files would only cost time
if command -v systemctl >/dev/null 2>&1 &&
  units=$(systemctl list-units --all --plain --no-legend --no-pager --type=service 2>/dev/null); then
  names=$( { printf '%s\\n' "$units"
      systemctl list-unit-files --no-legend --no-pager --type=service
      printf '%s\\n' @CANDIDATES@
    } 2>/dev/null | awk '{ print $1 }' | grep '^[A-Za-z0-9:_.\\\\@-]*\\.service$' | grep -v '@\\.service$' |
    sort -u | head -n @MOST@)
  # shellcheck disable=SC2086  # names of units: the characters are checked above
  shown=$(systemctl show --no-pager @PROPERTIES@ -- $names 2>/dev/null |
    awk 'BEGIN { RS = ""; ORS = "\\n\\n" } /@ENGINES@|etcd/' | cut -c 1-2000)
  printf 'units\\n%s\\n' "$shown"
  printf '%s\\n' "$shown" | sed -n 's/^Exec[A-Za-z]*=.*path=\\([^ ;]*\\).*/\\1/p' | sort -u | while read -r path; do
    [ -f "$path" ] || continue
    [ "$(head -c 2 "$path")" = '#!' ] || continue
    head -c 65536 "$path" | awk '{ while (sub(/\\\\$/, "") && (getline more) > 0) $0 = $0 more; print }' |
      grep -E '@ENGINES@' | head -n 20 | cut -c 1-2000 | while read -r line; do
      printf 'script %s %s\\n' "$path" "$line"
    done
  done
  if [ -w @SETTINGS@ ]; then echo 'settings'; fi
  for file in @SETTINGS@/*.service.d/@DROP_IN@; do
    [ -f "$file" ] || continue
    unit=${file%/*}
    # the first line, as we have written it: `# fleetrecover RUN: …, WORD`
    head -n 1 "$file" | cut -c 1-300 | sed -n 's/^# fleetrecover \\([A-Za-z0-9_.-]*\\): .* \\([a-z]*\\)$/\\1 \\2/p' |
      while read -r run was; do printf 'held %s %s %s\\n' "$(basename "$unit" .d)" "$run" "$was"; done
  done
fi
for file in /etc/crontab /etc/rc.local /etc/cron.d/* /var/spool/cron/* /var/spool/cron/crontabs/*; do
  [ -f "$file" ] || continue
  grep -E '(@ENGINES@)([^#]* )?(start|run|restart|up) ' "$file" | grep -v '^[[:space:]]*#' | head -n 20 | cut -c 1-2000 |
    while read -r line; do printf 'cron %s %s\\n' "$file" "$line"; done
done
true
"""


def starters(names: Sequence[str]) -> Probe[tuple[Starter, ...]]:
    """What on the node starts containers, or etcd, by itself. `names` are those of its etcd containers."""
    guesses = [f"{name}.service" for name in ("etcd", "etcd2", "etcd-member", *names, *(f"docker-{n}" for n in names))]
    plain = [each for each in dict.fromkeys(guesses) if re.fullmatch(r"[A-Za-z0-9:_.@-]+", each)]
    script = (
        _SCRIPT.replace("@CANDIDATES@", " ".join(quote(each) for each in plain))
        .replace("@PROPERTIES@", " ".join(f"-p {name}" for name in PROPERTIES))
        .replace("@ENGINES@", ENGINES)
        .replace("@MOST@", str(MOST_UNITS))
        .replace("@SETTINGS@", SETTINGS)
        .replace("@DROP_IN@", DROP_IN)
    )
    return Probe(Command("starters", script, timeout=limits.PEEK), _parse)


def _parse(result: Result) -> tuple[Starter, ...]:
    scripts: dict[str, list[str]] = {}
    units: list[dict[str, str]] = []
    held: dict[str, tuple[str, str]] = {}
    found: list[Starter] = []
    settings = False
    for line in result.text.splitlines()[:MOST_LINES]:
        word, _, rest = line.partition(" ")
        if word == "cron":
            path, _, what = rest.partition(" ")
            found.append(Starter(StarterKind.CRON, path, what))
        elif word == "script":
            path, _, what = rest.partition(" ")
            scripts.setdefault(path, []).append(what)
        elif line == "settings":
            settings = True
        elif word == "held":
            unit, _, said = rest.partition(" ")
            run, _, was = said.partition(" ")
            held[unit] = (run, was)
        elif line == "units" or not line:
            units.append({})
        else:
            key, equals, value = line.partition("=")
            if equals and units:
                units[-1][key] = f"{units[-1][key]}\n{value}" if key in units[-1] else value
    named = {unit.name: replace(unit, settings=settings) for unit in _units(units, scripts)}
    for name, (run, was) in held.items():
        if name in named:
            named[name] = replace(named[name], held_by=run, was_active=was == ACTIVE)
    return (*named.values(), *found)


def _units(units: Iterable[dict[str, str]], scripts: dict[str, list[str]]) -> Iterable[Starter]:
    for unit in units:
        name = unit.get("Id", "")
        if not name or unit.get("LoadState") in ("not-found", "masked", "error"):
            continue
        texts = [unit.get(key, "") for key in ("ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop")]
        lines = [command for text in texts for command in _commands(text)]
        lines += [
            each for text in texts for path in re.findall(r"path=([^ ;]+)", text) for each in scripts.get(path, ())
        ]
        if any("compose" in line for line in lines) and unit.get("WorkingDirectory"):
            lines.append(f"WorkingDirectory={unit['WorkingDirectory'].lstrip('!')}")  # which project compose means
        yield Starter(
            StarterKind.UNIT,
            name,
            "\n".join(lines),
            active=unit.get("ActiveState") in ("active", "activating", "reloading"),
            enabled=unit.get("UnitFileState")
            in ("enabled", "enabled-runtime", "static", "generated", "transient", "alias"),
            restarts=unit.get("Restart", "no") not in ("no", ""),
            service=unit.get("Type", ""),
            lasting=unit.get("UnitFileState") not in ("transient", "generated"),
        )


def _commands(text: str) -> list[str]:
    """The commands of an Exec… property: what stands behind `argv[]=`, or the text as it is."""
    found = re.findall(r"argv\[\]=(.*?) ; ", text)
    return found or [line for line in text.splitlines() if line]
