"""`init`: write an inventory by asking one node, or from a file that others keep."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetrecover.cli import connected, print_json, say_wait, settings
from fleetrecover.errors import InputError, Undetermined
from fleetrecover.plain import counted

if TYPE_CHECKING:
    from fleetrecover.drafts.draft import Draft
    from fleetrecover.facts import NodeFacts

app = typer.Typer()

FILE_ENDS = (".yml", ".yaml", ".json", ".rkestate", ".ini", ".cfg", ".toml")
TARGET = re.compile(
    r"(?:(?P<user>[^\s@:]+)@)?(?:\[(?P<six>[^\]\s]+)\]|(?P<host>[^\s@:\[\]/-][^\s@:\[\]/]*))(?::(?P<port>\d{1,5}))?"
)


@app.command()
def init(
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="HOST",
            help="An etcd node ([user@]host[:port]), RKE's cluster.yml or .rkestate, or an Ansible inventory (file, directory).",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it; - for stdout.")
    ] = Path("hosts.toml"),
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME", help="The cluster's name.")] = None,
    sudo: Annotated[bool, typer.Option("--sudo", help="Remote commands go through sudo -n.")] = False,
    gateway: Annotated[str | None, typer.Option("--gateway", metavar="HOST", help="A jump host.")] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="The Ansible group of the etcd hosts (default: etcd).")
    ] = None,
) -> None:
    """Write an inventory by asking one node, or from an RKE cluster.yml or an Ansible inventory. Changes no node."""
    from fleetrecover.drafts.ansible import GROUP
    from fleetrecover.drafts.draft import render, shared
    from fleetrecover.drafts.files import from_path
    from fleetrecover.report.files import write_private

    to_stdout = str(output) == "-"
    if not to_stdout and output.exists():
        raise InputError(
            f"{output} is there already; it was left as it is", hint="name another file with -o, or - for stdout"
        )
    looks_like_file = "/" in origin or origin.endswith(FILE_ENDS)
    origin, uri = _without_scheme(origin)
    if origin and not uri and (Path(origin).exists() or looks_like_file):
        draft = _with_options(from_path(Path(origin), cluster, group=group or GROUP), sudo=sudo, gateway=gateway)
    else:
        draft = _ask(origin, cluster or "etcd", sudo=sudo, gateway=gateway)
    draft = shared(draft)
    text = render(draft, output)
    if settings.json:
        rows = [{"name": row.name, "address": row.address, "etcd_address": row.etcd_address} for row in draft.rows]
        print_json({"schema": 1, "cluster": draft.cluster, "hosts": rows, "file": None if to_stdout else str(output)})
    if to_stdout and not settings.json:
        sys.stdout.write(text)
    elif not to_stdout:
        write_private(output, text)
    told = ", ".join(f"{row.name} ({row.address})" for row in draft.rows)
    where = "" if to_stdout else f" → {output}"
    settings.err.print(f"{counted(len(draft.rows), 'host')}: {told}{where}", markup=False, soft_wrap=True)
    for note in draft.notes:
        settings.err.print(f"  {note}", markup=False, soft_wrap=True)
    settings.err.print("Next: look it over, then `fleetrecover survey`.", markup=False)


def _without_scheme(origin: str) -> tuple[str, bool]:
    """`ssh://user@host:port/`, as ssh(1) and RKE's messages write it, without what is around it; and whether it was so."""
    rest = origin.removeprefix("ssh://")
    return (rest.rstrip("/"), True) if rest != origin else (origin, False)


def not_reached(origin: str, node: NodeFacts) -> Undetermined:
    """The error for a node that could not be looked at, with the very words and hint that `diagnose` has for it."""
    problem = node.problem
    said = problem.message.removeprefix(f"{node.name}: ") if problem else "it could not be looked at"
    return Undetermined(f"{origin}: {said}", hint=(problem.hint if problem else None) or "see that `ssh` gets there")


def _with_options(draft: Draft, *, sudo: bool, gateway: str | None) -> Draft:
    """What was said beside a file comes before what the file says."""
    more = ({"sudo": True} if sudo else {}) | ({"gateway": gateway} if gateway else {})
    rows = tuple(replace(row, gateway=None, gateway_key=None) for row in draft.rows) if gateway else draft.rows
    kept = {key: value for key, value in draft.ssh.items() if not (gateway and key == "gateway_key")}
    return replace(draft, ssh={**kept, **more}, rows=rows)


def _ask(origin: str, cluster: str, *, sudo: bool, gateway: str | None) -> Draft:
    """Log in to one node, under the same rules as ever (host keys are checked), and read what it knows of its members."""
    from fleetrecover.drafts.node import from_node
    from fleetrecover.model import Fleet, Host, SshSettings
    from fleetrecover.survey import take_survey

    found = TARGET.fullmatch(origin)
    if found is None:
        user, _, address = origin.rpartition("@")
        if re.fullmatch(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%\w+)?", address):
            written = (f"{user}@" if user else "") + f"[{address}]"
            raise InputError(
                f"--from {origin}: an address with colons stands in brackets",
                hint=f"fleetrecover init --from '{written}'",
            )
        raise InputError(f"--from {origin}: not a host", hint="write it as [user@]host[:port], or name a file")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"--from {origin}: {port} is not a port", hint="SSH's is 22")
    host = Host("node", found["six"] or found["host"], user=found["user"], port=port)
    fleet = Fleet(cluster, (host,), SshSettings(sudo=sudo, gateway=gateway))
    say_wait(f"asking {origin} …")
    with connected(fleet) as transport:
        [node] = take_survey(fleet, transport).nodes
    if node.problem is not None:
        raise not_reached(origin, node)
    draft = from_node(node, cluster)
    more = {"sudo": True} if sudo else {}
    return replace(draft, ssh={**draft.ssh, **more, **({"gateway": gateway} if gateway else {})})
