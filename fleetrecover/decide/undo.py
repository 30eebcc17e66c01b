"""PURE: from the survey to the steps that put everything back as it was before a run; and what a run's `clean` removes.

From any intermediate state, and from its own: what is back already needs no step. The order is what makes it safe: first
every etcd that the run had touched is stopped, on all nodes; then data is put back; only then are containers started. So
old data never runs beside the recovered cluster, with which it shares a cluster id. The member with the most data is started
first; who has no data, or has forgotten some so that several of them could begin a quorum of their own, is not started.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fleetrecover.commands.paths import DEFAULT_DATA, RunPaths
from fleetrecover.commands.snapshots import RestoreState
from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.kept import ahead_of_serving
from fleetrecover.decide.managers import cannot_hold, remakes
from fleetrecover.decide.run_names import LAST, match_run
from fleetrecover.decide.taken_back import Change, Starting, change_by, moves, serving, who_starts
from fleetrecover.decide.units import RELEASE, Units, units_of
from fleetrecover.errors import Refused, Undetermined
from fleetrecover.facts import Container, Keep, NodeFacts, Survey
from fleetrecover.steps import (
    RESTORE,
    ROLLING,
    BeginUndo,
    Fence,
    FenceTarget,
    MarkUndone,
    PutContainerBack,
    PutDataBack,
    RemoveKept,
    RemoveOurs,
    RemoveRun,
    Stage,
    StartStopped,
    Step,
    StopNeighbours,
    stage,
)


@dataclass(frozen=True)
class UndoPlan:
    """What `undo` would do.

    `written_since`: revisions that clients have made since the run's reset or restore, which the cluster loses by it; None
    where that cannot be known. `entries_since`: by how much the log has grown, in which leases, users and roles are that
    have no revision; None where that cannot be known. `gains`: by how many revisions what is put back is ahead of what serves.
    `agreed`: the undo was begun before, and the loss agreed to. `away` says why nodes of the run cannot be dealt with now;
    `gone` names containers that are no more; `held_back` those that are not started, as (node, container): why.
    `serves_on`: only names are put back, and no etcd is stopped for it.
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
    entries_since: int | None = None
    gains: int = 0
    agreed: bool = False
    held_back: Mapping[tuple[str, str], str] = field(default_factory=dict)
    serves_on: bool = False

    @property
    def blind(self) -> bool:
        """Whether it takes data out of which nobody knows what clients have written to it, and nobody has agreed to that."""
        return self.written_since is None and bool(self.stages) and not self.agreed

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
                f"{_revisions(self.written_since)} {'was' if self.written_since == 1 else 'were'} written since {what}: the "
                "cluster LOSES them by this; they stay on the disks of the nodes, in the run's directory, below withdrawn/"
            )
        elif self.written_since is None and self.stages:
            told.append(
                "it cannot be told what clients have written since: whatever it is, the cluster loses it by this"
            )
        if self.entries_since and self.stages:
            told.append(
                f"the log has grown by {self.entries_since} {'entry' if self.entries_since == 1 else 'entries'} since "
                f"{what}: leases, users and roles among them, which have no revision, are lost by this, too"
            )
        if self.gains and self.stages:
            told.append(
                f"what is put back is {_revisions(self.gains)} ahead of what serves: by this "
                + ("it comes back" if self.gains == 1 else "they come back")
            )
        if self.finished and self.kind == RESTORE:
            told.append(
                "the cluster works now; after this it is what it was before the restore, without quorum if it was so"
            )
        elif self.finished and not self.serves_on:
            told.append("the cluster works now, and will be without quorum again after this")
        told += [f"{name} is left out: {why}" for name, why in self.away.items()]
        told += [f"{node}: {name} is not started: {why}" for (node, name), why in self.held_back.items()]
        return (*told, *self.losses)

    @property
    def losses(self) -> tuple[str, ...]:
        """The containers that cannot be put back, in words."""
        return tuple(
            f"{text} is gone and cannot be put back; its inspect is in the run's containers.json" for text in self.gone
        )


