"""Throw mutated files at the readers: `python -m tests.etcd.fuzz [COUNT] [SEED]`, a million by default.

Whatever the bytes, a reader returns or raises FormatError, soon and without taking much memory. Each mutation starts
from a small valid file; for half of the WAL ones the checksums are then made right again, so that the mutation gets
past them. Prints how many inputs each reader saw, how many it refused, and the slowest.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from fleetrecover.errors import FormatError
from fleetrecover.etcd import bbolt, etcdctl, snapshot
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.frames import CRC, ENTRY, FRAME, Damage, frame_record, parse_record, span_of
from fleetrecover.etcd.log import compare_logs
from fleetrecover.etcd.snap import read_snap
from fleetrecover.etcd.stores import differences, named
from fleetrecover.etcd.wal import raise_commit, read_log
from tests.etcd import writers

FIRST = "0000000000000000-0000000000000000.wal"
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x08, 0x10, 0x1A, 0x22)


@dataclass(frozen=True)
class Target:
    """One reader: `make` gives an input from a generator of chance, `read` reads it."""

    name: str
    make: Callable[[random.Random], bytes]
    read: Callable[[bytes], object]


def mutate(chance: random.Random, data: bytes) -> bytes:
    """Change a few places: flip, overwrite, cut out, repeat, insert, truncate, zero."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not out:
            return b""
        at = chance.randrange(len(out))
        kind = chance.randrange(8)
        if kind == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            out[at] = chance.choice(INTERESTING)
        elif kind == 2:
            size = chance.choice((2, 4, 8))
            out[at : at + size] = chance.randbytes(size)
        elif kind == 3:
            del out[at : at + chance.randrange(1, 64)]
        elif kind == 4:
            out[at:at] = out[at : at + chance.randrange(1, 128)]
        elif kind == 5:
            out[at:at] = chance.randbytes(chance.randrange(1, 16))
        elif kind == 6:
            del out[at:]
        else:
            size = chance.choice((8, 64, 512))
            out[at : at + size] = bytes(size)
    return bytes(out)


def wal_seed() -> bytes:
    learner = {"peerURLs": ["http://4:2380"], "isLearner": True}
    published = writers.varint_field(1, 9) + writers.bytes_field(2, b"PUT")
    published += writers.bytes_field(3, b"/0/members/2/attributes") + writers.bytes_field(4, b'{"name":"second"}')
    attributes = writers.varint_field(1, 1) + writers.bytes_field(2, writers.bytes_field(1, b"first"))
    v3 = writers.bytes_field(100, b"\x08\x05") + writers.bytes_field(1301, attributes)
    version = writers.bytes_field(100, b"\x08\x05") + writers.bytes_field(1300, writers.bytes_field(1, b"3.6.0"))
    writer = writers.cluster(2).entries(2, 3, 5).state(2, 1, 4).snapshot(2, 4, [1, 2])
    writer.entry(2, 6, published).entry(2, 7, v3).entry(2, 8, version).change(2, 9, writers.conf_change(3, 4, learner))
    writer.entry(3, 8).change(3, 9, writers.conf_change(1, 2)).state(3, 1, 8).snapshot(4, 20).state(4, 1, 20)
    writer.record(
        ENTRY, writers.varint_field(2, 4) + writers.varint_field(3, 21) + b"\x22\x02\x22\x00"
    )  # as 3.7 writes it
    return writer.state(4, 1, 20).done()[0][1][:1600]


def reseal(chance: random.Random, data: bytes) -> bytes:
    """Mutate the records' contents and write them with right checksums, so that the mutation is read, not refused."""
    records: list[tuple[int, bytes]] = []
    offset = 0
    while offset + 8 <= len(data):
        (frame,) = FRAME.unpack_from(data, offset)
        if not frame:
            break
        start, end, offset = span_of(frame, offset)
        try:
            kind, _, body, size = parse_record(data, start, end, "")
        except Damage:
            break
        records.append((kind, data[body : body + size]))
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(records))
        kind, content = records[at]
        what = chance.randrange(6)
        if what == 0:
            del records[at]
            if not records:
                return b""
        elif what == 1:
            records.insert(chance.randrange(len(records) + 1), (kind, content))
        elif what == 2:
            records[at] = (chance.randrange(8), content)
        else:
            records[at] = (kind, mutate(chance, content))
    out = bytearray()
    crc = 0
    for kind, content in records:
        crc = crc if kind == CRC else crc32c(content, crc)
        out += frame_record(kind, content, crc)
    return bytes(out) + bytes(chance.choice((0, 8, 64)))


def read_wal(data: bytes) -> object:
    """Read it as one segment, and cut in two, where it is mostly refused."""
    middle = len(data) // 2 & ~7
    with contextlib.suppress(FormatError):
        read_log([(FIRST, data[:middle]), (SECOND, data[middle:])], [SNAP], partial=True)
    with contextlib.suppress(FormatError):
        read_log([(SECOND, data)], partial=True)
    with contextlib.suppress(FormatError):
        differences(named(read_log([(SECOND, data)], by_record=True), FACTS), FACTS)
    log = read_log([(FIRST, data)], [SNAP])
    raise_commit(log)
    differences(log, FACTS)
    return compare_logs(log, REFERENCE)


