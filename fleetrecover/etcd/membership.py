"""Who is in the cluster, as etcd derives it: from the newest snapshot, then change by change from the log.

Two views are kept, because etcd keeps both: the *members* (names and URLs; server/etcdserver/api/membership, v3.5.16)
and raft's own configuration, the *voters* and *learners* that count for quorum (raftpb.ConfState). A conf-change entry
that etcd's ValidateConfigurationChange rejects changes neither.

3.6 restarts with the members of its database instead (`bbolt.DbFacts.members`) and writes the same into its .snap for
the sake of downgrades; raft's configuration still comes from snapshot and log. 3.7 takes raft's from the database, too
(server/etcdserver/bootstrap.go, v3.7.1, buildConfStateFromV3store). `stores` compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleetrecover import bounds
from fleetrecover.answers import load_json
from fleetrecover.errors import FormatError
from fleetrecover.etcd import protobuf
from fleetrecover.etcd.protobuf import BYTES, VARINT

ADD, REMOVE, UPDATE, ADD_LEARNER = 0, 1, 2, 3
BOOTSTRAP_TERM = 1
"""The term of the entries that a new cluster starts with; a leader's first term is 2."""
_ID = re.compile(r"[0-9a-f]{1,16}")
# What is refused as hostile, bytes: the JSON of one member, the v2 store of a .snap, a ConfState.
MAX_JSON = 1 << 20
MAX_STORE = bounds.STORE
MAX_CONF_STATE = 1 << 16
ACTIONS = {ADD: "add", REMOVE: "remove", UPDATE: "update", ADD_LEARNER: "add-learner"}


def hex_id(value: int) -> str:
    """Spell a member or cluster id as etcd's tools do: hexadecimal, no leading zeros."""
    return format(value, "x")


@dataclass(frozen=True)
class Member:
    """One member. `name` and `client_urls` are empty until the member has started once and published them."""

    id: int
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    learner: bool = False


@dataclass(frozen=True)
class ConfState:
    """raftpb.ConfState. Only `voters` and `learners` are ever set by etcd; the rest is for joint consensus."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


@dataclass(frozen=True)
class Configuration:
    """Members and raft's configuration at one index of the log.

    `members` is in the order of ids. `removed` holds the ids that can never come back.
    """

    members: tuple[Member, ...] = ()
    voters: frozenset[int] = frozenset()
    learners: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    cluster_version: str = ""

    def member(self, member_id: int) -> Member | None:
        """Return the member with this id, if there is one."""
        for member in self.members:
            if member.id == member_id:
                return member
        return None


@dataclass(frozen=True)
class ConfChange:
    """One conf-change entry of the log.

    `action` is "add", "add-learner", "promote", "remove" or "update". `rejected` says why etcd ignores it; empty when
    it takes effect. `forced`: a removal that nobody has asked for, without a request's id: `--force-new-cluster` writes it
    (etcd server/etcdserver/raft.go, createConfigChangeEnts), and our reseed does.
    """

    index: int
    term: int
    action: str
    member_id: int
    member: Member | None = None
    rejected: str = ""
    forced: bool = False


@dataclass(frozen=True)
class Attributes:
    """A member's publication of its name and client URLs, an ordinary entry of the log."""

    index: int
    term: int
    member_id: int
    name: str
    client_urls: tuple[str, ...]


@dataclass(frozen=True)
class ClusterVersion:
    """The cluster version being set, an ordinary entry of the log."""

    index: int
    term: int
    version: str


Change = ConfChange | Attributes | ClusterVersion


@dataclass(frozen=True)
class VoterChange:
    """That the entry at `index` made `member_id` a voter (`joined`), or made it cease to be one.

    `certain` is False for a removal behind a snapshot of which nothing tells whether it concerned a voter, a learner, or
    nobody.
    """

    index: int
    member_id: int
    joined: bool
    certain: bool = True
    forced: bool = False  # as in ConfChange


