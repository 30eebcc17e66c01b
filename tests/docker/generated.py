"""Generated containers, as bodies of the Engine API's `POST /containers/create`, and what counts as equal.

They are made through the API and not through our own command line, so that the two do not share a mistake.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

WORD = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.=:/,@%+ -]{0,14}", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=24)
ODD = st.one_of(
    WORD, TEXT, st.sampled_from(["", " ", "$HOME", "'", '"', "a'b\"c", "two\nlines", "--x", "*", "\\", "\r", "ü"])
)
NAME = st.from_regex(r"[A-Z_][A-Z0-9_]{0,10}", fullmatch=True)
KEY = st.from_regex(r"[a-z][a-z0-9._/-]{0,18}[a-z0-9]", fullmatch=True)
SOURCE = st.sampled_from(["/tmp", "/etc", "/usr/share", "/var/lib", "/"])
TARGET = st.sampled_from(
    [f"/t/{name}" for name in "abcdefgh"] + ["/data/", "/with space", "/t/a/nested", "/var/fromimage"]
)
DEVICE = st.sampled_from(["/dev/null", "/dev/zero", "/dev/fuse", "/dev/vda"])
MIB = st.integers(6, 512).map(lambda size: size << 20)
SECOND = st.sampled_from([1_000_000, 1_500_000_000, 30_000_000_000, 90_000_000_000, 1_234_567_000])
PROFILE = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}, separators=(",", ":"))


def lists(element: st.SearchStrategy[Any], size: int = 3, unique: bool = True) -> st.SearchStrategy[list[Any]]:
    return st.lists(element, min_size=1, max_size=size, unique_by=repr if unique else None)


BIND_MODE = st.sampled_from(["", ":ro", ":z", ":Z", ":ro,z", ":rw", ":rslave", ":ro,rprivate"])
MOUNT = st.one_of(
    st.fixed_dictionaries(
        {"Type": st.just("bind"), "Source": SOURCE, "Target": TARGET},
        optional={
            "ReadOnly": st.booleans(),
            "Consistency": st.just("cached"),
            "BindOptions": st.sampled_from([{"Propagation": "rslave"}, {"NonRecursive": True}, {}]),
        },
    ),
    st.fixed_dictionaries(
        {"Type": st.just("volume"), "Target": TARGET},
        optional={
            "Source": st.sampled_from(["v1", "v2"]),
            "ReadOnly": st.booleans(),
            "VolumeOptions": st.fixed_dictionaries(
                {},
                optional={
                    "NoCopy": st.booleans(),
                    "Labels": st.dictionaries(KEY, WORD.map(str.strip), max_size=2),
                    "DriverConfig": st.just(
                        {"Name": "local", "Options": {"type": "tmpfs", "device": "a,b", "o": "x=1"}}
                    ),
                },
            ),
        },
    ),
    st.fixed_dictionaries(
        {"Type": st.just("tmpfs"), "Target": TARGET},
        optional={"TmpfsOptions": st.fixed_dictionaries({}, optional={"SizeBytes": MIB, "Mode": st.just(0o1770)})},
    ),
)
THROTTLE = st.builds(lambda path, rate: {"Path": path, "Rate": rate}, DEVICE, st.integers(1, 1 << 30))
GPUS = st.builds(
    lambda driver, ids, capabilities, options: {
        "Driver": driver,
        "Count": 0 if ids else -1,
        "DeviceIDs": ids,
        "Capabilities": [[*capabilities, "gpu"]],
        "Options": options,
    },
    st.sampled_from(["", "nvidia"]),
    st.sampled_from([None, ["0"], ["0", "GPU-1a"]]),
    st.sampled_from([[], ["compute"], ["compute", "utility"]]),
    st.sampled_from([{}, {"a": "b,c"}]),
)

CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "Hostname": st.sampled_from(["node1", "node1.example.com"]),
        "Domainname": st.just("example.com"),
        "User": st.sampled_from(["7", "7:7", "1000:1000", "etcd"]),
        "ExposedPorts": st.sampled_from([{"80/tcp": {}}, {"2379/tcp": {}, "53/udp": {}}]),
        "Tty": st.booleans(),
        "OpenStdin": st.booleans(),
        "Env": st.dictionaries(NAME, ODD, max_size=4).map(
            lambda env: [f"{name}={value}" for name, value in env.items()]
        ),
        "Cmd": lists(ODD, 5, unique=False),
        "Healthcheck": st.one_of(
            st.just({"Test": ["NONE"]}),
            st.fixed_dictionaries(
                {"Test": ODD.filter(bool).map(lambda line: ["CMD-SHELL", line])},
                optional={
                    "Interval": SECOND,
                    "Timeout": SECOND,
                    "StartPeriod": SECOND,
                    "Retries": st.integers(1, 5),
                },
            ),
            st.fixed_dictionaries({"Interval": SECOND}),
        ),
        "Volumes": lists(TARGET, 2).map(lambda paths: {path: {} for path in paths}),
        "WorkingDir": st.sampled_from(["/srv", "/srv/", "/tmp/x"]),
        "Entrypoint": st.one_of(st.just([""]), lists(ODD.filter(bool), 1), lists(ODD.filter(bool), 3)),
        "MacAddress": st.just("02:42:ac:1f:07:99"),
        "Labels": st.dictionaries(KEY, ODD, max_size=3),
        "StopSignal": st.sampled_from(["SIGINT", "SIGTERM", "9"]),
        "StopTimeout": st.integers(0, 90),
    },
)
HOST = st.fixed_dictionaries(
    {"NetworkMode": st.sampled_from(["host", "none", "default", "bridge", "lan", "host", "lan"])},
    optional={
        "Binds": lists(
            st.builds(
                lambda source, target, mode: f"{source}:{target}{mode}",
                st.one_of(SOURCE, st.sampled_from(["v1", "v2"])),
                TARGET,
                BIND_MODE,
            )
        ),
        "LogConfig": st.sampled_from(
            [
                {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
                {"Type": "none", "Config": {}},
                {"Type": "syslog", "Config": {"tag": "a b"}},
                {"Type": "local", "Config": {}},
            ]
        ),
        "PortBindings": st.sampled_from(
            [
                {"2379/tcp": [{"HostIp": "127.0.0.1", "HostPort": "2379"}], "53/udp": [{"HostPort": "53"}]},
                {"80/tcp": [{"HostPort": ""}]},
                {"80/tcp": [{"HostIp": "::1", "HostPort": "80"}, {"HostIp": "127.0.0.1", "HostPort": "8000-8010"}]},
                {"80/sctp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            ]
        ),
        "RestartPolicy": st.sampled_from(
            [
                {"Name": "always"},
                {"Name": "no"},
                {"Name": "unless-stopped"},
                {"Name": "on-failure", "MaximumRetryCount": 3},
                {"Name": "on-failure"},
            ]
        ),
        "AutoRemove": st.booleans(),
        "VolumeDriver": st.just("local"),
        "VolumesFrom": st.sampled_from([["other"], ["other:ro"]]),
        "CapAdd": lists(st.sampled_from(["NET_ADMIN", "SYS_PTRACE", "ALL"])),
        "CapDrop": lists(st.sampled_from(["MKNOD", "CAP_CHOWN"])),
        "CgroupnsMode": st.sampled_from(["host", "private"]),
        "Dns": st.sampled_from([["10.0.0.2"], ["10.0.0.2", "fd00::1"]]),
        "DnsOptions": st.just(["ndots:2", "rotate"]),
        "DnsSearch": st.just(["example.com", "a.example.com"]),
        "ExtraHosts": st.just(["a:10.0.0.1", "b:fd00::1"]),
        "GroupAdd": st.just(["7", "audio"]),
        "IpcMode": st.sampled_from(["private", "shareable", "host", "none", "container:other"]),
        "OomScoreAdj": st.integers(-1000, 1000),
        "PidMode": st.sampled_from(["host", "container:other"]),
        "Privileged": st.booleans(),
        "PublishAllPorts": st.booleans(),
        "ReadonlyRootfs": st.booleans(),
        "SecurityOpt": lists(
            st.sampled_from(
                [
                    "label=disable",
                    "label=type:rke_container_t",
                    "no-new-privileges",
                    "seccomp=unconfined",
                    "apparmor=unconfined",
                    PROFILE,
                ]
            )
        ),
        "Tmpfs": st.sampled_from([{"/run": ""}, {"/run": "size=1m,mode=755", "/t/b": "rw,noexec"}]),
        "UTSMode": st.just("host"),
        "UsernsMode": st.just("host"),
        "ShmSize": st.sampled_from([1 << 20, 64 << 20, 123_456_789]),
        "Sysctls": st.sampled_from(
            [{"net.ipv4.ip_forward": "1"}, {"net.core.somaxconn": "4096", "kernel.sem": "1 2 3 4"}]
        ),
        "CpuShares": st.sampled_from([2, 512]),
        "Memory": MIB,
        "MemoryReservation": st.just(6 << 20),
        "MemorySwappiness": st.integers(0, 100),
        "KernelMemory": st.just(64 << 20),
        "NanoCpus": st.sampled_from([500_000_000, 1_500_000_000, 1_234_000_000]),
        "CgroupParent": st.just("/custom"),
        "BlkioWeight": st.integers(10, 1000),
        "BlkioWeightDevice": lists(st.builds(lambda path: {"Path": path, "Weight": 300}, DEVICE), 2),
        "BlkioDeviceReadBps": lists(THROTTLE, 2),
        "BlkioDeviceWriteBps": lists(THROTTLE, 2),
        "BlkioDeviceReadIOps": lists(THROTTLE, 2),
        "BlkioDeviceWriteIOps": lists(THROTTLE, 2),
        "CpuPeriod": st.just(100_000),
        "CpuQuota": st.just(50_000),
        "CpusetCpus": st.just("0"),
        "CpusetMems": st.just("0"),
        "Devices": lists(
            st.builds(
                lambda host, container, mode: {
                    "PathOnHost": host,
                    "PathInContainer": container or host,
                    "CgroupPermissions": mode,
                },
                DEVICE,
                st.sampled_from(["", "/dev/x"]),
                st.sampled_from(["rwm", "r", "mr"]),
            )
        ),
        "DeviceCgroupRules": st.just(["c 1:3 mr", "b *:* rwm"]),
        "DeviceRequests": lists(GPUS, 2),
        "OomKillDisable": st.booleans(),
        "PidsLimit": st.sampled_from([-1, 0, 100]),
        "Ulimits": st.just([{"Name": "nofile", "Soft": 1024, "Hard": 4096}, {"Name": "core", "Soft": -1, "Hard": -1}]),
        "Init": st.booleans(),
        "Mounts": lists(MOUNT, 2),
        "Unmasked": st.just(True),
    },
)
ENDPOINT = st.fixed_dictionaries(
    {},
    optional={
        "Aliases": st.just(["etcd", "e1"]),
        "IPAMConfig": st.sampled_from(
            [{"IPv4Address": "172.31.7.9"}, {"IPv4Address": "172.31.7.8", "LinkLocalIPs": ["169.254.34.68"]}]
        ),
        "DriverOpts": st.just({"com.example.opt": "1"}),
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """The body of a create request that dockerd takes; conflicts that it would refuse are taken out."""
    config, host = draw(_some(CONFIG)), draw(_some(HOST))
    network = host.setdefault("NetworkMode", "host")
    config |= {"Image": draw(st.sampled_from(["plain:1", "rich:1"])), "AttachStdout": True, "AttachStderr": True}
    if config.get("OpenStdin"):
        config |= {"AttachStdin": True, "StdinOnce": True}
    if host.get("UTSMode") == "host":
        config.pop("Hostname", None)
    if network == "host":
        for key in ("PortBindings", "PublishAllPorts"):
            host.pop(key, None)
        host.pop("Sysctls", None)
        config.pop("Domainname", None) if "Hostname" not in config else None
    if network != "lan":
        config.pop("MacAddress", None)
    if host.get("RestartPolicy", {}).get("Name", "no") != "no":
        host.pop("AutoRemove", None)
    if "NanoCpus" in host:
        for key in ("CpuPeriod", "CpuQuota"):
            host.pop(key, None)
    if host.get("Memory", 0) < 64 << 20:
        host.pop("KernelMemory", None)
    if "KernelMemory" in host:
        host.setdefault("Memory", 128 << 20)
    if not config.get("Cmd") and config["Image"] == "plain:1" and config.get("Entrypoint", [""]) == [""]:
        config["Cmd"] = ["/bin/true"]
    if config.get("Entrypoint") == [""] and not config.get("Cmd"):
        config["Cmd"] = ["/bin/true"]
    if any(mount.get("BindOptions", {}).get("NonRecursive") for mount in host.get("Mounts", ())):
        host["Mounts"] = [mount for mount in host["Mounts"] if not mount.get("ReadOnly")]
    if host.pop("Unmasked", False):
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    _apart(config, host)
    ports = host.get("PortBindings", {})
    if ports:
        config["ExposedPorts"] = {**config.get("ExposedPorts", {}), **{port: {} for port in ports}}
    endpoints = {"lan": draw(ENDPOINT)} if network == "lan" and draw(st.booleans()) else {}
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}


@st.composite
def _some(draw: st.DrawFn, whole: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """A handful of the settings at a time: all at once would conflict, and shrink badly."""
    drawn = draw(whole)
    share = draw(st.sampled_from([0.1, 0.3, 0.6, 1.0]))
    return {key: value for key, value in drawn.items() if draw(st.floats(0, 1)) < share}


def _apart(config: dict[str, Any], host: dict[str, Any]) -> None:
    """One mount per destination."""
    taken: set[str] = set()

    def free(path: str) -> bool:
        path = path.rstrip("/")
        if path in taken:
            return False
        taken.add(path)
        return True

    if "Binds" in host:
        host["Binds"] = [text for text in host["Binds"] if free(text.split(":")[1])]
    if "Mounts" in host:
        host["Mounts"] = [mount for mount in host["Mounts"] if free(mount["Target"])]
    if "Tmpfs" in host:
        host["Tmpfs"] = {path: options for path, options in host["Tmpfs"].items() if free(path)}
    if "Volumes" in config:
        config["Volumes"] = {path: {} for path in config["Volumes"] if free(path)}


# --- what counts as equal ---


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """An inspect document without ids, times and names, and without the difference between nothing and empty.

    `Binds`, `Ulimits` and `Env` are sorted: the client sends them in the order of a Go map. Capabilities are written
    in full and sorted, as clients from 25 send them. Anonymous volumes lose their names.
    """
    short = document["Id"][:12]
    config, host = dict(document["Config"]), dict(document["HostConfig"])
    if config["Hostname"] == short:
        config["Hostname"] = "<id>"
    host["Binds"] = sorted(host.get("Binds") or ())
    host["Ulimits"] = sorted(host.get("Ulimits") or (), key=lambda limit: str(limit["Name"]))
    for key in ("CapAdd", "CapDrop"):
        host[key] = sorted("CAP_" + name.removeprefix("CAP_") if name != "ALL" else name for name in host[key] or ())
    host["RestartPolicy"] = {"Name": "no", **{k: v for k, v in host["RestartPolicy"].items() if v}}
    config["Env"] = sorted(config.get("Env") or ())
    networks = {
        name: {
            key: value
            for key, value in (endpoint or {}).items()
            if key in ("IPAMConfig", "Links", "Aliases", "DriverOpts")
        }
        for name, endpoint in document["NetworkSettings"]["Networks"].items()
    }
    for endpoint in networks.values():
        endpoint["Aliases"] = [alias for alias in endpoint.get("Aliases") or () if alias != short]
    mounts = []
    for mount in document["Mounts"]:
        anonymous = len(mount.get("Name", "")) == 64
        mounts.append({**mount, "Name": "", "Source": ""} if anonymous else mount)
    shown: dict[str, Any] = _full(
        {
            "Path": document["Path"],
            "Args": document["Args"],
            "Image": document["Image"],
            "Config": config,
            "HostConfig": host,
            "Networks": networks,
            "Mounts": sorted(mounts, key=lambda mount: mount["Destination"]),
        }
    )
    return shown


def _full(value: Any) -> Any:
    """The same without keys whose value is null, empty, 0 or false."""
    if isinstance(value, dict):
        shown = {key: _full(item) for key, item in value.items()}
        return {key: item for key, item in shown.items() if item not in (None, "", 0, False, [], {})}
    if isinstance(value, list):
        return [_full(item) for item in value]
    return value


def compare(original: dict[str, Any], rebuilt: dict[str, Any]) -> list[str]:
    """Where two inspect documents differ, one line each.

    Of an entrypoint of several words no command line can give more than the first: the others lead the command. What
    runs is the same words, `Path` and `Args`, and there those are what is compared.
    """
    left, right = comparable(original), comparable(rebuilt)
    if len(left["Config"].get("Entrypoint", ())) > 1:
        for document in (left, right):
            document["Config"] = {k: v for k, v in document["Config"].items() if k not in ("Entrypoint", "Cmd")}
    return differences(left, right)


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Where two comparable documents differ, one line each."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted(left.keys() | right.keys())
        return [line for key in keys for line in differences(left.get(key), right.get(key), f"{path}.{key}")]
    return [] if left == right else [f"{path.lstrip('.')}: {left!r} → {right!r}"]
