"""The bbolt database of etcd (`member/snap/db`, and a snapshot without its trailer), read a few pages at a time.

Format (go.etcd.io/bbolt, page.go, db.go and bucket.go; version 2 since the beginning; numbers little endian):

- Pages of the operating system's page size. A page opens with id u64, flags u16, count u16, overflow u32; with overflow
  n, the n pages behind it belong to it too.
- Pages 0 and 1 are metas: magic 0xED0CDAED, version, page size, flags (u32 each), root bucket (root page u64, sequence
  u64), freelist page, high-water mark, transaction id, FNV-64a of all before (u64 each). The intact one with the higher
  transaction id counts.
- Branch elements: position u32, key size u32, page u64. Leaf elements: flags u32 (1: a bucket), position u32, key size
  u32, value size u32. Positions are relative to the element.
- A bucket's value is root page u64, sequence u64; root page 0 means that the bucket's only page follows inline.

What etcd keeps in it: server/mvcc/buckets and server/storage/schema of v3.5.16 and v3.6.0; its numbers are big
endian.

Nothing is read but through a callable that is given a batch of ranges, so a remote reader can fetch each batch in one
round trip; `read_facts` needs about five batches whatever the size of the database.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd.membership import (
    ConfState,
    Member,
    member_from_json,
    parse_json,
    parse_member_id,
)
from fleetrecover.etcd.protobuf import VARINT

MAGIC, VERSION = 0xED0CDAED, 2
BRANCH, LEAF, META = 0x01, 0x02, 0x04
BUCKET_LEAF = 0x01
PAGE_SIZES = (4096, 8192, 16384, 32768, 65536)
MAX_DEPTH = 32
# Bounds for a hostile file: one node with its overflow pages, bytes; the pages of one of the small buckets; what is
# asked for in one batch while walking everything.
MAX_NODE = 64 << 20
MAX_PAGES = 4096
_BATCH = 8

_HEADER = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQQ")
_ELEMENT = struct.Struct("<IIQ")
_LEAF_ELEMENT = struct.Struct("<IIII")
_BUCKET = struct.Struct("<QQ")

Ranges = Sequence[tuple[int, int]]
ReadPages = Callable[[Ranges], Sequence[bytes]]
"""Given (offset, size) pairs, return the bytes of each; shorter where the file ends."""

T = TypeVar("T")
Plan = Generator[list[tuple[int, int]], Sequence[bytes], T]
"""A reading in the making: yields the ranges that it needs next and is sent their bytes; returns its result."""

ALARMS = {0: "NONE", 1: "NOSPACE", 2: "CORRUPT"}


@dataclass(frozen=True)
class Alarm:
    """A raised alarm; `kind` is "NOSPACE" or "CORRUPT"."""

    member_id: int
    kind: str


@dataclass(frozen=True)
class DbFacts:
    """What is known of a database from a few of its pages.

    - `txid` and `size` (bytes in use of the file, a multiple of `page_size`) of the meta that counts.
    - `consistent_index`: the last entry of the log that is in it; `term`: that entry's, from 3.5 on.
    - `revision`: what etcd would report, at least 1; `compact_revision`: the last finished compaction's, -1 for none,
      as etcd gives it; `scheduled_compact_revision`: one that was asked for, it may still be under way.
    - `members` and `removed` are etcd's own copy of the membership. 3.3 to 3.5 load the membership from snapshot and
      log instead; ghosts in here are a known fault of 3.5 before 3.5.22.
    - `storage_version`: from 3.6 on, else empty.
    - `downgrade`: the version that a downgrade under way leads to, "3.5.0"; empty where none is enabled.
    - `keys`: number of keys in the bucket `key` (revisions, not names), when it was asked for.
    - `stable`: False when etcd wrote to the file while it was read; the facts may then be of two moments.
    - `downgrade`: a downgrade of the cluster was enabled (3.5 on) and not ended.
    """

    page_size: int
    txid: int
    size: int
    consistent_index: int
    term: int | None
    revision: int
    compact_revision: int
    scheduled_compact_revision: int
    conf_state: ConfState | None
    members: tuple[Member, ...]
    removed: frozenset[int]
    cluster_version: str
    storage_version: str
    alarms: tuple[Alarm, ...]
    auth_enabled: bool
    buckets: tuple[str, ...]
    keys: int | None = None
    stable: bool = True
    downgrade: str = ""


@dataclass(frozen=True)
class MetaPage:
    """One meta page that checks out."""

    page_size: int
    root: int
    high_water: int
    txid: int


@dataclass(frozen=True)
class _Page:
    """A page with its overflow, or the page of an inline bucket; `offset` is where it stands in the file."""

    data: bytes
    offset: int
    flags: int
    count: int


@dataclass(frozen=True)
class _Bucket:
    """A bucket's root: a page id, or the inline page itself."""

    root: int
    inline: _Page | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Pages


