"""What the tests of snapshots share: contents and hashes of a lab's etcd, its destruction, and commands that must be good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from fleetrecover.lab import Lab
from tests.e2e.tool import Tool

DIRECTORY = "/opt/rke/etcd-snapshots"


def content(lab: Lab, host: str, revision: int = 0) -> dict[str, str]:
    """Every key with its value at a revision (0: now), in base64."""
    at = [f"--rev={revision}"] if revision else []
    done = lab.etcdctl(host, "get", "", "--from-key", *at, "-w", "json")
    assert done.returncode == 0, done.stderr
    return {kv["key"]: kv.get("value", "") for kv in json.loads(done.stdout).get("kvs", [])}


def hash_at(lab: Lab, host: str, revision: int) -> int:
    """etcd's own hash of the content at a revision."""
    done = lab.etcdctl(host, "endpoint", "hashkv", f"--rev={revision}", "-w", "json")
    return int(json.loads(done.stdout)[0]["HashKV"]["hash"])


def destroy(lab: Lab, *names: str) -> None:
    """Stop etcd for good and empty its data directory; all other files of the host stay."""
    for name in names or tuple(host.name for host in lab.hosts):
        lab.shell(name, "docker kill etcd >/dev/null; rm -rf /var/lib/etcd/member")


def saved(tool: Tool, name: str, *more: str) -> dict[str, Any]:
    """`snapshot save`, which must be good."""
    ran = tool.run("snapshot", "save", name, "--json", *more)
    assert ran.code == 0, ran.err
    return ran.document


def restored(tool: Tool, lab: Lab, wanted: str, *more: str) -> dict[str, Any]:
    """`snapshot restore`, which must be good."""
    ran = tool.run("snapshot", "restore", wanted, "--yes", lab.name, "--json", *more)
    assert ran.code == 0, f"{ran.err}\n{ran.out}"
    return ran.document


def wait(check: Callable[[], bool], timeout: float) -> None:
    """Poll until it holds."""
    end = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)
