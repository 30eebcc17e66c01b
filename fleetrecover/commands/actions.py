"""PURE: every write to a node, spelled once.

Each script looks before it acts and can be run again: where the work was already done it does nothing and exits with 0.
A state that it does not expect is refused with one of the exit codes below, and nothing is changed.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping

from fleetrecover import limits
from fleetrecover.commands import busy, wal_dir
from fleetrecover.commands.base import Action
from fleetrecover.commands.codes import (
    DIFFERS,
    ELSEWHERE,
    MISWRITTEN,
    NAME_TAKEN,
    NO_REFLINK,
    NO_SPACE,
    NOT_BLANK,
    NOT_OURS,
    OCCUPIED,
    REFUSALS,
    STILL_RUNNING,
)
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import copied, octal, quote, synced, write_file
from fleetrecover.commands.space import unless_free
from fleetrecover.etcd.wal import Append

__all__ = [
    "DIFFERS",
    "ELSEWHERE",
    "MISWRITTEN",
    "NAME_TAKEN",
    "NOT_BLANK",
    "NOT_OURS",
    "NO_REFLINK",
    "NO_SPACE",
    "OCCUPIED",
    "REFUSALS",
    "STILL_RUNNING",
]  # the codes, which everybody looks for here


Quiet = Callable[[str, str], list[str]]
"""Lines of a script that exit with STILL_RUNNING where anything runs that may write below a data directory, or its WAL's own."""


def open_run(paths: RunPaths, pin: Mapping[str, object]) -> Action:
    """Make the run's directory and write `run.json`, which pins the survivor."""
    content = json.dumps(pin, sort_keys=True, indent=1).encode() + b"\n"
    return Action.of(
        "open-run",
        [
            "umask 077",
            f"mkdir -p {quote(paths.root)}",
            f"chmod 700 {quote(paths.keep_root)} {quote(paths.root)}",
            # a run that was undone here begins anew: what was before it is what is now; `undone` goes last
            f"if [ -e {quote(paths.at('undone'))} ]; then",
            f"  cd {quote(paths.root)}",
            "  for f in containers.json proof.json; do [ ! -e $f ] || mv -f $f $f.undone; done",
            "  rm -f no-data stopped finished undoing; sync; rm -f undone",
            "  cd /",
            "fi",
            write_file(paths.pin, content, 0o600),
        ],
        undo="the directory stays, as the record of the run",
        shown=f"mkdir -p {quote(paths.root)}; write {quote(paths.pin)}",
    )


def move_aside(quiet: Quiet, paths: RunPaths, data: str, part: str = "original") -> Action:
    """Move the data of a node, whole, into the run's directory. Renames, each on one filesystem: never a copy.

    A WAL directory of its own goes first, beside itself; what an interruption has parted is put together before.
    """
    member, target = posixpath.join(data, "member"), posixpath.join(paths.at(part), "member")
    there = wal_dir.data_there(paths, member)
    alone = [f"[ -e {quote(member)} ] || : > {quote(paths.at(part))}/{wal_dir.NO_MEMBER}"] if paths.wal else []
    return Action.of(
        "keep-data",
        [
            *wal_dir.reunite(paths, data, quiet(data, paths.wal)),
            f"if [ -e {quote(target)} ]; then {{ ! {there}; }} || exit {OCCUPIED}; exit 0; fi",
            f"{there} || exit 0",
            *quiet(data, paths.wal),
            f"mkdir -p {quote(paths.at(part))}",
            f"chmod 700 {quote(paths.at(part))}",
            *alone,
            *wal_dir.out(paths, part),
            f"[ ! -e {quote(member)} ] || mv {quote(member)} {quote(target)}"
            if paths.wal
            else f"mv {quote(member)} {quote(target)}",
            synced(paths.root),
        ],
        undo=f"mv {quote(target)} {quote(member)}"
        + (f"; mv {quote(paths.wal_at(part))} {quote(paths.wal)}" if paths.wal else ""),
    )


def as_data(data: str, target: str) -> list[str]:
    """Lines that give a copy's directory the owner, mode and SELinux label of the data directory."""
    return [
        f"chown --reference={quote(data)} {quote(target)} 2>/dev/null || true",
        f"chmod --reference={quote(data)} {quote(target)} 2>/dev/null || true",
        f"chcon --reference={quote(data)} {quote(target)} 2>/dev/null || true",
    ]


