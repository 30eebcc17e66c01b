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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fleetrecover.decide.basis import fingerprint
from fleetrecover.decide.dead import resolved
from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Wish, superseded
from fleetrecover.decide.method import Method, method_of
from fleetrecover.decide.policies import true_policy
from fleetrecover.decide.repairing import Repairing
from fleetrecover.decide.reseed import reseeding
from fleetrecover.decide.reseed_plan import ReseedStages, check_reseed
from fleetrecover.decide.resetting import Resetting
from fleetrecover.decide.untouchable import refusal
from fleetrecover.errors import FleetRecoverError, Refused, Unsupported
from fleetrecover.facts import (
    RESEED,
    Survey,
    WorkDir,
)
from fleetrecover.model import Fleet
from fleetrecover.runtime import runtime_of
from fleetrecover.steps import (
    AddMember,
    AwaitQuorum,
    CopyData,
    FinishRun,
    Join,
    KeepData,
    Quarantine,
    Stage,
    StartOriginal,
    StartRebuilt,
    Step,
    stage,
)


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


@dataclass(kw_only=True)
class Maker(Resetting, Repairing):
    """Makes one plan; `reseed_plan` uses it, too."""

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


__all__ = ["Plan", "check_plan", "fingerprint", "make_plan", "true_policy"]
