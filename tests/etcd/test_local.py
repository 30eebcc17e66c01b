"""`inspect` on directories and files as they lie on a disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleetrecover.errors import FormatError, InputError
from fleetrecover.etcd.describe import describe, to_json
from fleetrecover.etcd.frames import FRAME, STATE, span_of
from fleetrecover.etcd.local import inspect
from fleetrecover.etcd.log import Broken, Log
from tests.etcd import cases


def lay_out(root: Path, version: str, case: str, name: str) -> Path:
    directory = cases.directories(version, case)[name]
    for part, files in (("wal", directory.wal), ("snap", directory.snap)):
        place = root / "member" / part
        place.mkdir(parents=True)
        for file, content in files.items():
            (place / file).write_bytes(content)
    return root


@pytest.mark.parametrize("version", cases.VERSIONS)
@pytest.mark.parametrize("below", ["", "member"])
def test_data_directory(tmp_path: Path, version: str, below: str) -> None:
    found = inspect(lay_out(tmp_path, version, "three", "n1") / below)
    assert found.kind == "data directory"
    assert found.sound
    assert isinstance(found.log, Log)
    text = describe(found)
    assert f"log ends    at term {found.log.last.term}, index {found.log.last.index}" in text
    assert "behind the end" in text
    assert "n2 http://127.0.0.1" in text
    out = json.loads(json.dumps(to_json(found)))
    assert out["log"]["last"]["index"] == found.log.last.index
    assert out["log"]["nodeId"] == format(found.log.node_id, "x")
    assert out["db"]["consistentIndex"] <= found.log.last.index


@pytest.mark.parametrize("version", cases.VERSIONS)
def test_parts_of_it(tmp_path: Path, version: str) -> None:
    member = lay_out(tmp_path, version, "three", "n1") / "member"
    whole = inspect(tmp_path)
    assert isinstance(whole.log, Log)
    directory = inspect(member / "wal")
    assert directory.kind == "WAL directory"
    assert directory.log == whole.log
    (segment,) = (member / "wal").glob("*.wal")
    single = inspect(segment)
    assert single.kind == "WAL segment"
    assert isinstance(single.log, Log)
    assert single.log.last == whole.log.last
    snap = inspect(member / "snap" / whole.log.snap_name)
    assert snap.kind == ".snap file"
    assert f"index {whole.log.snapshot.index}" in describe(snap)
    assert to_json(snap)["snap"]["index"] == whole.log.snapshot.index
    db = inspect(member / "snap" / "db", full=True)
    assert db.kind == "database"
    assert "none: a bare database" in describe(db)
    assert to_json(db)["snapshot"]["status"]["totalKey"] > 0


def test_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.db"
    content = cases.file("3.5.16", "single", "snapshot.db")
    path.write_bytes(content)
    found = inspect(path)
    assert (found.kind, found.sound) == ("snapshot", True)
    assert "matches" in describe(found)
    path.write_bytes(content[:-1] + b"?")
    assert not inspect(path).sound
    assert "DOES NOT MATCH" in describe(inspect(path))


def test_damage_is_shown_beside_the_rest(tmp_path: Path) -> None:
    lay_out(tmp_path, "3.5.16", "three", "n1")
    (segment,) = (tmp_path / "member/wal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    data[3000] ^= 1
    segment.write_bytes(data)
    found = inspect(tmp_path)
    assert isinstance(found.log, Broken)
    assert not found.sound
    assert "DAMAGED, it proves nothing" in describe(found)
    assert "database    revision" in describe(found)
    assert "broken" in to_json(found)["log"]


def test_wal_that_lost_entries_contradicts_the_database(tmp_path: Path) -> None:
    """A file system that lost the end of the WAL: the log reads well, but the database knows more."""
    lay_out(tmp_path, "3.5.16", "single", "n1")
    (segment,) = (tmp_path / "member/wal").glob("*.wal")
    data = segment.read_bytes()
    offset = states = 0
    while states < 12:  # an early place between two flushes
        start, _, offset = span_of(FRAME.unpack_from(data, offset)[0], offset)
        states += data[start + 1] == STATE
    segment.write_bytes(data[:offset] + bytes(len(data) - offset))
    found = inspect(tmp_path)
    assert isinstance(found.log, Log)
    assert found.log.torn is None
    assert not found.sound
    assert "the WAL has lost entries" in found.contradiction
    assert "WRONG" in describe(found)
    assert "contradiction" in to_json(found)


def test_nothing_to_inspect(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data directory"):
        inspect(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        inspect(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError):
        inspect(tmp_path / "notes.txt")
    (tmp_path / "member").mkdir()
    (tmp_path / "member/wal").mkdir()
    assert isinstance(inspect(tmp_path).log, Broken)