def enough(where: str, need: int) -> list[str]:
    """Lines that exit with NO_SPACE unless so many bytes, and a little, are free."""
    kib = need // 1024 + 1024
    said = f'echo "{kib} KiB needed, $free KiB free in" {quote(where)} >&2; exit {NO_SPACE}'
    return unless_free(quote(where), str(kib), said)


def probe_reflink(paths: RunPaths) -> Action:
    """See that a copy takes no space here, before anything is stopped or moved for it."""
    one, two = quote(paths.at("reflink-1")), quote(paths.at("reflink-2"))
    return Action.of(
        "probe-reflink",
        [
            "umask 077",
            f"head -c 65536 /dev/zero > {one}",
            f"cp --reflink=always {one} {two} 2>/dev/null && code=0 || code={NO_REFLINK}",
            f"rm -f {one} {two}",
            "exit $code",
        ],
        undo="nothing stays",
    )


def keep_elsewhere(quiet: Quiet, paths: RunPaths, data: str, *, work: str, need: int) -> Action:
    """Copy the data into a directory on another filesystem, compare, and let what stands in place be the working copy.

    For where there is no space for a copy: from then on the one elsewhere is the original, and is never written to; both
    are equal byte by byte before any is changed. `original` in the run's directory is a link to it, made first, so that
    every later look finds it; it leads nowhere until the copy is whole and compared.
    """
    away = posixpath.join(work, paths.run)
    there, link = posixpath.join(away, "original"), paths.at("original")
    member, partial = posixpath.join(data, "member"), paths.at("partial")
    return Action.of(
        "keep-elsewhere",
        [
            "umask 077",
            *wal_dir.reunite(paths, data, quiet(data, paths.wal)),
            f"[ -L {quote(link)} ] || [ ! -e {quote(link)} ] || exit {OCCUPIED}",
            f"if [ ! -e {quote(member)} ]; then",
            f"  [ -e {quote(link + '/member')} ] || exit 1",
            *(f"  {line}" for line in _wal_into_member(paths, partial)),
            "  exit 0",
            "fi",
            *quiet(data, paths.wal),
            f"mkdir -p {quote(away)}",
            f"chmod 700 {quote(away)}",
            f"[ -L {quote(link)} ] || ln -s {quote(there)} {quote(link)}",
            synced(paths.root),
            f"if ! [ -e {quote(there)} ] || ! diff -rq {quote(there + '/member')} {quote(member)} >/dev/null; then",
            f"  if [ -e {quote(there)} ]; then n={quote(away + '/superseded')};"
            f' while [ -e "$n" ]; do n=$n-; done; mv {quote(there)} "$n"; fi',
            f"  rm -rf -- {quote(there + '.new')}",
            *(f"  {line}" for line in enough(away, need)),
            f"  mkdir {quote(there + '.new')}",
            f"  cp -a {quote(member)} {quote(there + '.new/member')}",
            f"  {synced(away)}",
            f"  diff -rq {quote(member)} {quote(there + '.new/member')} >&2 || exit {DIFFERS}",
            # a WAL of its own is moved aside, since that takes no space: with the data, or not yet an original
            *(f"  {line}" for line in wal_dir.out(paths, "original")),
            f"  mv {quote(there + '.new')} {quote(there)}",
            f"  {synced(away)}",
            "fi",
            f"rm -rf -- {quote(partial)} {quote(paths.at('work'))} {quote(paths.at('booted'))}",
            f"mkdir {quote(partial)}",
            *as_data(data, partial),
            *wal_dir.into_copy(paths, "original", partial),
            f"mv {quote(member)} {quote(posixpath.join(partial, 'member'))}",
            *_wal_into_member(paths, partial),
            synced(paths.root),
        ],
        timeout=limits.COPY,
        undo=f"it is copied back from {there} and compared",
    )


