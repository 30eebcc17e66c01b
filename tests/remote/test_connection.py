"""SshTransport and OpenSshTransport against a real sshd. What needs none (a port where nobody speaks SSH) is not `lab`."""

from __future__ import annotations

import io
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
import pytest

from fleetrecover import bounds
from fleetrecover.errors import (
    HostKeyProblem,
    LoginFailed,
    OutcomeUnknown,
    RemoteError,
    SudoFailed,
    SudoHangs,
    Unreachable,
)
from fleetrecover.model import Command, Fleet, Host, SshSettings
from fleetrecover.remote import SshTransport, fan_out
from fleetrecover.remote.carrier import Carrier
from fleetrecover.remote.openssh import OpenSshTransport
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings
from tests.remote.sshd import Sshd, free_port, make_key, public
from tests.remote.test_script import running

lab = pytest.mark.lab
HELLO = Command("hello", "echo hello")
NOBODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/yG6lfaxSS1TtIBJ5vY4RYUXPzTLUBdHG9hPlEVUSb"


_KIND = "paramiko"

PARAMIKO_ONLY = {
    "test_known_hosts_is_read_once_for_all_hosts": "ssh(1) reads its files itself",
    "test_a_host_known_by_a_certificate_authority_only": "ssh(1) can check certificates of hosts",
    "test_known_hosts_that_cannot_be_read": "ssh(1) takes it for a file without keys: see test_openssh",
    "test_a_key_that_cannot_be_used": "ssh(1) says no more than that it was not let in",
    "test_a_key_with_a_passphrase_comes_from_the_agent": "its second half wants another agent than the configuration's",
    "test_the_default_identities_are_tried_when_no_key_is_configured": "ssh(1) knows no other home than root's",
    "test_one_host_that_is_silent_holds_up_nobody": "see test_openssh",
    "test_a_server_that_freezes_is_noticed_long_before_the_commands_own_end": "ServerAliveInterval: see test_openssh",
    "test_nothing_global_is_changed": "of Paramiko's own",
    "test_nothing_secret_is_logged": "Paramiko's log",
}


