"""`ContainerSpec` ↔ the words of a `docker run`, its text for a terminal, and its JSON.

Every option is written `--long=value`, one per word, in a fixed order, and only where it says something; so equal
specs give equal commands, and `from_argv(to_argv(spec))` is the spec again. `from_argv` reads every spelling that the
client reads: `-e K=V`, `-eK=V`, `--env K=V`, `--env=K=V`, `-dit`.

Two things a spec can hold have no place on a command line or would be seen there by every user of the node:
- the environment: `env_file="/dev/fd/3"` leaves it out, and `env_file_lines` and `env_inherited` say how it goes;
- a seccomp profile: docker keeps its text, the client wants a file; `seccomp_file=` names it, `seccomp_profile` is it.

Source of the grammar: docker/cli `cli/command/container/opts.go`, spf13/pflag.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from fleetrecover.docker.options import TABLE, Option
from fleetrecover.docker.parts import (
    Device,
    DeviceRequest,
    Endpoint,
    Healthcheck,
    Port,
    is_cdi_name,
    parse_bool,
    parse_exposed,
    parse_pair,
    show_pair,
)
from fleetrecover.docker.spec import FOREGROUND, ContainerSpec
from fleetrecover.docker.values import parse_duration, show_duration
from fleetrecover.errors import Unsupported, UsageError
from fleetrecover.plain import harmful, words

_ROWS: Mapping[str, Option] = {row.flag: row for row in TABLE}
_SHORT = dict(
    zip(
        words("a d e h i l t u w p P v c m q"),
        words(
            "attach detach env hostname interactive label tty user workdir publish publish-all volume cpu-shares"
            " memory quiet"
        ),
        strict=True,
    )
)
_SAME = {"net": "network", "net-alias": "network-alias", "dns-option": "dns-opt"}
_SPECIAL = frozenset(
    words(
        "name detach attach entrypoint env env-file label-file network network-alias ip ip6 link-local-ip publish"
        " expose security-opt device gpus log-driver log-opt health-cmd health-interval health-timeout"
        " health-start-period health-start-interval health-retries no-healthcheck"
    )
)
_CLIENT_ONLY = frozenset(words("pull quiet sig-proxy detach-keys disable-content-trust cidfile"))
_BARE = frozenset(words("detach no-healthcheck quiet sig-proxy disable-content-trust")) | {
    row.flag for row in TABLE if row.kind.boolean
}
_HEALTH = (
    ("health-interval", "interval"),
    ("health-timeout", "timeout"),
    ("health-start-period", "start_period"),
    ("health-start-interval", "start_interval"),
)
_NEWER = {
    "health-start-period": "1.29",
    "health-start-interval": "1.44",
    "gpus": "1.40",
} | {row.flag: row.api for row in TABLE if row.api}

Written = list[tuple[str, str | None]]


# --- to the command line ---


def to_argv(
    spec: ContainerSpec,
    *,
    cli: str = "docker",
    verb: Literal["run", "create"] = "run",
    detach: bool | None = True,
    env_file: str | None = None,
    seccomp_file: str | None = None,
) -> tuple[str, ...]:
    """The words that create this container.

    `detach` None keeps the way it was started (`spec.attach`); `create` never detaches. With `env_file` the environment
    stays off the command line: feed it `env_file_lines(spec)`, and give the client `env_inherited(spec)` in its own
    environment. Raises Unsupported naming what the command line cannot say.
    """
    detached = verb == "run" and (spec.attach == () if detach is None else detach)
    line = [cli, verb]
    line += [f"--{flag}" if value is None else f"--{flag}={value}" for flag, value in _options(spec, detached, detach)]
    entrypoint, arguments = _entrypoint(spec, cli)
    line += entrypoint
    if spec.env and env_file is not None:
        line += [f"--env-file={env_file}"] if env_file_lines(spec) else []
        line += [f"--env={name}" for name in env_inherited(spec)]
    else:
        line += [f"--env={entry}" for entry in spec.env]
    return (*line, *_security_words(spec, seccomp_file), spec.image, *arguments)


def _is_podman(cli: str) -> bool:
    return cli.rpartition("/")[2].startswith("podman")


def _entrypoint(spec: ContainerSpec, cli: str) -> tuple[list[str], tuple[str, ...]]:
    """The option, and what stands after the image. Docker takes one word, the others then lead the command."""
    words = spec.entrypoint
    if words is None:
        return [], spec.command or ()
    if len(words) > 1 and _is_podman(cli):
        return [f"--entrypoint={json.dumps(words)}"], spec.command or ()
    return [f"--entrypoint={words[0] if words else ''}"], words[1:] + (spec.command or ())


def _options(spec: ContainerSpec, detached: bool, detach: bool | None) -> Written:
    out: Written = []
    if spec.name:
        out.append(("name", spec.name))
    if detached:
        out.append(("detach", None))
    elif detach is None:
        out += _attach_options(spec)
    out += _network_options(spec)
    for row in TABLE:
        out += [(row.flag, text) for text in row.kind.show(getattr(spec, row.attr))]
        if row.attr == "publish_all":
            out += [("publish", port.text) for port in spec.publish]
            out += [("expose", port.removesuffix("/tcp")) for port in spec.expose]
        elif row.attr == "binds":
            out += [("volume", path) for path in spec.volumes]
        elif row.attr == "device_cgroup_rules":
            out += _device_options(spec)
        elif row.attr == "annotations":
            out += _log_options(spec)
            out += _health_options(spec.healthcheck)
    return out


def _attach_options(spec: ContainerSpec) -> Written:
    usual = ("stdin", *FOREGROUND) if spec.interactive else FOREGROUND
    if spec.attach == usual:
        return []
    if not spec.attach or (spec.interactive and "stdin" not in spec.attach):
        raise Unsupported(f"Config.AttachStdin: a foreground container attached to {spec.attach!r}")
    return [("attach", stream) for stream in spec.attach]


def _network_options(spec: ContainerSpec) -> Written:
    """The first network's settings have options of their own, known to every client; the long form is for the rest."""
    endpoint = spec.endpoint
    out: Written = []
    if endpoint.needs_long_form:
        short = Endpoint(driver_opts=endpoint.driver_opts, gw_priority=endpoint.gw_priority)
        out.append(("network", short.long_form(spec.network or "default")))
    elif spec.network or spec.more_networks:
        out.append(("network", spec.network or "default"))
    out += [("network", other.long_form(name)) for name, other in spec.more_networks]
    out += [("network-alias", alias) for alias in endpoint.aliases]
    out += [("ip", endpoint.ipv4)] if endpoint.ipv4 else []
    out += [("ip6", endpoint.ipv6)] if endpoint.ipv6 else []
    out += [("link-local-ip", address) for address in endpoint.link_local]
    out += [("link", link) for link in endpoint.links if link not in spec.links]
    return out