def fnv64a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, which guards the meta pages."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & protobuf.MASK64
    return value


def parse_meta(data: bytes, *, source: str, offset: int) -> MetaPage:
    """Parse and verify a meta page, header included (80 bytes suffice). Raises FormatError."""
    if len(data) < _HEADER.size + _META.size:
        raise FormatError("the file is too short for a meta page", source=source, offset=offset)
    _, flags, _, _ = _HEADER.unpack_from(data)
    magic, version, page_size, _, root, _, _, high_water, txid, checksum = _META.unpack_from(data, _HEADER.size)
    if magic != MAGIC or not flags & META:
        raise FormatError("not a meta page of bbolt", source=source, offset=offset)
    if version != VERSION:
        raise FormatError(f"bbolt's format version {version} is not known", source=source, offset=offset)
    if fnv64a(data[_HEADER.size : _HEADER.size + _META.size - 8]) != checksum:
        raise FormatError("the meta page's checksum does not match", source=source, offset=offset)
    if page_size not in PAGE_SIZES or not 2 <= root < high_water or high_water * page_size > 1 << 62:
        raise FormatError("the meta page's numbers make no sense", source=source, offset=offset)
    return MetaPage(page_size, root, high_water, txid)


def _metas(source: str) -> Plan[MetaPage]:
    """Find the meta that counts: the intact one with the higher transaction id."""
    size = _HEADER.size + _META.size
    offsets = (0, *PAGE_SIZES)
    parts = yield [(offset, size) for offset in offsets]
    good: list[MetaPage] = []
    reasons: list[FormatError] = []
    for offset, data in zip(offsets, parts, strict=False):
        try:
            meta = parse_meta(data, source=source, offset=offset)
        except FormatError as error:
            reasons.append(error)
            continue
        if offset in (0, meta.page_size):
            good.append(meta)
    if not good:
        if reasons:
            raise reasons[0]
        raise FormatError("there is no meta page", source=source, offset=0)
    return max(good, key=lambda meta: meta.txid)


