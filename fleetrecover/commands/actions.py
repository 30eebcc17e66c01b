"""PURE: every write to a node, spelled once.

Each script looks before it acts and can be run again: where the work was already done it does nothing and exits with 0.
A state that it does not expect is refused with one of the exit codes below, and nothing is changed.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence

from fleetrecover import bounds, limits
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
from fleetrecover.commands.shell import copied, octal, quote, write_file
from fleetrecover.commands.space import unless_free
from fleetrecover.etcd.wal import Append
from fleetrecover.model import Command

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

_SYNC = "sync -f {0} 2>/dev/null || sync"


def _sync(path: str) -> str:
    return _SYNC.format(quote(path))


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


def record_containers(cli: str, paths: RunPaths, container_ids: Sequence[str], data: str) -> Action:
    """Save what `inspect` says of the node's etcd containers, and whether there is data, once, before anything is touched."""
    cli = quote(cli)
    target, temporary = quote(paths.containers), quote(paths.containers + ".new")
    ids = " ".join(quote(container) for container in container_ids)
    inspect = f"{cli} inspect --type container {ids}" if container_ids else "echo '[]'"
    return Action.of(
        "record-containers",
        [
            "umask 077",
            f"[ ! -s {target} ] || exit 0",
            f"{inspect} > {temporary}",
            f"if {wal_dir.data_there(paths, posixpath.join(data, 'member'))}; then rm -f {quote(paths.no_data)};"
            f" else : > {quote(paths.no_data)}; fi",
            f"mv {temporary} {target}",
            _sync(paths.root),
        ],
        undo="nothing to take back",
    )


def fence(cli: str, container_id: str, name: str, kept_name: str, *, paused: bool = False) -> Action:
    """Stop an etcd gently, so that it flushes its commit; take its restart policy away; give it another name."""
    cli = quote(cli)
    cid = quote(container_id)
    return Action.of(
        "fence",
        [
            f"{cli} update --restart=no {cid} >/dev/null",
            *([f"{cli} unpause {cid} >/dev/null"] if paused else []),
            f"{cli} stop -t {limits.STOP_GRACE} {cid} >/dev/null",
            f"[ \"$({cli} inspect -f '{{{{.Name}}}}' {cid})\" = {quote('/' + kept_name)} ]"
            f" || {cli} rename {cid} {quote(kept_name)}",
        ],
        timeout=limits.CONTAINER,
        undo=f"{cli} rename {kept_name} {name}, its restart policy put back, started if it ran",
    )


def move_aside(cli: str, paths: RunPaths, data: str, part: str = "original") -> Action:
    """Move the data of a node, whole, into the run's directory. Renames, each on one filesystem: never a copy.

    A WAL directory of its own goes first, beside itself; what an interruption has parted is put together before.
    """
    member, target = posixpath.join(data, "member"), posixpath.join(paths.at(part), "member")
    there = wal_dir.data_there(paths, member)
    alone = [f"[ -e {quote(member)} ] || : > {quote(paths.at(part))}/{wal_dir.NO_MEMBER}"] if paths.wal else []
    return Action.of(
        "keep-data",
        [
            *wal_dir.reunite(paths, data, _refuse_running(cli, data, paths.wal)),
            f"if [ -e {quote(target)} ]; then {{ ! {there}; }} || exit {OCCUPIED}; exit 0; fi",
            f"{there} || exit 0",
            *_refuse_running(cli, data, paths.wal),
            f"mkdir -p {quote(paths.at(part))}",
            f"chmod 700 {quote(paths.at(part))}",
            *alone,
            *wal_dir.out(paths, part),
            f"[ ! -e {quote(member)} ] || mv {quote(member)} {quote(target)}"
            if paths.wal
            else f"mv {quote(member)} {quote(target)}",
            _sync(paths.root),
        ],
        undo=f"mv {quote(target)} {quote(member)}"
        + (f"; mv {quote(paths.wal_at(part))} {quote(paths.wal)}" if paths.wal else ""),
    )


