"""PURE: the seam: what runs an etcd on a node, and all that the rest of this program may ask of it or have it do.

Each verb gives a Probe, an Action, or a value; nothing here does anything. Above this nobody knows containers: a definition
(how a node starts its etcd) is opaque, and is only given back to the runtime that it came from. What every runtime must do
is held by one test, `tests/runtime/contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.snapshots import Identity as RestoredAs
from fleetrecover.commands.snapshots import Neighbour, Schedule, SchedulePaths, Tool
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.facts import Container, Definition, Role
from fleetrecover.model import Command

T = TypeVar("T")
LOOPBACK = "http://127.0.0.1:2379"
"""Where an etcd in quarantine takes clients: on the loopback of a network of its own."""


@dataclass(frozen=True)
class State:
    """An instance as it is now. `status` is "running", "restarting", "paused", "created", "exited" or "dead"; `made_by` is
    the run of ours that made it.
    """

    id: str
    status: str
    made_by: str | None = None

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def ended(self) -> bool:
        """Whether its process has ended, and nothing starts it again."""
        return self.status in ("exited", "dead")


@dataclass(frozen=True)
class Listed:
    """What a node said of its instances; only its runtime can read it."""

    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Defined:
    """An instance's name, its status, and its whole definition."""

    name: str
    status: str
    definition: Definition


class Read(Protocol):
    """Runs one more probe on the node that is being looked at. Raises FormatError, RemoteError."""

    def __call__(self, probe: Probe[T]) -> T:
        """The probe's value."""
        ...


@dataclass(frozen=True)
class MemberIdentity:
    """Who a member is to be: its name, the address in its URLs, its host's name."""

    name: str
    address: str
    hostname: str


class ByHand(Protocol):
    """What a person would type on the node, for advice."""

    def list(self) -> str:
        """See what is there."""
        ...

    def stop(self, name: str) -> str:
        """Stop one gently."""
        ...

    def start(self, name: str) -> str:
        """Start one."""
        ...

    def rename(self, name: str, to: str) -> str:
        """Give one another name."""
        ...

    def remove(self, name: str) -> str:
        """Remove one."""
        ...

    def autostart(self, names: str) -> str:
        """Let it start by itself again."""
        ...

    def no_autostart(self, name: str) -> str:
        """Keep one from starting by itself."""
        ...

    def copy_out(self, name: str, path: str, to: str) -> str:
        """Copy a directory out of one in which it lies."""
        ...

    def when_mute(self, said: str) -> str:
        """What to do where it does not answer; `said` is what was said instead, in small letters."""
        ...

    def logs(self, name: str) -> str:
        """What it last said."""
        ...

    def get_image(self, image: str) -> str:
        """Get an image."""
        ...


