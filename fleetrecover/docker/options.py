"""The table of `docker run` options: each with the inspect field it stands for, and how the two are translated.

One row is one field of `ContainerSpec`. What does not fit a row (names, networks, ports, entrypoint, environment,
health check, security options, devices by CDI name) is handled by name in `spec.py` and `argv.py`.

Sources: docker/cli `cli/command/container/opts.go` (1.13 to 28), moby `api/types/container/{config,hostconfig}.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fleetrecover.docker.parts import (
    MOUNT_OPTIONS,
    Device,
    Mount,
    Throttle,
    Ulimit,
    parse_bool,
    parse_pair,
    show_pair,
)
from fleetrecover.docker.values import parse_cpus, parse_size, show_cpus, show_size
from fleetrecover.errors import Unsupported, UsageError


@dataclass(frozen=True)
class Kind:
    """How a field travels: inspect's JSON → value → option texts → value. A text of None is a bare flag."""

    default: Any
    read: Callable[[Any], Any]
    show: Callable[[Any], list[str | None]]
    parse: Callable[[list[str]], Any]
    boolean: bool = False


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"not a whole number: {text!r}") from error


def _number(show: Callable[[int], str], parse: Callable[[str], int], default: int | None = 0) -> Kind:
    return Kind(
        default,
        lambda value: default if value is None else int(value),
        lambda value: [] if value == default else [show(value)],
        lambda texts: parse(texts[-1]),
    )


def _items(read: Callable[[Any], Any], show: Callable[[Any], str], parse: Callable[[str], Any]) -> Kind:
    return Kind(
        (),
        lambda value: tuple(read(item) for item in value or ()),
        lambda value: [show(item) for item in value],
        lambda texts: tuple(parse(text) for text in texts),
    )


def _table(show: Callable[[tuple[str, str]], str], parse: Callable[[str], tuple[str, str]]) -> Kind:
    return Kind(
        (),
        lambda value: tuple(sorted((str(key), str(text)) for key, text in (value or {}).items())),
        lambda value: [show(pair) for pair in value],
        lambda texts: tuple(dict(parse(text) for text in texts).items()),
    )


def _show_tmpfs(pair: tuple[str, str]) -> str:
    if ":" in pair[0]:
        raise Unsupported(f"HostConfig.Tmpfs: a colon in {pair[0]!r}")
    return f"{pair[0]}:{pair[1]}" if pair[1] else pair[0]


def _parse_tmpfs(text: str) -> tuple[str, str]:
    path, _, options = text.partition(":")
    return path, options


def _read_link(text: str) -> str:
    """`/other:/this/alias`, as inspect shows a link, → `other:alias`."""
    source, _, alias = text.partition(":")
    return f"{source.lstrip('/')}:{alias.rpartition('/')[2] or source.lstrip('/')}"


def _parse_link(text: str) -> str:
    return text if ":" in text else f"{text}:{text}"


