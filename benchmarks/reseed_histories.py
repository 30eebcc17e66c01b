"""Random histories on real etcd, reseeded: is every acknowledged write on every member, and is it one cluster again?

    python -m benchmarks.reseed_histories [--histories 60] [--seed 1] [--jobs 1] [--versions 3.6.14 …] [--write docs/evidence.md]

One history: 3 or 5 voters on loopback, perhaps a learner, with and without `.snap` files, under concurrent writers; members are
killed, stopped and started at random; perhaps a change of membership is asked for while nobody can decide it; all are killed.
Some disks are lost, some hosts are dead. Then the survivor is chosen and every host at hand reseeded by the product's own
code, and a copy of it booted alone, as the proof. All start, in any order, some are killed while they do. Asked of each
member: every key that was acknowledged, before and since; the members, in memory and in the database; its content's
hash, which must be the proof's. Then a power cut of all and the same again; and the dead come back, each with the disk it had.

Every fourth history is a control: one log fewer than needed is read. There acknowledged writes may be lost, and some are.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import histories
from benchmarks.histories import (
    Member,
    Writers,
    all_keys,
    api,
    ask,
    encoded,
    kill,
    ports,
    start,
    wait_serving,
    workspace,
    write_between,
)
from benchmarks.reseed_world import (
    Count,
    World,
    contents,
    latest,
    live,
    members_of,
    same,
    stop_all,
    wait_until,
)
from fleetrecover.decide.membership import Seat, logs_needed
from fleetrecover.decide.reseed import MARGIN, Heir, Reseeding
from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.stores import Differences, differences
from fleetrecover.lab.rke import version_tuple
from tests.etcd import binaries
from tests.etcd.reseeding import read, seed_from

BEGIN, END = "<!-- reseed histories: begin -->", "<!-- reseed histories: end -->"


def run_history(version: str, size: int, dice: random.Random, control: bool = False) -> Count:
    """Let one cluster live and die, reseed it, and let it live on. Raises where anything but a lost write is wrong."""
    with workspace() as directory:
        numbers = ports(2 * size + 2)
        names = [f"m{number}" for number in range(size)]
        members = [Member(n, directory / n, numbers[2 * i], numbers[2 * i + 1]) for i, n in enumerate(names)]
        world = World(version, directory, dice, members)
        writers = Writers(version, list(members), threads=dice.choice((2, 4, 8)))
        try:
            live(world, writers, spare=(numbers[-2], numbers[-1]))
            writers.stop()
            world.count.acknowledged = len(writers.acknowledged)
            reseed(world, writers.acknowledged, control)
        finally:
            for member in world.members:
                kill(member)
            writers.stop()
        return world.count


# --- the reseed -------------------------------------------------------------------------------------


def reseed(world: World, acknowledged: set[str], control: bool) -> None:
    """Lose disks, choose, make every host's data by the product's code, start, and judge."""
    voters = [member for member in world.members if member.name != "learner"]
    needed = logs_needed(len(voters))
    readable = world.dice.sample(voters, needed - 1 if control else world.dice.randint(needed, len(voters)))
    readable += [m for m in world.members if m.name == "learner" and not control and world.dice.random() < 0.7]
    logs = {member.name: read(member.data) for member in readable}
    choice = choose_survivor([Candidate(name, log) for name, log in logs.items()], names_of(world))
    if not isinstance(choice, Choice):  # the only log of a voter has its own removal at its end
        return
    world.count.differing = len({log.last for log in logs.values()}) > 1
    log, source = logs[choice.survivor], world.directory / "original"
    before = inspect(world.member(choice.survivor).data).db
    assert isinstance(before, DbFacts)
    # what decide/reseed.py refuses from 3.6 on; before 3.5.20 a promotion is not written there
    assert version_tuple(world.version) < (3, 5, 20) or differences(log, before) == Differences()
    world.count.snap = bool(log.snap_name) or log.by_record
    world.count.pending = bool(log.conf_changes_above_commit)
    subprocess.run(["cp", "-a", "--sparse=always", str(world.member(choice.survivor).data), str(source)], check=True)
    made = plan(world, choice, logs, readable)
    removed = {seat.id for seat in made.removed}
    disks = {m.name: m.data for m in world.members if world.ids[m.name] not in {h.member.id for h in made.heirs}}
    for heir in made.heirs:
        seed_from(source, world.member(heir.host).data, made.seed(heir), log)
        again = read(world.member(heir.host).data)
        assert (again.node_id, again.commit, again.last.index) == (heir.member.id, made.last, made.last)
        assert again.configuration_at_end.voters == made.voters
    world.count.seeded, world.count.removed = len(made.heirs), len(removed)
    revision, proof, keys = prove(world, made, source)
    lost = acknowledged - keys
    if choice.proof is ProofKind.COMPLETE:
        world.count.complete, world.count.lost = 1, len(lost)
    else:
        world.count.best, world.count.best_lost, world.count.most_lost = 1, bool(lost), len(lost)
    live_on(world, made, acknowledged - lost, (revision, proof))
    come_back(world, made, disks)


def names_of(world: World) -> dict[int, str]:
    """The members' names by id."""
    return {number: name for name, number in world.ids.items()}


