"""The changes that a recovery makes to a container, each a named function on its spec.

    quarantine          the reset: `--force-new-cluster` on a copy of the data, without network or restart policy
    plain               the normal start, `--force-new-cluster` taken off wherever it stands
    joiner              the start of a member that `member add` has announced
    exchange_identity   another member's container, made from this one's

The rule that must never be broken is checked in `check_quarantine` and `assert_no_force`: the force flag is never on a
container that has a network or a restart policy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from fleetrecover.docker.etcd_config import change, with_argv
from fleetrecover.docker.parts import NO_ENDPOINT, Bind, Mount
from fleetrecover.docker.spec import ContainerSpec, host_path, mounted_at
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.etcd.config import EtcdCommand, EtcdConfig, is_true, parse_cluster, show_cluster
from fleetrecover.plain import clean_path, inside, words

CLIENT_URL = "http://127.0.0.1:2379"
PEER_URL = "http://127.0.0.1:2380"

_DROPPED_IN_QUARANTINE = words(
    "cert-file key-file trusted-ca-file ca-file client-cert-auth client-crl-file client-cert-allowed-hostname auto-tls"
    " client-cert-file client-key-file peer-cert-file peer-key-file peer-trusted-ca-file peer-ca-file"
    " peer-client-cert-auth peer-crl-file peer-cert-allowed-cn peer-cert-allowed-hostname peer-auto-tls"
    " peer-client-cert-file peer-client-key-file peer-skip-client-san-verification"
    " experimental-peer-skip-client-san-verification cipher-suites tls-min-version tls-max-version"
    " self-signed-cert-validity listen-metrics-urls listen-client-http-urls host-whitelist cors"
    " discovery discovery-srv discovery-srv-name discovery-fallback discovery-proxy discovery-endpoints discovery-token"
    " initial-cluster-state initial-corrupt-check experimental-initial-corrupt-check"
    " corrupt-check-time experimental-corrupt-check-time"
)
_ETCDCTL = words("ETCDCTL_ENDPOINT ETCDCTL_ENDPOINTS ETCDCTL_CACERT ETCDCTL_CERT ETCDCTL_KEY ETCDCTL_CA_FILE")
_DISCOVERY = words("discovery discovery-srv discovery-srv-name discovery-fallback discovery-endpoints discovery-token")


# --- the invariant ---


def has_force(spec: ContainerSpec) -> bool:
    """Whether `--force-new-cluster` is on: as a flag in any spelling, or as ETCD_FORCE_NEW_CLUSTER.

    A command that cannot be taken apart has it when the words occur anywhere in it.
    """
    if is_true(_lenient(spec.environment.get("ETCD_FORCE_NEW_CLUSTER"))):
        return True
    try:
        return is_true(_lenient(EtcdCommand.of(spec).get("force-new-cluster")))
    except Unsupported:
        return any("force-new-cluster" in word for word in spec.argv)


def _lenient(value: str | None) -> str:
    """What is neither true nor false counts as true here: better to see the flag than to miss it."""
    return "true" if value and value not in ("0", "f", "F", "false", "FALSE", "False") else "false"


def check_quarantine(spec: ContainerSpec) -> None:
    """Refused unless a container with the force flag is cut off: no network, no ports, no restart policy."""
    if has_force(spec):
        assert_isolated(spec, "--force-new-cluster")


def assert_isolated(spec: ContainerSpec, what: str = "a quarantine's copy") -> None:
    """Refused unless a container is cut off: no network, no ports, no restart policy. `what` is on it."""
    if spec.network != "none" or spec.endpoint != NO_ENDPOINT or spec.more_networks or spec.links:
        raise Refused(f"{what} on {spec.name or spec.image} with --network={spec.network or 'default'}")
    if spec.restart:
        raise Refused(f"{what} on {spec.name or spec.image} with --restart={spec.restart}")
    if spec.publish or spec.publish_all:
        raise Refused(f"{what} on {spec.name or spec.image} with published ports")


def assert_no_force(spec: ContainerSpec) -> None:
    """Refused when the force flag is on: for every container that is to serve."""
    if has_force(spec):
        raise Refused(f"--force-new-cluster is on {spec.name or spec.image}, which is to serve: {' '.join(spec.argv)}")


# --- the reset ---


def quarantine(
    spec: ContainerSpec,
    *,
    name: str,
    data_host_path: str,
    labels: Mapping[str, str],
    wal_host_path: str | None = None,
    extra: Mapping[str, str] | None = None,
    force: bool = True,
) -> ContainerSpec:
    """The container in which the copy of the data at `data_host_path` is made a cluster of one; without `force` it is one.

    It sees that copy at the data directory's own path, everything else read-only; speaks plain HTTP on its loopback, so
    that certificates, expired or not, do not matter; and has no network and no restart policy. `wal_host_path` is the
    copy of a WAL that lies outside the data directory. `extra` are more flags to set (`snapshot-count`).

    Unsupported when the data directory, or the WAL's, is in no mount of the host.
    """
    config = EtcdConfig.of(spec)
    copies = {config.data_dir: data_host_path}
    if config.wal_apart and wal_host_path is not None:
        copies[config.wal_dir] = wal_host_path
    elif config.wal_dir and not inside(config.wal_dir, config.data_dir):
        raise Unsupported(f"--wal-dir={config.wal_dir}: outside the data directory, and no copy of it was named")
    settings: dict[str, str | None] = dict.fromkeys(_DROPPED_IN_QUARANTINE)
    settings |= {
        "listen-client-urls": CLIENT_URL,
        "advertise-client-urls": CLIENT_URL,
        "listen-peer-urls": PEER_URL,
        "initial-advertise-peer-urls": PEER_URL,
        "initial-cluster": show_cluster({config.name: PEER_URL}),
        "heartbeat-interval": "20",
        "election-timeout": "200",
        **(extra or {}),
    }
    spec = _without_variables(change(spec, settings), _ETCDCTL)
    spec = _on_copies(_set_force(spec) if force else _without_force(spec), copies)
    result = replace(
        spec,
        name=name,
        labels=_with_labels(spec, labels),
        restart="",
        auto_remove=False,
        network="none",
        endpoint=NO_ENDPOINT,
        more_networks=(),
        mac_address="",
        links=(),
        publish=(),
        publish_all=False,
        expose=(),
        healthcheck=None,
        pid="" if spec.pid.startswith("container:") else spec.pid,
        ipc="" if spec.ipc.startswith("container:") else spec.ipc,
    )
    assert_isolated(result)
    return result


def _without_variables(spec: ContainerSpec, names: tuple[str, ...]) -> ContainerSpec:
    """Take variables out of the environment; one that the image sets is given by name alone, which unsets it."""
    from_image = {entry.partition("=")[0] for entry in (spec.from_image.env if spec.from_image else ())}
    kept = tuple(entry for entry in spec.env if entry.partition("=")[0] not in names)
    return replace(spec, env=(*kept, *(name for name in names if name in from_image)))


def _set_force(spec: ContainerSpec) -> ContainerSpec:
    spec = _without_force(spec)
    command = EtcdCommand.of(spec)
    return with_argv(spec, (*command.argv, "--force-new-cluster"))


def _without_force(spec: ContainerSpec) -> ContainerSpec:
    return change(spec, {"force-new-cluster": None})


def _on_copies(spec: ContainerSpec, copies: Mapping[str, str]) -> ContainerSpec:
    """Mount each copy over its container path; drop the mounts that held those paths, make the others read-only."""
    dropped: set[str] = set()
    modes: dict[str, tuple[str, ...]] = {}
    for path in copies:
        point = mounted_at(spec, path)
        if point is None or host_path(spec, path) is None:
            raise Unsupported(f"{path} of {spec.name or spec.image} is in no mount of the host, so it cannot be copied")
        dropped.add(point.destination)
        bind = next(
            (Bind.parse(text) for text in spec.binds if Bind.parse(text).destination == point.destination), None
        )
        modes[path] = tuple(mode for mode in bind.modes if mode != "ro") if bind else ()
    for path in copies:
        if any(inside(other.destination, path) and other.destination not in dropped for other in _points(spec)):
            raise Unsupported(f"another mount lies below {path}: a copy of that directory would miss it")
    binds = [Bind(source, clean_path(path), modes[path]).text for path, source in copies.items()]
    for text in spec.binds:
        bind = Bind.parse(text)
        if bind.destination not in dropped:
            kept = tuple(mode for mode in bind.modes if mode not in ("rw", "ro", "Z"))
            binds.append(Bind(bind.source, bind.destination, ("ro", *kept)).text)
    return replace(
        spec,
        binds=tuple(binds),
        mounts=tuple(
            replace(mount, read_only=mount.kind in ("bind", "volume") or mount.read_only)
            for mount in spec.mounts
            if clean_path(mount.target) not in dropped
        ),
        volumes=tuple(path for path in spec.volumes if clean_path(path) not in dropped),
        volumes_from=tuple(f"{text.removesuffix(':rw').removesuffix(':ro')}:ro" for text in spec.volumes_from),
        mount_points=tuple(point for point in spec.mount_points if point.destination not in dropped),
    )


def _points(spec: ContainerSpec) -> list[Bind | _Target]:
    return [*(Bind.parse(text) for text in spec.binds), *(_Target(clean_path(mount.target)) for mount in spec.mounts)]


@dataclass(frozen=True)
class _Target:
    destination: str


# --- the starts ---


def plain(spec: ContainerSpec, *, name: str, labels: Mapping[str, str]) -> ContainerSpec:
    """The container as it was, on the data it had, without `--force-new-cluster`: the survivor's normal start."""
    spec = keep_volumes(_without_force(spec) if has_force(spec) else spec)
    result = replace(spec, name=name, labels=_with_labels(spec, labels))
    assert_no_force(result)
    return result


