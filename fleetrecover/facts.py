"""What is known of the nodes: the values that a survey is made of, and that every decision is a function of.

A fact that could not be had is None, and the reason stands beside it: "not there" and "could not look" are never the
same value. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.etcd.wal import Log
from fleetrecover.model import Fleet, Host

Definition = ContainerSpec
"""How a node starts an etcd. Only its runtime looks into one (`runtime/`): for all others it is opaque."""

RUN_LABEL = "fleetrecover.run"
ROLE_LABEL = "fleetrecover.role"
HELPER_LABEL = "fleetrecover.helper"
"""Of a container that only lends us its rights while a script runs: never an etcd, whatever image it has."""
KEPT_INFIX = ".fleetrecover-"
RESET, RESEED = "reset", "reseed"
"""The methods: the survivor alone is reset and the others join it, or every host gets its data under its own member id."""


class Role(StrEnum):
    """What a container that carries our label is for."""

    QUARANTINE = "quarantine"  # the reset, without network; never the real container
    JOINING = "joining"  # a joiner's, until its own container takes over
    MEMBER = "member"  # a rebuilt container that stays, where the original could not


_ROLES = {role.value: role for role in Role}


@dataclass(frozen=True)
class Problem:
    """Why a fact is not there: `kind` is a RemoteError's kind or a word of the probe's, `message` is for a person."""

    kind: str
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Container:
    """One etcd container of a node, running or not, under whatever name.

    `spec` and `config` are None where the container has a setting that cannot be reproduced or etcd's settings cannot be
    known; `spec_problem` then names it. `endpoint` and `tls` are for etcdctl inside it. `forced`: it carries
    --force-new-cluster. `data_path` is its data directory on the host.
    """

    id: str
    name: str
    state: str
    image: str
    image_id: str
    restart_policy: str
    network: str
    labels: Mapping[str, str]
    exit_code: int
    created: str
    config: EtcdConfig | None
    data_path: str | None
    endpoint: str = ""
    tls: tuple[str, ...] = ()
    forced: bool = False
    spec: Definition | None = None
    spec_problem: str | None = None
    error: str = ""
    started_at: str = ""  # as the engine says it, ISO 8601
    finished_at: str = ""
    settled: bool = False  # made by a run that is closed: the node's own now
    wal_path: str | None = None  # its WAL directory on the host, where it has one of its own
    inside: str = ""  # its data directory (or WAL's), as the container names it, where that is in no mount

    @property
    def vanishes(self) -> bool:
        """Whether it is destroyed when it is stopped, as what docker was told to `--rm` is."""
        return self.spec is not None and self.spec.auto_remove

    @property
    def isolated(self) -> bool:
        """Whether it has no network: it can be no member of a cluster that serves."""
        return self.network == "none"

    @property
    def peer_urls(self) -> tuple[str, ...]:
        """The peer URLs that it gives itself; none where its settings are not known."""
        return self.config.advertise_peer_urls if self.config else ()

    @property
    def etcd_name(self) -> str:
        """etcd's name for itself; empty where its settings are not known."""
        return self.config.name if self.config else ""

    @property
    def running(self) -> bool:
        """Whether its process may write to its data directory now or by itself in a moment."""
        return self.state in ("running", "restarting", "paused")

    @property
    def armed(self) -> bool:
        """Whether it runs, or its engine starts it by itself, after a reboot at the latest."""
        return self.running or self.restart_policy not in ("no", "")

    @property
    def made_for(self) -> Role | None:
        """What a run of ours made it for; None for a container that we did not make."""
        return _ROLES.get(self.labels.get(ROLE_LABEL, ""))

    @property
    def made_by(self) -> str | None:
        """The run that made it; None for a container that we did not make."""
        return self.labels.get(RUN_LABEL)

    @property
    def role(self) -> Role | None:
        """The role in a run that is under way; None for what is the node's own."""
        return None if self.settled else self.made_for

    @property
    def run(self) -> str | None:
        """The run that is under way with it or set it aside, by its label or by its name."""
        if self.made_by is not None and not self.settled:
            return self.made_by
        return set_aside_by(self.name)

    @property
    def lies_aside(self) -> bool:
        """Whether a run has set it aside and nothing would start it: it is kept, and does no harm whatever it carries."""
        return self.kept_name is not None and not self.armed

    @property
    def kept_name(self) -> str | None:
        """The name that it had before a run set it aside; None if none did."""
        name, found, _ = self.name.partition(KEPT_INFIX)
        return name if found else None


def set_aside_by(name: str) -> str | None:
    """The run that has given a container this name, to set it aside; None if none has.

    >>> set_aside_by("etcd.fleetrecover-r20270101T000000Z-0123-"), set_aside_by("etcd")
    ('r20270101T000000Z-0123', None)
    """
    _, found, run = name.partition(KEPT_INFIX)
    return run.rstrip("-") if found else None


