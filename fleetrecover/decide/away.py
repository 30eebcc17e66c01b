"""PURE: why a voter cannot be vouched for, and what to type: the cause where a host answers, `--dead` only where none does.

A host that answers is never called dead, nor are all of them at once: where nobody answers the fault is most likely on
this machine's side of the wire (network, gateway, names, key), and declaring all dead would end with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from fleetrecover.decide.dead import answers
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.own import own_container, wanted_name
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.runtime import runtime_of


def away_finding(
    survey: Survey,
    labels: Sequence[str],
    known: Sequence[Seat],
    so: str = "",
    *,
    dead: frozenset[str] = frozenset(),
    command: str = "recover",
) -> Finding:
    """That these voters, as `unaccounted` names them, may be serving elsewhere; why each is away, and what leads out.

    `so` replaces the sentence that says what of it; `command` is what goes on once they are declared dead, beside `dead`.
    """
    of = {seat.label: seat for seat in known} | {node.name: node for node in survey.nodes}
    hosts = [host for label in labels if (host := _host(survey, label, of.get(label))) is not None]
    verb = "is" if len(labels) == 1 else "are"
    names = ", ".join(labels)
    what = (
        so or f"{names} {verb} neither reachable nor declared dead, and may be serving on the other side of a partition"
    )
    causes = [f"{node.name}: {cause(survey, node)}" for node in hosts]
    message = what + (f" ({'; '.join(causes)})" if causes else "")
    advice = _advice(survey, labels, hosts, of, _Again(command, dead))
    lost = [label for label in labels if _host(survey, label, of.get(label)) is None]
    hidden = [node for node in survey.nodes if not node.accessible and node.name not in dead and node not in hosts]
    if lost and hidden:
        advice = "; ".join([*(_maybe(survey, node, lost) for node in hidden), advice])
    return Finding(Severity.ERROR, labels[0] if len(labels) == 1 else None, "unaccounted", message, advice)


def _maybe(survey: Survey, node: NodeFacts, lost: Sequence[str]) -> str:
    """That a host whose disk we cannot read may be where members without a host are: disks are exchanged now and then."""
    back = _mend(survey, node) if answers(node) else f"bring {node.name} back"
    return f"{back}: {' or '.join(lost)} may be what it holds"


def no_container(survey: Survey, node: NodeFacts) -> str:
    """What to do where a node's etcd container was removed."""
    name = wanted_name(survey.fleet, node)
    advice = f"if it has another name there, say so in the inventory: [etcd] container (now {name!r})"
    models = [
        other.name for other in survey.nodes if other.name != node.name and own_container(survey, other) is not None
    ]
    if not models:
        return (
            advice
            + f"; if it was removed, create it again as whatever made it does (RKE: `rke up`); {node.name}'s data stays"
        )
    return (
        f"{advice}; if it was removed, create one like {models[0]}'s, with {node.name}'s own name and addresses: "
        f"`fleetrecover run-config {models[0]}` prints that command"
    )


def missed(survey: Survey, seat: Seat, dead: frozenset[str]) -> Finding | None:
    """That a member of what serves is out of our reach and not declared dead: nothing mends it before somebody acts."""
    if seat.among(dead):
        return None
    removes = f"`fleetrecover recover --dead {quote(typed(survey, seat))}` has it removed"
    if seat.host is None:
        message = f"member {seat.label} is no host of the inventory"
        hidden = [node for node in survey.nodes if not node.accessible and node.name not in dead]
        advice = f"add its host to the inventory; or, if it is gone for good and switched off, {removes}"
        advice = "; ".join([*(_maybe(survey, node, [seat.label]) for node in hidden), advice])
        return Finding(Severity.WARNING, None, "member-gone", message, advice, waits=True)
    node = survey.node(seat.host)
    if node.accessible or node.healthy:
        return None
    message, code = f"member {seat.label} cannot be looked after: {cause(survey, node)}", "member-unhealthy"
    if not seat.name:
        code = "member-unstarted"
        message = (
            f"{seat.label} was added as a member but has not started, and cannot be reached: {cause(survey, node)}"
        )
    advice = f"bring {node.name} back; or, if it is gone for good and switched off, {removes}"
    if answers(node):
        advice = _mend(survey, node)
    return Finding(Severity.WARNING, node.name, code, message, advice, waits=True)


