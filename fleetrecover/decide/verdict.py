"""PURE: is the cluster whole, and is nothing left over that will hurt later. From a fresh survey, never from what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleetrecover.decide.diagnosis import live_seats
from fleetrecover.decide.membership import quorum
from fleetrecover.decide.own import own_name, standing_container
from fleetrecover.decide.placement import misplaced
from fleetrecover.decide.returned import armed, split
from fleetrecover.decide.rights import lacking
from fleetrecover.decide.seen import Seen
from fleetrecover.decide.unlogged import everybody_from_it
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import Container, Proof, Role, Survey
from fleetrecover.plain import counted
from fleetrecover.runtime import runtime_of


@dataclass(frozen=True)
class Expectation:
    """What must be, beyond what every whole cluster has.

    `hosts` are those that must be members; `left_out` says why others are not. `proof` is what the survivor had, `before`
    the best that was seen anywhere, before anything was done;
    `policies` the restart policies that the containers had, by host; `run` whose leftovers do not count as such.
    """

    hosts: tuple[str, ...]
    left_out: Mapping[str, str]
    proof: Proof | None = None
    policies: Mapping[str, str] | None = None
    before: Seen | None = None


@dataclass(frozen=True)
class Hashes:
    """hashkv of every member at one revision: host → (hash, compact revision); None where it could not be had.

    `behind`: those who answer linearizable reads and do not have that revision.
    """

    revision: int
    found: Mapping[str, tuple[int, int] | None]
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One check and what was found; `cure` is what to type where it is known."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


@dataclass(frozen=True)
class Judgement:
    """All checks. `hash_equal` is None where there was nothing to compare."""

    checks: tuple[Check, ...]
    members: tuple[str, ...]
    revision: int
    hash_equal: bool | None

    @property
    def ok(self) -> bool:
        """Whether every check is good."""
        return all(check.ok for check in self.checks)


def judge(survey: Survey, hashes: Hashes | None, expected: Expectation) -> Judgement:
    """Judge a fresh survey."""
    checks = [
        _members(survey, expected),
        _in_place(survey),
        _healthy(survey, expected),
        _one_cluster(survey, expected),
        _hash(hashes, expected),
        _not_behind(survey, hashes, expected),
        _alarms(survey),
        _no_force(survey),
        _policies(survey, expected),
        _containers(survey, expected),
        _returned(survey, expected),
        *_not_looked_at(survey),
    ]
    live = [node for node in survey.nodes if node.healthy]
    members = tuple(seat.label for seat in live_seats(survey, live) if not seat.learner)
    revision = max((node.status.revision for node in live if node.status), default=0)
    return Judgement(tuple(checks), members, revision, _equal(hashes))


def _not_looked_at(survey: Survey) -> list[Check]:
    """That a login may not look at data, nor at what runs have kept: no fault of the cluster's, and not to be overlooked."""
    told = [
        f"{node.name}: {why}" for node in survey.nodes if node.reachable and (why := lacking(node.data, write=False))
    ]
    return [Check("kept by runs", True, f"not looked at: {'; '.join(told)}")] if told else []


def _members(survey: Survey, expected: Expectation) -> Check:
    known = live_seats(survey, [node for node in survey.nodes if node.healthy])
    voters = {seat.host for seat in known if not seat.learner and seat.name}
    missing = [name for name in expected.hosts if name not in voters]
    odd = [seat.label for seat in known if seat.learner or not seat.name or seat.host is None]
    odd += [str(seat.host) for seat in known if seat.host in expected.left_out]
    if not known:
        return Check("members", False, "no healthy member gives a member list")
    if missing or odd:
        told = [f"not voting: {', '.join(missing)}"] if missing else []
        told += [f"neither voter nor expected: {', '.join(odd)}"] if odd else []
        return Check("members", False, "; ".join(told))
    return Check(
        "members",
        True,
        f"{len(known)} members, all started, all voters" if len(known) != 1 else "1 member, started, a voter",
    )


