"""PURE: steps that concern the restore of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fleetrecover import limits
from fleetrecover.commands import snapshots as commands
from fleetrecover.commands.base import Action
from fleetrecover.commands.snapshots import Identity, Tool
from fleetrecover.facts import Definition
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, Step, said

RESTORE = "restore"
"""The kind of a run that restores a snapshot; the others are called by their remedy."""


@dataclass(frozen=True)
class NoteRestore(Deeds):
    """Write restore.json: what is restored, with which token and members, so that any bastion can finish it."""

    words: ClassVar[str] = "note the restore down"

    note: Mapping[str, Any]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (commands.write_note(self.paths, "restore.json", self.note),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said("note what is restored, with which token and members", undo="a record", rt=rt)

    def told(self) -> str:
        return f"token {self.note['token']}"


@dataclass(frozen=True)
class SendSnapshot(Step):
    """Bring the snapshot to the node, whole and with that hash, or not at all. `size` in bytes."""

    words: ClassVar[str] = "bring the snapshot"
    moves: ClassVar[bool] = True

    name: str
    size: int
    sha256: str

    def explain(self, rt: Runtime) -> Explained:
        did = [commands.receive(self.paths.at("snapshot.db"), self.size, self.sha256)]
        return said(f"bring {self.name} there", did, "", "size and SHA-256 are right")


@dataclass(frozen=True)
class TrialBoot(Step):
    """Restore into a scratch directory and boot it without network: it must answer, and have the snapshot's revision."""

    words: ClassVar[str] = "try the snapshot in quarantine"
    patience: ClassVar[float] = limits.TRIAL

    image: str
    tool: Tool
    container: str
    size: int
    revision: int
    environment: tuple[str, ...]

    def make(self, rt: Runtime) -> Action:
        """Restore into the scratch directory."""
        identity = trial_identity(self.paths.run)
        return rt.restore_into(self.image, self.tool, self.paths, "trial", identity, size=self.size, bump=0, owner="")

    def boot(self, rt: Runtime) -> Action:
        """Start it."""
        return rt.boot_proof(self.image, self.paths, self.container, self.environment)

    def explain(self, rt: Runtime) -> Explained:
        return said(
            "restore into a scratch directory and boot it without network",
            [self.make(rt), self.boot(rt)],
            "",
            f"it answers, at revision {self.revision}; its content hash is kept; then it is removed",
            "nothing else is touched",
        )


@dataclass(frozen=True)
class RestoreData(Deeds):
    """Restore beside the old data, in a container without network. `owner` is uid:gid, `size` in bytes."""

    words: ClassVar[str] = "make the data from the snapshot"

    image: str
    tool: Tool
    identity: Identity
    size: int
    bump: int
    owner: str

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        made = rt.restore_into(
            self.image,
            self.tool,
            self.paths,
            "restored",
            self.identity,
            size=self.size,
            bump=self.bump,
            owner=self.owner,
        )
        return (made,)

    def explain(self, rt: Runtime) -> Explained:
        return self.said("restore beside the old data", after="a database and a WAL stand there", rt=rt)

    def told(self) -> str:
        raised = f", revision raised by {self.bump}" if self.bump else ""
        return f"{self.tool.name}, as {self.identity.name}{raised}"


@dataclass(frozen=True)
class AdoptRestored(Deeds):
    """Move the restored data to where etcd looks for it."""

    words: ClassVar[str] = "put the restored data in place"

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (commands.adopt_restored(self.paths, self.data),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said("move the restored data in", rt=rt)

    def told(self) -> str:
        return self.data


@dataclass(frozen=True)
class StartNew(Step):
    """Start a container that was made from another node's, or without the force flag. It does not wait."""

    words: ClassVar[str] = "start with the restored data"

    spec: Definition
    name: str
    restart_policy: str
    reason: str
    replacements: tuple[str, ...] = ()

    def explain(self, rt: Runtime) -> Explained:
        changed = [line for text in self.replacements for line in text.splitlines()]
        shown = (rt.shown(self.spec), *changed)
        return Explained(f"start a new container {self.name}: {self.reason}", shown, "", "", "it is removed")


def trial_identity(run: str) -> Identity:
    """Who the trial is: alone, on its own loopback."""
    url = "http://127.0.0.1:2380"
    return Identity("trial", (url,), (("trial", (url,)),), f"trial-{run}")
