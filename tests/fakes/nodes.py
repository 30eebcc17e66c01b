"""A fleet made of values: what each step of a plan does to it, and what a survey of it would show.

It knows what the steps mean, not how they are done, so the planner can be asked again after every prefix of every plan
without any node. Each step is a row of small effects; an interruption may fall between any two of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Self

from fleetrecover import steps as s
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.reseed import MARGIN
from fleetrecover.decide.units import TOUCHING
from fleetrecover.docker.argv import from_argv
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.etcd.log import HardState, Position
from fleetrecover.etcd.membership import Configuration, Member
from fleetrecover.etcd.seed import Seed
from fleetrecover.etcd.wal import Log, read_log
from fleetrecover.facts import (
    ROLE_LABEL,
    RUN_LABEL,
    Container,
    DataDir,
    EtcdStatus,
    Keep,
    KeptData,
    LiveMember,
    NodeFacts,
    Problem,
    Proof,
    Role,
    Starter,
    StarterKind,
    Survey,
    settle,
)
from fleetrecover.model import Fleet, Host
from tests.etcd.writers import WalWriter, conf_change, put

CLUSTER = 0xC1
DATA = "/var/lib/etcd"
WAL = "/fast/etcd"
Effect = Callable[[], None]


def address(number: int) -> str:
    """The address of the host with that number, from 1."""
    return f"10.0.0.{number}"


@cache
def make_log(node_id: int, members: int, entries: int) -> Log:
    """A sound log of a cluster of so many members, ids 1 and up, then so many entries of a leader, all but the first writes."""
    writer = WalWriter(node_id=node_id, cluster_id=CLUSTER).open()
    for number in range(1, members + 1):
        member = {"peerURLs": [f"https://{address(number)}:2380"], "name": f"etcd-n{number}"}
        writer.change(1, number, conf_change(0, number, member))
    for count in range(entries):
        writer.entry(2, members + 1 + count, put(f"k{count}") if count else b"")
    writer.state(2, 1, members + entries)
    return replace(read_log(writer.done()), writes=None)  # the revisions of these fakes are set at will


def make_container(number: int, nodes: int, *, version: str = "3.4.23", wal: bool = False) -> Container:
    """RKE's etcd container of the host with that number; with `wal` its WAL has a directory of its own."""
    apart = ["--wal-dir=/wal/etcd"] if wal else []
    mine = f"https://{address(number)}"
    cluster = ",".join(f"etcd-n{each}=https://{address(each)}:2380" for each in range(1, nodes + 1))
    spec = from_argv(
        [
            *("docker", "run", "-d", "--name=etcd", "--network=host", "--restart=always"),
            *("--volume=/var/lib/etcd:/var/lib/rancher/etcd/:z", "--volume=/etc/kubernetes:/etc/kubernetes:z"),
            *(["--volume=/fast:/wal"] if wal else []),
            *(f"rancher/mirrored-coreos-etcd:v{version}-rancher1", "/usr/local/bin/etcd", f"--name=etcd-n{number}"),
            *("--data-dir=/var/lib/rancher/etcd/", "--listen-client-urls=https://0.0.0.0:2379"),
            *(f"--advertise-client-urls={mine}:2379", f"--initial-advertise-peer-urls={mine}:2380"),
            *(f"--initial-cluster={cluster}", "--initial-cluster-state=new", *apart),
        ]
    )
    return Container(
        id=f"own{number}",
        name="etcd",
        state="running",
        image=spec.image,
        image_id="sha256:etcd",
        restart_policy="always",
        network="host",
        labels={},
        exit_code=0,
        created="2026-01-01T00:00:00Z",
        config=EtcdConfig.of(spec),
        data_path=DATA,
        endpoint="https://127.0.0.1:2379",
        spec=spec,
        wal_path=WAL if wal else None,
    )


def make_db(log: Log, version: str) -> DbFacts:
    """The database of a member whose log that is; it has applied what is decided."""
    stored = f"{version.rpartition('.')[0]}.0"
    return DbFacts(4096, 7, 10**5, log.commit, None, 30, -1, -1, None, (), frozenset(), stored, "", (), False, ("key",))


