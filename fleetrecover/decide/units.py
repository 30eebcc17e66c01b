"""PURE: the systemd units that start a node's etcd: which they are, which of them can be held, and when that is done.

Such a unit would start etcd, or make its container anew, on the directory that we have just moved. So before anything is
stopped it is held: a drop-in keeps it from starting, whoever asks. That stops nothing and is taken back without a trace,
but from then on no container is made behind our back, so the fleet is looked at once more. Then the unit is stopped with
its container, and when the cluster is whole given back: started where it ran, one node after another, since it may make the
container anew. It does so by its own definition, which is right on the data that lies there then: an etcd that finds a WAL
heeds no `--initial-…`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fleetrecover import steps as s
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.aside import aside_targets
from fleetrecover.decide.managers import cannot_hold, lines_about, remakes
from fleetrecover.decide.own import own_name
from fleetrecover.facts import Container, NodeFacts, Starter, StarterKind, Survey

TOUCHING = (
    *(s.Fence, s.KeepData, s.KeepElsewhere, s.Adopt, s.AdoptSeed, s.AdoptRestored),
    *(s.StartOriginal, s.StartRebuilt, s.StartNew, s.Join),
)
"""Steps in whose way a unit would be."""
HOLD, RELEASE = "hold", "units"
"""The names of the stages."""

Where = Callable[[NodeFacts], tuple[RunPaths, str]]
"""The run's paths on a node, and its data directory."""


def names_of(survey: Survey, node: NodeFacts) -> tuple[str, ...]:
    """What the node's own etcd containers are called, or would be."""
    theirs = (c.kept_name or c.name for c in node.containers if c.role is None)
    return tuple(dict.fromkeys((own_name(survey, node), *theirs)))


def units_of(survey: Survey, node: NodeFacts) -> dict[str, tuple[Starter, str]]:
    """The units that start the node's etcd, by name: each with the name of the container that it is about."""
    found: dict[str, tuple[Starter, str]] = {}
    for starter in node.starters:
        about = next((name for name in names_of(survey, node) if lines_about(starter, name)), None)
        if starter.kind is StarterKind.UNIT and about is not None:
            found.setdefault(starter.name, (starter, about))
    return found


def made_by_unit(node: NodeFacts, container: Container) -> bool:
    """Whether a unit may make that container anew at any moment, so that its id says nothing."""
    name = container.kept_name or container.name
    return any(unit.kind is StarterKind.UNIT and remakes(unit, name) for unit in node.starters)


def unheld(survey: Survey, node: NodeFacts, steps: Sequence[s.Step]) -> frozenset[str]:
    """The units of a node that none of these steps holds, nor the run that they are of has held before."""
    holding = {step.unit for step in steps if isinstance(step, s.HoldUnit) and step.node == node.name}
    runs = {step.paths.run for step in steps if step.node == node.name}
    free = (name for name, (unit, _) in units_of(survey, node).items() if unit.held_by not in runs)
    return frozenset(free) - holding


class Units:
    """What a plan must do about the units, stage by stage. `run` is the plan's, `where` its places on a node."""

    def __init__(self, survey: Survey, run: str, where: Where) -> None:
        self.survey = survey
        self.run = run
        self.where = where

    def around(
        self,
        stages: Sequence[s.Stage | None],
        *,
        spared: frozenset[str],
        alone: frozenset[str],
        release: bool,
        kept: frozenset[str] = frozenset(),
    ) -> list[s.Stage | None]:
        """The stages with all that the units need: held before anything, stopped where a node is touched, given back last.

        The nodes in `spared` are left alone unless a step touches them; those in `alone` are given back without waiting for
        their etcd, since nobody has brought it in. Without `release` none is given back yet; those of `kept` never are.
        """
        planned = [part for part in stages if part is not None]
        touched = {step.node for part in planned for step in part.steps if isinstance(step, TOUCHING)}
        nodes = [node for node in self.survey.nodes if node.accessible]
        holding = [self.hold(n) for n in nodes if touched and (n.name in touched or n.name not in spared)]
        stopping = [s.Stage(p.name, p.title, self._lanes(p), p.essential) for p in planned]
        held = {step.node for lane in holding for step in lane}
        back = [node for node in nodes if node.name not in kept]
        given = [step for node in back for step in self.release(node, waits=node.name not in alone, held=held)]
        first = s.stage(HOLD, "Keep the units that start etcd from starting", holding, sorted(held))
        last = s.stage(RELEASE, "Give the units back, one after another", [given], [step.node for step in given])
        return [first, *stopping, last if release else None]

    def hold(self, node: NodeFacts) -> list[s.HoldUnit]:
        """Hold what this run does not hold yet, and can."""
        paths, data = self.where(node)
        return [
            s.HoldUnit(node.name, paths, data, name)
            for name, (unit, _) in units_of(self.survey, node).items()
            if unit.held_by != self.run and not cannot_hold(node, unit)
        ]

    def release(self, node: NodeFacts, *, waits: bool, held: set[str] | frozenset[str] = frozenset()) -> list[s.Step]:
        """Give back what is held, or will be where `held` names the node."""
        paths, data = self.where(node)
        return [
            s.ReleaseUnit(node.name, paths, data, name, about, unit.to_run, remakes(unit, about), waits and unit.to_run)
            for name, (unit, about) in units_of(self.survey, node).items()
            if unit.held_by or (node.name in held and not cannot_hold(node, unit))
        ]

    def stop(self, node: NodeFacts, targets: Sequence[s.FenceTarget]) -> Iterator[s.StopUnit]:
        """Stop the units that run, each with those of the containers that it is about."""
        paths, data = self.where(node)
        names = {c.id: c.kept_name or c.name for c in node.containers}
        for name, (unit, about) in units_of(self.survey, node).items():
            if unit.active and (unit.held_by or not cannot_hold(node, unit)):
                own = tuple(target for target in targets if names.get(target.id) == about)
                yield s.StopUnit(node.name, paths, data, name, about, own)

    def _lanes(self, part: s.Stage) -> tuple[tuple[s.Step, ...], ...]:
        return tuple(tuple(self._lane(lane)) for lane in part.lanes)

    def _lane(self, lane: Sequence[s.Step]) -> Iterator[s.Step]:
        done: set[str] = set()
        for step in lane:
            if isinstance(step, TOUCHING) and step.node not in done:
                done.add(step.node)
                node = self.survey.node(step.node)
                yield from self.stop(node, step.targets if isinstance(step, s.Fence) else self.aside(node))
            yield step

    def aside(self, node: NodeFacts) -> tuple[s.FenceTarget, ...]:
        """All of the node's own containers, each with a name under which nothing finds it."""
        paths, _ = self.where(node)
        return aside_targets(paths, node, (c for c in node.containers if c.role is None))
