"""What a container or an engine says of itself may hold the secrets that it was given; they go no further."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetrecover import steps as s
from fleetrecover.apply import Applier
from fleetrecover.commands.base import Action
from fleetrecover.commands.paths import RunPaths
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.errors import CommandFailed
from fleetrecover.journal import Journal
from fleetrecover.model import Command
from tests.decide import surveys
from tests.fakes.transport import FakeTransport, failed

SECRET = "hunter2-planted"


class Silent:
    """An onlooker who looks away."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def make(tmp_path: Path) -> Applier:
    spec = ContainerSpec("img", env=(f"ETCD_ROOT_SECRET={SECRET}", f"DSN=postgres://u:{SECRET}@h", "ETCD_NAME=n1"))
    node = surveys.node(1, containers=(surveys.container(spec=spec),))
    said = f"unrecognized environment variable ETCD_ROOT_SECRET={SECRET}"
    transport = FakeTransport(
        {
            "etcd1": {
                "container-state": b'[{"State": {"Status": "exited"}}]',
                "container-logs": said.encode(),
                "start": failed(1, said),
            }
        }
    )
    journal = Journal(tmp_path / "state" / "prod" / "r1.jsonl", "r1")
    return Applier(surveys.survey(node), transport, "t", journal, Silent(), lambda _: None)  # type: ignore[arg-type]


def test_the_last_words_of_a_container(tmp_path: Path) -> None:
    """etcd logs every variable that begins with ETCD_ and that it does not know, with its value."""
    told = make(tmp_path).describe("etcd1", "etcd")
    assert "unrecognized environment variable ETCD_ROOT_SECRET=***" in told
    assert SECRET not in told


def test_what_an_engine_says_to_a_command_that_failed(tmp_path: Path) -> None:
    applier = make(tmp_path)
    step = s.FinishRun("etcd1", RunPaths("/d.fleetrecover", "r1"), "/d")
    with pytest.raises(CommandFailed) as caught:
        applier.act(step, Action(Command("start", "true")))
    assert SECRET not in caught.value.message + caught.value.stderr
    assert "***" in caught.value.message
    assert SECRET not in applier.journal.path.read_text()


def test_the_journal_and_its_directories_are_private(tmp_path: Path) -> None:
    path = make(tmp_path).journal.path
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
