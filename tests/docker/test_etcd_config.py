"""What etcd makes of flags and variables, and changes that leave the rest as written."""

from __future__ import annotations

import pytest

from fleetrecover.docker.etcd_config import change, is_etcd
from fleetrecover.docker.spec import ContainerSpec, ImageConfig
from fleetrecover.errors import Unsupported
from fleetrecover.etcd.config import EtcdCommand, EtcdConfig, TlsFiles, client_endpoint, etcdctl_tls, show_cluster


def etcd(*words: str, env: tuple[str, ...] = (), image: ImageConfig | None = None) -> ContainerSpec:
    return ContainerSpec("img", command=("/usr/local/bin/etcd", *words), env=env, from_image=image)


def test_flags_in_every_spelling_and_order() -> None:
    config = EtcdConfig.of(
        etcd(
            "-data-dir",
            "/d",
            "--client-cert-auth",
            "--peer-client-cert-auth=false",
            "--name=first",
            "--listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379",
            "--initial-cluster=a=http://x:1,b=http://y:1,a=http://z:1",
            "--name",
            "last",
            "--force-new-cluster=true",
            "--unsafe-no-fsync",
            "--heartbeat-interval=500",
        )
    )
    assert (config.name, config.data_dir) == ("last", "/d")
    assert (config.client_cert_auth, config.peer_client_cert_auth) == (True, False)
    assert config.initial_cluster == {"a": ("http://x:1", "http://z:1"), "b": ("http://y:1",)}
    assert config.force_new_cluster
    assert config.unsafe_no_fsync
    assert (config.heartbeat, config.election) == (500, 1000)
    assert config.effective_wal_dir == "/d/member/wal"


def test_flags_win_over_variables_and_empty_variables_do_not_count() -> None:
    config = EtcdConfig.of(
        etcd("--name=flag", env=("ETCD_NAME=variable", "ETCD_DATA_DIR=/v", "ETCD_WAL_DIR=", "ETCD_FORCE_NEW_CLUSTER=1"))
    )
    assert (config.name, config.data_dir, config.wal_dir) == ("flag", "/v", "")
    assert config.force_new_cluster


def test_defaults_are_etcds_and_paths_are_absolute() -> None:
    config = EtcdConfig.of(etcd(image=ImageConfig(workdir="/srv")))
    assert (config.name, config.data_dir) == ("default", "/srv/default.etcd")
    assert config.listen_client_urls == ("http://localhost:2379",)
    assert config.state == "new"


