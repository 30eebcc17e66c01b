"""Where ssh(1) gets in, we get in, and where it does not, neither do we: both are run, with one configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fleetrecover.errors import RemoteError
from fleetrecover.model import Command, Fleet, Host, SshSettings
from fleetrecover.remote.carrier import Carrier
from fleetrecover.remote.connection import SshTransport
from fleetrecover.remote.openssh import OpenSshTransport
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings
from tests.remote.agents import EcdsaToken, Ed25519Token, HardwareAgent, real_agent
from tests.remote.sshd import Sshd, make_key, public

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not find_client(), reason="needs the ssh client: it is the judge")]

RELAY = """
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536): sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := sock.recv(65536): os.write(1, data)
"""


@dataclass
class Place:
    """A server, keys, and what is to be tried with them."""

    directory: Path
    server: Sshd
    jump: Sshd
    stack: ExitStack
    environment: dict[str, str] = field(default_factory=dict)

    def key(self, name: str, kind: str = "ed25519", *, authorize: bool = True, passphrase: str = "") -> Path:
        path = make_key(self.directory / name, kind=kind, passphrase=passphrase)
        if authorize:
            self.server.authorize(path)
        return path

    def agent(self, *keys: Path) -> Path:
        return self.stack.enter_context(real_agent(self.directory, *keys))

    def certified(self, key: Path) -> Path:
        """Sign a key for root by the authority that the server trusts."""
        authority = self.directory / "authority"
        words = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", "-n", "root", f"{key}.pub"]
        subprocess.run(words, check=True, capture_output=True)
        return key.with_name(f"{key.name}-cert.pub")

    def known(self, *names: str) -> Path:
        path = self.directory / "known"
        path.write_text("".join(self.server.known_line(name) for name in names or (None,)) + self.jump.known_line())
        return path


def pub(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


@pytest.fixture
def place(make_sshd: Callable[..., Sshd], tmp_path: Path) -> Iterator[Place]:
    make_key(tmp_path / "authority")
    jump = make_sshd()
    server = make_sshd(f"TrustedUserCAKeys {tmp_path}/authority.pub", "MaxAuthTries 6")
    with ExitStack() as stack:
        yield Place(tmp_path, server, jump, stack)


# --- each makes the rest of a `Host node` block, and says whether ssh should get in


def a_key(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}", True


def an_rsa_key(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k', 'rsa')}", True


def an_ecdsa_key_in_quotes(p: Place) -> tuple[str, bool]:
    (p.directory / "with blank").mkdir()
    return f'IdentityFile "{p.key("with blank/k", "ecdsa")}" # mine', True


def a_key_with_tokens(p: Place) -> tuple[str, bool]:
    p.environment["KEYS"] = str(p.directory)
    p.key("id_root_node")
    return "IdentityFile ${KEYS}/id_%r_%n", True


def a_wrong_key(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k', authorize=False)}\n IdentityAgent none", False


def a_missing_first_key(p: Place) -> tuple[str, bool]:
    return f"IdentitiesOnly yes\n IdentityFile /no/such/key\n IdentityFile {p.key('k')}", True


def an_encrypted_first_key(p: Place) -> tuple[str, bool]:
    locked = p.key("locked", authorize=False, passphrase="secret")
    return f"IdentitiesOnly yes\n IdentityFile {locked}\n IdentityFile {p.key('k')}", True


def an_agent_at_a_path(p: Place) -> tuple[str, bool]:
    return f"IdentityAgent {p.agent(p.key('k'))}", True


def an_agent_in_a_variable(p: Place) -> tuple[str, bool]:
    p.environment["OTHER_AGENT"] = str(p.agent(p.key("k")))
    return "IdentityAgent $OTHER_AGENT", True


def an_agent_in_the_environment(p: Place) -> tuple[str, bool]:
    p.environment["SSH_AUTH_SOCK"] = str(p.agent(p.key("k")))
    return "IdentityAgent SSH_AUTH_SOCK", True


def no_agent(p: Place) -> tuple[str, bool]:
    p.environment["SSH_AUTH_SOCK"] = str(p.agent(p.key("k")))
    return "IdentityAgent none\n IdentityFile /no/such/key", False


def an_agent_that_is_not_there(p: Place) -> tuple[str, bool]:
    return f"IdentityAgent /no/such/agent\n IdentityFile {p.key('k')}", True


def a_public_key_and_the_agent(p: Place) -> tuple[str, bool]:
    key = p.key("k")
    agent = p.agent(key)
    key.unlink()
    return f"IdentityAgent {agent}\n IdentitiesOnly yes\n IdentityFile {pub(key)}", True


def an_encrypted_key_and_the_agent(p: Place) -> tuple[str, bool]:
    """Only the header of the private key tells which of the agent's it is."""
    key = p.key("k")
    agent = p.agent(key)
    pub(key).unlink()
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)], check=True)
    return f"IdentityAgent {agent}\n IdentitiesOnly yes\n IdentityFile {key}", True


