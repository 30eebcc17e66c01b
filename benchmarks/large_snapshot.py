"""A snapshot of 1 GB, taken, listed and restored over SSH: how long it takes, and how much memory it needs here.

    python -m benchmarks.large_snapshot --mb 10 --mb 1000 --etcd 3.5.16

Values are random, so that they hardly pack. Memory is the most that the program, or the ssh client that it starts, had
resident. Every size is a line in benchmarks/results/large-snapshot.jsonl.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fleetrecover.lab import Lab

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "large-snapshot.jsonl"
VALUE = 1_000_000


def fill(lab: Lab, megabytes: int) -> dict[str, str]:
    """Write so many values of a megabyte; returns what the last one is, by key."""
    clients = [lab.client(timeout=60.0) for _ in range(4)]

    def put(number: int) -> tuple[str, str]:
        key, value = f"/big/{number:06d}", base64.b64encode(os.urandom(VALUE * 3 // 4)).decode()
        clients[number % 4].put(key, value)
        return key, value

    with ThreadPoolExecutor(4) as pool:
        written = [put_done for put_done in pool.map(put, range(megabytes)) if put_done[0].endswith("7")][-1:]
    return dict(written)


def measured(lab: Lab, state: Path, *words: str) -> tuple[float, float, dict[str, Any]]:
    """Run the program; seconds, the most memory in MB, and its JSON document."""
    environment = os.environ | {"FLEETRECOVER_INVENTORY": str(lab.inventory), "FLEETRECOVER_STATE": str(state)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.monotonic()
        running = subprocess.Popen(
            [sys.executable, "-m", "fleetrecover.cli", *words, "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
        )
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.monotonic() - begun
        out.seek(0)
        err.seek(0)
        if status:
            raise SystemExit(f"{' '.join(words)}: {os.waitstatus_to_exitcode(status)}\n{err.read().decode()}")
        print(f"{' '.join(words[:2])}: {seconds:.1f} s, {usage.ru_maxrss / 1024:.1f} MB", flush=True)
        return round(seconds, 1), round(usage.ru_maxrss / 1024, 1), json.load(out)


def one(lab: Lab, megabytes: int, etcd: str) -> dict[str, Any]:
    """Take, list and restore a snapshot of that size."""
    lab.reset_etcd(etcd)
    begun = time.monotonic()
    sample = fill(lab, megabytes)
    row: dict[str, Any] = {"etcd": etcd, "mb": megabytes, "fill_seconds": round(time.monotonic() - begun, 1)}
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        seconds, memory, saved = measured(lab, state, "snapshot", "save", "large", "--fetch", directory)
        row |= {"database": saved["size"], "packed": (state / "large.zip").stat().st_size}
        row["save"] = {"seconds": seconds, "memory_mb": memory}
        seconds, memory, _ = measured(lab, state, "snapshot", "list", "--no-loss")
        row["list"] = {"seconds": seconds, "memory_mb": memory}
        for name in ("etcd1", "etcd2", "etcd3"):
            lab.shell(name, "docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member")
        seconds, memory, done = measured(lab, state, "snapshot", "restore", "large", "--yes", lab.name)
        row["restore"] = {"seconds": seconds, "memory_mb": memory, "writable": done["seconds_to_writable"]}
        row["steps"] = {f"{s['step']} {s['node']}": s["seconds"] for s in done["steps"] if s["seconds"] >= 1}
    [(key, value)] = sample.items()
    assert all(lab.client(timeout=60.0).get(key, host.name) == value for host in lab.hosts)
    return row


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, action="append", help="repeatable; 10 and 1000 if not said")
    parser.add_argument("--etcd", default="3.5.16")
    parser.add_argument("--lab", default="large")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    Lab.clear(chosen.lab)
    lab = Lab.up(chosen.lab, nodes=3, etcd=chosen.etcd)
    try:
        for megabytes in chosen.mb or [10, 1000]:
            row = one(lab, megabytes, chosen.etcd)
            print(json.dumps(row), flush=True)
            with chosen.results.open("a") as sink:
                sink.write(json.dumps(row) + "\n")
    finally:
        lab.down()


if __name__ == "__main__":
    main()
