"""PURE: from an Ansible inventory's groups and variables to hosts.toml. Nothing that matters for reaching a host is dropped.

Variables: those of Ansible's ssh connection and of `become` (the name with `ssh_` in it wins where both are given, as in
Ansible), Kubespray's `ip`, `access_ip`, `etcd_member_name`, `etcd_deployment_type`, and its group `bastion`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleetrecover.drafts.ansible_files import secret
from fleetrecover.drafts.ansible_groups import Groups
from fleetrecover.drafts.draft import Draft, Row, gateway_of, port_of, safe_name, text_of, unique_name
from fleetrecover.drafts.misspelt import VERY_NEAR, near_words, nearest
from fleetrecover.drafts.ssh_words import SshWords, read_words
from fleetrecover.errors import InputError
from fleetrecover.plain import words

GROUP = "etcd"
BASTION = "bastion"
YES = frozenset({"yes", "on", "1", "true", "t", "y", "1.0"})

_REACHING = ("host", "user", "port", "ssh_host", "ssh_user", "ssh_port", "ssh_private_key_file", "private_key_file")
_BECOMING = ("become", "become_user", "become_method")
_OTHERS = words(
    "ssh_private_key private_key private_key_passphrase ssh_private_key_passphrase ssh_executable ports"
    " ssh_password ssh_pass password become_pass become_password become_exe become_flags hostname"
    " ssh_host_key_checking ssh_timeout ssh_pipelining ssh_retries ssh_use_tty ssh_transfer_method user_id user_dir"
    " user_gid user_uid user_gecos user_shell ssh_password_mechanism sftp_extra_args scp_extra_args become_prompt"
    " become_plugin become_success hostnqn hosts form forks docker_extra_args"
)
"""Words of Ansible's own, or of its facts, that are near to one of those and are none."""
SSH_ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
NO_SSH = ("local", "docker", "podman", "winrm", "psrp", "kubectl", "community.docker.docker")
PASSWORDS = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
SUDO_PASSWORDS = ("ansible_become_pass", "ansible_become_password", "ansible_sudo_pass")
MATTERS = (*(f"ansible_{name}" for name in (*_REACHING, *_BECOMING)), *SSH_ARGUMENTS, "access_ip")
"""Variables that decide how a host is reached: one that is nearly called so is told of, since Ansible passes it over."""
ANSIBLES_OWN = (*(f"ansible_{name}" for name in _OTHERS), "access_ip6")
_TEMPLATE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
MOST_TURNS = 10


@dataclass
class _Host:
    """One host's variables, with templates that only name another variable filled in."""

    source: Path
    name: str
    variables: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)

    def value(self, *names: str) -> Any:
        """The value of the first of these variables that has one. Raises InputError for a template that is not filled in."""
        for name in names:
            found = self.variables.get(name)
            if found in (None, ""):
                continue
            if secret(found):
                raise InputError(
                    f"{self.source}: {self.name}: {name} is encrypted with ansible-vault, which is not read here",
                    hint="write the host into hosts.toml by hand",
                )
            return self._filled(name, found)
        return None

    def text(self, *names: str) -> str | None:
        return text_of(self.value(*names))

    def yes(self, *names: str) -> bool:
        return str(self.value(*names)).lower() in YES

    def _filled(self, name: str, found: Any) -> Any:
        if isinstance(found, list | Mapping):
            what = "a list" if isinstance(found, list) else "a table"
            raise InputError(f"{self.source}: {self.name}: {name} is {what}, and one word is wanted there")
        if not isinstance(found, str) or "{" not in found:
            return found
        text = found
        for _ in range(MOST_TURNS):
            text, count = _TEMPLATE.subn(self._of_variable, text)
            if not count:
                break
        if "{{" in text or "{%" in text:
            raise InputError(
                f"{self.source}: {self.name}: {name} is a template ({found}), which is not read here",
                hint="write it out",
            )
        if text != found:
            self.notes.append(f"{self.name}: the template in {name} is {text}")
        return text

    def _of_variable(self, match: re.Match[str]) -> str:
        told = {
            "inventory_hostname": self.name,
            "inventory_hostname_short": self.name.split(".")[0],
            "inventory_dir": str(self.source.absolute() if self.source.is_dir() else self.source.absolute().parent),
            "inventory_file": str(self.source.absolute()),
        }
        value = self.variables.get(match[1], told.get(match[1]))
        return (
            str(value) if isinstance(value, str | int) and not secret(value) else match[0].replace("{{", "{{ ").strip()
        )


