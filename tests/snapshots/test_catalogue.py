"""One row for each content, the newest marked, the losses reckoned, and a name found or a near one told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetrecover.errors import InputError, Refused
from fleetrecover.snapshots.archive import Kind
from fleetrecover.snapshots.catalogue import (
    Best,
    Catalogue,
    Found,
    State,
    make_catalogue,
    named_time,
    select,
    snapshot_finding,
)
from fleetrecover.snapshots.listing import list_local
from fleetrecover.snapshots.prune import superfluous
from tests.snapshots.files import rke_zip, snapshot


def found(node: str | None, name: str, identity: str, revision: int | None, **more: object) -> Found:
    base = Found(node, f"/s/{name}", name, 100, 0.0, State.WHOLE, Kind.ZIP, identity, 1000, revision)
    return replace(base, **more)  # type: ignore[arg-type]


BEST = Best("etcd1", 100, datetime(2020, 1, 3, tzinfo=UTC))
FILES = (
    found("etcd1", "2020-01-01T00:00:00Z_etcd.zip", "a" * 64, 10),
    found("etcd2", "2020-01-01T00:00:00Z_etcd.zip", "b" * 64, 12),
    found("etcd3", "2020-01-01T00:00:00Z_etcd.zip", "b" * 64, 12),
    found("etcd1", "2020-01-02T00:00:00Z_etcd.zip", "c" * 64, 90),
    found(None, "copy-of-2020-01-02T00:00:00Z", "c" * 64, 90, mtime=2e9),
    found("etcd2", "2020-01-02T12:00:00Z_etcd.zip", "d" * 64, 95, state=State.DAMAGED, reason="cut"),
    found("etcd3", "odd", "", None, state=State.UNREADABLE, kind=None, reason="empty"),
    found("etcd3", "odd2", "", None, state=State.UNREADABLE, kind=None, reason="empty"),
)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("2019-04-05T10:11:12Z_etcd", "2019-04-05T10:11:12+00:00"),
        ("rke_etcd_snapshot_2019-04-05T10:11:12+02:00", "2019-04-05T08:11:12+00:00"),
        ("c-abcde-rl-xyz_2019-04-05T10:11:12Z.zip", "2019-04-05T10:11:12+00:00"),
        ("2019-04-05T10_11_12Z_etcd", "2019-04-05T10:11:12+00:00"),
        ("2019-04-05T10:11:12-0530.zip", "2019-04-05T15:41:12+00:00"),
        ("c-abcde-rl-xyz", None),
        ("2019-99-05T10:11:12Z_etcd", None),
    ],
)
def test_times_in_names(name: str, moment: str | None) -> None:
    time = named_time(name)
    assert (time.isoformat() if time else None) == moment


def test_rows() -> None:
    made = make_catalogue(FILES, BEST)
    assert len(made.rows) == 6
    assert made.newest is not None
    assert made.newest.first.identity == "c" * 64
    assert made.newest.places == ("etcd1", "(here)")
    assert made.newest.loss is not None
    assert (made.newest.loss.revisions, made.newest.loss.minutes) == (10, 1440.0)
    both = next(row for row in made.rows if row.first.identity == "b" * 64)
    assert both.places == ("etcd2", "etcd3")


def test_select() -> None:
    made = make_catalogue(FILES, BEST)
    assert select(made, "2020-01-01T00:00:00Z_etcd").first.identity == "b" * 64
    assert select(made, "2020-01-01T00:00:00Z_etcd@etcd1").first.identity == "a" * 64
    assert select(made, "2020-01-02T00:00:00Z_etcd.zip").first.identity == "c" * 64
    assert select(made, "aaaaaaaaaa").first.identity == "a" * 64
    with pytest.raises(InputError) as mistyped:
        select(made, "2020-01-02T00:00:00_etcd")
    assert "2020-01-02T00:00:00Z_etcd" in str(mistyped.value.hint)
    with pytest.raises(Refused, match="cut"):
        select(made, "2020-01-02T12:00:00Z_etcd")
    with pytest.raises(Refused, match="empty"):
        select(made, "odd")


def test_what_recover_says() -> None:
    assert snapshot_finding(make_catalogue(FILES, BEST), log_readable=True) is None
    ahead = snapshot_finding(make_catalogue(FILES, Best("etcd1", 50, None)), log_readable=True)
    assert ahead is not None
    assert ahead.code == "snapshot-ahead"
    assert "40 revisions ahead" in ahead.message
    instead = snapshot_finding(make_catalogue(FILES), log_readable=False)
    assert instead is not None
    assert "revision 90" in instead.message
    assert "snapshot restore 2020-01-02T00:00:00Z_etcd.zip" in instead.advice
    nothing = snapshot_finding(Catalogue((), None), log_readable=False)
    assert nothing is not None
    assert nothing.code == "no-snapshot"
    assert snapshot_finding(Catalogue((), None), log_readable=True) is None


def test_prune_keeps_points_in_time_and_never_the_last() -> None:
    made = make_catalogue(FILES, BEST)
    gone = superfluous(made, 1, 0, datetime(2020, 1, 3, tzinfo=UTC))
    assert {row.first.identity[0] for row in gone.rows} == {"a", "b"}
    assert not superfluous(made, 2, 0, datetime(2020, 1, 3, tzinfo=UTC)).rows
    assert not superfluous(made, 1, 86400 * 9, datetime(2020, 1, 3, tzinfo=UTC)).rows


def test_a_directory_here(tmp_path: Path) -> None:
    whole = snapshot()
    (tmp_path / "a.zip").write_bytes(rke_zip("a", whole))
    (tmp_path / "bare").write_bytes(whole)
    (tmp_path / "flipped").write_bytes(whole[:9000] + bytes([whole[9000] ^ 1]) + whole[9001:])
    (tmp_path / "cut").write_bytes(whole[:5000])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "raw").write_bytes(whole[:-32])
    (tmp_path / "pki.bundle.tar.gz").write_bytes(b"x")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "bare")
    by_name = {file.name: file for file in list_local(tmp_path)}
    assert set(by_name) == {"a.zip", "bare", "flipped", "cut", "empty", "raw", "link"}
    assert by_name["a.zip"].state is by_name["bare"].state is by_name["link"].state is State.WHOLE
    assert by_name["a.zip"].identity == by_name["bare"].identity == by_name["raw"].identity
    assert by_name["flipped"].state in (State.DAMAGED, State.UNREADABLE)
    assert by_name["cut"].state is State.UNREADABLE
    assert by_name["empty"].reason == "the file is empty"
    assert by_name["raw"].state is State.UNCHECKED
    assert by_name["bare"].keys == 10
    made = make_catalogue(by_name.values())
    assert len(made.rows) == 5
