"""The structured values a container's settings are made of; frozen, hashable, and each with its one text form."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleetrecover.docker.values import parse_csv, parse_size, show_csv
from fleetrecover.errors import Unsupported, UsageError
from fleetrecover.plain import clean_path

Pairs = tuple[tuple[str, str], ...]
_DEVICE_MODE = re.compile(r"(?!.*(.).*\1)[rwm]{1,3}")
_PUBLISH = re.compile(
    r"(?:(?:\[([0-9A-Fa-f:.]+)\]|(\d+\.\d+\.\d+\.\d+)):)?"
    r"(?:(\d+(?:-\d+)?)?:)?(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?"
)
_CDI_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")


def show_pair(pair: tuple[str, str]) -> str:
    """`key=value`. Unsupported when the key itself has an equals sign, which no command line can say."""
    key, value = pair
    if not key or "=" in key:
        raise Unsupported(f"a key that the docker command line cannot spell: {key!r}")
    return f"{key}={value}"


def parse_pair(text: str) -> tuple[str, str]:
    """`key=value`, or `key` for an empty value."""
    key, _, value = text.partition("=")
    return key, value


@dataclass(frozen=True)
class Bind:
    """A reading of one `source:destination[:mode,…]` of `HostConfig.Binds`; the text itself is what the spec keeps.

    `source` is a host path, or the name of a volume. The destination is cleaned as docker shows it under `Mounts`:
    RKE writes `/var/lib/rancher/etcd/`, docker mounts on `/var/lib/rancher/etcd`.
    """

    source: str
    destination: str
    modes: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """Whether the source is a path on the host and not the name of a volume."""
        return self.source.startswith("/")

    @property
    def read_only(self) -> bool:
        """Whether the container may not write through it."""
        return "ro" in self.modes

    @property
    def text(self) -> str:
        """The form that `--volume` takes."""
        return ":".join([self.source, self.destination, *([",".join(self.modes)] if self.modes else [])])

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Split it up. Unsupported when it is not of two or three parts: docker knows no others on Linux."""
        parts = text.split(":")
        if len(parts) not in (2, 3) or not all(parts):
            raise Unsupported(f"HostConfig.Binds: {text!r} is not source:destination[:mode]")
        modes = tuple(parts[2].split(",")) if len(parts) == 3 else ()
        return cls(clean_path(parts[0]) if parts[0].startswith("/") else parts[0], clean_path(parts[1]), modes)


@dataclass(frozen=True)
class MountPoint:
    """What is mounted where, as the running container shows it (top-level `Mounts`). `source` is a host path."""

    kind: str
    source: str
    destination: str
    name: str = ""
    writable: bool = True


@dataclass(frozen=True)
class Mount:
    """One `--mount`. `options` are the settings of its kind under the command line's names, in its order."""

    kind: str
    source: str
    target: str
    read_only: bool = False
    options: Pairs = ()

    @property
    def text(self) -> str:
        """The form that `--mount` takes."""
        fields = [f"type={self.kind}"]
        fields += [f"src={self.source}"] if self.source else []
        fields.append(f"dst={self.target}")
        fields += ["readonly"] if self.read_only else []
        fields += [f"{key}={value}" for key, value in self.options]
        for field in fields:
            key, _, value = field.partition("=")
            if value != value.strip() or "\n" in value or "\r" in value:
                raise Unsupported(f"HostConfig.Mounts: --mount cannot spell {key}={value!r}")
        return show_csv(fields)

    @classmethod
    def parse(cls, text: str) -> Mount:
        """Read a `--mount`. UsageError when a field is unknown."""
        kind, source, target, read_only = "volume", "", "", False
        options: list[tuple[str, str]] = []
        for field in parse_csv(text):
            key, equals, value = field.partition("=")
            key = key.lower()
            if key == "type":
                kind = value.lower()
            elif key in ("source", "src"):
                source = value
            elif key in ("target", "dst", "destination"):
                target = value
            elif key in ("readonly", "ro"):
                read_only = not equals or parse_bool(value)
            elif key in ("bind-nonrecursive", "volume-nocopy"):
                if not equals or parse_bool(value):
                    options.append((key, "true"))
            elif key == "tmpfs-size":
                options.append((key, str(parse_size(value))))
            elif key == "bind-recursive" and value == "enabled":
                continue
            elif key == "bind-recursive" and value == "disabled":
                options.append(("bind-nonrecursive", "true"))
            elif key in MOUNT_OPTIONS:
                options.append((key, value))
            else:
                raise UsageError(f"--mount: unknown option {key!r} in {text!r}")
        options.sort(key=lambda option: MOUNT_OPTIONS.index(option[0]))
        return cls(kind, source, target, read_only, tuple(options))


