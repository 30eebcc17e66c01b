"""Connect to N hosts and run five commands on each: fleetrecover, Fabric as its documentation shows, and `ssh`.

    python benchmarks/fanout.py [--hosts 3 10 50] [--rounds 5]

One real sshd on loopback stands for all hosts (needs root), so the nodes' own work is done by these cores too; names in
known_hosts are hashed, as Debian's ssh writes them. Each contender is a process of its own, so start-up counts;
they take turns, and the medians are shown. There is no pass or fail: read the ratios on your machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

COMMANDS = ("hostname", "uname -r", "cat /proc/loadavg", "ls /", "id -u")


def ours(hosts: int, port: int, directory: Path) -> None:
    """All five commands in one channel for each host."""
    from fleetrecover.model import Command, Fleet, Host, SshSettings
    from fleetrecover.remote import SshTransport, fan_out

    ssh = SshSettings(user="root", port=port, key=directory / "login_key", known_hosts=directory / "known_hosts")
    fleet = Fleet("bench", tuple(Host(f"h{n}", address(n)) for n in range(hosts)), ssh=ssh)
    commands = [Command(text, text) for text in COMMANDS]
    with SshTransport(fleet) as transport:
        outcome = fan_out(fleet.hosts, lambda host: transport.batch(host, commands))
    assert all(isinstance(results, list) and all(result.ok for result in results) for results in outcome.values())


def threading_group(hosts: int, port: int, directory: Path) -> None:
    """Fabric's ThreadingGroup as documented; strict about host keys, for a fair comparison."""
    from fabric import ThreadingGroup
    from paramiko import RejectPolicy

    key = {"key_filename": str(directory / "login_key")}
    group = ThreadingGroup(*[f"root@{address(n)}:{port}" for n in range(hosts)], connect_kwargs=key)
    for connection in group:
        connection.client.load_host_keys(str(directory / "known_hosts"))
        connection.client.set_missing_host_key_policy(RejectPolicy())
    for text in COMMANDS:
        group.run(text, hide=True, in_stream=False)
    group.close()


def openssh(hosts: int, port: int, directory: Path) -> None:
    """One `ssh` for each command, as many hosts at once as we do."""
    from concurrent.futures import ThreadPoolExecutor

    options = [
        "-F",
        "/dev/null",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        f"UserKnownHostsFile={directory}/known_hosts",
    ]
    base = ["ssh", *options, "-i", str(directory / "login_key"), "-p", str(port), "-l", "root"]

    def work(number: int) -> None:
        for text in COMMANDS:
            subprocess.run([*base, address(number), text], check=True, capture_output=True, stdin=subprocess.DEVNULL)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, range(hosts)))


CONTENDERS: dict[str, Callable[[int, int, Path], None]] = {
    "fleetrecover": ours,
    "ThreadingGroup": threading_group,
    "ssh per command": openssh,
}


def address(number: int) -> str:
    """All of 127.0.0.0/8 is this machine."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def measure(name: str, hosts: int, port: int, directory: Path) -> tuple[float, float]:
    """Return the seconds it took, and the seconds of CPU that this side of it took."""
    started, before = time.perf_counter(), os.times()
    argv = [sys.executable, __file__, "--contender", name, "--hosts", str(hosts), "--port", str(port)]
    subprocess.run([*argv, "--directory", str(directory)], check=True, stdin=subprocess.DEVNULL)
    taken, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return taken, cpu


def race(fleets: list[int], rounds: int) -> None:
    from tests.remote.sshd import Sshd

    directory = Path(tempfile.mkdtemp(prefix="fleetrecover-bench-"))
    server = Sshd(directory, listen="0.0.0.0").start()
    try:
        lines = [server.known_line(f"[{address(n)}]:{server.port}") for n in range(max(fleets))]
        (directory / "known_hosts").write_text("".join(lines))
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", directory / "known_hosts"], check=True, capture_output=True)
        print(f"{len(COMMANDS)} commands on each host, {os.cpu_count()} cores, medians of {rounds} with start-up:")
        print("seconds (times ours), and seconds of CPU on this side")
        print("hosts" + "".join(f"{name:>24}" for name in CONTENDERS))
        for hosts in fleets:
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
            for _ in range(rounds):
                for name in CONTENDERS:
                    taken[name].append(measure(name, hosts, server.port, directory))
            print(f"{hosts:>5}" + "".join(_cell(taken[name], taken["fleetrecover"]) for name in CONTENDERS))
    finally:
        server.stop()
        shutil.rmtree(directory)


def _cell(taken: list[tuple[float, float]], ours: list[tuple[float, float]]) -> str:
    wall, cpu = (statistics.median(values) for values in zip(*taken, strict=True))
    best = statistics.median(seconds for seconds, _ in ours)
    return f"{wall:>9.2f} ({wall / best:>5.2f} x) {cpu:>5.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[3, 10, 50])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contender", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        CONTENDERS[arguments.contender](arguments.hosts[0], arguments.port, arguments.directory)
    else:
        race(arguments.hosts, arguments.rounds)


if __name__ == "__main__":
    main()
