from __future__ import annotations

import base64
import hmac
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fleetrecover.remote.known_hosts import KnownHosts, Trust, fingerprint, lookup_name


def blob(seed: int, kind: str = "ssh-ed25519") -> bytes:
    return len(kind).to_bytes(4, "big") + kind.encode() + (32).to_bytes(4, "big") + bytes([seed]) * 32


def line(names: str, seed: int, *, marker: str = "", kind: str = "ssh-ed25519") -> str:
    return f"{marker} {names} {kind} {base64.b64encode(blob(seed, kind)).decode()} comment\n".lstrip()


def hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def trust(text: str, host: str, port: int = 22) -> Trust:
    known = KnownHosts()
    known.add(text, "kh")
    return known.trust(host, port)


@pytest.mark.parametrize(
    ("names", "host", "port", "accepted"),
    [
        ("etcd1", "etcd1", 22, True),
        ("etcd1", "ETCD1", 22, True),
        ("Etcd1", "etcd1", 22, True),
        ("etcd1,10.0.0.1", "10.0.0.1", 22, True),
        ("etcd1", "etcd2", 22, False),
        ("etcd1", "etcd1.example.com", 22, False),
        ("[etcd1]:2222", "etcd1", 2222, True),
        ("[etcd1]:2222", "etcd1", 22, False),
        ("[etcd1]:2222", "etcd1", 2223, False),
        ("etcd1", "etcd1", 2222, True),  # as OpenSSH: the bare name is good for any port
        ("*.example.com", "a.example.com", 22, True),
        ("*.example.com", "example.com", 22, False),
        ("*.example.com,!bad.example.com", "bad.example.com", 22, False),
        ("!bad.example.com,*.example.com", "good.example.com", 22, True),
        ("etcd?", "etcd1", 22, True),
        ("etcd?", "etcd10", 22, False),
        ("10.0.0.*", "10.0.0.7", 22, True),
        ("[10.0.0.*]:2222", "10.0.0.7", 2222, True),
        ("e.cd1", "etcd1", 22, False),
        (hashed("etcd1"), "etcd1", 22, True),
        (hashed("etcd1"), "etcd2", 22, False),
        (hashed("[10.0.0.1]:2222"), "10.0.0.1", 2222, True),
        (hashed("[10.0.0.1]:2222"), "10.0.0.1", 22, False),
        ("|1|broken", "etcd1", 22, False),
        ("|1|!!|!!", "etcd1", 22, False),
    ],
    ids=lambda value: "hashed" if str(value).startswith("|1|") else str(value),  # the salt is another each time
)
def test_names(names: str, host: str, port: int, accepted: bool) -> None:
    assert trust(line(names, 1), host, port).accepts(blob(1)) is accepted


def test_another_key_is_not_accepted() -> None:
    assert not trust(line("etcd1", 1), "etcd1").accepts(blob(2))


def test_a_port_with_keys_of_its_own_does_not_take_the_bare_names() -> None:
    text = line("etcd1", 1) + line("[etcd1]:2222", 2)
    assert trust(text, "etcd1", 2222).accepts(blob(2))
    assert not trust(text, "etcd1", 2222).accepts(blob(1))


def test_several_keys_of_one_kind_are_all_good() -> None:
    both = trust(line("etcd1", 1) + line("etcd1", 2), "etcd1")
    assert both.accepts(blob(1)) and both.accepts(blob(2))
    assert both.kinds == ("ssh-ed25519",)


@pytest.mark.parametrize("where", ["*", "etcd1", "10.0.0.1,etcd?"])
def test_a_revoked_key_is_never_accepted(where: str) -> None:
    found = trust(line("etcd1", 1) + line(where, 1, marker="@revoked"), "etcd1")
    assert not found.accepts(blob(1))
    assert found.revocation(blob(1)) is not None
    assert found.revocation(blob(1)).place == "kh, line 2"  # type: ignore[union-attr]


def test_a_key_revoked_for_the_bare_name_is_revoked_at_every_port() -> None:
    found = trust(line("[etcd1]:2222", 1) + line("etcd1", 1, marker="@revoked"), "etcd1", 2222)
    assert not found.accepts(blob(1))


def test_a_certificate_authority_is_no_hosts_key() -> None:
    found = trust(line("*", 1, marker="@cert-authority"), "etcd1")
    assert not found.accepts(blob(1))
    assert len(found.authorities) == 1


BROKEN = [
    "",
    "# comment\n",
    "etcd1\n",
    "etcd1 ssh-ed25519\n",
    "etcd1 ssh-ed25519 !!!\n",
    line("etcd1", 1).replace("ssh-ed25519", "ssh-rsa"),
    line("etcd1", 1, marker="@unknown"),
    "\0\xff\n",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_line_that_cannot_be_read_proves_nothing(text: str) -> None:
    assert trust(text, "etcd1") == Trust()


def test_files_that_are_not_there_are_empty(tmp_path: Path) -> None:
    (tmp_path / "kh").write_text(line("etcd1", 1))
    known = KnownHosts.load([tmp_path / "none", tmp_path / "kh"])
    assert known.trust("etcd1", 22).accepts(blob(1))


def test_the_kinds_that_are_known_come_first_in_the_files_order() -> None:
    text = line("e", 1, kind="ssh-rsa") + line("e", 1, kind="ssh-ed25519") + line("e", 2, kind="ssh-rsa")
    assert trust(text, "e").kinds == ("ssh-rsa", "ssh-ed25519")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_openssh_agrees(tmp_path: Path) -> None:
    """What ssh-keygen has hashed is found here; its fingerprint is ours."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    kind, encoded, *_ = (tmp_path / "key.pub").read_text().split()
    path = tmp_path / "kh"
    path.write_text(f"etcd1,10.0.0.1 {kind} {encoded}\n[10.0.0.2]:2222 {kind} {encoded}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "etcd1" not in path.read_text()
    known = KnownHosts.load([path])
    wanted = base64.b64decode(encoded)
    for host, port in (("etcd1", 22), ("10.0.0.1", 22), ("10.0.0.2", 2222)):
        assert known.trust(host, port).accepts(wanted)
        subprocess.run(["ssh-keygen", "-F", lookup_name(host, port), "-f", path], check=True, capture_output=True)
    assert not known.trust("10.0.0.2", 22).accepts(wanted)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key.pub"], check=True, capture_output=True, text=True
    ).stdout
    assert fingerprint(wanted) in shown