def _refuse_running(cli: str, data: str, wal: str = "") -> list[str]:
    """Lines that exit with STILL_RUNNING if a running container may write below `data`, or `wal` where one is given.

    That is one with a bind on `data`, on something below it, or on a directory above it; symbolic links are followed. A
    bind above counts unless it is read-only or the container is known not to be an etcd: agents of many kinds have a bind
    on the whole host. Where a container cannot be looked at, and runs on, it counts, too.
    """
    cli = quote(cli)
    template = (
        "is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}"
        "{{range .Mounts}}{{println .RW .Source}}{{end}}"
    )
    return [
        f"data=$(readlink -f {quote(data)} 2>/dev/null) || data={quote(data)}",
        *([f"wal={quote(wal)}"] if wal else []),
        f"running=$({cli} ps -q --no-trunc)",
        "for c in $running; do",
        f'  if ! said=$({cli} inspect -f {quote(template)} "$c" 2>/dev/null); then',
        f'    if {cli} ps -q --no-trunc | grep -qxF "$c"; then exit {STILL_RUNNING}; fi',
        "    continue",
        "  fi",
        "  other=0",
        "  case $(printf '%s\\n' \"$said\" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac",
        "  printf '%s\\n' \"$said\" | while read -r rw source; do",
        '    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac',
        '    [ -n "$source" ] || continue',
        '    real=$(readlink -f "$source" 2>/dev/null) || real=$source',
        "    real=${real%/}",
        '    case $real/ in "$data"/*) echo "$c"; break ;; esac',
        *(['    case $real/ in "$wal"/*) echo "$c"; break ;; esac'] if wal else []),
        '    [ "$rw" = true ] && [ "$other" = 0 ] || continue',
        '    case $data/ in "$real"/*) echo "$c"; break ;; esac',
        *(['    case $wal/ in "$real"/*) echo "$c"; break ;; esac'] if wal else []),
        f"  done | grep -q . && exit {STILL_RUNNING} || true",
        "done",
    ]


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


def keep_elsewhere(cli: str, paths: RunPaths, data: str, *, work: str, need: int) -> Action:
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
            *wal_dir.reunite(paths, data, _refuse_running(cli, data, paths.wal)),
            f"[ -L {quote(link)} ] || [ ! -e {quote(link)} ] || exit {OCCUPIED}",
            f"if [ ! -e {quote(member)} ]; then",
            f"  [ -e {quote(link + '/member')} ] || exit 1",
            *(f"  {line}" for line in _wal_into_member(paths, partial)),
            "  exit 0",
            "fi",
            *_refuse_running(cli, data, paths.wal),
            f"mkdir -p {quote(away)}",
            f"chmod 700 {quote(away)}",
            f"[ -L {quote(link)} ] || ln -s {quote(there)} {quote(link)}",
            _sync(paths.root),
            f"if ! [ -e {quote(there)} ] || ! diff -rq {quote(there + '/member')} {quote(member)} >/dev/null; then",
            f"  if [ -e {quote(there)} ]; then n={quote(away + '/superseded')};"
            f' while [ -e "$n" ]; do n=$n-; done; mv {quote(there)} "$n"; fi',
            f"  rm -rf -- {quote(there + '.new')}",
            *(f"  {line}" for line in enough(away, need)),
            f"  mkdir {quote(there + '.new')}",
            f"  cp -a {quote(member)} {quote(there + '.new/member')}",
            f"  {_sync(away)}",
            f"  diff -rq {quote(member)} {quote(there + '.new/member')} >&2 || exit {DIFFERS}",
            # a WAL of its own is moved aside, since that takes no space: with the data, or not yet an original
            *(f"  {line}" for line in wal_dir.out(paths, "original")),
            f"  mv {quote(there + '.new')} {quote(there)}",
            f"  {_sync(away)}",
            "fi",
            f"rm -rf -- {quote(partial)} {quote(paths.at('work'))} {quote(paths.at('booted'))}",
            f"mkdir {quote(partial)}",
            *as_data(data, partial),
            *wal_dir.into_copy(paths, "original", partial),
            f"mv {quote(member)} {quote(posixpath.join(partial, 'member'))}",
            *_wal_into_member(paths, partial),
            _sync(paths.root),
        ],
        timeout=limits.COPY,
        undo=f"it is copied back from {there} and compared",
    )


def _wal_into_member(paths: RunPaths, partial: str) -> list[str]:
    """Lines that make a working copy one piece: the copied WAL beside its `member` goes into it."""
    if not paths.wal:
        return []
    beside, inside = quote(posixpath.join(partial, "wal")), quote(posixpath.join(partial, "member", "wal"))
    return [f"if [ -d {beside} ]; then rm -rf -- {inside}; mv {beside} {inside}; {_sync(paths.root)}; fi"]


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
            _sync(paths.root),
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
            _sync(paths.root),
            f"[ \"$({written} | od -An -v -tx1 | tr -d ' \\n')\" = {append.data.hex()} ] || exit {MISWRITTEN}",
        ],
        undo="only the copy is changed",
    )


def rename_part(paths: RunPaths, source: str, target: str) -> Action:
    """Give a part of the run's directory the name that says how far it is."""
    old, new = quote(paths.at(source)), quote(paths.at(target))
    return Action.of(
        f"{source}-to-{target}",
        [f"[ ! -e {new} ] || {{ [ ! -e {old} ] && exit 0 || exit {OCCUPIED}; }}", f"mv {old} {new}", _sync(paths.root)],
        undo="only the copy is changed",
    )


