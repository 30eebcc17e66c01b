"""The judgement that blocks: each line that keeps a living cluster, or the best data, from being touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fleetrecover.decide.diagnosis import (
    Diagnosis,
    Remedy,
    Verdict,
    Wish,
    candidates_of,
    cluster_ids,
    diagnose,
    find_open_run,
    unasked,
)
from fleetrecover.decide.membership import seats_of
from fleetrecover.decide.sides import never_written
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.etcd.log import Position
from fleetrecover.facts import Keep, NodeFacts, Pin, Problem, Survey
from tests.decide.logs import FIVE, configuration, log
from tests.decide.surveys import container, database, members, node, status, survey
from tests.fakes.nodes import make_container

DOWN = (container("exited"),)
MUTE = Problem("command", "endpoint-status: exit code 1: context deadline exceeded")


def blocked(found: Diagnosis, code: str) -> None:
    """Nothing is done, and that is why."""
    assert (found.verdict, found.remedy) == (Verdict.UNDETERMINED, Remedy.BLOCKED), found.why
    assert found.cause is not None
    assert found.cause.code == code
    assert found.cause in found.findings
    assert found.why == found.cause.message


def off(number: int) -> NodeFacts:
    """A host that does not answer at all."""
    return node(
        number, None, reachable=False, cli_version=None, containers=(), problem=Problem("unreachable", "no route to it")
    )


# --- an etcd that cannot be asked, or that names a leader ---


def mute(number: int, voters: tuple[int, ...] = (1, 2, 3)) -> NodeFacts:
    """A member that runs on sound data and gives no status."""
    return node(number, log(number, [(2, 20)], voters=voters), status_problem=MUTE)


def test_a_quorum_that_cannot_be_asked_is_not_reset() -> None:
    """Just a quorum is enough: two of three, though the third one is down."""
    found = diagnose(survey(mute(1), mute(2), node(3, None, containers=DOWN)), Wish())
    blocked(found, "not-asked")
    assert "context deadline exceeded" in found.why


def test_fewer_than_a_quorum_that_cannot_be_asked_prove_nothing() -> None:
    """One of three serves nobody; nor does one that has no data, is stopped, or answered."""
    seen = survey(mute(1), node(2, None, containers=DOWN), node(3, None, containers=DOWN))
    assert diagnose(seen, Wish()).remedy is Remedy.RESET
    known = seats_of(seen, configuration((1, 2, 3)))
    assert unasked(seen, known) == ()
    others = (
        replace(mute(2), log=None),
        replace(mute(2), containers=DOWN),
        replace(mute(2), containers=(container(network="none"),)),
        replace(mute(2), status=status(2)),
        replace(mute(2), status_problem=None),
    )
    assert [unasked(survey(mute(1), other, node(3)), known) for other in others] == [()] * 5
    assert unasked(survey(mute(1), mute(2), node(3)), known) == ("etcd1", "etcd2")


class TestLeader:
    """CheckQuorum: who goes on naming a leader proves that it lives."""

    def follower(self, number: int = 2, **more: object) -> NodeFacts:
        return node(
            number,
            log(number, [(5, 100)]),
            status=status(number, leader=1, term=5, commit=100),
            **more,
        )

    def test_one_that_names_it_is_enough_and_the_leader_may_be_away_or_declared_dead(self) -> None:
        found = diagnose(survey(off(1), self.follower(), node(3, None)), Wish(frozenset({"etcd1"})))
        blocked(found, "slow")
        assert "etcd2 names etcd1 as leader" in found.why

    def test_the_leader_may_be_one_that_cannot_be_asked(self) -> None:
        leader = node(1, None, status_problem=MUTE, log_problem=Problem("corrupt", "no space left on device"))
        blocked(diagnose(survey(leader, self.follower(), node(3, None)), Wish()), "slow")

    def test_what_the_read_said_is_told(self) -> None:
        said = self.follower()
        assert said.status is not None
        said = replace(said, status=replace(said.status, problem="user name is empty"))
        found = diagnose(survey(off(1), said, node(3, None)), Wish(frozenset({"etcd1"})))
        assert "user name is empty" in found.why

    def test_a_learner_that_names_one_counts_and_an_unknown_leader_is_named_by_its_id(self) -> None:
        learner = node(
            2,
            log(2, [(5, 100)], voters=(1, 3), learners=(2,)),
            status=replace(status(2, leader=0xAB, term=5), is_learner=True),
        )
        found = diagnose(survey(off(1), learner, node(3, None)), Wish(frozenset({"etcd1"})))
        blocked(found, "slow")
        assert "member ab" in found.why

    def test_one_that_was_unseated_and_names_another_leader_is_not_fenced_by_a_repair(self) -> None:
        """What serves was reset by hand; the others may be serving, too, and only be slow."""
        reset = node(
            1,
            log(1, [(5, 200)], voters=(1,), removed=(2, 3), removed_at={2: 101, 3: 102}),
            status=status(1, healthy=True, leader=1, term=6, commit=200),
            members=members(1),
        )
        said = node(2, log(2, [(5, 100)]), status=status(2, leader=3, term=5, commit=100))
        blocked(diagnose(survey(reset, said, off(3)), Wish()), "split-brain")
        for harmless in (status(2), status(2, leader=1, term=6)):
            seen = survey(reset, replace(said, status=harmless), off(3))
            assert diagnose(seen, Wish()).remedy is Remedy.REPAIR

    def test_nobody_names_one(self) -> None:
        seen = survey(off(1), replace(self.follower(), status=status(2)), node(3, None))
        assert diagnose(seen, Wish(frozenset({"etcd1"}))).remedy is Remedy.RESET

    def test_a_run_that_has_moved_data_does_not_go_on_either(self) -> None:
        pin = Pin("r1", "prod", "etcd1", "2026-01-01T00:00:00Z", "reset")
        keep = Keep("r1", "/var/lib/etcd.fleetrecover/r1", pin, original=True)
        first = node(1, log(1, [(5, 100)]), containers=DOWN, keeps=(keep,))
        seen = survey(first, self.follower(), node(3, None, containers=DOWN))
        blocked(diagnose(seen, Wish()), "slow")
        quiet = survey(first, replace(self.follower(), status=status(2)), node(3, None, containers=DOWN))
        assert diagnose(quiet, Wish()).remedy is Remedy.RESET


# --- which log counts, which cluster, which run ---


def test_a_database_that_is_written_to_while_we_look_accuses_no_log() -> None:
    """It was read after the log; at rest it would prove that the WAL has lost data."""
    ahead = node(1, log(1, [(2, 20)]), db=database(30, applied=25, stable=False))
    [candidate] = candidates_of(survey(ahead), Wish())
    assert candidate.usable
    [candidate] = candidates_of(survey(replace(ahead, db=database(30, applied=25))), Wish())
    assert not candidate.usable
    [candidate] = candidates_of(survey(replace(ahead, db=database(30, applied=20))), Wish())
    assert candidate.usable


def test_the_dead_have_no_cluster() -> None:
    """What was read before somebody declared it dead is of no cluster that could contradict another."""
    one, other = node(1, log(1, [(2, 20)])), node(2, log(2, [(2, 20)], cluster=8))
    assert cluster_ids(survey(one, other), Wish()) == {9: ("etcd1",), 8: ("etcd2",)}
    assert cluster_ids(survey(one, other), Wish(frozenset({"etcd2"}))) == {9: ("etcd1",)}


def kept(run: str, started: str, **parts: bool) -> Keep:
    return Keep(run, f"/d/{run}", Pin(run, "prod", "etcd1", started, "reset"), **parts)  # type: ignore[arg-type]


def test_of_open_runs_one_that_has_moved_data_comes_first_then_the_youngest() -> None:
    older, younger = kept("r1", "2026-01-01T00:00:00Z", original=True), kept("r2", "2026-01-02T00:00:00Z")
    found = find_open_run(survey(node(1, None, keeps=(older, younger))))
    assert found is not None and (found.run, found.pinned) == ("r1", True)
    older = replace(older, original=False)
    found = find_open_run(survey(node(1, None, keeps=(older, younger))))
    assert found is not None and (found.run, found.pinned) == ("r2", False)


def test_a_run_that_is_finished_anywhere_is_closed() -> None:
    """One that is undone on another node only is not: what it left here would be taken for the cluster's."""
    opened = kept("r1", "2026-01-01T00:00:00Z", original=True)
    for ended, open_still in ((replace(opened, finished=True), False), (replace(opened, undone=True), True)):
        found = find_open_run(survey(node(1, None, keeps=(opened,)), node(2, None, keeps=(ended,))))
        assert (found is not None) is open_still
    assert find_open_run(survey(node(1, None, keeps=(opened,)), node(2, None))) is not None