def settle(containers: Iterable[Container], keeps: Iterable[Keep]) -> tuple[Container, ...]:
    """The containers; those that a closed run has made to stay (or one that was cleaned away) are the node's own.

    A joiner is made for a while. It is the node's own only where the node has no other one that could be started.
    """
    there = tuple(containers)
    open_runs = {keep.run for keep in keeps if not (keep.finished or keep.undone)}

    def stays(container: Container, role: Role) -> bool:
        return container.made_for is role and container.made_by not in open_runs

    has_own = any((c.made_for is None and not c.forced) or stays(c, Role.MEMBER) for c in there)
    return tuple(replace(c, settled=stays(c, Role.MEMBER) or (not has_own and stays(c, Role.JOINING))) for c in there)


@dataclass(frozen=True)
class EtcdStatus:
    """What a running etcd says of itself. `commit` is what it calls raftIndex."""

    version: str
    member_id: int
    cluster_id: int
    leader_id: int
    raft_term: int
    commit: int
    revision: int
    db_size: int
    is_learner: bool
    healthy: bool
    problem: str | None = None

    @property
    def leader(self) -> bool:
        """Whether it is the leader itself."""
        return self.leader_id == self.member_id != 0


@dataclass(frozen=True)
class LiveMember:
    """One row of a running cluster's member list. `name` is empty until the member has started."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool

    @property
    def started(self) -> bool:
        """Whether it has ever published itself."""
        return bool(self.name)


@dataclass(frozen=True)
class Proof:
    """What the reset's quarantine answered: what the recovered cluster must have, at least.

    `hash` is hashkv's at `revision`, comparable where `compact_revision` is equal. Of a reseed, `term` and `index` are those
    in which every host's log ends: the new term, and the commit.
    """

    revision: int
    hash: int
    compact_revision: int
    member_id: int
    cluster_id: int
    version: str
    term: int = 0
    index: int = 0


@dataclass(frozen=True)
class Pin:
    """`run.json`: what a run has written on a node, so that any bastion can finish it.

    `survivor` is a host's name; `kind` the remedy; `mode` names what the node is in it. `meant`: words that were typed for the
    dead, and the ids of members that they stood for when the run began. `names_only`: the run gives containers their names
    back and does nothing else, so that it can be taken back while the cluster serves. `method`: how a run of the kind `reset`
    brings the members back, RESET or RESEED.
    """

    run: str
    cluster: str
    survivor: str
    started: str
    kind: str
    dead: tuple[str, ...] = ()
    tool: str = ""
    meant: tuple[tuple[str, str], ...] = ()
    names_only: bool = False
    method: str = RESET


@dataclass(frozen=True)
class KeptData:
    """What one `member` directory that a run keeps would serve, were it put in place: `part` names where it lies.

    `revision` is its database's, `index` and `commit` its log's; None where that cannot be read, and `problem` says why.
    With neither, it cannot be told what is in it.
    """

    part: str
    revision: int | None = None
    index: int | None = None
    commit: int | None = None
    cluster_id: int | None = None
    member_id: int | None = None
    voters: frozenset[int] = frozenset()
    problem: str | None = None

    @property
    def known(self) -> bool:
        """Whether it can be told what is in it."""
        return self.revision is not None or self.commit is not None


@dataclass(frozen=True)
class Keep:
    """One run's directory on a node: which of its parts are there. See docs/ON-NODE-STATE.md."""

    run: str
    path: str
    pin: Pin | None
    containers: bool = False
    original: bool = False
    partial: bool = False
    work: bool = False
    booted: bool = False
    reset: bool = False
    finished: bool = False
    undone: bool = False
    undoing: bool = False  # an undo has begun here and not ended; whether it was finished counts no more
    proof: Proof | None = None
    bytes: int = 0
    wal_bytes: int = 0  # of the WALs that were moved aside beside a WAL directory of its own; part of `bytes`
    policies: Mapping[str, str] = field(default_factory=dict)  # container id → restart policy before the run
    ran: frozenset[str] = frozenset()  # ids of the containers that ran before the run
    names: Mapping[str, str] = field(default_factory=dict)  # container id → name before the run
    no_data: bool = False  # the node had no data when the run began
    parted: bool = False  # an interruption has parted a WAL, which lies aside here, from its data, which lies in place
    discarded: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()  # what an undo has taken out
    kept: tuple[KeptData, ...] | None = None  # what the data that it keeps says; None where nobody has looked
    elsewhere: str | None = None  # with --work-dir: where the original lies, or is being copied to
    elsewhere_bytes: int = 0
    stale: bool = False  # not marked as finished here, but nothing is to be done for it any more: see `close_stale`
    problem: str | None = None


