"""PURE: every read of a node, spelled once, each with the function that makes sense of its answer.

A probe's script writes lines of `key=value`, or the bytes that were asked for. A node is not trusted: a parser takes what
it knows and refuses the rest with FormatError, and nothing that a node says ever becomes part of a script unquoted.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetrecover import bounds, limits
from fleetrecover.answers import json_object, understood, unzipped
from fleetrecover.commands.base import Probe
from fleetrecover.commands.environment import THROUGH, WHO
from fleetrecover.commands.inspect import inspected, is_up, restart_policy
from fleetrecover.commands.shell import quote
from fleetrecover.commands.space import free_kib
from fleetrecover.errors import FormatError
from fleetrecover.facts import RESEED, RESET, DataDir, Hold, Keep, Pin, Proof, WorkDir
from fleetrecover.model import Command, Result

KEEP_SUFFIX = ".fleetrecover"


@dataclass(frozen=True)
class Machine:
    """Who a node is. `clock` in seconds since the epoch; `boot` is the kernel's id of this boot."""

    hostname: str
    machine_id: str
    clock: float
    uid: int
    boot: str = ""
    through: str = ""


def machine() -> Probe[Machine]:
    """Name, identity and clock of the node."""
    script = (
        "echo hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)\n"
        "echo machine=$(cat /etc/machine-id 2>/dev/null)\n"
        "echo boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)\n"
        "echo clock=$(date +%s.%N)\necho uid=$(id -u)\n"
        f"echo through=${THROUGH}\n"
    )

    def parse(result: Result) -> Machine:
        values = _pairs(result.text)
        clock = values.get("clock", "0").removesuffix(".N").replace("%N", "0")
        return Machine(
            values.get("hostname", ""),
            values.get("machine", ""),
            _number(clock),
            int(_number(values.get("uid", "0"))),
            values.get("boot", ""),
            values.get("through", ""),
        )

    return Probe(Command("machine", script, timeout=limits.PEEK), parse)


PEM_ENDINGS = (".pem", ".crt", ".cer", ".cert", ".key")
"""How files are called that are nothing when they are empty."""


def missing_files(paths: Sequence[str]) -> Probe[tuple[str, ...]]:
    """Those of the paths that the node does not have; of certificates and keys also those without any content."""
    tests = "".join(
        f"[ {'-s' if path.endswith(PEM_ENDINGS) else '-e'} {quote(path)} ] || printf '%s\\n' {quote(path)}\n"
        for path in paths
    )
    return Probe(Command("missing-files", tests + "true\n", timeout=limits.PEEK), lambda r: tuple(r.text.splitlines()))


