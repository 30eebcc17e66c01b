"""PURE: members that name a leader while no read comes back from a quorum: such a cluster may serve, and is never fenced.

etcd runs Raft with CheckQuorum: a leader that hears no quorum for an election timeout steps down, and a follower that hears
no leader for one to two of them names none. So who goes on naming one proves that one lives, wherever it is, and
whatever else may be wrong: a slow disk, authentication, a node that cannot be asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.membership import Seat
from fleetrecover.decide.own import own_name
from fleetrecover.etcd.membership import hex_id
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.runtime import runtime_of

DEFAULT_ELECTION = 5.0
"""Seconds; RKE's. Used where no container tells its own."""
LONGEST_ELECTION = 50.0
"""Seconds; etcd allows no more."""


def followers(survey: Survey) -> tuple[NodeFacts, ...]:
    """The reachable members that name a leader though no linearizable read succeeds anywhere; nobody where one does."""
    if any(node.healthy for node in survey.nodes):
        return ()
    return tuple(node for node in survey.nodes if node.status is not None and node.status.leader_id != 0)


def other_quorum(survey: Survey, known: Sequence[Seat]) -> Finding | None:
    """That a node which is no member of what serves names another leader: a second cluster may serve beside; None if not."""
    seated = {seat.id for seat in known}
    leaders = {node.status.leader_id for node in survey.nodes if node.healthy and node.status}
    for node in survey.nodes:
        said = node.status
        if said is None or node.healthy or said.member_id in seated or said.leader_id in {0, *leaders} or not known:
            continue
        message = (
            f"{node.name} is no member of the cluster that serves, and names member {hex_id(said.leader_id)} as its leader: "
            "another quorum may serve beside it"
        )
        advice = (
            "look again in a minute; if it goes on, stop etcd on the side that was to be gone "
            f"(`{runtime_of(survey.fleet, node.host).hand.stop(own_name(survey, node))}`), and run this again"
        )
        return Finding(Severity.ERROR, node.name, "split-brain", message, advice)
    return None


def election_timeout(survey: Survey) -> float:
    """The longest election timeout of the etcds that run, in seconds, as their containers set it."""
    found = [
        container.config.election / 1000
        for node in survey.nodes
        for container in node.containers
        if container.config is not None and container.state == "running"
    ]
    return min(max(found, default=DEFAULT_ELECTION), LONGEST_ELECTION)


def led_finding(survey: Survey, known: Sequence[Seat]) -> Finding | None:
    """That a leader is named, by whom, and what to look at; None where nobody names one."""
    says = followers(survey)
    if not says:
        return None
    first = says[0]
    assert first.status is not None
    leader = first.status.leader_id
    seat = next((seat for seat in known if seat.id == leader), None)
    name = seat.label if seat is not None else f"member {hex_id(leader)}"
    who = ", ".join(node.name for node in says)
    said = next((node.status.problem for node in says if node.status and node.status.problem), None)
    message = (
        f"{who} {'names' if len(says) == 1 else 'name'} {name} as leader, and a member that goes on naming one proves that it "
        f"lives with a quorum behind it; but no linearizable read came back: {said or 'no answer in time'}"
    )
    advice = (
        f"the cluster serves, or did a moment ago: look at {name}, at the disks and the load (slow?), and whether etcd's "
        "authentication is on; where all of it is down for good, run this again in a minute"
    )
    return Finding(Severity.ERROR, first.name, "slow", message, advice)