_BIND_KEYS = {"Propagation", "NonRecursive", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"}
_MOUNT_KEYS = {
    "": {"Type", "Source", "Target", "ReadOnly", "Consistency", "BindOptions", "VolumeOptions", "ImageOptions"}
    | {"TmpfsOptions"},
    "BindOptions": _BIND_KEYS,
    "VolumeOptions": {"NoCopy", "Labels", "Subpath", "DriverConfig"},
    "ImageOptions": {"Subpath"},
    "TmpfsOptions": {"SizeBytes", "Mode"},
}


def read_mount(document: Mapping[str, Any]) -> Mount:
    """One element of `HostConfig.Mounts`. Unsupported names what `--mount` cannot say."""
    for section, known in _MOUNT_KEYS.items():
        part = document if not section else document.get(section) or {}
        for key, value in part.items():
            if key not in known and value:
                raise Unsupported(f"HostConfig.Mounts.{section + '.' if section else ''}{key}: {value!r}")
    kind = document.get("Type") or "volume"
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise Unsupported(f"HostConfig.Mounts.Type: {kind!r}")
    bind, volume = document.get("BindOptions") or {}, document.get("VolumeOptions") or {}
    tmpfs, image = document.get("TmpfsOptions") or {}, document.get("ImageOptions") or {}
    driver = volume.get("DriverConfig") or {}
    options: list[tuple[str, Any]] = [
        ("consistency", document.get("Consistency")),
        ("bind-propagation", bind.get("Propagation")),
        ("bind-nonrecursive", "true" if bind.get("NonRecursive") else ""),
        ("bind-recursive", "writable" if bind.get("ReadOnlyNonRecursive") else ""),
        ("bind-recursive", "readonly" if bind.get("ReadOnlyForceRecursive") else ""),
        ("volume-nocopy", "true" if volume.get("NoCopy") else ""),
        *(("volume-label", show_pair(pair)) for pair in sorted((volume.get("Labels") or {}).items())),
        ("volume-subpath", volume.get("Subpath")),
        ("volume-driver", driver.get("Name")),
        *(("volume-opt", show_pair(pair)) for pair in sorted((driver.get("Options") or {}).items())),
        ("image-subpath", image.get("Subpath")),
        ("tmpfs-size", str(tmpfs.get("SizeBytes") or "")),
        ("tmpfs-mode", f"{tmpfs['Mode']:o}" if tmpfs.get("Mode") else ""),
    ]
    given = tuple((key, str(value)) for key, value in options if value)
    assert all(key in MOUNT_OPTIONS for key, _ in given)
    source, target = document.get("Source") or "", document.get("Target") or ""
    return Mount(kind, source, target, bool(document.get("ReadOnly")), given)


def _read_throttle(document: Mapping[str, Any]) -> Throttle:
    return Throttle(document["Path"], int(document.get("Rate", document.get("Weight", 0))))


def _read_restart(document: Mapping[str, Any] | None) -> str:
    """`{"Name": "on-failure", "MaximumRetryCount": 3}` → `on-failure:3`; no policy is ``""``."""
    name = str((document or {}).get("Name") or "")
    count = int((document or {}).get("MaximumRetryCount") or 0)
    if name in ("", "no"):
        return ""
    return f"{name}:{count}" if count else name


TEXT = Kind("", lambda value: str(value or ""), lambda value: [value] if value else [], lambda texts: texts[-1])
INTEGER = _number(str, _integer)
MAYBE_INTEGER = _number(str, _integer, default=None)
SIZE = _number(show_size, parse_size)
CPUS = _number(show_cpus, parse_cpus)
FLAG = Kind(
    False,
    bool,
    lambda value: [None] if value else [],
    lambda texts: parse_bool(texts[-1]),
    boolean=True,
)
MAYBE_FLAG = Kind(
    None,
    lambda value: None if value is None else bool(value),
    lambda value: [] if value is None else [None] if value else ["false"],
    lambda texts: parse_bool(texts[-1]),
    boolean=True,
)
LIST = _items(str, str, str)
PAIRS = _table(show_pair, parse_pair)
TMPFS = _table(_show_tmpfs, _parse_tmpfs)
THROTTLES = _items(_read_throttle, lambda item: str(item.text), Throttle.parse)
LINKS = _items(_read_link, str, _parse_link)
MOUNTS = _items(read_mount, lambda item: str(item.text), Mount.parse)
ULIMITS = _items(
    lambda item: Ulimit(item["Name"], int(item.get("Soft", 0)), int(item.get("Hard", 0))),
    lambda item: str(item.text),
    Ulimit.parse,
)
RESTART = Kind(
    "",
    _read_restart,
    lambda value: [value] if value else [],
    lambda texts: "" if texts[-1] == "no" else texts[-1].removesuffix(":0"),
)
SWAPPINESS = Kind(
    None,
    lambda value: None if value in (None, -1) else int(value),
    lambda value: [] if value is None else [str(value)],
    lambda texts: None if texts[-1] == "-1" else _integer(texts[-1]),
)
PIDS = Kind(
    None,
    lambda value: None if not value else int(value),
    lambda value: [] if value is None else [str(value)],
    lambda texts: _integer(texts[-1]) or None,
)


def read_device(document: Mapping[str, Any]) -> Device:
    """One element of `HostConfig.Devices`."""
    return Device(document["PathOnHost"], document["PathInContainer"], document.get("CgroupPermissions") or "rwm")


@dataclass(frozen=True)
class Option:
    """A row: the spec's field, the option, how it travels, and where inspect keeps it.

    `api` is the API version from which clients know the option, empty where 1.13's (API 1.25) already did.
    """

    attr: str
    flag: str
    kind: Kind
    section: str
    key: str
    api: str = ""


def _config(attr: str, flag: str, kind: Kind, key: str, api: str = "") -> Option:
    return Option(attr, flag, kind, "Config", key, api)


def _host(attr: str, flag: str, kind: Kind, key: str, api: str = "") -> Option:
    return Option(attr, flag, kind, "HostConfig", key, api)


TABLE: tuple[Option, ...] = (
    _host("restart", "restart", RESTART, "RestartPolicy"),
    _host("auto_remove", "rm", FLAG, "AutoRemove"),
    _host("links", "link", LINKS, "Links"),
    _config("mac_address", "mac-address", TEXT, "MacAddress"),
    _config("hostname", "hostname", TEXT, "Hostname"),
    _config("domainname", "domainname", TEXT, "Domainname", "1.39"),
    _host("add_host", "add-host", LIST, "ExtraHosts"),
    _host("dns", "dns", LIST, "Dns"),
    _host("dns_search", "dns-search", LIST, "DnsSearch"),
    _host("dns_options", "dns-opt", LIST, "DnsOptions"),
    _host("publish_all", "publish-all", FLAG, "PublishAllPorts"),
    _config("user", "user", TEXT, "User"),
    _host("group_add", "group-add", LIST, "GroupAdd"),
    _config("workdir", "workdir", TEXT, "WorkingDir"),
    _host("privileged", "privileged", FLAG, "Privileged"),
    _host("cap_add", "cap-add", LIST, "CapAdd"),
    _host("cap_drop", "cap-drop", LIST, "CapDrop"),
    _host("read_only", "read-only", FLAG, "ReadonlyRootfs"),
    _host("pid", "pid", TEXT, "PidMode"),
    _host("ipc", "ipc", TEXT, "IpcMode"),
    _host("uts", "uts", TEXT, "UTSMode"),
    _host("userns", "userns", TEXT, "UsernsMode"),
    _host("cgroupns", "cgroupns", TEXT, "CgroupnsMode", "1.41"),
    _host("cgroup_parent", "cgroup-parent", TEXT, "CgroupParent"),
    _host("runtime", "runtime", TEXT, "Runtime"),
    _host("init", "init", MAYBE_FLAG, "Init"),
    _config("interactive", "interactive", FLAG, "OpenStdin"),
    _config("tty", "tty", FLAG, "Tty"),
    _config("stop_signal", "stop-signal", TEXT, "StopSignal"),
    _config("stop_timeout", "stop-timeout", MAYBE_INTEGER, "StopTimeout"),
    _host("binds", "volume", LIST, "Binds"),
    _host("mounts", "mount", MOUNTS, "Mounts", "1.30"),
    _host("tmpfs", "tmpfs", TMPFS, "Tmpfs"),
    _host("volumes_from", "volumes-from", LIST, "VolumesFrom"),
    _host("volume_driver", "volume-driver", TEXT, "VolumeDriver"),
    _host("shm_size", "shm-size", SIZE, "ShmSize"),
    _host("storage_opts", "storage-opt", PAIRS, "StorageOpt"),
    _host("device_cgroup_rules", "device-cgroup-rule", LIST, "DeviceCgroupRules", "1.28"),
    _host("memory", "memory", SIZE, "Memory"),
    _host("memory_reservation", "memory-reservation", SIZE, "MemoryReservation"),
    _host("memory_swap", "memory-swap", SIZE, "MemorySwap"),
    _host("memory_swappiness", "memory-swappiness", SWAPPINESS, "MemorySwappiness"),
    _host("kernel_memory", "kernel-memory", SIZE, "KernelMemory"),
    _host("oom_kill_disable", "oom-kill-disable", FLAG, "OomKillDisable"),
    _host("oom_score_adj", "oom-score-adj", INTEGER, "OomScoreAdj"),
    _host("pids_limit", "pids-limit", PIDS, "PidsLimit"),
    _host("cpus", "cpus", CPUS, "NanoCpus"),
    _host("cpu_shares", "cpu-shares", INTEGER, "CpuShares"),
    _host("cpu_period", "cpu-period", INTEGER, "CpuPeriod"),
    _host("cpu_quota", "cpu-quota", INTEGER, "CpuQuota"),
    _host("cpu_rt_period", "cpu-rt-period", INTEGER, "CpuRealtimePeriod"),
    _host("cpu_rt_runtime", "cpu-rt-runtime", INTEGER, "CpuRealtimeRuntime"),
    _host("cpuset_cpus", "cpuset-cpus", TEXT, "CpusetCpus"),
    _host("cpuset_mems", "cpuset-mems", TEXT, "CpusetMems"),
    _host("blkio_weight", "blkio-weight", INTEGER, "BlkioWeight"),
    _host("blkio_weight_device", "blkio-weight-device", THROTTLES, "BlkioWeightDevice"),
    _host("device_read_bps", "device-read-bps", THROTTLES, "BlkioDeviceReadBps"),
    _host("device_write_bps", "device-write-bps", THROTTLES, "BlkioDeviceWriteBps"),
    _host("device_read_iops", "device-read-iops", THROTTLES, "BlkioDeviceReadIOps"),
    _host("device_write_iops", "device-write-iops", THROTTLES, "BlkioDeviceWriteIOps"),
    _host("ulimits", "ulimit", ULIMITS, "Ulimits"),
    _host("sysctls", "sysctl", PAIRS, "Sysctls"),
    _host("annotations", "annotation", PAIRS, "Annotations", "1.43"),
    _config("labels", "label", PAIRS, "Labels"),
)
"""Every option with a row, in the order in which a command line lists them."""