class _Tree:
    """Reads the pages of one transaction."""

    def __init__(self, meta: MetaPage, source: str) -> None:
        self.meta = meta
        self.source = source
        self.loaded = 0

    def fail(self, message: str, offset: int) -> FormatError:
        return FormatError(message, source=self.source, offset=offset)

    def load(self, ids: Sequence[int]) -> Plan[list[_Page]]:
        """Read pages by id, with their overflow. No page is part of two trees, so all of them fit in the file."""
        size = self.meta.page_size
        for page_id in ids:
            if not 2 <= page_id < self.meta.high_water:
                raise self.fail(f"page {page_id} is outside of the file's {self.meta.high_water} pages", 0)
        if not ids:
            return []
        heads = yield [(page_id * size, size) for page_id in ids]
        pages: list[_Page] = []
        more: list[tuple[int, int]] = []
        for page_id, data in zip(ids, heads, strict=True):
            offset = page_id * size
            if len(data) < size:
                raise self.fail(f"page {page_id} is cut off by the end of the file", offset)
            own, flags, count, overflow = _HEADER.unpack_from(data)
            if own != page_id:
                raise self.fail(f"page {page_id} says that it is page {own}", offset)
            if flags & 0x1F not in (BRANCH, LEAF):
                raise self.fail(f"page {page_id} is neither branch nor leaf, its flags are {flags:#x}", offset)
            if overflow:
                if page_id + overflow >= self.meta.high_water or overflow * size > MAX_NODE:
                    raise self.fail(f"page {page_id} claims {overflow} overflow pages", offset)
                more.append((offset + size, overflow * size))
            self.loaded += (1 + overflow) * size
            pages.append(_Page(data, offset, flags & 0x1F, count))
        if self.loaded > self.meta.high_water * size:
            raise self.fail("pages are part of each other", pages[0].offset)
        if more:
            rests = yield more
            by_offset = {start - size: (length, rest) for (start, length), rest in zip(more, rests, strict=True)}
            for position, page in enumerate(pages):
                if page.offset in by_offset:
                    length, rest = by_offset[page.offset]
                    if len(rest) < length:
                        raise self.fail("overflow pages are cut off by the end of the file", page.offset)
                    pages[position] = _Page(page.data + rest, page.offset, page.flags, page.count)
        return pages

    def children(self, page: _Page) -> list[int]:
        """The page ids below a branch page."""
        self._check_count(page)
        return [_ELEMENT.unpack_from(page.data, 16 + 16 * position)[2] for position in range(page.count)]

    def pair(self, page: _Page, position: int) -> tuple[int, bytes, bytes]:
        """The element at `position` of a leaf page: (flags, key, value)."""
        at = 16 + 16 * position
        flags, start, key_size, value_size = _LEAF_ELEMENT.unpack_from(page.data, at)
        start += at
        middle = start + key_size
        end = middle + value_size
        if end > len(page.data):
            raise self.fail("an element reaches over the end of its page", page.offset + at)
        return flags, page.data[start:middle], page.data[middle:end]

    def pairs(self, page: _Page) -> Iterator[tuple[int, bytes, bytes]]:
        """All elements of a leaf page."""
        self._check_count(page)
        for position in range(page.count):
            yield self.pair(page, position)

    def _check_count(self, page: _Page) -> None:
        if 16 + 16 * page.count > len(page.data):
            raise self.fail(f"the page claims {page.count} elements, more than fit", page.offset)
        if page.flags == BRANCH and not page.count:
            raise self.fail("a branch page without children", page.offset)

    def bucket(self, value: bytes) -> _Bucket:
        """A bucket from its value in the parent."""
        if len(value) < _BUCKET.size:
            raise self.fail("a bucket's header is cut off", 0)
        root, _ = _BUCKET.unpack_from(value)
        if root:
            return _Bucket(root)
        inline = value[_BUCKET.size :]
        if len(inline) < _HEADER.size:
            raise self.fail("an inline bucket is cut off", 0)
        _, flags, count, _ = _HEADER.unpack_from(inline)
        if flags & 0x1F != LEAF:
            raise self.fail("an inline bucket is not a leaf", 0)
        return _Bucket(0, _Page(inline, 0, LEAF, count))

    def contents(self, bucket: _Bucket) -> Plan[list[tuple[int, bytes, bytes]]]:
        """All of a small bucket, level by level: (flags, key, value) in order."""
        if bucket.inline is not None:
            return list(self.pairs(bucket.inline))
        found: list[tuple[int, bytes, bytes]] = []
        total = 0
        seen: set[int] = set()
        ids = [bucket.root]
        while ids:
            seen.update(ids)
            if len(seen) > MAX_PAGES:
                raise self.fail(f"a bucket of more than {MAX_PAGES} pages that should be small", ids[0])
            below: list[int] = []
            for page in (yield from self.load(ids)):
                if page.flags == BRANCH:
                    below.extend(self.children(page))
                else:
                    found.extend(self.pairs(page))
                    total += len(page.data)
            if total > MAX_NODE:
                raise self.fail(f"a bucket of more than {MAX_NODE} bytes that should be small", 0)
            if len(set(below)) != len(below) or seen.intersection(below):
                raise self.fail("pages refer to each other in a circle", bucket.root * self.meta.page_size)
            ids = below
        return found

    def last_key(self, bucket: _Bucket) -> Plan[bytes | None]:
        """The last key of a bucket of any size; None when it is empty."""
        page = bucket.inline
        page_id = bucket.root
        for _ in range(MAX_DEPTH):
            if page is None:
                (page,) = yield from self.load([page_id])
            self._check_count(page)
            if page.flags == LEAF:
                return self.pair(page, page.count - 1)[1] if page.count else None
            page_id = _ELEMENT.unpack_from(page.data, 16 * page.count)[2]
            page = None
        raise self.fail(f"the tree is more than {MAX_DEPTH} levels deep", page_id * self.meta.page_size)

    def leaves(self, read: ReadPages, bucket: _Bucket) -> Iterator[_Page]:
        """The leaf pages of a bucket of any size, in order, a batch of pages at a time."""
        if bucket.inline is not None:
            yield bucket.inline
        else:
            yield from self._descend(read, [bucket.root], set(), 0)

    def _descend(self, read: ReadPages, ids: list[int], seen: set[int], depth: int) -> Iterator[_Page]:
        if depth > MAX_DEPTH:
            raise self.fail(f"the tree is more than {MAX_DEPTH} levels deep", ids[0] * self.meta.page_size)
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            for page_id in batch:
                if page_id in seen:
                    raise self.fail("pages refer to each other in a circle", page_id * self.meta.page_size)
                seen.add(page_id)
            for page in drive(self.load(batch), read):
                if page.flags == BRANCH:
                    yield from self._descend(read, self.children(page), seen, depth + 1)
                else:
                    yield page


