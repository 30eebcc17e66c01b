"""PURE: from the survey to the steps that put everything back as it was before a run; and what a run's `clean` removes.

From any intermediate state, and from its own: what is back already needs no step. The order is what makes it safe: first
every etcd that the run had touched is stopped, on all nodes; then data is put back; only then are containers started. So
old data never runs beside the recovered cluster, with which it shares a cluster id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import RestoreState
from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.run_names import LAST, match_run
from fleetrecover.decide.steps import RESTORE, ROLLING, Fence, FenceTarget, Stage, Step, StopNeighbours, stage
from fleetrecover.errors import Refused, Undetermined
from fleetrecover.facts import Container, Keep, NodeFacts, Survey

DEFAULT_DATA = "/var/lib/etcd"


@dataclass(frozen=True)
class RemoveOurs(Step):
    """Stop and remove the containers that the run made."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class PutDataBack(Step):
    """Move what the run put in place out of it, and the original back: byte for byte, since it is a rename."""


@dataclass(frozen=True)
class PutContainerBack(Step):
    """Give a container its name and restart policy back, and start it if it ran."""

    container_id: str
    name: str
    restart_policy: str
    start: bool


@dataclass(frozen=True)
class StartStopped(Step):
    """Start those of these neighbours (snapshots, apiservers) that the run had stopped; whether they stay up is theirs."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class MarkUndone(Step):
    """Mark the run as undone on the node."""


@dataclass(frozen=True)
class RemoveKept(Step):
    """Remove the containers that the run set aside and that are not needed: (id, name)."""

    containers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RemoveRun(Step):
    """Remove the run's directory. `frees` in bytes."""

    frees: int


@dataclass(frozen=True)
class UndoPlan:
    """What `undo` would do.

    `written_since`: revisions that clients have made since the run's reset or restore, which the cluster loses by it; None
    where that cannot be known. `away` says why nodes of the run cannot be dealt with now; `gone` names containers that are
    no more.
    """

    run: str
    cluster: str
    survivor: str
    stages: tuple[Stage, ...]
    finished: bool
    written_since: int | None
    away: Mapping[str, str]
    gone: tuple[str, ...]
    kind: str = ""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it acts on."""
        return tuple(dict.fromkeys(step.node for part in self.stages for step in part.steps))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator must know before saying yes."""
        told = []
        what = "the restore" if self.kind == RESTORE else "the recovery"
        if self.written_since:
            told.append(
                f"{self.written_since} revisions were written since {what}: the cluster LOSES them by this; they stay "
                f"on the disk of {self.survivor}, in the run's directory, below withdrawn/"
            )
        elif self.written_since is None and self.stages:
            told.append(
                "it cannot be told what clients have written since: whatever it is, the cluster loses it by this"
            )
        if self.finished and self.kind == RESTORE:
            told.append(
                "the cluster works now; after this it is what it was before the restore, without quorum if it was so"
            )
        elif self.finished:
            told.append("the cluster works now, and will be without quorum again after this")
        told += [f"{name} is left out: {why}" for name, why in self.away.items()]
        told += [
            f"{text} is gone and cannot be put back; its inspect is in the run's containers.json" for text in self.gone
        ]
        return tuple(told)


@dataclass(frozen=True)
class CleanPlan:
    """What `clean` would remove."""

    run: str
    cluster: str
    stages: tuple[Stage, ...]
    frees: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """All the space that it frees."""
        return sum(self.frees.values())


def find_run(survey: Survey, wanted: str) -> str:
    """The run that is meant: its id, or enough of its beginning or end; LAST: the youngest that is not undone.

    Raises InputError, and Undetermined where no node could be looked at.
    """
    if not any(node.reachable for node in survey.nodes):
        told = "; ".join(node.problem.message for node in survey.nodes if node.problem)
        raise Undetermined(f"no node can be reached: {told}", hint="`fleetrecover diagnose` says more")
    keeps = [keep for node in survey.nodes for keep in node.keeps]
    runs = {keep.run for keep in keeps}
    if wanted == LAST:
        runs = {keep.run for keep in keeps if keep.pin} - {keep.run for keep in keeps if keep.undone}
    return match_run(wanted, runs, where=NODES)


def closed_runs(survey: Survey) -> tuple[str, ...]:
    """The runs that are finished or undone, oldest first."""
    keeps = [keep for node in survey.nodes for keep in node.keeps]
    return tuple(sorted({keep.run for keep in keeps if keep.pin and (keep.finished or keep.undone)}))


NODES = "on any node that can be reached"


