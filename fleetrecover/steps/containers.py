"""PURE: steps that concern an etcd's container, and the images and files that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fleetrecover import limits
from fleetrecover.commands.base import Action
from fleetrecover.facts import Definition
from fleetrecover.runtime import Runtime
from fleetrecover.steps.base import Deeds, Explained, OwnAffair, Step, said, together


@dataclass(frozen=True)
class FenceTarget:
    """A container to be stopped and set aside. `keep_as` is the name that it gets."""

    id: str
    name: str
    keep_as: str
    paused: bool = False


@dataclass(frozen=True)
class Fence(Deeds):
    """Stop every etcd of the node gently, take restart policies away, set the containers aside."""

    words: ClassVar[str] = "stop and set aside"
    tasks: ClassVar[tuple[str, ...]] = ("fence",)
    passing: ClassVar[bool] = True

    targets: tuple[FenceTarget, ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return tuple(rt.fence(t.id, t.name, t.keep_as, paused=t.paused) for t in self.targets)

    def explain(self, rt: Runtime) -> Explained:
        names = ", ".join(target.name for target in self.targets)
        return self.said(
            f"stop {names} gently, take its restart policy away, set it aside under another name",
            "the survey right before",
            "no etcd runs on the node, and its log is read once more",
            rt=rt,
        )

    def told(self) -> str:
        return ", ".join(target.keep_as for target in self.targets)


@dataclass(frozen=True)
class EnsureImage(Step, OwnAffair):
    """See that the node has the image that it is to run; bring it from `source` if not."""

    words: ClassVar[str] = "bring the image"
    tasks: ClassVar[tuple[str, ...]] = (
        "member-add",
        "join",
    )
    moves: ClassVar[bool] = True

    image: str
    image_id: str
    source: str

    def explain(self, rt: Runtime) -> Explained:
        commands = (
            rt.has_image(self.image).command.display.strip(),
            f"{rt.save_image(self.image).display.strip()}   (on {self.source}, its output is sent)",
            rt.load_image(self.image, self.image_id).command.display,
        )
        return Explained(
            f"bring the image {self.image} from {self.source}", commands, "", "the image is there", "it stays"
        )


@dataclass(frozen=True)
class CheckFiles(Step, OwnAffair):
    """See that every file that the joiner's command names is on the node before it is added."""

    words: ClassVar[str] = "check the files that etcd needs"
    tasks: ClassVar[tuple[str, ...]] = (
        "member-add",
        "join",
    )
    patience: ClassVar[float] = limits.PEEK

    files: tuple[str, ...]

    def explain(self, rt: Runtime) -> Explained:
        return Explained(
            "see that every file that its command names is there",
            tuple(f"[ -e {path} ]" for path in self.files),
            "",
            "none is missing",
            "",
        )


@dataclass(frozen=True)
class StartOriginal(Step):
    """Give a node's own container its name and restart policy back, and start it with its unchanged command.

    `waits_for`: "health" (a linearizable read succeeds) or "nothing" (quorum will come with the others).
    `replaces` is a container of ours that stands in its place and is removed first.
    """

    words: ClassVar[str] = "start its own container"
    tasks: ClassVar[tuple[str, ...]] = ("start",)

    container_id: str
    name: str
    restart_policy: str
    replaces: str | None = None
    waits_for: str = "health"

    def explain(self, rt: Runtime) -> Explained:
        gone = [rt.remove(self.replaces, self.paths.run)] if self.replaces else []
        return said(
            f"start {self.name} with its own original command, restart policy {self.restart_policy}",
            [*gone, *together(self, rt), self.start(rt)],
            "no other container has the name",
            "a linearizable read succeeds" if self.waits_for == "health" else "it runs",
        )

    def start(self, rt: Runtime) -> Action:
        """What starts it."""
        return rt.start_own(self.container_id, self.name, self.restart_policy)

    def longest_wait(self) -> float:
        return limits.HEALTHY if self.waits_for == "health" else 0.0


@dataclass(frozen=True)
class StartRebuilt(Step):
    """Start a rebuilt container in place of an original that must not be started again (it carries the force flag)."""

    words: ClassVar[str] = "start it rebuilt, without the force flag"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    patience: ClassVar[float] = limits.HEALTHY

    spec: Definition
    name: str
    restart_policy: str
    reason: str

    def explain(self, rt: Runtime) -> Explained:
        return Explained(
            f"start {self.name} rebuilt without the force flag: {self.reason}",
            (rt.shown(self.spec),),
            "the force flag is not on it",
            "a linearizable read succeeds",
            "the container is removed; the original lies kept",
        )


