"""The rewrites: quarantine, plain start, joiner, identity exchange; and the rule about the force flag."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetrecover.docker.parts import Endpoint, Mount, MountPoint, Port
from fleetrecover.docker.rewrite import (
    Identity,
    NamedPath,
    Replacement,
    assert_no_force,
    check_quarantine,
    exchange_identity,
    files_named,
    has_force,
    identity_of,
    joiner,
    keep_volumes,
    plain,
    quarantine,
)
from fleetrecover.docker.spec import ContainerSpec, ImageConfig
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.etcd.config import EtcdConfig

BASE = ContainerSpec(
    "img",
    name="etcd",
    command=("etcd", "--name=etcd-node1", "--data-dir=/data/etcd"),
    binds=("/srv/data:/data:Z", "/etc/ssl:/ssl:rw,Z", "/etc/k:/k"),
    restart="always",
    network="host",
)
FORCE = [
    ("--force-new-cluster",),
    ("-force-new-cluster",),
    ("--force-new-cluster=true",),
    ("--force-new-cluster=1",),
    ("--force-new-cluster=T",),
    ("--force-new-cluster=false", "--force-new-cluster"),
]


def with_words(*words: str, spec: ContainerSpec = BASE, env: tuple[str, ...] = ()) -> ContainerSpec:
    return replace(spec, command=(*(spec.command or ()), *words), env=(*spec.env, *env))


# --- the force flag ---


@pytest.mark.parametrize("words", FORCE)
def test_the_force_flag_is_seen_and_taken_off_in_every_spelling(words: tuple[str, ...]) -> None:
    spec = with_words(*words)
    assert has_force(spec)
    with pytest.raises(Refused):
        assert_no_force(spec)
    with pytest.raises(Refused, match="--network=host"):
        check_quarantine(spec)
    started = plain(spec, name="etcd", labels={})
    assert started.command == BASE.command
    assert_no_force(started)
    check_quarantine(started)


def test_the_force_flag_is_seen_in_the_environment_of_container_and_image() -> None:
    spec = with_words(env=("ETCD_FORCE_NEW_CLUSTER=true", "A=1"))
    assert has_force(spec)
    assert plain(spec, name="x", labels={}).env == ("A=1",)
    image = replace(BASE, from_image=ImageConfig(env=("ETCD_FORCE_NEW_CLUSTER=1",)))
    assert has_force(image)
    started = plain(image, name="x", labels={})
    assert started.env == ("ETCD_FORCE_NEW_CLUSTER",)
    assert not has_force(started)


def test_the_force_flag_is_seen_where_the_command_cannot_be_read() -> None:
    spec = replace(BASE, command=("sh", "-c", "etcd --force-new-cluster"))
    assert has_force(spec)
    with pytest.raises(Unsupported):
        plain(spec, name="x", labels={})
    assert has_force(with_words("--force-new-cluster=maybe"))


def test_a_flag_that_is_off_is_no_force() -> None:
    assert not has_force(with_words("--force-new-cluster=false"))
    assert not has_force(with_words("--force-new-cluster", "--force-new-cluster=false"))
    assert not has_force(BASE)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "host"},
        {"network": ""},
        {"restart": "on-failure"},
        {"publish": (Port("1"),)},
        {"publish_all": True},
        {"endpoint": Endpoint(("a",))},
        {"more_networks": (("lan", Endpoint()),)},
        {"links": ("a:b",)},
    ],
)
def test_a_quarantine_that_leaks_is_refused(change: dict[str, object]) -> None:
    reset = quarantine(BASE, name="q", data_host_path="/copy", labels={})
    check_quarantine(reset)
    with pytest.raises(Refused):
        check_quarantine(replace(reset, **change))  # type: ignore[arg-type]


# --- quarantine ---


def test_the_copy_takes_the_place_of_the_data_and_the_rest_is_read_only() -> None:
    reset = quarantine(BASE, name="q", data_host_path="/copy", labels={"run": "r"})
    assert reset.binds == ("/copy:/data/etcd:Z", "/etc/ssl:/ssl:ro", "/etc/k:/k:ro")
    assert (reset.name, reset.restart, reset.network, reset.labels) == ("q", "", "none", (("run", "r"),))
    assert EtcdConfig.of(reset).data_dir == "/data/etcd"


def test_everything_that_ties_it_to_the_world_is_dropped() -> None:
    spec = replace(
        with_words(
            "--cert-file=/ssl/c", "--client-cert-auth", "--discovery=x", "--listen-metrics-urls=http://0.0.0.0:1"
        ),
        env=("ETCD_PEER_CERT_FILE=/x", "ETCDCTL_ENDPOINTS=https://x", "ETCD_LISTEN_PEER_URLS=https://x:1", "K=v"),
        publish=(Port("2379"),),
        expose=("1/tcp",),
        auto_remove=True,
        pid="container:a",
        ipc="host",
        network="lan",
        endpoint=Endpoint(("a",), "10.0.0.1"),
        mac_address="02:42:ac:1f:07:99",
    )
    reset = quarantine(spec, name="q", data_host_path="/copy", labels={}, extra={"snapshot-count": "1"})
    assert reset.env == ("ETCD_LISTEN_PEER_URLS=http://127.0.0.1:2380", "K=v")
    words = " ".join(reset.command or ())
    assert "cert" not in words
    assert "discovery" not in words
    assert "metrics" not in words
    assert words.endswith("--snapshot-count=1 --force-new-cluster")
    assert (reset.pid, reset.ipc, reset.mac_address, reset.auto_remove, reset.expose) == ("", "host", "", False, ())


def test_a_wal_elsewhere_needs_a_copy_too() -> None:
    spec = with_words("--wal-dir=/wal/etcd", spec=replace(BASE, binds=(*BASE.binds, "/nvme:/wal")))
    with pytest.raises(Unsupported, match="--wal-dir=/wal/etcd"):
        quarantine(spec, name="q", data_host_path="/copy", labels={})
    reset = quarantine(spec, name="q", data_host_path="/copy", wal_host_path="/w", labels={})
    assert reset.binds[:2] == ("/copy:/data/etcd:Z", "/w:/wal/etcd")
    inside = with_words("--wal-dir=/data/etcd/wal")
    assert quarantine(inside, name="q", data_host_path="/copy", labels={}).binds[0] == "/copy:/data/etcd:Z"


def test_data_in_a_mount_or_a_volume_is_replaced_and_data_in_the_container_is_refused() -> None:
    mounts = (Mount("bind", "/srv/data", "/data"), Mount("bind", "/b", "/b"), Mount("tmpfs", "", "/t"))
    reset = quarantine(replace(BASE, binds=(), mounts=mounts), name="q", data_host_path="/copy", labels={})
    assert reset.binds == ("/copy:/data/etcd",)
    assert reset.mounts == (Mount("bind", "/b", "/b", True), Mount("tmpfs", "", "/t"))
    volume = replace(
        BASE,
        binds=(),
        volumes=("/data",),
        mount_points=(MountPoint("volume", "/var/lib/docker/volumes/x/_data", "/data", "f" * 64),),
    )
    reset = quarantine(volume, name="q", data_host_path="/copy", labels={})
    assert (reset.binds, reset.volumes, reset.mount_points) == (("/copy:/data/etcd",), (), ())
    with pytest.raises(Unsupported, match="/data/etcd of etcd is in no mount"):
        quarantine(replace(BASE, binds=()), name="q", data_host_path="/copy", labels={})
    with pytest.raises(Unsupported, match="another mount lies below /data/etcd"):
        quarantine(replace(BASE, binds=(*BASE.binds, "/n:/data/etcd/member")), name="q", data_host_path="/c", labels={})


# --- the starts ---


def test_a_plain_start_changes_name_and_labels_alone() -> None:
    spec = replace(BASE, labels=(("a", "b"),))
    assert plain(spec, name="new", labels={"c": "d"}) == replace(spec, name="new", labels=(("a", "b"), ("c", "d")))


def test_anonymous_volumes_are_kept_by_name() -> None:
    name = "a" * 64
    spec = replace(
        BASE,
        volumes=("/anon/",),
        mounts=(Mount("volume", "", "/m"),),
        mount_points=(
            MountPoint("volume", "/s", "/anon", name),
            MountPoint("volume", "/s", "/fromimage", "b" * 64),
            MountPoint("volume", "/s", "/m", "c" * 64),
        ),
    )
    kept = keep_volumes(spec)
    assert kept.volumes == ()
    assert kept.binds == (*BASE.binds, f"{name}:/anon", f"{'b' * 64}:/fromimage")
    assert kept.mounts == (Mount("volume", "c" * 64, "/m"),)
    assert keep_volumes(kept) == kept


def test_a_joiner_has_the_cluster_it_is_given_in_the_order_it_knew() -> None:
    spec = with_words("--initial-cluster=etcd-node1=http://a:1,n2=http://b:1", "--discovery=x")
    cluster = {"n3": "http://c:1", "n2": "http://b:1,http://b:2", "etcd-node1": "http://a:1"}
    joined = joiner(spec, name="etcd", initial_cluster=cluster, labels={}, restart="no")
    text = "etcd-node1=http://a:1,n2=http://b:1,n2=http://b:2,n3=http://c:1"
    assert (joined.command or ())[3:] == (f"--initial-cluster={text}", "--initial-cluster-state=existing")
    assert joined.restart == ""
    assert joiner(spec, name="etcd", initial_cluster=text, labels={}).restart == "always"
    with pytest.raises(Refused, match="no member etcd-node1"):
        joiner(spec, name="etcd", initial_cluster={"n2": "http://b:1"}, labels={})
    named = joiner(spec, name="etcd", initial_cluster={"n9": "http://b:1"}, labels={}, member_name="n9")
    assert EtcdConfig.of(named).name == "n9"
    assert_no_force(joiner(with_words("--force-new-cluster", spec=spec), name="e", initial_cluster=cluster, labels={}))


# --- identity ---

OLD = Identity("etcd-node1", ("10.0.0.1",), "node1")
NEW = Identity("etcd-node2", ("10.0.0.2",), "node2")


def exchanged(text: str, flag: str = "listen-client-urls", old: Identity = OLD, new: Identity = NEW) -> str:
    spec, _ = exchange_identity(with_words(f"--{flag}={text}"), old, new)
    return (spec.command or ())[-1].removeprefix(f"--{flag}=")


@pytest.mark.parametrize(
    ("flag", "before", "after"),
    [
        ("name", "etcd-node1", "etcd-node2"),
        (
            "advertise-client-urls",
            "https://10.0.0.1:2379,https://10.0.0.1:4001",
            "https://10.0.0.2:2379,https://10.0.0.2:4001",
        ),
        ("listen-peer-urls", "https://10.0.0.1:2380", "https://10.0.0.2:2380"),
        ("advertise-client-urls", "https://node1:2379", "https://node2:2379"),
        ("cert-file", "/etc/kubernetes/ssl/kube-etcd-10-0-0-1.pem", "/etc/kubernetes/ssl/kube-etcd-10-0-0-2.pem"),
        ("key-file", "/ssl/kube-etcd-10-0-0-1-key.pem", "/ssl/kube-etcd-10-0-0-2-key.pem"),
        ("cert-file", "/ssl/member-node1.pem", "/ssl/member-node2.pem"),
        ("cert-file", "/ssl/etcd-node1.crt", "/ssl/etcd-node2.crt"),
        ("key-file", "/ssl/node1/server.key", "/ssl/node2/server.key"),
        ("cert-file", "/ssl/10.0.0.1.pem", "/ssl/10.0.0.2.pem"),
        ("initial-cluster", "etcd-node1=https://10.0.0.1:2380", "etcd-node2=https://10.0.0.2:2380"),
        (
            "initial-cluster",
            "etcd-node1=https://10.0.0.1:2380,etcd-node10=https://10.0.0.11:2380",
            "etcd-node2=https://10.0.0.2:2380,etcd-node10=https://10.0.0.11:2380",
        ),
        ("data-dir", "/data/node1/etcd", "/data/node2/etcd"),
        ("quota-backend-bytes", "10.0.0.1", "10.0.0.2"),
    ],
)
def test_the_old_identity_is_found(flag: str, before: str, after: str) -> None:
    assert exchanged(before, flag) == after


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("listen-client-urls", "https://10.0.0.11:2379"),
        ("listen-client-urls", "https://110.0.0.1:2379"),
        ("listen-client-urls", "https://10.0.0.1.example.com:2379"),
        ("listen-client-urls", "https://node10:2379"),
        ("listen-client-urls", "https://node1.example.com:2379"),
        ("listen-client-urls", "https://my-node1:2379"),
        ("cert-file", "/ssl/kube-etcd-10-0-0-11.pem"),
        ("cert-file", "/ssl/kube-etcd-110-0-0-1.pem"),
        ("cert-file", "/ssl/kube-etcd-10-0-0-1-5.pem"),
        ("cert-file", "/ssl/kube-etcd-5-10-0-0-1.pem"),
        ("cert-file", "/ssl/node10.pem"),
        ("trusted-ca-file", "/etc/kubernetes/ssl/kube-ca.pem"),
        ("trusted-ca-file", "/ssl/node1.pem"),
        ("peer-trusted-ca-file", "/ssl/10-0-0-1.pem"),
        ("initial-cluster-state", "node1"),
        ("initial-cluster-token", "etcd-node1"),
        ("initial-cluster", "etcd-node1=https://10.0.0.1:2380,etcd-node2=https://10.0.0.2:2380"),
        ("initial-cluster", "etcd-node10=https://10.0.0.11:2380"),
    ],
)
def test_what_merely_looks_alike_is_left_alone(flag: str, text: str) -> None:
    assert exchanged(text, flag) == text


def test_a_generic_name_is_not_searched_for_in_paths() -> None:
    old, new = Identity("etcd", ("10.0.0.1",)), Identity("etcd2", ("10.0.0.2",))
    spec = replace(BASE, command=("etcd", "--name=etcd", "--data-dir=/data/etcd"))
    result, replaced = exchange_identity(spec, old, new)
    assert replaced == (Replacement("--name", "etcd", "etcd2"),)
    assert result.binds == BASE.binds


def test_variables_labels_binds_and_the_host_name() -> None:
    spec = replace(
        BASE,
        env=(
            "ETCD_ADVERTISE_CLIENT_URLS=https://10.0.0.1:2379",
            "NODE=node1",
            "LIST=10.0.0.1,10.0.0.2",
            "ETCDCTL_CACERT=/s/node1-ca.pem",
        ),
        labels=(("host", "node1"), ("other", "node10")),
        binds=("/srv/node1:/data", "/ssl/10-0-0-1.pem:/ssl/10-0-0-1.pem:ro"),
        hostname="node1",
        add_host=("node1:10.0.0.1",),
        endpoint=Endpoint(ipv4="10.0.0.1"),
        publish=(Port("2379", ip="10.0.0.1", host="2379"),),
    )
    result, replaced = exchange_identity(spec, OLD, NEW)
    assert result.env == (
        "ETCD_ADVERTISE_CLIENT_URLS=https://10.0.0.2:2379",
        "NODE=node2",
        "LIST=10.0.0.1,10.0.0.2",
        "ETCDCTL_CACERT=/s/node1-ca.pem",
    )
    assert result.labels == (("host", "node2"), ("other", "node10"))
    assert result.binds == ("/srv/node2:/data", "/ssl/10-0-0-2.pem:/ssl/10-0-0-2.pem:ro")
    assert (result.hostname, result.add_host) == ("node2", ("node2:10.0.0.2",))
    assert (result.endpoint.ipv4, result.publish[0].ip) == ("10.0.0.2", "10.0.0.2")
    places = [item.place for item in replaced]
    assert places == [
        "--name",
        "env ETCD_ADVERTISE_CLIENT_URLS",
        "env NODE",
        "label host",
        "volume",
        "volume",
        "volume",
        "ip",
        "publish",
        "hostname",
        "add-host",
    ]
    assert replaced[0].text == "- --name etcd-node1\n+ --name etcd-node2"


def test_several_addresses_are_exchanged_in_order_or_for_one() -> None:
    old = Identity("a", ("10.0.0.1", "203.0.113.1", "fd00::1"))
    text = "https://10.0.0.1:1,https://203.0.113.1:1,https://[fd00::1]:1,https://[fd00::11]:1"
    new = Identity("b", ("10.0.0.2", "203.0.113.2", "fd00::2"))
    assert exchanged(text, old=old, new=new) == (
        "https://10.0.0.2:1,https://203.0.113.2:1,https://[fd00::2]:1,https://[fd00::11]:1"
    )
    assert exchanged("https://10.0.0.1:1,https://203.0.113.1:1", old=old, new=Identity("b", ("10.0.0.9",))) == (
        "https://10.0.0.9:1,https://10.0.0.9:1"
    )
    with pytest.raises(Refused, match="which stands for which"):
        exchange_identity(BASE, old, Identity("b", ("10.0.0.2", "10.0.0.3")))
    with pytest.raises(Refused, match="no address of b"):
        exchange_identity(BASE, old, Identity("b", ()))


def test_who_a_container_is() -> None:
    spec = with_words(
        "--initial-advertise-peer-urls=https://10.0.0.1:2380",
        "--advertise-client-urls=https://203.0.113.1:2379,https://10.0.0.1:4001",
        "--listen-client-urls=https://0.0.0.0:2379,https://127.0.0.1:1",
    )
    assert identity_of(spec, {"Config": {"Hostname": "node1"}}) == Identity(
        "etcd-node1", ("10.0.0.1", "203.0.113.1"), "node1"
    )


OCTET = st.integers(0, 255)


@given(st.lists(st.tuples(OCTET, OCTET, OCTET, OCTET), min_size=3, max_size=6, unique=True))
def test_an_exchange_touches_its_own_address_only_and_can_be_turned_back(
    parts: list[tuple[int, int, int, int]],
) -> None:
    """Whatever the addresses are: the others stay, and exchanging back gives the container again."""
    old_ip, new_ip, *others = (".".join(map(str, part)) for part in parts)
    cluster = ",".join(f"m{index}=https://{ip}:2380" for index, ip in enumerate([old_ip, *others]))
    cert = f"/ssl/kube-etcd-{old_ip.replace('.', '-')}.pem"
    spec = with_words(
        f"--initial-cluster={cluster}", f"--cert-file={cert}", f"--advertise-client-urls=https://{old_ip}:1"
    )
    spec = replace(spec, env=tuple(f"E{index}=https://{ip}:1" for index, ip in enumerate(others)))
    old, new = Identity("etcd-node1", (old_ip,)), Identity("etcd-node2", (new_ip,))
    result, replaced = exchange_identity(spec, old, new)
    assert result.env == spec.env
    assert f"--advertise-client-urls=https://{new_ip}:1" in (result.command or ())
    assert len(replaced) == 4
    assert exchange_identity(result, new, old)[0] == spec


def test_the_files_that_a_command_names_on_the_host() -> None:
    spec = with_words(
        "--cert-file=/ssl/c.pem",
        "--key-file=/ssl/k.pem",
        "--trusted-ca-file=/in-image/ca.pem",
        env=("ETCDCTL_CERT=/ssl/c.pem",),
    )
    assert files_named(spec) == (
        NamedPath("/srv/data", "/data", "--volume", "any"),
        NamedPath("/etc/ssl", "/ssl", "--volume", "any"),
        NamedPath("/etc/k", "/k", "--volume", "any"),
        NamedPath("/etc/ssl/c.pem", "/ssl/c.pem", "--cert-file", "file"),
        NamedPath("/etc/ssl/k.pem", "/ssl/k.pem", "--key-file", "file"),
    )