# --- one machine under two names ---


class TestSameMachine:
    def pair(self, **more: str) -> tuple[NodeFacts, NodeFacts]:
        facts = {"machine": "4c4c", "boot": "b007", "hostname": "db1"} | more
        mine = {key: value for key, value in facts.items() if key in ("machine", "boot", "hostname")}
        return (
            node(1, log(1, [(2, 20)]), containers=DOWN, **mine),
            node(2, log(2, [(2, 20)]), containers=DOWN, **mine),
        )

    def test_machine_boot_and_host_name_together_are_one_machine_in_any_order(self) -> None:
        one, other = self.pair()
        for nodes in ((one, other), (other, one)):
            found = diagnose(survey(*nodes, off(3)), Wish(frozenset({"etcd3"})))
            blocked(found, "same-machine")
            assert "one machine under two names" in found.why

    @pytest.mark.parametrize("differs", ["machine", "boot", "hostname"])
    def test_clones_of_one_image_and_hosts_of_one_kernel_are_two(self, differs: str) -> None:
        one, other = self.pair()
        seen = survey(one, replace(other, **{differs: "another"}), off(3))  # type: ignore[arg-type]
        assert diagnose(seen, Wish(frozenset({"etcd3"}))).remedy is Remedy.START

    @pytest.mark.parametrize("unknown", ["machine", "boot"])
    def test_what_is_not_known_is_no_sign(self, unknown: str) -> None:
        seen = survey(*self.pair(**{unknown: ""}), off(3))
        assert diagnose(seen, Wish(frozenset({"etcd3"}))).remedy is Remedy.START

    def test_one_members_data_at_two_places(self) -> None:
        same = log(1, [(2, 20)])
        for first, second in ((1, 2), (2, 1)):
            nodes = (node(first, same, containers=DOWN), node(second, same, containers=DOWN), off(3))
            found = diagnose(survey(*nodes), Wish(frozenset({"etcd3"})))
            blocked(found, "same-machine")
            assert "data of member 1" in found.why

    def test_of_two_with_one_members_data_the_one_where_it_belongs_stays(self) -> None:
        same = log(1, [(2, 20)])
        nodes = (node(1, same, containers=DOWN), node(2, same, containers=DOWN), off(3))
        for order in (nodes, (nodes[1], nodes[0], nodes[2])):
            found = diagnose(survey(*order), Wish(frozenset({"etcd3"})))
            assert found.cause is not None
            assert "etcd1 is where its peer URL leads: on etcd2: `mv " in found.cause.advice

    def test_of_two_with_one_members_data_the_one_that_serves_stays(self) -> None:
        """A survivor with data that was moved to it, and the host where it came from has come back."""
        serves = node(
            2,
            log(1, [(2, 30)], voters=(1,), removed=(2, 3)),
            status=status(1, healthy=True, leader=1),
            members=members(1),
        )
        nodes = (node(1, log(1, [(2, 20)])), serves, off(3))
        for order in (nodes, (nodes[1], nodes[0], nodes[2])):
            found = diagnose(survey(*order), Wish())
            blocked(found, "same-machine")
            assert found.cause is not None
            assert "etcd2 serves: on etcd1: `docker stop -t 30 etcd && mv " in found.cause.advice

    def test_two_with_one_members_data_of_two_histories_are_both_shown(self) -> None:
        """The one that serves was reset, and lacks what the other one has: nobody is told to move that away unseen."""
        serves = node(
            2,
            log(1, [(2, 15), (7, 9)], voters=(1,), removed=(2, 3), removed_at={2: 16, 3: 17}),
            status=status(1, healthy=True, leader=1, commit=24),
            members=members(1),
        )
        found = diagnose(survey(node(1, log(1, [(2, 20)], commit=20)), serves, off(3)), Wish())
        blocked(found, "same-machine")
        assert found.cause is not None
        assert "both hold the data of member 1" in found.why
        assert "ahead: etcd2" in found.why
        assert "to go on from etcd1: on etcd2: `" in found.cause.advice

    def test_a_copy_of_a_member_that_is_at_home_nowhere_is_left_to_the_person(self) -> None:
        same = log(1, [(2, 20)])
        nodes = (off(1), node(2, same, containers=DOWN), node(3, same, containers=DOWN))
        found = diagnose(survey(*nodes), Wish(frozenset({"etcd1"})))
        assert found.cause is not None
        assert "decide which of them is the member" in found.cause.advice

    def test_a_serving_cluster_is_not_repaired_with_it(self) -> None:
        living = [
            node(n, log(n, [(2, 20)]), status=status(n, healthy=True, leader=1), members=members(1, 2, 3))
            for n in (1, 2)
        ]
        copied = node(3, log(2, [(2, 20)]), containers=DOWN)
        blocked(diagnose(survey(*living, copied), Wish()), "same-machine")

    def test_equal_ids_in_different_clusters_are_two_members(self) -> None:
        seen = survey(
            node(1, log(1, [(2, 20)]), containers=DOWN), node(2, log(1, [(2, 20)], cluster=8), containers=DOWN)
        )
        assert "same-machine" not in {finding.code for finding in diagnose(seen, Wish()).findings}


