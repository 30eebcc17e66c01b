"""What a cluster stands on, as it is in the field: each thing that is wrong is found on the real host, and named."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleetrecover.lab import Lab
from tests.e2e.conftest import Fleet
from tests.e2e.tool import Tool, restart_policy

pytestmark = pytest.mark.lab

HOSTS = ("etcd1", "etcd2", "etcd3")
SSL = "/etc/kubernetes/ssl"


def findings(tool: Tool, *codes: int) -> dict[tuple[str | None, str], dict[str, Any]]:
    """diagnose's findings by node and code; each says what is wrong."""
    ran = tool.run("diagnose", "--json")
    assert ran.code in codes, ran.err
    return {(f["node"], f["code"]): f for f in ran.document["findings"]}


def expired_certificate() -> bytes:
    """A certificate of nobody's, for a name that is not etcd's, which ended long ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    begun = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begun).not_valid_after(begun + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("elsewhere")]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_certificates_routes_space_and_policies(fleet: Fleet) -> None:
    """A running cluster: etcd has its certificate in memory and its connections open, and would not come back."""
    lab, tool = fleet(3, "3.4.23")
    spec = {host.name: host for host in lab.state.hosts}
    certificate = f"{SSL}/{spec['etcd1'].certificate}.pem"
    lab.host("etcd1").path(certificate).write_bytes(expired_certificate())
    lab.shell("etcd2", f"ip route add unreachable {spec['etcd3'].address}")
    lab.shell("etcd3", "docker update --restart=no etcd")
    try:
        found = findings(tool, 0, 10)  # 10 where etcd2 leads and does not reach etcd3
    finally:
        lab.shell("etcd2", f"ip route del unreachable {spec['etcd3'].address}")
    for code in ("certificate-expired", "certificate-key", "certificate-ca", "certificate-names"):
        assert ("etcd1", code) in found, (code, sorted(map(str, found)))
        assert spec["etcd1"].certificate in found["etcd1", code]["message"]
    assert "2020-01-02" in found["etcd1", "certificate-expired"]["message"]
    assert "etcd3" in found["etcd2", "peer-port"]["message"]
    assert ("etcd3", "no-restart-policy") in found
    lab.fill_disk("etcd3")
    try:
        full = findings(tool, 10)  # its etcd ends
    finally:
        lab.unfill_disk("etcd3")
    assert ("etcd3", "space") in full
    assert all(
        finding["advice"] for (_, code), finding in (found | full).items() if code.startswith(("certificate", "space"))
    )


def roll_back(lab: Lab, name: str, count: int) -> dict[str, str]:
    """Put a host's disk back to what it was before `count` writes were acknowledged by it and etcd1 alone."""
    client = lab.client()
    lab.shell(name, "docker stop etcd && cp -a /var/lib/etcd /var/lib/etcd-then && docker start etcd")
    lab.wait_healthy()
    other = next(host for host in HOSTS if host not in ("etcd1", name))
    lab.shell(other, "docker stop etcd")
    written = client.fill("/after/", count)
    restart_policy(lab, "no")
    lab.kill_all_at_once(power=True)
    lab.power_on(*HOSTS)
    restart_policy(lab, "always")
    lab.shell(
        name, "rm -rf /var/lib/etcd/member && mv /var/lib/etcd-then/member /var/lib/etcd/ && rmdir /var/lib/etcd-then"
    )
    return written


def test_a_disk_that_was_rolled_back_is_not_started_into_a_quorum(fleet: Fleet) -> None:
    """Started, the two that lack 200 acknowledged writes could elect one of them: the third is reset instead."""
    lab, tool = fleet(3, "3.5.30")
    written = lab.client().fill("/before/", 100) | roll_back(lab, "etcd2", 200)
    ran = tool.run("diagnose", "--json")
    assert ran.code == 11, ran.err
    document = ran.document
    assert document["remedy"] == "reset"
    assert document["survivor"]["name"] == "etcd1"
    assert document["survivor"]["proof"] == "best-available"
    assert "etcd2" in {found["name"] for found in document["survivor"]["no_evidence"]}
    assert "rolled-back" in {found["code"] for found in document["findings"]}
    assert tool.recover(lab.name).document["outcome"] == "recovered"
    client = lab.client()
    assert all(client.verify(written, name).whole for name in HOSTS)
