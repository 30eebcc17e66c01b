"""PURE: the steps of a plan, as values. What each does to a node is spelled in `commands/`; how, in `apply.py`.

A step names everything that it needs and nothing that it does not, so that a plan can be saved, printed and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetrecover.commands.paths import RunPaths
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.etcd.log import Position
from fleetrecover.etcd.seed import Seed
from fleetrecover.etcd.wal import Append
from fleetrecover.facts import Pin


@dataclass(frozen=True)
class Step:
    """One thing done on one node. `paths` are the run's on that node, `data` is its data directory (real path)."""

    node: str
    paths: RunPaths
    data: str


@dataclass(frozen=True)
class OpenRun(Step):
    """Make the run's directory, pin the survivor, save what the containers were."""

    pin: Pin
    containers: tuple[str, ...]


@dataclass(frozen=True)
class FenceTarget:
    """A container to be stopped and set aside. `keep_as` is the name that it gets."""

    id: str
    name: str
    keep_as: str
    paused: bool = False


@dataclass(frozen=True)
class Fence(Step):
    """Stop every etcd of the node gently, take restart policies away, set the containers aside."""

    targets: tuple[FenceTarget, ...]


@dataclass(frozen=True)
class HoldUnit(Step):
    """Keep a systemd unit that starts the node's etcd from starting, whatever starts it. Nothing is stopped by this."""

    unit: str


@dataclass(frozen=True)
class StopUnit(Step):
    """Stop a unit that is held, and what it runs, gently; its containers (called `name`) are set aside before that."""

    unit: str
    name: str
    targets: tuple[FenceTarget, ...]


@dataclass(frozen=True)
class ReleaseUnit(Step):
    """Let a unit start again, and start it if `starts`: it ran before it was held.

    `remakes`: it makes its container (`name`) anew when it starts. `waits`: until a linearizable read succeeds there.
    """

    unit: str
    name: str
    starts: bool
    remakes: bool
    waits: bool = True


@dataclass(frozen=True)
class KeepData(Step):
    """Move the node's data aside, whole. `part` is where to: original/, or discarded-N/ for a join that failed."""

    part: str = "original"


@dataclass(frozen=True)
class ProbeReflink(Step):
    """See that a copy takes no space on the node's filesystem, before anything is stopped for it."""


@dataclass(frozen=True)
class KeepElsewhere(Step):
    """With `--work-dir`: copy the data there, compare byte by byte; what stands in place becomes the working copy.

    `work` is the directory (real path), `need` in bytes.
    """

    work: str
    need: int


@dataclass(frozen=True)
class CopyData(Step):
    """Copy the kept original and compare the copy byte by byte. `need` in bytes; `reflink`: it must take no space."""

    need: int
    reflink: bool = False


@dataclass(frozen=True)
class RaiseCommit(Step):
    """On the copy, raise the commit to the last index, so that the reset keeps every entry. None: it is there already."""

    append: Append | None
    term: int
    last: int


@dataclass(frozen=True)
class Quarantine(Step):
    """Reset the copy in a container without network, make it answer, record the proof, stop it."""

    spec: ContainerSpec
    container: str
    member_id: int
    min_revision: int


@dataclass(frozen=True)
class Adopt(Step):
    """Move the proven copy to where the survivor's etcd looks for its data."""


@dataclass(frozen=True)
class SeedData(Step):
    """Make the node's new data beside what it has: the survivor's database, and its log as this node's member's.

    `source` is the survivor's host, `kept` its paths; what is read there was moved aside. `end` is where its log ends, and
    `voters` are those of the new log. `need` in bytes; `owner`, `mode` and `label` are for a directory that has to be made.
    """

    source: str
    kept: RunPaths
    seed: Seed
    end: Position
    voters: frozenset[int]
    need: int
    owner: str = ""
    mode: str = ""
    label: str = ""


@dataclass(frozen=True)
class ProveSeed(Quarantine):
    """Boot a copy of the survivor's new data, in whose log it is alone, without network; record what it answers.

    `seed` is that copy's log. The proof also says where the log of every host's data ends: `term` and `index`.
    """

    kept: RunPaths
    seed: Seed
    end: Position
    term: int
    index: int
    need: int


@dataclass(frozen=True)
class AdoptSeed(Adopt):
    """Move the node's new data to where its etcd looks for it, if it is the member's, and its log is of that term and commit."""

    member_id: int
    cluster_id: int
    term: int
    index: int


