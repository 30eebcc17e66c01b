"""PURE: what is known of a fleet from elsewhere (one node, RKE's cluster.yml, an Ansible inventory) → the text of hosts.toml.

RKE: `nodes` with `role: [etcd]`, `address`, `internal_address`, `hostname_override`, `user`, `port`, `ssh_key_path`;
`bastion_host`; `cluster_name` (rancher/rke v1.4, types/rke_types.go). Ansible: the group `etcd`, as Kubespray calls it, in
an INI or YAML inventory, with `ansible_host`, `ansible_user`, `ansible_port`, `ansible_ssh_private_key_file`, `ip`.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleetrecover.decide.membership import host_of_url
from fleetrecover.errors import InputError
from fleetrecover.facts import NodeFacts
from fleetrecover.inventory import parse_fleet

GROUP = "etcd"
MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class Row:
    """One `[[hosts]]` table. None: the default applies."""

    name: str
    address: str
    etcd_address: str | None = None
    user: str | None = None
    port: int | None = None
    key: str | None = None


@dataclass(frozen=True)
class Draft:
    """An inventory to be. `notes` are for the person who is going to look it over."""

    cluster: str
    rows: tuple[Row, ...]
    ssh: Mapping[str, Any] = field(default_factory=dict)
    etcd: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# --- from one node ------------------------------------------------------------------------------------------------------


def from_node(node: NodeFacts, cluster: str) -> Draft:
    """The members that a node knows of: asked of its etcd, else read from its log, else from its own command line.

    Raises InputError where it knows of none.
    """
    found, origin = _members(node)
    if not found:
        why = (
            "; ".join(p.message for p in (node.log_problem, node.status_problem, node.cli_problem) if p)
            or "no etcd there"
        )
        raise InputError(
            f"{node.host.address} knows of no etcd members: {why}",
            hint="name another etcd node, or copy hosts.example.toml and fill it in",
        )
    rows: list[Row] = []
    names: set[str] = set()
    for name, address in found:
        own = _same(node, address)
        rows.append(
            Row(
                name=_unique(name.removeprefix("etcd-") or address, names),
                address=node.host.address if own else address,
                etcd_address=address if own and address != node.host.address else None,
            )
        )
    notes = [
        f"the members are {origin} of {node.host.address}",
        "SSH goes to the addresses that etcd uses: look them over",
    ]
    ssh = {key: value for key in ("user", "port") if (value := getattr(node.host, key)) is not None}
    return Draft(cluster, tuple(rows), ssh=ssh, notes=tuple(notes))


def _members(node: NodeFacts) -> tuple[list[tuple[str, str]], str]:
    """(member's name, address) of each, and where that stands."""
    if node.members:
        listed = [(member.name, list(member.peer_urls)) for member in node.members]
        return _addresses(listed), "those that etcd lists, as seen by the etcd"
    if node.log is not None and node.log.configuration.members:
        kept = [(member.name, list(member.peer_urls)) for member in node.log.configuration.members]
        return _addresses(kept), "read from the log"
    for container in node.containers:
        if container.config is not None and container.config.initial_cluster:
            told = [(name, list(urls)) for name, urls in container.config.initial_cluster.items()]
            return _addresses(told), "those of --initial-cluster, which may be out of date, in the container"
    return [], ""


def _addresses(members: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    found = [(name, next((host for url in urls if (host := host_of_url(url))), "")) for name, urls in members]
    return sorted((name or address, address) for name, address in found if address)


def _same(node: NodeFacts, address: str) -> bool:
    """Whether a peer address is that node's own."""
    own = {node.host.address, node.hostname}
    for container in node.containers:
        own |= {host_of_url(url) for url in container.peer_urls}
    return address in own


# --- from files -----------------------------------------------------------------------------------------------------------


def from_file(path: Path, cluster: str | None) -> Draft:
    """Read an RKE cluster.yml or an Ansible inventory. Raises InputError that names the file and what is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES >> 20} MB: that is no inventory")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: it is no inventory") from error
    if path.suffix in (".yml", ".yaml"):
        return from_yaml(text, path, cluster)
    return from_ini(text, path, cluster)


def from_yaml(text: str, source: Path, cluster: str | None) -> Draft:
    """RKE's cluster.yml, or an Ansible inventory in YAML."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        raise InputError(f"{source}{place}: not YAML: {getattr(error, 'problem', None) or first}") from error
    if not isinstance(data, dict):
        raise InputError(f"{source}: neither an RKE cluster.yml nor an Ansible inventory")
    if isinstance(data.get("nodes"), list):
        return _from_rke(data, source, cluster)
    return _from_groups(_yaml_groups(data), source, cluster)


def _from_rke(data: Mapping[str, Any], source: Path, cluster: str | None) -> Draft:
    rows: list[Row] = []
    names: set[str] = set()
    for number, node in enumerate(data["nodes"], 1):
        if not isinstance(node, dict) or not node.get("address"):
            raise InputError(f"{source}: node number {number} has no address")
        if "etcd" not in (node.get("role") or ()):
            continue
        address = str(node["address"])
        internal = str(node.get("internal_address") or address)
        rows.append(
            Row(
                name=_unique(str(node.get("hostname_override") or address), names),
                address=address,
                etcd_address=internal if internal != address else None,
                user=_text(node.get("user")),
                port=_port(node.get("port"), source, address),
                key=_text(node.get("ssh_key_path")),
            )
        )
    if not rows:
        raise InputError(f"{source}: no node has the role etcd")
    ssh = {"key": str(data["ssh_key_path"])} if data.get("ssh_key_path") else {}
    bastion = data.get("bastion_host") or {}
    if isinstance(bastion, dict) and bastion.get("address"):
        user = f"{bastion['user']}@" if bastion.get("user") else ""
        ssh["gateway"] = f"{user}{bastion['address']}:{bastion.get('port') or 22}"
    prefix = _text(data.get("prefix_path"))
    etcd = {"snapshots": f"{prefix.rstrip('/')}/opt/rke/etcd-snapshots"} if prefix and prefix != "/" else {}
    return Draft(
        _safe(cluster or _text(data.get("cluster_name")) or "local"),
        tuple(rows),
        ssh=ssh,
        etcd=etcd,
        notes=(f"from RKE's {source.name}",),
    )


@dataclass
class _Group:
    """One group of an Ansible inventory: its hosts with their variables, and the groups below it."""

    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)


def _yaml_groups(data: Mapping[str, Any]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}

    def take(name: str, body: Any, depth: int = 0) -> None:
        group = groups.setdefault(name, _Group())
        if not isinstance(body, dict) or depth > 20:
            return
        for host, variables in (body.get("hosts") or {}).items():
            group.hosts.setdefault(str(host), {}).update(variables or {})
        group.variables.update(body.get("vars") or {})
        for child, inner in (body.get("children") or {}).items():
            group.children.append(str(child))
            take(str(child), inner, depth + 1)

    for name, body in data.items():
        take(str(name), body)
    return groups


def from_ini(text: str, source: Path, cluster: str | None) -> Draft:
    """An Ansible inventory in its INI form."""
    groups: dict[str, _Group] = {}
    name, kind = "ungrouped", "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if header := re.fullmatch(r"\[([^\]:]+)(?::(children|vars))?\]\s*([#;].*)?", line):
            name, kind = header[1].strip(), header[2] or "hosts"
            groups.setdefault(name, _Group())
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise InputError(f"{source}, line {number}: {error}: {line}") from error
        group = groups.setdefault(name, _Group())
        if kind == "children":
            group.children.append(words[0])
        elif kind == "vars":
            key, _, value = line.partition("=")
            group.variables[key.strip()] = value.strip().strip("\"'")
        elif "[" in words[0]:
            raise InputError(f"{source}, line {number}: ranges such as {words[0]} are not read", hint="name every host")
        else:
            pairs = (word.partition("=") for word in words[1:])
            group.hosts.setdefault(words[0], {}).update({key: value for key, _, value in pairs})
    return _from_groups(groups, source, cluster)


def _from_groups(groups: Mapping[str, _Group], source: Path, cluster: str | None) -> Draft:
    if GROUP not in groups:
        known = ", ".join(sorted(groups)) or "none"
        raise InputError(
            f"{source}: no group {GROUP} in this Ansible inventory (groups: {known}), nor RKE's nodes",
            hint="an RKE cluster.yml ends in .yml; Kubespray calls the group etcd",
        )
    everything: dict[str, dict[str, Any]] = {}
    for group in groups.values():
        for host, variables in group.hosts.items():
            everything.setdefault(host, {}).update(variables)
    shared = dict(groups["all"].variables) if "all" in groups else {}
    rows: list[Row] = []
    names: set[str] = set()
    for host, given in _hosts_below(groups, GROUP, ()).items():
        found = shared | given | everything.get(host, {})
        address = str(found.get("ansible_host") or found.get("ansible_ssh_host") or host)
        inner = str(found.get("ip") or address)
        for value in (address, inner):
            if "{{" in value:
                raise InputError(
                    f"{source}: {host}: {value} is a template, which is not read here", hint="write it out"
                )
        rows.append(
            Row(
                name=_unique(host, names),
                address=address,
                etcd_address=inner if inner != address else None,
                user=_text(found.get("ansible_user") or found.get("ansible_ssh_user")),
                port=_port(found.get("ansible_port") or found.get("ansible_ssh_port"), source, host),
                key=_text(found.get("ansible_ssh_private_key_file")),
            )
        )
    if not rows:
        raise InputError(f"{source}: the group {GROUP} has no hosts")
    return Draft(
        _safe(cluster or _text(shared.get("cluster_name")) or "etcd"),
        tuple(rows),
        ssh={"sudo": True} if str(shared.get("ansible_become", "")).lower() in ("true", "yes", "1") else {},
        notes=(f"from the Ansible inventory {source.name}",),
    )


def _hosts_below(groups: Mapping[str, _Group], name: str, above: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    group = groups.get(name)
    if group is None or name in above:
        return {}
    found = {host: group.variables | variables for host, variables in group.hosts.items()}
    for child in group.children:
        for host, variables in _hosts_below(groups, child, (*above, name)).items():
            found.setdefault(host, group.variables | variables)
    return found


# --- the text -------------------------------------------------------------------------------------------------------------


def render(draft: Draft, source: Path) -> str:
    """The inventory's text, checked by reading it as every command will. Raises InputError where it would not be taken."""
    lines = [f"# {note}" for note in draft.notes]
    lines += ["# every key and its default: hosts.example.toml", f"cluster = {_quoted(draft.cluster)}", ""]
    for title, table in (("ssh", draft.ssh), ("etcd", draft.etcd)):
        if table:
            lines += [f"[{title}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]
    for row in draft.rows:
        lines.append("[[hosts]]")
        for key in ("name", "address", "etcd_address", "user", "port", "key"):
            value = getattr(row, key)
            if value is not None:
                lines.append(f"{key} = {_value(value)}")
        lines.append("")
    text = "\n".join(lines)
    parse_fleet(text, source)
    return text


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's, and DEL is the one character that only TOML forbids."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


def _port(value: Any, source: Path, host: str) -> int | None:
    if value in (None, ""):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {host}: the port {value!r} is no number") from error
    return None if number == 22 else number


def _safe(name: str) -> str:
    """A name that may stand in file names: what is not allowed becomes a hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "host"


def _unique(name: str, taken: set[str]) -> str:
    base = found = _safe(name)
    count = 2
    while found in taken:
        found, count = f"{base}-{count}", count + 1
    taken.add(found)
    return found
