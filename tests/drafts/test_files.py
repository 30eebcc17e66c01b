"""`init`: an inventory from one node, from RKE's cluster.yml, from an Ansible inventory."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from fleetrecover import cli, cli_init
from fleetrecover.drafts.draft import Draft, Row, render
from fleetrecover.drafts.files import from_path as from_file
from fleetrecover.drafts.node import from_node
from fleetrecover.errors import InputError
from fleetrecover.facts import LiveMember, NodeFacts
from fleetrecover.model import Fleet, Host

RKE = """
cluster_name: prod
ssh_key_path: ~/.ssh/rke
bastion_host: {address: jump.example, user: ops, port: 2222}
nodes:
  - {address: 203.0.113.1, internal_address: 10.0.0.1, user: ubuntu, role: [controlplane, etcd]}
  - {address: 203.0.113.2, port: "2200", hostname_override: db two, user: ubuntu, role: [etcd]}
  - {address: 203.0.113.9, user: ubuntu, role: [worker]}
"""

INI = """
# kubespray
[all]
node1 ansible_host=192.0.2.1 ip=10.0.0.1 ansible_user=core
node2 ansible_host=192.0.2.2 ansible_port=2222 ansible_ssh_private_key_file='~/.ssh/my key'
node3 ansible_host=192.0.2.3
[all:vars]
ansible_become=true
cluster_name = prod
[kube_control_plane]
node1
[etcd:children]
dbs
[dbs]
node1
node2
"""

YAML = """
all:
  vars: {ansible_user: core}
  hosts:
    node1: {ansible_host: 192.0.2.1, ip: 10.0.0.1}
    node2: {ansible_host: 192.0.2.2}
  children:
    etcd: {hosts: {node1: null, node2: null}}
    kube_node: {hosts: {node2: {}}}