@dataclass(frozen=True)
class StartOriginal(Step):
    """Give a node's own container its name and restart policy back, and start it with its unchanged command.

    `waits_for`: "health" (a linearizable read succeeds) or "nothing" (quorum will come with the others).
    `replaces` is a container of ours that stands in its place and is removed first.
    """

    container_id: str
    name: str
    restart_policy: str
    replaces: str | None = None
    waits_for: str = "health"


@dataclass(frozen=True)
class StartRebuilt(Step):
    """Start a rebuilt container in place of an original that must not be started again (it carries the force flag)."""

    spec: ContainerSpec
    name: str
    restart_policy: str
    reason: str


@dataclass(frozen=True)
class AwaitQuorum(Step):
    """Wait until the started members have elected a leader."""

    nodes: tuple[str, ...]


class OwnAffair:
    """What a step makes sure of for its own node alone, and as often as it is asked.

    A survey does not see whether it was done, so every plan has it anew: it stands before that node's next steps, and
    before no other node's.
    """


@dataclass(frozen=True)
class EnsureImage(Step, OwnAffair):
    """See that the node has the image that it is to run; bring it from `source` if not."""

    image: str
    image_id: str
    source: str


@dataclass(frozen=True)
class CheckFiles(Step, OwnAffair):
    """See that every file that the joiner's command names is on the node before it is added."""

    files: tuple[str, ...]


@dataclass(frozen=True)
class RemoveMember(Step):
    """Remove a member that is dead or whose data is gone. Asked of `leader`, a node that has quorum behind it."""

    leader: str
    member_id: int
    member_name: str
    why: str


@dataclass(frozen=True)
class AddMember(Step):
    """Add the node as a member, as a learner from 3.4 on. `leader` is the node that is asked."""

    leader: str
    member_name: str
    peer_urls: tuple[str, ...]
    learner: bool


@dataclass(frozen=True)
class UpdateMember(Step):
    """Give a member other peer URLs: those of the host that it runs on. Asked of `leader`.

    `detour`: only for a moment, so that another member can get the URL that it has now.
    """

    leader: str
    member_id: int
    member_name: str
    peer_urls: tuple[str, ...]
    detour: bool = False


@dataclass(frozen=True)
class RemoveLeftover(Step):
    """Stop and remove a container that an earlier run, `made_by`, made for a while and left standing."""

    name: str
    made_by: str


@dataclass(frozen=True)
class Join(Step):
    """Start the joiner with an empty data directory, its initial cluster as the member list has it now.

    `replacements` is what the identity exchange replaced, for the eye; empty where it is the node's own old command.
    """

    leader: str
    spec: ContainerSpec
    name: str
    member_name: str
    peer_urls: tuple[str, ...]
    owner: str
    mode: str
    replacements: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Promote(Step):
    """Make the learner a voter when it has caught up."""

    leader: str
    peer_urls: tuple[str, ...]


@dataclass(frozen=True)
class GiveNameBack(Step):
    """Give a container that serves under another name, `was`, its own one back; its etcd runs on meanwhile."""

    container_id: str
    was: str
    name: str


@dataclass(frozen=True)
class RestorePolicy(Step):
    """Give a container that stays its restart policy."""

    name: str
    restart_policy: str


RESTORE = "restore"
"""The kind of a run that restores a snapshot; the others are called by their remedy."""
ROLLING = "etcd-rolling-snapshots"
"""RKE's container that takes snapshots; without quorum it takes none but goes on removing old ones."""


@dataclass(frozen=True)
class StopNeighbours(Step):
    """Stop the containers that live by etcd, noting which of them ran."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class StartNeighbours(Step):
    """Start again, in order, those that the run has stopped, and see that they stay up."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class FinishRun(Step):
    """Mark the run as finished on the node."""


@dataclass(frozen=True)
class CloseEarlier(Step):
    """Mark an earlier run, for which nothing is to be done any more, as finished on the node."""

    earlier: RunPaths


@dataclass(frozen=True)
class Stage:
    """Lanes run beside each other, the steps of a lane one after another.

    A failure on a node in `essential` ends the plan after this stage; on another node it is told, and the rest goes on.
    """

    name: str
    title: str
    lanes: tuple[tuple[Step, ...], ...]
    essential: frozenset[str] = frozenset()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, lane by lane."""
        return tuple(step for lane in self.lanes for step in lane)


def stage(name: str, title: str, lanes: Sequence[Sequence[Step]], essential: Sequence[str] = ()) -> Stage | None:
    """A stage of the lanes that have any step; None if none has."""
    filled = tuple(tuple(lane) for lane in lanes if lane)
    return Stage(name, title, filled, frozenset(essential)) if filled else None
