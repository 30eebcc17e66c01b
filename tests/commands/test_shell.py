from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetrecover.commands import shell
from fleetrecover.errors import InputError

WORDS = st.text(st.characters(exclude_characters="\0", categories=["L", "M", "N", "P", "S", "Z", "Cc"]), max_size=40)


def sh(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh"], input=script.encode(), capture_output=True, check=False)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4))
def test_quoted_words_arrive_as_they_were(words: list[str]) -> None:
    script = f"for w in {shell.join(words)}; do printf '%s\\001' \"$w\"; done"
    assert sh(script).stdout == "".join(f"{word}\1" for word in words).encode()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_printf_prints_exactly_these_bytes(data: bytes) -> None:
    assert sh(shell.printf(data)).stdout == data


def test_large_payloads_and_every_byte() -> None:
    data = bytes(range(256)) * 40
    assert sh(shell.printf(data)).stdout == data
    assert set(shell.octal(data)) <= set("\\01234567")


@pytest.mark.parametrize(
    "call", [lambda: shell.quote("a\0b"), lambda: shell.join(["a", "\0"]), lambda: shell.write_file("\0", b"")]
)
def test_a_nul_byte_is_refused(call: object) -> None:
    with pytest.raises(InputError, match="NUL"):
        call()  # type: ignore[operator]


def test_half_of_a_surrogate_pair_is_refused() -> None:
    """JSON of a node can hold one; it can be sent nowhere."""
    with pytest.raises(InputError, match="surrogate"):
        shell.quote("a\ud800")


@pytest.mark.parametrize("name", ["plain", "with space", "quote'd", "-dash", "täst"])
@pytest.mark.parametrize("data", [b"", b"text\n", bytes(range(256)) * 30])
def test_write_file(tmp_path: Path, name: str, data: bytes) -> None:
    target = tmp_path / name
    target.write_bytes(b"old")
    result = sh(shell.write_file(str(target), data, 0o640))
    assert result.returncode == 0, result.stderr
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o7777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_write_file_with_a_relative_path_that_looks_like_an_option(tmp_path: Path) -> None:
    result = sh(f"cd {shell.quote(str(tmp_path))}; {shell.write_file('-rf', b'x')}")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "-rf").read_bytes() == b"x"


def test_write_file_that_fails_leaves_what_was(tmp_path: Path) -> None:
    target = tmp_path / "dir" / "file"
    assert sh(shell.write_file(str(target), b"x")).returncode != 0
    (tmp_path / "file").write_bytes(b"old")
    full = shell.write_file(str(tmp_path / "file"), b"x" * 100_000)
    assert sh(f"trap '' XFSZ; ulimit -f 1; {full}").returncode != 0
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_write_file_refuses_what_is_no_mode() -> None:
    with pytest.raises(InputError, match="mode"):
        shell.write_file("/tmp/x", b"", 0o77777)
