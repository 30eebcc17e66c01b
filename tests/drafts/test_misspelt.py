"""A word that is misspelt is passed over by Ansible, RKE and us: it is told, with what was probably meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fleetrecover.cli import run
from fleetrecover.drafts import ansible_tool
from fleetrecover.drafts.ansible import ANSIBLES_OWN, MATTERS
from fleetrecover.drafts.misspelt import near_words, nearest
from fleetrecover.drafts.rke import CAMEL, NODE

NODES: list[dict[str, object]] = [{"address": "10.0.0.1", "role": ["etcd"]}, {"address": "10.0.0.2", "role": ["etcd"]}]


@pytest.fixture(autouse=True)
def without_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own reading is what is tested here."""
    monkeypatch.setattr(ansible_tool, "installed", lambda: None)


def told(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of `init`, and what it says on stderr."""
    code = run(["init", "--from", str(path), "-o", "-"])
    return code, capsys.readouterr().err


ODD_NODES: dict[str, tuple[dict[str, object], str, str]] = {
    "adress of the node's own net": (
        {"internal_adress": "10.9.0.2"},
        "`internal_adress` is no word",
        "internal_address",
    ),
    "port": ({"prot": 2222}, "`prot` is no word", "port"),
    "key": ({"ssh_keypath": "k"}, "`ssh_keypath` is no word", "ssh_key_path"),
    "key with hyphens": ({"ssh-key-path": "k"}, "`ssh-key-path` is no word", "ssh_key_path"),
    "user in capitals": ({"User": "core"}, "`User` is no word", "user"),
    "another role": ({"role": ["ectd"]}, "the role `ectd` is none", "etcd"),
    "a role in capitals": ({"role": "Etcd"}, "the role `Etcd` is none", "etcd"),
    "roles": ({"role": None, "roles": ["etcd"]}, "`roles` is no word", "role"),
    "anything": ({"rack": 7}, "`rack` is no word of RKE's nodes, and was passed over\n", ""),
}


@pytest.mark.parametrize("form", ["cluster.yml", "cluster.rkestate", "rancher.yml"])
@pytest.mark.parametrize("case", ODD_NODES)
def test_a_word_of_a_node(case: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more, said, meant = ODD_NODES[case]
    document: dict[str, object] = {"nodes": [NODES[0], {**NODES[1], **more}]}
    if form == "cluster.rkestate":
        document = {"desiredState": {"rkeConfig": document}}
    elif form == "rancher.yml":
        document = {"rancher_kubernetes_engine_config": document}
    path = tmp_path / form
    path.write_text(json.dumps(document) if form.endswith("state") else yaml.safe_dump(document))
    code, err = told(path, capsys)
    assert code == 0
    assert f"node number 2 (10.0.0.2): {said}" in err
    assert not meant or f"is `{meant}` meant?" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "nodes: [{adress: 10.0.0.1, role: [etcd]}]",
            "`adress` is no word of RKE's nodes, and was passed over: is `address`",
        ),
        (
            "nodes: [{address: 10.0.0.1, role: [etdc]}]",
            "the role `etdc` is none of RKE's, and was passed over: is `etcd`",
        ),
        ("node: [{address: 10.0.0.1, role: [etcd]}]", "`node` is no word of RKE's, and was passed over: is `nodes`"),
    ],
)
def test_where_nothing_is_left_it_is_refused_and_says_why(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yml"
    path.write_text(text)
    code, err = told(path, capsys)
    assert code == 3
    assert said in " ".join(err.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "bastion_hosts: {address: j}",
            "`bastion_hosts` is no word of RKE's, and was passed over: is `bastion_host` meant?",
        ),
        ("ssh_agent_auht: true", "is `ssh_agent_auth` meant?"),
        (
            "bastion_host: {address: j, usr: ops}",
            "bastion_host: `usr` is no word of RKE's bastion_host, and was passed over: is",
        ),
        ("bastion_host: {adress: j}", "bastion_host: `adress` is no word of RKE's bastion_host"),
    ],
)
def test_a_word_beside_the_nodes(more: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cluster.yml"
    path.write_text(f"{more}\nnodes: [{{address: a, role: [etcd]}}]")
    code, err = told(path, capsys)
    assert (code, said in err) == (0, True), err


def test_rkes_own_words_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of a node's, as RKE's YAML and its state file spell them; and whatever stands beside the nodes."""
    node = {word: "x" for word in NODE if word not in ("role", "port", "ssh_agent_auth")}
    for spelt in (node, {CAMEL.get(word, word): value for word, value in node.items()}):
        path = tmp_path / "cluster.yml"
        others = dict.fromkeys(
            ("services", "network", "restore", "prefix_path", "ssh_cert_path", "addons_include"), None
        )
        path.write_text(yaml.safe_dump({"nodes": [spelt | {"role": ["etcd", "worker", "controlplane"]}], **others}))
        assert "passed over" not in told(path, capsys)[1]


ODD_VARIABLES = {
    "ansible_hots": "ansible_host",
    "ansible_usr": "ansible_user",
    "anisble_port": "ansible_port",
    "ansible_ssh_private_keyfile": "ansible_ssh_private_key_file",
    "ansible_ssh_private_key_path": "ansible_ssh_private_key_file",
    "ansible_becom": "ansible_become",
    "ansible_ssh_comon_args": "ansible_ssh_common_args",
    "acces_ip": "access_ip",
}


@pytest.mark.parametrize("form", ["ini", "yml", "group_vars", "list.json"])
@pytest.mark.parametrize("word", ODD_VARIABLES)
def test_a_variable_of_ansible(word: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"inventory.{form}"
    if form == "ini":
        path.write_text(f"[etcd]\na {word}=x\nb\n")
    elif form == "yml":
        path.write_text(f"etcd: {{hosts: {{a: {{{word}: x}}, b: }}}}\n")
    elif form == "list.json":
        path.write_text(json.dumps({"_meta": {"hostvars": {"a": {word: "x"}}}, "etcd": {"hosts": ["a", "b"]}}))
    else:
        path = tmp_path / "inventory"
        (path / "host_vars").mkdir(parents=True)
        (path / "hosts").write_text("[etcd]\na\nb\n")
        (path / "host_vars" / "a.yml").write_text(f"{word}: x\n")
    code, err = told(path, capsys)
    assert code == 0
    assert f"a: `{word}` is no variable of Ansible's, and was passed over: is `{ODD_VARIABLES[word]}` meant?" in err


def test_many_hosts_with_the_same_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hosts"
    path.write_text("[etcd]\nn[1:3]\n[etcd:vars]\nansible_usr=core\n[basiton]\nj\n")
    _, err = told(path, capsys)
    assert "n1, n2, n3: `ansible_usr` is no variable" in err
    assert "is the group basiton meant?" in err


FACTS = (
    *(
        "all_ipv4_addresses",
        "apparmor",
        "architecture",
        "bios_date",
        "cmdline",
        "date_time",
        "default_ipv4",
        "devices",
        "distribution",
    ),
    *(
        "distribution_major_version",
        "dns",
        "domain",
        "effective_user_id",
        "effective_group_id",
        "env",
        "eth0",
        "facts",
        "fips",
        "form",
    ),
    *(
        "fqdn",
        "hostname",
        "hostnqn",
        "interfaces",
        "is_chroot",
        "kernel",
        "lo",
        "local",
        "lsb",
        "lvm",
        "machine",
        "machine_id",
    ),
    *(
        "memtotal_mb",
        "mounts",
        "nodename",
        "os_family",
        "pkg_mgr",
        "processor",
        "product_name",
        "python",
        "python_version",
    ),
    *(
        "real_user_id",
        "selinux",
        "service_mgr",
        "ssh_host_key_rsa_public",
        "ssh_host_key_ecdsa_public",
        "swaptotal_mb",
        "system",
    ),
    *(
        "system_vendor",
        "uptime_seconds",
        "user_dir",
        "user_gecos",
        "user_gid",
        "user_id",
        "user_shell",
        "user_uid",
        "userspace_bits",
    ),
    *(
        "virtualization_role",
        "python_interpreter",
        "shell_type",
        "shell_executable",
        "remote_tmp",
        "network_os",
        "winrm_transport",
    ),
    *(
        "psrp_auth",
        "docker_extra_args",
        "pipelining",
        "timeout",
        "control_path",
        "check_mode",
        "version",
        "forks",
        "limit",
        "tags",
    ),
)


def test_what_ansible_knows_or_others_have_is_left_alone() -> None:
    """Its own further words, its facts, Kubespray's variables, and anything else that people have."""
    words = [
        *(*ANSIBLES_OWN, *MATTERS),
        *(f"ansible_{fact}" for fact in FACTS),
        *(
            "ip",
            "ip6",
            "etcd_member_name",
            "kube_version",
            "access_ip6",
            "etcd_address",
            "host",
            "user",
            "port",
            "accessible",
        ),
    ]
    assert near_words(words, MATTERS, ANSIBLES_OWN, "none") == []


def test_nearest_gives_the_first_spelling() -> None:
    assert nearest("sshkeypath", ["ssh_key_path", "sshKeyPath"]) == "ssh_key_path"
    assert nearest("", ["a"]) is None