MOUNT_OPTIONS = (
    "consistency",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "volume-nocopy",
    "volume-label",
    "volume-subpath",
    "volume-driver",
    "volume-opt",
    "image-subpath",
    "tmpfs-size",
    "tmpfs-mode",
)
"""The keys of `--mount` beside type, source, target and readonly, in the order in which they are written."""


@dataclass(frozen=True)
class Ulimit:
    """`--ulimit name=soft:hard`; -1 is unlimited."""

    name: str
    soft: int
    hard: int

    @property
    def text(self) -> str:
        """The form that `--ulimit` takes."""
        return f"{self.name}={self.soft}" if self.soft == self.hard else f"{self.name}={self.soft}:{self.hard}"

    @classmethod
    def parse(cls, text: str) -> Ulimit:
        """Read `name=soft[:hard]`."""
        found = re.fullmatch(r"([a-z]+)=(-?\d+)(?::(-?\d+))?", text)
        if not found:
            raise UsageError(f"--ulimit: {text!r} is not name=soft[:hard]")
        return cls(found[1], int(found[2]), int(found[3] or found[2]))


@dataclass(frozen=True)
class Device:
    """`--device host[:container][:rwm]`."""

    host: str
    container: str
    permissions: str = "rwm"

    @property
    def text(self) -> str:
        """The form that `--device` takes."""
        if ":" in self.host + self.container:
            raise Unsupported(f"HostConfig.Devices: a colon in {self.host!r} or {self.container!r}")
        if self.permissions != "rwm":
            return f"{self.host}:{self.container}:{self.permissions}"
        return self.host if self.host == self.container else f"{self.host}:{self.container}"

    @classmethod
    def parse(cls, text: str) -> Device:
        """Read `host[:container][:permissions]`."""
        parts = text.split(":")
        permissions = "rwm"
        if len(parts) > 1 and _DEVICE_MODE.fullmatch(parts[-1]):
            permissions = parts.pop()
        if not parts or len(parts) > 2 or not parts[0]:
            raise UsageError(f"--device: {text!r} is not host[:container][:permissions]")
        return cls(parts[0], parts[-1], permissions)


@dataclass(frozen=True)
class DeviceRequest:
    """`--gpus`, or a `--device` with a CDI name. `count` -1 is all; `capabilities` without docker's own `gpu`."""

    driver: str = ""
    count: int = 0
    ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: Pairs = ()

    @property
    def text(self) -> str:
        """The form that `--gpus` takes."""
        fields = [f"driver={self.driver}"] if self.driver else []
        if self.count == -1:
            fields.append("all")
        elif not self.ids:
            fields.append(f"count={self.count}")
        elif self.count:
            raise Unsupported(f"HostConfig.DeviceRequests: both Count {self.count} and DeviceIDs {self.ids}")
        fields += [f"device={','.join(self.ids)}"] if self.ids else []
        fields += [f"capabilities={','.join(self.capabilities)}"] if self.capabilities else []
        fields += [f"options={show_csv([show_pair(pair) for pair in self.options])}"] if self.options else []
        return show_csv(fields)

    @classmethod
    def parse(cls, text: str) -> DeviceRequest:
        """Read a `--gpus`."""
        values = dict(parse_pair(field) if "=" in field else ("count", field) for field in parse_csv(text))
        unknown = values.keys() - {"driver", "count", "device", "capabilities", "options"}
        if unknown:
            raise UsageError(f"--gpus: unknown key {sorted(unknown)[0]!r}")
        ids = tuple(values["device"].split(",")) if "device" in values else ()
        count = values.get("count", "0" if ids else "1")
        return cls(
            values.get("driver", ""),
            -1 if count == "all" else int(count),
            ids,
            tuple(values["capabilities"].split(",")) if "capabilities" in values else (),
            tuple(parse_pair(pair) for pair in parse_csv(values.get("options", ""))),
        )


def is_cdi_name(text: str) -> bool:
    """Whether a `--device` is the qualified name of a CDI device: `vendor.com/class=name`."""
    return bool(_CDI_NAME.fullmatch(text))


@dataclass(frozen=True)
class Throttle:
    """`--device-read-bps path:rate` and its three sisters."""

    path: str
    rate: int

    @property
    def text(self) -> str:
        """The form that the option takes; the rate in plain bytes or operations."""
        return f"{self.path}:{self.rate}"

    @classmethod
    def parse(cls, text: str) -> Throttle:
        """Read `path:rate`; the rate may have a unit."""
        path, colon, rate = text.rpartition(":")
        if not colon or not path.startswith("/dev/"):
            raise UsageError(f"{text!r} is not device-path:rate")
        return cls(path, parse_size(rate))