def _in_place(survey: Survey) -> Check:
    """Each member runs on the host that its peer URL names, so that the others find it."""
    known = live_seats(survey, [node for node in survey.nodes if node.healthy])
    told = [
        f"{one.host} runs member {one.seat.name or hex_id(one.seat.id)} of {', '.join(one.seat.peer_urls)}"
        for one in misplaced(survey, known)
    ]
    return Check("members in place", not told, "; ".join(told) or "each runs where its peer URL points")


def _healthy(survey: Survey, expected: Expectation) -> Check:
    ill = [name for name in expected.hosts if not survey.node(name).healthy]
    if ill:
        away = [name for name in ill if not survey.node(name).accessible]
        told = f" ({_not_reached(away)})" if away else ""
        return Check("healthy", False, f"no linearizable read on {', '.join(ill)}{told}")
    return Check("healthy", True, f"a linearizable read on each of {len(expected.hosts)}")


def _one_cluster(survey: Survey, expected: Expectation) -> Check:
    found = {node.status.cluster_id for node in survey.nodes if node.status and node.name in expected.hosts}
    leaders = {node.status.leader_id for node in survey.nodes if node.status and node.name in expected.hosts} - {0}
    if len(found) != 1 or len(leaders) != 1:
        ids = ", ".join(f"{cluster:x}" for cluster in sorted(found)) or "none"
        return Check("one cluster", False, f"cluster ids {ids}; {counted(len(leaders), 'leader')} named")
    return Check("one cluster", True, f"cluster id {next(iter(found)):x}, one leader")


def _equal(hashes: Hashes | None) -> bool | None:
    if hashes is not None and hashes.behind:
        return False
    if hashes is None or not hashes.found or any(value is None for value in hashes.found.values()):
        return None
    return len({value for value in hashes.found.values() if value is not None}) == 1


def _hash(hashes: Hashes | None, expected: Expectation) -> Check:
    equal = _equal(hashes)
    if hashes is not None and hashes.behind:
        others = [name for name in hashes.found if name not in hashes.behind]
        verb, has = ("lacks" if len(hashes.behind) == 1 else "lack"), ("has" if len(others) == 1 else "have")
        lacking = f"{', '.join(hashes.behind)} {verb} revision {hashes.revision}, which {', '.join(others)} {has}"
        cure = everybody_from_it(serves=True)
        return Check("same content", False, f"{lacking}, and will not get it from the log", cure)
    if hashes is None or equal is None:
        missing = ", ".join(name for name, value in (hashes.found if hashes else {}).items() if value is None)
        return Check("same content", False, f"no hash could be had{' of ' + missing if missing else ''}")
    values = {value for value in hashes.found.values() if value is not None}
    if not equal:
        told = ", ".join(f"{name}: {value}" for name, value in hashes.found.items())
        return Check("same content", False, f"the hashes at revision {hashes.revision} differ: {told}")
    return Check(
        "same content",
        True,
        f"hash {next(iter(values))[0]} at revision {hashes.revision} on {counted(len(hashes.found), 'member')}",
    )


def _not_behind(survey: Survey, hashes: Hashes | None, expected: Expectation) -> Check:
    revision = max((node.status.revision for node in survey.nodes if node.healthy and node.status), default=0)
    proof, before = expected.proof, expected.before
    if revision == 0:
        return Check("revision", False, "no healthy member tells one")
    if before is not None and revision < before.revision:
        return Check("revision", False, f"revision {revision}; {before.host} had {before.revision}")
    if proof is not None and revision < proof.revision:
        return Check("revision", False, f"revision {revision}; the survivor had {proof.revision}")
    if proof is not None:
        return Check("revision", True, f"revision {revision}, not behind the survivor's {proof.revision}")
    told = f", not behind the {before.revision} that {before.host} had" if before is not None else ""
    return Check("revision", True, f"revision {revision}{told}")


