"""python -m tests.simulation [--histories 100000] [--seed N]: the choice against a model of Raft; exit code 1 if it errs.

The seed is printed; without one it is drawn. Histories are numbered, so that one of them can be played again alone:
`--seed N --only NUMBER`. All cores are used.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.judge import WORSE, Count, history

CHUNK = 250


def some(seed: str, first: int, last: int) -> Count:
    """Judge the histories `first` to `last` - 1."""
    count = Count()
    for number in range(first, last):
        history(f"{seed}-{number}", count)
    return count


def everything(seed: str, histories: int, workers: int) -> Count:
    """Judge so many histories, on so many cores."""
    starts = range(0, histories, CHUNK)
    total = Count()
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(
            some, [seed] * len(starts), starts, [min(histories, start + CHUNK) for start in starts], chunksize=1
        ):
            total.add(found)
            if total.histories % (20 * CHUNK) == 0:
                print(f"{total.histories:,} histories, {total.wrong} wrong", file=sys.stderr, flush=True)
    return total


def report(count: Count) -> None:
    print(f"acknowledged writes: {count.acknowledged:,}; histories with disks tampered with: {count.tampered:,}")
    print(f"provably complete: {count.complete:,} choices, {count.complete_lost} lost a write")
    print(f"  and {count.outside:,} lost one of which, after a tamper, no readable disk could tell")
    print(f"best available:    {count.best:,} choices, {count.best_lost:,} lost a write")
    print(f"  of them because a young snapshot hides who voted before: {count.hidden:,}")
    print(
        f"nobody to choose:  {count.nobody:,}; contradictions after a tamper {count.split:,}, else {count.contradictions}"
    )
    print(f"disks rightly said to be rolled back: {count.forgetful:,} times; sound ones: {count.accused}")
    print(f"entries called certainly not acknowledged: {count.sure:,}, of them acknowledged: {count.sure_wrong}")
    print(f"  and {count.sure_outside:,} acknowledged by disks that have forgotten it without a trace")
    print("without tampers:")
    print(f"  the electorates as they were: {count.old_complete:,} choices complete, {count.old_lost:,} lost a write")
    for name in WORSE:
        print(f"  {name}: {count.worse[name]:,} of the choices that ours calls complete would have lost a write")
    for failure in count.failures[:20]:
        print(f"WRONG: {failure}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10000)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--only", type=int, help="the number of one history of this seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    begun = time.monotonic()
    if options.only is not None:
        count = some(options.seed, options.only, options.only + 1)
    else:
        count = everything(options.seed, options.histories, options.workers)
    print(f"{count.histories:,} histories in {time.monotonic() - begun:,.0f} s")
    report(count)
    return 1 if count.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
