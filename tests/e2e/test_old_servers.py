"""Nodes whose sshd is as old as RKE1's: recovered whole, over the machine's own ssh(1) or by the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover.lab import Lab
from fleetrecover.lab.host import SSHD_START
from tests.e2e.conftest import Fleet
from tests.e2e.scenes import lose_two
from tests.e2e.tool import Tool

pytestmark = pytest.mark.lab

# Whatever is not said, this machine's sshd would do better; the login key is ed25519, which 6.5 brought.
OLD = {
    "6.6": (
        "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
        "Ciphers aes128-ctr,aes192-ctr,aes256-ctr",
        "MACs hmac-md5,hmac-sha1",
        "HostKeyAlgorithms ssh-rsa",
        "PubkeyAcceptedAlgorithms ssh-ed25519,ssh-rsa",
    ),
    "7.4": (
        "KexAlgorithms curve25519-sha256@libssh.org,diffie-hellman-group14-sha1",
        "Ciphers aes128-ctr,aes128-gcm@openssh.com",
        "MACs hmac-sha1,hmac-sha2-256",
        "HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256,ssh-rsa",
        "PubkeyAcceptedAlgorithms ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
    ),
}
AGE = """
set -e
[ -e /etc/ssh/old_key ] || ssh-keygen -q -t rsa -b 2048 -N '' -f /etc/ssh/old_key
sed '/^HostKey /d' /etc/ssh/sshd_config >/etc/ssh/old_config
cat >>/etc/ssh/old_config <<'END'
HostKey /etc/ssh/old_key
{lines}
END
kill "$(cat /run/sshd.pid)"
while [ -e /run/sshd.pid ]; do sleep 0.05; done
$(command -v sshd) -f /etc/ssh/old_config -E /var/log/sshd.log
cut -d' ' -f1,2 /etc/ssh/old_key.pub
"""
RENEW = f'kill "$(cat /run/sshd.pid)"; while [ -e /run/sshd.pid ]; do sleep 0.05; done; {SSHD_START}'


@pytest.fixture
def aged() -> Iterator[list[Lab]]:
    """Labs whose servers are to be young again afterwards: others use them."""
    labs: list[Lab] = []
    yield labs
    for lab in labs:
        for host in lab.hosts:
            lab.shell(host.name, RENEW)


def age(lab: Lab, version: str, known_hosts: Path) -> None:
    """Make every host's sshd as old as that, and known by its RSA key alone."""
    lines = []
    for host in lab.hosts:
        key = lab.shell(host.name, AGE.format(lines="\n".join(OLD[version]))).strip()
        lines.append(f"{host.address} {key}\n")
    known_hosts.write_text("".join(lines))


def inventory(lab: Lab, directory: Path, known_hosts: Path, more: str) -> Path:
    """The lab's inventory with other known hosts, and more in [ssh]."""
    lines = [line for line in lab.inventory.read_text().splitlines() if not line.startswith("known_hosts")]
    at = lines.index("[ssh]") + 1
    path = directory / "hosts.toml"
    path.write_text("\n".join([*lines[:at], f'known_hosts = "{known_hosts}"', more, *lines[at:], ""]))
    return path


@pytest.mark.parametrize(
    ("version", "client"),
    [("6.6", "openssh"), pytest.param("7.4", "openssh", marks=pytest.mark.slow), ("7.4", "paramiko")],
)
def test_old_servers_are_recovered_whole(
    fleet: Fleet, aged: list[Lab], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, client: str
) -> None:
    lab, tool = fleet(3)
    written = lose_two(lab)
    aged.append(lab)
    known = tmp_path / "known_hosts"
    age(lab, version, known)
    config = tmp_path / "ssh_config"
    config.write_text(
        "Host *\n  KexAlgorithms +diffie-hellman-group14-sha1\n  HostKeyAlgorithms +ssh-rsa\n"
        if version == "6.6"
        else ""
    )
    monkeypatch.setenv("FLEETRECOVER_SSH_CONFIG", str(config))
    old = Tool(inventory(lab, tmp_path, known, f'client = "{client}"'), tool.state)
    if version == "6.6":
        refused = Tool(inventory(lab, tmp_path, known, ""), tool.state).run("diagnose")
        assert refused.code == 12
        assert 'client = "openssh"' in refused.out + refused.err
        old = Tool(inventory(lab, tmp_path, known, f'client = "{client}"'), tool.state)
    done = old.recover(lab.name).document
    assert done["outcome"] == "recovered"
    assert done["hash_equal"] is True
    for host in lab.hosts:
        found = lab.client().verify(written, host.name)
        assert (found.missing, found.wrong) == ((), ())
    assert old.run("verify").code == 0
