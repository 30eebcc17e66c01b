"""`fleetrecover hosts`, by its command line: INTERFACE.md's JSON to the letter, exit codes, and nothing connected to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleetrecover.cli import run, settings
from fleetrecover.errors import HostKeyProblem

INVENTORY = """cluster = "prod"
[ssh]
key = "/k"
gateway = "ops@bastion:2200"
gateway_key = "/jump"
[[hosts]]
name = "etcd1"
address = "10.0.0.11:2222"
user = "core"
[[hosts]]
name = "etcd2"
address = "etcd2"
gateway = "none"
"""
CONFIG = """Host etcd2
  HostName 10.0.0.12
  HostKeyAlias Second
  UserKnownHostsFile /kh
  GlobalKnownHostsFile none
  CertificateFile /c
  IdentityAgent /agent
"""


@pytest.fixture(autouse=True)
def bastion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts.toml").write_text(INVENTORY)
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETRECOVER_SSH_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("FLEETRECOVER_INVENTORY", raising=False)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/usual")
    monkeypatch.setattr(settings, "_consoles", {})


def test_the_json_is_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hosts", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["schema", "cluster", "hosts"]
    assert (found["schema"], found["cluster"]) == (1, "prod")
    first, second = found["hosts"]
    assert list(first) == [
        "name",
        "address",
        "port",
        "user",
        "keys",
        "certificates",
        "agent",
        "known_hosts",
        "gateway",
        "proxy_command",
        "host_key_alias",
    ]
    assert {k: first[k] for k in ("name", "address", "port", "user", "keys", "agent", "proxy_command")} == {
        "name": "etcd1",
        "address": "10.0.0.11",
        "port": 2222,
        "user": "core",
        "keys": ["/k"],
        "agent": "/usual",
        "proxy_command": None,
    }
    assert first["gateway"] == [{"address": "bastion", "port": 2200, "user": "ops", "key": "/jump"}]
    assert {k: second[k] for k in ("address", "known_hosts", "certificates", "agent", "gateway", "host_key_alias")} == {
        "address": "10.0.0.12",
        "known_hosts": ["/kh"],
        "certificates": ["/c"],
        "agent": "/agent",
        "gateway": [],
        "host_key_alias": "second",
    }


def test_a_person_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hosts"]) == 0
    said = capsys.readouterr().out
    assert "etcd1: core@10.0.0.11 port 2222\n  through    ops@bastion port 2200\n" in said
    assert "  keys       /k, /c (certificate), agent /agent\n  host keys  /kh, as second\n" in said
    assert "  rights     core's; root's through docker, where core may use it\n" in said
    assert "  rights     root\n" in said
    assert "carried by Paramiko" in said


def test_nothing_is_connected_to(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it connects")

    monkeypatch.setattr(socket.socket, "connect", never)
    assert run(["hosts", "--json"]) == 0


def test_a_bad_ssh_configuration_is_exit_3_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").write_text("Host etcd2\n  Prot 22\n")
    assert run(["hosts", "--json"]) == 3
    assert "config" in capsys.readouterr().err
    assert run(["diagnose"]) == 3
    said = capsys.readouterr().err.lower()
    assert f"{tmp_path}/config".lower() in said
    assert "line 2" in said
    assert "prot" in said


def test_paramiko_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETRECOVER_INVENTORY", str(tmp_path / "hosts.toml"))
    code = (
        "import sys\nfrom fleetrecover.cli import run\nassert run(['hosts', '--json']) == 0\n"
        "assert not {'paramiko', 'fabric', 'tenacity'} & set(sys.modules), sorted(sys.modules)"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, cwd=root)


def test_init_says_what_diagnose_says_of_an_unknown_host_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not that the program has a fault, and not only that `ssh` should get there."""

    class Refusing:
        def batch(self, *_: object) -> None:
            raise HostKeyProblem("node", "its host key is not in /kh", hint="compare the fingerprint")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr("fleetrecover.remote.open_transport", lambda _: Refusing())
    assert run(["init", "--from", "root@etcd9", "-o", "-"]) == 12
    said = capsys.readouterr().err
    assert "its host key is not in /kh" in said
    assert "→ compare the fingerprint" in said
