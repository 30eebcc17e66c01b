"""A container's settings as a value, and how they are read from `docker inspect`.

`from_inspect` reproduces each field of `Config`, `HostConfig` and `NetworkSettings` of Docker 1.13 to 28, or knows it
to be derived (DERIVED), or refuses it by name. A key that it has never heard of is refused unless it is empty.

Values that the container has from its image are told from those that were given with the help of the image's own
inspect: a spec holds what was given, so that the daemon merges the same image under it again. The rules of that merge
are moby's `daemon/commit.go: merge`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleetrecover.docker.options import TABLE, read_device
from fleetrecover.docker.parts import (
    NO_ENDPOINT,
    Bind,
    Device,
    DeviceRequest,
    Endpoint,
    Healthcheck,
    Mount,
    MountPoint,
    Pairs,
    Port,
    Throttle,
    Ulimit,
)
from fleetrecover.errors import FormatError, Refused, Unsupported
from fleetrecover.plain import clean_path, inside, words

FOREGROUND = ("stdout", "stderr")
"""What a client attaches to unless told otherwise."""

DEFAULT_SHM_SIZE = 64 << 20


@dataclass(frozen=True)
class ImageConfig:
    """What an image sets for its containers, from `docker image inspect`: the part that `merge` uses."""

    id: str = ""
    names: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    labels: Pairs = ()
    user: str = ""
    workdir: str = ""
    expose: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContainerSpec:
    """What was given to `docker run`; what is not set here comes from the image or the daemon.

    `entrypoint` and `command` are None where the image's are used; an empty entrypoint takes the image's away.
    `env` are `NAME=value`, or `NAME` alone. `labels` and other tables are pairs in the order they were given.
    `attach` is empty for a container that was started detached. `network` is the mode (`host`, `none`, a name, or
    `container:…`), empty for the default; `endpoint` what was given on it; `more_networks` the others it is on.

    `image_id`, `from_image` and `mount_points` are what was seen on the node; they do not count in comparisons.
    """

    image: str
    name: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    labels: Pairs = ()
    annotations: Pairs = ()
    user: str = ""
    group_add: tuple[str, ...] = ()
    workdir: str = ""
    hostname: str = ""
    domainname: str = ""
    attach: tuple[str, ...] = FOREGROUND
    interactive: bool = False
    tty: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    healthcheck: Healthcheck | None = None
    restart: str = ""
    auto_remove: bool = False
    init: bool | None = None
    runtime: str = ""
    # network
    network: str = ""
    endpoint: Endpoint = NO_ENDPOINT
    more_networks: tuple[tuple[str, Endpoint], ...] = ()
    mac_address: str = ""
    links: tuple[str, ...] = ()
    add_host: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    publish: tuple[Port, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    # files
    binds: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: Pairs = ()
    volumes_from: tuple[str, ...] = ()
    volume_driver: str = ""
    shm_size: int = 0
    storage_opts: Pairs = ()
    read_only: bool = False
    # security and namespaces
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opts: tuple[str, ...] = ()
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    userns: str = ""
    cgroupns: str = ""
    cgroup_parent: str = ""
    # devices and limits
    devices: tuple[Device, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    kernel_memory: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pids_limit: int | None = None
    cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[Throttle, ...] = ()
    device_read_bps: tuple[Throttle, ...] = ()
    device_write_bps: tuple[Throttle, ...] = ()
    device_read_iops: tuple[Throttle, ...] = ()
    device_write_iops: tuple[Throttle, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Pairs = ()
    log_driver: str = ""
    log_opts: Pairs = ()
    # seen on the node
    image_id: str = field(default="", compare=False)
    from_image: ImageConfig | None = field(default=None, compare=False)
    mount_points: tuple[MountPoint, ...] = field(default=(), compare=False)

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of the process that runs: entrypoint and command, the image's where none were given."""
        image = self.from_image or ImageConfig()
        if self.entrypoint is None:
            return image.entrypoint + (self.command or image.command)
        return self.entrypoint + (self.command or ())

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the process sees, the image's included; a name without a value is left out."""
        inherited = self.from_image.env if self.from_image else ()
        found: dict[str, str] = {}
        for entry in (*inherited, *self.env):
            name, equals, value = entry.partition("=")
            if equals:
                found[name] = value
            else:
                found.pop(name, None)
        return found

    @property
    def directory(self) -> str:
        """The directory in which the process runs."""
        return self.workdir or (self.from_image.workdir if self.from_image else "") or "/"

    @property
    def flags_alone(self) -> bool:
        """Whether words that are nothing but flags are etcd's: those of an etcd image of which nothing more is known."""
        return self.from_image is None and "etcd" in self.image

    def label(self, key: str) -> str | None:
        """The value of a label that was given; None if there is none."""
        return dict(self.labels).get(key)


