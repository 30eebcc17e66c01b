"""PURE: what the plan of a restore is made from, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetrecover.commands.snapshots import RestoreState, Tool
from fleetrecover.decide.diagnosis import OpenRun as RunUnderWay
from fleetrecover.decide.membership import Seat, host_of_url
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import Definition, Survey
from fleetrecover.steps import (
    RESTORE,
    SendSnapshot,
    Stage,
    Step,
)

KIND = RESTORE
BUMP = 1_000_000_000
"""So much the revision is raised, that no client has seen one that is higher: etcd's own advice."""


@dataclass(frozen=True)
class Chosen:
    """The snapshot. `sha256` is of the plain file that is sent, `identity` of the database in it; sizes in bytes.

    `members` are the members of the cluster that it was taken from, `cluster_version` is that cluster's ("3.5.0").
    """

    name: str
    identity: str
    sha256: str
    size: int
    revision: int
    auth: bool = False
    source: str = ""
    members: tuple[Member, ...] = ()
    cluster_version: str = ""


@dataclass(frozen=True)
class Situation:
    """All that a plan of a restore is a function of, beside the survey.

    `states` and `tools` are by host; `neighbours` names the containers beside etcd that exist on each. `givers` says for a
    host that lacks the image who gives it, and the image's id there. `like` is a container's spec given by the operator,
    with its host's name. `other_cluster`: the operator knows that the snapshot is of another cluster.
    """

    chosen: Chosen
    dead: frozenset[str]
    states: Mapping[str, RestoreState]
    tools: Mapping[str, Tool]
    neighbours: Mapping[str, tuple[str, ...]]
    seats: tuple[Seat, ...] = ()
    open_run: RunUnderWay | None = None
    replace_living: bool = False
    like: Definition | None = None
    like_hostname: str = ""
    givers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    other_cluster: bool = False


@dataclass(frozen=True)
class RestorePlan:
    """Everything that would be done. `targets` are the hosts that will be members; `bump` is 0 where no tool can."""

    run: str
    cluster: str
    chosen: Chosen
    token: str
    bump: int
    targets: tuple[str, ...]
    prover: str
    stages: tuple[Stage, ...]
    closing: Stage | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    resumed: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps but the closing ones."""
        return tuple(step for part in self.stages for step in part.steps)

    def stage(self, name: str) -> Stage | None:
        """The stage of that name."""
        return next((part for part in self.stages if part.name == name), None)

    @property
    def needs_snapshot(self) -> bool:
        """Whether the snapshot still has to be brought to a node."""
        return any(isinstance(step, SendSnapshot) for step in self.steps)


def is_of_another(survey: Survey, situation: Situation) -> bool:
    """Whether nothing in the snapshot's membership is known here; False where one of the two is not known at all."""
    ids = {seat.id for seat in situation.seats}
    places = {host_of_url(url) for seat in situation.seats for url in seat.peer_urls}
    for node in survey.nodes:
        places |= {node.host.address, node.host.etcd_address or ""}
        for container in node.containers:
            places |= {host_of_url(url) for url in container.peer_urls}
        if node.db is not None:
            ids |= {member.id for member in node.db.members}
    members = situation.chosen.members
    urls = {host_of_url(url) for member in members for url in member.peer_urls}
    return bool(members) and not ids & {member.id for member in members} and not (places - {""}) & urls
