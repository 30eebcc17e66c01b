"""The console that everything for a person goes through: what came from a node cannot act on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from fleetrecover.plain import visible


class SafeConsole(Console):
    """Rich's console; of a string that is printed, only our own markup has an effect."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Render a string, all control characters in it shown as their codes."""
        return super().render_str(visible(text), **how)