def voters_only(log: Log, *ids: int) -> Configuration:
    """The log's configuration with just these voters, the others removed; new ones have the address of their number."""
    known = {member.id: member for member in log.configuration.members}
    made = {n: Member(n, "", (f"https://{address(n % 100)}:2380",), (), False) for n in ids}
    members = tuple({**made, **known}[n] for n in ids)
    gone = log.configuration.removed | (known.keys() - set(ids))
    return replace(log.configuration, members=members, voters=frozenset(ids), removed=gone)


def kept_data(keep: Keep, log: Log | None) -> tuple[KeptData, ...]:
    """What a look at what that keep keeps tells, if its original is that log."""
    if not keep.original or log is None:
        return keep.kept or ()
    voters = log.configuration_at_end.voters
    return (KeptData(f"{keep.path}/original", 30, log.last.index, log.commit, log.cluster_id, log.node_id, voters),)


@dataclass(frozen=True)
class Unit:
    """A systemd unit that starts the node's etcd; one that `remakes` it removes the container of that name first."""

    active: bool = True
    remakes: bool = True
    held_by: str = ""
    was_active: bool = False
    name: str = "etcd.service"

    @property
    def starter(self) -> Starter:
        verbs = "docker rm -f etcd\ndocker run --name=etcd etcd" if self.remakes else "docker start -a etcd"
        return Starter(
            StarterKind.UNIT,
            self.name,
            verbs,
            active=self.active,
            restarts=True,
            service="simple",
            settings=True,
            held_by=self.held_by,
            was_active=self.was_active,
        )


@dataclass
class Node:
    """One node. `data` is the log of what lies in the data directory; `kept` of what was moved aside as original."""

    number: int
    container: Container | None
    data: Log | None
    accessible: bool = True
    others: list[Container] = field(default_factory=list)
    kept: Log | None = None
    keeps: dict[str, Keep] = field(default_factory=dict)
    earlier: list[Log] = field(default_factory=list)  # what earlier runs have kept
    unit: Unit | None = None
    made: int = 0  # how often the unit has made the container anew
    wal: bool = False  # its WAL has a directory of its own
    parted: tuple[str, str] | None = None  # the run and the part where its WAL lies aside, its data being in place
    bare: bool = False  # a WAL is in place, and its data not yet
    seed: Log | None = None  # the log of the new data that lies beside, in a reseed

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def containers(self) -> list[Container]:
        return [*([self.container] if self.container else []), *self.others]

    @property
    def serving(self) -> Container | None:
        return next((c for c in self.containers if c.state == "running" and c.network != "none"), None)


