"""protobuf, .snap, bbolt, snapshot files and etcdctl's JSON, at their edges."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt, etcdctl, protobuf, snapshot
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.frames import frame_record
from fleetrecover.etcd.membership import hex_id, parse_member_id
from fleetrecover.etcd.snap import parse_name, read_snap
from tests.etcd import cases
from tests.etcd.writers import DbWriter, bytes_field, etcd_db, revision, snap, varint_field

# -- protobuf and checksums


def test_crc32c_is_castagnoli_and_chains() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


@given(st.integers(0, protobuf.MASK64))
def test_varint_round_trip(value: int) -> None:
    data = protobuf.write_varint(value)
    assert protobuf.read_varint(data, 0, len(data)) == (value, len(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80", "cut off"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "longer than ten bytes"),
        (b"\x00\x01", "field number 0"),
        (b"\x0b", "wire type 3"),
        (b"\x0a\x05abc", "claims 5 bytes, 3 are left"),
        (b"\x09\x01", "claims 8 bytes"),
    ],
)
def test_bad_fields_name_their_offset(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        list(protobuf.fields(data, source="x", base=100))
    assert caught.value.offset is not None
    assert caught.value.offset >= 100


def test_wrong_wire_type_is_refused() -> None:
    with pytest.raises(FormatError, match="wire type 2, not 0"):
        protobuf.message(bytes_field(1, b"x"), {1: protobuf.VARINT})


def test_frame_is_padded_to_eight() -> None:
    for size in range(40):
        data = frame_record(2, bytes(size), 1 << 31)
        assert len(data) % 8 == 0


@pytest.mark.parametrize("text", ["", "xyz", "0x12", "1" * 17, "-1", "\u0663", "AB"])
def test_member_ids(text: str) -> None:
    with pytest.raises(FormatError):
        parse_member_id(text)


def test_hex_id_round_trip() -> None:
    assert hex_id(443629905751424238) == "628170c800dbcee"
    assert parse_member_id("628170c800dbcee") == 443629905751424238


# -- .snap


def test_snap() -> None:
    found = read_snap(*snap(3, 20, [(1, "n1", False), (4, "n4", True)], removed=[2]))
    assert (found.term, found.index) == (3, 20)
    assert found.configuration.voters == {1}
    assert found.configuration.learners == {4}
    assert found.removed == {2}
    assert [(member.name, member.learner) for member in found.members] == [("n1", False), ("n4", True)]


def test_snap_names() -> None:
    assert parse_name("0000000000000003-0000000000000014.snap") == (3, 20)
    for name in ("0000000000000014.snap.db", "0000000000000003-0000000000000014.snap.broken", "db", "tmp1"):
        assert parse_name(name) is None


def test_any_flip_in_a_snap_is_seen() -> None:
    name, data = snap(3, 20)
    for offset in range(len(data)):
        with pytest.raises(FormatError) as caught:
            read_snap(name, data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :])
        assert caught.value.source == name


@pytest.mark.parametrize(
    "store",
    [b"", b"[]", b"{", b'{"Root":[]}', b'{"Root":{"Children":{"0":1}}}', b"[" * 200_000, b'{"a":' + b"9" * 5000 + b"}"],
)
def test_snap_with_a_strange_store(store: bytes) -> None:
    body = bytes_field(1, store) + bytes_field(2, varint_field(2, 5) + varint_field(3, 1))
    with pytest.raises(FormatError):
        read_snap("x", varint_field(1, crc32c(body)) + bytes_field(2, body))


# -- bbolt


class Recorder:
    """A reader of bytes that counts the batches."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.batches: list[Sequence[tuple[int, int]]] = []

    def __call__(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.batches.append(ranges)
        return [self.data[offset : offset + size] for offset, size in ranges]


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
@pytest.mark.parametrize("keys", [0, 1, 50, 5000])
def test_db(inline: bool, page_size: int, keys: int) -> None:
    read = Recorder(etcd_db(keys, 12, inline=inline, page_size=page_size))
    facts = bbolt.read_facts(read)
    assert facts.page_size == page_size
    assert facts.txid == 7
    assert facts.consistent_index == 12
    assert facts.term == 3
    assert facts.revision == max(1, keys + 1)
    assert facts.compact_revision == -1
    assert facts.conf_state is not None
    assert facts.conf_state.voters == (1,)
    assert [(member.id, member.name) for member in facts.members] == [(1, "n1")]
    assert facts.removed == {2}
    assert facts.alarms == (bbolt.Alarm(1, "NOSPACE"),)
    assert not facts.auth_enabled
    assert facts.stable
    assert len(read.batches) <= 5
    assert bbolt.read_facts(read, count_keys=True).keys == keys


def test_values_on_overflow_pages() -> None:
    data = DbWriter().build({b"key": {revision(9, 1, True): b"x" * 30_000}, b"meta": {b"consistent_index": bytes(8)}})
    assert bbolt.read_facts(Recorder(data)).revision == 9
    assert snapshot.status(io.BytesIO(data)).total_keys == 2


def test_compaction_of_everything_keeps_the_revision() -> None:
    data = DbWriter().build(
        {b"key": {}, b"meta": {b"finishedCompactRev": revision(40), b"scheduledCompactRev": revision(41)}}
    )
    facts = bbolt.read_facts(Recorder(data))
    assert (facts.revision, facts.compact_revision, facts.scheduled_compact_revision) == (40, 40, 41)


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        (b'{"target-version":"3.4.0","enabled":true}', True),
        (b'{"target-version":"","enabled":false}', False),
        (b"", False),
    ],
)
def test_a_downgrade_that_was_enabled(value: bytes, enabled: bool) -> None:
    """As 3.5.16 writes it (membership.DowngradeInfo)."""
    data = DbWriter().build({b"key": {}, b"meta": {}, b"cluster": {b"clusterVersion": b"3.5.0", b"downgrade": value}})
    facts = bbolt.read_facts(Recorder(data))
    assert (bool(facts.downgrade), facts.cluster_version) == (enabled, "3.5.0")