def joiner(
    spec: ContainerSpec,
    *,
    name: str,
    initial_cluster: Mapping[str, str] | str,
    labels: Mapping[str, str],
    restart: str | None = None,
    member_name: str | None = None,
) -> ContainerSpec:
    """The container of a member that was just added: state `existing`, and the cluster as the member list has it.

    `initial_cluster` is name → peer URL (several joined by commas), or the text of the flag; the member itself must be
    in it. Its members are put in the order that the container's own list has them in: with all back, the text is again
    what it was, and RKE sees no difference. `restart` replaces the policy (`no` takes it away); None keeps it.
    """
    members = parse_cluster(initial_cluster if isinstance(initial_cluster, str) else show_cluster(initial_cluster))
    config = EtcdConfig.of(spec)
    before = list(config.initial_cluster)
    text = show_cluster(dict(sorted(members.items(), key=lambda item: _rank(item[0], before))))
    own = member_name or config.name
    if own not in members:
        raise Refused(f"--initial-cluster={text} has no member {own}, which is to join with it")
    values: dict[str, str | None] = dict.fromkeys((*_DISCOVERY, "force-new-cluster"))
    values |= {"initial-cluster": text, "initial-cluster-state": "existing"}
    if member_name is not None:
        values["name"] = member_name
    spec = keep_volumes(change(spec, values))
    policy = spec.restart if restart is None else "" if restart == "no" else restart
    # a health check in the form of words cannot be given to `docker run`; what runs for minutes does without
    checked = spec.healthcheck if spec.healthcheck and spec.healthcheck.writable else None
    result = replace(spec, name=name, labels=_with_labels(spec, labels), restart=policy, healthcheck=checked)
    assert_no_force(result)
    return result


