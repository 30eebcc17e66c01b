"""Writers of etcd's formats, for histories that a real etcd would not write on demand."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fleetrecover.etcd.bbolt import fnv64a
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.frames import CRC, ENTRY, METADATA, SNAPSHOT, STATE, frame_record
from fleetrecover.etcd.protobuf import write_varint

SEGMENT = 1 << 16


def varint_field(number: int, value: int) -> bytes:
    return write_varint(number << 3) + write_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value


def put(key: str, value: str = "v") -> bytes:
    """An InternalRaftRequest that puts a key."""
    request = bytes_field(1, key.encode()) + bytes_field(2, value.encode())
    return bytes_field(4, request) + bytes_field(100, varint_field(1, 7))


def conf_change(kind: int, member_id: int, member: dict[str, Any] | None = None, *, request: int = 1) -> bytes:
    """A raftpb.ConfChange: kind 0 add, 1 remove, 2 update, 3 add learner. `request`: its id, 0 for what a forced reset writes."""
    context = bytes_field(4, json.dumps({"id": member_id, **member}).encode()) if member is not None else b""
    return varint_field(1, request) + varint_field(2, kind) + varint_field(3, member_id) + context


def add(member_id: int, name: str = "", **more: Any) -> bytes:
    return conf_change(0, member_id, {"peerURLs": [f"http://{member_id}:2380"], "name": name, **more})


@dataclass
class WalWriter:
    """Builds segments record by record, as etcd's encoder does."""

    node_id: int = 1
    cluster_id: int = 9
    size: int = SEGMENT
    crc: int = 0
    segments: list[tuple[str, bytearray]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    def open(self, index: int = 0) -> WalWriter:
        """Begin a segment; the first gets the empty snapshot record that etcd writes."""
        first = not self.segments
        self.segments.append((f"{len(self.segments):016x}-{index:016x}.wal", bytearray()))
        self.record(CRC, b"")
        self.record(METADATA, varint_field(1, self.node_id) + varint_field(2, self.cluster_id))
        if first:
            self.snapshot(0, 0)
        return self

    def record(self, kind: int, data: bytes) -> WalWriter:
        if kind != CRC:
            self.crc = crc32c(data, self.crc)
        content = self.segments[-1][1]
        self.offsets.append(len(content))
        content += frame_record(kind, data, self.crc)
        return self

    def entry(self, term: int, index: int, data: bytes = b"", kind: int = 0) -> WalWriter:
        payload = bytes_field(4, data) if data else b""
        return self.record(ENTRY, varint_field(1, kind) + varint_field(2, term) + varint_field(3, index) + payload)

    def change(self, term: int, index: int, data: bytes) -> WalWriter:
        return self.entry(term, index, data, kind=1)

    def state(self, term: int, vote: int, commit: int) -> WalWriter:
        return self.record(STATE, varint_field(1, term) + varint_field(2, vote) + varint_field(3, commit))

    def snapshot(self, term: int, index: int, voters: Sequence[int] = (), learners: Sequence[int] = ()) -> WalWriter:
        state = b"".join(varint_field(1, voter) for voter in voters)
        state += b"".join(varint_field(2, learner) for learner in learners)
        more = bytes_field(3, state) if voters else b""
        return self.record(SNAPSHOT, varint_field(1, index) + varint_field(2, term) + more)

    def entries(self, term: int, first: int, last: int) -> WalWriter:
        for index in range(first, last + 1):
            self.entry(term, index, put(f"key-{index}"))
        return self

    def done(self) -> list[tuple[str, bytes]]:
        """The segments; the last one with its preallocated zeros."""
        *before, last = self.segments
        full = bytes(last[1]) + bytes(max(0, self.size - len(last[1])))
        return [*((name, bytes(content)) for name, content in before), (last[0], full)]


def cluster(members: int = 3, **options: Any) -> WalWriter:
    """A WAL that opens as a new cluster's does: one conf change per member, all of term 1."""
    writer = WalWriter(**options).open()
    for member_id in range(1, members + 1):
        writer.change(1, member_id, add(member_id, f"n{member_id}"))
    return writer.state(1, 0, members)


def v2store(members: Iterable[tuple[int, str, bool]], removed: Iterable[int] = (), version: str = "3.4.0") -> bytes:
    """The v2 store with (id, name, learner) of each member."""

    def node(**children: Any) -> dict[str, Any]:
        return {"Children": children}

    listed = {
        format(member_id, "x"): node(
            raftAttributes={"Value": json.dumps({"peerURLs": [f"http://{member_id}:2380"], "isLearner": learner})},
            attributes={"Value": json.dumps({"name": name})},
        )
        for member_id, name, learner in members
    }
    gone = {format(member_id, "x"): {"Value": "removed"} for member_id in removed}
    store = {"0": node(members=node(**listed), removed_members=node(**gone), version={"Value": version})}
    return json.dumps({"Root": node(**store)}).encode()


def snap(
    term: int,
    index: int,
    members: Sequence[tuple[int, str, bool]] = ((1, "n1", False), (2, "n2", False), (3, "n3", False)),
    removed: Iterable[int] = (),
) -> tuple[str, bytes]:
    """A `.snap` file: its name and content."""
    conf = b"".join(varint_field(2 if learner else 1, member_id) for member_id, _, learner in members)
    metadata = bytes_field(1, conf) + varint_field(2, index) + varint_field(3, term)
    body = bytes_field(1, v2store(members, removed)) + bytes_field(2, metadata)
    return f"{term:016x}-{index:016x}.snap", varint_field(1, crc32c(body)) + bytes_field(2, body)


# ---------------------------------------------------------------------------------------------------------------------
# bbolt

Tree = dict[bytes, "bytes | Tree"]


@dataclass
class DbWriter:
    """Builds a bbolt file of at most two levels per bucket; small buckets go inline when `inline` is set."""

    page_size: int = 4096
    inline: bool = True
    pages: dict[int, bytes] = field(default_factory=dict)
    next_page: int = 4

    def build(self, buckets: dict[bytes, dict[bytes, bytes]], txid: int = 7) -> bytes:
        items = [(1, name, self._bucket(content)) for name, content in sorted(buckets.items())]
        root = self._tree(items)
        high = self.next_page
        self.pages[2] = self._page(2, 0x10, 0, b"")
        self.pages[3] = self._page(3, 0x10, 0, b"")
        self.pages[0] = self.meta(0, root, high, txid - 1)
        self.pages[1] = self.meta(1, root, high, txid)
        out = bytearray(high * self.page_size)
        for page_id, content in self.pages.items():
            out[page_id * self.page_size : page_id * self.page_size + len(content)] = content
        return bytes(out)

    def meta(self, page_id: int, root: int, high: int, txid: int) -> bytes:
        body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, self.page_size, 0, root, 0, 2, high, txid)
        return self._page(page_id, 0x04, 0, body + struct.pack("<Q", fnv64a(body)))

    def _page(self, page_id: int, flags: int, count: int, body: bytes, overflow: int = 0) -> bytes:
        return struct.pack("<QHHI", page_id, flags, count, overflow) + body

    def _bucket(self, content: dict[bytes, bytes]) -> bytes:
        items = [(0, key, value) for key, value in sorted(content.items())]
        body = self._leaf(items)
        if self.inline and len(body) < self.page_size // 4:
            return struct.pack("<QQ", 0, 0) + self._page(0, 0x02, len(items), body)
        return struct.pack("<QQ", self._tree(items), 0)

    def _leaf(self, items: Sequence[tuple[int, bytes, bytes]]) -> bytes:
        head, tail = b"", b""
        for number, (flags, key, value) in enumerate(items):
            position = 16 * (len(items) - number) + len(tail)
            head += struct.pack("<IIII", flags, position, len(key), len(value))
            tail += key + value
        return head + tail

    def _take(self, size: int) -> tuple[int, int]:
        overflow = (size - 1) // self.page_size
        page_id = self.next_page
        self.next_page += 1 + overflow
        return page_id, overflow

    def _tree(self, items: Sequence[tuple[int, bytes, bytes]]) -> int:
        chunks: list[list[tuple[int, bytes, bytes]]] = [[]]
        used = 16
        for item in items:
            size = 16 + len(item[1]) + len(item[2])
            if chunks[-1] and used + size > self.page_size:
                chunks.append([])
                used = 16
            chunks[-1].append(item)
            used += size
        leaves = []
        for chunk in chunks:
            body = self._leaf(chunk)
            page_id, overflow = self._take(16 + len(body))
            self.pages[page_id] = self._page(page_id, 0x02, len(chunk), body, overflow)
            leaves.append((chunk[0][1] if chunk else b"", page_id))
        if len(leaves) == 1:
            return leaves[0][1]
        head, tail = b"", b""
        for number, (key, page_id) in enumerate(leaves):
            head += struct.pack("<IIQ", 16 * (len(leaves) - number) + len(tail), len(key), page_id)
            tail += key
        branch, overflow = self._take(16 + len(head) + len(tail))
        self.pages[branch] = self._page(branch, 0x01, len(leaves), head + tail, overflow)
        return branch


def revision(main: int, sub: int = 0, tombstone: bool = False) -> bytes:
    return main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big") + (b"t" if tombstone else b"")


def etcd_db(keys: int = 10, consistent_index: int = 12, **options: Any) -> bytes:
    """A database as 3.5 writes it, small."""
    member = {"id": 1, "peerURLs": ["http://1:2380"], "name": "n1", "clientURLs": ["http://1:2379"]}
    return DbWriter(**options).build(
        {
            b"key": {revision(number + 2): b"x" * 40 for number in range(keys)},
            b"meta": {
                b"consistent_index": consistent_index.to_bytes(8, "big"),
                b"term": (3).to_bytes(8, "big"),
                b"confState": b'{"voters":[1],"auto_leave":false}',
            },
            b"cluster": {
                b"clusterVersion": b"3.5.0",
                b"downgrade": b'{"target-version":"3.4.0","enabled":true}',
            },
            b"members": {b"1": json.dumps(member).encode()},
            b"members_removed": {b"2": b"removed"},
            b"alarm": {varint_field(1, 1) + varint_field(2, 1): b""},
            b"auth": {b"authEnabled": b"\0"},
        }
    )
