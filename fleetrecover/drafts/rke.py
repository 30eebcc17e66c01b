"""PURE: an inventory from RKE's cluster.yml or cluster.rkestate, or from Rancher's YAML of a cluster.

RKE: `nodes` with `role: [etcd]`, `address`, `internal_address`, `hostname_override`, `user`, `port`, `ssh_key_path` …,
`bastion_host`, `ssh_agent_auth`, `cluster_name` (rancher/rke v1.4, types/rke_types.go; in cluster.rkestate the same, in
camel case, below `currentState.rkeConfig`). Rancher's clusters have the same below `rancher_kubernetes_engine_config`, but
`nodes` only where they were imported from RKE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetrecover.drafts.draft import Draft, Row, gateway_of, port_of, safe_name, text_of, unique_name
from fleetrecover.drafts.misspelt import near_words, unknown_words
from fleetrecover.errors import InputError

RKE_CONFIG = ("rancher_kubernetes_engine_config", "rancherKubernetesEngineConfig", "rkeConfig")
SOCKET = "/var/run/docker.sock"
CAMEL = {
    "internal_address": "internalAddress",
    "hostname_override": "hostnameOverride",
    "ssh_key_path": "sshKeyPath",
    "ssh_key": "sshKey",
    "ssh_cert": "sshCert",
    "ssh_cert_path": "sshCertPath",
    "ssh_agent_auth": "sshAgentAuth",
    "docker_socket": "dockerSocket",
    "bastion_host": "bastionHost",
    "cluster_name": "clusterName",
}

ROLES = ("etcd", "controlplane", "worker")
_LOGIN = ("address", "port", "user", "ssh_agent_auth", "ssh_key", "ssh_key_path", "ssh_cert", "ssh_cert_path")
NODE = (
    *_LOGIN,
    "internal_address",
    "role",
    "hostname_override",
    "docker_socket",
    "labels",
    "taints",
    "node_name",
    "nodeName",
)
"""The words of a node, of a bastion host and, of those at the top, the ones that matter here (rke_types.go)."""
BASTION = (*_LOGIN, "ignore_proxy_env_vars", "ignoreProxyEnvVars")
TOP = ("nodes", "bastion_host", "cluster_name", "ssh_key_path", "ssh_cert_path", "ssh_agent_auth")
TOP_OTHERS = (
    "services",
    "network",
    "restore",
    "ingress",
    "addons",
    "monitoring",
    "authentication",
    "authorization",
    "dns",
)

WORDS = ("address", "internal_address", "hostname_override", "user", "port", "ssh_key_path")

Table = Mapping[str, Any]


def get(table: Table, key: str) -> Any:
    """A value by RKE's name for it in YAML, or by the one in its state file."""
    found = table.get(key)
    return table.get(CAMEL.get(key, key)) if found is None else found


def config_of(data: Table) -> Table | None:
    """The part of a document that is an RKE configuration with nodes; None where there is none."""
    for each in _configs(data):
        if isinstance(each.get("nodes"), list):
            return each
    return None


def _configs(data: Table) -> Iterator[Table]:
    """Wherever an RKE configuration may stand: the document itself, RKE's state, Rancher's cluster in its several forms."""
    yield data
    for path in (
        ("currentState",),
        ("desiredState",),
        (),
        ("spec",),
        ("status", "appliedSpec"),
        ("appliedSpec",),
        ("spec", "rkeConfig"),
    ):
        table: Any = data
        for key in path:
            table = table.get(key) if isinstance(table, Mapping) else None
        for name in RKE_CONFIG:
            found = table.get(name) if isinstance(table, Mapping) else None
            if isinstance(found, Mapping):
                yield found


def refuse_rancher(data: Table, source: Path) -> None:
    """Raise InputError where the document is Rancher's, and names no nodes."""
    kind = f"{data.get('apiVersion', '')} {data.get('kind', '')}"
    is_rancher = any(True for each in _configs(data) if each is not data) or "cattle.io" in kind
    if is_rancher:
        raise InputError(
            f"{source}: this is Rancher's YAML of a cluster, and it names no nodes",
            hint="ask one of the etcd nodes: fleetrecover init --from root@NODE; their addresses are in Rancher below "
            "Cluster → Machines (or Nodes)",
        )


