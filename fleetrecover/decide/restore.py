"""PURE: the plan of a restore: from a survey, a snapshot that was looked at, and what an interrupted restore has left.

Nothing that serves is touched before the snapshot has been booted in a container without network, and before every node has
its restored data lying ready beside the old. Only then etcd is stopped, the old data moved aside, the new moved in, and every
node's own container started as it was: once a WAL is there etcd ignores `--initial-*`, so the original command is right.

Invariants, checked by `check_restore`:

- a node's data is never replaced before it was moved aside, and never before its new data stands ready;
- every node gets the same bytes, the same token and the same list of members;
- no etcd is started while another one is still to be stopped;
- what a systemd unit would start or make anew is held before the rest, and given back by the end (see `units`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from fleetrecover.commands.snapshots import Identity
from fleetrecover.decide.aside import aside_targets
from fleetrecover.decide.away import away_finding
from fleetrecover.decide.diagnosis import OpenRun as RunUnderWay
from fleetrecover.decide.diagnosis import Wish, unaccounted
from fleetrecover.decide.own import own_container, standing_container
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.restored_members import RestoredMembers
from fleetrecover.decide.room import SPACE_MARGIN
from fleetrecover.decide.situation import BUMP, KIND, Chosen, RestorePlan, Situation, is_of_another
from fleetrecover.decide.units import Units, made_by_unit
from fleetrecover.decide.untouchable import refusal
from fleetrecover.errors import FleetRecoverError, Refused, Undetermined
from fleetrecover.facts import Definition, NodeFacts, Pin, Role, Survey
from fleetrecover.model import Fleet
from fleetrecover.plain import version_numbers
from fleetrecover.runtime import runtime_of
from fleetrecover.steps import (
    AdoptRestored,
    AwaitQuorum,
    CheckFiles,
    EnsureImage,
    Fence,
    FinishRun,
    KeepData,
    NoteRestore,
    OpenRun,
    RestoreData,
    SendSnapshot,
    Stage,
    StartNeighbours,
    StartNew,
    StartOriginal,
    Step,
    StopNeighbours,
    TrialBoot,
    stage,
)

__all__ = [
    "BUMP",
    "KIND",
    "Chosen",
    "RestorePlan",
    "Situation",
    "check_restore",
    "fingerprint",
    "is_of_another",
    "make_restore_plan",
    "restore_under_way",
    "under_way",
]


def check_accounted(survey: Survey, situation: Situation) -> None:
    """Raise Undetermined for a voter that may be serving elsewhere, Refused for a cluster that serves."""
    if under_way(situation):
        return
    away = unaccounted(survey, Wish(situation.dead), situation.seats)
    hosts = {node.name for node in survey.nodes if not node.accessible} - situation.dead
    missing = tuple(dict.fromkeys([*away, *sorted(hosts)]))
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        so = f"{', '.join(missing)} {verb} neither reachable nor declared dead, and may go on serving the old data"
        again = f"snapshot restore {quote(situation.chosen.name)}"
        found = away_finding(survey, missing, situation.seats, so, dead=situation.dead, command=again)
        raise Undetermined(f"{found.message}; nothing was changed", hint=found.advice)
    living = [node.name for node in survey.nodes if node.healthy]
    if living and not situation.replace_living:
        raise Refused(
            f"the cluster has quorum and serves ({', '.join(living)}); a restore throws away what was written since the "
            "snapshot; nothing was changed",
            hint="if that is what you want: --replace-living",
        )


def check_matches(survey: Survey, situation: Situation) -> None:
    """Raise Refused for a snapshot that does not belong here: of another cluster, or too new for an image.

    Of another cluster: none of its members has the id, or a peer address, of a member or host of this one. Names do not
    count, since RKE calls members alike everywhere. Two clusters with the same addresses cannot be told apart.
    """
    chosen = situation.chosen
    if under_way(situation):
        return
    too_old = {
        name: tool.version
        for name, tool in situation.tools.items()
        if tool.version
        and chosen.cluster_version
        and version_numbers(tool.version, 2) < version_numbers(chosen.cluster_version, 2)
    }
    if too_old:
        told = ", ".join(f"{name} has {version}" for name, version in too_old.items())
        raise Refused(
            f"{chosen.name} is of a cluster of version {chosen.cluster_version}, too new for the etcd images here: {told}; "
            "etcd cannot go back to an older version; nothing was changed",
            hint="choose a snapshot from before the upgrade, or put the newer image on the nodes",
        )
    if not situation.other_cluster and is_of_another(survey, situation):
        theirs = ", ".join(f"{member.name or '?'} at {', '.join(member.peer_urls)}" for member in chosen.members)
        raise Refused(
            f"{chosen.name} is of another cluster: its members were {theirs}, none of which is known here; nothing was changed",
            hint="if that is what you want (these hosts replace those): --other-cluster",
        )


def under_way(situation: Situation) -> bool:
    """Whether a restore has begun to change nodes: from then on it is only ever finished, or undone."""
    run = situation.open_run
    return (
        run is not None
        and run.kind == KIND
        and any(
            state.note is not None and ("original" in state.parts or state.adopted)
            for state in situation.states.values()
        )
    )


def make_restore_plan(
    survey: Survey, situation: Situation, *, run: str, token: str, started: str, tool: str
) -> RestorePlan:
    """Order the steps that remain. `run` and `token` are used unless a restore is under way. Raises Refused, Unsupported."""
    known = situation.open_run
    if known is not None and known.kind != KIND and known.pinned:
        raise Refused(
            f"run {known.run} ({known.kind}) is open on {', '.join(known.nodes)} and has moved data; nothing was changed",
            hint=f"finish it with `fleetrecover recover`, or take it back with `fleetrecover undo {known.run}`",
        )
    check_accounted(survey, situation)
    resumed = known is not None and known.kind == KIND
    note = next((s.note for s in situation.states.values() if s.note is not None), None) if resumed else None
    if note is not None and note.get("identity") != situation.chosen.identity:
        raise Refused(
            f"run {known.run if known else ''} is restoring {note.get('snapshot')}, which is another snapshot",
            hint=f"finish it with `fleetrecover snapshot restore {note.get('snapshot')}`, or `fleetrecover undo` it",
        )
    check_matches(survey, situation)
    maker = RestoreMaker(
        survey=survey,
        situation=situation,
        run=known.run if known and resumed else run,
        token=str(note["token"]) if note else token,
        started=known.started if known and resumed else started,
        tool=tool,
        note=note,
    )
    plan = maker.plan(resumed=resumed)
    check_restore(survey.fleet, plan)
    forbids = refusal(survey, [step for part in plan.stages for step in part.steps])
    if forbids is not None:
        raise Refused(f"{forbids.message}; nothing was changed", hint=forbids.advice or None)
    return plan


@dataclass(kw_only=True)
class RestoreMaker(RestoredMembers):
    """Makes the stages."""

    def plan(self, *, resumed: bool) -> RestorePlan:
        targets = self.targets()
        cluster = self.cluster(targets)
        members = {name for name, _ in cluster}
        specs = {node.name: self.spec(node) for node in targets}
        bump = self.bump(targets)
        prover = min(
            targets, key=lambda node: (node.name in self.situation.givers, own_container(self.survey, node) is None)
        )
        note = self.note or self.fresh_note(cluster, bump, targets)
        ready = all(self.state(n).adopted or self.state(n).restored for n in targets)
        moved = under_way(self.situation)
        stages: list[Stage | None] = [
            stage(
                "open",
                "Record the run on the nodes",
                [
                    *(self.open(node, note) for node in targets),
                    *(self.record(node, note) for node in self.others(targets)),
                ],
                self.all(targets),
            ),
            None if moved or ready else self.prove(prover, specs[prover.name][0]),
            stage(
                "prepare",
                "Restore on every node, beside what is there; nothing is stopped yet",
                [self.prepare(node, specs[node.name][0], cluster, bump) for node in targets],
                self.all(targets),
            ),
            stage("fence", "Stop what lives by etcd, and etcd", self.fences(targets), self.all(targets)),
            stage("switch", "Old data aside, new data in", [self.switch(n) for n in targets], self.all(targets)),
            stage("start", "Start every node's etcd", [self.start(n, *specs[n.name]) for n in targets]),
        ]
        if any(part is not None for part in stages[2:]) or not any(node.healthy for node in targets):
            wait = AwaitQuorum(*self.where(prover), tuple(node.name for node in targets))
            stages.append(stage("quorum", "Wait for a leader", [[wait]], [prover.name]))
        stages = self.around_units(stages, targets)
        again = [self.again(node) for node in self.survey.nodes if node.accessible]
        stages.append(stage("kubernetes", "Start again what lives by etcd", again))
        closing = stage(
            "finish", "Close the run", [[FinishRun(*self.where(n))] for n in [*targets, *self.others(targets)]]
        )
        self.tell(targets, bump, members)
        return RestorePlan(
            run=self.run,
            cluster=self.survey.fleet.cluster,
            chosen=self.situation.chosen,
            token=self.token,
            bump=bump,
            targets=tuple(node.name for node in targets),
            prover=prover.name,
            stages=tuple(part for part in stages if part is not None),
            closing=closing,
            left_out=dict(self.left_out),
            notes=tuple(self.notes),
            resumed=resumed,
        )

    def around_units(self, stages: Sequence[Stage | None], targets: Sequence[NodeFacts]) -> list[Stage | None]:
        """The stages, and what the units that start etcd need; those of a node that is only stopped are kept from starting."""
        units = Units(self.survey, self.run, lambda node: (self.paths(node), self.data(node)))
        spared = frozenset(node.name for node in targets if node.healthy)
        kept = frozenset(node.name for node in self.others(targets))
        for node in self.others(targets):
            for step in units.hold(node):
                self.notes.append(
                    f"the unit {step.unit} on {node.name}, which is declared dead, is kept from starting for good: "
                    f"`systemctl disable {step.unit}` there before the run is cleaned away"
                )
        return units.around(stages, spared=spared, alone=frozenset(), release=True, kept=kept)

    def open(self, node: NodeFacts, note: Mapping[str, Any]) -> list[Step]:
        keep = node.keep(self.run)
        if keep is not None and keep.pin is not None and keep.containers and self.state(node).note is not None:
            return []
        return [self.pinned(node, note), NoteRestore(*self.where(node), note)]

    def record(self, node: NodeFacts, note: Mapping[str, Any]) -> list[Step]:
        """Record the run on a node that is only stopped."""
        keep = node.keep(self.run)
        return [] if keep is not None and keep.pin is not None and keep.containers else [self.pinned(node, note)]

    def pinned(self, node: NodeFacts, note: Mapping[str, Any]) -> OpenRun:
        pin = Pin(
            run=self.run,
            cluster=self.survey.fleet.cluster,
            survivor=str(note["hosts"][0]),
            started=self.started,
            kind=KIND,
            dead=tuple(sorted(self.situation.dead)),
            tool=self.tool,
        )
        theirs = tuple(c.id for c in node.containers if c.role is None)
        return OpenRun(*self.where(node), pin, theirs)

    def send(self, node: NodeFacts) -> SendSnapshot:
        chosen = self.situation.chosen
        return SendSnapshot(*self.where(node), chosen.name, chosen.size, chosen.sha256)

    def image(self, spec: Definition) -> str:
        return spec.image

    def prove(self, node: NodeFacts, spec: Definition) -> Stage | None:
        chosen = self.situation.chosen
        arch = self.rt(node).config(spec).given.get("unsupported-arch")
        environment = (f"ETCD_UNSUPPORTED_ARCH={arch}",) if arch else ()
        container = self.paths(node).quarantine_name(self.name(node))
        trial = TrialBoot(
            *self.where(node),
            self.image(spec),
            self.situation.tools[node.name],
            container,
            chosen.size,
            chosen.revision,
            environment,
        )
        title = f"Prove the snapshot on {node.name}: restore it aside and boot it without network"
        return stage("prove", title, [[self.send(node), trial]], [node.name])

    def prepare(
        self, node: NodeFacts, spec: Definition, cluster: tuple[tuple[str, tuple[str, ...]], ...], bump: int
    ) -> list[Step]:
        state = self.state(node)
        if state.adopted or state.restored:
            return []
        self.check_space(node)
        config = self.rt(node).config(spec)
        identity = Identity(config.name, config.advertise_peer_urls, cluster, self.token)
        steps: list[Step] = []
        if own_container(self.survey, node) is None:
            files = tuple(sorted(set(self.rt(node).files(spec)) - {self.data(node), self.paths(node).wal}))
            if files:
                steps.append(CheckFiles(*self.where(node), files))
        owner = node.data.owner if node.data and node.data.exists else ""
        giver = self.situation.givers.get(node.name)
        if giver is not None:
            steps.append(EnsureImage(*self.where(node), self.image(spec), giver[1], giver[0]))
        tool, size = self.situation.tools[node.name], self.situation.chosen.size
        steps += [
            self.send(node),
            RestoreData(*self.where(node), self.image(spec), tool, identity, size, bump, owner),
        ]
        return steps

    def check_space(self, node: NodeFacts) -> None:
        need = 2 * self.situation.chosen.size + 2 * SPACE_MARGIN
        data = node.data
        if data is not None and data.wal_mount and data.has_member and not self.state(node).adopted:
            raise Refused(
                f"{node.name}: its WAL directory {data.wal} is a mount point, so it cannot be moved",
                hint="etcd being stopped, move the WAL into a directory below that one and name it with --wal-dir",
            )
        if data is not None and data.wal and not data.wal_shared and data.wal_free < SPACE_MARGIN:
            raise Refused(
                f"{node.name}: the restore needs {SPACE_MARGIN / 1e6:,.0f} MB in {data.wal}, only {data.wal_free / 1e6:,.0f} MB "
                "are free",
                hint=f"free {(SPACE_MARGIN - data.wal_free) / 1e6:,.0f} MB on the filesystem of {data.wal}",
            )
        free = data.free if data else None
        if free is not None and free < need:
            raise Refused(
                f"{node.name}: the restore needs {need / 1e6:,.0f} MB beside its data, only {free / 1e6:,.0f} MB are free",
                hint=f"free {(need - free) / 1e6:,.0f} MB on the filesystem of {self.data(node)}",
            )

    def fences(self, targets: Sequence[NodeFacts]) -> list[list[Step]]:
        """Every node that answers, those declared dead too: an old etcd must not go on serving."""
        names = {node.name for node in targets}
        return [self.fence(node, target=node.name in names) for node in self.survey.nodes if node.accessible]

    def fence(self, node: NodeFacts, *, target: bool) -> list[Step]:
        if target and self.state(node).adopted:
            return []
        steps: list[Step] = []
        names = self.situation.neighbours.get(node.name, ())
        if names:
            steps.append(StopNeighbours(*self.where(node), names))
        stopping = [
            container
            for container in node.containers
            if container.role is not Role.QUARANTINE and (container.armed or container.name == self.name(node))
        ]
        if stopping:
            steps.append(Fence(*self.where(node), aside_targets(self.paths(node), node, stopping)))
        return steps

    def switch(self, node: NodeFacts) -> list[Step]:
        state = self.state(node)
        if state.adopted:
            return []
        steps: list[Step] = []
        if node.data is not None and node.data.has_member:
            keep = node.keep(self.run)
            taken = set(keep.discarded) if keep else set()
            part = "original"
            # a node that had no data has ours, where an earlier attempt was interrupted right after moving it in
            if "original" in state.parts or (keep is not None and keep.no_data):
                number = 1
                while f"discarded-{number}" in taken:
                    number += 1
                part = f"discarded-{number}"
            steps.append(KeepData(*self.where(node), part))
        return [*steps, AdoptRestored(*self.where(node))]

    def start(self, node: NodeFacts, spec: Definition, replaced: tuple[str, ...]) -> list[Step]:
        own = own_container(self.survey, node)
        there = standing_container(self.survey, node)
        adopted = self.state(node).adopted
        if own is not None and not own.forced:
            policy = true_policy(node, own)
            if adopted and own.name == self.name(node) and own.running and own.restart_policy == policy:
                return []
            replaces = self.name(node) if there is not None and there.role is Role.MEMBER else None
            return [StartOriginal(*self.where(node), own.id, self.name(node), policy, replaces, "nothing")]
        if adopted and there is not None and there.role is Role.MEMBER and there.running:
            return []
        plain = self.rt(node).plain(spec, name=self.name(node), run=self.run, role=Role.MEMBER)
        reason = f"{own.name} carries --force-new-cluster" if own else "the node has no etcd container of its own"
        return [StartNew(*self.where(node), plain, self.name(node), self.fleet_policy(), reason, replaced)]

    def again(self, node: NodeFacts) -> list[Step]:
        if node.name in self.situation.dead:
            return []
        names = self.situation.neighbours.get(node.name, ())
        return [StartNeighbours(*self.where(node), names)] if names else []


def check_restore(fleet: Fleet, plan: RestorePlan) -> None:
    """Check the invariants of the module's docstring. Raises FleetRecoverError: a fault of the program itself."""
    seen: dict[str, set[type[Step]]] = {}
    identities = {(s.identity.token, s.identity.cluster, s.bump) for s in plan.steps if isinstance(s, RestoreData)}
    sent = {(s.sha256, s.size) for s in plan.steps if isinstance(s, SendSnapshot)}
    if len(identities) > 1 or len(sent) > 1:
        raise FleetRecoverError("invariant broken: the nodes would not all get the same")
    started = False
    for step in plan.steps:
        done = seen.setdefault(step.node, set())
        if isinstance(step, Fence) and started:
            raise FleetRecoverError(f"invariant broken: {step.node} would be stopped after another was started")
        if isinstance(step, RestoreData) and done & {Fence, KeepData}:
            raise FleetRecoverError(f"invariant broken: {step.node} would be stopped before its new data is ready")
        if isinstance(step, StartOriginal | StartNew):
            started = True
        if isinstance(step, StartNew):
            runtime_of(fleet, step.node).check_no_force(step.spec)
        done.add(type(step))


def fingerprint(survey: Survey, plan: RestorePlan) -> str:
    """What the plan rests on, in one short word: if it is equal, what was agreed to is what will be done."""
    basis: list[object] = [plan.cluster, plan.chosen.sha256, plan.targets, plan.bump]
    for node in survey.nodes:
        lasting = [(c.id, c.name) for c in node.containers if not made_by_unit(node, c)]
        basis.append((node.name, node.accessible, node.healthy, lasting))
        basis.append([(keep.run, keep.original) for keep in node.open_keeps()])
    basis += [(type(step).__name__, step.node) for step in plan.steps]
    return hashlib.sha256(repr(basis).encode()).hexdigest()[:16]


def restore_under_way(run: RunUnderWay) -> tuple[str, str] | None:
    """For `recover`: nothing but finishing a restore or taking it back is safe. Why, and what to do.

    Before data is moved, and after it serves again, what lives by etcd is stopped: only the restore knows what to start again.
    """
    if run.kind != KIND:
        return None
    return (
        f"run {run.run} is restoring a snapshot on {', '.join(run.nodes)}{' and has moved data' if run.pinned else ''}",
        f"finish it: the same `fleetrecover snapshot restore` again; or take it back: `fleetrecover undo {run.run}`",
    )
