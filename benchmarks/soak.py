"""Recoveries in a row on one lab, each from another random break, without the lab being made anew in between.

    make soak          or: python -m benchmarks.soak --rounds 20 --seed 7 --etcd 3.4.23 --lab soak

After each: every acknowledged write of all rounds so far is on every member, `verify` is good, and nothing of ours is left on
the hosts but the kept data: no process, mount, container, hold. Every fourth round `clean` removes what was kept.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.fault_matrix import clear, flip_bits, leftovers, run
from benchmarks.faulty import Fault
from fleetrecover.lab import Lab

Break = Callable[[Lab, list[str]], None]


def wiped(lab: Lab, lost: list[str]) -> None:
    """Power cut of all; the lost ones come back with empty disks and without their container."""
    for name in lost:
        lab.remove_etcd(name)
    power_cut(lab)
    for name in lost:
        clear(lab.host(name).path("/var/lib/etcd"))
    lab.power_on(*names(lab))


def damaged(lab: Lab, lost: list[str]) -> None:
    """Power cut of all; the lost ones' logs are damaged."""
    power_cut(lab)
    for name in lost:
        flip_bits(lab.host(name).path("/var/lib/etcd/member/wal"))
    lab.power_on(*names(lab))


def removed(lab: Lab, lost: list[str]) -> None:
    """Somebody has removed containers and data of a majority while the rest ran."""
    for name in lost:
        lab.remove_etcd(name)
        lab.shell(name, "rm -rf /var/lib/etcd/member")


def swept(lab: Lab, lost: list[str]) -> None:
    """Somebody has deleted the data below a majority of running members, then all are killed."""
    for name in lost:
        lab.shell(
            name, "docker update --restart=no etcd >/dev/null; docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member"
        )
    power_cut(lab)
    lab.power_on(*names(lab))
    for name in lost:
        lab.shell(name, "docker update --restart=always etcd")  # else it stays so: a run puts back what it found


BREAKS: tuple[Break, ...] = (wiped, damaged, removed, swept)


def power_cut(lab: Lab) -> None:
    """All hosts at once."""
    lab.kill_all_at_once(power=True)


def names(lab: Lab) -> list[str]:
    """All hosts."""
    return [host.name for host in lab.hosts]


LOOK = (
    "cut -d' ' -f2 /proc/self/mounts | sed -E 's/[0-9a-f]{32,}/ID/g';"
    "ps -eo comm= | grep -v -E '^(sshd|ps|sh|sed|cut|grep|sleep)$'"
)


def standing(lab: Lab, name: str) -> list[str]:
    """What stands on a host: its mounts, ids left out, and the names of its processes."""
    return sorted(line.strip() for line in lab.shell(name, LOOK).splitlines())


def grown(lab: Lab, before: dict[str, list[str]]) -> tuple[str, ...]:
    """Mounts and processes that were not there when the lab was new; a process that is ending is given a moment."""
    found: list[str] = []
    for name in names(lab):
        for _ in range(8):
            more = Counter(standing(lab, name)) - Counter(before[name])
            if not more:
                break
            time.sleep(1)
        found += [f"{name}: {count} more of {what}" for what, count in more.items()]
    return tuple(found)


def kept_only(lab: Lab) -> tuple[str, ...]:
    """What of ours lies on a host beside kept data: files anywhere that a run does not own up to."""
    look = (
        "find /tmp /var/tmp /root /run /etc -xdev -name '*fleetrecover*' ! -name fleetrecover-lab 2>/dev/null;"
        "find /var/lib/etcd.fleetrecover -mindepth 2 -maxdepth 2 2>/dev/null"
        " | grep -v -E '/(run.json|containers.json|proof.json|original|discarded-[^/]*|finished|no-data)$' || true"
    )
    found = []
    for name in names(lab):
        found += [f"{name}: {line}" for line in lab.shell(name, look).splitlines() if line.strip()]
    return tuple(found)


def one_round(
    lab: Lab, number: int, random_: random.Random, written: dict[str, str], before: dict[str, list[str]]
) -> str:
    """Break and recover once. Returns a line; raises AssertionError with what is wrong."""
    breaking = random_.choice(BREAKS)
    survivor = random_.choice(names(lab))
    lost = [name for name in names(lab) if name != survivor]
    written |= lab.client().fill(f"/soak/{number:03d}/", random_.randrange(100, 400), host=survivor)
    begun = time.monotonic()
    breaking(lab, lost)
    code, said = run(lab, Fault(lab.name), "recover", "--yes", lab.name)
    assert code == 0, f"exit code {code}: {said}"
    seconds = time.monotonic() - begun
    for name in names(lab):
        seen = lab.client().verify(written, name)
        assert seen.whole, f"{name}: {len(seen.missing)} of {seen.expected} missing, {len(seen.wrong)} wrong"
    left = leftovers(lab) + kept_only(lab) + grown(lab, before)
    assert not left, f"left over: {left}"
    if number % 4 == 3:
        clean_all(lab)
    return f"{breaking.__name__:8} survivor {survivor}: {seconds:5.1f} s, {len(written)} writes all there"


def clean_all(lab: Lab) -> None:
    """Remove what every run has kept; then nothing of ours is on any host."""
    runs = {p.name for name in names(lab) for p in lab.host(name).path("/var/lib/etcd.fleetrecover").glob("r*")}
    for each in sorted(runs):
        code, said = run(lab, Fault(lab.name), "clean", each, "--yes", lab.name)
        assert code == 0, f"clean {each}: exit code {code}: {said}"
    for name in names(lab):
        assert not lab.host(name).path("/var/lib/etcd.fleetrecover").exists(), f"{name}: something is left after clean"


def soak(lab_name: str, etcd: str, rounds: int, seed: int) -> int:
    """Run all rounds; returns how many were not good."""
    random_ = random.Random(seed)
    Lab.clear(lab_name)
    lab = Lab.up(lab_name, nodes=3, etcd=etcd)
    bad = 0
    written: dict[str, str] = {}
    try:
        before = {name: standing(lab, name) for name in names(lab)}
        for number in range(rounds):
            try:
                told = "ok   " + one_round(lab, number, random_, written, before)
            except AssertionError as error:
                bad += 1
                told = f"FAIL {error}"
            print(f"{number + 1}/{rounds} {told}", flush=True)
            if told.startswith("FAIL"):
                break
        print(f"seed {seed}: {rounds} recoveries in a row" if not bad else f"seed {seed}: stopped at the first bad one")
    finally:
        lab.down()
    return bad


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--etcd", default="3.4.23")
    parser.add_argument("--lab", default="soak")
    chosen = parser.parse_args()
    raise SystemExit(1 if soak(chosen.lab, chosen.etcd, chosen.rounds, chosen.seed) else 0)


if __name__ == "__main__":
    main()