@dataclass(frozen=True)
class WalFile:
    """One file of `member/wal` or `member/snap`; size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class DataListing:
    """The data directory, what lies in it, and the runs that have kept something beside it."""

    data: DataDir
    files: tuple[WalFile, ...]
    keeps: tuple[Keep, ...]
    kept_files: Mapping[str, tuple[WalFile, ...]]  # by run: the files of original/
    hold: Hold | None


_LISTING = r"""
p=@PATH@
r=$(readlink -f "$p" 2>/dev/null) || r=$p
[ -n "$r" ] || r=$p
echo "real=$r"
case $r in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
line() { printf '%s' "$1" | tr '\n\r' '??'; }
if [ -L "$p" ]; then echo symlink=1; fi
# mountinfo spells blanks and backslashes in octal; a subvolume has a device number of its own, and is no mount
R=$(printf '%s' "$r" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
export R
if awk '$5 == ENVIRON["R"] { found = 1 } END { exit !found }' /proc/self/mountinfo; then echo mount=1
elif [ -d "$r" ] && [ "$(stat -c %d "$r")" != "$(stat -c %d "$(dirname "$r")")" ]; then echo mount=1; fi
near=$r
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
@WHO@
# what may not be read is not what is not there
may() { if [ -d "$1" ]; then [ -r "$1" ] && [ -x "$1" ]; else [ ! -e "$1" ] || [ -r "$1" ]; fi || echo "forbidden=$1"; }
if [ "$near" = "$r" ]; then may "$r"; elif [ ! -x "$near" ]; then echo "forbidden=$near"; fi
for o in member member/wal member/snap member/snap/db; do may "$r/$o"; done
for o in "$r/member/wal"/*.wal; do may "$o"; done
w=@WAL@
open() { [ ! -e "$1/finished" ] && [ ! -e "$1/undone" ]; }
ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %u "$1")" = "$(id -u)" ]; }
# where a part's WAL lies: only what a run of ours has made
aside() {
  to=$(readlink "$1" 2>/dev/null) || return 1
  run=${1%/wal-of-*}; run=${run##*/}
  case $to in /*.fleetrecover/"$run/${1##*/wal-of-}") ours "${to%/*/*}" ;; *) return 1 ;; esac
}
if [ -z "$w" ]; then
  # a run that is open has moved one, and its container is no more, or says nothing of it now
  for root in "$r.fleetrecover" "$r/.fleetrecover"; do
    ours "$root" || continue
    for l in "$root"/*/wal-of-*; do
      if [ -L "$l" ] && open "${l%/*}" && aside "$l"; then w=${to%.fleetrecover/*}; fi
    done
  done
else
  w=$(readlink -f "$w" 2>/dev/null) || w=@WAL@
fi
if [ -n "$w" ]; then
  case $w in *"
"*) echo "its path holds a line feed" >&2; exit 1 ;; esac
  echo "wal=$w"
  up=$w
  while [ ! -d "$up" ]; do up=$(dirname "$up"); done
  if [ "$up" = "$w" ]; then may "$w"; elif [ ! -x "$up" ]; then echo "forbidden=$up"; fi
  for o in "$w"/*.wal; do may "$o"; done
  above=${w%/*}; while [ ! -d "$above" ]; do above=$(dirname "$above"); done
  if [ ! -w "$above/" ] && [ ! -d "$w.fleetrecover" ]; then echo "walunwritable=$above"; fi
  echo "walfree=$(@WALFREE@)"
  if [ "$(stat -c %d "$above")" = "$(stat -c %d "$near")" ]; then echo walshared=1; fi
  W=$(printf '%s' "$w" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/	/\\011/g')
  export W
  if awk '$5 == ENVIRON["W"] { found = 1 } END { exit !found }' /proc/self/mountinfo ||
    { [ -d "$w" ] && [ "$(stat -c %d "$w")" != "$(stat -c %d "$above")" ]; }; then
    echo walmount=1
  fi
fi
[ -w "$near" ] || echo "unwritable=$near"
if [ ! -d "$r.fleetrecover" ] && [ "$near" = "$r" ] && [ ! -w "${r%/*}/" ]; then echo "unwritable=${r%/*}/"; fi
echo "free=$(@FREE@)"
printf 'fs=%s\n' "$(stat -f -c %T "$near" 2>/dev/null)"
for o in member member/wal member/snap; do
  if [ -L "$r/$o" ]; then echo "inner=$o is a symbolic link"; fi
done
awk 'index($5, ENVIRON["R"] "/member/") == 1 || $5 == ENVIRON["R"] "/member" {
  print "inner=" substr($5, length(ENVIRON["R"]) + 2) " is a mount point" }' /proc/self/mountinfo
if [ -d "$r" ]; then
  echo exists=1
  stat -c 'owner=%u:%g' "$r"; stat -c 'mode=%a' "$r"; stat -c 'label=%C' "$r" 2>/dev/null || true
  for o in "$r"/* "$r"/.[!.]*; do
    [ -e "$o" ] || continue
    if [ -n "$w" ] && { [ "$o" = "$w" ] || [ "$o" = "$w.fleetrecover" ]; }; then continue; fi
    case "${o##*/}" in member) ;; .fleetrecover) ;; *) printf 'other=%s\n' "$(line "${o##*/}")" ;; esac
  done
fi
list() {
  for f in "$1"/wal/*.wal "$1"/snap/*.snap "$1"/snap/db "$1"/snap/*.snap.db; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -d "$r/member" ]; then
  echo member=1
  du -sk "$r/member" 2>/dev/null | awk '{ print "size=" $1 }'
  list "$r/member" file
fi
wals() {
  for f in "$1"/*.wal; do
    if [ -f "$f" ]; then line "$(stat -c "$2=%s %n" "$f" || true)"; echo; fi
  done
}
if [ -n "$w" ]; then
  du -sk "$w" 2>/dev/null | awk '{ print "walsize=" $1 }'
  wals "$w" walfile
fi
for root in "$r.fleetrecover" "$r/.fleetrecover"; do
  [ -d "$root" ] || [ -L "$root" ] || continue
  # whoever owns the data directory could put one there for us to walk into
  if [ -L "$root" ] || [ "$(stat -c %u "$root")" != "$(id -u)" ]; then echo "foreign=$root"; continue; fi
  echo "root=$root"
  if [ -f "$root/hold/holder.json" ]; then
    printf 'hold=%s\n' "$(tr -d '\n' < "$root/hold/holder.json")"
    printf 'beat=%s\n' "$(cat "$root/hold/beat" 2>/dev/null)"
  elif [ -d "$root/hold" ]; then
    echo 'hold={}'
  fi
  for k in "$root"/*/; do
    k=${k%/}; [ -d "$k" ] && [ ! -L "$k" ] || continue
    case ${k##*/} in hold|*[!A-Za-z0-9._-]*|[!a-z]*) continue ;; esac
    printf 'keep=%s\n' "$k"
    if [ -f "$k/run.json" ]; then printf 'pin=%s\n' "$(tr -d '\n' < "$k/run.json")"; fi
    if [ -f "$k/proof.json" ]; then printf 'proof=%s\n' "$(tr -d '\n' < "$k/proof.json")"; fi
    for part in original partial work booted reset; do
      if [ -e "$k/$part/member" ] || [ -e "$k/$part/no-member" ]; then echo "part=$part"; fi
    done
    for l in "$k"/wal-of-*; do
      [ -L "$l" ] && aside "$l" || continue
      part=${l##*/wal-of-}
      if [ "$part" = original ]; then echo keptapart=1; wals "$to" keptwal; fi
      du -sk "$to" 2>/dev/null | awk '{ print "keptwalsize=" $1 }'
      # an interruption has parted it from its data, which lies in place
      if open "$k" && [ -d "$to" ] && [ ! -e "$k/$part/member" ] && [ ! -e "$k/$part/no-member" ]; then
        echo part=parted
        wals "$to" astray
      fi
    done
    for part in containers.json no-data finished undoing undone; do
      if [ -e "$k/$part" ]; then echo "part=$part"; fi
    done
    if [ -f "$k/containers.json" ]; then printf 'before=%s\n' "$(tr -d '\n' < "$k/containers.json")"; fi
    for part in "$k"/discarded-*; do
      if [ -e "$part" ]; then printf 'discarded=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in "$k"/withdrawn*; do
      if [ -e "$part/member" ]; then printf 'withdrawn=%s\n' "$(line "${part##*/}")"; fi
    done
    for part in original original-elsewhere; do
      if [ -L "$k/$part" ]; then
        away=$(readlink "$k/$part")
        printf 'elsewhere=%s\n' "$(line "$away")"
        du -sk "${away%/*}" 2>/dev/null | awk '{ print "elsewheresize=" $1 }'
      fi
    done
    du -sk "$k" 2>/dev/null | awk '{ print "keepsize=" $1 }'
    if [ -d "$k/original/member" ]; then list "$k/original/member" kept; fi
  done
done
"""


def data_listing(path: str, wal: str = "") -> Probe[DataListing]:
    """The data directory at `path` (as the container's bind names it) and all that runs keep beside it.

    `wal` is the WAL's own directory, where it has one.
    """
    values = {
        "@PATH@": quote(path),
        "@WAL@": quote(wal),
        "@WHO@": WHO,
        "@FREE@": free_kib('"$near"'),
        "@WALFREE@": free_kib('"$above"'),
    }
    script = re.sub("|".join(values), lambda mark: values[mark[0]], _LISTING)
    return Probe(
        Command("data-listing", script, timeout=limits.LISTING, most=bounds.LISTING),
        lambda result: parse_listing(path, result.text),
    )


_WORK_DIR = """
p=@PATH@
[ -d "$p" ] || { echo "problem=there is no such directory"; exit 0; }
r=$(readlink -f "$p")
case $r in *"
"*) exit 1 ;; esac
echo "real=$r"
echo "free=$(@FREE@)"
[ "$(stat -c %u "$r")" = "$(id -u)" ] || { echo "problem=it belongs to somebody else"; exit 0; }
case $(stat -c %A "$r") in ????????w?) echo "problem=everybody may write there" ;; esac
"""


_RUN = re.compile(r"[a-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
"""Names of runs go into paths on every node and here, wherever they were read."""


def work_dir(path: str) -> Probe[WorkDir]:
    """A directory on the node that is to take the kept original, and whether it will do."""

    def parse(result: Result) -> WorkDir:
        values = _pairs(result.text)
        real = values.get("real", path)
        return WorkDir(path, real, int(_number(values.get("free") or "0")) * 1024, values.get("problem"))

    script = _WORK_DIR.replace("@FREE@", free_kib('"$r"')).replace("@PATH@", quote(path))
    return Probe(Command("work-dir", script, timeout=limits.PEEK), parse)


def parse_listing(path: str, text: str) -> DataListing:
    """Make sense of the listing's lines; see `_LISTING` for their shape. Raises FormatError."""
    single: dict[str, str] = {}
    others: list[str] = []
    inner: list[str] = []
    files: list[WalFile] = []
    apart: list[WalFile] = []
    astray: list[WalFile] = []
    keeps: list[dict[str, Any]] = []
    for line in text.split("\n"):
        key, found, value = line.partition("=")
        if not found:
            continue
        if key == "other":
            others.append(value)
        elif key == "inner":
            inner.append(value)
        elif key == "file":
            files.append(_wal_file(value))
        elif key == "walfile":
            apart.append(_wal_file(value))
        elif key == "astray":
            astray.append(_wal_file(value))
        elif key == "keep":
            keeps.append(_found_keep(value))
        elif key in ("discarded", "withdrawn") and keeps:
            keeps[-1][key].append(value)
        elif key in ("pin", "proof", "keepsize", "before", "elsewhere", "elsewheresize") and keeps:
            keeps[-1][key] = value
        elif key == "part" and keeps:
            keeps[-1]["parts"].add(value)
        elif key == "kept" and keeps:
            keeps[-1]["files"].append(_wal_file(value))
        elif key == "keptwal" and keeps:
            keeps[-1]["wal"].append(_wal_file(value))
        elif key == "keptapart" and keeps:
            keeps[-1]["apart"] = True
        elif key == "keptwalsize" and keeps:
            keeps[-1]["walsize"] += int(_number(value))
        else:
            single.setdefault(key, value)
    real = single.get("real", "")  # always said, and said first: without it this is no listing, and not an empty one
    if not real.startswith("/"):
        raise FormatError(f"the node gave {real!r} for the real path of {path}", source="data listing")
    mount = "mount" in single
    data = DataDir(
        path=path,
        real=real,
        exists="exists" in single,
        has_member="member" in single or bool(apart),
        keep_root=posixpath.join(real, KEEP_SUFFIX) if mount else real.rstrip("/") + KEEP_SUFFIX,
        size=int(_number(single.get("size", "0")) + _number(single.get("walsize", "0"))) * 1024,
        free=int(_number(single.get("free") or "0")) * 1024,
        owner=single.get("owner", ""),
        mode=single.get("mode", ""),
        mount_point=mount,
        symlink="symlink" in single,
        others=tuple(others),
        filesystem=single.get("fs", ""),
        label=label if ":" in (label := single.get("label", "")) else "",
        inner=tuple(inner),
        wal=single.get("wal", ""),
        wal_size=int(_number(single.get("walsize", "0"))) * 1024,
        wal_free=int(_number(single.get("walfree") or "0")) * 1024,
        wal_shared="walshared" in single,
        wal_mount="walmount" in single,
        who=single.get("who", ""),
        forbidden=single.get("forbidden", ""),
        unwritable=_unwritable(single, mount, real),
        foreign=single.get("foreign", ""),
        no_engine=single.get("no-engine", ""),
    )
    if "wal" in single:
        files = [*_with_wal(files, apart or astray)]
    return DataListing(
        data=data,
        files=tuple(files),
        keeps=tuple(_keep(keep) for keep in keeps if _RUN.fullmatch(posixpath.basename(keep["path"]))),
        kept_files={posixpath.basename(keep["path"]): _kept_files(keep) for keep in keeps},
        hold=_hold(single),
    )


def _unwritable(single: Mapping[str, str], mount: bool, real: str) -> str:
    """The first directory in which we would have to write and may not. In a mount point nothing is kept beside it."""
    data = single.get("unwritable", "")
    return ("" if mount and data != real else data) or single.get("walunwritable", "")


def _found_keep(path: str) -> dict[str, Any]:
    """What the lines of one run's directory are gathered in."""
    lists: dict[str, Any] = {word: [] for word in ("files", "discarded", "withdrawn", "wal")}
    return {"path": path, "parts": set(), "apart": False, "walsize": 0, **lists}


def _kept_files(found: Mapping[str, Any]) -> tuple[WalFile, ...]:
    """The files of original/, with the WAL from where it lies."""
    return _with_wal(found["files"], found["wal"]) if found["apart"] else tuple(found["files"])


def _with_wal(files: Sequence[WalFile], apart: Sequence[WalFile]) -> tuple[WalFile, ...]:
    """What lies in member/wal is not what this etcd reads, where its WAL has a directory of its own."""
    return (*(file for file in files if not file.path.endswith(".wal")), *apart)


def _keep(found: Mapping[str, Any]) -> Keep:
    parts: set[str] = found["parts"]
    path = str(found["path"])
    problem = None
    before: Sequence[Mapping[str, Any]] = []
    pin: Pin | None = None
    proof: Proof | None = None
    try:
        pin = parse_pin(found["pin"]) if "pin" in found else None
        proof = parse_proof(found["proof"]) if "proof" in found else None
        before = _before(found["before"]) if "before" in found else []
    except FormatError as error:
        problem = error.message
    return Keep(
        run=posixpath.basename(path),
        path=path,
        pin=pin,
        containers="containers.json" in parts,
        original="original" in parts,
        partial="partial" in parts,
        work="work" in parts,
        booted="booted" in parts,
        reset="reset" in parts,
        finished="finished" in parts and "undoing" not in parts,
        undone="undone" in parts,
        undoing="undoing" in parts and "undone" not in parts,
        proof=proof,
        bytes=(int(_number(str(found.get("keepsize", "0")))) + found["walsize"]) * 1024,
        wal_bytes=found["walsize"] * 1024,
        policies={c["Id"]: restart_policy(c) for c in before},
        ran=frozenset(c["Id"] for c in before if is_up(c.get("State") or {})),
        names={c["Id"]: str(c.get("Name", "")).lstrip("/") for c in before},
        no_data="no-data" in parts,
        parted="parted" in parts,
        discarded=tuple(found["discarded"]),
        withdrawn=tuple(found["withdrawn"]),
        elsewhere=_elsewhere(found.get("elsewhere"), posixpath.basename(path)),
        elsewhere_bytes=int(_number(str(found.get("elsewheresize", "0")))) * 1024,
        problem=problem,
    )


def _before(text: str) -> list[Mapping[str, Any]]:
    """The containers of `containers.json` that have an id. Raises FormatError."""
    found = [each for each in inspected(text, "containers.json") if "Id" in each]
    understood("containers.json", lambda: [(restart_policy(each), is_up(each.get("State") or {})) for each in found])
    return found


def _elsewhere(link: str | None, run: str) -> str | None:
    """Where the original lies; a link that is not of our making is none."""
    return link if link and link.startswith("/") and link.endswith(f"/{run}/original") else None


def parse_pin(text: str) -> Pin:
    """`run.json` of a run's directory. Raises FormatError."""
    value = json_object(text, "run.json")
    return understood(
        "run.json",
        lambda: Pin(
            run=str(value["run"]),
            cluster=str(value["cluster"]),
            survivor=str(value["survivor"]),
            started=str(value["started"]),
            kind=str(value["kind"]),
            dead=tuple(str(name) for name in value.get("dead", [])),
            tool=str(value.get("tool", "")),
            meant=tuple((str(word), str(member)) for word, member in value.get("meant", [])),
            names_only=value.get("names_only") is True,
            method=RESEED if value.get("method") == RESEED else RESET,
        ),
    )


def parse_proof(text: str) -> Proof:
    """`proof.json` of a run's directory. Raises FormatError."""
    value = json_object(text, "proof.json")
    return understood(
        "proof.json",
        lambda: Proof(
            revision=int(value["revision"]),
            hash=int(value["hash"]),
            compact_revision=int(value["compact_revision"]),
            member_id=int(value["member_id"]),
            cluster_id=int(value["cluster_id"]),
            version=str(value["version"]),
            term=int(value.get("term", 0)),
            index=int(value.get("index", 0)),
        ),
    )


def _hold(single: Mapping[str, str]) -> Hold | None:
    if "hold" not in single:
        return None
    try:
        value = json_object(single["hold"], "holder.json")
        return understood(
            "holder.json",
            lambda: Hold(
                token=str(value["token"]),
                run=str(value["run"]),
                who=str(value["who"]),
                host=str(value["host"]),
                pid=int(value["pid"]),
                born=str(value.get("born", "")),
                since=str(value["since"]),
                beat=single.get("beat", ""),
            ),
        )
    except FormatError:
        return Hold("", "?", "somebody whose record cannot be read", "?", 0, "", "?", single.get("beat", ""))


def _wal_file(value: str) -> WalFile:
    size, _, path = value.partition(" ")
    return WalFile(path, int(_number(size)))


_SEGMENT = r"""
f=@PATH@
size=$(stat -c %s "$f")
block=65536
lo=0
hi=$(( (size + block - 1) / block ))
while [ $((hi - lo)) -gt 0 ]; do
  mid=$(( (lo + hi) / 2 ))
  n=$(tail -c +$((mid * block + 1)) "$f" | head -c $block | tr -d '\000' | head -c 1 | wc -c)
  if [ "$n" -eq 0 ]; then hi=$mid; else lo=$((mid + 1)); fi
done
end=$((lo * block))
[ "$end" -le "$size" ] || end=$size
n=$(tail -c +$((end + 1)) "$f" | tr -d '\000' | head -c 1 | wc -c)
[ "$n" -eq 0 ] || end=$size
sample=$(head -c 262144 "$f" | gzip -1 -c 2>/dev/null | wc -c)
if [ "$sample" -gt 0 ] && [ "$sample" -lt 131072 ] && [ "$end" -gt 262144 ]; then
  echo "$size $end gzip"; head -c "$end" "$f" | gzip -1 -c
else
  echo "$size $end raw"; head -c "$end" "$f"
fi
"""


def wal_file(path: str) -> Probe[bytes]:
    """The whole content of a WAL segment or a .snap, as bytes.

    A segment is 64 MB, preallocated with zeros: the node looks for the end of its content, proves that only zeros follow,
    and sends what is before, compressed where that helps. What comes back here has its full size again.
    """
    most = (bounds.SNAP if path.endswith(".snap") else bounds.SEGMENT) + bounds.MIB
    command = Command("wal-file", _SEGMENT.replace("@PATH@", quote(path)), timeout=limits.SEGMENT, most=most)
    return Probe(command, lambda r: _unpack(path, r))


def _unpack(path: str, result: Result) -> bytes:
    header, _, body = result.stdout.partition(b"\n")
    try:
        size_word, end_word, encoding = header.decode("ascii").split()
        size, end = int(size_word), int(end_word)
    except ValueError as error:
        raise FormatError("the node sent no header", source=path) from error
    if not 0 <= end <= size <= bounds.SEGMENT:
        raise FormatError(f"sizes {end} of {size} are not those of a WAL segment", source=path)
    if encoding == "gzip":
        body = unzipped(body, end, path)
    if len(body) != end:
        raise FormatError(f"{len(body)} bytes came, {end} were announced", source=path)
    return body + bytes(size - end)


def ranges(path: str, wanted: Sequence[tuple[int, int]]) -> Probe[list[bytes]]:
    """Pieces of a file: `wanted` holds (offset, size) in bytes; a piece past the end comes back short."""
    lines = "".join(
        f"tail -c +{offset + 1} {quote(path)} | head -c {size} | gzip -1 -c | od -An -v -tx1 | tr -d ' \\n'; echo\n"
        for offset, size in wanted
    )

    def parse(result: Result) -> list[bytes]:
        rows = result.text.splitlines()
        if len(rows) != len(wanted):
            raise FormatError(f"{len(rows)} pieces came, {len(wanted)} were asked for", source=path)
        return [unzipped(bytes.fromhex(row), size, path) for row, (_, size) in zip(rows, wanted, strict=True)]

    # in hexadecimal, and gzip's own frame for what does not pack
    most = bounds.MIB + sum(2 * (size + size // 1000 + 64) for _, size in wanted)
    return Probe(Command("ranges", f"[ -r {quote(path)} ] || exit 1\n{lines}", timeout=limits.PAGES, most=most), parse)


def files_of_member(wal: str) -> str:
    """A script that names etcd's files, the sizes before them, in the `member` directory in which it runs."""
    segments = f"{quote(wal)}/*.wal" if wal else "wal/*.wal"
    return (
        f"for f in {segments} snap/*.snap snap/db; do\n"
        "  case $f in /*) n=$f ;; *) n=$PWD/$f ;; esac\n"
        '  if [ -f "$f" ]; then stat -c "%s $n" "$f"; fi\n'
        "done\n"
    )


def member_files(member: str, wal: str = "") -> Probe[tuple[WalFile, ...]]:
    """The WAL segments, snapshots and database below a `member` directory; `wal` is the WAL's own directory, if any."""
    script = f"cd {quote(member)} || exit 1\n{files_of_member(wal)}"
    return Probe(
        Command("member-files", script, timeout=limits.PEEK), lambda r: tuple(_wal_file(x) for x in r.text.splitlines())
    )


def file_bytes(path: str, limit: int = bounds.MIB) -> Probe[bytes]:
    """The first `limit` bytes of a small file, such as a certificate."""
    return Probe(Command("file", f"head -c {limit} {quote(path)}\n", timeout=limits.PEEK), lambda r: r.stdout)


def _pairs(text: str) -> dict[str, str]:
    return {key: value.strip() for key, found, value in (line.partition("=") for line in text.splitlines()) if found}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise FormatError(f"{text[:80]!r} is not a number", source="a node's answer") from error
    if not math.isfinite(value):
        raise FormatError(f"{text[:80]!r} is not a number", source="a node's answer")
    return value
