"""Random histories on real etcd: is every acknowledged write in the chosen log, wherever the choice says so?

    python -m benchmarks.histories [--histories 120] [--seed 1] [--write docs/evidence.md]

One history: a cluster of 3 or 5 members of one etcd version on loopback, with concurrent writers; members are killed
with SIGKILL, stopped (SIGSTOP: a stale leader) and started again at random moments; in the end all are killed. Then,
for every subset of the data directories: choose; and boot every directory, its commit raised as `recover` raises it,
with --force-new-cluster, and ask for each acknowledged key. Nothing is simulated but the disk: a killed process loses
nothing that it had written, so honesty of fsync is not what is tested here.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleetrecover.decide.survivor import Candidate, Choice, NoChoice, ProofKind, choose_survivor
from fleetrecover.etcd.entries import parse_entry
from fleetrecover.etcd.frames import ENTRY, FRAME, parse_record, span_of
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.wal import raise_commit
from tests.etcd import binaries

BEGIN, END = "<!-- histories: begin -->", "<!-- histories: end -->"
MEMORY = Path("/dev/shm")
PREFIX = "w/"


# --- one cluster on loopback ----------------------------------------------------------------------


@dataclass
class Member:
    name: str
    data: Path
    client: int
    peer: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


def ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


def start(version: str, member: Member, *flags: str) -> None:
    client, peer = f"http://127.0.0.1:{member.client}", f"http://127.0.0.1:{member.peer}"
    command = [
        str(binaries.find(version, "etcd")),
        f"--name={member.name}",
        f"--data-dir={member.data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        *flags,
    ]
    log = (member.data.parent / f"{member.name}.log").open("ab")
    with log:
        member.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def ask(port: int, path: str, body: Mapping[str, Any], timeout: float = 3.0) -> dict[str, Any] | None:
    """One request of its own; None where it fails."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, body=json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        return None
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def api(version: str) -> str:
    return "/v3beta" if version.startswith("3.3.") else "/v3"


def wait_serving(version: str, member: Member, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while ask(member.client, f"{api(version)}/kv/range", {"key": encoded("x")}, 1.0) is None:
        if not member.running or time.monotonic() > deadline:
            said = (member.data.parent / f"{member.name}.log").read_text("utf-8", "replace")[-1500:]
            raise RuntimeError(f"etcd {version} {member.name} does not serve: {said}")
        time.sleep(0.03)


# --- writers --------------------------------------------------------------------------------------


@dataclass
class Writers:
    """Threads that put keys, each key once; `acknowledged` are those that etcd answered with 200."""

    version: str
    members: Sequence[Member]
    threads: int
    acknowledged: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number in range(self.threads):
            thread = threading.Thread(target=self._work, args=(number,), daemon=True)
            thread.start()
            self._running.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(10)

    def _work(self, number: int) -> None:
        turn, count = number, 0
        path = f"{api(self.version)}/kv/put"
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set():
            key = f"{PREFIX}{number}/{count}"
            count += 1
            if connection is None:
                port = self.members[turn % len(self.members)].client
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.7)
            try:
                connection.request("POST", path, body=json.dumps({"key": encoded(key), "value": encoded(key)}))
                answer = connection.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                good = False
            if good:
                self.acknowledged.add(key)
            else:
                connection.close()
                connection = None
                turn += 1
                time.sleep(0.005)


# --- one history ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """One member's directory after the end. `keys` is what a boot of it, commit raised, gave."""

    name: str
    log: Log
    revision: int
    applied: int
    mtime: float
    db_size: int
    keys: frozenset[str]
    index_of: Mapping[str, int]


Rule = Callable[[Evidence], Any]
WORSE: Mapping[str, Rule] = {
    "the first in the list": lambda e: 0,
    "hard state's term": lambda e: e.log.hard_state.term,
    "newest modification time": lambda e: e.mtime,
    "largest database": lambda e: e.db_size,
    "last index without term": lambda e: e.log.last.index,
    "commit index": lambda e: e.log.commit,
    "consistent index, then revision": lambda e: (e.applied, e.revision),
}