def _device_options(spec: ContainerSpec) -> Written:
    out: Written = [("device", device.text) for device in spec.devices]
    for request in spec.device_requests:
        if request.driver == "cdi":
            out += [("device", name) for name in request.ids]
        else:
            out.append(("gpus", request.text))
    return out


def _log_options(spec: ContainerSpec) -> Written:
    out: Written = [("log-driver", spec.log_driver)] if spec.log_driver else []
    return out + [("log-opt", show_pair(pair)) for pair in spec.log_opts]


def _health_options(check: Healthcheck | None) -> Written:
    if check is None:
        return []
    out: Written = []
    if check.test == ("NONE",):
        return [("no-healthcheck", None)]
    if check.test is not None:
        if not check.writable:
            raise Unsupported(
                f"Config.Healthcheck.Test: {list(check.test)!r} is not of the form CMD-SHELL, "
                "the only one that `docker run --health-cmd` can give"
            )
        out.append(("health-cmd", check.test[1]))
    out += [(flag, show_duration(getattr(check, attr))) for flag, attr in _HEALTH if getattr(check, attr)]
    return out + ([("health-retries", str(check.retries))] if check.retries else [])


def _security_words(spec: ContainerSpec, seccomp_file: str | None) -> list[str]:
    found = []
    for option in spec.security_opts:
        if _is_profile(option):
            if seccomp_file is None:
                raise Unsupported("HostConfig.SecurityOpt: seccomp={…}: the profile's text has to go through a file")
            found.append(f"--security-opt=seccomp={seccomp_file}")
        else:
            found.append(f"--security-opt={option}")
    return found


