"""Logs for the tests of the choice, said in a line."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from fleetrecover.decide.survivor import Candidate
from fleetrecover.etcd.log import Entries, HardState, Log, Position, Tail, TermRun
from fleetrecover.etcd.membership import ConfChange, Configuration, Member, VoterChange

THREE = (1, 2, 3)
FIVE = (1, 2, 3, 4, 5)


def configuration(voters: Sequence[int], learners: Sequence[int] = (), removed: Sequence[int] = ()) -> Configuration:
    members = tuple(
        Member(each, f"etcd{each}", (f"https://10.0.0.{each}:2380",), (), each in learners)
        for each in sorted({*voters, *learners})
    )
    return Configuration(members, frozenset(voters), frozenset(learners), frozenset(removed), "3.4.0")


def log(
    node: int,
    runs: Sequence[tuple[int, int]],
    *,
    commit: int | None = None,
    term: int | None = None,
    vote: int = 0,
    voters: Sequence[int] = THREE,
    learners: Sequence[int] = (),
    removed: Sequence[int] = (),
    above: Sequence[ConfChange] = (),
    voters_at_end: Sequence[int] | None = None,
    voters_before: Sequence[int] | None = None,
    changes: Sequence[VoterChange] = (),
    removed_at: Mapping[int, int] | None = None,
    snapshot: tuple[int, int] = (0, 0),
    first: int = 1,
    learners_at_end: Sequence[int] | None = None,
    cluster: int = 9,
    salt: int = 0,
    writes: int | None = None,
) -> Log:
    """A log of (term, number of entries) runs from index `first`; entries of equal term and index are equal but for `salt`.

    `snapshot` is (term, index); where no entry follows, it is the log's end. `writes` of its entries are of clients; all of
    them, where nothing is said.
    """
    terms: list[TermRun] = []
    digests = array("I")
    index = first - 1
    for entry_term, count in runs:
        terms.append(TermRun(entry_term, index + 1, index + count))
        digests.extend((entry_term * 7919 + at + salt) & 0xFFFFFFFF for at in range(index + 1, index + count + 1))
        index += count
    last = Position(terms[-1].term, index) if terms else Position(*snapshot)
    learning = learners if learners_at_end is None else learners_at_end
    at_end = configuration(voters if voters_at_end is None else voters_at_end, learning, removed)
    return Log(
        node_id=node,
        cluster_id=cluster,
        hard_state=HardState(last.term if term is None else term, vote, last.index if commit is None else commit),
        last=last,
        snapshot=Position(*snapshot),
        snap_name="",
        entries=Entries(first, tuple(terms), digests),
        segments=("0000000000000000-0000000000000000.wal",),
        tail=Tail("0000000000000000-0000000000000000.wal", 0, 0),
        torn=None,
        configuration=configuration(voters, learners, removed),
        configuration_at_end=at_end,
        conf_changes_above_commit=tuple(above),
        above_commit={},
        snapshot_records=(),
        voters_before=None if voters_before is None else frozenset(voters_before),
        voter_changes=tuple(changes),
        removed_at=removed_at or {},
        writes=index if writes is None else writes,
    )


def candidate(found: Log, **more: object) -> Candidate:
    return Candidate(f"etcd{found.node_id}", found, **more)  # type: ignore[arg-type]
