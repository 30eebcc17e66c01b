"""The machine below the lab: processes, mounts, links and control groups, each touched by its exact name.

Everything here runs on the machine itself, as root. Nothing acts on what the lab did not make.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from fleetrecover.errors import FleetRecoverError, InputError

#: tool → the Debian and Ubuntu package that holds it; newer releases split some
PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "docker": "docker-cli docker.io",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "losetup": "mount",
    "mkfs.ext4": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "busybox": "busybox-static",
    "sudo": "sudo",
    "ps": "procps",
}

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(FleetRecoverError):
    """Something on this machine stood in the lab's way."""


class MissingTools(InputError):
    """Programs that the lab needs are not installed; the hint is the command that installs them."""

    def __init__(self, tools: Sequence[str]) -> None:
        self.tools = tuple(tools)
        super().__init__(
            f"the lab needs {', '.join(tools)}, not found on this machine",
            hint=f"{sys.executable} -m fleetrecover.lab.install",
        )


def find_tool(name: str) -> str | None:
    """Where the program is, in the system's directories whatever $PATH says."""
    return shutil.which(name, path=SEARCH_PATH)


def missing_tools() -> tuple[str, ...]:
    """The programs of PACKAGES that are not installed."""
    return tuple(tool for tool in PACKAGES if find_tool(tool) is None)


def require_tools() -> None:
    """Raise MissingTools, or InputError when not root, before anything is made."""
    if os.geteuid() != 0:
        raise InputError("the lab makes namespaces, mounts and links: it needs root", hint="run the command with sudo")
    missing = missing_tools()
    if missing:
        raise MissingTools(missing)


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    timeout: float = 60.0,
    input: bytes | None = None,
    stdin: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run one program to its end, in a clean environment; LabError carries its stderr."""
    source: Any = {"input": input} if input is not None else {"stdin": stdin or subprocess.DEVNULL}
    environment = {"PATH": SEARCH_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            list(argv), capture_output=True, timeout=timeout, check=False, env=environment, **source
        )
    except subprocess.TimeoutExpired as expired:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout:g} s") from expired
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode}: {said}")
    return done


def wait_until(check: Callable[[], bool], what: str, timeout: float = 60.0, interval: float = 0.05) -> None:
    """Poll until `check` holds; after `timeout` seconds LabError says what was waited for."""
    end = time.monotonic() + timeout
    while not check():
        if time.monotonic() > end:
            raise LabError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(interval)


# --- processes -------------------------------------------------------------------------------------------------------


def all_pids() -> list[int]:
    """Every process that this PID namespace sees."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def environment_has(pid: int, mark: str) -> bool:
    """Whether the process was started with `mark` (NAME=value) in its environment."""
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def marked_processes(start: str) -> list[int]:
    """The processes that were started with something in their environment that begins so."""
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if any(entry.startswith(start.encode()) for entry in entries):
                found.append(pid)
    return found


def kill_and_wait(pids: Iterable[int], timeout: float = 30.0) -> None:
    """SIGKILL all of them in one go, then wait until the last has gone (a namespace's first process goes last)."""
    handles = [handle for pid in pids if (handle := _pid_handle(pid)) is not None]
    try:
        for handle in handles:
            _signal(handle)
        end = time.monotonic() + timeout
        for handle in handles:
            ready, _, _ = select.select([handle], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise LabError(f"a killed process was still there after {timeout:g} s")
    finally:
        for handle in handles:
            os.close(handle)


def _pid_handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _signal(handle: int) -> None:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return


def process_name(pid: int) -> str:
    """The kernel's short name of a process; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def network_namespace(pid: int) -> str:
    """The identity of a process's network namespace, such as net:[4026532281]; empty when it has gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


# --- mounts ----------------------------------------------------------------------------------------------------------


def mounts_below(directory: Path, pid: int | str = "self") -> list[Path]:
    """Mount points in `directory` as a process sees them, the deepest first."""
    try:
        table = Path(f"/proc/{pid}/mountinfo").read_text()
    except OSError:
        return []
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in table.splitlines()]
    inside = [point for point in points if point == directory or directory in point.parents]
    return sorted(inside, key=lambda point: len(point.parts), reverse=True)


def unmount_below(directory: Path) -> None:
    """Detach every mount in `directory`, here and in the namespaces that copied it when they were made.

    Any service with a mount namespace of its own that was started while the lab was up has such copies.
    """
    for point in mounts_below(directory):
        run(["umount", "-l", str(point)], check=False)
    for pid in _one_of_each_mount_namespace():
        for point in mounts_below(directory, pid):
            run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", "umount", "-l", str(point)], check=False)


def _one_of_each_mount_namespace() -> list[int]:
    found: dict[str, int] = {}
    for pid in all_pids():
        with contextlib.suppress(OSError):
            found.setdefault(str(Path(f"/proc/{pid}/ns/mnt").readlink()), pid)
    found.pop(str(Path("/proc/self/ns/mnt").readlink()), None)
    return list(found.values())


def loop_devices(directory: Path) -> list[str]:
    """Loop devices whose backing file lies in `directory`."""
    listing = run(["losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"]).stdout.decode()
    return [
        line.split(" ", 1)[0] for line in listing.splitlines() if line.partition(" ")[2].startswith(f"{directory}/")
    ]


def wait_for_loops(directory: Path, patience: float = 5.0) -> None:
    """Wait until the kernel has let go of the loop devices of `directory`, as it does after the last unmount.

    Detaching them by name could hit another lab, to which the name was given in between. One that somebody else's
    namespace still holds goes by itself when that namespace ends: that is no failure.
    """
    end = time.monotonic() + patience
    while loop_devices(directory) and time.monotonic() < end:
        time.sleep(0.05)


# --- links -----------------------------------------------------------------------------------------------------------


def link_exists(name: str) -> bool:
    """Whether this network namespace has the link."""
    return Path("/sys/class/net", name).exists()


def delete_link(name: str) -> None:
    """Delete a link of ours, if it is there."""
    if link_exists(name):
        run(["ip", "link", "delete", name], check=False)


def links_with_prefix(prefix: str) -> list[str]:
    """Links of this network namespace whose name starts so."""
    return sorted(entry.name for entry in Path("/sys/class/net").iterdir() if entry.name.startswith(prefix))


# --- control groups --------------------------------------------------------------------------------------------------


def cgroup_directories(relative: str) -> list[Path]:
    """Where the control group `relative` exists: one place on cgroup v2, one for each controller on v1."""
    root = Path("/sys/fs/cgroup")
    candidates = [root / relative, *(entry / relative for entry in root.iterdir() if entry.is_dir())]
    return [path for path in candidates if path.is_dir()]


def remove_cgroups(relative: str) -> None:
    """Remove a control group and all below it, in every hierarchy; groups that still hold a process stay."""
    for top in cgroup_directories(relative):
        for directory, _, _ in os.walk(top, topdown=False):
            _remove_cgroup(Path(directory))


def remove_empty_cgroups(relative: str) -> None:
    """Remove a control group that has none below it."""
    for directory in cgroup_directories(relative):
        with contextlib.suppress(OSError):
            directory.rmdir()


def _remove_cgroup(directory: Path) -> None:
    for _ in range(20):
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.05)  # the last process's exit is still being accounted
        else:
            return
