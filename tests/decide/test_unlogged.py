"""A database that has what its own log does not tell of: nobody joins it by that log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import Diagnosis, Remedy, Verdict, Wish, diagnose
from fleetrecover.decide.unlogged import unlogged, unlogged_finding
from fleetrecover.etcd.log import Log
from fleetrecover.facts import NodeFacts
from tests.decide.logs import log
from tests.decide.surveys import container, database, members, node, status, survey

CUT = log(1, [(2, 14), (3, 3)], voters=(1,), removed=(2, 3), writes=9)
STOPPED = {"containers": (container("exited"),)}


def serving(revision: int, found: Log = CUT) -> NodeFacts:
    said = replace(status(1, healthy=True, leader=1), revision=revision)
    return node(1, found, status=said, members=members(1))


def judged(first: NodeFacts) -> Diagnosis:
    return diagnose(survey(first, node(2, containers=()), node(3, containers=())), Wish())


def test_more_revisions_than_writes_are_not_of_that_log() -> None:
    assert [unlogged(serving(revision)) for revision in (9, 10, 11, 15)] == [0, 0, 1, 5]


def test_at_rest_the_database_is_asked_but_not_while_it_is_written_to() -> None:
    assert unlogged(node(1, CUT, db=database(12), **STOPPED)) == 2
    assert unlogged(node(1, CUT, db=database(12, stable=False))) == 0
    assert unlogged(node(1, CUT)) == 0


@pytest.mark.parametrize(
    "unknown",
    [
        log(1, [(2, 14)], voters=(1,), writes=9, snapshot=(2, 5)),
        log(1, [(2, 14)], voters=(1,), writes=9, first=6, snapshot=(2, 5)),
        log(1, [(2, 14)], voters=(1,), writes=9, first=6),
        log(1, [], voters=(1,), writes=0),
        replace(CUT, writes=None),
    ],
)
def test_a_log_that_is_not_read_from_its_beginning_tells_nothing(unknown: Log) -> None:
    assert unlogged(serving(99, unknown)) == 0


def test_nobody_is_brought_in_from_such_a_log() -> None:
    told = judged(serving(12))
    assert (told.verdict, told.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED)
    assert told.cause is not None
    assert (told.cause.code, told.cause.node) == ("unlogged", "etcd1")
    assert "etcd1's database has 2 revisions that its log does not tell of" in told.cause.message
    assert (
        "snapshot save everything`, then `fleetrecover snapshot restore everything --replace-living`"
        in told.cause.advice
    )
    assert judged(serving(10)).remedy is Remedy.REPAIR


def test_a_reset_of_one_is_refused_too() -> None:
    def found(revision: int) -> Diagnosis:
        first = node(1, log(1, [(2, 14)], writes=9), db=database(revision, applied=14), **STOPPED)
        return judged(first)

    told = found(12)
    assert (told.verdict, told.remedy) == (Verdict.QUORUM_LOST, Remedy.BLOCKED)
    assert told.cause is not None
    assert told.cause.advice.startswith("start etcd1's etcd, then `fleetrecover snapshot save")
    assert "--replace-living" not in told.cause.advice
    assert found(10).remedy is Remedy.RESET


def test_a_whole_cluster_is_not_called_undetermined_for_it() -> None:
    assert unlogged_finding([serving(10)]) is None
    alone = diagnose(survey(serving(12)), Wish())
    assert alone.verdict is Verdict.HEALTHY