@dataclass
class Tally:
    """What was counted; sums up over histories."""

    histories: int = 0
    acknowledged: int = 0
    kills: int = 0
    complete: int = 0
    complete_lost: int = 0
    best: int = 0
    best_lost: int = 0
    most_lost: int = 0
    contradictions: int = 0
    nobody: int = 0
    accused: int = 0
    sure: int = 0
    sure_wrong: int = 0
    boots: int = 0
    worse: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.most_lost = max(self.most_lost, other.most_lost)
        self.worse.update(other.worse)
        for name in asdict(self):
            if name not in ("worse", "most_lost"):
                setattr(self, name, getattr(self, name) + getattr(other, name))


@contextmanager
def workspace() -> Iterator[Path]:
    base = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    path = Path(tempfile.mkdtemp(prefix="histories-", dir=base))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def run_history(version: str, size: int, dice: random.Random) -> Tally:
    """Let one cluster live and die, and judge every subset of what it left."""
    with workspace() as directory:
        numbers = ports(2 * size)
        members = [Member(f"m{i}", directory / f"m{i}", numbers[2 * i], numbers[2 * i + 1]) for i in range(size)]
        tally = Tally(histories=1)
        writers = Writers(version, members, threads=dice.choice((2, 4, 8)))
        try:
            live_and_die(version, members, writers, dice, tally)
        finally:
            for member in members:
                kill(member)
            writers.stop()
        tally.acknowledged = len(writers.acknowledged)
        found = [examine(version, member, directory, tally) for member in members]
        judge(found, writers.acknowledged, tally)
        return tally


def live_and_die(version: str, members: list[Member], writers: Writers, dice: random.Random, tally: Tally) -> None:
    flags = flags_of(members, f"--snapshot-count={dice.choice((50, 500, 100000))}")
    for member in members:
        start(version, member, *flags)
    for member in members:
        wait_serving(version, member)  # on a busy machine one may not have made its log yet when the others serve
    writers.start()
    shake(version, members, flags, dice, tally)
    end(members, dice, tally)


def flags_of(members: Sequence[Member], *more: str) -> tuple[str, ...]:
    """Those of a new cluster whose members elect fast."""
    cluster = ",".join(f"{m.name}=http://127.0.0.1:{m.peer}" for m in members)
    fast = ("--heartbeat-interval=20", "--election-timeout=200")
    return (f"--initial-cluster={cluster}", "--initial-cluster-state=new", *fast, *more)


def shake(version: str, members: Sequence[Member], flags: Sequence[str], dice: random.Random, tally: Tally) -> None:
    """Kill, stop and start members at random."""
    time.sleep(dice.uniform(0.1, 0.5))
    stopped: set[str] = set()
    for _ in range(dice.randint(3, 10)):
        member = dice.choice(members)
        match dice.choice(("kill", "kill", "start", "start", "stop", "continue")):
            case "kill" if member.running:
                kill(member)
                stopped.discard(member.name)
                tally.kills += 1
            case "start" if not member.running:
                start(version, member, *flags)
            case "stop" if member.running and not stopped:
                os.kill(pid(member), signal.SIGSTOP)
                stopped.add(member.name)
            case "continue" if stopped:
                for each in members:
                    if each.name in stopped and each.running:
                        os.kill(pid(each), signal.SIGCONT)
                stopped.clear()
        time.sleep(dice.choice((0.0, 0.02, 0.1, 0.3, 0.8)))


def end(members: Sequence[Member], dice: random.Random, tally: Tally) -> None:
    """Kill all who run, at once or one after another."""
    rest = [member for member in members if member.running]
    dice.shuffle(rest)
    apart = dice.choice((0.0, 0.0, 0.05, 0.3))
    for member in rest:
        kill(member)
        tally.kills += 1
        time.sleep(apart * dice.random())


def pid(member: Member) -> int:
    assert member.process is not None
    return member.process.pid


def kill(member: Member) -> None:
    if member.process is not None:
        member.process.kill()
        member.process.wait(20)