# ---------------------------------------------------------------------------------------------------------------------
# Driving plans


def drive(plan: Plan[T], read: ReadPages) -> T:
    """Run a plan to its end. Raises FormatError when `read` does not return one answer for each range."""
    try:
        wanted = next(plan)
        while True:
            parts = read(wanted)
            if len(parts) != len(wanted):
                raise FormatError(f"{len(wanted)} ranges were asked for, {len(parts)} came back")
            wanted = plan.send(parts)
    except StopIteration as stop:
        result: T = stop.value
        return result


def together(plans: Sequence[Plan[Any]]) -> Plan[list[Any]]:
    """Run several plans side by side, so that each level of all of them is one batch."""
    results: list[Any] = [None] * len(plans)
    wanted: dict[int, list[tuple[int, int]]] = {}
    for position, plan in enumerate(plans):
        try:
            wanted[position] = next(plan)
        except StopIteration as stop:
            results[position] = stop.value
    while wanted:
        order = sorted(wanted)
        parts = yield [each for position in order for each in wanted[position]]
        at = 0
        following: dict[int, list[tuple[int, int]]] = {}
        for position in order:
            count = len(wanted[position])
            mine = parts[at : at + count]
            at += count
            try:
                following[position] = plans[position].send(mine)
            except StopIteration as stop:
                results[position] = stop.value
        wanted = following
    return results


# ---------------------------------------------------------------------------------------------------------------------
# etcd's facts


_SMALL = ("meta", "cluster", "members", "members_removed", "alarm", "auth")


