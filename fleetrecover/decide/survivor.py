"""PURE: which member survives, and what that choice is worth.

The rule: of the voters with a sound log, the one whose last entry has the greatest (term, index); ties by commit.

Why it holds: a write is acknowledged once it is on a quorum's disks, and Raft's leader of any later term has it. Among
n − q + 1 sound logs at least one belongs to such a quorum, and the log that ends with the greatest (term, index) holds
all that is committed: that is the argument by which Raft elects. With fewer logs the choice is only the best there is.

The theorem as it is checked here. Let L be the chosen log; D the last entry that any readable log of the cluster knows to
be decided, be it a voter's, a learner's, a removed member's or of an older membership; S the sound logs that end no later
than L; and E an electorate, a set of voters that may have acknowledged: those before the last decided change of the
voters, those at D, and those after each change that L holds above D (`electorates` says why these and no others). If

1. no two readable logs contradict each other (`compare_logs`),
2. L holds D, and
3. S holds n − q + 1 members of every E,

then whatever was acknowledged is in L. For let x be the first decided entry that L lacks. By 2 it lies above D; all before
it is in L; so it was decided by a quorum of some E, and by 3 a member of S held it and is sound, so its log ends with it
or after it, in its term or a later one, and by Raft's election rule so does L, which then holds it.

A log that was reset by hand is cut at its commit, so what its own member held is no evidence of what was before: until the
cluster has grown again, the choice is best available. So it is where nobody can know one of the electorates, because a
snapshot as young as the decided end stands for the entries that would tell. `candidates` says what is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from fleetrecover.decide.candidates import (
    FORGETFUL,
    Aside,
    Candidate,
    blank,
    forgetful,
    is_voter,
    newborn,
    rank,
    set_aside,
    writes_beyond,
)
from fleetrecover.decide.electorates import Decided, Electorates, decided, electorates, lacks
from fleetrecover.decide.membership import logs_needed, quorum
from fleetrecover.etcd.wal import compare_logs
from fleetrecover.plain import counted

__all__ = [
    "Aside",
    "Candidate",
    "Choice",
    "Electorates",
    "NoChoice",
    "ProofKind",
    "certainly_unacknowledged",
    "choose_survivor",
    "electorates",
    "is_voter",
    "newborn",
    "rank",
]


class ProofKind(StrEnum):
    """What is proven of a choice. The words of INTERFACE.md."""

    COMPLETE = "provably-complete"
    BEST = "best-available"


@dataclass(frozen=True)
class Choice:
    """The survivor and the worth of the choice.

    `uncertain` counts the survivor's entries above its commit that may have been acknowledged; `unacknowledged` those
    that certainly were not. `loses` says what an overriding choice gives up. `doubts` are what weakens the proof, `aside`
    the logs that are no evidence. `may_miss` says how much more the missing members may hold, as far as can be told.
    `beyond` are hosts at hand whose disks have what the chosen log has not, and that cannot survive themselves.
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
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoChoice:
    """Why nobody can be chosen. `contradiction` is set where the evidence contradicts itself."""

    reason: str
    contradiction: bool = False
    aside: tuple[Aside, ...] = ()


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
    known = decided([candidate.log for candidate in ranked])
    # the log that goes furthest knows of memberships that others do not, whether its own member still votes or not
    possible = (*known.electorates, *electorates(ranked[0].log))
    aside = set_aside(ranked, possible)
    out = {why.host for why in aside}
    voting = [candidate for candidate in ranked if candidate.host not in out]
    aside += forgetful(voting, ranked, known)
    forgot = {why.host for why in aside if why.code in FORGETFUL}
    evidence = [replace(each, honest=False) if each.host in forgot else each for each in voting]
    eligible = [candidate for candidate in evidence if is_voter(candidate)]
    # who has forgotten, or lacks what was decided, survives only where nobody else can; the sort keeps the ranks
    eligible.sort(key=lambda each: (each.host in forgot, lacks(each.log, known.by, known.index)))
    best = next(iter(eligible), None)
    if best is None:
        return NoChoice(_nobody(aside, ranked), aside=tuple(aside))
    chosen = next((each for each in eligible if each.host == override), None) if override is not None else best
    if chosen is None:
        return NoChoice(_not_eligible(override or "", aside, ranked), aside=tuple(aside))
    # a membership that the chosen log still knows to be possible counts, whatever a longer one has seen since
    possible = tuple(dict.fromkeys((*possible, *electorates(chosen.log))))
    told = _explain(_Case(chosen, best, evidence, ranked, possible, known, tuple(aside)), names)
    # by name, with open eyes, also the best that can survive is chosen over a disk that cannot
    return replace(told, overridden=told.overridden or (override is not None and bool(told.beyond)))


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
        if found.host == host and found.code not in FORGETFUL:
            return f"{host} cannot survive: {found.reason}"
    if any(candidate.host == host for candidate in ranked):
        return f"{host} is not a voter of its own configuration: the reset would leave no voter at all"
    return f"{host} has no sound log, so it cannot survive"