@dataclass(frozen=True)
class CleanPlan:
    """What `clean` would remove. `notes` are to be told before somebody says yes."""

    run: str
    cluster: str
    stages: tuple[Stage, ...]
    frees: Mapping[str, int]
    notes: tuple[str, ...] = ()

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
        raise Undetermined(
            f"no node can be reached: {told}; nothing was changed", hint="`fleetrecover diagnose` says more"
        )
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
    kind = kind_of(kept.values())
    _refuse_younger(survey, run)
    _refuse_repair(survey, run, kind)
    todo = [node for node in survey.nodes if node.name in kept and node.accessible and not kept[node.name].undone]
    away = {node.name: _why_away(node) for node in survey.nodes if not node.accessible}
    pinned = [keep.pin for keep in kept.values() if keep.pin]
    survivor = next((pin.survivor for pin in pinned if pin.kind == kind), "")
    gone = [f"{node.name}: container {name}" for node in todo for name in _gone(survey, node, kept[node.name])]
    # who runs on meanwhile is neither stopped nor started
    names = only_names(survey, run)
    starting = Starting() if names else who_starts(survey, run, todo)
    first, rest = _containers(survey, todo, run, starting)
    stages = [
        stage(
            "stop",
            "Stop what the run has started, and remove its containers",
            [
                [
                    BeginUndo(n.name, *_where(n, run)),
                    *_hold(survey, n, run),
                    *_quiet(survey, n, run, todo, kind),
                    *_stop(survey, n, run, starting),
                ]
                for n in todo
            ],
        ),
        stage("data", "Put the data back", [_data(survey, n, run) for n in todo]),
        stage("containers", "Put the containers back", first),
        stage("containers-rest", "Start the others", rest),
        *_release(survey, run, todo, starting),
        stage("neighbours", "Start what had been stopped beside etcd", [_neighbours(survey, n, run) for n in todo]),
        stage("undone", "Mark the run as undone", [[MarkUndone(n.name, *_where(n, run))] for n in todo]),
    ]
    change = _restored_change(survey, kept, states or {}) if kind == RESTORE else change_by(survey, run, kind, todo)
    return UndoPlan(
        run=run,
        cluster=survey.fleet.cluster,
        survivor=survivor,
        stages=tuple(part for part in stages if part is not None),
        finished=any(keep.finished for keep in kept.values()),
        written_since=change.revisions,
        away=away,
        gone=tuple(gone),
        kind=kind,
        entries_since=change.entries,
        gains=change.gains,
        agreed=any(keep.undoing or keep.undone for keep in kept.values()),
        held_back={(node.name, name): why for node in todo for name, why in _held_back(node, run, starting).items()},
        serves_on=names,
    )


def kind_of(keeps: Iterable[Keep]) -> str:
    """What a run is: a restore, or a reset, if it has become one on any node; else it started members, or exchanged them."""
    kinds = {keep.pin.kind for keep in keeps if keep.pin}
    return next((kind for kind in (RESTORE, Remedy.RESET.value) if kind in kinds), next(iter(sorted(kinds)), ""))


def only_names(survey: Survey, run: str) -> bool:
    """Whether the run gave containers their names back and did nothing else, by what every node has of it."""
    pins = [keep.pin for node in survey.nodes if (keep := node.keep(run)) is not None and keep.pin]
    return bool(pins) and all(pin.names_only for pin in pins)


def _where(node: NodeFacts, run: str) -> tuple[RunPaths, str]:
    return RunPaths.of(node.data, run), node.data.real if node.data else DEFAULT_DATA


def _why_away(node: NodeFacts) -> str:
    problem = node.cli_problem if node.reachable else node.problem
    return problem.message if problem else "it cannot be reached"