def test_the_images_environment_counts() -> None:
    spec = etcd(
        env=("ETCD_NAME=given", "ETCD_GONE"),
        image=ImageConfig(env=("ETCD_NAME=image", "ETCD_DATA_DIR=/i", "ETCD_GONE=1")),
    )
    assert EtcdConfig.of(spec).name == "given"
    assert EtcdConfig.of(spec).data_dir == "/i"
    assert "ETCD_GONE" not in spec.environment


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (etcd("--config-file=/c.yml"), "--config-file=/c.yml"),
        (etcd(env=("ETCD_CONFIG_FILE=/c.yml",)), "--config-file=/c.yml"),
        (ContainerSpec("img", command=("sh", "-c", "exec etcd --name=x")), "exec etcd --name=x"),
        (ContainerSpec("img", command=("/entry.sh",)), "/entry.sh"),
        (ContainerSpec("img"), "does not start etcd"),
        (etcd("gateway"), "'gateway'"),
        (etcd("--client-cert-auth", "true"), "'true'"),
        (etcd("--client-cert-auth=maybe"), "maybe"),
        (etcd("--election-timeout=5s"), "--election-timeout=5s"),
        (etcd("--initial-cluster=http://x:1"), "--initial-cluster"),
    ],
)
def test_what_cannot_be_understood_is_named(spec: ContainerSpec, named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        EtcdConfig.of(spec)


def test_etcd_is_told_from_its_helpers() -> None:
    assert is_etcd(etcd())
    assert is_etcd(ContainerSpec("img", command=("tini", "--", "etcd")))
    assert is_etcd(ContainerSpec("img", command=("sh", "-c", "exec /bin/etcd --name=x")))
    assert is_etcd(ContainerSpec("q.io/coreos/etcd:v3", command=("--name=x",)))
    assert is_etcd({"Config": {"Cmd": ["etcd"]}})
    assert is_etcd({"Path": "/usr/local/bin/etcd", "Args": []})
    assert not is_etcd(
        ContainerSpec("rancher/rke-tools", command=("/opt/rke-tools/rke-etcd-backup", "etcd-backup", "save"))
    )
    assert not is_etcd(ContainerSpec("q.io/coreos/etcd:v3", command=("etcdctl", "get", "etcd")))
    assert not is_etcd(ContainerSpec("img", command=("kube-apiserver", "--etcd-servers=x")))
    assert not is_etcd({"Config": {"Image": "nginx"}})


def test_a_change_keeps_place_spelling_and_everything_else() -> None:
    spec = etcd(
        "-name", "a", "--odd", "--data-dir=/d", "--name=b", "--quota-backend-bytes", "5", env=("X=1", "ETCD_NAME=c")
    )
    changed = change(spec, {"name": "z", "quota-backend-bytes": "6", "wal-dir": "/w", "odd": None})
    assert changed.command == (
        "/usr/local/bin/etcd",
        "-name",
        "z",
        "--data-dir=/d",
        "--quota-backend-bytes",
        "6",
        "--wal-dir=/w",
    )
    assert changed.env == ("X=1",)


def test_a_variable_stays_a_variable_and_is_never_beside_the_flag() -> None:
    spec = etcd("--data-dir=/d", env=("ETCD_NAME=c", "ETCD_DATA_DIR=/old", "ETCD_EMPTY="))
    changed = change(spec, {"name": "z", "data-dir": "/new", "empty": "1"})
    assert changed.env == ("ETCD_NAME=z",)
    assert changed.command == ("/usr/local/bin/etcd", "--data-dir=/new", "--empty=1")
    assert change(spec, {"name": None}).env == ("ETCD_DATA_DIR=/old", "ETCD_EMPTY=")


def test_a_variable_of_the_image_is_overridden_or_unset() -> None:
    spec = etcd(image=ImageConfig(env=("ETCD_NAME=image", "ETCD_CERT_FILE=/c")))
    changed = change(spec, {"name": "z", "cert-file": None})
    assert set(changed.env) == {"ETCD_NAME=z", "ETCD_CERT_FILE"}
    assert "ETCD_CERT_FILE" not in changed.environment


def test_flags_in_the_entrypoint_are_changed_there() -> None:
    spec = ContainerSpec("img", entrypoint=("etcd", "--name=a"), command=("--data-dir=/d",))
    assert change(spec, {"data-dir": "/e"}).entrypoint == ("etcd", "--name=a")
    changed = change(spec, {"name": "b"})
    assert (changed.entrypoint, changed.command) == (("etcd",), ("--name=b", "--data-dir=/d"))
    image = ImageConfig(entrypoint=("tini", "--", "etcd"), command=("--name=a",))
    spec = ContainerSpec("img", from_image=image)
    assert change(spec, {"name": "a"}) == spec
    changed = change(spec, {"name": "b"})
    assert (changed.entrypoint, changed.command) == (None, ("--name=b",))
    changed = change(spec, {"name": None})
    assert changed.argv == ("tini", "--", "etcd")


def test_the_words_come_back_as_they_were() -> None:
    spec = etcd("--a=b=c", "-d", "e", "--pre-vote", "--x", "--y=")
    assert EtcdCommand.of(spec).argv == spec.argv
    assert EtcdCommand.of(spec).get("a") == "b=c"
    assert EtcdCommand.of(spec).get("x") == "true"


@pytest.mark.parametrize(
    ("listen", "endpoint"),
    [
        ("https://0.0.0.0:2379", "https://127.0.0.1:2379"),
        ("https://10.0.0.1:2379", "https://10.0.0.1:2379"),
        ("https://10.0.0.1:2379,http://127.0.0.1:2381", "http://127.0.0.1:2381"),
        ("https://[::]:2379", "https://[::1]:2379"),
        ("https://[fd00::1]:2379", "https://[fd00::1]:2379"),
        ("unix:///x,https://10.0.0.1:4001", "https://10.0.0.1:4001"),
    ],
)
def test_where_etcd_answers_on_its_own_node(listen: str, endpoint: str) -> None:
    assert client_endpoint(EtcdConfig.of(etcd(f"--listen-client-urls={listen}"))) == endpoint


def test_the_files_for_etcdctl() -> None:
    server = ("--listen-client-urls=https://0.0.0.0:2379", "--cert-file=/c", "--key-file=/k", "--trusted-ca-file=/a")
    assert etcdctl_tls(etcd(*server)) == TlsFiles("/a", "/c", "/k")
    own = ("ETCDCTL_CACERT=/1", "ETCDCTL_CERT=/2", "ETCDCTL_KEY=/3")
    assert etcdctl_tls(etcd(*server, env=own)) == TlsFiles("/1", "/2", "/3")
    assert etcdctl_tls(etcd()) is None


def test_a_cluster_is_written_from_texts_and_lists() -> None:
    assert (
        show_cluster({"a": "http://x:1, http://y:1", "b": ("http://z:1",)}) == "a=http://x:1,a=http://y:1,b=http://z:1"
    )
