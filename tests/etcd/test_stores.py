"""The members by the log against the members in the database: recorded data, logs in a line, and real etcd that breaks."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt, snapshot
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import ConfChange, Member, VoterChange
from fleetrecover.etcd.stores import Differences, differences, named
from fleetrecover.etcd.wal import load_log
from tests.decide.logs import log
from tests.decide.surveys import database
from tests.etcd import binaries, cases
from tests.etcd.cluster import Cluster, Node
from tests.etcd.writers import cluster as cluster_of_three
from tests.etcd.writers import conf_change


def member(number: int, *, learner: bool = False) -> Member:
    return Member(number, f"etcd{number}", (f"https://10.0.0.{number}:2380",), (), learner)


def db(*members: Member, applied: int = 20, removed: frozenset[int] = frozenset()) -> DbFacts:
    return replace(database(10, applied=applied), members=members, removed=removed)


WHOLE = (member(1), member(2), member(3))


class TestDifferences:
    def test_none_where_both_agree(self) -> None:
        assert differences(log(1, [(2, 20)]), db(*WHOLE)) == Differences()

    def test_a_removed_member_is_a_ghost(self) -> None:
        found = log(1, [(2, 20)], voters=(1,), removed=(2, 3), removed_at={2: 18, 3: 19})
        assert [m.id for m in differences(found, db(*WHOLE)).ghosts] == [2, 3]

    def test_it_is_none_before_the_database_has_applied_the_removal(self) -> None:
        found = log(1, [(2, 20)], voters=(1,), removed=(2, 3), removed_at={2: 18, 3: 19})
        assert differences(found, db(*WHOLE, applied=17)) == Differences()

    def test_of_whom_the_log_has_never_heard_is_a_ghost_unless_the_database_is_further(self) -> None:
        stranger = (*WHOLE, member(9))
        assert [m.id for m in differences(log(1, [(2, 20)]), db(*stranger)).ghosts] == [9]
        assert not differences(log(1, [(2, 20)]), db(*stranger, applied=21)).ghosts

    def test_a_voter_that_stands_there_as_a_learner(self) -> None:
        stored = db(member(1), member(2, learner=True), member(3))
        promoted = log(1, [(2, 20)], changes=[VoterChange(15, 2, joined=True)])
        assert [m.id for m in differences(promoted, stored).stale_learners] == [2]
        learner = log(1, [(2, 20)], voters=(1, 3), learners=(2,))
        assert differences(learner, stored) == Differences()

    def test_a_promotion_that_is_not_applied_yet_is_not_stale_but_where_it_is_never_written(self) -> None:
        stored = db(member(1), member(2, learner=True), member(3), applied=14)
        promoted = log(1, [(2, 20)], changes=[VoterChange(15, 2, joined=True)])
        assert not differences(promoted, stored).stale_learners
        assert [m.id for m in differences(promoted, stored, forgets=True).stale_learners] == [2]

    def test_a_promotion_above_commit_counts_once_it_is_applied(self) -> None:
        above = ConfChange(20, 2, "promote", 2, member(2))
        found = log(1, [(2, 20)], commit=19, voters=(1, 3), learners=(2,), above=[above], voters_at_end=(1, 2, 3))
        found = replace(found, configuration_at_end=log(1, [(2, 20)]).configuration)
        stored = db(member(1), member(2, learner=True), member(3))
        assert [m.id for m in differences(found, stored).stale_learners] == [2]
        assert not differences(found, replace(stored, consistent_index=19)).stale_learners

    def test_a_member_that_is_not_there_is_missing_unless_it_was_removed_since(self) -> None:
        assert [m.id for m in differences(log(1, [(2, 20)]), db(member(1), member(2))).missing] == [3]
        assert not differences(log(1, [(2, 20)]), db(member(1), member(2), removed=frozenset({3}))).missing

    def test_another_peer_url(self) -> None:
        old = replace(member(3), peer_urls=("https://10.9.9.9:2380",))
        assert [m.peer_urls for m in differences(log(1, [(2, 20)]), db(*WHOLE[:2], old)).moved] == [member(3).peer_urls]
        assert not differences(log(1, [(2, 20)]), db(*WHOLE[:2], old, applied=25)).moved  # it may have moved since

    def test_a_database_without_members_says_nothing(self) -> None:
        assert differences(log(1, [(2, 20)]), db()) == Differences()


@pytest.mark.parametrize("version", [each for each in cases.VERSIONS if each >= "3.5"])
def test_recorded_etcds_agree_with_themselves(version: str) -> None:
    """Snapshots, a removal, a learner, a snapshot that was received: nothing is wrong with them."""
    for directory in cases.directories(version, "three").values():
        facts = bbolt.read_facts(snapshot.reader(directory.db))
        assert differences(directory.log(), facts) == Differences()


# --- a log without its .snap file ---


def without_snap(commit: int = 20) -> Log:
    """A second segment alone, in which a record says who votes at 15; member 2 is removed after it."""
    writer = cluster_of_three().entries(2, 4, 10).open(11).entries(2, 11, 18)
    writer.snapshot(2, 15, voters=(1, 2, 3), learners=(4,))
    writer.change(2, 19, conf_change(1, 2)).entries(2, 20, 20).state(2, 1, commit)
    segments = dict(writer.done()[1:])
    sizes = {name: len(data) for name, data in segments.items()}
    return load_log(sizes, {}, lambda needed: ([(name, segments[name]) for name in needed.segments], []))


def test_the_newest_snapshot_record_is_a_base_and_the_database_has_the_names() -> None:
    found = without_snap()
    assert (found.by_record, found.snapshot.index, found.last.index, found.complete) == (True, 15, 20, False)
    assert found.configuration.voters == {1, 3}
    assert found.configuration.learners == {4}
    assert found.configuration.removed == {2}
    stored = db(member(1), member(3), member(4, learner=True), removed=frozenset({2, 7}))
    filled = named(found, replace(stored, storage_version="3.7.0"))
    assert [(m.id, m.name, m.learner) for m in filled.configuration.members] == [
        (1, "etcd1", False),
        (3, "etcd3", False),
        (4, "etcd4", True),
    ]
    assert filled.configuration.removed == {2, 7}
    assert filled.configuration_at_end == filled.configuration


@pytest.mark.parametrize("version", ["", "3.6.0"])
def test_an_etcd_before_3_7_does_not_start_so(version: str) -> None:
    with pytest.raises(FormatError, match=r"before 3\.7"):
        named(without_snap(), replace(db(*WHOLE), storage_version=version))
    with pytest.raises(FormatError, match=r"before 3\.7"):
        named(without_snap(), None)


def test_a_record_above_commit_is_no_base() -> None:
    with pytest.raises(FormatError, match="no usable snapshot"):
        without_snap(commit=14)


# --- real etcd ---


def read(node: Node) -> tuple[Log, DbFacts]:
    found = inspect(node.data)
    assert isinstance(found.log, Log)
    assert isinstance(found.db, DbFacts)
    return found.log, found.db


def settled(cluster: Cluster) -> list[Differences]:
    """What is wrong on each, once all that was written is on the disk; etcd commits every 100 ms."""
    cluster.ctl("put", "later", "x")
    time.sleep(0.5)
    return [differences(*read(node)) for node in cluster.nodes]


def become(cluster: Cluster, version: str) -> None:
    """A rolling upgrade."""
    for node in cluster.nodes:
        cluster.stop(node)
        cluster.version = version
        cluster.start(node)
        cluster.wait([node])


def dies(cluster: Cluster, node: Node, version: str) -> str:
    """That the member does not start on another version; its last words."""
    cluster.stop(node)
    cluster.version = version
    cluster.start(node)
    assert node.process is not None
    assert node.process.wait(30) != 0
    return cluster.log(node)


@pytest.mark.lab
def test_promotions_of_3_5_16_stop_3_6_and_are_found_before_and_cured_by_3_5_30(tmp_path: Path) -> None:
    """What a join as a learner leaves behind, ours too."""
    with Cluster("3.5.16", tmp_path, size=1) as cluster:
        cluster.start_all()
        for name in ("n2", "n3"):
            promoted(cluster, name)
        for found in settled(cluster):
            assert sorted(m.name for m in found.stale_learners) == ["n2", "n3"]
            assert replace(found, stale_learners=()) == Differences()
        assert "too many learner members" in dies(cluster, cluster.nodes[0], binaries.BUILT[0])
        become(cluster, "3.5.30")
        left = settled(cluster)[2]
        assert [m.name for m in left.stale_learners] == ["n2"]  # n3 was still on 3.5.16 when n2 published itself
        become(cluster, "3.5.30")
        assert settled(cluster) == [Differences()] * 3
        become(cluster, binaries.BUILT[0])
        assert settled(cluster) == [Differences()] * 3
        assert not any(m.get("isLearner") for m in cluster.json("member", "list")["members"])


def promoted(cluster: Cluster, name: str) -> None:
    """Add a member as a learner and promote it, as soon as etcd takes it."""
    node = cluster.new_node(name)
    add = ("member", "add", name, f"--peer-urls={node.peer}", "--learner", "-w", "json")
    added = insist(cluster, *add)
    cluster.start(node, state="existing")
    number = re.search(r'"ID":(\d+)', added.partition('"member"')[2])
    assert number
    insist(cluster, "member", "promote", format(int(number[1]), "x"))
    cluster.wait([node])


def insist(cluster: Cluster, *words: str) -> str:
    """The strict reconfiguration check wants five seconds of connection."""
    for _ in range(60):
        done = cluster.ctl(*words, check=False)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.25)
    raise AssertionError(done.stderr)


@pytest.mark.lab
def test_a_ghost_of_a_forced_3_5_16_kills_3_6_and_is_found_before_and_cured_by_3_5_30(tmp_path: Path) -> None:
    """A reset by hand: its removals stand at indexes that the database has applied already."""
    with Cluster("3.5.16", tmp_path, size=3) as cluster:
        survivor = ahead_of_its_commit(cluster)
        cluster.nodes = [survivor]
        cluster.start(survivor, "--force-new-cluster")
        for _ in range(8):  # whatever stands at an index that is applied already is skipped, and its put waits in vain
            if cluster.ctl("put", "x", "y", check=False, timeout=15).returncode == 0:
                break
        cluster.stop(survivor)
        cluster.start(survivor)
        [found] = settled(cluster)
        assert found.ghosts
        assert replace(found, ghosts=()) == Differences()
        kept = tmp_path / "kept"
        cluster.stop(survivor)
        subprocess.run(["cp", "-a", str(survivor.data), str(kept)], check=True)
        become(cluster, binaries.BUILT[0])
        ghost = format(found.ghosts[0].id, "x")
        assert ghost in cluster.ctl("member", "list").stdout
        assert cluster.ctl("member", "remove", ghost, check=False).returncode != 0
        assert survivor.process is not None
        assert survivor.process.wait(30) != 0
        assert "failed to delete member from store" in cluster.log(survivor)
        survivor.data = kept
        become(cluster, "3.5.30")
        assert settled(cluster) == [Differences()]
        become(cluster, binaries.BUILT[0])
        assert settled(cluster) == [Differences()]
        assert len(cluster.json("member", "list")["members"]) == 1


def ahead_of_its_commit(cluster: Cluster) -> Node:
    """Kill all in the moment when a database has applied more than its log says to be decided."""
    cluster.start_all()
    etcdctl = str(binaries.find(cluster.version, "etcdctl"))
    for _ in range(12):
        puts = [
            subprocess.Popen([etcdctl, f"--endpoints={cluster.nodes[0].client}", "put", f"k{n}", "v"], stdout=-3)
            for n in range(14)
        ]
        for put in puts:
            put.wait()
        time.sleep(0.5)
        cluster.kill_all()
        survivor = max(cluster.nodes, key=lambda node: read(node)[0].last)
        found, facts = read(survivor)
        if facts.consistent_index > found.commit:
            return survivor
        for node in cluster.nodes:
            cluster.stop(node, signal.SIGKILL)
        cluster.start_all()
    raise AssertionError("twelve times the commit was on the disk")
