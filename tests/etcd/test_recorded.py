"""The readers against recorded data directories, and what etcd's own tools said of them at the time."""

from __future__ import annotations

import io
import json
import re

import pytest

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt, etcdctl, snapshot
from fleetrecover.etcd.log import Position
from fleetrecover.etcd.wal import compare_logs, raise_commit, read_log
from fleetrecover.lab.rke import version_tuple
from tests.etcd import cases

pytestmark = pytest.mark.parametrize("version", cases.VERSIONS)


def test_single_log_agrees_with_endpoint_status(version: str) -> None:
    log = cases.directories(version, "single")["n1"].log()
    (status,) = etcdctl.parse_endpoint_status(cases.text(version, "endpoint-status.json"))
    assert status.version == version
    assert log.node_id == status.header.member_id
    assert log.cluster_id == status.header.cluster_id
    assert log.hard_state.term == status.raft_term == log.last.term
    # Recorded first; since then: one put, and on 3.5 `alarm list`, which is proposed too.
    assert log.last.index > status.raft_index
    if version_tuple(version) < (3, 7):
        assert log.commit == log.last.index  # one member: the commit is written with the entry
        assert raise_commit(log) is None
    else:
        assert (
            log.commit == log.last.index - 1
        )  # written, and not flushed: even a single member may lose what it acknowledged
    assert log.torn is None
    assert log.snap_name
    assert log.configuration.cluster_version == version[:3] + ".0"


def test_single_membership_agrees_with_member_list(version: str) -> None:
    log = cases.directories(version, "single")["n1"].log()
    listed = etcdctl.parse_member_list(cases.text(version, "member-list.json"))
    assert log.configuration.members == listed.members
    assert log.configuration.voters == {member.id for member in listed.members}


def test_single_without_its_snapshots_gives_the_same_membership(version: str) -> None:
    directory = cases.directories(version, "single")["n1"]
    with_snap = directory.log()
    directory.snap = {}
    without = directory.log()
    assert with_snap.snapshot.index > 0
    assert without.snapshot == Position(0, 0)
    assert without.last == with_snap.last
    assert without.configuration == with_snap.configuration


def test_damaged_snap_makes_it_fall_back(version: str) -> None:
    directory = cases.directories(version, "single")["n1"]
    expected = directory.log()
    newest = expected.snap_name
    directory.snap[newest] = directory.snap[newest][:-1]
    log = directory.log()
    assert log.last == expected.last
    assert log.configuration == expected.configuration
    assert [name for name, _ in log.unusable_snaps] == [newest]


def test_three_configuration_agrees_with_member_list(version: str) -> None:
    listed = etcdctl.parse_member_list(cases.text(version, "member-list-added.json")).members
    before = etcdctl.parse_member_list(cases.text(version, "member-list-three.json")).members
    gone = {member.id for member in before} - {member.id for member in listed}
    for name, directory in cases.directories(version, "three").items():
        log = directory.log()
        if name == "n3":
            assert {member.id for member in log.configuration.members} == {m.id for m in before} - gone
            continue
        assert log.configuration.removed == gone
        assert {(m.id, m.peer_urls, m.learner) for m in log.configuration.members} == {
            (m.id, m.peer_urls, m.learner) for m in listed
        }
        assert log.configuration.learners == {m.id for m in listed if m.learner}
        assert log.configuration.voters == {m.id for m in listed if not m.learner}
        member = log.configuration.member(log.node_id)
        assert member is not None
        assert member.name == name


def test_three_logs_are_of_one_history(version: str) -> None:
    logs = {name: directory.log() for name, directory in cases.directories(version, "three").items()}
    for one in logs.values():
        for other in logs.values():
            agreement = compare_logs(one, other)
            assert agreement.fork is None
            assert agreement.differ_from is None


def test_another_clusters_log_is_a_fork(version: str) -> None:
    three = cases.directories(version, "three")["n1"].log()
    single = cases.directories(version, "single")["n1"].log()
    fork = compare_logs(three, single).fork
    assert fork is not None
    assert "cluster ids" in fork.reason


def test_three_killed_under_load_commit_lags_behind(version: str) -> None:
    logs = [cases.directories(version, "three")[name].log() for name in ("n1", "n2")]
    best = max(logs, key=lambda log: log.last)
    assert best.commit < best.last.index
    assert best.above_commit == {"put": best.last.index - best.commit}
    append = raise_commit(best)
    assert append is not None
    assert append.hard_state.commit == best.last.index
    assert append.hard_state.vote == best.hard_state.vote
    assert (append.segment, append.offset, append.cut) == (best.tail.segment, best.tail.offset, False)
    assert len(append.data) in (32, 40)


