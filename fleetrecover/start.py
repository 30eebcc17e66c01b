"""Where the program begins: `--version` and `--help` are answered without anything that works being imported.

The parser of the command line alone takes longer to import than five empty pythons. So the help stands beside this module
as it was printed last (`python -m fleetrecover.start` writes it anew, a test compares): it is shown where the terminal is
wide enough for it, else made afresh.
"""

from __future__ import annotations

import os
import sys

from fleetrecover import __version__

PAGE = os.path.join(os.path.dirname(__file__), "help.txt")  # noqa: PTH118, PTH120 - pathlib costs half a python
WIDTH = 80
"""Columns that the kept help has; a wider terminal is shown the same."""


def quick(words: list[str]) -> str | None:
    """What is to be printed for this command line, where that can be told without the parser; else None."""
    if words in (["-V"], ["--version"]):
        return f"fleetrecover {__version__}\n"
    if words in (["-h"], ["--help"]) and columns() >= WIDTH:
        return page()
    return None


def columns() -> int:
    """How wide the terminal is: $COLUMNS, else what it says; WIDTH where there is none."""
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(1).columns or WIDTH
    except OSError:
        return WIDTH


def page() -> str | None:
    """The help as it was printed last; None where the file is not there, as in an archive."""
    try:
        with open(PAGE, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def main() -> None:
    """Run as a program."""
    told = quick(sys.argv[1:])
    if told is None:
        from fleetrecover.cli import main as program

        program()
        return
    sys.stdout.write(told)


def made() -> str:
    """The help as the parser prints it at WIDTH columns."""
    import contextlib
    import io

    from fleetrecover.cli import run

    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run(["--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return out.getvalue()


if __name__ == "__main__":
    with open(PAGE, "w", encoding="utf-8") as target:  # noqa: PTH123
        target.write(made())
