"""Who may be reseeded: every row that must be refused, with its code; and what each host gets where it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetrecover.decide.basis import basis, differences
from fleetrecover.decide.diagnosis import Wish, diagnose
from fleetrecover.decide.excluded import excluded
from fleetrecover.decide.plan import check_plan, make_plan
from fleetrecover.decide.reseed import HIGHEST_TERM, MARGIN, SPARE, Refusal, Reseeding, need, new_term, reseeding
from fleetrecover.decide.reseed_plan import check_reseed
from fleetrecover.docker.rewrite import has_force
from fleetrecover.errors import FleetRecoverError, Refused
from fleetrecover.etcd.bbolt import Alarm
from fleetrecover.etcd.log import Entries, HardState
from fleetrecover.facts import RESEED, Certificate, FileFault, Keep, NodeFacts, Pin, Starter, StarterKind, Survey
from fleetrecover.report.document import plan_document
from fleetrecover.runtime.containers import Containers
from fleetrecover.steps import AdoptSeed, ProveSeed, SeedData, StartOriginal, stage
from fleetrecover.steps.words import limit_of, name_of
from tests.fakes.nodes import FakeFleet, make_container, make_log, voters_only

ALL = Wish(method=RESEED)


def fleet(nodes: int = 3, wiped: int = 1, dead: int = 0) -> Survey:
    """So many hosts, the last ones wiped, the very last ones off; etcd is down everywhere."""
    made = FakeFleet.broken(nodes, wiped, dead)
    made.databases = True
    return made.survey()


def changed(survey: Survey, name: str, **parts: object) -> Survey:
    """The survey in which one node is otherwise."""
    nodes = tuple(replace(n, **parts) if n.name == name else n for n in survey.nodes)  # type: ignore[arg-type]
    return replace(survey, nodes=nodes)


def container(survey: Survey, name: str, **parts: object) -> Survey:
    """The survey in which one node's container is otherwise."""
    own = survey.node(name).containers[0]
    return changed(survey, name, containers=(replace(own, **parts),))  # type: ignore[arg-type]


def database(survey: Survey, **parts: object) -> Survey:
    """The survey in which the survivor's database is otherwise."""
    db = survey.node("n1").db
    assert db is not None
    return changed(survey, "n1", db=replace(db, **parts))  # type: ignore[arg-type]


def data(survey: Survey, name: str, **parts: object) -> Survey:
    """The survey in which one node's data directory is otherwise."""
    there = survey.node(name).data
    assert there is not None
    return changed(survey, name, data=replace(there, **parts))  # type: ignore[arg-type]


def log(survey: Survey, name: str, **parts: object) -> Survey:
    """The survey in which one node's log is otherwise."""
    found = survey.node(name).log
    assert found is not None
    return changed(survey, name, log=replace(found, **parts))  # type: ignore[arg-type]


def other_history(survey: Survey) -> Survey:
    found = survey.node("n2").log
    assert found is not None
    digests = found.entries.digests[:]
    digests[-1] ^= 1
    return log(survey, "n2", entries=Entries(found.entries.first, found.entries.terms, digests))


def of_version(survey: Survey, version: str) -> Survey:
    for node in survey.nodes:
        survey = container(survey, node.name, image=f"etcd:v{version}")
    return survey


def disagreeing(survey: Survey) -> Survey:
    """By the database a voter is still a learner, as 3.5 before 3.5.20 leaves it."""
    found = survey.node("n1").log
    assert found is not None
    members = tuple(replace(m, learner=m.id == 2) for m in found.configuration.members)
    return database(survey, members=members, consistent_index=found.commit)


def of_podman(survey: Survey) -> Survey:
    return replace(
        changed(survey, "n3", cli_version="4.9"),
        fleet=replace(survey.fleet, etcd=replace(survey.fleet.etcd, cli="podman")),
    )


def removed_itself(survey: Survey) -> Survey:
    found = survey.node("n1").log
    assert found is not None
    return log(survey, "n1", configuration_at_end=voters_only(found, 2, 3))


