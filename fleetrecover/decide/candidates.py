"""PURE: the logs among which is chosen, and those that are no evidence.

What is not evidence counts as missing: a log whose database is ahead of it, a member that ran without fsync, a copy of
another's disk, and a disk that has forgotten something. Of forgetting there is proof, and there is suspicion:

- proof: a vote. Whoever was voted for in a term had that term on its own disk before it asked;
- proof: a term that begins without its leader's first entry. What follows was written behind other entries than are there;
- proof: a decided entry, or a leader of a term. A quorum had it on disk; if more members lack it than any electorate could
  spare, some of them have forgotten it, and since none can say which, none of them proves anything;
- suspicion: the same, where a snapshot hides by which electorate it was decided;
- suspicion: a log with nothing but the members with which a cluster begins, or with nothing at all, while another goes
  on: a directory that was emptied looks so when its container starts it anew, with state `new` and with `existing`.

What nobody can prove from logs: that a disk was rolled back by less than that; that one was emptied and has been filled
again by a later leader; that fsync was honest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fleetrecover.decide.electorates import YOUNG, Decided, Electorates, before_last_change, lacks
from fleetrecover.decide.membership import quorum
from fleetrecover.etcd.log import Log


@dataclass(frozen=True)
class Candidate:
    """A member with a log that could be read.

    `honest` is False where the log may lack what was acknowledged (fsync off): it proves nothing, but may be chosen.
    `usable` is False where it surely lacks something (a database ahead of its WAL): it is never chosen either.
    `note` says why, for a person.
    """

    host: str
    log: Log
    honest: bool = True
    note: str = ""
    usable: bool = True

    @property
    def rank(self) -> tuple[int, int, int]:
        """(term, index) of the last entry, then commit."""
        return (self.log.last.term, self.log.last.index, self.log.commit)

    @property
    def evidence(self) -> bool:
        """Whether its log proves anything about what was acknowledged."""
        return self.honest and self.usable


@dataclass(frozen=True)
class Aside:
    """A log that is no evidence, and why: `code` is a word for programs, `reason` for a person."""

    host: str
    code: str
    reason: str


FORGETFUL = frozenset({"rolled-back", "newborn", "unproven", "grafted"})
"""The codes of logs that may be chosen all the same, if there is nothing better; but they prove nothing."""


def rank(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Best first. Equal ones keep their order, which is the inventory's."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.rank, reverse=True))


def is_voter(candidate: Candidate) -> bool:
    """Whether it is a voter of its own configuration when all its log is applied: else the reset panics.

    The reset applies all of it, since the commit is raised to the end before. So a member whose promotion is the last that
    it knows of may survive, and one whose removal is may not.
    """
    return candidate.log.node_id in candidate.log.configuration_at_end.voters


def set_aside(ranked: Sequence[Candidate], possible: Electorates) -> list[Aside]:
    """The logs that are of no voter, that have lost data, or that are an older copy of another's; best first."""
    everyone = frozenset[int]().union(*possible)
    gone = frozenset[int]().union(*(each.log.configuration.removed for each in ranked))
    found: list[Aside] = []
    seen: dict[int, str] = {}
    for candidate in ranked:
        why = _aside(candidate, everyone, gone)
        if why is None and (other := seen.setdefault(candidate.log.node_id, candidate.host)) != candidate.host:
            member = f"member {candidate.log.node_id:x}"
            reason = f"{candidate.host}'s data is that of {member}, like {other}'s: one disk is a copy of the other's"
            why = Aside(candidate.host, "same-member", reason)
        if why is not None:
            found.append(why)
    return found


def _aside(candidate: Candidate, everyone: frozenset[int], gone: frozenset[int]) -> Aside | None:
    host, own = candidate.host, candidate.log.node_id
    if not candidate.usable:
        return Aside(host, "wal-lost-data", candidate.note or f"{host}'s log has lost data")
    if own in everyone:
        return None
    if own in candidate.log.configuration.learners | candidate.log.configuration_at_end.learners:
        return Aside(host, "learner-log", f"{host} is a learner: it never took part in an acknowledgement")
    if own in gone or own in candidate.log.configuration_at_end.removed:
        return Aside(host, "removed-member", f"{host}'s data is that of member {own:x}, which was removed")
    return Aside(host, "older-membership", f"{host}'s data is that of member {own:x}, which is none of the voters")


def forgetful(voting: Sequence[Candidate], everybody: Sequence[Candidate], known: Decided) -> list[Aside]:
    """The voters whose logs have forgotten something, by what any log of the cluster knows.

    `voting` are the logs of voters, `everybody` all that could be read, those of learners and removed members too.
    """
    found: dict[str, Aside] = {}
    for aside in (
        *_grafted(voting),
        *_forgotten_votes(voting, everybody),
        *_newborns(voting, everybody),
        *_forgotten_entry(voting, everybody, known),
        *_forgotten_term(voting, everybody),
    ):
        found.setdefault(aside.host, aside)
    return list(found.values())


def _grafted(voting: Sequence[Candidate]) -> list[Aside]:
    return [
        Aside(
            each.host,
            "grafted",
            f"{each.host}'s log goes on at entry {each.log.grafted} in a term whose leader has not begun there: the entries of "
            "one history follow those of another (members whose data was emptied have voted)",
        )
        for each in voting
        if each.log.grafted
    ]


