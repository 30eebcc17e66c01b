"""What the data says that a run keeps on the nodes: read before anything is done that takes it back, or away for ever."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fleetrecover.commands import evidence, probes
from fleetrecover.errors import InputError, RemoteError
from fleetrecover.facts import Keep, KeptData, NodeFacts, Survey
from fleetrecover.model import Host, Transport
from fleetrecover.remote import fan_out
from fleetrecover.survey import Reader, read_remote_db, read_remote_log


def look_at_kept(survey: Survey, transport: Transport, run: str) -> Survey:
    """The survey, with what the run's kept data says on each node that can be reached; a part that cannot be read says so."""
    wanted = {
        node.name: node
        for node in survey.nodes
        if node.accessible and (keep := node.keep(run)) is not None and keep.kept is None
    }
    if not any(_parts(keep) for node in wanted.values() if (keep := node.keep(run))):
        return _looked(survey, run, dict.fromkeys(wanted, ()))

    def one(host: Host) -> tuple[KeptData, ...]:
        keep = wanted[host.name].keep(run)
        reader = Reader(host, transport)
        return tuple(_read_all(reader, keep)) if keep is not None else ()

    found = fan_out([node.host for node in wanted.values()], one)
    failed = {name: (KeptData("?", problem=e.message),) for name, e in found.items() if isinstance(e, RemoteError)}
    return _looked(survey, run, {name: e for name, e in found.items() if isinstance(e, tuple)} | failed)


def _looked(survey: Survey, run: str, found: dict[str, tuple[KeptData, ...]]) -> Survey:
    def one(node: NodeFacts) -> NodeFacts:
        if node.name not in found:
            return node
        keeps = tuple(replace(keep, kept=found[node.name]) if keep.run == run else keep for keep in node.keeps)
        return replace(node, keeps=keeps)

    return replace(survey, nodes=tuple(one(node) for node in survey.nodes))


def _parts(keep: Keep) -> list[str]:
    """The directories with a `member` that a run may keep, as paths."""
    parts = [posixpath.join(keep.path, part) for part in (*keep.discarded, *keep.withdrawn)]
    if keep.original:
        parts.insert(0, posixpath.join(keep.path, "original"))
    if keep.elsewhere is not None:
        away = posixpath.dirname(keep.elsewhere)
        parts += [posixpath.join(away, part) for part in ("withdrawn", "superseded")]
    return parts


def _read_all(reader: Reader, keep: Keep) -> Iterator[KeptData]:
    for path in _parts(keep):
        member = posixpath.join(path, "member")
        files = reader.read(
            evidence.kept_files(member, posixpath.join(keep.path, f"wal-of-{posixpath.basename(path)}"))
        )
        if files:  # a directory without a file that etcd would read holds nothing
            yield _read(reader, path, member, files)


def _read(reader: Reader, path: str, member: str, files: Sequence[probes.WalFile]) -> KeptData:
    found, problems = KeptData(path), []
    try:
        log = read_remote_log(reader, files)
        found = replace(
            found,
            index=log.last.index,
            commit=log.commit,
            cluster_id=log.cluster_id,
            member_id=log.node_id,
            voters=log.configuration_at_end.voters,
        )
    except InputError as error:
        problems.append(error.message)
    database = next((file for file in files if file.path.endswith("/snap/db")), None)
    try:
        if database is not None:
            found = replace(found, revision=read_remote_db(reader, database).revision)
    except InputError as error:
        problems.append(error.message)
    return replace(found, problem="; ".join(problems) or None)