def _wal_into_member(paths: RunPaths, partial: str) -> list[str]:
    """Lines that make a working copy one piece: the copied WAL beside its `member` goes into it."""
    if not paths.wal:
        return []
    beside, inside = quote(posixpath.join(partial, "wal")), quote(posixpath.join(partial, "member", "wal"))
    return [f"if [ -d {beside} ]; then rm -rf -- {inside}; mv {beside} {inside}; {synced(paths.root)}; fi"]


def copy_original(paths: RunPaths, data: str, *, need: int, reflink: bool = False) -> Action:
    """Copy the original and compare the copy with it, byte by byte. `need` is its size in bytes.

    Whatever an interrupted attempt left of its own copy is removed first; the original is only read. With `reflink` the
    copy shares its space with the original until either is written to, or is not made at all.
    """
    original, partial = quote(posixpath.join(paths.at("original"), "member")), paths.at("partial")
    copy = quote(posixpath.join(partial, "member"))
    by_itself = copied(original, copy)
    sharing = f"cp -a --reflink=always {original} {copy} || {{ rm -rf -- {copy}; exit {NO_REFLINK}; }}"
    return Action.of(
        "copy",
        [
            f"rm -rf -- {quote(partial)} {quote(paths.at('work'))} {quote(paths.at('booted'))}",
            *([] if reflink else enough(paths.root, need)),
            f"mkdir {quote(partial)}",
            sharing if reflink else by_itself,
            f"diff -rq {original} {copy} >&2 || exit {DIFFERS}",
            *wal_dir.same_place(paths),
            *wal_dir.into_copy(paths, "original", posixpath.join(partial, "member")),
            *as_data(data, partial),
            synced(paths.root),
        ],
        timeout=limits.COMPARE,
        undo=f"rm -rf {quote(partial)} (a copy of ours)",
        ends_alone=True,
    )


def append_to_wal(paths: RunPaths, append: Append) -> Action:
    """Write the record that raises the commit at the end of the copy's WAL, and read it back."""
    segment = quote(posixpath.join(paths.at("partial"), "member", "wal", append.segment))
    offset, size = append.offset, len(append.data)
    written = f"tail -c +{offset + 1} {segment} | head -c {size}"
    return Action.of(
        "raise-commit",
        [
            f"if [ \"$({written} | od -An -v -tx1 | tr -d ' \\n')\" = {append.data.hex()} ]; then exit 0; fi",
            *(
                [f"truncate -s {offset} {segment}"]
                if append.cut
                else [f"[ \"$({written} | tr -d '\\000' | wc -c)\" -eq 0 ] || exit {NOT_BLANK}"]
            ),
            f"printf {quote(octal(append.data))} | dd of={segment} bs=1 seek={offset} conv=notrunc 2>/dev/null",
            synced(paths.root),
            f"[ \"$({written} | od -An -v -tx1 | tr -d ' \\n')\" = {append.data.hex()} ] || exit {MISWRITTEN}",
        ],
        undo="only the copy is changed",
    )


def rename_part(paths: RunPaths, source: str, target: str) -> Action:
    """Give a part of the run's directory the name that says how far it is."""
    old, new = quote(paths.at(source)), quote(paths.at(target))
    return Action.of(
        f"{source}-to-{target}",
        [
            f"[ ! -e {new} ] || {{ [ ! -e {old} ] && exit 0 || exit {OCCUPIED}; }}",
            f"mv {old} {new}",
            synced(paths.root),
        ],
        undo="only the copy is changed",
    )


def write_proof(paths: RunPaths, proof: Mapping[str, object]) -> Action:
    """Record what the quarantined reset answered."""
    content = json.dumps(proof, sort_keys=True).encode() + b"\n"
    return Action.of(
        "write-proof",
        [write_file(paths.proof, content, 0o600)],
        shown=f"write {paths.proof}",
        undo="nothing to take back",
    )


