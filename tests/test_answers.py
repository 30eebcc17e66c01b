"""What comes from a node is read within bounds, and whatever is wrong with it is an error of ours that says what."""

from __future__ import annotations

import gzip
import json
import logging
import zlib

import pytest

from fleetrecover import answers, bounds
from fleetrecover.answers import load_json, understood, unzipped
from fleetrecover.commands import probes
from fleetrecover.errors import FormatError, Refused, Unreachable
from fleetrecover.etcd.membership import MAX_STORE, members_from_v2store
from fleetrecover.etcd.wal import Needed
from fleetrecover.survey import check_log_size
from tests.odd import answer


def test_an_error_of_ours_is_passed_on() -> None:
    for error in (FormatError("x"), Refused("x"), Unreachable("etcd1", "x")):

        def raising(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            understood("probe", raising)
        assert caught.value is error


@pytest.mark.parametrize(
    "error", [KeyError("a"), RecursionError(), MemoryError(), UnicodeDecodeError("x", b"", 0, 1, "y")]
)
def test_any_other_exception_is_a_format_error_with_its_kind_and_its_traceback_for_who_wants_it(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def raising() -> None:
        raise error

    with caplog.at_level(logging.DEBUG, answers.LOG.name), pytest.raises(FormatError, match=type(error).__name__):
        understood("probe", raising)
    assert caplog.records[0].exc_info is not None


def test_what_ends_the_program_is_not_an_answer() -> None:
    def raising() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        understood("probe", raising)


class TestJson:
    def test_what_etcd_and_the_engine_say_is_read(self) -> None:
        value = {"id": 2**64 - 1, "rate": 1.5, "deep": {"a": [{"b": {"c": [1]}}]}}
        assert load_json(json.dumps(value), "x") == value
        assert load_json(json.dumps(value).encode(), "x") == value

    @pytest.mark.parametrize(
        "text", ["NaN", "-Infinity", "[1e999]", "[-1e999]", "9" * 5000, "[", "", "\x00", "{'a': 1}"]
    )
    def test_what_is_no_json_or_not_finite(self, text: str) -> None:
        with pytest.raises(FormatError, match="not JSON"):
            load_json(text, "x")

    def test_bytes_are_bounded(self) -> None:
        with pytest.raises(FormatError, match="more than 10"):
            load_json(" " * 10 + "1", "x", limit=10)
        assert load_json(" " * 9 + "1", "x", limit=10) == 1

    def test_values_are_bounded(self) -> None:
        """9 MB of `{}` took 227 MB."""
        assert load_json("[{},{}]", "x", values=4) == [{}, {}]
        with pytest.raises(FormatError, match="more than 3 values"):
            load_json("[{},{}]", "x", values=3)
        with pytest.raises(FormatError, match="values"):
            load_json(b"[" + b"{}," * bounds.JSON_VALUES + b"1]", "x")

    @pytest.mark.parametrize("depth", [bounds.JSON_DEPTH + 1, 900, 100_000])
    @pytest.mark.parametrize("pair", ["[]", '{"a":}'])
    def test_nesting_is_bounded(self, depth: int, pair: str) -> None:
        opening, closing = pair[:-1], pair[-1]
        with pytest.raises(FormatError, match="not JSON"):
            load_json(opening * depth + "1" + closing * depth, "x")
        fine = bounds.JSON_DEPTH - 1
        assert load_json(opening * fine + "1" + closing * fine, "x")

    def test_the_v2_store_is_bounded(self) -> None:
        assert MAX_STORE == bounds.STORE
        with pytest.raises(FormatError, match="values"):
            members_from_v2store(b'{"Root":[' + b"{}," * bounds.JSON_VALUES + b"{}]}", source="x")


class TestUnzipped:
    def test_what_was_asked_for_comes(self) -> None:
        assert unzipped(gzip.compress(b"abc" * 100), 300, "x") == b"abc" * 100
        assert unzipped(gzip.compress(b"abc"), 300, "x") == b"abc", "a piece past the end comes short"

    def test_a_bomb_is_not_unpacked(self) -> None:
        """204 kB made 105 MB for 80 bytes that were asked for."""
        with pytest.raises(FormatError, match="more than the 80 bytes"):
            unzipped(gzip.compress(bytes(10_000_000)), 80, "x")

    def test_one_that_is_cut_or_none(self) -> None:
        packed = gzip.compress(b"abc" * 100)
        for data in (packed[:-9], b"", b"x" * 30, zlib.compress(b"x")):
            with pytest.raises(FormatError, match="gzip"):
                unzipped(data, 300, "x")

    def test_pieces_of_a_database_are_bounded_by_what_was_asked_for(self) -> None:
        probe = probes.ranges("/db", [(0, 80), (4096, 80)])
        bomb = gzip.compress(bytes(1_000_000)).hex()
        sound = gzip.compress(bytes(80)).hex()
        assert probe.parse(answer(probe, f"{sound}\n{sound}\n".encode())) == [bytes(80)] * 2
        with pytest.raises(FormatError, match="80 bytes"):
            probe.parse(answer(probe, f"{sound}\n{bomb}\n".encode()))
        assert probe.command.most < 2 * bounds.MIB

    def test_a_segment_is_bounded_by_its_size(self) -> None:
        probe = probes.wal_file("/wal/0.wal")
        assert probe.parse(answer(probe, b"100 3 gzip\n" + gzip.compress(b"abc"))) == b"abc" + bytes(97)
        for header in (f"{bounds.SEGMENT + 1} 3", f"{bounds.SEGMENT * 4} {bounds.SEGMENT * 4}", "3 4", "-1 -1"):
            with pytest.raises(FormatError, match="not those of a WAL segment"):
                probe.parse(answer(probe, f"{header} raw\n".encode()))
        with pytest.raises(FormatError, match="more than the 3 bytes"):
            probe.parse(answer(probe, b"100 3 gzip\n" + gzip.compress(bytes(9_000_000))))
        assert probe.command.most <= bounds.SEGMENT + bounds.MIB
        assert probes.wal_file("/snap/0.snap").command.most <= bounds.SNAP + bounds.MIB


class TestLogSize:
    """A log that is larger than any of etcd's is not asked for at all."""

    def test_number(self) -> None:
        names = tuple(f"{n}.wal" for n in range(bounds.LOG_SEGMENTS + 1))
        with pytest.raises(FormatError, match="257 segments"):
            check_log_size(Needed(names, None, 1), dict.fromkeys(names, 1))
        check_log_size(Needed(names[1:], None, 1), dict.fromkeys(names, 1))

    def test_sum(self) -> None:
        check_log_size(Needed(("0.wal",), None, bounds.LOG), {"0.wal": 1})
        with pytest.raises(FormatError, match="bytes of WAL"):
            check_log_size(Needed(("0.wal",), None, bounds.LOG + 1), {"0.wal": 1})

    def test_one(self) -> None:
        check_log_size(Needed(("0.wal",), None, 1), {"0.wal": bounds.SEGMENT})
        with pytest.raises(FormatError, match="more than"):
            check_log_size(Needed(("0.wal",), None, 1), {"0.wal": bounds.SEGMENT + 1})
