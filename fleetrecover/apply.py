"""For each step: already done? → journal → act → check → journal.

A step's failure on one node is a value beside the others. What may have run without telling (a dropped connection, a
timeout) is looked at before anything else is done: every script in `commands/actions.py` looks before it acts, and one
that may still be running on the node is waited for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import singledispatchmethod
from typing import IO, Any, Protocol, TypeVar

from fleetrecover import limits, seeding
from fleetrecover import steps as s
from fleetrecover.commands import actions, probes, snapshots, units
from fleetrecover.commands.base import LOST_HOLD, MAY_RUN_STILL, TIMED_OUT, Action, Probe, busy_with
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.membership import own_id
from fleetrecover.decide.own import own_name, own_of
from fleetrecover.errors import (
    CommandFailed,
    FleetRecoverError,
    FormatError,
    Held,
    OutcomeUnknown,
    RemoteError,
    StoppedPartWay,
    Unsupported,
)
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import Definition, Proof, Survey
from fleetrecover.journal import Journal
from fleetrecover.model import Command, Host, Result, Transport
from fleetrecover.outcome import Outcome
from fleetrecover.plain import counted
from fleetrecover.remote import (
    FENCE_POLICY,
    MEMBER_ADD_POLICY,
    PROMOTE_POLICY,
    RECONNECT_POLICY,
    Policy,
    WaitTimeout,
    fan_out,
    wait_until,
)
from fleetrecover.runtime import LOOPBACK, Runtime, State, runtime_of
from fleetrecover.survey import Reader, read_remote_log

T = TypeVar("T")

_REFUSALS = {**actions.REFUSALS, **units.REFUSALS}

SAID_LINES = 20
"""How many of a container's last lines are looked at for the reason."""


class Events(Protocol):
    """What an onlooker is told, as it happens."""

    def stage_begins(self, stage: s.Stage) -> None:
        """A stage begins."""

    def step_begins(self, step: s.Step) -> None:
        """A step begins; from any thread."""

    def step_ends(self, step: s.Step, outcome: Outcome) -> None:
        """A step has ended, well or not; from any thread."""

    def note(self, message: str) -> None:
        """Something that a person would want to know now."""

    def moved(self, what: str, done: int, *, ended: bool = False) -> None:
        """So many bytes of something long have been moved; from any thread."""