def _is_profile(option: str) -> bool:
    return bool(re.match(r"seccomp[=:]\s*\{", option))


def seccomp_profile(spec: ContainerSpec) -> str | None:
    """The text of the container's own seccomp profile, JSON; None when it has none."""
    return next((re.split("[=:]", option, maxsplit=1)[1] for option in spec.security_opts if _is_profile(option)), None)


def _fits_env_file(entry: str) -> bool:
    """Whether `--env-file` reads a line back as it is (docker/cli `pkg/kvfile`; 1.13's reader is no laxer).

    Lines end at a newline, lose a final carriage return and leading white space, may not be 64 KiB long or start with
    #, and a name may hold no blanks. A name alone would be looked up in the client's environment: never here.
    """
    name, equals, value = entry.partition("=")
    try:
        length = len(entry.encode())
    except UnicodeEncodeError:
        return False
    return bool(
        equals
        and re.fullmatch(r"[!-\"$-<>-~][!-<>-~]*", name)
        and "\n" not in value
        and "\0" not in value
        and not value.endswith("\r")
        and length < 60_000
    )


def env_file_lines(spec: ContainerSpec) -> tuple[str, ...]:
    """The lines for the file named by `env_file`: every variable that such a file can hold."""
    return tuple(entry for entry in spec.env if _fits_env_file(entry))


def env_inherited(spec: ContainerSpec) -> dict[str, str | None]:
    """The variables that go as `--env=NAME`: the client takes the value from its own environment.

    So set these for the client alone (in sh: `export NAME='…'` in a subshell). A value of None: the variable must *not*
    be set there, the container was given its name alone. Unsupported, naming the variable and not its value, when a
    shell cannot export a name.
    """
    found: dict[str, str | None] = {}
    for entry in spec.env:
        if _fits_env_file(entry):
            continue
        name, equals, value = entry.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Unsupported(f"Config.Env: the variable {name!r} fits neither an environment file nor a shell")
        found[name] = value if equals else None
    return found


def needs_api(spec: ContainerSpec) -> tuple[tuple[str, str], ...]:
    """The options in this spec's command that not every client since 1.13 knows: (option, API version), sorted."""
    found = {flag: _NEWER[flag] for flag, _ in _options(spec, True, True) if flag in _NEWER}
    if spec.endpoint.needs_long_form:
        found["network name=…"] = "1.40"
    if spec.more_networks:
        found["network, several"] = "1.44"
    if "systempaths=unconfined" in spec.security_opts:
        found["security-opt systempaths"] = "1.40"
    if any(request.driver == "cdi" for request in spec.device_requests):
        found["device, CDI name"] = "1.44"
    return tuple(sorted(found.items()))


_SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|PRIVATE|ETCDCTL_USER|(?<!PUBLIC_)KEY(?!_FILE)", re.IGNORECASE)


_KNOWN = re.compile(r"ETCD(CTL)?_\w+|PATH|HOME|HOSTNAME|TERM|TZ|LANG|LC_\w+|GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)")
"""Variables whose values may be shown, unless they look secret. Of all others nobody knows what they hold."""
_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_TOO_SHORT = 4
"""Values of fewer characters cannot be told from ordinary words in a text."""


def masked(spec: ContainerSpec) -> ContainerSpec:
    """The spec with what is or may be secret replaced by stars: for what is shown and logged.

    Values of variables that are not etcd's, or look secret; of labels, log options and flags that look secret; and users
    and passwords in URLs.
    """
    return replace(
        spec,
        env=tuple(_hide_variable(entry) for entry in spec.env),
        labels=_hide_pairs(spec.labels),
        annotations=_hide_pairs(spec.annotations),
        log_opts=_hide_pairs(spec.log_opts),
        command=None if spec.command is None else tuple(_hide_flag(word) for word in spec.command),
        entrypoint=None if spec.entrypoint is None else tuple(_hide_flag(word) for word in spec.entrypoint),
    )


