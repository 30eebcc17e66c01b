"""A survey that was saved on a real cluster, judged elsewhere: nothing is reachable there, and all is told alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool

pytestmark = pytest.mark.lab


def lasting(document: Any) -> Any:
    """Without what differs between two looks or two plans: the run's name, free space, sizes, clocks."""
    changing = ("run", "free", "size", "clock_offset", "taken_at", "fingerprint")
    if isinstance(document, dict):
        return {key: lasting(each) for key, each in document.items() if key not in changing}
    return [lasting(each) for each in document] if isinstance(document, list) else document


def without_run(document: dict[str, Any]) -> Any:
    return lasting(json.loads(json.dumps(document).replace(document["run"], "RUN")))


def test_a_lost_cluster_is_judged_alike_from_a_file(fleet: Fleet, tmp_path: Path) -> None:
    lab, tool = fleet(3)
    lab.kill_all_at_once()
    lab.power_on("etcd1")
    lab.shell("etcd1", "docker update --restart=no etcd && docker stop etcd")  # alone it would hold elections for ever
    dead = ("--dead", "etcd2", "--dead", "etcd3")
    file = tmp_path / "saved.json"
    assert tool.run("survey", "--save", str(file)).code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = Tool(tmp_path / "no-such-inventory", tmp_path / "state")
    live, told = tool.run("diagnose", *dead, "--json"), elsewhere.run("diagnose", *dead, "--from", str(file), "--json")
    assert (live.code, told.code) == (11, 11)
    assert lasting(told.document) == lasting(live.document)
    plans = [
        where.run("plan", *dead, *more, "--json") for where, more in ((tool, ()), (elsewhere, ("--from", str(file))))
    ]
    assert without_run(plans[1].document) == without_run(plans[0].document)
    assert plans[1].document["survivor"]["name"] == "etcd1"

    shown = tmp_path / "shown.json"
    ran = tool.run("survey", "--save", str(shown), "--redact")
    assert ran.code == 0 and "in the file, etcd1 is called node" in ran.err
    text = shown.read_text()
    assert not [secret for host in lab.hosts for secret in (host.address, host.name) if f'"{secret}"' in text]
    assert elsewhere.run("diagnose", "--from", str(shown)).code == tool.run("diagnose").code