@dataclass(frozen=True)
class Port:
    """One published port: `--publish [ip:][host]:container[/protocol]`. `host` is empty for a port docker picks."""

    container: str
    protocol: str = "tcp"
    host: str = ""
    ip: str = ""

    @property
    def text(self) -> str:
        """The form that `--publish` takes."""
        tail = self.container if self.protocol == "tcp" else f"{self.container}/{self.protocol}"
        if self.ip:
            ip = f"[{self.ip}]" if ":" in self.ip else self.ip
            return f"{ip}:{self.host}:{tail}"
        return f"{self.host}:{tail}" if self.host else tail

    @property
    def exposed(self) -> str:
        """The key under which docker lists it: `2379/tcp`."""
        return f"{self.container}/{self.protocol}"

    @classmethod
    def parse(cls, text: str) -> tuple[Port, ...]:
        """Read a `--publish`, short or long form; a range gives several ports."""
        if "=" in text:
            values = dict(parse_pair(field) for field in text.split(","))
            target = f"{values.get('target', '')}/{values.get('protocol', 'tcp')}"
            text = f"{values.get('published', '')}:{target}".lstrip(":")
        found = _PUBLISH.fullmatch(text)
        if not found:
            raise UsageError(f"--publish: cannot read {text!r}")
        ip, host, protocol = found[1] or found[2] or "", found[3] or "", found[6] or "tcp"
        first, last = int(found[4]), int(found[5] or found[4])
        if first == last:
            return (cls(str(first), protocol, host, ip),)
        if not host:
            return tuple(cls(str(port), protocol, "", ip) for port in range(first, last + 1))
        start, _, end = host.partition("-")
        if int(end or start) - int(start) != last - first:
            raise UsageError(f"--publish: ranges of different length in {text!r}")
        return tuple(cls(str(first + i), protocol, str(int(start) + i), ip) for i in range(last - first + 1))


def parse_exposed(text: str) -> tuple[str, ...]:
    """`--expose 8000-8001/udp` → (`8000/udp`, `8001/udp`)."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", text)
    if not found:
        raise UsageError(f"--expose: cannot read {text!r}")
    return tuple(f"{port}/{found[3] or 'tcp'}" for port in range(int(found[1]), int(found[2] or found[1]) + 1))


@dataclass(frozen=True)
class Endpoint:
    """What a container was given on one network: aliases, fixed addresses, links, driver options."""

    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    link_local: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    driver_opts: Pairs = ()
    gw_priority: int = 0

    @property
    def needs_long_form(self) -> bool:
        """Whether only `--network name=…,…` can say it (clients from 19.03)."""
        return bool(self.driver_opts or self.gw_priority)

    def long_form(self, target: str) -> str:
        """The form `name=net,alias=…,ip=…` of `--network`."""
        if self.links:
            raise Unsupported(f"NetworkSettings.Networks.{target}.Links: --network name=… cannot say {self.links}")
        fields = [f"name={target}", *(f"alias={alias}" for alias in self.aliases)]
        fields += [f"ip={self.ipv4}"] if self.ipv4 else []
        fields += [f"ip6={self.ipv6}"] if self.ipv6 else []
        fields += [f"link-local-ip={address}" for address in self.link_local]
        fields += [f"driver-opt={show_pair(pair)}" for pair in self.driver_opts]
        fields += [f"gw-priority={self.gw_priority}"] if self.gw_priority else []
        return show_csv(fields)

    @classmethod
    def parse_long(cls, text: str) -> tuple[str, Endpoint]:
        """Read the long form; the network's name and the endpoint."""
        target, ipv4, ipv6, priority = "", "", "", 0
        aliases: list[str] = []
        link_local: list[str] = []
        driver: list[tuple[str, str]] = []
        for field in parse_csv(text):
            key, value = parse_pair(field)
            if key == "name":
                target = value
            elif key == "alias":
                aliases.append(value)
            elif key == "ip":
                ipv4 = value
            elif key == "ip6":
                ipv6 = value
            elif key == "link-local-ip":
                link_local.append(value)
            elif key == "driver-opt":
                driver.append(parse_pair(value))
            elif key == "gw-priority":
                priority = int(value)
            else:
                raise Unsupported(f"--network: {key}={value}")
        if not target:
            raise UsageError(f"--network: no name in {text!r}")
        return target, cls(tuple(aliases), ipv4, ipv6, tuple(link_local), (), tuple(driver), priority)


@dataclass(frozen=True)
class Healthcheck:
    """A health check as given; a value of None or 0 comes from the image. Durations in nanoseconds.

    `test` is docker's list: `("CMD-SHELL", line)`, `("CMD", word, …)` or `("NONE",)`.
    """

    test: tuple[str, ...] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @property
    def writable(self) -> bool:
        """Whether `docker run` can be given it: none at all, or one line for the shell."""
        test = self.test
        return test is None or test == ("NONE",) or (test[0] == "CMD-SHELL" and len(test) == 2 and bool(test[1]))


NO_ENDPOINT = Endpoint()


def parse_bool(text: str) -> bool:
    """A boolean as Go's `strconv.ParseBool` reads it; UsageError on anything else."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise UsageError(f"not a boolean: {text!r}")
