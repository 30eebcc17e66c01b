"""PURE: the stages of a reseed that remain, from what the nodes show.

    fence all → move each one's data aside → make the new data beside it, on every host, and read it back → boot a copy in
    quarantine: the proof → put the new data in place, the survivor's first → start all → wait for a leader

Where a run was interrupted shows in what lies on the nodes:

- the survivor's new data is not in place: nothing has started. What was made (`work/`) is read and compared, and made anew
  unless it is just what this plan would make; the proof is taken again;
- it is in place: every host's data was whole then, and proven. Each one that still has its `work/` adopts it; all are started.
  Nothing is ever made anew from there on, for a member that has started may have promised something.

The survivor is first since its data in place is the mark of that step; until all have adopted theirs every container stays
fenced, so that a power cut leaves nothing that starts by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleetrecover.decide.membership import Seat, seats_of
from fleetrecover.decide.method import told
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.reseed import Heir, Reseeding, need, version_of
from fleetrecover.errors import FleetRecoverError, Refused
from fleetrecover.facts import NodeFacts, Proof
from fleetrecover.model import Fleet
from fleetrecover.runtime import runtime_of
from fleetrecover.steps import (
    AdoptSeed,
    AwaitQuorum,
    Fence,
    KeepData,
    ProveSeed,
    Quarantine,
    SeedData,
    Stage,
    StartOriginal,
    Step,
    stage,
)

if TYPE_CHECKING:
    from fleetrecover.decide.plan import Maker
    from fleetrecover.decide.reseed import Refusal

FIRST, REST = "adopt-first", "adopt"
"""The names of the stages in which new data comes in place: the survivor's, and the others'."""


def refuse(refusals: Sequence[Refusal]) -> Refused:
    """That it cannot be reseeded, and what to do instead."""
    return Refused(
        f"it cannot be reseeded: {told(refusals)}; nothing was changed",
        hint="mend that, or let the survivor be reset and the others join it: --method reset",
    )


class ReseedStages:
    """Makes the stages. `maker` knows the run, its paths, and how a node's own container comes back."""

    def __init__(self, maker: Maker, survivor: str) -> None:
        self.maker = maker
        self.survey = maker.survey
        self.chief = self.survey.node(survivor)

    def stages(self, found: Reseeding | tuple[Refusal, ...]) -> tuple[list[Stage | None], list[str]]:
        """The stages, and the hosts that come in afterwards, one at a time, when quorum stands. Raises Refused."""
        if self.maker.adopted(self.chief):
            return self.go_on()
        if not isinstance(found, Reseeding):
            raise refuse(found)
        self.tell()
        nodes = [self.survey.node(host) for host in found.hosts]
        seeding = [[self.seed(heir, found)] for heir in found.heirs]
        adopting = [[self.adopt(heir.host, heir.member, found.term, found.seed(heir).end)] for heir in found.heirs]
        first = [lane for lane in adopting if lane[0].node == self.chief.name]
        rest = [lane for lane in adopting if lane[0].node != self.chief.name]
        hosts = list(found.hosts)
        stages = [
            stage("fence", "Fence every node", self.fences(()), essential=[n.name for n in self.maker.nodes()]),
            stage("keep", "Move the data of each aside", [self.keep(node) for node in nodes], hosts),
            stage("seed", f"Give each the data of {self.chief.name}, beside its own", seeding, hosts),
            stage("prove", "Boot a copy of it in quarantine", [[self.prove(found)]], [self.chief.name]),
            stage(FIRST, f"Put the new data in place on {self.chief.name}", first, [self.chief.name]),
            stage(REST, "Put the new data in place on the others", rest, hosts),
            *self.start(nodes, standing=()),
        ]
        return stages, self.others(hosts)

    def tell(self) -> None:
        """What the operator should know of the survivor's data before everybody gets it."""
        db, version = self.chief.db, version_of(self.survey, self.chief)
        if re.match(r"3\.5\.[012](?!\d)", version):
            self.maker.notes.append(
                f"etcd {version} is known to lose writes of its database in a crash: `fleetrecover diagnose --trial` compares "
                "the copies' hashes, and with --survivor another is chosen; then upgrade"
            )
        for alarm in db.alarms if db is not None else ():
            self.maker.notes.append(
                f"the alarm {alarm.kind} is raised in {self.chief.name}'s data, and stays so on all"
            )

    def go_on(self) -> tuple[list[Stage | None], list[str]]:
        """The survivor's new data is in place: the others' too, or it lies ready."""
        keep, log = self.maker.keep(self.chief), self.chief.log
        if keep is None or keep.proof is None or log is None:
            raise Refused(f"{self.chief.name}: what lies in place there cannot be read")
        ready: list[NodeFacts] = []
        standing: list[str] = []
        adopting: list[list[Step]] = []
        for seat in seats_of(self.survey, log.configuration_at_end):
            node = self.survey.node(seat.host) if seat.host is not None else None
            if node is None or not node.accessible or self.maker.dead(node):
                continue
            if self.waits(node):
                adopt = self.adopt(node.name, seat, keep.proof.term, keep.proof.index)
                adopting.append([*self.keep(node), adopt])
            elif self.stands(node, seat, keep.proof):
                standing.append(node.name)
            else:
                continue
            ready.append(node)
        hosts = [node.name for node in ready]
        fences = self.fences(standing)
        stages = [
            stage("fence", "Fence every node", fences, essential=[n.name for n in self.maker.nodes()]),
            stage(REST, "Put the new data in place on the others", adopting, hosts),
            *self.start(ready, standing),
        ]
        return stages, self.others(hosts)

    def waits(self, node: NodeFacts) -> bool:
        """Whether its new data lies ready: whatever lies in place is not it."""
        keep = self.maker.keep(node)
        return keep is not None and keep.work

    def stands(self, node: NodeFacts, seat: Seat, proof: Proof) -> bool:
        """Whether what lies in place is the data of that member of the cluster that this run has made."""
        in_place = node.data is not None and node.data.has_member
        mine = node.log is not None and node.log.node_id == seat.id
        return in_place and mine and node.log is not None and node.log.hard_state.term >= proof.term

    # --- the stages ---

    def fences(self, standing: Sequence[str]) -> list[list[Step]]:
        """Every node that answers, but for those whose new data stands in place."""
        maker, lanes = self.maker, []
        for node in maker.nodes():
            fences = [] if node.name in standing else maker.fence(node)
            opening = [*maker.close_stale(node), *maker.open(node, self.chief.name)]
            lanes.append([*opening, *maker.leftovers(node), *maker.rolling(node), *fences])
        return lanes

    def keep(self, node: NodeFacts) -> list[Step]:
        """Move aside whatever lies in place."""
        maker = self.maker
        if node.data is None or not node.data.has_member:
            return []
        keep = maker.keep(node)
        part = maker.discard(node) if keep is not None and keep.original else "original"
        return [KeepData(node.name, maker.paths(node), maker.data(node), part=part)]

    def seed(self, heir: Heir, found: Reseeding) -> Step:
        """Make its new data; where it has no directory for it, one like the survivor's."""
        maker, node, data = self.maker, self.survey.node(heir.host), self.chief.data
        absent = node.data is None or not node.data.exists
        return SeedData(
            *maker.where(node),
            source=self.chief.name,
            kept=maker.paths(self.chief),
            seed=found.seed(heir),
            end=found.log.last,
            voters=found.voters,
            need=need(self.chief),
            owner=data.owner if data is not None and absent else "",
            mode=data.mode if data is not None and absent else "",
            label=data.label if data is not None and absent else "",
            quarantine=maker.quarantines(node) if node is self.chief else (),
        )

    def prove(self, found: Reseeding) -> Step:
        """Boot a copy of the survivor's, alone."""
        maker, chief = self.maker, self.chief
        paths, own = maker.paths(chief), maker.own(chief)
        name = paths.quarantine_name(maker.name(chief))
        spec = maker.rt(chief).quarantined(
            maker.spec(chief, own), name=name, data=paths.at("booted"), wal=None, run=maker.run, force=False
        )
        last = found.last
        return ProveSeed(
            *maker.where(chief),
            spec=spec,
            container=name,
            member_id=found.log.node_id,
            min_revision=chief.db.revision if chief.db is not None else 0,
            kept=paths,
            seed=found.alone,
            end=found.log.last,
            term=found.term,
            index=last,
            need=need(chief),
            quarantine=maker.quarantines(chief),
        )

    def adopt(self, host: str, seat: Seat, term: int, index: int) -> Step:
        """Put a host's new data in place."""
        node = self.survey.node(host)
        cluster = self.chief.log.cluster_id if self.chief.log is not None else 0
        return AdoptSeed(
            *self.maker.where(node),
            member_id=seat.id,
            cluster_id=cluster,
            term=term,
            index=index,
            quarantine=self.maker.quarantines(node),
        )

    def start(self, nodes: Sequence[NodeFacts], standing: Sequence[str]) -> list[Stage | None]:
        """Each one's own container as it was; of those that stand already only what is missing."""
        hosts = [node.name for node in nodes]
        lanes = [
            self.maker.start_own(node, waits_for="nothing") if node.name in standing else [self.own(node)]
            for node in nodes
        ]
        wait = AwaitQuorum(*self.maker.where(self.chief), nodes=tuple(hosts), else_reset=False)
        return [
            stage("start", "Start all, as they were", lanes, hosts),
            stage("quorum", "Wait for a leader", [[wait]], hosts),
        ]

    def own(self, node: NodeFacts) -> Step:
        """Start the node's own container, unchanged; the others bring the quorum."""
        maker, own = self.maker, self.maker.own(node)
        policy, replaces = true_policy(node, own), maker.replaced_by(node)
        return StartOriginal(*maker.where(node), own.id, maker.name(node), policy, replaces, "nothing")

    def others(self, hosts: Sequence[str]) -> list[str]:
        """Who is no member: left out where that is nobody to bring in, and brought in afterwards where it is."""
        later = []
        for node in self.survey.nodes:
            if node.name in hosts:
                continue
            if self.maker.dead(node):
                self.maker.left_out[node.name] = "declared dead"
            elif not node.accessible:
                self.maker.left_out[node.name] = node.problem.message if node.problem else "not reachable"
            else:
                later.append(node.name)
        if later:
            names = ", ".join(later)
            self.maker.notes.append(
                f"when quorum stands, {names} {'is' if len(later) == 1 else 'are'} brought in as new"
            )
        return later


