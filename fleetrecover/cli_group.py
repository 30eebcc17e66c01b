"""How a group of commands behaves: its help is never cut off, and an interruption is told by us."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from fleetrecover.errors import Interrupted


class Group(TyperGroup):
    """A group whose list of commands has whole sentences, and which turns Ctrl-C into an error of ours.

    Typer makes an exit code of a KeyboardInterrupt, and no word is said; so it is caught below it.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises Interrupted where the operator interrupts."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort) as error:
            raise Interrupted("interrupted") from error

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, each with its whole first sentence."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, first_sentence(command.help or "")))
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def first_sentence(text: str) -> str:
    """The first sentence of a command's help, on one line.

    >>> first_sentence("The main job: bring the\\ncluster back. The same command again resumes.")
    'The main job: bring the cluster back.'
    """
    words = " ".join(text.partition("\n\n")[0].split())
    head, found, _ = words.partition(". ")
    return head + ("." if found else "")
