"""The program as its user runs it: a process of its own, on an inventory; and what tests look at behind its back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetrecover.drill import leader_of
from fleetrecover.lab import Lab

__all__ = ["Ran", "Tool", "leader_of", "original_containers", "restart_policy", "state_of", "tree_hash"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """One run of the program."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on stdout; there must be nothing else."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Tool:
    """Runs `fleetrecover` on one inventory, with its own place for journals."""

    inventory: Path
    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the program sees."""
        return os.environ | {"FLEETRECOVER_INVENTORY": str(self.inventory), "FLEETRECOVER_STATE": str(self.state)}

    def argv(self, *words: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "fleetrecover.cli", *words]

    def run(self, *words: str, timeout: float = 300) -> Ran:
        """Run it to its end."""
        done = subprocess.run(
            self.argv(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            self.argv(*words),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )

    def recover(self, cluster: str, *more: str, restless: bool = False, timeout: float = 300) -> Ran:
        """`recover --json`, confirmed; the run must be good. One that leaves hosts out ends with 10, and names them.

        Where logs still grow it may see another survivor at its second look: it moves nothing then, says to type the same
        again, and is obeyed, once; on a `restless` fleet, whose units make containers anew all the time, more often.
        """
        ran = self.run("recover", "--json", "--yes", cluster, *more, timeout=timeout)
        for _ in range(RESTLESS if restless else 1):
            if ran.code not in (20, 21) or "run the same command again" not in ran.err:
                break
            ran = self.run("recover", "--json", "--yes", cluster, *more, timeout=timeout)
        assert ran.code in (0, 10), f"exit code {ran.code}\n{ran.err}\n{ran.out}"
        assert (ran.code == 10) is bool(ran.document.get("missing")), f"exit code {ran.code}\n{ran.err}\n{ran.out}"
        return ran


RESTLESS = 8

MEMBER_HASH = "cd {0} && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1"


def tree_hash(lab: Lab, host: str, path: str) -> str:
    """One hash over all files of a directory on a host: their names and their content."""
    return lab.shell(host, MEMBER_HASH.format(path)).strip()


def state_of(lab: Lab, host: str) -> str:
    """All that a run could change on a host: containers, their policies and states, files below the data's parent."""
    return lab.shell(
        host,
        "docker ps -a --no-trunc --format '{{.ID}} {{.Names}}' | sort;"
        "for c in $(docker ps -aq); do docker inspect -f '{{.Name}} {{.HostConfig.RestartPolicy.Name}}' $c; done | sort;"
        "find /var/lib/etcd* -maxdepth 1 | sort",
    )


def restart_policy(lab: Lab, policy: str) -> None:
    """Give every host's etcd container a restart policy; `no` before a power cut keeps etcd down after it."""
    for host in lab.hosts:
        lab.shell(host.name, f"docker update --restart={policy} etcd")


def original_containers(lab: Lab) -> dict[str, dict[str, Any]]:
    """What Rancher's reconcile compares of each host's etcd container, lists as sets."""
    found = {}
    for host in lab.hosts:
        [inspect] = json.loads(lab.shell(host.name, "docker inspect etcd"))
        config, hosting = inspect["Config"], inspect["HostConfig"]
        found[host.name] = {
            "image": config["Image"],
            "entrypoint": config["Entrypoint"],
            "command": frozenset(config["Cmd"]),
            "environment": frozenset(config["Env"]),
            "binds": frozenset(hosting["Binds"]),
            "security": frozenset(hosting["SecurityOpt"] or ()),
            "restart": hosting["RestartPolicy"]["Name"],
            "network": hosting["NetworkMode"],
        }
    return found
