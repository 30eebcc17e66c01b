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


# --- a file as people have it: paramiko/paramiko#1001 (wildcards, ports), net-ssh/net-ssh#833 (@cert-authority)

R, C = "ssh-rsa", "ecdsa-sha2-nistp256"
AS_PEOPLE_HAVE_IT = "".join(
    [
        "\ufeff" + line("bom.example.net", 1),
        "  \t" + line("indent.example.net", 1).replace(" ", "\t", 1),
        line("UPPER.Example.NET,10.9.0.3", 1),
        line("*.wild.example.net,!no.wild.example.net", 1),
        line("[*.port.example.net]:2222", 1),
        line("crlf.example.net", 1).replace("\n", "\r\n"),
        line("*.ca.example.net", 1, marker="@cert-authority"),
        line("*", 8, marker="@revoked"),
        line("10.9.0.8", 8),
        "old.example.net 1024 35 1234567890123\n",
        line("quoted.example.net", 1).replace("ssh-ed25519", '"ssh-ed25519', 1),
        line("[fd00::7]:2222", 1),
        line("fd00::8", 1),
        line("etcd?", 2, kind=R),
        line("etcd1", 3, kind=C),
        line("[10.9.0.9]:22", 1),
        line("10.9.0.10:2222", 1),
        line(hashed("hashed.example.net"), 1),
        line(hashed("[hashed.example.net]:2222"), 1),
        line(hashed("10.9.0.11"), 1),
        line("comment.example.net", 1).replace("comment\n", "two\u2028lies.example.net " + line("", 1).strip() + "\n"),
        line("blank\u00a0lies2.example.net", 1),
        line("twice.example.net", 5) + line("twice.example.net", 1),
        line("[fe80::1%eth0]:2222", 1),
    ]
)


@pytest.mark.parametrize(
    ("host", "port", "reached"),
    [
        ("indent.example.net", 22, True),
        ("UPPER.example.net", 22, True),
        ("10.9.0.3", 22, True),
        ("a.wild.example.net", 22, True),
        ("no.wild.example.net", 22, False),
        ("a.port.example.net", 2222, True),
        ("a.port.example.net", 22, False),
        ("crlf.example.net", 22, True),
        ("x.ca.example.net", 22, False),
        ("10.9.0.8", 22, False),
        ("old.example.net", 22, False),
        ("quoted.example.net", 22, False),
        ("fd00::7", 2222, True),
        ("fd00::7", 22, False),
        ("fd00::8", 22, True),
        ("FD00::8", 22, True),
        ("etcd1", 22, True),
        ("etcd2", 22, True),
        ("10.9.0.9", 22, False),
        ("10.9.0.10", 2222, False),
        ("hashed.example.net", 22, True),
        ("hashed.example.net", 2222, True),
        ("10.9.0.11", 22, True),
        ("comment.example.net", 22, True),
        ("lies.example.net", 22, False),  # it stands behind what only Unicode takes for an end of line
        ("lies2.example.net", 22, False),
        ("twice.example.net", 22, True),
        ("fe80::1%eth0", 2222, True),
        ("bom.example.net", 22, False),  # as for ssh: the mark is part of the name
    ],
)
def test_a_file_as_people_have_it(host: str, port: int, reached: bool) -> None:
    """One host has all of these keys: ed25519, RSA and ECDSA."""
    found = trust(AS_PEOPLE_HAVE_IT, host, port)
    shown = (blob(1), blob(2, R), blob(3, C)) if host != "10.9.0.8" else (blob(8),)
    assert any(found.accepts(each) for each in shown) is reached