def examine(version: str, member: Member, directory: Path, tally: Tally) -> Evidence:
    """Read the directory as `inspect` does; then boot a copy of it, its commit raised, and ask for its keys."""
    seen = inspect(member.data)
    if not isinstance(seen.log, Log):
        raise RuntimeError(f"{member.name} of etcd {version}: the log cannot be read: {seen.log}")
    revision = getattr(seen.db, "revision", 0)
    applied = getattr(seen.db, "consistent_index", 0)
    database = member.data / "member/snap/db"
    segments = sorted((member.data / "member/wal").glob("*.wal"))
    client, peer = ports(2)
    copy = Member(member.name, directory / "copy" / member.name, client, peer)
    copy.data.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(member.data), str(copy.data)], check=True)
    append = raise_commit(seen.log)
    if append is not None:
        with (copy.data / "member/wal" / append.segment).open("r+b") as file:
            if append.cut:
                file.truncate(append.offset)
            file.seek(append.offset)
            file.write(append.data)
    flags = ("--force-new-cluster", "--heartbeat-interval=10", "--election-timeout=100")
    start(version, copy, *flags)
    try:
        wait_serving(version, copy)
        keys = frozenset(all_keys(version, copy))
    finally:
        kill(copy)
        shutil.rmtree(copy.data)
    tally.boots += 1
    return Evidence(
        name=member.name,
        log=seen.log,
        revision=revision,
        applied=applied,
        mtime=max(each.stat().st_mtime for each in [database, *segments]),
        db_size=database.stat().st_size,
        keys=keys,
        index_of=indexes(segments),
    )


def all_keys(version: str, member: Member) -> Iterator[str]:
    start_key, end = encoded(PREFIX), encoded(PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1))
    while True:
        body = {"key": start_key, "range_end": end, "limit": 2000, "keys_only": True}
        answer = ask(member.client, f"{api(version)}/kv/range", body, 10.0)
        if answer is None:
            raise RuntimeError(f"{member.name} does not list its keys")
        page = [base64.b64decode(entry["key"]) for entry in answer.get("kvs") or []]
        yield from (key.decode() for key in page)
        if not answer.get("more"):
            return
        start_key = base64.b64encode(page[-1] + b"\0").decode()


def indexes(segments: Sequence[Path]) -> dict[str, int]:
    """The index of each key's put, as the log has it in the end."""
    by_index: dict[int, bytes] = {}
    last = 0
    for segment in segments:
        data = segment.read_bytes()
        offset = 0
        while offset + 8 <= len(data):
            (frame,) = FRAME.unpack_from(data, offset)
            if frame == 0:
                break
            begin, end, after = span_of(frame, offset)
            if after > len(data):
                break
            kind, _, body, span = parse_record(data, begin, end, segment.name)
            if kind == ENTRY:
                _, _, index, payload, stop = parse_entry(segment.name, data, body, body + span)
                for beyond in range(index, last + 1):
                    by_index.pop(beyond, None)
                by_index[index] = data[payload:stop]
                last = index
            offset = after
    found = {}
    for index, payload_bytes in by_index.items():
        at = payload_bytes.find(PREFIX.encode())
        if at > 0 and payload_bytes[at - 2] == 0x0A:
            found[payload_bytes[at : at + payload_bytes[at - 1]].decode()] = index
    return found


def judge(found: Sequence[Evidence], acknowledged: set[str], tally: Tally) -> None:
    """Choose from every subset, and compare with the truth."""
    by_name = {each.name: each for each in found}
    names = {each.log.node_id: each.name for each in found}
    for count in range(1, len(found) + 1):
        for subset in itertools.combinations(found, count):
            choice = choose_survivor([Candidate(each.name, each.log) for each in subset], names)
            if isinstance(choice, NoChoice):
                tally.contradictions += choice.contradiction
                tally.nobody += not choice.contradiction
                continue
            tally.accused += any(found.code == "rolled-back" for found in choice.aside)
            chosen = by_name[choice.survivor]
            lost = acknowledged - chosen.keys
            if choice.proof is ProofKind.COMPLETE:
                tally.complete += 1
                tally.complete_lost += bool(lost)
                for name, rule in WORSE.items():
                    worse = max(subset, key=rule)
                    tally.worse[name] += bool(acknowledged - worse.keys)
            else:
                tally.best += 1
                tally.best_lost += bool(lost)
            tally.most_lost = max(tally.most_lost, len(lost))
            check_sure(choice, chosen, acknowledged, tally)


