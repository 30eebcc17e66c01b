"""How a group of commands behaves: its help is never cut off, and an interruption is told by us."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from fleetrecover.errors import Interrupted


class Group(TyperGroup):
    """A group whose list of commands has whole sentences, and which turns Ctrl-C into an error of ours.

    Typer makes an exit code of a KeyboardInterrupt, and no word is said; so it is caught below it.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's own options."""
        return [spared(option) for option in super().get_params(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.epilog = epilog(f"{ctx.command_path} {cmd_name}") or command.epilog
            options = command.get_params
            setattr(command, "get_params", lambda within: [spared(each) for each in options(within)])  # noqa: B010
        return command

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


EXAMPLES: dict[str, tuple[str, ...]] = {
    "survey": ("survey", "survey --save now.json --redact"),
    "diagnose": ("diagnose", "diagnose --dead etcd2 --dead etcd3", "diagnose --from now.json"),
    "plan": ("plan --dead etcd3", "plan -o plan.json", "plan --from now.json"),
    "recover": ("recover", "recover --dead etcd3 --yes prod", "recover --plan plan.json"),
    "runs": ("runs --json",),
    "report": ("report 0f3a --html report.html",),
    "support": ("support 0f3a",),
    "undo": ("undo --last",),
    "init": ("init --from root@10.0.0.11", "init --from cluster.yml"),
    "snapshot save": ("snapshot save before-upgrade --fetch .",),
    "snapshot restore": ("snapshot restore before-upgrade",),
    "completion": ("completion bash > /etc/bash_completion.d/fleetrecover",),
    "manual": ("manual > /usr/local/share/man/man1/fleetrecover.1",),
}
"""Command lines to begin with, for the help and the manual."""


def epilog(path: str) -> str:
    """What stands at the end of a command's help; `path`: the program's name, and the command's."""
    told = EXAMPLES.get(path.partition(" ")[2], ())
    return "\b\nExamples:\n" + "\n".join(f"  fleetrecover {each}" for each in told) if told else ""


def spared(option: Any) -> Any:
    """An option that stays None where it was not given: to turn nothing into a value, Typer would import Pydantic."""
    work, callback = option.process_value, option.callback
    if not option.required and option.default is None and (callback is None or option.name == "help"):
        option.process_value = lambda ctx, value: None if value is None else work(ctx, value)
    return option


def part(module: str, told: str) -> typer.Typer:
    """A group of commands whose module (its `app`) is imported when one of them is wanted, and not for its line of help.

    The lab alone took longer to import than all else that `--help` needs.
    """

    class Part(Group):
        @cached_property
        def whole(self) -> Any:
            return typer.main.get_group(import_module(module).app)

        def list_commands(self, ctx: Any) -> list[str]:
            names: list[str] = self.whole.list_commands(ctx)
            return names

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return self.whole.get_command(ctx, cmd_name)

    return typer.Typer(
        help=told,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        cls=Part,
    )


def first_sentence(text: str) -> str:
    """The first sentence of a command's help, on one line.

    >>> first_sentence("The main job: bring the\\ncluster back. The same command again resumes.")
    'The main job: bring the cluster back.'
    """
    words = " ".join(text.partition("\n\n")[0].split())
    head, found, _ = words.partition(". ")
    return head + ("." if found else "")