def test_older_meta_counts_when_the_newer_is_damaged() -> None:
    data = bytearray(etcd_db())
    assert bbolt.read_facts(Recorder(bytes(data))).txid == 7
    data[4096 + 40] ^= 1
    assert bbolt.read_facts(Recorder(bytes(data))).txid == 6
    data[40] ^= 1
    with pytest.raises(FormatError, match="checksum"):
        bbolt.read_facts(Recorder(bytes(data)))


def test_first_meta_damaged_page_size_is_found_from_the_second() -> None:
    data = bytearray(etcd_db(page_size=16384))
    data[:100] = bytes(100)
    assert bbolt.read_facts(Recorder(bytes(data))).page_size == 16384


def test_cut_off_file() -> None:
    data = etcd_db(500)
    with pytest.raises(FormatError, match="cut off"):
        bbolt.read_facts(Recorder(data), size=len(data) - 4096)
    with pytest.raises(FormatError, match="cut off"):
        bbolt.read_facts(Recorder(data[:-4096]))


def test_database_of_something_else() -> None:
    data = DbWriter().build({b"services": {b"a": b"b"}})
    with pytest.raises(FormatError, match="not etcd's"):
        bbolt.read_facts(Recorder(data))


@pytest.mark.parametrize("data", [b"", bytes(70_000), b"\xff" * 70_000, b"SQLite format 3\0" * 5000])
def test_no_database(data: bytes) -> None:
    with pytest.raises(FormatError):
        bbolt.read_facts(Recorder(data))


def test_circles_end() -> None:
    writer = DbWriter(inline=False)
    data = bytearray(writer.build({b"key": {revision(n): b"x" * 100 for n in range(500)}, b"meta": {}}))
    branch = next(page for page, content in writer.pages.items() if content[8:10] == b"\x01\0")
    head, count = branch * 4096, int.from_bytes(data[branch * 4096 + 10 : branch * 4096 + 12], "little")
    for element in range(count):
        struct.pack_into("<Q", data, head + 16 + 16 * element + 8, branch)
    with pytest.raises(FormatError, match="part of each other"):
        bbolt.read_facts(Recorder(bytes(data)))
    with pytest.raises(FormatError, match=r"circle|part of each other"):
        snapshot.status(io.BytesIO(bytes(data)))


