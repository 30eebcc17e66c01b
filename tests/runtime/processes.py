"""A stand-in runtime for the tests: an etcd is a plain process of the host, and no container engine is there.

It is no product: nothing but the tests starts a process again after a reboot. It shows that nobody above the seam knows
containers. Each instance has a directory below ROOT: `definition` (JSON), `start` (what runs it), `id`, `policy`, `run`, `role`,
`pid`, `log`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from fleetrecover.commands import wal_dir
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.codes import NAME_TAKEN, STILL_RUNNING
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import join, quote, synced, write_file
from fleetrecover.commands.snapshots import Neighbour
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.etcd.config import EtcdConfig, client_endpoint, parse_cluster, show_cluster, variable
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Container, Definition, Role
from fleetrecover.model import Command, Fleet, Host
from fleetrecover.runtime import LOOPBACK, Defined, Listed, MemberIdentity, State
from fleetrecover.runtime.base import Read

ROOT = "/opt/processes"
PEER = "http://127.0.0.1:2380"
_UP = f"""
up() {{ p=$(cat "$d/pid" 2>/dev/null) && [ -n "$p" ] && readlink "/proc/$p/exe" >/dev/null 2>&1; }}
status() {{ if up; then echo running; else echo exited; fi; }}
stop() {{ n=0; ! up || kill -TERM "$p"; while up && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done; ! up; }}
start() {{
  up || {{ setsid sh "$d/start" "$d" >>"$d/log" 2>&1 </dev/null & }}
  n=0; until up || [ $n -ge 50 ]; do sleep 0.1; n=$((n + 1)); done; up
}}
of() {{ for d in {ROOT}/*; do [ "$(cat "$d/id" 2>/dev/null)" = "$1" ] && return; done; return 1; }}
"""
_ISOLATED = "unshare -n sh -c 'ip link set lo up; exec \"$@\"' sh"


@dataclass(frozen=True)
class Process:
    """How one is started."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    isolated: bool = False
    policy: str = "always"
    run: str = ""
    role: str = ""
    auto_remove: bool = False
    directory: str = "/"
    flags_alone: bool = False

    @property
    def image(self) -> str:
        return self.argv[0]

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.env)

    def having(self, values: Mapping[str, str | None], **more: Any) -> Process:
        """With these flags; None takes one away."""
        kept = [word for word in self.argv[1:] if word.removeprefix("--").partition("=")[0] not in values]
        made = [f"--{name}={value}" for name, value in values.items() if value is not None]
        env = tuple(pair for pair in self.env if pair[0] not in map(variable, values))
        return replace(self, argv=(self.argv[0], *kept, *made), env=env, **more)


def process(definition: Definition) -> Process:
    """What an opaque definition of this runtime is."""
    return cast(Process, definition)


def opaque(made: Process) -> Definition:
    """As all others see it."""
    return cast(Definition, made)


@dataclass(frozen=True)
class ByHand:
    """What a person would type."""

    def __getattr__(self, verb: str) -> Callable[..., str]:
        return lambda *words: " ".join((f"process-{verb}", *words))


@dataclass(frozen=True)
class Processes:
    """The runtime."""

    name: str = "process"
    cli: str = "ps"
    hand: Any = ByHand()

    @property
    def gives_root(self) -> str | None:
        return None

    def cannot_fence(self, version: str) -> str:
        return ""

    # --- looks ---

    def version(self) -> Probe[str]:
        return Probe(Command("version", "echo 1\n"), lambda r: r.text.strip())

    def listing(self, name: str) -> Probe[Listed]:
        keys = ("id", "policy", "run", "role", "created", "definition")
        each = "; ".join(f'echo "{key}=$(cat "$d/{key}" 2>/dev/null)"' for key in keys)
        first = 'echo "name=${d##*/}"; echo "status=$(status)"'
        body = f'for d in {ROOT}/*; do [ -e "$d/id" ] || continue; {first}; {each}; done\n'
        return Probe(Command("listing", _UP + body), lambda r: Listed(tuple(_rows(r.text))))

    def instances(self, listed: Listed, read: Read) -> tuple[Container, ...]:
        return tuple(self._instance(row) for row in listed.rows)

    def _instance(self, row: Mapping[str, str]) -> Container:
        one = _parsed(row)
        config = EtcdConfig.of(one)
        return Container(
            id=row["id"],
            name=row["name"],
            state=row["status"],
            image=one.image,
            image_id="",
            restart_policy=row["policy"],
            network="none" if one.isolated else "host",
            labels={key: value for key, value in ((RUN_LABEL, row["run"]), (ROLE_LABEL, row["role"])) if value},
            exit_code=0,
            created=row["created"],
            config=config,
            data_path=config.data_dir,
            endpoint=client_endpoint(config),
            tls=_tls(config),
            forced=config.force_new_cluster,
            spec=opaque(one),
        )

    def names(self, listed: Listed) -> tuple[str, ...]:
        return tuple(row["name"] for row in listed.rows)

    def defined(self, name: str, read: Read) -> Defined | None:
        found = next((row for row in read(self.listing(name)).rows if row["name"] == name), None)
        return None if found is None else Defined(name, found["status"], opaque(_parsed(found)))

    def helpers(self, listed: Listed) -> tuple[tuple[str, str], ...]:
        return ()

    def state(self, name: str) -> Probe[State | None]:
        script = f'{_UP}d={ROOT}/{quote(name)}\n[ -e "$d/id" ] || exit 0\necho "$(cat "$d/id")"; status; cat "$d/run"\n'

        def parse(result: Any) -> State | None:
            lines = result.text.split("\n")
            return State(lines[0], lines[1], lines[2] or None) if lines[0] else None

        return Probe(Command("state", script), parse)

    def logs(self, name: str, lines: int) -> Probe[str]:
        script = f"tail -n {lines} {ROOT}/{quote(name)}/log 2>/dev/null || true\n"
        return Probe(Command("logs", script), lambda r: r.text)

    def exec(self, name: str, environment: Sequence[tuple[str, str]], words: Sequence[str]) -> tuple[str, ...]:
        given = tuple(f"{key}={value}" for key, value in environment)
        inside = f'for d in {ROOT}/*; do [ "$(cat "$d/id")" != "$0" ] && [ "${{d##*/}}" != "$0" ] || break; done; '
        return ("sh", "-c", inside + 'exec nsenter -n -t "$(cat "$d/pid")" env "$@"', name, *given, *words)

    def ctl(self, instance: Container) -> Etcdctl:
        return Etcdctl(self, instance.id, instance.endpoint, instance.tls)

    def ctl_of(self, definition: Definition, name: str) -> Etcdctl:
        config = EtcdConfig.of(process(definition))
        return Etcdctl(self, name, client_endpoint(config), _tls(config))

    # --- changes ---

    def quiet(self, data: str, wal: str) -> list[str]:
        its_data = 'sed -n \'s/.*--data-dir=\\([^"]*\\)".*/\\1/p\' "$d/definition"'
        same = f'[ "$({its_data})" = {quote(data)} ]'
        return [*_UP.strip().split("\n"), f"for d in {ROOT}/*; do if {same} && up; then exit {STILL_RUNNING}; fi; done"]

    def record(self, paths: RunPaths, ids: Sequence[str], data: str) -> Action:
        one = '{"Id":"%s","Name":"/%s","State":{"Status":"%s"},"HostConfig":{"RestartPolicy":{"Name":"%s"}}}'
        each = f'printf \'%s{one}\' "$s" "$(cat "$d/id")" "${{d##*/}}" "$(status)" "$(cat "$d/policy")"; s=,'
        there = wal_dir.data_there(paths, f"{data}/member")
        known = "|".join(map(quote, ids)) or "-"
        return _action(
            "record-containers",
            f"[ ! -s {quote(paths.containers)} ] || exit 0",
            f'{{ s=; printf "["; for d in {ROOT}/*; do case $(cat "$d/id") in {known}) {each} ;; esac; done; echo "]"; }} \\',
            f"  > {quote(paths.containers)}.new",
            f"if {there}; then rm -f {quote(paths.no_data)}; else : > {quote(paths.no_data)}; fi",
            f"mv {quote(paths.containers)}.new {quote(paths.containers)}",
            synced(paths.root),
        )

    def fence(self, identity: str, name: str, keep_as: str, *, paused: bool = False) -> Action:
        aside = f"{ROOT}/{quote(keep_as)}"
        return _action(
            "fence", f"of {quote(identity)}", 'echo no >"$d/policy"', "stop", f'[ "$d" = {aside} ] || mv "$d" {aside}'
        )

    def launch(self, definition: Definition, name: str) -> Action:
        one = process(definition)
        home = f"{ROOT}/{quote(name)}"
        run = f"exec {_ISOLATED + ' ' if one.isolated else ''}env {join([f'{k}={v}' for k, v in one.env])} {join(one.argv)}"
        files = {"definition": json.dumps(asdict(one)), "start": f'echo $$ >"$1/pid"\n{run}\n'}
        files |= {"policy": one.policy, "run": one.run, "role": one.role}
        return _action(
            f"run {name}",
            f"mkdir -p {home}",
            *(write_file(f"{ROOT}/{name}/{file}", f"{text}\n".encode()) for file, text in files.items()),
            f"date +%s.%N >{home}/created; [ -s {home}/id ] || head -c 8 /dev/urandom | od -An -tx1 | tr -d ' \\n' >{home}/id",
            f"d={home}",
            "start",
        )

    def start_own(self, identity: str, name: str, policy: str) -> Action:
        return self.put_back(identity, name, policy, start=True)

    def put_back(self, identity: str, name: str, policy: str, *, start: bool) -> Action:
        return _action("start", *_named(identity, name), f'echo {policy} >"$d/policy"', "start" if start else ":")

    def start(self, name: str) -> Action:
        return _action("start", f"d={ROOT}/{quote(name)}", "start")

    def restart(self, name: str) -> Action:
        return _action("restart", f"d={ROOT}/{quote(name)}", "stop", "start")

    def stop(self, name: str) -> Action:
        return _action("stop", f"d={ROOT}/{quote(name)}", "stop")

    def remove(self, name: str, run: str) -> Action:
        ours = f'[ "$(cat "$d/run")" = {quote(run)} ] || exit {NAME_TAKEN}'
        return _action(
            "remove-container", f"d={ROOT}/{quote(name)}", '[ -e "$d" ] || exit 0', ours, "stop", 'rm -rf -- "$d"'
        )

    def remove_kept(self, identity: str, name: str) -> Action:
        same = f'[ "${{d##*/}}" = {quote(name)} ] && ! up || exit {STILL_RUNNING}'
        return _action("remove-kept-container", f"of {quote(identity)} || exit 0", same, 'rm -rf -- "$d"')

    def remove_trials(self, keep_root: str) -> Action:
        ours = 'case $(cat "$d/run") in trial-*) stop; rm -rf -- "$d" ;; esac'
        return _action("remove-trials", f"for d in {ROOT}/*; do {ours}; done")

    def rename(self, identity: str, was: str, name: str) -> Action:
        return _action("give-name-back", *_named(identity, name))

    def autostart(self, name: str, policy: str) -> Action:
        return _action("restart-policy", f"echo {policy} >{ROOT}/{quote(name)}/policy")

    def save_image(self, reference: str) -> Command:
        return Command("image-save", f"cat {quote(reference)}\n")

    def load_image(self, reference: str, image_id: str) -> Action:
        new = quote(f"{reference}.new")
        return _action("image-load", f"cat >{new}", f"chmod 755 {new}", f"mv {new} {quote(reference)}")

    # --- what there is none of here ---

    def has_image(self, reference: str) -> Probe[str | None]:
        return Probe(Command("has-image", f"command -v {quote(reference)} || true\n"), lambda r: r.text.strip() or None)

    def neighbours(self, names: Sequence[str]) -> Probe[tuple[Neighbour, ...]]:
        return Probe(Command("neighbours", "true\n"), lambda _: ())

    def __getattr__(self, verb: str) -> Any:
        raise Unsupported(f"plain processes know no {verb}")

    # --- definitions ---

    def config(self, definition: Definition) -> EtcdConfig:
        return EtcdConfig.of(process(definition))

    def quarantined(
        self,
        definition: Definition,
        *,
        name: str,
        data: str,
        wal: str | None,
        run: str,
        force: bool = True,
        extra: Mapping[str, str] | None = None,
    ) -> Definition:
        one, own = process(definition), self.config(definition).name
        tls = {flag: None for flag in self.config(definition).given if flag.endswith(("-file", "-auth"))}
        flags: dict[str, str | None] = {**tls, "initial-cluster-state": None, "wal-dir": wal, "data-dir": data}
        flags |= {"listen-client-urls": LOOPBACK, "advertise-client-urls": LOOPBACK, "listen-peer-urls": PEER}
        flags |= {"initial-advertise-peer-urls": PEER, "initial-cluster": f"{own}={PEER}", "listen-metrics-urls": None}
        flags |= {"force-new-cluster": "true" if force else None, **(extra or {})}
        kept = {"name": name, "isolated": True, "policy": "no", "run": run, "role": Role.QUARANTINE.value}
        return opaque(one.having(flags, **kept))

    def plain(self, definition: Definition, *, name: str, run: str, role: Role) -> Definition:
        return opaque(process(definition).having({"force-new-cluster": None}, name=name, run=run, role=role.value))

    def joiner(self, definition: Definition, *, name: str, initial_cluster: Mapping[str, str] | str) -> Definition:
        listed = parse_cluster(initial_cluster if isinstance(initial_cluster, str) else show_cluster(initial_cluster))
        own = self.config(definition)
        if own.name not in listed:
            raise Refused(f"{own.name} is not in {listed}")
        before = list(own.initial_cluster)
        order = sorted(listed, key=lambda member: before.index(member) if member in before else len(before))
        text = show_cluster({member: listed[member] for member in order})
        flags = {"force-new-cluster": None, "initial-cluster": text, "initial-cluster-state": "existing"}
        return opaque(process(definition).having(flags, name=name, policy="no"))

    def as_member(
        self, definition: Definition, hostname: str, to: Callable[[str], MemberIdentity]
    ) -> tuple[Definition, tuple[str, ...]]:
        raise Unsupported("a process is not made after another host's")

    def autostarting(self, definition: Definition, policy: str) -> Definition:
        return opaque(replace(process(definition), policy=policy))

    def on_host(self, definition: Definition, path: str) -> str | None:
        return path

    def files(self, definition: Definition) -> tuple[str, ...]:
        return self.config(definition).files

    def own_mount(self, definition: Definition, path: str) -> bool:
        return False

    def check_isolated(self, definition: Definition) -> None:
        one = process(definition)
        if not one.isolated or one.policy != "no":
            raise Refused(f"{one.name} has a network, or starts by itself")

    def check_quarantine(self, definition: Definition) -> None:
        if self.config(definition).force_new_cluster:
            self.check_isolated(definition)

    def check_no_force(self, definition: Definition) -> None:
        if self.config(definition).force_new_cluster:
            raise Refused(f"--force-new-cluster is on {process(definition).name}")

    def secrets(self, definition: Definition) -> tuple[str, ...]:
        return tuple(value for key, value in process(definition).env if "PASSWORD" in key)

    def masked(self, definition: Definition) -> Definition:
        one = process(definition)
        return opaque(replace(one, env=tuple((k, "***" if "PASSWORD" in k else v) for k, v in one.env)))

    def shown(self, definition: Definition) -> str:
        one = process(self.masked(definition))
        return f"{join([f'{key}={value}' for key, value in one.env])} {join(one.argv)}".strip()

    def pasted(self, definition: Definition) -> str:
        return f"{join(process(definition).argv)}\n"

    def document(self, definition: Definition) -> Mapping[str, Any]:
        return asdict(process(definition))


def _action(name: str, *lines: str) -> Action:
    return Action.of(name, [*_UP.strip().split("\n"), *lines], timeout=60, undo="it is a stand-in")


def _named(identity: str, name: str) -> list[str]:
    """Lines that find one by its id and give it that name, unless another one has it."""
    place = f"{ROOT}/{quote(name)}"
    free = f"[ ! -e {place} ] || exit {NAME_TAKEN}"
    return [f"of {quote(identity)}", f'[ "$d" = {place} ] || {{ {free}; mv "$d" {place}; d={place}; }}']


def _rows(text: str) -> Iterator[dict[str, str]]:
    row: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "name" and row:
            yield row
            row = {}
        row[key] = value
    if row:
        yield row


def _parsed(row: Mapping[str, str]) -> Process:
    found = json.loads(row["definition"])
    pairs = tuple((str(key), str(value)) for key, value in found.pop("env"))
    return Process(**{**found, "argv": tuple(found["argv"]), "env": pairs})


def _tls(config: EtcdConfig) -> tuple[str, ...]:
    return (config.ca_file, config.cert_file, config.key_file) if config.cert_file else ()


def made(fleet: Fleet, host: Host | None) -> Any:
    """As `runtime.KINDS` has it."""
    return Processes()