# --- what is ahead of what serves ---


def serving(number: int, *, commit: int = 9, revision: int = 1, term: int = 2, salt: int = 7) -> NodeFacts:
    """A member of a quorum of etcd2 and etcd3 that has begun anew, under the ids of the very first members."""
    said = replace(status(number, healthy=True, leader=2, commit=commit, term=term), revision=revision)
    return node(
        number,
        log(number, [(1, 3), (term, commit - 3)], salt=salt, writes=max(0, revision - 1)),
        status=said,
        members=members(1, 2, 3),
        db=database(revision),
        made=1767355200.0,
    )


def unseated(**more: object) -> NodeFacts:
    """The one member that has the data; it was replaced once, so nobody who begins anew knows its id."""
    values: dict[str, object] = {"db": database(61, applied=85), "containers": (container(),)} | more
    return node(1, log(0xA5, [(1, 3), (2, 82)], voters=(0xA5, 2, 3), writes=60), **values)


class TestAhead:
    def test_an_empty_quorum_that_was_begun_anew_is_not_repaired_over_the_data(self) -> None:
        found = diagnose(survey(unseated(), serving(2), serving(3)), Wish())
        blocked(found, "forgotten")
        assert (
            "etcd2, etcd3 (serve): revision 1, last index 9, decided up to 9, empty: nothing was ever written"
            in found.why
        )
        assert "begun 2026-01-02 12:00:00 UTC" in found.why
        assert "etcd1: revision 61, last index 85, decided up to 85, 60 writes in the log" in found.why
        assert "ahead: etcd1" in found.why
        assert found.cause is not None
        assert "on etcd2 and etcd3: `docker stop -t 30 etcd`; then `fleetrecover recover`" in found.cause.advice
        assert "--dead" not in found.cause.advice

    def test_obeying_leads_to_a_recovery_from_the_data(self) -> None:
        stopped = [replace(serving(n), status=None, members=None, containers=DOWN, db=database(1)) for n in (2, 3)]
        found = diagnose(survey(unseated(), *stopped), Wish())
        assert (found.verdict, found.remedy) == (Verdict.QUORUM_LOST, Remedy.RESET)
        assert found.choice is not None
        assert found.choice.survivor == "etcd1"
        assert {aside.host: aside.code for aside in found.choice.aside} == {"etcd2": "newborn", "etcd3": "newborn"}
        assert found.startable == ("etcd1",)

    @pytest.mark.parametrize(
        "more",
        [
            {"db": database(2)},  # something was written
            {"log": log(2, [(1, 3), (2, 6)], salt=7, writes=1)},  # and the database only lags
            {"log": replace(log(2, [(1, 3), (2, 6)], salt=7), writes=None)},  # who knows
            {"containers": (container("running"),), "status_problem": MUTE},  # a write may be under way
        ],
    )
    def test_what_is_not_surely_empty_is_not_set_aside(self, more: dict[str, object]) -> None:
        values = {"status": None, "members": None, "containers": DOWN, "db": database(1)} | more
        second = replace(serving(2), **values)  # type: ignore[arg-type]
        blocked(diagnose(survey(unseated(), second, node(3, None, containers=DOWN)), Wish()), "contradiction")

    def test_a_database_that_lags_after_a_power_cut_makes_nothing_empty(self) -> None:
        """Found on a lab: the log had every write, and the database not one of them."""
        lagging = unseated(db=database(1))
        found = diagnose(survey(lagging, serving(2), serving(3)), Wish())
        blocked(found, "forgotten")
        assert "etcd1: revision at least 1, last index 85, decided up to 85, 60 writes in the log" in found.why
        assert "ahead: etcd1" in found.why
        stopped = [replace(serving(n), status=None, members=None, containers=DOWN) for n in (2, 3)]
        found = diagnose(survey(lagging, *stopped), Wish())
        assert found.choice is not None
        assert found.choice.survivor == "etcd1"

    def test_a_quorum_that_has_begun_anew_and_cannot_be_asked_is_told_of_as_a_history(self) -> None:
        others = [replace(serving(n), status=None, members=None, status_problem=MUTE, db=database(1)) for n in (2, 3)]
        found = diagnose(survey(unseated(), *others), Wish())
        blocked(found, "contradiction")
        assert "2 histories" in found.why
        assert "etcd2, etcd3: revision 1" in found.why
        assert "ahead: etcd1" in found.why
        assert found.cause is not None
        assert "`docker stop -t 30 etcd`" in found.cause.advice

    def test_an_empty_history_is_told_of_also_where_the_logs_have_no_entry_in_common(self) -> None:
        """The data's log was compacted: nothing in it contradicts what was begun anew."""
        data = unseated()
        assert data.log is not None
        kept = replace(data.log.entries, first=86, terms=(), digests=data.log.entries.digests[:0])
        compacted = replace(data, log=replace(data.log, snapshot=data.log.last, entries=kept))
        others = [replace(serving(n), status=None, members=None, status_problem=MUTE) for n in (2, 3)]
        found = diagnose(survey(compacted, *others), Wish())
        blocked(found, "contradiction")
        assert "ahead: etcd1" in found.why

    def test_a_log_that_has_only_a_snapshot_left_is_not_empty(self) -> None:
        received = node(
            2, replace(log(2, []), snapshot=Position(2, 50), last=Position(2, 50), writes=0), db=database(1)
        )
        assert not never_written(received)
        assert never_written(replace(received, log=log(2, [(1, 3)], writes=0)))
        assert not never_written(node(3, None)), "nothing is known of it"

    def test_decided_entries_or_revisions_beyond_block_each_by_itself(self) -> None:
        by_index = unseated(db=None)
        blocked(diagnose(survey(by_index, serving(2, salt=0), serving(3, salt=0)), Wish()), "forgotten")
        churned = [serving(n, commit=500, term=2, salt=0) for n in (2, 3)]
        blocked(diagnose(survey(unseated(), *churned), Wish()), "forgotten")
        unread = unseated(db=database(61))
        unread = replace(unread, log=None, log_problem=Problem("corrupt", "a bit flip"))
        blocked(diagnose(survey(unread, *churned), Wish()), "forgotten")

    def test_an_old_disk_far_below_what_serves_is_only_old(self) -> None:
        def knows(each: NodeFacts) -> NodeFacts:
            """That the member with the old disk was removed."""
            assert each.log is not None
            conf = replace(each.log.configuration, removed=frozenset({0xA5}))
            return replace(each, log=replace(each.log, configuration=conf, removed_at={0xA5: 100}))

        living = [knows(serving(n, commit=500, revision=400, salt=0)) for n in (2, 3)]
        found = diagnose(survey(unseated(), *living), Wish())
        assert (found.verdict, found.remedy) == (Verdict.DEGRADED, Remedy.REPAIR)
        assert "returned-member" in {finding.code for finding in found.findings}

    def test_a_fork_below_what_serves_blocks_too(self) -> None:
        living = [serving(n, commit=500, revision=400) for n in (2, 3)]
        blocked(diagnose(survey(unseated(), *living), Wish()), "forgotten")

    def test_a_member_that_follows_may_have_moved_on_while_we_looked(self) -> None:
        living = [serving(n, commit=500, revision=400, salt=0) for n in (2, 3)]
        following = node(1, log(1, [(1, 3), (2, 600)]), db=database(480))
        assert diagnose(survey(following, *living), Wish()).remedy is Remedy.REPAIR
        at_rest = replace(following, containers=DOWN)
        blocked(diagnose(survey(at_rest, *living), Wish()), "forgotten")
        older = node(1, log(1, [(1, 3), (3, 600)], commit=603), db=database(480))
        blocked(diagnose(survey(older, *living), Wish()), "forgotten")

    def test_a_hand_made_reset_of_the_wrong_member(self) -> None:
        """Both sides have what the other lacks: nothing says which is to stay, but what to type for either."""
        one = log(1, [(2, 900), (9, 20)], voters=(1,), removed=(2, 3))
        reset = node(1, one, status=replace(status(1, healthy=True, leader=1, commit=920)), members=members(1))
        better = node(2, log(2, [(2, 900), (3, 1100)]), db=database(1500), containers=DOWN)
        found = diagnose(survey(reset, better, node(3, None, containers=DOWN)), Wish())
        blocked(found, "forgotten")
        assert found.cause is not None
        assert "to go on from etcd2: on etcd1: `docker stop -t 30 etcd && mv " in found.cause.advice
        assert (
            "to go on from etcd1: on etcd2: `mv /var/lib/etcd/member /var/lib/etcd/member.given-up`"
            in found.cause.advice
        )

    def test_what_a_run_has_set_aside_was_given_up_with_open_eyes(self) -> None:
        pin = Pin("r1", "prod", "etcd2", "2026-01-01T00:00:00Z", "reset")
        keep = Keep("r1", "/d/r1", pin, original=True)
        better = unseated(containers=DOWN, keeps=(keep,))
        chief = replace(serving(2), keeps=(keep,))
        assert diagnose(survey(better, chief, serving(3)), Wish()).remedy is Remedy.REPAIR
        blocked(diagnose(survey(replace(better, keeps=()), chief, serving(3)), Wish()), "forgotten")


