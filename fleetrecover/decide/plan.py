"""PURE: from the survey and the wish to the ordered steps that remain.

The plan is always made from what the nodes show, never from a saved position: where a run was interrupted, only what is
missing comes out. Its invariants, checked by `check_plan` after each making:

- the force flag is only on a container without network and without a restart policy;
- a node's data is moved aside before anything is written in its place, and the survivor's copy is made from what was
  moved aside; or, with --work-dir, the data is kept by a copy that was compared, and then serves as the working copy;
- nobody is added before the survivor has been started, and members are added one at a time, in the inventory's order;
- a reset never comes with a node that is neither fenced nor declared dead.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetrecover.commands.paths import DEFAULT_DATA, RunPaths
from fleetrecover.decide.aside import aside_targets
from fleetrecover.decide.away import no_container
from fleetrecover.decide.basis import fingerprint
from fleetrecover.decide.dead import resolved
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Wish, superseded
from fleetrecover.decide.diagnosis import OpenRun as UnderWay
from fleetrecover.decide.leftovers import leftovers
from fleetrecover.decide.membership import Seat, following, host_of_url, own_id, quorum, seats_of
from fleetrecover.decide.method import Method, method_of
from fleetrecover.decide.own import own_container, own_name, standing_container
from fleetrecover.decide.placement import changes, displaced, misplaced
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.regrown import adopted, regrown
from fleetrecover.decide.renamed import in_place, renamed
from fleetrecover.decide.reseed import reseeding
from fleetrecover.decide.reseed_plan import ReseedStages, check_reseed
from fleetrecover.decide.sides import begun_anew
from fleetrecover.decide.units import Units
from fleetrecover.decide.untouchable import refusal
from fleetrecover.errors import FleetRecoverError, Refused, Unsupported
from fleetrecover.etcd.membership import hex_id
from fleetrecover.etcd.wal import raise_commit
from fleetrecover.facts import (
    RESEED,
    RESET,
    Container,
    Definition,
    Keep,
    NodeFacts,
    Pin,
    Role,
    Survey,
    WorkDir,
)
from fleetrecover.model import Fleet
from fleetrecover.runtime import MemberIdentity, Runtime, runtime_of
from fleetrecover.steps import (
    ROLLING,
    AddMember,
    Adopt,
    AwaitQuorum,
    CheckFiles,
    CloseEarlier,
    CopyData,
    EnsureImage,
    Fence,
    FinishRun,
    GiveNameBack,
    Join,
    KeepData,
    KeepElsewhere,
    OpenRun,
    ProbeReflink,
    Promote,
    Quarantine,
    RaiseCommit,
    RemoveLeftover,
    RemoveMember,
    Reopen,
    RestorePolicy,
    Stage,
    StartNeighbours,
    StartOriginal,
    StartRebuilt,
    Step,
    StopNeighbours,
    UpdateMember,
    stage,
)

SPACE_MARGIN = 64 * 1024 * 1024
"""What etcd takes beside its data when it starts: one WAL segment, 64 MB, allocated whole; without it, it hangs."""
JOIN_MARGIN = 2 * 64 * 1024 * 1024
"""What a new member takes beside its database: two WAL segments, which etcd allocates whole."""


@dataclass(frozen=True)
class Plan:
    """Everything that would be done. `stages` in order; `closing` after the final check was good.

    `joins` are the hosts that come in as new members; `method` is known where the remedy is a reset. Two plans with the same
    `fingerprint` are the same plan.
    """

    run: str
    cluster: str
    remedy: Remedy
    survivor: str | None
    stages: tuple[Stage, ...]
    closing: Stage | None
    notes: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    resumed: bool = False
    dead: tuple[str, ...] = ()
    method: Method | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps but the closing ones."""
        return tuple(step for part in self.stages for step in part.steps)

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.steps and self.closing is None

    def stage(self, name: str) -> Stage | None:
        """The stage of that name."""
        return next((part for part in self.stages if part.name == name), None)


def make_plan(
    survey: Survey,
    diagnosis: Diagnosis,
    wish: Wish,
    *,
    run: str,
    started: str,
    tool: str = "",
    work: WorkDir | None = None,
) -> Plan:
    """Order the steps that remain. `run` is used unless the nodes show an open run; `started` in ISO 8601.

    `work` is the wish's work directory as it is on the survivor's node.

    Raises Refused where nothing safe can be done, Unsupported where a container cannot be reproduced.
    """
    if diagnosis.remedy is Remedy.BLOCKED:
        raise Refused(diagnosis.why)
    wish = resolved(survey, wish)
    for node in survey.nodes:
        rt = runtime_of(survey.fleet, node.host)
        why = rt.cannot_fence(node.cli_version) if node.cli_version is not None else ""
        if why:
            raise Unsupported(
                f"{node.name}: {why}; nothing was changed", hint="podman 5.1 and later can; else use docker"
            )
    known = diagnosis.open_run
    if known is not None and diagnosis.remedy is Remedy.RESET and known.kind == Remedy.REPAIR and known.run != run:
        # a run that only changed a living membership and one that resets are taken back differently: they get two ids
        survey, diagnosis, known = superseded(survey, known.run), replace(diagnosis, open_run=None), None
    maker = Maker(
        survey=survey,
        diagnosis=diagnosis,
        wish=wish,
        run=known.run if known else run,
        started=known.started if known else started,
        tool=tool,
        work=work,
    )
    plan = maker.plan()
    check_plan(survey.fleet, plan)
    forbids = refusal(survey, plan.steps)
    if forbids is not None:
        raise Refused(f"{forbids.message}; nothing was changed", hint=forbids.advice or None)
    return plan


