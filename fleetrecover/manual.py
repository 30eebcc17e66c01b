"""The manual page and the shells' completion, made of the commands themselves: what `--help` says and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from fleetrecover import __version__
from fleetrecover.cli_group import EXAMPLES, first_sentence

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class Entry:
    """A command by its words ("snapshot restore"; empty for the program), and each of its options as written, with its help."""

    path: str
    usage: str
    help: str
    options: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    parts: tuple[str, ...]


def entries(command: Any, ctx: Any) -> Iterator[Entry]:
    """The program and every command of it that is not hidden, each before its parts."""
    records = [(param, param.get_help_record(ctx)) for param in command.get_params(ctx)]
    names = command.list_commands(ctx) if hasattr(command, "list_commands") else []
    inner = {name: command.get_command(ctx, name) for name in names}
    shown = {name: each for name, each in inner.items() if not each.hidden}
    yield Entry(
        ctx.command_path.partition(" ")[2],
        " ".join(command.collect_usage_pieces(ctx)),
        command.help or "",
        tuple(record for _, record in records if record),
        tuple(opt for param, record in records if record for opt in param.opts if opt.startswith("-")),
        tuple(shown),
    )
    for name, each in shown.items():
        yield from entries(each, type(ctx)(each, info_name=name, parent=ctx))


def all_entries() -> list[Entry]:
    """All of them, in the order of the help."""
    from fleetrecover.cli import add_parts, app

    add_parts()
    command: Any = typer.main.get_command(app)
    with command.make_context("fleetrecover", ["runs"]) as ctx:
        return list(entries(command, ctx))


# --- the page ---


def page() -> str:
    """The manual page, in roff's man macros."""
    program, *commands = all_entries()
    lines = [f'.TH FLEETRECOVER 1 "" "fleetrecover {__version__}" "User Commands"', ".SH NAME"]
    lines += [f"fleetrecover \\- {_roff(first_sentence(program.help)).rstrip('.')}", ".SH SYNOPSIS", ".B fleetrecover"]
    lines += [_roff(program.usage), ".SH DESCRIPTION", _paragraphs(program.help), ".SH OPTIONS", *_options(program)]
    lines.append(".SH COMMANDS")
    for each in commands:
        lines += [f".SS fleetrecover {_roff(each.path)} {_roff(each.usage)}", _paragraphs(each.help), *_options(each)]
        for example in EXAMPLES.get(each.path, ()):
            lines += [".PP", "Example:", f".B fleetrecover {_roff(example)}"]
    return "\n".join(lines) + "\n"


def _options(entry: Entry) -> list[str]:
    return [line for written, told in entry.options for line in (".TP", f".B {_roff(written)}", _roff(told) or "\\&")]


def _paragraphs(text: str) -> str:
    return "\n.PP\n".join(_roff(" ".join(part.split())) for part in text.split("\n\n"))


def _roff(text: str) -> str:
    """Text in which nothing is a request or an escape."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + safe if safe[:1] in (".", "'") else safe


# --- completion ---


def completion(shell: str) -> str:
    """The shell's script. It asks nobody: all words stand in it, so it answers at once."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](all_entries())


def _cases(found: list[Entry]) -> str:
    program, *_ = found
    common = " ".join(program.flags)
    rows = []
    for each in found:
        words = " ".join([*each.parts, *each.flags, *([common] if each.path else [])])
        rows.append(f"    '{each.path}') words='{words}' ;;")
    return "\n".join(rows)


def _bash(found: list[Entry]) -> str:
    groups = "|".join(each.path for each in found if each.path and each.parts)
    return f"""_fleetrecover() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" path='' word words='' skip=''
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    if [ -n "$skip" ]; then skip=''; continue; fi
    case "$word" in
      --inventory|--log|--events) skip=1 ;;
      -*) ;;
      *) case "$path" in '') path="$word" ;; {groups}) path="$path $word" ;; esac ;;
    esac
  done
  case "$path" in
{_cases(found)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _fleetrecover fleetrecover
"""


def _zsh(found: list[Entry]) -> str:
    return f"#compdef fleetrecover\nautoload -U +X bashcompinit && bashcompinit\n{_bash(found)}"


def _fish(found: list[Entry]) -> str:
    lines = ["complete -c fleetrecover -f"]
    for each in found:
        seen = " ".join(each.path.split())
        first = each.path.split()
        if not first:
            asked = "__fish_use_subcommand"
        else:
            asked = " && ".join(f"__fish_seen_subcommand_from {word}" for word in seen.split())
        lines += [f"complete -c fleetrecover -n '{asked}' -a '{part}'" for part in each.parts]
        for flag in each.flags:
            kind = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            lines.append(f"complete -c fleetrecover -n '{asked if first else 'true'}' {kind}")
    return "\n".join(lines) + "\n"