def plan(world: World, choice: Choice, logs: Mapping[str, Any], readable: Sequence[Member]) -> Reseeding:
    """Who gets it: whose log was read, and some of those whose disks are lost; of the members after the log's end."""
    log = logs[choice.survivor]
    at_hand = [m for m in world.members if m in readable or world.dice.random() < 0.5]
    hosts = {world.ids[member.name]: member.name for member in at_hand}
    seats = [Seat(m.id, m.name, m.peer_urls, m.learner, hosts.get(m.id)) for m in log.configuration_at_end.members]
    heirs = tuple(Heir(seat.host, seat) for seat in seats if seat.host is not None)
    term = max(max(each.hard_state.term, each.last.term) for each in logs.values()) + MARGIN
    return Reseeding(choice.survivor, log, term, heirs, tuple(seat for seat in seats if seat.host is None))


def prove(world: World, made: Reseeding, source: Path) -> tuple[int, int, frozenset[str]]:
    """Boot a copy that is alone in its log: its revision, its hash there, its keys."""
    name = made.survivor
    client, peer = ports(2)
    copy = Member(name, world.directory / "alone" / name, client, peer)
    seed_from(source, copy.data, made.alone, made.log)
    start(world.version, copy, *world.flags)
    try:
        wait_serving(world.version, copy)
        [listed] = members_of(world, copy)
        assert int(listed["ID"]) == made.log.node_id
        revision = latest(world, copy)
        [proof] = contents(world, [copy], revision)
        return revision, proof, frozenset(all_keys(world.version, copy))
    finally:
        kill(copy)
        shutil.rmtree(copy.data.parent)


def live_on(world: World, made: Reseeding, kept: set[str], proof: tuple[int, int]) -> None:
    """Start all, judge; a power cut, judge; end gently, and look at what the databases say of the members."""
    heirs = [world.member(heir.host) for heir in made.heirs]
    for member in world.dice.sample(heirs, len(heirs)):
        world.start(member)
        if world.dice.random() < 0.2:
            time.sleep(world.dice.choice((0.0, 0.1, 0.4)))
            kill(member)
            world.start(member)
    judge(world, made, heirs, kept, proof)
    for member in heirs:
        kill(member)
    for member in world.dice.sample(heirs, len(heirs)):
        world.start(member)
    judge(world, made, heirs, kept, proof)
    stop_all(heirs)
    for member in heirs:
        stored(world, made, member)
    for member in heirs:
        world.start(member)
    judge(world, made, heirs, kept, proof)


def judge(world: World, made: Reseeding, heirs: Sequence[Member], kept: set[str], proof: tuple[int, int]) -> None:
    """Each member has all, and says the same of who is one; each voter takes a write; their contents are the proof's."""
    voting = [member for member in heirs if world.ids[member.name] in made.voters]
    ids = {heir.member.id: heir.member.learner for heir in made.heirs}
    for member in voting:
        wait_serving(world.version, member, 60.0)
    for member in voting:
        listed = members_of(world, member)
        assert {int(m["ID"]): bool(m.get("isLearner")) for m in listed} == ids, (listed, ids)
        key = f"{histories.PREFIX}since/{len(world.since)}"
        answer = ask(member.client, f"{api(world.version)}/kv/put", {"key": encoded(key), "value": "eA=="}, 10.0)
        assert answer is not None, world.said(member)[-1500:]
        assert int(answer["header"]["raft_term"]) > made.term
        world.since.add(key)
        world.count.since += 1
    revision = latest(world, voting[0])
    wanted = kept | world.since
    for member in voting:
        missing = wanted - set(all_keys(world.version, member))
        world.count.wrong += bool(missing)
        assert not missing, f"{member.name} misses {len(missing)}"
    assert contents(world, voting, proof[0]) == {proof[1]}
    assert len(contents(world, voting, revision)) == 1
    for member in heirs:
        if member not in voting:  # a learner answers but this
            wait_until(partial(same, world, member, revision), world, member)


def stored(world: World, made: Reseeding, member: Member) -> None:
    """What the database says of the members, which from 3.6 on is what counts at the next start."""
    db = inspect(member.data).db
    assert isinstance(db, DbFacts)
    wanted = {heir.member.id: heir.member.learner for heir in made.heirs}
    said = {each.id: each.learner for each in db.members}
    # before 3.5.20 a promotion is not written there, reseeded or not
    assert set(said) == set(wanted), (world.version, said, wanted)
    assert said == wanted or version_tuple(world.version) < (3, 6), (said, wanted)
    assert {seat.id for seat in made.removed} <= db.removed
    if db.conf_state is not None:
        assert set(db.conf_state.voters) == made.voters, (db.conf_state, made.voters)


