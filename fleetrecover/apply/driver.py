"""For each step: already done? → journal → act → check → journal.

A step's failure on one node is a value beside the others. What may have run without telling (a dropped connection, a
timeout) is looked at before anything else is done: every script in `commands/actions.py` looks before it acts, and one
that may still be running on the node is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Protocol, TypeVar

from fleetrecover import limits, seeding
from fleetrecover import steps as s
from fleetrecover.commands import actions, units
from fleetrecover.commands.base import LOST_HOLD, MAY_RUN_STILL, TIMED_OUT, Action, Probe, busy_with
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.decide.own import own_name
from fleetrecover.errors import (
    CommandFailed,
    FleetRecoverError,
    FormatError,
    Held,
    OutcomeUnknown,
    RemoteError,
    StoppedPartWay,
)
from fleetrecover.facts import Survey
from fleetrecover.journal import Journal
from fleetrecover.model import Command, Host, Result, Transport
from fleetrecover.outcome import Outcome
from fleetrecover.remote import (
    FENCE_POLICY,
    RECONNECT_POLICY,
    fan_out,
)
from fleetrecover.runtime import Runtime, runtime_of
from fleetrecover.survey import Reader

T = TypeVar("T")

_REFUSALS = {**actions.REFUSALS, **units.REFUSALS}


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
class Driver:
    """Does stages, and steps as `do` says. `survey` is what the plan was made from; it tells how to ask a node's etcd, never its
    state.
    """

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

    def do(self, step: s.Step) -> str | None:
        """Do one step; returns what is worth telling of it."""
        raise FleetRecoverError(f"{step.node}: no way is known to do this: {step.words}")

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

    def scrub(self, said: str) -> str:
        """What a container or an engine said, without the secrets of any container: etcd logs variables it does not know."""
        for node in self.survey.nodes:
            for container in node.containers:
                for secret in self.rt(node.name).secrets(container.spec) if container.spec is not None else ():
                    said = said.replace(secret, "***")
        return said