"""


def made(tmp_path: Path, name: str, text: str, cluster: str | None = None) -> dict[str, Any]:
    """The inventory made from such a file, read back."""
    path = tmp_path / name
    path.write_text(text)
    return tomllib.loads(render(from_file(path, cluster), tmp_path / "hosts.toml"))


class TestFiles:
    def test_rke(self, tmp_path: Path) -> None:
        assert made(tmp_path, "cluster.yml", RKE) == {
            "cluster": "prod",
            "ssh": {"key": "~/.ssh/rke", "gateway": "ops@jump.example:2222"},
            "hosts": [
                {"name": "203.0.113.1", "address": "203.0.113.1", "etcd_address": "10.0.0.1", "user": "ubuntu"},
                {"name": "db-two", "address": "203.0.113.2", "user": "ubuntu", "port": 2200},
            ],
        }

    def test_ansible_ini(self, tmp_path: Path) -> None:
        assert made(tmp_path, "inventory.ini", INI, "other") == {
            "cluster": "other",
            "ssh": {"sudo": True},
            "hosts": [
                {"name": "node1", "address": "192.0.2.1", "etcd_address": "10.0.0.1", "user": "core"},
                {"name": "node2", "address": "192.0.2.2", "port": 2222, "key": "~/.ssh/my key"},
            ],
        }

    def test_ansible_yaml(self, tmp_path: Path) -> None:
        assert made(tmp_path, "hosts.yaml", YAML)["hosts"] == [
            {"name": "node1", "address": "192.0.2.1", "etcd_address": "10.0.0.1", "user": "core"},
            {"name": "node2", "address": "192.0.2.2", "user": "core"},
        ]

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("a.yml", "nodes: [{role: [worker], address: a}]", "no node has the role etcd"),
            ("b.yml", "nodes: [{role: [etcd]}]", "node number 1 has no address"),
            ("c.yml", "nodes: [", "not YAML"),
            ("d.yml", "- 1", "neither an RKE"),
            ("e.yml", "all: {hosts: {a: {}}}", "no group etcd"),
            ("f.ini", "[etcd]\nnode[3]:\n", "line 2: "),
            ("g.ini", "[etcd]\nnode1 ansible_host='x\n", "line 2: No closing"),
            ("h.ini", "[etcd]\n", "has no hosts"),
            ("i.ini", "[etcd]\na ansible_host={{x}}\n", "template"),
            ("j.ini", "[etcd]\na ansible_port=ssh\n", "is no number"),
            ("k.yml", "nodes: [{role: [etcd], address: '-oProxyCommand=x'}]", "neither a host name nor an IP"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, name: str, text: str, said: str) -> None:
        with pytest.raises(InputError, match=said):
            made(tmp_path, name, text)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            from_file(tmp_path / "none.yml", None)


class TestNodes:
    def test_from_what_etcd_lists(self) -> None:
        members = tuple(
            LiveMember(n, f"etcd-node{n}" if n < 3 else "", (f"https://10.0.0.{n}:2380",), (), False) for n in (2, 1, 3)
        )
        node = NodeFacts(Host("node", "10.0.0.1", user="core"), True, members=members)
        draft = from_node(node, "etcd")
        assert [(row.name, row.address) for row in draft.rows] == [
            ("10.0.0.3", "10.0.0.3"),
            ("node1", "10.0.0.1"),
            ("node2", "10.0.0.2"),
        ]
        assert draft.ssh == {"user": "core"}

    def test_a_node_that_knows_nothing(self) -> None:
        with pytest.raises(InputError, match="knows of no etcd members"):
            from_node(NodeFacts(Host("node", "10.0.0.1"), True), "etcd")

    def test_odd_names_become_safe_and_stay_apart(self) -> None:
        node = NodeFacts(
            Host("node", "h"),
            True,
            members=tuple(LiveMember(n, "a b", (f"https://10.0.0.{n}:2380",), (), False) for n in (1, 2)),
        )
        assert [row.name for row in from_node(node, "etcd").rows] == ["a-b", "a-b-2"]


def test_strings_cannot_break_out_of_the_file(tmp_path: Path) -> None:
    draft = Draft("prod", (Row("a", "10.0.0.1", key='x"\nport = 1 #\x7f'),))
    with pytest.raises(InputError, match="control character"):
        render(draft, tmp_path / "hosts.toml")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "cluster.yml", tmp_path / "hosts.toml"
    source.write_text(RKE)
    assert cli.run(["init", "--from", str(source), "-o", str(target)]) == 0
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.read_text()
    assert "2 hosts" in capsys.readouterr().err
    assert cli.run(["init", "--from", str(source), "-o", str(target)]) == 3
    assert target.read_text() == before
    assert cli.run(["init", "--from", str(source), "-o", "-"]) == 0
    assert capsys.readouterr().out == before
    assert cli.run(["init", "--from", "a b"]) == 3
    assert "not a host" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("10.0.0.1:99999", "99999 is not a port"),
        ("[::1]:0", "0 is not a port"),
        ("h:22:22", "not a host"),
        ("root@", "not a host"),
        ("user@h@x", "not a host"),
        ("root@[2001:db8::1", "not a host"),
        ("", "not a host"),
        ("-oProxyCommand=x", "not a host"),
        ("ssh://root@h:x/", "not a host"),
        ("ssh://root@h/path", "not a host"),
        ("2001:db8::1", "--from '[2001:db8::1]'"),
        ("root@fe80::1%eth0", "--from 'root@[fe80::1%eth0]'"),
        ("clusters/prod.yml", "there is no such file"),
    ],
)
def test_a_word_that_is_no_host(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.settings._consoles.clear()
    assert cli.run(["init", f"--from={word}", "-o", "-"]) == 3
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "host"),
    [
        ("ssh://ops@[2001:db8::1]:2222/", Host("node", "2001:db8::1", user="ops", port=2222)),
        ("ssh://etcd1.example", Host("node", "etcd1.example")),
        ("etcd1.example:22", Host("node", "etcd1.example", port=22)),
        ("root@n-1", Host("node", "n-1", user="root")),
    ],
)
def test_a_word_that_is_a_host(word: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Host] = []

    def connected(fleet: Fleet) -> None:
        asked.extend(fleet.hosts)
        raise InputError("asked")

    monkeypatch.setattr(cli_init, "connected", connected)
    assert cli.run(["init", "--from", word, "-o", "-"]) == 3
    assert asked == [host]
