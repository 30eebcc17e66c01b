"""A key that nobody has vouched for is never accepted: the policy that Paramiko asks about every key, without a server."""

from __future__ import annotations

import base64
from pathlib import Path

import paramiko
import pytest

from fleetrecover.errors import HostKeyProblem
from fleetrecover.model import Fleet, Host, SshSettings
from fleetrecover.remote.connection import KnownKeysOnly, SshTransport
from fleetrecover.remote.known_hosts import KnownHosts
from fleetrecover.remote.login import Login
from fleetrecover.remote.settings import Settings, Target


@pytest.fixture(scope="module")
def keys() -> list[paramiko.PKey]:
    """Two keys of the same kind."""
    return [paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()]


def line(key: paramiko.PKey, names: str = "10.0.0.1", marker: str = "") -> str:
    return f"{marker} {names} {key.get_name()} {base64.b64encode(key.asbytes()).decode()}\n".lstrip()


def target(tmp_path: Path) -> Target:
    """The first host of an inventory whose known_hosts is empty."""
    (tmp_path / "known_hosts").touch()
    fleet = Fleet(
        "prod", (Host("etcd1", "10.0.0.1"),), SshSettings(user="root", port=22, known_hosts=tmp_path / "known_hosts")
    )
    return Settings(fleet).target(fleet.hosts[0])


def policy(tmp_path: Path, text: str) -> KnownKeysOnly:
    known = KnownHosts()
    known.add(text, "known_hosts")
    return KnownKeysOnly(target(tmp_path), known.trust("10.0.0.1", 22))


def test_where_no_key_is_known_none_is_accepted(tmp_path: Path, keys: list[paramiko.PKey]) -> None:
    for text in ("", line(keys[0], "10.0.0.2"), line(keys[0], marker="@cert-authority")):
        with pytest.raises(HostKeyProblem):
            policy(tmp_path, text).missing_host_key(paramiko.SSHClient(), "10.0.0.1", keys[0])


def test_only_the_known_key_is_accepted(tmp_path: Path, keys: list[paramiko.PKey]) -> None:
    asked = policy(tmp_path, line(keys[0]))
    asked.missing_host_key(paramiko.SSHClient(), "10.0.0.1", keys[0])
    with pytest.raises(HostKeyProblem):
        asked.missing_host_key(paramiko.SSHClient(), "10.0.0.1", keys[1])


def test_a_revoked_key_is_not_accepted_though_it_is_known(tmp_path: Path, keys: list[paramiko.PKey]) -> None:
    text = line(keys[0]) + line(keys[0], "*", "@revoked")
    with pytest.raises(HostKeyProblem, match="revoked"):
        policy(tmp_path, text).missing_host_key(paramiko.SSHClient(), "10.0.0.1", keys[0])


def test_every_connection_has_that_policy_and_no_keys_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Paramiko would accept by itself, it is asked of ours."""
    where = target(tmp_path)
    fleet = Fleet("prod", (Host("etcd1", "10.0.0.1"),), SshSettings(known_hosts=tmp_path / "known_hosts"))
    with SshTransport(fleet, bulk_client="") as carrier:
        link = carrier._link(where)
        client = link._make(Login(where, carrier._keys), False).client
    assert isinstance(client._policy, KnownKeysOnly)
    assert not client._host_keys
    assert not client._system_host_keys
