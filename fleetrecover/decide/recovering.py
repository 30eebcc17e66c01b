"""PURE: what every plan of a recovery has: fencing, the node's own container, and the run's own record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fleetrecover.decide.aside import aside_targets
from fleetrecover.decide.away import no_container
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Wish
from fleetrecover.decide.diagnosis import OpenRun as UnderWay
from fleetrecover.decide.leftovers import leftovers
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.method import Method
from fleetrecover.decide.own import own_container, standing_container
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.regrown import adopted
from fleetrecover.decide.site import Site
from fleetrecover.decide.units import Units
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.facts import (
    RESET,
    Container,
    Definition,
    NodeFacts,
    Pin,
    Role,
    WorkDir,
)
from fleetrecover.steps import (
    ROLLING,
    CloseEarlier,
    Fence,
    OpenRun,
    RemoveLeftover,
    RestorePolicy,
    Stage,
    StartNeighbours,
    StartOriginal,
    StartRebuilt,
    Step,
    StopNeighbours,
    UpdateMember,
)


@dataclass(kw_only=True)
class Recovering(Site):
    """A site that is diagnosed, and what was asked for. `work` is the work directory as it is on the survivor's node."""

    diagnosis: Diagnosis
    wish: Wish
    work: WorkDir | None = None
    names_only: bool = False  # known once the steps are
    method: Method | None = None

    def around_units(self, stages: Sequence[Stage | None]) -> list[Stage | None]:
        """The stages, and what the units that start etcd need; they are given back by the plan that makes the cluster whole."""
        spared = frozenset(node.name for node in self.survey.nodes if node.healthy) | self.wish.dead
        units = Units(self.survey, self.run, lambda node: (self.paths(node), self.data(node)))
        last = self.diagnosis.remedy is not Remedy.START
        return units.around(stages, spared=spared, alone=frozenset(self.left_out), release=last)

    @property
    def open_run(self) -> UnderWay | None:
        """The run that this plan goes on with; None where it begins one."""
        run = self.diagnosis.open_run
        return run if run is not None and run.run == self.run else None

    def dead(self, node: NodeFacts) -> bool:
        """Whether a host was declared dead."""
        return node.name in self.wish.dead

    def to_close(self, node: NodeFacts, stages: Iterable[Stage | None]) -> bool:
        """Whether the run has begun there, or begins there by these stages, and is to be closed."""
        keep = self.keep(node)
        if keep is not None:
            return not keep.finished
        return any(isinstance(step, OpenRun) and step.node == node.name for s in stages if s for step in s.steps)

    def pin(self, survivor: str | None) -> Pin:
        """What is written down of the run."""
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
        """The record of the run, where it is not there as it must be."""
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

    def own(self, node: NodeFacts) -> Container:
        """The node's own container. Raises Refused where there is none."""
        own = own_container(self.survey, node)
        if own is None:
            raise Refused(
                f"{node.name} has no etcd container, so its command is not known",
                hint=no_container(self.survey, node),
            )
        return own

    def spec(self, node: NodeFacts, own: Container) -> Definition:
        """Its definition. Raises Unsupported, Refused where it cannot be made again."""
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

    def quarantines(self, node: NodeFacts) -> tuple[str, ...]:
        """What an interruption may have left of this run's quarantine, also under an older version's name."""
        seen = [c.name for c in node.containers if c.role is Role.QUARANTINE and c.made_by == self.run]
        return tuple(dict.fromkeys([self.paths(node).quarantine_name(self.name(node)), *seen]))

    def discard(self, node: NodeFacts) -> str:
        """The part to which data of a join that failed is moved."""
        own = f"{node.log.node_id:x}" if node.log is not None else "unread"
        keep = self.keep(node)
        taken = set(keep.discarded) if keep else set()
        part, count = f"discarded-{own}", 1
        while part in taken:
            count += 1
            part = f"discarded-{own}-{count}"
        return part

    def update(self, chief: NodeFacts, seat: Seat, urls: tuple[str, ...], *, detour: bool) -> UpdateMember:
        """A change of a member's peer URLs, asked of the node that has quorum behind it."""
        paths, data = self.paths(chief), self.data(chief)
        return UpdateMember(chief.name, paths, data, chief.name, seat.id, seat.label, urls, detour)

    def adopted(self, node: NodeFacts) -> bool:
        """Whether the proven copy is in the survivor's place already."""
        return adopted(node, self.run)
