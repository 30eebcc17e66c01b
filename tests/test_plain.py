"""Text from a node, shown: nothing of it acts on a terminal, and it can always be printed."""

from __future__ import annotations

import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from fleetrecover.plain import dumps, harmful, visible
from fleetrecover.report.terminal import SafeConsole

NASTY = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x08\x00\u202egnp.exe\u2066\udc80\ud800\x7f"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_visible_is_harmless_and_can_be_encoded(text: str) -> None:
    shown = visible(text)
    assert not harmful(shown)
    assert all(char.isprintable() or char in "\n\t" or ord(char) >= 0xA0 for char in shown)
    shown.encode()
    assert visible(shown) == shown


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_json_reads_back_as_it_was(text: str) -> None:
    shown = dumps({"key": [text]})
    assert json.loads(shown) == {"key": [text]}
    assert not harmful(shown)
    shown.encode()


def test_the_console_prints_codes_and_keeps_its_own_colours() -> None:
    """In a plain line, in a table's cells, heads and title; markup of ours still works."""
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=True, width=200, color_system="standard")
    console.print(f"[bold]ours[/] {NASTY}")
    console.print(NASTY, markup=False, soft_wrap=True, style="red")
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY)
    console.print(table)
    text = out.getvalue()
    text.encode()
    for bad in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\x08", "\x00", "\u202e", "\r"):
        assert bad not in text
    assert "\x1b[1mours" in text
    assert r"\x1b[2J" in text
