from __future__ import annotations

from pathlib import Path

import pytest

from fleetrecover.errors import InputError
from fleetrecover.model import Fleet, Host, SshSettings
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings, Target

_CLIENT = ""


@pytest.fixture(params=["asked of ssh", "read here"], autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All of it holds with a client and without."""
    found = find_client() if request.param == "asked of ssh" else ""
    if request.param == "asked of ssh" and not found:
        pytest.skip("needs the ssh client")
    monkeypatch.setattr("tests.remote.test_settings._CLIENT", found)
    return found


def target(tmp_path: Path, config: str = "", *, ssh: SshSettings | None = None, **host: object) -> Target:
    path = tmp_path / "config"
    path.write_text(config)
    values = {"name": "etcd1", "address": "10.0.0.1", **host}
    fleet = Fleet("prod", (Host(**values),), ssh=ssh or SshSettings())  # type: ignore[arg-type]
    return Settings(fleet, config=str(path), client=_CLIENT).target(fleet.hosts[0])


def test_the_inventory_wins_over_the_config(tmp_path: Path) -> None:
    config = "Host *\n  User config\n  Port 2\n  IdentityFile /config\n  ProxyJump jump\n"
    ssh = SshSettings(user="inventory", port=3, key=Path("/inventory"), gateway="g")
    found = target(tmp_path, config, ssh=ssh)
    assert (found.user, found.port, found.keys, found.only_keys) == ("inventory", 3, (Path("/inventory"),), True)
    assert found.gateway is not None and found.gateway.address == "g"
    per_host = target(tmp_path, config, ssh=ssh, user="host", port=4, key=Path("/host"), gateway="h")
    assert (per_host.user, per_host.port, per_host.keys) == ("host", 4, (Path("/host"),))
    assert per_host.gateway is not None and per_host.gateway.address == "h"


def test_the_config_fills_in_what_is_not_said(tmp_path: Path) -> None:
    config = """
        Host etcd-*
            HostName %h.example.com
            User core
            Port 2222
            IdentityFile /k1
            IdentityFile /k2
            IdentitiesOnly yes
            HostKeyAlias alias
            UserKnownHostsFile /kh1 "/kh 2"
            GlobalKnownHostsFile none
    """
    found = target(tmp_path, config, address="etcd-1")
    assert found.address == "etcd-1.example.com"
    assert (found.user, found.port, found.keys) == ("core", 2222, (Path("/k1"), Path("/k2")))
    assert (found.only_keys, found.known_as) == (True, "alias")
    assert found.known_hosts == (Path("/kh1"), Path("/kh 2"))


def test_the_known_hosts_of_the_inventory_are_the_only_ones(tmp_path: Path) -> None:
    found = target(tmp_path, "Host *\nUserKnownHostsFile /dev/null\n", ssh=SshSettings(known_hosts=Path("/kh")))
    assert found.known_hosts == (Path("/kh"),)


@pytest.mark.parametrize(
    ("spec", "user", "address", "port"),
    [
        ("bastion", None, "bastion", 22),
        ("ops@bastion", "ops", "bastion", 22),
        ("ops@bastion:2222", "ops", "bastion", 2222),
        ("[fd00::1]:23", None, "fd00::1", 23),
        ("ssh://ops@bastion:24", "ops", "bastion", 24),
    ],
)
def test_gateways(tmp_path: Path, spec: str, user: str | None, address: str, port: int) -> None:
    gateway = target(tmp_path, ssh=SshSettings(gateway=spec)).gateway
    assert gateway is not None
    assert (gateway.address, gateway.port) == (address, port)
    assert user in (None, gateway.user)


def test_a_chain_of_gateways(tmp_path: Path) -> None:
    found = target(tmp_path, "Host far\n  ProxyJump a@one,b@two:2\n", address="far")
    assert found.gateway is not None and found.gateway.gateway is not None
    assert (found.gateway.address, found.gateway.port, found.gateway.user) == ("two", 2, "b")
    assert (found.gateway.gateway.address, found.gateway.gateway.gateway) == ("one", None)


def test_the_gateways_own_config_is_honoured(tmp_path: Path) -> None:
    config = "Host bastion\n  HostName 192.0.2.1\n  User ops\n  IdentityFile /bk\n"
    gateway = target(tmp_path, config, ssh=SshSettings(gateway="bastion", key=Path("/k"))).gateway
    assert gateway is not None
    assert (gateway.address, gateway.user, gateway.keys) == ("192.0.2.1", "ops", (Path("/bk"), Path("/k")))


def test_none_is_no_gateway(tmp_path: Path) -> None:
    found = target(tmp_path, "Host *\n ProxyJump b\n", ssh=SshSettings(gateway="g"), gateway="none")
    assert found.gateway is None
    assert found.proxy_command is None


def test_a_jump_host_under_a_wildcard_is_not_reached_through_itself(tmp_path: Path) -> None:
    gateway = target(tmp_path, "Host *\n  ProxyJump bastion\n").gateway
    assert gateway is not None and gateway.gateway is None


def test_a_loop_of_jump_hosts_is_refused(tmp_path: Path) -> None:
    config = "Host a\n ProxyJump b\nHost b\n ProxyJump a\n"
    with pytest.raises(InputError, match="jump hosts in a row"):
        target(tmp_path, config, address="a")


def test_a_gateway_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not of the form"):
        target(tmp_path, ssh=SshSettings(gateway="a:b:c"))


def test_a_proxy_command_is_honoured_unless_there_is_a_gateway(tmp_path: Path) -> None:
    config = "Host *\n  ProxyCommand nc %h %p\n"
    assert target(tmp_path, config).proxy_command == "nc 10.0.0.1 22"
    assert target(tmp_path, config, gateway="g").proxy_command is None


def test_includes_are_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "one").write_text("Host 10.0.0.1\n  User included\n")
    (tmp_path / "d" / "two").write_text("Host other\n  Port 9\n")
    found = target(tmp_path, f"Include {tmp_path}/d/*\nHost 10.0.0.1\n  Include {tmp_path}/none\n  Port 7\n")
    assert (found.user, found.port) == ("included", 7)


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Include goes deeper|[Tt]oo many recursive"):
        target(tmp_path, f"Include {tmp_path}/config\n")


def test_nothing_in_the_config_loosens_the_check_of_host_keys(tmp_path: Path) -> None:
    loose = target(tmp_path, "Host *\n  StrictHostKeyChecking no\n  CheckHostIP no\n")
    assert loose == target(tmp_path, "")