def secrets_of(spec: ContainerSpec) -> tuple[str, ...]:
    """The values that `masked` hides, the longest first: to be taken out of what a container or an engine says."""

    def texts(one: ContainerSpec) -> list[str]:
        pairs = [f"{name}={value}" for name, value in (*one.labels, *one.annotations, *one.log_opts)]
        return [*one.env, *pairs, *(one.command or ()), *(one.entrypoint or ())]

    found: set[str] = set()
    for text, shown in zip(texts(spec), texts(masked(spec)), strict=True):
        if text != shown:
            found |= {text.partition("=")[2]} if shown.endswith("=***") else set()
            for user in _IN_URL.findall(text):
                found |= {user.rstrip("@"), user.rstrip("@").partition(":")[2]}
    return tuple(sorted((value for value in found if len(value) >= _TOO_SHORT), key=len, reverse=True))


def _hide_variable(entry: str) -> str:
    name, equals, value = entry.partition("=")
    if not equals or not value:
        return entry
    known = _KNOWN.fullmatch(name) is not None
    if not known or (_SECRET.search(name) and not value.startswith("/")):
        return f"{name}=***"
    return f"{name}={_IN_URL.sub('***@', value)}"


def _hide_pairs(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, "***" if _SECRET.search(name) and value else _IN_URL.sub("***@", value)) for name, value in pairs
    )


def _hide_flag(word: str) -> str:
    name, equals, value = word.partition("=")
    harmless = value.startswith("/") or name.lstrip("-") in ("initial-cluster-token", "auth-token", "auth-token-ttl")
    if equals and name.startswith("-") and _SECRET.search(name) and not harmless:
        return f"{name}=***"
    return _IN_URL.sub("***@", word)


def render(spec: ContainerSpec, *, cli: str = "docker", verb: Literal["run", "create"] = "run") -> str:
    """The command as text, one option a line, quoted for sh, ready to paste; ends with a newline.

    Values are shown as they are: pass `masked(spec)` for a log. A seccomp profile comes first, as a here-document.
    """
    profile, path = seccomp_profile(spec), f"./{spec.name or 'container'}-seccomp.json"
    quoted = [_word(word) for word in to_argv(spec, cli=cli, verb=verb, seccomp_file=path)]
    text = " ".join(quoted[:2]) + "".join(f" \\\n  {word}" for word in quoted[2:]) + "\n"
    if profile is None:
        return text
    if harmful(profile):
        raise Unsupported("HostConfig.SecurityOpt: its seccomp profile holds control characters, which JSON does not")
    end = "END-OF-PROFILE"
    while end in profile:
        end += "-"
    return f"cat > {shlex.quote(path)} <<'{end}'\n{profile}\n{end}\n{text}"


def _word(word: str) -> str:
    """One word of sh, safe to show: what a terminal would act on is made by printf when the command is run."""
    if not harmful(word):
        return shlex.quote(word)
    tail = len(word) - len(word.rstrip("\n"))  # which $(…) would drop
    body = "".join(f"\\{byte:03o}" for byte in word[: len(word) - tail].encode("utf-8", "surrogatepass"))
    return f"\"$(printf '{body}')\"" + ("'" + "\n" * tail + "'" if tail else "")


def to_json(spec: ContainerSpec) -> dict[str, object]:
    """The spec as JSON values: what is set, under its field's name, and what was seen on the node."""

    def plain(value: object) -> object:
        if is_dataclass(value) and not isinstance(value, type):
            shown = {item.name: getattr(value, item.name) for item in fields(value)}
            return {key: plain(part) for key, part in shown.items() if part not in (None, "", (), 0, False)}
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        return value

    out: dict[str, object] = {}
    for item in fields(spec):
        value = getattr(spec, item.name)
        default = item.default if item.default is not dataclasses.MISSING else None
        if value != default or item.name == "image":
            pairs = item.name in _PAIR_FIELDS
            out[item.name] = dict(value) if pairs else plain(value)
    return json.loads(json.dumps(out))  # type: ignore[no-any-return]


