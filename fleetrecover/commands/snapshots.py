"""PURE: every remote command about snapshots: finding and hashing them, saving, restoring, and the schedule on the nodes.

Names of files come from a node as hexadecimal, since they may hold anything; they go into a script only through `quote`.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetrecover import bounds, limits
from fleetrecover.answers import load_json
from fleetrecover.commands import wal_dir
from fleetrecover.commands.actions import DIFFERS, NAME_TAKEN, NO_SPACE, OCCUPIED
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.environment import WHO
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import join, quote, write_file
from fleetrecover.commands.space import free_kib, unless_free
from fleetrecover.errors import FormatError
from fleetrecover.etcd.snapshot import TRAILER, has_trailer
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Role
from fleetrecover.model import Command, Result

NOT_ON_HOST = 64
"""The etcd container's data directory is not on the host."""
EXISTS = 63
"""A file of that name is there already, with another content."""
MAX_FILES = 2000

_SHA = (
    "sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi"
    " | cut -d' ' -f1; }\n"
)
_SYNC = "sync -f {0} 2>/dev/null || sync"


def _action(
    name: str, lines: Sequence[str], *, timeout: float = limits.CHANGE, undo: str = "", shown: str = ""
) -> Action:
    """As `Action.of`, but with the node's own umask: a schedule's unit is for systemd and cron to read."""
    return Action(
        Command(name, "\n".join(["set -eu", *lines, ""]), timeout=timeout, shown=shown or "\n".join(lines)), undo=undo
    )


# --- looking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SnapshotFile:
    """One file in a node's snapshot directory. `mtime` in seconds since the epoch, `head` its first 128 bytes."""

    path: str
    name: str
    size: int
    mtime: float
    head: bytes
    readable: bool


@dataclass(frozen=True)
class SnapshotDirectory:
    """A node's snapshot directory. `free` in bytes. `symlink`: the path is a symbolic link, or leads through one."""

    real: str
    exists: bool
    free: int
    symlink: bool
    files: tuple[SnapshotFile, ...]
    who: str = ""  # as whom we look
    forbidden: str = ""  # the directory that we may not read, or not look into for it
    unwritable: str = ""  # the directory in which we may not write
    no_engine: str = ""  # what keeps a login that is not root from being it through the container engine


_LISTING = r"""
p=@DIR@
r=$(readlink -f "$p" 2>/dev/null) || r=$p
[ -n "$r" ] || r=$p
echo "real=$r"
[ "$r" = "$p" ] || echo symlink=1
near=$r
while [ ! -d "$near" ]; do near=$(dirname "$near"); done
echo "free=$(@FREE@)"
@WHO@
# what may not be looked into is not what is not there
if [ ! -x "$near" ] || { [ "$near" = "$r" ] && [ ! -r "$r" ]; }; then echo "forbidden=$near"; fi
[ -w "$near" ] || echo "unwritable=$near"
[ -d "$r" ] || exit 0
echo exists=1
n=0
for f in "$r"/*; do
  [ -f "$f" ] || continue
  n=$((n + 1)); [ "$n" -le @MAX@ ] || { echo "more=1"; break; }
  name=$(printf '%s' "${f##*/}" | od -An -v -tx1 | tr -d ' \n')
  head=$(head -c 128 "$f" 2>/dev/null | od -An -v -tx1 | tr -d ' \n')
  ok=1; [ -r "$f" ] || ok=0
  stat -L -c "file=$name %s %Y $ok $head" "$f" || true
done
"""


def listing(directory: str) -> Probe[SnapshotDirectory]:
    """What lies in the snapshot directory; symbolic links are followed."""
    values = {"@DIR@": quote(directory), "@WHO@": WHO, "@MAX@": str(MAX_FILES), "@FREE@": free_kib('"$near"')}
    script = re.sub("|".join(values), lambda mark: values[mark[0]], _LISTING)
    return Probe(Command("snapshot-listing", script, timeout=limits.LISTING), lambda r: parse_listing(r.text))


def parse_listing(text: str) -> SnapshotDirectory:
    """Make sense of `_LISTING`'s lines. Raises FormatError."""
    single: dict[str, str] = {}
    files: list[SnapshotFile] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "file":
            files.append(_file(single.get("real", ""), value))
        else:
            single.setdefault(key, value)
    real = single.get("real", "")
    if not real.startswith("/"):
        raise FormatError(f"the node gave {real!r} for the snapshot directory", source="snapshot listing")
    return SnapshotDirectory(
        real,
        "exists" in single,
        int(single.get("free") or 0) * 1024,
        "symlink" in single,
        tuple(files),
        single.get("who", ""),
        single.get("forbidden", ""),
        single.get("unwritable", ""),
        single.get("no-engine", ""),
    )


def _file(real: str, value: str) -> SnapshotFile:
    words = value.split(" ")
    try:
        name = bytes.fromhex(words[0]).decode("utf-8", "surrogateescape")
        head = bytes.fromhex(words[4]) if len(words) > 4 else b""
        size, mtime, ok = int(words[1]), float(words[2]), words[3] == "1"
    except (ValueError, IndexError) as error:
        raise FormatError(f"not a file's line: {value[:80]!r}", source="snapshot listing") from error
    return SnapshotFile(posixpath.join(real, name), name, size, mtime, head, ok)


