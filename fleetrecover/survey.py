"""Every probe on every node, all nodes at once, read only. A node that does not answer is a row, not an error.

Three rounds on each node: who it is and what containers it has; its data directory and what its etcd says; then the WAL
segments and database pages that are needed to judge its log, and no more.
"""

from __future__ import annotations

import posixpath
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from fleetrecover import bounds, limits
from fleetrecover.answers import understood
from fleetrecover.commands import evidence, managers, probes
from fleetrecover.commands.base import Probe
from fleetrecover.commands.paths import DEFAULT_DATA
from fleetrecover.decide.certificates import read_certificate
from fleetrecover.decide.diagnosis import may_be_electing
from fleetrecover.decide.membership import peer_addresses
from fleetrecover.decide.own import own_of
from fleetrecover.decide.regrown import adopted
from fleetrecover.decide.rights import what_to_add
from fleetrecover.decide.untouchable import FORBIDDEN, IN_CONTAINER
from fleetrecover.errors import FormatError, OddAnswer, RemoteError, TooMuch
from fleetrecover.etcd import bbolt, stores, wal
from fleetrecover.etcd.etcdctl import EndpointStatus
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import (
    Container,
    DataDir,
    EtcdStatus,
    Keep,
    LiveMember,
    NodeFacts,
    Problem,
    Survey,
    settle,
)
from fleetrecover.journal import now
from fleetrecover.model import Fleet, Host, Result, Transport
from fleetrecover.remote import LOOK_POLICY, look_at
from fleetrecover.runtime import Listed, Runtime, runtime_of

T = TypeVar("T")


@dataclass(frozen=True)
class Reader:
    """Reads one node: runs probes, repeats them when the connection fails, makes sense of the answers."""

    host: Host
    transport: Transport

    def batch(self, wanted: Sequence[Probe[Any]]) -> list[Result]:
        """Run all of them in one go; reads may be repeated freely."""
        commands = [probe.command for probe in wanted]
        return LOOK_POLICY.run(lambda: self.transport.batch(self.host, commands))

    def read(self, probe: Probe[T]) -> T:
        """Run one probe. Raises RemoteError, of which OddAnswer is a FormatError, too."""
        [result] = self.batch([probe])
        return self.parse(probe, result)

    def parse(self, probe: Probe[T], result: Result) -> T:
        """Make sense of a result; raises OddAnswer where the command failed, or its answer cannot be read."""
        try:
            if not result.ok:
                said = result.error_text or result.text.strip()
                raise FormatError(f"exit code {result.exit_code}: {said[-300:]}", source=probe.command.name)
            return probe.parse(result)
        except FormatError as error:
            raise OddAnswer.of(self.host.name, error, probe.command.name) from error

    def attempt(self, probe: Probe[T], result: Result) -> tuple[T | None, Problem | None]:
        """The value, or why there is none."""
        return self.tried(probe.command.name, lambda: self.parse(probe, result))

    def tried(self, asked: str, work: Callable[[], T]) -> tuple[T | None, Problem | None]:
        """What `work` makes of this node's answers to what was `asked`, or why there is nothing."""
        try:
            return understood(asked, work), None
        except FormatError as error:
            return None, Problem("format", OddAnswer.of(self.host.name, error, asked).reason)


REREADS = 4
"""So often at most logs are read again that were read too early."""