def from_rke(data: Table, source: Path, cluster: str | None) -> Draft:
    """The inventory of the nodes with the role etcd. Raises InputError that names the node and what is wrong with it."""
    rows: list[Row] = []
    notes = [f"from RKE's {source.name}", *near_words(map(str, data), _spelt(TOP), TOP_OTHERS, "no word of RKE's")]
    taken: set[str] = set()
    agent = _yes(get(data, "ssh_agent_auth"))
    shared_key = None if agent else text_of(get(data, "ssh_key_path"))
    for number, node in enumerate(data["nodes"], 1):
        if not isinstance(node, Mapping) or not node.get("address"):
            raise InputError(f"{source}: node number {number} has no address", hint=_hint(node))
        who = f"node number {number} ({node['address']})"
        _refuse_tables(node, source, f"node number {number}")
        roles = _roles(node.get("role"), source, number)
        notes += [f"{who}: {told}" for told in unknown_words(map(str, node), _spelt(NODE), "no word of RKE's nodes")]
        notes += [f"{who}: the role {told}" for told in unknown_words(roles, ROLES, "none of RKE's")]
        if "etcd" in roles:
            rows.append(_row(node, source, taken, agent or _yes(get(node, "ssh_agent_auth"))))
            notes += _login_notes(str(node["address"]), node)
    if not rows:
        external = _external(data)
        raise InputError(
            f"{source}: no node has the role etcd" + (f": its etcd is elsewhere ({external})" if external else ""),
            hint="write hosts.toml for those hosts: see hosts.example.toml" if external else "; ".join(notes[1:]),
        )
    if agent or any(_yes(get(node, "ssh_agent_auth")) for node in data["nodes"]):
        notes.append("ssh_agent_auth: the keys are those of the ssh agent, so no key file is written down")
    ssh: dict[str, Any] = {"key": shared_key} if shared_key else {}
    gateway, told = _gateway(get(data, "bastion_host"), source)
    name = safe_name(cluster or text_of(get(data, "cluster_name")) or "local")
    return Draft(name, tuple(rows), ssh=ssh | gateway, notes=(*notes, *told))


def _spelt(words: Sequence[str]) -> list[str]:
    """The words as they stand in YAML, and in RKE's state file."""
    return [*words, *(CAMEL[word] for word in words if word in CAMEL)]


def _hint(node: Any) -> str:
    """What may have been meant to be a node's address."""
    told = unknown_words(map(str, node), _spelt(NODE), "no word of RKE's nodes") if isinstance(node, Mapping) else []
    return "; ".join(told)


def _row(node: Table, source: Path, taken: set[str], agent: bool) -> Row:
    address = str(node["address"]).strip("[]")
    internal = str(get(node, "internal_address") or address).strip("[]")
    return Row(
        name=unique_name(str(get(node, "hostname_override") or address), taken),
        address=address,
        etcd_address=internal if internal != address else None,
        user=text_of(node.get("user")),
        port=port_of(node.get("port"), source, address),
        key=None if agent else text_of(get(node, "ssh_key_path")),
    )


def _roles(found: Any, source: Path, number: int) -> list[str]:
    if found is None:
        return []
    if isinstance(found, str):
        return found.replace(",", " ").split()
    if not isinstance(found, list):
        raise InputError(f"{source}: node number {number}: its role is no list", hint="write role: [etcd]")
    return [str(each) for each in found]


def _yes(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _external(data: Table) -> str:
    services = data.get("services")
    etcd = services.get("etcd") if isinstance(services, Mapping) else None
    urls = (etcd.get("external_urls") or etcd.get("externalUrls")) if isinstance(etcd, Mapping) else None
    return ", ".join(str(url) for url in urls) if isinstance(urls, list) else ""


def _login_notes(who: str, table: Table, what: str = "key") -> list[str]:
    """What a node (or the bastion) has for logging in that hosts.toml cannot hold. A secret's text is never shown."""
    found = []
    if get(table, "ssh_key"):
        found.append(
            f"{who}: its ssh_key stands inline and is not copied: save it in a file of mode 0600 and name that as {what} = …"
        )
    path = text_of(get(table, "ssh_cert_path"))
    if path or get(table, "ssh_cert"):
        where = path or "a file that you save it in"
        found.append(
            f"{who}: its ssh certificate goes into ~/.ssh/config: Host {who}, below it CertificateFile {where}"
        )
    socket = text_of(get(table, "docker_socket"))
    if socket not in (None, SOCKET):
        found.append(f"{who}: its docker socket is {socket}: see that `docker ps` works for its login (DOCKER_HOST)")
    return found


def _refuse_tables(table: Table, source: Path, who: str) -> None:
    """Raise InputError where a list or a table stands in place of one word."""
    for key in WORDS:
        found = get(table, key)
        if isinstance(found, list | Mapping | bool):
            what = {list: "a list", bool: "true or false"}.get(type(found), "a table")
            raise InputError(f"{source}: {who}: {key} is {what}, and one word is wanted there")


def _gateway(bastion: Any, source: Path) -> tuple[dict[str, Any], list[str]]:
    if bastion and not isinstance(bastion, Mapping):
        raise InputError(
            f"{source}: bastion_host is no table, so how the nodes are reached is not known",
            hint="write address, user, port each on a line of its own below bastion_host:",
        )
    if not bastion:
        return {}, []
    odd = [
        f"bastion_host: {each}"
        for each in unknown_words(map(str, bastion), _spelt(BASTION), "no word of RKE's bastion_host")
    ]
    if not bastion.get("address"):
        return {}, odd
    _refuse_tables(bastion, source, "bastion_host")
    who = str(bastion["address"])
    port = port_of(bastion.get("port") or 22, source, "bastion_host") or 22
    found = {"gateway": gateway_of(who, text_of(bastion.get("user")), port)}
    key = None if _yes(get(bastion, "ssh_agent_auth")) else text_of(get(bastion, "ssh_key_path"))
    if key:
        found["gateway_key"] = key
    return found, [*odd, *_login_notes(who, bastion, "gateway_key")]
