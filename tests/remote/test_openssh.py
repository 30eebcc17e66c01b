"""ssh(1) as the transport: what is its own. That it does all that Paramiko does is in test_connection and test_like_ssh."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetrecover.errors import (
    HostKeyProblem,
    InputError,
    LoginFailed,
    OutcomeUnknown,
    RemoteError,
    Unreachable,
)
from fleetrecover.model import Command, Fleet, Host, SshSettings
from fleetrecover.remote import fan_out, open_transport
from fleetrecover.remote.connection import SshTransport
from fleetrecover.remote.openssh import STRICT, OpenSshTransport, master_argv, session_argv, socket_directory
from fleetrecover.remote.resolved import Query, find_client
from fleetrecover.remote.settings import Settings, Target
from fleetrecover.remote.ssh_says import explain
from tests.remote.sshd import Sshd, make_key, public
from tests.remote.test_script import running

lab = pytest.mark.lab
needs_client = pytest.mark.skipif(not find_client(), reason="needs the ssh client")
HELLO = Command("hello", "echo hello")


def target(**values: object) -> Target:
    defaults: dict[str, object] = {
        "label": "etcd1",
        "address": "10.0.0.1",
        "port": 22,
        "user": "root",
        "known_as": "10.0.0.1",
        "known_hosts": (Path("/kh"),),
        "asked": Query("etcd1"),
    }
    return Target(**{**defaults, **values})  # type: ignore[arg-type]


def options(argv: list[str]) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == "-o"]


def first(argv: list[str], keyword: str) -> str:
    """What counts: ssh takes the first."""
    return next(each.partition("=")[2] for each in options(argv) if each.startswith(f"{keyword}="))


# --- command lines


def test_a_master_is_strict_before_the_configuration_is_read() -> None:
    argv = master_argv("ssh", "/cfg", target(), Path("/d/0"), "", 10)
    assert argv[:5] == ["ssh", "-F", "/cfg", "-N", "-T"]
    assert argv[-6:] == ["-l", "root", "-p", "22", "--", "etcd1"]
    assert set(STRICT) <= set(options(argv))
    for keyword, value in {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "NoHostAuthenticationForLocalhost": "no",
        "VerifyHostKeyDNS": "no",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "UpdateHostKeys": "no",
        "Tunnel": "no",
        "RequestTTY": "no",
        "ClearAllForwardings": "yes",
        "PermitLocalCommand": "no",
        "ControlMaster": "yes",
        "ControlPath": '"/d/0"',
        "ControlPersist": "no",
        "ProxyJump": "none",
        "ProxyCommand": "none",
        "ConnectTimeout": "10",
    }.items():
        assert first(argv, keyword) == value
    assert not any(each.startswith(("IdentityFile", "UserKnownHostsFile")) for each in options(argv))


def test_what_the_inventory_says_comes_first() -> None:
    found = target(keys=(Path("/k y"),), own_keys=True, must_load=True, own_known_hosts=True)
    argv = master_argv("ssh", None, found, Path("/d/0"), "", 10)
    assert "-F" not in argv
    assert first(argv, "IdentityFile") == '"/k y"'
    assert first(argv, "IdentitiesOnly") == "yes"
    assert first(argv, "UserKnownHostsFile") == '"/kh"'
    assert first(argv, "GlobalKnownHostsFile") == "/dev/null"


def test_a_proxy_command_of_the_configuration_is_left_to_ssh() -> None:
    argv = master_argv("ssh", None, target(proxy_command="nc 10.0.0.1 22"), Path("/d/0"), "", 10)
    assert not any(each.startswith("Proxy") for each in options(argv))


def test_a_session_can_make_no_connection_of_its_own() -> None:
    argv = session_argv("ssh", target(), Path("/d/0"), "sudo", "-n", "sh")
    assert argv[:3] == ["ssh", "-F", "/dev/null"]
    assert first(argv, "ProxyCommand") == "exit 255"
    assert first(argv, "ControlMaster") == "no"
    assert argv[-5:] == ["--", "10.0.0.1", "sudo", "-n", "sh"]
    forward = session_argv("ssh", target(), Path("/d/0"), forward="10.0.0.9:22")
    assert forward[forward.index("-W") + 1] == "10.0.0.9:22"
    assert forward[-2:] == ["--", "10.0.0.1"]


def test_the_sockets_are_ours_alone_and_their_paths_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for base in (tmp_path, tmp_path / ("d" * 100)):
        base.mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(base))
        found = socket_directory()
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
        assert len(str(found)) < 90
        found.rmdir()


def test_without_a_client_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match="no `ssh` on this machine"):
        open_transport(Fleet("t", (Host("a", "b"),), SshSettings(client="openssh")))


def test_the_inventory_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = (Host("a", "b"),)
    assert isinstance(open_transport(Fleet("t", hosts)), SshTransport)
    if find_client():
        assert isinstance(open_transport(Fleet("t", hosts, SshSettings(client="openssh"))), OpenSshTransport)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("root@10.0.0.1: Permission denied (publickey).", LoginFailed, "did not let root in"),
        ("Received disconnect from x port 22:2: Too many authentication failures", LoginFailed, "Too many"),
        ("ssh: connect to host x port 22: Connection refused", Unreachable, "no sshd listens"),
        ("ssh: Could not resolve hostname x: Name or service not known", Unreachable, "the name is not known"),
        ("ssh: connect to host x port 22: No route to host", Unreachable, "no route"),
        ("Connection timed out during banner exchange", Unreachable, "sent nothing"),
        ("channel 0: open failed: connect failed: refused\nstdio forwarding failed", Unreachable, "the gateway could"),
        ("Host key verification failed.", HostKeyProblem, "is not accepted"),
        (
            "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa,ssh-dss",
            Unreachable,
            "no host key type in common; it offers ssh-rsa,ssh-dss",
        ),
        ("", Unreachable, "it said nothing"),
        ("kex_exchange_identification: read: Connection reset by peer", Unreachable, "Connection reset by peer"),
    ],
)
def test_what_ssh_says_is_told_by_kind(said: str, kind: type[RemoteError], words: str) -> None:
    error = explain(target(), said, 10)
    assert type(error) is kind
    assert words in error.message
    assert error.hint


def test_old_algorithms_are_named_with_the_line_to_write() -> None:
    said = "Unable to negotiate with 10.0.0.1 port 22: no matching {} found. Their offer: x-sha1"
    for what, option in {
        "host key type": "HostKeyAlgorithms",
        "key exchange method": "KexAlgorithms",
        "cipher": "Ciphers",
        "MAC": "MACs",
    }.items():
        assert f"`Host etcd1` and below it `{option} +x-sha1`" in str(explain(target(), said.format(what), 10).hint)


# --- against a real sshd


@pytest.fixture
def carrier(sshd: Sshd) -> Iterator[tuple[OpenSshTransport, Fleet]]:
    fleet = sshd.fleet()
    with OpenSshTransport(fleet, settings=Settings(fleet, config="none")) as found:
        yield found, fleet


@lab
@needs_client
def test_nothing_is_left_behind(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    with OpenSshTransport(fleet, settings=Settings(fleet, config="none")) as carrier:
        carrier.batch(fleet.hosts[0], [HELLO])
        directory = carrier._directory
        assert directory is not None and stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert running(str(directory))
    assert not directory.exists()
    assert running(str(directory)) == []


@lab
@needs_client
def test_the_connection_ends_with_us_even_if_we_are_killed(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from fleetrecover.model import *\n"
        "from fleetrecover.remote.openssh import OpenSshTransport\n"
        "from fleetrecover.remote.settings import Settings\n"
        f"ssh = SshSettings(user='root', port={sshd.port}, key=Path({str(sshd.login_key)!r}),"
        f" known_hosts=Path({str(fleet.ssh.known_hosts)!r}))\n"
        "fleet = Fleet('t', (Host('a', '127.0.0.1'),), ssh=ssh)\n"
        "t = OpenSshTransport(fleet, settings=Settings(fleet, config='none'))\n"
        "t.batch(fleet.hosts[0], [Command('c', 'echo')])\n"
        "print(t._directory, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        directory = process.stdout.readline().strip()
        assert directory and running(directory)
        process.kill()
    while running(directory):
        pass


@lab
@needs_client
def test_a_server_that_freezes_is_noticed(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = tuple(
        {"ServerAliveInterval=5": "ServerAliveInterval=1", "ServerAliveCountMax=6": "ServerAliveCountMax=2"}.get(o, o)
        for o in STRICT
    )
    monkeypatch.setattr("fleetrecover.remote.openssh.STRICT", quick)
    server = make_sshd()
    fleet = server.fleet()
    begun = tmp_path / "begun"

    def freeze() -> None:
        while not begun.exists():
            pass
        for pid in server.sessions():
            os.kill(pid, signal.SIGSTOP)

    with OpenSshTransport(fleet, settings=Settings(fleet, config="none")) as carrier:
        thread = threading.Thread(target=freeze)
        thread.start()
        with pytest.raises(OutcomeUnknown, match="the connection was lost while long was running"):
            carrier.batch(fleet.hosts[0], [Command("long", f"touch {begun}; sleep 30", timeout=600)])
        thread.join()
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"


@lab
@needs_client
def test_one_host_that_is_silent_holds_up_nobody(sshd: Sshd) -> None:
    fleet = sshd.fleet(names=("a", "b"), connect_timeout=2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = [*fleet.hosts, Host("silent", "127.0.0.1", port=server.getsockname()[1])]
        with OpenSshTransport(fleet, settings=Settings(fleet, config="none")) as carrier:
            outcome = fan_out(hosts, lambda host: carrier.batch(host, [HELLO])[0].text)
    assert isinstance(outcome.pop("silent"), Unreachable)
    assert outcome == dict.fromkeys("ab", "hello\n")


@lab
@needs_client
def test_known_hosts_that_cannot_be_read(sshd: Sshd, tmp_path: Path) -> None:
    fleet = sshd.fleet(known_hosts=tmp_path)
    with (
        OpenSshTransport(fleet, settings=Settings(fleet, config="none")) as carrier,
        pytest.raises(HostKeyProblem) as caught,
    ):
        carrier.batch(fleet.hosts[0], [HELLO])
    assert str(tmp_path) in caught.value.message


# --- servers of RKE1's years, played by this one with its algorithms cut down


OLD_66 = (
    "KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1",
    "Ciphers aes128-ctr,aes256-ctr",
    "MACs hmac-sha1",
    "HostKeyAlgorithms ssh-rsa",
    "PubkeyAcceptedAlgorithms ssh-rsa",
)
OLD_74 = (
    "KexAlgorithms curve25519-sha256@libssh.org,diffie-hellman-group14-sha1",
    "Ciphers aes128-ctr,aes128-gcm@openssh.com",
    "MACs hmac-sha2-256",
    "HostKeyAlgorithms rsa-sha2-512,ssh-rsa",
    "PubkeyAcceptedAlgorithms rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-ed25519",
)
ASKED_FOR = (
    "Host old\n HostName 127.0.0.1\n KexAlgorithms +diffie-hellman-group14-sha1\n HostKeyAlgorithms +ssh-rsa\n"
    " PubkeyAcceptedAlgorithms ssh-rsa\n"
)
"""With a server that is really so old, it would be `+ssh-rsa`: this one says that it takes SHA-2, whatever it is told."""


def old_server(make_sshd: Callable[..., Sshd], tmp_path: Path, lines: tuple[str, ...]) -> tuple[Sshd, Fleet]:
    host, login = make_key(tmp_path / "host", kind="rsa"), make_key(tmp_path / "login", kind="rsa")
    server = make_sshd(f"HostKey {host}", *lines)
    server.authorize(login)
    fleet = server.fleet(known=f"[127.0.0.1]:{server.port} {public(host)}\n", key=login)
    return server, Fleet("old", (Host("old", "old"),), fleet.ssh)


@lab
@needs_client
def test_openssh_6_6_by_ssh_itself(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    _, fleet = old_server(make_sshd, tmp_path, OLD_66)
    config = tmp_path / "config"
    config.write_text(ASKED_FOR)
    settings = Settings(fleet, config=str(config))
    with OpenSshTransport(fleet, settings=settings) as carrier:
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"
    # without the lines, each refusal names the next one to write
    config.write_text("Host old\n HostName 127.0.0.1\n")
    plain = Settings(fleet, config=str(config))
    with OpenSshTransport(fleet, settings=plain) as carrier, pytest.raises(Unreachable) as caught:
        carrier.batch(fleet.hosts[0], [HELLO])
    assert "KexAlgorithms +diffie-hellman-group14-sha1" in str(caught.value.hint)
    # and Paramiko says that it cannot, by name, and who can
    with SshTransport(fleet, settings=settings, bulk_client="") as ours, pytest.raises(Unreachable) as caught:
        ours.batch(fleet.hosts[0], [HELLO])
    assert "diffie-hellman-group14-sha1" in caught.value.message
    assert 'client = "openssh"' in str(caught.value.hint)
    assert "`KexAlgorithms +diffie-hellman-group14-sha1" in str(caught.value.hint)


AS_6_6_CAME = (
    "KexAlgorithms curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group-exchange-sha256,"
    "diffie-hellman-group14-sha1",
    "Ciphers aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com",
    "MACs hmac-md5,hmac-sha1,umac-64@openssh.com,hmac-sha2-256",
    "HostKeyAlgorithms ssh-rsa,ecdsa-sha2-nistp256,ssh-ed25519",
    "PubkeyAcceptedAlgorithms ssh-rsa,ecdsa-sha2-nistp256,ssh-ed25519",
)
AS_5_3_CAME = (
    "KexAlgorithms diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha1",
    "Ciphers aes128-ctr,aes256-ctr,aes128-cbc,3des-cbc",
    "MACs hmac-md5,hmac-sha1,hmac-sha1-96",
)


@lab
@needs_client
@pytest.mark.parametrize("lines", [AS_6_6_CAME, AS_5_3_CAME], ids=["6.6", "5.3, but for its keys"])
def test_what_the_library_still_speaks_with_old_servers(make_sshd: Callable[..., Sshd], lines: tuple[str, ...]) -> None:
    """As docs/ssh.md says: their key exchange, ciphers and MACs are spoken; with ed25519 keys all is well."""
    server = make_sshd(*lines)
    fleet = server.fleet()
    with SshTransport(fleet, settings=Settings(fleet, config="none"), bulk_client="") as carrier:
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"


@lab
@needs_client
def test_openssh_7_4_by_both(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    _, fleet = old_server(make_sshd, tmp_path, OLD_74)
    config = tmp_path / "config"
    config.write_text("Host old\n HostName 127.0.0.1\n")
    settings = Settings(fleet, config=str(config))
    for carrier in (SshTransport(fleet, settings=settings, bulk_client=""), OpenSshTransport(fleet, settings=settings)):
        with carrier:
            assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"