@dataclass(frozen=True)
class DataDir:
    """A data directory as it lies on the node. Sizes in bytes.

    `path` is as the container names it, `real` with symbolic links resolved. `keep_root` is where runs keep things:
    beside the directory where that is the same filesystem, else inside it, so that moving is always a rename. `inner` names
    parts of `member` that are symbolic links or mount points: the data is then not all in one place.
    """

    path: str
    real: str
    exists: bool
    has_member: bool
    keep_root: str
    size: int = 0
    free: int = 0
    owner: str = ""
    mode: str = ""
    mount_point: bool = False
    symlink: bool = False
    others: tuple[str, ...] = ()
    filesystem: str = ""
    label: str = ""  # SELinux's; empty where there is none
    inner: tuple[str, ...] = ()
    wal: str = ""  # the WAL's own directory, links resolved; empty where it is in `member`
    wal_size: int = 0  # of that directory; it is part of `size`
    wal_free: int = 0  # on the filesystem of that directory
    wal_shared: bool = False  # it is on the filesystem of the data
    wal_mount: bool = False  # it is a mount point, so it cannot be moved
    who: str = ""  # as whom we look, for a person
    forbidden: str = ""  # the first path that we may not read
    unwritable: str = ""  # the first path that we may not write in
    foreign: str = ""  # where runs keep things, but it is another user's (or a link), so that we do not look into it
    no_engine: str = ""  # what keeps a login that is not root from being it through the container engine

    @property
    def can_reflink(self) -> bool:
        """Whether the filesystem is of a kind that may copy without taking space."""
        return self.filesystem in ("btrfs", "xfs", "bcachefs")


@dataclass(frozen=True)
class WorkDir:
    """The directory of `--work-dir` as it is on the survivor's node. `free` in bytes; `problem`: why it will not do."""

    path: str
    real: str
    free: int
    problem: str | None = None


@dataclass(frozen=True)
class Hold:
    """Who holds a node for a run. `beat` changes every few seconds while the holder lives."""

    token: str
    run: str
    who: str
    host: str
    pid: int
    born: str
    since: str
    beat: str


@dataclass(frozen=True)
class FileFault:
    """A file that etcd's command names, and why etcd does not start with it: `what` completes "PATH …"."""

    path: str
    what: str


@dataclass(frozen=True)
class Certificate:
    """A certificate file that etcd's configuration names, as seen on the node. Times in ISO 8601, UTC.

    `faults` are of the certificate itself, its key and its CA: etcd does not start, or trusts nobody, with any of them.
    """

    path: str
    subject: str
    not_before: str
    not_after: str
    expired: bool
    names: tuple[str, ...]
    key_matches: bool | None
    ca_matches: bool | None
    problem: str | None = None
    key: str = ""
    ca: str = ""
    faults: tuple[FileFault, ...] = ()
    hidden: bool = False  # the login user may not read it: nothing is known of it


@dataclass(frozen=True)
class Sign:
    """A sign of life: a file of the data directory, and when it was last written, in seconds by the node's clock."""

    name: str
    mtime: int


@dataclass(frozen=True)
class PeerPort:
    """Whether a node reaches another's peer port: "open", "refused" (nothing listens), "silent", "unknown"."""

    name: str
    address: str
    port: int
    answer: str


class StarterKind(StrEnum):
    """What may start a container, or an etcd, without being asked."""

    UNIT = "unit"
    CRON = "cron"


@dataclass(frozen=True)
class Starter:
    """One of them: a systemd unit by its name, or a file of cron's by its path; `commands`: what it runs, a line each.

    `active`: it runs now; `enabled`: it runs at boot; `restarts`: it starts again what has ended. Of a unit, `service` is its
    Type and `lasting` says whether it is there when it has been stopped, and `settings` whether the login user may add to
    systemd's. `held_by`: the run of ours whose drop-in keeps it from starting; `was_active`: whether it ran before that.
    """

    kind: StarterKind
    name: str
    commands: str
    active: bool = False
    enabled: bool = True
    restarts: bool = False
    service: str = ""
    lasting: bool = True
    settings: bool = False
    held_by: str = ""
    was_active: bool = False

    @property
    def to_run(self) -> bool:
        """Whether it ran before any run of ours held it: then it is to run afterwards."""
        return self.was_active if self.held_by else self.active