def run_container(name: str, argv: Sequence[str], env_file: Sequence[str], shown: Sequence[str]) -> Action:
    """Start a container from a complete `docker run` argv whose `--env-file` is /dev/stdin.

    The environment comes through a pipe from the shell's own `printf`, never over a command line or a file.
    `shown` is the argv for a person's eye, secrets masked.
    """
    command = " ".join(quote(word) for word in argv) + " >/dev/null"
    lines = " ".join(quote(line) for line in env_file)
    script = f"printf '%s\\n' {lines} | {command}" if env_file else f"{command} </dev/null"
    visible = " ".join(quote(word) for word in shown)
    return Action(
        Command(name, f"set -eu\n{script}\n", timeout=limits.RUN, shown=visible), undo="the container is removed"
    )


def save_image(cli: str, reference: str) -> Command:
    """Write an image to standard output, as `load` reads it; a read, though a long one."""
    cli = quote(cli)
    return Command("image-save", f"{cli} save {quote(reference)}\n", timeout=limits.IMAGE, most=bounds.IMAGE)


def load_image(cli: str, reference: str, image_id: str) -> Action:
    """Load an image from standard input and see that it can be named as the joiner's command names it."""
    cli = quote(cli)
    tag = [
        f"{cli} inspect --type image {quote(reference)} >/dev/null 2>&1 || {cli} tag {quote(image_id)} {quote(reference)}"
    ]
    return Action.of(
        "image-load",
        [
            f"{cli} load >/dev/null",
            *(tag if image_id and image_id != reference and "@" not in reference else []),
            f"{cli} inspect --type image {quote(reference)} >/dev/null",
        ],
        timeout=limits.IMAGE,
        undo="the image stays",
    )


def remove_container(cli: str, name: str, run_label: str, run: str) -> Action:
    """Stop and remove a container, but only if it carries this run's label."""
    cli = quote(cli)
    template = quote("{{index .Config.Labels " + json.dumps(run_label) + "}}")
    return Action.of(
        "remove-container",
        [
            f"{cli} inspect --type container {quote(name)} >/dev/null 2>&1 || exit 0",
            f'[ "$({cli} inspect --type container -f {template} {quote(name)})" = {quote(run)} ] || exit {NAME_TAKEN}',
            f"{cli} update --restart=no {quote(name)} >/dev/null",
            f"{cli} stop -t {limits.STOP_GRACE} {quote(name)} >/dev/null",
            f"{cli} rm {quote(name)} >/dev/null",
        ],
        timeout=limits.CONTAINER,
        undo="it was ours, and is made again when needed",
    )


def restart_container(cli: str, name: str) -> Action:
    """Stop a container gently and start it again, as it is."""
    return Action.of(
        "restart", [f"{quote(cli)} restart -t {limits.STOP_GRACE} {quote(name)} >/dev/null"], timeout=limits.CONTAINER
    )


def stop_container(cli: str, name: str) -> Action:
    """Stop a container gently, so that etcd flushes its commit."""
    cli = quote(cli)
    return Action.of("stop", [f"{cli} stop -t {limits.STOP_GRACE} {quote(name)} >/dev/null"], timeout=limits.CONTAINER)


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
            _sync(data),
        ],
        timeout=limits.MOVE if paths.wal else limits.CHANGE,
        undo=f"mv {quote(member)} to {quote(paths.at('withdrawn'))}, then mv the original back",
    )


def reunite(cli: str, paths: RunPaths, data: str) -> Action:
    """Before an etcd is started: put a WAL of its own place back beside its data, where an interruption has parted them."""
    lines = wal_dir.reunite(paths, data, _refuse_running(cli, data, paths.wal))
    return Action.of(
        "reunite", lines or [":"], shown="see that the WAL lies with its data", undo="they belong together"
    )


def start_original(cli: str, container_id: str, name: str, restart_policy: str) -> Action:
    """Start a node's own container as it was: its name, its restart policy, its unchanged command."""
    cli = quote(cli)
    cid = quote(container_id)
    name_of = f"{cli} inspect --type container -f '{{{{.Name}}}}' {cid}"
    id_of = f"{cli} inspect --type container -f '{{{{.Id}}}}' {quote(name)} 2>/dev/null || true"
    return Action.of(
        "start",
        [
            f'holder=$({id_of}); [ -z "$holder" ] || [ "$holder" = {cid} ] || exit {NAME_TAKEN}',
            f'[ "$({name_of})" = {quote("/" + name)} ] || {cli} rename {cid} {quote(name)}',
            f"{cli} update --restart={quote(restart_policy)} {cid} >/dev/null",
            # one that crashed again and again waits up to a minute for its next try, and `start` leaves it waiting
            f"if [ \"$({cli} inspect -f '{{{{.State.Restarting}}}}' {cid})\" = true ];"
            f" then {cli} restart -t 30 {cid} >/dev/null; else {cli} start {cid} >/dev/null; fi",
        ],
        timeout=limits.START_REBUILT,
        undo="it is stopped and set aside again",
    )


