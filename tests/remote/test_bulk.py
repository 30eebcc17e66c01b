from __future__ import annotations

import hashlib
import io
import os
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import bounds
from fleetrecover.errors import CommandFailed, HostKeyProblem, LoginFailed, OutcomeUnknown, SudoFailed, Unreachable
from fleetrecover.model import Command, Fleet, Host
from fleetrecover.remote import SshTransport
from fleetrecover.remote.bulk import SMALL, BulkUnavailable, ProcessWire, RelayPipe, client_argv
from fleetrecover.remote.openssh import OpenSshTransport
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings, Target
from tests.remote.sshd import Sshd
from tests.remote.test_script import running

lab = pytest.mark.lab
needs_client = pytest.mark.skipif(not find_client(), reason="needs the ssh client")
PAYLOAD = os.urandom(1 << 20) * 12
HASH = hashlib.sha256(PAYLOAD).hexdigest()


@contextmanager
def transport(fleet: Fleet, client: str | None = None) -> Iterator[Any]:
    """What carries bulk data: Paramiko with a client beside it, without one (""), or ssh(1) for everything ("openssh")."""
    settings = Settings(fleet, config="none")
    if client == "openssh":
        with OpenSshTransport(fleet, settings=settings) as whole:
            yield whole
        return
    with SshTransport(fleet, settings=settings, bulk_client=client) as carrier:
        yield carrier


def target(**values: object) -> Target:
    defaults: dict[str, object] = {
        "label": "etcd1",
        "address": "10.0.0.1",
        "port": 22,
        "user": "root",
        "known_as": "10.0.0.1",
        "known_hosts": (Path("/kh"),),
    }
    return Target(**{**defaults, **values})  # type: ignore[arg-type]


def options(argv: list[str]) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == "-o"]


def test_the_command_line_is_strict_and_its_own() -> None:
    argv = client_argv("ssh", target(keys=(Path("/k"),), only_keys=True), 10, "sudo", "-n", "sh")
    assert argv[:3] == ["ssh", "-F", "/dev/null"]
    assert argv[-5:] == ["--", "10.0.0.1", "sudo", "-n", "sh"]
    assert {
        "StrictHostKeyChecking=yes",
        'UserKnownHostsFile="/kh"',
        "GlobalKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "PasswordAuthentication=no",
        "ForwardAgent=no",
        "ControlPath=none",
        'IdentityFile="/k"',
        "IdentitiesOnly=yes",
        "ConnectTimeout=10",
    } <= set(options(argv))
    assert next(o for o in options(argv) if o.startswith("Ciphers=")).startswith("Ciphers=aes128-gcm@openssh.com,")


def test_every_gateway_in_a_chain_is_as_strict() -> None:
    first = target(label="gateway one", address="one", known_as="one", port=2201)
    second = target(label="gateway two", address="two", known_as="alias", gateway=first)
    argv = client_argv("ssh", target(gateway=second, address="fd00::1"), 10, "sh")
    for host, forward in (("two", "[fd00::1]:22"), ("one", "two:22")):
        proxy = next(o for o in options(argv) if o.startswith("ProxyCommand="))
        argv = shlex.split(proxy.removeprefix("ProxyCommand=").replace("%%", "%"))
        assert argv[argv.index("-W") + 1] == forward
        assert argv[-2:] == ["--", host]
        assert "StrictHostKeyChecking=yes" in options(argv)
        assert 'UserKnownHostsFile="/kh"' in options(argv)
    assert not any(o.startswith("ProxyCommand=") for o in options(argv))


def test_percent_signs_and_spaces_in_paths_are_literal() -> None:
    argv = client_argv("ssh", target(known_hosts=(Path("/a b/%h"), Path("/c"))), 10, "sh")
    assert 'UserKnownHostsFile="/a b/%%h" "/c"' in options(argv)


def test_without_known_hosts_nothing_is_trusted() -> None:
    assert "UserKnownHostsFile=/dev/null" in options(client_argv("ssh", target(known_hosts=()), 10, "sh"))


def test_a_client_that_cannot_start() -> None:
    with pytest.raises(BulkUnavailable):
        ProcessWire(["/nonexistent/ssh"], 5)