def _refuse_younger(survey: Survey, run: str) -> None:
    """What a younger run has kept is what this one has made. Where this one is undone already nothing is touched."""
    younger = sorted(
        {
            keep.run
            for node in survey.nodes
            for keep in node.keeps
            if keep.run > run
            and not keep.undone
            and keep.containers
            and (own := node.keep(run)) is not None
            and not own.undone
        }
    )
    if younger:
        raise Refused(
            f"run {younger[-1]} came after {run} on the same nodes; nothing was changed",
            hint=f"undo the younger one first: fleetrecover undo {younger[-1]}",
        )


def _refuse_repair(survey: Survey, run: str, kind: str) -> None:
    """A repair changed the membership of a living cluster by its own votes: the old data is of members that are no more.

    It is put back all the same where it is ahead of what serves: then those who voted had forgotten it. A run that gave
    containers their names back, and no more, voted nobody in or out.
    """
    serving = [node.name for node in survey.nodes if node.healthy]
    if only_names(survey, run):
        return
    if kind != Remedy.REPAIR or not serving or ahead_of_serving(survey, run, originals_only=True).count:
        return
    closed = all(keep.finished for node in survey.nodes if (keep := node.keep(run)) is not None)
    raise Refused(
        "that run repaired a cluster that has quorum: its members were exchanged by vote, and what was set aside belongs "
        "to members that are no more; nothing was changed",
        hint="`fleetrecover verify` looks whether all is well; `fleetrecover clean` removes what was set aside"
        if closed
        else "`fleetrecover recover` finishes it",
    )


def _restored_change(survey: Survey, kept: Mapping[str, Keep], states: Mapping[str, RestoreState]) -> Change:
    run = next(iter(kept.values())).run if kept else ""
    gains = ahead_of_serving(survey, run, originals_only=True).revisions if serving(survey) else 0
    return Change(_restored_since(survey, kept, states), None, gains)


def _restored_since(survey: Survey, kept: Mapping[str, Keep], states: Mapping[str, RestoreState]) -> int | None:
    """How many revisions were made on the restored data; 0 where none is in place."""
    served: list[int] = []
    begun: list[int] = []
    for node in survey.nodes:
        keep, state = kept.get(node.name), states.get(node.name)
        if keep is None or state is None or not state.adopted or not moves(node, keep):
            continue
        found = [node.status.revision] if node.status else [node.db.revision] if node.db else []
        if not found or state.note is None:
            return None
        served += found
        begun.append(int(state.note.get("revision") or 0) + int(state.note.get("bump") or 0))
    return max(0, max(served) - max(begun)) if served else 0


def _revisions(count: int) -> str:
    return f"{count} revision" if count == 1 else f"{count} revisions"


def _gone(survey: Survey, node: NodeFacts, keep: Keep) -> list[str]:
    """The containers that are no more; one that a unit makes anew is not lost."""
    there = {container.id for container in node.containers}
    made = {about for unit, about in units_of(survey, node).values() if unit.to_run and remakes(unit, about)}
    return [name for cid, name in keep.names.items() if cid not in there and name not in made]


def _units(survey: Survey, run: str) -> Units:
    return Units(survey, run, lambda node: _where(node, run))