def adopt(paths: RunPaths, data: str, part: str = "reset") -> Action:
    """Move the proven copy to where the node's etcd looks for its data, its WAL first where that has its own place."""
    source, member = posixpath.join(paths.at(part), "member"), posixpath.join(data, "member")
    # the engine makes a mount's place there where a WAL directory lies in the data directory
    empty = f"rm -rf -- {quote(paths.at(part))}" if paths.wal else f"rmdir {quote(paths.at(part))}"
    return Action.of(
        "adopt",
        [
            f"if [ -e {quote(member)} ]; then [ ! -e {quote(source)} ] || exit {OCCUPIED};"
            f" [ ! -d {quote(paths.at(part))} ] || {empty}; exit 0; fi",
            *wal_dir.same_place(paths),
            *wal_dir.put(paths, part),
            f"mv {quote(source)} {quote(member)}",
            empty,
            synced(data),
        ],
        timeout=limits.MOVE if paths.wal else limits.CHANGE,
        undo=f"mv {quote(member)} to {quote(paths.at('withdrawn'))}, then mv the original back",
    )


def reunite(quiet: Quiet, paths: RunPaths, data: str) -> Action:
    """Before an etcd is started: put a WAL of its own place back beside its data, where an interruption has parted them."""
    lines = wal_dir.reunite(paths, data, quiet(data, paths.wal))
    return Action.of(
        "reunite", lines or [":"], shown="see that the WAL lies with its data", undo="they belong together"
    )


def ensure_data_dir(
    data: str, owner: str | None, mode: str | None, label: str = "", paths: RunPaths | None = None
) -> Action:
    """Make the data directory of a node that has none, with the survivor's owner (`uid:gid`), mode and SELinux label.

    With `paths` that know of a WAL directory of its own that is made, too, where there is none.
    """
    labelled = f" && {{ chcon {quote(label)} {quote(data)} 2>/dev/null || true; }}" if label else ""
    parents = f"(umask 022; mkdir -p {quote(posixpath.dirname(data))})"
    lines = [f"[ -d {quote(data)} ] || {{ {parents}; mkdir {quote(data)}{labelled}; }}"]
    if owner:
        lines.append(f"chown {quote(owner)} {quote(data)}")
    if mode:
        lines.append(f"chmod {quote(mode)} {quote(data)}")
    lines += wal_dir.empty(paths, data) if paths is not None else []
    return Action.of("data-dir", lines, undo="an empty directory stays")


def mark(paths: RunPaths, word: str) -> Action:
    """Mark a run on a node: `finished`, `undone`, or `undoing`, which says that what was finished is being taken back."""
    ended = [f"rm -f {quote(paths.at('undoing'))}"] if word == "finished" else []
    return Action.of(f"mark-{word}", [f": > {quote(paths.at(word))}", *ended, synced(paths.root)])


def put_data_back(quiet: Quiet, paths: RunPaths, data: str) -> Action:
    """Take what the run put in place out again, and move the original back. Renames on one filesystem: never a copy.

    Where the run moved no data, nothing is moved; where there was none, what a join has made since is taken out. Where the
    original lies elsewhere (`--work-dir`), both ways are copies that are compared.
    """
    member, original = posixpath.join(data, "member"), posixpath.join(paths.at("original"), "member")
    there, kept = wal_dir.data_there(paths, member), f"[ -e {quote(original)} ]"
    if paths.wal:
        kept = f"{{ {kept} || [ -d {quote(paths.wal_at('original'))} ]; }}"
    return Action.of(
        "put-data-back",
        [
            *wal_dir.reunite(paths, data, quiet(data, paths.wal)),
            f"if [ -L {quote(paths.at('original'))} ]; then",
            *_put_back_from_elsewhere(quiet, paths, data),
            "  exit 0",
            "fi",
            f"{kept} || [ -e {quote(paths.no_data)} ] || exit 0",
            f"{kept} || {there} || exit 0",
            *quiet(data, paths.wal),
            f"if {there}; then",
            f"  away={quote(paths.at('withdrawn'))}",
            '  while [ -e "$away/member" ]; do away=$away-; done'
            if not paths.wal
            else '  while [ -e "$away" ]; do away=$away-; done',
            '  mkdir -p "$away"; chmod 700 "$away"',
            *(f"  {line}" for line in _all_out(paths, member)),
            f"  {synced(paths.root)}",
            "fi",
            *_proof_aside(paths),
            *_all_back(paths, original, member),
            f"rmdir {quote(paths.at('original'))} 2>/dev/null || true",
            synced(data),
        ],
        timeout=limits.COPY,
    )