def from_groups(
    groups: Groups, source: Path, cluster: str | None, *, group: str = GROUP, notes: Iterable[str] = ()
) -> Draft:
    """The inventory of one group's hosts. Raises InputError where there is no such group, or a value cannot be read."""
    names = _members(groups, group, source)
    hosts = [_Host(source, name, groups.variables_of(name)) for name in names]
    bastion = _bastion(groups, source)
    told: list[str] = [f"from the Ansible inventory {source.name}", *notes]
    taken: set[str] = set()
    rows = [_row(host, unique_name(host.name, taken), bastion) for host in hosts]
    told += _odd_groups(groups)
    told += _odd_variables(hosts)
    sudo = [host.name for host in hosts if host.yes("ansible_become")]
    told += _collected(host.notes + (_become_notes(host) if host.name in sudo else []) for host in hosts)
    if sudo and len(sudo) < len(hosts):
        told.append(f"sudo is for all hosts or none in hosts.toml: it is asked for by {', '.join(sudo)}")
    told += bastion.notes if bastion else []
    return Draft(
        safe_name(cluster or text_of(hosts[0].variables.get("cluster_name")) or "etcd"),
        tuple(rows),
        ssh={"sudo": True} if sudo else {},
        notes=tuple(told),
    )


def _odd_variables(hosts: Iterable[_Host]) -> list[str]:
    """Variables that are nearly called as one that matters, each with the hosts that have it."""
    having: dict[str, list[str]] = {}
    for host in hosts:
        for told in near_words(host.variables, MATTERS, ANSIBLES_OWN, "no variable of Ansible's"):
            having.setdefault(told, []).append(host.name)
    return [f"{', '.join(names)}: {told}" for told, names in having.items()]


def _odd_groups(groups: Groups) -> list[str]:
    """A group whose name is near to that of the jump host's, which would be passed over."""
    if BASTION in groups.groups:
        return []
    near = [name for name in groups.groups if nearest(name, [BASTION], least=VERY_NEAR)]
    return [f"there is no group {BASTION}, by which hosts are reached: is the group {name} meant?" for name in near]


def _members(groups: Groups, group: str, source: Path) -> list[str]:
    if group not in groups.groups:
        known = ", ".join(sorted(name for name in groups.groups if name not in ("all", "ungrouped"))) or "none"
        raise InputError(
            f"{source}: no group {group} in this Ansible inventory (groups: {known}), nor RKE's nodes",
            hint="name the group of the etcd hosts with --group; Kubespray calls it etcd, and an RKE cluster.yml ends in .yml",
        )
    names = groups.hosts_below(group)
    if not names:
        raise InputError(f"{source}: the group {group} has no hosts")
    return names


@dataclass
class _Bastion:
    gateway: str
    key: str | None
    name: str
    notes: list[str]


def _bastion(groups: Groups, source: Path) -> _Bastion | None:
    """The first host of Kubespray's group `bastion`, by which all others are reached."""
    names = groups.hosts_below(BASTION) if BASTION in groups.groups else []
    if not names:
        return None
    host = _Host(source, names[0], groups.variables_of(names[0]))
    address = host.text("ansible_ssh_host", "ansible_host") or host.name
    user, port = host.text("ansible_ssh_user", "ansible_user"), host.value("ansible_ssh_port", "ansible_port")
    key = host.text("ansible_ssh_private_key_file", "ansible_private_key_file")
    more = (
        [f"the group {BASTION} has further hosts ({', '.join(names[1:])}): the first is the jump host"]
        if names[1:]
        else []
    )
    gateway = gateway_of(address, user, port)
    return _Bastion(gateway, key, names[0], [f"the jump host {gateway} is the group {BASTION}'s", *more, *host.notes])