def _hold(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    """Before data is moved, the units that would start etcd on it are held, where the run does not hold them still."""
    keep = node.keep(run)
    return [*_units(survey, run).hold(node)] if keep is not None and moves(node, keep) else []


def _release(survey: Survey, run: str, todo: Sequence[NodeFacts], starting: Starting) -> list[Stage | None]:
    """Give the units back, that of the member with the most data first; who is not to be started stays held.

    One that runs all the while, since nothing was moved there, is only let go.
    """
    units, stages = _units(survey, run), []
    for node in sorted(todo, key=lambda node: node.name != starting.first):
        keep = node.keep(run)
        moved = keep is not None and moves(node, keep)
        runs = not moved and any(unit.active for unit, _ in units_of(survey, node).values())
        if runs or node.name not in starting.not_these:
            held = frozenset({node.name} if moved else ())
            lane = units.release(node, waits=node.name == starting.first, held=held)
            stages.append(stage(f"{RELEASE}-{node.name}", f"Give the units of {node.name} back", [lane]))
    return stages


def _ours(node: NodeFacts, run: str) -> list[Container]:
    return [c for c in node.containers if c.made_for is not None and c.made_by == run]


def _back(node: NodeFacts, container: Container, policy: str, *, runs: bool) -> bool:
    """Whether a container is as it is to be, and may stay so while the data is moved."""
    keep_name = next(keep.names[container.id] for keep in node.keeps if container.id in keep.names)
    return (container.name, container.restart_policy, container.running) == (keep_name, policy, runs)


def _quiet(survey: Survey, node: NodeFacts, run: str, todo: Sequence[NodeFacts], kind: str) -> list[Step]:
    """Before the data of a restore goes back, what lives by etcd is stopped: its watches must not see revisions go back."""
    kept = [(each, keep) for each in todo if (keep := each.keep(run)) is not None]
    if kind != RESTORE or not any(moves(*each) for each in kept):
        return []
    return [StopNeighbours(node.name, *_where(node, run), (ROLLING, *survey.fleet.kubernetes.restart))]


def _stop(survey: Survey, node: NodeFacts, run: str, starting: Starting) -> list[Step]:
    """Stop what runs on data that is moved, what did not run before, and what is not to run afterwards."""
    keep, held = node.keep(run), _held_back(node, run, starting)
    assert keep is not None
    paths, data = _where(node, run)
    steps: list[Step] = []
    ours = _ours(node, run)
    if ours:
        steps.append(RemoveOurs(node.name, paths, data, tuple(c.name for c in ours)))
    if moves(node, keep):
        units = _units(survey, run)
        steps += units.stop(node, units.aside(node))
    targets = [
        FenceTarget(c.id, c.name, _aside(keep, paths, c), c.state == "paused")
        for c in node.containers
        if c.id in keep.names
        and (started(survey, node, keep, c) or (c.armed and (keep.names[c.id] in held or moves(node, keep))))
    ]
    if targets:
        steps.append(Fence(node.name, paths, data, tuple(targets)))
    return steps


def started(survey: Survey, node: NodeFacts, keep: Keep, container: Container) -> bool:
    """Whether it runs now and did not when the run began, and no unit that ran then has started it since."""
    names = (container.name, container.kept_name)
    by_unit = any(unit.to_run and about in names for unit, about in units_of(survey, node).values())
    return container.running and container.id not in keep.ran and not by_unit


def _aside(keep: Keep, paths: RunPaths, container: Container) -> str:
    """A name under which nothing finds it while its data is moved."""
    return container.name if container.kept_name else paths.kept_name(keep.names[container.id])


def _data(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    keep = node.keep(run)
    assert keep is not None
    return [PutDataBack(node.name, *_where(node, run))] if moves(node, keep) else []


def _containers(
    survey: Survey, todo: Sequence[NodeFacts], run: str, starting: Starting
) -> tuple[list[list[Step]], list[list[Step]]]:
    """The lanes of the containers: first who is not started, and the member with the most data; then the others."""
    first: list[list[Step]] = []
    rest: list[list[Step]] = []
    for node in todo:
        steps = _put_back(survey, node, run, starting)
        waits = starting.first not in (None, node.name) and any(step.start for step in steps)
        (rest if waits else first).append(list(steps))
    return first, rest


def _put_back(survey: Survey, node: NodeFacts, run: str, starting: Starting) -> list[PutContainerBack]:
    keep = node.keep(run)
    assert keep is not None
    paths, data = _where(node, run)
    moved, held = moves(node, keep), _held_back(node, run, starting)
    # what a unit starts, or makes anew, is left to it: `_release` starts the unit
    by_unit = {about for unit, about in units_of(survey, node).values() if unit.to_run and not cannot_hold(node, unit)}
    steps = []
    for c in node.containers:
        if c.id not in keep.names:
            continue
        name = keep.names[c.id]
        ran = c.id in keep.ran and name not in held and name not in by_unit
        policy = "no" if name in held else keep.policies.get(c.id, "no")
        if moved or not _back(node, c, policy, runs=c.running if name in by_unit else ran):
            wait = ran and node.name == starting.first
            steps.append(PutContainerBack(node.name, paths, data, c.id, name, policy, ran, wait))
    return steps


def _held_back(node: NodeFacts, run: str, starting: Starting) -> dict[str, str]:
    """The containers of the node that ran before the run and are not started, by the name they had, and why."""
    keep, why = node.keep(run), starting.not_these.get(node.name)
    if keep is None or why is None:
        return {}
    return {keep.names[c.id]: why for c in node.containers if c.id in keep.ran and c.id in keep.names}


def _neighbours(survey: Survey, node: NodeFacts, run: str) -> list[Step]:
    return [StartStopped(node.name, *_where(node, run), (*survey.fleet.kubernetes.restart, ROLLING))]


# --- clean ---


def make_clean(survey: Survey, run: str) -> CleanPlan:
    """What is to be removed: the run's directories, and the containers that it set aside. Raises Refused.

    The run must be closed on every node that can be seen. One that was killed between two nodes' last marks is finished on
    the first only: that is told. What it keeps is compared with what serves by `check_kept`.
    """
    kept = [(node, keep) for node in survey.nodes if (keep := node.keep(run)) is not None]
    taken_back = any(keep.undone or keep.undoing for _, keep in kept)
    open_on = [node.name for node, keep in kept if not (keep.finished or keep.undone)]
    if taken_back and open_on:
        raise Refused(
            f"run {run} is being taken back, and not yet on {', '.join(open_on)}; nothing was removed",
            hint=f"end that first: fleetrecover undo {run}",
        )
    if not any(keep.finished or keep.undone for _, keep in kept):
        how = "finish it with `fleetrecover recover`"
        repairs = kind_of(keep for _, keep in kept) == Remedy.REPAIR and any(node.healthy for node in survey.nodes)
        raise Refused(
            f"run {run} is neither finished nor undone; nothing was removed",
            hint=how if repairs else f"{how}, or take it back with `fleetrecover undo`",
        )
    notes = [f"{name}: the run was not marked as finished there, as on the others" for name in open_on]
    notes += [
        f"{node.name} cannot be looked at: {_why_away(node)}; what it keeps stays there"
        for node in survey.nodes
        if not node.accessible
    ]
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
    return CleanPlan(run, survey.fleet.cluster, tuple(p for p in stages if p is not None), frees, tuple(notes))


def remains(survey: Survey, run: str, held_back: Collection[tuple[str, str]] = ()) -> list[str]:
    """What is not as it was before the run, by a fresh survey; empty when `undo` is complete on every node it can see.

    The containers `held_back` have no restart policy, so that nothing starts them.
    """
    wrong: list[str] = []
    for node in survey.nodes:
        keep = node.keep(run)
        if keep is None or not node.accessible:
            continue
        wrong += [f"{node.name}: container {c.name} of the run is still there" for c in _ours(node, run)]
        for container in node.containers:
            if container.id not in keep.names:
                continue
            name = keep.names[container.id]
            was = (name, "no" if (node.name, name) in held_back else keep.policies.get(container.id, "no"))
            now = (container.name, container.restart_policy)
            if was != now:
                wrong.append(f"{node.name}: container {now[0]}, restart {now[1]}, was {was[0]}, restart {was[1]}")
            elif started(survey, node, keep, container):
                wrong.append(f"{node.name}: container {name} runs, and did not before the run")
        if keep.original:
            wrong.append(f"{node.name}: its original data still lies in {keep.path}")
        if keep.parted:
            wrong.append(f"{node.name}: the WAL of its data still lies aside, of run {run}")
        if keep.no_data and node.data is not None and node.data.has_member and not keep.ran:
            wrong.append(f"{node.name}: it had no data, and has some now")
    return wrong
