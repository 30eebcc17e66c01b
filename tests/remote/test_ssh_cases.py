"""ssh configurations as people have them, most from public reports, each with what `ssh -G` makes of it.

Sources: paramiko/paramiko#1297, #1544, #1951, #1992, #2111, #2522, #2632; fabric/fabric#2354; cyjake/ssh-config#74;
canonical/libssh#10; quantumsheep/sshs#124; PowerToysRun-SSH#2; ssh_config(5). The others are of the same kinds, our own.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.errors import InputError
from fleetrecover.model import Fleet, Host
from fleetrecover.reach import document, targets
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings
from fleetrecover.remote.tokens import home, login


@dataclass(frozen=True)
class Case:
    """A configuration, a host of the inventory, and what is right; `needs_client`: it is refused where there is none."""

    name: str
    config: str
    host: str
    right: dict[str, Any]
    inventory: dict[str, Any] = field(default_factory=dict)
    needs_client: bool = False


HOP = {"port": 22, "key": None}
QUOTING = """host i-* mi-*
    ProxyCommand sh -c "aws ssm start-session --target %h --parameters 'portNumber=%p'"
Host .host machine/.host
  ProxyCommand /usr/lib/systemd/systemd-ssh-proxy unix/run/x %p
Host "etcd 1" etcd1
  HostName=10.9.0.1
  User = "core"
  IdentityFile "~/.ssh/my key"
"""
TOKENS = """Host etcd*
  HostName %h.example.net
  IdentityFile ${FR_DIR}/env_key
  IdentityFile %d/.ssh/id_%r_%n
  UserKnownHostsFile ~/.ssh/known/%k
  User core