@dataclass(frozen=True)
class NodeFacts:
    """Everything that is known of one node."""

    host: Host
    reachable: bool
    problem: Problem | None = None
    hostname: str = ""
    machine: str = ""
    boot: str = ""  # the kernel's boot id: another one after each boot, and on each machine
    through: str = ""  # the container engine's command, where the login is root through it
    clock_offset: float | None = None
    cli_version: str | None = None
    cli_problem: Problem | None = None
    containers: tuple[Container, ...] = ()
    helpers: tuple[tuple[str, str], ...] = ()  # other containers that matter: (name, state)
    images: frozenset[str] = frozenset()
    data: DataDir | None = None
    keeps: tuple[Keep, ...] = ()
    hold: Hold | None = None
    log: Log | None = None
    log_problem: Problem | None = None
    log_path: str | None = None
    log_wal: str | None = None  # where the WAL lies that was read, where that is not in `log_path`
    db: DbFacts | None = None
    db_problem: Problem | None = None
    received: tuple[int, ...] = ()  # the indexes of databases (`*.snap.db`) that came from a leader and lie beside it
    status: EtcdStatus | None = None
    status_problem: Problem | None = None
    members: tuple[LiveMember, ...] | None = None
    alarms: tuple[str, ...] | None = None
    certificates: tuple[Certificate, ...] = ()
    signs: tuple[Sign, ...] = ()
    made: float | None = (
        None  # when the WAL's directory was made, by the node's clock; None where its filesystem does not tell
    )
    ports: tuple[PeerPort, ...] = ()
    starters: tuple[Starter, ...] = ()
    starters_problem: Problem | None = None  # why it is not known who else starts etcd
    moved: bool = False  # the log moved while we looked: etcd is running and writing
    raw_inspect: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The host's name in the inventory."""
        return self.host.name

    @property
    def healthy(self) -> bool:
        """Whether its etcd answered a linearizable read: it has quorum behind it."""
        return self.status is not None and self.status.healthy

    @property
    def accessible(self) -> bool:
        """Whether we can stop etcd there: logged in, and the container command line answers."""
        return self.reachable and self.cli_version is not None

    def keep(self, run: str) -> Keep | None:
        """The directory of that run, if the node has one."""
        return next((keep for keep in self.keeps if keep.run == run), None)

    def open_keeps(self) -> Iterator[Keep]:
        """Runs that have begun on this node and are neither finished nor undone."""
        return (keep for keep in self.keeps if keep.pin and not keep.finished and not keep.undone)

    @cached_property
    def _originals(self) -> dict[str, Container | None]:
        """What `original` has found, by name: it is asked a hundred times for each plan."""
        return {}

    def original(self, name: str) -> Container | None:
        """The node's own etcd container: the one called `name`, or the one that a run has set aside under it.

        Of several that were set aside, one that an open run found in its place when it began (something else may have made
        another since, an earlier run have set one aside for good), else the youngest. Where none has that name, the one that
        lived when the open run began, or lives; what an open run has set aside is the original whatever its name was.
        `decide.own` tells which name is meant.
        """
        if name not in self._originals:
            self._originals[name] = self._original(name)
        return self._originals[name]

    def _original(self, name: str) -> Container | None:
        found = {identifier for keep in self.open_keeps() for identifier in keep.names}
        stood = {cid for keep in self.open_keeps() for cid, was in keep.names.items() if set_aside_by(was) is None}
        theirs = [c for c in self.containers if c.role is None]
        named = [c for c in theirs if c.name == name]
        aside = [c for c in theirs if c.kept_name == name]
        kept = sorted(aside, key=lambda c: (c.id in stood, c.id in found, c.created), reverse=True)
        rest = [c for c in theirs if name not in (c.name, c.kept_name)]
        others = sorted(
            rest, key=lambda c: (self._lived(c), c.id in found or c.kept_name is None, c.created), reverse=True
        )
        return next(iter([*named, *kept, *others]), None)

    def _lived(self, container: Container) -> bool:
        """Whether a container runs or starts by itself, or did when an open run began."""
        policies = [container.restart_policy, *(keep.policies.get(container.id, "") for keep in self.open_keeps())]
        ran = any(container.id in keep.ran for keep in self.open_keeps())
        return container.running or ran or any(policy not in ("no", "") for policy in policies)

    def named(self, name: str) -> Container | None:
        """The container with exactly that name."""
        return next((c for c in self.containers if c.name == name), None)


@dataclass(frozen=True)
class Survey:
    """One look at all nodes, in the inventory's order. `taken_at` in ISO 8601, UTC.

    `decided`: what a look a moment before has shown of hosts that were ahead of what serves: (commit, revision) by host.
    """

    fleet: Fleet
    nodes: tuple[NodeFacts, ...]
    taken_at: str
    decided: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def node(self, name: str) -> NodeFacts:
        """The facts of the host called `name`; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
