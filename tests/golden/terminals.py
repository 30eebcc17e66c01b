"""Every command that needs no lab, on a real pseudo-terminal of 80, 100 and 160 columns, with its colours.

A child that has been forked holds the terminal; what reaches the screen is kept, an escape character as ␛.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import tempfile
import termios
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import fleetrecover.run_config
import fleetrecover.snapshots.listing
from fleetrecover import cli
from fleetrecover.facts import Survey
from fleetrecover.model import SshSettings
from fleetrecover.plain import dumps
from fleetrecover.run_config import Found as Config
from fleetrecover.runtime import runtime_of
from fleetrecover.snapshots.archive import Kind
from fleetrecover.snapshots.catalogue import Best, Catalogue, Found, State, make_catalogue
from tests.etcd.writers import WalWriter, conf_change, put
from tests.golden.fleets import lost, recovered, serving, wiped_last
from tests.golden.stage import RUN, Situation, acted
from tests.report.test_story import KILLED, RESUMED

WIDTHS = (80, 100, 160)
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Shot:
    """What is typed where, and what is answered to the question that it asks, if any."""

    situation: Callable[[], Situation]
    words: tuple[str, ...]
    answer: str = ""


def _lost() -> Situation:
    return Situation(lost(wiped=1, dead=1).survey())


def _whole() -> Situation:
    return Situation(recovered(lost()).survey())


def _with_ssh() -> Situation:
    """With all that is said of SSH in the inventory, so that nothing is taken from this machine."""
    survey = serving().survey()
    ssh = SshSettings("ops", 22, Path("/keys/id"), Path("/keys/known_hosts"), "ops@bastion:22", Path("/keys/gate"))
    return Situation(replace(survey, fleet=replace(survey.fleet, ssh=ssh)))


SHOTS = {
    "survey": Shot(lambda: Situation(wiped_last(serving()).survey()), ("survey",)),
    "diagnose": Shot(_lost, ("diagnose", "--dead", "n3")),
    "plan": Shot(lambda: Situation(lost(nodes=1, wiped=0).survey()), ("plan",)),
    "recover": Shot(_lost, ("recover", "--dead", "n3"), "no"),
    "verify": Shot(lambda: Situation(wiped_last(serving()).survey()), ("verify",)),
    "check": Shot(lambda: Situation(wiped_last(serving()).survey()), ("check", "--without", "n1")),
    "undo": Shot(_whole, ("undo", "--last"), "no"),
    "clean": Shot(_whole, ("clean", "--finished"), "no"),
    "runs": Shot(_whole, ("runs",)),
    "report": Shot(_whole, ("report", "0001")),
    "hosts": Shot(_with_ssh, ("hosts",)),
    "inspect": Shot(_whole, ("inspect", "data")),
    "run-config": Shot(_whole, ("run-config", "n1")),
    "snapshot-list": Shot(_lost, ("snapshot", "list")),
    "restore": Shot(_lost, ("snapshot", "restore", "nightly", "--dead", "n3"), "no"),
    "help": Shot(_whole, ("--help",)),
}
"""By command."""


def catalogue() -> Catalogue:
    """Two points in time on three hosts, one file of which is damaged."""
    day = datetime(2026, 1, 1, tzinfo=UTC).timestamp()

    def file(node: str, name: str, at: float, revision: int | None, state: State = State.WHOLE) -> Found:
        known = {"identity": f"{revision}", "db_size": 5 << 20, "revision": revision, "keys": 41}
        more = known if state is State.WHOLE else {"reason": "the checksum does not match"}
        path = f"/opt/rke/etcd-snapshots/{name}"
        return Found(node, path, name, 4 << 20, at, state, Kind.BARE, cluster_version="3.4.0", **more)

    files = [file(node, "2026-01-01T00:00:00Z_etcd", day, 28) for node in ("n1", "n2")]
    files += [file("n1", "before-the-upgrade", day - 86400, 20), file("n2", "nightly", day, None, State.DAMAGED)]
    return make_catalogue(files, Best("n1", 30, datetime(2026, 1, 1, 0, 30, tzinfo=UTC)))


def config(fleet: object, _transport: object, host: str, _container: str | None) -> Config:
    """The container of the survey."""
    survey = fleet.survey  # type: ignore[attr-defined]
    assert isinstance(survey, Survey)
    found = survey.node(host).containers[0]
    assert found.spec is not None
    rt = runtime_of(survey.fleet, host)
    return Config(survey.node(host).host, found.name, found.state, rt.pasted(found.spec), rt.document(found.spec))


def shot_text(shot: Shot) -> str:
    """What is seen, at every width."""
    parts = []
    for width in WIDTHS:
        seen, code = seen_on(shot, width)
        typed = " ".join(shot.words)
        parts.append(f"$ fleetrecover {typed}   # {width} columns\n{seen.replace(chr(27), '␛')}[exit code {code}]\n")
    return "\n".join(parts)


def seen_on(shot: Shot, width: int, *, colours: bool = True) -> tuple[str, int]:
    """What reaches a terminal of so many columns, and the exit code."""
    situation = shot.situation()
    with tempfile.TemporaryDirectory() as directory:
        pid, master = pty.fork()
        if not pid:
            _child(situation, shot, Path(directory), colours=colours)
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        how = termios.tcgetattr(master)
        how[3] &= ~termios.ECHO  # what is typed is not shown: else it stands wherever the screen has just come to
        termios.tcsetattr(master, termios.TCSANOW, how)
        os.write(master, b"go\n" + (f"{shot.answer}\n".encode() if shot.answer else b""))
        seen = _all_of(master)
        _, status = os.waitpid(pid, 0)
    return _tidy(seen), os.waitstatus_to_exitcode(status)


def _tidy(seen: bytes) -> str:
    """Without what was typed before the command began, and trailing spaces."""
    text = seen.decode().replace("\r\n", "\n")
    return "".join(f"{line.rstrip(' ')}\n" for line in text.partition("␄\n")[2].splitlines())


def _all_of(master: int) -> bytes:
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other side is closed, as Linux tells it
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    return seen


def _child(situation: Situation, shot: Shot, directory: Path, *, colours: bool) -> None:
    """In the child: the command, then the end."""
    code = 1
    try:
        # a copy of standard input: what asks at the real one is GNU readline, if anything has imported it
        files = ((os.dup(0), "r"), (1, "w"), (2, "w"))
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(fd, how) for fd, how in files)
        input()  # the terminal has its size by then
        print("␄", flush=True)
        code = _command(situation, shot, directory, colours=colours)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _command(situation: Situation, shot: Shot, directory: Path, *, colours: bool) -> int:
    """As a new process would do it: in a directory of its own, with nothing in the environment that matters here."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "TTY_COMPATIBLE", "SSH_AUTH_SOCK"):
        os.environ.pop(name, None)
    os.environ |= {"TERM": "xterm-256color", "HOME": str(directory), "FLEETRECOVER_STATE": "state"}
    os.environ["FLEETRECOVER_SSH_CONFIG"] = os.devnull
    os.chdir(directory)
    wal = directory / "data" / "member" / "wal"
    wal.mkdir(parents=True)
    writer = WalWriter(node_id=1, cluster_id=0xC1).open()
    member = {"peerURLs": ["https://10.0.0.1:2380"], "name": "etcd-n1"}
    writer.change(1, 1, conf_change(0, 1, member)).entry(2, 2, put("k")).state(2, 1, 2)
    for name, content in writer.done():
        (wal / name).write_bytes(content)
    _journals(directory / "state" / "fake")
    cli.settings._consoles.clear()
    with ExitStack() as stack:
        stack.enter_context(acted(situation))
        found = situation.survey
        configured = lambda _fleet, *more: config(type("Of", (), {"survey": found}), *more)  # noqa: E731
        stack.enter_context(mock.patch.object(fleetrecover.run_config, "read_config", configured))
        listed = lambda *_a, **_k: catalogue()  # noqa: E731
        stack.enter_context(mock.patch.object(fleetrecover.snapshots.listing, "list_snapshots", listed))
        return cli.run([*([] if colours else ["--no-color"]), *shot.words])


def _journals(directory: Path) -> None:
    """Three runs that this bastion has seen: one that was killed and gone on with, one that ended well, one that did not end."""
    directory.mkdir(parents=True)
    well = [KILLED[0] | {"at": "2026-01-02T11:58:00.000Z"}]
    well += [{"at": "2026-01-02T12:01:10.000Z", "event": "end", "outcome": "recovered"}]
    open_ = [KILLED[0] | {"at": "2026-01-03T03:00:00.000Z", "command": "snapshot restore"}]
    runs = {"r20260101T000000Z-0001": [*KILLED, *RESUMED], RUN: well, "r20260103T030000Z-ffff": open_}
    for run, events in runs.items():
        (directory / f"{run}.jsonl").write_text("".join(dumps(event) + "\n" for event in events))
