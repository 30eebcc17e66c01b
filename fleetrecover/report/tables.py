"""Tables that fit: no word is ever broken. What has no room is dropped, or goes to a line of its own below the row.

On a terminal, prose is wrapped between words, with its continuation indented; elsewhere a line stays one line.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from fleetrecover.plain import visible

GAP = "  "
INDENT = "    "
HELD = "\x00"
"""A space at which no line may be broken; what is shown never holds this character itself."""


@dataclass(frozen=True)
class Column:
    """`rank`: columns of the highest one leave the first line first; `droppable` ones are then not shown at all."""

    title: str
    rank: int = 0
    droppable: bool = False


@dataclass(frozen=True)
class Row:
    """One row. `style` is Rich's, for the cell at that place. `note` is told below it, as prose."""

    cells: tuple[str, ...]
    style: dict[int, str] = field(default_factory=dict)
    note: str = ""


def print_table(out: Console, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print it within the console's width."""
    shown = [Row(tuple(visible(cell) for cell in row.cells), row.style, visible(row.note)) for row in rows]
    first, below = arrange(columns, shown, out.width)
    widths = {at: _width(columns, shown, at) for at in first}
    if shown:
        out.print(f"[bold]{escape(_line([columns[at].title for at in first], widths, first))}[/]", soft_wrap=True)
    for row in shown:
        out.print(_marked(row, widths, first), soft_wrap=True)
        more = "; ".join(f"{columns[at].title} {row.cells[at]}" for at in below if row.cells[at])
        for text in (more, row.note):
            if text:
                prose(out, text, first=INDENT, then=INDENT)


def arrange(columns: Sequence[Column], rows: Sequence[Row], width: int) -> tuple[list[int], list[int]]:
    """Which columns stand in the row, and which below it. The first column always stays.

    A column that is empty in every row is left out.
    """
    first = [at for at in range(len(columns)) if at == 0 or any(row.cells[at] for row in rows)]
    below: list[int] = []
    while len(first) > 1 and _total([_width(columns, rows, at) for at in first]) > width:
        gone = max(first[1:], key=lambda at: (columns[at].rank, at))
        first.remove(gone)
        if not columns[gone].droppable:
            below.append(gone)
    return first, sorted(below)


def _width(columns: Sequence[Column], rows: Sequence[Row], at: int) -> int:
    return max([cell_len(columns[at].title), *(cell_len(row.cells[at]) for row in rows)])


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _line(cells: Sequence[str], widths: dict[int, int], first: Sequence[int]) -> str:
    padded = [cell + " " * (widths[at] - cell_len(cell)) for at, cell in zip(first, cells, strict=True)]
    return GAP.join(padded).rstrip()


def _marked(row: Row, widths: dict[int, int], first: Sequence[int]) -> str:
    parts = []
    for at in first:
        cell = row.cells[at]
        space = " " * (widths[at] - cell_len(cell)) if at != first[-1] else ""
        style = row.style.get(at)
        parts.append((f"[{style}]{escape(cell)}[/]" if style else escape(cell)) + space)
    return GAP.join(parts).rstrip()


def prose(out: Console, text: str, *, first: str = "", then: str = INDENT, style: str = "") -> None:
    """Print text for a person: `first` stands before it, `then` before every line that it goes on in."""
    lines = [visible(first + text)]
    if out.is_terminal:
        parts = enumerate(visible(text).split("\n"))
        lines = [line for at, part in parts for line in wrapped(part, out.width, then if at else first, then)]
    for line in lines:
        out.print(f"[{style}]{escape(line)}[/]" if style else escape(line), soft_wrap=True)


def wrapped(text: str, width: int, first: str, then: str) -> list[str]:
    """Lines of at most `width` columns, broken between words only; a word that is longer stands alone on its line.

    What stands in backquotes is typed or pasted: it stays together where it fits on a line, else its lines end in a backslash.
    """
    room = max(width, 20) - len(then)
    held = re.sub(r"`[^`]*`", lambda found: _held(found[0], room), text)
    lines: list[str] = []
    for part in held.split("\n"):
        lines += textwrap.wrap(
            part,
            max(width, 20),
            initial_indent=then if lines else first,
            subsequent_indent=then,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return [line.replace(HELD, " ") for line in lines] or [first]


_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^ ])+""")
"""A word of sh; what is quoted is one."""


def _held(command: str, room: int) -> str:
    r"""A command that stays together, or, where it has no room on a line, goes on after a backslash, as sh reads it."""
    lines, line = [], ""
    for word in (found.replace(" ", HELD) for found in _WORD.findall(command)):
        if line and len(line) + len(word) + 3 > room and len(command) >= room:
            lines.append(line + HELD + "\\")
            line = word
        else:
            line = f"{line}{HELD}{word}" if line else word
    return "\n".join([*lines, line])
