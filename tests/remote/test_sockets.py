"""TCP and ProxyCommands below SSH; no sshd is needed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fleetrecover.remote.sockets import ProxySocket, connect
from tests.remote.test_script import running


@pytest.fixture
def peer() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_the_address_to_come_from(peer: socket.socket) -> None:
    with peer, connect("127.0.0.1", peer.getsockname()[1], 5, source="127.0.0.9"):
        accepted, where = peer.accept()
        accepted.close()
    assert where[0] == "127.0.0.9"


def test_the_family_that_is_asked_for(peer: socket.socket) -> None:
    port = peer.getsockname()[1]
    with peer:
        connect("127.0.0.1", port, 5, family=socket.AF_INET).close()
        with pytest.raises(OSError):
            connect("127.0.0.1", port, 5, family=socket.AF_INET6)


def test_a_zone_goes_with_its_address() -> None:
    """`fe80::1%lo` is looked up as it stands; nothing listens, and that is told as such."""
    with pytest.raises(OSError) as caught:
        connect("fe80::1%lo", 1, 2)
    assert not isinstance(caught.value, socket.gaierror)


def test_a_proxy_command_is_run_by_a_shell_and_carries_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "from the shell")
    proxy = ProxySocket('sh -c "echo \\"$WORD\\"; exec cat" # a comment')
    try:
        proxy.settimeout(10)
        assert proxy.recv(100) == b"from the shell\n"
        proxy.sendall(b"back")
        assert proxy.recv(100) == b"back"
    finally:
        proxy.close()


def test_closing_ends_the_command_and_what_it_has_started() -> None:
    proxy = ProxySocket("sleep 4751 | sleep 4751")
    while not running("sleep 4751"):
        pass
    proxy.close()
    while running("sleep 4751"):
        pass


def test_a_command_that_will_not_end_is_killed() -> None:
    proxy = ProxySocket("sh -c 'trap \"\" TERM; echo up; while :; do sleep 4752; done'")
    assert proxy.recv(10) == b"up\n"
    proxy.close()
    while running("sleep 4752"):
        pass


def test_its_last_words_are_kept_and_bounded(tmp_path: Path) -> None:
    proxy = ProxySocket("sh -c 'head -c 1000000 /dev/zero | tr \"\\0\" x >&2; echo no route >&2; echo done'")
    try:
        proxy.settimeout(10)
        assert proxy.recv(10) == b"done\n"
        said = proxy.said()
    finally:
        proxy.close()
    assert said.endswith("no route")
    assert len(said) < 5000


def test_a_shell_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    with pytest.raises(FileNotFoundError):
        ProxySocket("true")
