"""Ended by a signal: nothing secret is left in a file, the nodes are let go, and the exit code is the signal's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetrecover import cli, ending
from fleetrecover.ending import HEEDED, Terminated, heed_signals, scratch
from fleetrecover.hold import Holder, NodeHold
from fleetrecover.recover import run_paths
from tests.decide.surveys import node
from tests.fakes.transport import FakeTransport

PROJECT = Path(__file__).parents[1]
WAIT = "print('ready', flush=True); time.sleep(60)\n"
MAIN = "with scratch() as d:\n    (d / 'snapshot.db').write_text('secret'); " + WAIT
THREAD = f"""
import threading
def work():
    with scratch() as d:
        (d / 'snapshot.db').write_text('secret')
        {WAIT}
ending.heed_signals()
threading.Thread(target=work, daemon=True).start()
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Every test leaves the handlers as they were."""
    before = {number: signal.getsignal(number) for number in HEEDED}
    for number in HEEDED:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("where", [MAIN, THREAD], ids=["main", "thread"])
def test_a_signal_leaves_nothing_secret(tmp_path: Path, name: str, where: str) -> None:
    code = "import time\nfrom fleetrecover import ending\nfrom fleetrecover.ending import scratch\n" + where
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        [directory] = tmp_path.iterdir()
        assert directory.stat().st_mode & 0o777 == 0o700
        process.send_signal(getattr(signal, name))
        process.wait(30)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_gone_after_its_use_and_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as one:
        (one / "x").write_text("secret")
        assert str(one) in ending._in_use
    with pytest.raises(ZeroDivisionError), scratch() as two:
        raise ZeroDivisionError
    assert not one.exists()
    assert not two.exists()
    assert not ending._in_use & {str(one), str(two)}


@pytest.mark.parametrize("number", HEEDED)
def test_the_exit_code_is_the_signals(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 10)  # never comes here
        pytest.fail("it went on")

    monkeypatch.setattr(cli, "app", work)
    monkeypatch.setattr(cli, "add_parts", lambda: None)
    monkeypatch.setattr(cli.settings, "json", True)
    assert cli.run([]) == 128 + number
    assert json.loads(capsys.readouterr().out)["exit_code"] == 128 + number


def test_one_that_is_ignored_stays_so_and_the_second_one_interrupts_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    heed_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(Terminated) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    signal.raise_signal(signal.SIGTERM)


def test_the_nodes_are_let_go() -> None:
    nodes = [node(1), node(2)]
    transport = FakeTransport({name: {"*": b""} for name in ("etcd1", "etcd2")})
    hold = NodeHold(transport, nodes, lambda n: run_paths(n, "r1"), Holder("t", "r1", "w", "h", 1, "1", "now"))
    heed_signals()
    with pytest.raises(Terminated), hold:
        signal.raise_signal(signal.SIGTERM)
    for name in ("etcd1", "etcd2"):
        assert [asked for asked in transport.names(name) if asked != "beat"] == [
            "take-hold",
            "still-held",
            "release-hold",
        ]
