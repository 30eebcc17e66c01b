"""`init --from HOST` on a real node, and what it writes is an inventory that works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet

pytestmark = pytest.mark.lab


def init(lab: Lab, home: Path, *words: str, known_hosts: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it with a home directory whose ~/.ssh/config knows the lab's key and host keys."""
    (home / ".ssh").mkdir(parents=True, exist_ok=True)
    known = known_hosts or lab.directory / "known_hosts"
    (home / ".ssh/config").write_text(
        f"Host *\n  User root\n  IdentityFile {lab.directory}/id_ed25519\n  UserKnownHostsFile {known}\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "fleetrecover", *words],
        env=os.environ
        | {
            "HOME": str(home),
            "FLEETRECOVER_STATE": str(home / "state"),
            "FLEETRECOVER_SSH_CONFIG": str(home / ".ssh/config"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_from_a_node_that_serves_and_from_one_that_is_alone(fleet: Fleet, tmp_path: Path) -> None:
    lab, _ = fleet(3, "3.4.23")
    addresses = [spec.address for spec in lab.state.hosts]
    made = tmp_path / "hosts.toml"
    done = init(lab, tmp_path, "init", "--from", addresses[1], "-o", str(made), "--cluster", "prod")
    assert done.returncode == 0, done.stderr
    assert [line for line in made.read_text().splitlines() if line.startswith("address")] == [
        f'address = "{address}"' for address in addresses
    ]
    survey = init(lab, tmp_path, "diagnose", "--inventory", str(made))
    assert survey.returncode == 0, survey.stderr
    lab.power_off("etcd1", "etcd3")
    lab.remove_etcd("etcd2")
    alone = init(lab, tmp_path, "init", "--from", f"root@{addresses[1]}:22", "-o", "-")
    assert alone.returncode == 0, alone.stderr
    assert "read from the log" in alone.stdout
    assert all(f'address = "{address}"' in alone.stdout for address in addresses)


def test_a_host_key_that_is_not_known_is_never_connected_to(fleet: Fleet, tmp_path: Path) -> None:
    lab, _ = fleet(3, "3.4.23")
    nobody = tmp_path / "known_hosts"
    nobody.write_text("")
    refused = init(lab, tmp_path, "init", "--from", lab.state.hosts[0].address, "-o", "-", known_hosts=nobody)
    assert refused.returncode == 12
    assert refused.stdout == ""
    assert "host key" in refused.stderr.lower() or "known_hosts" in refused.stderr