def facts_plan(source: str = "db", size: int | None = None) -> Plan[DbFacts]:
    """Plan the reading of DbFacts without `keys`; see `read_facts`."""
    meta = yield from _metas(source)
    if size is not None and meta.high_water * meta.page_size > size:
        raise FormatError(
            f"the file has {size} bytes, {meta.high_water * meta.page_size} are in use: it is cut off",
            source=source,
            offset=size,
        )
    tree = _Tree(meta, source)
    root = yield from tree.contents(_Bucket(meta.root))
    buckets = {key: tree.bucket(value) for flags, key, value in root if flags & BUCKET_LEAF}
    if b"meta" not in buckets or b"key" not in buckets:
        raise FormatError(
            "a bbolt database, but not etcd's: it has no buckets `meta` and `key`",
            source=source,
            offset=meta.root * meta.page_size,
        )
    small = [name for name in _SMALL if name.encode() in buckets]
    plans: list[Plan[Any]] = [tree.contents(buckets[name.encode()]) for name in small]
    *contents, last_key = yield from together([*plans, tree.last_key(buckets[b"key"])])
    found: dict[str, dict[bytes, bytes]] = {
        name: {key: value for _, key, value in pairs} for name, pairs in zip(small, contents, strict=True)
    }
    return _facts(meta, source, found, last_key, tuple(sorted(name.decode("utf-8", "replace") for name in buckets)))


def read_facts(
    read: ReadPages, *, source: str = "db", size: int | None = None, count_keys: bool = False, attempts: int = 3
) -> DbFacts:
    """Read an etcd database's facts through `read`, which is given a batch of (offset, size) at a time.

    `size` is the file's, if known, for noticing that it was cut off. Afterwards the meta pages are read again: if etcd
    committed in the meantime, everything is read again, up to `attempts` times; after that the facts are returned with
    `stable` False. With `count_keys` every page of the key bucket is read. Raises FormatError.
    """
    for attempt in range(1, attempts + 1):
        last = attempt == attempts
        try:
            facts = drive(facts_plan(source, size), read)
            if count_keys:
                facts = replace(facts, keys=_count_keys(read, source))
        except FormatError:
            if last:
                raise
            continue
        stable = read_meta(read, source).txid == facts.txid
        if stable or last:
            return replace(facts, stable=stable)
    raise ValueError("attempts must be at least 1")


def _count_keys(read: ReadPages, source: str) -> int:
    tree = _Tree(read_meta(read, source), source)
    for _, name, value in drive(tree.contents(_Bucket(tree.meta.root)), read):
        if name == b"key":
            return sum(page.count for page in tree.leaves(read, tree.bucket(value)))
    return 0


def read_meta(read: ReadPages, source: str = "db") -> MetaPage:
    """Read the meta page that counts. Raises FormatError when neither checks out."""
    return drive(_metas(source), read)


def walk_buckets(read: ReadPages, source: str = "db") -> Iterator[tuple[bytes, Iterator[tuple[bytes, bytes]]]]:
    """Yield each bucket's name and an iterator over its (key, value), in the order in which etcd hashes them.

    Raises FormatError on a damaged page, in the middle of the walk.
    """
    tree = _Tree(read_meta(read, source), source)
    for flags, name, value in drive(tree.contents(_Bucket(tree.meta.root)), read):
        if not flags & BUCKET_LEAF:
            raise tree.fail("a key stands outside of any bucket", tree.meta.root * tree.meta.page_size)
        yield name, _contents(tree, read, tree.bucket(value))


def _contents(tree: _Tree, read: ReadPages, bucket: _Bucket) -> Iterator[tuple[bytes, bytes]]:
    for page in tree.leaves(read, bucket):
        for flags, key, value in tree.pairs(page):
            yield key, b"" if flags & BUCKET_LEAF else value


def _number(value: bytes | None, what: str, source: str) -> int | None:
    if value is None:
        return None
    if len(value) != 8:
        raise FormatError(f"{what} has {len(value)} bytes, not 8", source=source)
    return int.from_bytes(value, "big")


def _revision(value: bytes | None, what: str, source: str) -> int | None:
    """Read the main part of a revision: 8 bytes, `_`, 8 bytes, and `t` for a deletion."""
    if value is None:
        return None
    if len(value) not in (17, 18) or value[8:9] != b"_":
        raise FormatError(f"{what} is not a revision", source=source)
    return int.from_bytes(value[:8], "big")


