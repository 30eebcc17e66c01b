"""The machine's own systemd inside a host of the lab: the first process of a PID namespace of its own there.

It shares the host's files, network and /run, so what it starts reaches the host's dockerd. It answers only who is in its PID
namespace: `systemctl` on the host is a wrapper that enters it and is the machine's own there. It starts what is enabled for
`lab.target`; a power cut ends it with the host, and after the next boot it is started again, as a machine would.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from fleetrecover.lab import Lab
from fleetrecover.lab import host as hosts
from fleetrecover.lab.system import wait_until

TARGET = "lab.target"
PROGRAM = Path("/lib/systemd/systemd")
_CGROUPS = Path("/sys/fs/cgroup")
_FILES = """
set -e
mkdir -p /etc/systemd/system
rm -rf /etc/systemd/system/*.wants /etc/systemd/system/*.requires
printf '[Unit]\\nDescription=a host of the lab\\nAllowIsolate=yes\\n' > /etc/systemd/system/lab.target
for unit in systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-udevd systemd-journald systemd-journal-flush \\
  systemd-update-utmp systemd-remount-fs systemd-random-seed systemd-sysctl systemd-sysusers; do
  ln -sf /dev/null /etc/systemd/system/$unit.service
done
for socket in systemd-journald systemd-journald-dev-log systemd-journald-audit systemd-udevd-control systemd-udevd-kernel; do
  ln -sf /dev/null /etc/systemd/system/$socket.socket
done
"""
_WRAPPER = """#!/bin/sh
pid=$(pgrep -o -x systemd) || { echo 'System has not been booted with systemd.' >&2; exit 1; }
exec nsenter -t "$pid" -p -m -i -C -- /usr/bin/systemctl "$@"
"""
_OUTSIDE = r"""
set -eu
mkdir -p "$1"
echo $$ > "$1/cgroup.procs"
exec unshare --cgroup --mount --pid --ipc --fork --kill-child sh -euc "$2" boot
"""
_INSIDE = r"""
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=fleetrecover PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=lab.target --log-target=null --show-status=0
"""


def install(lab: Lab, name: str) -> None:
    """What the host's systemd reads when it boots: nothing is enabled but what a test enables."""
    lab.shell(name, _FILES)
    script = "cat > /usr/local/bin/systemctl && chmod 755 /usr/local/bin/systemctl"
    assert lab.exec(name, ["sh", "-c", script], input=_WRAPPER.encode()).returncode == 0


def remove(lab: Lab, name: str) -> None:
    """Nothing of it is left on the host, whose power was cut since it ran."""
    lab.shell(name, f"rm -rf /etc/systemd/system/{TARGET}* /usr/local/bin/systemctl")


def boot(lab: Lab, name: str) -> None:
    """Start it, and wait until it answers and has started what is enabled."""
    pid = lab.host(name).pid
    assert pid is not None
    top = _CGROUPS / "unified" if (_CGROUPS / "unified").is_dir() else _CGROUPS
    # below the host's own group, which goes when its power does
    inside = str(top / lab.state.cgroup / name / "systemd")
    argv = ["setsid", "--fork", "sh", "-c", _OUTSIDE, "boot", inside, _INSIDE]
    subprocess.run(hosts.enter_argv(pid, argv), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_until(lambda: lab.exec(name, ["systemctl", "is-active", TARGET]).returncode == 0, f"systemd on {name}", 60)
