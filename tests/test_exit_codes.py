"""The exit codes of commands that meet nodes which are away or odd, through the command line, over the fake transport."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import answers, cli
from fleetrecover.errors import RemoteError, Unreachable
from fleetrecover.facts import Problem
from fleetrecover.report.document import log_document
from tests.decide.logs import log
from tests.decide.surveys import node
from tests.fakes.transport import FakeTransport
from tests.test_odd_nodes import odd, sound

INVENTORY = """cluster = "prod"
[[hosts]]
name = "etcd1"
address = "10.0.0.1"
[[hosts]]
name = "etcd2"
address = "10.0.0.2"
"""


def away(name: str) -> RemoteError:
    return Unreachable(name, "it refused the connection", hint="start sshd there")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command line over what two nodes answer; gives the exit code, standard output and standard error."""
    (tmp_path / "hosts.toml").write_text(INVENTORY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(answers.LOG, "handlers", [])
    monkeypatch.setattr(answers.LOG, "level", 0)

    def command(first: Any, second: Any, *words: str) -> tuple[int, str, str]:
        transport = FakeTransport({"etcd1": first, "etcd2": second, "node": first})
        monkeypatch.setattr("fleetrecover.remote.open_transport", lambda *_: transport)
        cli.settings._consoles.clear()
        code = cli.run(["--inventory", str(tmp_path / "hosts.toml"), *words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


NOBODY = (away("etcd1"), away("etcd2"))


def test_run_config_of_a_host_that_is_away(run: Any) -> None:
    code, out, err = run(*NOBODY, "run-config", "etcd1")
    assert (code, out) == (12, "")
    assert "start sshd there" in err


def test_run_config_of_a_host_that_answers_oddly(run: Any) -> None:
    code, _, err = run({**sound(1), "containers": "[1"}, away("etcd2"), "run-config", "etcd1", "--json")
    assert code == 12
    assert "etcd1: containers: " in err


def test_init_from_a_host_that_is_away(run: Any, tmp_path: Path) -> None:
    code, _, err = run(away("node"), away("etcd2"), "init", "--from", "10.0.0.9", "-o", str(tmp_path / "new.toml"))
    assert code == 12
    assert "start sshd there" in err, "the hint is the one that fits the failure"
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.parametrize("command", ["undo", "clean"])
def test_undo_where_nobody_can_be_reached(run: Any, command: str) -> None:
    code, _, err = run(*NOBODY, command, "r20260101T000000Z-abcd", "--yes", "prod")
    assert code == 12, err
    assert "nothing was" in err


def test_undo_of_a_run_that_is_on_no_node(run: Any) -> None:
    assert run(sound(1), sound(2), "undo", "r20260101T000000Z-abcd", "--yes", "prod")[0] == 3


def test_snapshot_list_where_nobody_can_be_reached(run: Any) -> None:
    code, out, _ = run(*NOBODY, "snapshot", "list", "--json")
    assert code == 12
    assert [row["node"] for row in json.loads(out)["problems"]] == ["etcd1", "etcd2"]
    assert run(sound(1), away("etcd2"), "snapshot", "list")[0] == 0


def test_snapshot_status_where_nobody_can_be_reached(run: Any) -> None:
    assert run(*NOBODY, "snapshot", "status")[0] == 12
    assert run(sound(1), away("etcd2"), "snapshot", "status")[0] == 10


def test_a_task_of_fab_and_a_save_where_nobody_can_be_reached(run: Any) -> None:
    assert run(*NOBODY, "step", "fence", "--yes", "prod")[0] == 12
    assert run(*NOBODY, "snapshot", "save")[0] == 20


@pytest.mark.parametrize(
    "words", [["survey"], ["diagnose"], ["verify"], ["plan"], ["snapshot", "list"], ["snapshot", "status"]]
)
def test_an_odd_node_ends_no_command(run: Any, words: list[str]) -> None:
    for seed in range(5):
        code, _, err = run(sound(1), odd(f"{words} {seed}"), *words)
        assert code not in (1, 3), err
        assert "Traceback" not in err


def test_with_v_the_traceback_of_what_nobody_foresaw_is_on_stderr(run: Any) -> None:
    broken = {**sound(2), "schedule-status": "clock=1\n", "neighbours": "/x id running always 2026 many\n"}
    assert "Traceback" not in run(sound(1), broken, "snapshot", "status")[2]
    code, _, err = run(sound(1), broken, "-v", "snapshot", "status")
    assert "Traceback" in err
    assert "ValueError" in err
    assert code in (0, 10)


class TestLogSound:
    """`log.sound` in the JSON is what it says."""

    def test_one_that_was_read(self) -> None:
        document = log_document(node(1, log(1, [(2, 20)], commit=20)))
        assert document is not None
        assert document["sound"] is True

    def test_one_that_is_damaged(self) -> None:
        document = log_document(node(1, log_problem=Problem("corrupt", "the checksum does not match")))
        assert document is not None
        assert (document["sound"], document["index"]) == (False, None)

    def test_one_that_is_not_there_or_could_not_be_looked_at(self) -> None:
        assert log_document(node(1, log_problem=Problem("missing", "no WAL there"))) is None
        assert log_document(node(1)) is None

    def test_one_that_its_database_is_ahead_of(self) -> None:
        from fleetrecover.etcd.bbolt import DbFacts

        values = dict.fromkeys(DbFacts.__dataclass_fields__, 0)
        db = DbFacts(**{**values, "consistent_index": 21, "stable": True})  # type: ignore[arg-type]
        document = log_document(node(1, log(1, [(2, 20)], commit=20), db=db))
        assert document is not None
        assert document["sound"] is False
        level = DbFacts(**{**values, "consistent_index": 20, "stable": True})  # type: ignore[arg-type]
        document = log_document(node(1, log(1, [(2, 20)], commit=20), db=level))
        assert document is not None
        assert document["sound"] is True


def test_the_commands_are_mounted_once(run: Any) -> None:
    """However many command lines one process runs, as Fabric's does."""
    for _ in range(3):
        run(*NOBODY, "run-config", "etcd1")
    mounted = [group.typer_instance for group in cli.app.registered_groups]
    assert len(mounted) == len(set(map(id, mounted)))