def come_back(world: World, made: Reseeding, disks: Mapping[str, Path]) -> None:
    """Those who were not at hand start on the disks that they have, one at a time: each is refused, and nothing changes."""
    chief = world.member(made.survivor)
    for name in disks:
        member = world.member(name)
        world.start(member)
        assert member.process is not None
        assert member.process.wait(60) in (0, 1, 2)
        assert "permanently removed" in world.said(member), f"{name}: {world.said(member)[-1500:]}"
        world.count.returned += 1
        missing = world.since - set(all_keys(world.version, chief))
        assert not missing


# --- the table --------------------------------------------------------------------------------------


COLUMNS = {
    "histories": "histories",
    "kills": "SIGKILLs",
    "acknowledged": "acknowledged writes",
    "snap": "with `.snap` or record",
    "learner": "with a learner",
    "differing": "logs differed",
    "pending": "a change undecided in the chosen tail",
    "seeded": "hosts reseeded",
    "removed": "members removed in the log",
    "complete": "*provably complete*",
    "lost": "writes lost there",
    "since": "writes since, on every member",
    "returned": "dead that came back, all refused",
}
CONTROL = {
    "histories": "histories",
    "acknowledged": "acknowledged writes",
    "complete": "*provably complete*",
    "lost": "writes lost there",
    "best": "*best available*",
    "best_lost": "of them lost a write",
    "most_lost": "most lost in one",
}
Case = tuple[str, int, bool]


def table(counts: Mapping[Case, Count], control: bool) -> str:
    """The results in Markdown: of the histories with enough logs, or of the controls."""
    columns = CONTROL if control else COLUMNS
    rows = ["| etcd | voters | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 2) + "|"]
    total = Count()
    for (version, size, _), count in sorted(counts.items(), key=lambda item: (version_tuple(item[0][0]), item[0][1])):
        if _ == control:
            rows.append(row(version, str(size), count, columns))
            total.add(count)
    return "\n".join([*rows, row("**all**", "", total, columns)])


def row(version: str, size: str, count: Count, columns: Mapping[str, str]) -> str:
    """One line of it."""
    return "| " + " | ".join([version, size, *(f"{getattr(count, name):,}" for name in columns)]) + " |"


TAKEN = "address already in use"
"""What etcd says where another program has taken its port while it was down: that history is played again."""


def one(job: tuple[int, int, Case], tries: int = 3) -> tuple[int, Case, Count, str]:
    """One history; what was wrong is a text."""
    seed, number, (version, size, control) = job
    try:
        return number, job[2], run_history(version, size, random.Random(f"{seed}-{number}"), control), ""
    except (AssertionError, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        if TAKEN in str(error) and tries > 1:
            return one(job, tries - 1)
        return number, job[2], Count(histories=1, wrong=1), f"{type(error).__name__}: {error}"


def cases(versions: Sequence[str]) -> Iterator[Case]:
    """Every version with three and with five voters in turn; every fourth round is a control."""
    for turn in itertools.count():
        yield from ((version, size, turn % 4 == 3) for size in (3, 5) for version in versions)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one history, to play it again")
    parser.add_argument("--jobs", type=int, default=1, help="so many at the same time")
    parser.add_argument("--versions", nargs="*", default=[*binaries.VERSIONS, *binaries.BUILT])
    parser.add_argument("--write", type=Path, help="the document whose table is to be renewed")
    arguments = parser.parse_args()
    jobs = [
        (arguments.seed, n, case)
        for n, case in zip(range(arguments.histories), cases(arguments.versions), strict=False)
    ]
    jobs = [job for job in jobs if arguments.only in (None, job[1])]
    counts: dict[Case, Count] = {}
    begun, wrong = time.monotonic(), 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for number, case, count, error in pool.map(one, jobs):
            counts.setdefault(case, Count()).add(count)
            wrong += bool(error) + bool(count.lost)
            print(f"{number} {case[0]} x{case[1]}{' control' if case[2] else ''}: {error or count}", flush=True)
    command = f"python -m benchmarks.reseed_histories --histories {arguments.histories} --seed {arguments.seed}"
    text = (
        f"`{command}`: {time.monotonic() - begun:,.0f} s; wrong in any way: {wrong}.\n\n{table(counts, control=False)}\n\n"
        f"The control, one log fewer than needed:\n\n{table(counts, control=True)}"
    )
    print(text)
    if arguments.write:
        write_between(arguments.write, BEGIN, END, text)
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise SystemExit(main())