UNIT = Starter(StarterKind.UNIT, "etcd.service", "docker start -a etcd", active=True, service="simple", settings=True)

REFUSED: dict[str, tuple[str | None, Callable[[Survey], Survey]]] = {
    "no-log": ("n1", lambda s: changed(s, "n1", log=None)),
    "no-database": ("n1", lambda s: changed(s, "n1", db=None)),
    "database-ahead": ("n1", lambda s: database(s, consistent_index=10_000)),
    "downgrade": ("n1", lambda s: database(s, downgrade="3.4.0")),
    "newer-database": ("n1", lambda s: changed(s, "n1", received=(10_000,))),
    "log-size": ("n1", lambda s: log(s, "n1", segments=tuple(f"{n:016x}-0000000000000000.wal" for n in range(9)))),
    "grafted": ("n1", lambda s: log(s, "n1", grafted=7)),
    "term-too-high": (None, lambda s: log(s, "n2", hard_state=HardState(HIGHEST_TERM, 0, 5))),
    "same-member": ("n2", lambda s: log(s, "n2", node_id=1)),
    "other-cluster": ("n2", lambda s: log(s, "n2", cluster_id=7)),
    "fork": ("n2", other_history),
    "other-member": ("n2", lambda s: log(s, "n2", node_id=77)),
    "versions-differ": (None, lambda s: container(s, "n3", image="etcd:v3.5.16", image_id="sha256:other")),
    "version-untried": (None, lambda s: of_version(s, "3.8.0")),
    "stores-differ": ("n1", lambda s: of_version(disagreeing(s), "3.6.14")),
    "no-snap": ("n1", lambda s: of_version(log(s, "n1", by_record=True), "3.7.1")),
    "no-definition": ("n3", lambda s: changed(s, "n3", containers=())),
    "force-flag": ("n3", lambda s: container(s, "n3", forced=True)),
    "opaque": ("n3", lambda s: container(s, "n3", spec=None, spec_problem="--gpus")),
    "wrong-address": ("n3", lambda s: container(s, "n3", config=make_container(8, 3).config)),
    "cannot-fence": ("n3", of_podman),
    "unit": ("n3", lambda s: changed(s, "n3", starters=(UNIT,))),
    "wal-apart": ("n2", lambda s: data(s, "n2", wal="/fast/etcd")),
    "scattered": ("n2", lambda s: data(s, "n2", inner=("member/wal is a mount point",))),
    "no-space": ("n3", lambda s: data(s, "n3", free=1000)),
    "no-place": ("n3", lambda s: changed(s, "n3", data=None)),
    "not-a-voter": ("n1", removed_itself),
}
"""By code: the host that it is said of, and what is wrong."""


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_not_known_to_be_safe_is_refused(code: str) -> None:
    host, spoil = REFUSED[code]
    found = reseeding(spoil(fleet()), ALL, "n1")
    assert not isinstance(found, Reseeding), code
    assert (host, code) in [(each.host, each.code) for each in found], found
    assert all(each.reason for each in found)


def test_what_the_database_has_of_the_members_counts_from_3_6_on() -> None:
    for version, good in [("3.5.16", True), ("3.6.14", False), ("3.7.1", False)]:
        found = reseeding(of_version(disagreeing(fleet()), version), ALL, "n1")
        assert isinstance(found, Reseeding) is good, version
    assert isinstance(reseeding(of_version(fleet(), "3.7.1"), ALL, "n1"), Reseeding)


def test_what_an_attempt_has_made_counts_as_free() -> None:
    """A rerun throws it away, or uses it: space that was enough is enough again."""
    survey = fleet(3, 1)
    enough = need(survey.node("n1")) + SPARE
    tight = data(survey, "n3", free=enough)
    assert isinstance(reseeding(tight, ALL, "n1"), Reseeding)
    after = data(survey, "n3", free=enough - need(survey.node("n1")))
    assert not isinstance(reseeding(after, ALL, "n1"), Reseeding)
    pin = Pin("r1", "fake", "n1", "2026-01-01T00:00:00Z", "reset", method=RESEED)
    half = changed(after, "n3", keeps=(Keep("r1", "/k/r1", pin, original=True, work=True, bytes=10**9),))
    assert isinstance(reseeding(half, ALL, "n1"), Reseeding)