@pytest.fixture(params=["paramiko", "openssh"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is for both ways of carrying commands: they are the same to whoever uses them."""
    if request.param == "openssh":
        if not find_client():
            pytest.skip("needs the ssh client")
        name = request.node.originalname
        if name in PARAMIKO_ONLY:
            pytest.skip(PARAMIKO_ONLY[name])
    monkeypatch.setattr("tests.remote.test_connection._KIND", request.param)


@contextmanager
def transport(fleet: Fleet, **options: object) -> Iterator[Carrier]:
    """A transport that reads nobody's ~/.ssh/config."""
    settings = Settings(fleet, config="none")
    carrier: Carrier
    if _KIND == "openssh":
        carrier = OpenSshTransport(fleet, settings=settings, **options)  # type: ignore[arg-type]
    else:
        carrier = SshTransport(fleet, settings=settings, bulk_client="", **options)  # type: ignore[arg-type]
    try:
        yield carrier
    finally:
        carrier.close()


def ask(fleet: Fleet, *commands: Command) -> list[str]:
    with transport(fleet) as carrier:
        return [result.text for result in carrier.batch(fleet.hosts[0], commands or [HELLO])]


def refusal(fleet: Fleet, kind: type[RemoteError]) -> RemoteError:
    """Return the error that the first host gives; it has to be of that kind, name the host, and say what to do."""
    with transport(fleet) as carrier, pytest.raises(RemoteError) as caught:
        carrier.batch(fleet.hosts[0], [HELLO])
    assert type(caught.value) is kind, caught.value.message
    assert caught.value.host == fleet.hosts[0].name
    assert caught.value.hint
    return caught.value


@lab
def test_a_batch(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        results = carrier.batch(
            fleet.hosts[0], [HELLO, Command("fails", "echo oops >&2; exit 3"), Command("id", "id -u")]
        )
        assert [(r.exit_code, r.text, r.error_text) for r in results] == [
            (0, "hello\n", ""),
            (3, "", "oops"),
            (0, "0\n", ""),
        ]
        assert [r.ok for r in results] == [True, False, True]
        assert carrier.batch(fleet.hosts[0], []) == []


@lab
def test_one_connection_serves_many_batches(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        ports = [carrier.batch(fleet.hosts[0], [Command("c", "echo $SSH_CONNECTION")])[0].text for _ in range(3)]
    assert len(set(ports)) == 1


@lab
def test_large_binary_output(sshd: Sshd, tmp_path: Path) -> None:
    payload = os.urandom(1 << 20) * 64
    (tmp_path / "segment.wal").write_bytes(payload)
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        wal, after = carrier.batch(
            fleet.hosts[0], [Command("wal", f"cat {tmp_path}/segment.wal", timeout=120, most=bounds.GIB), HELLO]
        )
    assert wal.stdout == payload
    assert after.text == "hello\n"


@lab
def test_a_long_script(sshd: Sshd) -> None:
    """More than the server's window holds: sending and receiving go on together."""
    assert ask(sshd.fleet(), Command("long", f": {'x' * 5_000_000}\necho {'y' * 1000}"))[0] == "y" * 1000 + "\n"


# --- host keys


@lab
@pytest.mark.parametrize("form", ["bracketed", "bare", "hashed", "wildcard", "second of two", "another kind first"])
def test_a_known_key_is_accepted(sshd: Sshd, tmp_path: Path, form: str) -> None:
    right = sshd.known_line()
    known = {
        "bracketed": right,
        "bare": sshd.known_line("127.0.0.1"),
        "hashed": right,
        "wildcard": sshd.known_line("[127.0.0.*]:*"),
        "second of two": f"[127.0.0.1]:{sshd.port} {NOBODY}\n{right}",
        "another kind first": f"[127.0.0.1]:{sshd.port} {public(make_key(tmp_path / 'e', kind='ecdsa'))}\n{right}",
    }[form]
    fleet = sshd.fleet(known=known)
    if form == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(fleet.ssh.known_hosts)], check=True, capture_output=True)
    assert ask(fleet) == ["hello\n"]


@lab
def test_the_kind_of_key_that_is_known_is_asked_for(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    """The server has two keys, and only the one that it would not offer first is known."""
    rsa = make_key(tmp_path / "rsa", kind="rsa")
    server = make_sshd(f"HostKey {rsa}")
    assert ask(server.fleet(known=f"[127.0.0.1]:{server.port} {public(rsa)}\n")) == ["hello\n"]
    assert ask(server.fleet()) == ["hello\n"]


@lab
def test_an_unknown_key(sshd: Sshd) -> None:
    error = refusal(sshd.fleet(known=""), HostKeyProblem)
    assert "SHA256:" in error.message
    assert "is not in" in error.message
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in str(error.hint)


@lab
def test_a_changed_key(sshd: Sshd) -> None:
    error = refusal(sshd.fleet(known=f"[127.0.0.1]:{sshd.port} {NOBODY}\n"), HostKeyProblem)
    assert "has changed" in error.message
    assert error.message.count("SHA256:") == 2
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in str(error.hint)


@lab
def test_a_revoked_key(sshd: Sshd) -> None:
    error = refusal(sshd.fleet(known=f"{sshd.known_line()}@revoked * {public(sshd.host_key)}\n"), HostKeyProblem)
    assert "is revoked" in error.message
    assert "line 2" in error.message


@lab
def test_a_host_known_by_a_certificate_authority_only(sshd: Sshd) -> None:
    error = refusal(sshd.fleet(known=f"@cert-authority * {public(sshd.host_key)}\n"), HostKeyProblem)
    assert "certificates of hosts cannot be checked here" in error.message


@lab
def test_nothing_is_ever_added_to_known_hosts(sshd: Sshd) -> None:
    fleet = sshd.fleet(known="")
    refusal(fleet, HostKeyProblem)
    assert fleet.ssh.known_hosts is not None and fleet.ssh.known_hosts.read_text() == ""


@lab
def test_known_hosts_that_cannot_be_read(sshd: Sshd, tmp_path: Path) -> None:
    assert "cannot be read" in refusal(sshd.fleet(known_hosts=tmp_path), HostKeyProblem).message


@lab
def test_known_hosts_is_read_once_for_all_hosts(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = sshd.fleet(names=("a", "b", "c"))
    reads: list[Path] = []
    original = Path.read_bytes

    def counting(path: Path) -> bytes:
        reads.append(path)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", counting)
    with transport(fleet) as carrier:
        fan_out(fleet.hosts, lambda host: carrier.batch(host, [HELLO]))
    assert reads.count(fleet.ssh.known_hosts) == 1  # type: ignore[arg-type]
    assert reads.count(sshd.login_key) == 1


# --- logging in


@lab
def test_a_wrong_user(sshd: Sshd) -> None:
    error = refusal(sshd.fleet(user="nobody-of-that-name"), LoginFailed)
    assert "nobody-of-that-name" in error.message
    assert str(sshd.login_key) in error.message


@lab
def test_a_wrong_key(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "other")
    assert str(key) in refusal(sshd.fleet(key=key), LoginFailed).message


@lab
@pytest.mark.parametrize("what", ["missing", "passphrase", "garbage"])
def test_a_key_that_cannot_be_used(sshd: Sshd, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = tmp_path / "key"
    if what == "passphrase":
        make_key(key, passphrase="secret")
    elif what == "garbage":
        key.write_text("this is no key")
    error = refusal(sshd.fleet(key=key), LoginFailed)
    assert f"the private key {key} cannot be used" in error.message


@lab
def test_a_key_with_a_passphrase_comes_from_the_agent(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_sshd()
    key = make_key(tmp_path / "key")
    server.authorize(key)
    with agent(tmp_path, key, monkeypatch):
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)], check=True)
        assert ask(server.fleet(key=key)) == ["hello\n"]
        # With no key configured the agent's keys are tried, as ssh does.
        assert ask(server.fleet(key=None)) == ["hello\n"]


@contextmanager
def agent(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL) as process:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        monkeypatch.setenv("HOME", str(tmp_path))
        while not path.exists():
            assert process.poll() is None
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        try:
            yield
        finally:
            process.terminate()


@lab
def test_the_default_identities_are_tried_when_no_key_is_configured(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetrecover.remote.tokens.home", lambda: tmp_path)  # as ssh: not $HOME
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    assert "no key at all" in refusal(sshd.fleet(key=None), LoginFailed).message
    shutil.copy(sshd.login_key, tmp_path / ".ssh" / "id_ed25519")
    assert ask(sshd.fleet(key=None)) == ["hello\n"]


@lab
def test_a_server_that_wants_a_password(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd("AuthenticationMethods password", "PasswordAuthentication yes", "PermitRootLogin yes")
    assert "password" in refusal(server.fleet(), LoginFailed).message


@lab
def test_a_user_without_a_shell(sshd: Sshd, no_shell_user: str) -> None:
    assert "did not start `sh`" in refusal(sshd.fleet(user=no_shell_user), LoginFailed).message


@lab
def test_sudo_that_is_refused(sshd: Sshd, plain_user: str) -> None:
    error = refusal(sshd.fleet(user=plain_user, sudo=True), SudoFailed)
    assert plain_user in error.message
    assert f"{plain_user} ALL=(root) NOPASSWD: ALL" in str(error.hint)


@lab
def test_sudo_that_is_granted(sshd: Sshd, plain_user: str) -> None:
    rules = Path(f"/etc/sudoers.d/{plain_user}")
    if not rules.parent.exists():
        pytest.skip("there is no sudo")
    rules.write_text(f"{plain_user} ALL=(root) NOPASSWD: ALL\n")
    try:
        for plain in (True, False):
            fleet = sshd.fleet(user=plain_user, sudo=plain)
            wanted = "0\n" if plain else f"{shell_id(plain_user)}\n"
            assert ask(fleet, Command("id", "id -u"), Command("slow", "sleep 4721", timeout=1))[0] == wanted
            assert running("sleep 4721") == []
    finally:
        rules.unlink()


def shell_id(user: str) -> str:
    return subprocess.run(["id", "-u", user], capture_output=True, text=True, check=True).stdout.strip()


# --- unreachable


def nowhere(port: int, address: str = "127.0.0.1", timeout: float = 1.0) -> Fleet:
    ssh = SshSettings(user="root", port=port, known_hosts=Path("/nonexistent"), connect_timeout=timeout)
    return Fleet("test", (Host("etcd1", address),), ssh=ssh)


def test_nobody_listens() -> None:
    assert "refused the connection" in refusal(nowhere(free_port()), Unreachable).message


def test_a_name_that_does_not_exist() -> None:
    error = refusal(nowhere(22, "no-such-host.invalid", timeout=30), Unreachable)
    assert "no-such-host.invalid" in error.message


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-Silent\r\n", b"SSH-2.0-"])
def test_a_server_that_accepts_and_says_nothing(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with socket_from(server) as sock:
                sock.sendall(greeting)
                sock.settimeout(60)
                while sock.recv(4096):
                    pass

        threading.Thread(target=accept, daemon=True).start()
        error = refusal(nowhere(server.getsockname()[1]), Unreachable)
    assert "accepted the connection, but sent nothing" in error.message


@contextmanager
def socket_from(server: socket.socket) -> Iterator[socket.socket]:
    sock, _ = server.accept()
    with sock, suppress(OSError):
        yield sock


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_hangs_up(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with socket_from(server) as sock:
                sock.sendall(greeting)

        threading.Thread(target=accept, daemon=True).start()
        refusal(nowhere(server.getsockname()[1], timeout=5), Unreachable)


@lab
def test_one_host_that_is_silent_holds_up_nobody(sshd: Sshd) -> None:
    fleet = sshd.fleet(names=("a", "b", "c"), connect_timeout=2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = [*fleet.hosts, Host("silent", "127.0.0.1", port=server.getsockname()[1])]
        with transport(fleet) as carrier:
            outcome = fan_out(hosts, lambda host: carrier.batch(host, [HELLO])[0].text)
    assert isinstance(outcome.pop("silent"), Unreachable)
    assert outcome == dict.fromkeys("abc", "hello\n")


# --- what happens in the middle


@lab
def test_a_connection_that_is_cut_in_the_middle(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    server = make_sshd()
    fleet = server.fleet()
    begun = tmp_path / "begun"
    commands = [
        HELLO,
        Command("slow", f"touch {begun}; secret=hunter2; sleep 4722", shown="sleep ***", timeout=2),
        Command("never", f"touch {tmp_path}/after"),
    ]

    def cut() -> None:
        while not begun.exists():
            pass
        server.cut()

    with transport(fleet) as carrier:
        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(OutcomeUnknown) as caught:
            carrier.batch(fleet.hosts[0], commands)
        thread.join()
        assert "while slow (sleep ***) was running" in caught.value.message
        assert "hunter2" not in caught.value.message + str(caught.value.hint)
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"
    # The alarm on the node goes on without us, and what comes after a lost separator is not begun.
    while running("sleep 4722"):
        pass
    assert not (tmp_path / "after").exists()


@lab
def test_a_long_batch_holds_up_no_other(sshd: Sshd, tmp_path: Path) -> None:
    """A sign of life must go through while a copy takes an hour; it is given a connection of its own."""
    fleet = sshd.fleet()
    end = tmp_path / "end"
    with transport(fleet) as carrier:
        begun = tmp_path / "begun"
        long = Command("long", f"touch {begun}; until [ -e {end} ]; do sleep 0.05; done", timeout=60)
        thread = threading.Thread(target=carrier.batch, args=(fleet.hosts[0], [long]))
        thread.start()
        while not begun.exists():
            pass
        assert carrier.batch(fleet.hosts[0], [HELLO, Command("end", f"touch {end}")])[0].text == "hello\n"
        thread.join(30)
        assert not thread.is_alive()


@lab
def test_a_server_that_freezes_is_noticed_long_before_the_commands_own_end(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel goes on acknowledging, so TCP notices nothing; the same with a gateway that hangs."""
    monkeypatch.setattr("fleetrecover.limits.KEEPALIVE", 0.5)
    monkeypatch.setattr("fleetrecover.limits.NO_SIGN", 3.0)
    server = make_sshd()
    fleet = server.fleet()
    begun = tmp_path / "begun"

    def freeze() -> None:
        while not begun.exists():
            pass
        for pid in server.sessions():
            os.kill(pid, signal.SIGSTOP)

    with transport(fleet) as carrier:
        quiet = Command("quiet", "sleep 5", timeout=60)
        assert carrier.batch(fleet.hosts[0], [quiet])[0].ok, "a server that lives may be silent for as long as it likes"
        thread = threading.Thread(target=freeze)
        thread.start()
        with pytest.raises(OutcomeUnknown) as caught:
            carrier.batch(fleet.hosts[0], [Command("long", f"touch {begun}; sleep 30", timeout=600)])
        thread.join()
        assert "no sign of life came for 3 s while long" in caught.value.message
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"


@lab
def test_a_connection_that_died_between_batches_is_made_anew(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd()
    fleet = server.fleet()
    with transport(fleet) as carrier:
        for _ in range(3):
            assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"
            server.cut()


@lab
def test_a_server_that_is_gone_between_batches(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd()
    fleet = server.fleet()
    with transport(fleet) as carrier:
        carrier.batch(fleet.hosts[0], [HELLO])
        server.stop()
        with pytest.raises(Unreachable):
            carrier.batch(fleet.hosts[0], [HELLO])


@lab
def test_closing_ends_a_batch_that_is_under_way(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    caught: list[BaseException] = []
    with transport(fleet) as carrier:
        carrier.batch(fleet.hosts[0], [HELLO])

        def work() -> None:
            try:
                carrier.batch(fleet.hosts[0], [Command("slow", "sleep 4723", timeout=2)])
            except RemoteError as error:
                caught.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        while not running("sleep 4723"):
            pass
        carrier.close()
        thread.join(30)
        carrier.close()
    assert [type(error) for error in caught] == [OutcomeUnknown]
    while running("sleep 4723"):  # the node's own alarm ends it
        pass


@lab
def test_timeouts_on_the_node(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        slow, after = carrier.batch(
            fleet.hosts[0], [Command("slow", "echo begun; sleep 4724 & sleep 4724; echo never", timeout=1), HELLO]
        )
    assert (slow.exit_code, slow.text, slow.ok) == (124, "begun\n", False)
    assert after.text == "hello\n"
    assert running("sleep 4724") == []


@lab
def test_secrets_are_on_no_command_line(sshd: Sshd, tmp_path: Path) -> None:
    fleet = sshd.fleet()
    seen: list[str] = []
    go, begun = tmp_path / "go", tmp_path / "begun"
    word = "hunter2-over-ssh"

    def look() -> None:
        while not begun.exists():
            seen.extend(running(word))
        seen.extend(running(word))
        go.touch()

    wait = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done"
    thread = threading.Thread(target=look)
    thread.start()
    with transport(fleet) as carrier:
        command = Command("secret", f"p={word}; {wait}; cat; echo $p")
        assert carrier.upload(fleet.hosts[0], command, io.BytesIO(b"data-")).text == f"data-{word}\n"
    thread.join()
    assert seen == []


@lab
def test_a_sudo_that_never_comes_back(
    make_sshd: Callable[..., Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said that sudo is waited for, and how to look at it."""
    monkeypatch.setattr("fleetrecover.limits.SILENCE", 1.0)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sudo").write_text("#!/bin/sh\nexec sleep 30\n")
    (tools / "sudo").chmod(0o755)
    server = make_sshd(f"SetEnv PATH={tools}:/usr/bin:/bin")
    error = refusal(server.fleet(sudo=True, connect_timeout=1.0), SudoHangs)
    assert "for `sudo -n sh` to start for root" in error.message
    assert "sudo -n true" in str(error.hint)


@lab
def test_with_max_sessions_1(make_sshd: Callable[..., Sshd]) -> None:
    server = make_sshd("MaxSessions 1")
    fleet = server.fleet()
    with transport(fleet) as carrier:
        for _ in range(20):
            assert carrier.batch(fleet.hosts[0], [HELLO])[0].text == "hello\n"
        # Threads that want the same host take turns.
        outcome: list[str] = []
        threads = [
            threading.Thread(target=lambda: outcome.append(carrier.batch(fleet.hosts[0], [HELLO])[0].text))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcome == ["hello\n"] * 5


@lab
def test_a_server_that_starts_no_commands(make_sshd: Callable[..., Sshd]) -> None:
    slept: list[float] = []
    fleet = make_sshd("MaxSessions 0").fleet()
    with (
        transport(fleet, sleep=slept.append) as carrier,
        pytest.raises(Unreachable, match="refused to start a command"),
    ):
        carrier.batch(fleet.hosts[0], [HELLO])
    assert slept == sorted(slept) and slept


@lab
@pytest.mark.parametrize("sudo", [False, True])
def test_a_forced_command(make_sshd: Callable[..., Sshd], sudo: bool) -> None:
    """It must not be taken for a shell that ran something."""
    fleet = make_sshd("ForceCommand echo no shell for you").fleet(sudo=sudo)
    error = refusal(fleet, SudoFailed if sudo else LoginFailed)
    assert "no shell for you" in error.message


# --- streams


@lab
def test_upload_and_download(sshd: Sshd, tmp_path: Path) -> None:
    payload = os.urandom(3_000_001)
    fleet = sshd.fleet()
    sent: list[int] = []
    got: list[int] = []
    sink = io.BytesIO()
    with transport(fleet) as carrier:
        put = Command("put", f"cat >{tmp_path}/file && wc -c <{tmp_path}/file")
        assert carrier.upload(fleet.hosts[0], put, io.BytesIO(payload), sent.append).text.strip() == "3000001"
        result = carrier.download(fleet.hosts[0], Command("get", f"cat {tmp_path}/file; exit 7"), sink, got.append)
    assert (tmp_path / "file").read_bytes() == payload == sink.getvalue()
    assert (result.exit_code, result.stdout) == (7, b"")
    for progress in (sent, got):
        assert progress == sorted(progress)
        assert progress[-1] == len(payload)


@lab
def test_an_upload_that_the_command_does_not_read(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        result = carrier.upload(
            fleet.hosts[0], Command("put", "echo disk full >&2; exit 1"), io.BytesIO(bytes(9_000_000))
        )
        assert (result.exit_code, result.error_text) == (1, "disk full")
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].ok


@lab
def test_a_source_that_fails_drops_the_connection(sshd: Sshd) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the disk here is broken")

    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        with pytest.raises(OSError, match="the disk here is broken"):
            carrier.upload(fleet.hosts[0], Command("put", "cat"), Broken())  # type: ignore[arg-type]
        assert carrier.batch(fleet.hosts[0], [HELLO])[0].ok


# --- gateways


@lab
@pytest.mark.parametrize("per_host", [False, True])
def test_through_a_gateway(make_sshd: Callable[..., Sshd], per_host: bool) -> None:
    gateway, node = make_sshd(), make_sshd()
    # The gateway has a login of its own; both keys are good for it.
    gateway.authorize(node.login_key)
    spec = f"root@127.0.0.1:{gateway.port}"
    fleet = node.fleet(known=node.known_line() + gateway.known_line(), gateway=None if per_host else spec)
    host = Host("etcd1", "127.0.0.1", gateway=spec if per_host else None)
    with transport(fleet) as carrier:
        assert carrier.batch(host, [Command("c", "echo ${SSH_CONNECTION##* }")])[0].text == f"{node.port}\n"
        assert len(gateway.sessions()) == 1
        # When the gateway dies, both connections are made anew.
        gateway.cut()
        assert carrier.batch(host, [HELLO])[0].text == "hello\n"


@lab
def test_hosts_share_the_connection_to_the_gateway(make_sshd: Callable[..., Sshd]) -> None:
    gateway, node = make_sshd(), make_sshd()
    gateway.authorize(node.login_key)
    names = ("a", "b", "c", "d")
    spec = f"root@127.0.0.1:{gateway.port}"
    fleet = node.fleet(known=node.known_line() + gateway.known_line(), gateway=spec, names=names)
    with transport(fleet) as carrier:
        outcome = fan_out(fleet.hosts, lambda host: carrier.batch(host, [HELLO])[0].text)
        assert outcome == dict.fromkeys(names, "hello\n")
        assert len(gateway.sessions()) == 1
        assert len(node.sessions()) == len(names)


@lab
@pytest.mark.parametrize("bad", ["gateway", "node"])
def test_the_gateways_host_key_is_checked_as_strictly(make_sshd: Callable[..., Sshd], bad: str) -> None:
    gateway, node = make_sshd(), make_sshd()
    gateway.authorize(node.login_key)
    known = node.known_line() if bad == "gateway" else gateway.known_line()
    fleet = node.fleet(known=known, gateway=f"root@127.0.0.1:{gateway.port}")
    error = refusal(fleet, HostKeyProblem)
    assert ("its gateway 127.0.0.1: " in error.message) is (bad == "gateway")


@lab
def test_a_gateway_that_is_down_or_forbids_forwarding(make_sshd: Callable[..., Sshd]) -> None:
    gateway, node = make_sshd("AllowTcpForwarding no"), make_sshd()
    gateway.authorize(node.login_key)
    known = node.known_line() + gateway.known_line()
    forbidden = refusal(node.fleet(known=known, gateway=f"root@127.0.0.1:{gateway.port}"), Unreachable)
    assert "the gateway could not reach 127.0.0.1" in forbidden.message
    down = refusal(node.fleet(known=known, gateway=f"root@127.0.0.1:{free_port()}"), Unreachable)
    assert "its gateway 127.0.0.1: " in down.message


@lab
def test_a_host_that_is_silent_behind_the_gateway(make_sshd: Callable[..., Sshd]) -> None:
    gateway = make_sshd()
    with socket.create_server(("127.0.0.1", 0)) as server:
        fleet = gateway.fleet(
            port=server.getsockname()[1],
            gateway=f"root@127.0.0.1:{gateway.port}",
            connect_timeout=2.0,
        )
        refusal(fleet, Unreachable)


# --- manners


@lab
def test_our_standard_input_is_not_read(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fleetrecover.model import *\n"
        "from fleetrecover.remote import SshTransport\n"
        f"ssh = SshSettings(user='root', port={sshd.port}, key=Path({str(sshd.login_key)!r}),"
        f" known_hosts=Path({str(fleet.ssh.known_hosts)!r}))\n"
        "fleet = Fleet('t', (Host('a', '127.0.0.1'),), ssh=ssh)\n"
        "with SshTransport(fleet) as t:\n"
        "    print(t.batch(fleet.hosts[0], [Command('c', 'cat; echo ran')])[0].text, end='')\n"
        "print(sys.stdin.read(), end='')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], input="for the caller\n", capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "ran\nfor the caller\n"
    assert result.stderr == ""


@lab
def test_nothing_global_is_changed(sshd: Sshd) -> None:
    before = (paramiko.packet.Packetizer.REKEY_BYTES, paramiko.Transport._preferred_ciphers)
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        carrier.batch(fleet.hosts[0], [HELLO])
    assert (paramiko.packet.Packetizer.REKEY_BYTES, paramiko.Transport._preferred_ciphers) == before


@lab
def test_nothing_secret_is_logged(sshd: Sshd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fleet = sshd.fleet()
    with transport(fleet) as carrier:
        carrier.batch(fleet.hosts[0], [Command("c", ": hunter2-in-the-log")])
    assert caplog.records
    assert "hunter2-in-the-log" not in caplog.text
    assert sshd.login_key.read_text().splitlines()[1] not in caplog.text