def _forgotten_votes(voting: Sequence[Candidate], everybody: Sequence[Candidate]) -> list[Aside]:
    by_id = {candidate.log.node_id: candidate for candidate in voting}
    found = []
    for candidate in everybody:
        state = candidate.log.hard_state
        other = by_id.get(state.vote)
        if other is None or other.log.node_id == candidate.log.node_id or other.log.hard_state.term >= state.term:
            continue
        reason = (
            f"{other.host}'s disk is older than what it did: {candidate.host} voted for it in term {state.term}, and "
            f"its own log only knows term {other.log.hard_state.term}"
        )
        found.append(Aside(other.host, "rolled-back", reason))
    return found


def newborn(log: Log) -> bool:
    """Whether a log has nothing at all, or only the first members, which etcd writes itself into an empty directory."""
    return log.last.index <= len(log.configuration_at_end.members)


def blank(log: Log) -> bool:
    """Whether a log has not one entry of a client, from its first on: no evidence that there never was one.

    An emptied disk that was begun anew is more than a newborn as soon as it has had a leader, or a change of members. A snapshot
    of no more than the members with which it began tells of no write either.
    """
    return newborn(log) or (log.writes == 0 and log.from_the_beginning)


def writes_beyond(log: Log, other: Log) -> bool:
    """Whether a log has entries of clients, not known to be decided, that the other one has not."""
    above = sum(log.above_commit.values())
    clients = above - log.above_commit.get("conf-change", 0) - log.above_commit.get("empty", 0)
    if not clients or not lacks(other, log, log.last.index):
        return False
    agreed = min(log.last.index, other.last.index)
    if lacks(other, log, agreed):
        return True
    lacking = log.last.index - agreed
    changes = sum(1 for change in log.conf_changes_above_commit if change.index > agreed)
    opened = sum(1 for run in log.terms if run.first > agreed)
    return lacking > changes + opened


def _newborns(voting: Sequence[Candidate], everybody: Sequence[Candidate]) -> list[Aside]:
    furthest = max(everybody, key=lambda candidate: candidate.log.last.index)
    end = furthest.log.last.index
    found = []
    for candidate in voting:
        if newborn(candidate.log) and candidate.log.last.index < end:
            what = "nothing but the membership that a cluster begins with" if candidate.log.last.index else "no entry"
            reason = (
                f"{candidate.host}'s log holds {what}, and {furthest.host}'s goes on to entry {end}: it was cut off ever "
                "since it began, or its data was emptied and its etcd has started anew under its old id; nobody can tell"
            )
            found.append(Aside(candidate.host, "newborn", reason))
    return found


def _forgotten_entry(voting: Sequence[Candidate], everybody: Sequence[Candidate], known: Decided) -> list[Aside]:
    """A decided entry that more members lack than may. It was decided by the voters at its place, or before them."""
    group = [candidate for candidate in voting if not known.held_by(candidate.log)]
    if not _too_many(group, known.electorates):
        return []
    by = next(candidate.host for candidate in everybody if candidate.log is known.by)
    return _accuse(group, f"entry {known.index}, which {by} knows to be decided", sure=not known.unknown)


def _forgotten_term(voting: Sequence[Candidate], everybody: Sequence[Candidate]) -> list[Aside]:
    """A term that had a leader, and of which more members do not know than may.

    It was elected by the voters that its log tells of where the term began, or by those before them.
    """
    newest = max(candidate.log.last.term for candidate in everybody)
    group = [c for c in voting if c.log.hard_state.term < newest and c.log.last.term < newest]
    leaders = [c.log for c in everybody if c.log.terms and c.log.terms[-1].term == newest]
    log = min(leaders, key=lambda log: log.changes_known_from, default=None)
    if log is None or not group:
        return []
    began = max(log.terms[-1].first, log.changes_known_from)
    last = max((change.index for change in log.changes_between(0, began - 1) if change.certain), default=0)
    known_from = log.changes_known_from
    sure = known_from <= last + 1 or began - known_from > YOUNG
    asked = (log.voters_at(began - 1), *before_last_change(log, began - 1))
    if not _too_many(group, asked):
        return []
    return _accuse(group, f"term {newest}, in which there was a leader", sure=sure)


def _accuse(group: Sequence[Candidate], what: str, *, sure: bool) -> list[Aside]:
    hosts = ", ".join(candidate.host for candidate in group)
    verb = "does" if len(group) == 1 else "do"
    reason = f"{hosts} {verb} not know {what}; a quorum had it on disk, so at least one of them has forgotten what it "
    reason += "acknowledged (a disk rolled back, or wiped under its old id)"
    if not sure:
        reason += ", unless the voters were changed right before the snapshot: nobody can tell"
    return [Aside(candidate.host, "rolled-back" if sure else "unproven", reason) for candidate in group]


def _too_many(group: Sequence[Candidate], possible: Electorates) -> bool:
    """Whether more members lack something than any electorate could spare when it was decided."""
    ids = {candidate.log.node_id for candidate in group}
    asked = [voters for voters in possible if voters]
    return bool(ids and asked) and all(len(ids & voters) > len(voters) - quorum(len(voters)) for voters in asked)
