"""PURE: which member survives, and what that choice is worth.

The rule: of the voters with a sound log, the one whose last entry has the greatest (term, index); ties by commit.

Why it holds: a write is acknowledged once it is on a quorum's disks, and Raft's leader of any later term has it. Among
n − q + 1 sound logs at least one belongs to such a quorum, and the log that ends with the greatest (term, index) holds
all that is committed: that is the argument by which Raft elects. With fewer logs the choice is only the best there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleetrecover.decide.membership import logs_needed, quorum
from fleetrecover.etcd.wal import Log, compare_logs


class ProofKind(StrEnum):
    """What is proven of a choice. The words of INTERFACE.md."""

    COMPLETE = "provably-complete"
    BEST = "best-available"


@dataclass(frozen=True)
class Candidate:
    """A member with a sound log.

    `honest` is False where the log may lack what was acknowledged: fsync off, or a database ahead of its WAL.
    """

    host: str
    log: Log
    honest: bool = True
    note: str = ""

    @property
    def rank(self) -> tuple[int, int, int]:
        """(term, index) of the last entry, then commit."""
        return (self.log.last.term, self.log.last.index, self.log.commit)


@dataclass(frozen=True)
class Choice:
    """The survivor and the worth of the choice.

    `uncertain` counts the survivor's entries above its commit that may have been acknowledged; `unacknowledged` those
    that certainly were not. `loses` says what an overriding choice gives up.
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


@dataclass(frozen=True)
class NoChoice:
    """Why nobody can be chosen. `contradiction` is set where the evidence contradicts itself."""

    reason: str
    contradiction: bool = False


def rank(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Best first. Equal ones keep their order, which is the inventory's."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.rank, reverse=True))


def choose_survivor(
    candidates: Sequence[Candidate], names: Mapping[int, str], override: str | None = None
) -> Choice | NoChoice:
    """Choose among the candidates; `names` gives a label for each member id, for the words.

    Only voters of the survivor's own configuration count, as survivor and as evidence.
    """
    ranked = rank(candidates)
    best = next((candidate for candidate in ranked if is_voter(candidate)), None)
    if best is None:
        return NoChoice(_nobody(ranked))
    evidence = tuple(candidate for candidate in ranked if _votes_with(best, candidate))
    fork = _fork(best, evidence)
    if fork:
        return NoChoice(fork, contradiction=True)
    if override is None or override == best.host:
        return _explain(best, best, evidence, names)
    chosen = next((candidate for candidate in ranked if candidate.host == override), None)
    if chosen is None:
        return NoChoice(f"{override} has no sound log, so it cannot survive")
    if not is_voter(chosen):
        return NoChoice(f"{override} is not a voter of its own configuration: the reset would leave no voter at all")
    return _explain(chosen, best, evidence, names)


def is_voter(candidate: Candidate) -> bool:
    """Whether it is a voter of its own configuration, now and when all its log is applied."""
    log = candidate.log
    return log.node_id in log.configuration.voters and log.node_id in log.configuration_at_end.voters


def _votes_with(best: Candidate, other: Candidate) -> bool:
    voters = best.log.configuration.voters | best.log.configuration_at_end.voters
    return other.log.node_id in voters


def _nobody(ranked: Sequence[Candidate]) -> str:
    if not ranked:
        return "no member's log could be read"
    return "no readable log belongs to a voter: " + ", ".join(candidate.host for candidate in ranked)


def _fork(best: Candidate, evidence: Sequence[Candidate]) -> str:
    for other in evidence:
        if other is best:
            continue
        fork = compare_logs(best.log, other.log).fork
        if fork is not None:
            return (
                f"{best.host} and {other.host} hold different histories (index {fork.index}: {fork.reason}); an earlier "
                "reset or a restored disk has forked the cluster, and no rule can say which history clients saw"
            )
    return ""


def _explain(chosen: Candidate, best: Candidate, evidence: Sequence[Candidate], names: Mapping[int, str]) -> Choice:
    log = best.log
    sizes = {len(log.configuration.voters), len(log.configuration_at_end.voters)}
    # while a membership change is under way either configuration may be the one that acknowledged
    voters = max(sizes)
    needed = max(logs_needed(size) for size in sizes)
    union = log.configuration.voters | log.configuration_at_end.voters
    read = {candidate.log.node_id for candidate in evidence if candidate.honest}
    missing = tuple(sorted(names.get(member, f"member {member:x}") for member in union - read))
    doubts = tuple(candidate.note for candidate in evidence if not candidate.honest and candidate.note)
    complete = len(read) >= needed and chosen.rank[:2] == best.rank[:2] and best.honest and len(sizes) == 1
    above = log.last.index - log.commit
    certain = _certainly_unacknowledged(best, evidence, voters)
    return Choice(
        survivor=chosen.host,
        why=_why(chosen, evidence),
        proof=ProofKind.COMPLETE if complete else ProofKind.BEST,
        logs_needed=needed,
        logs_read=len(read),
        voters=voters,
        missing=missing,
        ranking=tuple(candidate.host for candidate in rank(evidence)),
        uncertain=above - certain,
        unacknowledged=certain,
        overridden=chosen.host != best.host,
        loses=_loses(chosen, best),
        doubts=doubts,
    )


def _certainly_unacknowledged(best: Candidate, evidence: Sequence[Candidate], voters: int) -> int:
    """How many entries above the commit are certainly not acknowledged: holders(i) + (n − k) < q."""
    q, unread = quorum(voters), voters - len(evidence)
    commit = max(candidate.log.commit for candidate in evidence)
    ends = []
    for other in evidence:
        agreement = compare_logs(best.log, other.log)
        differ = agreement.differ_from
        ends.append(other.log.last.index if differ is None else differ - 1)
    first = max(commit, best.log.commit) + 1
    # holders(i) only falls with i, so count down from the end
    count = 0
    for index in range(best.log.last.index, first - 1, -1):
        if sum(1 for end in ends if end >= index) + unread >= q:
            break
        count += 1
    return count


def _why(chosen: Candidate, evidence: Sequence[Candidate]) -> str:
    term, index, commit = chosen.rank
    own = f"its log ends at term {term}, index {index} (commit {commit})"
    others = [candidate for candidate in rank(evidence) if candidate is not chosen]
    if not others:
        return f"{own}; it is the only log that could be read"
    told = ", ".join(f"{other.host} at term {other.rank[0]}, index {other.rank[1]}" for other in others)
    return f"{own}; {told}"


def _loses(chosen: Candidate, best: Candidate) -> str:
    if chosen.rank[:2] >= best.rank[:2]:
        return ""
    agreement = compare_logs(best.log, chosen.log)
    common = agreement.differ_from - 1 if agreement.differ_from is not None else chosen.log.last.index
    lost = best.log.last.index - common
    sure = max(0, best.log.commit - common)
    return (
        f"{best.host} has {lost} log entries that {chosen.host} does not have (index {common + 1} to "
        f"{best.log.last.index}); {sure} of them are known to be acknowledged"
    )
