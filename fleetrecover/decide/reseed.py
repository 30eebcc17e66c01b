"""PURE: whether a cluster that has lost its quorum may be reseeded, and what each host would get.

Reseed: at rest, every host at hand gets the survivor's data under its own member id, in a new term, with the removal of the
others written into the log; then all start by their own unchanged definitions, and Raft elects. Rules that keep it safe:

- everybody at hand gets the same log, and all of it counts as decided: nobody may keep a shorter one, which could elect a
  leader without the rest;
- whoever is not at hand is removed in the log: a member that came back with another log could take the lead, or be taken by
  the leader for one that has everything, which then acknowledges alone;
- the term is far above any that a disk knows, and nobody has voted in it. A member alone raises its term once in an
  election timeout, at most some 10^7 times a year;
- nobody starts before the last one's data is whole and read back. etcd starts silently on a log that is cut short, and on no
  data at all as a new voter under its old id: two of them are an empty cluster that acknowledges writes.

What is not known to be safe is refused, each with a reason that has a code; the reset remains for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fleetrecover.decide.certificates import files_missing
from fleetrecover.decide.membership import Seat, host_of_url, port_of_url, seats_of
from fleetrecover.decide.own import own_container
from fleetrecover.decide.placement import misplaced
from fleetrecover.decide.sides import begun_anew
from fleetrecover.decide.units import units_of
from fleetrecover.decide.words import Wish
from fleetrecover.etcd.membership import hex_id
from fleetrecover.etcd.seed import Seed
from fleetrecover.etcd.stores import Differences, differences
from fleetrecover.etcd.wal import Log, compare_logs
from fleetrecover.facts import RESEED, NodeFacts, Survey
from fleetrecover.runtime import runtime_of

MARGIN = 1_000_000_000
"""So much the new term is above the highest that any disk knows."""
HIGHEST_TERM = 1 << 62
"""Terms above this leave no room; raft has 64 bits, and etcd's JSON is read with 63."""
FROM_DATABASE = (3, 6)
"""From this version on etcd starts with the members of its database, and no longer with those of the `.snap` and the log."""
TRIED = ((3, 3), (3, 4), (3, 5), (3, 6), (3, 7))
"""The versions on whose real etcd reseeding has been tried."""
SEGMENTS = 8
"""So many segments of a log are rewritten at most; each is up to 64 MB, and all of them are held at the same time."""
SPARE = 64 * 1024 * 1024
"""Bytes of a segment of etcd's log: so many it takes beside its data when it starts, too."""
GROWTH = 16 * 1024 * 1024
"""Bytes by which bbolt makes its file grow: so much longer than what is in use it may be."""


@dataclass(frozen=True)
class Refusal:
    """Why the fleet cannot be reseeded: a host's reason, or the fleet's where `host` is None. `code` is for programs."""

    host: str | None
    code: str
    reason: str


@dataclass(frozen=True)
class Heir:
    """A host that gets the survivor's data, and the member that it is."""

    host: str
    member: Seat


@dataclass(frozen=True)
class Reseeding:
    """What is made: in which new term, of which log; who gets it, and which members are removed in it."""

    survivor: str
    log: Log
    term: int
    heirs: tuple[Heir, ...]
    removed: tuple[Seat, ...]

    def seed(self, heir: Heir) -> Seed:
        """What that host's log becomes."""
        return Seed.of(self.log, heir.member.id, self.term, [seat.id for seat in self.removed])

    @property
    def alone(self) -> Seed:
        """The survivor's log for its quarantine: everybody else is removed, in one term more. That copy is thrown away."""
        others = [seat for heir in self.heirs if (seat := heir.member).id != self.log.node_id]
        gone = [seat.id for seat in (*self.removed, *others)]
        return Seed.of(self.log, self.log.node_id, self.term + 1, gone)

    @property
    def last(self) -> int:
        """The index at which everybody's log ends, which is the commit, too."""
        return self.log.last.index + len(self.removed)

    @property
    def voters(self) -> frozenset[int]:
        """Who votes afterwards."""
        return self.log.configuration_at_end.voters - {seat.id for seat in self.removed}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Who gets it."""
        return tuple(heir.host for heir in self.heirs)


def reseeding(survey: Survey, wish: Wish, survivor: str) -> Reseeding | tuple[Refusal, ...]:
    """What a reseed from that survivor would make, or every reason against it. The wish's dead are hosts and ids."""
    chief = survey.node(survivor)
    if chief.log is None:
        return (Refusal(survivor, "no-log", f"{survivor}'s log cannot be read"),)
    log = chief.log
    seats = seats_of(survey, log.configuration_at_end)
    heirs = tuple(Heir(seat.host, seat) for seat in seats if seat.host is not None and _at_hand(survey, wish, seat))
    kept = {heir.member.id for heir in heirs}
    removed = tuple(seat for seat in seats if seat.id not in kept)
    found = Reseeding(survivor, log, new_term(survey), heirs, removed)
    refused = (
        *_fleet(survey, found),
        *_data(survey, chief, log),
        *(why for heir in heirs for why in _host(survey, survey.node(heir.host), heir.member, chief)),
    )
    return refused or found