def _row(host: _Host, name: str, bastion: _Bastion | None) -> Row:
    address = host.text("ansible_ssh_host", "ansible_host") or host.name
    inner = host.text("access_ip", "ip") or address
    words = _arguments(host)
    user = host.text("ansible_ssh_user", "ansible_user") or words.user
    key = host.text("ansible_ssh_private_key_file", "ansible_private_key_file") or words.key
    gateway, gateway_key = words.gateway, words.gateway_key
    if gateway is None and bastion is not None and bastion.name != host.name:
        gateway, gateway_key = bastion.gateway, bastion.key
    _further_notes(host, words)
    return Row(
        name=name,
        address=address.strip("[]"),
        etcd_address=inner if inner != address else None,
        user=user,
        port=port_of(host.value("ansible_ssh_port", "ansible_port") or words.port, host.source, host.name),
        key=key,
        gateway=gateway,
        gateway_key=gateway_key,
    )


def _arguments(host: _Host) -> SshWords:
    """What the words for ssh(1) say: each variable's, the first that says something counting, as for ssh itself."""
    found = SshWords()
    for variable in SSH_ARGUMENTS:
        text = host.text(variable)
        if text is None:
            continue
        try:
            words = read_words(text)
        except ValueError as error:
            raise InputError(f"{host.source}: {host.name}: {variable}: {error}: {text}") from error
        for name in ("gateway", "user", "port", "key", "config"):
            if getattr(found, name) is None:
                setattr(found, name, getattr(words, name))
                if name == "gateway":
                    found.gateway_key = words.gateway_key
        found.unchecked = found.unchecked or words.unchecked
        found.left += [f"{variable}: {left}" for left in words.left]
    return found


def _further_notes(host: _Host, words: SshWords) -> None:
    """What hosts.toml has no key for, and what to do about it."""
    if words.left:
        where = (
            f"write it below `Host {host.name}` in ~/.ssh/config, or in the file that $FLEETRECOVER_SSH_CONFIG names"
        )
        host.notes.append(f"not taken over: {'; '.join(words.left)}: {where}")
    if words.config is not None:
        host.notes.append(
            f"ssh is given the configuration {words.config}: export FLEETRECOVER_SSH_CONFIG={words.config}"
        )
    if words.unchecked or host.variables.get("ansible_host_key_checking") in (False, "false", "False", "no"):
        host.notes.append("host keys are not checked there; here they always are: they must be in known_hosts")
    passwords = [name for name in PASSWORDS if host.variables.get(name)]
    if passwords:
        host.notes.append(f"{passwords[0]}: a log-in by password is not done here: a key is needed (ssh-copy-id)")
    connection = str(host.variables.get("ansible_connection") or "ssh")
    if connection in NO_SSH or connection.rsplit(".", 1)[-1] in NO_SSH:
        host.notes.append(f"ansible_connection={connection}: here every host is reached by ssh, this one as well")
    for name in ("ansible_ssh_executable", "ansible_scp_executable", "ansible_ssh_pkcs11_provider"):
        if host.variables.get(name):
            host.notes.append(f"not taken over: {name}={host.variables[name]}")
    kind = host.variables.get("etcd_deployment_type")
    if kind in ("host", "kubeadm"):
        host.notes.append(f"etcd_deployment_type={kind}: etcd runs without a container engine's command line there")


def _become_notes(host: _Host) -> list[str]:
    found = []
    user, method = host.text("ansible_become_user"), host.text("ansible_become_method")
    if user not in (None, "root"):
        found.append(f"ansible_become_user={user}: sudo goes to root here")
    if method not in (None, "sudo", "ansible.builtin.sudo"):
        found.append(
            f"ansible_become_method={method}: only sudo is done here; write sudo = false where root logs in itself"
        )
    if any(host.variables.get(name) for name in SUDO_PASSWORDS):
        found.append("sudo wants a password there; here it must do without: a line NOPASSWD in sudoers")
    return found


def _collected(notes: Iterable[Iterable[str]]) -> list[str]:
    """Every note once, whatever number of hosts it is true of."""
    found: dict[str, None] = {}
    for each in notes:
        for note in each:
            found.setdefault(note)
    return list(found)