def test_three_every_acknowledged_write_is_in_the_best_log(version: str) -> None:
    acknowledged = json.loads(cases.text(version, "three-acknowledged.json"))
    directories = cases.directories(version, "three")
    best = max(("n1", "n2"), key=lambda name: directories[name].log().last)
    content = b"".join(directories[best].wal.values())
    for writer, last in acknowledged.items():
        seen = {int(number) for number in re.findall(rf"{writer}-([0-9]+)\x12\x14xxx".encode(), content)}
        assert set(range(last + 1)) <= seen


def test_raised_commit_is_read_back(version: str) -> None:
    for directory in cases.directories(version, "three").values():
        log = directory.log()
        append = raise_commit(log)
        if append is None:
            continue
        content = directory.wal[append.segment]
        end = append.offset + len(append.data)
        directory.wal[append.segment] = content[: append.offset] + append.data + content[end:]
        raised = directory.log()
        assert raised.hard_state == append.hard_state
        assert raised.last == log.last
        assert raised.above_commit == {}
        assert raised.configuration == log.configuration_at_end
        assert raised.tail.offset == end
        assert raise_commit(raised) is None


def test_truncated_anywhere_it_is_torn_or_whole(version: str) -> None:
    directory = cases.directories(version, "single")["n1"]
    (name,) = directory.wal
    directory.snap = {}
    whole = directory.log()
    content = directory.wal[name]
    for size in range(400, whole.tail.offset, 41):
        directory.wal[name] = content[:size]
        log = directory.log()
        assert log.tail.offset <= size
        assert (log.torn is None) == (log.tail.offset == size)
        assert log.last <= whole.last


def test_db_agrees_with_etcd(version: str) -> None:
    directory = cases.directories(version, "three")["n1"]
    log = directory.log()
    facts = bbolt.read_facts(snapshot.reader(directory.db), count_keys=True)
    assert log.snapshot.index <= facts.consistent_index <= log.last.index
    assert facts.revision == (facts.keys or 0) + 1  # nothing was deleted there
    assert facts.cluster_version == version[:3] + ".0"
    assert facts.stable
    assert {member.id for member in facts.members} == {member.id for member in log.configuration.members}
    assert facts.removed == log.configuration.removed
    if version_tuple(version) >= (3, 5):
        assert facts.term == log.last.term
        assert facts.conf_state is not None
        assert set(facts.conf_state.voters) == log.configuration.voters
    else:
        assert facts.term is None
        assert facts.conf_state is None


def test_snapshot_agrees_with_snapshot_status(version: str) -> None:
    content = cases.file(version, "single", "snapshot.db")
    said = etcdctl.parse_snapshot_status(cases.text(version, "snapshot-status.json"))
    facts = snapshot.read_snapshot(io.BytesIO(content), full=True)
    assert facts.checksum.present
    assert facts.checksum.sound
    assert facts.status is not None
    assert facts.status.hash == said.hash
    assert facts.status.revision == said.revision == facts.db.revision
    if version_tuple(version) < (3, 6):
        assert facts.status.total_keys == said.total_key
    else:
        assert facts.status.total_keys > said.total_key == 9  # names that live
        assert facts.db.storage_version == said.version == version[:3] + ".0"
    assert facts.status.total_size == said.total_size == facts.db.size
    (hashed,) = etcdctl.parse_endpoint_hashkv(cases.text(version, "endpoint-hashkv.json"))
    assert facts.db.compact_revision == hashed.compact_revision == 15


def test_flipped_byte_of_a_snapshot_is_seen(version: str) -> None:
    content = bytearray(cases.file(version, "single", "snapshot.db"))
    content[-100] ^= 1
    assert not snapshot.verify(io.BytesIO(bytes(content))).sound


def test_no_flipped_bit_goes_unnoticed(version: str) -> None:
    """Any bit of the records: damage, or the same log when it is a bit of the padding. Never a shorter log."""
    directory = cases.directories(version, "single")["n1"]
    ((name, content),) = directory.wal.items()
    whole = read_log([(name, content)])
    same = 0
    for offset in range(whole.tail.offset):
        data = bytearray(content)
        data[offset] ^= 1 << (offset * 5 % 8)
        try:
            log = read_log([(name, bytes(data))])
        except FormatError as error:
            assert error.source == name
            continue
        same += 1
        assert (log.last, log.hard_state, log.torn) == (whole.last, whole.hard_state, None)
        assert log.entries.digests == whole.entries.digests
    assert 0 < same < whole.tail.offset // 6