@dataclass
class Applier:
    """Does steps. `survey` is what the plan was made from; it tells how to ask a node's etcd, never its state."""

    survey: Survey
    transport: Transport
    token: str
    journal: Journal
    events: Events
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    outcomes: list[Outcome] = field(default_factory=list)
    moments: dict[str, float] = field(default_factory=dict)
    heritage: seeding.Heritage = field(default_factory=seeding.Heritage)
    _ctl: dict[str, Etcdctl] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # --- stages and steps ---

    def stage(self, stage: s.Stage) -> dict[str, FleetRecoverError]:
        """Do all lanes of a stage beside each other. Returns the failures by node.

        Raises StoppedPartWay if a node failed that the rest cannot do without; Held if another run has taken any over.
        """
        self.events.stage_begins(stage)
        self.journal.write("stage", name=stage.name, title=stage.title)
        lanes = {
            lane[0].node if len({step.node for step in lane}) == 1 else f"lane {n}": lane
            for n, lane in enumerate(stage.lanes)
        }
        failures: dict[str, FleetRecoverError] = {}

        def run(lane: Sequence[s.Step]) -> None:
            for step in lane:
                outcome = self.step(step)
                if outcome.error is not None:
                    failures[step.node] = outcome.error
                    return

        if len(lanes) == 1:
            run(next(iter(lanes.values())))
        else:
            hosts = [replace(self.host(lane[0].node), name=name) for name, lane in lanes.items()]
            fan_out(hosts, lambda host: run(lanes[host.name]))
        for name, error in failures.items():
            if isinstance(error, Held):
                raise error
            if name in stage.essential:
                raise self.stopped(stage, error)
        return failures

    def stopped(self, stage: s.Stage, error: FleetRecoverError) -> FleetRecoverError:
        """The error that ends the run after a failure on a node that it cannot do without."""
        return StoppedPartWay(
            f"{stage.title}: {error.message}",
            hint=(error.hint + "; " if error.hint else "")
            + "nothing was lost: what was there lies kept; run the same command again to go on, or `fleetrecover undo`",
        )

    def step(self, step: s.Step) -> Outcome:
        """Do one step; its failure is a value."""
        name = type(step).__name__
        self.events.step_begins(step)
        self.journal.write("intent", step=name, node=step.node)
        begun = self.clock()
        error: FleetRecoverError | None = None
        detail = ""
        try:
            detail = self.do(step) or ""
        except FleetRecoverError as problem:
            error = self.taken_over(step) or problem
        outcome = Outcome(name, step.node, round(self.clock() - begun, 3), detail, error)
        with self._lock:
            self.outcomes.append(outcome)
        self.journal.write(
            "result",
            step=name,
            node=step.node,
            seconds=outcome.seconds,
            detail=detail,
            error=None if error is None else error.message,
        )
        self.events.step_ends(step, outcome)
        return outcome

    def taken_over(self, step: s.Step) -> Held | None:
        """The reason behind any failure of a run that slept for long (a stopped process, a laptop's lid), if it is that."""
        command = actions.still_held().guarded(step.paths.hold, self.token)
        try:
            [result] = self.transport.batch(self.host(step.node), [command])
            self.judge(step, command, result)
        except Held as held:
            return held
        except RemoteError as error:
            self.journal.write("unknown", node=step.node, name=command.name, error=error.message)
        return None

    # --- the means ---

    def rt(self, node: str) -> Runtime:
        """What runs etcd on that node."""
        return runtime_of(self.survey.fleet, node)

    def container(self, node: str) -> str:
        """What the node's own container is called."""
        return own_name(self.survey, self.survey.node(node))

    def host(self, name: str) -> Host:
        """The host of that name."""
        return self.survey.fleet.host(name)

    def reader(self, name: str) -> Reader:
        """What reads that node."""
        return Reader(self.host(name), self.transport)

    def read(self, node: str, probe: Probe[T]) -> T:
        """Run one probe, repeated where the connection fails."""
        return self.reader(node).read(probe)

    def try_read(self, node: str, probe: Probe[T]) -> T | None:
        """Run one probe; None where it gives no value now."""
        try:
            return self.read(node, probe)
        except (FormatError, RemoteError):
            return None

    def act(self, step: s.Step, action: Action, *, look: Callable[[], bool] | None = None) -> Result:
        """Run one action under the run's hold. Raises CommandFailed, Held, OutcomeUnknown.

        Where the outcome is not known the node is waited for, and looked at: by `look` (True: it was done), else by the
        action's own script, which can be run again because it looks before it acts.
        """
        command = action.guarded(step.paths.hold, self.token)
        self.journal.write("command", node=step.node, name=command.name, shown=command.display)

        def attempt() -> Result:
            result = self.transport.batch(self.host(step.node), [command])[0]
            if result.exit_code == TIMED_OUT:
                raise OutcomeUnknown(
                    step.node, f"{command.name} has not ended on the node after {command.timeout:.0f} s"
                )
            return result

        try:
            result = self.unhindered(step, attempt(), attempt)
        except RemoteError as error:
            self.journal.write("unknown", node=step.node, name=command.name, error=error.message)
            self.events.note(
                f"{step.node}: {error.reason}; looking at what is there before going on, for which it is waited up to "
                f"{RECONNECT_POLICY.tries.total:.0f} s"
            )
            if look is not None and self.retry(look):
                return Result(command, 0, b"", b"")
            result = self.unhindered(step, self.retry(attempt), attempt)
        return self.judge(step, command, result)

    def unhindered(self, step: s.Step, result: Result, attempt: Callable[[], Result]) -> Result:
        """The result, once no earlier script of ours runs on the node: one that does is waited for as long as it may take.

        So a connection that was lost in a long copy does not end the run: when the node answers again the copy is waited
        for, and looked at. Raises OutcomeUnknown where it does not even end at its limit.
        """
        begun, told, busy = self.clock(), 0.0, busy_with(result)
        deadline = begun + busy.seconds if busy is not None else begun
        while busy is not None:
            now = self.clock()
            if now >= deadline:
                raise OutcomeUnknown(
                    step.node,
                    f"an earlier command of ours ({busy.name}) still runs there {now - begun:.0f} s later",
                    hint="wait until it has ended on the node, then run the same command again",
                )
            if not told or now - told >= limits.TELL_AGAIN:
                told = now
                self.events.note(
                    f"{step.node}: an earlier command of ours ({busy.name}) still runs there; waiting until it has ended "
                    f"({now - begun:.0f} s of at most {deadline - begun:.0f} s)"
                )
            self.sleep(limits.BUSY)
            result = self.retry(attempt)
            busy = busy_with(result)
        return result

    def retry(self, work: Callable[[], T]) -> T:
        """Repeat what can be repeated until the node answers again, for a bounded time."""
        return RECONNECT_POLICY.with_sleep(self.sleep, self.clock).run(work)

    def push(
        self, step: s.Step, action: Action, open_it: Callable[[], IO[bytes]], told: Callable[[int], None] | None = None
    ) -> None:
        """Run one action that takes a file on its standard input, whole or not at all; each try opens it anew."""
        command = action.guarded(step.paths.hold, self.token)
        self.journal.write("command", node=step.node, name=command.name, shown=command.display)

        def attempt() -> Result:
            with open_it() as content:
                result = self.transport.upload(self.host(step.node), command, content, told)
            if result.exit_code in MAY_RUN_STILL:
                raise OutcomeUnknown(step.node, f"{command.name} has not ended in time")
            return result

        self.judge(step, command, self.retry(attempt))

    def relay(self, step: s.Step, source: str, read: Command, action: Action, what: str, *, again: bool = False) -> int:
        """Give what a command prints on another node to an action of this one; how many bytes were moved.

        With `again` it is tried until the node answers again, for a bounded time: the action begins anew each time.
        """
        write = action.guarded(step.paths.hold, self.token)
        self.journal.write("command", node=step.node, name=write.name, shown=write.display)
        moved = 0

        def tell(count: int) -> None:
            nonlocal moved
            moved = count
            self.events.moved(what, count)

        def bring() -> None:
            self.transport.relay(self.host(source), read, self.host(step.node), write, tell)

        try:
            self.retry(bring) if again else bring()
        finally:
            self.events.moved(what, moved, ended=True)
        return moved

    def update(self, step: s.Step, action: Action) -> Result:
        """Run an action that changes a container's restart policy, again where the engine refuses it in passing."""
        return FENCE_POLICY.with_sleep(self.sleep, self.clock).run(lambda: self.act(step, action))

    def judge(self, step: s.Step, command: Command, result: Result) -> Result:
        """Return a good result; raise for the others."""
        if result.ok:
            return result
        if result.exit_code == LOST_HOLD:
            raise Held(
                f"{step.node}: this run no longer holds the node; another one has taken over",
                hint="see `fleetrecover survey`; nothing more is done here",
            )
        said = self.scrub(result.error_text or result.text.strip())
        full = "No space left on device" in said
        why = "no space is left there, so nothing can be written" if full else _REFUSALS.get(result.exit_code, "")
        message = f"{command.name}: " + "; ".join(part for part in (why, said[-400:]) if part)
        raise CommandFailed(step.node, message, exit_code=result.exit_code, stderr=said)

    def ctl(self, name: str) -> Etcdctl:
        """How to ask the etcd of a node, under its real name."""
        if name in self._ctl:
            return self._ctl[name]
        own = own_of(self.survey.fleet, self.survey.node(name))
        if own is None:
            raise FleetRecoverError(f"{name}: it is not known how its etcd is asked")
        return replace(self.rt(name).ctl(own), container=self.container(name))

    def healthy(self, node: str, *, timeout: int = limits.STATUS) -> bool:
        """Whether the node's etcd answers a linearizable read now. Without a leader it is not asked: that takes 8 s."""
        status = self.try_read(node, self.ctl(node).status(timeout))
        return status is not None and status.leader != 0 and bool(self.try_read(node, self.ctl(node).health()))

    def wait(self, probe: Callable[[], T | None], *, what: str, timeout: float, host: str, **how: Any) -> T:
        """Wait for something, for a bounded time; where it takes long, say now and then what is waited for."""
        begun, told = self.clock(), self.clock()

        def tell(seen: str) -> None:
            nonlocal told
            if self.clock() - told >= limits.TELL_AGAIN:
                told = self.clock()
                lost = f"; {seen}" if seen else ""
                self.events.note(f"waiting for {what} ({told - begun:.0f} s of at most {timeout:g} s){lost}")

        return wait_until(
            probe, what=what, timeout=timeout, host=host, on_poll=tell, sleep=self.sleep, clock=self.clock, **how
        )

    def coming(self, nodes: Sequence[str]) -> Callable[[], str | None]:
        """Which of these nodes, whose etcd was just started, answers a linearizable read now; asked again and again."""
        begun = self.clock()

        def first() -> str | None:
            timeout = limits.STATUS_SOON if self.clock() - begun < limits.SOON else limits.STATUS
            return next((node for node in nodes if self.healthy(node, timeout=timeout)), None)

        return first

    def wait_healthy(self, node: str, container: str) -> None:
        """Wait until the node's etcd has quorum behind it; says what it last saw."""
        self.wait(
            self.coming([node]),
            what=f"etcd on {node} to answer a linearizable read",
            timeout=limits.HEALTHY,
            host=node,
            interval=limits.POLL_HEALTH,
            longest=limits.POLL_HEALTH,
            describe=lambda: self.describe(node, container),
        )

    def state(self, node: str, name: str) -> State | None:
        """An instance as it is now; None where there is none of that name, or it cannot be told now."""
        return self.try_read(node, self.rt(node).state(name))

    def describe(self, node: str, container: str) -> str:
        """The state of a container and its last words, for an error."""
        state = self.state(node, container)
        logs = self.scrub(self.try_read(node, self.rt(node).logs(container, 5)) or "")
        return f"container {container} is {state.status if state else 'gone'}; it last said: {logs.strip()[-600:]}"

    def says(self, node: str) -> str:
        """What a started member says of itself: its state, the reason first, then its last words, each with the node's name."""
        container = self.container(node)
        state = self.state(node, container)
        lines = self.scrub(self.try_read(node, self.rt(node).logs(container, SAID_LINES)) or "").splitlines()
        status = state.status if state else "gone"
        reason, rest = reason_of(lines)
        told = [f"container {container} is {status}" + (f": {reason}" if reason else ""), *rest[-2:]]
        return "\n".join(f"  {node}: {line.strip()[:300]}" for line in told)

    def scrub(self, said: str) -> str:
        """What a container or an engine said, without the secrets of any container: etcd logs variables it does not know."""
        for node in self.survey.nodes:
            for container in node.containers:
                for secret in self.rt(node.name).secrets(container.spec) if container.spec is not None else ():
                    said = said.replace(secret, "***")
        return said

    def members(self, leader: str) -> tuple[Member, ...]:
        """The member list, as a node with quorum gives it now. Raises FormatError, RemoteError."""
        return self.read(leader, self.ctl(leader).members())

    def member_at(self, leader: str, peer_urls: Sequence[str]) -> Member | None:
        """The member that has one of these peer URLs; None if there is none, or the list cannot be had now."""
        found = self.try_read(leader, self.ctl(leader).members()) or ()
        return member_with(found, peer_urls)

    def launch(self, step: s.Step, name: str, definition: Definition) -> None:
        """Make and start an instance; its environment stays off the command line."""
        try:
            action = self.rt(step.node).launch(definition, name)
        except Unsupported as error:
            raise Unsupported(f"{step.node}: {error.message}", hint=error.hint) from error
        self.act(step, action, look=lambda: self.is_ours(step, name))

    def is_ours(self, step: s.Step, name: str) -> bool:
        """Whether an instance of that name stands and carries this run's mark."""
        state = self.read(step.node, self.rt(step.node).state(name))
        return state is not None and state.made_by == step.paths.run

    def remove_ours(self, step: s.Step, name: str) -> None:
        """Stop and remove an instance of this run, if it stands."""
        self.update(step, self.rt(step.node).remove(name, step.paths.run))

    # --- the steps ---

    @singledispatchmethod
    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        raise FleetRecoverError(f"{step.node}: no way is known to do this: {step.words}")

    @do.register
    def _(self, step: s.Deeds) -> str:
        send = self.update if step.passing else self.act
        for action in step.actions(self.rt(step.node)):
            send(step, action)
        return step.told()

    @do.register
    def _(self, step: s.ReleaseUnit) -> str:
        started = units.STARTED in self.act(step, step.release(self.rt(step.node))).text.split()
        if step.waits:
            self.wait_healthy(step.node, step.name)
        return f"{step.unit}, started" if started else step.unit

    @do.register
    def _(self, step: s.RaiseCommit) -> str:
        if step.append is not None:
            self.act(step, actions.append_to_wal(step.paths, step.append))
        listing = self.read(step.node, probes.member_files(step.paths.at("partial") + "/member"))
        log = read_remote_log(self.reader(step.node), listing)
        if (log.last.term, log.last.index, log.commit) != (step.term, step.last, step.last):
            raise CommandFailed(
                step.node,
                f"the copy's log ends at term {log.last.term}, index {log.last.index}, commit {log.commit}; "
                f"expected term {step.term}, index and commit {step.last}",
                exit_code=0,
            )
        self.act(step, actions.rename_part(step.paths, "partial", "work"))
        return f"commit {step.last}"

    @do.register
    def _(self, step: s.Quarantine) -> str:
        self.rt(step.node).check_quarantine(step.spec)
        self.remove_ours(step, step.container)
        self.act(step, actions.rename_part(step.paths, "work", "booted"))
        self.launch(step, step.container, step.spec)
        proof = self.interrogate(step)
        self.act(step, self.rt(step.node).stop(step.container))
        self.act(step, actions.write_proof(step.paths, asdict(proof)))
        self.act(step, actions.rename_part(step.paths, "booted", "reset"))
        self.remove_ours(step, step.container)
        return f"revision {proof.revision}, hash {proof.hash}, etcd {proof.version}"

    def interrogate(self, step: s.Quarantine) -> Proof:
        """Wait until the quarantined etcd answers, and check that it is what it must be."""
        ctl = Etcdctl(self.rt(step.node), step.container, LOOPBACK)

        def answers() -> bool | None:
            state = self.state(step.node, step.container)
            if state is not None and state.ended:
                raise CommandFailed(
                    step.node, f"the reset ended: {self.describe(step.node, step.container)}", exit_code=1
                )
            return bool(self.try_read(step.node, ctl.health())) or None

        self.wait(
            answers,
            what="the reset to answer in quarantine",
            timeout=limits.QUARANTINE,
            host=step.node,
            interval=limits.POLL_QUARANTINE,
            describe=lambda: self.describe(step.node, step.container),
        )
        status = self.read(step.node, ctl.status())
        members = self.read(step.node, ctl.members())
        if [member.id for member in members] != [step.member_id] or status.header.member_id != step.member_id:
            told = ", ".join(f"{member.id:x}" for member in members)
            raise CommandFailed(
                step.node, f"after the reset the members are {told}; expected {step.member_id:x} alone", exit_code=0
            )
        revision = status.header.revision
        if revision < step.min_revision:
            raise CommandFailed(
                step.node,
                f"after the reset the revision is {revision}; its database was at {step.min_revision} before",
                exit_code=0,
            )
        content = self.read(step.node, ctl.hashkv(revision))
        return Proof(
            revision=revision,
            hash=content.hash,
            compact_revision=content.compact_revision,
            member_id=status.header.member_id,
            cluster_id=status.header.cluster_id,
            version=status.version,
        )

    @do.register
    def _(self, step: s.SeedData) -> str:
        return seeding.make(self, step)

    @do.register
    def _(self, step: s.ProveSeed) -> str:
        return seeding.prove(self, step)

    @do.register
    def _(self, step: s.AdoptSeed) -> str:
        return seeding.adopt(self, step)

    @do.register
    def _(self, step: s.StartOriginal) -> str:
        if step.replaces is not None:
            state = self.read(step.node, self.rt(step.node).state(step.replaces))
            if state is not None and state.id != step.container_id:
                self.remove_ours(step, step.replaces)
        self.together(step)
        self.update(step, step.start(self.rt(step.node)))
        self._ctl.pop(step.node, None)
        if step.waits_for == "health":
            self.wait_healthy(step.node, step.name)
            self.moments.setdefault("writable", self.clock())
        return f"{step.name}, restart policy {step.restart_policy}"

    def together(self, step: s.Step) -> None:
        """Before an etcd is started, or a run is closed: see that a WAL directory of its own lies with its data."""
        for action in s.together(step, self.rt(step.node)):
            self.act(step, action)

    @do.register
    def _(self, step: s.StartRebuilt) -> str:
        self.rt(step.node).check_no_force(step.spec)
        self.together(step)
        if not self.is_ours(step, step.name):
            self.launch(step, step.name, self.rt(step.node).autostarting(step.spec, step.restart_policy))
        else:
            self.act(step, self.rt(step.node).start(step.name))
        self.wait_healthy(step.node, step.name)
        self.moments.setdefault("writable", self.clock())
        return f"{step.name}, rebuilt: {step.reason}"

    @do.register
    def _(self, step: s.Reopen) -> str:
        self._ctl[step.node] = self.rt(step.node).ctl_of(step.spec, step.name)
        if self.try_read(step.node, self.ctl(step.node).status()) is not None:
            return "it takes clients"
        self.act(step, step.restart(self.rt(step.node)))
        self.wait_healthy(step.node, step.name)
        return f"{step.name}, started again"

    @do.register
    def _(self, step: s.AwaitQuorum) -> str:
        try:
            self.wait(
                self.coming(step.nodes),
                what=f"a leader among {', '.join(step.nodes)}",
                timeout=limits.HEALTHY,
                host=step.node,
                interval=limits.POLL_HEALTH,
                longest=limits.POLL_HEALTH,
                describe=lambda: "what each member says:\n" + "\n".join(self.says(node) for node in step.nodes),
            )
        except WaitTimeout as error:
            other = "have one of them reset: --survivor NAME"
            if not step.else_reset:
                other = f"take it back: `fleetrecover undo {step.paths.run}`"
            hint = f"mend what they name, then run the same command again; or {other}"
            raise WaitTimeout(error.host, error.reason, hint=hint) from error
        self.moments.setdefault("writable", self.clock())
        return "quorum stands"

    @do.register
    def _(self, step: s.EnsureImage) -> str:
        here, other = self.rt(step.node), self.rt(step.source)
        if self.read(step.node, here.has_image(step.image)):
            return "already there"
        there = self.read(step.source, other.has_image(step.image))
        wanted = step.image if there and (not step.image_id or there == step.image_id) else step.image_id
        if not wanted or not self.read(step.source, other.has_image(wanted)):
            raise CommandFailed(
                step.node,
                f"it does not have the image {step.image}, nor has {step.source}",
                exit_code=1,
                hint=f"put it there (`{here.hand.get_image(step.image)}`), then run the same command again",
            )
        self.events.note(f"{step.node}: bringing the image {step.image} from {step.source}")
        what = f"{step.image} from {step.source} to {step.node}"
        load = here.load_image(step.image, step.image_id)
        moved = self.relay(step, step.source, other.save_image(wanted), load, what)
        return f"{step.image} from {step.source}, {moved / 1e6:,.0f} MB"

    @do.register
    def _(self, step: s.CheckFiles) -> str:
        missing = self.read(step.node, probes.missing_files(step.files))
        if missing:
            raise CommandFailed(
                step.node, f"files that its etcd needs are not there: {', '.join(missing)}", exit_code=1
            )
        return counted(len(step.files), "file")

    @do.register
    def _(self, step: s.RemoveMember) -> str:
        if not self.is_member(step.leader, step.member_id):
            return "already gone"
        ctl = self.ctl(step.leader)
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def gone() -> bool:
            return not self.is_member(step.leader, step.member_id)

        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, ctl.remove(step.member_id), look=gone), gone)
        return f"{step.member_name} ({step.member_id:x})"

    def is_member(self, leader: str, member_id: int) -> bool:
        """Whether the member list has that id. Raises FormatError, RemoteError."""
        return any(member.id == member_id for member in self.members(leader))

    def paths_on(self, step: s.Step, node: str) -> RunPaths:
        """The same run's paths on another node."""
        facts = self.survey.node(node)
        return RunPaths.of(facts.data, step.paths.run) if facts.data else step.paths

    def insist(self, policy: Policy, work: Callable[[], Any], done: Callable[[], bool]) -> None:
        """Repeat a change of membership while etcd refuses it for a reason that passes; `done` is asked before each new try.

        etcd's strict reconfiguration check wants all voters connected for 5 s; a fresh leader is not ready yet.
        """

        begun, told, tries = self.clock(), self.clock(), 0

        def attempt() -> None:
            nonlocal tries
            tries += 1
            if tries == 1 or not done():
                work()

        def tell(error: BaseException, _wait: float) -> None:
            nonlocal told
            if self.clock() - told >= limits.TELL_AGAIN:
                told = self.clock()
                self.events.note(f"trying again ({told - begun:.0f} s of at most {policy.tries.total:.0f} s): {error}")

        policy.with_sleep(self.sleep, self.clock).run(attempt, before_retry=tell)

    @do.register
    def _(self, step: s.UpdateMember) -> str:
        def so() -> bool:
            listed = self.try_read(step.leader, self.ctl(step.leader).members()) or ()
            return any(m.id == step.member_id and set(m.peer_urls) == set(step.peer_urls) for m in listed)

        said = f"{step.member_name} ({step.member_id:x}) at {', '.join(step.peer_urls)}"
        if so():
            return f"{said} already"
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))
        update = self.ctl(step.leader).update(step.member_id, step.peer_urls)
        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, update, look=so), so)
        return said

    @do.register
    def _(self, step: s.AddMember) -> str:
        there = self.member_at(step.leader, step.peer_urls)
        if there is not None:
            self.refuse_other(step, there)
            return f"already a member ({there.id:x})"
        ctl = self.ctl(step.leader)
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def there_now() -> bool:
            return self.member_at(step.leader, step.peer_urls) is not None

        add = ctl.add(step.member_name, step.peer_urls, learner=step.learner)
        self.insist(MEMBER_ADD_POLICY, lambda: self.act(asked, add, look=there_now), there_now)
        added = self.member_at(step.leader, step.peer_urls)
        return f"{'learner' if step.learner else 'voter'} {added.id:x}" if added else "added"

    def refuse_other(self, step: s.AddMember, there: Member) -> None:
        """Raise CommandFailed where the member that has the URL is another host's: it would never be this one's."""
        mine = self.survey.node(step.node)
        other = next((n.name for n in self.survey.nodes if n is not mine and own_id(n) == there.id), None)
        if other is not None:
            raise CommandFailed(
                step.node,
                f"its peer URL {', '.join(step.peer_urls)} is that of member {there.id:x}, which runs on {other}",
                exit_code=1,
                hint=f"give that member the URL of {other}: `etcdctl member update {there.id:x} --peer-urls=URL`",
            )

    @do.register
    def _(self, step: s.Join) -> str:
        listed = self.known_members(step.leader)
        me = member_with(listed, step.peer_urls)
        if me is None:
            raise CommandFailed(step.node, f"{step.member_name} is not in the member list", exit_code=0)
        self.together(step)
        made = actions.ensure_data_dir(step.data, step.owner or None, step.mode or None, step.label, step.paths)
        self.act(step, made)
        if not self.joining(step):
            cluster = {m.name: ",".join(m.peer_urls) for m in self.named(listed, me, step)}
            definition = self.rt(step.node).joiner(step.spec, name=step.name, initial_cluster=cluster)
            self.rt(step.node).check_no_force(definition)
            self.remove_ours(step, step.name)
            self.launch(step, step.name, definition)
        self._ctl[step.node] = self.rt(step.node).ctl_of(step.spec, step.name)
        self.await_joined(step)
        return f"started as {step.member_name}"

    def known_members(self, leader: str) -> tuple[Member, ...]:
        """The member list; where a voter that was just added took the quorum, and none is given, from the leader's log."""
        try:
            return self.members(leader)
        except (FormatError, RemoteError):
            facts = self.survey.node(leader)
            if facts.data is None:
                raise
            files = self.read(leader, probes.member_files(facts.data.real + "/member", facts.data.wal))
            return read_remote_log(self.reader(leader), files).configuration_at_end.members

    def named(self, listed: Sequence[Member], me: Member | None, step: s.Join) -> list[Member]:
        """The members for the initial cluster; one that has not started has no name yet, but we know ours."""
        return [replace(m, name=step.member_name) if me is not None and m.id == me.id else m for m in listed]

    def joining(self, step: s.Join) -> bool:
        """Whether the joining container of this run stands and runs."""
        state = self.read(step.node, self.rt(step.node).state(step.name))
        return state is not None and state.running and state.made_by == step.paths.run

    def await_joined(self, step: s.Join) -> None:
        """Wait until the joiner has really started: published by name, or its own log is there and names its id."""

        def started() -> bool | None:
            state = self.state(step.node, step.name)
            if state is not None and state.ended:
                raise CommandFailed(step.node, f"the joiner ended: {self.describe(step.node, step.name)}", exit_code=1)
            me = self.member_at(step.leader, step.peer_urls)
            if me is not None and me.name:
                return True
            return self.has_own_log(step, me) or None

        self.wait(
            started,
            what=f"{step.member_name} to start",
            timeout=limits.JOINED,
            host=step.node,
            interval=limits.POLL_JOIN,
            describe=lambda: self.describe(step.node, step.name),
        )

    def has_own_log(self, step: s.Join, me: Member | None) -> bool:
        """Whether the joiner's etcd answers for itself under its member id; it does so before it can publish its name."""
        status = self.try_read(step.node, self.ctl(step.node).status())
        return status is not None and me is not None and status.header.member_id == me.id

    @do.register
    def _(self, step: s.Promote) -> str:
        me = self.member_at(step.leader, step.peer_urls)
        if me is None:
            raise CommandFailed(step.node, "it is not in the member list any more", exit_code=0)
        if not me.learner:
            return f"already a voter ({me.id:x})"
        asked = replace(step, node=step.leader, paths=self.paths_on(step, step.leader))

        def voting() -> bool:
            current = self.member_at(step.leader, step.peer_urls)
            return current is not None and not current.learner

        promote = self.ctl(step.leader).promote(me.id)
        self.insist(PROMOTE_POLICY, lambda: self.act(asked, promote, look=voting), voting)
        return f"voter {me.id:x}"

    @do.register
    def _(self, step: s.StartNeighbours) -> str:
        stopped = self.read(step.node, snapshots.restore_state(step.paths)).stopped
        names = [name for name in step.names if name in stopped]
        if not names:
            return "none had run"
        # snapshots are taken again only when the rest stands
        names.sort(key=lambda name: name == s.ROLLING)
        self.act(step, self.rt(step.node).start_neighbours(names))
        probe = self.rt(step.node).neighbours(names)
        before = {each.name: each for each in self.read(step.node, probe)}
        self.sleep(limits.SETTLE)
        after = {each.name: each for each in self.read(step.node, probe)}
        ill = [n for n in names if n not in after or not after[n].stayed_since(before.get(n))]
        if ill:
            told = self.describe(step.node, ill[0])
            raise CommandFailed(step.node, f"{', '.join(ill)} did not stay up: {told}", exit_code=1)
        return f"{', '.join(names)} run"

    # --- cleaning up after a join that failed ---

    def take_back_join(self, stage: s.Stage) -> None:
        """After a failed join: a learner that stays behind would block the next one, so it is removed again."""
        join = next((step for step in stage.steps if isinstance(step, s.Join)), None)
        add = next((step for step in stage.steps if isinstance(step, s.AddMember)), None)
        if join is None or add is None or not add.learner:
            return
        me = self.member_at(join.leader, join.peer_urls)
        if me is None or not me.learner:
            return
        self.events.note(f"{join.node} did not come in; its learner is removed again, so that the others can")
        remove = s.RemoveMember(
            join.leader,
            self.paths_on(join, join.leader),
            join.data,
            join.leader,
            me.id,
            join.member_name,
            "did not join",
        )
        self.step(remove)