"""
CASES = [
    # CRLF, and files of other editors
    Case("crlf", "Host e\r\n  HostName 10.9.0.1\r\n  Port 2222\r\n", "e", {"address": "10.9.0.1", "port": 2222}),
    Case(
        "crlf-quotes", 'Host e\r\n  User "core"\r\n  IdentityFile "/k 1"\r\n', "e", {"user": "core", "keys": ["/k 1"]}
    ),
    Case("crlf-match", "Match host e\r\n\tUser core\r\n\r\n# end\r\n", "e", {"user": "core"}),
    Case("crlf-include", "Include @HERE@/part\r\nHost e\r\n  Port 7\r\n", "e", {"user": "included", "port": 7}),
    # Match final
    Case(
        "final-host",
        'Match final host="*.example.net" !exec "true"\n  User late\nHost e\n  User core\n',
        "e",
        {"user": "core"},
    ),
    Case("final-after-hostname", "Host e\n  HostName e.x.net\nMatch final host e.x.net\n  Port 7\n", "e", {"port": 7}),
    Case("final-comes-last", "Match final\n  User late\nHost e\n  User early\n", "e", {"user": "early"}),
    Case("final-hostname-is-late", "Match final\n  HostName 10.1.1.1\n", "e", {"address": "e"}),
    Case("not-final", "Match !final host e\n  Port 8\nMatch final all\n  Port 9\n", "e", {"port": 8}),
    # Match host=…
    Case("host-equals", "Match host=10.9.*\n  User core\n", "10.9.0.1", {"user": "core", "port": 22}),
    Case("host-equals-user", 'Match host="10.8.*" user=op\n  Port 2222\n', "10.8.0.1", {"port": 2222}, {"user": "op"}),
    Case("host-list", "Match host a,b,!c,e\n  Port 3\n", "e", {"port": 3}),
    Case("host-list-negated", "Match host *,!e\n  Port 3\n", "e", {"port": 22}),
    Case("original-host", "Host e\n  HostName h.x\nMatch originalhost=e !host e\n  Port 3\n", "e", {"port": 3}),
    # Match user: the inventory's counts
    Case(
        "user",
        "Match user rancher\n  IdentityFile /r\nMatch user op\n  Port 1\n",
        "e",
        {"keys": ["/r"], "port": 22},
        {"user": "rancher"},
    ),
    Case("user-of-the-file", "Host e\n  User op\nMatch user op\n  Port 3\n", "e", {"port": 3}),
    Case(
        "user-of-both",
        "Host e\n  User op\nMatch user op\n  Port 3\n",
        "e",
        {"port": 22, "user": "root"},
        {"user": "root"},
    ),
    Case("local-user", f"Match localuser {login()}\n  User core\n", "e", {"user": "core"}),
    Case("not-user", "Match !user root,op\n  Port 3\n", "e", {"port": 3}, {"user": "core"}),
    # ProxyJump
    Case(
        "jump-none",
        "Host bastion\n  ProxyJump none\nHost *\n  ProxyJump bastion\n  User core\n",
        "e",
        {"gateway": [{**HOP, "address": "bastion", "user": "core"}]},
    ),
    Case(
        "jump-none-itself", "Host bastion\n  ProxyJump none\nHost *\n  ProxyJump bastion\n", "bastion", {"gateway": []}
    ),
    Case("jump-of-the-inventory", "Host *\n  ProxyJump bastion\n", "e", {"gateway": []}, {"gateway": "none"}),
    Case(
        "jump-chain",
        "Host far\n  ProxyJump u@one:3,two\nHost two\n  HostName 10.0.0.2\n  User t\n",
        "far",
        {
            "gateway": [
                {"address": "one", "port": 3, "user": "u", "key": None},
                {**HOP, "address": "10.0.0.2", "user": "t"},
            ]
        },
    ),
    Case(
        "jump-that-has-one",
        "Host far\n  ProxyJump b\nHost b\n  User b\n  ProxyJump a\nHost a\n  User a\n",
        "far",
        {"gateway": [{**HOP, "address": "a", "user": "a"}, {**HOP, "address": "b", "user": "b"}]},
    ),
    Case(
        "jump-before-command",
        "ProxyJump u@b\nProxyCommand nc %h %p\n",
        "e",
        {"proxy_command": None, "gateway": [{**HOP, "address": "b", "user": "u"}]},
    ),
    Case(
        "command-before-jump", "ProxyCommand nc %h %p\nProxyJump b\n", "e", {"proxy_command": "nc e 22", "gateway": []}
    ),
    Case(
        "jump-with-a-key",
        "Host b\n  User u\n  IdentityFile /bk\nHost e\n  ProxyJump b\n",
        "e",
        {"gateway": [{**HOP, "address": "b", "user": "u", "key": "/bk"}]},
    ),
    # quotes, equals signs, odd names
    Case(
        "quoting-command",
        QUOTING,
        "i-0abc",
        {"proxy_command": "sh -c \"aws ssm start-session --target i-0abc --parameters 'portNumber=22'\""},
    ),
    Case(
        "quoting",
        QUOTING,
        "etcd1",
        {"address": "10.9.0.1", "user": "core", "keys": ["~/.ssh/my key"], "proxy_command": None},
    ),
    Case("quoting-single", "Host 'e'\n  User 'a b'\n", "e", {"user": "a b"}),
    Case("quoting-backslash", 'IdentityFile "/k\\"1\\\\2"\n', "e", {"keys": ['/k"1\\2']}),
    Case("quoting-hash", 'IdentityFile "/k #1" # mine\n', "e", {"keys": ["/k #1"]}),
    Case(
        "quoting-equals",
        "Port=  2222\nUser  =core\nHostName = 10.1.1.1\n",
        "e",
        {"port": 2222, "user": "core", "address": "10.1.1.1"},
    ),
    # tokens
    Case(
        "tokens",
        TOKENS,
        "etcd1",
        {
            "address": "etcd1.example.net",
            "keys": ["/fr/env_key", "~/.ssh/id_core_etcd1"],
            "known_hosts": ["~/.ssh/known/etcd1"],
        },
    ),
    Case(
        "tokens-percent",
        "IdentityFile /k/%%h_%p\nUserKnownHostsFile /kh/%h_%%\n",
        "e",
        {"keys": ["/k/%h_99"], "known_hosts": ["/kh/e_%"]},
        {"port": 99},
    ),
    Case(
        "tokens-command",
        "Host e\n  HostName 10.1.1.1\n  ProxyCommand x %n %h %p %r %%\n",
        "e",
        {"proxy_command": "x e 10.1.1.1 7 op %"},
        {"port": 7, "user": "op"},
    ),
    Case(
        "tokens-alias",
        "HostKeyAlias Me\nUserKnownHostsFile /kh/%k\n",
        "e",
        {"host_key_alias": "me", "known_hosts": ["/kh/me"]},
    ),
    Case("tokens-ours", "IdentityFile /k/%i_%u\n", "e", {"keys": [f"/k/{os.getuid()}_{login()}"]}),
    Case("tokens-certificate", "CertificateFile ~/c_%h\n", "e", {"certificates": ["~/c_e"]}),
    # comments behind values
    Case("comment", "Host e\n  HostName 10.9.0.1\n  Port 2222 # moved\n", "e", {"address": "10.9.0.1", "port": 2222}),
    Case("comment-apostrophe", "Host e # Bob's box\n  HostName 10.9.0.1\n", "e", {"address": "10.9.0.1"}),
    Case("comment-in-match", "Match host e # user nobody\n  Port 3\n", "e", {"port": 3}),
    Case("comment-without-blank", "User core#1\n", "e", {"user": "core#1"}),
    Case("comment-glued", "User core #1\n", "e", {"user": "core"}),
    # agents
    Case("agent", "IdentityAgent ~/agent.sock\n", "e", {"agent": "~/agent.sock"}),
    Case("agent-none", "IdentityAgent none\n", "e", {"agent": None}),
    Case("agent-variable", "IdentityAgent $FR_AGENT\n", "e", {"agent": "/fr/agent"}),
    Case("agent-braces", "IdentityAgent ${FR_DIR}/%h\n", "e", {"agent": "/fr/e"}),
    Case("agent-unset", "IdentityAgent $FR_NO_SUCH\n", "e", {"agent": None}),
    Case("agent-environment", "IdentityAgent SSH_AUTH_SOCK\n", "e", {"agent": "/the/usual"}),
    Case("agent-first-wins", "Host e\n  IdentityAgent /a\nHost *\n  IdentityAgent /b\n", "e", {"agent": "/a"}),
    # IPv6
    Case("six", "Host fd00::7\n  User six\n", "fd00::7", {"address": "fd00::7", "user": "six"}),
    Case("six-zone", "Host *\n  Port 3\n", "fe80::1%lo", {"address": "fe80::1%lo", "port": 3}),
    Case(
        "six-jump",
        "ProxyJump u@[fd00::1]:24\n",
        "e",
        {"gateway": [{"address": "fd00::1", "port": 24, "user": "u", "key": None}]},
    ),
    # lists of known hosts
    Case("known-none", "UserKnownHostsFile none\nGlobalKnownHostsFile none\n", "e", {"known_hosts": []}),
    Case(
        "known-two",
        'UserKnownHostsFile /a "/b c"\nGlobalKnownHostsFile /g\n',
        "e",
        {"known_hosts": ["/a", "/b c", "/g"]},
    ),
    # only ssh itself knows
    Case("exec", 'Match exec "test %h = e"\n  Port 3\n', "e", {"port": 3}, needs_client=True),
    Case("exec-not-needed", 'Match host other exec "exit 1"\n  Port 3\n', "e", {"port": 22}),
    Case("canonical", "CanonicalizeHostname no\nMatch canonical\n  Port 3\n", "e", {"port": 22}),
]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FR_DIR", "/fr")
    monkeypatch.setenv("FR_AGENT", "/fr/agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/the/usual")


def entry(directory: Path, case: Case, client: str) -> dict[str, Any]:
    config = directory / "config"
    config.write_bytes(case.config.replace("@HERE@", str(directory)).encode())
    (directory / "part").write_text("User included\n")
    fleet = Fleet("c", (Host("h", case.host, **case.inventory),))
    shown = json.dumps(document(fleet, targets(fleet, Settings(fleet, config=str(config), client=client))))
    found: dict[str, Any] = json.loads(shown.replace(f"{home()}/", "~/"))["hosts"][0]
    found["known_hosts"] = [path for path in found["known_hosts"] if not path.startswith("/etc/")]
    return found


@pytest.mark.skipif(not find_client(), reason="needs the ssh client")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_as_ssh_has_it(tmp_path: Path, case: Case) -> None:
    found = entry(tmp_path, case, find_client())
    assert {key: found[key] for key in case.right} == case.right


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_a_client_it_is_the_same_or_refused(tmp_path: Path, case: Case) -> None:
    if case.needs_client:
        with pytest.raises(InputError, match=r"config, line \d+: "):
            entry(tmp_path, case, "")
        return
    found = entry(tmp_path, case, "")
    assert {key: found[key] for key in case.right} == case.right


BROKEN = [
    ("Match localnetwork 192.0.2.0/24\n  User x\n", 1, "localnetwork"),
    ("Host e\n  User y\nMatch tagged lab\n  User x\n", 3, "tagged"),
    ("\n\nMatch command *\n", 3, "command"),
    ("Match host e version 3\n  Port 3\n", 1, "version"),
    ("Match user\n", 1, "user"),
    ("Match all host e\n", 1, "all"),
    ("Nonsense yes\n", 1, "nonsense"),
    ('User "open\n', 1, "quote"),
    ("Host e\n  Port high\n", 2, "port"),
    ("Port 70000\n", 1, "port"),
    ("User two words\n", 1, "user"),
    ("IdentitiesOnly perhaps\n", 1, "perhaps|identitiesonly"),
    ("AddressFamily ipv4\n", 1, "ipv4|addressfamily"),
    ("Host\n", 1, "host|no argument"),
    ("\ufeffHost e\n", 1, "bad configuration option|not a keyword"),
    ("UserKnownHostsFile none /kh\n", 1, "none"),
]


@pytest.mark.parametrize("client", ["ssh", ""])
@pytest.mark.parametrize(
    ("config", "line", "word"), BROKEN, ids=[each[0].split("\n")[0].strip() or "x" for each in BROKEN]
)
def test_what_is_wrong_is_refused_by_file_and_line(
    tmp_path: Path, config: str, line: int, word: str, client: str
) -> None:
    found = find_client() if client else ""
    if client and not found:
        pytest.skip("needs the ssh client")
    with pytest.raises(InputError) as caught:
        entry(tmp_path, Case("x", config, "e", {}), found)
    said = caught.value.message.lower()
    assert f"{tmp_path}/config".lower() in said
    assert f"line {line}" in said
    assert any(each in said for each in word.split("|")), said
    assert caught.value.hint
    assert caught.value.code == 3


REFUSED_WITHOUT = [
    "ProxyJump a b c\n",
    "CanonicalizeHostname yes\n",
    "CanonicalDomains example.net\n",
    "BindInterface lo\n",
    "ProxyUseFdpass yes\n",
    "PKCS11Provider /lib/p.so\n",
    "KnownHostsCommand /bin/true\n",
    "IgnoreUnknown UseKeychain\n",
    "Include ~/%h\n",
    "Include /x/${HOME}\n",
    "Match exec true\n",
    "HostName %n.example.net\n",
]


@pytest.mark.parametrize("config", REFUSED_WITHOUT)
def test_what_only_ssh_understands_is_refused_without_it(tmp_path: Path, config: str) -> None:
    with pytest.raises(InputError, match=r"config, line 1: ") as caught:
        entry(tmp_path, Case("x", config, "e", {}), "")
    assert "install it" in str(caught.value.hint)


def test_a_file_that_is_named_and_is_not_there(tmp_path: Path) -> None:
    fleet = Fleet("c", (Host("h", "e"),))
    for client in {find_client(), ""}:
        with pytest.raises(InputError, match="no-such-file"):
            targets(fleet, Settings(fleet, config=str(tmp_path / "no-such-file"), client=client))


@pytest.mark.parametrize(
    "token",
    [
        "IdentityFile /k/%q\n",
        "IdentityFile /k/${FR_NO_SUCH}\n",
        "ProxyCommand nc %z\n",
        "CertificateFile ~nobody-of-that-name/c\n",
    ],
)
def test_an_unknown_token_is_named(tmp_path: Path, token: str) -> None:
    for client in {find_client(), ""}:
        with pytest.raises(InputError) as caught:
            entry(tmp_path, Case("x", token, "e", {}), client)
        assert token.split(maxsplit=1)[0] in caught.value.message
        assert caught.value.hint


def test_an_included_file_that_others_can_write_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("User x\n")
    (tmp_path / "open").chmod(0o666)
    for client in {find_client(), ""}:
        with pytest.raises(InputError, match=r"Bad owner or permissions on .*open"):
            entry(tmp_path, Case("x", "Include @HERE@/open\n", "e", {}), client)


# --- how ssh is asked


STUB = """#!/bin/sh
echo "$*" >>{log}
case "$*" in *"-- default") exec {ssh} "$@" ;; esac
: >{here}/$$
until [ "$(ls {here} | wc -l)" -ge {count} ]; do sleep 0.02; done
exec {ssh} "$@"
"""


@pytest.mark.skipif(not find_client(), reason="needs the ssh client")
def test_each_destination_is_asked_for_once_and_all_at_the_same_time(tmp_path: Path) -> None:
    """No answer is given before all have been asked: one after another, it would never end."""
    log, here = tmp_path / "log", tmp_path / "here"
    here.mkdir()
    stub = tmp_path / "ssh"
    stub.write_text(STUB.format(log=log, here=here, count=12, ssh=find_client()))
    stub.chmod(0o755)
    fleet = Fleet("c", tuple(Host(f"h{n}", f"10.0.0.{n}", gateway="jump") for n in range(1, 13)))
    settings = Settings(fleet, config="none", client=str(stub))
    for _ in range(2):
        assert len(targets(fleet, settings)) == 12
    asked = log.read_text().splitlines()
    assert len([line for line in asked if "-- 10.0.0." in line]) == 12
    assert len([line for line in asked if line.endswith("-- jump")]) == 1
    assert len([line for line in asked if line.endswith("-- default")]) == 1


def test_a_client_from_before_ssh_g_is_not_asked(tmp_path: Path) -> None:
    stub = tmp_path / "ssh"
    stub.write_text("#!/bin/sh\necho \"ssh: illegal option -- 'G'\" >&2\nexit 255\n")
    stub.chmod(0o755)
    case = next(case for case in CASES if case.name == "crlf")
    assert entry(tmp_path, case, str(stub))["port"] == 2222


def test_a_client_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetrecover.limits.SSH_CONFIG", 0.3)
    stub = tmp_path / "ssh"
    stub.write_text("#!/bin/sh\nsleep 4741\n")
    stub.chmod(0o755)
    with pytest.raises(InputError, match="has not answered within"):
        entry(tmp_path, CASES[0], str(stub))


def test_nothing_but_the_named_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "mine"
    config.write_text("Port 7\n")
    monkeypatch.setenv("FLEETRECOVER_SSH_CONFIG", str(config))
    fleet = Fleet("c", (Host("h", "e"),))
    settings = Settings(fleet)
    assert settings.config == str(config)
    assert targets(fleet, settings)[0][1].port == 7
    monkeypatch.delenv("FLEETRECOVER_SSH_CONFIG")
    assert Settings(fleet).config is None
    assert shutil.which("ssh") in (None, settings.client)