def test_etcd_writes_meanwhile() -> None:
    one, other = etcd_db(consistent_index=5), bytearray(etcd_db(consistent_index=6))
    writer = DbWriter()
    (root,) = struct.unpack_from("<Q", other, 4096 + 32)
    (high,) = struct.unpack_from("<Q", other, 4096 + 56)
    later = writer.meta(1, root, high, 9)
    other[4096 : 4096 + len(later)] = later
    calls = 0

    def changing(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        nonlocal calls
        calls += 1
        data = one if calls == 1 else bytes(other)
        return [data[offset : offset + size] for offset, size in ranges]

    facts = bbolt.read_facts(changing)
    assert (facts.consistent_index, facts.txid, facts.stable) == (6, 9, True)
    calls = 0
    assert not bbolt.read_facts(changing, attempts=1).stable


def test_reader_that_answers_too_little() -> None:
    with pytest.raises(FormatError, match="came back"):
        bbolt.read_facts(lambda ranges: [])


# -- snapshot files


def test_snapshot_with_and_without_checksum() -> None:
    data = etcd_db(300)
    bare = snapshot.read_snapshot(io.BytesIO(data))
    assert not bare.checksum.present
    assert bare.checksum.sha256 == hashlib.sha256(data).hexdigest()
    told: list[int] = []
    whole = data + hashlib.sha256(data).digest()
    assert snapshot.verify(io.BytesIO(whole), told.append) == snapshot.Checksum(True, True, bare.checksum.sha256)
    assert sum(told) == len(data)
    facts = snapshot.read_snapshot(io.BytesIO(whole), full=True)
    assert facts.status is not None
    assert facts.status.revision == 301
    assert facts.status.total_keys == 300 + 9


def test_cut_snapshot() -> None:
    data = etcd_db(300)
    with pytest.raises(FormatError, match="cut off"):
        snapshot.read_snapshot(io.BytesIO(data[:-8192]))


# -- etcdctl


def recorded(version: str, name: str) -> str:
    text: str = json.loads(cases.text(version, f"{name}.recorded.json"))["stdout"]
    return text


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_etcdctl_of_every_version(version: str) -> None:
    def text(name: str) -> str:
        return cases.text(version, name)

    (status,) = etcdctl.parse_endpoint_status(text("endpoint-status.json"))
    assert status.leader == status.header.member_id > 0
    assert status.db_size > 0
    assert (status.db_size_in_use > 0) == (version > "3.4")
    (health,) = etcdctl.parse_endpoint_health(text("endpoint-health.json"))
    assert health.healthy
    assert health.took is not None
    assert 0 < health.took < 5
    (as_text,) = etcdctl.parse_endpoint_health(text("endpoint-health.txt"))
    assert as_text.healthy
    assert as_text.took is not None
    (hashed,) = etcdctl.parse_endpoint_hashkv(text("endpoint-hashkv.json"))
    assert hashed.hash > 0
    assert etcdctl.parse_alarm_list(text("alarm-list.json")) == ()
    got = etcdctl.parse_get(text("get.json"))
    assert (got.count, got.keys) == (1, ("a2V5LTE=",))
    assert got.header.revision == status.header.revision
    assert etcdctl.parse_get(text("get-absent.json")).count == 0
    added = etcdctl.parse_member_add(text("member-add.json"))
    assert added.member in added.members
    assert added.member.name == ""
    assert added.member.learner == (version > "3.4")
    listed = etcdctl.parse_member_list(text("member-list-added.json"))
    assert len(listed.members) == 3
    (of_added,) = etcdctl.parse_endpoint_status(text("endpoint-status-n4.json"))
    assert of_added.is_learner == (version > "3.4")
    assert len(etcdctl.parse_member_list(text("member-remove.json")).members) == 2


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_etcdctl_without_quorum(version: str) -> None:
    (status,) = etcdctl.parse_endpoint_status(recorded(version, "lost-endpoint-status"))
    assert status.leader == 0
    assert status.errors == (("etcdserver: no leader",) if version > "3.4" else ())
    (health,) = etcdctl.parse_endpoint_health(recorded(version, "lost-endpoint-health"))
    assert not health.healthy
    assert "deadline" in health.error
    (hashed,) = etcdctl.parse_endpoint_hashkv(recorded(version, "lost-endpoint-hashkv"))
    assert hashed.compact_revision == -1
    assert etcdctl.parse_get(recorded(version, "lost-get-serializable")).count == 1


def test_unhealthy_as_text() -> None:
    (health,) = etcdctl.parse_endpoint_health(
        "http://1:2379 is unhealthy: failed to commit proposal: context deadline exceeded\nError: unhealthy cluster\n"
    )
    assert health == etcdctl.EndpointHealth(
        "http://1:2379", False, None, "failed to commit proposal: context deadline exceeded"
    )


def test_alarms() -> None:
    text = '{"header":{},"alarms":[{"memberID":10276657743932975437,"alarm":1},{"memberID":2,"alarm":2}]}'
    assert etcdctl.parse_alarm_list(text) == (
        bbolt.Alarm(10276657743932975437, "NOSPACE"),
        bbolt.Alarm(2, "CORRUPT"),
    )


@pytest.mark.parametrize(
    "parse",
    [
        etcdctl.parse_endpoint_status,
        etcdctl.parse_endpoint_health,
        etcdctl.parse_endpoint_hashkv,
        etcdctl.parse_member_list,
        etcdctl.parse_member_add,
        etcdctl.parse_alarm_list,
        etcdctl.parse_snapshot_status,
        etcdctl.parse_get,
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Error: context deadline exceeded",
        "[1]",
        "3",
        '{"header":[],"members":3,"alarms":3,"hash":"x","kvs":{}}',
        '[{"Endpoint":3,"endpoint":3}]',
        "[" * 100_000,
        '[{"Status":{"leader":1.5},"HashKV":{"hash":1e3},"endpoint":"x","health":"yes"}]',
    ],
)
def test_etcdctl_rubbish(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(FormatError):
        parse(text)


# -- members and states as others have them

ID = 2**63 + 5


@pytest.mark.parametrize(
    ("row", "name", "learner"),
    [
        ({"ID": ID, "name": "node 1", "peerURLs": ["http://a:2380"], "clientURLs": ["http://a:2379"]}, "node 1", False),
        ({"ID": ID, "peerURLs": ["http://a:2380"], "isLearner": True}, "", True),
        ({"ID": str(ID), "name": "etcd-ü/1", "peerURLs": ["http://[::1]:2380", "http://b:2380"]}, "etcd-ü/1", False),
        ({"ID": ID, "name": None, "peerURLs": None, "clientURLs": None, "isLearner": None}, "", False),
        ({"ID": ID, "name": "x", "newInEtcd4": {"a": [1]}, "peerURLs": []}, "x", False),
    ],
)
def test_members_as_they_are_named(row: dict[str, object], name: str, learner: bool) -> None:
    text = json.dumps({"header": {"cluster_id": 2**64 - 1}, "members": [row]})
    found = etcdctl.parse_member_list(text)
    [member] = found.members
    assert (member.id, member.name, member.learner) == (ID, name, learner)
    assert found.header.cluster_id == 2**64 - 1


@pytest.mark.parametrize(
    "more",
    [
        {"storageVersion": "3.6.0", "dbSizeQuota": 2147483648, "downgradeInfo": {}},
        {"downgradeInfo": {"enabled": True, "target_version": "3.5.0"}, "errors": None, "isLearner": False},
        {"dbSizeQuota": str(2**62), "raftAppliedIndex": "8", "errors": ["memberID:1 alarm:NOSPACE "]},
        {"header": {"cluster_id": str(ID), "member_id": ID, "raft_term": 2}, "notKnownYet": [[[]]]},
    ],
)
def test_status_of_later_versions(more: dict[str, object]) -> None:
    body: dict[str, object] = {
        "header": {"cluster_id": ID, "member_id": ID, "revision": 5},
        "version": "3.6.4",
        "leader": ID,
    }
    (status,) = etcdctl.parse_endpoint_status(json.dumps([{"Endpoint": "x", "Status": body | more}]))
    assert (status.version, status.leader, status.header.member_id, status.header.cluster_id) == ("3.6.4", ID, ID, ID)
    assert not status.is_learner