def outside(survey: Survey, node: NodeFacts) -> Finding:
    """That a host that is no member of what serves is out of our reach."""
    message = f"{node.name} is not a member of the cluster, and cannot be reached: {cause(survey, node)}"
    back = _mend(survey, node) if answers(node) else f"bring {node.name} back (an empty disk is fine)"
    advice = f"{back}: then `fleetrecover recover` brings it in"
    return Finding(Severity.WARNING, node.name, "host-not-member", message, advice, waits=True)


def typed(survey: Survey, seat: Seat) -> str:
    """What to type for a member: its host's name, else its own where no host has it, else its id."""
    hosts = {node.name for node in survey.nodes}
    return seat.host or (seat.name if seat.name not in hosts else "") or hex_id(seat.id)


def _host(survey: Survey, label: str, found: Seat | NodeFacts | None) -> NodeFacts | None:
    if isinstance(found, NodeFacts):
        return found
    name = found.host if found is not None else None
    return survey.node(name) if name is not None else None


def cause(survey: Survey, node: NodeFacts) -> str:
    """Why we cannot stop etcd there, without the host's name."""
    if node.reachable:
        said = node.cli_problem.message.removeprefix(f"{node.name}: ") if node.cli_problem else "no answer"
        return f"answers SSH, but `{runtime_of(survey.fleet, node.host).cli}` does not: {said}"
    said = node.problem.message if node.problem else "cannot be reached"
    return said.removeprefix(f"{node.name}: ")


@dataclass(frozen=True)
class _Again:
    """What is typed in the end, and who is declared dead in it already."""

    command: str
    dead: frozenset[str]

    def with_dead(self, words: Iterable[str]) -> str:
        """The whole command."""
        options = " ".join(f"--dead {quote(word)}" for word in [*sorted(self.dead), *words])
        return f"`fleetrecover {self.command} {options}`"


def _advice(
    survey: Survey, labels: Sequence[str], hosts: Sequence[NodeFacts], of: dict[str, Seat | NodeFacts], again: _Again
) -> str:
    alive = [node for node in hosts if answers(node)]
    silent = [node for node in hosts if not answers(node)]
    told = [_mend(survey, node) for node in alive]
    if silent and not any(answers(node) for node in survey.nodes):
        hints = dict.fromkeys(node.problem.hint for node in silent if node.problem and node.problem.hint)
        told.append(
            "no host answers at all, so look on this machine's side first (network, gateway, names, firewall): "
            + ("; ".join(hints) or "`fleetrecover survey` says what was tried")
        )
        return "; ".join(told)
    words = [_word(survey, label, of.get(label)) for label in labels if _nobody_answers(label, of.get(label), alive)]
    if words:
        names = ", ".join(label for label in labels if _nobody_answers(label, of.get(label), alive))
        if not any(node.log is not None for node in survey.nodes):
            told.append(
                f"make {names} reachable: no other member's log can be read; if gone for good, a snapshot is all that is left: "
                "`fleetrecover snapshot restore`"
            )
            return "; ".join(told)
        told.append(f"make {names} reachable; or, if gone for good and switched off, say so: {again.with_dead(words)}")
    return "; ".join(told)


def _nobody_answers(label: str, found: Seat | NodeFacts | None, alive: Sequence[NodeFacts]) -> bool:
    name = found.host if isinstance(found, Seat) else label
    return name not in {node.name for node in alive}


def _word(survey: Survey, label: str, found: Seat | NodeFacts | None) -> str:
    """What to type for it: a member that is no host has a name, else its id."""
    if isinstance(found, Seat):
        return typed(survey, found)
    return label


def _mend(survey: Survey, node: NodeFacts) -> str:
    if node.reachable:
        return engine_advice(survey, node)
    hint = node.problem.hint if node.problem is not None else None
    return f"{node.name} is switched on, but does not let us in: {hint or 'see `fleetrecover survey`'}"


def engine_advice(survey: Survey, node: NodeFacts) -> str:
    """What to do where the host lets us in and its container engine does not answer."""
    said = (node.cli_problem.message if node.cli_problem else "").lower()
    return f"{node.name}: {runtime_of(survey.fleet, node.host).hand.when_mute(said)}"