def _rank(name: str, order: list[str]) -> int:
    return order.index(name) if name in order else len(order)


def _with_labels(spec: ContainerSpec, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((dict(spec.labels) | dict(labels)).items())


def keep_volumes(spec: ContainerSpec) -> ContainerSpec:
    """Mount the anonymous volumes that the container had by their names: a new container would get empty ones."""
    taken = {Bind.parse(text).destination for text in spec.binds} | {clean_path(mount.target) for mount in spec.mounts}
    named = {
        point.destination: point.name
        for point in spec.mount_points
        if point.kind == "volume" and re.fullmatch(r"[0-9a-f]{64}", point.name) and point.destination not in taken
    }
    mounts: list[Mount] = []
    for mount in spec.mounts:
        point = next((item for item in spec.mount_points if item.destination == clean_path(mount.target)), None)
        anonymous = mount.kind == "volume" and not mount.source and point is not None
        mounts.append(replace(mount, source=point.name) if anonymous and point else mount)
    return replace(
        spec,
        binds=(*spec.binds, *(f"{volume}:{path}" for path, volume in sorted(named.items()))),
        volumes=tuple(path for path in spec.volumes if clean_path(path) not in named),
        mounts=tuple(mounts),
    )


# --- another member's container from this one's ---


@dataclass(frozen=True)
class Identity:
    """What a member is known by. `addresses` are IPs or DNS names, in an order that both sides of an exchange share.

    `dashed` are the same addresses as RKE writes them in file names, `10-0-0-11`; left empty they are derived.
    """

    name: str
    addresses: tuple[str, ...]
    hostname: str = ""
    dashed: tuple[str, ...] = ()

    @property
    def dashes(self) -> tuple[str, ...]:
        """The dashed form of each address."""
        return self.dashed or tuple(re.sub(r"[.:]", "-", address) for address in self.addresses)


@dataclass(frozen=True)
class Replacement:
    """One value that an exchange changed: `place` as in `--name`, `env ETCD_NAME`, `label x`, `volume`, `hostname`."""

    place: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """Two lines of a diff."""
        return f"- {self.place} {self.before}\n+ {self.place} {self.after}"


def identity_of(spec: ContainerSpec, inspect: Mapping[str, Any] | None = None) -> Identity:
    """Who this container is: its etcd name, the addresses that it advertises and listens on, its host's name."""
    config = EtcdConfig.of(spec)
    urls = (*config.advertise_peer_urls, *config.advertise_client_urls, *config.listen_peer_urls)
    urls = (*urls, *config.listen_client_urls, *config.initial_cluster.get(config.name, ()))
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in urls)
    addresses = tuple(host for host in hosts if host and not _is_everywhere(host))
    hostname = spec.hostname or str(((inspect or {}).get("Config") or {}).get("Hostname") or "")
    return Identity(config.name, addresses, hostname)


