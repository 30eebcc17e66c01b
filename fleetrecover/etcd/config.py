"""PURE: the settings that an etcd runs with, from its words and its environment; who starts it does not matter here.

Sources: etcd `etcdmain/config.go` (3.2 to 3.6), Go's `flag` package, etcd `pkg/flags/flag.go`:
- a flag is `-k`, `--k`, `--k=v` or `--k v`; the last one of a name wins; booleans take no separate word;
- `--some-flag` not given is taken from `ETCD_SOME_FLAG` where that is not empty; with both, 3.3 and older warn, 3.4 and
  newer refuse to start, so a change never leaves both;
- `--config-file` (or `ETCD_CONFIG_FILE`) makes etcd ignore every other flag and variable: `config_file.py` reads it.

`EtcdConfig.of` is for a command that is going to be changed, and refuses what it cannot take apart; `EtcdConfig.read` is for
knowing what runs, and sees through wrappers and files.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from fleetrecover.errors import Unsupported
from fleetrecover.etcd.config_file import flags_of
from fleetrecover.etcd.wrappers import SHELLS, unwrap
from fleetrecover.plain import clean_path, words

_BOOLEANS = frozenset(
    words(
        "auto-tls client-cert-auth debug discovery-insecure-skip-tls-verify discovery-insecure-transport"
        " enable-distributed-tracing enable-grpc-gateway enable-log-rotation enable-pprof enable-v2"
        " experimental-compact-hash-check-enabled experimental-enable-distributed-tracing"
        " experimental-enable-lease-checkpoint experimental-enable-lease-checkpoint-persist"
        " experimental-initial-corrupt-check experimental-memory-mlock"
        " experimental-peer-skip-client-san-verification experimental-stop-grpc-service-on-defrag"
        " experimental-txn-mode-write-with-shared-buffer force-new-cluster initial-election-tick-advance memory-mlock"
        " peer-auto-tls peer-client-cert-auth peer-skip-client-san-verification pre-vote socket-reuse-address"
        " socket-reuse-port strict-reconfig-check unsafe-no-fsync version"
    )
)
RUNNERS = dict.fromkeys(words("tini tini-static docker-init dumb-init catatonit env nice ionice setpriv"), 1) | {
    "gosu": 2,
    "su-exec": 2,
}
"""Programs that run another one, and how many words they take before their options: gosu has a user's name."""


class Started(Protocol):
    """How a process is started: its words, what it sees of the environment, and the directory in which it runs.

    `flags_alone`: words that are nothing but flags are etcd's, since what starts them names no program (an image's own does).
    """

    @property
    def argv(self) -> tuple[str, ...]:
        """Its words."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that it sees."""
        ...

    @property
    def directory(self) -> str:
        """Where it runs."""
        ...

    @property
    def flags_alone(self) -> bool:
        """Whether words that are nothing but flags are etcd's."""
        ...


@dataclass(frozen=True)
class Flag:
    """One flag as it stands: `words` are its one or two words, `value` is None for a bare boolean."""

    name: str
    value: str | None
    words: tuple[str, ...]

    def with_value(self, value: str) -> Flag:
        """The same flag, in the same spelling, with another value."""
        head = self.words[0].partition("=")[0]
        if len(self.words) == 2:
            return Flag(self.name, value, (head, value))
        return Flag(self.name, value, (f"{head}={value}",))