@dataclass
class Maker:
    """Makes one plan; `reseed_plan` uses it, too."""

    survey: Survey
    diagnosis: Diagnosis
    wish: Wish
    run: str
    started: str
    tool: str
    work: WorkDir | None = None
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    names_only: bool = False  # known once the steps are
    method: Method | None = None

    def plan(self) -> Plan:
        remedy = self.diagnosis.remedy
        choice = self.diagnosis.choice
        survivor: str | None = None
        stages: list[Stage | None] = []
        joins: list[str] = []
        open_run = self.open_run
        if remedy is Remedy.RESET and choice is not None:
            pinned = open_run is not None and open_run.pinned and open_run.kind == Remedy.RESET
            survivor = open_run.survivor if open_run is not None and pinned else choice.survivor
            found = reseeding(self.survey, self.wish, survivor)
            self.method = method_of(self.wish, open_run, found)
            if self.method.name == RESEED:
                self.refuse_work_dir()
                stages, joins = ReseedStages(self, survivor).stages(found)
            else:
                stages, joins = self.reset(survivor)
        elif remedy is Remedy.START:
            stages = self.start()
        elif remedy in (Remedy.REPAIR, Remedy.FINISH):
            if open_run and open_run.kind == Remedy.RESET:
                survivor = open_run.survivor or None  # a run that only repairs has none
            stages, joins = self.repair(survivor)
        closing = None
        if remedy is not Remedy.NONE:
            stages = self.around_units(stages)
            closed = [node for node in self.nodes() if self.to_close(node, stages)]
            lanes = [[*self.rolling_again(n), FinishRun(n.name, self.paths(n), self.data(n))] for n in closed]
            closing = stage("finish", "Close the run", lanes)
        return Plan(
            run=self.run,
            cluster=self.survey.fleet.cluster,
            remedy=remedy,
            survivor=survivor,
            stages=tuple(part for part in stages if part is not None),
            closing=closing,
            notes=tuple(self.notes),
            joins=tuple(joins),
            left_out=dict(self.left_out),
            resumed=self.open_run is not None,
            dead=tuple(sorted(self.wish.dead)),
            method=self.method,
        )

    # --- what every plan needs ---

    def refuse_work_dir(self) -> None:
        """A reseed makes new data beside the old on every node; a directory on one of them does not help."""
        if self.wish.work_dir is not None:
            raise Refused(
                "--work-dir is for a reset alone: a reseed makes new data beside the old on every node; nothing was changed",
                hint="leave --work-dir out, or --method reseed",
            )

    def around_units(self, stages: Sequence[Stage | None]) -> list[Stage | None]:
        """The stages, and what the units that start etcd need; they are given back by the plan that makes the cluster whole."""
        spared = frozenset(node.name for node in self.survey.nodes if node.healthy) | self.wish.dead
        units = Units(self.survey, self.run, lambda node: (self.paths(node), self.data(node)))
        last = self.diagnosis.remedy is not Remedy.START
        return units.around(stages, spared=spared, alone=frozenset(self.left_out), release=last)

    def name(self, node: NodeFacts) -> str:
        """What the node's own container is called."""
        return own_name(self.survey, node)

    @property
    def open_run(self) -> UnderWay | None:
        """The run that this plan goes on with; None where it begins one."""
        run = self.diagnosis.open_run
        return run if run is not None and run.run == self.run else None

    def nodes(self) -> list[NodeFacts]:
        return [node for node in self.survey.nodes if node.accessible]

    def dead(self, node: NodeFacts) -> bool:
        return node.name in self.wish.dead

    def data(self, node: NodeFacts) -> str:
        return node.data.real if node.data else DEFAULT_DATA

    def paths(self, node: NodeFacts) -> RunPaths:
        return RunPaths.of(node.data, self.run)

    def rt(self, node: NodeFacts) -> Runtime:
        """What runs etcd there."""
        return runtime_of(self.survey.fleet, node.host)

    def where(self, node: NodeFacts) -> tuple[str, RunPaths, str]:
        """What every step begins with: the node, the run's paths on it, its data directory."""
        return node.name, self.paths(node), self.data(node)

    def keep(self, node: NodeFacts) -> Keep | None:
        return node.keep(self.run)

    def to_close(self, node: NodeFacts, stages: Iterable[Stage | None]) -> bool:
        keep = self.keep(node)
        if keep is not None:
            return not keep.finished
        return any(isinstance(step, OpenRun) and step.node == node.name for s in stages if s for step in s.steps)

    def pin(self, survivor: str | None) -> Pin:
        was_reset = self.open_run is not None and self.open_run.kind == Remedy.RESET
        kind = Remedy.RESET if self.diagnosis.remedy is Remedy.RESET or was_reset else Remedy.REPAIR
        return Pin(
            run=self.run,
            cluster=self.survey.fleet.cluster,
            survivor=survivor or "",
            started=self.started,
            kind=kind.value,
            dead=tuple(sorted(self.wish.dead)),
            tool=self.tool,
            meant=tuple(sorted(self.wish.meant)),
            names_only=self.names_only,
            method=self.method.name if self.method else self.open_run.method if self.open_run else RESET,
        )

    def open(self, node: NodeFacts, survivor: str | None) -> list[Step]:
        keep, pin = self.keep(node), self.pin(survivor)
        if keep is not None and keep.pin is not None:
            pin = replace(pin, meant=tuple(sorted({*keep.pin.meant, *pin.meant})))
        # what an earlier run left is removed, and cannot be put back: it is written down, so that undo says so
        left = {found.id for found in leftovers(node, self.run)}
        theirs = tuple(c.id for c in node.containers if c.role is None or c.id in left)
        if keep is not None and keep.containers and keep.pin is not None and not keep.undone:
            same = (keep.pin.survivor, keep.pin.kind, keep.pin.method) == (pin.survivor, pin.kind, pin.method)
            # what it does, and what its words stood for, is looked up there later
            grown = (keep.pin.names_only and not pin.names_only) or not {*pin.meant} <= {*keep.pin.meant}
            if not grown and (same or self.diagnosis.remedy is not Remedy.RESET):
                return []
        return [OpenRun(node.name, self.paths(node), self.data(node), pin, theirs)]

    def close_stale(self, node: NodeFacts) -> list[Step]:
        """Close the earlier runs for which nothing is to be done any more, before this one begins.

        What such a run has written down counts no more when it is closed, so the restart policy that it has taken is given
        back first: this run takes it again, and writes it down.
        """
        paths, data = self.paths(node), self.data(node)
        stale = [replace(paths, run=keep.run) for keep in node.keeps if keep.stale]
        there = standing_container(self.survey, node)
        loose = there is not None and there.role is None and there.restart_policy != true_policy(node, there)
        steps: list[Step] = []
        if stale and there is not None and loose:
            steps.append(RestorePolicy(node.name, paths, data, self.name(node), true_policy(node, there)))
        return [*steps, *(CloseEarlier(node.name, paths, data, earlier) for earlier in stale)]

    def rolling(self, node: NodeFacts) -> list[Step]:
        """Stop RKE's rolling snapshots while there is no quorum: they take none, but go on removing old ones."""
        states = dict(node.helpers)
        if states.get(ROLLING) not in ("running", "restarting"):
            return []
        return [StopNeighbours(node.name, self.paths(node), self.data(node), (ROLLING,))]

    def rolling_again(self, node: NodeFacts) -> list[Step]:
        """Start them again, where this run has stopped them."""
        if ROLLING not in dict(node.helpers):
            return []
        return [StartNeighbours(node.name, self.paths(node), self.data(node), (ROLLING,))]

    def fence(self, node: NodeFacts) -> list[Step]:
        """Fence whatever is on the node and not ours: running, startable by itself, or in the place of the container."""
        stopping = [
            container
            for container in node.containers
            if container.role is None
            and (container.armed or container.name == self.name(node))
            # who was started with --rm would be destroyed; see `barriers`, which forbids the whole
            and not container.vanishes
        ]
        targets = aside_targets(self.paths(node), node, stopping)
        return [Fence(node.name, self.paths(node), self.data(node), targets)] if targets else []

    # --- the reset ---

    def reset(self, survivor: str) -> tuple[list[Stage | None], list[str]]:
        fence_lanes: list[list[Step]] = []
        for node in self.nodes():
            fences = [] if node.name == survivor and self.adopted(node) else self.fence(node)
            # once it is fenced nothing is left to be spared
            probing = self.probe_reflink(node) if fences and node.name == survivor else []
            opening = [*self.close_stale(node), *self.open(node, survivor)]
            fence_lanes.append([*opening, *self.leftovers(node), *probing, *self.rolling(node), *fences])
        chief = self.survey.node(survivor)
        pending = self.pending(chief)
        joiners = sorted(self.joiners(survivor), key=lambda node: node.name not in pending)
        reset_lanes = [self.survivor_lane(chief, alone=not pending)]
        reset_lanes += [self.prepare(node, chief, seated=self.seated(node, pending)) for node in joiners]
        stages: list[Stage | None] = [
            stage("fence", "Fence every node", fence_lanes, essential=[n.name for n in self.nodes()]),
            stage("reset", f"Reset a copy on {survivor}, prepare the others", reset_lanes, essential=[survivor]),
            None if pending else self.place_survivor(chief),
        ]
        stages += [self.grow(node, chief, pending.get(node.name)) for node in joiners]
        stages.append(self.settle([(node, True) for node in joiners], chief))
        return stages, [node.name for node in joiners]

    def place_survivor(self, chief: NodeFacts) -> Stage | None:
        """Alone in its cluster, the survivor gets the peer URL of its host before anybody is told of it."""
        if chief.log is None:
            return None
        known = seats_of(self.survey, chief.log.configuration_at_end)
        alone = [seat for seat in known if seat.id == chief.log.node_id]
        wrong = misplaced(self.survey, alone, sole=(chief.name,))
        made, _ = changes(wrong, alone)
        steps = [self.update(chief, change.seat, change.peer_urls, detour=False) for change in made]
        return stage("place", f"Give {chief.name} the peer URL of its host", [steps], essential=[chief.name])

    def update(self, chief: NodeFacts, seat: Seat, urls: tuple[str, ...], *, detour: bool) -> UpdateMember:
        """A change of a member's peer URLs, asked of the node that has quorum behind it."""
        paths, data = self.paths(chief), self.data(chief)
        return UpdateMember(chief.name, paths, data, chief.name, seat.id, seat.label, urls, detour)

    def leftovers(self, node: NodeFacts) -> list[Step]:
        """What an earlier run left standing in the way, to be removed."""
        paths, data = self.paths(node), self.data(node)
        return [
            RemoveLeftover(node.name, paths, data, found.name, found.made_by or "")
            for found in leftovers(node, self.run)
        ]

    def replaced_by(self, node: NodeFacts) -> str | None:
        """The name of this run's own container that stands in the place of the node's own one."""
        there = standing_container(self.survey, node)
        return self.name(node) if there is not None and there.role is not None and there.made_by == self.run else None

    def adopted(self, node: NodeFacts) -> bool:
        """Whether the proven copy is in the survivor's place already."""
        return adopted(node, self.run)

    def pending(self, chief: NodeFacts) -> Mapping[str, Seat]:
        """The hosts without which the survivor has no quorum any more: voters that were added after the reset, by host.

        A power cut leaves the survivor waiting for them; before 3.4, where a member is added as a voter, even for one that
        has never started. That they are enough is part of the diagnosis.
        """
        grown = regrown(self.survey, self.wish.dead, self.run, chief.name)
        return grown.at_hand if grown is not None else {}

    def seated(self, node: NodeFacts, pending: Mapping[str, Seat]) -> bool:
        """Whether what lies on the node is the data of a voter that the survivor counts: it is started, not discarded."""
        seat = pending.get(node.name)
        in_place = node.data is not None and node.data.has_member
        return seat is not None and in_place and node.log is not None and node.log.node_id == seat.id

    def survivor_lane(self, node: NodeFacts, *, alone: bool = True) -> list[Step]:
        """Reset and start the survivor; unless it is `alone` it cannot answer before another one is there."""
        keep, paths, data = self.keep(node), self.paths(node), self.data(node)
        steps: list[Step] = []
        if not self.adopted(node):
            steps += self.reset_steps(node, keep, paths, data)
        steps += self.start_own(node, waits_for="health" if alone else "nothing")
        return steps

    def reset_steps(self, node: NodeFacts, keep: Keep | None, paths: RunPaths, data: str) -> list[Step]:
        own = self.own(node)
        spec = self.spec(node, own)
        if node.log is None:
            raise Refused(f"{node.name}: its log cannot be read, so it cannot be reset")
        has_member = node.data is not None and node.data.has_member
        kept = keep is not None and keep.original
        steps: list[Step] = []
        self.refuse_scattered(node)
        if self.keeps_elsewhere(node, keep):
            steps.append(self.keep_elsewhere(node, keep, paths, data))
        elif not kept:
            steps.append(KeepData(node.name, paths, data))
        elif has_member:
            steps.append(KeepData(node.name, paths, data, part=self.discard(node)))
        proven = keep is not None and keep.reset and keep.proof is not None
        if not proven:
            if not (keep is not None and keep.work and not keep.booted):
                if not any(isinstance(step, KeepElsewhere) for step in steps):
                    need, reflink = self.need(node)
                    steps.append(CopyData(node.name, paths, data, need, reflink, self.quarantines(node)))
                last = node.log.last
                steps.append(RaiseCommit(node.name, paths, data, raise_commit(node.log), last.term, last.index))
            steps.append(self.quarantine(node, spec, paths, data))
        # an interruption right after the reset was proven leaves its container
        steps.append(Adopt(node.name, paths, data, self.quarantines(node)))
        return steps

    def need(self, node: NodeFacts) -> tuple[int, bool]:
        """How many bytes the copy has, and whether it must be one that takes no space, since there is not enough."""
        size = node.data.size if node.data else 0
        keep = self.keep(node)
        if keep is not None and keep.original and keep.bytes:
            size = max(size, keep.elsewhere_bytes or keep.bytes)
        free = node.data.free if node.data else 0
        ours = keep.bytes - keep.wal_bytes if keep and (keep.partial or keep.work or keep.booted) else 0
        wal, again = self.wal_size(node), self.wal_again(node)
        if free + ours >= size + again + SPACE_MARGIN:
            return size, False
        if (
            node.data is not None
            and node.data.can_reflink
            # etcd rewrites the last segment, which is not shared any more then, and allocates the next
            and free + ours >= wal + again + 2 * SPACE_MARGIN
            and not (keep and keep.elsewhere)
        ):
            return size, True
        need = size + again + SPACE_MARGIN
        raise Refused(
            f"{node.name}: the copy of its data needs {_mb(need)}, only {_mb(free)} are free there",
            hint=f"free {_mb(need - free)} on the filesystem of {self.data(node)} on {node.name}; or name a "
            f"directory on another filesystem of {node.name} with {_mb(need)} free: --work-dir DIR"
            + (" (first `fleetrecover undo`, since its data was moved already)" if keep and keep.original else ""),
        )

    def wal_size(self, node: NodeFacts) -> int:
        """How many bytes a WAL directory of its own has, in place or kept; 0 where there is none."""
        keep = self.keep(node)
        return max(node.data.wal_size, keep.wal_bytes if keep else 0) if node.data and node.data.wal else 0

    def wal_again(self, node: NodeFacts) -> int:
        """How many bytes the copy of the WAL takes once more beside the data, when it is put in its own place.

        On a filesystem of its own it takes them there. Raises Refused where they are not free.
        """
        data, size = node.data, self.wal_size(node)
        if data is None or not data.wal or data.wal_shared:
            return size
        need = size + SPACE_MARGIN
        if not self.adopted(node) and data.wal_free < need:
            raise Refused(
                f"{node.name}: the copy of its WAL needs {_mb(need)}, only {_mb(data.wal_free)} are free there",
                hint=f"free {_mb(need - data.wal_free)} on the filesystem of {data.wal} on {node.name}",
            )
        return 0

    def probe_reflink(self, node: NodeFacts) -> list[Step]:
        """Before anything is stopped, where the copy depends on it."""
        keep = self.keep(node)
        if (
            self.adopted(node)
            or self.keeps_elsewhere(node, keep)
            or (keep and (keep.original or keep.reset or keep.work))
        ):
            return []
        _, reflink = self.need(node)
        return [ProbeReflink(node.name, self.paths(node), self.data(node))] if reflink else []

    def keeps_elsewhere(self, node: NodeFacts, keep: Keep | None) -> bool:
        """Whether the original is to be kept, or is still being kept, in the work directory."""
        has_member = node.data is not None and node.data.has_member
        if keep is not None and keep.elsewhere is not None:
            begun = keep.partial or keep.work or keep.booted or keep.reset or keep.proof
            return has_member and not begun
        return self.work is not None and has_member and not (keep is not None and keep.original)

    def keep_elsewhere(self, node: NodeFacts, keep: Keep | None, paths: RunPaths, data: str) -> KeepElsewhere:
        size = node.data.size if node.data else 0
        if keep is not None and keep.elsewhere is not None:
            # the run has chosen its place, and what is there may be whole already
            work = posixpath.dirname(posixpath.dirname(keep.elsewhere))
            return KeepElsewhere(node.name, paths, data, work, size, self.quarantines(node))
        assert self.work is not None
        where = f"--work-dir {self.work.path} on {node.name}"
        if self.work.problem:
            raise Refused(
                f"{where}: {self.work.problem}", hint="name another one, that belongs to the login user alone"
            )
        if self.work.real == data or self.work.real.startswith(f"{data}/"):
            raise Refused(f"{where} is inside of the data directory", hint="name one on another filesystem")
        free = node.data.free if node.data else 0
        least = SPACE_MARGIN + self.wal_size(node) + self.wal_again(node)
        if free < least:
            raise Refused(
                f"{node.name}: even with --work-dir {_mb(least)} must be free where its data lies, since etcd allocates "
                f"a whole segment of its log; only {_mb(free)} are",
                hint=f"free {_mb(least - free)} on the filesystem of {data} on {node.name}",
            )
        if self.work.free < size + SPACE_MARGIN:
            raise Refused(
                f"{where}: {_mb(size + SPACE_MARGIN)} are needed, only {_mb(self.work.free)} are free there",
                hint=f"`ssh {node.name} df -h` shows where there is more space",
            )
        return KeepElsewhere(node.name, paths, data, self.work.real, size, self.quarantines(node))

    def scattered(self, node: NodeFacts) -> str | None:
        """Why the data of a node cannot be moved as one; None where it can."""
        inner = node.data.inner if node.data else ()
        keep = self.keep(node)
        if keep is not None and keep.original:
            return None
        if node.data is not None and node.data.wal_mount:
            return f"its WAL directory {node.data.wal} is a mount point, so it cannot be moved"
        if not inner:
            return None
        return f"in its data directory {self.data(node)}, {', '.join(inner)}; it would not be moved or copied whole"

    def refuse_scattered(self, node: NodeFacts) -> None:
        why = self.scattered(node)
        if why is not None and node.data is not None and node.data.wal_mount:
            raise Refused(
                f"{node.name}: {why}",
                hint="etcd being stopped, move the WAL into a directory below that one and name it with --wal-dir (etcd itself "
                "cannot make a new log in a mount point); or choose another survivor: --survivor NAME",
            )
        if why is not None:
            raise Refused(
                f"{node.name}: {why}",
                hint="copy the data to one directory with `cp -aL`, etcd being stopped, and put that in its place; or choose "
                "another survivor: --survivor NAME",
            )

    def cannot_join(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a node cannot become a new member with what it has; None where nothing stands against it."""
        return self.scattered(node) or self.walled(node, chief) or self.crowded(node, chief)

    def crowded(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a node has surely no space for a member's new data; None where it may have."""
        data = node.data
        if data is None or data.has_member is False or chief.db is None:
            return None
        apart = bool(data.wal) and not data.wal_shared
        places = [(self.data(node), data.free, chief.db.size + (0 if apart else JOIN_MARGIN))]
        places += [(data.wal, data.wal_free, JOIN_MARGIN)] if apart else []
        for where, free, need in places:
            if free < need:
                return (
                    f"its old data is kept, and the new needs {_mb(need)}, but only {_mb(free)} are free there: free "
                    f"{_mb(need - free)} on the filesystem of {where}"
                )
        return None

    def walled(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a new member cannot begin its log: etcd makes the WAL directory anew, and cannot where it is a mount point."""
        own = own_container(self.survey, node) or own_container(self.survey, chief)
        if own is None or own.spec is None or own.config is None or not own.config.wal_apart:
            return None
        if not self.rt(node).own_mount(own.spec, own.config.wal_apart):
            return None
        return (
            f"etcd cannot make a new log in {own.config.wal_apart}, which is a mount point in its container: give it a "
            "--wal-dir below that"
        )

    def quarantines(self, node: NodeFacts) -> tuple[str, ...]:
        """What an interruption may have left of this run's quarantine, also under an older version's name."""
        seen = [c.name for c in node.containers if c.role is Role.QUARANTINE and c.made_by == self.run]
        return tuple(dict.fromkeys([self.paths(node).quarantine_name(self.name(node)), *seen]))

    def quarantine(self, node: NodeFacts, spec: Definition, paths: RunPaths, data: str) -> Quarantine:
        name = paths.quarantine_name(self.name(node))
        shaped = self.rt(node).quarantined(
            spec,
            name=name,
            data=paths.at("booted"),
            wal=posixpath.join(paths.at("booted"), "member", "wal") if paths.wal else None,
            run=self.run,
        )
        log = node.log
        revision = node.db.revision if node.db is not None else 0
        return Quarantine(node.name, paths, data, shaped, name, log.node_id if log else 0, revision)

    def discard(self, node: NodeFacts) -> str:
        own = f"{node.log.node_id:x}" if node.log is not None else "unread"
        keep = self.keep(node)
        taken = set(keep.discarded) if keep else set()
        part, count = f"discarded-{own}", 1
        while part in taken:
            count += 1
            part = f"discarded-{own}-{count}"
        return part

    # --- starting what a node has of its own ---

    def own(self, node: NodeFacts) -> Container:
        own = own_container(self.survey, node)
        if own is None:
            raise Refused(
                f"{node.name} has no etcd container, so its command is not known",
                hint=no_container(self.survey, node),
            )
        return own

    def spec(self, node: NodeFacts, own: Container) -> Definition:
        if own.spec is None:
            raise Unsupported(
                f"{node.name}: container {own.name} has a setting that cannot be reproduced: {own.spec_problem}"
            )
        if own.config is None or own.config.opaque:
            raise Unsupported(
                f"{node.name}: container {own.name}: {own.spec_problem}",
                hint="only a container whose command is etcd and its flags can be rewritten: make one by hand",
            )
        if node.data is not None and node.data.wal and not own.config.wal_apart:
            # the listing goes by what an open run has moved where the container says nothing of it
            raise Refused(
                f"{node.name}: the run that is open there has moved a WAL with a directory of its own, and container {own.name} "
                "has no --wal-dir now",
                hint="give its command the --wal-dir that it had; or take the run back: `fleetrecover undo --last`",
            )
        return own.spec

    def start_own(self, node: NodeFacts, *, waits_for: str = "health") -> list[Step]:
        """Bring the node's own container back, if it does not stand already; rebuilt where it carries the force flag."""
        own = self.own(node)
        policy = true_policy(node, own)
        paths, data = self.paths(node), self.data(node)
        there = standing_container(self.survey, node)
        left = self.leftovers(node)
        if own.forced:
            definition = self.spec(node, own)
            plain = self.rt(node).plain(definition, name=self.name(node), run=self.run, role=Role.MEMBER)
            if there is not None and there.role is Role.MEMBER and there.running:
                return []
            reason = f"{own.name} carries --force-new-cluster: its next start would expel every other member"
            policy = policy if policy not in ("no", "") else "always"
            return [*left, StartRebuilt(node.name, paths, data, plain, self.name(node), policy, reason)]
        # one that crashes again and again waits up to a minute for its next try: it is started afresh
        steady = own.running and own.state != "restarting"
        standing = own.name == self.name(node) and own.restart_policy == policy and steady
        if standing and (node.healthy or waits_for == "nothing"):
            return left
        replaces = self.replaced_by(node)
        return [*left, StartOriginal(node.name, paths, data, own.id, self.name(node), policy, replaces, waits_for)]

    def start(self) -> list[Stage | None]:
        """Enough members have all their data: start them as they are and let Raft elect."""
        lanes: list[list[Step]] = []
        for name in self.diagnosis.startable:
            node = self.survey.node(name)
            lanes.append([*self.open(node, None), *self.start_own(node, waits_for="nothing")])
        names = self.diagnosis.startable
        first = self.survey.node(names[0])
        wait = AwaitQuorum(first.name, self.paths(first), self.data(first), names)
        rest = [n.name for n in self.survey.nodes if n.name not in names and n.accessible and not self.dead(n)]
        if rest:
            are = "is" if len(rest) == 1 else "are"
            self.notes.append(
                f"when quorum stands, {', '.join(rest)} {are} looked at again and repaired member by member"
            )
        return [
            stage("start", "Start the members that have their data", lanes, essential=names),
            stage("quorum", "Wait for a leader", [[wait]], essential=names),
        ]

    # --- growing ---

    def joiners(self, survivor: str) -> list[NodeFacts]:
        found = []
        for node in self.survey.nodes:
            if node.name == survivor:
                continue
            if self.dead(node):
                self.left_out[node.name] = "declared dead"
            elif not node.accessible:
                self.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            elif why := self.cannot_join(node, self.survey.node(survivor)):
                self.left_out[node.name] = why
            else:
                found.append(node)
        return found

    def prepare(self, node: NodeFacts, chief: NodeFacts, *, seated: bool = False) -> list[Step]:
        """All that can be done to a joiner before it is added: its old data out of the way, image and files there."""
        paths, data = self.paths(node), self.data(node)
        keep = self.keep(node)
        steps: list[Step] = []
        if node.data is not None and node.data.has_member and not seated:
            part = self.discard(node) if keep is not None and keep.original else "original"
            steps.append(KeepData(node.name, paths, data, part=part))
        spec, _ = self.join_spec(node, chief)
        image_id = chief_image(self.survey, chief) if spec.image == self.own(chief).image else ""
        steps.append(EnsureImage(node.name, paths, data, spec.image, image_id, chief.name))
        files = tuple(sorted({named.path for named in self.rt(node).files(spec)} - self.made_anew(node)))
        if files:
            steps.append(CheckFiles(node.name, paths, data, files))
        return steps

    def made_anew(self, node: NodeFacts) -> set[str]:
        """The paths of a mount's source that need not be there: the data's, and the WAL's where it has its own."""
        data, paths = self.data(node), self.paths(node)
        return {data, node.data.path if node.data else data, paths.wal}

    def join_spec(self, node: NodeFacts, chief: NodeFacts) -> tuple[Definition, tuple[str, ...]]:
        """The joiner's own old command, or the survivor's with the identity exchanged; and what was exchanged."""
        own = own_container(self.survey, node)
        if own is not None:
            return self.spec(node, own), ()
        model = self.own(chief)

        def who(old: str) -> MemberIdentity:
            return MemberIdentity(self.etcd_name(node, old, chief), self.etcd_address(node), node.hostname)

        return self.rt(node).as_member(self.spec(chief, model), chief.hostname, who)

    def etcd_address(self, node: NodeFacts) -> str:
        """The address in etcd's own URLs: said in the inventory, else the one in the old membership, else SSH's."""
        if node.host.etcd_address:
            return node.host.etcd_address
        for seat in self.diagnosis.seats:
            if seat.host == node.name and seat.peer_urls:
                return host_of_url(seat.peer_urls[0])
        return node.host.address

    def etcd_name(self, node: NodeFacts, old: str, chief: NodeFacts) -> str:
        for seat in self.diagnosis.seats:
            if seat.host == node.name and seat.name:
                return seat.name
        if chief.hostname and chief.hostname in old and node.hostname:
            return old.replace(chief.hostname, node.hostname)
        return node.name

    def learners(self, chief: NodeFacts) -> bool:
        """Whether the cluster knows learners (3.4 and later)."""
        version = chief.status.version if chief.status else ""
        keep = self.keep(chief)
        if not version and keep is not None and keep.proof is not None:
            version = keep.proof.version
        if not version and chief.db is not None:
            version = chief.db.cluster_version
        if not version and chief.log is not None:
            version = chief.log.configuration_at_end.cluster_version
        if not version:
            own = own_container(self.survey, chief)
            found = re.search(r":v?(\d+\.\d+)", own.image) if own else None
            version = found.group(1) if found else ""
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            raise Refused(
                f"{chief.name}: neither its database nor its image tells its etcd's version, "
                "so it is not known how members must join"
            )
        return (int(numbers.group(1)), int(numbers.group(2))) >= (3, 4)

    def grow(self, node: NodeFacts, chief: NodeFacts, seat: Seat | None = None) -> Stage | None:
        """Add, start and promote one member; of one that has a seat only what is missing."""
        spec, replaced = self.join_spec(node, chief)
        name, urls = self.member_of(node, spec)
        learner = self.learners(chief)
        paths, data = self.paths(node), self.data(node)
        shaped = self.rt(node).plain(spec, name=self.name(node), run=self.run, role=Role.JOINING)
        owner, mode = (chief.data.owner, chief.data.mode) if chief.data else ("", "")
        label = chief.data.label if chief.data else ""
        if node.data is not None and node.data.exists:
            owner, mode = node.data.owner, node.data.mode
        steps: list[Step] = []
        if seat is None:
            steps.append(AddMember(node.name, paths, data, chief.name, name, urls, learner))
        there = standing_container(self.survey, node)
        joined = seat is not None and bool(seat.name) and there is not None and there.state == "running"
        if not joined:
            steps.append(
                Join(
                    node.name,
                    paths,
                    data,
                    chief.name,
                    shaped,
                    self.name(node),
                    name,
                    urls,
                    owner,
                    mode,
                    replaced,
                    label,
                )
            )
        if learner and (seat is None or seat.learner):
            steps.append(Promote(node.name, paths, data, chief.name, urls))
        essential = [] if learner else [node.name]
        return stage(f"join-{node.name}", f"Bring {node.name} in", [steps], essential=essential)

    def member_of(self, node: NodeFacts, spec: Definition) -> tuple[str, tuple[str, ...]]:
        config = self.rt(node).config(spec)
        if not config.name or not config.advertise_peer_urls:
            raise Unsupported(
                f"{node.name}: its etcd's command gives no --name or no --initial-advertise-peer-urls, so it cannot be added"
            )
        return config.name, config.advertise_peer_urls

    def settle(self, joined: Sequence[tuple[NodeFacts, bool]], chief: NodeFacts) -> Stage | None:
        """One after another: the node's own container takes over from the joining one, as it was."""
        steps: list[Step] = []
        for node, joins in joined:
            own = own_container(self.survey, node)
            paths, data = self.paths(node), self.data(node)
            there = standing_container(self.survey, node)
            ours = there is not None and there.role is Role.JOINING
            if not joins and not ours:
                continue
            if own is not None and not own.forced:
                policy = true_policy(node, own)
                replaces = self.name(node) if joins else self.replaced_by(node)
                steps.append(StartOriginal(node.name, paths, data, own.id, self.name(node), policy, replaces=replaces))
            else:
                policy = self.fleet_policy()
                if joins or (there is not None and there.restart_policy != policy):
                    spec = there.spec if ours and there is not None else None
                    spec = spec or self.join_spec(node, chief)[0]
                    steps.append(Reopen(node.name, paths, data, spec, self.name(node)))
                    steps.append(RestorePolicy(node.name, paths, data, self.name(node), policy))
        return stage("settle", "Give every node its own container back", [steps])

    def fleet_policy(self) -> str:
        """The restart policy that the fleet's etcd containers had."""
        for node in self.survey.nodes:
            own = own_container(self.survey, node)
            if own is not None and true_policy(node, own) not in ("no", ""):
                return true_policy(node, own)
        return "always"

    # --- quorum stands ---

    def repair(self, survivor: str | None) -> tuple[list[Stage | None], list[str]]:
        """All that is gone is removed before anybody is added: etcd takes a new member only while all voters are connected."""
        chief = self.leader()
        seated = {seat.host: seat for seat in self.diagnosis.seats if seat.host}
        work = _Work([self.remove_dead(seat, chief) for seat in self.diagnosis.seats if seat.among(self.wish.dead)])
        nowhere = [seat for seat in displaced(self.survey, self.diagnosis.seats) if not seat.among(self.wish.dead)]
        work.removing += [self.remove(seat, chief, "another member runs at its peer URL") for seat in nowhere]
        settled: list[tuple[NodeFacts, bool]] = []
        for node in self.survey.nodes:
            joining = self.mend(node, seated.get(node.name), chief, work)
            if not self.dead(node) and node.accessible and node.name not in self.left_out:
                settled.append((node, joining))
        naming = [self.name_back(node) for node in self.survey.nodes]
        self.hold_back(work)
        moving = self.place_all(chief, work)
        growing = [self.grow(node, chief, seat) for node, seat in work.growing]
        stages = [
            # first of all: from then on each etcd is asked in the container of that name
            stage("names", "Give containers their own names back", naming, [chief.name]),
            stage("prepare", f"Prepare {', '.join(work.preparing)}", list(work.preparing.values())),
            *(self.removal(step, chief) for step in work.removing),
            stage("place", "Give members the peer URL of the host that they run on", [moving], [chief.name]),
            *work.starting,
            *growing,
        ]
        touched = {step.node for part in stages if part for step in part.steps}
        joins = [node.name for node, _ in work.growing]
        settled = [(node, joining and node.name in joins) for node, joining in settled]
        last = self.settle(settled, chief)
        touched |= {step.node for step in last.steps} if last else set()
        touched |= {chief.name} if joins else set()
        done = [step for part in (*stages, last) if part for step in part.steps]
        self.names_only = bool(done) and all(isinstance(step, GiveNameBack) for step in done)
        opened = [
            [*self.close_stale(node), *self.open(node, survivor)] for node in self.nodes() if node.name in touched
        ]
        begin = stage("open", "Record the run on the nodes", opened, essential=[node.name for node in self.nodes()])
        return [begin, *stages, last], joins

    def name_back(self, node: NodeFacts) -> list[Step]:
        """Its own container's name, where that serves under another; one with the force flag is rebuilt instead."""
        there = renamed(self.survey, node)
        if there is None or there.forced:
            return []
        return [GiveNameBack(node.name, self.paths(node), self.data(node), there.id, there.name, self.name(node))]

    def leader(self) -> NodeFacts:
        healthy = [node for node in self.survey.nodes if node.healthy]
        return next((node for node in healthy if node.status and node.status.leader), healthy[0])

    def remove_dead(self, seat: Seat, chief: NodeFacts) -> RemoveMember:
        if seat.host is not None and self.survey.node(seat.host).healthy:
            raise Refused(
                f"{seat.label} was declared dead, but its etcd answers and is healthy",
                hint=f"leave out --dead {self.spelt(seat)}",
            )
        return self.remove(seat, chief, "declared dead")

    def spelt(self, seat: Seat) -> str:
        """The word by which the operator has declared a member dead."""
        return next((word for word, to in sorted(self.wish.spelt) if to in (seat.host, hex_id(seat.id))), seat.label)

    def remove(self, seat: Seat, chief: NodeFacts, why: str) -> RemoveMember:
        return RemoveMember(chief.name, self.paths(chief), self.data(chief), chief.name, seat.id, seat.label, why)

    def removal(self, step: RemoveMember, chief: NodeFacts) -> Stage | None:
        return stage(
            f"remove-{step.member_name}", f"Remove {step.member_name}: {step.why}", [[step]], essential=[chief.name]
        )

    def place_all(self, chief: NodeFacts, work: _Work) -> list[Step]:
        """The changes of peer URLs, once those are gone that are removed."""
        run = self.diagnosis.open_run
        sole = (run.survivor,) if run is not None and run.kind == Remedy.RESET else ()
        gone = {step.member_id for step in work.removing}
        seats = [seat for seat in self.diagnosis.seats if seat.id not in gone]
        made, blocked = changes(misplaced(self.survey, seats, sole), seats)
        for one, other in blocked:
            self.notes.append(
                f"{one.seat.label} cannot get its host's peer URL {', '.join(one.wanted)} while member {other.label} has it"
            )
        return [self.update(chief, change.seat, change.peer_urls, detour=change.detour) for change in made]

    def hold_back(self, work: _Work) -> None:
        """While a voter is away that stays a member, etcd refuses every new one: nothing is begun that it would not finish."""
        gone = {step.member_id for step in work.removing}
        away = [
            seat
            for seat in self.diagnosis.seats
            if seat.host in self.left_out and not seat.learner and seat.id not in gone and not self.healthy(seat)
        ]
        if not away:
            return
        names = ", ".join(seat.label for seat in away)
        verb, each = ("is", "it is") if len(away) == 1 else ("are", "each is")
        for node, seat in list(work.growing):
            if seat is not None:
                continue
            self.left_out[node.name] = (
                f"etcd takes no new member while {names} {verb} a member and not connected: when {each} back or declared "
                "--dead, run the same command again"
            )
            work.growing.remove((node, seat))
            work.preparing.pop(node.name, None)
            work.removing[:] = [step for step in work.removing if work.of.get(step.member_id) != node.name]

    def healthy(self, seat: Seat) -> bool:
        return seat.host is not None and self.survey.node(seat.host).healthy

    def mend(self, node: NodeFacts, seat: Seat | None, chief: NodeFacts, work: _Work) -> bool:
        """What one host needs while quorum stands: nothing, a start, or to be replaced. Whether it joins."""
        own = own_container(self.survey, node)
        if self.dead(node):
            self.left_out[node.name] = "declared dead"
            return False
        if not node.accessible:
            self.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            return False
        if seat is not None and node.healthy:
            work.starting += self.mend_healthy(node, seat, chief, own)
            return False
        if seat is not None and self.follows(node, seat):
            step = Promote(node.name, self.paths(node), self.data(node), chief.name, seat.peer_urls)
            work.starting.append(stage(f"promote-{node.name}", f"Make {node.name} a voter", [[step]]))
            return False
        usable = seat is not None and own_id(node) == seat.id and node.data is not None and node.data.has_member
        usable = usable and node.name not in begun_anew(self.survey)
        there = standing_container(self.survey, node)
        if usable and there is not None and there.role is Role.JOINING and there.made_by == self.run:
            work.growing.insert(work.begun(), (node, seat))
            return True
        if usable and own is not None and not self.ended(node, own):
            # the one that is rebuilt without the force flag takes its name
            lane = [*(self.fence(node) if own.forced else ()), *self.start_own(node)]
            work.starting.append(stage(f"start-{node.name}", f"Start {node.name} as it is", [lane]))
            return False
        if why := self.cannot_join(node, chief) or self.needed(node, seat):
            self.left_out[node.name] = why
            return False
        self.replace(node, seat, chief, work)
        return True

    def ended(self, node: NodeFacts, own: Container) -> bool:
        """Whether its etcd has ended by itself since this run began there: its data is none that it runs on.

        A leader that remembers more of a member's log than the member has makes it panic at each start.
        """
        keep = self.keep(node)
        began = keep is not None and keep.containers and not keep.finished and not keep.undone and not keep.original
        return bool(began) and own.state in ("exited", "dead", "restarting") and own.exit_code != 0

    def follows(self, node: NodeFacts, seat: Seat) -> bool:
        """Whether a learner runs in its own container, and has a leader: a linearizable read is refused to it, and no more."""
        there = standing_container(self.survey, node)
        return following(node, seat) and there is not None and there.role is None

    def needed(self, node: NodeFacts, seat: Seat | None) -> str | None:
        """Why a member must not be stopped to be replaced: quorum may rest on it. None where it surely does not."""
        voters = [each for each in self.diagnosis.seats if not each.learner]
        healthy = sum(1 for each in voters if self.healthy(each))
        runs = any(c.state == "running" and not c.isolated for c in node.containers)
        if seat is None or seat.learner or not seat.name or not runs or healthy >= quorum(len(voters)):
            return None
        return (
            f"its etcd runs and is a voter, and only {healthy} of {len(voters)} voters answer well, so quorum may rest on it: "
            "when the others answer, run the same command again"
        )

    def mend_healthy(self, node: NodeFacts, seat: Seat, chief: NodeFacts, own: Container | None) -> list[Stage | None]:
        if seat.learner:
            step = Promote(node.name, self.paths(node), self.data(node), chief.name, seat.peer_urls)
            return [stage(f"promote-{node.name}", f"Make {node.name} a voter", [[step]])]
        current = in_place(self.survey, node)
        forced = current is not None and current.role is None and current.forced
        loose = own is not None and current is own and own.restart_policy != true_policy(node, own)
        if forced and own is not None:
            lane = [*self.fence(node), *self.start_own(node)]
            return [stage(f"unforce-{node.name}", f"Take --force-new-cluster away from {node.name}", [lane])]
        if loose and own is not None:
            policy = RestorePolicy(
                node.name, self.paths(node), self.data(node), self.name(node), true_policy(node, own)
            )
            return [stage(f"policy-{node.name}", f"Give {node.name} its restart policy back", [[policy]])]
        left = self.leftovers(node)
        if left:
            lane = self.start_own(node) if own is not None else left
            return [stage(f"own-{node.name}", f"Take away what an earlier run left on {node.name}", [lane])]
        return []

    def replace(self, node: NodeFacts, seat: Seat | None, chief: NodeFacts, work: _Work) -> None:
        """Its data is gone or not its own: out with the old member, in with a new one."""
        work.preparing[node.name] = [*self.leftovers(node), *self.fence(node), *self.prepare(node, chief)]
        if seat is not None and seat.name:
            why = "its data is gone" if node.log is None else "its data belongs to another member"
            if node.log is not None and node.log.node_id == seat.id:
                why = "its etcd does not run on its data"
            why = "its data was begun anew, and is empty" if node.name in begun_anew(self.survey) else why
            work.removing.append(self.remove(seat, chief, why))
            work.of[seat.id] = node.name
        if seat is not None and not seat.name:
            work.growing.insert(work.begun(), (node, seat))
        else:
            work.growing.append((node, None))


@dataclass
class _Work:
    """What a repair is made of. `of` says whose the removed members were; `growing` has those first that have a seat."""

    removing: list[RemoveMember]
    preparing: dict[str, list[Step]] = field(default_factory=dict)
    starting: list[Stage | None] = field(default_factory=list)
    growing: list[tuple[NodeFacts, Seat | None]] = field(default_factory=list)
    of: dict[int, str] = field(default_factory=dict)

    def begun(self) -> int:
        """How many have been added already, and must be brought in before anybody else is."""
        return sum(1 for _, seat in self.growing if seat is not None)


def chief_image(survey: Survey, chief: NodeFacts) -> str:
    """The id of the image that the survivor's container ran."""
    own = own_container(survey, chief)
    return own.image_id if own else ""


def check_plan(fleet: Fleet, plan: Plan) -> None:
    """Check the invariants in the module's docstring. Raises FleetRecoverError: a fault of the program itself."""
    if plan.method is not None and plan.method.name == RESEED:
        check_reseed(fleet, plan.stages)
    started = plan.remedy is not Remedy.RESET
    kept: set[str] = set()
    adding: str | None = None
    for step in plan.steps:
        if isinstance(step, Quarantine):
            runtime_of(fleet, step.node).check_quarantine(step.spec)
        elif isinstance(step, Join | StartRebuilt):
            runtime_of(fleet, step.node).check_no_force(step.spec)
        if isinstance(step, StartOriginal | StartRebuilt):
            started = started or step.node == plan.survivor
        if isinstance(step, KeepData):
            kept.add(step.node)
        if isinstance(step, CopyData) and not plan.resumed and step.node not in kept:
            raise FleetRecoverError(f"invariant broken: {step.node}'s data would be copied before it was moved aside")
        if isinstance(step, AddMember):
            if not started and any(
                isinstance(s, StartOriginal | StartRebuilt) and s.node == plan.survivor for s in plan.steps
            ):
                raise FleetRecoverError(f"invariant broken: {step.node} would be added before the survivor was started")
            adding = step.node
        if isinstance(step, Join) and adding != step.node and plan.remedy is Remedy.RESET and not plan.resumed:
            raise FleetRecoverError(f"invariant broken: {step.node} would join without having been added")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


__all__ = ["Plan", "check_plan", "fingerprint", "make_plan", "true_policy"]
