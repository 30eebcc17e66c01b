"""A real etcd cluster on loopback, for making fixtures and for the tests that need one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from fleetrecover.lab.rke import version_tuple
from tests.etcd import binaries


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class Node:
    """One member: its data directory, its ports, its process while it runs."""

    name: str
    data: Path
    client_port: int
    peer_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> str:
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def peer(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"


@dataclass
class Cluster:
    """Nodes of one etcd version under `directory`. Leaves no process behind when used as a context manager."""

    version: str
    directory: Path
    size: int = 1
    flags: Sequence[str] = ("--heartbeat-interval=50", "--election-timeout=500")
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(self.size):
            self.new_node(f"n{number + 1}")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for node in self.nodes:
            self.stop(node, signal.SIGKILL)

    def new_node(self, name: str) -> Node:
        client_port, peer_port = free_ports(2)
        node = Node(name, self.directory / name, client_port, peer_port)
        self.nodes.append(node)
        return node

    def start(self, node: Node, *flags: str, state: str = "new", initial: str | None = None) -> None:
        initial = initial or ",".join(f"{each.name}={each.peer}" for each in self.nodes)
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / f"{node.name}.log").open("ab") as log:
            node.process = subprocess.Popen(
                [
                    str(binaries.find(self.version, "etcd")),
                    f"--name={node.name}",
                    f"--data-dir={node.data}",
                    f"--listen-client-urls={node.client}",
                    f"--advertise-client-urls={node.client}",
                    f"--listen-peer-urls={node.peer}",
                    f"--initial-advertise-peer-urls={node.peer}",
                    f"--initial-cluster={initial}",
                    f"--initial-cluster-state={state}",
                    *self.flags,
                    *flags,
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "ETCD_UNSUPPORTED_ARCH": ""},
            )

    def start_all(self) -> None:
        for node in self.nodes:
            self.start(node)
        self.wait()

    def wait(self, nodes: Sequence[Node] | None = None, seconds: float = 30.0) -> None:
        """Wait until a linearizable read succeeds on each."""
        deadline = time.monotonic() + seconds
        for node in nodes or self.nodes:
            while True:
                if node.process is not None and node.process.poll() is not None:
                    raise RuntimeError(f"etcd {self.version} {node.name} exited: {self.log(node)[-2000:]}")
                if self.ctl("get", "x", node=node, check=False).returncode == 0:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"etcd {self.version} {node.name} is not healthy: {self.log(node)[-2000:]}")
                time.sleep(0.1)

    def log(self, node: Node) -> str:
        return (self.directory / f"{node.name}.log").read_text("utf-8", "replace")

    def stop(self, node: Node, how: signal.Signals = signal.SIGTERM) -> None:
        if node.process is not None:
            node.process.send_signal(how)
            node.process.wait(30)
            node.process = None

    def kill_all(self) -> None:
        """SIGKILL all of them at nearly the same moment."""
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            assert node.process is not None
            node.process.kill()
        for node in running:
            self.stop(node, signal.SIGKILL)

    def ctl(
        self,
        *arguments: str,
        node: Node | None = None,
        check: bool = True,
        timeout: float = 20.0,
        text: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run etcdctl against one node; `text` goes to its standard input."""
        node = node or self.nodes[0]
        done = subprocess.run(
            [str(binaries.find(self.version, "etcdctl")), f"--endpoints={node.client}", *arguments],
            env={**os.environ, "ETCDCTL_API": "3"},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"etcdctl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done

    def snapshot_status(self, path: Path) -> str:
        """What etcd's own tool says of a snapshot, as JSON: from 3.6 on it is etcdutl."""
        if version_tuple(self.version) < (3, 6):
            return self.ctl("snapshot", "status", str(path), "-w", "json").stdout
        argv = [str(binaries.find(self.version, "etcdutl")), "snapshot", "status", str(path), "-w", "json"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    def json(self, *arguments: str, node: Node | None = None) -> Any:
        return json.loads(self.ctl(*arguments, "-w", "json", node=node).stdout)


def written_under_load(cluster: Cluster, count: int) -> set[str]:
    """Several writers, then SIGKILL of all under them; what was acknowledged."""
    acknowledged: set[str] = set()
    enough, stop = threading.Event(), threading.Event()

    def load(writer: int) -> None:
        number = 0
        while not stop.is_set():
            key = f"w{writer}-{number}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                if cluster.ctl("put", key, "x", check=False, timeout=2).returncode == 0:
                    acknowledged.add(key)
            number += 1
            if len(acknowledged) >= count:
                enough.set()

    writers = [threading.Thread(target=load, args=(each,)) for each in range(3)]
    for each in writers:
        each.start()
    enough.wait(60)
    cluster.kill_all()
    stop.set()
    for each in writers:
        each.join()
    return acknowledged
