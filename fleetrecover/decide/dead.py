"""PURE: whom the operator's `--dead` means: hosts, and members that are no hosts. Asked once, here, for all that follows.

`--dead` is for what is switched off for good. A host that answers can be stopped and read, so it needs no such word, and
its log counts; to believe the word and not the host is how the best log gets thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fleetrecover.decide.membership import Seat, seats, seats_of
from fleetrecover.decide.words import Wish
from fleetrecover.errors import Refused
from fleetrecover.etcd.membership import Member, hex_id
from fleetrecover.facts import NodeFacts, Problem, Survey

ANSWERED = frozenset({"host-key", "login", "sudo"})
"""Kinds of problems that only a host which is switched on can give: an SSH server spoke."""


def resolved(survey: Survey, wish: Wish) -> Wish:
    """The wish with its words for the dead made into names of hosts, and ids (hexadecimal) of members that are no hosts.

    A word is a host's name, else a member's name, else a member's id. What is none of them stays, for `check_wish` to
    refuse. Resolving once more changes nothing.

    A run makes a host's new member under the name that one had which was declared dead: what a word stood for when a run
    began it stands for while that run is under way, and afterwards where it is nobody's any more, or that of a host that
    answers. So the same command can be given again.
    """
    hosts = {node.name for node in survey.nodes}
    words = wish.dead - hosts - {member for _, member in wish.meant}
    if not words:
        return wish
    known = tuple(_known(survey))
    found = {word: _one(survey, word, known) for word in words}
    members = {(word, to) for word, to in found.items() if to is not None and to not in hosts}
    dead = frozenset(found.get(word) or word for word in wish.dead)
    spelt = frozenset((word, to) for word, to in found.items() if to is not None)
    return replace(wish, dead=dead, meant=wish.meant | members, spelt=wish.spelt | spelt)


def _one(survey: Survey, word: str, known: Iterable[Seat]) -> str | None:
    """The host or the id that a word stands for; None where it is nobody's."""
    under_way = dict(_meant(survey, over=False))
    if word in under_way:
        return under_way[word]
    by_name = next((seat for seat in known if seat.name == word), None)
    seat = by_name or next((seat for seat in known if seat.id == _id(word)), None)
    if seat is None or (seat.host is not None and answers(survey.node(seat.host))):
        past = dict(_meant(survey, over=True)).get(word)
        return past or (None if seat is None else seat.host)
    return seat.host or hex_id(seat.id)


def _meant(survey: Survey, *, over: bool) -> Iterator[tuple[str, str]]:
    """What words stood for when runs began; of runs that are over, or of those under way. None of one that was undone."""
    for node in survey.nodes:
        for keep in sorted(node.keeps, key=lambda keep: keep.run):
            if keep.pin is not None and not keep.undone and (keep.finished or keep.stale) == over:
                yield from keep.pin.meant


def _id(word: str) -> int | None:
    try:
        return int(word, 16)
    except ValueError:
        return None


def _known(survey: Survey) -> Iterator[Seat]:
    """Every member that is told of, whom to believe first: what serves, the logs that go furthest, the others."""
    for node in sorted(survey.nodes, key=lambda node: not node.healthy):
        for row in (node.members,) if node.members else ():
            members = tuple(Member(m.id, m.name, m.peer_urls, m.client_urls, m.is_learner) for m in row)
            yield from seats(survey, members, frozenset(m.id for m in row if m.is_learner))
    logs = [node.log for node in survey.nodes if node.log is not None]
    for log in sorted(logs, key=lambda log: (log.last, log.commit), reverse=True):
        yield from seats_of(survey, log.configuration_at_end)
        yield from seats_of(survey, log.configuration)


def answers(node: NodeFacts) -> bool:
    """Whether an SSH server speaks there: the host is switched on, even where it does not let us in."""
    return node.reachable or (node.problem is not None and node.problem.kind in ANSWERED)


def living_dead(survey: Survey, wish: Wish) -> tuple[NodeFacts, ...]:
    """The hosts that were declared dead and answer."""
    dead = resolved(survey, wish).dead
    return tuple(node for node in survey.nodes if node.name in dead and answers(node))


def refuse_living_dead(survey: Survey, wish: Wish) -> None:
    """Raise Refused where a host that was declared dead answers, with what its log has that the others lack."""
    alive = living_dead(survey, wish)
    if not alive or wish.survivor in resolved(survey, wish).dead:
        return  # or else the words contradict each other, which `check_wish` says
    told = "; ".join(_told(survey, node, wish) for node in alive)
    words = " ".join(f"--dead {node.name}" for node in alive)
    raise Refused(
        f"{told}; --dead is for hosts that are switched off; nothing was changed",
        hint=f"leave {words} out: {' and '.join(_advice(survey, node) for node in alive)}",
    )


def _told(survey: Survey, node: NodeFacts, wish: Wish) -> str:
    if node.healthy:
        return f"{node.name} answers SSH, and its etcd is healthy"
    if not node.reachable:
        return f"{node.name} answers SSH, but does not let us in: {_message(node, node.problem)}"
    if node.cli_version is None:
        return f"{node.name} answers SSH, but its container engine does not: {_message(node, node.cli_problem)}"
    return f"{node.name} answers SSH{_lead(survey, node, wish)}"


def _message(node: NodeFacts, problem: Problem | None) -> str:
    return problem.message.removeprefix(f"{node.name}: ") if problem is not None else "no answer"


def _lead(survey: Survey, node: NodeFacts, wish: Wish) -> str:
    """What its log has beyond the best of the others, in words; nothing where it has none that can be read."""
    if node.log is None:
        return ""
    dead = resolved(survey, wish).dead
    others = [other for other in survey.nodes if other.log is not None and other.name not in dead]
    best = max(((other.log.last, other.name) for other in others if other.log is not None), default=None)
    if best is None:
        return ", and its log is the only one that could be read"
    end, name = best
    ahead = node.log.last.index - end.index
    if node.log.last > end and ahead > 0:
        return f" and its log is {entries(ahead)} ahead of {name}"
    if node.log.last > end:
        return f" and its log ends in term {node.log.last.term}, that of {name} in term {end.term}"
    return ""


def entries(count: int) -> str:
    """
    >>> entries(1), entries(1100)
    ('1 entry', '1,100 entries')
    """
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _advice(survey: Survey, node: NodeFacts) -> str:
    if not node.reachable:
        why = node.problem.hint if node.problem is not None and node.problem.hint else "let us in there"
        return f"{node.name} can be read once we are let in ({why}), or else must be switched off"
    if node.cli_version is None:
        from fleetrecover.decide.away import engine_advice

        return f"{engine_advice(survey, node)}; or switch {node.name} off, if it is to be left out"
    if node.log is None:
        return f"{node.name} is stopped and joins anew as it is, with or without its data"
    return f"{node.name}'s etcd is stopped like the others, and its log counts"