_GRAVE = re.compile(
    r'"level":"(?:fatal|panic|error)"|(?:^|\s)[CE] \||\bpanic:|no such file|permission denied|refused to start'
)
"""How etcd marks what it dies of: JSON logs (3.4 and later), capnslog before, and Go itself."""


def reason_of(lines: Sequence[str]) -> tuple[str, list[str]]:
    """The last line of a log that tells why etcd ended or cannot go on, the most fatal first; and the other lines.

    >>> reason_of(["I | starting", "C | etcdmain: open /ca.pem: no such file or directory", "I | bye"])
    ('C | etcdmain: open /ca.pem: no such file or directory', ['I | starting', 'I | bye'])
    """
    grave = [line for line in lines if _GRAVE.search(line)]
    fatal = [line for line in grave if '"level":"error"' not in line and " E | " not in line]
    reason = next(reversed(fatal or grave), "")
    return reason, [line for line in lines if line != reason]


def member_with(members: Sequence[Member], peer_urls: Sequence[str]) -> Member | None:
    """The member that has one of these peer URLs."""
    return next((member for member in members if set(member.peer_urls) & set(peer_urls)), None)


def let_go(applier: Applier, held: s.Stage) -> None:
    """Take the hold of units back, as far as it came, where nothing was stopped; what fails is told."""
    for step in held.steps:
        if isinstance(step, s.HoldUnit):
            where = (step.node, step.paths, step.data, step.unit)
            applier.step(s.ReleaseUnit(*where, "", starts=False, remakes=False, waits=False))
