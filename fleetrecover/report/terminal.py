"""The console that everything for a person goes through: what came from a node cannot act on the terminal."""

from __future__ import annotations

import os
import sys
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from fleetrecover.plain import visible

PLAIN_WIDTH = 160
"""Columns where no terminal says how many there are: lines for a file or a pipe."""


class SafeConsole(Console):
    """Rich's console; of a string that is printed, only our own markup has an effect."""

    @classmethod
    def on(cls, *, stderr: bool, colours: bool = True) -> Self:
        """One of our own streams. Without `colours`, or with $NO_COLOR set to anything, nothing is coloured or bold."""
        stream = sys.stderr if stderr else sys.stdout
        plain = not colours or bool(os.environ.get("NO_COLOR"))
        return cls(
            stderr=stderr,
            color_system=None if plain else "auto",
            highlight=False,
            width=None if stream.isatty() else PLAIN_WIDTH,
        )

    def render_str(self, text: str, **how: Any) -> Text:
        """Render a string, all control characters in it shown as their codes."""
        return super().render_str(visible(text), **how)
