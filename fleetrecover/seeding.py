"""How the steps of a reseed are done: the survivor's log is read once, rewritten here for each host, and sent.

The log goes through this machine, since it is rewritten; the database goes from the survivor to each host as it is, and
its SHA-256 is compared there. Nothing counts as made before it was read back from the node by the reader that chose.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from fleetrecover import steps as s
from fleetrecover.commands import actions, probes, snapshots
from fleetrecover.commands import seed as commands
from fleetrecover.commands.paths import RunPaths
from fleetrecover.docker import rewrite
from fleetrecover.errors import CommandFailed, FormatError
from fleetrecover.etcd.log import HardState, Position
from fleetrecover.etcd.seed import Seed, seeded
from fleetrecover.etcd.wal import Log, compare_logs, read_log
from fleetrecover.survey import read_remote_log

if TYPE_CHECKING:
    from fleetrecover.apply import Applier

__all__ = ["Heritage", "adopt", "make", "prove"]


@dataclass(frozen=True)
class Legacy:
    """What everybody gets. `segments` are (name, length in bytes, content up to the end of the log); `snap` (name, content).

    `database` is its path on the survivor, `size` and `sha256` are its.
    """

    log: Log
    segments: tuple[tuple[str, int, bytes], ...]
    snap: tuple[str, bytes] | None
    database: str
    size: int
    sha256: str

    @property
    def lengths(self) -> dict[str, int]:
        """How long each segment's file must be at least."""
        return {name: length for name, length, _ in self.segments}


@dataclass
class Heritage:
    """Reads what everybody gets, once."""

    found: dict[str, Legacy] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, applier: Applier, source: str, kept: RunPaths) -> Legacy:
        """What was moved aside on the survivor. Raises CommandFailed, RemoteError."""
        with self.lock:
            if source not in self.found:
                self.found[source] = _read(applier, source, kept)
            return self.found[source]


def _read(applier: Applier, source: str, kept: RunPaths) -> Legacy:
    member = posixpath.join(kept.at("original"), "member")
    files = {f.path.removeprefix(f"{member}/"): f for f in applier.read(source, probes.member_files(member))}
    reader = applier.reader(source)
    log = read_remote_log(reader, tuple(files.values()))
    contents: list[tuple[str, bytes]] = []
    for name in log.segments:
        data = reader.read(probes.wal_file(posixpath.join(member, "wal", name)))
        # preallocated zeros, and what a crash has torn off, are not held
        end = log.tail.offset if name == log.tail.segment else len(data)
        contents.append((name, data[:end]))
    snap = None
    if log.snap_name:
        snap = (log.snap_name, reader.read(probes.wal_file(posixpath.join(member, "snap", log.snap_name))))
    again = read_log(contents, [snap] if snap else [])
    if (again.last, again.node_id) != (log.last, log.node_id):
        raise CommandFailed(source, "its log is another one at a second look", exit_code=0)
    database = posixpath.join(member, "snap", "db")
    if "snap/db" not in files:
        raise CommandFailed(source, f"there is no database at {database}", exit_code=0)
    size = files["snap/db"].size
    sha256 = applier.read(source, snapshots.digest(database, size, checksum=False)).body
    sizes = {name: files[f"wal/{name}"].size for name in log.segments}
    segments = tuple((name, sizes[name], data) for name, data in contents)
    return Legacy(log, segments, snap, database, size, sha256)


def make(applier: Applier, step: s.SeedData) -> str:
    """Make a host's new data in `partial/`, read it back, and call it `work/`; what is there already and equal is left."""
    legacy = applier.heritage.of(applier, step.source, step.kept)
    if (legacy.log.last, legacy.log.cluster_id) != (step.end, step.seed.cluster_id):
        raise CommandFailed(
            step.source,
            f"its log ends at term {legacy.log.last.term}, index {legacy.log.last.index}; expected {step.end.term}, "
            f"{step.end.index}",
            exit_code=0,
            hint="run the same command again",
        )
    said = f"member {step.seed.node_id:x}, {legacy.size / 1e6:,.1f} MB"
    keep = applier.survey.node(step.node).keep(step.paths.run)
    if keep is not None and keep.work and not keep.booted and not _flaw(applier, step, legacy, "work"):
        return f"{said}, already there"
    if step.owner:
        made = actions.ensure_data_dir(step.data, step.owner, step.mode or None, step.label, step.paths)
        applier.act(step, made)
    _clear(applier, step)
    applier.act(step, commands.begin(step.paths, "partial", ("partial", "work", "booted"), need=step.need))
    _database(applier, step, legacy)
    _log(applier, step, legacy, step.seed, "partial")
    flaw = _flaw(applier, step, legacy, "partial")
    if flaw:
        raise CommandFailed(step.node, f"the new data does not read back: {flaw}", exit_code=0)
    applier.act(step, actions.rename_part(step.paths, "partial", "work"))
    return said


def _clear(applier: Applier, step: s.SeedData | s.ProveSeed | s.AdoptSeed) -> None:
    for action in s.quarantine_removed(step, applier.cli, step.quarantine):
        applier.update(step, action)


