"""A login that is not root: with sudo, or of the docker group, it recovers as root does; else it is told what to add."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.facts import HELPER_LABEL
from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import lose_two
from tests.e2e.test_data_directories import everything_is_there
from tests.e2e.test_drill import fab
from tests.e2e.tool import Ran, Tool, state_of

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")
OPENSSH = 'client = "openssh"'


def logged_in_as(tool: Tool, tmp_path: Path, *lines: str) -> Tool:
    """The same inventory with other lines for the login."""
    text = tool.inventory.read_text()
    user = next(line for line in text.splitlines() if line.startswith("user"))
    path = tmp_path / f"hosts-{len(lines)}.toml"
    path.write_text(text.replace(user, "\n".join(lines)))
    return replace(tool, inventory=path)


def in_the_docker_group(lab: Lab, user: str) -> None:
    """As Debian's package does it: the socket belongs to the group."""
    for name in HOSTS:
        lab.shell(
            name,
            f"getent group docker >/dev/null || groupadd docker; usermod -aG docker {user};"
            " chgrp docker /run/docker.sock; chmod 660 /run/docker.sock",
        )


def is_told(ran: Ran, code: int) -> None:
    """Which node, who, what it may not, and what to type; and nothing of logs that are missing, or of snapshots."""
    said = ran.out + ran.err
    assert ran.code == code, said
    for part in (
        "etcd1",
        "nosudo (uid 1901)",
        "may not",
        "sudo = true",
        "nosudo ALL=(root) NOPASSWD: ALL",
        "no nsenter",
    ):
        assert part in said.replace("\n", " "), f"{part!r} is not in:\n{said}"
    for part in ("no WAL", "no log could be read", "Permission denied", "Traceback"):
        assert part not in said, said


def nothing_of_ours_is_left(lab: Lab) -> None:
    """No container that lent us its rights is there any more; its removal may take a moment."""
    for name in HOSTS:
        left = f"docker ps -aq --filter label={HELPER_LABEL}"
        lab.shell(name, f'for i in 1 2 3 4 5 6 7 8 9; do [ -n "$({left})" ] || exit 0; sleep 0.5; done; {left}; exit 1')


def test_of_the_docker_group(fleet: Fleet, tmp_path: Path) -> None:
    """Without sudo, all killed and two disks lost: everything is done through the engine, and nothing of that is left."""
    lab, tool = fleet(3)
    in_the_docker_group(lab, "nosudo")
    docker = logged_in_as(tool, tmp_path, 'user = "nosudo"')
    assert "etcd1: the login user is root through `docker run`" in docker.run("check").out
    written = lose_two(lab)
    lab.kill_etcd("etcd1")
    assert docker.run("diagnose", "--json").document["nodes"][0]["root_through"] == "docker"
    assert docker.recover(lab.name).document["outcome"] == "recovered"
    everything_is_there(lab, docker, written)
    nothing_of_ours_is_left(lab)


@contextmanager
def without_nsenter(lab: Lab) -> Iterator[None]:
    """Without it no container gives a shell on the host."""
    for name in HOSTS:
        lab.shell(name, "mv /usr/bin/nsenter /usr/bin/nsenter.away")
    try:
        yield
    finally:
        for name in HOSTS:
            lab.shell(name, "mv /usr/bin/nsenter.away /usr/bin/nsenter")


@pytest.mark.long
def test_of_the_docker_group_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Where that does not help: every command says so before anything else, and changes nothing; as root all goes on."""
    lab, tool = fleet(3)
    in_the_docker_group(lab, "nosudo")
    with without_nsenter(lab):
        told = logged_in_as(tool, tmp_path, 'user = "nosudo"')
        healthy = told.run("diagnose", "--json")
        assert (healthy.code, healthy.document["verdict"]) == (0, "healthy"), healthy.err
        checked = told.run("verify")
        assert checked.code == 0, checked.out
        assert "not looked at" in checked.out
        is_told(told.run("snapshot", "save", "one"), 20)
        is_told(told.run("snapshot", "schedule", "--every", "1h", "--keep", "2"), 20)
        is_told(told.run("snapshot", "prune"), 20)

        written = lose_two(lab)
        before = {name: state_of(lab, name) for name in HOSTS}
        is_told(told.run("survey"), 0)
        is_told(told.run("diagnose"), 12)
        for command in (("plan",), ("recover", "--yes", lab.name)):
            is_told(told.run(*command), 12)
        for task in ("fence", "keep-data", "reset"):
            done_by_hand = fab(told, task, "--yes", lab.name)
            is_told(Ran(done_by_hand.returncode, done_by_hand.stdout, done_by_hand.stderr), 12)
        document = told.run("diagnose", "--json").document
        assert (document["verdict"], document["findings"][0]["code"]) == ("undetermined", "forbidden")
        assert {name: state_of(lab, name) for name in HOSTS} == before

        done = tool.recover(lab.name).document
        everything_is_there(lab, tool, written)
        before = {name: state_of(lab, name) for name in HOSTS}
        for words in (("undo", done["run"]), ("undo", "--last"), ("clean", done["run"]), ("clean", "--finished")):
            is_told(told.run(*words, "--yes", lab.name), 20)
        assert {name: state_of(lab, name) for name in HOSTS} == before


@pytest.mark.slow
@pytest.mark.parametrize("lines", [('user = "ops"', "sudo = true"), ('user = "nosudo"',), ('user = "nosudo"', OPENSSH)])
def test_all_of_it(fleet: Fleet, tmp_path: Path, lines: tuple[str, ...]) -> None:
    """A login that is not root, with sudo or docker: recovered whole, undone, recovered again, a snapshot saved and restored."""
    lab, tool = fleet(3)
    in_the_docker_group(lab, "nosudo")
    ops = logged_in_as(tool, tmp_path, *lines)
    written = lose_two(lab)
    assert ops.recover(lab.name).document["outcome"] == "recovered"
    everything_is_there(lab, ops, written)
    undone = ops.run("undo", "--last", "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert ops.recover(lab.name).document["outcome"] == "recovered"
    everything_is_there(lab, ops, written)
    saved = ops.run("snapshot", "save", "one", "--json")
    assert saved.code == 0, saved.err
    name = json.loads(saved.out)["name"]
    assert name.startswith("one")
    restored = ops.run("snapshot", "restore", name, "--replace-living", "--yes", lab.name)
    assert restored.code == 0, restored.err
    everything_is_there(lab, ops, written)
    nothing_of_ours_is_left(lab)
