"""Generated `podman create` command lines, read back from `podman inspect`, made again from our words, and compared.

    python benchmarks/roundtrip_podman.py [--count 100] [--write docs/run-config.md]

Needs root and podman (4 or later) with a busybox; works in a storage of its own, which is removed. Not part of the tests,
since podman is not among what the lab installs.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleetrecover.docker.argv import from_argv, to_argv
from fleetrecover.docker.spec import from_inspect
from fleetrecover.errors import FleetRecoverError
from fleetrecover.lab import image

BEGIN, END = "<!-- podman: begin -->", "<!-- podman: end -->"
REFERENCE = "localhost/etcd:v1"

OPTIONS: list[list[str]] = [
    ["--net=host", "--network=none"],
    ["--restart=always", "--restart=on-failure:3", "--restart=unless-stopped", "--restart=no"],
    ["--env=ETCD_NAME=etcd-node1", "-e=A=a b'c\"d", "--env=EMPTY="],
    [
        "--volume=/var/lib/etcd:/var/lib/rancher/etcd/:z",
        "-v=/etc/kubernetes:/etc/kubernetes:ro",
        "--volume=named:/data",
    ],
    ["--label=io.rancher.rke.container.name=etcd", "--label=odd=a=b c"],
    ["--ulimit=nofile=1024:2048", "--ulimit=core=0:0"],
    ["--security-opt=label=disable", "--security-opt=no-new-privileges", "--security-opt=seccomp=unconfined"],
    ["--tmpfs=/run/x:size=64m,mode=700", "--tmpfs=/scratch"],
    ["--shm-size=128m", "--shm-size=65536k"],
    ["--stop-timeout=30"],
    ["--stop-signal=SIGINT"],
    ["--health-cmd=etcdctl endpoint health", "--health-interval=30s"],
    ["--entrypoint=/bin/sh", '--entrypoint=["/bin/sh", "-c"]'],
    ["--user=1000:1000", "--user=root"],
    ["--workdir=/tmp"],
    ["--hostname=node1.example.com"],
    ["--cap-add=NET_ADMIN", "--cap-drop=ALL", "--cap-add=SYS_PTRACE"],
    ["--read-only"],
    ["--log-driver=k8s-file", "--log-driver=none"],
    ["--memory=256m", "--memory-reservation=128m"],
    ["--cpu-shares=512", "--cpuset-cpus=0"],
    ["--device=/dev/null:/dev/xnull:rw"],
    ["--privileged"],
    ["--pid=host"],
    ["--add-host=peer:10.0.0.2"],
    ["--init"],
]
COMMANDS: list[list[str]] = [
    [],
    ["sleep", "60"],
    ["/usr/local/bin/etcd", "--name=etcd-node1", "--initial-cluster=a=https://10.0.0.1:2380,b=https://10.0.0.2:2380"],
    ["sh", "-c", "echo \"two words\"; sleep 1 && printf '%s\\n' $HOME"],
]
CLASH = {"--entrypoint", "--network", "--net", "--restart", "--user", "--shm-size", "--log-driver", "--memory"}
IGNORED = {"Id", "Created", "Name", "CreateCommand", "ContainerIDFile", "LogConfig.Path"}


def words(chance: random.Random) -> list[str]:
    """One command line's options and command."""
    chosen: list[str] = []
    for group in chance.sample(OPTIONS, chance.randint(2, 14)):
        several = chance.sample(group, chance.randint(1, len(group)))
        alone = {option.partition("=")[0] for option in several} & CLASH
        chosen += several[:1] if alone else several
    if any(o in chosen for o in ("--net=host", "--privileged")):
        chosen = [o for o in chosen if not o.startswith(("--hostname", "--add-host", "--security-opt", "--cap-"))]
    split = [part for o in chosen for part in (o.split("=", 1) if o.startswith(("-e=", "-v=")) else [o])]
    return [*split, REFERENCE, *chance.choice(COMMANDS)]