@dataclass(frozen=True)
class AwaitQuorum(Step):
    """Wait until the started members have elected a leader.

    `else_reset`: if none comes, one of them may be reset, as `--survivor` asks; not where all were given one's data.
    """

    words: ClassVar[str] = "wait for a leader"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    patience: ClassVar[float] = limits.HEALTHY

    nodes: tuple[str, ...]
    else_reset: bool = True

    def explain(self, rt: Runtime) -> Explained:
        title = f"wait until {', '.join(self.nodes)} {'has' if len(self.nodes) == 1 else 'have'} elected a leader"
        return Explained(title, (), "", "a linearizable read succeeds", "")


@dataclass(frozen=True)
class GiveNameBack(Deeds):
    """Give a container that serves under another name, `was`, its own one back; its etcd runs on meanwhile."""

    words: ClassVar[str] = "give the container its name back"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    passing: ClassVar[bool] = True

    container_id: str
    was: str
    name: str

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (rt.rename(self.container_id, self.was, self.name),)

    def explain(self, rt: Runtime) -> Explained:
        title = f"call container {self.was} {self.name} again; its etcd runs on"
        return self.said(title, "no other container has the name", "it has it", rt=rt)

    def told(self) -> str:
        return f"{self.name}, was {self.was}"


@dataclass(frozen=True)
class RestorePolicy(Deeds):
    """Give a container that stays its restart policy."""

    words: ClassVar[str] = "give the restart policy back"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    passing: ClassVar[bool] = True

    name: str
    restart_policy: str

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (rt.autostart(self.name, self.restart_policy),)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(f"give {self.name} the restart policy {self.restart_policy}", after="it has it", rt=rt)

    def told(self) -> str:
        return self.restart_policy


@dataclass(frozen=True)
class Reopen(Step):
    """See that a rebuilt member takes clients, and start it again if not.

    One that came in by a raft snapshot opens its client port 15 s after its start, for it waits so long for an election that
    it takes no part in; started as a voter, at once. `spec` says how it is asked.
    """

    words: ClassVar[str] = "see that it takes clients"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    patience: ClassVar[float] = limits.HEALTHY

    spec: Definition
    name: str

    def restart(self, rt: Runtime) -> Action:
        """What starts it again."""
        return rt.restart(self.name)

    def explain(self, rt: Runtime) -> Explained:
        return said(
            f"see that {self.name} takes clients; if not, start it again, as the voter that it is now",
            [self.restart(rt)],
            "it does not answer `etcdctl endpoint status`",
            "a linearizable read succeeds",
        )


@dataclass(frozen=True)
class RemoveLeftover(Deeds):
    """Stop and remove a container that an earlier run, `made_by`, made for a while and left standing."""

    words: ClassVar[str] = "remove what an earlier run left"
    tasks: ClassVar[tuple[str, ...]] = ("start",)
    passing: ClassVar[bool] = True

    name: str
    made_by: str

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return (rt.remove(self.name, self.made_by),)

    def explain(self, rt: Runtime) -> Explained:
        title = f"stop and remove {self.name}, which run {self.made_by} left"
        return self.said(title, "it carries that run's label", rt=rt)

    def told(self) -> str:
        return f"{self.name} of run {self.made_by}"


@dataclass(frozen=True)
class RemoveOurs(Deeds):
    """Stop and remove the containers that the run made."""

    words: ClassVar[str] = "remove what the run made"

    names: tuple[str, ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return tuple(rt.remove(name, self.paths.run) for name in self.names)

    def explain(self, rt: Runtime) -> Explained:
        title = f"stop and remove {', '.join(self.names)}, which the run made"
        return self.said(title, "they carry the run's label", rt=rt)

    def told(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True)
class PutContainerBack(Deeds):
    """Give a container its name and restart policy back, and start it if it ran; `wait` until it answers, before others."""

    words: ClassVar[str] = "put the container back"

    container_id: str
    name: str
    restart_policy: str
    start: bool
    wait: bool = False

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        back = rt.put_back(self.container_id, self.name, self.restart_policy, start=self.start)
        return (*together(self, rt), back) if self.start else (back,)

    def explain(self, rt: Runtime) -> Explained:
        end = "and start it" if self.start else "and leave it stopped"
        title = f"give {self.name} its name and its restart policy {self.restart_policy} back, {end}"
        return self.said(title, "no other container has the name", rt=rt)

    def told(self) -> str:
        return f"{self.name}, restart policy {self.restart_policy}, {'started' if self.start else 'stopped'}"

    def longest_wait(self) -> float:
        return limits.HEAD_START if self.wait else 0.0


@dataclass(frozen=True)
class RemoveKept(Deeds):
    """Remove the containers that the run set aside and that are not needed: (id, name)."""

    words: ClassVar[str] = "remove the containers that were set aside"

    containers: tuple[tuple[str, str], ...]

    def actions(self, rt: Runtime) -> tuple[Action, ...]:
        return tuple(rt.remove_kept(cid, name) for cid, name in self.containers)

    def explain(self, rt: Runtime) -> Explained:
        return self.said(f"remove {self.told()}", "it does not run", "it is gone", rt=rt)

    def told(self) -> str:
        return ", ".join(name for _, name in self.containers)
