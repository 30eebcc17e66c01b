"""What a snapshot file is, and how little of it is believed."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetrecover.errors import FormatError, InputError
from fleetrecover.snapshots import archive
from fleetrecover.snapshots.archive import Kind, check_name, pack, recognise, unpack
from tests.snapshots.files import rke_zip, snapshot, zip_of

WHOLE = snapshot()
NAME = "2019-04-05T10:11:12Z_etcd"


def take(data: bytes, name: str = NAME, limit: int = archive.MAX_SIZE) -> tuple[archive.Unpacked, bytes]:
    sink = io.BytesIO()
    done = unpack(io.BytesIO(data), sink, name, limit=limit)
    return done, sink.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (WHOLE, NAME, Kind.BARE),
        (WHOLE[:-32], "db", Kind.RAW),
        (rke_zip(NAME, WHOLE), f"{NAME}.zip", Kind.ZIP),
        (rke_zip("c-abcde-rl-x", WHOLE), "c-abcde-rl-x.gz", Kind.GZ_ZIP),
        (zip_of((NAME, WHOLE)), f"{NAME}.zip", Kind.ZIP),
        (zip_of((f"backup/{NAME}", WHOLE), method=zipfile.ZIP_STORED), f"{NAME}.zip", Kind.ZIP),
        (gzip.compress(WHOLE), f"{NAME}.gz", Kind.GZIP),
    ],
    ids=range(7),
)
def test_every_kind_gives_the_database(data: bytes, name: str, kind: Kind) -> None:
    done, out = take(data, name)
    assert done.kind is kind
    assert out in (WHOLE, WHOLE[:-32])
    assert done.size == len(out)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (bytes(4096), "zeros"),
        (b"hello" * 99, "neither"),
        (zip_of(), "nothing in it"),
        (zip_of(("../../etc/passwd", WHOLE)), "points outside"),
        (zip_of(("/backup/../../etc/passwd", WHOLE)), "points outside"),
        (zip_of(("..\\x", WHOLE)), "points outside"),
        (zip_of(("/etc/passwd", WHOLE)), "not to be trusted"),
        (zip_of((f"/backup/{NAME}", WHOLE), ("/root/.ssh/authorized_keys", b"x")), "not to be trusted"),
        (zip_of(("/backup/a", WHOLE), ("/backup/b", WHOLE)), "2 files"),
        (zip_of(("/backup/", b"")), "no snapshot in the zip"),
        (zip_of(("/etc/kubernetes/x.rkestate", b"{}")), "no snapshot in the zip"),
        (zip_of((f"/backup/{NAME}", b"no database" * 99)), "no etcd database"),
        (zip_of((f"/backup/{NAME}", WHOLE), method=zipfile.ZIP_BZIP2), "method 12"),
        (zip_of(*((f"/backup/{n}", b"") for n in range(99))), "99 entries"),
        (rke_zip(NAME, WHOLE)[:-40], "damaged zip"),
        (gzip.compress(WHOLE)[:-40], "cut off"),
        (gzip.compress(b"no database" * 99), "no etcd database"),
    ],
    ids=range(18),  # the bytes hold the time at which they were packed
)
def test_what_is_no_snapshot_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        take(data, f"{NAME}.zip")


def test_a_bomb_is_refused_by_what_it_announces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BOMB_SIZE", 1 << 20)
    with pytest.raises(FormatError, match="bomb"):
        take(zip_of((f"/backup/{NAME}", WHOLE[:4096] + bytes(8 << 20))), f"{NAME}.zip")
    with pytest.raises(FormatError, match="bomb"):
        take(rke_zip(NAME, WHOLE), f"{NAME}.zip", limit=1000)


def test_a_bomb_that_lies_about_its_size_is_cut() -> None:
    """The central directory announces less than comes out."""
    data = bytearray(zip_of((f"/backup/{NAME}", WHOLE + bytes(1 << 20))))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = len(WHOLE).to_bytes(4, "little")
    sink = io.BytesIO()
    with pytest.raises(FormatError):
        unpack(io.BytesIO(bytes(data)), sink, f"{NAME}.zip")
    assert len(sink.getvalue()) <= len(WHOLE) + (1 << 20)


def test_a_gzip_bomb_is_cut_at_the_limit() -> None:
    sink = io.BytesIO()
    with pytest.raises(FormatError, match="not read any further"):
        unpack(io.BytesIO(gzip.compress(WHOLE + bytes(64 << 20))), sink, "x.gz", limit=2 << 20)
    assert len(sink.getvalue()) <= 2 << 20


def test_what_we_pack_is_what_rke_looks_for() -> None:
    sink = io.BytesIO()
    pack(io.BytesIO(WHOLE), sink, NAME, len(WHOLE))
    with zipfile.ZipFile(sink) as made:
        [entry] = made.infolist()
        assert entry.orig_filename == f"/backup/{NAME}"
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        assert entry.external_attr >> 16 == 0o100600
        assert made.read(entry) == WHOLE
    assert take(sink.getvalue(), f"{NAME}.zip") == (archive.Unpacked(Kind.ZIP, len(WHOLE), f"/backup/{NAME}"), WHOLE)


def test_a_renamed_zip_is_noted() -> None:
    done, _ = take(rke_zip("old", WHOLE), "new.zip")
    assert "would not find it" in done.notes[0]


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1 << 16), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_another_database(at: int, bit: int) -> None:
    """Either it is refused, or what comes out is what was put in: the flip hit what nobody reads."""
    data = bytearray(rke_zip(NAME, WHOLE))
    data[at % len(data)] ^= 1 << bit
    try:
        _, out = take(bytes(data), f"{NAME}.zip")
    except FormatError:
        return
    assert out == WHOLE


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", ".x", "a b", "a\nb", "x" * 300, "ä", "$(id)"])
def test_names_that_cannot_be_given(name: str) -> None:
    with pytest.raises(InputError):
        check_name(name)


@pytest.mark.parametrize("name", [NAME, "c-abcde-rl-xyz_2020-01-01T00:00:00Z", "a.zip", "x@y+z=1"])
def test_names_that_can_be_given(name: str) -> None:
    assert check_name(name) == name.removesuffix(".zip")


def test_recognise_needs_only_the_head() -> None:
    assert recognise(WHOLE[:128], len(WHOLE), "x") is Kind.BARE
