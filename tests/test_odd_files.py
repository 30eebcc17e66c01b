"""Files that are given, changed at random, through the command line: an answer or an error in our words, never a traceback.

What nodes answer is changed in test_odd_nodes.py, etcd's own files at length in etcd/fuzz.py.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetrecover import answers, cli
from fleetrecover.drafts import ansible_tool
from tests.etcd import fuzz

IN_CI, NIGHTLY = 50, 1000
FIRST = int(os.environ.get("FLEETRECOVER_FILES_SEED", "11"))
CASES = Path(__file__).parent / "cases"

# what stands in such files, and in places where it does not belong
PIECES = (
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b": ",
    b"\n",
    b"\t",
    b"'",
    b'"',
    b"#",
    b"=",
    b"%",
    b"%%h",
    b"{{ x }}",
    b"- ",
    b"&a ",
    b"*a",
    b"!!python/x ",
    b"<<: ",
    b"~",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"0x7f",
    b"9" * 30,
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1b[2J",
    b"\xc3\xa9",
    b"[1:999999]",
    b"2001:db8::1",
    b"[etcd:children]\netcd\n",
    b"Match ",
    b"Include *\n",
    b"ProxyJump a,b\n",
    b"Port 70000\n",
    b"-J",
    b"-o",
)


def changed(data: bytes, draw: random.Random) -> bytes:
    """The same with one to four changes: cut, doubled, pieces put in, bytes and lines exchanged."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted(draw.randint(0, len(data)) for _ in range(2))
        to = min(to, at + draw.choice((1, 8, 80)))
        lines = data.splitlines(keepends=True)
        data = draw.choice(
            (
                data[:at] + data[to:],
                data[:at] + draw.choice(PIECES) + data[at:],
                data[:at] + draw.choice(PIECES) + data[to:],
                data[:to] + data[at:],
                data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
                b"".join(draw.sample(lines, len(lines))),
                data[:at],
            )
        )
    return data


def given(pattern: str) -> list[Path]:
    found = sorted(path for path in CASES.glob(pattern) if path.name not in ("case.json", "expect.json", "source.txt"))
    assert found
    return found


INVENTORIES = [path for kind in ("k-*", "rke-*", "rancher-*") for path in given(f"{kind}/*") if path.suffix != ".json"]
LISTED = given("k-*/ansible-says.json")
CONFIGS = given("ssh-*/config")
TOMLS = [*given("toml-*/hosts.toml"), CASES.parents[1] / "hosts.example.toml"]
ETCD = (fuzz.DB, fuzz.SNAPSHOT)


def of_init(draw: random.Random, at: Path) -> list[str]:
    source = draw.choice(draw.choice((INVENTORIES, LISTED)))
    file = at / (source.name if draw.random() < 0.9 else "other.yml")
    file.write_bytes(changed(source.read_bytes(), draw))
    return ["init", "--from", str(file), "-o", "-"]


def of_hosts(draw: random.Random, at: Path) -> list[str]:
    config, toml = draw.choice(CONFIGS).read_bytes(), draw.choice(TOMLS).read_bytes()
    first = draw.random() < 0.6
    if first:
        toml = b'cluster = "c"\n[[hosts]]\nname = "a"\naddress = "etcd1"\n'
    (at / "ssh_config").write_bytes(changed(config, draw) if first else config)
    (at / "hosts.toml").write_bytes(toml if first else changed(toml, draw))
    return ["--inventory", str(at / "hosts.toml"), "hosts", "--json"]


def of_inspect(draw: random.Random, at: Path) -> list[str]:
    file = at / draw.choice(
        ("db", "snap.zip", "x.gz", "0000000000000000-0000000000000000.wal", "0.snap", "a.wal.broken")
    )
    file.write_bytes(changed(draw.choice(ETCD), draw))
    return ["inspect", str(file), "--json"]


Maker = Callable[[random.Random, Path], list[str]]


def check(make: Maker, seed: int, at: Path, capsys: pytest.CaptureFixture[str]) -> int:
    at.mkdir()
    words = make(random.Random(f"{make.__name__} {seed}"), at)
    cli.settings._consoles.clear()
    try:
        code = cli.run(words)
    except Exception as error:
        raise AssertionError(f"{make.__name__}, seed {seed}: {words} ended in a traceback") from error
    out, err = capsys.readouterr()
    assert code != 1, f"{make.__name__}, seed {seed}: {err}"
    assert "Traceback" not in out + err
    assert code == 0 or err.startswith("fleetrecover: "), f"{make.__name__}, seed {seed}: says nothing: {err}"
    assert "\x1b[2J" not in out + err, f"{make.__name__}, seed {seed}: what a file holds acts on the terminal"
    return code


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own reading, without Ansible and without an ssh client, which would be asked a thousand times."""
    monkeypatch.setattr(ansible_tool, "installed", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("FLEETRECOVER_SSH_CONFIG", "ssh_config")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(answers.LOG, "handlers", [])


def run(
    make: Maker, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = []
    for seed in range(FIRST, FIRST + count):
        at = tmp_path / str(seed)
        monkeypatch.setenv("FLEETRECOVER_SSH_CONFIG", str(at / "ssh_config"))
        codes.append(check(make, seed, at, capsys))
    assert len(set(codes)) > 1, "neither only answers nor only errors"


MAKERS = (of_init, of_hosts, of_inspect)


@pytest.mark.parametrize("make", MAKERS)
def test_a_changed_file(
    make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make, IN_CI, tmp_path, capsys, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS)
def test_a_thousand_changed_files(
    make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make, NIGHTLY, tmp_path, capsys, monkeypatch)
