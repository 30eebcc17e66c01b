"""`Lab`: the rehearsal fleet as one object."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from fleetrecover.errors import InputError, Refused
from fleetrecover.lab import files, host, image, layout, packages, pki, rke, system
from fleetrecover.lab.client import Client, Tls
from fleetrecover.lab.host import Identity, LabHost
from fleetrecover.lab.layout import HostSpec, LabState
from fleetrecover.lab.lock import held
from fleetrecover.lab.system import LabError, run, wait_until

Progress = Callable[[str], None]
T = TypeVar("T")


def silent(_: str) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True)
class HostStatus:
    """One row of `lab status`. `etcd`: the container's state as Docker says it, or why it cannot be asked."""

    name: str
    hostname: str
    address: str
    pid: int | None
    cable: str
    dockerd: bool
    etcd: str
    healthy: bool


@dataclass(frozen=True)
class LabStatus:
    """`lab status`: what was asked for, and every host as it is now."""

    name: str
    directory: str
    inventory: str
    version: str
    complete: bool
    hosts: tuple[HostStatus, ...]


class Lab:
    """A fleet of hosts on this machine. Make one with `Lab.up`, find one again with `Lab.load`."""

    def __init__(self, state: LabState, progress: Progress = silent) -> None:
        self._state = state
        self._progress = progress

    # --- up and down ---

    @classmethod
    def up(
        cls,
        name: str = "lab",
        nodes: int = 3,
        etcd: str = packages.DEFAULT_VERSION,
        directory: Path | None = None,
        progress: Progress = silent,
        *,
        kubernetes: bool = False,
        internal: bool = False,
        election: int = layout.RKE_ELECTION,
    ) -> Lab:
        """Build the hosts and a healthy cluster on them. What an earlier, unfinished `up` left is cleared first.

        `internal`: etcd listens on the host's address alone, as RKE does on hosts with an internal address. `election`:
        etcd's election timeout in milliseconds.
        """
        system.require_tools()
        base = layout.base_directory(directory)
        path = base / layout.check_name(name)
        with held(_lock_path(path)):
            _refuse_if_alive(path, name)
            image.etcd_image(etcd, progress)  # first: a version that is not to be had changes nothing
            clear(path)
            tag = layout.tag_of(path)
            subnet = layout.choose_subnet(tag, _taken(base))
            hosts = layout.make_hosts(subnet, nodes)
            state = LabState(name, str(path), subnet, etcd, kubernetes, internal, False, election, hosts)
            lab = cls(state, progress)
            try:
                lab._build()
            except BaseException:
                clear(path)
                raise
        return lab

    @classmethod
    def load(cls, name: str = "lab", directory: Path | None = None, progress: Progress = silent) -> Lab:
        """The lab that `up` made, found by its name; InputError when there is none."""
        path = layout.base_directory(directory) / layout.check_name(name)
        try:
            text = (path / "lab.json").read_text()
        except FileNotFoundError as error:
            raise InputError(
                f"there is no lab {name!r} in {path.parent}", hint=f"fleetrecover lab up --name {name}"
            ) from error
        return cls(layout.loads(text), progress)

    @classmethod
    def names(cls, directory: Path | None = None) -> list[str]:
        """The labs that lie there, unfinished ones too."""
        base = layout.base_directory(directory)
        if not base.is_dir():
            return []
        return sorted(entry.name for entry in base.iterdir() if entry.is_dir())

    @classmethod
    def clear(cls, name: str, directory: Path | None = None) -> None:
        """`down` by name, for a lab that may be half made or half gone."""
        path = layout.base_directory(directory) / layout.check_name(name)
        lock = _lock_path(path)
        with held(lock):
            clear(path)
            lock.unlink(missing_ok=True)

    def down(self) -> None:
        """Remove everything that belongs to the lab."""
        self.clear(self.name, self.directory.parent)

    def _build(self) -> None:
        state = self._state
        state.path.mkdir(parents=True)
        state.path.chmod(0o700)
        self._save()
        self._progress(f"building lab {state.name}: {len(state.hosts)} hosts on {state.subnet}, etcd {state.etcd}")
        identities = self._make_identities()
        host.ensure_bridge(state)
        self._each(lambda spec: self._make_host(spec, identities[spec.name]))
        self._progress("hosts are up; starting etcd")
        self._prepare_images()
        self._each(self._start_containers)
        self.wait_healthy()
        self._state = replace(state, complete=True)
        self._save()
        self._progress(f"lab {state.name} is up: {self.inventory}")

    def _save(self) -> None:
        target = self._state.path / "lab.json"
        partial = target.with_suffix(".new")
        partial.write_text(self._state.dumps())
        partial.replace(target)

    def _make_identities(self) -> dict[str, Identity]:
        """All keys and certificates of the lab; the private ones stay in its directory, which only root can read."""
        state, path = self._state, self._state.path
        authority = pki.Authority()
        certificates = {"kube-ca.pem": authority.certificate}
        for spec in state.hosts:
            names = [spec.hostname, "localhost"]
            pair = authority.issue(spec.certificate, [spec.address, "127.0.0.1"], names)
            certificates[f"{spec.certificate}.pem"] = pair.certificate
            certificates[f"{spec.certificate}-key.pem"] = pair.key
        client = authority.issue("kube-apiserver", [], [])
        folder = path / "pki"
        folder.mkdir()
        for name, body in {**certificates, "client.pem": client.certificate, "client-key.pem": client.key}.items():
            host.write_private(folder / name, body)
        login = pki.ssh_key()
        host_keys = {spec.name: pki.ssh_key() for spec in state.hosts}
        host.write_private(path / "id_ed25519", login.private)
        (path / "id_ed25519.pub").write_text(f"{login.public} lab\n")
        known = "".join(f"{spec.address} {host_keys[spec.name].public}\n" for spec in state.hosts)
        host.write_private(path / "known_hosts", known.encode())
        text = files.inventory(state, path / "id_ed25519", path / "known_hosts")
        host.write_private(self.inventory, text.encode())
        return {spec.name: Identity(host_keys[spec.name].private, login.public, certificates) for spec in state.hosts}

    def _make_host(self, spec: HostSpec, identity: Identity) -> None:
        host.make_disk(self._state.host_directory(spec))
        host.write_files(self._state, spec, identity)
        host.boot(self._state, spec)

    # --- what it is made of ---

    @property
    def name(self) -> str:
        """The lab's name, which is the cluster's name in the inventory."""
        return self._state.name

    @property
    def directory(self) -> Path:
        """The lab's own directory."""
        return self._state.path

    @property
    def inventory(self) -> Path:
        """hosts.toml, with absolute paths in it."""
        return self._state.path / "hosts.toml"

    @property
    def version(self) -> str:
        """etcd's version."""
        return self._state.etcd

    @property
    def state(self) -> LabState:
        """Names, addresses, places."""
        return self._state

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """The hosts as they are at this moment."""
        return tuple(host.look(self._state, spec) for spec in self._state.hosts)

    def host(self, name: str) -> LabHost:
        """One host as it is at this moment."""
        return host.look(self._state, self._spec(name))

    def status(self) -> LabStatus:
        """Everything about the lab, asked now."""
        client = self.client()
        rows = self._each(lambda spec: self._host_status(spec, client))
        state = self._state
        return LabStatus(state.name, state.directory, str(self.inventory), state.etcd, state.complete, tuple(rows))

    def _host_status(self, spec: HostSpec, client: Client) -> HostStatus:
        now = host.look(self._state, spec)
        cable = "cut" if (now.directory / "cut").exists() else "plugged in"
        docker = now.pid is not None and host.docker_answers(now.pid)
        etcd = "power is off" if now.pid is None else "dockerd does not answer"
        if docker:
            asked = self.exec(spec.name, ["docker", "inspect", "--format={{.State.Status}}", "etcd"])
            etcd = asked.stdout.decode().strip() if asked.returncode == 0 else "no container"
        healthy = etcd == "running" and client.healthy(spec.name)
        return HostStatus(spec.name, spec.hostname, spec.address, now.pid, cable, docker, etcd, healthy)

    # --- looking in, past SSH ---

    def exec(
        self, name: str, argv: Sequence[str], input: bytes | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in a host as root, through its namespaces. The exit code is the caller's to judge."""
        return run(host.enter_argv(self._pid(name), argv), check=False, input=input, timeout=timeout)

    def shell(self, name: str, script: str, timeout: float = 120.0) -> str:
        """Run a piece of sh in a host and return its output; LabError when it fails."""
        argv = host.enter_argv(self._pid(name), ["sh", "-c", script])
        return run(argv, timeout=timeout).stdout.decode("utf-8", "replace")

    def etcdctl(self, name: str, *args: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run etcdctl in the host's container `etcd`, whose environment names endpoint and certificates."""
        done = self.exec(name, ["docker", "exec", "etcd", "etcdctl", *args], timeout=timeout)
        texts = (done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        return subprocess.CompletedProcess(done.args, done.returncode, *texts)

    def ssh_argv(self, name: str, *command: str, user: str = "root") -> list[str]:
        """A command line of the real ssh that logs in to a host."""
        options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.directory / 'known_hosts'}",
            "GlobalKnownHostsFile=/dev/null",
            "ConnectTimeout=10",
        ]
        flags = [part for option in options for part in ("-o", option)]
        key = str(self.directory / "id_ed25519")
        return ["ssh", "-F", "/dev/null", "-i", key, *flags, f"{user}@{self._spec(name).address}", *command]

    def client(self, timeout: float = 10.0) -> Client:
        """An etcd client on this machine, past SSH and Docker."""
        folder = self.directory / "pki"
        api = "/v3beta" if rke.version_tuple(self.version) < (3, 4) else "/v3"
        members = {spec.name: spec.address for spec in self._state.hosts}
        return Client(
            members, Tls(folder / "kube-ca.pem", folder / "client.pem", folder / "client-key.pem"), api, timeout
        )

    def wait_healthy(self, names: Iterable[str] | None = None, timeout: float = 60.0) -> None:
        """Until the members (all, if not said) report health, which needs quorum."""
        client = self.client()
        for name in names or [spec.name for spec in self._state.hosts]:
            wait_until(lambda name=name: client.healthy(name), f"etcd on {name} to be healthy", timeout)  # type: ignore[misc]

    # --- breaking ---

    def power_off(self, *names: str) -> None:
        """A power cut on these hosts, all at once: every process dies now, the disk stays."""
        with self._lock():
            host.power_off(self._state, [self._spec(name) for name in names])

    def power_on(self, *names: str) -> None:
        """Boot these hosts again: same disk, same keys; containers with restart=always come back."""
        with self._lock():
            host.ensure_bridge(self._state)
            self._each(lambda spec: host.boot(self._state, spec), names)

    def cut(self, name: str) -> None:
        """Pull the host's cable. It stays pulled over a power cut."""
        with self._lock():
            self._cable(self._spec(name), "down")

    def mend(self, name: str) -> None:
        """Plug the cable in again."""
        with self._lock():
            self._cable(self._spec(name), "up")

    def _cable(self, spec: HostSpec, position: str) -> None:
        mark = self._state.host_directory(spec) / "cut"
        if position == "down":
            mark.touch()
        else:
            mark.unlink(missing_ok=True)
        if system.link_exists(self._state.veth(spec)):
            run(["ip", "link", "set", self._state.veth(spec), position])

    def netem(self, name: str, spec: str) -> None:
        """A bad network in both directions, in tc's words: "delay 80ms 20ms loss 5%". Gone after a power cut."""
        with self._lock():
            for prefix, device in self._both_ends(name):
                _shape([*prefix, "tc", "qdisc", "replace", "dev", device, "root", "netem", *spec.split()])

    def clear_netem(self, name: str) -> None:
        """A good network again."""
        with self._lock():
            self._clear_netem(name)

    def _clear_netem(self, name: str) -> None:
        for prefix, device in self._both_ends(name):
            run([*prefix, "tc", "qdisc", "delete", "dev", device, "root"], check=False)

    def _both_ends(self, name: str) -> list[tuple[list[str], str]]:
        inside = ["nsenter", f"--net=/proc/{self._pid(name)}/ns/net"]
        return [([], self._state.veth(self._spec(name))), (inside, "eth0")]

    def kill_etcd(self, *names: str) -> None:
        """SIGKILL the etcd processes of these hosts, all at once. Docker starts them again if it is told to."""
        with self._lock():
            pids = [pid for name in names for pid in host.etcd_pids(self.host(name))]
            system.kill_and_wait(pids)

    def kill_all_at_once(self, names: Iterable[str] | None = None, *, power: bool = True) -> None:
        """All of these hosts (every one, if not said) lose power in the same instant; or only their etcd is killed."""
        chosen = list(names or [spec.name for spec in self._state.hosts])
        if power:
            self.power_off(*chosen)
        else:
            self.kill_etcd(*chosen)

    def remove_etcd(self, name: str) -> None:
        """docker rm -f etcd"""
        with self._lock():
            self.shell(name, "docker rm --force etcd")

    def wipe(self, name: str) -> None:
        """Empty the host's etcd data directory, running or not, and kill its etcd."""
        with self._lock():
            host.clear_directory(self.host(name).path("/var/lib/etcd"))
            system.kill_and_wait(host.etcd_pids(self.host(name)))
            host.clear_directory(self.host(name).path("/var/lib/etcd"))

    def stop_dockerd(self, name: str, *, crash: bool = False) -> None:
        """Stop the daemon and with it the containers; with `crash`, kill it and leave the containers running."""
        with self._lock():
            self.shell(name, f"lab-dockerd {'crash' if crash else 'stop'}")
            wait_until(lambda: not host.docker_answers(self._pid(name)), f"{name}'s dockerd to stop", timeout=60)
            if not crash:
                gone = "! [ -e /run/docker.pid ]"
                wait_until(lambda: self.exec(name, ["sh", "-c", gone]).returncode == 0, f"{name}'s dockerd to end", 60)

    def start_dockerd(self, name: str) -> None:
        """Start the daemon; it starts the containers with restart=always."""
        with self._lock():
            self._start_dockerd(name)

    def _start_dockerd(self, name: str) -> None:
        """A daemon that is still ending (whoever told it to may have been killed) answers for a moment, and bars the next."""

        def answers() -> bool:
            if host.docker_answers(self._pid(name)):
                return True
            if self.exec(name, ["pgrep", "-x", "dockerd"]).returncode != 0:
                self.shell(name, "lab-dockerd start")
            return False

        def stays() -> bool:
            first = answers()
            time.sleep(0.3)
            return first and answers()

        wait_until(stays, f"{name}'s dockerd", timeout=90, interval=0.2)

    def fill_disk(self, name: str) -> None:
        """Leave no free byte on the host's disk."""
        with self._lock():
            host.fill_disk(self.host(name))

    def unfill_disk(self, name: str) -> None:
        """Give the space back."""
        with self._lock():
            host.unfill_disk(self.host(name))

    # --- beginning again ---

    def reset_etcd(self, version: str | None = None) -> None:
        """Repair every host and start a fresh cluster with no data; much faster than a new lab."""
        with self._lock():
            image.etcd_image(version or self._state.etcd, self._progress)
            self._state = replace(self._state, etcd=version or self._state.etcd)
            self._save()
            host.ensure_bridge(self._state)
            certificates = self._saved_certificates()
            self._prepare_images()
            self._each(lambda spec: self._repair(spec, certificates))
            self._each(self._start_containers)
            self.wait_healthy()

    def upgrade_etcd(self, name: str, version: str, *, start: bool = True) -> None:
        """Make the host's etcd anew in another version, on the data that it has: a step of a rolling upgrade."""
        with self._lock():
            self.shell(name, "docker stop --time=30 etcd; docker rm etcd")
            self._make_etcd(self._spec(name), version, start=start)

    def _repair(self, spec: HostSpec, certificates: dict[str, bytes]) -> None:
        """In a thread of its own, so nothing here may take the lock, which the calling thread holds."""
        self._cable(spec, "up")
        host.boot(self._state, spec)
        self._clear_netem(spec.name)
        now = self.host(spec.name)
        host.unfill_disk(now)
        if not host.greets(spec.address):
            self.shell(spec.name, host.SSHD_START)
        self._start_dockerd(spec.name)
        self.shell(spec.name, 'ids=$(docker ps --all --quiet); [ -z "$ids" ] || docker rm --force --volumes $ids')
        host.clear_state(now)
        host.write_certificates(now.directory, certificates)

    def _saved_certificates(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.directory / "pki").glob("kube-*.pem")}

    def _prepare_images(self) -> None:
        image.etcd_image(self._state.etcd, self._progress)
        if self._state.kubernetes:
            image.busybox_image()

    def _start_containers(self, spec: HostSpec) -> None:
        self._make_etcd(spec, self._state.etcd)
        if self._state.kubernetes:
            self._import(spec, rke.HYPERKUBE, image.busybox_image(), image.BUSYBOX_CHANGES)
            for name in rke.KUBERNETES:
                self._docker(spec, rke.kubernetes_run(name))

    def _make_etcd(self, spec: HostSpec, version: str, *, start: bool = True) -> None:
        state = self._state
        self._import(spec, rke.image_name(version), image.etcd_image(version, self._progress), image.ETCD_CHANGES)
        run = rke.etcd_run(spec, state.hosts, version, internal=state.internal, election=state.election)
        self._docker(spec, run if start else ["docker", "create", *(word for word in run[2:] if word != "--detach")])

    def _import(self, spec: HostSpec, name: str, tar: Path, changes: Sequence[str]) -> None:
        if self.exec(spec.name, ["docker", "image", "inspect", "--format={{.Id}}", name]).returncode == 0:
            return
        options = [f"--change={change}" for change in changes]
        with tar.open("rb") as source:
            argv = ["docker", "import", *options, "-", name]
            run(host.enter_argv(self._pid(spec.name), argv), stdin=source, timeout=180)

    def _docker(self, spec: HostSpec, argv: Sequence[str]) -> None:
        run(host.enter_argv(self._pid(spec.name), argv), timeout=120)

    # --- small helps ---

    def _lock(self) -> AbstractContextManager[None]:
        return held(_lock_path(self.directory))

    def _spec(self, name: str) -> HostSpec:
        for spec in self._state.hosts:
            if spec.name == name:
                return spec
        raise InputError(
            f"lab {self.name} has no host {name!r}", hint=", ".join(spec.name for spec in self._state.hosts)
        )

    def _pid(self, name: str) -> int:
        pid = self.host(name).pid
        if pid is None:
            raise LabError(f"{name} is powered off", hint=f"fleetrecover lab break {name} power-on")
        return pid

    def _each(self, work: Callable[[HostSpec], T], names: Iterable[str] | None = None) -> list[T]:
        """`work` on the hosts (all, if not said) in parallel; the first failure is raised when all have ended."""
        specs = [self._spec(name) for name in names] if names is not None else list(self._state.hosts)
        with ThreadPoolExecutor(max_workers=max(1, len(specs))) as pool:
            futures = [pool.submit(work, spec) for spec in specs]
        return [future.result() for future in futures]


