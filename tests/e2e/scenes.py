"""Ways to lose a cluster that take no time, for tests of what comes after."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fleetrecover.lab import Lab

EXT4 = ("mkfs.ext4", "-q", "-F")


def lose_two(lab: Lab, keys: int = 100) -> dict[str, str]:
    """Write, then take container and data of etcd2 and etcd3 away: etcd1 stays, without quorum. Returns what was written."""
    written = lab.client().fill("/before/", keys)
    for name in ("etcd2", "etcd3"):
        lab.remove_etcd(name)
        lab.wipe(name)
    return written


@contextmanager
def image_on(lab: Lab, name: str, image: str, at: str, make: Sequence[str] = EXT4) -> Iterator[None]:
    """A file with a filesystem on a host, which whoever asks for it mounts at `at`; unmounted and removed afterwards."""
    file = lab.host(name).path("/opt") / image
    with file.open("wb") as opened:
        opened.truncate(700 << 20)
    subprocess.run([*make, str(file)], check=True, capture_output=True)
    try:
        yield
    finally:
        lab.shell(
            name,
            "docker rm -f $(docker ps -aq) >/dev/null 2>&1; cd /; for i in 1 2 3 4 5 6 7 8 9 10; do"
            f" umount {at} && break; sleep 0.5; done; rm -f /opt/{image}",
        )