def test_two_hosts_whose_disks_were_exchanged() -> None:
    made = FakeFleet.broken(3, 0)
    made.databases = True
    made.swap_data("n2", "n3")
    found = reseeding(made.survey(), ALL, "n1")
    assert not isinstance(found, Reseeding)
    assert {("n2", "wrong-host"), ("n3", "wrong-host")} <= {(each.host, each.code) for each in found}


def test_files_that_etcd_needs_and_that_are_missing() -> None:
    bad = Certificate("/c.pem", "", "", "", False, (), None, None, faults=(FileFault("/c.pem", "is not there"),))
    found = reseeding(changed(fleet(), "n2", certificates=(bad,)), ALL, "n1")
    assert found == (Refusal("n2", "files", "n2: /c.pem is not there"),)


def test_nothing_is_refused_of_a_plain_fleet() -> None:
    for nodes, wiped, dead in [(1, 0, 0), (2, 1, 0), (3, 2, 0), (3, 1, 1), (5, 2, 1), (5, 4, 0)]:
        survey = fleet(nodes, wiped, dead)
        gone = frozenset(node.name for node in survey.nodes if not node.accessible)
        found = reseeding(survey, Wish(gone, method=RESEED), "n1")
        assert isinstance(found, Reseeding), found
        assert {heir.host: heir.member.id for heir in found.heirs} == {f"n{n}": n for n in range(1, nodes - dead + 1)}
        assert {seat.id for seat in found.removed} == set(range(nodes - dead + 1, nodes + 1))
        assert found.voters == set(range(1, nodes - dead + 1))
        assert found.last == found.log.last.index + dead
        for heir in found.heirs:
            seed = found.seed(heir)
            assert (seed.node_id, seed.term, seed.end) == (heir.member.id, found.term, found.last)
        assert found.alone.term == found.term + 1
        assert set(found.alone.removed) == set(range(2, nodes + 1))


def test_a_member_that_the_tail_has_removed_is_no_heir() -> None:
    """Voters are those after every change that the log holds."""
    survey = fleet(3, 1)
    found = survey.node("n1").log
    assert found is not None
    left = log(survey, "n1", configuration_at_end=voters_only(found, 1, 2))
    seeding = reseeding(left, ALL, "n1")
    assert isinstance(seeding, Reseeding)
    assert (seeding.hosts, seeding.removed) == (("n1", "n2"), ())


def test_the_new_term_is_far_above_every_known_one() -> None:
    survey = fleet(3, 0)
    assert new_term(survey) == 2 + MARGIN
    alone = log(survey, "n3", hard_state=HardState(50_000, 0, 5))
    assert new_term(alone) == 50_000 + MARGIN
    assert new_term(replace(survey, nodes=tuple(NodeFacts(n.host, reachable=False) for n in survey.nodes))) == MARGIN


# --- the plan ---


def test_what_is_spread_to_all_is_told_before() -> None:
    """Of the versions whose databases may lack writes, and of an alarm that is in the data."""
    survey = database(fleet(3, 2), alarms=(Alarm(1, "NOSPACE"),))
    for node in survey.nodes:
        survey = container(survey, node.name, image="etcd:v3.5.1")
    notes = make_plan(survey, diagnose(survey, ALL), ALL, run="r1", started="").notes
    assert "known to lose writes" in notes[0]
    assert "NOSPACE" in notes[1]


def test_the_plan_refuses_with_the_reasons_and_says_what_to_type() -> None:
    survey = changed(fleet(3, 2), "n3", containers=())
    with pytest.raises(Refused, match="n3 has no etcd container of its own") as caught:
        make_plan(survey, diagnose(survey, ALL), ALL, run="r1", started="")
    assert "--method reset" in (caught.value.hint or "")
    plan = make_plan(survey, diagnose(survey, Wish()), Wish(), run="r1", started="")
    assert plan.method is not None and plan.method.name == "reset"
    assert "n3 has no etcd container of its own" in plan.method.why
    with pytest.raises(Refused, match="--work-dir is for a reset alone"):
        away = replace(ALL, work_dir="/away")
        make_plan(fleet(3, 2), diagnose(fleet(3, 2), away), away, run="r1", started="")


