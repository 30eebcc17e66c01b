"""The whole restore: survey → find and check the snapshot → plan → confirm → prove → restore beside → switch → start → verify.

The same command again resumes: the plan is made from what the nodes show. It shares with `recover` the steps, the hold, the
journal and the directory in which the old data is kept, so `undo` and `clean` work on it, too.
"""

from __future__ import annotations

import json
import posixpath
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fleetrecover import __version__, bounds, limits
from fleetrecover import steps as s
from fleetrecover.answers import load_json
from fleetrecover.apply import Applier, Events, let_go
from fleetrecover.commands import probes
from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.snapshots import RestoreState, Tool
from fleetrecover.decide import restore as r
from fleetrecover.decide.dead import refuse_living_dead, resolved
from fleetrecover.decide.diagnosis import Wish, diagnose, find_open_run
from fleetrecover.decide.own import own_of
from fleetrecover.decide.rights import refuse_without_rights
from fleetrecover.decide.units import HOLD, TOUCHING
from fleetrecover.decide.verdict import Expectation, Judgement
from fleetrecover.ending import scratch
from fleetrecover.errors import (
    CheckFailed,
    CommandFailed,
    FleetRecoverError,
    FormatError,
    InputError,
    Refused,
    RemoteError,
    StoppedPartWay,
    Undetermined,
    changing,
)
from fleetrecover.facts import Definition, NodeFacts, Proof, Survey
from fleetrecover.hold import NodeHold, make_holder
from fleetrecover.journal import Journal, now
from fleetrecover.model import Command, Fleet, Result, Transport
from fleetrecover.outcome import Outcome
from fleetrecover.plain import counted
from fleetrecover.recover import new_run, run_paths
from fleetrecover.remote import look_at, wait_until
from fleetrecover.runtime import LOOPBACK, Runtime, runtime_of
from fleetrecover.snapshots.catalogue import select
from fleetrecover.snapshots.listing import hosts_by_name, list_snapshots, local_file, named_by_path
from fleetrecover.snapshots.transfer import Obtained, Progress, obtain, obtain_local, silent
from fleetrecover.survey import Reader, take_survey
from fleetrecover.verify import expectation, verify


@dataclass(frozen=True)
class Means:
    """What a restore needs from outside. `confirm` raises if the operator does not say yes."""

    fleet: Fleet
    transport: Transport
    events: Events
    confirm: Callable[[Survey, r.RestorePlan], None]
    progress: Progress = silent
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Wanted:
    """What the operator asked for: a snapshot's name or file, who is dead, and the options of the command."""

    snapshot: str
    dead: frozenset[str] = frozenset()
    local: Path | None = None
    replace_living: bool = False
    like: Path | None = None
    other_cluster: bool = False


@dataclass(frozen=True)
class Report:
    """What a restore did. Seconds count from the confirmation; `trial` is what the trial boot answered."""

    run: str
    outcome: str
    plan: r.RestorePlan
    trial: Proof | None
    judgement: Judgement
    seconds_to_writable: float | None
    seconds_to_whole: float
    outcomes: tuple[Outcome, ...] = ()
    failures: Mapping[str, FleetRecoverError] = field(default_factory=dict)


def restore(means: Means, wanted: Wanted) -> Report:
    """Restore. Raises InputError, Refused, Undetermined before anything was changed; StoppedPartWay, CheckFailed after."""
    with scratch() as directory:
        looker = _Looker(means, wanted, directory)
        survey, plan = looker.look(new_run(), secrets.token_hex(8))
        means.confirm(survey, plan)
        paths = {node.name: run_paths(node, plan.run) for node in survey.nodes}
        hold = NodeHold(
            means.transport, survey.nodes, lambda n: paths[n.name], make_holder(plan.run), sleep=means.sleep
        )
        with hold as held:
            means.events.note("looking again, right before the first change")
            again, fresh = looker.look(plan.run, plan.token)
            if r.fingerprint(again, fresh) != r.fingerprint(survey, plan):
                raise Refused(
                    "the fleet changed while the plan was being read; nothing was changed",
                    hint="run the same command again",
                )
            journal = Journal.open(means.fleet.cluster, plan.run)
            try:
                with changing():
                    return _Run(means, looker, journal, held.token).go(again, fresh)
            finally:
                journal.close()


