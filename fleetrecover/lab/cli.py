"""`fleetrecover lab …`: the rehearsal fleet from the command line. stdout is the answer, stderr the story."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import fleetrecover.lab as rehearsal
from fleetrecover.cli_group import Group
from fleetrecover.errors import UsageError
from fleetrecover.lab.layout import MAX_NODES
from fleetrecover.lab.packages import DEFAULT_VERSION, version_of

if TYPE_CHECKING:
    from fleetrecover.lab.fleet import Lab, LabStatus

app = typer.Typer(
    help="A rehearsal fleet on this machine: real sshd, dockerd and etcd on every host.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    cls=Group,
)

Name = Annotated[str, typer.Option("--name", help="The lab's name; several can live side by side.")]
Binaries = Annotated[
    Path | None,
    typer.Option("--etcd-binaries", metavar="DIR", help="In place of --etcd: where etcd and etcdctl lie."),
]


#: what `lab break` can do to a host
BREAKAGES: dict[str, Callable[[Lab, str], None]] = {
    "power-off": lambda lab, host: lab.power_off(host),
    "power-on": lambda lab, host: lab.power_on(host),
    "cut": lambda lab, host: lab.cut(host),
    "mend": lambda lab, host: lab.mend(host),
    "kill": lambda lab, host: lab.kill_etcd(host),
    "remove": lambda lab, host: lab.remove_etcd(host),
    "wipe": lambda lab, host: lab.wipe(host),
    "stop-dockerd": lambda lab, host: lab.stop_dockerd(host),
    "start-dockerd": lambda lab, host: lab.start_dockerd(host),
    "fill-disk": lambda lab, host: lab.fill_disk(host),
    "unfill-disk": lambda lab, host: lab.unfill_disk(host),
}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@app.command()
def up(
    name: Name = "lab",
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=MAX_NODES, help="How many hosts.")] = 3,
    etcd: Annotated[str, typer.Option("--etcd", help="etcd's version.", metavar="VERSION")] = DEFAULT_VERSION,
    etcd_binaries: Binaries = None,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="Add stand-ins for the control plane.")] = False,
) -> None:
    """Build hosts and a healthy cluster; print the path of its hosts.toml."""
    version = version_of(etcd, etcd_binaries)
    lab = rehearsal.Lab.up(name, nodes, version, progress=_tell, kubernetes=kubernetes)
    print(lab.inventory)
    _tell(f"next: export FLEETRECOVER_INVENTORY={lab.inventory}; fleetrecover diagnose")
    _tell(
        f"then break it: `fleetrecover lab break {lab.hosts[-1].name} wipe --name {name}`, and `fleetrecover recover`"
    )


@app.command()
def down(
    name: Name = "lab",
    everything: Annotated[bool, typer.Option("--all", help="Every lab on this machine.")] = False,
) -> None:
    """Remove a lab and all that belongs to it, also what a killed `up` left."""
    for each in rehearsal.Lab.names() if everything else [name]:
        rehearsal.Lab.clear(each)
        _tell(f"lab {each} is gone")


@app.command()
def status(
    name: Name = "lab",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show every host as it is now."""
    now = rehearsal.Lab.load(name).status()
    print(json.dumps({"schema": 1, **asdict(now)}, indent=2) if as_json else render(now))


def render(now: LabStatus) -> str:
    """The status as a table of plain text."""
    rows = [("HOST", "ADDRESS", "POWER", "CABLE", "DOCKERD", "ETCD")]
    for host in now.hosts:
        etcd = f"{host.etcd}, {'healthy' if host.healthy else 'not healthy'}" if host.etcd == "running" else host.etcd
        power = "off" if host.pid is None else "on"
        rows.append((host.name, host.address, power, host.cable, "yes" if host.dockerd else "no", etcd))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    state = "" if now.complete else " (not finished)"
    return "\n".join([f"lab {now.name}{state}: etcd {now.version}, {now.inventory}", *lines])


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    host: Annotated[str, typer.Argument(help="etcd1, etcd2, …")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run there, after --.")] = None,
    name: Name = "lab",
    user: Annotated[str, typer.Option("--user", help="root, ops (may sudo) or nosudo.")] = "root",
) -> None:
    """Log in to a host, or run a command there."""
    argv = rehearsal.Lab.load(name).ssh_argv(host, *(command or []), user=user)
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # this process becomes ssh


@app.command(name="break")
def break_(
    host: Annotated[str, typer.Argument(help="etcd1, etcd2, …")],
    what: Annotated[str, typer.Argument(help=f"One of: {', '.join(BREAKAGES)}.")],
    name: Name = "lab",
) -> None:
    """Break a host, or undo that."""
    if what not in BREAKAGES:
        raise UsageError(f"{what!r} is nothing that can be done to a host", hint=f"one of: {', '.join(BREAKAGES)}")
    BREAKAGES[what](rehearsal.Lab.load(name, progress=_tell), host)
    _tell(f"{host}: {what} done")