@dataclass
class FakeFleet:
    """All nodes and the cluster that they form now. `live` is its member list; empty while there is no quorum."""

    nodes: list[Node]
    version: str = "3.4.23"
    live: list[LiveMember] = field(default_factory=list)
    next_id: int = 100
    databases: bool = False  # whether a survey shows them

    @classmethod
    def broken(
        cls, nodes: int, wiped: int = 0, dead: int = 0, version: str = "3.4.23", *, wal: bool = False
    ) -> FakeFleet:
        """So many nodes whose etcds are all down; the last ones wiped, the very last ones not reachable at all."""
        made = []
        for number in range(1, nodes + 1):
            own = replace(make_container(number, nodes, version=version, wal=wal), state="exited")
            lost = number > nodes - wiped - dead
            # the first one's log is the longest
            log = None if lost else make_log(number, nodes, 20 - number)
            made.append(Node(number, own, log, accessible=number <= nodes - dead, wal=wal))
        return cls(made, version)

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def copy(self) -> Self:
        """Another fleet that is the same now; what cannot change is shared."""
        twin = copy.copy(self)
        twin.live = list(self.live)
        twin.nodes = [
            replace(node, others=list(node.others), keeps=dict(node.keeps), earlier=list(node.earlier))
            for node in self.nodes
        ]
        return twin

    # --- what a survey shows ---

    def survey(self) -> Survey:
        hosts = tuple(Host(node.name, address(node.number)) for node in self.nodes)
        facts = tuple(self._facts(node, host) for node, host in zip(self.nodes, hosts, strict=True))
        return Survey(Fleet("fake", hosts), facts, "2026-01-01T00:00:00Z")

    def _facts(self, node: Node, host: Host) -> NodeFacts:
        if not node.accessible:
            return NodeFacts(host, reachable=False, problem=Problem("unreachable", f"{node.name}: no answer"))
        healthy = self._healthy(node)
        status = None
        if healthy and node.data is not None:
            me = next(member for member in self.live if member.id == node.data.node_id)
            status = EtcdStatus(self.version, me.id, CLUSTER, self.live[0].id, 3, 50, 30, 1, me.is_learner, True)
        log = node.data or node.kept
        return NodeFacts(
            host=host,
            reachable=True,
            hostname=node.name,
            cli_version="20.10",
            containers=settle(node.containers, node.keeps.values()),
            images=frozenset(text for c in node.containers for text in (c.image, c.image_id)),
            data=self._data_dir(node),
            keeps=tuple(self._as_seen(node, keep) for keep in node.keeps.values()),
            log=log,
            log_problem=None if log else Problem("missing", "no WAL there"),
            db=make_db(log, self.version) if self.databases and log is not None else None,
            status=status,
            members=tuple(self.live) if healthy else None,
            alarms=() if healthy else None,
            starters=(node.unit.starter,) if node.unit is not None else (),
        )

    def _data_dir(self, node: Node) -> DataDir:
        there = node.data is not None or node.bare
        found = DataDir(DATA, DATA, True, there, DATA + ".fleetrecover", size=10**6, free=10**10)
        return replace(found, wal=WAL, wal_size=10**5, wal_free=10**9) if node.wal else found

    def _as_seen(self, node: Node, keep: Keep) -> Keep:
        closed = keep.finished or keep.undone
        parted = node.parted is not None and node.parted[0] == keep.run and not closed
        return replace(keep, kept=kept_data(keep, node.kept), parted=parted)

    def _healthy(self, node: Node) -> bool:
        me = next((m for m in self.live if node.data is not None and m.id == node.data.node_id), None)
        return node.serving is not None and me is not None

    # --- what a step does ---

    def effects(self, step: s.Step) -> Iterator[Effect]:
        """The effects of a step, in order; an interruption may fall after any of them."""
        node = self.node(step.node)
        run = step.paths.run
        if isinstance(step, TOUCHING) and node.unit is not None:
            yield lambda: self._unit_is_out_of_the_way(node)
        match step:
            case s.HoldUnit():
                yield lambda: self._keep(node, step.paths)
                yield lambda: self._hold_unit(node, run)
            case s.StopUnit():
                yield lambda: self._unit_is_held(node)
                for target in step.targets:
                    yield partial(self._change, node, target.id, name=target.keep_as)
                    yield partial(self._change, node, target.id, state="exited")
                yield lambda: self._change_unit(node, active=False)
            case s.ReleaseUnit():
                if step.starts:
                    yield lambda: self._start_unit(node, step.name)
                yield lambda: self._change_unit(node, held_by="")
            case s.OpenRun():
                yield lambda: self._begin(node, step)
                yield lambda: self._write_down(node, step.paths)
            case s.Fence():
                for target in step.targets:
                    yield partial(self._change, node, target.id, restart_policy="no")
                    yield partial(self._change, node, target.id, state="exited")
                    yield partial(self._change, node, target.id, name=target.keep_as)
            case s.KeepData():
                yield lambda: self._together(node)
                yield lambda: self._wal_aside(node, step)
                yield lambda: self._move_aside(node, step)
            case s.KeepElsewhere():
                assert node.serving is None, "data is copied while an etcd runs on it"
                yield lambda: self._keep(node, step.paths, elsewhere=f"{step.work}/{run}/original")
                yield lambda: self._keep_elsewhere(node, step.paths)
                yield lambda: self._now_a_copy(node, step.paths)
            case s.CopyData():
                yield lambda: self._drop_ours(node)
                yield lambda: self._keep(node, step.paths, partial=True, work=False, booted=False)
            case s.RaiseCommit():
                yield lambda: self._keep(node, step.paths, partial=False, work=True)
            case s.SeedData():
                yield lambda: self._begin_seed(node, step)
                yield lambda: self._seeded(node, step)
            case s.ProveSeed():
                yield from self._prove(node, step)
            case s.AdoptSeed():
                yield lambda: self._drop_ours(node)
                yield lambda: self._adopt_seed(node, step)
            case s.Quarantine():
                yield from self._quarantine(node, step)
            case s.Adopt():
                yield lambda: self._drop_ours(node)
                yield lambda: self._wal_first(node)
                yield lambda: self._adopt(node, step)
            case s.StartOriginal():
                yield lambda: self._together(node)
                if step.replaces:
                    yield lambda: self._drop_ours(node)
                yield lambda: self._change(node, step.container_id, name=step.name)
                yield lambda: self._change(node, step.container_id, restart_policy=step.restart_policy)
                yield lambda: self._start(node, step.container_id)
            case s.AwaitQuorum() | s.EnsureImage() | s.CheckFiles():
                pass
            case s.RemoveMember():
                yield lambda: self._remove(step.member_id)
            case s.AddMember():
                yield lambda: self._add(step)
            case s.UpdateMember():
                yield lambda: self._update(step)
            case s.RemoveLeftover():
                yield lambda: self._remove_leftover(node, step)
            case s.Join():
                yield lambda: self._together(node)
                yield lambda: self._join(node, step)
                yield lambda: self._publish(node, step)
            case s.Promote():
                yield lambda: self._promote(step.peer_urls)
            case s.GiveNameBack():
                yield lambda: self._change(node, step.container_id, name=step.name)
            case s.Reopen():
                pass  # it takes clients
            case s.RestorePolicy():
                yield lambda: self._change_named(node, step.name, restart_policy=step.restart_policy)
            case s.CloseEarlier():
                yield lambda: self._together(node)
                yield lambda: self._keep(node, step.earlier, finished=True)
            case s.FinishRun():
                yield lambda: self._together(node)
                yield lambda: self._keep(node, step.paths, finished=True)
            case _:
                raise AssertionError(f"the fake fleet does not know {type(step).__name__}")

    def do(self, steps: Iterable[s.Step]) -> None:
        """All effects of these steps, one after another."""
        for step in steps:
            for effect in self.effects(step):
                effect()

    def _change_unit(self, node: Node, **parts: object) -> None:
        assert node.unit is not None
        node.unit = replace(node.unit, **parts)  # type: ignore[arg-type]

    def _unit_is_out_of_the_way(self, node: Node) -> None:
        assert node.unit is not None and node.unit.held_by and not node.unit.active, (
            "the unit would start etcd meanwhile"
        )

    def _unit_is_held(self, node: Node) -> None:
        assert node.unit is not None and node.unit.held_by, "it would start again at once"

    def _hold_unit(self, node: Node, run: str) -> None:
        assert node.unit is not None
        was = node.unit.was_active if node.unit.held_by else node.unit.active
        self._change_unit(node, held_by=run, was_active=was)

    def _start_unit(self, node: Node, name: str) -> None:
        """As the unit does: it removes what has the name and makes it anew, with its own command, or starts what is there."""
        assert node.unit is not None
        if node.unit.active or not (node.unit.remakes or any(c.name == name for c in node.containers)):
            return
        self._change_unit(node, active=True)
        if node.unit.remakes:
            node.made += 1
            model = node.container or make_container(node.number, len(self.nodes), version=self.version)
            anew = replace(model, id=f"anew{node.made}", name=name, labels={}, restart_policy="always", state="exited")
            if node.container is not None and node.container.name != name:
                node.others.append(node.container)
            node.others = [c for c in node.others if c.name != name]
            node.container = anew
        found = next(c for c in node.containers if c.name == name)
        if node.data is not None:
            self._start(node, found.id)

    def _keep(self, node: Node, paths: RunPaths, **parts: object) -> None:
        keep = node.keeps.get(paths.run) or Keep(paths.run, paths.root, None)
        node.keeps[paths.run] = replace(keep, **parts)  # type: ignore[arg-type]

    def _begin(self, node: Node, step: s.OpenRun) -> None:
        """A run that was undone there begins anew."""
        if step.paths.run in node.keeps and node.keeps[step.paths.run].undone:
            del node.keeps[step.paths.run]
        self._keep(node, step.paths, pin=step.pin)

    def _write_down(self, node: Node, paths: RunPaths) -> None:
        """What the containers are when the run begins; written once."""
        if not node.keeps[paths.run].policies:
            theirs = [c for c in node.containers if c.role is None]
            names, policies = {c.id: c.name for c in theirs}, {c.id: c.restart_policy for c in theirs}
            self._keep(node, paths, containers=True, policies=policies, names=names)
        self._keep(node, paths, containers=True)

    def _change(self, node: Node, container_id: str, **parts: object) -> None:
        if node.container is not None and node.container.id == container_id:
            node.container = replace(node.container, **parts)  # type: ignore[arg-type]
            return
        node.others = [replace(c, **parts) if c.id == container_id else c for c in node.others]  # type: ignore[arg-type]

    def _change_named(self, node: Node, name: str, **parts: object) -> None:
        for container in node.containers:
            if container.name == name:
                self._change(node, container.id, **parts)

    def _drop_ours(self, node: Node) -> None:
        node.others = [c for c in node.others if c.role is None]

    def _together(self, node: Node) -> None:
        """A WAL that was parted from its data goes back to it; what a closed run keeps is not looked at."""
        if node.parted is not None:
            keep = node.keeps[node.parted[0]]
            assert not keep.finished and not keep.undone, "a run was closed over a log that lies astray"
            node.parted = None

    def _wal_aside(self, node: Node, step: s.KeepData) -> None:
        assert node.serving is None, "a log is moved while an etcd runs on it"
        if node.wal and node.data is not None:
            node.parted = (step.paths.run, step.part)

    def _wal_first(self, node: Node) -> None:
        """The proven copy's WAL goes to its own place."""
        node.bare = node.wal and node.data is None

    def _move_aside(self, node: Node, step: s.KeepData) -> None:
        assert node.serving is None, "data is moved while an etcd runs on it"
        node.parted = None
        if node.bare:
            assert step.part != "original", "a copy of ours would be taken for the original"
            node.bare = False
            self._keep(node, step.paths, discarded=(*node.keeps[step.paths.run].discarded, step.part))
        if node.data is None:
            return
        if step.part == "original":
            assert not node.keeps[step.paths.run].original, "the original would be moved over another one"
            node.earlier += [node.kept] if node.kept is not None else []
            node.kept, node.data = node.data, None
            self._keep(node, step.paths, original=True)
        else:
            node.data = None
            self._keep(node, step.paths, discarded=(*node.keeps[step.paths.run].discarded, step.part))

    def _keep_elsewhere(self, node: Node, paths: RunPaths) -> None:
        node.kept = node.data
        self._keep(node, paths, original=True)

    def _now_a_copy(self, node: Node, paths: RunPaths) -> None:
        node.data = None
        self._keep(node, paths, partial=True)

    def _quarantine(self, node: Node, step: s.Quarantine) -> Iterator[Effect]:
        assert node.container is not None
        apart = f"{step.paths.at('booted')}/member/wal:/wal/etcd"
        assert any(bind.startswith(apart) for bind in step.spec.binds) == node.wal, (
            "the reset would not run on the copy"
        )
        container = _quarantine(node.container, step, forced=True)
        proof = Proof(30, 7, 0, step.member_id, CLUSTER, self.version)
        yield lambda: self._keep(node, step.paths, work=False, booted=True)
        yield lambda: node.others.append(container)
        yield lambda: self._change(node, "quarantine", state="exited")
        yield lambda: self._keep(node, step.paths, proof=proof)
        yield lambda: self._keep(node, step.paths, booted=False, reset=True)
        yield lambda: self._drop_ours(node)

    # --- a reseed ---

    def _begin_seed(self, node: Node, step: s.SeedData) -> None:
        """What an earlier attempt has made is thrown away; but if it is just this it is left."""
        assert not self.live, "data is made while etcd serves"
        if node.seed is None or node.seed != self._log_of(step.source, step.seed):
            node.seed = None
            self._keep(node, step.paths, partial=True, work=False, booted=False)

    def _seeded(self, node: Node, step: s.SeedData) -> None:
        node.seed = self._log_of(step.source, step.seed)
        assert node.seed.configuration_at_end.voters == step.voters
        self._keep(node, step.paths, partial=False, work=True)

    def _heirs(self, chief: Node) -> list[Node]:
        """Those at hand who are members by the log that was moved aside on the survivor."""
        assert chief.kept is not None
        members = chief.kept.configuration_at_end.voters
        return [node for node in self.nodes if node.accessible and node.number in members]

    def _log_of(self, source: str, seed: Seed) -> Log:
        """The survivor's log as the seed makes it another member's."""
        log = self.node(source).kept
        assert log is not None, "it is read where it was moved aside"
        left = log.configuration_at_end.voters - set(seed.removed)
        now = replace(voters_only(log, *sorted(left)), voters=left & log.configuration_at_end.voters)
        last = Position(seed.term, seed.end) if seed.removed else log.last
        state = HardState(seed.term, 0, seed.end)
        beyond = dict.fromkeys(now.removed, seed.end)
        return replace(
            log,
            node_id=seed.node_id,
            hard_state=state,
            last=last,
            configuration=now,
            configuration_at_end=now,
            removed_at=beyond,
        )

    def _prove(self, node: Node, step: s.ProveSeed) -> Iterator[Effect]:
        assert all(n.seed is not None for n in self._heirs(node)), "it is proven before the last one is whole"
        assert node.container is not None
        container = _quarantine(node.container, step, forced=False)
        proof = Proof(30, 7, 0, step.member_id, CLUSTER, self.version, step.term, step.index)
        yield lambda: self._drop_ours(node)
        yield lambda: self._keep(node, step.paths, booted=True)
        yield lambda: node.others.append(container)
        yield lambda: self._change(node, "quarantine", state="exited")
        yield lambda: self._drop_ours(node)
        yield lambda: self._keep(node, step.paths, booted=False)
        yield lambda: self._keep(node, step.paths, proof=proof)

    def _adopt_seed(self, node: Node, step: s.AdoptSeed) -> None:
        assert node.data is None and node.seed is not None
        assert (node.seed.node_id, node.seed.hard_state) == (step.member_id, HardState(step.term, 0, step.index))
        chief = next(n for n in self.nodes if any(keep.proof for keep in n.keeps.values()))
        mine = self._heirs(chief)
        assert all(n.seed is not None or (n.data and n.data.hard_state.term >= step.term) for n in mine), (
            "one is put in place before the last one is whole"
        )
        node.data, node.seed = node.seed, None
        self._keep(node, step.paths, work=False)

    def _adopt(self, node: Node, step: s.Adopt) -> None:
        assert node.data is None and node.kept is not None
        alone = voters_only(node.kept, node.kept.node_id)
        beyond = dict.fromkeys(alone.removed, node.kept.last.index + 1)
        node.data = replace(node.kept, configuration=alone, configuration_at_end=alone, removed_at=beyond)
        node.bare = False
        self._keep(node, step.paths, reset=False)

    def _start(self, node: Node, container_id: str) -> None:
        assert node.parted is None and not node.bare, "an etcd is started on half of its data"
        self._change(node, container_id, state="running")
        assert sum(1 for c in node.containers if c.state == "running") == 1, "two etcds run on one node"
        if self.live or node.data is None:
            return
        if node.data.hard_state.term > MARGIN:
            assert all(n.seed is None for n in self.nodes if n.accessible), "one is started before all have their data"
            assert not any(n.data and n.data.hard_state.term < MARGIN for n in self.nodes if n.serving), (
                "an old one runs"
            )
        reset = any(keep.proof for keep in node.keeps.values())
        voters = [node.data.node_id] if reset else [n.number for n in self.nodes]
        if node.data.hard_state.term > MARGIN:
            voters = sorted(node.data.configuration_at_end.voters)
        up = [n for n in self.nodes if n.serving and n.data is not None]
        if len(up) > len(voters) // 2:
            self.live = [self._seat(node.data, number) for number in voters]

    def _member(self, number: int, name: str, *, member_id: int | None = None, learner: bool = False) -> LiveMember:
        urls = (f"https://{address(number)}:2380",)
        return LiveMember(member_id or number, name, urls, (), learner)

    def _seat(self, log: Log, number: int) -> LiveMember:
        """A member as a log knows it; one that it does not know has the address of its number."""
        known = next((m for m in log.configuration_at_end.members if m.id == number), None)
        if known is None or not known.peer_urls:
            return self._member(number, f"etcd-n{number}")
        return LiveMember(number, known.name or f"etcd-n{number}", known.peer_urls, (), False)

    def _update(self, step: s.UpdateMember) -> None:
        assert self.live, "a member of no cluster is changed"
        others = {url for m in self.live if m.id != step.member_id for url in m.peer_urls}
        assert not others & set(step.peer_urls), "Peer URLs already exists"
        assert any(m.id == step.member_id for m in self.live), "member not found"
        self.live = [replace(m, peer_urls=step.peer_urls) if m.id == step.member_id else m for m in self.live]

    def _remove_leftover(self, node: Node, step: s.RemoveLeftover) -> None:
        gone = [c for c in node.containers if c.name == step.name]
        assert all(c.made_by == step.made_by for c in gone), "another one has the name"
        node.others = [c for c in node.others if c not in gone]
        node.container = None if node.container in gone else node.container

    def swap_data(self, one: str, other: str) -> None:
        """The disks of two hosts change places; their etcds are down and know nothing of it."""
        first, second = self.node(one), self.node(other)
        first.data, second.data = second.data, first.data

    def _remove(self, member_id: int) -> None:
        self.live = [member for member in self.live if member.id != member_id]

    def _at(self, urls: tuple[str, ...]) -> LiveMember | None:
        return next((member for member in self.live if member.peer_urls == urls), None)

    def _add(self, step: s.AddMember) -> None:
        assert self.live, "a member is added to no cluster"
        assert not any(m.is_learner or not m.name for m in self.live if m.peer_urls != step.peer_urls), "two at once"
        if self._at(step.peer_urls) is None:
            self.next_id += 1
            self.live.append(LiveMember(self.next_id, "", step.peer_urls, (), step.learner))

    def _join(self, node: Node, step: s.Join) -> None:
        me = self._at(step.peer_urls)
        assert me is not None, "it joins without having been added"
        if any(c.role is Role.JOINING and c.state == "running" for c in node.others):
            return
        assert node.data is None or node.data.node_id == me.id, "it joins on old data"
        model = node.container or self.nodes[0].container
        assert model is not None
        labels = {RUN_LABEL: step.paths.run, ROLE_LABEL: Role.JOINING.value}
        self._drop_ours(node)
        assert all(c.name != step.name for c in node.containers), "the name is taken"
        joining = replace(model, id=f"join{me.id}", name=step.name, labels=labels, state="running", restart_policy="no")
        node.others.append(joining)

    def _publish(self, node: Node, step: s.Join) -> None:
        me = self._at(step.peer_urls)
        assert me is not None
        leader = next(each for each in self.nodes if each.data is not None and each.data.node_id == self.live[0].id)
        assert leader.data is not None
        node.data = replace(leader.data, node_id=me.id)
        self.live = [replace(m, name=step.member_name) if m.id == me.id else m for m in self.live]

    def _promote(self, urls: tuple[str, ...]) -> None:
        self.live = [replace(m, is_learner=False) if m.peer_urls == urls else m for m in self.live]


def _quarantine(own: Container, step: s.Quarantine, *, forced: bool) -> Container:
    """What a copy runs in."""
    labels = {RUN_LABEL: step.paths.run, ROLE_LABEL: Role.QUARANTINE.value}
    return replace(
        own,
        id="quarantine",
        name=step.container,
        network="none",
        labels=labels,
        forced=forced,
        state="running",
        restart_policy="no",
    )
