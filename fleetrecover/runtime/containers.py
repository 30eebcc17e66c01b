"""PURE: docker and podman behind the seam."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleetrecover.answers import understood
from fleetrecover.commands import containers, snapshots, trial, units
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import join
from fleetrecover.commands.snapshots import Neighbour, Schedule, SchedulePaths, Tool
from fleetrecover.docker import rewrite
from fleetrecover.docker.argv import env_file_lines, env_inherited, masked, render, secrets_of, to_argv, to_json
from fleetrecover.docker.etcd_config import is_etcd
from fleetrecover.docker.podman import cannot_fence
from fleetrecover.docker.rewrite import Identity
from fleetrecover.docker.spec import from_inspect, host_path, mounted_at
from fleetrecover.errors import FormatError, Unsupported
from fleetrecover.etcd.config import EtcdConfig, client_endpoint
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Container, Definition, Role
from fleetrecover.limits import STOP_GRACE
from fleetrecover.model import Command, Result
from fleetrecover.runtime.base import Defined, Listed, MemberIdentity, Read, State
from fleetrecover.runtime.inspected import containers_in, helpers_in, tls_files


@dataclass(frozen=True)
class TypedByHand:
    """The command lines for a person."""

    cli: str

    def list(self) -> str:
        """See what is there."""
        return f"{self.cli} ps -a"

    def stop(self, name: str) -> str:
        """Stop one gently."""
        return f"{self.cli} stop -t {STOP_GRACE} {name}"

    def start(self, name: str) -> str:
        """Start one."""
        return f"{self.cli} start {name}"

    def rename(self, name: str, to: str) -> str:
        """Give one another name."""
        return f"{self.cli} rename {name} {to}"

    def remove(self, name: str) -> str:
        """Remove one."""
        return f"{self.cli} rm {name}"

    def autostart(self, names: str) -> str:
        """Let it start by itself again."""
        return f"{self.cli} update --restart=always {names}"

    def no_autostart(self, name: str) -> str:
        """Keep one from starting by itself."""
        return f"{self.cli} update --restart=no {name}"

    def copy_out(self, name: str, path: str, to: str) -> str:
        """Copy a directory out of one in which it lies."""
        return f"{self.cli} cp {name}:{path} {to}"

    def when_mute(self, said: str) -> str:
        """What to do where the engine does not answer."""
        if "permission denied" in said:
            return (
                "the login user may not talk to the container engine: set `sudo = true` below [ssh] in hosts.toml, or add the "
                "user to the engine's group there (`sudo usermod -aG docker USER`, then log in anew)"
            )
        if "not found" in said or ("no such file" in said and "sock" not in said):
            return f"there is no `{self.cli}` in the login user's path: set `cli` below [etcd] in hosts.toml"
        return (
            "start the container engine there (`sudo systemctl start docker`); until then its etcd can neither be stopped nor "
            "started"
        )

    def logs(self, name: str) -> str:
        """What it last said."""
        return f"{self.cli} logs --tail 20 {name}"

    def get_image(self, image: str) -> str:
        """Get an image."""
        return f"{self.cli} pull {image}"


@dataclass(frozen=True)
class Containers:
    """One of the two, by its command line tool `cli`, a name or a path. A definition is a `ContainerSpec`."""

    cli: str = "docker"

    @property
    def name(self) -> str:
        """What it is called in the inventory."""
        return "podman" if posixpath.basename(self.cli).startswith("podman") else "docker"

    @property
    def hand(self) -> TypedByHand:
        """What a person would type."""
        return TypedByHand(self.cli)

    @property
    def gives_root(self) -> str | None:
        """Docker's daemon is root's. Podman without root gives no root, and with root it asks for sudo."""
        return self.cli if self.name == "docker" else None

    def cannot_fence(self, version: str) -> str:
        """Why an etcd cannot be kept from starting by itself there; empty where it can."""
        return cannot_fence(self.cli, version)

    # --- looks ---

    def version(self) -> Probe[str]:
        """The version of the engine."""
        return containers.cli_version(self.cli)

    def listing(self, name: str) -> Probe[Listed]:
        """What may be an etcd, or is ours."""
        return _mapped(containers.containers(self.cli, name), Listed)

    def instances(self, listed: Listed, read: Read) -> tuple[Container, ...]:
        """Those that are an etcd."""
        return containers_in(self.cli, listed.rows, read)

    def names(self, listed: Listed) -> tuple[str, ...]:
        """What all of them are called."""
        return tuple(str(each.get("Name", "")).lstrip("/") for each in listed.rows)

    def defined(self, name: str, read: Read) -> Defined | None:
        """One container by its name."""
        found = read(containers.container_state(self.cli, name))
        if found is None:
            return None
        image = str(found.get("Image", ""))
        images, info = read(containers.images(self.cli, [image])), read(containers.engine_info(self.cli))
        spec = from_inspect(found, images.get(image), info)
        called = str(found.get("Name", "")).lstrip("/")
        return Defined(called, str((found.get("State") or {}).get("Status", "")), spec)

    def helpers(self, listed: Listed) -> tuple[tuple[str, str], ...]:
        """RKE's, that have to do with etcd."""
        return helpers_in(listed.rows)

    def state(self, name: str) -> Probe[State | None]:
        """One container as it is now."""
        return _mapped(containers.container_state(self.cli, name), _state)

    def logs(self, name: str, lines: int) -> Probe[str]:
        """Its last lines."""
        return containers.container_logs(self.cli, name, lines)

    def has_image(self, reference: str) -> Probe[str | None]:
        """The id of an image on the node, or None."""
        return containers.has_image(self.cli, reference)

    def neighbours(self, names: Sequence[str]) -> Probe[tuple[Neighbour, ...]]:
        """Those of them that there are."""
        return snapshots.neighbours(self.cli, names)

    def restore_tool(self, image: str) -> Probe[Tool]:
        """Which tool that image restores with."""
        return snapshots.restore_tool(self.cli, image)

    def scheduler(self) -> Probe[str]:
        """What can run a schedule on the node."""
        return snapshots.scheduler(self.cli)

    # --- how an etcd is asked ---

    def exec(self, name: str, environment: Sequence[tuple[str, str]], words: Sequence[str]) -> tuple[str, ...]:
        """The words that run a program in that container; no shell is needed in the image."""
        given = (word for key, value in environment for word in ("-e", f"{key}={value}"))
        return (self.cli, "exec", *given, name, *words)

    def ctl(self, instance: Container) -> Etcdctl:
        """How its etcd is asked."""
        return Etcdctl(self, instance.id, instance.endpoint, instance.tls)

    def ctl_of(self, definition: Definition, name: str) -> Etcdctl:
        """How the etcd is asked that is started from that definition."""
        config = EtcdConfig.of(definition)
        return Etcdctl(self, name, client_endpoint(config), tls_files(definition, config))

    # --- changes ---

    def quiet(self, data: str, wal: str) -> list[str]:
        """Lines that exit with STILL_RUNNING where a container runs that may write there."""
        return containers.refuse_running(self.cli, data, wal)

    def record(self, paths: RunPaths, ids: Sequence[str], data: str) -> Action:
        """Save what `inspect` says of them."""
        return containers.record_containers(self.cli, paths, ids, data)

    def fence(self, identity: str, name: str, keep_as: str, *, paused: bool = False) -> Action:
        """Stop one gently, take its restart policy away, give it another name."""
        return containers.fence(self.cli, identity, name, keep_as, paused=paused)

    def launch(self, definition: Definition, name: str) -> Action:
        """`docker run`; its environment goes over standard input."""
        inherited = env_inherited(definition)
        if inherited:
            raise Unsupported(f"variables of {name} with several lines or odd names: {', '.join(inherited)}")
        argv = to_argv(definition, cli=self.cli, detach=True, env_file="/dev/stdin" if definition.env else None)
        shown = to_argv(masked(definition), cli=self.cli, detach=True)
        return containers.run_container(f"run {name}", argv, env_file_lines(definition), shown)

    def start_own(self, identity: str, name: str, policy: str) -> Action:
        """Start a node's own container as it was."""
        return containers.start_original(self.cli, identity, name, policy)

    def put_back(self, identity: str, name: str, policy: str, *, start: bool) -> Action:
        """Give a container its name and restart policy back."""
        return containers.put_container_back(self.cli, identity, name, policy, start=start)

    def start(self, name: str) -> Action:
        """Start one that stands stopped."""
        return containers.start_existing(self.cli, name)

    def restart(self, name: str) -> Action:
        """Stop one gently and start it again."""
        return containers.restart_container(self.cli, name)

    def stop(self, name: str) -> Action:
        """Stop one gently."""
        return containers.stop_container(self.cli, name)

    def remove(self, name: str, run: str) -> Action:
        """Stop and remove one, if it carries that run's label."""
        return containers.remove_container(self.cli, name, RUN_LABEL, run)

    def remove_kept(self, identity: str, name: str) -> Action:
        """Remove one that was set aside."""
        return containers.remove_kept_container(self.cli, identity, name)

    def remove_trials(self, keep_root: str) -> Action:
        """Remove whatever trials have left."""
        return trial.remove_trials(self.cli, keep_root)

    def rename(self, identity: str, was: str, name: str) -> Action:
        """Give one its own name."""
        return containers.give_name_back(self.cli, identity, was, name)

    def autostart(self, name: str, policy: str) -> Action:
        """Give one its restart policy."""
        return containers.set_restart_policy(self.cli, name, policy)

    def stop_unit(self, paths: RunPaths, unit: str, name: str, targets: Sequence[tuple[str, str, bool]]) -> Action:
        """Stop a unit that is held, and its containers."""
        return units.stop_unit(self.cli, paths, unit, name, targets)

    def release_unit(self, paths: RunPaths, unit: str, name: str, *, remakes: bool) -> Action:
        """Let a unit start again."""
        return units.release_unit(self.cli, paths, unit, name, remakes=remakes)

    def save_image(self, reference: str) -> Command:
        """Write an image to standard output."""
        return containers.save_image(self.cli, reference)

    def load_image(self, reference: str, image_id: str) -> Action:
        """Take one from standard input."""
        return containers.load_image(self.cli, reference, image_id)

    def stop_neighbours(self, paths: RunPaths, names: Sequence[str]) -> Action:
        """Stop them, noting which of them ran."""
        return snapshots.stop_neighbours(self.cli, paths, names)

    def start_neighbours(self, names: Sequence[str]) -> Action:
        """Start them, in that order."""
        return snapshots.start_neighbours(self.cli, names)

    def restore_into(
        self,
        image: str,
        tool: Tool,
        paths: RunPaths,
        part: str,
        identity: snapshots.Identity,
        *,
        size: int,
        bump: int,
        owner: str,
    ) -> Action:
        """Restore the run's snapshot in a container of that image."""
        return snapshots.restore_into(self.cli, image, tool, paths, part, identity, size=size, bump=bump, owner=owner)

    def boot_proof(self, image: str, paths: RunPaths, name: str, environment: Sequence[str]) -> Action:
        """Boot what was restored for a trial."""
        return snapshots.boot_proof(self.cli, image, paths, name, environment)

    def save_by_copy(self, ctl: Etcdctl, inside: str, work: str, *, need: int) -> Action:
        """Save a snapshot in the container, and copy it out."""
        return snapshots.save_by_copy(self.cli, ctl, inside, work, need=need)

    def schedule_script(
        self, ctl: Etcdctl, name: str, inside: str, on_host: str, paths: SchedulePaths, wanted: Schedule
    ) -> str:
        """The script of a schedule."""
        return snapshots.schedule_script(self.cli, ctl, name, inside, on_host, paths, wanted)

    # --- definitions ---

    def config(self, definition: Definition) -> EtcdConfig:
        """The settings that its etcd would run with."""
        return EtcdConfig.of(definition)

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
        """A container for a copy of the data: no network, no restart policy."""
        labels = {RUN_LABEL: run, ROLE_LABEL: Role.QUARANTINE.value}
        return rewrite.quarantine(
            definition, name=name, data_host_path=data, wal_host_path=wal, labels=labels, force=force, extra=extra
        )

    def plain(self, definition: Definition, *, name: str, run: str, role: Role) -> Definition:
        """As it was, without the force flag."""
        return rewrite.plain(definition, name=name, labels={RUN_LABEL: run, ROLE_LABEL: role.value})

    def joiner(self, definition: Definition, *, name: str, initial_cluster: Mapping[str, str] | str) -> Definition:
        """Of a member that was just added."""
        return rewrite.joiner(definition, name=name, initial_cluster=initial_cluster, labels={}, restart="no")

    def as_member(
        self, definition: Definition, hostname: str, to: Callable[[str], MemberIdentity]
    ) -> tuple[Definition, tuple[str, ...]]:
        """Another host's container, made from this one's."""
        old = replace(rewrite.identity_of(definition), hostname=hostname)
        who = to(old.name)
        new = Identity(name=who.name, addresses=(who.address,), hostname=who.hostname)
        made, replaced = rewrite.exchange_identity(definition, old, new)
        return made, tuple(change.text for change in replaced)

    def autostarting(self, definition: Definition, policy: str) -> Definition:
        """With that restart policy."""
        return replace(definition, restart=policy)

    def on_host(self, definition: Definition, path: str) -> str | None:
        """Where a path of the container lies on the node."""
        return host_path(definition, path)

    def recorded(self, value: Any, source: str) -> tuple[Definition, str] | None:
        """The etcd among the containers of an `inspect`."""
        documents = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in documents):
            raise FormatError("not the output of `docker inspect`", source=source)
        if not documents:
            return None

        def read() -> tuple[Definition, str]:
            document = next((each for each in documents if is_etcd(each)), documents[0])
            return from_inspect(document), str((document.get("Config") or {}).get("Hostname") or "")

        return understood(source, read)

    def files(self, definition: Definition) -> tuple[str, ...]:
        """The files and directories of the node that it names."""
        return tuple(named.host for named in rewrite.files_named(definition))

    def own_mount(self, definition: Definition, path: str) -> bool:
        """Whether that directory is itself the place of a mount."""
        point = mounted_at(definition, path)
        return point is not None and point.destination == path

    def check_isolated(self, definition: Definition) -> None:
        """Raises Refused unless it has no network and no restart policy."""
        rewrite.assert_isolated(definition)

    def check_quarantine(self, definition: Definition) -> None:
        """Raises Refused if it carries the force flag and is not isolated."""
        rewrite.check_quarantine(definition)

    def check_no_force(self, definition: Definition) -> None:
        """Raises Refused if it carries the force flag."""
        rewrite.assert_no_force(definition)

    def secrets(self, definition: Definition) -> tuple[str, ...]:
        """The secrets in it."""
        return secrets_of(definition)

    def masked(self, definition: Definition) -> Definition:
        """The same without them."""
        return masked(definition)

    def shown(self, definition: Definition) -> str:
        """Its `docker run`, secrets masked."""
        return join(to_argv(masked(definition), cli=self.cli, detach=True))

    def pasted(self, definition: Definition) -> str:
        """Its `docker run`, an option a line."""
        return render(definition, cli=self.cli)

    def document(self, definition: Definition) -> Mapping[str, Any]:
        """It as JSON."""
        return to_json(definition)


def _state(found: Mapping[str, Any] | None) -> State | None:
    if found is None:
        return None
    labels = (found.get("Config") or {}).get("Labels") or {}
    made_by = labels.get(RUN_LABEL)
    status = str((found.get("State") or {}).get("Status", ""))
    return State(str(found.get("Id", "")), status, None if made_by is None else str(made_by))


def _mapped(probe: Probe[Any], make: Callable[[Any], Any]) -> Probe[Any]:
    def meaning(result: Result) -> Any:
        value = probe.meaning(result)
        return understood(probe.command.name, lambda: make(value))

    return Probe(probe.command, meaning)
