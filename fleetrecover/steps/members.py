"""PURE: steps that concern the member list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fleetrecover import limits
from fleetrecover.facts import Definition
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Explained, Step


def asked(rt: Runtime, leader: str, words: str) -> tuple[str, ...]:
    """What etcdctl is asked on the leader's node, for the eye."""
    return (" ".join((*rt.exec("…", (), ("etcdctl", words)), f"  (on {leader})")),)


@dataclass(frozen=True)
class RemoveMember(Step):
    """Remove a member that is dead or whose data is gone. Asked of `leader`, a node that has quorum behind it."""

    words: ClassVar[str] = "remove the old member"
    tasks: ClassVar[tuple[str, ...]] = ("member-add",)
    patience: ClassVar[float] = limits.MEMBER.total

    leader: str
    member_id: int
    member_name: str
    why: str

    def explain(self, rt: Runtime) -> Explained:
        return Explained(
            f"remove member {self.member_name}: {self.why}",
            asked(rt, self.leader, f"member remove {self.member_id:x}"),
            "it is in the member list",
            "it is not in the member list",
            "it comes back as a new member",
        )


@dataclass(frozen=True)
class UpdateMember(Step):
    """Give a member other peer URLs: those of the host that it runs on. Asked of `leader`.

    `detour`: only for a moment, so that another member can get the URL that it has now.
    """

    words: ClassVar[str] = "give the member its host's peer URL"
    tasks: ClassVar[tuple[str, ...]] = ("member-add",)
    patience: ClassVar[float] = limits.MEMBER.total

    leader: str
    member_id: int
    member_name: str
    peer_urls: tuple[str, ...]
    detour: bool = False

    def explain(self, rt: Runtime) -> Explained:
        urls = ",".join(self.peer_urls)
        title = f"give {self.member_name} the peer URL of the host that it runs on"
        if self.detour:
            other = "another spelling of its host's peer URL for a moment, so that its present one is free"
            title = f"give {self.member_name} {other}"
        return Explained(
            title,
            asked(rt, self.leader, f"member update {self.member_id:x} --peer-urls={urls}"),
            "no other member has that URL",
            "the member list has it so",
            "member update with the URL of before",
        )


@dataclass(frozen=True)
class AddMember(Step):
    """Add the node as a member, as a learner from 3.4 on. `leader` is the node that is asked."""

    words: ClassVar[str] = "add as a member"
    tasks: ClassVar[tuple[str, ...]] = ("member-add",)
    patience: ClassVar[float] = limits.MEMBER.total

    leader: str
    member_name: str
    peer_urls: tuple[str, ...]
    learner: bool

    def explain(self, rt: Runtime) -> Explained:
        learner = " --learner" if self.learner else ""
        urls = ",".join(self.peer_urls)
        return Explained(
            f"add {self.member_name} as a {'learner' if self.learner else 'voter'}",
            asked(rt, self.leader, f"member add {self.member_name} --peer-urls={urls}{learner}"),
            "it is not in the member list; etcd is ready for a change",
            "it is in the member list",
            "member remove",
        )


@dataclass(frozen=True)
class Join(Step):
    """Start the joiner with an empty data directory, its initial cluster as the member list has it now.

    `replacements` is what the identity exchange replaced, for the eye; empty where it is the node's own old command.
    """

    words: ClassVar[str] = "join"
    tasks: ClassVar[tuple[str, ...]] = ("join",)
    patience: ClassVar[float] = limits.JOINED

    leader: str
    spec: Definition
    name: str
    member_name: str
    peer_urls: tuple[str, ...]
    owner: str
    mode: str
    replacements: tuple[str, ...] = ()
    label: str = ""

    def explain(self, rt: Runtime) -> Explained:
        shaped = rt.joiner(
            self.spec,
            name=self.name,
            initial_cluster=f"{self.member_name}={self.peer_urls[0]},…=<as member list gives it>",
        )
        diff = ("exchanged:", *self.replacements) if self.replacements else ()
        return Explained(
            f"start {self.name} empty, to join as {self.member_name}",
            (
                *(f"make the WAL directory {self.paths.wal}, empty" for _ in self.paths.wal[:1]),
                rt.shown(shaped),
                *diff,
            ),
            "image and files are there, the data directory is empty",
            "it has started under its member id",
            "the container is stopped and removed, its data moved aside",
        )


@dataclass(frozen=True)
class Promote(Step):
    """Make the learner a voter when it has caught up."""

    words: ClassVar[str] = "make it a voter"
    tasks: ClassVar[tuple[str, ...]] = ("promote",)
    patience: ClassVar[float] = limits.PROMOTE.total

    leader: str
    peer_urls: tuple[str, ...]

    def explain(self, rt: Runtime) -> Explained:
        return Explained(
            "make it a voter when it has caught up",
            asked(rt, self.leader, "member promote <its id>"),
            "it is a learner and has started",
            "it is a voter",
            "member remove",
        )