def take_survey(
    fleet: Fleet,
    transport: Transport,
    *,
    logs: bool = True,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Survey:
    """Look at all nodes at once. Without `logs` the WAL and the database are left out: enough to judge a living cluster.

    Members that may just be electing a leader are asked again for a few election timeouts.
    """
    survey = _look(fleet, transport, logs)
    if not logs or not may_be_electing(survey):
        return survey
    elections = [c.config.election for n in survey.nodes for c in n.containers if c.config is not None]
    deadline = clock() + min(limits.LONGEST_ELECTIONS, limits.ELECTIONS * max(elections, default=1000) / 1000 + 1)
    while clock() < deadline:
        sleep(limits.ELECTION_PAUSE)
        survey = _ask_again(survey, transport)
        if any(node.healthy for node in survey.nodes):
            return _look(fleet, transport, logs)
    return survey


def _ask_again(survey: Survey, transport: Transport) -> Survey:
    """Ask every running etcd once more; all else stays as it was seen."""
    fleet = survey.fleet

    def ask(host: Host) -> NodeFacts:
        node, reader = survey.node(host.name), Reader(host, transport)
        asked = _status_probe(fleet, node)
        return _with_status(fleet, reader, node, asked, reader.batch([asked])[0]) if asked else node

    found = look_at([node.host for node in survey.nodes if running_container(fleet, node)], ask)
    fresh = {name: node for name, node in found.items() if isinstance(node, NodeFacts)}
    return replace(survey, nodes=tuple(fresh.get(node.name, node) for node in survey.nodes))


def _look(fleet: Fleet, transport: Transport, logs: bool) -> Survey:
    first = look_at(fleet.hosts, lambda host: _first_look(fleet, Reader(host, transport)))
    looked = {name: node for name, node in first.items() if isinstance(node, NodeFacts)}
    default = next(
        (places for node in looked.values() if (places := _places(fleet, node)) is not None), (DEFAULT_DATA, "")
    )

    def further(host: Host) -> NodeFacts:
        node = looked[host.name]
        reader = Reader(host, transport)
        seen = _second_look(fleet, reader, node, _places(fleet, node) or default, logs)
        return _surroundings(fleet, reader, seen, peer_addresses(looked.values())) if logs else seen

    second = look_at([host for host in fleet.hosts if host.name in looked], further)
    seen = {name: node for name, node in second.items() if isinstance(node, NodeFacts)}
    if logs:
        second |= read_again(
            fleet, seen, lambda early: look_at([host for host in fleet.hosts if host.name in early], further)
        )
    nodes = [_row(host, second.get(host.name, first[host.name]), looked.get(host.name)) for host in fleet.hosts]
    return Survey(fleet=fleet, nodes=tuple(nodes), taken_at=now())


def read_again(
    fleet: Fleet,
    seen: Mapping[str, NodeFacts],
    read: Callable[[frozenset[str]], Mapping[str, NodeFacts | RemoteError]],
) -> dict[str, NodeFacts | RemoteError]:
    """What was read too early, read again by `read`, until nothing is. `seen` is what was read first, by node.

    What is read again may show that another one was read too early: without a quorum there is a new term every few
    seconds. So it goes on, REREADS times at most; a log that still lags then is judged as one that has forgotten.
    """
    fresh: dict[str, NodeFacts | RemoteError] = {}
    rounds = dict.fromkeys(seen, 0)
    for count in range(1, REREADS + 1):
        known = {**seen, **{name: node for name, node in fresh.items() if isinstance(node, NodeFacts)}}
        early = read_early(fleet, known.values(), rounds)
        if not early:
            break
        fresh |= read(early)
        rounds |= dict.fromkeys(early, count)
    return fresh


def read_early(fleet: Fleet, nodes: Iterable[NodeFacts], rounds: Mapping[str, int]) -> frozenset[str]:
    """The nodes with a living etcd whose log may only seem to lack what a peer's log says that it had, being read first.

    `rounds` says when each was read. A log that was read after its peer's and still lacks it has forgotten it. A cluster
    that serves is left alone: there the logs are no evidence of anything.
    """
    read = [(node, node.log) for node in nodes if node.log is not None]
    if any(node.healthy for node, _ in read):
        return frozenset()

    def lags(node: NodeFacts, log: wal.Log) -> bool:
        later = [other for peer, other in read if peer is not node and rounds[peer.name] >= rounds[node.name]]
        term = max((other.hard_state.term for other in later), default=0)
        commit = max((other.commit for other in later), default=0)
        return log.hard_state.term < term or log.last.index < commit

    return frozenset(node.name for node, log in read if running_container(fleet, node) and lags(node, log))


def _row(host: Host, found: NodeFacts | RemoteError, looked: NodeFacts | None) -> NodeFacts:
    """The node's row. One that answers, but oddly, is reachable: what was known of it before stays, and the rest is missing."""
    if isinstance(found, NodeFacts):
        return found
    problem = Problem(found.kind, found.message, found.hint)
    if not isinstance(found, OddAnswer | TooMuch):
        return NodeFacts(host, reachable=False, problem=problem)
    if looked is None:
        return NodeFacts(host, reachable=True, problem=problem, cli_problem=problem)
    return replace(looked, problem=problem, log_problem=problem)


def _places(fleet: Fleet, node: NodeFacts) -> tuple[str, str] | None:
    """Where a node's etcd has its data, and its WAL if that has a directory of its own; None where no container tells."""
    own = own_of(fleet, node) or next(iter(node.containers), None)
    return (own.data_path, own.wal_path or "") if own and own.data_path else None


# --- first round: who is it, which containers ---


def _first_look(fleet: Fleet, reader: Reader) -> NodeFacts:
    machine, rt = probes.machine(), runtime_of(fleet, reader.host)
    version = rt.version()
    listing = rt.listing(reader.host.container or fleet.etcd.container)
    before = time.time()
    results = reader.batch([machine, version, listing])
    after = time.time()
    who, _ = reader.attempt(machine, results[0])
    engine, engine_problem = reader.attempt(version, results[1])
    found, listing_problem = reader.attempt(listing, results[2])
    listed = found or Listed(())
    containers, odd = reader.tried("containers", lambda: rt.instances(listed, reader.read))
    if found is None or containers is None:
        # what runs there is not known, so nothing there can be stopped
        engine, engine_problem = None, engine_problem or listing_problem or odd
    return NodeFacts(
        host=reader.host,
        reachable=True,
        hostname=who.hostname if who else "",
        machine=who.machine_id if who else "",
        boot=who.boot if who else "",
        through=who.through if who else "",
        clock_offset=_offset(who.clock, before, after) if who and who.clock else None,
        cli_version=engine or None,
        cli_problem=engine_problem,
        containers=containers or (),
        images=frozenset(i for c in containers or () for i in (c.image, c.image_id)),
        helpers=rt.helpers(listed),
    )


def _offset(clock: float, before: float, after: float) -> float:
    """Seconds by which the node's clock is ahead of ours; 0 where it is within the time the question took."""
    if before - 0.5 <= clock <= after + 0.5:
        return 0.0
    return round(clock - (before + after) / 2, 1)


# --- second round: data, status ---


def _second_look(fleet: Fleet, reader: Reader, node: NodeFacts, places: tuple[str, str], logs: bool) -> NodeFacts:
    own = own_of(fleet, node)
    if own is not None and own.inside:
        # what lies on the host under the path of another node's data is not this one's
        where = Problem(IN_CONTAINER, f"its data directory {own.inside} is in no mount: it is in the container itself")
        node = replace(node, log_problem=where, db_problem=where)
        asked = _status_probe(fleet, node)
        return _with_status(fleet, reader, node, asked, reader.batch([asked])[0]) if asked else node
    listing_probe = probes.data_listing(*places)
    asked = _status_probe(fleet, node)
    results = reader.batch([listing_probe, *([asked] if asked else ())])
    listing, problem = reader.attempt(listing_probe, results[0])
    if asked:
        node = _with_status(fleet, reader, node, asked, results[1])
    if listing is None:
        return replace(node, log_problem=problem)
    containers = settle(node.containers, listing.keeps)
    node = replace(node, containers=containers, data=listing.data, keeps=listing.keeps, hold=listing.hold)
    if listing.data.forbidden:
        return _not_allowed(node, listing.data)
    return _third_look(reader, node, listing) if logs else node


def _not_allowed(node: NodeFacts, data: DataDir) -> NodeFacts:
    problem = Problem(
        FORBIDDEN,
        f"the login user {data.who} may not read {data.forbidden}: it is not root there, so nothing is known of the data",
        what_to_add(data.who, node.name, data.no_engine),
    )
    return replace(node, log_problem=problem, db_problem=problem)


def running_container(fleet: Fleet, node: NodeFacts) -> Container | None:
    """The etcd container that runs in the open on a node; the quarantine is not one."""
    named = own_of(fleet, node)
    others = [c for c in node.containers if not c.isolated]
    return next((c for c in [*([named] if named else []), *others] if c.state == "running"), None)


def _status_probe(fleet: Fleet, node: NodeFacts) -> Probe[EndpointStatus] | None:
    container = running_container(fleet, node)
    return runtime_of(fleet, node.host).ctl(container).status() if container is not None else None


def _with_status(
    fleet: Fleet, reader: Reader, node: NodeFacts, asked: Probe[EndpointStatus], result: Result
) -> NodeFacts:
    """What the member says of itself; of one that has a leader also whether a linearizable read succeeds, and the members.

    Without a leader no such read can succeed, and etcdctl takes 8 s to find that out.
    """
    said, problem = reader.attempt(asked, result)
    container = running_container(fleet, node)
    if said is None or container is None:
        return replace(node, status_problem=problem)
    ctl = runtime_of(fleet, node.host).ctl(container)
    healthy, why = False, "it has no leader"
    if said.leader:
        [answer] = reader.batch([ctl.health()])
        healthy, why = bool(reader.attempt(ctl.health(), answer)[0]), answer.error_text[-200:]
    status = EtcdStatus(
        version=said.version,
        member_id=said.header.member_id,
        cluster_id=said.header.cluster_id,
        leader_id=said.leader,
        raft_term=said.raft_term,
        commit=said.raft_index,
        revision=said.header.revision,
        db_size=said.db_size,
        is_learner=said.is_learner,
        healthy=healthy,
        problem=None if healthy else why or None,
    )
    node = replace(node, status=status)
    if not healthy:
        return node
    listed, alarms = reader.batch([ctl.members(), ctl.alarms()])
    members, _ = reader.attempt(ctl.members(), listed)
    raised, _ = reader.attempt(ctl.alarms(), alarms)
    return replace(node, members=live_members(members) if members is not None else None, alarms=raised)


def live_members(found: Iterable[Member]) -> tuple[LiveMember, ...]:
    """Rows of a member list."""
    return tuple(LiveMember(m.id, m.name, m.peer_urls, m.client_urls, m.learner) for m in found)


# --- third round: the log and the database ---


def _third_look(reader: Reader, node: NodeFacts, listing: probes.DataListing) -> NodeFacts:
    """Read the evidence: what a run has moved aside where it has, else what lies in place."""
    newest = sorted(node.keeps, key=lambda k: k.run, reverse=True)
    moved = next((k for k in newest if _evidence_moved(node, k)), None)
    if moved is not None:
        return _read_evidence(reader, node, *_original_of(moved, listing))
    seen = _read_evidence(reader, node, posixpath.join(listing.data.real, "member"), listing.files)
    # in the survivor's place may lie what is not the copy that its run has proven
    stranger = next((k for k in newest if _is_open_original(k, node) and k.proof and not adopted(seen, k.run)), None)
    return seen if stranger is None else _read_evidence(reader, node, *_original_of(stranger, listing))


def _original_of(keep: Keep, listing: probes.DataListing) -> tuple[str, Sequence[probes.WalFile]]:
    return posixpath.join(keep.path, "original", "member"), listing.kept_files.get(keep.run, ())


def _is_open_original(keep: Keep, node: NodeFacts) -> bool:
    """Whether an open run that has chosen this node keeps its original."""
    return bool(keep.pin and keep.pin.survivor == node.name and keep.original and not keep.finished and not keep.undone)


def _read_evidence(reader: Reader, node: NodeFacts, root: str, files: Sequence[probes.WalFile]) -> NodeFacts:
    segments = {posixpath.dirname(file.path) for file in files if file.path.endswith(".wal")}
    apart = next(iter(sorted(segments - {posixpath.join(root, "wal")})), None)
    node = replace(node, log_path=root, log_wal=apart)
    log, bad = reader.tried("its log", lambda: read_remote_log(reader, files))
    if bad is not None:
        absent = not any(file.path.endswith(".wal") for file in files)
        bad = Problem("missing", "no WAL there") if absent else Problem("corrupt", bad.message)
    node = replace(node, log=log, log_problem=bad)
    node = replace(node, received=received(file.path for file in files))
    database = next((file for file in files if file.path == posixpath.join(root, "snap", "db")), None)
    if database is None:
        return _with_names(reader, replace(node, db_problem=Problem("missing", "no database there")))
    db, bad = reader.tried("its database", lambda: read_remote_db(reader, database))
    return _with_names(reader, replace(node, db=db, db_problem=Problem("corrupt", bad.message) if bad else None))


def _with_names(reader: Reader, node: NodeFacts) -> NodeFacts:
    """The node; a log without a .snap file gets its members' names from the database, or is none for its etcd."""
    log, db = node.log, node.db
    if log is None or not log.by_record:
        return node
    found, bad = reader.tried("its log", lambda: stores.named(log, db))
    return replace(node, log=found, log_problem=Problem("corrupt", bad.message) if bad else None)


def received(paths: Iterable[str]) -> tuple[int, ...]:
    """The indexes in the names of databases that a leader has sent, and that a crash has left beside the one in use."""
    found = (re.fullmatch(r"([0-9a-f]{16})\.snap\.db", posixpath.basename(path)) for path in paths)
    return tuple(int(match[1], 16) for match in found if match)


# --- what etcd stands on ---


def _surroundings(fleet: Fleet, reader: Reader, node: NodeFacts, peers: Mapping[str, tuple[str, int]]) -> NodeFacts:
    """Signs of life, certificates, and whether the other nodes' peer ports can be reached."""
    targets = [(name, address, port) for name, (address, port) in peers.items() if name != node.name]
    own = own_of(fleet, node)
    files = certificate_files(runtime_of(fleet, node.host), own) if own is not None else ()
    unit = [fleet.etcd.unit.removesuffix(".service")] if fleet.etcd.unit else []
    others = managers.starters([*unit, *(c.kept_name or c.name for c in node.containers)])
    root = node.log_path or posixpath.join(node.data.real if node.data else DEFAULT_DATA, "member")
    apart = node.log_wal or ""
    wanted: list[Probe[Any]] = [evidence.signs(root, apart), evidence.certificates(files), evidence.ports(targets)]
    wanted.append(evidence.made(root, apart))
    *results, who = reader.batch([*wanted, others])
    starting, unknown = reader.attempt(others, who)
    signs, found, ports, made = (
        reader.attempt(probe, result)[0] for probe, result in zip(wanted, results, strict=True)
    )
    moment = datetime.now(UTC).timestamp() + (node.clock_offset or 0.0)
    at = datetime.fromtimestamp(moment, UTC)
    return replace(
        node,
        signs=signs or (),
        certificates=reader.tried("certificates", lambda: tuple(read_certificate(each, at) for each in found or ()))[0]
        or (),
        ports=ports or (),
        made=made,
        starters=starting or (),
        starters_problem=unknown,
    )


def certificate_files(rt: Runtime, container: Container) -> tuple[evidence.CertificateFiles, ...]:
    """The certificates that an etcd's command names, each with its key and CA once, as paths on the host."""
    spec, config = container.spec, container.config
    if spec is None or config is None:
        return ()
    named = [
        (config.cert_file, config.key_file, config.ca_file),
        (config.peer_cert_file, config.peer_key_file, config.peer_ca_file),
    ]
    found: list[evidence.CertificateFiles] = []
    for files in named:
        cert, key, ca = ((rt.on_host(spec, path) or "") if path else "" for path in files)
        if cert:
            found.append(evidence.CertificateFiles(cert, key, ca))
    return tuple(dict.fromkeys(found))


def _evidence_moved(node: NodeFacts, keep: Keep) -> bool:
    """Whether an open run's original/ is the evidence, and not what lies in place.

    On the survivor it is until the proven copy has been adopted, whatever somebody else may have put in place meanwhile;
    on a joiner until it has new data.
    """
    if keep.pin is None or not keep.original or keep.finished or keep.undone:
        return False
    in_place = node.data is not None and node.data.has_member
    if keep.pin.survivor == node.name:
        return not (in_place and keep.proof and not (keep.reset or keep.booted or keep.work or keep.partial))
    return not in_place


def read_remote_log(reader: Reader, files: Sequence[probes.WalFile]) -> wal.Log:
    """Fetch the segments since the newest usable snapshot, and read them. Raises FormatError."""
    by_name = {posixpath.basename(file.path): file for file in files}
    segments = {name: file.size for name, file in by_name.items() if name.endswith(".wal")}
    snaps = {name: file.size for name, file in by_name.items() if name.endswith(".snap")}
    if not segments:
        raise FormatError("there is no WAL", source="member/wal")

    def content(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """One file at a time is asked for, and held here."""
        for name in names:
            with _RECEIVING:
                data = reader.read(probes.wal_file(by_name[name].path))
            yield name, data

    def fetch(needed: wal.Needed) -> tuple[Iterable[tuple[str, bytes]], Iterable[tuple[str, bytes]]]:
        check_log_size(needed, segments)
        return content(needed.segments), content([needed.snap] if needed.snap else [])

    return wal.load_log(segments, snaps, fetch)


_RECEIVING = threading.BoundedSemaphore(bounds.SEGMENTS_AT_ONCE)


def check_log_size(needed: wal.Needed, sizes: Mapping[str, int]) -> None:
    """Raise FormatError for a log that is not asked for at all, since it is larger than any log of etcd."""
    if len(needed.segments) > bounds.LOG_SEGMENTS:
        raise FormatError(f"{len(needed.segments)} segments, more than {bounds.LOG_SEGMENTS}", source="member/wal")
    if needed.size > bounds.LOG:
        raise FormatError(f"{needed.size} bytes of WAL, more than {bounds.LOG}", source="member/wal")
    for name in needed.segments:
        if sizes[name] > bounds.SEGMENT:
            raise FormatError(f"{sizes[name]} bytes, more than {bounds.SEGMENT}", source=name)


def read_remote_db(reader: Reader, file: probes.WalFile) -> bbolt.DbFacts:
    """Fetch the few pages of the database that tell its facts. Raises FormatError."""

    def pages(wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        return reader.read(probes.ranges(file.path, wanted))

    return bbolt.read_facts(pages, source=file.path, size=file.size)