def check_reseed(fleet: Fleet, stages: Sequence[Stage]) -> None:
    """Check the invariants. Raises FleetRecoverError: a fault of the program itself.

    - every host's data is made, and the copy proven, before any is put in place, and the survivor's comes first;
    - all data is in place before anything starts;
    - the quarantine has neither the force flag nor a network.
    """
    order = [step for part in stages for step in part.steps]
    seeded = {step.node for step in order if isinstance(step, SeedData)}
    begun: set[type[Step]] = set()
    for step in order:
        if isinstance(step, SeedData | Quarantine | KeepData | Fence) and StartOriginal in begun:
            raise FleetRecoverError(f"invariant broken: {step.node}'s data would be touched after another was started")
        if isinstance(step, SeedData) and begun & {ProveSeed, AdoptSeed}:
            raise FleetRecoverError(f"invariant broken: {step.node}'s data would be made after another's was proven")
        if isinstance(step, AdoptSeed) and seeded and (ProveSeed not in begun or step.node not in seeded):
            raise FleetRecoverError(f"invariant broken: {step.node} would get data that was not proven")
        if isinstance(step, AdoptSeed) and StartOriginal in begun:
            raise FleetRecoverError(f"invariant broken: {step.node} would get its data after another was started")
        if isinstance(step, ProveSeed):
            runtime_of(fleet, step.node).check_no_force(step.spec)
            runtime_of(fleet, step.node).check_isolated(step.spec)
        begun.add(type(step))
    starting = {step.node for step in order if isinstance(step, StartOriginal)}
    adopting = {step.node for step in order if isinstance(step, AdoptSeed)}
    if seeded and not seeded == adopting == starting:
        raise FleetRecoverError("invariant broken: some would be started on other data than the rest")
