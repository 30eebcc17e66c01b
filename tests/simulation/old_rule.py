"""The rule as it was: electorates of the first-ranked and the chosen log alone, and nothing behind a snapshot.

Kept to show that the model finds histories in which it loses what it calls provably complete.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetrecover.decide.candidates import Candidate, is_voter, rank
from fleetrecover.decide.membership import logs_needed
from fleetrecover.etcd.log import Log


def old_electorates(log: Log) -> set[frozenset[int]]:
    voters = log.configuration.voters
    found = {voters, log.configuration_at_end.voters}
    for change in log.conf_changes_above_commit:
        if change.rejected:
            continue
        if change.action == "remove":
            voters = voters - {change.member_id}
        elif change.action in ("add", "promote"):
            voters = voters | {change.member_id}
        found.add(voters)
    visible = log.changes_between(log.snapshot.index, log.last.index)
    if visible:
        found.add(log.configuration_at_end.voters ^ {visible[-1].member_id})
    return found - {frozenset()}


def old_choice(candidates: Sequence[Candidate]) -> tuple[str, bool]:
    """(survivor, whether it was called provably complete); the survivor is empty where there was none."""
    ranked = rank(candidates)
    best = next((candidate for candidate in ranked if is_voter(candidate)), None)
    if best is None:
        return "", False
    proving = {candidate.log.node_id for candidate in ranked if candidate.rank[:2] <= best.rank[:2]}
    possible = old_electorates(ranked[0].log) | old_electorates(best.log)
    return best.host, all(len(proving & voters) >= logs_needed(len(voters)) for voters in possible)
