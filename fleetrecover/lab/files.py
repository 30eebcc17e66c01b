"""The text of every file that makes a host: boot script, sshd's configuration, users, inventory. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.lab.layout import BINDS, MARK, HostSpec, LabState

#: beside root: one user with passwordless sudo and one without any
USERS = (("ops", 1900), ("nosudo", 1901))
SUDOERS = "ops ALL=(ALL:ALL) NOPASSWD: ALL\n"

BOOT = """\
#!/bin/sh
# The first process of host {name}, alone in new mount, PID, UTS, IPC and network namespaces.
# Killing it is a power cut: the kernel takes every other process of the host with it.
set -eu
cd {home}
# This /proc is still the machine's own, so it shows our number as the machine sees it.
read -r pid rest </proc/self/stat
echo "$pid" >init.pid.new && mv init.pid.new init.pid
# The cable is plugged in from outside; if whoever does that died, so do we, at once where the lab was cleared away.
tries=0
until [ -e go ]; do
  tries=$((tries + 1)); [ "$tries" -lt 600 ] && [ -e boot.sh ] || exit 1
  sleep 0.05
done
rm -f go
hostname {hostname}

root={home}/rootfs
mount -t overlay overlay -o lowerdir=/,upperdir={home}/disk/upper,workdir={home}/disk/work "$root"
if mountpoint -q /usr; then mount --rbind /usr "$root/usr"; fi
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# A new /sys shows this host's links, and hides the control groups until they are bound in again.
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
for path in {binds}; do
  mkdir -p "$root$path"
  mount --bind {home}/disk"$path" "$root$path"
done
cd "$root"
pivot_root . .
umount -l .
cd /
unset {mark}
mkdir -p /run/sshd /run/lock
{sshd} -f /etc/ssh/sshd_config -E /var/log/sshd.log
set +e
lab-dockerd start
while :; do sleep 86400 & wait $!; done
"""

DOCKERD = """\
#!/bin/sh
# What `systemctl start|stop docker` does on a real host; `crash` leaves the containers running without their daemon.
case "$1" in
  start)
    rm -f /run/docker.pid
    setsid -f {argv} </dev/null >>/var/log/dockerd.log 2>&1 ;;
  stop) exec kill -TERM "$(cat /run/docker.pid)" ;;
  crash) kill -KILL "$(cat /run/docker.pid)" && rm -f /run/docker.pid ;;
  *) echo "usage: lab-dockerd start|stop|crash" >&2; exit 2 ;;
esac
"""


def boot_script(state: LabState, spec: HostSpec, sshd: str) -> str:
    """The host's first process, as text for sh."""
    return BOOT.format(
        name=spec.name,
        hostname=spec.hostname,
        home=shlex.quote(str(state.host_directory(spec))),
        binds=" ".join(BINDS),
        mark=MARK,
        sshd=sshd,
    )


def dockerd_argv(state: LabState, spec: HostSpec, dockerd: str) -> list[str]:
    """A daemon with its own containerd; no bridge, no packet filter, since containers use the host's network."""
    return [
        dockerd,
        "--host=unix:///run/docker.sock",
        "--pidfile=/run/docker.pid",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--ip-masq=false",
        "--bridge=none",
        "--storage-driver=overlay2",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent=/{state.cgroup}/{spec.name}",
        "--log-opt=max-size=20m",
    ]


def dockerd_script(state: LabState, spec: HostSpec, dockerd: str) -> str:
    """/usr/local/sbin/lab-dockerd of a host."""
    return DOCKERD.format(argv=shlex.join(dockerd_argv(state, spec, dockerd)))


def sshd_config(extra: Sequence[str] = ()) -> str:
    """A strict sshd that never throttles: many rehearsals log in at once."""
    lines = [
        "Port 22",
        "HostKey /etc/ssh/ssh_host_ed25519_key",
        "PidFile /run/sshd.pid",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "UseDNS no",
        "PrintMotd no",
        "MaxStartups 500:30:1000",
        "MaxSessions 200",
        "LoginGraceTime 30",
        "Subsystem sftp internal-sftp",
        *extra,
    ]
    return "\n".join(lines) + "\n"


def hosts_file(state: LabState, spec: HostSpec) -> str:
    """/etc/hosts: every host knows every other by name."""
    lines = ["127.0.0.1 localhost", *(f"{peer.address} {peer.hostname} {peer.name}" for peer in state.hosts)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Accounts:
    """The four files that say who may log in."""

    passwd: str
    group: str
    shadow: str

    @staticmethod
    def extend(passwd: str, group: str, shadow: str) -> Accounts:
        """The machine's own accounts plus USERS. Passwords become `*`: sshd refuses an account locked with `!`."""
        return Accounts(
            passwd=_append(passwd, [f"{user}:x:{number}:{number}::/home/{user}:/bin/sh" for user, number in USERS]),
            group=_append(group, [f"{user}:x:{number}:" for user, number in USERS]),
            shadow=_append(shadow, [f"{user}:*:19000:0:99999:7:::" for user in ("root", *dict(USERS))]),
        )


def _append(text: str, lines: Sequence[str]) -> str:
    names = {line.split(":", 1)[0] for line in lines}
    kept = [line for line in text.splitlines() if line.split(":", 1)[0] not in names]
    return "\n".join([*kept, *lines]) + "\n"


def inventory(state: LabState, key: Path, known_hosts: Path) -> str:
    """hosts.toml of the lab."""
    tables = [
        f'cluster = "{state.name}"',
        f'\n[ssh]\nuser = "root"\nport = 22\nkey = "{key}"\nknown_hosts = "{known_hosts}"',
        *(f'\n[[hosts]]\nname = "{spec.name}"\naddress = "{spec.address}"' for spec in state.hosts),
    ]
    return "\n".join(tables) + "\n"