_PAIR_FIELDS = frozenset(words("labels annotations storage_opts sysctls log_opts tmpfs"))


# --- from the command line ---


@dataclass(frozen=True)
class _Parsed:
    cli: str
    values: Mapping[str, list[str]]
    image: str
    arguments: tuple[str, ...]

    def last(self, flag: str, default: str = "") -> str:
        return self.values[flag][-1] if flag in self.values else default

    def all(self, flag: str) -> list[str]:
        return self.values.get(flag, [])

    def on(self, flag: str) -> bool:
        return flag in self.values and parse_bool(self.values[flag][-1])


def from_argv(argv: Sequence[str], *, files: Mapping[str, str] | None = None) -> ContainerSpec:
    """Read a `docker run` or `docker create` (podman's too). `files` are the texts of files that options name.

    Raises UsageError where docker would, Unsupported for an option that the spec does not know or that depends on
    where the client runs. What concerns the client alone (`--pull`, `--quiet`, `--cidfile`, …) is dropped.
    """
    parsed = _split(argv)
    rows = {row.attr: row.kind.parse(parsed.all(row.flag)) for row in TABLE if parsed.all(row.flag)}
    rows |= _volumes(parsed.all("volume"))
    network, endpoint, more = _read_networks(parsed)
    publish = tuple(port for text in parsed.all("publish") for port in Port.parse(text))
    published = {port.exposed for port in publish}
    exposed = tuple(port for text in parsed.all("expose") for port in parse_exposed(text) if port not in published)
    interactive = bool(rows.get("interactive", False))
    names = parsed.all("device")
    requests = [DeviceRequest.parse(text) for text in parsed.all("gpus")]
    cdi = tuple(name for name in names if is_cdi_name(name))
    if parsed.all("label-file"):
        rows["labels"] = _labels_with_files(parsed, files)
    return ContainerSpec(
        image=parsed.image,
        name=parsed.last("name"),
        command=parsed.arguments or None,
        entrypoint=_read_entrypoint(parsed),
        env=_environment(parsed, files),
        attach=_read_attach(parsed, interactive),
        network=network,
        endpoint=endpoint,
        more_networks=more,
        publish=publish,
        expose=tuple(dict.fromkeys(exposed)),
        security_opts=tuple(_security_option(text, files) for text in parsed.all("security-opt")),
        devices=tuple(Device.parse(name) for name in names if not is_cdi_name(name)),
        device_requests=(*requests, *([DeviceRequest("cdi", 0, cdi)] if cdi else [])),
        log_driver=parsed.last("log-driver"),
        log_opts=tuple(dict(parse_pair(text) for text in parsed.all("log-opt")).items()),
        healthcheck=_read_health(parsed),
        **rows,
    )


def _split(argv: Sequence[str]) -> _Parsed:
    line = list(argv)
    if len(line) > 1 and line[1] == "container":
        del line[1]
    if len(line) < 2 or line[1] not in ("run", "create"):
        raise UsageError(f"not a `docker run`: {shlex.join(line[:3])!r}")
    values: dict[str, list[str]] = {}
    at = 2
    while at < len(line) and line[at].startswith("-") and line[at] != "-":
        word = line[at]
        at += 1
        if word == "--":
            break
        for flag, given in _flags(word):
            value = "true" if given is None and flag in _BARE else given
            if value is None:
                if at == len(line):
                    raise UsageError(f"--{flag} needs a value")
                value = line[at]
                at += 1
            values.setdefault(flag, []).append(value)
    if at == len(line):
        raise UsageError("no image in `docker run`")
    return _Parsed(line[0], values, line[at], tuple(line[at + 1 :]))


def _flags(word: str) -> list[tuple[str, str | None]]:
    """One word's options: `--env=K=V`, `--env`, `-eK=V`, `-e=K=V`, `-dit`."""
    if word.startswith("--"):
        flag, equals, value = word[2:].partition("=")
        return [(_known(flag), value if equals else None)]
    found: list[tuple[str, str | None]] = []
    rest = word[1:]
    while rest:
        flag = _SHORT.get(rest[0], rest[0])
        rest = rest[1:]
        if flag in _BARE and not rest.startswith("="):
            found.append((flag, None))
            continue
        found.append((_known(flag), rest.removeprefix("=") if rest else None))
        break
    return found