# --- what a choice is worth -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """All that the worth of a choice is judged by; `everybody` are all logs, `evidence` those of voters, best first."""

    chosen: Candidate
    best: Candidate
    evidence: Sequence[Candidate]
    everybody: Sequence[Candidate]
    possible: Electorates
    known: Decided
    aside: tuple[Aside, ...]

    @property
    def proving(self) -> frozenset[int]:
        """The members whose logs are sound and end no later than the chosen one."""
        end = self.chosen.rank[:2]
        return frozenset(each.log.node_id for each in self.evidence if each.evidence and each.rank[:2] <= end)

    @property
    def enough(self) -> bool:
        """Whether as many logs were read as each electorate asks for."""
        return all(len(self.proving & voters) >= logs_needed(len(voters)) for voters in self.possible)

    @property
    def complete(self) -> bool:
        """Whether it is proven that the chosen log holds all that was acknowledged."""
        sound = not blank(self.chosen.log) and not self.known.unknown and not self.cut
        return self.enough and sound and not _decided_beyond(self.chosen, self.everybody)

    @property
    def cut(self) -> bool:
        """Whether the chosen log was reset, and the cluster has not come back to what it was since.

        A reset by hand cuts the log at its commit, which may be less than what was acknowledged, and what the members that it
        has expelled held is nowhere in it. Once as many members as before have come in again, it is what clients have seen.
        """
        log = self.chosen.log
        return bool(log.expelled) and len(log.configuration_at_end.voters) <= len(log.expelled)


def _explain(case: _Case, names: Mapping[int, str]) -> Choice:
    chosen, evidence, possible = case.chosen, case.evidence, case.possible
    # the electorate that is hardest to satisfy is the one to tell of
    hardest = max(possible, key=lambda voters: (logs_needed(len(voters)) - len(case.proving & voters), len(voters)))
    read = {candidate.log.node_id for candidate in evidence if candidate.evidence}
    missing = tuple(sorted(names.get(member, f"member {member:x}") for member in hardest - read))
    above = chosen.log.last.index - chosen.log.commit
    certain = 0 if case.known.unknown else certainly_unacknowledged(chosen, evidence, possible, case.everybody)
    return Choice(
        survivor=chosen.host,
        why=_why(chosen, evidence),
        proof=ProofKind.COMPLETE if case.complete else ProofKind.BEST,
        logs_needed=logs_needed(len(hardest)),
        logs_read=len(read & hardest),
        voters=len(hardest),
        missing=missing,
        ranking=tuple(candidate.host for candidate in evidence),
        uncertain=above - certain,
        unacknowledged=certain,
        overridden=chosen.host != case.best.host,
        loses=_loses(chosen, case.best, case.complete),
        doubts=tuple(_doubts(case)),
        aside=case.aside,
        beyond=_beyond(chosen, case.everybody, evidence),
    )


