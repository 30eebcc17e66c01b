"""PURE: the reset: all fenced, a copy of the survivor's data reset in quarantine and put in place, the others brought in."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.joining import Joining
from fleetrecover.decide.membership import Seat, seats_of
from fleetrecover.decide.placement import changes, misplaced
from fleetrecover.decide.regrown import regrown
from fleetrecover.errors import Refused
from fleetrecover.etcd.wal import raise_commit
from fleetrecover.facts import (
    Definition,
    Keep,
    NodeFacts,
)
from fleetrecover.steps import (
    Adopt,
    CopyData,
    KeepData,
    KeepElsewhere,
    Quarantine,
    RaiseCommit,
    Stage,
    Step,
    stage,
)


class Resetting(Joining):
    """Makes the stages of a reset."""

    def reset(self, survivor: str) -> tuple[list[Stage | None], list[str]]:
        """All stages, and the hosts that come in by them."""
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
        """What is left of the reset on the survivor, up to the proven copy in its place. Raises Refused, Unsupported."""
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

    def quarantine(self, node: NodeFacts, spec: Definition, paths: RunPaths, data: str) -> Quarantine:
        """The reset of the copy in a network of its own."""
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