DERIVED: Mapping[str, Mapping[str, str]] = {
    "Config": {
        "AttachStdin": "read into `attach`",
        "AttachStdout": "read into `attach`",
        "AttachStderr": "read into `attach`",
        "StdinOnce": "follows from attaching to an open stdin",
        "OnBuild": "copied from the image, used only by builds",
        "ArgsEscaped": "copied from the image, used only on Windows",
    },
    "HostConfig": {
        "ContainerIDFile": "a file that the client wrote, of no effect on the container",
        "ConsoleSize": "the size of the terminal that the client ran in",
        "MaskedPaths": "the daemon's list, unless empty: checked",
        "ReadonlyPaths": "the daemon's list, unless empty: checked",
    },
    "NetworkSettings": dict.fromkeys(
        words(
            "Bridge SandboxID SandboxKey HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen Ports"
            " SecondaryIPAddresses SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen"
            " IPAddress IPPrefixLen IPv6Gateway MacAddress"
        ),
        "what the daemon assigned",
    ),
    "NetworkSettings.Networks": dict.fromkeys(
        words(
            "NetworkID EndpointID Gateway IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen"
            " MacAddress DNSNames"
        ),
        "what the daemon assigned",
    ),
}
"""Fields that are not reproduced because they follow from others, by section, with the reason."""

SPECIAL: Mapping[str, frozenset[str]] = {
    "Config": frozenset(words("Env Cmd Entrypoint Image Healthcheck ExposedPorts Volumes Shell NetworkDisabled")),
    "HostConfig": frozenset(words("NetworkMode PortBindings LogConfig SecurityOpt Devices DeviceRequests Isolation")),
    "NetworkSettings": frozenset(("Networks",)),
    "NetworkSettings.Networks": frozenset(words("IPAMConfig Links Aliases DriverOpts GwPriority")),
}
"""Fields that are reproduced, or refused for some values, outside the table of options."""

_MASKED = re.compile(
    r"/proc/(acpi|asound|interrupts|kcore|keys|latency_stats|sched_debug|scsi|timer_list|timer_stats)"
    r"|/sys/(firmware|devices/virtual/powercap|devices/system/cpu/cpu\d+/thermal_throttle|dev/block|fs/selinux)"
)
_READ_ONLY = frozenset(words("/proc/asound /proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"))


