"""python -m tests.simulation [--histories 10000] [--seed 1]: the choice against a model of Raft; exit code 1 if it errs."""

from __future__ import annotations

import argparse
import time

from tests.simulation.judge import WORSE, Count, history


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = Count()
    begun = time.monotonic()
    for number in range(arguments.histories):
        history(f"{arguments.seed}-{number}", count)
    print(
        f"{count.histories:,} histories in {time.monotonic() - begun:,.0f} s, {count.acknowledged:,} acknowledged writes"
    )
    print(f"provably complete: {count.complete:,} choices, {count.complete_lost} lost a write")
    print(f"best available:    {count.best:,} choices, {count.best_lost:,} lost a write")
    print(f"nobody to choose:  {count.nobody:,}, of them contradictions (there are none): {count.contradictions}")
    print(f"disks wrongly said to be rolled back: {count.accused}")
    print(f"entries called certainly not acknowledged: {count.sure:,}, of them acknowledged: {count.sure_wrong}")
    for name in WORSE:
        print(f"{name}: {count.worse[name]:,} of the {count.complete:,} choices would have lost a write")
    for failure in count.failures[:20]:
        print(f"WRONG: {failure}")
    return 1 if count.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