@dataclass(frozen=True)
class Digest:
    """Hashes in hexadecimal: of the file without its checksum where its size says that it has one, else of all of it.

    `trailer` is the checksum that it has, "" if none; `whole` the hash of the complete file, "" where it was not asked for.
    """

    body: str
    trailer: str

    @property
    def sound(self) -> bool:
        """Whether there is a checksum, and it matches."""
        return bool(self.trailer) and self.trailer == self.body


def digest(path: str, size: int, *, checksum: bool = True) -> Probe[Digest]:
    """Hash a file on the node. With `checksum`, a size that leaves room for one means that the last 32 bytes are it."""
    trailing = checksum and has_trailer(size)
    body = f"head -c {size - TRAILER} {quote(path)} | sha" if trailing else f"sha < {quote(path)}"
    trailer = f"tail -c {TRAILER} {quote(path)} | od -An -v -tx1 | tr -d ' \\n'" if trailing else "printf ''"
    same = f'[ "$(stat -L -c %s {quote(path)})" = {size} ] || {{ echo "its size changed" >&2; exit 1; }}'
    script = f"{_SHA}{same}\n{body}\n{trailer}; echo\n"

    def parse(result: Result) -> Digest:
        lines = (result.text + "\n").splitlines()
        if not lines or len(lines[0]) != 64:
            raise FormatError(f"no hash came: {result.error_text[-200:]}", source=path)
        return Digest(lines[0].strip(), lines[1].strip() if len(lines) > 1 else "")

    return Probe(Command("snapshot-digest", script, timeout=limits.for_bytes(size)), parse)


def file_size(path: str) -> Probe[int]:
    """The size of a file, bytes; 0 where there is none."""
    script = f"stat -L -c %s {quote(path)} 2>/dev/null || echo 0\n"
    return Probe(Command("file-size", script, timeout=limits.PEEK), lambda r: int(r.text.strip() or 0))


def fetch(path: str, size: int) -> Command:
    """Stream a file to standard output."""
    shown = f"cat {quote(path)}"
    most = size + bounds.MIB  # one that grows meanwhile is told by its size
    return Command("snapshot-fetch", f"{shown}\n", timeout=limits.for_bytes(size, limits.RUN), shown=shown, most=most)


def last_written(member: str, wal: str = "") -> Probe[float | None]:
    """When etcd last wrote to that `member` directory (and `wal`, if the WAL lies there): the youngest of its files, seconds
    since the epoch."""
    segments = f"{quote(wal)}/*.wal" if wal else "wal/*.wal"
    script = (
        f"cd {quote(member)} 2>/dev/null || exit 0\n"
        f"for f in {segments} snap/db; do"
        ' [ -f "$f" ] && stat -c %Y "$f"; done | sort -n | tail -n 1\n'
    )
    return Probe(
        Command("last-written", script, timeout=limits.PEEK), lambda r: float(r.text) if r.text.strip() else None
    )


# --- saving ----------------------------------------------------------------------------------------------------------


def save_in_data_dir(ctl: Etcdctl, inside: str, on_host: str, work: str, *, need: int) -> Action:
    """Have etcdctl in the container write a snapshot into etcd's own data directory, and move it to `work` on the host.

    RKE's container sees only its data directory and /etc/kubernetes. `inside` and `on_host` are the same file; etcd
    leaves what it does not know in its directory alone. `need` is the database's size: it is there twice for a moment.
    """
    save = join(ctl.words(["snapshot", "save", inside], timeout=_seconds(need), json=False))
    return _save(
        f"timeout -k 5 {_seconds(need)} {save} >/dev/null", on_host, work, need=need, source=f"mv {quote(on_host)}"
    )


def save_by_copy(cli: str, ctl: Etcdctl, inside: str, work: str, *, need: int) -> Action:
    """The same for a container whose data directory is not on the host: the file comes out with `CLI cp`."""
    save = join(ctl.words(["snapshot", "save", inside], timeout=_seconds(need), json=False))
    copy = f"{quote(cli)} cp {quote(f'{ctl.container}:{inside}')}"
    return _save(f"timeout -k 5 {_seconds(need)} {save} >/dev/null", "", work, need=need, source=copy)


def _seconds(need: int) -> int:
    return int(limits.for_bytes(need))


def _save(save: str, leftover: str, work: str, *, need: int, source: str) -> Action:
    need_kib = 2 * need // 1024 + 4096
    part = quote(work + ".part")
    clean = f'left={quote(leftover)}; trap \'rm -f "$left" "$left.part"\' EXIT' if leftover else ":"
    lines = [
        "umask 077",
        f"mkdir -p {quote(posixpath.dirname(work))}",
        f"for d in {quote(posixpath.dirname(work))} {quote(posixpath.dirname(leftover)) if leftover else ''}; do",
        *unless_free('"$d"', str(need_kib), f'echo "{need_kib} KiB needed in $d, $free KiB free" >&2; exit {NO_SPACE}'),
        "done",
        clean,
        save,
        f"{source} {part}",
        f"chmod 600 {part}",
        _SYNC.format(part),
        f"mv {part} {quote(work)}",
    ]
    return _action(
        "snapshot-save", lines, timeout=2 * limits.for_bytes(need, limits.CONTAINER), undo="the file is removed"
    )


