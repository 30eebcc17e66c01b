"""One host of the lab: its disk, its files, its namespaces, its cable."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.lab import files, system
from fleetrecover.lab.layout import BINDS, MARK, HostSpec, LabState
from fleetrecover.lab.system import LabError, run, wait_until

DISK_BYTES = 8 << 30
NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")
FILL = ".lab-fill"
SSHD_START = "mkdir -p /run/sshd && $(command -v sshd) -f /etc/ssh/sshd_config -E /var/log/sshd.log"


@dataclass(frozen=True)
class LabHost:
    """A host as it is now. `pid`: its first process as this machine sees it, None while it is powered off."""

    name: str
    hostname: str
    address: str
    directory: Path
    pid: int | None

    @property
    def running(self) -> bool:
        """Whether it is powered on."""
        return self.pid is not None

    @property
    def disk(self) -> Path:
        """The root of its disk, readable from here even while it is powered off."""
        return self.directory / "disk"

    def path(self, inside: str) -> Path:
        """Where a file of the host lies on this machine: only below the directories of its own disk (layout.BINDS)."""
        if not any(inside == bind or inside.startswith(f"{bind}/") for bind in BINDS):
            raise ValueError(f"{inside} is not below one of {', '.join(BINDS)}")
        return self.disk / inside.lstrip("/")


def look(state: LabState, spec: HostSpec) -> LabHost:
    """The host as it is now."""
    directory = state.host_directory(spec)
    return LabHost(spec.name, spec.hostname, spec.address, directory, init_pid(directory))


def init_pid(directory: Path) -> int | None:
    """The host's first process, when it is alive and really this host's."""
    try:
        pid = int((directory / "init.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if system.environment_has(pid, f"{MARK}={directory}") else None


# --- making ----------------------------------------------------------------------------------------------------------


def make_disk(directory: Path) -> None:
    """A sparse ext4 image, mounted: one file system for all that the host keeps, which can be filled up."""
    directory.mkdir(parents=True)
    image, mounted = directory / "disk.img", directory / "disk"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", str(image)])
    mounted.mkdir()
    mount_disk(directory)
    (directory / "rootfs").mkdir()


def mount_disk(directory: Path) -> None:
    """Mount the disk, if it is not. A power cut of a rehearsal host never loses the page cache: no barriers needed."""
    mounted = directory / "disk"
    if not os.path.ismount(mounted):
        run(["mount", "-o", "loop,nobarrier,noatime,discard", str(directory / "disk.img"), str(mounted)])


@dataclass(frozen=True)
class Identity:
    """What makes a host itself: its SSH host key, who may log in, and its files of certificates (name → PEM)."""

    host_key: bytes
    authorized_key: str
    certificates: dict[str, bytes]


def write_files(state: LabState, spec: HostSpec, identity: Identity) -> None:
    """Everything on the host's disk before its first boot."""
    directory = state.host_directory(spec)
    disk = directory / "disk"
    for name in ("upper", "work", *(bind.lstrip("/") for bind in BINDS)):
        (disk / name).mkdir(parents=True, exist_ok=True)
    (disk / "tmp").chmod(0o1777)
    (disk / "root").chmod(0o700)
    _write_etc(state, spec, identity, disk / "upper/etc")
    _write_homes(identity, disk)
    write_certificates(directory, identity.certificates)
    (disk / "opt/rke/etcd-snapshots").mkdir(parents=True, exist_ok=True)
    _make_data_directory(disk)
    boot = directory / "boot.sh"
    boot.write_text(files.boot_script(state, spec, system.find_tool("sshd") or "/usr/sbin/sshd"))


def _make_data_directory(disk: Path) -> None:
    data = disk / "var/lib/etcd"
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)


def write_certificates(directory: Path, certificates: dict[str, bytes]) -> None:
    """RKE puts every etcd node's pair on every etcd node."""
    clear_directory(directory / "disk/etc/kubernetes")
    ssl = directory / "disk/etc/kubernetes/ssl"
    ssl.mkdir(parents=True, exist_ok=True)
    for name, body in certificates.items():
        write_private(ssl / name, body)