def make_undo(survey: Survey, run: str, states: Mapping[str, RestoreState] | None = None) -> UndoPlan:
    """Order the steps. `states` is what a restore has left on each node. Raises Refused where putting it back would do harm."""
    kept = {node.name: keep for node in survey.nodes if (keep := node.keep(run)) is not None}
    _refuse_younger(survey, run)
    _refuse_repair(survey, kept)
    todo = [node for node in survey.nodes if node.name in kept and node.accessible and not kept[node.name].undone]
    away = {node.name: _why_away(node) for node in survey.nodes if not node.accessible}
    survivor = next((keep.pin.survivor for keep in kept.values() if keep.pin), "")
    kind = next((keep.pin.kind for keep in kept.values() if keep.pin), "")
    gone = [f"{node.name}: container {name}" for node in todo for name in _gone(node, kept[node.name])]
    stages = [
        stage(
            "stop",
            "Stop what the run has started, and remove its containers",
            [[*_quiet(survey, n, run, todo), *_stop(survey, n, run)] for n in todo],
        ),
        stage("data", "Put the data back", [_data(survey, n, run) for n in todo]),
        stage("containers", "Put the containers back", [_containers(survey, n, run) for n in todo]),
        stage("neighbours", "Start what had been stopped beside etcd", [_neighbours(survey, n, run) for n in todo]),
        stage("undone", "Mark the run as undone", [[MarkUndone(n.name, *_where(n, run))] for n in todo]),
    ]
    return UndoPlan(
        run=run,
        cluster=survey.fleet.cluster,
        survivor=survivor,
        stages=tuple(part for part in stages if part is not None),
        finished=any(keep.finished for keep in kept.values()),
        written_since=_restored_since(survey, kept, states or {})
        if kind == RESTORE
        else _written_since(survey, kept, survivor),
        away=away,
        gone=tuple(gone),
        kind=kind,
    )


def _where(node: NodeFacts, run: str) -> tuple[RunPaths, str]:
    root = node.data.keep_root if node.data else DEFAULT_DATA + ".fleetrecover"
    return RunPaths(root, run), node.data.real if node.data else DEFAULT_DATA


def _why_away(node: NodeFacts) -> str:
    problem = node.cli_problem if node.reachable else node.problem
    return problem.message if problem else "it cannot be reached"


def _refuse_younger(survey: Survey, run: str) -> None:
    younger = sorted(
        {
            keep.run
            for node in survey.nodes
            for keep in node.keeps
            if keep.run > run and not keep.undone and keep.containers and node.keep(run) is not None
        }
    )
    if younger:
        raise Refused(
            f"run {younger[-1]} came after {run} on the same nodes; nothing was changed",
            hint=f"undo the younger one first: fleetrecover undo {younger[-1]}",
        )


def _refuse_repair(survey: Survey, kept: Mapping[str, Keep]) -> None:
    """A repair changed the membership of a living cluster by its own votes: the old data is of members that are no more."""
    repair = any(keep.pin and keep.pin.kind == Remedy.REPAIR for keep in kept.values())
    serving = [node.name for node in survey.nodes if node.healthy]
    if repair and serving:
        raise Refused(
            "that run repaired a cluster that has quorum: its members were exchanged by vote, and what was set aside belongs "
            "to members that are no more; nothing was changed",
            hint="`fleetrecover verify` looks whether all is well; `fleetrecover clean` removes what was set aside",
        )


def _written_since(survey: Survey, kept: Mapping[str, Keep], survivor: str) -> int | None:
    """How many revisions the cluster has made since the reset's proof; 0 where it never got so far as to serve."""
    proofs = [keep.proof for keep in kept.values() if keep.proof]
    if not proofs:
        return 0
    served = [node.status.revision for node in survey.nodes if node.status] + [
        node.db.revision for node in survey.nodes if node.db and node.data and node.data.has_member
    ]
    if not served:
        node = next((n for n in survey.nodes if n.name == survivor), None)
        return 0 if node is not None and node.data is not None and not node.data.has_member else None
    return max(0, max(served) - max(proof.revision for proof in proofs))


def _restored_since(survey: Survey, kept: Mapping[str, Keep], states: Mapping[str, RestoreState]) -> int | None:
    """How many revisions were made on the restored data; 0 where none is in place."""
    served: list[int] = []
    begun: list[int] = []
    for node in survey.nodes:
        keep, state = kept.get(node.name), states.get(node.name)
        if keep is None or state is None or not state.adopted or not _moves(node, keep):
            continue
        found = [node.status.revision] if node.status else [node.db.revision] if node.db else []
        if not found or state.note is None:
            return None
        served += found
        begun.append(int(state.note.get("revision") or 0) + int(state.note.get("bump") or 0))
    return max(0, max(served) - max(begun)) if served else 0


def _gone(node: NodeFacts, keep: Keep) -> list[str]:
    there = {container.id for container in node.containers}
    return [name for cid, name in keep.names.items() if cid not in there]


def _ours(node: NodeFacts, run: str) -> list[Container]:
    return [c for c in node.containers if c.made_for is not None and c.made_by == run]


