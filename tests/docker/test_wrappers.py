"""etcd behind shells, scripts and files: what runs is known, and what cannot be rewritten is refused by name."""

from __future__ import annotations

import pytest

from fleetrecover.docker import rewrite
from fleetrecover.docker.argv import from_argv
from fleetrecover.docker.etcd_config import change, is_etcd
from fleetrecover.docker.parts import Healthcheck
from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.errors import Unsupported
from fleetrecover.etcd.config import EtcdConfig
from fleetrecover.etcd.config_file import flags_of
from fleetrecover.etcd.wrappers import unwrap


def spec(
    *words: str, env: tuple[str, ...] = (), image: str = "quay.io/coreos/etcd:v3.5.9", entry: str = ""
) -> ContainerSpec:
    options = [*(f"--env={each}" for each in env), *([f"--entrypoint={entry}"] if entry else [])]
    return from_argv(["docker", "run", "-d", "--name=etcd", "--volume=/d:/data", *options, image, *words])


SEEN: dict[str, tuple[ContainerSpec, str, str]] = {
    # the container; its member's name and data directory, as etcd sees them
    "a shell": (spec("sh", "-c", "exec /usr/bin/etcd --name n1 --data-dir=/data"), "n1", "/data"),
    "a shell with variables": (
        spec(
            "/bin/sh", "-ec", "set -x; sleep 1 && etcd --name=$NODE --data-dir ${DIR}/x", env=("NODE=n7", "DIR=/data")
        ),
        "n7",
        "/data/x",
    ),
    "bash, over lines": (
        spec("bash", "-c", "echo hello\netcd \\\n  --name n1 \\\n  --data-dir /data\n"),
        "n1",
        "/data",
    ),
    "kolla": (
        spec("kolla_start", env=("ETCD_NAME=k1", "ETCD_DATA_DIR=/data"), entry="dumb-init", image="kolla/etcd:1"),
        "k1",
        "/data",
    ),
    "bitnami": (
        spec("/opt/x/entrypoint.sh", "etcd", "--enable-v2=true", "--name=b1", env=("ETCD_DATA_DIR=/data",)),
        "b1",
        "/data",
    ),
    "a script with nothing behind": (spec("/run.sh", env=("ETCD_NAME=r1", "ETCD_DATA_DIR=/data")), "r1", "/data"),
    "a shell that computes": (spec("sh", "-c", "etcd --name=$(hostname)", env=("ETCD_NAME=h1",)), "h1", "/h1.etcd"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_runs_is_read_through_a_wrapper(name: str) -> None:
    container, member, data = SEEN[name]
    found = EtcdConfig.read(container)
    assert (found.name, found.data_dir) == (member, data)
    assert found.opaque
    assert is_etcd(container)


@pytest.mark.parametrize("name", SEEN)
def test_it_is_never_rewritten(name: str) -> None:
    container = SEEN[name][0]
    for attempt in (
        lambda: EtcdConfig.of(container),
        lambda: change(container, {"name": "x"}),
        lambda: rewrite.quarantine(container, name="q", data_host_path="/copy", labels={}),
        lambda: rewrite.joiner(container, name="j", initial_cluster={"n1": "http://a:2380"}, labels={}),
    ):
        with pytest.raises(Unsupported, match="does not start etcd itself") as caught:
            attempt()
        assert caught.value.hint


def test_a_plain_command_is_not_opaque() -> None:
    assert EtcdConfig.read(spec("etcd", "--name=n1")).opaque == ""
    assert EtcdConfig.read(spec("tini", "--", "etcd", "--name=n1")) == EtcdConfig.of(
        spec("tini", "--", "etcd", "--name=n1")
    )


@pytest.mark.parametrize(
    "script",
    [
        "etcd --name `hostname`",
        "etcd | tee log",
        "etcd --name 'x",
        "sleep 5",
        "echo etcd --name x > /f",
        "etcd --name *",
    ],
)
def test_what_a_shell_computes_is_not_guessed(script: str) -> None:
    found = unwrap(["sh", "-c", script], {})
    assert found is not None
    assert found.argv is None


@pytest.mark.parametrize("words", [("etcdctl", "get"), ("sleep", "9"), ("sh", "-c", "etcdctl get x"), ("backup",)])
def test_what_is_no_server_is_none(words: tuple[str, ...]) -> None:
    assert not is_etcd(spec(*words))


# --- --config-file ------------------------------------------------------------------------------------------------------

FILE = """
name: n3
data-dir: /data
wal-dir: /wal
listen-client-urls: https://10.0.0.3:2379,https://127.0.0.1:2379
initial-cluster: n3=https://10.0.0.3:2380
heartbeat-interval: 250
force-new-cluster: true
client-transport-security:
  cert-file: /tls/server.pem
  key-file: /tls/server-key.pem
  client-cert-auth: true
  trusted-ca-file: /tls/ca.pem
peer-transport-security: {cert-file: /tls/peer.pem, trusted-ca-file: /tls/peer-ca.pem, allowed-cn: x}
cors:
cipher-suites: [A, B]
"""


def test_a_configuration_file_is_read_like_flags() -> None:
    container = spec("etcd", "--config-file=/etc/etcd.yml", "--name=ignored", env=("ETCD_DATA_DIR=/ignored",))
    found = EtcdConfig.read(container, FILE)
    assert (found.name, found.data_dir, found.wal_dir, found.heartbeat) == ("n3", "/data", "/wal", 250)
    assert (found.cert_file, found.peer_cert_file, found.peer_ca_file) == (
        "/tls/server.pem",
        "/tls/peer.pem",
        "/tls/peer-ca.pem",
    )
    assert found.client_cert_auth
    assert found.force_new_cluster
    assert found.given["peer-cert-allowed-cn"] == "x"
    assert found.given["cipher-suites"] == "A,B"
    assert "cors" not in found.given
    assert "config-file" in found.opaque


def test_by_the_variable_too_and_not_without_the_file() -> None:
    container = spec("etcd", env=("ETCD_CONFIG_FILE=/etc/etcd.yml",))
    assert EtcdConfig.read(container, "name: n1").name == "n1"
    with pytest.raises(Unsupported, match="could not be read"):
        EtcdConfig.read(container)
    with pytest.raises(Unsupported, match="cannot be changed in the command"):
        EtcdConfig.of(container)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1: it is not YAML"),
        ("- 1", "no table of settings"),
        ("client-transport-security: 3", "client-transport-security is no table"),
        ("x: " + "y" * (1 << 20), "more than 1 MB"),
    ],
)
def test_a_file_that_is_none_is_named(text: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said) as caught:
        flags_of(text, "/etc/etcd.yml")
    assert "/etc/etcd.yml" in caught.value.message


def test_an_empty_file_has_only_defaults() -> None:
    assert flags_of("", "/f") == {}


# --- health checks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "writable"),
    [
        (None, True),
        (("NONE",), True),
        (("CMD-SHELL", "etcdctl endpoint health"), True),
        (("CMD-SHELL", ""), False),
        (("CMD-SHELL", "a", "b"), False),
        (("CMD", "etcdctl", "endpoint", "health"), False),
    ],
)
def test_a_joiner_does_without_a_check_that_docker_run_cannot_be_given(
    test: tuple[str, ...] | None, writable: bool
) -> None:
    from dataclasses import replace

    check = Healthcheck(test, interval=5)
    assert check.writable is writable
    container = replace(spec("etcd", "--name=n1", "--data-dir=/data"), healthcheck=check)
    joiner = rewrite.joiner(container, name="etcd", initial_cluster={"n1": "http://a:2380"}, labels={})
    assert joiner.healthcheck == (check if writable else None)