@pytest.mark.parametrize("script", ["echo no route >&2; exit 255", "exec sleep 4731"])
def test_a_client_that_does_not_come_up(script: str) -> None:
    with pytest.raises(BulkUnavailable):
        ProcessWire(["sh", "-c", script], 0.5)
    assert running("sleep 4731") == []


def test_a_client_whose_login_prints_for_ever_is_left_before_its_time_is_over() -> None:
    """Its memory is ours: a minute of it would be gigabytes."""
    with pytest.raises(BulkUnavailable, match="its login printed more than"):
        ProcessWire(["sh", "-c", "exec yes welcome"], 3600)
    assert running("yes welcome") == []


@lab
@needs_client
@pytest.mark.parametrize("client", [None, "", "openssh"])
def test_up_and_down(sshd: Sshd, tmp_path: Path, client: str | None) -> None:
    fleet = sshd.fleet()
    sink, sent, got = io.BytesIO(), [0], [0]
    assert len(PAYLOAD) >= SMALL
    with transport(fleet, client) as carrier:
        put = Command("put", f"cat >{tmp_path}/f; sha256sum <{tmp_path}/f")
        assert carrier.upload(fleet.hosts[0], put, io.BytesIO(PAYLOAD), sent.append).text.split()[0] == HASH
        result = carrier.download(
            fleet.hosts[0], Command("get", f"cat {tmp_path}/f; echo x >&2; exit 7", most=bounds.GIB), sink, got.append
        )
    assert sink.getvalue() == PAYLOAD
    assert (result.exit_code, result.stderr) == (7, b"x\n")
    assert sent[-1] == got[-1] == len(PAYLOAD)
    assert sent == sorted(sent) and got == sorted(got)


@lab
@needs_client
def test_through_a_gateway(make_sshd: Callable[..., Sshd]) -> None:
    gateway, node = make_sshd(), make_sshd()
    gateway.authorize(node.login_key)
    known = node.known_line() + gateway.known_line()
    fleet = node.fleet(known=known, gateway=f"root@127.0.0.1:{gateway.port}")
    # Only the client can have done it: there is no Paramiko connection.
    with transport(fleet) as carrier:
        sink = io.BytesIO()
        carrier.download(fleet.hosts[0], Command("get", "echo ${SSH_CONNECTION##* }"), sink)
        assert carrier._links == {}
    assert sink.getvalue() == f"{node.port}\n".encode()


@lab
@needs_client
@pytest.mark.parametrize("bad", ["gateway", "node"])
def test_an_unknown_host_key_anywhere_is_refused(make_sshd: Callable[..., Sshd], bad: str) -> None:
    gateway, node = make_sshd(), make_sshd()
    gateway.authorize(node.login_key)
    known = node.known_line() if bad == "gateway" else gateway.known_line()
    fleet = node.fleet(known=known, gateway=f"root@127.0.0.1:{gateway.port}")
    with transport(fleet) as carrier, pytest.raises(HostKeyProblem):
        carrier.download(fleet.hosts[0], Command("get", "echo never"), io.BytesIO())


@lab
@needs_client
def test_the_reason_is_said_as_precisely_as_without_the_client(sshd: Sshd, plain_user: str) -> None:
    cases: list[tuple[dict[str, object], type[Exception]]] = [
        ({"user": "nobody-of-that-name"}, LoginFailed),
        ({"user": plain_user, "sudo": True}, SudoFailed),
        ({"port": 1}, Unreachable),
    ]
    for settings, kind in cases:
        fleet = sshd.fleet(**settings)  # type: ignore[arg-type]
        with transport(fleet) as carrier, pytest.raises(kind):
            carrier.download(fleet.hosts[0], Command("get", "echo never"), io.BytesIO())


@lab
def test_a_client_that_fails_is_replaced(sshd: Sshd) -> None:
    fleet = sshd.fleet()
    sink = io.BytesIO()
    with transport(fleet, shutil.which("false")) as carrier:
        assert carrier.download(fleet.hosts[0], Command("get", "echo there"), sink).ok
    assert sink.getvalue() == b"there\n"