def test_every_step_of_it_is_told_and_bounded() -> None:
    survey = fleet(5, 2, 1)
    wish = Wish(frozenset({"n5"}), method=RESEED)
    plan = make_plan(survey, diagnose(survey, wish), wish, run="r1", started="")
    kinds = {type(step) for step in plan.steps}
    assert {SeedData, ProveSeed, AdoptSeed, StartOriginal} <= kinds
    for step in plan.steps:
        told = step.explain(Containers())
        assert told.title and name_of(step)
        assert isinstance(step, SeedData) or limit_of(step, survey.fleet), name_of(step)
        if isinstance(step, SeedData | ProveSeed):
            assert "5" in " ".join(told.commands)
        if isinstance(step, ProveSeed):
            assert not has_force(step.spec)
            assert (step.spec.network, step.spec.restart) == ("none", "")
    document = plan_document(survey, diagnose(survey, wish), plan)
    assert (document["method"], document["method_why"]) == (RESEED, "asked for with --method")
    assert [(each["host"], each["code"]) for each in document["excluded"]] == [
        ("n2", "shorter-log"),
        ("n3", "log-missing"),
        ("n4", "log-missing"),
        ("n5", "declared-dead"),
    ]


def test_what_was_agreed_to_stands_while_members_campaign() -> None:
    """Without a leader they raise their terms all the while: that is another new term, and the same plan."""
    before = fleet(3, 1)
    wish = replace(ALL, survivor="n1")
    later = log(before, "n2", hard_state=HardState(9, 2, 20))
    plans = [make_plan(each, diagnose(each, wish), wish, run="r1", started="") for each in (before, later)]
    assert new_term(before) != new_term(later)
    assert differences(basis(before, plans[0]), basis(later, plans[1])) == ()


def test_the_invariants_bite() -> None:
    """A plan whose order was changed is a fault of the program, and is not done."""
    survey = fleet(3, 2)
    plan = make_plan(survey, diagnose(survey, ALL), ALL, run="r1", started="")
    check_plan(survey.fleet, plan)
    order = [part.name for part in plan.stages]
    assert order == ["fence", "keep", "seed", "prove", "adopt-first", "adopt", "start", "quorum"]
    for first, second in [
        ("seed", "prove"),
        ("prove", "adopt-first"),
        ("seed", "adopt"),
        ("adopt", "start"),
        ("keep", "start"),
    ]:
        parts = list(plan.stages)
        one, other = order.index(first), order.index(second)
        parts[one], parts[other] = parts[other], parts[one]
        with pytest.raises(FleetRecoverError, match="invariant broken"):
            check_reseed(survey.fleet, parts)
    for name in ("adopt", "start"):
        with pytest.raises(FleetRecoverError, match="other data than the rest"):
            check_reseed(survey.fleet, [part for part in plan.stages if part.name != name])
    seed = plan.stage("seed")
    assert seed is not None
    half = stage("seed", "", seed.lanes[:2])
    assert half is not None
    with pytest.raises(FleetRecoverError, match="invariant broken"):
        check_reseed(survey.fleet, [half if part.name == "seed" else part for part in plan.stages])


def test_a_log_like_the_survivors_is_told_apart_from_a_shorter_one() -> None:
    survey = fleet(3, 0)
    same = changed(survey, "n2", log=replace(make_log(2, 3, 19)))
    wish = replace(ALL, survivor="n1")
    plan = make_plan(same, diagnose(same, wish), wish, run="r1", started="")
    told = {each.host: each.code for each in excluded(same, diagnose(same, wish), plan)}
    assert told == {"n2": "equal-log", "n3": "shorter-log"}
