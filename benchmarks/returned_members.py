"""What do members do that were declared dead and come back with their old data, after the others were reset?

    python -m benchmarks.returned_members [VERSION…]

Real etcd on loopback. n1 is reset, as `recover` does; n2 and n3 are fresh members at other addresses, or none; then the old n2,
or the old n2 and n3, are started again with their old data. Once the cluster has kept its id (the reset), once it has a new
one (a restore with a fresh token). The outcome is what clients see: who serves which data.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.etcd.cluster import Cluster, Node

VERSIONS = ("3.3.25", "3.4.23", "3.5.16", "3.5.30")


def sees(cluster: Cluster, node: Node) -> str:
    """What a client is told by this member: its process, whether it takes writes, and what it has under `who`."""
    if node.process is None or node.process.poll() is not None:
        said = cluster.log(node)
        removed = "permanently removed" in said
        code = None if node.process is None else node.process.poll()
        return f"exited ({code}{', says it was removed' if removed else ''})"
    wrote = cluster.ctl("--command-timeout=2s", "put", f"from-{node.name}", "x", node=node, check=False).returncode == 0
    read = cluster.ctl("--command-timeout=2s", "get", "who", "--print-value-only", node=node, check=False)
    local = cluster.ctl(
        "--command-timeout=2s", "get", "who", "--print-value-only", "--consistency=s", node=node, check=False
    )
    if wrote:
        return f"TAKES WRITES, serves {read.stdout.strip()!r}"
    return f"runs without quorum; serializable reads give {local.stdout.strip()!r}"


def scene(version: str, returning: int, *, new_id: bool, cut_off: bool) -> dict[str, str]:
    """One experiment."""
    with tempfile.TemporaryDirectory() as place, Cluster(version, Path(place), size=3) as cluster:
        one, *others = cluster.nodes
        cluster.start_all()
        cluster.ctl("put", "who", "old", node=one)
        time.sleep(0.5)
        cluster.kill_all()
        if new_id:
            restore(cluster, one, Path(place))
        else:
            cluster.start(one, "--force-new-cluster")
            cluster.wait([one])
            cluster.stop(one)
            cluster.start(one, state="existing")
        cluster.wait([one])
        cluster.ctl("put", "who", "new", node=one)
        if cut_off:
            cluster.stop(one)
        for node in others[:returning]:
            cluster.start(node, state="existing", initial=",".join(f"{n.name}={n.peer}" for n in [one, *others]))
        time.sleep(8)
        if cut_off:
            before = {f"{n.name} while the survivor is away": sees(cluster, n) for n in others[:returning]}
            cluster.start(one, state="existing", initial=f"{one.name}={one.peer}")
            time.sleep(8)
        else:
            before = {}
        return before | {node.name: sees(cluster, node) for node in [one, *others[:returning]]}


def restore(cluster: Cluster, node: Node, place: Path) -> None:
    """Give the node a new cluster id: its database restored as a cluster of one, with a fresh token."""
    import shutil
    import subprocess

    from tests.etcd import binaries

    raw = place / "raw.db"
    shutil.copy(node.data / "member" / "snap" / "db", raw)
    node.data = node.data.with_name(node.name + "-restored")
    subprocess.run(
        [
            str(binaries.find(cluster.version, "etcdctl")),
            "snapshot",
            "restore",
            str(raw),
            "--skip-hash-check",
            f"--name={node.name}",
            f"--data-dir={node.data}",
            f"--initial-cluster={node.name}={node.peer}",
            f"--initial-advertise-peer-urls={node.peer}",
            "--initial-cluster-token=fresh",
        ],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    cluster.start(node, "--initial-cluster-token=fresh", initial=f"{node.name}={node.peer}")


def main() -> None:
    """Run all of them, a line for each member."""
    for version in sys.argv[1:] or VERSIONS:
        for new_id in (False, True):
            for returning, cut_off in ((1, False), (2, False), (2, True)):
                found = scene(version, returning, new_id=new_id, cut_off=cut_off)
                word = "new cluster id" if new_id else "same cluster id"
                print(
                    f"{version}, {word}, {returning} returning{', survivor away first' if cut_off else ''}:", flush=True
                )
                for name, what in found.items():
                    print(f"    {name}: {what}", flush=True)


if __name__ == "__main__":
    main()