def _write_etc(state: LabState, spec: HostSpec, identity: Identity, etc: Path) -> None:
    for name in ("ssh", "sudoers.d"):
        (etc / name).mkdir(parents=True, exist_ok=True)
    for folder in (etc, etc / "ssh"):
        folder.chmod(0o755)
    (etc / "sudoers.d").chmod(0o750)
    accounts = files.Accounts.extend(*(Path("/etc", name).read_text() for name in ("passwd", "group", "shadow")))
    (etc / "passwd").write_text(accounts.passwd)
    (etc / "group").write_text(accounts.group)
    write_private(etc / "shadow", accounts.shadow.encode())
    (etc / "hostname").write_text(f"{spec.hostname}\n")
    (etc / "hosts").write_text(files.hosts_file(state, spec))
    (etc / "motd").write_text("")
    (etc / "ssh/sshd_config").write_text(files.sshd_config(sshd_extras()))
    write_private(etc / "ssh/ssh_host_ed25519_key", identity.host_key)
    write_private(etc / "sudoers.d/fleetrecover-lab", files.SUDOERS.encode(), 0o440)
    script = etc.parent / "usr/local/sbin/lab-dockerd"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(files.dockerd_script(state, spec, system.find_tool("dockerd") or "/usr/sbin/dockerd"))
    script.chmod(0o755)


def sshd_extras() -> list[str]:
    """Options that only newer versions of sshd know, and that would make a rehearsal fail after a few bad logins."""
    option = "PerSourcePenalties no"
    sshd = system.find_tool("sshd") or "/usr/sbin/sshd"
    said = run([sshd, "-T", "-f", "/dev/null", "-o", option.replace(" ", "=")], check=False).stderr
    return [] if b"Bad configuration option" in said or b"Unsupported" in said else [option]


def _write_homes(identity: Identity, disk: Path) -> None:
    homes = [("root", 0), *((f"home/{user}", number) for user, number in files.USERS)]
    for home, number in homes:
        ssh = disk / home / ".ssh"
        ssh.mkdir(parents=True, exist_ok=True)
        ssh.chmod(0o700)
        write_private(ssh / "authorized_keys", f"{identity.authorized_key} lab\n".encode())
        for path in (disk / home, ssh, ssh / "authorized_keys"):
            os.chown(path, number, number)


def write_private(path: Path, body: bytes, mode: int = 0o600) -> None:
    """Write a file that was never readable for others."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as sink:
        sink.write(body)
    path.chmod(mode)


# --- power -----------------------------------------------------------------------------------------------------------


def boot(state: LabState, spec: HostSpec) -> None:
    """Power on: new namespaces, the same disk, the cable plugged in. Returns when sshd and dockerd answer."""
    directory = state.host_directory(spec)
    if init_pid(directory) is not None:
        return
    mount_disk(directory)
    for name in ("init.pid", "go"):
        (directory / name).unlink(missing_ok=True)
    _spawn(directory)
    wait_until(lambda: init_pid(directory) is not None, f"{spec.name}'s first process", timeout=20, interval=0.01)
    plug_in(state, spec, _require_pid(directory, spec))
    (directory / "go").touch()
    wait_for_services(state, spec)


def _spawn(directory: Path) -> None:
    with (directory / "boot.log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", "unshare", *NAMESPACES, "--fork", "sh", str(directory / "boot.sh")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": system.SEARCH_PATH, "HOME": "/root", "LANG": "C.UTF-8", MARK: str(directory)},
            cwd="/",
            check=True,
        )


def _require_pid(directory: Path, spec: HostSpec) -> int:
    pid = init_pid(directory)
    if pid is None:
        raise LabError(f"{spec.name} is not running; {last_lines(directory / 'boot.log')}")
    return pid


def last_lines(log: Path) -> str:
    """The end of a log file, on one line."""
    try:
        return "; ".join(log.read_text(errors="replace").strip().splitlines()[-3:]) or f"nothing in {log}"
    except OSError:
        return f"no {log}"


def plug_in(state: LabState, spec: HostSpec, pid: int) -> None:
    """A cable from the bridge to the host's eth0. The hardware address is fixed: no neighbour holds a stale one."""
    veth = state.veth(spec)
    system.delete_link(veth)
    tag = state.tag
    hardware = f"02:{tag[0:2]}:{tag[2:4]}:{tag[4:6]}:00:{spec.number:02x}"
    run(["ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "address", hardware, "netns", str(pid)])
    cut = (state.host_directory(spec) / "cut").exists()
    run(["ip", "link", "set", veth, "master", state.bridge, "down" if cut else "up"])
    batch = f"link set lo up\naddress add {spec.address}/24 dev eth0\nlink set eth0 up\n"
    run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], input=batch.encode())


def ensure_bridge(state: LabState) -> None:
    """A switch that forwards at once (no spanning tree), with this machine's own address on it."""
    if system.link_exists(state.bridge):
        return
    tag = state.tag
    hardware = f"02:{tag[0:2]}:{tag[2:4]}:{tag[4:6]}:00:00"
    run(["ip", "link", "add", state.bridge, "address", hardware, "type", "bridge", "stp_state", "0"])
    run(["ip", "address", "add", f"{state.gateway}/24", "dev", state.bridge])
    run(["ip", "link", "set", state.bridge, "up"])
    if _bridges_are_filtered():
        run(["iptables", "--wait", "--insert", "FORWARD", *_own_traffic(state.bridge)])