# --- looking ---


@dataclass
class _Looker:
    """Surveys and plans. The snapshot is fetched and checked once; `file` is where it lies.

    An image is asked once what it can do: `known` holds the answers by the image's id.
    """

    means: Means
    wanted: Wanted
    directory: Path
    file: Obtained | None = None
    chosen: r.Chosen | None = None
    known: dict[str, Tool] = field(default_factory=dict)
    recorded: _Like | None = None

    def look(self, run: str, token: str) -> tuple[Survey, r.RestorePlan]:
        fleet, transport = self.means.fleet, self.means.transport
        survey = take_survey(fleet, transport)
        refuse_without_rights(survey.nodes)
        under_way = find_open_run(survey)
        mine = under_way if under_way is not None and under_way.kind == r.KIND else None
        states = self.states(survey, mine.run) if mine else {}
        refuse_living_dead(survey, Wish(self.wanted.dead))
        told = self.wanted.dead | self.remembered(survey, states, mine.dead if mine else ())
        dead = resolved(survey, Wish(told)).dead
        note = next((state.note for state in states.values() if state.note), None)
        chosen = self.choose(survey, note)
        diagnosis = diagnose(survey, Wish(dead))
        situation = r.Situation(
            chosen=chosen,
            dead=dead,
            states=states,
            tools={},
            neighbours=self.neighbours(survey),
            seats=diagnosis.seats,
            open_run=under_way,
            replace_living=self.wanted.replace_living,
            other_cluster=self.wanted.other_cluster,
            **self.like(survey),
        )
        r.check_accounted(survey, situation)
        tools, givers = self.tools(survey, situation)
        situation = replace(situation, tools=tools, givers=givers)
        tool = f"fleetrecover {__version__}"
        return survey, r.make_restore_plan(survey, situation, run=run, token=token, started=now(), tool=tool)

    def states(self, survey: Survey, run: str) -> dict[str, RestoreState]:
        nodes = [node for node in survey.nodes if node.accessible]
        by_name = {node.name: node for node in nodes}

        def one(host: Any) -> RestoreState:
            node = by_name[host.name]
            return Reader(host, self.means.transport).read(commands.restore_state(run_paths(node, run)))

        return _good(look_at([node.host for node in nodes], one))

    def remembered(self, survey: Survey, states: Mapping[str, RestoreState], told: tuple[str, ...]) -> frozenset[str]:
        """Whoever was declared dead when data was first moved is not waited for now."""
        if not any("original" in state.parts or state.adopted for state in states.values()):
            return frozenset()
        return frozenset(told) & {node.name for node in survey.nodes if not node.reachable}

    def choose(self, survey: Survey, note: Mapping[str, Any] | None) -> r.Chosen:
        """Find the snapshot, fetch it, check it. A restore that is under way goes on with the snapshot that it noted."""
        if self.chosen is not None:
            return self.chosen
        path = local_file(self.wanted.snapshot)
        if path is not None:
            name = str(path)
            self.file = obtain_local(path, self.directory)
        else:
            found = list_snapshots(
                self.means.fleet, self.means.transport, self.wanted.local, progress=self.means.progress
            )
            name = named_by_path(found, self.wanted.snapshot, self.means.fleet.etcd.snapshots)
            noted = note is not None and note.get("snapshot") == name
            row = select(found, str(note["identity"]) if noted and note else name)
            hosts = hosts_by_name(self.means.fleet.hosts)
            self.file = obtain(row, hosts, self.means.transport, self.directory, self.means.progress)
        content = self.file.content
        self.chosen = r.Chosen(
            name,
            content.identity,
            self.file.sha256,
            self.file.size,
            content.revision,
            content.auth,
            self.file.source,
            content.members,
            content.cluster_version,
        )
        return self.chosen

    def neighbours(self, survey: Survey) -> dict[str, tuple[str, ...]]:
        names = (s.ROLLING, *self.means.fleet.kubernetes.restart)
        hosts = [node.host for node in survey.nodes if node.accessible]

        def look(host: Any) -> Any:
            return Reader(host, self.means.transport).read(runtime_of(survey.fleet, host).neighbours(names))

        found = _good(look_at(hosts, look))
        return {name: tuple(each.name for each in there) for name, there in found.items()}

    def tools(self, survey: Survey, situation: r.Situation) -> tuple[dict[str, Tool], dict[str, tuple[str, str]]]:
        """What every target's image restores with, and who gives the image to those that lack it: host and image id.

        Raises Refused where no node has the image, or it cannot restore.
        """
        targets = [n for n in survey.nodes if n.accessible and n.name not in situation.dead]
        wanted = {node.name: self.image(survey, situation, node) for node in targets}

        def look(host: Any) -> dict[str, str]:
            reader = Reader(host, self.means.transport)
            rt = runtime_of(survey.fleet, host)
            found = {image: reader.read(rt.has_image(image)) for image in sorted(set(wanted.values()))}
            return {image: identity for image, identity in found.items() if identity is not None}

        there = _good(look_at([node.host for node in survey.nodes if node.accessible], look))
        givers: dict[str, tuple[str, str]] = {}
        for name, image in wanted.items():
            if image in there[name]:
                continue
            giver = next((other for other, images in there.items() if image in images), None)
            if giver is None:
                typed = runtime_of(survey.fleet, name).hand.get_image(image)
                raise Refused(
                    f"the snapshot cannot be restored on {name}: no node has the image {image}; nothing was changed",
                    hint=f"put it there (`{typed}`), then give the same command again",
                )
            givers[name] = (giver, there[giver][image])

        asked = {name: (givers[name][0] if name in givers else name, image) for name, image in wanted.items()}

        def ask(host: Any) -> dict[str, Tool | str]:
            reader = Reader(host, self.means.transport)
            found: dict[str, Tool | str] = {}
            for image in sorted({image for giver, image in asked.values() if giver == host.name}):
                identity = there[host.name][image]
                try:
                    if identity not in self.known:
                        self.known[identity] = reader.read(runtime_of(survey.fleet, host).restore_tool(image))
                    found[image] = self.known[identity]
                except FormatError as error:
                    found[image] = error.message
            return found

        answers = _good(look_at([node.host for node in survey.nodes if node.accessible], ask))
        tools = {name: answers[giver][image] for name, (giver, image) in asked.items()}
        bad = {name: tool for name, tool in tools.items() if not isinstance(tool, Tool)}
        if bad:
            told = "; ".join(f"{name}: {why}" for name, why in bad.items())
            raise Refused(f"the snapshot cannot be restored there: {told}; nothing was changed")
        return {name: tool for name, tool in tools.items() if isinstance(tool, Tool)}, givers

    def image(self, survey: Survey, situation: r.Situation, node: NodeFacts) -> str:
        own = own_of(survey.fleet, node)
        if own is not None:
            return own.image
        for other in survey.nodes:
            model = own_of(survey.fleet, other)
            if model is not None:
                return model.image
        if situation.like is not None:
            return situation.like.image
        raise Refused(
            "no node has an etcd container, so its command is not known; nothing was changed",
            hint="give `docker inspect` of one from before as --like FILE: every run of fleetrecover keeps it on its nodes "
            "as DATA.fleetrecover/RUN/containers.json, and none was found there",
        )

    def like(self, survey: Survey) -> dict[str, Any]:
        """The container's inspect document that the operator gave, or that a run has left on a node, as a spec."""
        if self.wanted.like is not None:
            return _fields(self.given(self.wanted.like))
        if any(own_of(survey.fleet, node) is not None for node in survey.nodes):
            return {}
        if self.recorded is None:
            self.recorded = self.left_by_a_run(survey)
        return _fields(self.recorded) if self.recorded is not None else {}

    def given(self, path: Path) -> _Like:
        """What the operator gave."""
        try:
            found = _like(runtime_of(self.means.fleet), load_json(path.read_bytes(), str(path)), str(path))
        except OSError as error:
            raise InputError(f"--like {path}: {error.strerror or error}") from error
        if found is None:
            raise InputError(f"--like {path}: it lists no container")
        return found

    def left_by_a_run(self, survey: Survey) -> _Like | None:
        """What the youngest run that saw an etcd container has kept of it on its node; None where none has. Raises Refused."""
        kept = [(keep, node) for node in survey.nodes for keep in node.keeps if keep.containers]
        bad: list[str] = []
        for keep, node in sorted(kept, key=lambda pair: pair[0].run, reverse=True):
            path = posixpath.join(keep.path, "containers.json")
            probe = probes.file_bytes(path, bounds.JSON)
            try:
                value = load_json(Reader(node.host, self.means.transport).read(probe), path)
                found = _like(runtime_of(self.means.fleet, node.host), value, path)
            except (FormatError, Refused) as error:
                bad.append(f"{node.name}:{path}: {error.message}")
                continue
            if found is not None:
                self.means.events.note(
                    f"no node has an etcd container: its command is taken from {node.name}:{path}, as run {keep.run} found it"
                )
                return found
        if bad:
            raise Refused(
                f"no node has an etcd container, and what runs have kept of one will not do: {'; '.join(bad)}; "
                "nothing was changed",
                hint="copy one here, mend it, and give it as --like FILE",
            )
        return None