class Definitions(Protocol):
    """What can be made of a definition: another one, with one thing changed and everything else as it was written."""

    def config(self, definition: Definition) -> EtcdConfig:
        """The settings that its etcd would run with. Raises Unsupported for a command that cannot be changed."""
        ...

    def quarantined(
        self,
        definition: Definition,
        *,
        name: str,
        data: str,
        wal: str | None,
        run: str,
        force: bool = True,
        extra: Mapping[str, str] | None = None,
    ) -> Definition:
        """For a copy of the data at `data` (and `wal`): without network, without autostart; with `force` it is reset.

        Raises Unsupported where its data is not on the node's own filesystem.
        """
        ...

    def plain(self, definition: Definition, *, name: str, run: str, role: Role) -> Definition:
        """As it was, without the force flag, marked as that run's."""
        ...

    def joiner(self, definition: Definition, *, name: str, initial_cluster: Mapping[str, str] | str) -> Definition:
        """Of a member that was just added: its initial cluster as the member list has it, state existing, no autostart."""
        ...

    def as_member(
        self, definition: Definition, hostname: str, to: Callable[[str], MemberIdentity]
    ) -> tuple[Definition, tuple[str, ...]]:
        """Another host's, made from this one's (of the host `hostname`), and what was exchanged, a text each.

        `to` says who that is to be, given the name of the member that this one is of.
        """
        ...

    def autostarting(self, definition: Definition, policy: str) -> Definition:
        """With that autostart."""
        ...

    def on_host(self, definition: Definition, path: str) -> str | None:
        """Where a path that etcd sees lies on the node; None where it lies nowhere there."""
        ...

    def recorded(self, value: Any, source: str) -> tuple[Definition, str] | None:
        """The etcd's definition, and its host's name, of what `record` has written, or an operator gives; None if it has none.

        Raises FormatError, Refused, Unsupported.
        """
        ...

    def files(self, definition: Definition) -> tuple[str, ...]:
        """The files and directories of the node that must be there before it is started, as paths."""
        ...

    def own_mount(self, definition: Definition, path: str) -> bool:
        """Whether that directory of etcd's is itself a mount point, so that etcd cannot make it anew."""
        ...

    def check_isolated(self, definition: Definition) -> None:
        """Raises Refused unless it has no network and does not start by itself."""
        ...

    def check_quarantine(self, definition: Definition) -> None:
        """Raises Refused if it carries the force flag and is not isolated."""
        ...

    def check_no_force(self, definition: Definition) -> None:
        """Raises Refused if it carries the force flag."""
        ...

    def secrets(self, definition: Definition) -> tuple[str, ...]:
        """The secrets in it, which must never be shown."""
        ...

    def masked(self, definition: Definition) -> Definition:
        """The same without them."""
        ...

    def shown(self, definition: Definition) -> str:
        """The command that starts it, its secrets masked."""
        ...

    def pasted(self, definition: Definition) -> str:
        """The command that makes it anew, ready to paste into a shell, its secrets as they are."""
        ...

    def document(self, definition: Definition) -> Mapping[str, Any]:
        """It as JSON."""
        ...


class Images(Protocol):
    """What an instance is made of: images, or programs that are there or not."""

    def has_image(self, reference: str) -> Probe[str | None]:
        """The id of an image on the node, or None."""
        ...

    def save_image(self, reference: str) -> Command:
        """Write one to standard output."""
        ...

    def load_image(self, reference: str, image_id: str) -> Action:
        """Take one from standard input, and give it that name."""
        ...


class Beside(Protocol):
    """What runs beside etcd on a node and lives by it."""

    def neighbours(self, names: Sequence[str]) -> Probe[tuple[Neighbour, ...]]:
        """Those of them that there are, and how they are."""
        ...

    def stop_neighbours(self, paths: RunPaths, names: Sequence[str]) -> Action:
        """Stop them, noting which of them ran."""
        ...

    def start_neighbours(self, names: Sequence[str]) -> Action:
        """Start them, in that order."""
        ...


class Restoring(Protocol):
    """What a snapshot is restored, tried and saved with."""

    def restore_tool(self, image: str) -> Probe[Tool]:
        """Which tool that image restores with, and what it knows."""
        ...

    def restore_into(
        self,
        image: str,
        tool: Tool,
        paths: RunPaths,
        part: str,
        identity: RestoredAs,
        *,
        size: int,
        bump: int,
        owner: str,
    ) -> Action:
        """Restore the run's snapshot into one of its parts, without network."""
        ...

    def boot_proof(self, image: str, paths: RunPaths, name: str, environment: Sequence[str]) -> Action:
        """Boot what was restored for a trial, without network."""
        ...

    def save_by_copy(self, ctl: Etcdctl, inside: str, work: str, *, need: int) -> Action:
        """Save a snapshot where etcd's data is not on the node's own filesystem."""
        ...

    def scheduler(self) -> Probe[str]:
        """What can run a schedule on the node."""
        ...

    def schedule_script(
        self, ctl: Etcdctl, name: str, inside: str, on_host: str, paths: SchedulePaths, wanted: Schedule
    ) -> str:
        """The script of a schedule."""
        ...


