"""Records tests/docker/cases: containers as RKE and others create them, inspected on a real dockerd.

    python -m tests.docker.record_cases

Each case is created through the API with the body that rancher/rke `cluster/plan.go: BuildEtcdProcess` and
`services/services.go: GetProcessConfig` send for that Kubernetes version, and inspected on dockerd 20.10. The documents
of other docker versions are made from those: keys that the version does not have are taken out, keys and defaults that
it has and 20.10 has not are put in (SHAPES, from moby's `api/types` at the tags v1.13.1 and v28.0.0).
Host names and paths below the daemon's own directory are replaced, nothing else is. Expected commands lie beside the
documents as text; they are written here too, and are to be read before they are committed.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any

from tests.docker.dockerd import PrivateDockerd, image_archive
from tests.docker.test_cases import CASES, commands

HERE = CASES
UPSTREAM_IMAGE = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Cmd": ["/usr/local/bin/etcd"],
    "ExposedPorts": {"2379/tcp": {}, "2380/tcp": {}},
}
SSL = "/etc/kubernetes/ssl"


def rke(
    image: str,
    *,
    node: str = "node1",
    address: str = "10.0.0.11",
    internal: str | None = None,
    others: tuple[tuple[str, str], ...] = (("node2", "10.0.0.12"), ("node3", "10.0.0.13")),
    prefix: str = "",
    relabel: bool = True,
    port_4001: bool = False,
    bare_auth: bool = False,
    endpoint_variable: str = "ETCDCTL_ENDPOINTS",
    security: list[str] | None = None,
    user: str = "",
    extra_args: dict[str, str] | None = None,
    extra_binds: list[str] | None = None,
    extra_env: list[str] | None = None,
    shuffled: bool = True,
) -> dict[str, Any]:
    """The body that RKE posts for one etcd container."""
    inside = internal or address
    listen = inside if internal else "0.0.0.0"
    cert = f"{SSL}/kube-etcd-{inside.replace('.', '-')}"
    members = [(node, inside), *others]
    flags = {
        "name": f"etcd-{node}",
        "data-dir": "/var/lib/rancher/etcd/",
        "listen-client-urls": f"https://{listen}:2379",
        "initial-advertise-peer-urls": f"https://{inside}:2380",
        "listen-peer-urls": f"https://{listen}:2380",
        "initial-cluster-token": "etcd-cluster-1",
        "initial-cluster": ",".join(f"etcd-{name}=https://{ip}:2380" for name, ip in members),
        "initial-cluster-state": "new",
        "trusted-ca-file": f"{SSL}/kube-ca.pem",
        "peer-trusted-ca-file": f"{SSL}/kube-ca.pem",
        "cert-file": f"{cert}.pem",
        "key-file": f"{cert}-key.pem",
        "peer-cert-file": f"{cert}.pem",
        "peer-key-file": f"{cert}-key.pem",
        "advertise-client-urls": f"https://{inside}:2379" + (f",https://{inside}:4001" if port_4001 else ""),
        **({} if bare_auth else {"client-cert-auth": "true", "peer-client-cert-auth": "true"}),
        **(extra_args or {}),
    }
    words = [f"--{flag}={value}" for flag, value in flags.items()]
    words.sort()
    if shuffled:
        random.Random(image).shuffle(words)
    z = ":z" if relabel else ""
    endpoint = "127.0.0.1" if listen == "0.0.0.0" and endpoint_variable.endswith("S") else listen
    env = ["ETCDCTL_API=3", f"ETCDCTL_CACERT={SSL}/kube-ca.pem", f"ETCDCTL_CERT={cert}.pem"]
    env += [
        f"ETCDCTL_KEY={cert}-key.pem",
        f"{endpoint_variable}=https://{endpoint}:2379",
        "ETCD_UNSUPPORTED_ARCH=x86_64",
    ]
    return {
        "Image": image,
        "Cmd": [
            "/usr/local/bin/etcd",
            *(["--peer-client-cert-auth", "--client-cert-auth"] if bare_auth else []),
            *words,
        ],
        "Env": [*env, *(extra_env or [])],
        "User": user,
        "Labels": {"io.rancher.rke.container.name": "etcd"},
        "HostConfig": {
            "Binds": [
                f"{prefix}/var/lib/etcd:/var/lib/rancher/etcd/{z}",
                f"{prefix}/etc/kubernetes:/etc/kubernetes{z}",
                *(extra_binds or []),
            ],
            "NetworkMode": "host",
            "RestartPolicy": {"Name": "always"},
            "SecurityOpt": security,
        },
    }


TIMES = {"heartbeat-interval": "500", "election-timeout": "5000"}
CIPHERS = {"cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}
MIRROR = "rancher/mirrored-coreos-etcd"

RKE: dict[str, tuple[str, dict[str, Any]]] = {
    "rke-k8s1.12-etcd3.2": (
        "1.13",
        rke(
            "rancher/coreos-etcd:v3.2.24",
            port_4001=True,
            bare_auth=True,
            endpoint_variable="ETCDCTL_ENDPOINT",
            extra_args=TIMES,
        ),
    ),
    "rke-k8s1.14-etcd3.3": (
        "1.13",
        rke("rancher/coreos-etcd:v3.3.10-rancher1", port_4001=True, bare_auth=True, extra_args=TIMES),
    ),
    "rke-k8s1.16-several-addresses": (
        "20.10",
        rke(
            "rancher/coreos-etcd:v3.3.15-rancher1",
            address="203.0.113.7",
            internal="10.0.0.1",
            others=(("node2", "10.0.0.11"), ("node11", "10.0.0.2")),
            port_4001=True,
            extra_args=TIMES,
        ),
    ),
    "rke-k8s1.17-enable-v2": (
        "20.10",
        rke(
            "rancher/coreos-etcd:v3.4.3-rancher1",
            port_4001=True,
            extra_args={**TIMES, "enable-v2": "true"},
        ),
    ),
    "rke-k8s1.18-prefix": (
        "20.10",
        rke(
            f"{MIRROR}:v3.4.15-rancher1",
            prefix="/opt/rke",
            extra_args={**TIMES, **CIPHERS, "enable-v2": "true"},
        ),
    ),
    "rke-k8s1.20-extra-args-and-binds": (
        "20.10",
        rke(
            f"registry.example.com:5000/{MIRROR}:v3.4.16-rancher1",
            extra_args={
                **TIMES,
                **CIPHERS,
                "enable-v2": "true",
                "quota-backend-bytes": "6442450944",
                "auto-compaction-retention": "1",
                "listen-metrics-urls": "http://0.0.0.0:2381",
                "wal-dir": "/wal",
            },
            extra_binds=["/mnt/nvme/etcd-wal:/wal:z", "/etc/localtime:/etc/localtime:ro"],
            extra_env=["GOMAXPROCS=4", "ETCD_LOG_LEVEL=warn"],
        ),
    ),
    "rke-k8s1.22-selinux": (
        "20.10",
        rke(
            f"{MIRROR}:v3.5.3",
            relabel=False,
            security=["label=type:rke_container_t"],
            extra_args={**TIMES, **CIPHERS},
            shuffled=False,
        ),
    ),
    "rke-k8s1.24-non-root": (
        "20.10",
        rke(f"{MIRROR}:v3.5.4", relabel=False, user="52034:52034", extra_args={**TIMES, **CIPHERS}, shuffled=False),
    ),
    "rke-k8s1.27-dotted-name": (
        "20.10",
        rke(
            f"{MIRROR}:v3.5.9",
            node="node1.example.com",
            others=(("node10.example.com", "10.0.0.110"), ("node1", "10.0.0.1")),
            relabel=False,
            extra_args={**TIMES, **CIPHERS},
            shuffled=False,
        ),
    ),
    "rke-k8s1.30": (
        "28",
        rke(f"{MIRROR}:v3.5.12", relabel=False, extra_args={**TIMES, **CIPHERS}, shuffled=False),
    ),
}

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "upstream-published-ports": (
        "20.10",
        {
            "Image": "quay.io/coreos/etcd:v3.5.0",
            "Cmd": [
                "/usr/local/bin/etcd",
                "--name",
                "s1",
                "--data-dir",
                "/etcd-data",
                "--listen-client-urls",
                "http://0.0.0.0:2379",
                "--advertise-client-urls",
                "http://192.0.2.21:2379",
                "--listen-peer-urls",
                "http://0.0.0.0:2380",
                "--initial-advertise-peer-urls",
                "http://192.0.2.21:2380",
                "--initial-cluster",
                "s1=http://192.0.2.21:2380,s2=http://192.0.2.22:2380",
                "--initial-cluster-token",
                "tkn",
                "--initial-cluster-state",
                "new",
                "--log-level",
                "info",
                "--logger",
                "zap",
                "--log-outputs",
                "stderr",
            ],
            "ExposedPorts": {"2379/tcp": {}, "2380/tcp": {}},
            "AttachStdout": False,
            "HostConfig": {
                "Binds": ["/tmp/etcd-data.tmp:/etcd-data"],
                "PortBindings": {"2379/tcp": [{"HostPort": "2379"}], "2380/tcp": [{"HostPort": "2380"}]},
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        },
    ),
    "environment-and-limits": (
        "20.10",
        {
            "Image": "example.com/etcd-env:1",
            "Env": [
                "ETCD_NAME=infra0",
                "ETCD_DATA_DIR=/data/etcd",
                "ETCD_LISTEN_CLIENT_URLS=https://10.1.0.10:2379,https://127.0.0.1:2379",
                "ETCD_ADVERTISE_CLIENT_URLS=https://10.1.0.10:2379",
                "ETCD_LISTEN_PEER_URLS=https://10.1.0.10:2380",
                "ETCD_INITIAL_ADVERTISE_PEER_URLS=https://10.1.0.10:2380",
                "ETCD_INITIAL_CLUSTER=infra0=https://10.1.0.10:2380,infra1=https://10.1.0.11:2380",
                "ETCD_INITIAL_CLUSTER_STATE=new",
                "ETCD_CERT_FILE=/certs/member-infra0.pem",
                "ETCD_KEY_FILE=/certs/member-infra0-key.pem",
                "ETCD_TRUSTED_CA_FILE=/certs/ca.pem",
                "ETCD_CLIENT_CERT_AUTH=true",
                "ETCD_PEER_CERT_FILE=/certs/member-infra0.pem",
                "ETCD_PEER_KEY_FILE=/certs/member-infra0-key.pem",
                "ETCD_PEER_TRUSTED_CA_FILE=/certs/ca.pem",
            ],
            "Healthcheck": {"Test": ["CMD-SHELL", "etcdctl endpoint health || exit 1"], "Interval": 30_000_000_000},
            "StopTimeout": 60,
            "HostConfig": {
                "NetworkMode": "host",
                "Binds": ["/srv/etcd:/data", "/etc/ssl/etcd/ssl:/certs:ro"],
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
                "Memory": 2 << 30,
                "ShmSize": 128 << 20,
                "Ulimits": [{"Name": "nofile", "Soft": 40000, "Hard": 40000}],
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m"}},
                "Tmpfs": {"/tmp": "size=64m"},
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "OomScoreAdj": -999,
                "Init": True,
            },
        },
    ),
    "anonymous-volume": (
        "20.10",
        {
            "Image": "example.com/etcd-volume:1",
            "Cmd": ["etcd", "-name=solo", "--data-dir=/var/lib/etcd", "--enable-pprof", "--snapshot-count", "5000"],
            "HostConfig": {"NetworkMode": "host", "RestartPolicy": {"Name": "always"}},
        },
    ),
}
IMAGES: dict[str, dict[str, Any]] = {
    "example.com/etcd-env:1": {
        "Env": ["PATH=/usr/bin:/bin", "ETCD_HEARTBEAT_INTERVAL=100", "ETCDCTL_API=3"],
        "Entrypoint": ["/usr/bin/tini", "--", "/usr/bin/etcd"],
        "WorkingDir": "/data",
        "Labels": {"maintainer": "someone"},
    },
    "example.com/etcd-volume:1": {"Env": ["PATH=/usr/bin:/bin"], "Volumes": {"/var/lib/etcd": {}}},
}

NOT_IN_1_13 = [
    "CgroupnsMode",
    "DeviceCgroupRules",
    "DeviceRequests",
    "KernelMemoryTCP",
    "MaskedPaths",
    "ReadonlyPaths",
    "Capabilities",
]


def shaped(document: dict[str, Any], version: str) -> dict[str, Any]:
    """The document as another docker shows it."""
    host, config = document["HostConfig"], document["Config"]
    endpoint = next(iter(document["NetworkSettings"]["Networks"].values()))
    if version == "1.13":
        for key in NOT_IN_1_13:
            host.pop(key, None)
        host |= {"DiskQuota": 0, "IpcMode": "", "MemorySwappiness": -1, "PidsLimit": 0, "Mounts": None, "Ulimits": None}
        host.pop("Mounts")
        document.pop("Platform", None)
        endpoint.pop("DriverOpts", None)
        document["HostConfig"]["ConsoleSize"] = [0, 0]
        config["OnBuild"] = None
    if version == "28":
        for key in ("KernelMemory", "KernelMemoryTCP"):
            host.pop(key, None)
        host["MaskedPaths"] += ["/proc/interrupts", "/sys/devices/virtual/powercap"]
        host["MaskedPaths"].append("/sys/devices/system/cpu/cpu0/thermal_throttle")
        host["CgroupnsMode"] = "private"
        endpoint |= {"DNSNames": None, "GwPriority": 0, "IPAMConfig": {}}
        document["ImageManifestDescriptor"] = {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": document["Image"],
            "size": 1472,
            "platform": {"architecture": "amd64", "os": "linux"},
        }
    return document


def main() -> int:
    """Record every case and its commands."""
    with PrivateDockerd() as daemon:
        for name, (version, body) in {**RKE, **OTHERS}.items():
            image = body["Image"]
            daemon.docker("load", data=image_archive(image, IMAGES.get(image, UPSTREAM_IMAGE)))
            identifier = daemon.api("POST", "/containers/create?name=etcd", body)["Id"]
            text = json.dumps(
                {
                    "container": shaped(daemon.inspect_container(identifier), version),
                    "image": daemon.inspect_image(image),
                },
                indent=1,
            )
            daemon.remove(identifier)
            text = text.replace(str(daemon.directory / "data"), "/var/lib/docker")
            document = json.loads(text)
            if document["container"]["HostConfig"]["NetworkMode"] == "host":
                document["container"]["Config"]["Hostname"] = "node1"
            (HERE / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
            for kind, command in commands(document).items():
                (HERE / f"{name}.{kind}.txt").write_text(command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
