"""Take a snapshot from the best member, with or without quorum, and put it on every node that can be reached.

The file is the zip that RKE's own restore accepts. It is checked three times: where etcdctl wrote it, when it has arrived
here, and on every node after it was written.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleetrecover.apply import Events
from fleetrecover.commands import snapshots as commands
from fleetrecover.decide.rights import refuse_without_rights
from fleetrecover.ending import scratch
from fleetrecover.errors import (
    CommandFailed,
    FormatError,
    InputError,
    Refused,
    RemoteError,
    StoppedPartWay,
)
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import fan_out
from fleetrecover.runtime import runtime_of
from fleetrecover.snapshots import archive
from fleetrecover.snapshots.catalogue import State
from fleetrecover.snapshots.rights import refuse_without_snapshots
from fleetrecover.snapshots.transfer import (
    Content,
    Progress,
    fetch,
    look_inside,
    push,
    sha256_of,
    silent,
)
from fleetrecover.survey import Reader, running_container, take_survey


@dataclass(frozen=True)
class Saved:
    """A snapshot that was taken. `placed` says for each node whether it is there, at `path`: "" or the reason why not."""

    name: str
    source: str
    quorum: bool
    content: Content
    size: int
    sha256: str
    placed: Mapping[str, str]
    fetched: Path | None = None
    path: str = ""


def default_name(now: datetime | None = None) -> str:
    """As RKE names one that was asked for."""
    return f"rke_etcd_snapshot_{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def source_of(survey: Survey) -> NodeFacts:
    """The member to take it from: one with quorum behind it, else the one that has applied the most. Raises Refused.

    Never a learner: 3.4's hangs when it is asked for a snapshot.
    """
    asked = [
        node
        for node in survey.nodes
        if node.status is not None and not node.status.is_learner and running_container(survey.fleet, node)
    ]
    if not asked:
        raise Refused(
            "no etcd runs that could be asked for a snapshot; nothing was changed",
            hint="`fleetrecover survey` shows why; to bring the cluster back: `fleetrecover recover`",
        )

    def worth(node: NodeFacts) -> tuple[bool, int, bool]:
        assert node.status is not None
        return (node.healthy, node.status.revision, not node.status.leader)

    return max(asked, key=worth)


def save(
    fleet: Fleet,
    transport: Transport,
    events: Events,
    name: str | None = None,
    *,
    fetch_to: Path | None = None,
    progress: Progress = silent,
) -> Saved:
    """Take one now. Raises Refused before anything was written, StoppedPartWay where a node lacks it in the end."""
    bare = archive.check_name(name or default_name())
    if fetch_to is not None and not fetch_to.is_dir():
        raise InputError(f"--fetch {fetch_to}: there is no such directory")
    survey = take_survey(fleet, transport, logs=False)
    node = source_of(survey)
    refuse_without_rights([node], write=False)
    refuse_without_snapshots(fleet, transport)
    if not node.healthy:
        events.note(f"there is no quorum; what {node.name} has applied is taken, which may lack the last writes")
    with scratch() as directory:
        raw, plain, packed = directory / "raw", directory / "db", directory / f"{bare}.zip"
        take(fleet, transport, node, bare, raw, progress)
        content = look_inside(raw, bare, plain)
        if content.state is not State.WHOLE:
            raise CommandFailed(node.name, f"what etcdctl wrote is {content.state.value}", exit_code=0)
        with raw.open("rb") as source, packed.open("wb") as sink:
            archive.pack(source, sink, bare, content.size)
        check_packed(packed, content, plain)
        size, digest = packed.stat().st_size, sha256_of(packed)
        placed = place(fleet, transport, survey, packed, digest, progress)
        fetched = None
        if fetch_to is not None:
            fetched = fetch_to / packed.name
            shutil.copyfile(packed, fetched)
            fetched.chmod(0o600)
        path = posixpath.join(fleet.etcd.snapshots, packed.name)
    return Saved(bare, node.name, node.healthy, content, size, digest, placed, fetched, path)


def take(fleet: Fleet, transport: Transport, node: NodeFacts, name: str, target: Path, progress: Progress) -> None:
    """Have the node's etcd write a snapshot, bring it here, check it, and remove it there."""
    container = running_container(fleet, node)
    if container is None or node.status is None:
        raise Refused(f"{node.name}: its etcd does not run")
    ctl = runtime_of(fleet, node.host).ctl(container)
    work = posixpath.join(fleet.etcd.snapshots, f".fleetrecover-{name}")
    need = node.status.db_size
    if container.config is not None and container.config.data_dir and container.data_path:
        file = f".fleetrecover-{name}"
        inside, outside = posixpath.join(container.config.data_dir, file), posixpath.join(container.data_path, file)
        action = commands.save_in_data_dir(ctl, inside, outside, work, need=need)
    else:
        action = runtime_of(fleet, node.host).save_by_copy(ctl, f"/tmp/fleetrecover-{name}", work, need=need)
    [result] = transport.batch(node.host, [action.command])
    if not result.ok:
        why = commands.REFUSALS.get(result.exit_code, "")
        said = "; ".join(part for part in (why, result.error_text[-300:]) if part)
        raise CommandFailed(node.name, f"snapshot save: {said}", exit_code=result.exit_code)
    try:
        reader = Reader(node.host, transport)
        found = reader.read(commands.file_size(work))
        if not found:
            raise CommandFailed(node.name, "snapshot save: the file is not there afterwards", exit_code=0)
        digest = reader.read(commands.digest(work, found))
        if not digest.sound:
            raise CommandFailed(node.name, "snapshot save: the file's checksum is wrong on the node", exit_code=0)
        fetch(node.host, transport, work, found, "", target, progress)
    finally:
        transport.batch(node.host, [commands.remove_file(work).command])


def check_packed(packed: Path, content: Content, plain: Path) -> None:
    """Read the zip back. Raises FormatError if it does not hold what was put in."""
    again = look_inside(packed, packed.name, plain, count_keys=False)
    if (again.identity, again.state, again.size) != (content.identity, State.WHOLE, content.size):
        raise FormatError("the zip does not hold what was put in", source=packed.name)


def place(
    fleet: Fleet, transport: Transport, survey: Survey, packed: Path, sha256: str, progress: Progress
) -> dict[str, str]:
    """Put the zip on every node that answers, and check it there. Node → "" or the reason why it is not there."""
    path = posixpath.join(fleet.etcd.snapshots, packed.name)
    size = packed.stat().st_size
    action = commands.receive(path, size, sha256)
    hosts = [node.host for node in survey.nodes if node.reachable]

    def one(host: Host) -> str:
        try:
            push(host, transport, action, packed, progress)
            found = Reader(host, transport).read(commands.digest(path, size, checksum=False))
        except (CommandFailed, FormatError) as error:
            return error.message
        return "" if found.body == sha256 else "it did not read back as it was written"

    done = fan_out(hosts, one)
    placed = {name: value.reason if isinstance(value, RemoteError) else value for name, value in done.items()}
    for node in survey.nodes:
        if not node.reachable:
            placed[node.name] = node.problem.message if node.problem else "not reachable"
    if all(placed.values()):
        told = "; ".join(f"{name}: {why}" for name, why in placed.items())
        raise StoppedPartWay(f"the snapshot could be put on no node: {told}", hint="`--fetch DIR` keeps it here")
    return placed


__all__ = ["Saved", "default_name", "place", "save", "source_of", "take"]
