"""PURE: the cluster that a run's reset has made, while the run is not finished: who votes in it, and who is left of it.

Until the survivor's reset copy is in its place, a run's survivor is all there is. After that others become voters, and a
failure can take the quorum away once more: the survivor alone can then not go on. If those who are missing come back,
the run goes on with them. If they are declared dead, what the cluster was since the reset is lost like any other, and is
recovered like any other: by a new run, from the data as it is now, so that what was written since is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleetrecover.decide.membership import Seat, quorum, seats_of
from fleetrecover.facts import NodeFacts, Survey


@dataclass(frozen=True)
class Regrown:
    """How many vote; beside the survivor, those that can be brought in (`at_hand`, by host), and those that are `away`.

    Who was declared dead is in neither.
    """

    voters: int
    at_hand: Mapping[str, Seat]
    away: tuple[Seat, ...]

    @property
    def enough(self) -> bool:
        """Whether the survivor and those at hand are a quorum."""
        return len(self.at_hand) + 1 >= quorum(self.voters)

    @property
    def lost(self) -> bool:
        """Whether there is no quorum, and nobody is left who could be waited for."""
        return not self.enough and not self.away


def adopted(node: NodeFacts, run: str) -> bool:
    """Whether the copy that the run has reset and proven is in the survivor's place already.

    The copy is there only while the original lies kept: when undo has put that back, what is in place is the original,
    with the dead in it, though a version before this one left the proof beside it. And it is the member of which the
    proof is.
    """
    keep = node.keep(run)
    if keep is None or keep.proof is None or not keep.original or node.data is None or not node.data.has_member:
        return False
    if keep.reset or keep.booted or keep.work or keep.partial:
        return False
    log = node.log
    return log is None or (log.node_id, log.cluster_id) == (keep.proof.member_id, keep.proof.cluster_id)


def _withdrawn(survey: Survey, seat: Seat, run: str) -> bool:
    """Whether an undo of the run has taken this voter's data out again: it is no more, though its host answers."""
    keep = survey.node(seat.host).keep(run) if seat.host is not None else None
    return keep is not None and keep.undone


def regrown(survey: Survey, dead: frozenset[str], run: str, survivor: str) -> Regrown | None:
    """Who votes beside the survivor by its own log, after its reset; None while it is alone, serves, or is not reset.

    `dead` are host names, member names or ids in hex that the operator has declared dead.
    """
    chief = survey.node(survivor)
    if not adopted(chief, run) or chief.healthy or chief.log is None:
        return None
    known = [seat for seat in seats_of(survey, chief.log.configuration_at_end) if not seat.learner]
    if all(seat.id == chief.log.node_id for seat in known):
        return None
    wanted = [
        seat
        for seat in known
        if seat.id != chief.log.node_id and not seat.among(dead) and not _withdrawn(survey, seat, run)
    ]
    at_hand = {seat.host: seat for seat in wanted if seat.host is not None and survey.node(seat.host).accessible}
    away = tuple(seat for seat in wanted if seat.host not in at_hand)
    return Regrown(len(known), at_hand, away)
