"""One run at a time: a run holds every node that it may touch, and shows that it lives.

The hold is a directory on the node (`mkdir` is the lock), so it works from any bastion. A holder writes a counter there
every few seconds. Whoever finds a node held watches that counter: if it moves on any node, the holder lives (exit 23);
if it stands still everywhere, or the holder was a process of this machine that is gone, the hold is broken and taken.
No clocks are compared. A holder that slept through this finds out at its next write: each one is guarded by the token.
"""

from __future__ import annotations

import getpass
import os
import posixpath
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from fleetrecover import limits
from fleetrecover.commands import actions, probes
from fleetrecover.commands.base import Action, busy_with
from fleetrecover.commands.paths import DEFAULT_DATA, RunPaths
from fleetrecover.errors import (
    FleetRecoverError,
    Held,
    OutcomeUnknown,
    Refused,
    RemoteError,
    StoppedPartWay,
    Undetermined,
)
from fleetrecover.facts import Hold as HoldFacts
from fleetrecover.facts import NodeFacts
from fleetrecover.journal import now
from fleetrecover.model import Command, Host, Result, Transport
from fleetrecover.remote import READ_POLICY, fan_out, look_at
from fleetrecover.survey import Reader


@dataclass(frozen=True)
class Holder:
    """Who we are, as the other one will read it."""

    token: str
    run: str
    who: str
    host: str
    pid: int
    born: str
    since: str


def born(pid: int) -> str:
    """The start time of a process (field 22 of /proc/PID/stat, clock ticks), or "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    except (OSError, IndexError):
        return ""


def make_holder(run: str) -> Holder:
    """This process as a holder."""
    pid = os.getpid()
    return Holder(secrets.token_hex(16), run, getpass.getuser(), this_machine(), pid, born(pid), now())


def this_machine() -> str:
    """This machine's name and boot id: what tells a dead local holder from one elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "?"
    return f"{socket.gethostname()} {boot}"


def surely_dead(hold: HoldFacts) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    return hold.host == this_machine() and bool(hold.born) and born(hold.pid) != hold.born


def not_taken(node: NodeFacts, keep_root: str, result: Result) -> FleetRecoverError:
    """Why a node's hold could not be taken: nothing was changed there, nor anywhere else that is not let go again."""
    said, where = result.error_text[-200:], posixpath.dirname(keep_root)
    full = "No space left on device" in said or "Disk quota exceeded" in said
    if full or (node.data is not None and node.data.free < 1 << 20):
        return Refused(
            f"{node.name}: no space is left on the filesystem of {keep_root}: neither etcd nor this command can write there; "
            "nothing was changed",
            hint=f"free some on {node.name} (`df -h {where}`), then run the same command again",
        )
    if result.exit_code in actions.REFUSALS:
        return Refused(
            f"{node.name}: {keep_root}: {actions.REFUSALS[result.exit_code]}; nothing was changed",
            hint=f"`ls -ld {keep_root}` on {node.name} shows whose it is",
        )
    return StoppedPartWay(
        f"{node.name}: its hold could not be taken: {said or f'exit code {result.exit_code}'}; nothing else was changed",
        hint=f"see whether {keep_root} can be written on {node.name}, then run the same command again",
    )