class Instances(Protocol):
    """Looks at instances, and changes of them. Each change looks first, and can be sent again."""

    def version(self) -> Probe[str]:
        """The version of what runs them; fails where it does not answer."""
        ...

    def listing(self, name: str) -> Probe[Listed]:
        """What the node has that may be an etcd, or is ours: running, stopped or renamed. `name` is the one expected."""
        ...

    def instances(self, listed: Listed, read: Read) -> tuple[Container, ...]:
        """Those that are an etcd. Raises FormatError, RemoteError."""
        ...

    def names(self, listed: Listed) -> tuple[str, ...]:
        """What all of them are called."""
        ...

    def defined(self, name: str, read: Read) -> Defined | None:
        """One by its name, whatever it runs; None where there is none. Raises Unsupported, Refused, RemoteError."""
        ...

    def helpers(self, listed: Listed) -> tuple[tuple[str, str], ...]:
        """Others that matter: name and state."""
        ...

    def state(self, name: str) -> Probe[State | None]:
        """One as it is now; None where there is none of that name."""
        ...

    def logs(self, name: str, lines: int) -> Probe[str]:
        """The last lines that it has written."""
        ...

    def exec(self, name: str, environment: Sequence[tuple[str, str]], words: Sequence[str]) -> tuple[str, ...]:
        """The words that run a program where that instance runs: in its network, with its files."""
        ...

    def ctl(self, instance: Container) -> Etcdctl:
        """How its etcd is asked."""
        ...

    def ctl_of(self, definition: Definition, name: str) -> Etcdctl:
        """How the etcd is asked that is started from that definition, under that name."""
        ...

    def quiet(self, data: str, wal: str) -> list[str]:
        """Lines of a script that exit with STILL_RUNNING where anything runs that may write below `data` or `wal`."""
        ...

    def record(self, paths: RunPaths, ids: Sequence[str], data: str) -> Action:
        """Write down what undo needs (`containers.json`), and whether there is data, once, before anything is touched."""
        ...

    def fence(self, identity: str, name: str, keep_as: str, *, paused: bool = False) -> Action:
        """Stop one gently, so that nothing starts it, after a reboot neither; set it aside under the name `keep_as`."""
        ...

    def launch(self, definition: Definition, name: str) -> Action:
        """Make and start one. Raises Unsupported where its environment cannot be given. Its secrets are on no command line."""
        ...

    def start_own(self, identity: str, name: str, policy: str) -> Action:
        """Start a node's own one as it was: its name, its autostart, its unchanged definition."""
        ...

    def put_back(self, identity: str, name: str, policy: str, *, start: bool) -> Action:
        """Give one its name and autostart back, and start it if it ran."""
        ...

    def start(self, name: str) -> Action:
        """Start one that stands stopped; nothing happens if it runs."""
        ...

    def restart(self, name: str) -> Action:
        """Stop one gently and start it again."""
        ...

    def stop(self, name: str) -> Action:
        """Stop one gently."""
        ...

    def remove(self, name: str, run: str) -> Action:
        """Stop and remove one, if it carries that run's mark."""
        ...

    def remove_kept(self, identity: str, name: str) -> Action:
        """Remove one that a run has set aside, if it still has that name and does not run."""
        ...

    def remove_trials(self, keep_root: str) -> Action:
        """Remove whatever trials have left."""
        ...

    def rename(self, identity: str, was: str, name: str) -> Action:
        """Give one, which may run, its own name, unless another one has it."""
        ...

    def autostart(self, name: str, policy: str) -> Action:
        """Give one its autostart."""
        ...

    def stop_unit(self, paths: RunPaths, unit: str, name: str, targets: Sequence[tuple[str, str, bool]]) -> Action:
        """Stop a unit that is held, and what it runs, which is set aside: (id, name, whether it is paused)."""
        ...

    def release_unit(self, paths: RunPaths, unit: str, name: str, *, remakes: bool) -> Action:
        """Let a unit start again, and start it if it ran."""
        ...


class Runtime(Instances, Definitions, Images, Beside, Restoring, Protocol):
    """What runs etcd on a node, for that node."""

    @property
    def name(self) -> str:
        """What it is called in the inventory."""
        ...

    @property
    def cli(self) -> str:
        """What a person types it as."""
        ...

    @property
    def hand(self) -> ByHand:
        """What a person would type."""
        ...

    @property
    def gives_root(self) -> str | None:
        """The command by which whoever may use it is root on the node; None where it makes nobody root."""
        ...

    def cannot_fence(self, version: str) -> str:
        """Why an etcd cannot be kept from starting by itself there; empty where it can."""
        ...