@lab
@needs_client
@pytest.mark.parametrize("client", [None, "openssh"])
def test_a_cut_in_the_middle_is_an_unknown_outcome_and_not_tried_again(
    make_sshd: Callable[..., Sshd], tmp_path: Path, client: str | None
) -> None:
    server = make_sshd()
    fleet = server.fleet()
    count = tmp_path / "count"

    def cut() -> None:
        while not count.exists():
            pass
        server.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    with transport(fleet, client) as carrier, pytest.raises(OutcomeUnknown, match="while get was running"):
        carrier.download(fleet.hosts[0], Command("get", f"echo once >>{count}; sleep 4732", timeout=2), io.BytesIO())
    thread.join()
    assert count.read_text() == "once\n"
    while running("sleep 4732"):
        pass


@lab
@needs_client
@pytest.mark.parametrize("client", [None, "openssh"])
def test_a_sink_that_fails_ends_the_client(sshd: Sshd, client: str | None) -> None:
    class Full(io.RawIOBase):
        def write(self, data: object) -> int:
            raise OSError("no space left")

    fleet = sshd.fleet()
    with transport(fleet, client) as carrier, pytest.raises(OSError, match="no space left"):
        carrier.download(fleet.hosts[0], Command("get", "cat /dev/zero", timeout=60), Full())
    assert running(f"-p {sshd.port} -l root") == []


# --- relay


@lab
@pytest.mark.parametrize("client", [pytest.param(None, marks=needs_client), "", "openssh"])
def test_relay(make_sshd: Callable[..., Sshd], tmp_path: Path, client: str | None) -> None:
    one, two = make_sshd(), make_sshd()
    two.authorize(one.login_key)
    fleet = one.fleet(known=one.known_line() + two.known_line())
    other = Host("etcd2", "127.0.0.1", port=two.port)
    (tmp_path / "db").write_bytes(PAYLOAD)
    progress: list[int] = []
    with transport(fleet, client) as carrier:
        read, written = carrier.relay(
            fleet.hosts[0],
            Command("read", f"cat {tmp_path}/db", most=bounds.GIB),
            other,
            Command("write", f"cat >{tmp_path}/copy; sha256sum <{tmp_path}/copy"),
            progress.append,
        )
    assert read.ok
    assert written.text.split()[0] == HASH
    assert progress[-1] == len(PAYLOAD)


@lab
@pytest.mark.parametrize("client", [pytest.param(None, marks=needs_client), "", "openssh"])
@pytest.mark.parametrize(
    ("read", "write", "host", "said"),
    [
        ("cat /nonexistent", "cat >/dev/null", "etcd1", "read failed with exit code 1"),
        ("head -c 20000000 /dev/zero; exit 3", "cat >/dev/null", "etcd1", "read failed with exit code 3"),
        ("head -c 50000000 /dev/zero", "echo disk full >&2; exit 1", "etcd2", "disk full"),
        ("head -c 50000000 /dev/zero", "head -c 10", "etcd2", "ended before it had read all"),
    ],
)
def test_a_relay_of_which_one_side_fails(
    sshd: Sshd, *, client: str | None, read: str, write: str, host: str, said: str
) -> None:
    fleet = sshd.fleet(names=("etcd1", "etcd2"))
    with transport(fleet, client) as carrier, pytest.raises(CommandFailed, match=said) as caught:
        carrier.relay(fleet.hosts[0], Command("read", read, most=bounds.GIB), fleet.hosts[1], Command("write", write))
    assert caught.value.host == host


def test_a_broken_source_is_not_an_end() -> None:
    pipe = RelayPipe()
    pipe.write(b"half")
    assert pipe.read() == b"half"
    pipe.end(failed=True)
    with pytest.raises(BrokenPipeError):
        pipe.read()


def test_all_of_a_good_source_is_read() -> None:
    pipe = RelayPipe()
    pipe.write(b"one")
    pipe.write(b"two")
    pipe.end(failed=False)
    assert [pipe.read(), pipe.read(), pipe.read()] == [b"one", b"two", b""]


def test_nobody_writes_into_a_pipe_that_nobody_reads() -> None:
    pipe = RelayPipe(depth=1)
    pipe.write(b"x")
    pipe.leave()
    with pytest.raises(BrokenPipeError):
        pipe.write(b"y")