class NodeHold:
    """Hold the nodes for as long as the context lasts. Raises Held."""

    def __init__(
        self,
        transport: Transport,
        nodes: Sequence[NodeFacts],
        paths: Callable[[NodeFacts], RunPaths],
        holder: Holder,
        *,
        sleep: Callable[[float], None] = time.sleep,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.transport = transport
        self.nodes = [node for node in nodes if node.accessible]
        self.paths = {node.name: paths(node) for node in self.nodes}
        self.data = {node.name: node.data.path if node.data else DEFAULT_DATA for node in self.nodes}
        self.holder = holder
        self.token = holder.token
        self._sleep = sleep
        self._note = note
        self._taken: list[Host] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> NodeHold:
        try:
            for node in self.nodes:
                self._take(node)
            for host in self._taken:
                self._threads.append(
                    threading.Thread(target=self._beat, args=(host,), name=f"hold {host.name}", daemon=True)
                )
                self._threads[-1].start()
            for node in self.nodes:
                self._settle(node)
        except RemoteError as error:
            self._end()
            raise Undetermined(
                f"{error.message}; its hold could not be taken, so nothing was changed",
                hint="run the same command again",
            ) from error
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._stop.set()
        end = time.monotonic() + limits.HEARTBEAT + limits.LET_GO
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))
        self._release()

    def _take(self, node: NodeFacts) -> None:
        action = actions.take_hold(self.paths[node.name], asdict(self.holder), self.token)
        for _ in range(3):
            result = self._run(node.host, action.command)
            if result.exit_code == 0:
                self._taken.append(node.host)
                return
            if result.exit_code != actions.HELD:
                raise not_taken(node, self.paths[node.name].keep_root, result)
            self._break_if_dead(node)
        raise Held(f"{node.name} is held by another run, again and again")

    def _settle(self, node: NodeFacts) -> None:
        """Wait until nothing that an earlier run has begun on the node runs there any more, for as long as it may take.

        Only then is what a look shows what is. Raises Held where it does not end.
        """
        command = actions.still_held().guarded(self.paths[node.name].hold, self.token)
        waited, told = 0.0, -limits.TELL_HOLD
        limit: float | None = None
        while (busy := busy_with(self._run(node.host, command))) is not None:
            limit = busy.seconds if limit is None else limit
            if waited >= limit:
                raise Held(
                    f"{node.name}: a command of an earlier run ({busy.name}) still runs there after {waited:.0f} s; nothing "
                    "was changed",
                    hint="wait until it has ended on the node, then run the same command again",
                )
            if waited - told >= limits.TELL_HOLD:
                told = waited
                self._note(
                    f"{node.name}: a command of an earlier run ({busy.name}) still runs there; waiting until it has ended "
                    f"({waited:.0f} s of at most {limit:.0f} s)"
                )
            self._sleep(limits.HEARTBEAT)
            waited += limits.HEARTBEAT

    def _run(self, host: Host, command: Command) -> Result:
        # taking or breaking the same hold twice is harmless, so an unknown outcome may be repeated
        [result] = READ_POLICY.run(lambda: self.transport.batch(host, [command]))
        return result

    def _break_if_dead(self, node: NodeFacts) -> None:
        hold = self._look(node)
        if hold is None:
            return
        if not surely_dead(hold):
            self._watch(node, hold)
        self._run(node.host, actions.break_hold(self.paths[node.name], hold.token).command)

    def _look(self, node: NodeFacts) -> HoldFacts | None:
        probe = probes.data_listing(self.data[node.name])
        return READ_POLICY.run(lambda: Reader(node.host, self.transport).read(probe)).hold

    def _beats(self, token: str) -> Mapping[str, str]:
        by_name = {node.name: node for node in self.nodes}
        found = look_at([node.host for node in self.nodes], lambda host: self._look(by_name[host.name]))
        return {name: hold.beat for name, hold in found.items() if isinstance(hold, HoldFacts) and hold.token == token}

    def _watch(self, node: NodeFacts, hold: HoldFacts) -> None:
        """Raise Held if the holder shows any life while it is watched."""
        self._note(
            f"{node.name} is held by run {hold.run} of {hold.who} since {hold.since}; watching for up to "
            f"{limits.WATCH:.0f} s whether it lives"
        )
        before = self._beats(hold.token)
        waited = 0.0
        while waited < limits.WATCH:
            self._sleep(limits.HEARTBEAT)
            waited += limits.HEARTBEAT
            after = self._beats(hold.token)
            if any(after.get(name) != beat for name, beat in before.items() if name in after):
                machine = hold.host.split(" ")[0]
                raise Held(
                    f"{node.name} is held by run {hold.run}: {hold.who} on {machine}, process {hold.pid}, since {hold.since}",
                    hint="wait until it has ended, or end it there; a dead holder does not block",
                )

    def _beat(self, host: Host) -> None:
        """Move one node's counter. Each node has its own thread: one that is silent must not make the others look dead."""
        count = 0
        while not self._stop.wait(limits.HEARTBEAT):
            count += 1
            self._quietly(host, actions.beat(self.paths[host.name], self.token, count))

    def _quietly(self, host: Host, action: Action) -> bool:
        """Run it; a node that does not answer keeps its hold until the next run finds it dead."""
        try:
            [result] = self.transport.batch(host, [action.command])
        except (RemoteError, OutcomeUnknown):
            return False
        return result.ok

    def _release(self) -> None:
        taken, self._taken = self._taken, []
        fan_out(taken, lambda host: self._quietly(host, actions.release_hold(self.paths[host.name], self.token)))
