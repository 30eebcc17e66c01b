"""A host of a world: its disk, its containers, the etcd that runs on it, what runs of ours keep there, and what is seen of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from fleetrecover.commands.paths import RunPaths
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.etcd.log import Log
from fleetrecover.facts import (
    Container,
    DataDir,
    EtcdStatus,
    Keep,
    LiveMember,
    NodeFacts,
    Pin,
    Problem,
    Proof,
    settle,
)
from fleetrecover.model import Host as Address
from tests.fakes.nodes import DATA, address, make_container
from tests.worlds.disks import Disk, member_name

_KEEP_FIELDS = frozenset(each.name for each in fields(Keep))
KEEP_ROOT = DATA + ".fleetrecover"
FREE = 10**10


@cache
def own_container(
    number: int, hosts: int, version: str, state: str = "new", forced: bool = False, policy: str = "always"
) -> Container:
    """RKE's container of that host, with another `--initial-cluster-state`, the force flag, or another policy."""
    plain = make_container(number, hosts, version=version)
    assert plain.spec is not None and plain.spec.command is not None
    command = [word.replace("cluster-state=new", f"cluster-state={state}") for word in plain.spec.command]
    spec = replace(
        plain.spec,
        command=tuple(command + ["--force-new-cluster"] * forced),
        restart=policy,
    )
    return replace(plain, config=EtcdConfig.of(spec), spec=spec, forced=forced, restart_policy=policy, state="exited")


@cache
def host_address(number: int) -> Address:
    """The host as the inventory has it."""
    return Address(f"n{number}", address(number))


@dataclass
class Process:
    """An etcd that runs in the open. `known` is its commit, `leader` the member that it follows (0: none).

    `leads`: it is the leader; `serving`: a linearizable read succeeds; `opened`: it has answered since its start;
    `reached` is, for a leader, how much of its log each member has had in its term.
    """

    container: str
    known: int
    leader: int = 0
    leads: bool = False
    serving: bool = False
    opened: bool = False
    reached: dict[int, int] = field(default_factory=dict)


@dataclass
class Kept:
    """One run's directory. `parts` are data directories by the name of the part."""

    pin: Pin | None = None
    recorded: bool = False
    policies: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    ran: frozenset[str] = frozenset()
    no_data: bool = False
    parts: dict[str, Disk] = field(default_factory=dict)
    proof: Proof | None = None
    finished: bool = False
    undone: bool = False
    undoing: bool = False

    def copy(self) -> Kept:
        return replace(self, policies=dict(self.policies), names=dict(self.names), parts=dict(self.parts))

    def facts(self, run: str) -> Keep:
        """As a survey shows it."""
        parts = self.parts
        known: dict[str, Any] = {
            "undoing": self.undoing and not self.undone,
            "withdrawn": tuple(name for name in parts if name.startswith("withdrawn")),
        }
        return Keep(
            run=run,
            path=RunPaths(KEEP_ROOT, run).root,
            pin=self.pin,
            containers=self.recorded,
            original="original" in parts,
            partial="partial" in parts,
            work="work" in parts,
            booted="booted" in parts,
            reset="reset" in parts,
            finished=self.finished and not self.undoing,
            undone=self.undone,
            proof=self.proof,
            bytes=10**6 * len(parts),
            policies=dict(self.policies),
            names=dict(self.names),
            ran=self.ran,
            no_data=self.no_data,
            discarded=tuple(name for name in parts if name.startswith("discarded")),
            **{name: value for name, value in known.items() if name in _KEEP_FIELDS},
        )


