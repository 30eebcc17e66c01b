"""Inventories of many shapes, and what is right for each: the values that are written, the words that are said."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.drafts import ansible_tool
from fleetrecover.drafts.ansible_files import read_inventory
from fleetrecover.drafts.draft import gateway_of, render, shared
from fleetrecover.drafts.files import from_path
from fleetrecover.drafts.ssh_words import jump_of_command, read_words
from fleetrecover.errors import InputError


@pytest.fixture(autouse=True)
def without_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own reading is what is tested here."""
    monkeypatch.setattr(ansible_tool, "installed", lambda: None)


def made(tmp_path: Path, name: str, text: str, **options: Any) -> tuple[dict[str, Any], str]:
    """The inventory that comes of a file, read back, and all that is said about it."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    draft = shared(from_path(path, None, **options))
    return tomllib.loads(render(draft, tmp_path / "hosts.toml")), "\n".join(draft.notes)


INI: dict[str, tuple[str, dict[str, Any], str]] = {
    # text, what is written (a path in the table: value), what is said
    "a bastion of another port, for all": (
        "[etcd]\na\nb\n[bastion]\nj ansible_host=198.51.100.7 ansible_ssh_user=ops\n",
        {"ssh.gateway": "ops@198.51.100.7", "hosts.0.address": "a"},
        "jump host ops@198.51.100.7",
    ),
    "a bastion that is an IPv6 address": (
        "[etcd]\na\n[bastion]\n[2001:db8::7]:2200 ansible_user=ops\n",
        {"ssh.gateway": "ops@[2001:db8::7]:2200"},
        "jump host",
    ),
    "a host's own way before the bastion": (
        "[etcd]\na ansible_ssh_common_args='-J other'\nb\n[bastion]\nj\n",
        {"hosts.0.gateway": "other", "hosts.1.gateway": "j"},
        "",
    ),
    "become of one host": ("[etcd]\na ansible_become=true\nb\n", {"ssh.sudo": True}, "asked for by a"),
    "become by su": (
        "[etcd]\na ansible_become=1 ansible_become_method=su ansible_become_user=admin\n",
        {"ssh.sudo": True},
        "ansible_become_method=su",
    ),
    "become that is off": ("[etcd]\na\n[etcd:vars]\nansible_become=False\n", {"ssh": None}, ""),
    "sudo with a password": (
        "[etcd]\na ansible_become=yes ansible_become_pass=geheim\n",
        {"ssh.sudo": True},
        "NOPASSWD",
    ),
    "the name with ssh_ wins": (
        "[etcd]\na ansible_host=1.2.3.4 ansible_ssh_host=10.9.1.9 ansible_user=x ansible_ssh_user=root "
        "ansible_port=1 ansible_ssh_port=22\n",
        {"hosts.0.address": "10.9.1.9", "hosts.0.user": "root", "hosts.0.port": None},
        "",
    ),
    "a range with a step and letters": (
        "[etcd]\nn[0:4:2]-[a:b]\n",
        {"hosts.3.name": "n2-b", "hosts.5.address": "n4-b"},
        "",
    ),
    "a range in an address": ("[etcd]\n10.9.1.[5:6]:2222\n", {"hosts.1.address": "10.9.1.6", "hosts.1.port": 2222}, ""),
    "a comment behind a quoted value": (
        "[etcd]\na\n[etcd:vars]\nansible_user='core' # us\nansible_port = 2200\n",
        {"hosts.0.user": "core", "hosts.0.port": 2200},
        "core is not root",
    ),
    "the address by which others reach it": (
        "[etcd]\na ansible_host=203.0.113.1 ip=10.0.0.1 access_ip=10.0.0.2\n",
        {"hosts.0.etcd_address": "10.0.0.2"},
        "",
    ),
    "a template of another variable": (
        "[etcd]\na ip=10.9.1.3 ansible_host='{{ ip }}'\n",
        {"hosts.0.address": "10.9.1.3", "hosts.0.etcd_address": None},
        "template in ansible_host is 10.9.1.3",
    ),
    "options that have no key here": (
        "[etcd]\na ansible_ssh_extra_args='-o HostKeyAlias=x -o ControlMaster=no -b 10.0.0.1'\n",
        {"hosts.0.address": "a"},
        "HostKeyAlias=x",
    ),
    "no check of host keys": (
        "[etcd]\na ansible_ssh_args='-o StrictHostKeyChecking=no'\n",
        {},
        "host keys are not checked there",
    ),
    "a password": ("[etcd]\na ansible_ssh_pass=geheim\n", {}, "by password is not done"),
    "a configuration of its own": (
        "[etcd]\na ansible_ssh_common_args='-F ssh.cfg'\n",
        {},
        "FLEETRECOVER_SSH_CONFIG=ssh.cfg",
    ),
    "a key in the words for ssh": (
        "[etcd]\na ansible_ssh_common_args='-i /k/id -l root -p 2200'\n",
        {"hosts.0.key": "/k/id", "hosts.0.user": "root", "hosts.0.port": 2200},
        "",
    ),
    "a proxy command that is no jump host": (
        "[etcd]\na ansible_ssh_common_args='-o ProxyCommand=\"nc -X 5 %h %p\"'\n",
        {"hosts.0.gateway": None},
        "ProxyCommand=nc",
    ),
    "a word that lacks its -o": (
        "[etcd]\na ansible_ssh_common_args='StrictHostKeyChecking=no -J j'\n",
        {"ssh.gateway": "j"},
        "StrictHostKeyChecking=no",
    ),
    "a password in a proxy command": (
        "[etcd]\na ansible_ssh_common_args='-o ProxyCommand=\"sshpass -p geheim ssh -W %h:%p j\"'\n",
        {"hosts.0.gateway": None},
        "sshpass -p … ssh",
    ),
    "no ssh at all": ("[etcd]\na ansible_connection=local\n", {}, "ansible_connection=local"),
    "with Windows' line ends": ("[etcd]\r\na ansible_host=10.9.1.1\r\n", {"hosts.0.address": "10.9.1.1"}, ""),
    "priority of a group": (
        "[etcd]\na\n[x]\na\n[x:vars]\nansible_user=x\nansible_group_priority=9\n[z]\na\n[z:vars]\nansible_user=z\n",
        {"hosts.0.user": "x"},
        "",
    ),
}


@pytest.mark.parametrize("name", INI)
def test_an_ini_inventory(tmp_path: Path, name: str) -> None:
    text, values, said = INI[name]
    written, told = made(tmp_path, "hosts", text)
    check(written, values)
    assert said in told
    assert "geheim" not in told + json.dumps(written)


def check(written: dict[str, Any], values: dict[str, Any]) -> None:
    for path, value in values.items():
        found: Any = written
        for key in path.split("."):
            found = found[int(key)] if isinstance(found, list) else found.get(key) if isinstance(found, dict) else None
        assert found == value, f"{path}: {found!r}, not {value!r}"


REFUSED: dict[str, tuple[str, str, str]] = {
    "RKE's bastion as a word": (
        "c.yml",
        "bastion_host: ops@j\nnodes: [{address: a, role: [etcd]}]",
        "bastion_host is no",
    ),
    "RKE's bastions": (
        "c.yml",
        "bastion_host: [{address: j}]\nnodes: [{address: a, role: [etcd]}]",
        "bastion_host is no",
    ),
    "a bastion's port": (
        "c.yml",
        "bastion_host: {address: j, port: ssh}\nnodes: [{address: a, role: [etcd]}]",
        "bastion_host: .*port",
    ),
    "two addresses of a node": (
        "c.yml",
        "nodes: [{address: [a, b], role: [etcd]}]",
        "node number 1: address is a list",
    ),
    "two keys of a node": ("c.yml", "nodes: [{address: a, role: [etcd], ssh_key_path: [k]}]", "ssh_key_path is a list"),
    "a port that is true": ("c.yml", "nodes: [{address: a, role: [etcd], port: yes}]", "port is true or false"),
    "a list of words for ssh": ("h.yml", "etcd: {hosts: {a: {ansible_user: [x]}}}", "ansible_user is a list"),
    "a table as an address": ("h.yml", "etcd: {hosts: {a: {ansible_host: {b: c}}}}", "ansible_host is a table"),
    "a list in a group": ("h.yml", "etcd: {hosts: [a]}", '"hosts" is a list'),
    "children as a list": ("h.yaml", "etcd: {children: [b]}\nb: {hosts: {a: }}", '"children" is a list'),
    "a number for a host": ("h.yml", "etcd: {hosts: {10: }}", "in quotes"),
    "a plugin's configuration": ("h.yml", "plugin: aws_ec2", "inventory plugin"),
    "YAML under another name": ("h.ini", "all:\n  hosts:\n    a:\n", "YAML"),
    "YAML, by its first line": ("h.ini", "---\nall:\n", "YAML"),
    "a filter in a template": ("h", "[etcd]\na ansible_user='{{ x | default(1) }}'\n", "is a template"),
    "a template of itself": ("h", "[etcd]\na ansible_user='{{ ansible_user }}'\n", "is a template"),
    "a vaulted address": ("h.yml", "etcd: {hosts: {a: {ansible_host: !vault x}}}", "ansible-vault"),
    "a range without an end": ("h", "[etcd]\nn[1:]\n", "line 2: .*not a range"),
    "a range that is too large": ("h", "[etcd]\nn[0:99999999]\n", "more than 10000 hosts"),
    "a range of two widths": ("h", "[etcd]\nn[01:100]\n", "of one length"),
    "a section of an unknown kind": ("h", "[etcd:host]\na\n", "line 1: .*unknown kind"),
    "variables of no group": ("h", "[etcd]\na\n[x:vars]\nb=1\n", "line 3: .*nowhere"),
    "a group below itself": ("h", "[etcd:children]\nb\n[b:children]\netcd\n", "below itself"),
    "a word behind a host": ("h", "[etcd]\na b\n", "line 2: b: "),
    "a port that is none": ("h", "[etcd]\na ansible_port=70000\n", "70000 is not a port"),
    "Rancher's edit as YAML": ("c.yml", "rancher_kubernetes_engine_config: {services: {}}", "names no nodes"),
    "Rancher's object": (
        "c.yml",
        "apiVersion: provisioning.cattle.io/v1\nkind: Cluster\nspec: {rkeConfig: {}}",
        "Rancher's",
    ),
    "no roles": ("cluster.yml", "nodes: [{address: a, role: [worker]}]", "no node has the role etcd"),
    "a node without an address": ("cluster.yml", "nodes: [{role: [etcd]}]", "node number 1 has no address"),
    "etcd elsewhere": (
        "cluster.yml",
        "nodes: []\nservices: {etcd: {external_urls: ['https://e:2379']}}",
        "elsewhere .https://e:2379",
    ),
    "a bomb of aliases": ("c.yml", "a: &a {b: *a}\nnodes: 3", "no group etcd|recursive|nested"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(tmp_path: Path, name: str) -> None:
    file, text, said = REFUSED[name]
    with pytest.raises(InputError, match=said) as caught:
        made(tmp_path, file, text)
    assert file in caught.value.message


RKE: dict[str, tuple[str, dict[str, Any], str]] = {
    "roles as words": (
        "nodes: [{address: 10.9.0.1, role: 'controlplane,etcd', user: root}]",
        {"hosts.0.address": "10.9.0.1"},
        "",
    ),
    "an agent for one node": (
        "ssh_key_path: ~/.ssh/all\nnodes: [{address: a, role: [etcd], ssh_agent_auth: true, ssh_key_path: ~/.ssh/id}]",
        {"hosts.0.key": None, "ssh.key": "~/.ssh/all"},
        "ssh agent",
    ),
    "a certificate inline": (
        "nodes: [{address: a, role: [etcd], ssh_cert: 'ssh-rsa-cert AAAA'}]",
        {},
        "CertificateFile",
    ),
    "a key of the bastion's": (
        "bastion_host: {address: j, user: ops, port: 2222, ssh_key_path: ~/.ssh/j}\nnodes: [{address: a, role: [etcd]}]",
        {"ssh.gateway": "ops@j:2222", "ssh.gateway_key": "~/.ssh/j"},
        "",
    ),
    "an inline key of the bastion's": (
        "bastion_host: {address: j, ssh_key: geheim}\nnodes: [{address: a, role: [etcd]}]",
        {"ssh.gateway": "j:22"},
        "j: its ssh_key stands inline",
    ),
    "another docker socket": ("nodes: [{address: a, role: [etcd], docker_socket: /run/d.sock}]", {}, "/run/d.sock"),
    "a prefix": ("prefix_path: /opt/rke\nnodes: [{address: a, role: [etcd]}]", {"etcd": None}, ""),
    "of Rancher, with nodes": (
        "rancher_kubernetes_engine_config: {cluster_name: x y, nodes: [{address: 10.9.0.1, role: [etcd]}]}",
        {"cluster": "x-y", "hosts.0.address": "10.9.0.1"},
        "",
    ),
}


@pytest.mark.parametrize("name", RKE)
def test_an_rke_configuration(tmp_path: Path, name: str) -> None:
    text, values, said = RKE[name]
    written, told = made(tmp_path, "cluster.yml", text)
    check(written, values)
    assert said in told
    assert "geheim" not in told + json.dumps(written)


def test_rkes_state_file(tmp_path: Path) -> None:
    node = {
        "address": "10.9.0.1",
        "internalAddress": "10.1.0.1",
        "hostnameOverride": "cp",
        "role": ["etcd"],
        "sshKeyPath": "~/k",
    }
    state = {
        "desiredState": {},
        "currentState": {"rkeConfig": {"nodes": [node], "clusterName": "prod"}, "certificatesBundle": {}},
    }
    written, _ = made(tmp_path, "cluster.rkestate", json.dumps(state))
    check(written, {"cluster": "prod", "hosts.0.name": "cp", "hosts.0.etcd_address": "10.1.0.1", "hosts.0.key": "~/k"})


def test_what_ansible_inventory_has_printed(tmp_path: Path) -> None:
    listed = {
        "_meta": {"hostvars": {"a": {"ansible_host": "10.9.1.1", "ansible_become": True}, "b": {}}},
        "all": {"children": ["ungrouped", "etcd"]},
        "etcd": {"children": ["inner"], "hosts": ["a"]},
        "inner": {"hosts": ["b"]},
    }
    for name in ("inventory.json", "saved.txt"):
        written, _ = made(tmp_path, name, json.dumps(listed))
        check(written, {"ssh.sudo": True, "hosts.0.address": "10.9.1.1", "hosts.1.name": "b"})


def test_a_directory_with_variables_beside(tmp_path: Path) -> None:
    base = tmp_path / "inventory"
    for name, text in {
        "01-hosts": "[etcd]\na ansible_user=early\nb\n",
        "group_vars/all.yml": "ansible_user: everyone",
        "group_vars/etcd/ssh.yml": "ansible_port: 2200\nansible_user: late",
        "host_vars/b.yml": "ansible_host: 10.9.1.2",
        "group_vars/kube_node.yml": "$ANSIBLE_VAULT;1.1;AES256\n33",
        "02-more": "[kube_node]\na\n",
        "readme.md": "[etcd",
    }.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)
    draft = from_path(base, None)
    assert [(row.name, row.address, row.user, row.port) for row in draft.rows] == [
        ("a", "a", "early", 2200),
        ("b", "10.9.1.2", "late", 2200),
    ]
    assert any("ansible-vault" in note for note in draft.notes)


def test_a_priority_in_group_vars_means_nothing(tmp_path: Path) -> None:
    """Ansible reads those files in the order that it would make (found by a drawn inventory)."""
    (tmp_path / "hosts").write_text("[etcd]\na\n[etcd:vars]\nansible_user=first\n[z]\na\n[z:vars]\nansible_user=last\n")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "etcd.yml").write_text("ansible_group_priority: 10\n")
    assert read_inventory(tmp_path / "hosts")[0].variables_of("a")["ansible_user"] == "last"


def test_another_group(tmp_path: Path) -> None:
    text = "[etcd_main]\na\n[masters]\nb\n"
    with pytest.raises(InputError, match=r"groups: etcd_main, masters") as caught:
        made(tmp_path, "hosts", text)
    assert "--group" in (caught.value.hint or "")
    assert made(tmp_path, "hosts", text, group="masters")[0]["hosts"][0]["name"] == "b"


def test_a_program_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "inventory.sh"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    script.chmod(0o700)
    with pytest.raises(InputError, match="program that makes an inventory"):
        from_path(script, None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("raw", [b"\xff\xfe[\x00", b"[etcd]\na\xff\n"])
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="UTF-"):
        from_path(path, None)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"\xef\xbb\xbf[etcd]\na\n")
    assert from_path(path, None).rows[0].name == "a"


@pytest.mark.parametrize(
    ("command", "jump"),
    [
        ("ssh -W %h:%p -q jump@198.51.100.7", ("jump@198.51.100.7", None)),
        ("/usr/bin/ssh -i ~/.ssh/j -p 2200 -l ops -W '[%h]:%p' j", ("ops@j:2200", "~/.ssh/j")),
        ("ssh -o StrictHostKeyChecking=no -o User=ops -o Port=2 -W %h:%p j", ("ops@j:2", None)),
        ("ssh -J other -W %h:%p j", None),
        ("ssh j nc %h %p", None),
        ("sh -c 'ssh -W %h:%p j'", None),
        ("ssh -W %h:%p", None),
        ("ssh -W %h:%p 'j", None),
    ],
)
def test_a_proxy_command_that_is_a_jump_host(command: str, jump: tuple[str, str | None] | None) -> None:
    assert jump_of_command(command) == jump


def test_the_first_word_for_ssh_counts() -> None:
    found = read_words("-J one -o ProxyJump=two -p2200 -p 22 -tt -o User=a -l b -C -L 1:a:2")
    assert (found.gateway, found.port, found.user, found.left) == ("one", "2200", "a", ["-L 1:a:2"])


def test_a_jump_host_with_colons_stands_in_brackets() -> None:
    assert gateway_of("[2001:db8::1]", "j", "22") == "j@[2001:db8::1]:22"
