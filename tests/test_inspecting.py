"""`inspect` of files as people have them: packed in every way, set aside by etcd, or of no kind at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.errors import FormatError, InputError
from fleetrecover.etcd.describe import describe, to_json
from fleetrecover.etcd.log import Log
from fleetrecover.inspecting import inspect
from tests.etcd import cases
from tests.snapshots.files import rke_zip, snapshot, zip_of

WHOLE = snapshot()
HALF = len(WHOLE) // 2


def tell(path: Path) -> dict[str, Any]:
    """What `inspect --json` says."""
    document: dict[str, Any] = json.loads(json.dumps(to_json(inspect(path))))
    return document


@pytest.mark.parametrize(
    ("name", "data", "packed"),
    [
        ("snapshot.db.gz", gzip.compress(WHOLE), "gzip"),
        ("c-x-rl-y.gz", rke_zip("c-x-rl-y", WHOLE), "gz, in fact zip"),
        ("sn2.zip", zip_of(("/backup/sn2", WHOLE)), "zip"),
        ("no-suffix", zip_of(("backup/no-suffix", WHOLE)), "zip"),
        ("gzip called.zip", gzip.compress(WHOLE, 1), "gzip"),
        ("in two members.gz", gzip.compress(WHOLE[:HALF]) + gzip.compress(WHOLE[HALF:]), "gzip"),
        ("padded.gz", gzip.compress(WHOLE) + bytes(512), "gzip"),
        ("with a directory.zip", zip_of(("backup/", b""), ("backup/x", WHOLE)), "zip"),
        ("2022-11-16T03:42:54Z_etcd", WHOLE, None),
    ],
    ids=range(9),
)
def test_a_snapshot_however_it_is_packed(tmp_path: Path, name: str, data: bytes, packed: str | None) -> None:
    (tmp_path / name).write_bytes(data)
    told = tell(tmp_path / name)
    assert (told["kind"], told["sound"], told.get("packed")) == ("snapshot", True, packed)
    assert told["path"].endswith(name)
    assert told["db"]["revision"] == 11
    assert told["snapshot"]["checksum"]["sound"] is True
    if packed:
        assert f"packed ({packed})" in describe(inspect(tmp_path / name)).splitlines()[0]


def test_a_packed_database_without_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "db.gz").write_bytes(gzip.compress(WHOLE[:-32]))
    assert tell(tmp_path / "db.gz")["kind"] == "database"


def test_what_is_unpacked_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "x.zip").write_bytes(rke_zip("x", WHOLE))
    inspect(tmp_path / "x.zip")
    (tmp_path / "y.gz").write_bytes(gzip.compress(WHOLE)[:-5])
    with pytest.raises(FormatError):
        inspect(tmp_path / "y.gz")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("cut.gz", gzip.compress(WHOLE)[:-20], "cut off"),
        ("damaged.gz", gzip.compress(WHOLE)[:40] + b"!" * 40 + gzip.compress(WHOLE)[80:], "damaged gzip"),
        ("pki.bundle.tar.gz", gzip.compress(b"./etc/kubernetes" + bytes(1000)), "no etcd database"),
        ("empty.zip", zip_of(), "nothing in it"),
        ("two.zip", zip_of(("a", WHOLE), ("b", WHOLE)), "2 files in the zip"),
        ("cut.zip", rke_zip("x", WHOLE)[:-60], "damaged zip"),
        ("zero", b"", "empty"),
        ("zeros", bytes(4096), "begins with zeros"),
        ("notes.txt", b"dear diary, " * 20, "neither an etcd database nor"),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FormatError, match=why) as caught:
        inspect(tmp_path / name)
    assert "bbolt" not in caught.value.message


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        inspect(tmp_path / "gone.zip")


# --- what etcd sets aside ---

SEGMENT = "0000000000000000-0000000000000000.wal"


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A member directory as it was recorded."""
    directory = cases.directories("3.5.16", "single")["n1"]
    for part, files in (("wal", directory.wal), ("snap", directory.snap)):
        (tmp_path / "member" / part).mkdir(parents=True)
        for file, content in files.items():
            (tmp_path / "member" / part / file).write_bytes(content)
    return tmp_path / "member"


def one(member: Path, part: str, suffix: str) -> Path:
    """The first file of that kind."""
    return sorted((member / part).glob(f"*{suffix}"))[0]


@pytest.mark.parametrize(
    "name", [f"{SEGMENT}.broken", f"{SEGMENT}.broken.1", f"{SEGMENT}.bak", "saved by hand", "x.wal"]
)
def test_a_segment_under_another_name(member: Path, name: str) -> None:
    source = one(member, "wal", ".wal")
    copy = member / "wal" / name
    copy.write_bytes(source.read_bytes())
    found, right = inspect(copy), inspect(source)
    assert found.kind == "WAL segment"
    assert isinstance(found.log, Log)
    assert isinstance(right.log, Log)
    assert found.log.last == right.log.last


@pytest.mark.parametrize("damage", [lambda data: data[:300], lambda data: data[:200] + b"\xff" * 64 + data[264:]])
def test_one_that_is_broken_indeed(member: Path, damage: Callable[[bytes], bytes]) -> None:
    """What can be read of it is told, or it is said of the WAL segment what is wrong."""
    copy = member / "wal" / f"{SEGMENT}.broken"
    copy.write_bytes(damage(one(member, "wal", ".wal").read_bytes()))
    try:
        assert inspect(copy).kind == "WAL segment"
    except FormatError as error:
        assert "wal" in error.message
        assert "bbolt" not in error.message


def test_a_snap_that_was_set_aside(member: Path) -> None:
    source = one(member, "snap", ".snap")
    (member / "snap" / f"{source.name}.broken").write_bytes(source.read_bytes())
    found = inspect(member / "snap" / f"{source.name}.broken")
    assert (found.kind, found.snap is not None) == (".snap file", True)
    (member / "snap" / f"{source.name}.broken").write_bytes(b"")
    with pytest.raises(FormatError, match="snap"):
        inspect(member / "snap" / f"{source.name}.broken")


def leave(member: Path, *names: str) -> None:
    """Empty files, links to nowhere (`->`) and directories (`/`) of these names."""
    for name in names:
        path = member / name.rstrip("/").removesuffix("->")
        if name.endswith("/"):
            path.mkdir()
        elif name.endswith("->"):
            path.symlink_to("nowhere")
        else:
            path.write_bytes(b"")


@pytest.mark.parametrize(
    "names",
    [
        (
            "wal/0.tmp",
            "wal.tmp/",
            "snap/0000000000000002-0000000000000030.snap.broken",
            "snap/tmp123",
            "snap/db.tmp.99",
        ),
        ("wal/1.tmp->", "wal/lost+found/", "snap/00000000000000ff.snap.db", ".bashrc", "wal/.nfs0001"),
        ("wal.broken.20200101.000000/", "wal/ffffffffffffffff.wal", "wal/0000-0000.wal", "snap/db.bak", "snap/dead->"),
        ("snap/ffffffffffffffff-ffffffffffffffff.snap.broken", "../lost+found/", "wal/x.wal.broken", "snap/db->.old"),
    ],
)
def test_leftovers_change_nothing(member: Path, names: tuple[str, ...]) -> None:
    before = inspect(member)
    assert before.sound
    leave(member, *names)
    for place in (member, member.parent, member / "wal"):
        found = inspect(place)
        assert isinstance(found.log, Log)
        assert isinstance(before.log, Log)
        assert found.log == before.log
        assert found.sound