class TestTwoClusters:
    def test_both_sides_are_told_of_and_the_one_with_the_data_is_never_to_be_declared_dead(self) -> None:
        restored = node(1, log(5, [(2, 85)], cluster=8, voters=(5,)), db=database(61, applied=85), containers=DOWN)
        found = diagnose(survey(restored, serving(2), serving(3)), Wish())
        blocked(found, "two-clusters")
        assert "etcd1 of cluster 8: revision 61, last index 85" in found.why
        assert "etcd2, etcd3 (serve) of cluster 9: revision 1, last index 9" in found.why
        assert "ahead: etcd1" in found.why
        assert found.cause is not None
        assert "on etcd2 and etcd3: `docker stop -t 30 etcd`" in found.cause.advice
        assert "--dead" not in found.cause.advice

    def test_an_empty_one_that_was_stopped_does_not_hold_it_up(self) -> None:
        restored = node(1, log(5, [(2, 85)], cluster=8, voters=(5, 2, 3)), db=database(61), containers=DOWN)
        stopped = [replace(serving(n), status=None, members=None, containers=DOWN, db=database(1)) for n in (2, 3)]
        found = diagnose(survey(restored, *stopped), Wish())
        assert found.remedy is Remedy.RESET
        assert found.choice is not None
        assert found.choice.survivor == "etcd1"

    def test_with_data_on_both_sides_nothing_is_called_empty(self) -> None:
        one = node(1, log(1, [(2, 85)], cluster=8), db=database(61), containers=DOWN)
        other = node(2, log(2, [(2, 85)]), db=database(50), containers=DOWN)
        found = diagnose(survey(one, other, node(3, None)), Wish())
        blocked(found, "two-clusters")
        assert "empty" not in found.why
        assert found.cause is not None
        assert found.cause.advice.count("mv /var/lib/etcd/member") == 2


