"""The members that a node's log tells of, against those in its database: etcd keeps both, and from 3.6 on starts from the latter.

Up to 3.5 members come from the `.snap` and the log (the v2 store), and the database's copy (bbolt's bucket `members`) is
written and never read. What 3.5 left wrong there is noticed when 3.6 reads it (server/etcdserver/api/membership, v3.5.16):

- a *ghost*: removed in the log, and still in the database. `--force-new-cluster` appends removals at indexes that the
  database has applied already (etcd#20967; cured in 3.5.22), and a ghost counts for quorum.
- a *stale learner*: promoted in the log. Before 3.5.20 a member that is there already is never written again
  (unsafeSaveMemberToBackend; etcd#19557), so every promotion leaves one. More than one, and 3.6 does not start.
- a stale peer URL, in the same way, by `member update`;
- a member that is *missing*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleetrecover.errors import FormatError
from fleetrecover.etcd.bbolt import DbFacts
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.membership import Configuration, Member
from fleetrecover.plain import version_numbers


@dataclass(frozen=True)
class Differences:
    """What is wrong in a database's copy of the members. `ghosts` are as they stand there, the others as in the log."""

    ghosts: tuple[Member, ...] = ()
    stale_learners: tuple[Member, ...] = ()
    missing: tuple[Member, ...] = ()
    moved: tuple[Member, ...] = ()


def differences(log: Log, db: DbFacts, forgets: bool = False) -> Differences:
    """Compare them at what the database has applied; nothing is said where that is not known, or no copy is kept.

    With `forgets`, an etcd runs that writes no promotion down: then every decided one counts, since a database to which
    nothing is written does not tell either how far it is applied.

    On a running etcd the database is read after the log, and may have heard of more: ids never come back and no voter
    becomes a learner, so what is said here is true then, too.
    """
    at = _applied(log, db)
    if not db.members:
        return Differences()
    voters = (log.configuration.voters if forgets else frozenset[int]()) | (at.voters if at else frozenset())
    stale = tuple(_as_known(log, m) for m in db.members if m.learner and m.id in voters)
    if at is None:
        return Differences(stale_learners=stale)
    known = {member.id: member for member in at.members}
    stored = {member.id for member in db.members}
    heard_of_all = log.complete and db.consistent_index <= log.last.index
    ghosts = [m for m in db.members if m.id in at.removed or (heard_of_all and m.id not in known and known)]
    missing = [m for m in at.members if m.id not in stored | db.removed]
    moved = [known[m.id] for m in db.members if m.id in known and set(m.peer_urls) != set(known[m.id].peer_urls)]
    return Differences(
        ghosts=tuple(ghosts),
        stale_learners=stale,
        missing=tuple(missing),
        moved=tuple(moved) if log.commit <= db.consistent_index <= log.last.index else (),
    )


WITHOUT_SNAP = (3, 7)
"""The first version that starts without a .snap file."""


def named(log: Log, db: DbFacts | None) -> Log:
    """A log that is read by a snapshot record alone, with the names and URLs that the database has for its members.

    Raises FormatError where the database is not of a version that starts so: for that etcd, and for a reset, the log is lost.
    """
    if not log.by_record:
        return log
    if db is None or version_numbers(db.storage_version) < WITHOUT_SNAP:
        raise FormatError(
            "no .snap file goes with it, and before 3.7 etcd does not start without", source="member/snap"
        )
    known = {member.id: member for member in db.members}

    def fill(configuration: Configuration) -> Configuration:
        members = (m if m.peer_urls else replace(known.get(m.id, m), learner=m.learner) for m in configuration.members)
        return replace(configuration, members=tuple(members), removed=configuration.removed | db.removed)

    return replace(log, configuration=fill(log.configuration), configuration_at_end=fill(log.configuration_at_end))


def _as_known(log: Log, member: Member) -> Member:
    """The member as the log has it, with its name."""
    return log.configuration_at_end.member(member.id) or member


def _applied(log: Log, db: DbFacts) -> Configuration | None:
    """The membership once all is applied that the database has; None where a change lies between that and what is known."""
    index = db.consistent_index
    above = [change.index for change in log.conf_changes_above_commit if not change.rejected]
    if above and max(above) <= index:
        return log.configuration_at_end
    decided = [change.index for change in log.voter_changes if change.index <= log.commit]
    last = max([*decided, *log.removed_at.values(), log.snapshot.index], default=0)
    return log.configuration if last <= index and not any(each <= index for each in above) else None
