"""How docker's command line spells sizes, durations, CPUs, ports and comma lists, and back.

Sources: go-units `RAMInBytes` (sizes are powers of 1024), Go's `time.ParseDuration`, docker/cli `opts/`.
"""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal, InvalidOperation

from fleetrecover.errors import UsageError

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DURATIONS = (
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|μs|ns)")


def show_size(size: int) -> str:
    """Bytes as docker reads them, in the largest unit that is exact: 1073741824 → `1g`, 100 → `100`."""
    for unit in ("g", "m", "k"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return str(size)


def parse_size(text: str) -> int:
    """`64m`, `1.5GiB`, `512` → bytes. UsageError on anything else."""
    found = re.fullmatch(r"(-?\d+(?:\.\d+)?) ?([kmgtpKMGTP]?)(?:[iI]?[bB])?", text.strip())
    if not found:
        raise UsageError(f"not a size: {text!r}")
    return int(Decimal(found[1]) * _SIZES[found[2].lower()])


def show_duration(nanoseconds: int) -> str:
    """Nanoseconds as Go reads them, in the largest unit that is exact: 90000000000 → `90s`."""
    for unit, length in _DURATIONS[2:]:
        if nanoseconds % length == 0:
            return f"{nanoseconds // length}{unit}"
    raise AssertionError("every number is a multiple of one")


def parse_duration(text: str) -> int:
    """`1m30s`, `1.5h`, `0` → nanoseconds. UsageError on anything else."""
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"not a duration: {text!r}")
    lengths = dict(_DURATIONS) | {"µs": 1_000, "μs": 1_000}
    return int(sum(Decimal(number) * lengths[unit] for number, unit in parts))


def show_cpus(nano: int) -> str:
    """Billionths of a CPU as a decimal: 1500000000 → `1.5`."""
    text = f"{Decimal(nano) / 1_000_000_000:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_cpus(text: str) -> int:
    """`1.5` → 1500000000. UsageError when it is no number, or finer than docker takes."""
    try:
        nano = Decimal(text) * 1_000_000_000
    except InvalidOperation as error:
        raise UsageError(f"not a number of CPUs: {text!r}") from error
    if nano != nano.to_integral_value():
        raise UsageError(f"too fine a number of CPUs: {text!r}")
    return int(nano)


def show_csv(fields: list[str]) -> str:
    """One line of comma-separated values, quoted as Go's `encoding/csv` reads it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(fields)
    return out.getvalue()


def parse_csv(text: str) -> list[str]:
    """The fields of one line of comma-separated values."""
    return next(csv.reader(io.StringIO(text)), [])
