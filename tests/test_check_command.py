"""`check` through the command line, over the fake transport: exit codes, JSON, the textfile, and many inventories at once."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli
from fleetrecover.checking import Cluster, check_many, worst
from fleetrecover.errors import Unreachable
from fleetrecover.model import Fleet
from tests.checks.exposition import read
from tests.fakes.transport import FakeTransport
from tests.test_odd_nodes import sound

AWAY = Unreachable("etcd2", "it refused the connection", hint="start sshd there")


def inventory(cluster: str) -> str:
    hosts = "".join(f'[[hosts]]\nname = "etcd{n}"\naddress = "10.0.0.{n}"\n' for n in (1, 2))
    return f'cluster = "{cluster}"\n{hosts}'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "hosts.toml").write_text(inventory("prod"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def command(*words: str, second: Any = None) -> tuple[int, str, str]:
        monkeypatch.setattr("fleetrecover.remote.open_transport", lambda *_: transport(second))
        cli.settings._consoles.clear()
        code = cli.run(["--inventory", str(tmp_path / "hosts.toml"), *words])
        return code, *capsys.readouterr()

    return command


def transport(second: Any = None) -> FakeTransport:
    return FakeTransport({"etcd1": sound(1), "etcd2": second or sound(2)})


@pytest.mark.parametrize("second", [None, AWAY])
def test_check_agrees_with_diagnose(run: Any, second: Any) -> None:
    code, out, _ = run("check", "--json", second=second)
    assert code == run("diagnose", second=second)[0] != 0
    document = json.loads(out)
    assert (document["schema"], document["cluster"], document["ok"], document["exit_code"]) == (1, "prod", False, code)
    assert [each["name"] for each in document["checks"]][:2] == ["cluster", "login"]


def test_the_answer_stands_last_and_the_story_on_stderr(run: Any) -> None:
    _, out, err = run("check", second=AWAY)
    assert out.splitlines()[-1].endswith("in a recovery's way")
    assert "BAD login, sudo and rights" in out
    assert "→ start sshd there" in out
    assert "asking 2 nodes" in err


def test_without_nobody_and_without_somebody(run: Any) -> None:
    code, _, err = run("check", "--without", "etcd9")
    assert code == 3
    assert "hosts: etcd1, etcd2" in err
    _, out, _ = run("check", "--without", "etcd1", "--json")
    assert json.loads(out)["without"]["allowed"] is False


def test_the_textfile_is_whole_readable_and_nothing_is_left_beside_it(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "textfiles"
    folder.mkdir()
    code, _, _ = run("check", "--prometheus", str(folder / "etcd.prom"))
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
    found = read(file.read_text())
    assert found["fleetrecover_check_exit_code", (("cluster", "prod"),)] == code


def test_a_textfile_that_the_collector_would_not_read_is_refused(run: Any, tmp_path: Path) -> None:
    code, _, err = run("check", "--prometheus", str(tmp_path / "etcd.txt"))
    assert code == 2
    assert "etcd.prom" in err


def test_all_has_a_row_for_each_also_for_a_wrong_inventory(run: Any, tmp_path: Path) -> None:
    estate = tmp_path / "estate"
    estate.mkdir()
    (estate / "a.toml").write_text(inventory("alpha"))
    (estate / "b.toml").write_text("cluster = 3\n")
    (estate / "notes.txt").write_text("no inventory")
    metrics = tmp_path / "all.prom"
    code, out, _ = run("check", "--all", str(estate), "--json", "--prometheus", str(metrics))
    rows = json.loads(out)["clusters"]
    assert [(row["cluster"], row["exit_code"] == 3) for row in rows] == [("alpha", False), ("b", True)]
    assert code == rows[0]["exit_code"]
    found = read(metrics.read_text())
    assert found["fleetrecover_check_exit_code", (("cluster", "b"),)] == 3
    code, out, _ = run("check", "--all", str(estate))
    assert "0 of 2 clusters" in out.splitlines()[-1]


def test_two_inventories_of_one_name_are_not_one_row(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(inventory("same"))
    first, second = check_many(tmp_path, lambda _: transport())
    assert (first.cluster, first.verdict != "") == ("same", True)
    assert (second.cluster, second.exit_code, second.verdict) == ("b", 3, "")
    assert f"like that of {tmp_path / 'a.toml'}" in second.error


def test_all_of_nothing_and_both_options(run: Any, tmp_path: Path) -> None:
    assert run("check", "--all", str(tmp_path / "none"))[0] == 3
    assert run("check", "--all", str(tmp_path), "--without", "etcd1")[0] == 2


def test_never_more_clusters_at_once_than_that_and_every_transport_is_closed(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.toml").write_text(inventory(f"c{number:02}"))
    lock, open_now, most, made = threading.Lock(), [0], [0], []

    class Counted(FakeTransport):
        def close(self) -> None:
            super().close()
            with lock:
                open_now[0] -= 1

    def reach(_: Fleet) -> FakeTransport:
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
            made.append(Counted({"etcd1": sound(1), "etcd2": sound(2)}))
            return made[-1]

    rows = check_many(tmp_path, reach, at_once=4)
    assert [row.cluster for row in rows] == [f"c{number:02}" for number in range(30)]
    assert 1 <= most[0] <= 4
    assert all(each.closed for each in made)


def test_a_fault_of_ours_is_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(inventory("a"))

    def reach(_: Fleet) -> FakeTransport:
        raise ZeroDivisionError("that")

    [row] = check_many(tmp_path, reach)
    assert (row.exit_code, row.verdict) == (1, "")
    assert "ZeroDivisionError" in row.error


@pytest.mark.parametrize(
    ("codes", "code"), [([0, 0], 0), ([0, 10], 10), ([10, 12], 12), ([12, 11, 3], 11), ([0, 3], 3), ([3, 10], 10)]
)
def test_the_worst_of_many(codes: list[int], code: int) -> None:
    assert worst([Cluster(str(n), str(n), 3, each) for n, each in enumerate(codes)]) == code
