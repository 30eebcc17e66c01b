"""Our reading of an Ansible inventory is Ansible's own: the same hosts and variables, or refused by both."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetrecover.drafts.ansible import from_groups
from fleetrecover.drafts.ansible_files import read_inventory
from fleetrecover.drafts.ansible_groups import Groups
from fleetrecover.drafts.ansible_yaml import read_list
from fleetrecover.drafts.draft import Draft, shared
from fleetrecover.errors import InputError
from tests.conftest import SEED
from tests.drafts.generated_inventories import write_inventory

needs_ansible = pytest.mark.skipif(importlib.util.find_spec("ansible") is None, reason="ansible-core is not installed")


@needs_ansible
@pytest.mark.parametrize(
    "count", [10, pytest.param(100, marks=pytest.mark.long), pytest.param(1000, marks=pytest.mark.slow)]
)
def test_the_same_hosts_with_the_same_variables(tmp_path: Path, count: int) -> None:
    seeds = [f"{os.environ[SEED]}/{number}" for number in range(count)]
    paths = [write_inventory(tmp_path / str(number), seed) for number, seed in enumerate(seeds)]
    answers = ansible_says(paths)
    refused = 0
    for seed, path, answer in zip(seeds, paths, answers, strict=True):
        ours = read(path)
        theirs = None if answer is None else listed(answer)
        told = f"{SEED}={os.environ[SEED]}, seed {seed}: {path}"
        assert (ours is None) == (theirs is None), f"{told}: ours {'refuses' if ours is None else 'takes it'}"
        if ours is None or theirs is None:
            refused += 1
            continue
        hosts = theirs.hosts_below("etcd")
        assert ours.hosts_below("etcd") == hosts, told
        for host in hosts:
            mine = {key: value for key, value in ours.variables_of(host).items() if key != "ansible_group_priority"}
            yours = theirs.variables_of(host)
            yours.pop("ansible_group_priority", None)
            assert mine == yours, f"{told}: {host}"
        assert draft(ours, path) == draft(theirs, path), told
    assert refused < count / 2


def ansible_says(paths: list[Path]) -> list[dict[str, object] | None]:
    script = Path(__file__).with_name("ansible_says.py")
    done = subprocess.run(
        [sys.executable, str(script)],
        input="\n".join(map(str, paths)) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def read(path: Path) -> Groups | None:
    try:
        return read_inventory(path)[0]
    except InputError:
        return None


def listed(answer: dict[str, object]) -> Groups:
    groups = Groups()
    read_list(answer, groups)
    return groups


def draft(groups: Groups, path: Path) -> Draft | str:
    try:
        found = shared(from_groups(groups, path, None))
    except InputError as error:
        return error.message
    return Draft(found.cluster, found.rows, found.ssh, found.etcd)