def _is_everywhere(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_unspecified


def exchange_identity(
    spec: ContainerSpec, old: Identity, new: Identity
) -> tuple[ContainerSpec, tuple[Replacement, ...]]:
    """Make another member's container of this one: every place where `old` stands gets `new`; and what was replaced.

    Looked at: etcd's flags, the environment, labels, binds and mounts, host and domain names, extra hosts, the MAC-less
    rest of the network settings, whole comma lists included. Left alone is what merely looks alike (10.0.0.1 in
    10.0.0.11 or in 110.0.0.1), the file of a CA, and a list that names both members, since it names the cluster.

    Refused when the two have different numbers of addresses, unless the new one has a single address for all.
    """
    swap = _Exchange(old, new)
    command = EtcdCommand.of(spec)
    flags = []
    for flag in command.flags:
        value = flag.value
        changed = None if value is None else swap.value(f"--{flag.name}", value, flag.name)
        flags.append(flag if changed is None or changed == value else flag.with_value(changed))
    spec = with_argv(spec, EtcdCommand(command.prefix, tuple(flags)).argv)
    env = []
    for entry in spec.env:
        name, equals, value = entry.partition("=")
        flag_name = name.removeprefix("ETCD_").lower().replace("_", "-") if name.startswith("ETCD_") else ""
        env.append(f"{name}={swap.value(f'env {name}', value, flag_name)}" if equals else entry)
    labels = tuple((key, swap.value(f"label {key}", value, "")) for key, value in spec.labels)
    binds = tuple(":".join(swap.path("volume", part) for part in text.split(":")) for text in spec.binds)
    mounts = tuple(
        replace(mount, source=swap.path("mount", mount.source), target=swap.path("mount", mount.target))
        for mount in spec.mounts
    )
    endpoint = replace(
        spec.endpoint,
        aliases=tuple(swap.value("network-alias", alias, "") for alias in spec.endpoint.aliases),
        ipv4=swap.value("ip", spec.endpoint.ipv4, ""),
        ipv6=swap.value("ip6", spec.endpoint.ipv6, ""),
    )
    publish = tuple(replace(port, ip=swap.value("publish", port.ip, "")) for port in spec.publish)
    result = replace(
        spec,
        env=tuple(env),
        labels=labels,
        binds=binds,
        mounts=mounts,
        endpoint=endpoint,
        publish=publish,
        hostname=swap.hostname(spec.hostname),
        add_host=tuple(swap.value("add-host", text, "") for text in spec.add_host),
        mount_points=(),
    )
    return result, tuple(swap.done)


_GENERIC = frozenset(words("etcd default member node server peer client master ca ssl tls pki kube localhost host"))
_NAMING_FLAG = re.compile(
    r"name|initial-cluster|.*-urls|.*-file|data-dir|wal-dir|host-whitelist|cors|discovery.*|log-outputs?"
    r"|.*-cert-allowed-(cn|hostname)|.*instance-id"
)
"""The flags of etcd whose value can hold a member's or a host's name; elsewhere (`--initial-cluster-state=new`,
`--log-level=info`) a word that is somebody's name is just that word."""

_CERTIFICATE = r"(?:-key|-cert|-peer|-client|-server)?\.(?:pem|crt|key|cert|cer|csr|p12)"


class _Exchange:
    """One exchange: the pattern for everything the old member is called, and what has been replaced so far."""

    def __init__(self, old: Identity, new: Identity) -> None:
        if not old.addresses or not new.addresses:
            raise Refused(f"no address of {old.name if not old.addresses else new.name} is known")
        if len(new.addresses) not in (1, len(old.addresses)):
            raise Refused(
                f"{old.name} has the addresses {', '.join(old.addresses)} and {new.name} {', '.join(new.addresses)}: "
                "which stands for which cannot be told"
            )
        self.done: list[Replacement] = []
        self.old, self.new = old, new
        count = len(old.addresses)
        new_addresses = new.addresses if len(new.addresses) == count else new.addresses * count
        new_dashes = new.dashes if len(new.dashes) == count else new.dashes * count
        self.addresses = dict(zip(old.addresses, new_addresses, strict=True))
        self.dashed = dict(zip(old.dashes, new_dashes, strict=True))
        self.names = {old.name: new.name}
        if old.hostname and new.hostname:
            self.names.setdefault(old.hostname, new.hostname)
        self._in_text = self._pattern(self.names, in_path=False)
        self._addresses_only = self._pattern(set(), in_path=False)
        usable = {name for name in self.names if name.lower() not in _GENERIC}
        self._in_path = self._pattern(usable, in_path=True)

    def _pattern(self, names: Mapping[str, str] | set[str], *, in_path: bool) -> re.Pattern[str]:
        parts = []
        for address in sorted(self.addresses, key=len, reverse=True):
            if ":" in address:
                parts.append(rf"(?<![0-9A-Fa-f:]){re.escape(address)}(?![0-9A-Fa-f:]*[0-9A-Fa-f])")
            else:
                parts.append(rf"(?<![0-9A-Za-z.]){re.escape(address)}(?!\.?[0-9A-Za-z])(?!-[0-9A-Za-z])")
                parts[-1] = (
                    parts[-1] if not in_path else f"{parts[-1]}|(?<![0-9A-Za-z.]){re.escape(address)}(?={_CERTIFICATE})"
                )
        for dashed in sorted(self.dashed, key=len, reverse=True):
            parts.append(rf"(?<![0-9])(?<![0-9]-){re.escape(dashed)}(?!-?[0-9])(?!-[0-9])(?![A-Za-z])")
        for name in sorted(names, key=len, reverse=True):
            if in_path:
                after = rf"(?=$|[/:,\s]|{_CERTIFICATE})"
                parts.append(rf"(?<![0-9A-Za-z_.]){re.escape(name)}{after}")
            else:
                parts.append(rf"(?<![0-9A-Za-z_.\-])(?<![^/]/){re.escape(name)}(?![0-9A-Za-z_\-])(?!\.[0-9A-Za-z])")
        return re.compile("|".join(f"(?:{part})" for part in parts))

    def _table(self, found: re.Match[str]) -> str:
        text = found[0]
        for table in (self.addresses, self.names, self.dashed):
            if text in table:
                return table[text]
        raise AssertionError(text)

    def value(self, place: str, text: str, flag: str) -> str:
        """Exchange within one value; `flag` is the etcd flag that it is for, empty where it is for none."""
        return self._note(place, text, self._exchanged(text, flag, place))

    def path(self, place: str, text: str) -> str:
        """Exchange within a path."""
        return self._note(place, text, self._in_path.sub(self._table, text))

    def hostname(self, text: str) -> str:
        """Exchange a host name: as a whole, or the name before its domain."""
        if text and text == self.old.hostname:
            return self._note("hostname", text, self.new.hostname or text)
        return self.value("hostname", text, "")

    def _note(self, place: str, before: str, after: str) -> str:
        if after != before:
            self.done.append(Replacement(place, before, after))
        return after

    def _exchanged(self, text: str, flag: str, place: str) -> str:
        if not text:
            return text
        if flag and not _NAMING_FLAG.fullmatch(flag):
            return self._addresses_only.sub(self._table, text)
        if "," in text and self._names(text, self.old) and self._names(text, self.new):
            return text
        if text in self.names:
            return self.names[text]
        if "," in text:
            parts = [self._one(part, flag, place) for part in text.split(",")]
            return ",".join(parts)
        return self._one(text, flag, place)

    def _one(self, text: str, flag: str, place: str) -> str:
        if text.startswith("/") or flag.endswith("-file"):
            directory, slash, base = text.rpartition("/")
            if re.search(r"(^|[-_ ])(ca|cacert)([-_]file)?$", place.lower()):
                return self._in_path.sub(self._table, directory + slash) + base
            return self._in_path.sub(self._table, text)
        return self._in_text.sub(self._table, text)

    @staticmethod
    def _names(text: str, who: Identity) -> bool:
        """Whether one of the elements of a list is this member's: by name, or by address."""
        for part in text.split(","):
            name, equals, url = part.strip().partition("=")
            if equals and name == who.name:
                return True
            host = (
                urlsplit(url if equals else part.strip()).hostname if "//" in part else part.strip().partition(":")[0]
            )
            if host in who.addresses or part.strip() == who.name:
                return True
        return False


# --- what the new command needs on the node ---


@dataclass(frozen=True)
class NamedPath:
    """A path on the host that a command names: `why` is the option, `container` where the container sees it."""

    host: str
    container: str
    why: str
    kind: str


def files_named(spec: ContainerSpec) -> tuple[NamedPath, ...]:
    """Every host path that must be there before this command runs: `kind` is `file`, or `any` for a mount's source.

    Docker makes a missing source of a `--volume` into an empty directory and goes on, so those count too. Files that
    are part of the image are not listed.
    """
    found: list[NamedPath] = []
    for text in spec.binds:
        bind = Bind.parse(text)
        if bind.is_path:
            found.append(NamedPath(bind.source, bind.destination, "--volume", "any"))
    for mount in spec.mounts:
        if mount.kind == "bind":
            found.append(NamedPath(clean_path(mount.source), clean_path(mount.target), "--mount", "any"))
    config = EtcdConfig.of(spec)
    for name, value in config.given.items():
        if value and value in config.files:
            host = host_path(spec, value)
            if host is not None:
                found.append(NamedPath(host, value, f"--{name}", "file"))
    for name, value in spec.environment.items():
        if name in ("ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"):
            host = host_path(spec, value) if value else None
            if host is not None:
                found.append(NamedPath(host, value, f"env {name}", "file"))
    unique = {(path.host, path.kind): path for path in reversed(found)}
    return tuple(path for path in found if unique[path.host, path.kind] is path)
