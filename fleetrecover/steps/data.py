"""PURE: steps that concern the data: kept, copied, reset in quarantine, put in place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from fleetrecover import limits
from fleetrecover.commands import actions
from fleetrecover.commands.base import Action
from fleetrecover.etcd.wal import Append
from fleetrecover.facts import Definition
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, Step, said


def quarantine_removed(step: Step, rt: Runtime, names: Iterable[str]) -> tuple[Action, ...]:
    """What comes before a run's copy is touched: no container that an interruption has left runs on it."""
    return tuple(rt.remove(name, step.paths.run) for name in names)


@dataclass(frozen=True)
class KeepData(Deeds):
    """Move the node's data aside, whole. `part` is where to: original/, or discarded-N/ for a join that failed."""

    words: ClassVar[str] = "move the data aside"
    tasks: ClassVar[tuple[str, ...]] = ("keep-data",)

    part: str = "original"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (actions.move_aside(rt.quiet, self.paths, self.data, self.part),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(
            f"move the data, whole, to {self.paths.at(self.part)}",
            "no container runs on it",
            "it is there and the data directory is empty",
            rt=rt,
        )

    def told(self) -> str:
        return self.paths.at(self.part)


@dataclass(frozen=True)
class ProbeReflink(Deeds):
    """See that a copy takes no space on the node's filesystem, before anything is stopped for it."""

    words: ClassVar[str] = "see that a copy takes no space"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (actions.probe_reflink(self.paths),)

    def explain(self, rt: Runtime) -> Explained:
        title = "see that a copy takes no space here: there is not enough for one that does"
        return self.said(title, after="it takes none", rt=rt)

    def told(self) -> str:
        return "a copy takes no space"


@dataclass(frozen=True)
class KeepElsewhere(Deeds):
    """With `--work-dir`: copy the data there, compare byte by byte; what stands in place becomes the working copy.

    `work` is the directory (real path), `need` in bytes.
    """

    words: ClassVar[str] = "keep a compared copy in the work directory"
    tasks: ClassVar[tuple[str, ...]] = ("keep-data",)
    passing: ClassVar[bool] = True

    work: str
    need: int
    quarantine: tuple[str, ...] = ()

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        did = actions.keep_elsewhere(rt.quiet, self.paths, self.data, work=self.work, need=self.need)
        return (*quarantine_removed(self, rt, self.quarantine), did)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(
            f"copy the data to {self.work}, where it is kept as the original; what stands in place becomes the working copy",
            f"no container runs on it; {self.need / 1e6:,.0f} MB and a margin are free in {self.work}",
            "both are equal, byte by byte",
            rt=rt,
        )

    def told(self) -> str:
        return f"{self.need / 1e6:,.1f} MB to {self.work}, compared byte by byte"


@dataclass(frozen=True)
class CopyData(Deeds):
    """Copy the kept original and compare the copy byte by byte. `need` in bytes; `reflink`: it must take no space."""

    words: ClassVar[str] = "copy the data and compare"
    tasks: ClassVar[tuple[str, ...]] = ("reset",)
    passing: ClassVar[bool] = True

    need: int
    reflink: bool = False
    quarantine: tuple[str, ...] = ()

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        did = actions.copy_original(self.paths, self.data, need=self.need, reflink=self.reflink)
        return (*quarantine_removed(self, rt, self.quarantine), did)

    def explain(self, rt: Runtime) -> Explained:
        enough = f"{self.need / 1e6:,.0f} MB and a margin are free"
        return self.said(
            "make a copy of what was moved aside; the original is only read",
            "the filesystem can copy without taking space" if self.reflink else enough,
            "the copy equals the original, byte by byte",
            rt=rt,
        )

    def told(self) -> str:
        return f"{self.need / 1e6:,.1f} MB, compared byte by byte"


@dataclass(frozen=True)
class RaiseCommit(Step):
    """On the copy, raise the commit to the last index, so that the reset keeps every entry. None: it is there already."""

    words: ClassVar[str] = "raise the copy's commit"
    tasks: ClassVar[tuple[str, ...]] = ("reset",)

    append: Append | None
    term: int
    last: int

    def explain(self, rt: Runtime) -> Explained:
        did = [actions.append_to_wal(self.paths, self.append)] if self.append else []
        did.append(actions.rename_part(self.paths, "partial", "work"))
        return said(
            f"on the copy, raise the commit to the last entry: term {self.term}, index {self.last}",
            did,
            "the WAL has only zeros after its end",
            "the log of the copy, read again, ends there and has that commit",
        )


@dataclass(frozen=True)
class Quarantine(Step):
    """Reset the copy in a container without network, make it answer, record the proof, stop it."""

    words: ClassVar[str] = "reset the copy in quarantine"
    tasks: ClassVar[tuple[str, ...]] = ("reset",)
    patience: ClassVar[float] = limits.QUARANTINE

    spec: Definition
    container: str
    member_id: int
    min_revision: int

    def explain(self, rt: Runtime) -> Explained:
        etcdctl = " ".join(rt.exec(self.container, (), ("etcdctl",)))
        commands = (
            actions.rename_part(self.paths, "work", "booted").command.display,
            rt.shown(self.spec),
            f"{etcdctl} … endpoint health; endpoint status; member list; endpoint hashkv",
            rt.stop(self.container).command.display,
            f"write {self.paths.proof}",
            actions.rename_part(self.paths, "booted", "reset").command.display,
            rt.remove(self.container, self.paths.run).command.display,
        )
        return Explained(
            "reset the copy in quarantine: no network, no restart policy",
            commands,
            "the force flag is only on this container",
            f"one member, {self.member_id:x}; revision at least {self.min_revision}; its content hash is recorded",
            "only the copy is changed",
        )


@dataclass(frozen=True)
class Adopt(Deeds):
    """Move the proven copy to where the survivor's etcd looks for its data."""

    words: ClassVar[str] = "put the proven copy in place"
    tasks: ClassVar[tuple[str, ...]] = ("reset",)
    quarantine: tuple[str, ...] = ()

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        did = actions.adopt(self.paths, self.data)
        return (*quarantine_removed(self, rt, self.quarantine), did)

    def explain(self, rt: Runtime) -> Explained:
        return self.said("move the proven copy into place", "the data directory is empty", "it is there", rt=rt)

    def told(self) -> str:
        return self.data


@dataclass(frozen=True)
class PutDataBack(Deeds):
    """Move what the run put in place out of it, and the original back: byte for byte, since it is a rename."""

    words: ClassVar[str] = "put the data back"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (actions.put_data_back(rt.quiet, self.paths, self.data),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(
            "move what the run put in place aside, and the original data back",
            "no container runs on it",
            "the original is in its place",
            rt=rt,
        )

    def told(self) -> str:
        return self.data