@dataclass(frozen=True)
class EtcdCommand:
    """The words of the process: what starts etcd, its flags in order."""

    prefix: tuple[str, ...]
    flags: tuple[Flag, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """All words again."""
        return (*self.prefix, *(word for flag in self.flags for word in flag.words))

    def get(self, name: str) -> str | None:
        """The value etcd takes from the command line for a flag; `true` for a bare one; None if it is not there."""
        values = [flag.value for flag in self.flags if flag.name == name]
        return ("true" if values[-1] is None else values[-1]) if values else None

    @classmethod
    def of(cls, started: Started) -> EtcdCommand:
        """Take the container's command apart. Unsupported, naming it, when it is not plainly etcd and its flags."""
        argv = started.argv
        at = binary_at(argv)
        if at is None and argv and argv[0].startswith("-") and started.flags_alone:
            at = -1
        if at is None:
            shown = " ".join(argv)[:200]
            raise Unsupported(
                f"the command {shown!r} does not start etcd itself, so its flags cannot be known or changed",
                hint="only a container whose command is etcd and its flags can be rewritten: make one by hand",
            )
        return cls(argv[: at + 1], tuple(_flags(argv[at + 1 :])))


def binary_at(argv: tuple[str, ...]) -> int | None:
    """Where the etcd binary stands. Only a program that runs another may stand before it: `tini -- etcd`."""
    at = 0
    while at < len(argv):
        base = argv[at].rpartition("/")[2]
        if base == "etcd":
            return at
        if base in RUNNERS:
            at += RUNNERS[base]
        elif at > 0 and re.match(r"-|\d+$|[A-Za-z_]\w*=", argv[at]):
            at += 1
        else:
            return None
    return None


def _flags(argv: tuple[str, ...]) -> Iterable[Flag]:
    at = 0
    while at < len(argv):
        word = argv[at]
        found = re.fullmatch(r"--?([a-zA-Z0-9][^=]*)(?:=(.*))?", word, re.DOTALL)
        if not found:
            raise Unsupported(f"the command of etcd has the word {word!r}, which is no flag: etcd refuses to start so")
        name, value = found[1], found[2]
        at += 1
        if value is not None or name in _BOOLEANS:
            yield Flag(name, value, (word,))
        elif at < len(argv) and (name in _KNOWN or not argv[at].startswith("-")):
            yield Flag(name, argv[at], (word, argv[at]))
            at += 1
        else:
            yield Flag(name, None, (word,))


def variable(flag: str) -> str:
    """`listen-client-urls` → `ETCD_LISTEN_CLIENT_URLS`."""
    return "ETCD_" + flag.upper().replace("-", "_")


_DEFAULTS: Mapping[str, str] = {
    "name": "default",
    "data-dir": "",
    "wal-dir": "",
    "listen-client-urls": "http://localhost:2379",
    "listen-peer-urls": "http://localhost:2380",
    "advertise-client-urls": "",
    "initial-advertise-peer-urls": "",
    "initial-cluster": "",
    "initial-cluster-state": "new",
    "initial-cluster-token": "etcd-cluster",
    "cert-file": "",
    "key-file": "",
    "trusted-ca-file": "",
    "peer-cert-file": "",
    "peer-key-file": "",
    "peer-trusted-ca-file": "",
    "heartbeat-interval": "100",
    "election-timeout": "1000",
    "config-file": "",
    "listen-metrics-urls": "",
    "snapshot-count": "",
    "quota-backend-bytes": "0",
}
_KNOWN = frozenset(_DEFAULTS)


@dataclass(frozen=True)
class EtcdConfig:
    """The settings etcd runs with that matter here. Paths are the container's; `initial_cluster` name → peer URLs.

    `heartbeat` and `election` in milliseconds. `given` are all flags and variables by the flag's name, flags first, and
    `flags` those of them that stand in no variable. `opaque`: what stands between the container's command and etcd, so that
    it must not be rewritten; empty for nothing; `scripted`: that is a script of the image's, which may do anything to the
    data before etcd starts.
    """

    name: str
    data_dir: str
    wal_dir: str
    listen_client_urls: tuple[str, ...]
    listen_peer_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...]
    advertise_peer_urls: tuple[str, ...]
    initial_cluster: Mapping[str, tuple[str, ...]]
    state: str
    token: str
    force_new_cluster: bool
    cert_file: str
    key_file: str
    ca_file: str
    client_cert_auth: bool
    peer_cert_file: str
    peer_key_file: str
    peer_ca_file: str
    peer_client_cert_auth: bool
    heartbeat: int
    election: int
    unsafe_no_fsync: bool
    auto_tls: bool
    peer_auto_tls: bool
    discovery: str
    quota_backend_bytes: int
    given: Mapping[str, str]
    opaque: str = ""
    scripted: bool = False
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, started: Started) -> EtcdConfig:
        """For a command that is to be changed. Unsupported, by name: a wrapper, `--config-file`, a word that is no flag."""
        given = settings(started)
        if given.get("config-file"):
            raise Unsupported(
                f"--config-file={given['config-file']}: etcd takes its settings from that file alone, "
                "so they cannot be changed in the command",
                hint="give etcd the file's settings as flags or ETCD_* variables",
            )
        return cls._of_given(started, given)

    @classmethod
    def read(cls, started: Started, file: str | None = None) -> EtcdConfig:
        """For knowing what runs; `file` is the text of its `--config-file`, if that could be read. `opaque` says what of the
        command is not known. Unsupported where nothing can be made of it, or a file is named that is not at hand.
        """
        given, opaque = _given(started)
        scripted = bool(opaque) and started.argv[0].rpartition("/")[2] not in SHELLS
        path = given.get("config-file")
        if path:
            if file is None:
                raise Unsupported(
                    f"--config-file={path}: etcd takes its settings from that file, which could not be read"
                )
            given, opaque = flags_of(file, path), opaque or f"--config-file={path}"
        return replace(cls._of_given(started, given), opaque=opaque, scripted=scripted)

    @classmethod
    def _of_given(cls, started: Started, given: Mapping[str, str]) -> EtcdConfig:
        def get(name: str) -> str:
            return given.get(name) or _DEFAULTS.get(name, "")

        def urls(name: str) -> tuple[str, ...]:
            return tuple(url.strip() for url in get(name).split(",") if url.strip())

        name = get("name")
        workdir = started.directory
        return cls(
            name=name,
            data_dir=_absolute(get("data-dir") or f"{name}.etcd", workdir),
            wal_dir=_absolute(get("wal-dir"), workdir),
            listen_client_urls=urls("listen-client-urls"),
            listen_peer_urls=urls("listen-peer-urls"),
            advertise_client_urls=urls("advertise-client-urls"),
            advertise_peer_urls=urls("initial-advertise-peer-urls"),
            initial_cluster=parse_cluster(get("initial-cluster")),
            state=get("initial-cluster-state"),
            token=get("initial-cluster-token"),
            force_new_cluster=is_true(given.get("force-new-cluster")),
            cert_file=get("cert-file"),
            key_file=get("key-file"),
            ca_file=get("trusted-ca-file") or get("ca-file"),
            client_cert_auth=is_true(given.get("client-cert-auth")),
            peer_cert_file=get("peer-cert-file"),
            peer_key_file=get("peer-key-file"),
            peer_ca_file=get("peer-trusted-ca-file") or get("peer-ca-file"),
            peer_client_cert_auth=is_true(given.get("peer-client-cert-auth")),
            heartbeat=_integer("heartbeat-interval", get("heartbeat-interval")),
            election=_integer("election-timeout", get("election-timeout")),
            unsafe_no_fsync=is_true(given.get("unsafe-no-fsync")),
            auto_tls=is_true(given.get("auto-tls")),
            peer_auto_tls=is_true(given.get("peer-auto-tls")),
            discovery=get("discovery") or get("discovery-srv") or get("discovery-token"),
            quota_backend_bytes=_integer("quota-backend-bytes", get("quota-backend-bytes")),
            given=given,
            flags=tuple(flag for flag in given if variable(flag) not in started.environment),
        )

    @property
    def effective_wal_dir(self) -> str:
        """Where the WAL is: `--wal-dir`, or `member/wal` in the data directory."""
        return self.wal_dir or clean_path(f"{self.data_dir}/member/wal")

    @property
    def wal_apart(self) -> str:
        """The WAL's directory where it is one of its own, outside of `member`; else empty."""
        return "" if self.effective_wal_dir == clean_path(f"{self.data_dir}/member/wal") else self.wal_dir

    @property
    def files(self) -> tuple[str, ...]:
        """Every certificate, key and CA file that is named, container paths, each once."""
        named = [value for name, value in self.given.items() if value and _FILE_FLAG.fullmatch(name)]
        return tuple(dict.fromkeys(named))


