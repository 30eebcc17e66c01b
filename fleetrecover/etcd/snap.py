"""`.snap` files: raft's snapshot of the membership, which 3.3 to 3.5 (and, for downgrades, 3.6) keep beside the WAL.

Format (server/etcdserver/api/snap/snapshotter.go, v3.5.16): snappb.Snapshot {1 crc32c, 2 data}, the data being
raftpb.Snapshot {1 data, 2 metadata {1 conf state, 2 index, 3 term}}, whose data is the v2 store as JSON. Named
`%016x-%016x.snap`, term first. `*.snap.db` beside it are databases received from a leader, another format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd.crc import crc32c
from fleetrecover.etcd.membership import Configuration, ConfState, Member, Roster, conf_state, members_from_v2store
from fleetrecover.etcd.protobuf import BYTES, VARINT

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snap")


@dataclass(frozen=True)
class Snap:
    """One `.snap` file: everything up to and including entry `index`, of term `term`, is behind it."""

    name: str
    term: int
    index: int
    conf_state: ConfState
    members: tuple[Member, ...]
    removed: frozenset[int]
    cluster_version: str

    def roster(self) -> Roster:
        """A membership to which the entries after `index` can be applied."""
        return Roster(
            members={member.id: member for member in self.members},
            voters=set(self.conf_state.voters),
            learners=set(self.conf_state.learners),
            removed=set(self.removed),
            cluster_version=self.cluster_version,
            base=self.index,
        )

    @property
    def configuration(self) -> Configuration:
        """The membership at `index`."""
        return self.roster().frozen()


def parse_name(name: str) -> tuple[int, int] | None:
    """Return (term, index) of a `.snap` file's name; None for any other file."""
    match = _NAME.fullmatch(name)
    return (int(match[1], 16), int(match[2], 16)) if match else None


def read_snap(name: str, data: bytes) -> Snap:
    """Parse and verify a `.snap` file. Raises FormatError with `name` as its source."""
    outer = protobuf.message(data, {1: VARINT, 2: BYTES}, source=name)
    checksum, body = protobuf.number(outer, 1), protobuf.content(outer, 2)
    if not body or not checksum:
        raise FormatError("the snapshot is empty", source=name, offset=0)
    if crc32c(body) != checksum:
        raise FormatError("the checksum does not match: the file is damaged", source=name, offset=outer[2].offset)
    base = outer[2].offset
    inner = protobuf.message(body, {1: BYTES, 2: BYTES}, source=name, base=base)
    meta_base = inner[2].offset if 2 in inner else base
    metadata = protobuf.message(
        protobuf.content(inner, 2), {1: BYTES, 2: VARINT, 3: VARINT}, source=name, base=meta_base
    )
    index, term = protobuf.number(metadata, 2), protobuf.number(metadata, 3)
    if not index:
        raise FormatError("the snapshot has no index", source=name, offset=meta_base)
    state = conf_state(
        protobuf.content(metadata, 1), source=name, base=metadata[1].offset if 1 in metadata else meta_base
    )
    store = protobuf.content(inner, 1)
    store_base = inner[1].offset if 1 in inner else base
    members, removed, version, _ = members_from_v2store(store, source=name, base=store_base)
    return Snap(
        name=name,
        term=term,
        index=index,
        conf_state=state,
        members=tuple(members[key] for key in sorted(members)),
        removed=removed,
        cluster_version=version,
    )
