"""PURE: steps of a reseed: every host's new data is made, proven, and only then put in place."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import ClassVar

from fleetrecover import limits
from fleetrecover.commands import actions, seed
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.etcd.log import Position
from fleetrecover.etcd.seed import Seed
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Explained, Step, said
from fleetrecover.steps.data import Quarantine, quarantine_removed


def removals(made: Seed) -> str:
    """Which members a log removes, in words."""
    names = ", ".join(f"{member:x}" for member in made.removed)
    return f"removes {names}" if names else "removes nobody"


@dataclass(frozen=True)
class SeedData(Step):
    """Make the node's new data beside what it has: the survivor's database, and its log as this node's member's.

    `source` is the survivor's host, `kept` its paths; what is read there was moved aside. `end` is where its log ends, and
    `voters` are those of the new log. `quarantine` names what an interruption may have left there. `need` in bytes; `owner`,
    `mode` and `label` are for a directory that has to be made.
    """

    words: ClassVar[str] = "make the survivor's data its own, beside what it has"
    moves: ClassVar[bool] = True

    source: str
    kept: RunPaths
    seed: Seed
    end: Position
    voters: frozenset[int]
    need: int
    owner: str = ""
    mode: str = ""
    label: str = ""
    quarantine: tuple[str, ...] = ()

    def explain(self, rt: Runtime) -> Explained:
        source, part = posixpath.join(self.kept.at("original"), "member"), self.paths.at("partial")
        commands = (
            *(action.command.display for action in quarantine_removed(self, rt, self.quarantine)),
            seed.begin(self.paths, "partial", ("partial", "work", "booted"), need=self.need).command.display,
            f"cat {source}/snap/db   (on {self.source}) > {part}/member/snap/db   (its SHA-256 is compared)",
            f"write {part}/member/snap/*.snap and {part}/member/wal/*.wal: {self.source}'s, the log as member "
            f"{self.seed.node_id:x}'s, its end in term {self.seed.term}: {removals(self.seed)}, commit {self.seed.end}",
            actions.rename_part(self.paths, "partial", "work").command.display,
        )
        return Explained(
            f"make new data beside the old: {self.source}'s, as that of member {self.seed.node_id:x}",
            commands,
            f"{self.need / 1e6:,.0f} MB and a margin are free",
            f"its log, read again, has all that {self.source}'s has, and that end; the databases have one SHA-256",
            f"rm -rf {part} (a copy of ours)",
        )


@dataclass(frozen=True)
class ProveSeed(Quarantine):
    """Boot a copy of the survivor's new data, in whose log it is alone, without network; record what it answers.

    `seed` is that copy's log. The proof also says where the log of every host's data ends: `term` and `index`.
    """

    words: ClassVar[str] = "boot a copy of the new data in quarantine"
    tasks: ClassVar[tuple[str, ...]] = ()
    patience: ClassVar[float] = limits.QUARANTINE

    kept: RunPaths
    seed: Seed
    end: Position
    term: int
    index: int
    need: int
    quarantine: tuple[str, ...] = ()

    def explain(self, rt: Runtime) -> Explained:
        booted = self.paths.at("booted")
        etcdctl = " ".join(rt.exec(self.container, (), ("etcdctl",)))
        commands = (
            *(action.command.display for action in quarantine_removed(self, rt, self.quarantine)),
            f"copy the new data to {booted}, its log in term {self.seed.term}: {removals(self.seed)}",
            rt.shown(self.spec),
            f"{etcdctl} … endpoint health; endpoint status; member list; endpoint hashkv",
            rt.stop(self.container).command.display,
            f"write {self.paths.proof}",
            rt.remove(self.container, self.paths.run).command.display,
            seed.throw_away(self.paths, "booted").command.display,
        )
        return Explained(
            "boot a copy of the new data in quarantine: no network, no restart policy",
            commands,
            "every host's new data is whole",
            f"one member, {self.member_id:x}; revision at least {self.min_revision}; its content hash is recorded",
            "the copy is thrown away",
        )


@dataclass(frozen=True)
class AdoptSeed(Step):
    """Move the node's new data to where its etcd looks for it, if it is the member's, and its log is of that term and commit."""

    words: ClassVar[str] = "put the new data in place"

    member_id: int
    cluster_id: int
    term: int
    index: int
    quarantine: tuple[str, ...] = ()

    def adopt(self) -> Action:
        """What is sent, once the new data was read again."""
        return actions.adopt(self.paths, self.data, "work")

    def explain(self, rt: Runtime) -> Explained:
        did = (*quarantine_removed(self, rt, self.quarantine), self.adopt())
        before = f"the data directory is empty; the new data's log is member {self.member_id:x}'s, in term {self.term}"
        return said("move the new data into place", did, before, "it is there")