_FILE_FLAG = re.compile(r"(.*-)?(cert|key|ca|crl)-file|discovery-(cert|key|cacert)")


def config_file(started: Started) -> str:
    """The path of its `--config-file`, as the container names it; empty where it has none, or that cannot be told."""
    try:
        return _given(started)[0].get("config-file", "")
    except Unsupported:
        return ""


def settings(started: Started) -> dict[str, str]:
    """Everything given to etcd by the flag's name: flags, and variables for which there is no flag."""
    return _with_variables(started, EtcdCommand.of(started))


def _given(started: Started) -> tuple[dict[str, str], str]:
    """The same for reading, through what stands around etcd, and what that is."""
    try:
        return settings(started), ""
    except Unsupported:
        wrapped = unwrap(started.argv, started.environment)
        if wrapped is None:
            raise
        flags = tuple(_flags(wrapped.argv[1:])) if wrapped.argv else ()
        return _with_variables(started, EtcdCommand((), flags)), wrapped.by


def _with_variables(started: Started, command: EtcdCommand) -> dict[str, str]:
    found = {flag.name: command.get(flag.name) or "" for flag in command.flags}
    for name, value in started.environment.items():
        flag = name.removeprefix("ETCD_").lower().replace("_", "-")
        if name.startswith("ETCD_") and value and flag not in found:
            found[flag] = value
    return found