def check_sure(choice: Choice, chosen: Evidence, acknowledged: set[str], tally: Tally) -> None:
    """What the choice calls certainly not acknowledged must not have been."""
    first = chosen.log.last.index - choice.unacknowledged + 1
    tally.sure += choice.unacknowledged
    tally.sure_wrong += sum(1 for key, index in chosen.index_of.items() if index >= first and key in acknowledged)


# --- the table ------------------------------------------------------------------------------------


COLUMNS = (
    "etcd",
    "members",
    "histories",
    "SIGKILLs",
    "acknowledged writes",
    "directories booted",
    "choices *provably complete*",
    "of them lost a write",
    "choices *best available*",
    "of them lost a write",
    "entries called certainly unacknowledged",
    "of them acknowledged",
)


def table(tallies: Mapping[tuple[str, int], Tally]) -> str:
    """The results in Markdown."""
    rows = [
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    total = Tally()
    for (version, size), tally in sorted(tallies.items()):
        rows.append(row(version, str(size), tally))
        total.add(tally)
    rows.append(row("**all**", "", total))
    rows += [
        "",
        f"With fewer logs than needed, the worst choice lost {total.most_lost:,} acknowledged writes.",
        f"Subsets in which no log belongs to a voter (killed before it had joined): {total.nobody}.",
        f"Contradictions, and disks said to be rolled back, where there are none: {total.contradictions + total.accused}.",
        "",
        f"Other rules, on the {total.complete} subsets from which ours is provably complete:",
        "",
        "| rule | choices that lost an acknowledged write |",
        "|---|---|",
        f"| **greatest (term, index) of the last entry** | {total.complete_lost} |",
        *(f"| {name} | {total.worse[name]} |" for name in WORSE),
    ]
    return "\n".join(rows)


def row(version: str, size: str, tally: Tally) -> str:
    cells = [
        tally.histories,
        tally.kills,
        tally.acknowledged,
        tally.boots,
        tally.complete,
        tally.complete_lost,
        tally.best,
        tally.best_lost,
        tally.sure,
        tally.sure_wrong,
    ]
    return "| " + " | ".join([version, size, *(f"{cell:,}" for cell in cells)]) + " |"


def write_between(path: Path, begin: str, end: str, text: str) -> None:
    """Put `text` between two marks of a document; the marks are appended where they are missing."""
    old = path.read_text() if path.exists() else "# What is proven, and measured\n"
    if begin not in old:
        old += f"\n{begin}\n{end}\n"
    before, _, rest = old.partition(begin)
    _, _, after = rest.partition(end)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--versions", nargs="*", default=list(binaries.VERSIONS))
    parser.add_argument("--write", type=Path, help="the document whose table is to be renewed")
    arguments = parser.parse_args()
    tallies: dict[tuple[str, int], Tally] = {}
    cases = itertools.cycle(itertools.product(arguments.versions, (3, 5)))
    begun = time.monotonic()
    for number, (version, size) in zip(range(arguments.histories), cases, strict=False):
        tally = run_history(version, size, random.Random(f"{arguments.seed}-{number}"))
        tallies.setdefault((version, size), Tally()).add(tally)
        print(
            f"{number + 1}/{arguments.histories} {version} x{size}: {tally.acknowledged} acknowledged, "
            f"{tally.complete} complete ({tally.complete_lost} lost), {tally.best} best ({tally.best_lost} lost)",
            flush=True,
        )
    text = (
        f"`python -m benchmarks.histories --histories {arguments.histories} --seed {arguments.seed}`: "
        f"{time.monotonic() - begun:,.0f} s.\n\n{table(tallies)}"
    )
    print(text)
    if arguments.write:
        write_between(arguments.write, BEGIN, END, text)
    wrong = sum(t.complete_lost + t.sure_wrong + t.contradictions + t.accused for t in tallies.values())
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