@dataclass(frozen=True)
class _Like:
    """A container after which others are made, and the host name that it had."""

    like: Definition
    like_hostname: str


def _fields(found: _Like | None) -> dict[str, Any]:
    """As the fields of a Situation."""
    return {} if found is None else {"like": found.like, "like_hostname": found.like_hostname}


def _like(rt: Runtime, value: Any, source: str) -> _Like | None:
    """The etcd's definition in what a run has recorded; None where it lists none. Raises FormatError, Refused."""
    found = rt.recorded(value, source)
    return None if found is None else _Like(*found)


def _good(found: Mapping[str, Any]) -> dict[str, Any]:
    """Every host's value. Raises Undetermined for a node that went away since it was surveyed: nothing is known of it then."""
    for value in found.values():
        if isinstance(value, RemoteError):
            raise Undetermined(f"{value.message}; nothing was changed", hint="run the same command again") from value
    return dict(found)


# --- doing ---


class RestoreApplier(Applier):
    """Does the steps of a restore, and those that it shares with `recover`."""

    looker: _Looker
    progress: Progress = staticmethod(silent)

    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        match step:
            case s.SendSnapshot():
                return self.send(step)
            case s.TrialBoot():
                return self.trial(step)
            case s.StartNew():
                return self.start_new(step)
            case _:
                done: str | None = super().do(step)
                return done

    def send(self, step: s.SendSnapshot) -> str:
        """Bring the snapshot there; one that stands there whole is left."""
        file = self.looker.file
        if file is None:
            raise FleetRecoverError("the snapshot to be sent is not at hand")
        there = self.try_read(step.node, commands.digest(step.paths.at("snapshot.db"), step.size, checksum=False))
        if there is not None and there.body == step.sha256:
            return "already there, SHA-256 checked"
        action = commands.receive(step.paths.at("snapshot.db"), step.size, step.sha256)
        self.push(step, action, lambda: file.path.open("rb"), self.told(step))
        return f"{step.size / 1e6:,.1f} MB, SHA-256 checked there"

    def told(self, step: s.SendSnapshot) -> Callable[[int], None]:
        """What an upload tells of its progress."""
        return lambda done: self.progress(f"to {step.node}", done, step.size)

    def judge(self, step: s.Step, command: Command, result: Result) -> Result:
        """As for every action, with the reasons of the snapshots' own exit codes."""
        if not result.ok and result.exit_code in commands.REFUSALS:
            said = result.error_text[-400:]
            why = commands.REFUSALS[result.exit_code]
            message = f"{command.name}: " + "; ".join(part for part in (why, said) if part)
            raise CommandFailed(step.node, message, exit_code=result.exit_code, stderr=said)
        return super().judge(step, command, result)

    def trial(self, step: s.TrialBoot) -> str:
        """Restore aside, boot without network, ask; what it answers is kept as trial.json."""
        self.remove_ours(step, step.container)
        self.act(step, commands.remove_part(step.paths, "trial", "trial.partial"))
        self.act(step, step.make(self.rt(step.node)))
        boot = step.boot(self.rt(step.node))
        self.act(step, boot, look=lambda: self.is_ours(step, step.container))
        proof = self.ask_trial(step)
        self.remove_ours(step, step.container)
        self.act(step, commands.remove_part(step.paths, "trial"))
        if proof.revision != step.revision:
            raise CommandFailed(
                step.node,
                f"booted, the snapshot is at revision {proof.revision}; its database says {step.revision}",
                exit_code=0,
            )
        self.act(step, commands.write_note(step.paths, "trial.json", asdict(proof)))
        return f"revision {proof.revision}, hash {proof.hash}, etcd {proof.version}"

    def ask_trial(self, step: s.TrialBoot) -> Proof:
        """Wait until the trial answers; its last words if it ends instead."""
        ctl = Etcdctl(self.rt(step.node), step.container, LOOPBACK)

        wait_until(
            self.answers_alone(step.node, step.container, ctl, "etcd does not run on this snapshot"),
            what="the snapshot to answer in its trial",
            timeout=limits.TRIAL,
            host=step.node,
            interval=limits.POLL_QUARANTINE,
            describe=lambda: self.describe(step.node, step.container),
            sleep=self.sleep,
        )
        return self.proof(step.node, ctl, self.read(step.node, ctl.status()))

    def start_new(self, step: s.StartNew) -> str:
        """Start a container that was made from another one; it is not waited for."""
        rt = self.rt(step.node)
        rt.check_no_force(step.spec)
        self.together(step)
        if not self.is_ours(step, step.name):
            self.launch(step, step.name, rt.autostarting(step.spec, step.restart_policy))
        else:
            self.act(step, rt.start(step.name))
        self._ctl[step.node] = rt.ctl_of(step.spec, step.name)
        return f"{step.name}: {step.reason}"