def parse_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """`n1=u1,n1=u2,n2=u3` → name → URLs. Unsupported when an element has no name."""
    found: dict[str, tuple[str, ...]] = {}
    for element in (part.strip() for part in text.split(",") if part.strip()):
        name, equals, url = element.partition("=")
        if not equals or not name:
            raise Unsupported(f"--initial-cluster: {element!r} is not name=url")
        found[name] = (*found.get(name, ()), url)
    return found


def show_cluster(members: Mapping[str, str | Iterable[str]]) -> str:
    """Name → peer URLs (several in a tuple, or separated by commas) → the text of `--initial-cluster`.

    Unsupported where a name would be read as more than a name.
    """
    pairs = []
    for name, value in members.items():
        if "," in name or "=" in name:
            raise Unsupported(f"a member is named {name!r}, which cannot be said in --initial-cluster")
        urls = value.split(",") if isinstance(value, str) else value
        pairs += [f"{name}={url.strip()}" for url in urls if url.strip()]
    return ",".join(pairs)


def is_true(value: str | None) -> bool:
    """Whether a boolean flag's text is true; absent is false. Unsupported when etcd would not take it."""
    if value is None or value in ("0", "f", "F", "false", "FALSE", "False", ""):
        return False
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    raise Unsupported(f"etcd takes no {value!r} for a boolean")


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Unsupported(f"--{name}={text}: not a whole number") from error


def _absolute(path: str, workdir: str) -> str:
    return clean_path(path if path.startswith("/") or not path else f"{workdir}/{path}")


# --- how to talk to it ---


@dataclass(frozen=True)
class TlsFiles:
    """What etcdctl needs for TLS; container paths, empty where not needed."""

    cacert: str
    cert: str
    key: str


def client_endpoint(config: EtcdConfig) -> str:
    """The URL at which etcd answers clients on its own node: loopback if it listens there, else the first address.

    RKE with an internal address listens on that alone, so 127.0.0.1 would fail there.
    """
    urls = [url for url in config.listen_client_urls if url.startswith(("http://", "https://"))]
    if not urls:
        raise Unsupported(f"--listen-client-urls={','.join(config.listen_client_urls)}: no http or https among them")
    found = []
    for url in urls:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 2379
        if host in ("0.0.0.0", "") or host == "::":
            host = "::1" if host == "::" and "0.0.0.0" not in url else "127.0.0.1"
        found.append((not _is_loopback(host), f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"))
    return min(found, key=lambda item: item[0])[1]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def etcdctl_tls(started: Started, config: EtcdConfig | None = None) -> TlsFiles | None:
    """The files for etcdctl: its own ETCDCTL_* variables in the container, else the server's. None without TLS."""
    config = config or EtcdConfig.of(started)
    env = started.environment
    own = TlsFiles(*(env.get(f"ETCDCTL_{name}", "") for name in ("CACERT", "CERT", "KEY")))
    if own.cacert or own.cert:
        return own
    if not client_endpoint(config).startswith("https"):
        return None
    return TlsFiles(config.ca_file, config.cert_file, config.key_file)
