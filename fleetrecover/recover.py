"""The whole flow: survey → diagnose → choose → plan → confirm → apply → verify → report.

The same command again resumes: the plan is made from what the nodes show, so a rerun finds less to do.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fleetrecover import __version__, limits
from fleetrecover.apply import Applier, Events, let_go
from fleetrecover.commands import probes
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.agreement import check_agreement
from fleetrecover.decide.basis import basis, differences
from fleetrecover.decide.conclusion import Conclusion, by_hand, combine, conclude, fewer
from fleetrecover.decide.dead import answers, refuse_living_dead, resolved
from fleetrecover.decide.diagnosis import (
    Diagnosis,
    Remedy,
    Verdict,
    Wish,
    close_stale,
    diagnose,
    find_open_run,
)
from fleetrecover.decide.excluded import Excluded, excluded
from fleetrecover.decide.feasible import LEFT_OUT, left_out
from fleetrecover.decide.leaders import election_timeout, followers
from fleetrecover.decide.plan import Plan, fingerprint, make_plan
from fleetrecover.decide.seen import Seen, best_seen
from fleetrecover.decide.sides import ahead
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.decide.units import HOLD
from fleetrecover.decide.upgrade import FIRST, running_version
from fleetrecover.decide.verdict import Expectation, Judgement
from fleetrecover.errors import (
    CheckFailed,
    Degraded,
    FleetRecoverError,
    Held,
    Refused,
    StoppedPartWay,
    Undetermined,
    changing,
)
from fleetrecover.facts import RESEED, NodeFacts, Proof, Survey, WorkDir
from fleetrecover.hold import NodeHold, make_holder
from fleetrecover.journal import Journal, now
from fleetrecover.model import Fleet, Transport
from fleetrecover.outcome import Outcome, Report
from fleetrecover.plain import counted
from fleetrecover.report.document import diagnosis_document, plan_document, report_document
from fleetrecover.report.files import Saved
from fleetrecover.survey import Reader, take_survey
from fleetrecover.verify import expectation, take_hashes, verify

Confirm = Callable[[Survey, Diagnosis, Plan], None]


@dataclass(frozen=True)
class Recovery:
    """What a recovery needs from outside. `confirm` raises if the operator does not say yes."""

    fleet: Fleet
    transport: Transport
    events: Events
    confirm: Confirm
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    command: str = "recover"


def recover(means: Recovery, wish: Wish, *, agreed: Saved | None = None) -> Report:
    """Bring the cluster back. `agreed` is a saved plan: if what would be done is not that, nothing is done.

    Raises Undetermined or Refused before anything was changed; StoppedPartWay, Held, CheckFailed after. Degraded where
    nothing was to be done, but the cluster is not whole.
    """
    survey, diagnosis, plan = look(means, wish, run=agreed.run if agreed else None)
    if plan is None:
        drop_dead_holds(means, survey)
        return nothing_to_do(means, survey, diagnosis)
    if agreed is not None:
        refuse_other(survey, plan, agreed)
    means.confirm(survey, diagnosis, plan)
    with hold(means, survey, plan) as held:
        means.events.note("looking again, right before the first change")
        again, judged, fresh = look(means, wish, run=plan.run)
        if fresh is None:
            # whoever was away for a moment is there again
            refuse_behind(survey, again)
            return nothing_to_do(means, again, judged)
        refuse_changed(survey, plan, again, fresh)
        journal = Journal.open(means.fleet.cluster, plan.run)
        try:
            with changing():
                return _Run(means, wish, journal, held.token).go(again, judged, fresh)
        finally:
            journal.close()


def refuse_other(survey: Survey, plan: Plan, agreed: Saved) -> None:
    """Raise Refused unless what would be done is what the saved plan says."""
    done = [node.name for node in survey.nodes for keep in node.keeps if keep.run == agreed.run and not keep.stale]
    if plan.run != agreed.run or (done and not plan.resumed):
        why = f"run {agreed.run} of that plan has been closed on {', '.join(done)}"
        if not done:
            why = f"that plan is one of run {agreed.run}, and run {plan.run} is under way"
        raise Refused(f"{why}; nothing was changed", hint="make a new one: fleetrecover plan")
    if agreed.fingerprint != fingerprint(survey, plan):
        raise Refused(
            "the fleet, or what was asked for, is not as it was when that plan was made; nothing was changed",
            hint="make a new one: fleetrecover plan",
        )


def refuse_behind(survey: Survey, again: Survey) -> None:
    """Raise Undetermined where what serves now knows less than what a look before has seen: emptied members begun anew."""
    best = max(
        (node for node in survey.nodes if node.log), key=lambda node: node.log.commit if node.log else 0, default=None
    )
    before = (best.log.commit if best and best.log else 0, _revision(survey) or 0)
    live = [node.status for node in again.nodes if node.healthy and node.status]
    now = (max((s.commit for s in live), default=0), max((s.revision for s in live), default=0))
    if now[0] < before[0] or now[1] < before[1]:
        whose = f" by {best.name}'s log" if best else ""
        raise Undetermined(
            f"what serves now is at index {now[0]}, revision {now[1]}; a moment ago index {before[0]}, revision {before[1]} was "
            f"known{whose}: members whose disks were emptied may have begun anew; nothing was changed",
            hint="stop etcd on those members before more is written there; `fleetrecover diagnose` shows both sides",
        )


def refuse_changed(survey: Survey, plan: Plan, again: Survey, fresh: Plan) -> None:
    """Raise Refused where the second look gives another plan than the one that was confirmed, and say in what they differ."""
    changed = differences(basis(survey, plan), basis(again, fresh))
    if changed:
        raise Refused(
            f"the fleet changed while the plan was being read: {'; '.join(changed)}; nothing was changed",
            hint="run the same command again",
        )


def look(means: Recovery, wish: Wish, run: str | None = None) -> tuple[Survey, Diagnosis, Plan | None]:
    """Survey, judge, and plan; the plan is None where there is nothing to do. Raises Undetermined, Refused."""
    survey, wish = survey_for(means.fleet, means.transport, wish, means.sleep)
    diagnosis = diagnose(survey, wish)
    if run is None:
        diagnosis = with_snapshots(means, survey, diagnosis)
    refuse(diagnosis)
    work = look_at_work_dir(means, wish, survey, diagnosis)
    return planned(survey, diagnosis, wish, run or new_run(), work=work)


def planned(
    survey: Survey, diagnosis: Diagnosis, wish: Wish, run: str, *, started: str = "", work: WorkDir | None = None
) -> tuple[Survey, Diagnosis, Plan | None]:
    """The plan of a judgement, None where there is nothing to do; asks no node. Raises Undetermined, Refused."""
    refuse(diagnosis)
    if diagnosis.remedy is Remedy.NONE:
        return survey, diagnosis, None
    tool = f"fleetrecover {__version__}"
    plan = make_plan(survey, diagnosis, wish, run=run, started=started or now(), tool=tool, work=work)
    return survey, left_out(diagnosis, plan), None if plan.empty else plan


def survey_for(
    fleet: Fleet, transport: Transport, wish: Wish, sleep: Callable[[float], None] = time.sleep
) -> tuple[Survey, Wish]:
    """A fresh survey, in which no run is open that nothing is to be done for, and the wish with what the open one was told.

    Of the wish, the dead are hosts and ids from here on. Raises Refused where a host that was declared dead answers.
    """
    return with_runs(settled_survey(fleet, transport, sleep), wish)


def with_runs(survey: Survey, wish: Wish) -> tuple[Survey, Wish]:
    """The same of a survey that was taken: as it is judged, and the wish with what an open run was told. Raises Refused."""
    refuse_living_dead(survey, wish)
    survey = close_stale(survey, effective(wish, survey))
    return survey, effective(wish, survey)


def settled_survey(fleet: Fleet, transport: Transport, sleep: Callable[[float], None] = time.sleep) -> Survey:
    """A survey; where a leader is named though nothing is decided, one from after the time in which a dead one is dropped.

    A follower drops its leader after one to two election timeouts without a word from it, a leader its own place after one.
    So, too, where a member that does not answer well knows more than what serves: it may have moved on while we looked.
    """
    survey = take_survey(fleet, transport)
    timeout = election_timeout(survey)
    for pause in (timeout, timeout + 1.0):
        before = ahead(survey)
        if not followers(survey) and not before:
            break
        sleep(pause)
        survey = replace(take_survey(fleet, transport), decided=before)
    return survey


def look_at_work_dir(means: Recovery, wish: Wish, survey: Survey, diagnosis: Diagnosis) -> WorkDir | None:
    """The directory of `--work-dir` as it is on the survivor's node; None where none was named or nothing is reset."""
    if wish.work_dir is None or diagnosis.remedy is not Remedy.RESET or diagnosis.choice is None:
        return None
    run = diagnosis.open_run
    chosen = run is not None and run.pinned and run.kind == Remedy.RESET
    survivor = run.survivor if run is not None and chosen else diagnosis.choice.survivor
    reader = Reader(survey.node(survivor).host, means.transport)
    return reader.read(probes.work_dir(wish.work_dir))