def _doubts(case: _Case) -> list[str]:
    """What weakens the proof, in words."""
    doubts = [candidate.note for candidate in case.evidence if not candidate.evidence and candidate.note]
    if len(case.possible) > 1 and not case.enough:
        sizes = " or ".join(sorted({str(len(voters)) for voters in case.possible}))
        doubts.append(f"the membership was changing: writes may have been acknowledged by a quorum of {sizes} voters")
    if case.known.unknown:
        doubts.append(case.known.unknown)
    if case.cut:
        gone = counted(len(case.chosen.log.expelled), "voter")
        doubts.append(
            f"{case.chosen.host}'s log was reset (--force-new-cluster), which has expelled {gone}: what they had acknowledged is "
            "not known from it"
        )
    if blank(case.chosen.log):
        what = "more than the members with which a cluster begins" if newborn(case.chosen.log) else "a client's write"
        doubts.append(f"{case.chosen.host}'s log does not hold {what}: the cluster has just begun, or was emptied")
    for candidate in _decided_beyond(case.chosen, case.everybody):
        log, chosen = candidate.log, case.chosen
        if chosen.log.last.index < log.commit:
            what = f"{chosen.host}'s log ends at {chosen.log.last.index}"
        else:
            what = f"{chosen.host}'s log holds another one there"
        doubts.append(f"{candidate.host} knows entry {log.commit} to be decided, and {what}")
    return doubts + _further(case.chosen, case.evidence)


def _decided_beyond(chosen: Candidate, everybody: Sequence[Candidate]) -> list[Candidate]:
    """Who knows something to be decided that the chosen log does not hold, whatever it is a member of."""
    return [each for each in everybody if each is not chosen and lacks(chosen.log, each.log, each.log.commit)]


def _beyond(chosen: Candidate, everybody: Sequence[Candidate], evidence: Sequence[Candidate]) -> tuple[str, ...]:
    """The hosts whose disks have what was decided, or what clients wrote, and the chosen log has not. Best first."""
    found = {each.host for each in _decided_beyond(chosen, everybody)}
    # a voter whose removal it knows of and that is not decided counts as one: a quorum may rest on its log
    found |= {each.host for each in _unable(chosen, evidence) if writes_beyond(each.log, chosen.log)}
    if blank(chosen.log):
        found |= {each.host for each in everybody if not blank(each.log)}
    return tuple(each.host for each in everybody if each.host in found)


def _unable(chosen: Candidate, evidence: Sequence[Candidate]) -> list[Candidate]:
    """Members that cannot survive but whose logs go further."""
    return [each for each in evidence if each.rank[:2] > chosen.rank[:2] and not is_voter(each)]


def _further(chosen: Candidate, evidence: Sequence[Candidate]) -> list[str]:
    """The same, in words."""
    return [
        f"{candidate.host}'s log goes on to term {candidate.rank[0]}, index {candidate.rank[1]}, but by its own log it is "
        "no voter"
        for candidate in _unable(chosen, evidence)
    ]


def certainly_unacknowledged(
    chosen: Candidate,
    evidence: Sequence[Candidate],
    possible: Electorates,
    everybody: Sequence[Candidate] = (),
) -> int:
    """How many of the last entries of a log were certainly never acknowledged.

    An entry may have been if the members that are proven to hold it and those that nothing is known of make a quorum of
    some electorate: holders(i) + (n − k) ≥ q. holders(i) only falls with i, so it is enough to find, for each
    electorate, the last entry that q − (n − k) known members hold. What any log of `everybody`, a removed member's or one
    without fsync too, knows to be decided may have been in any case.
    """
    proving = {candidate.host for candidate in evidence if candidate.evidence}
    last = chosen.log.last.index
    shared: dict[int, int] = {}
    held = chosen.log.commit
    for other in everybody or evidence:
        differ = compare_logs(chosen.log, other.log).differ_from
        common = other.log.last.index if differ is None else differ - 1
        held = max(held, min(other.log.commit, common, last))
        if other.host in proving:
            shared[other.log.node_id] = common
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