def _database(applier: Applier, step: s.SeedData, legacy: Legacy) -> None:
    """The database as it is, from the survivor's host to this one; on the survivor itself a copy."""
    if step.node == step.source:
        applier.act(step, commands.copy_database(step.paths, legacy.database, "partial", legacy.size))
        return
    target = posixpath.join(step.paths.at("partial"), commands.SNAP, "db")
    action = snapshots.receive(target, legacy.size, legacy.sha256, parents=False, replace=True)
    read = commands.send_database(legacy.database, legacy.size)
    applier.relay(step, step.source, read, action, f"database from {step.source} to {step.node}", again=True)


def _log(applier: Applier, step: s.SeedData | s.ProveSeed, legacy: Legacy, seed: Seed, part: str) -> None:
    """The rewritten log, and the snapshot that it begins at."""
    files = [(posixpath.join(commands.SNAP, name), data) for name, data in ([legacy.snap] if legacy.snap else [])]
    parts = ((name, data) for name, _, data in legacy.segments)
    lengths = legacy.lengths
    for path, data in files:
        _push(applier, step, posixpath.join(step.paths.at(part), path), data)
    for name, data in seeded(parts, seed):
        _push(applier, step, posixpath.join(step.paths.at(part), commands.WAL, name), data)
        # zeros are only ever added: a segment may have grown, its member's id being a longer number
        lengths[name] = max(lengths[name], len(data))
    applier.act(step, commands.settle(step.paths, part, step.data, lengths))


def _push(applier: Applier, step: s.Step, path: str, data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    applier.push(
        step, snapshots.receive(path, len(data), sha256, parents=False, replace=True), lambda: io.BytesIO(data)
    )


def _flaw(applier: Applier, step: s.SeedData, legacy: Legacy, part: str) -> str:
    """What is wrong with a host's new data, as it lies on the node; empty where nothing is."""
    member = posixpath.join(step.paths.at(part), "member")
    files = applier.read(step.node, probes.member_files(member))
    try:
        log = read_remote_log(applier.reader(step.node), files)
    except FormatError as error:
        return error.reason
    last = Position(step.seed.term, step.seed.end) if step.seed.removed else legacy.log.last
    wanted = (step.seed.node_id, step.seed.cluster_id, last, HardState(step.seed.term, 0, step.seed.end))
    if (log.node_id, log.cluster_id, log.last, log.hard_state) != wanted:
        return f"it is the log of member {log.node_id:x}, ends at {log.last}, and its state is {log.hard_state}"
    if (log.snap_name, log.segments) != (legacy.log.snap_name, legacy.log.segments):
        return f"it begins at {log.snap_name or 'no snapshot'}, not at {legacy.log.snap_name or 'none'}"
    if compare_logs(legacy.log, log).differ_from is not None:
        return f"its log differs from that of {step.source}"
    if log.configuration.voters != step.voters:
        return f"by its log {_ids(sorted(log.configuration.voters))} vote, not {_ids(sorted(step.voters))}"
    size = next((file.size for file in files if file.path == posixpath.join(member, "snap", "db")), -1)
    if size != legacy.size:
        return f"its database has {size} bytes, not {legacy.size}"
    found = applier.read(step.node, snapshots.digest(posixpath.join(member, "snap", "db"), size, checksum=False))
    return "" if found.body == legacy.sha256 else f"its database differs from that of {step.source}"


def _ids(members: Sequence[int]) -> str:
    return ", ".join(f"{member:x}" for member in members)


def prove(applier: Applier, step: s.ProveSeed) -> str:
    """Boot a copy of the survivor's new data, alone by its log, without network; what it answers is the proof."""
    rewrite.assert_no_force(step.spec)
    rewrite.assert_isolated(step.spec)
    legacy = applier.heritage.of(applier, step.node, step.kept)
    _clear(applier, step)
    applier.act(step, commands.begin(step.paths, "booted", ("booted",), need=step.need))
    applier.act(step, commands.copy_database(step.paths, legacy.database, "booted", legacy.size))
    _log(applier, step, legacy, step.seed, "booted")
    applier.run_container(step, step.container, step.spec)
    proof = replace(applier.interrogate(step), term=step.term, index=step.index)
    applier.act(step, actions.stop_container(applier.cli, step.container))
    applier.remove_ours(step, step.container)
    applier.act(step, commands.throw_away(step.paths, "booted"))
    applier.act(step, actions.write_proof(step.paths, asdict(proof)))
    return f"revision {proof.revision}, hash {proof.hash}, etcd {proof.version}"


def adopt(applier: Applier, step: s.AdoptSeed) -> str:
    """Put a host's new data in place, if it is what it must be; where it is in place already its script does nothing."""
    _clear(applier, step)
    try:
        files = applier.read(step.node, probes.member_files(posixpath.join(step.paths.at("work"), "member")))
    except FormatError:  # it does not lie there: then it must be in place
        applier.read(step.node, probes.member_files(posixpath.join(step.data, "member")))
    else:
        log = read_remote_log(applier.reader(step.node), files)
        found = (log.node_id, log.cluster_id, log.hard_state)
        if found != (step.member_id, step.cluster_id, HardState(step.term, 0, step.index)):
            raise CommandFailed(
                step.node,
                f"what lies ready is the log of member {log.node_id:x}, its state {log.hard_state}; expected member "
                f"{step.member_id:x}, term {step.term}, commit {step.index}",
                exit_code=0,
            )
    applier.act(step, step.adopt())
    return step.data
