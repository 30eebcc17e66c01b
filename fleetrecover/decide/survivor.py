"""PURE: which member survives, and what that choice is worth.

The rule: of the voters with a sound log, the one whose last entry has the greatest (term, index); ties by commit.

Why it holds: a write is acknowledged once it is on a quorum's disks, and Raft's leader of any later term has it. Among
n − q + 1 sound logs at least one belongs to such a quorum, and the log that ends with the greatest (term, index) holds
all that is committed: that is the argument by which Raft elects. With fewer logs the choice is only the best there is.

Put as it is checked here: let S be the readable logs that end no later than the chosen one, and E an electorate, a set
of voters that may have acknowledged. If S holds n − q + 1 members of E, for every E that the logs leave possible, then
whatever any of them acknowledged is in the chosen log. etcd counts a commit by the membership that the leader has
applied, so while a change is young the membership before it is an electorate too.

What is not evidence, and counts as missing: a log whose database is ahead of it, a member that ran without fsync, one
that a peer's log proves to have forgotten something. What nobody can prove from logs: that a disk was rolled back by less
than a peer's vote or a decided entry tells; that fsync was honest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from fleetrecover.decide.membership import logs_needed, quorum
from fleetrecover.etcd.wal import Log, compare_logs
from fleetrecover.plain import counted


class ProofKind(StrEnum):
    """What is proven of a choice. The words of INTERFACE.md."""

    COMPLETE = "provably-complete"
    BEST = "best-available"


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


@dataclass(frozen=True)
class Choice:
    """The survivor and the worth of the choice.

    `uncertain` counts the survivor's entries above its commit that may have been acknowledged; `unacknowledged` those
    that certainly were not. `loses` says what an overriding choice gives up. `doubts` are what weakens the proof, `aside`
    the logs that are no evidence. `may_miss` says how much more the missing members may hold, as far as can be told.
    """

    survivor: str
    why: str
    proof: ProofKind
    logs_needed: int
    logs_read: int
    voters: int
    missing: tuple[str, ...]
    ranking: tuple[str, ...]
    uncertain: int = 0
    unacknowledged: int = 0
    overridden: bool = False
    loses: str = ""
    doubts: tuple[str, ...] = ()
    aside: tuple[Aside, ...] = ()
    may_miss: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoChoice:
    """Why nobody can be chosen. `contradiction` is set where the evidence contradicts itself."""

    reason: str
    contradiction: bool = False
    aside: tuple[Aside, ...] = ()


Electorates = tuple[frozenset[int], ...]


def rank(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Best first. Equal ones keep their order, which is the inventory's."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.rank, reverse=True))


def choose_survivor(
    candidates: Sequence[Candidate], names: Mapping[int, str], override: str | None = None
) -> Choice | NoChoice:
    """Choose among the candidates; `names` gives a label for each member id, for the words."""
    if not candidates:
        return NoChoice("no member's log could be read")
    ranked = rank(candidates)
    fork = _fork(ranked)
    if fork:
        return NoChoice(fork, contradiction=True)
    # the log that goes furthest knows the membership best, whether its own member still votes or not
    possible = electorates(ranked[0].log)
    gone = ranked[0].log.configuration.removed
    everyone = frozenset[int]().union(*possible)
    aside = tuple(why for each in ranked if (why := _aside(each, everyone, gone)) is not None)
    told = {why.host for why in aside}
    voting = tuple(candidate for candidate in ranked if candidate.host not in told)
    forgetful = {why.host: why for why in _forgetful(voting, possible)}
    aside += tuple(forgetful.values())
    evidence = tuple(replace(each, honest=False) if each.host in forgetful else each for each in voting)
    eligible = [candidate for candidate in evidence if is_voter(candidate)]
    best = next(iter(eligible), None)
    if best is None:
        return NoChoice(_nobody(aside, ranked), aside=aside)
    chosen = best
    if override is not None and override != best.host:
        wanted = next((candidate for candidate in eligible if candidate.host == override), None)
        if wanted is None:
            return NoChoice(_not_eligible(override, aside, ranked), aside=aside)
        chosen = wanted
    # a membership that the chosen log still knows to be possible counts, whatever a longer one has seen since
    possible = tuple(dict.fromkeys((*possible, *electorates(chosen.log))))
    return _explain(chosen, best, evidence, possible, names, aside)


def electorates(log: Log) -> Electorates:
    """The sets of voters that may have acknowledged something, as far as this log tells.

    Those at its commit, those after each change above it, and those before the last change that its entries tell of:
    a leader that had not applied that change yet still counted by them.
    """
    voters = log.configuration.voters
    found = [voters]
    for change in log.conf_changes_above_commit:
        if change.rejected:
            continue
        if change.action == "remove":
            voters = voters - {change.member_id}
        elif change.action == "promote" or (change.action == "add" and not (change.member and change.member.learner)):
            voters = voters | {change.member_id}
        found.append(voters)
    found.append(log.configuration_at_end.voters)
    if log.voters_before is not None:
        found.append(log.voters_before)
    return tuple(dict.fromkeys(each for each in found if each))


def is_voter(candidate: Candidate) -> bool:
    """Whether it is a voter of its own configuration, now and when all its log is applied: else the reset panics."""
    log = candidate.log
    return log.node_id in log.configuration.voters and log.node_id in log.configuration_at_end.voters


# --- what is no evidence ------------------------------------------------------------------------------------------


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


def _forgetful(voting: Sequence[Candidate], possible: Electorates) -> list[Aside]:
    """The members whose logs a peer's log proves to have lost something: a disk rolled back, a wiped member under its id.

    Two things are proven. A vote: whoever was voted for in a term had that term on its own disk before it asked. A
    decided entry, or a leader of a term: a quorum had it on disk; if more members lack it than may, some of them have
    forgotten it, and since none can say which, none of them proves anything. And one thing is likely: a log that has only
    the entries with which every cluster begins is that of a member that was emptied and started anew, as containers do.
    """
    found: dict[str, Aside] = {}
    by_id = {candidate.log.node_id: candidate for candidate in voting}
    for candidate in voting:
        state = candidate.log.hard_state
        other = by_id.get(state.vote)
        if other is not None and other is not candidate and other.log.hard_state.term < state.term:
            found[other.host] = Aside(
                other.host,
                "rolled-back",
                f"{other.host}'s disk is older than what it did: {candidate.host} voted for it in term {state.term}, and "
                f"its own log only knows term {other.log.hard_state.term}",
            )
    top = max(voting, key=lambda c: c.log.commit, default=None)
    if top is None:
        return list(found.values())
    decided = top.log.commit
    for candidate in voting:
        if newborn(candidate.log) and candidate.log.last.index < decided:
            reason = (
                f"{candidate.host}'s log holds nothing but the membership that a cluster begins with, and {top.host} knows "
                f"entry {decided} to be decided: it was cut off ever since, or its data was emptied and its etcd has started "
                "anew under its old id; nobody can tell"
            )
            found.setdefault(candidate.host, Aside(candidate.host, "newborn", reason))
    if not _settled(top.log, possible):
        return list(found.values())
    lacking = [c for c in voting if _lacks(c.log, top.log, decided)]
    newest = max(c.log.last.term for c in voting)
    behind = [c for c in voting if c.log.hard_state.term < newest and c.log.last.term < newest]
    for group, what in (
        (lacking, f"entry {decided}, which {top.host} knows to be decided"),
        (behind, f"term {newest}, in which there was a leader"),
    ):
        if not _too_many(group, possible):
            continue
        hosts = ", ".join(candidate.host for candidate in group)
        for candidate in group:
            reason = (
                f"{hosts} do not know {what}; a quorum had it on disk, so at least one of them has forgotten what it "
                "acknowledged (a disk rolled back, or wiped under its old id)"
            )
            found.setdefault(candidate.host, Aside(candidate.host, "rolled-back", reason))
    return list(found.values())


def _settled(log: Log, possible: Electorates) -> bool:
    """Whether the membership is the one by which the last decided entry, and the newest leader, came about.

    Members that were added since do lack what was decided before them, and have forgotten nothing.
    """
    newest_began = log.terms[-1].first if log.terms else 0
    return len(possible) == 1 and min(log.commit, newest_began) > log.snapshot.index


def newborn(log: Log) -> bool:
    """Whether a log has nothing but the additions of the first members, which etcd writes itself into an empty directory."""
    members = log.configuration_at_end.members
    return log.snapshot.index == 0 and 0 < log.last.index <= len(members)


def _lacks(log: Log, top: Log, index: int) -> bool:
    """Whether a log does not hold the entry that `top` has at `index`."""
    if log.last.index < index:
        return True
    mine, theirs = log.term_at(index), top.term_at(index)
    return mine is not None and theirs is not None and mine != theirs


def _too_many(group: Sequence[Candidate], possible: Electorates) -> bool:
    """Whether more members lack something than any electorate could spare when it was decided."""
    ids = {candidate.log.node_id for candidate in group}
    return bool(ids) and all(len(ids & voters) > len(voters) - quorum(len(voters)) for voters in possible)


def _fork(ranked: Sequence[Candidate]) -> str:
    for one, other in combinations(ranked, 2):
        fork = compare_logs(one.log, other.log).fork
        if fork is not None:
            return (
                f"{one.host} and {other.host} hold different histories (index {fork.index}: {fork.reason}); an earlier "
                "reset or a restored disk has forked the cluster, and no rule can say which history clients saw"
            )
    return ""


def _nobody(aside: Sequence[Aside], ranked: Sequence[Candidate]) -> str:
    if aside:
        return "no readable log belongs to a voter: " + "; ".join(found.reason for found in aside)
    return "no readable log belongs to a voter: " + ", ".join(candidate.host for candidate in ranked)


def _not_eligible(host: str, aside: Sequence[Aside], ranked: Sequence[Candidate]) -> str:
    for found in aside:
        if found.host == host and found.code not in ("rolled-back", "newborn"):
            return f"{host} cannot survive: {found.reason}"
    if any(candidate.host == host for candidate in ranked):
        return f"{host} is not a voter of its own configuration: the reset would leave no voter at all"
    return f"{host} has no sound log, so it cannot survive"


# --- what a choice is worth -----------------------------------------------------------------------------------------


def _explain(
    chosen: Candidate,
    best: Candidate,
    evidence: Sequence[Candidate],
    possible: Electorates,
    names: Mapping[int, str],
    aside: tuple[Aside, ...],
) -> Choice:
    # the electorate that is hardest to satisfy is the one to tell of
    proving = [candidate for candidate in evidence if candidate.evidence and candidate.rank[:2] <= chosen.rank[:2]]
    ids = {candidate.log.node_id for candidate in proving}
    hardest = max(possible, key=lambda voters: (logs_needed(len(voters)) - len(ids & voters), len(voters)))
    read = {candidate.log.node_id for candidate in evidence if candidate.evidence}
    complete = all(len(ids & voters) >= logs_needed(len(voters)) for voters in possible)
    missing = tuple(sorted(names.get(member, f"member {member:x}") for member in hardest - read))
    doubts = [candidate.note for candidate in evidence if not candidate.evidence and candidate.note]
    if len(possible) > 1 and not complete:
        sizes = " or ".join(sorted({str(len(voters)) for voters in possible}))
        doubts.append(f"the membership was changing: writes may have been acknowledged by a quorum of {sizes} voters")
    doubts += _further(chosen, aside, evidence)
    above = chosen.log.last.index - chosen.log.commit
    certain = certainly_unacknowledged(chosen, evidence, possible)
    return Choice(
        survivor=chosen.host,
        why=_why(chosen, evidence),
        proof=ProofKind.COMPLETE if complete else ProofKind.BEST,
        logs_needed=logs_needed(len(hardest)),
        logs_read=len(read & hardest),
        voters=len(hardest),
        missing=missing,
        ranking=tuple(candidate.host for candidate in evidence),
        uncertain=above - certain,
        unacknowledged=certain,
        overridden=chosen.host != best.host,
        loses=_loses(chosen, best, complete),
        doubts=tuple(doubts),
        aside=aside,
    )


def _further(chosen: Candidate, aside: Sequence[Aside], evidence: Sequence[Candidate]) -> list[str]:
    """Members that cannot survive but whose logs go further."""
    beyond = [candidate for candidate in evidence if candidate.rank[:2] > chosen.rank[:2] and not is_voter(candidate)]
    return [
        f"{candidate.host}'s log goes on to term {candidate.rank[0]}, index {candidate.rank[1]}, but by its own log it is "
        "no voter"
        for candidate in beyond
    ]


def certainly_unacknowledged(chosen: Candidate, evidence: Sequence[Candidate], possible: Electorates) -> int:
    """How many of the last entries of a log were certainly never acknowledged.

    An entry may have been if the members that are proven to hold it and those that nothing is known of make a quorum of
    some electorate: holders(i) + (n − k) ≥ q. holders(i) only falls with i, so it is enough to find, for each
    electorate, the last entry that q − (n − k) known members hold.
    """
    proving = [candidate for candidate in evidence if candidate.evidence]
    last = chosen.log.last.index
    shared: dict[int, int] = {}
    decided = chosen.log.commit
    for other in proving:
        differ = compare_logs(chosen.log, other.log).differ_from
        common = other.log.last.index if differ is None else differ - 1
        shared[other.log.node_id] = common
        decided = max(decided, min(other.log.commit, common, last))
    held = decided
    for voters in possible:
        ends = sorted((end for member, end in shared.items() if member in voters), reverse=True)
        wanted = quorum(len(voters)) - (len(voters) - len(ends))
        if wanted <= 0:
            return 0
        held = max(held, ends[wanted - 1] if wanted <= len(ends) else 0)
    return max(0, last - held)


def _why(chosen: Candidate, evidence: Sequence[Candidate]) -> str:
    term, index, commit = chosen.rank
    own = f"its log ends at term {term}, index {index} (commit {commit})"
    others = [candidate for candidate in evidence if candidate.host != chosen.host]
    if not others:
        return f"{own}; it is the only log that could be read"
    told = ", ".join(f"{other.host} at term {other.rank[0]}, index {other.rank[1]}" for other in others)
    return f"{own}; {told}"


def _loses(chosen: Candidate, best: Candidate, complete: bool) -> str:
    if chosen.rank[:2] >= best.rank[:2]:
        return ""
    agreement = compare_logs(best.log, chosen.log)
    common = agreement.differ_from - 1 if agreement.differ_from is not None else chosen.log.last.index
    lost = best.log.last.index - common
    sure = max(0, best.log.commit - common)
    told = (
        f"{best.host} has {counted(lost, 'log entry')} that {chosen.host} does not have (index {common + 1} to "
        f"{best.log.last.index}); "
    )
    return told + (
        "none of them was acknowledged"
        if complete
        else f"{sure} of them {'is' if sure == 1 else 'are'} known to be acknowledged"
    )