def identities_only_and_another_key_in_the_agent(p: Place) -> tuple[str, bool]:
    other = p.key("other", authorize=False)
    return f"IdentityAgent {p.agent(p.key('k'))}\n IdentitiesOnly yes\n IdentityFile {other}", False


def many_keys_in_the_agent_and_one_named(p: Place) -> tuple[str, bool]:
    keys = [p.key(f"k{number}", authorize=False) for number in range(8)]
    right = p.key("right")
    return f"IdentityAgent {p.agent(*keys, right)}\n IdentityFile {pub(right)}", True


def too_many_keys_in_the_agent(p: Place) -> tuple[str, bool]:
    keys = [p.key(f"k{number}", authorize=False) for number in range(8)]
    return f"IdentityAgent {p.agent(*keys, p.key('right'))}\n IdentityFile /no/such/key", False


def many_keys_in_the_agent_and_one_in_a_file(p: Place) -> tuple[str, bool]:
    keys = [p.key(f"k{number}", authorize=False) for number in range(8)]
    return f"IdentityAgent {p.agent(*keys)}\n IdentityFile {p.key('right')}", False


def a_certificate(p: Place) -> tuple[str, bool]:
    key = p.key("k", authorize=False)
    certificate = p.certified(key).rename(p.directory / "elsewhere-cert.pub")
    return f"IdentityFile {key}\n CertificateFile {certificate}", True


def a_certificate_beside_its_key(p: Place) -> tuple[str, bool]:
    key = p.key("k", "rsa", authorize=False)
    p.certified(key)
    return f"IdentityFile {key}", True


def a_certificate_whose_key_is_in_the_agent(p: Place) -> tuple[str, bool]:
    key = p.key("k", "ecdsa", authorize=False)
    agent = p.agent(key)
    certificate = p.certified(key)
    key.unlink()
    return f"IdentityAgent {agent}\n IdentitiesOnly yes\n CertificateFile {certificate}\n IdentityFile {pub(key)}", True


def a_certificate_in_the_agent(p: Place) -> tuple[str, bool]:
    key = p.key("k", authorize=False)
    p.certified(key)
    return f"IdentityAgent {p.agent(key)}\n IdentityFile /no/such/key", True


def an_rsa_certificate_in_the_agent(p: Place) -> tuple[str, bool]:
    key = p.key("k", "rsa", authorize=False)
    p.certified(key)
    return f"IdentityAgent {p.agent(key)}\n IdentityFile /no/such/key", True


def hardware(place: Place, token: Ed25519Token | EcdsaToken) -> str:
    """An agent with that token, whose key the server takes."""
    agent = HardwareAgent(place.directory, token)
    place.stack.callback(agent.close)
    path = place.server.open_directory / "authorized"
    path.write_text(agent.public + "\n")
    return f"IdentityAgent {agent.path}"


def a_hardware_key(p: Place) -> tuple[str, bool]:
    return hardware(p, Ed25519Token()), True


def an_ecdsa_hardware_key(p: Place) -> tuple[str, bool]:
    return hardware(p, EcdsaToken()), True


def a_hardware_key_by_name(p: Place) -> tuple[str, bool]:
    rest, right = a_hardware_key(p)
    (p.directory / "sk.pub").write_text((p.server.open_directory / "authorized").read_text())
    return f"{rest}\n IdentitiesOnly yes\n IdentityFile {p.directory}/sk.pub", right


