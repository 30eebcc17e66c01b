"""PURE: may this host be taken down? What quorum is left without it, and whether a recovery would be possible then."""

from __future__ import annotations

from dataclasses import dataclass

from fleetrecover.decide.conclusion import Conclusion
from fleetrecover.decide.membership import Seat, logs_needed, quorum
from fleetrecover.errors import InputError
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.plain import counted


@dataclass(frozen=True)
class Without:
    """The answer for one host. `left`: healthy voters without it; `spare`: how many of these may then fail besides.

    `logs`: readable, sound logs of other voters; `recoverable`: one of them at least; `provable`: as many as prove that no
    acknowledged write is lost (`logs_needed`), should the host not come back.
    """

    host: str
    allowed: bool
    voters: int
    quorum: int
    left: int
    spare: int
    logs: int
    logs_needed: int
    reasons: tuple[str, ...]

    @property
    def recoverable(self) -> bool:
        """Whether there would be a log to recover from, were the others' quorum lost, too."""
        return self.logs > 0

    @property
    def provable(self) -> bool:
        """Whether the others' logs would prove that nothing was lost."""
        return self.logs >= self.logs_needed

    @property
    def sentence(self) -> str:
        """The answer for a person."""
        if not self.allowed:
            return f"{self.host} must not be taken down now: {'; '.join(self.reasons)}."
        spare = "none of them may fail meanwhile" if not self.spare else f"{self.spare} of them may fail meanwhile"
        of = f"{counted(self.left, 'healthy voter')} of {self.voters} {'is' if self.left == 1 else 'are'} left"
        back = "it would be provably complete" if self.provable else "it could not be proven complete"
        recovery = f"a recovery without {self.host} would have {counted(self.logs, 'log')}: {back}"
        return f"{self.host} may be taken down: {of}, {self.quorum} make a quorum, and {spare}; {recovery}."


def without(survey: Survey, conclusion: Conclusion, host: str) -> Without:
    """Judge it. Raises InputError for a name that is no host of the inventory."""
    names = [node.name for node in survey.nodes]
    if host not in names:
        raise InputError(f"--without {host}: there is no such host in the inventory", hint=f"hosts: {', '.join(names)}")
    voters = conclusion.diagnosis.voters
    others = [seat for seat in voters if seat.host != host]
    healthy = [seat for seat in others if seat.host is not None and survey.node(seat.host).healthy]
    logs = [seat for seat in others if seat.host is not None and _sound(survey.node(seat.host), seat)]
    enough = quorum(len(voters)) if voters else 0
    reasons = _reasons(survey, host, voters, healthy)
    return Without(
        host=host,
        allowed=not reasons,
        voters=len(voters),
        quorum=enough,
        left=len(healthy),
        spare=max(len(healthy) - enough, 0),
        logs=len(logs),
        logs_needed=logs_needed(len(voters)) if voters else 1,
        reasons=reasons,
    )


def _sound(node: NodeFacts, seat: Seat) -> bool:
    return node.accessible and node.log is not None and node.log.node_id == seat.id


def _reasons(survey: Survey, host: str, voters: tuple[Seat, ...], healthy: list[Seat]) -> tuple[str, ...]:
    """Why it must not be; none where it may."""
    if not voters or not any(node.healthy for node in survey.nodes):
        return ("the cluster has no quorum now",)
    enough = quorum(len(voters))
    if any(seat.host == host for seat in voters) and len(healthy) < enough:
        verb = "is" if len(healthy) == 1 else "are"
        return (f"{counted(len(healthy), 'healthy voter')} of {len(voters)} {verb} left, and {enough} make a quorum",)
    return ()
