"""How a node's etcd is asked and waited for, and what it says; instances that a run makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fleetrecover import limits
from fleetrecover import steps as s
from fleetrecover.apply.driver import Driver
from fleetrecover.commands import probes
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.own import own_of
from fleetrecover.errors import (
    CommandFailed,
    FleetRecoverError,
    FormatError,
    RemoteError,
    Unsupported,
)
from fleetrecover.etcd.etcdctl import EndpointStatus
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import Definition, Proof
from fleetrecover.remote import (
    Policy,
    wait_until,
)
from fleetrecover.runtime import State
from fleetrecover.survey import read_remote_log

T = TypeVar("T")
SAID_LINES = 20
"""How many of a container's last lines are looked at for the reason."""


class Asking(Driver):
    """A driver that knows how an etcd is asked."""

    def ctl(self, name: str) -> Etcdctl:
        """How to ask the etcd of a node, under its real name."""
        if name in self._ctl:
            return self._ctl[name]
        own = own_of(self.survey.fleet, self.survey.node(name))
        if own is None:
            raise FleetRecoverError(f"{name}: it is not known how its etcd is asked")
        return replace(self.rt(name).ctl(own), container=self.container(name))

    def answers_alone(self, node: str, name: str, ctl: Etcdctl, ended: str) -> Callable[[], bool | None]:
        """Whether a copy in quarantine answers now, to be asked again and again; CommandFailed with `ended` once it has ended."""

        def answers() -> bool | None:
            state = self.state(node, name)
            if state is not None and state.ended:
                raise CommandFailed(node, f"{ended}: {self.describe(node, name)}", exit_code=1)
            return bool(self.try_read(node, ctl.health())) or None

        return answers

    def proof(self, node: str, ctl: Etcdctl, status: EndpointStatus) -> Proof:
        """What a copy in quarantine answers, its content's hash too. Raises FormatError, RemoteError."""
        content = self.read(node, ctl.hashkv(status.header.revision))
        return Proof(
            revision=status.header.revision,
            hash=content.hash,
            compact_revision=content.compact_revision,
            member_id=status.header.member_id,
            cluster_id=status.header.cluster_id,
            version=status.version,
        )

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

    def members(self, leader: str) -> tuple[Member, ...]:
        """The member list, as a node with quorum gives it now. Raises FormatError, RemoteError."""
        return self.read(leader, self.ctl(leader).members())

    def member_at(self, leader: str, peer_urls: Sequence[str]) -> Member | None:
        """The member that has one of these peer URLs; None if there is none, or the list cannot be had now."""
        found = self.try_read(leader, self.ctl(leader).members()) or ()
        return member_with(found, peer_urls)

    def is_member(self, leader: str, member_id: int) -> bool:
        """Whether the member list has that id. Raises FormatError, RemoteError."""
        return any(member.id == member_id for member in self.members(leader))

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

    def together(self, step: s.Step) -> None:
        """Before an etcd is started, or a run is closed: see that a WAL directory of its own lies with its data."""
        for action in s.together(step, self.rt(step.node)):
            self.act(step, action)

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
