"""python -m tests.worlds [--worlds 100000] [--seed 1] [--jobs 2]; or a single one again: python -m tests.worlds --seed S -v."""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool

from tests.worlds.hosts import Host
from tests.worlds.judge import Count, judge_world
from tests.worlds.known import is_known, stale, unknown
from tests.worlds.seams import exchanged
from tests.worlds.world import World

BATCH = 250


def some(seeds: range) -> Count:
    """Judge these worlds."""
    count = Count()
    with exchanged():
        for seed in seeds:
            night, failures = judge_world(seed)
            count.add(str(seed), night, failures)
    return count


def many(first: int, worlds: int, jobs: int) -> Count:
    """Judge so many worlds, from that seed on, in so many processes."""
    batches = [range(at, min(at + BATCH, first + worlds)) for at in range(first, first + worlds, BATCH)]
    count = Count()
    if jobs == 1:
        for batch in batches:
            count.merge(some(batch))
        return count
    with Pool(jobs) as pool:
        for part in pool.imap_unordered(some, batches):
            count.merge(part)
    return count


def told_of(host: Host, world: World) -> str:
    """What lies on a host and runs there."""
    disk, process = host.disk, host.process
    told = "no data"
    if disk is not None:
        voters = ", ".join(f"{member:x}" for member in sorted(disk.roster(disk.commit).voters))
        told = f"member {disk.member:x} of {disk.cluster:x}, ends at {disk.last}, commit {disk.commit}"
        told += f", snapshot {disk.snapshot}, {len(disk.writes & world.acknowledged)} acknowledged, voters {voters}"
    runs = "" if process is None else f"; runs, leader {process.leader:x}, serving {process.serving}"
    return f"{told}{runs}; {[(c.name, c.state) for c in host.containers]}"


def one(seed: str) -> int:
    """Tell what happens in one world."""
    with exchanged():
        night, failures = judge_world(seed)
    print("\n".join(night.drawn.story))
    print(f"the operator's words: {night.drawn.words}")
    first = night.steps[0].before
    for host in first.hosts:
        print(f"  {host.name} {host.trouble or 'up'}: {told_of(host, first)}")
    print("\n".join(night.world.log))
    for step in night.steps:
        print(f"-> {step.move.name}   ({step.move.hint[:150]})")
    print(f"end: {night.end}: {night.why}")
    for failure in failures:
        print(f"WRONG {failure.invariant} {failure.kind}: {failure.told}")
    return 1 if failures else 0


def report(count: Count, seconds: float) -> None:
    print(f"{count.worlds:,} worlds in {seconds:,.0f} s; ends: {dict(count.ends.most_common())}")
    for (invariant, kind), number in sorted(count.kinds.items(), key=lambda item: (item[0][0], -item[1])):
        where, told = count.first[invariant, kind]
        word = "known" if is_known(invariant, kind) else "WRONG"
        print(f"{word} {invariant} {number:6,} x {kind}\n        {where}: {told[:260]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true", help="replay just this seed, and tell everything")
    arguments = parser.parse_args()
    if arguments.verbose:
        return one(arguments.seed)
    begun = time.monotonic()
    count = many(int(arguments.seed), arguments.worlds, arguments.jobs)
    report(count, time.monotonic() - begun)
    for line in stale(count):
        print(f"nothing matches any more: {line}")
    return 1 if unknown(count) else 0


if __name__ == "__main__":
    sys.exit(main())