def _at_hand(survey: Survey, wish: Wish, seat: Seat) -> bool:
    return seat.host is not None and survey.node(seat.host).accessible and not seat.among(wish.dead)


def new_term(survey: Survey) -> int:
    """A term far above every one that any disk or running etcd at hand knows."""
    known = [0]
    for node in survey.nodes:
        known += [node.log.hard_state.term, node.log.last.term] if node.log is not None else []
        known += [node.status.raft_term] if node.status is not None else []
        known += [node.db.term or 0] if node.db is not None else []
    return max(known) + MARGIN


# --- what is refused: the fleet ---


def _fleet(survey: Survey, found: Reseeding) -> Iterator[Refusal]:
    if found.term > HIGHEST_TERM:
        yield Refusal(
            None, "term-too-high", f"a term of {found.term - MARGIN} is known, which leaves no room for a new one"
        )
    # those who are at hand are all that will vote, so they are their own quorum
    if found.log.node_id not in found.voters:
        yield Refusal(found.survivor, "not-a-voter", f"{found.survivor} is no voter of its own configuration")
    yield from _versions(survey, found)
    wrong = misplaced(survey, [heir.member for heir in found.heirs])
    for one in wrong:
        text = f"{one.host} has the data of a member whose peer URL is that of {', '.join(one.named)}"
        yield Refusal(one.host, "wrong-host", text)
    yield from _twice(survey)


def _twice(survey: Survey) -> Iterator[Refusal]:
    """Two hosts with one member's data: each would be that member."""
    ids = Counter(node.log.node_id for node in survey.nodes if node.accessible and node.log is not None)
    for node in survey.nodes:
        if node.accessible and node.log is not None and ids[node.log.node_id] > 1:
            text = f"{node.name}'s data is that of member {node.log.node_id:x}, and so is another host's"
            yield Refusal(node.name, "same-member", text)


def version_of(survey: Survey, node: NodeFacts) -> str:
    """The version of the etcd that a node's own container runs: what it said, else what its image's tag says; else empty."""
    if node.status is not None and node.status.version:
        return node.status.version
    own = own_container(survey, node)
    found = re.search(r":v?(\d+\.\d+\.\d+)", own.image) if own is not None else None
    return found[1] if found else ""


def _versions(survey: Survey, found: Reseeding) -> Iterator[Refusal]:
    said = {host: version_of(survey, survey.node(host)) for host in found.hosts}
    images = {host: own.image_id for host in found.hosts if (own := own_container(survey, survey.node(host)))}
    alike = len(set(images.values())) == 1 or (len(set(said.values())) == 1 and "" not in said.values())
    if not alike:
        told = ", ".join(f"{host} {version or 'not known'}" for host, version in said.items())
        yield Refusal(None, "versions-differ", f"the hosts' etcds are not surely of one version: {told}")
    chief = survey.node(found.survivor)
    stored = chief.db.cluster_version if chief.db is not None else ""
    version = said.get(found.survivor) or stored or found.log.configuration_at_end.cluster_version
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) not in TRIED:
        tried = ", ".join(f"{major}.{minor}" for major, minor in TRIED)
        yield Refusal(None, "version-untried", f"reseeding was tried on etcd {tried}; this is {version or 'not known'}")
    elif (int(numbers[1]), int(numbers[2])) >= FROM_DATABASE:
        yield from _stores(chief, found.log)


def _stores(chief: NodeFacts, log: Log) -> Iterator[Refusal]:
    """The removals are written into the log, of the members that the log has: the database must have the same."""
    wrong = differences(log, chief.db) if chief.db is not None else Differences()
    told = {m.id: m.name or hex_id(m.id) for m in (*wrong.ghosts, *wrong.stale_learners, *wrong.missing, *wrong.moved)}
    if told:
        names = ", ".join(told.values())
        text = f"{chief.name}'s database and its log disagree about {names}, and its etcd starts with the former"
        yield Refusal(chief.name, "stores-differ", text)
    if log.by_record:
        text = f"no .snap file goes with {chief.name}'s log, only a record in it: reseeding was not tried on such a one"
        yield Refusal(chief.name, "no-snap", text)


# --- what is refused: the survivor's data ---