def with_snapshots(means: Recovery, survey: Survey, diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis, and what it should say of snapshots; nothing is ever restored by itself."""
    from fleetrecover.snapshots.advice import advised

    return advised(means.fleet, means.transport, survey, diagnosis)


def effective(wish: Wish, survey: Survey) -> Wish:
    """The wish, and what the run that is under way was told: whoever was dead then is not waited for now."""
    wish, run = resolved(survey, wish), find_open_run(survey)
    if run is None or not run.pinned:
        return wish
    told = resolved(survey, Wish(frozenset(run.dead))).dead
    remembered = told & {node.name for node in survey.nodes if not answers(node)}
    return replace(wish, dead=wish.dead | remembered)


def refuse(diagnosis: Diagnosis) -> None:
    """Raise what the verdict calls for, where nothing safe can be done."""
    forbids = diagnosis.refusal
    if forbids is not None:
        raise Refused(f"{forbids.message}; nothing was changed", hint=forbids.advice or None)
    if diagnosis.remedy is not Remedy.BLOCKED:
        return
    hint = diagnosis.cause.advice if diagnosis.cause else None
    if diagnosis.verdict is Verdict.UNDETERMINED:
        raise Undetermined(f"{diagnosis.why}; nothing was changed", hint=hint)
    raise Refused(f"{diagnosis.why}; nothing was changed", hint=hint)


def nothing_to_do(means: Recovery, survey: Survey, diagnosis: Diagnosis) -> Report:
    """The report of a cluster that needs nothing. Raises Degraded where it is not whole, and nothing is ours to do."""
    found = concluded(survey, diagnosis, means.transport)
    if found.verdict is not Verdict.HEALTHY:
        away = [finding.message for finding in found.diagnosis.findings if finding.code == LEFT_OUT]
        raise Degraded("; ".join([found.diagnosis.why, *away, "nothing was done"]), hint=by_hand(found))
    revision = max((node.status.revision for node in survey.nodes if node.status), default=0)
    return Report("", "healthy", diagnosis.remedy, None, revision, revision, None, None, None)


def concluded(survey: Survey, diagnosis: Diagnosis, transport: Transport, wish: Wish | None = None) -> Conclusion:
    """What is to be said of a diagnosis: only a cluster that seems healthy is asked for its members' content hashes, too.

    With the wish it is seen whether `recover` would do what the diagnosis promises.
    """
    hashes = take_hashes(survey, transport) if diagnosis.verdict is Verdict.HEALTHY else None
    return combine(survey, diagnosis, hashes, wish)


def new_run() -> str:
    """An id for a new run: sortable by its beginning, and unlike any other."""
    return f"r{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def hold(means: Recovery, survey: Survey, plan: Plan) -> NodeHold:
    """What holds every node that the plan may touch."""
    return node_hold(means, survey.nodes, plan.run)


def node_hold(means: Recovery, nodes: Sequence[NodeFacts], run: str) -> NodeHold:
    """What holds these nodes for a run."""
    return NodeHold(
        means.transport,
        nodes,
        lambda node: run_paths(node, run),
        make_holder(run),
        sleep=means.sleep,
        note=means.events.note,
    )


def drop_dead_holds(means: Recovery, survey: Survey) -> None:
    """A run that was killed in its very last moment leaves its hold and nothing to do: take it away, if it is dead."""
    left = [node for node in survey.nodes if node.hold is not None]
    if not left:
        return
    try:
        with node_hold(means, left, left[0].hold.run if left[0].hold else ""):
            means.events.note(
                f"the hold of a run that is dead is taken away on {', '.join(node.name for node in left)}"
            )
    except Held as error:
        means.events.note(error.message)


def run_paths(node: NodeFacts, run: str) -> RunPaths:
    """Where a run keeps its things on that node."""
    return RunPaths.of(node.data, run)


@dataclass
class _Run:
    """One run under way: applies plans until the cluster is whole or nothing more can be done."""

    means: Recovery
    wish: Wish
    journal: Journal
    token: str
    outcomes: list[Outcome] = field(default_factory=list)
    failures: dict[str, FleetRecoverError] = field(default_factory=dict)
    writable: float | None = None
    seen: Seen | None = None  # the best revision that was there before anything was changed
    method: str | None = None
    excluded: tuple[Excluded, ...] = ()

    def go(self, survey: Survey, diagnosis: Diagnosis, plan: Plan) -> Report:
        begun = self.means.clock()
        self.seen = best_seen(survey, diagnosis, self.wish)
        self.journal.write(
            "begin",
            command=self.means.command,
            cluster=plan.cluster,
            remedy=plan.remedy.value,
            survivor=plan.survivor,
            dead=sorted(self.wish.dead),
            fingerprint=fingerprint(survey, plan),
            resumed=plan.resumed,
            diagnosis=diagnosis_document(survey, diagnosis),
            plan=plan_document(survey, diagnosis, plan),
        )
        try:
            report = self.work(survey, diagnosis, plan, begun)
        except BaseException as error:
            self.journal.write("end", outcome="stopped", error=str(error), kind=type(error).__name__)
            raise
        self.journal.write("end", outcome=report.outcome, report=report_document(report))
        return self.judged(report)

    def work(self, survey: Survey, diagnosis: Diagnosis, plan: Plan, begun: float) -> Report:
        choice = diagnosis.choice
        applier = self.applier(survey)
        if plan.stage(HOLD) is not None:
            survey, diagnosis, plan = self.after_hold(applier, plan)
            choice = diagnosis.choice or choice
            applier = self.applier(survey)
        fence = plan.stage("fence")
        if fence is not None:
            applier.stage(fence)
            survey, diagnosis, plan = self.after_fence(plan, choice)
            choice = diagnosis.choice or choice
            applier = self.applier(survey)
        self.method = plan.method.name if plan.method else None
        self.excluded = excluded(survey, diagnosis, plan)
        self.apply(applier, plan)
        if plan.remedy is Remedy.START or (self.method == RESEED and plan.joins):
            # who was no member comes in when quorum stands, one at a time
            survey, diagnosis, rest = self.look_on(plan)
            if rest is not None and rest.remedy in (Remedy.REPAIR, Remedy.FINISH):
                plan = rest
                applier = self.applier(survey)
                self.apply(applier, plan)
        return self.finish(survey, plan, choice, applier, begun)

    def applier(self, survey: Survey) -> Applier:
        return Applier(
            survey,
            self.means.transport,
            self.token,
            self.journal,
            self.means.events,
            self.means.sleep,
            self.means.clock,
            self.outcomes,
        )

    def after_hold(self, applier: Applier, plan: Plan) -> tuple[Survey, Diagnosis, Plan]:
        """Hold the units, and look again: from now on no container is made behind our back. What is found must be what was.

        Where it is not, or anything fails, the units are let go: until then nothing was stopped.
        """
        held = plan.stage(HOLD)
        assert held is not None
        try:
            applier.stage(held)
            survey, diagnosis, fresh = self.look_on(plan)
            if fresh is None or (fresh.remedy, fresh.survivor) != (plan.remedy, plan.survivor) or fresh.stage(HOLD):
                raise StoppedPartWay(
                    f"with the units held, another plan is to be made ({diagnosis.why}); nothing was stopped or moved",
                    hint="run the same command again",
                )
        except Exception:
            let_go(applier, held)
            raise
        return survey, diagnosis, fresh

    def after_fence(self, plan: Plan, agreed: Choice | None) -> tuple[Survey, Diagnosis, Plan]:
        """Every etcd is stopped now and its log is final: choose once more, from that. `agreed` is what was confirmed."""
        survey, diagnosis, fresh = self.look_on(plan)
        return survey, diagnosis, check_agreement(plan, agreed, fresh, diagnosis.choice)

    def look_on(self, plan: Plan) -> tuple[Survey, Diagnosis, Plan | None]:
        """Look once more, in the middle of the run. What would be refused at its beginning stops it part-way here."""
        try:
            return look(self.means, self.wish, run=plan.run)
        except (Undetermined, Refused) as error:
            said = error.message.removesuffix("; nothing was changed")
            raise StoppedPartWay(
                f"run {plan.run} has begun, and cannot go on: {said}; nothing was lost",
                hint=go_on_or_back(error.hint, plan.run),
            ) from error

    def apply(self, applier: Applier, plan: Plan) -> None:
        for planned in plan.stages:
            stage = planned.without(self.failures) if planned.name in ("settle", "reset") else planned
            if stage is None or {step.node for step in stage.steps} & set(self.failures):
                continue
            failed = applier.stage(stage)
            self.failures.update(failed)
            if failed:
                applier.take_back_join(stage)
            self.writable = self.writable or applier.moments.get("writable")

    def finish(self, survey: Survey, plan: Plan, choice: Choice | None, applier: Applier, begun: float) -> Report:
        hosts = tuple(
            host.name
            for host in self.means.fleet.hosts
            if host.name not in plan.left_out and host.name not in self.failures
        )
        away = dict(plan.left_out) | {name: error.message for name, error in self.failures.items()}
        self.means.events.note("checking the result with a fresh survey")

        def wanted(seen: Survey) -> Expectation:
            return replace(expectation(survey, hosts, away, proof_of(seen, plan)), before=self.seen)

        seen, judgement = self.verify(wanted)
        if not judgement.ok:
            gone = [seen.node(name) for name in hosts if not seen.node(name).accessible]
            away |= {node.name: trouble.message for node in gone if (trouble := node.problem or node.cli_problem)}
        # what differs between members is never put down to a node that failed
        behind = self.seen is not None and 0 < judgement.revision < self.seen.revision
        open_ends = bool(self.failures) or bool(set(away) & set(hosts)) or bool(self.still_missing(plan))
        unfinished = open_ends and judgement.hash_equal is not False
        unfinished = unfinished and not behind
        whole = self.means.clock()
        closed = judgement.ok and not self.failures and not self.still_missing(plan)
        if closed and plan.closing is not None:
            applier.stage(plan.closing)
        # a member that was removed by its name or id is nobody's name any more
        judged = self.with_databases(seen) if closed else seen
        told = conclude(judged, Wish(self.wish.dead & {node.name for node in seen.nodes}))
        proof = proof_of(seen, plan)
        revisions = [*([proof.revision] if proof else []), *([self.seen.revision] if self.seen else [])]
        return Report(
            run=plan.run,
            outcome="recovered" if closed else "partial" if judgement.ok or unfinished else "check-failed",
            remedy=plan.remedy,
            survivor=choice,
            revision_before=max(revisions, default=None),
            revision_after=judgement.revision,
            judgement=judgement,
            seconds_to_writable=None if self.writable is None else round(self.writable - begun, 1),
            seconds_to_whole=round(whole - begun, 1),
            outcomes=tuple(self.outcomes),
            left_out=away,
            failures=dict(self.failures),
            missing=told.missing,
            hosts=len(seen.nodes),
            exit_code=since(told) if closed else 0,
            next="" if told.verdict is Verdict.HEALTHY else rest_to_do(told),
            method=self.method,
            excluded=self.excluded,
        )

    def verify(self, wanted: Callable[[Survey], Expectation]) -> tuple[Survey, Judgement]:
        """Verify; what is only not yet so (a member still publishing itself) is looked at again for a while."""
        for attempt in range(limits.VERIFY_LOOKS):
            seen, judgement = verify(self.means.fleet, self.means.transport, wanted)
            if judgement.ok or attempt == limits.VERIFY_LOOKS - 1:
                break
            self.means.sleep(limits.VERIFY_PAUSE)
        return seen, judgement

    def with_databases(self, seen: Survey) -> Survey:
        """The same with logs and databases, where these tell what `verify` would find: what our joins left in them."""
        if running_version(seen) < FIRST:
            return seen
        return take_survey(self.means.fleet, self.means.transport)

    def still_missing(self, plan: Plan) -> dict[str, str]:
        return {name: why for name, why in plan.left_out.items() if why != "declared dead"}

    def judged(self, report: Report) -> Report:
        """Return a good report; raise for one that is not, with what stands and what to do next."""
        judgement = report.judgement
        bad = "; ".join(f"{c.name}: {c.detail}" for c in (judgement.checks if judgement else ()) if not c.ok)
        if report.outcome == "partial":
            rest = "; ".join(f"{name}: {why}" for name, why in report.left_out.items())
            count = len(judgement.members) if judgement else 0
            stands = (
                f"the cluster serves again with {counted(count, 'member')}"
                if count
                else "the cluster does not serve yet"
            )
            error: FleetRecoverError = StoppedPartWay(
                f"{stands}, {worth(report.survivor)}; what remains: {rest}"
                + (f" (the check says: {bad})" if bad else ""),
                hint="when that is mended, run the same command again; a host that is switched off for good: with --dead",
            )
        elif judgement is not None and not judgement.ok:
            again = "`fleetrecover verify` looks again; the same command again goes on where something is missing"
            cure = next((check.cure for check in judgement.checks if not check.ok and check.cure), again)
            error = CheckFailed(f"everything was done, but the final check failed: {bad}", hint=cure)
        else:
            return report
        error.report = report  # type: ignore[attr-defined]
        raise error


def go_on_or_back(hint: str | None, run: str) -> str:
    """How a run that was stopped in its middle goes on, and how it is taken back.

    A hint that names a command of its own is that way on: the same command again would be refused once more.
    """
    back = f"`fleetrecover undo {run}` takes the run back"
    if hint and ("fleetrecover " in hint or "same command" in hint):
        return f"{hint}; {back}"
    return f"{hint + '; ' if hint else ''}when that is mended, the same command goes on with the run; {back}"


def worth(choice: Choice | None) -> str:
    """What may be said of the data that serves again: more only where it is proven, or where nobody had to be chosen."""
    if choice is None or choice.proof is ProofKind.COMPLETE:
        return "and nothing was lost"
    return f"with {choice.survivor}'s data, the best that was at hand; what was there lies kept"


def since(told: Conclusion) -> int:
    """The exit code of a recovery that was whole when it was checked, by a look at what has become of it since."""
    serves = told.verdict in (Verdict.HEALTHY, Verdict.DEGRADED)
    return told.exit_code if serves else StoppedPartWay.code


def rest_to_do(told: Conclusion) -> str:
    """What a recovery that ended well leaves to be done, and what to type."""
    if told.missing:
        return fewer(told.missing, len(told.judgement.members) + len(told.missing))
    return f"{told.diagnosis.why}. {told.next}"


def proof_of(seen: Survey, plan: Plan) -> Proof | None:
    """What the reset's quarantine answered, as the survivor has it on disk."""
    keep = seen.node(plan.survivor).keep(plan.run) if plan.survivor is not None else None
    return keep.proof if keep else None


def _revision(survey: Survey) -> int | None:
    """The greatest revision that any disk or any running etcd has."""
    found = [node.db.revision for node in survey.nodes if node.db]
    return max([*found, *(node.status.revision for node in survey.nodes if node.status)], default=None)