@dataclass
class _Run:
    means: Means
    looker: _Looker
    journal: Journal
    token: str
    outcomes: list[Outcome] = field(default_factory=list)
    failures: dict[str, FleetRecoverError] = field(default_factory=dict)

    def go(self, survey: Survey, plan: r.RestorePlan) -> Report:
        begun = self.means.clock()
        self.journal.write(
            "begin",
            command="snapshot restore",
            cluster=plan.cluster,
            survivor=plan.chosen.name,
            remedy=r.KIND,
            dead=sorted(plan.left_out),
            sha256=plan.chosen.sha256,
            revision=plan.chosen.revision,
            fingerprint=r.fingerprint(survey, plan),
            resumed=plan.resumed,
        )
        try:
            report = self.work(survey, plan, begun)
        except BaseException as error:
            self.journal.write("end", outcome="stopped", error=str(error), kind=type(error).__name__)
            raise
        self.journal.write(
            "end",
            outcome=report.outcome,
            seconds_to_writable=report.seconds_to_writable,
            seconds_to_whole=report.seconds_to_whole,
            revision_after=report.judgement.revision,
        )
        return self.judged(report)

    def applier(self, survey: Survey) -> RestoreApplier:
        applier = RestoreApplier(
            survey,
            self.means.transport,
            self.token,
            self.journal,
            self.means.events,
            self.means.sleep,
            self.means.clock,
            self.outcomes,
        )
        applier.looker, applier.progress = self.looker, self.means.progress
        return applier

    def work(self, survey: Survey, plan: r.RestorePlan, begun: float) -> Report:
        held = plan.stage(HOLD)
        if held is not None:
            survey, plan = self.after_hold(self.applier(survey), held, plan)
        applier = self.applier(survey)
        self.apply(applier, plan, held)
        self.means.events.note("checking the result with a fresh survey")
        trial = self.trial(survey, plan)
        judgement = self.verify(plan, trial)
        whole = self.means.clock()
        closed = judgement.ok and not self.failures
        if closed and plan.closing is not None:
            applier.stage(plan.closing)
        writable = applier.moments.get("writable")
        return Report(
            run=plan.run,
            outcome="restored" if closed else "partial" if judgement.ok else "check-failed",
            plan=plan,
            trial=trial,
            judgement=judgement,
            seconds_to_writable=None if writable is None else round(writable - begun, 1),
            seconds_to_whole=round(whole - begun, 1),
            outcomes=tuple(self.outcomes),
            failures=dict(self.failures),
        )

    def after_hold(self, applier: Applier, held: s.Stage, plan: r.RestorePlan) -> tuple[Survey, r.RestorePlan]:
        """Hold the units, and look again: from now on no container is made behind our back, so that ids stay what they are."""
        try:
            applier.stage(held)
            survey, fresh = self.looker.look(plan.run, plan.token)
            if fresh.targets != plan.targets or fresh.stage(HOLD) is not None:
                raise StoppedPartWay(
                    "with the units held, another plan is to be made; nothing was stopped or moved",
                    hint="run the same command again",
                )
        except Exception:
            let_go(applier, held)
            raise
        return survey, fresh

    def apply(self, applier: Applier, plan: r.RestorePlan, held: s.Stage | None) -> None:
        """Stage by stage. Where one fails before anything is stopped, the units that were `held` just now are let go."""
        try:
            for stage in plan.stages:
                if any(isinstance(step, (s.StopNeighbours, s.StopUnit, *TOUCHING)) for step in stage.steps):
                    held = None
                self.failures.update(applier.stage(stage))
        except Exception:
            if held is not None:
                let_go(applier, held)
            raise

    def trial(self, survey: Survey, plan: r.RestorePlan) -> Proof | None:
        """What the trial boot answered, as it was noted on whichever node it ran."""
        for node in survey.nodes:
            if not node.accessible:
                continue
            reader = Reader(node.host, self.means.transport)
            try:
                state = reader.read(commands.restore_state(run_paths(node, plan.run)))
            except (FormatError, RemoteError):
                continue  # it went away meanwhile: the final check tells of it
            if state.trial is not None:
                return probes.parse_proof(json.dumps(state.trial))
        return None

    def verify(self, plan: r.RestorePlan, trial: Proof | None) -> Judgement:
        """Verify; what is only not yet so is looked at again for a while."""

        def wanted(seen: Survey) -> Expectation:
            return expectation(seen, tuple(plan.targets), dict(plan.left_out), trial)

        for attempt in range(limits.VERIFY_LOOKS):
            _, judgement = verify(self.means.fleet, self.means.transport, wanted)
            if judgement.ok or attempt == limits.VERIFY_LOOKS - 1:
                return judgement
            self.means.sleep(limits.VERIFY_PAUSE)
        raise AssertionError("unreachable")

    def judged(self, report: Report) -> Report:
        """Return a good report; raise for one that is not, with what stands and what to do next."""
        if not report.judgement.ok:
            bad = "; ".join(f"{check.name}: {check.detail}" for check in report.judgement.checks if not check.ok)
            raise CheckFailed(
                f"the snapshot was restored, but the final check failed: {bad}",
                hint="`fleetrecover verify` looks again; the same command again goes on where something is missing",
            )
        if report.failures:
            rest = "; ".join(f"{name}: {error.message}" for name, error in report.failures.items())
            raise StoppedPartWay(
                f"the cluster serves again with {counted(len(report.judgement.members), 'member')}; what remains: {rest}",
                hint="when that is mended, run the same command again",
            )
        return report


__all__ = ["Means", "Report", "RestoreApplier", "Wanted", "restore"]