def _facts(
    meta: MetaPage, source: str, found: dict[str, dict[bytes, bytes]], last_key: bytes | None, buckets: tuple[str, ...]
) -> DbFacts:
    kept = found.get("meta", {})
    cluster = found.get("cluster", {})
    last = _revision(last_key, "the last key", source) or 0
    finished = _revision(kept.get(b"finishedCompactRev"), "finishedCompactRev", source)
    scheduled = _revision(kept.get(b"scheduledCompactRev"), "scheduledCompactRev", source)
    removed = found.get("members_removed", {})
    return DbFacts(
        page_size=meta.page_size,
        txid=meta.txid,
        size=meta.high_water * meta.page_size,
        consistent_index=_number(kept.get(b"consistent_index"), "consistent_index", source) or 0,
        term=_number(kept.get(b"term"), "term", source),
        revision=max(1, last, finished or 0),
        compact_revision=-1 if finished is None else finished,
        scheduled_compact_revision=-1 if scheduled is None else scheduled,
        conf_state=_conf_state(kept.get(b"confState"), source),
        members=tuple(sorted(_members(found.get("members", {}), source), key=lambda member: member.id)),
        removed=frozenset(_id(key, source) for key in removed),
        cluster_version=protobuf.text(cluster.get(b"clusterVersion", b""), source=source),
        storage_version=protobuf.text(kept.get(b"storageVersion", b""), source=source),
        alarms=tuple(_alarm(key, source) for key in found.get("alarm", {})),
        auth_enabled=found.get("auth", {}).get(b"authEnabled") == b"\x01",
        buckets=buckets,
        downgrade=_downgrade(cluster.get(b"downgrade"), source),
    )


def _downgrade(value: bytes | None, source: str) -> str:
    """Parse `cluster/downgrade`: JSON {"target-version": "3.5.0", "enabled": true} (3.5 on)."""
    parsed = parse_json(value, source=source) if value else {}
    if not isinstance(parsed, dict):
        raise FormatError("the downgrade is not an object", source=source)
    return str(parsed.get("target-version") or "unknown") if parsed.get("enabled") else ""


def _id(key: bytes, source: str) -> int:
    return parse_member_id(protobuf.text(key, source=source), source=source)


def _members(found: dict[bytes, bytes], source: str) -> Iterator[Member]:
    for key, value in found.items():
        parsed = parse_json(value, source=source)
        if not isinstance(parsed, dict):
            raise FormatError("a member is not an object", source=source)
        yield member_from_json(parsed, _id(key, source), source=source)


def _conf_state(value: bytes | None, source: str) -> ConfState | None:
    """Parse `meta/confState`: JSON of raftpb.ConfState, {"voters": […], "learners": […], "auto_leave": false}."""
    if value is None:
        return None
    parsed = parse_json(value, source=source)
    if not isinstance(parsed, dict):
        raise FormatError("confState is not an object", source=source)

    def ids(name: str) -> tuple[int, ...]:
        listed = parsed.get(name) or []
        if not isinstance(listed, list) or not all(type(item) is int for item in listed):
            raise FormatError(f"confState's {name} is not a list of ids", source=source)
        return tuple(listed)

    return ConfState(
        ids("voters"), ids("learners"), ids("voters_outgoing"), ids("learners_next"), bool(parsed.get("auto_leave"))
    )


def _alarm(key: bytes, source: str) -> Alarm:
    """Parse an alarm, which is a key: etcdserverpb.AlarmMember {1 member id, 2 alarm}."""
    found = protobuf.message(key, {1: VARINT, 2: VARINT}, source=source)
    kind = protobuf.number(found, 2)
    return Alarm(protobuf.number(found, 1), ALARMS.get(kind, str(kind)))
