"""Which shell a host's scripts are fed to: who is asked, how often, and what an answer makes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetrecover.commands.login_shell import PLAIN, SUDO, LoginShell
from fleetrecover.errors import LoginFailed, OddAnswer, Unreachable
from fleetrecover.model import Command, EtcdSettings, Fleet, Host, Result, SshSettings
from fleetrecover.remote.login_shell import LoginShells

OFFER = b"nsenter=/usr/bin/nsenter\nimage=sha256:" + b"7" * 64 + b"\n"
HOST = Host("etcd1", "10.0.0.1")
Answer = bytes | Exception


class Node:
    """Answers the two questions; `asked` has the name of each."""

    def __init__(self, offer: Answer = OFFER, root: Answer = b"root=1\n") -> None:
        self.answers = {"engine-offer": offer, "is-root": root}
        self.asked: list[str] = []

    def __call__(self, host: Host, command: Command, shell: LoginShell) -> Result:
        assert bool(shell.engine) == (command.name == "is-root")
        self.asked.append(command.name)
        answer = self.answers[command.name]
        if isinstance(answer, Exception):
            raise answer
        return Result(command, 0, answer, b"")


def shells(node: Node, user: str = "op", *, sudo: bool = False, **etcd: str) -> Callable[[], LoginShell]:
    fleet = Fleet("prod", (HOST,), SshSettings(sudo=sudo), EtcdSettings(**etcd))
    found = LoginShells(fleet, lambda _: user, node)
    return lambda: found.of(HOST)


def test_a_login_of_the_docker_group_is_root_through_the_engine_and_asked_once() -> None:
    node = Node()
    shell = shells(node)
    assert shell().engine == "docker"
    assert shell() is shell()
    assert node.asked == ["engine-offer", "is-root"]


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"sudo": True}, SUDO),
        ({"user": "root"}, PLAIN),
        ({"runtime": "podman"}, PLAIN),
        ({"runtime": "systemd"}, PLAIN),
        ({"cli": "/usr/bin/podman"}, PLAIN),
    ],
)
def test_who_is_not_asked(more: dict[str, str], wanted: LoginShell) -> None:
    node = Node()
    assert shells(node, **more)() == wanted  # type: ignore[arg-type]
    assert node.asked == []


def test_a_login_of_another_name_may_be_root() -> None:
    node = Node(b"root=1\n")
    shell = shells(node, "toor")
    assert shell() == shell() == PLAIN
    assert node.asked == ["engine-offer"]


def test_what_is_missing_goes_along_and_is_asked_once() -> None:
    node = Node(b"problem=nsenter\n")
    shell = shells(node)
    assert "no nsenter" in shell().words[1]
    assert (shell().by, node.asked) == ("", ["engine-offer"])


def test_an_engine_that_is_down_is_asked_again() -> None:
    node = Node(b"problem=engine\n")
    shell = shells(node)
    assert shell().engine == ""
    node.answers["engine-offer"] = OFFER
    assert shell().engine == "docker"


@pytest.mark.parametrize("root", [b"", LoginFailed("etcd1", "authorization denied by plugin"), b"root=0\n"])
def test_an_engine_that_gives_no_root(root: Answer) -> None:
    """Rootless, or with a plugin that refuses: the login stays as it is, and why is said with what is forbidden to it."""
    shell = shells(Node(root=root))()
    assert shell.by == ""
    assert ("denied by plugin" if isinstance(root, Exception) else "is not root on the host") in shell.words[1]


def test_a_node_that_is_lost_meanwhile_is_not_one_without_an_engine() -> None:
    with pytest.raises(Unreachable):
        shells(Node(root=Unreachable("etcd1", "gone")))()


def test_an_odd_answer_is_told_as_one() -> None:
    with pytest.raises(OddAnswer, match="etcd1"):
        shells(Node(b"image=;rm\n"))()