def remove_file(path: str) -> Action:
    """Remove one file of ours."""
    return _action("remove-file", [f"rm -f -- {quote(path)} {quote(path + '.part')}"], undo="it was ours")


def receive(path: str, size: int, sha256: str, *, parents: bool = True, replace: bool = False) -> Action:
    """Write what comes on standard input to `path`: whole, with that hash, or not at all.

    A file of that name with another content is not overwritten, unless `replace`.
    """
    part = quote(path + ".part")
    taken = [
        f'if [ -e {quote(path)} ]; then cat >/dev/null; [ "$(sha < {quote(path)})" = {sha256} ] && exit 0 || exit {EXISTS}; fi'
    ]
    lines = [
        _SHA.strip(),
        "umask 077",
        *([f"mkdir -p {quote(posixpath.dirname(path))}"] if parents else []),
        *([] if replace else taken),
        *unless_free(
            quote(posixpath.dirname(path)),
            str(size // 1024 + 1024),
            f'echo "{size // 1024 + 1024} KiB needed, $free KiB free" >&2; exit {NO_SPACE}',
        ),
        f"part={part}; trap 'rm -f \"$part\"' EXIT",
        f"cat > {part}",
        f'[ "$(stat -c %s {part})" = {size} ] || {{ echo "$(stat -c %s {part}) of {size} bytes came" >&2; exit {DIFFERS}; }}',
        _SYNC.format(part),
        f'[ "$(sha < {part})" = {sha256} ] || exit {DIFFERS}',
        f"mv {part} {quote(path)}",
        _SYNC.format(quote(path)),
    ]
    return _action(
        "snapshot-receive",
        lines,
        timeout=2 * limits.for_bytes(size, limits.RUN),
        shown=f"write {path}, {size} bytes, sha256 {sha256}",
        undo=f"rm {path}",
    )


# --- restoring: the tool ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tool:
    """What an image restores with: `etcdutl` or `etcdctl`, and whether it can raise the revision. `version` is etcd's."""

    name: str
    bumps: bool
    version: str = ""


def _tool_run(cli: str, image: str, *words: str, options: Sequence[str] = ()) -> str:
    fixed = ("run", "--rm", "--network=none", "--security-opt=label=disable", "-e", "ETCDCTL_API=3")
    entry = ("--entrypoint", words[0], image, *words[1:])
    return join((cli, *fixed, *options, *entry))


def restore_tool(cli: str, image: str) -> Probe[Tool]:
    """Ask the image what it restores with and which etcd it is, in containers without network that are gone afterwards.

    `etcdutl` from 3.5 on, and only that from 3.6; `--bump-revision` from 3.4.27 and 3.5.10.
    """
    lines = [
        f"if text=$({_tool_run(cli, image, tool, 'snapshot', 'restore', '--help')} 2>&1) &&"
        ' case "$text" in *--data-dir*) true;; *) false;; esac; then\n'
        f'  echo tool={tool}; case "$text" in *--bump-revision*) echo bumps=1;; esac; exit 0\nfi'
        for tool in ("etcdutl", "etcdctl")
    ]
    version = (
        f"{_tool_run(cli, image, 'etcd', '--version')} 2>/dev/null | sed -n 's/^etcd Version: */version=/p' || true"
    )
    script = "\n".join([version, *lines, 'echo "$text" >&2; exit 1', ""])

    def parse(result: Result) -> Tool:
        found = dict(line.partition("=")[::2] for line in result.text.splitlines())
        if found.get("tool") not in ("etcdutl", "etcdctl"):
            raise FormatError("the image has neither etcdutl nor etcdctl that can restore", source=image)
        return Tool(found["tool"], "bumps" in found, found.get("version", "").strip())

    return Probe(Command("restore-tool", script, timeout=limits.TOOL), parse)


@dataclass(frozen=True)
class Identity:
    """What a restored member is told of itself and the others. `cluster` is name → peer URLs."""

    name: str
    peer_urls: tuple[str, ...]
    cluster: tuple[tuple[str, tuple[str, ...]], ...]
    token: str

    def options(self) -> tuple[str, ...]:
        """The words for `snapshot restore`."""
        listed = ",".join(f"{name}={url}" for name, urls in self.cluster for url in urls)
        return (
            f"--name={self.name}",
            f"--initial-cluster={listed}",
            f"--initial-cluster-token={self.token}",
            f"--initial-advertise-peer-urls={','.join(self.peer_urls)}",
        )


def restore_into(
    cli: str,
    image: str,
    tool: Tool,
    paths: RunPaths,
    part: str,
    identity: Identity,
    *,
    size: int,
    bump: int,
    owner: str,
) -> Action:
    """Restore K/RUN/snapshot.db into K/RUN/PART, in a container without network. Nothing that serves is touched.

    What an interrupted attempt left is removed first; PART stands only when the restore has ended well.
    """
    snapshot, target, work = paths.at("snapshot.db"), paths.at(part), paths.at(part + ".partial")
    words = (
        tool.name,
        "snapshot",
        "restore",
        "/run-of-ours/snapshot.db",
        f"--data-dir=/run-of-ours/{part}.partial",
        *identity.options(),
        *((f"--bump-revision={bump}", "--mark-compacted") if bump else ()),
    )
    need_kib = size // 1024 + 70 * 1024
    return _action(
        f"restore-{part}",
        [
            f"[ ! -d {quote(posixpath.join(target, 'member'))} ] || exit 0",
            f"rm -rf -- {quote(work)} {quote(target)}",
            *unless_free(
                quote(paths.root), str(need_kib), f'echo "{need_kib} KiB needed, $free KiB free" >&2; exit {NO_SPACE}'
            ),
            f"[ -s {quote(snapshot)} ]",
            _tool_run(cli, image, *words, options=("--user", "0:0", "-v", f"{paths.root}:/run-of-ours"))
            + " >/dev/null",
            f"[ -s {quote(posixpath.join(work, 'member', 'snap', 'db'))} ]",
            *([f"chown -R {quote(owner)} {quote(work)}"] if owner else []),
            f"chmod 700 {quote(work)}",
            _SYNC.format(quote(work)),
            f"mv {quote(work)} {quote(target)}",
            _SYNC.format(quote(paths.root)),
        ],
        timeout=2 * limits.for_bytes(size, limits.RUN),
        undo=f"rm -rf {target} (made from the snapshot)",
    )


def boot_proof(cli: str, image: str, paths: RunPaths, container: str, environment: Sequence[str]) -> Action:
    """Boot the restored trial data in a container without network and without restart policy."""
    labels = {RUN_LABEL: paths.run, ROLE_LABEL: Role.QUARANTINE.value}
    words = [
        cli,
        "run",
        "--detach",
        f"--name={container}",
        "--network=none",
        "--restart=no",
        "--security-opt=label=disable",
        "--user=0:0",
        *(f"--label={key}={value}" for key, value in labels.items()),
        *(f"--env={entry}" for entry in environment),
        "-v",
        f"{paths.at('trial')}:/trial",
        "--entrypoint",
        "etcd",
        image,
        "--name=trial",
        "--data-dir=/trial",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=trial=http://127.0.0.1:2380",
        "--heartbeat-interval=20",
        "--election-timeout=200",
    ]
    return _action(
        "boot-trial", [f"{join(words)} >/dev/null"], timeout=limits.CONTAINER, undo="the container is removed"
    )


def remove_part(paths: RunPaths, *parts: str) -> Action:
    """Remove what was made from the snapshot only to look at it."""
    return _action(
        "remove-part",
        [f"rm -rf -- {quote(paths.at(part))}" for part in parts],
        timeout=limits.REMOVE,
        undo="made again",
    )


def write_note(paths: RunPaths, name: str, value: Mapping[str, object]) -> Action:
    """Write a small JSON file of the run beside `run.json`."""
    content = json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"
    return _action(
        f"write-{name}", [write_file(paths.at(name), content, 0o600)], shown=f"write {paths.at(name)}", undo="a record"
    )


@dataclass(frozen=True)
class RestoreState:
    """How far a restore is on a node: `note` is its restore.json, `parts` what stands in the run's directory.

    `stopped` names the containers, other than etcd's, that the run has stopped; `trial` is what the trial boot answered.
    """

    note: Mapping[str, Any] | None = None
    parts: frozenset[str] = frozenset()
    stopped: tuple[str, ...] = ()
    trial: Mapping[str, Any] | None = None

    @property
    def restored(self) -> bool:
        """Whether the snapshot has been restored here, and is not in place yet."""
        return "restored" in self.parts

    @property
    def adopted(self) -> bool:
        """Whether the restored data is in place."""
        return "adopted" in self.parts


def restore_state(paths: RunPaths) -> Probe[RestoreState]:
    """What a run of ours has put on a node so far."""
    tests = "".join(f"[ ! -e {quote(paths.at(part))} ] || echo part={part}\n" for part in ("snapshot.db", "adopted"))
    tests += "".join(
        f"[ ! -d {quote(paths.at(part))}/member ] || echo part={part}\n" for part in ("restored", "trial", "original")
    )
    tests += f"[ ! -e {quote(paths.at('original'))}/{wal_dir.NO_MEMBER} ] || echo part=original\n"
    note, stopped = quote(paths.at("restore.json")), quote(paths.at("stopped"))
    trial = quote(paths.at("trial.json"))
    script = (
        f"{tests}[ ! -f {note} ] || {{ printf 'note='; tr -d '\\n' < {note}; echo; }}\n"
        f"[ ! -f {trial} ] || {{ printf 'trial='; tr -d '\\n' < {trial}; echo; }}\n"
        f"[ ! -f {stopped} ] || sed 's/^/stopped=/' {stopped}\n"
    )

    def parse(result: Result) -> RestoreState:
        found: dict[str, Mapping[str, Any]] = {}
        parts, stopped = set(), []
        for line in result.text.splitlines():
            key, _, value = line.partition("=")
            if key == "part":
                parts.add(value)
            elif key == "stopped":
                stopped.append(value)
            elif key in ("note", "trial"):
                found[key] = _object(value)
        return RestoreState(found.get("note"), frozenset(parts), tuple(stopped), found.get("trial"))

    return Probe(Command("restore-state", script, timeout=limits.PEEK), parse)


def _object(text: str) -> Mapping[str, Any]:
    value = load_json(text, "restore.json")
    if not isinstance(value, dict):
        raise FormatError("not a JSON object", source="restore.json")
    return value


def adopt_restored(paths: RunPaths, data: str) -> Action:
    """Move the restored data to where etcd looks for it. What was there has been moved aside before."""
    source, member = posixpath.join(paths.at("restored"), "member"), posixpath.join(data, "member")
    return _action(
        "adopt-restored",
        [
            f"[ ! -e {quote(paths.at('adopted'))} ] || exit 0",
            f"if [ -e {quote(member)} ]; then [ ! -e {quote(source)} ] || exit {OCCUPIED}; else",
            *(f"  {line}" for line in wal_dir.put(paths, "restored")),
            f"  mv {quote(source)} {quote(member)}",
            "fi",
            f"rmdir {quote(paths.at('restored'))} 2>/dev/null || true",
            f": > {quote(paths.at('adopted'))}",
            _SYNC.format(quote(data)),
        ],
        undo=f"mv {quote(member)} away, then the original back",
    )


# --- the containers around etcd ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Neighbour:
    """A container that is not etcd's but lives by it. `started` in ISO 8601; `restarts` counts its restarts."""

    name: str
    id: str
    state: str
    policy: str
    started: str
    restarts: int

    @property
    def running(self) -> bool:
        """Whether it runs, or would by itself in a moment."""
        return self.state in ("running", "restarting", "paused")

    def stayed_since(self, before: Neighbour | None) -> bool:
        """Whether it runs, and has not been started anew since that earlier look."""
        return self.state == "running" and (before is None or before.started == self.started)


def neighbours(cli: str, names: Sequence[str]) -> Probe[tuple[Neighbour, ...]]:
    """Those of the named containers that exist, in the order of the names."""
    template = (
        "{{.Name}} {{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.State.StartedAt}} {{.RestartCount}}"
    )
    script = "".join(
        f"{quote(cli)} inspect --type container -f {quote(template)} {quote(name)} 2>/dev/null || true\n"
        for name in names
    )

    def parse(result: Result) -> tuple[Neighbour, ...]:
        found = []
        for line in result.text.splitlines():
            words = line.strip().split()
            if len(words) >= 5:
                policy = words[3] if len(words) == 6 else "no"
                found.append(Neighbour(words[0].lstrip("/"), words[1], words[2], policy, words[-2], int(words[-1])))
        return tuple(found)

    return Probe(Command("neighbours", script or "true\n", timeout=limits.LISTING), parse)


def stop_neighbours(cli: str, paths: RunPaths, names: Sequence[str]) -> Action:
    """Stop containers that live by etcd, in order, and note down which of them ran, before the first is stopped.

    `CLI stop` keeps the restart policy: a container that was stopped so starts again after a reboot, which is right.
    """
    target = quote(paths.at("stopped"))
    lines = ["umask 077", f"touch {target}"]
    for name in names:
        state = f"$({quote(cli)} inspect --type container -f '{{{{.State.Running}}}}' {quote(name)} 2>/dev/null || echo gone)"
        lines += [
            f'if [ "{state}" = true ]; then',
            f"  grep -qxF {quote(name)} {target} || {{ echo {quote(name)} >> {target}; {_SYNC.format(target)}; }}",
            f"  {quote(cli)} stop -t 15 {quote(name)} >/dev/null",
            "fi",
        ]
    return _action(
        "stop-neighbours",
        lines,
        timeout=limits.NEIGHBOUR + limits.NEIGHBOUR * len(names),
        undo=f"{cli} start {' '.join(names)}",
    )


def start_neighbours(cli: str, names: Sequence[str]) -> Action:
    """Start them again, one after another."""
    lines = [f"{quote(cli)} start {quote(name)} >/dev/null" for name in names]
    return _action(
        "start-neighbours",
        lines or [":"],
        timeout=limits.NEIGHBOUR + limits.NEIGHBOUR * len(names),
        undo="they are stopped again",
    )


# --- the schedule ------------------------------------------------------------------------------------------------------

UNIT = "fleetrecover-snapshot"
_BORN = '$(sed -e "s/.*) //" "/proc/${other%%-*}/stat" 2>/dev/null | cut -d" " -f20)'
_LOOP_LIVES = f'[ -n "$other" ] && [ "{_BORN}" = "${{other##*-}}" ]'
SYSTEMD, CRON, LOOP = "systemd", "cron", "loop"


@dataclass(frozen=True)
class SchedulePaths:
    """Where the schedule lies on a node: beside the snapshot directory, since /usr is read-only on some systems."""

    snapshots: str

    @property
    def home(self) -> str:
        """The directory of script and state."""
        return posixpath.join(posixpath.dirname(self.snapshots.rstrip("/")), "fleetrecover")

    @property
    def script(self) -> str:
        """The script that saves and prunes."""
        return posixpath.join(self.home, "snapshot.sh")

    @property
    def state(self) -> str:
        """What came of the last time: lines of `key=value`."""
        return posixpath.join(self.home, "state")

    @property
    def pid(self) -> str:
        """The number and start time of the loop's process, where there is neither systemd nor cron."""
        return posixpath.join(self.home, "loop.pid")


def scheduler(cli: str) -> Probe[str]:
    """What the node has to run something regularly: `systemd`, `cron`, else `loop`."""
    script = (
        "if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then\n"
        '  case "$(systemctl is-system-running 2>/dev/null)" in\n'
        "    running|degraded|starting|initializing|maintenance) echo systemd; exit 0;;\n  esac\nfi\n"
        "if [ -d /etc/cron.d ]; then\n  for p in /proc/[0-9]*/comm; do\n"
        '    read -r c < "$p" 2>/dev/null || continue\n'
        '    case "$c" in cron|crond) echo cron; exit 0;; esac\n  done\nfi\necho loop\n'
    )
    return Probe(Command("scheduler", script, timeout=limits.PEEK), lambda r: r.text.strip() or LOOP)


_SCRIPT = (
    r"""#!/bin/sh
# Written by fleetrecover; changes are lost. Takes a snapshot of this node's etcd and keeps the newest ones.
# What it never does: remove a snapshot unless a new one has just been written and checked and the cluster has quorum;
# remove a snapshot that it did not write itself; remove the one that it has just written, whatever the clock did.
umask 077
cli=@CLI@; container=@CONTAINER@; every=@EVERY@; keep=@KEEP@; for=@FOR@
dir=@DIR@; home=@HOME@; inside=@INSIDE@; onhost=@ONHOST@; prefix=@PREFIX@
state=$home/state; lock=$home/lock
LC_ALL=C; export LC_ALL
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
sha() { if command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d' ' -f1; }
born() { sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
value() { sed -n "s/^$1=//p" "$state" 2>/dev/null | head -n 1; }
ctl() { "$cli" exec @ENVIRONMENT@ "$container" etcdctl "$@"; }

note() { # outcome, message: what `fleetrecover snapshot status` shows
  good=$(value good); name=$(value name); count=$(value failures); failures=$((${count:-0} + 1))
  if [ "$1" = saved ]; then good=$now; name=$file; failures=0; fi
  printf 'last=%s\noutcome=%s\nmessage=%s\ngood=%s\nname=%s\nfailures=%s\n' \
    "$now" "$1" "$2" "$good" "$name" "$failures" > "$state.new" && mv "$state.new" "$state"
}
fail() { note failed "$1"; echo "fleetrecover snapshot: $1; nothing was removed" >&2; exit 1; }

whole() { # the last 32 bytes are the SHA-256 of all before
  size=$(stat -c %s "$1") || return 1
  [ "$((size % 512))" -eq 32 ] || return 1
  [ "$(head -c $((size - 32)) "$1" | sha)" = "$(tail -c 32 "$1" | od -An -v -tx1 | tr -d ' \n')" ]
}

once() {
  now=$(date +%s)
  last=$(value last)
  if [ "$1" = due ] && [ -n "$last" ] && [ $((now - last)) -lt "$every" ] && [ "$last" -le "$now" ]; then exit 0; fi
  if ! mkdir "$lock" 2>/dev/null; then
    other=$(cat "$lock/pid" 2>/dev/null)
    if [ -n "$other" ] && [ "$(born "${other%%-*}")" = "${other##*-}" ]; then exit 0; fi
    rm -rf "$lock"; mkdir "$lock" 2>/dev/null || exit 0
  fi
  echo "$$-$(born $$)" > "$lock/pid"
  trap 'rm -rf "$lock"; rm -f "$onhost" "$onhost.part" "$dir/.$prefix.part"' EXIT
  file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  tries=0
  while [ -e "$dir/$file" ]; do # an older one has that name: a clock that went back has come to that second again
    tries=$((tries + 1)); [ "$tries" -le 5 ] || fail "there is a snapshot called $file already: the clock stands still"
    sleep 1; file=$prefix$(date -u +%Y-%m-%dT%H:%M:%SZ)
  done
  ctl --command-timeout=10s endpoint health >/dev/null 2>"$home/said" \
    || fail "no quorum: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  size=$(stat -c %s "${onhost%/*}/member/snap/db" 2>/dev/null || echo 0)
  for d in "$dir" "${onhost%/*}"; do
    free=$("""
    + free_kib('"$d"')
    + r""")
    [ "${free:-0}" -gt $((size / 512 + 4096)) ] || fail "only $free KiB free in $d"
  done
  ctl snapshot save "$inside" >/dev/null 2>"$home/said" || fail "etcdctl: $(tail -c 200 "$home/said" | tr '\n' ' ')"
  whole "$onhost" || fail "what etcdctl wrote has a wrong checksum"
  mv "$onhost" "$dir/.$prefix.part" && chmod 600 "$dir/.$prefix.part" || fail "cannot write to $dir"
  sync
  whole "$dir/.$prefix.part" || fail "it did not read back as it was written"
  mv "$dir/.$prefix.part" "$dir/$file" || fail "cannot write to $dir"
  sync
  note saved "$(stat -c %s "$dir/$file") bytes"
  prune
}

others() { # ours but for the new one, the newest first; a name or a time that is yet to come was given by a wrong clock: oldest
  ls -1 "$dir" | grep -E "^${prefix}[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\$" | while read -r f; do
    [ "$f" != "$file" ] || continue
    at=$(stat -c %Y "$dir/$f" 2>/dev/null) || continue
    rank=1
    if [ "$at" -gt "$((now + 1))" ] || [ "$(printf '%s\n%s\n' "$f" "$file" | sort | tail -n 1)" = "$f" ]; then rank=0; fi
    echo "$rank $f $at"
  done | sort -r
}

prune() { # only ever after a good one, which counts as the first
  n=1
  # after a jump of the clock no age means anything: then only the number counts, until the next time
  if [ -n "$last" ] && { [ "$last" -gt "$now" ] || [ "$((now - last))" -gt "$((for + every))" ]; }; then for=0; fi
  others | while read -r rank f at; do
    n=$((n + 1))
    age=$((now - at))
    if [ "$n" -gt "$keep" ] || { [ "$for" -gt 0 ] && [ "$age" -gt "$for" ]; }; then rm -f -- "$dir/$f"; fi
  done
}

case "${1:-now}" in
  due) once due ;;
  loop) while :; do sh "$0" due; sleep @TICK@; done ;;
  *) once now ;;
esac
"""
)

PREFIX = "fleetrecover-r_"
"""Names of scheduled snapshots begin so: retention touches no others. A time in RFC 3339 follows."""


@dataclass(frozen=True)
class Schedule:
    """What is wanted: seconds between two, how many to keep, and for how many seconds (0: no limit)."""

    every: int
    keep: int
    keep_for: int = 0


def schedule_script(
    cli: str, ctl: Etcdctl, container: str, inside: str, on_host: str, paths: SchedulePaths, wanted: Schedule
) -> str:
    """The script that runs on the node. `inside` and `on_host` name the same file in etcd's data directory."""
    files = ctl.tls or ("", "", "")
    environment = [f"ETCDCTL_ENDPOINTS={ctl.endpoint}", "ETCDCTL_API=3"]
    environment += [f"ETCDCTL_{name}={path}" for name, path in zip(("CACERT", "CERT", "KEY"), files, strict=True)]
    values = {
        "@CLI@": quote(cli),
        "@CONTAINER@": quote(container),
        "@EVERY@": str(wanted.every),
        "@KEEP@": str(wanted.keep),
        "@FOR@": str(wanted.keep_for),
        "@DIR@": quote(paths.snapshots),
        "@HOME@": quote(paths.home),
        "@INSIDE@": quote(inside),
        "@ONHOST@": quote(on_host),
        "@PREFIX@": quote(PREFIX),
        "@ENVIRONMENT@": join([word for entry in environment for word in ("-e", entry)]),
        "@TICK@": str(max(1, min(60, wanted.every))),
    }
    # all at once: a value may hold what looks like another mark
    return re.sub("|".join(values), lambda mark: values[mark[0]], _SCRIPT)


def systemd_units(paths: SchedulePaths, tick: int) -> Mapping[str, str]:
    """The unit files: path → text. `tick` is the interval in seconds; a minute at the most lies between two looks."""
    script = '"' + re.sub(r'([\\"])', r"\\\1", paths.script).replace("%", "%%").replace("$", "$$") + '"'
    plain = re.fullmatch(r"[A-Za-z0-9/._-]+", paths.script)
    service = f"[Service]\nType=oneshot\nExecStart=/bin/sh {paths.script if plain else script} due\n"
    timer = (
        "[Unit]\nDescription=Snapshots of etcd\n[Timer]\nOnActiveSec=5s\n"
        f"OnUnitInactiveSec={max(1, min(60, tick))}s\nAccuracySec=1s\n[Install]\nWantedBy=timers.target\n"
    )
    return {
        f"/etc/systemd/system/{UNIT}.service": f"[Unit]\nDescription=Snapshot of etcd\n{service}",
        f"/etc/systemd/system/{UNIT}.timer": timer,
    }


def install_schedule(paths: SchedulePaths, script: str, means: str, tick: int) -> Action:
    """Put the script on the node and have it run: every minute it looks whether it is due, which survives any reboot."""
    lines = [
        f"mkdir -p {quote(paths.home)} {quote(paths.snapshots)}",
        f"chmod 700 {quote(paths.home)}",
        write_file(paths.script, script.encode(), 0o700),
        *_remove_means(paths),
    ]
    if means == SYSTEMD:
        lines += [
            *(write_file(path, text.encode(), 0o644) for path, text in systemd_units(paths, tick).items()),
            "systemctl daemon-reload",
            f"systemctl enable --now {UNIT}.timer >/dev/null 2>&1",
            f"systemctl is-active {UNIT}.timer >/dev/null",
        ]
    elif means == CRON:
        script_word = quote(paths.script).replace("%", r"\%")  # cron takes a bare one for the end of the line
        line = f"# Written by fleetrecover\n* * * * * root /bin/sh {script_word} due >/dev/null 2>&1\n"
        lines.append(write_file(f"/etc/cron.d/{UNIT}", line.encode(), 0o644))
    else:
        lines += [
            f"setsid sh {quote(paths.script)} loop </dev/null >/dev/null 2>&1 &",
            f'pid=$!; echo "$pid-$(sed -e "s/.*) //" /proc/$pid/stat | cut -d" " -f20)" > {quote(paths.pid)}',
        ]
    return _action(
        "install-schedule", lines, shown=f"write {paths.script} and have {means} run it", undo="snapshot unschedule"
    )


def _remove_means(paths: SchedulePaths) -> list[str]:
    """Take away whatever ran it before; the script and the snapshots stay."""
    return [
        f"if [ -e /etc/systemd/system/{UNIT}.timer ]; then systemctl disable --now {UNIT}.timer >/dev/null 2>&1 || true;",
        f"  rm -f /etc/systemd/system/{UNIT}.timer /etc/systemd/system/{UNIT}.service; systemctl daemon-reload || true; fi",
        f"rm -f /etc/cron.d/{UNIT}",
        f'other=$(cat {quote(paths.pid)} 2>/dev/null) || other=""',
        f'if {_LOOP_LIVES}; then kill "${{other%%-*}}"; fi',
        f"rm -f {quote(paths.pid)}",
    ]


def remove_schedule(paths: SchedulePaths) -> Action:
    """Take the schedule away. The snapshots stay."""
    lines = [*_remove_means(paths), f"rm -f {quote(paths.script)}"]
    return _action("remove-schedule", lines, undo="snapshot schedule", shown=f"remove {paths.script} and what runs it")


@dataclass(frozen=True)
class ScheduleStatus:
    """A node's schedule. Times in seconds since the epoch; `means` is "" where nothing runs it."""

    installed: bool
    means: str
    every: int
    keep: int
    keep_for: int
    last: float | None
    outcome: str
    message: str
    good: float | None
    name: str
    failures: int
    clock: float


def schedule_status(paths: SchedulePaths) -> Probe[ScheduleStatus]:
    """What is scheduled on a node, and what came of it."""
    script = (
        f"date +clock=%s\ns={quote(paths.script)}\n"
        '[ -f "$s" ] && { echo installed=1; '
        "sed -n 's/^cli=.*every=\\([0-9]*\\); keep=\\([0-9]*\\); for=\\([0-9]*\\).*/every=\\1\\nkeep=\\2\\nfor=\\3/p' \"$s\"; }\n"
        f"[ -e /etc/systemd/system/{UNIT}.timer ] && systemctl is-active {UNIT}.timer >/dev/null 2>&1 && echo means=systemd\n"
        f"[ -e /etc/cron.d/{UNIT} ] && echo means=cron\n"
        f"other=$(cat {quote(paths.pid)} 2>/dev/null)\n"
        f"{_LOOP_LIVES} && echo means=loop\n"
        f"cat {quote(paths.state)} 2>/dev/null; true\n"
    )
    return Probe(Command("schedule-status", script, timeout=limits.PEEK), lambda r: _status(r.text))


def _status(text: str) -> ScheduleStatus:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        found.setdefault(key, value)

    def number(key: str) -> int:
        try:
            return int(found.get(key) or 0)
        except ValueError as error:
            raise FormatError(f"{key}={found[key]!r} is no number", source="schedule") from error

    return ScheduleStatus(
        installed="installed" in found,
        means=found.get("means", ""),
        every=number("every"),
        keep=number("keep"),
        keep_for=number("for"),
        last=number("last") or None,
        outcome=found.get("outcome", ""),
        message=found.get("message", ""),
        good=number("good") or None,
        name=found.get("name", ""),
        failures=number("failures"),
        clock=number("clock"),
    )


def prune_files(paths: Sequence[str]) -> Action:
    """Remove these snapshots, which a catalogue has found to be superfluous."""
    return _action("prune", [f"rm -f -- {quote(path)}" for path in paths] or [":"], undo="they are gone for good")


REFUSALS: Mapping[int, str] = {
    EXISTS: "a file of that name with another content is there already",
    NO_SPACE: "not enough free space",
    DIFFERS: "what arrived is not what was sent",
    OCCUPIED: "there is data where there must be none",
    NAME_TAKEN: "another container has that name",
    NOT_ON_HOST: "its data directory is not on the host",
}