def _data(survey: Survey, chief: NodeFacts, log: Log) -> Iterator[Refusal]:
    name, db = chief.name, chief.db
    if db is None:
        yield Refusal(name, "no-database", f"{name}'s database cannot be read")
    elif db.consistent_index > log.last.index:
        text = f"{name}'s database has applied entry {db.consistent_index}, its log ends at {log.last.index}"
        yield Refusal(name, "database-ahead", text)
    if db is not None and db.downgrade:
        text = "a downgrade of the cluster is enabled: no etcd of 3.5 starts again on such data, reseeded or not"
        yield Refusal(name, "downgrade", text)
    if db is not None and any(index > db.consistent_index for index in chief.received):
        text = f"beside {name}'s database lies a newer one that a leader has sent it and that was never taken"
        yield Refusal(name, "newer-database", text)
    if len(log.segments) > SEGMENTS:
        text = f"{name}'s log has {len(log.segments)} segments since its last snapshot, more than {SEGMENTS}"
        yield Refusal(name, "log-size", text)
    if log.grafted:
        yield Refusal(name, "grafted", f"{name}'s log has entries of one history behind those of another")
    anew = begun_anew(survey)
    for node in survey.nodes:
        if node is chief or node.log is None or not node.accessible or node.name in anew:
            continue
        if node.log.cluster_id != log.cluster_id:
            text = f"{node.name}'s data is of cluster {node.log.cluster_id:x}, {name}'s of {log.cluster_id:x}"
            yield Refusal(node.name, "other-cluster", text)
        elif compare_logs(node.log, log).fork is not None:
            yield Refusal(node.name, "fork", f"{node.name}'s log and {name}'s are of different histories")


# --- what is refused: a host ---


def _host(survey: Survey, node: NodeFacts, seat: Seat, chief: NodeFacts) -> Iterator[Refusal]:
    name, data = node.name, node.data
    yield from _definition(survey, node, seat)
    rt = runtime_of(survey.fleet, node.host)
    why = rt.cannot_fence(node.cli_version) if node.cli_version is not None else ""
    if why:
        yield Refusal(name, "cannot-fence", f"{name}: {why}")
    if units_of(survey, node):
        yield Refusal(name, "unit", f"{name}: the unit {next(iter(units_of(survey, node)))} starts its etcd")
    foreign = [c for c in node.containers if c.role is None and c.armed and c.vanishes]
    if foreign:
        yield Refusal(name, "cannot-fence", f"{name}: container {foreign[0].name} would be gone when it is stopped")
    if node.log is not None and node.log.node_id != seat.id and name not in begun_anew(survey):
        text = f"{name}'s data is that of member {node.log.node_id:x}, and the host is member {seat.id:x}"
        yield Refusal(name, "other-member", text)
    if data is None:
        yield Refusal(name, "no-place", f"{name}: its data directory could not be looked at")
        return
    if data.wal:
        yield Refusal(name, "wal-apart", f"{name}: its etcd keeps the WAL in a directory of its own, {data.wal}")
    if data.inner:
        yield Refusal(name, "scattered", f"{name}: in its data directory, {', '.join(data.inner)}")
    yield from _space(node, chief)


def _definition(survey: Survey, node: NodeFacts, seat: Seat) -> Iterator[Refusal]:
    """Whether the host's own container can be started, unchanged, as that member."""
    own = own_container(survey, node)
    if own is None:
        yield Refusal(node.name, "no-definition", f"{node.name} has no etcd container of its own")
        return
    if own.forced:
        yield Refusal(node.name, "force-flag", f"{node.name}: container {own.name} carries --force-new-cluster")
    if own.spec is None or own.config is None or own.config.opaque:
        text = (
            f"{node.name}: container {own.name} cannot be reproduced: {own.spec_problem or 'its command is not known'}"
        )
        yield Refusal(node.name, "opaque", text)
    elif not _places(own.peer_urls) & _places(seat.peer_urls):
        text = (
            f"{node.name}: {own.name} gives itself {', '.join(own.peer_urls)}, its member {', '.join(seat.peer_urls)}"
        )
        yield Refusal(node.name, "wrong-address", text)
    if files_missing(node):
        fault = files_missing(node)[0]
        yield Refusal(node.name, "files", f"{node.name}: {fault.path} {fault.what}")


def _places(urls: Sequence[str]) -> set[tuple[str, int]]:
    return {(host_of_url(url), port_of_url(url)) for url in urls}


def need(chief: NodeFacts) -> int:
    """How many bytes a copy of the survivor's data has at most: it is the same before its data is moved and after."""
    database = chief.db.size if chief.db is not None else 0
    segments = len(chief.log.segments) if chief.log is not None else 0
    return database + GROWTH + segments * SPARE


def _space(node: NodeFacts, chief: NodeFacts) -> Iterator[Refusal]:
    """The new data lies beside the old; on the survivor a second copy is booted for a moment."""
    assert node.data is not None
    wanted = need(chief) * (2 if node is chief else 1) + SPARE
    keeps = [keep for keep in node.open_keeps() if keep.pin is not None and keep.pin.method == RESEED]
    # what an attempt has made is thrown away, or used
    made = sum((keep.partial or keep.work) + keep.booted for keep in keeps) * need(chief)
    if node.data.free + made < wanted:
        short = f"{node.name}: {wanted / 1e6:,.0f} MB are needed beside its data, only {node.data.free / 1e6:,.0f} MB are free"
        yield Refusal(node.name, "no-space", short)