def give_name_back(cli: str, container_id: str, was: str, name: str) -> Action:
    """Give a container, which may run, its own name, unless another one has it."""
    cid, cli = quote(container_id), quote(cli)
    name_of = f"{cli} inspect --type container -f '{{{{.Name}}}}' {cid}"
    id_of = f"{cli} inspect --type container -f '{{{{.Id}}}}' {quote(name)} 2>/dev/null || true"
    return Action.of(
        "give-name-back",
        [
            f'holder=$({id_of}); [ -z "$holder" ] || [ "$holder" = {cid} ] || exit {NAME_TAKEN}',
            f'[ "$({name_of})" = {quote("/" + name)} ] || {cli} rename {cid} {quote(name)}',
        ],
        undo=f"{cli} rename {quote(name)} {quote(was)}",
    )


def start_existing(cli: str, name: str) -> Action:
    """Start a container that stands stopped; nothing happens if it runs."""
    cli = quote(cli)
    return Action.of("start", [f"{cli} start {quote(name)} >/dev/null"], timeout=limits.CONTAINER)


def set_restart_policy(cli: str, name: str, restart_policy: str) -> Action:
    """Give a container its restart policy."""
    cli = quote(cli)
    return Action.of("restart-policy", [f"{cli} update --restart={quote(restart_policy)} {quote(name)} >/dev/null"])


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
    return Action.of(f"mark-{word}", [f": > {quote(paths.at(word))}", *ended, _sync(paths.root)])


def put_data_back(cli: str, paths: RunPaths, data: str) -> Action:
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
            *wal_dir.reunite(paths, data, _refuse_running(cli, data, paths.wal)),
            f"if [ -L {quote(paths.at('original'))} ]; then",
            *_put_back_from_elsewhere(cli, paths, data),
            "  exit 0",
            "fi",
            f"{kept} || [ -e {quote(paths.no_data)} ] || exit 0",
            f"{kept} || {there} || exit 0",
            *_refuse_running(cli, data, paths.wal),
            f"if {there}; then",
            f"  away={quote(paths.at('withdrawn'))}",
            '  while [ -e "$away/member" ]; do away=$away-; done'
            if not paths.wal
            else '  while [ -e "$away" ]; do away=$away-; done',
            '  mkdir -p "$away"; chmod 700 "$away"',
            *(f"  {line}" for line in _all_out(paths, member)),
            f"  {_sync(paths.root)}",
            "fi",
            *_proof_aside(paths),
            *_all_back(paths, original, member),
            f"rmdir {quote(paths.at('original'))} 2>/dev/null || true",
            _sync(data),
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
    return [f"if [ -e {proof} ]; then mv -f {proof} {quote(paths.proof + '.undone')}; {_sync(paths.root)}; fi"]


def _put_back_from_elsewhere(cli: str, paths: RunPaths, data: str) -> list[str]:
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
        *(f"  {line}" for line in _refuse_running(cli, data, paths.wal)),
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


def put_container_back(cli: str, container_id: str, name: str, restart_policy: str, *, start: bool) -> Action:
    """Give a container the name and restart policy that it had, and start it if it ran."""
    cli = quote(cli)
    cid = quote(container_id)
    name_of = f"{cli} inspect --type container -f '{{{{.Name}}}}' {cid}"
    id_of = f"{cli} inspect --type container -f '{{{{.Id}}}}' {quote(name)} 2>/dev/null || true"
    return Action.of(
        "put-container-back",
        [
            f'holder=$({id_of}); [ -z "$holder" ] || [ "$holder" = {cid} ] || exit {NAME_TAKEN}',
            f'[ "$({name_of})" = {quote("/" + name)} ] || {cli} rename {cid} {quote(name)}',
            f"{cli} update --restart={quote(restart_policy)} {cid} >/dev/null",
            *([f"{cli} start {cid} >/dev/null"] if start else []),
        ],
        timeout=limits.CONTAINER,
    )


def remove_kept_container(cli: str, container_id: str, kept_name: str) -> Action:
    """Remove a container that a run set aside, if it still has that name and does not run."""
    cli = quote(cli)
    cid = quote(container_id)
    template = quote("{{.Name}} {{.State.Running}}")
    return Action.of(
        "remove-kept-container",
        [
            f"{cli} inspect --type container {cid} >/dev/null 2>&1 || exit 0",
            f'[ "$({cli} inspect --type container -f {template} {cid})" = {quote(f"/{kept_name} false")} ]'
            f" || exit {STILL_RUNNING}",
            f"{cli} rm {cid} >/dev/null",
        ],
        undo="it cannot be taken back",
    )


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
