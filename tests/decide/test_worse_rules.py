"""Seven other rules, each with a history in which it loses an acknowledged write and ours does not.

Each was seen on real etcd (facts of the project; `benchmarks/histories.py` counts most of them again).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fleetrecover.decide.survivor import Candidate, Choice, ProofKind, choose_survivor
from fleetrecover.etcd.log import Log
from tests.decide.logs import log


@dataclass(frozen=True)
class Disk:
    """What other rules look at: beside the log, the newest modification time, the database's size and what it applied."""

    log: Log
    mtime: float = 100.0
    size: int = 4096
    applied: int = 0
    revision: int = 0


@dataclass(frozen=True)
class Case:
    """`acknowledged` is (term, index) of a write that a client was promised; `rule` picks the greatest."""

    disks: tuple[Disk, ...]
    acknowledged: tuple[int, int]
    rule: Callable[[Disk], Any]


CASES = {
    # etcd1 was cut off early; the others went on.
    "first in the list": Case((Disk(log(1, [(2, 40)])), Disk(log(2, [(2, 66)], commit=65))), (2, 66), lambda disk: 0),
    # etcd1, alone and stale, has campaigned up to term 13 in vain.
    "hard state's term": Case(
        (Disk(log(1, [(2, 40)], term=13)), Disk(log(2, [(2, 66)], commit=65))),
        (2, 66),
        lambda disk: disk.log.hard_state.term,
    ),
    # etcd1 was started again later, which touched its files.
    "newest modification time": Case(
        (Disk(log(1, [(2, 40)]), mtime=900.0), Disk(log(2, [(2, 66)], commit=65), mtime=500.0)),
        (2, 66),
        lambda disk: disk.mtime,
    ),
    # etcd1's database was never defragmented.
    "largest database": Case(
        (Disk(log(1, [(2, 40)]), size=1 << 30), Disk(log(2, [(2, 66)], commit=65), size=1 << 20)),
        (2, 66),
        lambda disk: disk.size,
    ),
    # etcd1 led term 3, was cut off and took 49 writes that nobody acknowledged; etcd2 went on in term 4.
    "last index without term": Case(
        (Disk(log(1, [(3, 113)], commit=64)), Disk(log(2, [(3, 64), (4, 2)], commit=65))),
        (4, 66),
        lambda disk: disk.log.last.index,
    ),
    # etcd1 was stopped gently, which flushed its commit; etcd2 was killed right after the next write.
    "commit": Case(
        (Disk(log(1, [(2, 65)], commit=65)), Disk(log(2, [(2, 66)], commit=65))),
        (2, 66),
        lambda disk: disk.log.commit,
    ),
    # the same: the database of the killed one lags by what its batch had not committed yet.
    "consistent index, then revision": Case(
        (
            Disk(log(1, [(2, 65)], commit=65), applied=65, revision=60),
            Disk(log(2, [(2, 66)], commit=65), applied=61, revision=56),
        ),
        (2, 66),
        lambda disk: (disk.applied, disk.revision),
    ),
}


def has(found: Log, acknowledged: tuple[int, int]) -> bool:
    term, index = acknowledged
    return found.last.index >= index and found.term_at(index) == term


@pytest.mark.parametrize("name", CASES)
def test_it_chooses_wrongly_and_we_do_not(name: str) -> None:
    case = CASES[name]
    theirs = max(case.disks, key=case.rule)
    assert not has(theirs.log, case.acknowledged)
    choice = choose_survivor([Candidate(f"etcd{disk.log.node_id}", disk.log) for disk in case.disks], {})
    assert isinstance(choice, Choice)
    assert choice.proof is ProofKind.COMPLETE
    ours = next(disk for disk in case.disks if choice.survivor == f"etcd{disk.log.node_id}")
    assert has(ours.log, case.acknowledged)