class Podman:
    """A podman with its own storage below one directory."""

    def __init__(self, root: Path) -> None:
        base = ["podman", f"--root={root}/storage", f"--runroot={root}/run", "--storage-driver=vfs"]
        self.base = [*base, "--cgroup-manager=cgroupfs", "--events-backend=none"]

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One podman command."""
        return subprocess.run([*self.base, *argv], capture_output=True, text=True, check=check, timeout=120)

    def create(self, argv: list[str]) -> str | None:
        """The inspect document's name of a new container; None where podman refuses the options."""
        done = self.run("create", "--pull=never", *argv, check=False)
        return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else None

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        """The document."""
        found: dict[str, Any] = json.loads(self.run("inspect", "--type", kind, name).stdout)[0]
        if (
            kind == "container"
        ):  # the storage of this benchmark is named in the words; a fleet's podman has no such options
            made = found["Config"]["CreateCommand"]
            at = next(n for n, word in enumerate(made) if word == "create")
            found["Config"]["CreateCommand"] = ["podman", *(w for w in made[at:] if w != "--pull=never")]
        return found


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """The fields that differ, but for ids, times, names and paths that hold an id."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = []
        for key in sorted({*one, *other}):
            if key not in IGNORED:
                found += differences(one.get(key), other.get(key), f"{path}.{key}".lstrip("."))
        return found
    return [] if one == other else [f"{path}: {one!r} → {other!r}"]


def neutral(document: dict[str, Any]) -> dict[str, Any]:
    """Config, HostConfig and Mounts without what carries the container's id or name."""
    text = json.dumps({key: document.get(key) for key in ("Config", "HostConfig", "Path", "Args", "ImageName")})
    for value in (document["Id"], document["Id"][:12], document["Name"]):
        text = text.replace(value, "ID")
    found: dict[str, Any] = json.loads(text)
    found["Mounts"] = sorted(
        json.dumps({k: v for k, v in m.items() if k != "Name" or len(v) < 64}, sort_keys=True)
        for m in document.get("Mounts") or ()
    )
    found["Config"]["Env"].sort()  # podman keeps them in a map
    return found


def one(podman: Podman, original: str) -> list[str]:
    """Make it again from what inspect says; the differences."""
    before = podman.inspect(original)
    try:
        spec = from_inspect(before, podman.inspect(before["Image"], "image"))
    except FleetRecoverError as error:
        return [f"we refused: {error}"]
    line = list(to_argv(spec, cli="podman", verb="create", detach=None))
    if from_argv(line) != spec and len(spec.entrypoint or ()) <= 1:
        return ["argv → spec is not the identity"]
    at = line.index(spec.image)
    again = [word for word in line[2:at] if not word.startswith("--name=")] + line[at:]
    rebuilt = podman.run("create", "--pull=never", *again, check=False)
    if rebuilt.returncode != 0:
        return [f"podman refused our words: {rebuilt.stderr.strip()[-200:]}"]
    name = rebuilt.stdout.strip().splitlines()[-1]
    try:
        return differences(neutral(before), neutral(podman.inspect(name)))
    finally:
        podman.run("rm", "--force", "--volumes", name)


def main() -> int:
    """Run, print, and write the figures when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if shutil.which("podman") is None:
        print("podman is not installed: apt-get install podman", file=sys.stderr)
        return 3
    chance = random.Random(options.seed)
    equal = made = 0
    kinds: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory(prefix="fleetrecover-podman-") as directory:
        podman = Podman(Path(directory))
        podman.run("import", "--change", "ENV PATH=/bin", str(image.busybox_image()), REFERENCE)
        version = podman.run("version", "--format", "{{.Client.Version}}").stdout.strip()
        while made < options.count:
            line = words(chance)
            identifier = podman.create(line)
            if identifier is None:
                continue
            made += 1
            found = one(podman, identifier)
            equal += not found
            kinds.update({text.partition(":")[0] for text in found})
            for text in found:
                print(f"{line}\n    {text}", file=sys.stderr)
            podman.run("rm", "--force", "--volumes", identifier)
        podman.run("system", "reset", "--force", check=False)
    told = "; ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    text = f"podman {version}: {equal} of {made} generated containers came back equal{'; others: ' + told if told else ''}."
    print(text)
    if options.write:
        page = options.write.read_text()
        head, _, rest = page.partition(BEGIN)
        _, _, tail = rest.partition(END)
        options.write.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")
    return 0 if equal == made else 1


if __name__ == "__main__":
    sys.exit(main())
