"""What is found before an upgrade to 3.6, at which version, and what is said to do about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.conclusion import conclude
from fleetrecover.decide.diagnosis import Remedy, Verdict, Wish
from fleetrecover.decide.finding import Finding
from fleetrecover.decide.upgrade import running_version, upgrade_findings
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import NodeFacts, Survey
from tests.decide.logs import log
from tests.decide.surveys import database, members, node, status, survey


def stored(*learners: int, more: tuple[int, ...] = (), version: str = "3.5.0") -> DbFacts:
    """A database with three members, some of them as learners, and others besides."""
    found = tuple(
        Member(n, f"etcd{n}", (f"https://10.0.0.{n}:2380",), (), n in learners) for n in sorted({1, 2, 3, *more})
    )
    return replace(database(10, applied=20), members=found, cluster_version=version)


def serving(number: int, db: DbFacts, version: str, **more: object) -> NodeFacts:
    said = replace(status(number, healthy=True, leader=1), version=version)
    values = {"status": said, "members": members(1, 2, 3), "alarms": (), "db": db, **more}
    return node(number, log(number, [(2, 20)]), **values)


def cluster(version: str, *databases: DbFacts) -> Survey:
    return survey(*(serving(n, each, version) for n, each in enumerate(databases, start=1)))


def only(found: list[Finding]) -> Finding:
    [finding] = found
    return finding


def test_nothing_is_said_of_databases_that_agree() -> None:
    assert upgrade_findings(cluster("3.5.16", stored(), stored(), stored())) == []


def test_nothing_is_said_below_3_5() -> None:
    assert upgrade_findings(cluster("3.4.23", *[stored(2, version="3.4.0")] * 3)) == []


def test_one_finding_names_every_node_and_member() -> None:
    found = only(upgrade_findings(cluster("3.5.16", stored(2, 3), stored(), stored(3))))
    assert found.code == "stale-learner"
    assert "the database of etcd1, etcd3 has etcd2 (2), etcd3 (3), which votes" in found.message
    assert "3.6" in found.message


@pytest.mark.parametrize(
    ("version", "code", "says"),
    [
        ("3.5.16", "stale-learner", "to 3.5.26 or a later 3.5"),
        ("3.5.16", "stale-learner", "without --learner"),
        ("3.5.16", "stale-learner", "restart each once more"),
        ("3.5.16", "ghost-member", "to 3.5.26 or a later 3.5"),
        ("3.5.30", "stale-learner", "restart etcd, one member after another"),
        ("3.5.30", "ghost-member", "restart etcd, one member after another"),
        ("3.6.14", "ghost-member", "never `etcdctl member remove 9`"),
        ("3.6.14", "ghost-member", "snapshot restore everything --replace-living"),
        ("3.7.1", "stale-learner", "restart etcd"),
    ],
)
def test_the_cure_is_that_of_the_version(version: str, code: str, says: str) -> None:
    db = stored(2) if code == "stale-learner" else stored(more=(9,))
    found = only(upgrade_findings(cluster(version, db, stored(), stored())))
    assert found.code == code
    assert says in found.advice


def test_the_oldest_that_answers_is_the_version() -> None:
    mixed = survey(serving(1, stored(), "3.5.30"), serving(2, stored(), "3.5.9"), serving(3, stored(), "3.6.14"))
    assert running_version(mixed) == (3, 5, 9)
    assert running_version(survey(node(1, log(1, [(2, 20)]), db=stored()))) == (3, 5)
    assert running_version(survey(node(1))) == ()


def test_a_whole_cluster_is_degraded_by_it_and_nothing_is_ours_to_do() -> None:
    """Exit code 10 of diagnose and verify, which are of one mind."""
    told = conclude(cluster("3.5.16", stored(2), stored(2), stored(2)), Wish())
    assert told.verdict is Verdict.DEGRADED
    assert told.exit_code == 10
    assert told.diagnosis.remedy is Remedy.NONE
    assert "stale-learner" in {finding.code for finding in told.diagnosis.findings}
    assert not told.judgement.ok
    assert conclude(cluster("3.5.16", stored(), stored(), stored()), Wish()).exit_code == 0