def reader(data: bytes) -> Callable[[bbolt.Ranges], list[bytes]]:
    return lambda ranges: [data[offset : offset + size] for offset, size in ranges]


def read_db(data: bytes) -> object:
    facts = bbolt.read_facts(reader(data), count_keys=True, attempts=1)
    return differences(REFERENCE, facts)


def reseal_db(chance: random.Random, data: bytes) -> bytes:
    """Mutate everything but the meta pages, or give a mutated meta page its right checksum."""
    if chance.randrange(3):
        return data[:8192] + mutate(chance, data[8192:])
    out = bytearray(data)
    for base in (0, 4096):
        out[base + 16 : base + 72] = mutate(chance, bytes(out[base + 16 : base + 72]))[:56].ljust(56, b"\0")
        out[base + 16 : base + 24] = data[base + 16 : base + 24]
        out[base + 72 : base + 80] = bbolt.fnv64a(bytes(out[base + 16 : base + 72])).to_bytes(8, "little")
    return bytes(out)


def reseal_snap(chance: random.Random, data: bytes) -> bytes:
    body = mutate(chance, SNAP_BODY)
    return writers.varint_field(1, crc32c(body)) + writers.bytes_field(2, body)


def read_json(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    for parse in (
        etcdctl.parse_endpoint_status,
        etcdctl.parse_endpoint_health,
        etcdctl.parse_endpoint_hashkv,
        etcdctl.parse_member_add,
        etcdctl.parse_alarm_list,
        etcdctl.parse_snapshot_status,
    ):
        try:
            parse(text)
        except FormatError:
            continue
    return etcdctl.parse_get(text)


SECOND = "0000000000000001-0000000000000005.wal"
SNAP = writers.snap(4, 20, [(1, "n1", False), (2, "n2", False)])
_STATE = writers.bytes_field(1, writers.varint_field(1, 1)) + writers.varint_field(2, 20) + writers.varint_field(3, 4)
SNAP_BODY = writers.bytes_field(1, writers.v2store([(1, "n1", False)], [2])) + writers.bytes_field(2, _STATE)
WAL = wal_seed()
REFERENCE = read_log([(FIRST, WAL)], [SNAP])
DB = writers.etcd_db(60, inline=False)
FACTS = replace(bbolt.read_facts(reader(DB)), storage_version="3.7.0")
SNAPSHOT = DB + hashlib.sha256(DB).digest()
ROWS = (
    b'[{"Endpoint":"http://1:2379","endpoint":"x","health":true,"took":"1.5ms","Status":{"header":{"cluster_id":1,'
    b'"member_id":2},"version":"3.5.0","dbSize":3,"leader":2,"errors":["no leader"]},"HashKV":{"hash":5}}]'
)
OBJECT = (
    b'{"header":{"revision":3},"member":{"ID":1,"peerURLs":["u"]},"members":[{"ID":1,"name":"n","isLearner":true}],'
    b'"alarms":[{"memberID":1,"alarm":1}],"kvs":[{"key":"a","mod_revision":3}],"count":1,"hash":1,"totalKey":2}'
)

TARGETS = (
    Target("wal", lambda chance: mutate(chance, WAL), read_wal),
    Target("wal, resealed", lambda chance: reseal(chance, WAL), read_wal),
    Target("snap", lambda chance: mutate(chance, SNAP[1]), lambda data: read_snap("x", data)),
    Target("snap, resealed", lambda chance: reseal_snap(chance, SNAP[1]), lambda data: read_snap("x", data)),
    Target("bbolt", lambda chance: mutate(chance, DB), read_db),
    Target("bbolt, resealed", lambda chance: reseal_db(chance, DB), read_db),
    Target(
        "snapshot",
        lambda chance: reseal_db(chance, SNAPSHOT),
        lambda data: snapshot.read_snapshot(io.BytesIO(data), full=True),
    ),
    Target("etcdctl", lambda chance: mutate(chance, chance.choice((ROWS, OBJECT))), read_json),
)


@dataclass
class Score:
    """What one reader did."""

    seen: int = 0
    refused: int = 0
    slowest: float = 0.0


def run(count: int, seed: int = 1) -> dict[str, Score]:
    """Try `count` inputs. Anything but FormatError is let through; the input is named, so that it can be made again."""
    scores = {target.name: Score() for target in TARGETS}
    for number in range(count):
        target = TARGETS[number % len(TARGETS)]
        chance = random.Random(f"{seed}/{number}")
        data = target.make(chance)
        score = scores[target.name]
        started = time.perf_counter()
        try:
            target.read(data)
        except FormatError:
            score.refused += 1
        except BaseException:
            print(f"input {number} of seed {seed} ({target.name}), {len(data)} bytes: {data[:200].hex()}…")
            raise
        score.seen += 1
        score.slowest = max(score.slowest, time.perf_counter() - started)
    return scores


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 1_000_000
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    started = time.perf_counter()
    scores = run(count, seed)
    for name, score in scores.items():
        print(f"{name:16} {score.seen:8} inputs, {score.refused:8} refused, slowest {score.slowest * 1000:.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{count} inputs in {time.perf_counter() - started:.0f} s, seed {seed}, peak memory {peak} MB, no other outcome"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
