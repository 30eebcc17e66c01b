"""The program with one fault in it: the real command line, in a process of its own, over a transport that breaks things.

`python -m benchmarks.faulty SPEC WORD…` runs `fleetrecover WORD…`. SPEC is a JSON file (see `Fault`): at one command of one
step it kills this process with SIGKILL, or cuts a host's power or network, or restarts its dockerd: before the command,
during it, or after it. Nothing of this is in the product: the transport is wrapped here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from fleetrecover import apply, cli, hold, limits, remote
from fleetrecover.apply import driver, membership
from fleetrecover.commands.base import LOST_HOLD
from fleetrecover.errors import RemoteError
from fleetrecover.lab import Lab
from fleetrecover.model import Command, Host, Result
from fleetrecover.outcome import Outcome
from fleetrecover.remote.connection import SshTransport

SURVIVOR = "etcd1"


T = TypeVar("T")


@dataclass(frozen=True)
class Point:
    """A command of a step: the `nth` command of that name which the step on `node` sends."""

    step: str
    node: str
    command: str
    nth: int = 0


@dataclass(frozen=True)
class Fault:
    """What is to happen, and when.

    `kind`: kill, power, cut, dockerd (stopped gently and started), dockerd-crash, or none. `target` is the host it happens
    to. `delay`: seconds into the command for the moment "during". `mend_after`: seconds until the host is mended while the
    run goes on; None leaves it broken, and the waits are cut short so that the run ends soon.
    """

    lab: str
    point: Point | None = None
    kind: str = "none"
    target: str = ""
    moment: str = "before"
    delay: float = 0.1
    mend_after: float | None = None
    elsewhere: bool = False
    trace: str = ""
    hash_file: str = ""

    @classmethod
    def load(cls, path: Path) -> Fault:
        """Read it from a file."""
        value = json.loads(path.read_text())
        point = value.pop("point")
        return cls(point=Point(**point) if point else None, **value)

    def dumps(self) -> str:
        """As a file's text."""
        return json.dumps(asdict(self))


_here = threading.local()


_fired = threading.Event()
_counts: dict[Point, int] = {}
_guard = threading.Lock()


class FaultyTransport(SshTransport):
    """The real transport, and one fault."""

    fault: Fault

    def batch(self, host: Host, commands: Sequence[Command]) -> list[Result]:
        """Run the commands; at the fault's point, break what it says."""
        return self._at(commands[0] if commands else None, lambda: super(FaultyTransport, self).batch(host, commands))

    def upload(
        self, host: Host, command: Command, source: IO[bytes], progress: Callable[[int], None] | None = None
    ) -> Result:
        """Send what is in `source`; at the fault's point, break what it says."""
        return self._at(command, lambda: super(FaultyTransport, self).upload(host, command, source, progress))

    def relay(
        self,
        source: Host,
        read: Command,
        destination: Host,
        write: Command,
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Result, Result]:
        """Bring what one host reads to another; at the fault's point, break what it says."""
        relay = super().relay
        return self._at(write, lambda: relay(source, read, destination, write, progress))

    def _at(self, command: Command | None, work: Callable[[], T]) -> T:
        """Do what a step sends; if it is the fault's point, with the fault."""
        step = getattr(_here, "step", None)
        point = self._point(step, command) if step is not None and command is not None else None
        if point is None:
            return work()
        if (point.step, point.node, point.command) == ("KeepData", SURVIVOR, "keep-data"):
            note_survivor(self.fault)
        begun = time.monotonic()
        due = point == self.fault.point and not _fired.is_set()
        if due:
            _fired.set()
        done = self._break(work) if due else work()
        self._trace(point, time.monotonic() - begun)
        return done

    def _point(self, step: Any, command: Command) -> Point | None:
        writes = f"exit {LOST_HOLD}\n" in command.script
        if not writes and _here.seen:
            return None
        _here.seen = True
        name = command.name if writes else f"read {command.name}"
        key = Point(type(step).__name__, step.node, name)
        with _guard:
            nth = _counts.get(key, 0)
            _counts[key] = nth + 1
        return replace(key, nth=nth)

    def _break(self, work: Callable[[], T]) -> T:
        moment = self.fault.moment
        if moment == "before":
            strike(self.fault)
        elif moment == "during":
            threading.Timer(self.fault.delay, strike, [self.fault]).start()
        try:
            return work()
        finally:
            if moment == "after":
                strike(self.fault)

    def _trace(self, point: Point, seconds: float) -> None:
        if self.fault.trace:
            with _guard, Path(self.fault.trace).open("a") as sink:
                sink.write(json.dumps(asdict(point) | {"seconds": round(seconds, 3)}) + "\n")


def strike(fault: Fault) -> None:
    """Let it happen."""
    if fault.kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    lab = Lab.load(fault.lab)
    if fault.kind == "power":
        lab.power_off(fault.target)
    elif fault.kind == "cut":
        lab.cut(fault.target)
    elif fault.kind in ("dockerd", "dockerd-crash"):
        lab.stop_dockerd(fault.target, crash=fault.kind == "dockerd-crash")
    if fault.mend_after is not None:
        threading.Timer(fault.mend_after, mend, [lab, fault.target]).start()


def mend(lab: Lab, name: str) -> None:
    """Make one host whole again."""
    lab.mend(name)
    if lab.host(name).pid is None:
        lab.power_on(name)
    lab.start_dockerd(name)


def note_survivor(fault: Fault) -> None:
    """Write down the hash of the survivor's data right before it is first moved."""
    lab = Lab.load(fault.lab)
    target = Path(fault.hash_file) if fault.hash_file else None
    member = lab.host(SURVIVOR).path("/var/lib/etcd/member")
    if target is None or target.exists() or not member.is_dir():
        return
    target.write_text(hash_tree(member))


def hash_tree(directory: Path) -> str:
    """One hash over all files below a directory: names, sizes and content."""
    import hashlib

    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(directory)} {path.stat().st_size}\n".encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def wrap(fault: Fault) -> None:
    """Put the faulty transport in the real one's place, and tell it which step is being done."""
    FaultyTransport.fault = fault
    _put(remote, "open_transport", FaultyTransport)
    do_step = apply.Applier.step

    def step(self: apply.Applier, one: Any) -> Outcome:
        _here.step, _here.seen = one, False
        try:
            return do_step(self, one)
        finally:
            _here.step = None

    _put(apply.Applier, "step", step)
    if fault.elsewhere:
        _put(hold, "this_machine", lambda: "another-bastion 0")
    if fault.kind not in ("kill", "none") and fault.mend_after is None:
        for where, name, total in ((driver, "RECONNECT", 6.0), (membership, "PROMOTE", 15.0)):
            quick = replace(getattr(limits, name), total=total)
            _put(where, f"{name}_POLICY", replace(getattr(where, f"{name}_POLICY"), tries=quick))
        for name in ("HEALTHY", "QUARANTINE", "JOINED"):
            _put(limits, name, 15.0)


def _put(owner: Any, name: str, value: object) -> None:
    """Put another in the place of what is there: a name that is gone must fail, or a fault would quietly be none."""
    getattr(owner, name)
    setattr(owner, name, value)


def main(argv: Sequence[str]) -> int:
    """Run the command line in `argv[1:]` with the fault in the file `argv[0]`."""
    wrap(Fault.load(Path(argv[0])))
    try:
        return cli.run(argv[1:])
    except RemoteError as error:
        print(f"fault of the program: {error!r}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