def _back(node: NodeFacts, keep: Keep, container: Container) -> bool:
    """Whether a container is as it was before the run, and may stay so while the data is moved."""
    return (container.name, container.restart_policy, container.running) == (
        keep.names[container.id],
        keep.policies.get(container.id, "no"),
        container.id in keep.ran,
    )


def _moves(node: NodeFacts, keep: Keep) -> bool:
    """Whether data is still to be moved on the node."""
    has_member = node.data is not None and node.data.has_member
    return keep.original or (keep.no_data and has_member)


def _quiet(survey: Survey, node: NodeFacts, run: str, todo: Sequence[NodeFacts]) -> list[Step]:
    """Before the data of a restore goes back, what lives by etcd is stopped: its watches must not see revisions go back."""
    kept = [(each, keep) for each in todo if (keep := each.keep(run)) is not None]
    if not any(keep.pin and keep.pin.kind == RESTORE for _, keep in kept) or not any(_moves(*each) for each in kept):
        return []
    return [StopNeighbours(node.name, *_where(node, run), (ROLLING, *survey.fleet.kubernetes.restart))]


def _stop(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    keep = node.keep(run)
    assert keep is not None
    paths, data = _where(node, run)
    steps: list[Step] = []
    ours = _ours(node, run)
    if ours:
        steps.append(RemoveOurs(node.name, paths, data, tuple(c.name for c in ours)))
    targets = [
        FenceTarget(c.id, c.name, _aside(keep, paths, c), c.state == "paused")
        for c in node.containers
        if c.id in keep.names and _moves(node, keep) and (c.running or c.restart_policy not in ("no", ""))
    ]
    if targets:
        steps.append(Fence(node.name, paths, data, tuple(targets)))
    return steps


def _aside(keep: Keep, paths: RunPaths, container: Container) -> str:
    """A name under which nothing finds it while its data is moved."""
    return container.name if container.kept_name else paths.kept_name(keep.names[container.id])


def _data(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    keep = node.keep(run)
    assert keep is not None
    return [PutDataBack(node.name, *_where(node, run))] if _moves(node, keep) else []


def _containers(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    keep = node.keep(run)
    assert keep is not None
    paths, data = _where(node, run)
    moved = _moves(node, keep)
    return [
        PutContainerBack(
            node.name, paths, data, c.id, keep.names[c.id], keep.policies.get(c.id, "no"), c.id in keep.ran
        )
        for c in node.containers
        if c.id in keep.names and (moved or not _back(node, keep, c))
    ]


def _neighbours(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    return [StartStopped(node.name, *_where(node, run), (*survey.fleet.kubernetes.restart, ROLLING))]


# --- clean ---


def make_clean(survey: Survey, run: str) -> CleanPlan:
    """What is to be removed: the run's directories, and the containers that it set aside. Raises Refused."""
    kept = [(node, keep) for node in survey.nodes if (keep := node.keep(run)) is not None]
    if not any(keep.finished or keep.undone for _, keep in kept):
        raise Refused(
            f"run {run} is neither finished nor undone; nothing was removed",
            hint="finish it with `fleetrecover recover`, or take it back with `fleetrecover undo`",
        )
    lanes: list[list[Step]] = []
    frees: dict[str, int] = {}
    # those that are not marked go first: what is left of an interrupted removal is then a closed run
    for node, keep in sorted(kept, key=lambda pair: pair[1].finished or pair[1].undone):
        paths, data = _where(node, run)
        aside = tuple((c.id, c.name) for c in node.containers if c.role is None and c.kept_name and c.run == run)
        lane: list[Step] = [RemoveKept(node.name, paths, data, aside)] if aside else []
        size = keep.bytes + keep.elsewhere_bytes
        lane.append(RemoveRun(node.name, paths, data, size))
        lanes.append(lane)
        frees[node.name] = size
    stages = [stage(f"clean-{lane[0].node}", f"Remove what is kept on {lane[0].node}", [lane]) for lane in lanes]
    return CleanPlan(run, survey.fleet.cluster, tuple(part for part in stages if part is not None), frees)


def remains(survey: Survey, run: str) -> list[str]:
    """What is not as it was before the run, by a fresh survey; empty when `undo` is complete on every node it can see."""
    wrong: list[str] = []
    for node in survey.nodes:
        keep = node.keep(run)
        if keep is None or not node.accessible:
            continue
        wrong += [f"{node.name}: container {c.name} of the run is still there" for c in _ours(node, run)]
        for container in node.containers:
            if container.id not in keep.names:
                continue
            was = (keep.names[container.id], keep.policies.get(container.id, "no"))
            now = (container.name, container.restart_policy)
            if was != now:
                wrong.append(f"{node.name}: container {now[0]}, restart {now[1]}, was {was[0]}, restart {was[1]}")
        if keep.original:
            wrong.append(f"{node.name}: its original data still lies in {keep.path}")
        if keep.no_data and node.data is not None and node.data.has_member and not keep.ran:
            wrong.append(f"{node.name}: it had no data, and has some now")
    return wrong