def a_host_key_alias(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n HostKeyAlias Etcd-One\n UserKnownHostsFile {p.known('etcd-one')}", True


def a_host_key_alias_has_no_port(p: Place) -> tuple[str, bool]:
    known = p.known(f"[etcd-one]:{p.server.port}")
    return f"IdentityFile {p.key('k')}\n HostKeyAlias etcd-one\n UserKnownHostsFile {known}", False


def two_files_of_known_hosts(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n UserKnownHostsFile /no/such/file {p.known()}", True


def global_known_hosts_alone(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n UserKnownHostsFile none\n GlobalKnownHostsFile {p.known()}", True


def no_known_hosts(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n UserKnownHostsFile none\n GlobalKnownHostsFile none", False


def known_hosts_by_token(p: Place) -> tuple[str, bool]:
    shutil.copy(p.known(), p.directory / "kh_node_root")
    return f"IdentityFile {p.key('k')}\n UserKnownHostsFile {p.directory}/kh_%n_%r", True


def checking_is_switched_off(p: Place) -> tuple[str, bool]:
    """Nothing in the configuration loosens the check of host keys; ssh is judged with it switched on, too."""
    more = "StrictHostKeyChecking no\n NoHostAuthenticationForLocalhost yes"
    return f"IdentityFile {p.key('k')}\n UserKnownHostsFile none\n GlobalKnownHostsFile none\n {more}", False


def the_right_family(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n AddressFamily inet", True


def the_wrong_family(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n AddressFamily inet6", False


def an_address_to_come_from(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n BindAddress 127.0.0.9", True


def a_session_that_is_set_up_for_a_person(p: Place) -> tuple[str, bool]:
    more = "RequestTTY force\n RemoteCommand none\n PermitLocalCommand yes\n LocalCommand echo hello"
    return f"IdentityFile {p.key('k')}\n {more}\n ForwardAgent yes\n VisualHostKey yes\n Compression yes", True


def a_proxy_command(p: Place) -> tuple[str, bool]:
    (p.directory / "relay.py").write_text(RELAY)
    return f"IdentityFile {p.key('k')}\n ProxyCommand {sys.executable} {p.directory}/relay.py %h %p # fast", True


def a_proxy_command_that_wants_a_shell(p: Place) -> tuple[str, bool]:
    (p.directory / "relay.py").write_text(RELAY)
    p.environment["RELAY"] = f"{p.directory}/relay.py"
    return f"IdentityFile {p.key('k')}\n ProxyCommand {sys.executable} \"$RELAY\" '%h' $((%p + 0)) 2>/dev/null", True


def a_proxy_command_that_fails(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n ProxyCommand echo no way >&2; exit 3", False


def a_jump_host(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n ProxyJump hop", True


def a_jump_host_by_its_own_words(p: Place) -> tuple[str, bool]:
    """What is said of the node does not count for the jump host, and the other way round."""
    return (
        f"IdentityFile {p.key('k')}\n ProxyJump root@127.0.0.1:{p.jump.port}\nMatch host 127.0.0.1 !originalhost node",
        True,
    )


def two_jump_hosts(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n ProxyJump hop,again", True


def a_jump_host_that_has_one(p: Place) -> tuple[str, bool]:
    return f"IdentityFile {p.key('k')}\n ProxyJump far", True


CASES = [
    each
    for name, each in list(globals().items())
    if callable(each) and getattr(each, "__annotations__", {}).get("p") == "Place" and not name.startswith("test")
]


def config_for(p: Place, rest: str) -> Path:
    known = p.known() if not (p.directory / "known").exists() else p.directory / "known"
    hop = f"HostName 127.0.0.1\n Port {p.jump.port}\n User root\n IdentityFile {p.jump.login_key}\n IdentitiesOnly yes"
    text = (
        f"Host node\n {rest}\nHost node\n HostName 127.0.0.1\n Port {p.server.port}\n User root\n"
        f"Host hop again\n {hop}\nHost far\n ProxyJump hop\n {hop}\n"
        f"Host *\n UserKnownHostsFile {known}\n IdentityFile {p.jump.login_key}\n"
    )
    path = p.directory / "config"
    path.write_text(text)
    return path


def ssh_gets_in(config: Path) -> bool:
    strict = ["-o", "StrictHostKeyChecking=yes", "-o", "NoHostAuthenticationForLocalhost=no"]
    words = ["ssh", "-F", str(config), "-T", "-o", "BatchMode=yes", *strict, "-o", "RequestTTY=no", "node", "echo in"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60)
    return "in" in done.stdout.split()


def we_get_in(carrier: Carrier, fleet: Fleet) -> str:
    """Return what was said, or why nothing was; every refusal has a hint."""
    try:
        with carrier:
            return carrier.batch(fleet.hosts[0], [Command("c", "echo in")])[0].text.strip()
    except RemoteError as error:
        assert error.hint
        return f"{type(error).__name__}: {error.message}"


@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
def test_where_ssh_gets_in_we_get_in(
    place: Place, monkeypatch: pytest.MonkeyPatch, case: Callable[[Place], tuple[str, bool]]
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    rest, right = case(place)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    config = config_for(place, rest)
    assert ssh_gets_in(config) is right, f"the case itself is wrong\n{config.read_text()}"
    fleet = Fleet("test", (Host("node", "node"),), SshSettings(connect_timeout=10))
    settings = Settings(fleet, config=str(config))
    for carrier in (SshTransport(fleet, settings=settings), OpenSshTransport(fleet, settings=settings)):
        said = we_get_in(carrier, fleet)
        assert (said == "in") is right, f"{type(carrier).__name__}: {said}\n{config.read_text()}\n{os.environ}"


# --- what the inventory says, before all that


def test_a_gateway_with_a_key_of_its_own(place: Place) -> None:
    own, other = place.key("own"), place.key("other", authorize=False)
    place.jump.authorize(other)
    known = place.known()
    gateway = f"root@127.0.0.1:{place.jump.port}"
    for per_host in (True, False):
        keys = {"gateway": gateway, "gateway_key": other}
        ssh = SshSettings(user="root", port=place.server.port, key=own, known_hosts=known, **({} if per_host else keys))  # type: ignore[arg-type]
        fleet = Fleet("test", (Host("node", "127.0.0.1", **(keys if per_host else {})),), ssh)  # type: ignore[arg-type]
        settings = Settings(fleet, config="none")
        assert we_get_in(SshTransport(fleet, settings=settings), fleet) == "in"
        assert we_get_in(OpenSshTransport(fleet, settings=settings), fleet) == "in"
        bare = Fleet(
            "test",
            (Host("node", "127.0.0.1", gateway=gateway),),
            SshSettings(user="root", port=place.server.port, key=own, known_hosts=known),
        )
        said = we_get_in(SshTransport(bare, settings=Settings(bare, config="none")), bare)
        assert said.startswith("LoginFailed: node: its gateway 127.0.0.1: "), said


def test_the_inventory_counts_in_match_and_tokens(place: Place) -> None:
    place.key("id_root")
    config = place.directory / "config"
    config.write_text(
        f"Match user root\n IdentityFile {place.directory}/id_%r\n HostName 127.0.0.1\n UserKnownHostsFile {place.known()}\n"
    )
    fleet = Fleet("test", (Host("node", "node", user="root", port=place.server.port),))
    assert we_get_in(SshTransport(fleet, settings=Settings(fleet, config=str(config))), fleet) == "in"


def test_a_certificate_of_the_host_is_for_ssh_alone(place: Place, tmp_path: Path) -> None:
    """Paramiko cannot check them, and says so; the openssh client can."""
    key = place.key("k")
    known = tmp_path / "known"
    known.write_text(f"@cert-authority * {public(tmp_path / 'authority')}\n")
    words = ["ssh-keygen", "-q", "-h", "-s", str(tmp_path / "authority"), "-I", "h", "-n", "127.0.0.1"]
    subprocess.run([*words, f"{place.server.host_key}.pub"], check=True, capture_output=True)
    place.server.stop()
    server = Sshd(
        place.server.directory, (f"HostCertificate {place.server.host_key}-cert.pub",), port=place.server.port
    )
    server.start()
    place.stack.callback(server.stop)
    server.authorize(key)
    fleet = Fleet("test", (Host("node", "127.0.0.1"),), SshSettings("root", server.port, key, known))
    settings = Settings(fleet, config="none")
    said = we_get_in(SshTransport(fleet, settings=settings), fleet)
    assert "certificates of hosts cannot be checked here" in said
    assert we_get_in(OpenSshTransport(fleet, settings=settings), fleet) == "in"
