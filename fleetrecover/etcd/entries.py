"""The entries of the log: what they ask for, and those that change the membership.

An entry is raftpb.Entry {1 type, 2 term, 3 index, 4 data}. The data of an ordinary one is an InternalRaftRequest
(api/etcdserverpb/raft_internal.proto, v3.5.16) or, for the v2 store, a raw Request (etcdserver.proto); of a conf change
it is raftpb.ConfChange, which `membership` reads.
"""

from __future__ import annotations

import re

from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd.membership import (
    Attributes,
    Change,
    ClusterVersion,
    member_from_json,
    parse_json,
    parse_member_id,
)
from fleetrecover.etcd.protobuf import BYTES, VARINT, read_varint

ENTRY_NORMAL, ENTRY_CONF_CHANGE = 0, 1

# What an entry asks for, by the first byte of its payload: the tag of InternalRaftRequest's first field. 0x08 opens a
# raw v2 Request (3.3 to 3.5), 0xa2 the header of a request whose field number is above 100.
_KINDS = {
    0x08: "v2",
    0x12: "v2",
    0x1A: "range",
    0x22: "put",
    0x2A: "delete",
    0x32: "txn",
    0x3A: "compaction",
    0x42: "lease-grant",
    0x4A: "lease-revoke",
    0x52: "alarm",
    0x5A: "lease-checkpoint",
    0xA2: "cluster",
}
# Not tags of any field, so free to mean these.
EMPTY, IS_CONF_CHANGE, OTHER, READ = 0, 1, 2, 3
_NAMES = {**_KINDS, READ: "read", EMPTY: "empty", IS_CONF_CHANGE: "conf-change"}
MAY_PUBLISH = frozenset((0x08, 0x12, 0xA2))
_MEMBERS_PREFIX = b"/0/members/"
_VERSION_PATH = b"/0/version"


def kind_of(first: int) -> int:
    """Return the kind of an ordinary entry, one byte, from the first byte of its payload."""
    return first if first in _KINDS else OTHER


MAY_READ = frozenset((0x08, 0x52))
_READ = re.compile(rb"\x08[\x80-\xff]{0,9}[\x00-\x7f]\x12\x04(?:QGET|SYNC)|\x52\x00")
"""Entries that ask or tick. A raw v2 Request {1 id, 2 method}: up to 3.4 each question to /health is such an entry. And an
AlarmRequest without an action: `etcdctl alarm list`, which our own survey asks."""


def is_read(payload: bytes) -> bool:
    """Whether an entry goes through the log only to read, or to tell the time, and changes nothing."""
    return _READ.match(payload) is not None


def kind_name(kind: int) -> str:
    """Name a kind: "put", "txn", …; "empty" for a leader's first entry; "other" for what is not known."""
    return _NAMES.get(kind, "other")


def parse_entry(name: str, data: bytes, start: int, end: int) -> tuple[int, int, int, int, int]:
    """Parse raftpb.Entry: (type, term, index, start and end of the payload in the file).

    Fast for what etcd writes, 08 type 10 term 18 index 22 length payload, of which 3.7 leaves out a type of 0; anything
    else goes the slow way.
    """
    slow = True
    kind = term = index = 0
    payload, at = end, start
    if end - start >= 6 and data[start] == 0x08 and data[start + 1] < 0x80:
        kind, at = data[start + 1], start + 2
    if end - start >= 6 and data[at] == 0x10:
        term = data[at + 1]
        at += 2
        if term >= 0x80:
            term, at = read_varint(data, at - 1, end, source=name)
        if at + 1 < end and data[at] == 0x18:
            index, at = read_varint(data, at + 1, end, source=name)
            if at == end:
                slow = False
            elif data[at] == 0x22:
                size, payload = read_varint(data, at + 1, end, source=name)
                slow = payload + size != end
    return _slow_entry(data[start:end], name, start) if slow else (kind, term, index, payload, end)


def _slow_entry(data: bytes, name: str, base: int) -> tuple[int, int, int, int, int]:
    """Parse raftpb.Entry the slow way: (type, term, index, start and end of the payload in the file)."""
    found = protobuf.message(data, {1: VARINT, 2: VARINT, 3: VARINT, 4: BYTES}, source=name, base=base)
    payload = found.get(4)
    start = payload.offset if payload else base + len(data)
    end = start + len(payload.data) if payload else start
    kind, term, index = (protobuf.number(found, which) for which in (1, 2, 3))
    return kind, term, index, start, end


def publication(data: bytes, index: int, term: int, *, source: str, base: int) -> Change | None:
    """Find a member's published name, or the cluster version, in an ordinary entry; None when it is neither.

    3.3 to 3.5 write a v2 request: a raw Request {1 id, 2 method, 3 path, 4 value} or, seldom, one in field 2 of
    InternalRaftRequest; 3.5 (version) and 3.6 (both) the fields 1300 and 1301 of InternalRaftRequest.
    """
    if data[0] == 0xA2:
        if not (b"\xa2\x51" in data or b"\xaa\x51" in data):
            return None
        found = protobuf.message(data, {1300: BYTES, 1301: BYTES}, source=source, base=base)
        if 1300 in found:
            version = protobuf.message(found[1300].data, {1: BYTES}, source=source, base=found[1300].offset)
            return ClusterVersion(index, term, protobuf.text(protobuf.content(version, 1), source=source, offset=base))
        return _member_attributes(found[1301], index, term, source) if 1301 in found else None
    if _MEMBERS_PREFIX not in data and _VERSION_PATH not in data:
        return None
    try:
        wrapped = {2: BYTES} if data[0] == 0x12 else {2: BYTES, 3: BYTES, 4: BYTES}
        found = protobuf.message(data, wrapped, source=source, base=base)
        if data[0] == 0x12:
            found = protobuf.message(found[2].data, {2: BYTES, 3: BYTES, 4: BYTES}, source=source, base=found[2].offset)
    except FormatError:
        return None
    method, path, value = (protobuf.content(found, which) for which in (2, 3, 4))
    if method != b"PUT":
        return None
    if path == _VERSION_PATH:
        return ClusterVersion(index, term, protobuf.text(value, source=source, offset=base))
    if not (path.startswith(_MEMBERS_PREFIX) and path.endswith(b"/attributes")):
        return None
    key = protobuf.text(path[len(_MEMBERS_PREFIX) : -len(b"/attributes")], source=source, offset=base)
    parsed = parse_json(value, source=source, offset=base)
    if not isinstance(parsed, dict):
        raise FormatError("a member's attributes are not an object", source=source, offset=base)
    member_id = parse_member_id(key, source=source, offset=base)
    member = member_from_json(parsed, member_id, source=source, offset=base)
    return Attributes(index, term, member.id, member.name, member.client_urls)


def _member_attributes(request: protobuf.Field, index: int, term: int, name: str) -> Attributes:
    """Parse membershippb.ClusterMemberAttrSetRequest {1 member id, 2 attributes {1 name, 2 client URLs}}."""
    outer = protobuf.message(request.data, {1: VARINT, 2: BYTES}, source=name, base=request.offset)
    published, urls = "", []
    base = outer[2].offset if 2 in outer else request.offset
    for item in protobuf.fields(protobuf.content(outer, 2), source=name, base=base):
        if item.wire == BYTES and item.number == 1:
            published = protobuf.text(item.data, source=name, offset=item.offset)
        elif item.wire == BYTES and item.number == 2:
            urls.append(protobuf.text(item.data, source=name, offset=item.offset))
    return Attributes(index, term, protobuf.number(outer, 1), published, tuple(urls))
