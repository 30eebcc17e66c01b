"""What lies on a disk of the model, as the readers would tell it: as a Log, and as the bytes of WAL and .snap."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from fleetrecover.etcd.log import Entries, HardState, Log, Position, Tail, TermRun
from fleetrecover.etcd.membership import (
    Change,
    ConfChange,
    Member,
    Roster,
    changes_behind,
    configurations,
    removals_behind,
)
from tests.etcd.writers import WalWriter, conf_change, put, snap

if TYPE_CHECKING:
    from tests.simulation.raft import Disk, Entry, Node

CLUSTER = 0xC1
SEGMENT = "0000000000000000-0000000000000000.wal"
ACTIONS = {"add": "add", "remove": "remove", "expel": "remove", "learn": "add-learner", "promote": "promote"}


def change_of(entry: Entry, index: int) -> ConfChange:
    kind = ACTIONS[entry.kind]
    member = None if kind == "remove" else Member(entry.value, "", (f"http://{entry.value}:2380",))
    return ConfChange(index, entry.term, kind, entry.value, member, forced=entry.kind == "expel")


def log_of(node: Node) -> Log:
    """The disk of a stopped member as `fleetrecover.etcd.wal.read_log` would give it."""
    disk = node.disk
    shown, first = disk.log[disk.first - 1 :], disk.first
    commit = min(disk.state.commit, len(disk.log))
    changes: list[Change] = [
        change_of(entry, index) for index, entry in enumerate(shown, first) if entry.kind in ACTIONS
    ]
    roster = roster_of(disk)
    hidden = changes_behind(roster.voters, [change for change in changes if change.index <= disk.snap])
    roster.removed_at = removals_behind(roster, [change for change in changes if change.index <= disk.snap])
    after = [change for change in changes if change.index > disk.snap]
    at_commit, at_end, above = configurations(roster, after, commit)
    voter_changes = (*hidden, *roster.voter_changes)
    snapshot = Position(disk.log[disk.snap - 1].term, disk.snap) if disk.snap else Position(0, 0)
    return Log(
        node_id=node.id,
        cluster_id=CLUSTER,
        hard_state=HardState(disk.state.term, disk.state.vote, commit),
        last=Position(disk.log[-1].term, len(disk.log)) if disk.log else Position(0, 0),
        snapshot=snapshot,
        snap_name="",
        entries=entries_of(shown, first),
        segments=(SEGMENT,),
        tail=Tail(SEGMENT, 0, 0),
        torn=None,
        configuration=at_commit,
        configuration_at_end=at_end,
        conf_changes_above_commit=above,
        above_commit={},
        snapshot_records=(),
        voters_before=at_end.voters ^ {voter_changes[-1].member_id} if voter_changes else None,
        voter_changes=voter_changes,
        removed_at=roster.removed_at,
        grafted=grafted(disk, shown),
    )


def grafted(disk: Disk, shown: list[Entry]) -> int:
    """The first index at which a term begins with a write, of the entries whose predecessor is known."""
    before = disk.log[disk.snap - 1].term if disk.snap and disk.first == disk.snap + 1 else None
    for index, entry in enumerate(shown, disk.first):
        if before is not None and entry.term > before and entry.kind == "write":
            return index
        before = entry.term
    return 0


def entries_of(shown: list[Entry], first: int) -> Entries:
    runs: list[TermRun] = []
    begin = first
    for index, entry in enumerate(shown, first):
        if index > first and entry.term != shown[index - first - 1].term:
            runs.append(TermRun(shown[begin - first].term, begin, index - 1))
            begin = index
    if shown:
        runs.append(TermRun(shown[-1].term, begin, first + len(shown) - 1))
    digests = array("I", [hash((entry.kind, entry.value)) & 0xFFFFFFFF for entry in shown])
    return Entries(first, tuple(runs), digests)


def roster_of(disk: Disk) -> Roster:
    """The membership that the snapshot tells of."""
    before = Roster()
    for index, entry in enumerate(disk.log[: disk.snap], 1):
        if entry.kind in ACTIONS:
            before.apply(change_of(entry, index))
    return Roster(before.members, before.voters, before.learners, before.removed, base=disk.snap)


def written(node: Node) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """The segments and .snap files of a disk."""
    disk = node.disk
    writer = WalWriter(node_id=node.id, cluster_id=CLUSTER).open()
    commit = min(disk.state.commit, len(disk.log))
    for index, entry in enumerate(disk.log[disk.first - 1 :], disk.first):
        if entry.kind in ACTIONS:
            writer.change(entry.term, index, change_bytes(entry))
        else:
            writer.entry(entry.term, index, put(f"k{entry.value}") if entry.kind == "write" else b"")
    snaps = []
    if disk.snap:
        roster, term = roster_of(disk), disk.log[disk.snap - 1].term
        writer.snapshot(term, disk.snap)
        members = [(each.id, "", each.id in roster.learners) for each in roster.frozen().members]
        snaps.append(snap(term, disk.snap, members, sorted(roster.removed)))
    writer.state(disk.state.term, disk.state.vote, commit)
    return writer.done(), snaps


def change_bytes(entry: Entry) -> bytes:
    if entry.kind in ("remove", "expel"):
        return conf_change(1, entry.value, request=int(entry.kind == "remove"))
    member = {"peerURLs": [f"http://{entry.value}:2380"]}
    if entry.kind == "promote":
        return conf_change(0, entry.value, {**member, "isPromote": True})
    return conf_change(3 if entry.kind == "learn" else 0, entry.value, member)