def remove_bridge(bridge: str) -> None:
    """Delete a bridge of ours and what let its traffic pass."""
    system.delete_link(bridge)
    if _bridges_are_filtered():
        while run(["iptables", "--wait", "--delete", "FORWARD", *_own_traffic(bridge)], check=False).returncode == 0:
            pass


def _own_traffic(bridge: str) -> list[str]:
    return ["--in-interface", bridge, "--out-interface", bridge, "--jump", "ACCEPT"]


def _bridges_are_filtered() -> bool:
    """Whether frames that only cross a bridge go through iptables, which a machine's own Docker sets to drop them."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    return switch.exists() and switch.read_text().strip() == "1" and system.find_tool("iptables") is not None


def wait_for_services(state: LabState, spec: HostSpec) -> None:
    """Until sshd greets and dockerd answers; a host whose cable is cut is only asked for dockerd."""
    directory = state.host_directory(spec)

    def alive() -> int:
        return _require_pid(directory, spec)

    if not (directory / "cut").exists():
        wait_until(lambda: bool(alive()) and greets(spec.address), f"{spec.name}'s sshd", timeout=60)
    try:
        wait_until(lambda: docker_answers(alive()), f"{spec.name}'s dockerd", timeout=90)
    except LabError as error:
        raise LabError(f"{error.message}; {last_lines(directory / 'disk/var/log/dockerd.log')}") from error


def greets(address: str) -> bool:
    """Whether an SSH server says hello."""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def docker_answers(pid: int) -> bool:
    """Whether the host's dockerd answers; asked over its socket, which its root directory leads to."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(f"/proc/{pid}/root/run/docker.sock")
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def power_off(state: LabState, specs: Sequence[HostSpec]) -> None:
    """Cut the power of all of them at once: the first process of each is killed, and the kernel kills the rest."""
    pids = [pid for spec in specs if (pid := init_pid(state.host_directory(spec))) is not None]
    system.kill_and_wait(pids)
    for spec in specs:
        (state.host_directory(spec) / "init.pid").unlink(missing_ok=True)
        system.delete_link(state.veth(spec))
        system.remove_cgroups(f"{state.cgroup}/{spec.name}")


# --- inside ----------------------------------------------------------------------------------------------------------


def enter_argv(pid: int, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in all namespaces of a host, seeing and seen by what runs there."""
    clean = [
        "env",
        "-i",
        f"PATH={system.SEARCH_PATH}",
        "HOME=/root",
        "LANG=C.UTF-8",
        f"TERM={os.environ.get('TERM', 'dumb')}",
    ]
    return ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--", *clean, *argv]


def etcd_pids(host: LabHost) -> list[int]:
    """The host's etcd processes as this machine sees them."""
    if host.pid is None:
        return []
    namespace = system.network_namespace(host.pid)
    found = [pid for pid in system.all_pids() if system.process_name(pid) == "etcd"]
    return [pid for pid in found if system.network_namespace(pid) == namespace]


def fill_disk(host: LabHost) -> None:
    """Take every free byte of the host's disk; nothing is written, the blocks are only allocated."""
    handle = os.open(host.disk / FILL, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        size, step = os.fstat(handle).st_size, 1 << 30
        while step >= 4096:
            try:
                os.posix_fallocate(handle, size, step)
                size += step
            except OSError:
                step //= 2
    finally:
        os.close(handle)


def unfill_disk(host: LabHost) -> None:
    """Give the space back."""
    (host.disk / FILL).unlink(missing_ok=True)


def clear_state(host: LabHost) -> None:
    """Back to before the first etcd: its data, everything that a recovery left beside it, the snapshots."""
    library = host.path("/var/lib")
    for entry in library.iterdir():
        if entry.name.startswith("etcd") or "fleetrecover" in entry.name:
            _delete(entry)
    snapshots = host.path("/opt/rke")
    if snapshots.is_dir():
        clear_directory(snapshots)
    (snapshots / "etcd-snapshots").mkdir(parents=True, exist_ok=True)
    clear_directory(host.path("/tmp"))
    _make_data_directory(host.disk)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def clear_directory(directory: Path) -> None:
    """Delete what is in a directory and leave the directory itself."""
    if not directory.is_dir():
        return
    for entry in directory.iterdir():
        _delete(entry)