def _all_out(paths: RunPaths, member: str) -> list[str]:
    """Lines that move what is in place into `$away`: the WAL first."""
    if not paths.wal:
        return [f'mv {quote(member)} "$away/member"']
    return [
        f'[ -e {quote(member)} ] || : > "$away/{wal_dir.NO_MEMBER}"',
        *wal_dir.out_to_fresh(paths),
        f'[ ! -e {quote(member)} ] || mv {quote(member)} "$away/member"',
    ]


def _all_back(paths: RunPaths, original: str, member: str) -> list[str]:
    """Lines that move the original in place: the WAL last."""
    if not paths.wal:
        return [f"[ -e {quote(original)} ] || exit 0", f"mv {quote(original)} {quote(member)}"]
    alone = quote(posixpath.join(paths.at("original"), wal_dir.NO_MEMBER))
    return [
        f"[ ! -e {quote(original)} ] || mv {quote(original)} {quote(member)}",
        *wal_dir.back(paths, "original"),
        f"rm -f {alone}",
    ]


def _proof_aside(paths: RunPaths) -> list[str]:
    """Lines that set the reset's proof aside: from now on nothing that lies in place is the copy that it is of."""
    proof = quote(paths.proof)
    return [f"if [ -e {proof} ]; then mv -f {proof} {quote(paths.proof + '.undone')}; {synced(paths.root)}; fi"]


def _put_back_from_elsewhere(quiet: Quiet, paths: RunPaths, data: str) -> list[str]:
    """Lines that bring the original back from the work directory; what the run had put in place goes there instead.

    Nothing is removed before what it was copied to has been compared with it, but for copies of ours.
    """
    member, back, gone = posixpath.join(data, "member"), paths.at("back"), paths.at("withdrawn-copied")
    ours = " ".join(quote(paths.at(part)) for part in ("partial", "work", "booted", "reset"))
    size = "$(( $(du -sk {0} | cut -f1) + 1024 ))"
    short = f'echo "$need KiB needed there, $free KiB free" >&2; exit {NO_SPACE}'

    def enough(what: str, where: str) -> list[str]:
        return [
            f"    need={size.format(what)}",
            *(f"    {line}" for line in unless_free(where, '"$need"', short)),
        ]

    return [
        f"  there=$(readlink {quote(paths.at('original'))})",
        '  away=${there%/original}; [ "${away##*/}" = ' + quote(paths.run) + f" ] || exit {NOT_OURS}",
        '  [ -e "$there/member" ] || exit 0',
        *(f"  {line}" for line in quiet(data, paths.wal)),
        f"  rm -rf -- {quote(gone)} {quote(back)}",
        '  t=$away/withdrawn; while [ -e "$t" ]; do t=$t-; done',
        *(f"  {line}" for line in wal_dir.withdraw(paths, "${t##*/}")),
        f'  if [ -e {quote(member)} ] && ! diff -rq "$there/member" {quote(member)} >/dev/null; then',
        '    rm -rf -- "$t.new"',
        *enough(quote(member), '"$away"'),
        '    mkdir "$t.new"; chmod 700 "$t.new"',
        f'    cp -a {quote(member)} "$t.new/member"',
        f'    diff -rq {quote(member)} "$t.new/member" >&2 || exit {DIFFERS}',
        '    sync; mv "$t.new" "$t"; sync',
        f"    mv {quote(member)} {quote(gone)}",
        f"    rm -rf -- {quote(gone)}",
        "  fi",
        f"  rm -rf -- {ours}",
        *(f"  {line}" for line in _proof_aside(paths)),
        f"  if [ ! -e {quote(member)} ]; then",
        *enough('"$there/member"', quote(data)),
        f"    mkdir {quote(back)}; chmod 700 {quote(back)}",
        f'    cp -a "$there/member" {quote(posixpath.join(back, "member"))}',
        f'    diff -rq "$there/member" {quote(posixpath.join(back, "member"))} >&2 || exit {DIFFERS}',
        f"    sync; mv {quote(posixpath.join(back, 'member'))} {quote(member)}; rmdir {quote(back)}",
        "  fi",
        *(f"  {line}" for line in wal_dir.back(paths, "original")),
        f"  mv {quote(paths.at('original'))} {quote(paths.at('original-elsewhere'))}; sync",
    ]