@dataclass
class Host:
    """One machine. `side`: 0 is where the operator is; others are cut off, and reach each other alone.

    `trouble` names what a person can mend: "off", "cut", "engine", "login"; "" for none. `gone`: it never comes back.
    """

    number: int
    disk: Disk | None
    containers: list[Container]
    process: Process | None = None
    kept: dict[str, Kept] = field(default_factory=dict)
    trouble: str = ""
    gone: bool = False
    given_up: dict[str, Disk] = field(default_factory=dict)  # what the operator has moved away by hand

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def side(self) -> int:
        return 1 if self.trouble == "cut" else 0

    @property
    def reachable(self) -> bool:
        """Whether the operator can log in."""
        return self.trouble not in ("off", "cut", "login")

    @property
    def accessible(self) -> bool:
        """Whether the operator can log in and the container engine answers."""
        return self.reachable and self.trouble != "engine"

    @property
    def powered(self) -> bool:
        """Whether containers can run."""
        return self.trouble not in ("off", "engine")

    def copy(self) -> Host:
        process = replace(self.process, reached=dict(self.process.reached)) if self.process else None
        kept = {run: each.copy() for run, each in self.kept.items()}
        return replace(self, containers=list(self.containers), process=process, kept=kept, given_up=dict(self.given_up))

    def container(self, container_id: str) -> Container | None:
        return next((c for c in self.containers if c.id == container_id), None)

    def named(self, name: str) -> Container | None:
        return next((c for c in self.containers if c.name == name), None)

    def change(self, container_id: str, **parts: object) -> None:
        self.containers = [replace(c, **parts) if c.id == container_id else c for c in self.containers]  # type: ignore[arg-type]

    def disks(self) -> Iterator[tuple[str, Disk]]:
        """Every copy of data on the host, with where it lies."""
        if self.disk is not None:
            yield "data", self.disk
        for run, kept in self.kept.items():
            for part, disk in kept.parts.items():
                yield f"{run}/{part}", disk
        yield from self.given_up.items()

    # --- as a survey shows it ---

    def evidence(self) -> Disk | None:
        """The disk that a survey reads: what an open run has moved aside where it has, else what lies in place."""
        for run in sorted(self.kept, reverse=True):
            kept = self.kept[run]
            if kept.pin is None or "original" not in kept.parts or kept.finished or kept.undone:
                continue
            busy = any(part in kept.parts for part in ("partial", "work", "booted", "reset"))
            adopted = self.disk is not None and kept.proof is not None and not busy
            if (kept.pin.survivor == self.name and not adopted) or (
                kept.pin.survivor != self.name and self.disk is None
            ):
                return kept.parts["original"]
        return self.disk

    def facts(self, live: tuple[LiveMember, ...], version: str, logs: bool = True) -> NodeFacts:
        """Everything that a survey would know of it; `live` is the member list that its etcd gives."""
        if not self.reachable:
            return NodeFacts(host_address(self.number), reachable=False, problem=_PROBLEMS[self.trouble](self.name))
        keeps = tuple(self.kept[run].facts(run) for run in sorted(self.kept))
        engine = self.trouble != "engine"
        containers = settle(self.containers, keeps) if engine else ()
        status, problem = self._status(version) if engine else (None, None)
        disk = self.evidence() if logs else None
        has = self.disk is not None
        return NodeFacts(
            host=host_address(self.number),
            reachable=True,
            hostname=self.name,
            machine=f"machine-{self.number}",
            clock_offset=0.0,
            cli_version="20.10" if engine else None,
            cli_problem=None if engine else Problem("command", f"{self.name}: Cannot connect to the Docker daemon"),
            containers=containers,
            images=frozenset(text for c in containers for text in (c.image, c.image_id)),
            data=DataDir(DATA, DATA, True, has, KEEP_ROOT, size=10**6 if has else 0, free=FREE),
            keeps=keeps,
            log=_logged_by(version, disk) if disk is not None and disk.sound else None,
            log_problem=_log_problem(disk) if logs else None,
            db=_written_by(version, disk) if disk is not None else None,
            db_problem=None if disk is not None or not logs else Problem("missing", "no database there"),
            status=status,
            status_problem=problem,
            members=live if status is not None and status.healthy else None,
            alarms=() if status is not None and status.healthy else None,
        )

    def _status(self, version: str) -> tuple[EtcdStatus | None, Problem | None]:
        process, disk = self.process, self.disk
        if process is None or disk is None:
            runs = any(c.state == "running" and c.network != "none" for c in self.containers)
            return None, Problem("command", "endpoint-status: context deadline exceeded") if runs else None
        if not process.opened:
            return None, Problem("command", "endpoint-status: exit code 1: context deadline exceeded")
        learner = disk.member in disk.roster(process.known).learners
        healthy = process.serving and not learner
        revision = replace(disk, applied=process.known).revision
        leader = process.leader if process.leader else 0
        why = None if healthy else "it has no leader" if not leader else "etcdserver: request timed out"
        return EtcdStatus(
            *(version, disk.member, disk.cluster, leader, disk.term, process.known, revision, 1 << 20),
            is_learner=learner,
            healthy=healthy,
            problem=why,
        ), None


_PROBLEMS = {
    "off": lambda name: Problem("unreachable", f"{name}: did not answer within 10 s"),
    "cut": lambda name: Problem("unreachable", f"{name}: did not answer within 10 s"),
    "login": lambda name: Problem(
        "login", f"{name}: did not let root in: no key was accepted", "see [ssh] user and key in hosts.toml"
    ),
}


def _written_by(version: str, disk: Disk) -> DbFacts:
    """Its database, with the version of the cluster that wrote it."""
    return replace(disk.db, cluster_version=f"{version.rpartition('.')[0]}.0")


def _logged_by(version: str, disk: Disk) -> Log:
    """Its log, whose snapshot says the same version as its database."""
    log, said = disk.log, f"{version.rpartition('.')[0]}.0"
    now, end = (replace(c, cluster_version=said) for c in (log.configuration, log.configuration_at_end))
    return replace(log, configuration=now, configuration_at_end=end)


def _log_problem(disk: Disk | None) -> Problem | None:
    if disk is None:
        return Problem("missing", "no WAL there")
    return None if disk.sound else Problem("corrupt", "the checksum does not match")


def live_members(disk: Disk, known: int) -> tuple[LiveMember, ...]:
    """The member list that an etcd gives which has applied so much of its log."""
    seen = disk.roster(known)
    return tuple(
        LiveMember(
            member,
            member_name(host) if member in seen.named else "",
            (seen.urls[member],),
            (),
            member in seen.learners,
        )
        for member, host in sorted(seen.hosts.items())
    )