def _known(flag: str) -> str:
    flag = _SAME.get(flag, flag)
    if flag not in _ROWS and flag not in _SPECIAL and flag not in _CLIENT_ONLY:
        raise Unsupported(f"`docker run`: the option {'--' if len(flag) > 1 else '-'}{flag}")
    return flag


def _read_entrypoint(parsed: _Parsed) -> tuple[str, ...] | None:
    """None where the option is not there, nothing where it is empty; podman takes a JSON list of words too."""
    if "entrypoint" not in parsed.values:
        return None
    text = parsed.last("entrypoint")
    if _is_podman(parsed.cli) and text.startswith("["):
        with contextlib.suppress(ValueError):
            return tuple(str(word) for word in json.loads(text))
    return (text,) if text else ()


def _volumes(texts: list[str]) -> dict[str, Any]:
    for text in texts:
        if text.startswith((".", "~")):
            raise Unsupported(f"`docker run`: --volume {text!r} depends on where the client runs")
    given = list(dict.fromkeys(texts))
    return {
        "binds": tuple(text for text in given if ":" in text),
        "volumes": tuple(text for text in given if ":" not in text),
    }


def _read_attach(parsed: _Parsed, interactive: bool) -> tuple[str, ...]:
    if parsed.on("detach"):
        return ()
    given = {text.lower() for text in parsed.all("attach")} or set(FOREGROUND)
    if interactive:
        given.add("stdin")
    return tuple(stream for stream in ("stdin", *FOREGROUND) if stream in given)


def _read_networks(parsed: _Parsed) -> tuple[str, Endpoint, tuple[tuple[str, Endpoint], ...]]:
    found = [
        Endpoint.parse_long(text) if re.search(r"\w=\w", text) else (text, Endpoint()) for text in parsed.all("network")
    ]
    target, endpoint = found[0] if found else ("", Endpoint())
    endpoint = replace(
        endpoint,
        aliases=endpoint.aliases or tuple(parsed.all("network-alias")),
        ipv4=endpoint.ipv4 or parsed.last("ip"),
        ipv6=endpoint.ipv6 or parsed.last("ip6"),
        link_local=endpoint.link_local or tuple(parsed.all("link-local-ip")),
    )
    return "" if target == "default" else target, endpoint, tuple(found[1:])


def _environment(parsed: _Parsed, files: Mapping[str, str] | None) -> tuple[str, ...]:
    entries = [line for path in parsed.all("env-file") for line in _file_lines("env-file", path, files)]
    return (*entries, *parsed.all("env"))


def _labels_with_files(parsed: _Parsed, files: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    lines = [line for path in parsed.all("label-file") for line in _file_lines("label-file", path, files)]
    return tuple(dict(parse_pair(text) for text in (*lines, *parsed.all("label"))).items())


def _file_lines(flag: str, path: str, files: Mapping[str, str] | None) -> list[str]:
    if files is None or path not in files:
        raise Unsupported(f"`docker run`: --{flag}={path}: the file's text is not at hand")
    lines = (line.lstrip().removesuffix("\r") for line in files[path].split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _security_option(text: str, files: Mapping[str, str] | None) -> str:
    key, _, value = text.partition("=")
    if key != "seccomp" or value in ("unconfined", "builtin") or _is_profile(text):
        return text
    if files is None or value not in files:
        raise Unsupported(f"`docker run`: --security-opt={text}: the file's text is not at hand")
    return "seccomp=" + json.dumps(json.loads(files[value]), separators=(",", ":"))


def _read_health(parsed: _Parsed) -> Healthcheck | None:
    if parsed.on("no-healthcheck"):
        return Healthcheck(("NONE",))
    command = parsed.last("health-cmd")
    check = Healthcheck(
        ("CMD-SHELL", command) if command else None,
        retries=int(parsed.last("health-retries", "0")),
        **{attr: parse_duration(parsed.last(flag, "0")) for flag, attr in _HEALTH},
    )
    return None if check == Healthcheck() else check
