"""`check` on real hosts: silent on a healthy day, and of one mind with `diagnose` when a host is away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool

pytestmark = pytest.mark.lab


def checked(tool: Tool, *words: str) -> tuple[int, dict[str, Any], list[str]]:
    """The exit code, the document, and the checks that are bad."""
    ran = tool.run("check", "--json", *words)
    bad = [each["name"] for each in ran.document["checks"] if not each["ok"]]
    return ran.code, ran.document, bad


def test_a_healthy_day_a_policy_that_was_taken_and_a_host_that_is_away(fleet: Fleet) -> None:
    lab, tool = fleet(3, "3.4.23")
    code, _, bad = checked(tool)
    assert (code, bad) == (10, ["snapshots"]), "a fresh fleet lacks a snapshot, and nothing else"
    assert tool.run("snapshot", "save").code == 0
    code, document, bad = checked(tool, "--without", "etcd1")
    assert (code, bad, document["without"]["allowed"]) == (0, [], True)
    lab.shell("etcd3", "docker update --restart=no etcd")
    code, _, bad = checked(tool)
    assert (code, bad, tool.run("diagnose").code) == (10, ["autostart"], 0)
    lab.power_off("etcd3")
    code, document, _ = checked(tool, "--without", "etcd1")
    assert code == tool.run("diagnose").code == 10
    assert document["without"]["allowed"] is False