def parse_json(data: bytes, *, source: str, offset: int | None = None, limit: int = MAX_JSON) -> Any:
    """Parse JSON; FormatError instead of anything else, also for nesting that is too deep.

    More than `limit` bytes are refused: parsed they take many times as much memory.
    """
    return load_json(data, source, offset=offset, limit=limit)


def _object(value: Any, what: str, source: str, offset: int | None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FormatError(f"{what} is not an object", source=source, offset=offset)
    return value


def _urls(value: Any, source: str, offset: int | None) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise FormatError("a list of URLs is something else", source=source, offset=offset)
    return tuple(value)


def member_from_json(value: Mapping[str, Any], member_id: int, *, source: str, offset: int | None = None) -> Member:
    """Build a Member from etcd's JSON: `peerURLs`, `isLearner`, `name`, `clientURLs`, all optional."""
    name = value.get("name") or ""
    learner = value.get("isLearner") or False
    if not isinstance(name, str) or not isinstance(learner, bool):
        raise FormatError("a member's attributes have a wrong type", source=source, offset=offset)
    return Member(
        id=member_id,
        name=name,
        peer_urls=_urls(value.get("peerURLs"), source, offset),
        client_urls=_urls(value.get("clientURLs"), source, offset),
        learner=learner,
    )


def parse_member_id(text: str, *, source: str = "", offset: int | None = None) -> int:
    """Read an id as etcd spells it in keys, hexadecimal; FormatError when it is not one."""
    if not _ID.fullmatch(text):
        raise FormatError(f"{text[:40]!r} is not a member id", source=source, offset=offset)
    return int(text, 16)


def conf_state(data: bytes, *, source: str = "", base: int = 0) -> ConfState:
    """Parse raftpb.ConfState: {1 voters (3.3: nodes), 2 learners, 3 voters outgoing, 4 learners next, 5 auto leave}."""
    if len(data) > MAX_CONF_STATE:
        raise FormatError(f"a configuration of {len(data)} bytes", source=source, offset=base)
    lists: dict[int, list[int]] = {1: [], 2: [], 3: [], 4: []}
    auto_leave = False
    for item in protobuf.fields(data, source=source, base=base):
        if item.number in lists:
            lists[item.number].extend(protobuf.packed_or_single(item, source=source))
        elif item.number == 5 and item.wire == VARINT:
            auto_leave = bool(item.value)
    return ConfState(tuple(lists[1]), tuple(lists[2]), tuple(lists[3]), tuple(lists[4]), auto_leave)


def conf_change(data: bytes, *, index: int, term: int, source: str, base: int = 0) -> ConfChange:
    """Parse raftpb.ConfChange {1 id, 2 type, 3 node id, 4 context}; the context is JSON.

    For additions it is membership.ConfigChangeContext, a member with `isPromote`; for updates a member. When etcd is
    bootstrapped it holds the member with its name, when one is added without.
    """
    found = protobuf.message(data, {1: VARINT, 2: VARINT, 3: VARINT, 4: BYTES}, source=source, base=base)
    kind, member_id = protobuf.number(found, 2), protobuf.number(found, 3)
    if kind not in ACTIONS:
        raise FormatError(f"conf change of type {kind} is not one that etcd writes", source=source, offset=base)
    if kind == REMOVE:
        return ConfChange(index, term, ACTIONS[kind], member_id, forced=protobuf.number(found, 1) == 0)
    context = protobuf.content(found, 4)
    value = _object(parse_json(context, source=source, offset=base), "the context of a conf change", source, base)
    member = member_from_json(value, member_id, source=source, offset=base)
    promote = bool(value.get("isPromote")) and kind in (ADD, ADD_LEARNER)
    return ConfChange(index, term, "promote" if promote else ACTIONS[kind], member_id, member)


@dataclass
class Roster:
    """A configuration in the making: starts from a snapshot at `base`, then takes the log's changes in order.

    `voter_changes` are those that took effect, without the entries with which a cluster begins; `removed_at` says by
    which index each removed id was removed, as far as that is known.
    """

    members: dict[int, Member] = field(default_factory=dict)
    voters: set[int] = field(default_factory=set)
    learners: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    cluster_version: str = ""
    base: int = 0
    voter_changes: list[VoterChange] = field(default_factory=list)
    removed_at: dict[int, int] = field(init=False)
    _owners: dict[str, set[int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.removed_at = dict.fromkeys(self.removed, self.base)
        self._owners = {}
        for member in self.members.values():
            self._own(member)

    def frozen(self) -> Configuration:
        """The configuration as it stands now."""
        return Configuration(
            members=tuple(self.members[key] for key in sorted(self.members)),
            voters=frozenset(self.voters),
            learners=frozenset(self.learners),
            removed=frozenset(self.removed),
            cluster_version=self.cluster_version,
        )

    def apply(self, change: Change) -> Change:
        """Take one entry's change; return it, with `rejected` filled in when etcd would ignore it."""
        if isinstance(change, ClusterVersion):
            self.cluster_version = change.version
            return change
        if isinstance(change, Attributes):
            known = self.members.get(change.member_id)
            if known is not None:
                self.members[known.id] = replace(known, name=change.name, client_urls=change.client_urls)
            return change
        rejected = self._reason_to_reject(change)
        if rejected:
            return replace(change, rejected=rejected)
        voted = change.member_id in self.voters
        self._take(change)
        votes = change.member_id in self.voters
        if voted != votes and change.term > BOOTSTRAP_TERM:
            self.voter_changes.append(VoterChange(change.index, change.member_id, votes, forced=change.forced))
        return change

    def _reason_to_reject(self, change: ConfChange) -> str:
        """Say why etcd's ValidateConfigurationChange (3.3 to 3.5) would ignore this change; empty if it would not."""
        if change.member_id in self.removed:
            return "the id was removed before"
        known = self.members.get(change.member_id)
        if change.action == "promote":
            if known is None:
                return "no such member"
            return "" if known.learner else "the member is not a learner"
        if change.action in ("remove", "update"):
            if known is None:
                return "no such member"
        elif known is not None:
            return "the member exists"
        if change.action != "remove" and change.member is not None:
            own = {change.member_id}
            if any(self._owners.get(url, own) - own for url in change.member.peer_urls):
                return "a peer URL is taken"
        return ""

    def _take(self, change: ConfChange) -> None:
        member_id = change.member_id
        if change.action == "remove":
            self._disown(self.members.pop(member_id, None))
            self.voters.discard(member_id)
            self.learners.discard(member_id)
            self.removed.add(member_id)
            self.removed_at[member_id] = change.index
        elif change.action == "promote":
            self.members[member_id] = replace(self.members[member_id], learner=False)
            self.learners.discard(member_id)
            self.voters.add(member_id)
        elif change.action == "update":
            assert change.member is not None
            known = self.members[member_id]
            self._disown(known)
            self.members[member_id] = replace(known, peer_urls=change.member.peer_urls)
            self._own(self.members[member_id])
        else:
            assert change.member is not None
            learner = change.action == "add-learner"
            self.members[member_id] = replace(change.member, learner=learner or change.member.learner)
            self._own(self.members[member_id])
            (self.learners if learner else self.voters).add(member_id)

    def _own(self, member: Member) -> None:
        """Note whose peer URLs are whose: to look through all members at each change takes quadratic time."""
        for url in member.peer_urls:
            self._owners.setdefault(url, set()).add(member.id)

    def _disown(self, member: Member | None) -> None:
        for url in member.peer_urls if member else ():
            self._owners.get(url, set()).discard(member.id if member else 0)


def removals_behind(roster: Roster, changes: Iterable[Change]) -> dict[int, int]:
    """By which index each removed id was removed: `roster`'s own knowledge, and what entries behind its snapshot tell."""
    removals = (change for change in changes if isinstance(change, ConfChange) and change.action == "remove")
    told = {change.member_id: change.index for change in removals if change.member_id in roster.removed}
    return {**roster.removed_at, **told}


def changes_behind(voters: Iterable[int], changes: Sequence[Change]) -> tuple[VoterChange, ...]:
    """The changes of the voters among `changes` (in log order), all of them behind a snapshot that has these voters.

    The snapshot tells the end, so they are undone one by one. An addition that the snapshot does not bear out was
    rejected; so was a removal after which the member still votes. Whether a removed member had voted is told by an
    earlier entry, or by nothing: then the change is not `certain`.
    """
    roles: dict[int, str] = {}
    told: list[tuple[ConfChange, str]] = []
    for change in changes:
        if isinstance(change, ConfChange) and change.action != "update" and change.term > BOOTSTRAP_TERM:
            told.append((change, roles.get(change.member_id, "")))
        if isinstance(change, ConfChange) and change.action != "update":
            roles[change.member_id] = change.action
    now = set(voters)
    found: list[VoterChange] = []
    for change, before in reversed(told):
        member_id = change.member_id
        if change.action in ("add", "promote") and member_id in now:
            found.append(VoterChange(change.index, member_id, joined=True))
            now.discard(member_id)
        elif change.action == "remove" and member_id not in now and before in ("add", "promote", ""):
            found.append(VoterChange(change.index, member_id, joined=False, certain=bool(before), forced=change.forced))
            if before:
                now.add(member_id)
    return tuple(reversed(found))


def configurations(
    start: Roster, changes: Iterable[Change], commit: int
) -> tuple[Configuration, Configuration, tuple[ConfChange, ...]]:
    """Apply `changes` (in log order) to `start`, which is used up.

    Returns the configuration at `commit`, the one at the end of the log, and the conf changes above commit.
    """
    at_commit: Configuration | None = None
    above: list[ConfChange] = []
    for change in changes:
        if change.index > commit and at_commit is None:
            at_commit = start.frozen()
        applied = start.apply(change)
        if change.index > commit and isinstance(applied, ConfChange):
            above.append(applied)
    at_end = start.frozen()
    return at_commit or at_end, at_end, tuple(above)


def members_from_v2store(
    data: bytes, *, source: str, base: int = 0
) -> tuple[dict[int, Member], frozenset[int], str, dict[str, Any]]:
    """Read members, removed ids and the cluster version from the JSON of etcd's v2 store.

    Its shape: {"Root": {"Children": {"0": {"Children": {"members": …, "removed_members": …, "version": …}}}}}, where a
    directory has `Children`, a key has `Value`. Under `members/<hex id>` stand `raftAttributes` and `attributes`, both
    JSON in a string; under `removed_members` one key per hex id. Written by 3.3 to 3.5 as the whole v2 store, by 3.6
    with just these three. Raises FormatError.
    """
    top = _object(parse_json(data, source=source, offset=base, limit=MAX_STORE), "the v2 store", source, base)

    def child(node: dict[str, Any], name: str) -> dict[str, Any]:
        children = _object(node.get("Children"), f"what holds {name!r}", source, base)
        return _object(children.get(name), repr(name), source, base)

    def value_of(node: dict[str, Any]) -> str:
        value = node.get("Value")
        if value is None:
            return ""
        if not isinstance(value, str):
            raise FormatError("a value in the v2 store is not a string", source=source, offset=base)
        return value

    root = _object(top.get("Root"), "the v2 store's root", source, base)
    cluster = child(root, "0")
    members: dict[int, Member] = {}
    for key, entry in _object(child(cluster, "members").get("Children"), "members", source, base).items():
        member_id = parse_member_id(key, source=source, offset=base)
        node = _object(entry, f"member {key}", source, base)
        merged: dict[str, Any] = {}
        for part in ("raftAttributes", "attributes"):
            raw = value_of(child(node, part))
            if raw:
                parsed = parse_json(raw.encode("utf-8", "surrogatepass"), source=source, offset=base)
                merged.update(_object(parsed, part, source, base))
        members[member_id] = member_from_json(merged, member_id, source=source, offset=base)
    removed = frozenset(
        parse_member_id(key, source=source, offset=base)
        for key in _object(child(cluster, "removed_members").get("Children"), "removed members", source, base)
    )
    return members, removed, value_of(child(cluster, "version")), top
