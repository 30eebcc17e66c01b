"""Members whose disks were emptied, and that begin the cluster anew before the one with the data is there again."""

from __future__ import annotations

import re
import time

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, tree_hash

pytestmark = pytest.mark.lab

ORDER = re.compile(r"on (etcd\d(?: and etcd\d)*): `([^`]+)`")
"""One order of a hint: the hosts, and the command."""


def obey(lab: Lab, hint: str) -> None:
    """Type what the hint says to go on from etcd1, word by word, on the hosts that it names."""
    if not hint.startswith("stop the empty side"):
        hint = hint.partition("to go on from etcd1: ")[2].partition(";")[0]
    orders = ORDER.findall(hint)
    assert orders
    for hosts, command in orders:
        for host in hosts.split(" and "):
            lab.shell(host, command)


def begun_anew(lab: Lab, tool: Tool, *, starts: bool) -> dict[str, str]:
    """etcd1 was replaced once; then all lose power, two come back with empty disks and elect, etcd1 comes later.

    Its etcd only if it `starts`: the empty ones know its address, and may vote for it, since its log is the longer one.
    """
    lab.shell("etcd1", "docker stop etcd")
    lab.wipe("etcd1")
    tool.recover(lab.name)
    written = lab.client().fill("/before/", 60)
    if not starts:
        lab.shell("etcd1", "docker update --restart no etcd")
    lab.power_off("etcd1", "etcd2", "etcd3")
    lab.wipe("etcd2")
    lab.wipe("etcd3")
    lab.power_on("etcd2", "etcd3")
    lab.wait_healthy(["etcd2", "etcd3"])
    lab.power_on("etcd1")
    if not starts:
        lab.shell("etcd1", "docker update --restart always etcd")
    return written


def refused_and_obeyed(lab: Lab, tool: Tool, keys: dict[str, str]) -> None:
    """`recover` touches nothing; after what its hint says it goes on from etcd1, and every key is on every member."""
    kept = tree_hash(lab, "etcd1", "/var/lib/etcd")
    refused = tool.run("recover", "--yes", lab.name, "--json")
    assert refused.code == 12, refused.err
    assert tree_hash(lab, "etcd1", "/var/lib/etcd") == kept
    obey(lab, refused.document["hint"])
    done = tool.recover(lab.name).document
    assert (done["outcome"], done["survivor"]["name"]) == ("recovered", "etcd1")
    assert done["revision_after"] >= done["revision_before"]
    deadline = time.monotonic() + 30
    client = lab.client()
    while not all(client.verify(keys, host.name).whole for host in lab.hosts):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert tool.run("verify").code == 0


def test_an_empty_quorum_is_not_repaired_over_the_only_data(fleet: Fleet) -> None:
    """It is said which side is empty and which is ahead; nothing is done; what the hint says brings every key back."""
    lab, tool = fleet(3, "3.4.23")
    keys = begun_anew(lab, tool, starts=False)
    seen = tool.run("diagnose", "--json")
    assert (seen.code, seen.document["verdict"]) == (12, "undetermined"), seen.out
    assert "empty: nothing was ever written there" in seen.document["why"]
    assert "ahead: etcd1" in seen.document["why"]
    assert tool.run("verify").code == 12
    refused_and_obeyed(lab, tool, keys)


@pytest.mark.slow
def test_the_empty_ones_may_have_voted_for_the_one_with_the_data(fleet: Fleet) -> None:
    """Its entries then follow theirs in their logs, which no etcd can start with: told as another history, with data."""
    lab, tool = fleet(3, "3.4.23")
    keys = begun_anew(lab, tool, starts=True)
    seen = tool.run("diagnose", "--json")
    assert (seen.code, seen.document["verdict"]) == (12, "undetermined"), seen.out
    assert "ahead: etcd1" in seen.document["why"]
    lab.shell("etcd1", "docker stop etcd")
    refused_and_obeyed(lab, tool, keys)