def _returned(survey: Survey, expected: Expectation) -> Check:
    """No old member is there that could start, and nobody serves beside the cluster."""
    name = "no returned member"
    sides = split(survey)
    if sides:
        told = " against ".join(", ".join(side) for side in sides)
        return Check(name, False, f"SPLIT BRAIN: healthy members disagree on who the members are: {told}")
    seated = {seat.host for seat in live_seats(survey, [node for node in survey.nodes if node.healthy])}
    back = [
        node.name
        for node in survey.nodes
        if node.name not in seated and node.data is not None and node.data.has_member and armed(survey, node)
    ]
    if seated and back:
        loud = "; together they may form the OLD quorum" if len(back) >= quorum(len(survey.nodes)) else ""
        return Check(name, False, f"old data and a container that starts on it: {', '.join(back)}{loud}")
    return Check(name, True, f"none that could start on old data{_unseen(survey)}")


def _alarms(survey: Survey) -> Check:
    raised = sorted({alarm for node in survey.nodes for alarm in node.alarms or ()})
    return Check("no alarm", not raised, ", ".join(raised) or f"none raised{_unseen(survey)}")


def _unseen(survey: Survey) -> str:
    """Of whom a check says nothing, for the end of its words: who was not reached, or whose engine does not answer."""
    away = [node.name for node in survey.nodes if not node.accessible]
    return f"; not known: {_not_reached(away)}" if away else ""


def _not_reached(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} not reached"


def _no_force(survey: Survey) -> Check:
    forced = [f"{c.name} on {node.name}" for node in survey.nodes for c in node.containers if _can_force(c)]
    return Check("no force flag", not forced, ", ".join(forced) or f"on no container that could start{_unseen(survey)}")


def _can_force(container: Container) -> bool:
    return container.forced and not container.lies_aside


def _policies(survey: Survey, expected: Expectation) -> Check:
    wrong, none, away = list[str](), list[str](), list[str]()
    for host in expected.hosts:
        node = survey.node(host)
        name = own_name(survey, node)
        container = node.named(name)
        wanted = (expected.policies or {}).get(host)
        if not node.accessible:
            away.append(host)
        elif container is None:
            wrong.append(f"{host} has no container {name}")
        elif wanted is not None and container.restart_policy != wanted:
            wrong.append(f"{host}: {container.restart_policy}, was {wanted}")
        elif container.restart_policy in ("no", ""):
            none.append(host)
    told = _policies_told({host: standing_container(survey, survey.node(host)) for host in expected.hosts})
    if none:
        names = ", ".join(dict.fromkeys(own_name(survey, survey.node(host)) for host in none))
        command = f"`{runtime_of(survey.fleet).hand.autostart(names)}`"
        told += (
            f"; without one etcd stays away after a reboot on {', '.join(none)}, as before ({command}, unless something else "
            "starts it)"
        )
    wrong += [f"not known: {_not_reached(away)}"] if away else []
    return Check("restart policies", not wrong, "; ".join(wrong) or told)


def _policies_told(found: Mapping[str, Container | None]) -> str:
    """Each policy and who has it; it is said what is, not what was: a run may have put one where there was none."""
    hosts: dict[str, list[str]] = {}
    for host, container in found.items():
        if container is not None:
            hosts.setdefault(container.restart_policy or "no", []).append(host)
    return "; ".join(f"{policy} on {', '.join(names)}" for policy, names in hosts.items()) or "no container"


def _containers(survey: Survey, expected: Expectation) -> Check:
    odd = []
    for node in survey.nodes:
        name = own_name(survey, node)
        for container in node.containers:
            if container.role is Role.QUARANTINE:
                odd.append(f"{node.name}: {container.name} is left over from a reset")
            elif container.name != name and container.restart_policy not in ("no", ""):
                odd.append(
                    f"{node.name}: {container.name} would start beside {name} (restart {container.restart_policy})"
                )
            elif container.name != name and container.running and node.name in expected.hosts:
                odd.append(f"{node.name}: {container.name} runs beside {name}")
    return Check(
        "no second container", not odd, "; ".join(odd) or f"nothing that would start beside etcd{_unseen(survey)}"
    )
