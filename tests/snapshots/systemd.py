"""The machine's own systemd, booted as the first process of namespaces of its own, its root an overlay over the machine's.

Nothing of it reaches the machine: its files are a tmpfs, its cgroups are below one of ours, it has no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path("/lib/systemd/systemd")
_CGROUPS = Path("/sys/fs/cgroup")

_OUTSIDE = r"""
set -eu
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup --mount --pid --uts --ipc --net --fork --kill-child sh -euc "$2" boot "$3" "$4" "$5"
"""

_INSIDE = r"""
mount --make-rprivate /
root=$1/root
mkdir -p "$1/upper" "$1/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for name in null zero full random urandom tty; do
  : > "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$2" "$root$2"
[ "$3" != first ] || rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
mkdir -p "$root/old"
cd "$root"
pivot_root . old
umount -l /old
exec env -i container=fleetrecover PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=timers.target --log-target=null --show-status=0
"""


class NotPossible(Exception):
    """systemd cannot be booted on this machine."""


@dataclass
class Systemd:
    """A booted systemd. `shared` is a directory that is the same inside and outside."""

    files: Path
    shared: Path
    pid: int = 0
    _outer: subprocess.Popen[bytes] | None = None
    _cgroup: Path | None = None

    def boot(self, *, first: bool = False) -> None:
        """Start it and wait until it runs. Raises NotPossible."""
        base = _CGROUPS / "unified" if (_CGROUPS / "unified").is_dir() else _CGROUPS
        self._cgroup = base / f"fleetrecover-test-{os.getpid()}"
        try:
            self._cgroup.mkdir(exist_ok=True)
        except OSError as error:
            raise NotPossible(str(error)) from error
        words = [str(self._cgroup), _INSIDE, str(self.files), str(self.shared), "first" if first else "again"]
        self._outer = subprocess.Popen(
            ["sh", "-c", _OUTSIDE, "boot", *words], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for _ in range(240):
            if self._outer.poll() is not None:
                assert self._outer.stderr is not None
                raise NotPossible(self._outer.stderr.read().decode())
            self.pid = self._child()
            if self.pid and self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.25)
        raise NotPossible("it did not come up within a minute")

    def _child(self) -> int:
        assert self._outer is not None
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        own = Path(f"/proc/{children[0]}/comm") if children else None
        return int(children[0]) if own is not None and own.exists() and own.read_text() == "systemd\n" else 0

    def run(self, *words: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-p", "-u", "-i", "-n", "-C", "--", *words]
        return subprocess.run(enter, input=script, capture_output=True, text=True, timeout=60, check=False)

    def cut(self) -> None:
        """As a power cut: everything in it is gone in the same instant; its files stay."""
        if self._outer is not None:
            self._outer.kill()  # unshare takes its child, the namespace's first process, with it
            self._outer.wait()
            assert self._outer.stderr is not None
            self._outer.stderr.close()
            self._outer = None
        if self._cgroup is not None:
            for _ in range(100):
                try:
                    for path in sorted(self._cgroup.rglob("*/"), reverse=True):
                        path.rmdir()
                    self._cgroup.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.1)
                else:
                    break
            self._cgroup = None


@contextmanager
def systemd(directory: Path) -> Iterator[Systemd]:
    """A booted one that sees `directory` as it is. Raises NotPossible."""
    if os.geteuid() != 0 or not PROGRAM.exists() or shutil.which("nsenter") is None:
        raise NotPossible("it needs root, systemd and nsenter")
    files = directory.with_name(directory.name + "-root")
    files.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(files)], check=True)
    made = Systemd(files, directory)
    try:
        made.boot(first=True)
        yield made
    finally:
        made.cut()
        subprocess.run(["umount", "-l", str(files)], check=True)