# --- who is away, and why ---


class TestAway:
    """`--dead` is offered for what does not answer at all, never for all, and the cause is in the message."""

    def told(self, *nodes: NodeFacts, fleet_cli: str = "docker") -> tuple[str, str]:
        found = diagnose(survey(*nodes), Wish())
        blocked(found, "unaccounted")
        assert found.cause is not None
        return found.cause.message, found.cause.advice

    def engine(self, number: int, said: str) -> NodeFacts:
        return node(
            number, log(number, [(2, 20)]), cli_version=None, cli_problem=Problem("format", said), containers=()
        )

    def test_a_host_that_does_not_answer(self) -> None:
        message, advice = self.told(node(1, log(1, [(2, 20)]), containers=DOWN), node(2, None), off(3))
        assert "etcd3 is neither reachable nor declared dead" in message
        assert "no route to it" in message
        assert "--dead etcd3" in advice

    def test_an_engine_that_is_down(self) -> None:
        down = self.engine(2, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock")
        message, advice = self.told(node(1, log(1, [(2, 20)]), containers=DOWN), down, off(3))
        assert "etcd2: answers SSH, but `docker` does not: Cannot connect" in message
        assert "start the container engine" in advice
        assert "--dead etcd3" in advice
        assert "--dead etcd2" not in advice

    def test_a_user_that_may_not_talk_to_it(self) -> None:
        denied = self.engine(2, "permission denied while trying to connect to the Docker daemon socket")
        _, advice = self.told(node(1, log(1, [(2, 20)]), containers=DOWN), denied, node(3, None))
        assert "sudo = true" in advice
        assert "start the container engine" not in advice
        assert "--dead" not in advice

    def test_an_engine_that_is_not_there(self) -> None:
        none = self.engine(2, "exit code 127: sh: 1: docker: not found")
        _, advice = self.told(node(1, log(1, [(2, 20)]), containers=DOWN), none, node(3, None))
        assert "below [etcd]" in advice

    @pytest.mark.parametrize("kind", ["host-key", "login", "sudo"])
    def test_a_host_that_does_not_let_us_in(self, kind: str) -> None:
        closed = replace(off(3), problem=Problem(kind, "etcd3: its host key is not known", "compare the fingerprint"))
        message, advice = self.told(node(1, log(1, [(2, 20)]), containers=DOWN), node(2, None), closed)
        assert "its host key is not known" in message
        assert "compare the fingerprint" in advice
        assert "--dead" not in advice

    def test_nobody_answers(self) -> None:
        """Names, network, gateway: the fault is on this side, and to declare all dead would be the end."""
        nodes = [
            replace(off(n), problem=Problem("unreachable", "the name is not known", "try getent")) for n in (1, 2, 3)
        ]
        message, advice = self.told(*nodes)
        assert "the name is not known" in message
        assert "this machine's side" in advice
        assert "try getent" in advice
        assert "--dead" not in advice

    def test_a_member_that_is_no_host_is_named_as_it_is_to_be_typed(self) -> None:
        four = log(1, [(2, 20)], voters=(1, 2, 3, 0xAB))
        bare = replace(four.configuration_at_end, members=four.configuration_at_end.members[:3])
        four = replace(four, configuration=bare, configuration_at_end=bare)
        nodes = [node(1, four, containers=DOWN), node(2, None), node(3, None)]
        _, advice = self.told(*nodes)
        assert "--dead ab" in advice
        assert diagnose(survey(*nodes), Wish(frozenset({"ab"}))).remedy is Remedy.RESET


# --- whom --dead means ---


WORDS = {"etcd3": "a host", "member-three": "a member's name", "3": "its id", "0003": "its id in another spelling"}


def named() -> Survey:
    """Three members whose names are not their hosts'; the third one is off."""
    base = log(1, [(2, 20)])
    three = base.configuration_at_end
    call = {1: "member-one", 2: "member-two", 3: "member-three"}
    told = replace(three, members=tuple(replace(member, name=call[member.id]) for member in three.members))
    own = replace(base, configuration=told, configuration_at_end=told)
    return survey(node(1, own, containers=DOWN), node(2, None, containers=DOWN), off(3))


@pytest.mark.parametrize("word", WORDS)
def test_each_way_of_naming_the_dead_is_the_same(word: str) -> None:
    found = diagnose(named(), Wish(frozenset({word})))
    assert found == diagnose(named(), Wish(frozenset({"etcd3"})))
    assert found.remedy is Remedy.RESET


def test_a_member_that_is_called_as_another_ones_host_is_not_meant() -> None:
    """Names are swapped: `--dead etcd3` is the host, not the member called so on etcd1."""
    seen = named()
    first = seen.node("etcd1")
    assert first.log is not None
    told = first.log.configuration_at_end
    call = {1: "etcd3", 2: "etcd2", 3: "etcd1"}
    swapped = replace(told, members=tuple(replace(member, name=call[member.id]) for member in told.members))
    first = replace(first, log=replace(first.log, configuration=swapped, configuration_at_end=swapped))
    found = diagnose(Survey(seen.fleet, (first, *seen.nodes[1:]), seen.taken_at), Wish(frozenset({"etcd3"})))
    assert found.remedy is Remedy.RESET
    assert found.choice is not None
    assert found.choice.survivor == "etcd1"


def test_five_voters_of_which_two_are_called_by_their_ids() -> None:
    nodes = [node(n, log(n, [(2, 20)], voters=FIVE), containers=DOWN) for n in (1, 2)]
    seen = survey(*nodes, node(3, None, containers=DOWN), off(4), off(5))
    assert diagnose(seen, Wish(frozenset({"4", "5"}))).remedy is Remedy.RESET
    blocked(diagnose(seen, Wish(frozenset({"4"}))), "unaccounted")


def test_the_election_timeout_is_the_containers() -> None:
    from fleetrecover.decide.leaders import DEFAULT_ELECTION, election_timeout

    made = make_container(1, 3)
    assert isinstance(made.config, EtcdConfig)
    slow = replace(made, config=replace(made.config, election=7000))
    assert election_timeout(survey(node(1, None, containers=(slow,)), node(2, None, containers=(made,)))) == 7.0
    assert election_timeout(survey(node(1, None, containers=(replace(slow, state="exited"),)))) == DEFAULT_ELECTION