def clear(path: Path) -> None:
    """Remove whatever there is of the lab in `path`: finished, half made or half gone, with or without a state."""
    tag = layout.tag_of(path)
    mark = f"{layout.MARK}={path}/"
    # one that was being started while we looked shows itself only in the next look
    while found := system.marked_processes(mark):
        system.kill_and_wait(found)
    for link in system.links_with_prefix(f"frv-{tag}-"):
        system.delete_link(link)
    host.remove_bridge(f"frb-{tag}")
    system.unmount_below(path)
    system.wait_for_loops(path)
    system.remove_cgroups(f"{layout.CGROUP}/{path.name}-{tag}")
    system.remove_empty_cgroups(layout.CGROUP)
    if path.is_dir():
        shutil.rmtree(path)


def _refuse_if_alive(path: Path, name: str) -> None:
    """A finished lab with a running host is someone's; anything less is a leftover."""
    try:
        state = layout.loads((path / "lab.json").read_text())
    except (FileNotFoundError, InputError):
        return
    if state.complete and any(host.look(state, spec).running for spec in state.hosts):
        raise Refused(f"lab {name!r} is up already", hint=f"fleetrecover lab down --name {name}")


def _taken(base: Path) -> list[str]:
    """Networks that must not be used: this machine's routes and the other labs' subnets."""
    taken = layout.taken_networks(run(["ip", "-json", "route", "show", "table", "all"]).stdout.decode())
    for file in base.glob("*/lab.json"):
        with contextlib.suppress(OSError, InputError):
            taken.append(layout.loads(file.read_text()).subnet)
    return taken


def _shape(argv: Sequence[str]) -> None:
    done = run(argv, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    if b"qdisc kind is unknown" in done.stderr:
        raise Refused(
            "this machine's kernel has no netem", hint="a kernel with the module sch_netem, or `cut` and `mend`"
        )
    if done.returncode != 0:
        raise InputError(f"tc does not take that: {said}", hint="such as: delay 80ms 20ms loss 5%")


def _lock_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
