"""The words for what goes wrong between us and a server; what needs a real one is in test_connection and test_like_ssh."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from fleetrecover.errors import HostKeyProblem, InputError
from fleetrecover.model import Command, Fleet, Host
from fleetrecover.remote import SshTransport, failures
from fleetrecover.remote.connection import KnownKeysOnly
from fleetrecover.remote.failures import ShownKey
from fleetrecover.remote.known_hosts import HostKey, Trust, fingerprint
from fleetrecover.remote.resolved import Query, find_client
from fleetrecover.remote.settings import Settings, Target

SHOWN = ShownKey("ssh-ed25519", fingerprint(b"shown"))


def target(**values: object) -> Target:
    defaults: dict[str, object] = {
        "label": "etcd1",
        "address": "10.0.0.1",
        "port": 2222,
        "user": "root",
        "known_as": "10.0.0.1",
        "known_hosts": (Path("/kh"),),
        "asked": Query("node-1"),
    }
    return Target(**{**defaults, **values})  # type: ignore[arg-type]


def key(kind: str, blob: bytes = b"other", line: int = 3) -> HostKey:
    return HostKey(kind, blob, f"/kh, line {line}")


@dataclass
class Server:
    remote_version: str = "SSH-2.0-OpenSSH_9.2p1"
    server_extensions: dict[str, bytes] = field(default_factory=dict)
    offered: dict[str, list[str]] = field(default_factory=dict)


# --- host keys: changed, of another kind, or unknown


def test_the_same_kind_and_another_key_has_changed() -> None:
    error = failures.unknown_key(target(), SHOWN, Trust(keys=(key("ssh-ed25519"), key("ssh-rsa"))))
    assert "has changed" in error.message
    assert "someone is between you" in str(error.hint)
    assert "`ssh-keygen -R '[10.0.0.1]:2222' -f /kh`" in str(error.hint)


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"])
def test_another_kind_of_key_is_no_change(kind: str) -> None:
    """It proves nothing: neither that it is the host, nor that somebody is in the middle; and no line is to be removed."""
    error = failures.unknown_key(target(), SHOWN, Trust(keys=(key(kind),)))
    assert "known by another kind of key" in error.message
    assert f"{kind} (/kh, line 3)" in error.message
    assert "neither that it is the host nor that it is not" in error.message
    for word in ("has changed", "between you"):
        assert word not in error.message + str(error.hint)
    assert "ssh-keygen -R" not in str(error.hint)
    assert "ssh-keyscan -t ed25519 -p 2222 10.0.0.1 >>/kh" in str(error.hint)
    assert SHOWN.fingerprint in str(error.hint)


def test_another_kind_of_an_ecdsa_host() -> None:
    error = failures.unknown_key(target(), ShownKey("ecdsa-sha2-nistp256", "SHA256:x"), Trust(keys=(key("ssh-rsa"),)))
    assert "ssh_host_ecdsa_key.pub" in str(error.hint)


def test_an_rsa_key_that_is_proven_with_sha1_alone() -> None:
    """OpenSSH 6.6 to 7.1: the known key is right, and the library cannot check it."""
    trust = Trust(keys=(key("ssh-rsa"),))
    error = failures.unknown_key(target(), SHOWN, trust, ["ssh-rsa", "ssh-ed25519"])
    assert "SHA-1 alone, as OpenSSH before 7.2 does" in error.message
    assert 'client = "openssh"' in str(error.hint)
    assert "`Host node-1`, below it `HostKeyAlgorithms +ssh-rsa`" in str(error.hint)
    newer = failures.unknown_key(target(), SHOWN, trust, ["rsa-sha2-512", "ssh-rsa", "ssh-ed25519"])
    assert "SHA-1" not in newer.message


def test_revoked_comes_before_all() -> None:
    blob = b"shown"
    trust = Trust(keys=(HostKey("ssh-ed25519", blob, "/kh, line 1"),), revoked=(key("ssh-ed25519", blob, 9),))
    assert "is revoked (/kh, line 9)" in failures.unknown_key(target(), SHOWN, trust).message


def test_a_key_that_nobody_knows() -> None:
    error = failures.unknown_key(target(), SHOWN, Trust())
    assert f"its host key ssh-ed25519 {SHOWN.fingerprint} is not in /kh" in error.message


# --- old servers, by name


@pytest.mark.parametrize(
    ("version", "algorithms", "only_sha1"),
    [
        ("SSH-2.0-OpenSSH_6.6.1p1 Ubuntu-2ubuntu2", b"", "OpenSSH_6.6.1p1 Ubuntu-2ubuntu2"),
        ("SSH-2.0-OpenSSH_5.3", b"", "OpenSSH_5.3"),
        ("SSH-2.0-OpenSSH_7.1", b"", "OpenSSH_7.1"),
        ("SSH-2.0-OpenSSH_7.2p2", b"", ""),
        ("SSH-2.0-OpenSSH_7.4", b"rsa-sha2-256,rsa-sha2-512", ""),
        ("SSH-2.0-OpenSSH_10.0", b"", ""),
        ("SSH-2.0-dropbear_2016.74", b"", ""),
        ("SSH-2.0-dropbear_2016.74", b"ssh-rsa,ssh-ed25519", "dropbear_2016.74"),
    ],
)
def test_who_takes_rsa_with_sha1_alone(version: str, algorithms: bytes, only_sha1: str) -> None:
    extensions = {"server-sig-algs": algorithms} if algorithms else {}
    assert failures.signs_with_sha1_only(Server(version, extensions)) == only_sha1


def test_an_rsa_login_key_at_an_old_server_is_named() -> None:
    error = failures.login_failed(target(), ["/k"], "no key was accepted", rsa_refused=True, only_sha1="OpenSSH_6.6")
    assert "OpenSSH_6.6 takes RSA keys with SHA-1 signatures alone, which the library no longer makes" in error.message
    assert "`PubkeyAcceptedAlgorithms +ssh-rsa`" in str(error.hint)
    maybe = failures.login_failed(target(), ["/k"], "no key was accepted", rsa_refused=True)
    assert "SHA-1" not in maybe.message
    assert "before OpenSSH 7.2" in str(maybe.hint)
    assert "SHA-1" not in str(failures.login_failed(target(), ["/k"]).hint)


def test_keys_that_could_not_be_offered_are_told() -> None:
    error = failures.login_failed(target(), [], passed_over=["/k: there is no such file"])
    assert "no key at all: none was found; not offered: /k: there is no such file" in error.message


@pytest.mark.parametrize(
    ("said", "part", "offer", "line"),
    [
        ("no acceptable kex algorithm", "kex_algo_list", ["diffie-hellman-group14-sha1"], "KexAlgorithms"),
        ("no acceptable host key", "server_key_algo_list", ["ssh-rsa", "ssh-dss"], "HostKeyAlgorithms"),
        ("no acceptable ciphers", "client_encrypt_algo_list", ["arcfour"], "Ciphers"),
        ("no acceptable macs", "client_mac_algo_list", ["umac-64@openssh.com"], "MACs"),
    ],
)
def test_what_is_not_spoken_is_named(said: str, part: str, offer: list[str], line: str) -> None:
    server = Server("SSH-2.0-OpenSSH_6.6.1", offered={part: [*offer, "kex-strict-s-v00@openssh.com"]})
    error = failures.incompatible(target(), Exception(f"Incompatible ssh peer ({said})"), server)
    assert error.message.endswith(f"it offers {', '.join(offer)}")
    assert "OpenSSH_6.6.1 at 10.0.0.1" in error.message
    assert f"`{line} +{','.join(offer)}`" in str(error.hint)
    assert 'client = "openssh"' in str(error.hint)


def test_a_servers_name_cannot_paint_the_terminal() -> None:
    server = Server("SSH-2.0-\x1b[31mOpenSSH" + "x" * 500, offered={"kex_algo_list": ["a"]})
    message = failures.incompatible(target(), Exception("no acceptable kex"), server).message
    assert "\x1b" not in message
    assert len(message) < 300


# --- what only ssh(1) itself can do


@pytest.mark.parametrize("words", ["BindInterface eth1", "ProxyUseFdpass yes"])
def test_what_we_cannot_do_is_refused_by_name(words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        failures.refuse_beyond_us(target(beyond_us=(words,)))
    assert 'client = "openssh"' in str(caught.value.hint)


def test_a_token_of_pkcs11_is_said_where_no_key_was_accepted() -> None:
    failures.refuse_beyond_us(target(beyond_us=("PKCS11Provider /lib/p.so",)))
    error = failures.login_failed(target(beyond_us=("PKCS11Provider /lib/p.so",)), [])
    assert "`ssh-add -s`" in str(error.hint)


def test_a_proxy_command_is_named_with_what_it_said() -> None:
    error = failures.unreachable(target(proxy_command="nc h 1"), EOFError(), 5, "line one\nno route")
    assert "its ProxyCommand brought no connection about; it said: no route" in error.message
    assert "`nc h 1 </dev/null`" in str(error.hint)


# --- and where they are raised


class _Client:
    """What Paramiko hands to a policy."""

    def get_transport(self) -> Server:
        return Server(offered={"server_key_algo_list": ["ssh-ed25519"]})


@pytest.mark.parametrize("known", ["nothing", "the key", "another key", "the key, revoked"])
def test_only_a_key_that_is_known_is_accepted(known: str) -> None:
    shown = paramiko.ECDSAKey.generate()
    right = HostKey(shown.get_name(), shown.asbytes(), "/kh, line 1")
    trust = {
        "nothing": Trust(),
        "the key": Trust(keys=(right,)),
        "another key": Trust(keys=(key(shown.get_name()),)),
        "the key, revoked": Trust(keys=(right,), revoked=(right,)),
    }[known]
    policy = KnownKeysOnly(target(), trust)
    if known == "the key":
        policy.missing_host_key(_Client(), "h", shown)
        return
    with pytest.raises(HostKeyProblem):
        policy.missing_host_key(_Client(), "h", shown)


@pytest.mark.skipif(not find_client(), reason="needs the ssh client")
@pytest.mark.parametrize("line", ["BindInterface lo", "ProxyUseFdpass yes"])
def test_what_we_cannot_do_is_refused_before_anything_is_connected_to(tmp_path: Path, line: str) -> None:
    (tmp_path / "config").write_text(f"Host gate\n  {line}\n")
    for gateway in (None, "gate"):
        fleet = Fleet("t", (Host("etcd1", "127.0.0.1" if gateway else "gate", gateway=gateway),))
        settings = Settings(fleet, config=str(tmp_path / "config"))
        with SshTransport(fleet, settings=settings) as carrier, pytest.raises(InputError, match=line):
            carrier.batch(fleet.hosts[0], [Command("c", "true")])


def test_an_alias_is_looked_up_without_a_port() -> None:
    assert target(alias="me", known_as="me").known_port == 22
    assert target().known_port == 2222