def remove_run(paths: RunPaths) -> Action:
    """Remove a run's directory: all that it kept. `run.json` goes last, so that an interrupted removal can be told."""
    root = quote(paths.root)
    return Action.of(
        "remove-run",
        [
            f"[ -d {root} ] || exit 0",
            *wal_dir.removed(paths),
            f"for link in {quote(paths.at('original'))} {quote(paths.at('original-elsewhere'))}; do",
            '  [ -L "$link" ] || continue',
            '  away=$(readlink "$link"); away=${away%/original}',
            f'  case $away in /*/{quote(paths.run)}) rm -rf -- "$away" ;; esac',
            "done",
            f"find {root} -mindepth 1 -maxdepth 1 ! -name run.json ! -name finished ! -name undone"
            " -exec rm -rf -- {} +",
            f"rm -rf -- {root}",
        ],
        timeout=limits.MOVE,
        undo="it cannot be taken back",
    )


HELD = 75
"""Somebody else holds the node."""


def take_hold(paths: RunPaths, holder: Mapping[str, object], token: str) -> Action:
    """Hold the node for a run, if nobody else does: `mkdir` is the lock."""
    hold = quote(paths.hold)
    return Action.of(
        "take-hold",
        [
            "umask 077",
            f"[ ! -L {quote(paths.keep_root)} ] || exit {NOT_OURS}",
            f"mkdir -p {quote(paths.keep_root)}",
            f'[ "$(stat -c %u {quote(paths.keep_root)})" = "$(id -u)" ] || exit {NOT_OURS}',
            f"if ! said=$(LC_ALL=C mkdir {hold} 2>&1); then",
            '  case $said in *"File exists"*) ;; *) printf "%s\\n" "$said" >&2; exit 1 ;; esac',
            f'  [ "$(cat {quote(paths.token)} 2>/dev/null)" = {quote(token)} ] && exit 0 || exit {HELD}',
            "fi",
            # a hold that could not be written (a full disk) must not look like somebody's
            f"trap {quote(f'rm -rf {hold}')} EXIT",
            write_file(posixpath.join(paths.hold, "holder.json"), json.dumps(holder).encode() + b"\n", 0o600),
            write_file(paths.token, token.encode(), 0o600),
            "trap - EXIT",
        ],
        shown=f"mkdir {hold}",
    )


def break_hold(paths: RunPaths, dead_token: str) -> Action:
    """Take away the hold of a holder that is known to be dead, and only that one."""
    stale = quote(f"{paths.hold}.stale")
    return Action.of(
        "break-hold",
        [
            f"[ -d {quote(paths.hold)} ] || exit 0",
            f'[ "$(cat {quote(paths.token)} 2>/dev/null)" = {quote(dead_token)} ] || exit {HELD}',
            # what the dead holder has begun may run on: its mark stays, and is waited for
            *busy.clear_stale(paths.keep_root, paths.hold),
            f"rm -rf -- {stale}",
            f"mv {quote(paths.hold)} {stale}",
            f"rm -rf -- {stale}",
        ],
    )


def release_hold(paths: RunPaths, token: str) -> Action:
    """Let go of the node, if it is still ours."""
    return Action.of(
        "release-hold",
        [
            f'[ "$(cat {quote(paths.token)} 2>/dev/null)" = {quote(token)} ] || exit 0',
            *busy.clear_stale(paths.keep_root, paths.hold),
            f"rm -rf -- {quote(paths.hold)}",
            f"rmdir {quote(paths.keep_root)} 2>/dev/null || true",
        ],
    )


def still_held() -> Action:
    """Nothing but the guard that stands before every Action: LOST_HOLD where another run has taken the node over."""
    return Action.of("still-held", [":"], timeout=limits.BEAT)


def beat(paths: RunPaths, token: str, count: int) -> Action:
    """Show that the holder lives."""
    target = quote(posixpath.join(paths.hold, "beat"))
    return Action.of(
        "beat",
        [f'[ "$(cat {quote(paths.token)} 2>/dev/null)" = {quote(token)} ] || exit 0', f"echo {count} > {target}"],
        timeout=limits.BEAT,
    )
