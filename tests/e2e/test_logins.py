"""A login that is not root: of the docker group alone it is told what to add; with sudo it recovers as root does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import lose_two
from tests.e2e.test_data_directories import everything_is_there
from tests.e2e.test_drill import fab
from tests.e2e.tool import Ran, Tool, state_of

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")


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
    for part in ("etcd1", "nosudo (uid 1901)", "may not", "sudo = true", "nosudo ALL=(root) NOPASSWD: ALL"):
        assert part in said.replace("\n", " "), f"{part!r} is not in:\n{said}"
    for part in ("no WAL", "no log could be read", "Permission denied", "Traceback"):
        assert part not in said, said


def test_of_the_docker_group_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Every command says so before anything else, with its exit code, and changes nothing; as root all goes on."""
    lab, tool = fleet(3)
    in_the_docker_group(lab, "nosudo")
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
def test_with_sudo(fleet: Fleet, tmp_path: Path) -> None:
    """A login that is not root, with a line for sudo: recovered whole, undone, recovered again, a snapshot saved."""
    lab, tool = fleet(3)
    in_the_docker_group(lab, "ops")
    ops = logged_in_as(tool, tmp_path, 'user = "ops"', "sudo = true")
    written = lose_two(lab)
    assert ops.recover(lab.name).document["outcome"] == "recovered"
    everything_is_there(lab, ops, written)
    undone = ops.run("undo", "--last", "--yes", lab.name)
    assert undone.code == 0, undone.err
    assert ops.recover(lab.name).document["outcome"] == "recovered"
    everything_is_there(lab, ops, written)
    saved = ops.run("snapshot", "save", "one", "--json")
    assert saved.code == 0, saved.err
    assert json.loads(saved.out)["name"].startswith("one")
