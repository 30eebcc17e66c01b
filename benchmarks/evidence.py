"""What deciding on a member with a 1 GB database moves and takes, beside `cat` of the same WAL segments over the same SSH.

    python -m benchmarks.evidence [--lab NAME] [--megabytes 1024] [--write docs/evidence.md]

Makes a data directory with a real etcd (values that do not compress, a snapshot every 2,000 entries), puts it on a lab
host, and reads log and database as `survey` does. Bytes are those of the host's network interface. Needs root.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.histories import MEMORY, Member, ask, kill, ports, start, wait_serving, write_between
from fleetrecover.commands import probes
from fleetrecover.etcd.wal import needed_files
from fleetrecover.inventory import load_fleet
from fleetrecover.lab import Lab
from fleetrecover.remote import SshTransport
from fleetrecover.survey import Reader, read_remote_db, read_remote_log

BEGIN, END = "<!-- bytes: begin -->", "<!-- bytes: end -->"
VERSION = "3.5.16"
VALUE = 50_000
REPEATS = 3
HOST = "etcd1"


@dataclass(frozen=True)
class Cost:
    """Seconds and bytes of one way, medians."""

    seconds: float
    moved: int


def make_data(directory: Path, megabytes: int) -> Path:
    """A data directory of real etcd with a database of that size."""
    client, peer = ports(2)
    member = Member("m0", directory / "m0", client, peer)
    flags = (
        f"--initial-cluster=m0=http://127.0.0.1:{peer}",
        "--quota-backend-bytes=8000000000",
        "--snapshot-count=2000",
    )
    start(VERSION, member, *flags)
    try:
        wait_serving(VERSION, member)
        for number in range(megabytes * 1_000_000 // VALUE):
            key = base64.b64encode(f"k{number:08d}".encode()).decode()
            value = base64.b64encode(os.urandom(VALUE)).decode()
            if ask(client, "/v3/kv/put", {"key": key, "value": value}, 30.0) is None:
                raise RuntimeError(f"etcd refused the write {number}")
    finally:
        kill(member)
    return member.data


def measured(lab: Lab, work: Callable[[], object]) -> Cost:
    """Run it some times; bytes as they come out of the host."""
    counter = Path("/sys/class/net") / lab.state.veth(lab.state.hosts[0]) / "statistics/rx_bytes"
    seconds, moved = [], []
    for _ in range(REPEATS):
        before, begun = int(counter.read_text()), time.monotonic()
        work()
        seconds.append(time.monotonic() - begun)
        moved.append(int(counter.read_text()) - before)
    return Cost(statistics.median(seconds), int(statistics.median(moved)))


def measure(lab: Lab) -> str:
    """Both ways on the data that lies on the host, as a table."""
    fleet = load_fleet(lab.inventory)
    transport = SshTransport(fleet)
    reader = Reader(fleet.host(HOST), transport)
    try:
        listing = reader.read(probes.data_listing("/var/lib/etcd"))
        database = next(file for file in listing.files if file.path.endswith("/snap/db"))
        sizes = {Path(file.path).name: file.size for file in listing.files}
        wal = {name: size for name, size in sizes.items() if name.endswith(".wal")}
        snaps = {name: size for name, size in sizes.items() if name.endswith(".snap")}
        needed = needed_files(wal, snaps)
        ours = measured(lab, lambda: (read_remote_log(reader, listing.files), read_remote_db(reader, database)))
        paths = [f"/var/lib/etcd/member/wal/{name}" for name in needed.segments]

        def cat() -> None:
            argv = lab.ssh_argv(HOST, "cat", *paths)
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)

        theirs = measured(lab, cat)
    finally:
        transport.close()
    total = listing.data.size
    return "\n".join(
        [
            f"Database {database.size / 1e6:,.0f} MB, directory {total / 1e6:,.0f} MB, {len(wal)} WAL segments of which "
            f"{len(needed.segments)} are needed; medians of {REPEATS}, etcd {VERSION}.",
            "",
            "| | seconds | MB over the network |",
            "|---|---|---|",
            f"| log and database, as `survey` reads them | {ours.seconds:.2f} | {ours.moved / 1e6:.1f} |",
            f"| `ssh host cat` of those segments | {theirs.seconds:.2f} | {theirs.moved / 1e6:.1f} |",
            f"| ratio | {ours.seconds / theirs.seconds:.2f} | {ours.moved / theirs.moved:.2f} |",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lab", default="evidence")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    base = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(dir=base) as name:
        data = make_data(Path(name), arguments.megabytes)
        lab = Lab.up(arguments.lab, nodes=1)
        try:
            lab.shell(HOST, "docker update --restart=no etcd; docker stop etcd; rm -rf /var/lib/etcd/member")
            shutil.copytree(data / "member", lab.host(HOST).path("/var/lib/etcd") / "member")
            text = f"`python -m benchmarks.evidence --megabytes {arguments.megabytes}`\n\n{measure(lab)}"
        finally:
            lab.down()
    print(text)
    if arguments.write:
        write_between(arguments.write, BEGIN, END, text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