def is_empty(value: object) -> bool:
    """Whether a JSON value says nothing: null, false, 0, "", or a list or table of such."""
    if isinstance(value, Mapping):
        return all(is_empty(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_empty(item) for item in value)
    return not value


def from_inspect(
    container: Mapping[str, Any], image: Mapping[str, Any] | None = None, info: Mapping[str, Any] | None = None
) -> ContainerSpec:
    """Read one element of `docker inspect CONTAINER`.

    `image` is one element of `docker image inspect ID-OR-NAME`, best taken of the id under the container's `Image`;
    `info` is `docker info --format '{{json .}}'`: its host name, log driver, runtime and cgroup version tell what is
    the daemon's default. Without them their values are taken as given, which gives a longer, equal command.

    Raises FormatError when it is no inspect document, Unsupported naming a field that cannot be reproduced, Refused
    when the document contradicts itself (`Binds` against `Mounts`).
    """
    from fleetrecover.docker.podman import from_podman, is_podman

    config, host = _section(container, "Config"), _section(container, "HostConfig")
    if is_podman(container):
        return from_podman(container, image)
    network = container.get("NetworkSettings") or {}
    _refuse_unknown(container, config, host, network)
    image_config = read_image(image) if image else None
    image_id = str(container.get("Image") or "")
    shell = _words(config, "Shell")
    if shell and (image_config is None or shell != image_config.shell):
        raise Unsupported(f"Config.Shell: {list(shell)!r} cannot be given to `docker run`")
    reference, image_config = pinned(str(config.get("Image") or image_id), image_id, image_config)
    values = {row.attr: row.kind.read((config if row.section == "Config" else host).get(row.key)) for row in TABLE}
    spec = ContainerSpec(
        image=reference,
        name=str(container.get("Name") or "").lstrip("/"),
        command=_words(config, "Cmd") or None,
        entrypoint=_words(config, "Entrypoint") or None,
        env=tuple(config.get("Env") or ()),
        attach=_attached(config),
        healthcheck=_healthcheck(config.get("Healthcheck")),
        expose=tuple(config.get("ExposedPorts") or ()),
        publish=_published(host.get("PortBindings") or {}),
        volumes=tuple(config.get("Volumes") or ()),
        security_opts=_security(host),
        devices=tuple(read_device(device) for device in host.get("Devices") or ()),
        device_requests=tuple(_device_request(request) for request in host.get("DeviceRequests") or ()),
        log_driver=str((host.get("LogConfig") or {}).get("Type") or ""),
        log_opts=tuple(sorted(((host.get("LogConfig") or {}).get("Config") or {}).items())),
        image_id=image_id,
        from_image=image_config,
        mount_points=read_mount_points(container.get("Mounts") or ()),
        **values,
    )
    spec = _anonymous_binds(spec)
    check_mounts(spec)
    spec = _networks(spec, str(host.get("NetworkMode") or ""), network.get("Networks") or {}, container)
    spec = _without_daemon_defaults(spec, container, info or {})
    published = {port.exposed for port in spec.publish}
    spec = replace(spec, expose=tuple(port for port in spec.expose if port not in published))
    return _without_image(spec, image_config) if image_config else spec


def _section(container: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = container.get(name)
    if not isinstance(section, Mapping):
        raise FormatError(f"no {name}: not an element of `docker inspect`", source="docker inspect")
    return section


def _refuse_unknown(
    container: Mapping[str, Any], config: Mapping[str, Any], host: Mapping[str, Any], network: Mapping[str, Any]
) -> None:
    sections = [("Config", config), ("HostConfig", host), ("NetworkSettings", network)]
    for endpoint in (network.get("Networks") or {}).values():
        sections.append(("NetworkSettings.Networks", endpoint or {}))
    for name, section in sections:
        rows = {row.key for row in TABLE if row.section == name}
        for key, value in section.items():
            if key in rows or key in DERIVED[name] or key in SPECIAL[name]:
                continue
            if not is_empty(value):
                raise Unsupported(f"{name}.{key}: {value!r} cannot be given to `docker run`")
    if container.get("Platform") not in (None, "", "linux"):
        raise Unsupported(f"Platform: {container['Platform']!r}")
    if host.get("Isolation") not in (None, "", "default"):
        raise Unsupported(f"HostConfig.Isolation: {host['Isolation']!r}")
    if config.get("NetworkDisabled"):
        raise Unsupported("Config.NetworkDisabled: true")


def _words(section: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = section.get(key) or ()
    if isinstance(value, str):
        raise Unsupported(f"{key}: {value!r} is one string, not a list of words")
    return tuple(str(word) for word in value)


def _attached(config: Mapping[str, Any]) -> tuple[str, ...]:
    names = (("AttachStdin", "stdin"), ("AttachStdout", "stdout"), ("AttachStderr", "stderr"))
    return tuple(stream for key, stream in names if config.get(key))


def _healthcheck(document: Mapping[str, Any] | None) -> Healthcheck | None:
    if not document:
        return None
    known = {"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}
    for key, value in document.items():
        if key not in known and value:
            raise Unsupported(f"Config.Healthcheck.{key}: {value!r}")
    found = Healthcheck(
        tuple(document.get("Test") or ()) or None,
        *(int(document.get(key) or 0) for key in ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")),
    )
    return None if found == Healthcheck() else found


def _published(bindings: Mapping[str, Any]) -> tuple[Port, ...]:
    ports = []
    for key in sorted(bindings):
        container, _, protocol = key.partition("/")
        for binding in bindings[key] or ():
            ports.append(
                Port(container, protocol or "tcp", str(binding.get("HostPort") or ""), str(binding.get("HostIp") or ""))
            )
    return tuple(ports)


def _security(host: Mapping[str, Any]) -> tuple[str, ...]:
    """The security options; empty lists of masked and read-only paths are what `systempaths=unconfined` leaves."""
    options = tuple(str(option) for option in host.get("SecurityOpt") or ())
    masked, read_only = host.get("MaskedPaths"), host.get("ReadonlyPaths")
    if masked == [] and read_only == []:
        return (*options, "systempaths=unconfined")
    for path in masked or ():
        if not _MASKED.fullmatch(path):
            raise Unsupported(f"HostConfig.MaskedPaths: {path!r} is none of docker's own")
    if masked is not None and "/proc/kcore" not in masked:
        raise Unsupported(f"HostConfig.MaskedPaths: {masked!r} is not docker's own list")
    if read_only is not None and not {"/proc/sys", "/proc/irq"} <= set(read_only) <= _READ_ONLY:
        raise Unsupported(f"HostConfig.ReadonlyPaths: {read_only!r} is not docker's own list")
    return options


def _device_request(document: Mapping[str, Any]) -> DeviceRequest:
    driver, ids = str(document.get("Driver") or ""), tuple(document.get("DeviceIDs") or ())
    lists = document.get("Capabilities") or []
    if driver == "cdi" and not lists and not document.get("Options"):
        return DeviceRequest("cdi", 0, ids)
    if len(lists) != 1 or lists[0][-1:] != ["gpu"]:
        raise Unsupported(f"HostConfig.DeviceRequests.Capabilities: {lists!r} cannot be given to `docker run --gpus`")
    options = tuple(sorted((document.get("Options") or {}).items()))
    return DeviceRequest(driver, int(document.get("Count") or 0), ids, tuple(lists[0][:-1]), options)


def read_mount_points(mounts: Sequence[Mapping[str, Any]]) -> tuple[MountPoint, ...]:
    """Read the top-level `Mounts` of an inspect document."""
    return tuple(
        MountPoint(
            str(mount.get("Type") or ("volume" if mount.get("Name") else "bind")),
            clean_path(str(mount.get("Source") or "")),
            clean_path(str(mount.get("Destination") or "")),
            str(mount.get("Name") or ""),
            bool(mount.get("RW", True)),
        )
        for mount in mounts
    )


def _anonymous_binds(spec: ContainerSpec) -> ContainerSpec:
    """A bind of a single path is an anonymous volume that came through the API; `--volume` says the same."""
    single = tuple(bind for bind in spec.binds if ":" not in bind)
    if not single:
        return spec
    volumes = (*spec.volumes, *(path for path in single if path not in spec.volumes))
    return replace(spec, binds=tuple(bind for bind in spec.binds if ":" in bind), volumes=volumes)


def check_mounts(spec: ContainerSpec) -> None:
    """Refused when what was asked to be mounted and what is mounted (`Mounts`) are not the same."""
    seen = {point.destination: point for point in spec.mount_points}
    wanted: dict[str, tuple[str, str, bool]] = {}
    for text in spec.binds:
        bind = Bind.parse(text)
        wanted[bind.destination] = ("HostConfig.Binds", bind.source, not bind.read_only)
    for mount in spec.mounts:
        source = clean_path(mount.source) if mount.kind == "bind" else mount.source
        wanted[clean_path(mount.target)] = ("HostConfig.Mounts", source, not mount.read_only)
    for destination, (field_name, source, writable) in wanted.items():
        point = seen.get(destination)
        if point is None:
            raise Refused(f"{field_name} has {source} on {destination}, but Mounts has nothing there")
        if source and source not in (point.source, point.name) and point.kind in ("bind", "volume"):
            raise Refused(f"{field_name} has {source} on {destination}, but Mounts has {point.name or point.source}")
        if point.writable != writable and point.kind in ("bind", "volume"):
            mode = "writable" if point.writable else "read-only"
            raise Refused(f"{field_name} and Mounts disagree: {destination} is mounted {mode}")
    anonymous = {clean_path(path) for path in spec.volumes}
    tmpfs = {clean_path(path) for path, _ in spec.tmpfs}
    missing = anonymous - seen.keys() - tmpfs
    extra = seen.keys() - wanted.keys() - anonymous - tmpfs
    if missing and not spec.volumes_from:
        raise Refused(f"Config.Volumes has {sorted(missing)[0]}, but Mounts has nothing there")
    if extra and not spec.volumes_from:
        raise Refused(f"Mounts has {sorted(extra)[0]}, which neither Binds, Mounts nor Volumes asked for")


def _networks(
    spec: ContainerSpec, mode: str, networks: Mapping[str, Any], container: Mapping[str, Any]
) -> ContainerSpec:
    short_id = str(container.get("Id") or "")[:12]
    endpoints = {name: _endpoint(name, document or {}, short_id) for name, document in networks.items()}
    main = "bridge" if mode in ("", "default") else mode
    first = endpoints.pop(main, Endpoint())
    if mode in ("host", "none") and (first != Endpoint() or endpoints):
        raise Unsupported(f"NetworkSettings.Networks: {sorted(networks)} beside --network={mode}")
    more = tuple(sorted(endpoints.items()))
    return replace(spec, network="" if mode == "default" else mode, endpoint=first, more_networks=more)


def _endpoint(name: str, document: Mapping[str, Any], short_id: str) -> Endpoint:
    ipam = document.get("IPAMConfig") or {}
    for key, value in ipam.items():
        if key not in ("IPv4Address", "IPv6Address", "LinkLocalIPs") and value:
            raise Unsupported(f"NetworkSettings.Networks.{name}.IPAMConfig.{key}: {value!r}")
    return Endpoint(
        tuple(alias for alias in document.get("Aliases") or () if alias != short_id),
        str(ipam.get("IPv4Address") or ""),
        str(ipam.get("IPv6Address") or ""),
        tuple(ipam.get("LinkLocalIPs") or ()),
        tuple(document.get("Links") or ()),
        tuple(sorted((document.get("DriverOpts") or {}).items())),
        int(document.get("GwPriority") or 0),
    )


def _without_daemon_defaults(
    spec: ContainerSpec, container: Mapping[str, Any], info: Mapping[str, Any]
) -> ContainerSpec:
    """Take out what the daemon filled in by itself (moby `daemon/daemon_unix.go: adaptContainerSettings`)."""
    changes: dict[str, Any] = {}
    if spec.shm_size == DEFAULT_SHM_SIZE:
        changes["shm_size"] = 0
    if spec.ipc == "private":
        changes["ipc"] = ""
    if spec.memory > 0 and spec.memory_swap == 2 * spec.memory:
        changes["memory_swap"] = 0
    if spec.runtime in ("runc", info.get("DefaultRuntime")):
        changes["runtime"] = ""
    if spec.log_driver == info.get("LoggingDriver", "json-file") and not spec.log_opts:
        changes["log_driver"] = ""
    version = str(info.get("CgroupVersion") or "")
    if version and spec.cgroupns == ("private" if version == "2" else "host"):
        changes["cgroupns"] = ""
    if spec.network.startswith("container:"):
        changes["hostname"] = changes["domainname"] = ""
    elif spec.hostname == str(container.get("Id") or "")[:12] or spec.uts == "host":
        changes["hostname"] = ""
    elif spec.network == "host":
        full = f"{spec.hostname}.{spec.domainname}" if spec.domainname else spec.hostname
        if full == info.get("Name") or (spec.domainname and not info):
            changes["hostname"] = changes["domainname"] = ""
    return replace(spec, **changes)


# --- the image ---


def read_image(document: Mapping[str, Any]) -> ImageConfig:
    """Read one element of `docker image inspect`. FormatError when it is none."""
    config = document.get("Config")
    if config is None:
        config = {}
    if not isinstance(config, Mapping) or "Id" not in document:
        raise FormatError("no Id and Config: not an element of `docker image inspect`", source="docker image inspect")
    return ImageConfig(
        id=str(document["Id"]),
        names=(*(document.get("RepoTags") or ()), *(document.get("RepoDigests") or ())),
        entrypoint=_words(config, "Entrypoint"),
        command=_words(config, "Cmd"),
        env=tuple(config.get("Env") or ()),
        labels=tuple(sorted((config.get("Labels") or {}).items())),
        user=str(config.get("User") or ""),
        workdir=str(config.get("WorkingDir") or ""),
        expose=tuple(config.get("ExposedPorts") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        stop_signal=str(config.get("StopSignal") or ""),
        healthcheck=_healthcheck(config.get("Healthcheck")),
        shell=tuple(config.get("Shell") or ()),
    )


def normal_reference(reference: str) -> str:
    """An image's name in full: `etcd` → `docker.io/library/etcd:latest`; an id stays as it is."""
    if re.fullmatch(r"(sha256:)?[0-9a-f]{64}", reference):
        return reference
    head, slash, rest = reference.partition("/")
    if not slash or not (set(head) & set(".:") or head == "localhost"):
        head, rest = "docker.io", reference
    if head == "index.docker.io":
        head = "docker.io"
    if head == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    name, at, digest = rest.partition("@")
    if not at and ":" not in name.rpartition("/")[2]:
        name += ":latest"
    if at:
        name = name.rpartition("/")[0] + "/" + name.rpartition("/")[2].partition(":")[0]
    return f"{head}/{name.lstrip('/')}{at}{digest}"


def pinned(reference: str, image_id: str, image: ImageConfig | None) -> tuple[str, ImageConfig | None]:
    """The image to name in a new command: the reference where it still means the image that ran, else that one's id.

    An inspected image that is not the one that ran says only that the tag has moved; nothing is taken from it.
    """
    if image is None:
        return reference, None
    if image.id and image_id and image.id != image_id:
        return image_id, None
    return (reference if _still_names(reference, image) else image_id), image


def _still_names(reference: str, image: ImageConfig) -> bool:
    """Whether a reference still means the image with this id. A digest, or a prefix of the id, cannot move."""
    if re.fullmatch(r"[0-9a-f]{6,64}", reference.removeprefix("sha256:")):
        return image.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
    if "@" in reference and not image.names:
        return True
    return normal_reference(reference) in {normal_reference(name) for name in image.names}


def _without_image(spec: ContainerSpec, image: ImageConfig) -> ContainerSpec:
    """Leave out what the image would bring anyway."""
    labels = dict(image.labels)
    entrypoint, command = _given_words(spec, image)
    return replace(
        spec,
        entrypoint=entrypoint,
        command=command,
        env=_given_env(spec.env, image.env),
        labels=tuple(pair for pair in spec.labels if labels.get(pair[0]) != pair[1]),
        user="" if spec.user == image.user else spec.user,
        workdir="" if clean_path(spec.workdir) == clean_path(image.workdir) else spec.workdir,
        stop_signal="" if spec.stop_signal == image.stop_signal else spec.stop_signal,
        expose=tuple(port for port in spec.expose if port not in image.expose),
        volumes=tuple(path for path in spec.volumes if path not in image.volumes),
        healthcheck=_given_healthcheck(spec.healthcheck, image.healthcheck),
    )


def _given_words(spec: ContainerSpec, image: ImageConfig) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The least that has to be given so that the merge with the image's words gives the container's."""
    actual = (spec.entrypoint or (), spec.command or ())
    if actual == (image.entrypoint, image.command):
        return None, None
    if actual[0] == image.entrypoint and actual[1]:
        return None, actual[1]
    return actual[0], actual[1] or None


def _given_env(actual: tuple[str, ...], image: tuple[str, ...]) -> tuple[str, ...]:
    """The shortest beginning of the list to which the merge would append exactly the rest."""
    for length in range(len(actual) + 1):
        given = actual[:length]
        names = {entry.partition("=")[0] for entry in given}
        if given + tuple(entry for entry in image if entry.partition("=")[0] not in names) == actual:
            return given
    return tuple(entry for entry in actual if entry not in image)


def _given_healthcheck(actual: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    if actual is None or image is None:
        return actual
    given = Healthcheck(
        None if actual.test == image.test else actual.test,
        0 if actual.interval == image.interval else actual.interval,
        0 if actual.timeout == image.timeout else actual.timeout,
        0 if actual.start_period == image.start_period else actual.start_period,
        0 if actual.start_interval == image.start_interval else actual.start_interval,
        0 if actual.retries == image.retries else actual.retries,
    )
    return None if given == Healthcheck() else given


def mounted_at(spec: ContainerSpec, path: str) -> MountPoint | None:
    """The mount below which a container's path lies: the longest of binds, mounts and volumes; None if in no mount.

    A named or anonymous volume has a host path only where the container itself was looked at.
    """
    path = clean_path(path)
    points: dict[str, MountPoint] = {point.destination: point for point in spec.mount_points}
    for text in spec.binds:
        bind = Bind.parse(text)
        old = points.get(bind.destination)
        if bind.is_path:
            points[bind.destination] = MountPoint("bind", bind.source, bind.destination, "", not bind.read_only)
        elif old is None or old.name != bind.source:
            points[bind.destination] = MountPoint("volume", "", bind.destination, bind.source, not bind.read_only)
    for mount in spec.mounts:
        target = clean_path(mount.target)
        if mount.kind == "bind":
            points[target] = MountPoint("bind", clean_path(mount.source), target, "", not mount.read_only)
        elif mount.kind == "tmpfs":
            points[target] = MountPoint("tmpfs", "", target)
    for target, _ in spec.tmpfs:
        points[clean_path(target)] = MountPoint("tmpfs", "", clean_path(target))
    covering = [point for point in points.values() if inside(path, point.destination)]
    return max(covering, key=lambda point: len(point.destination)) if covering else None


def host_path(spec: ContainerSpec, container_path: str) -> str | None:
    """Where a path in the container lies on the host; None when it is in no mount, or in one without a host path."""
    point = mounted_at(spec, container_path)
    if point is None or not point.source or point.kind not in ("bind", "volume"):
        return None
    rest = clean_path(container_path)[len(point.destination.rstrip("/")) :]
    return clean_path(point.source + rest) if rest else point.source
