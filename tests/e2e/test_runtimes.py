"""The seam on real hosts: the contract with docker and with plain processes; and a recovery of three where no engine runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fleetrecover.commands.paths import RunPaths
from fleetrecover.facts import Definition
from fleetrecover.lab import Lab
from fleetrecover.model import Command, Result
from fleetrecover.runtime.containers import Containers
from tests.e2e.conftest import Fleet
from tests.e2e.test_recover import write_and_kill
from tests.e2e.tool import Tool, tree_hash
from tests.runtime import contract
from tests.runtime.processes import ROOT, Process, Processes, opaque

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

DATA, BINARIES = "/var/lib/etcd", "/usr/local/bin"
PATHS = RunPaths(f"{DATA}.fleetrecover", contract.RUN)


def node_of(lab: Lab, name: str, rt: Any) -> contract.Node:
    def send(command: Command) -> Result:
        done = lab.exec(name, ["sh", "-s"], command.script.encode())
        return Result(command, done.returncode, done.stdout, done.stderr)

    return contract.Node(rt, send)


def without_engine(lab: Lab) -> None:
    """Every host's etcd as a plain process: the same program, flags and data; then no engine runs any more."""
    for host in lab.hosts:
        [found] = json.loads(lab.shell(host.name, "docker inspect etcd"))
        for program in ("etcd", "etcdctl"):
            lab.shell(host.name, f"docker cp -L etcd:{BINARIES}/{program} {BINARIES}/{program}")
        flags = [word for word in found["Args"] if word.startswith("--") and not word.startswith("--data-dir")]
        env = tuple(tuple(each.split("=", 1)) for each in found["Config"]["Env"] if each.startswith("ETCD_"))
        own = Process("etcd", (f"{BINARIES}/etcd", f"--data-dir={DATA}", *flags), env)
        lab.shell(host.name, "docker rm -f etcd; lab-dockerd stop")
        node_of(lab, host.name, Processes()).act(Processes().launch(opaque(own), "etcd"), again=False)
    lab.wait_healthy()


def leader_of(lab: Lab) -> str:
    """Who leads now, by everybody's own answer."""
    for host in lab.hosts:
        node = node_of(lab, host.name, Processes())
        said = node.read(Processes().ctl(node.one("etcd")).status())
        if said.leader == said.header.member_id:
            return host.name
    raise AssertionError("nobody leads")


@pytest.fixture
def three(fleet: Fleet) -> Iterator[tuple[Lab, Tool]]:
    """Three hosts; afterwards no plain process is left of them, which the next cluster of this lab would not know of."""
    lab, tool = fleet(3)
    yield lab, tool
    lab.kill_etcd(*(host.name for host in lab.hosts))
    for host in lab.hosts:
        lab.shell(host.name, f"rm -rf {ROOT} {DATA}.copy")


def start_all(lab: Lab) -> None:
    """What a supervisor would do after a power cut: those start that are to."""
    for host in lab.hosts:
        rt, node = Processes(), node_of(lab, host.name, Processes())
        for one in node.all():
            if one.armed:
                node.act(rt.start(one.name))


@dataclass(frozen=True)
class Stand(Tool):
    """The program with the stand-in in it."""

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tests.runtime", *words]


@pytest.mark.parametrize("kind", ["docker", "process"])
def test_the_contract(three: tuple[Lab, Tool], kind: str) -> None:
    lab, _ = three
    if kind == "process":
        without_engine(lab)
    node = node_of(lab, lab.hosts[0].name, Containers() if kind == "docker" else Processes())
    contract.lives(node, PATHS, DATA)


def definitions(lab: Lab) -> dict[str, tuple[Definition | None, str]]:
    """Each host's own, and its autostart."""
    found = {host.name: node_of(lab, host.name, Processes()).one("etcd") for host in lab.hosts}
    return {name: (one.spec, one.restart_policy) for name, one in found.items()}


@pytest.mark.parametrize("method", ["reset", "reseed"])
def test_two_disks_of_three_are_lost_where_no_engine_runs(three: tuple[Lab, Tool], method: str) -> None:
    """Whole, nothing lost, every definition as it was, whole again after a power cut, and taken back byte by byte."""
    lab, tool = three
    without_engine(lab)
    text = lab.inventory.read_text().replace("[etcd]\n", '[etcd]\nruntime = "process"\n')
    inventory = tool.state.parent / "hosts.toml"
    inventory.write_text(text if "[etcd]" in text else f'{text}\n[etcd]\nruntime = "process"\n')
    stand, before = Stand(inventory, tool.state), definitions(lab)
    acknowledged, leader, others = write_and_kill(lab, leader=leader_of(lab), power=False)
    for name in others:
        lab.wipe(name)
    tree = tree_hash(lab, leader, f"{DATA}/member")
    done = stand.recover(lab.name, "--method", method).document
    assert (done["outcome"], done["method"], done["survivor"]["name"]) == ("recovered", method, leader)
    assert definitions(lab) == before
    for restarted in (False, True):
        if restarted:
            lab.kill_all_at_once(power=False)
            start_all(lab)
            lab.wait_healthy()
        for host in lab.hosts:
            assert lab.client().verify(acknowledged, host.name).missing == (), host.name
    assert lab.shell(leader, f"ls {ROOT}").split() == ["etcd"]
    undone = stand.run("undo", done["run"], "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert tree_hash(lab, leader, f"{DATA}/member") == tree
