"""PURE: containers, by the command line of docker or podman: every look at them and every change, spelled once.

`cli` is that command line tool. Each change looks before it acts and can be run again, as those in `actions` do.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from fleetrecover import bounds, limits
from fleetrecover.answers import json_object
from fleetrecover.commands import wal_dir
from fleetrecover.commands.base import Action, Probe
from fleetrecover.commands.codes import NAME_TAKEN, STILL_RUNNING
from fleetrecover.commands.inspect import inspected
from fleetrecover.commands.paths import RunPaths
from fleetrecover.commands.shell import quote, synced
from fleetrecover.errors import FormatError
from fleetrecover.facts import HELPER_LABEL, RUN_LABEL
from fleetrecover.model import Command, Result


def cli_version(cli: str) -> Probe[str]:
    """The version of the container engine; fails where its daemon does not answer."""
    side = "Client" if posixpath.basename(cli).startswith("podman") else "Server"
    script = f"{quote(cli)} version --format '{{{{.{side}.Version}}}}'\n"
    return Probe(Command("cli-version", script, timeout=limits.PEEK), lambda r: r.text.strip())


def containers(cli: str, name: str) -> Probe[tuple[Mapping[str, Any], ...]]:
    """`inspect` of every container that may be an etcd, or is ours: running, stopped or renamed."""
    ps = f"{quote(cli)} ps -a --no-trunc"
    template = quote("{{.ID}} {{.Image}} {{.Names}} {{.Command}}")
    script = (
        f"{ps} -q >/dev/null || exit 1\n"
        f"ids=$( {{ {ps} --format {template} | grep -i -F -e etcd -e {quote(name)} | cut -d' ' -f1;"
        f" {ps} -q --filter label={RUN_LABEL}; }} | grep -x '[0-9a-f][0-9a-f]*' | sort -u)\n"
        f"[ -n \"$ids\" ] || {{ echo '[]'; exit 0; }}\n"
        f"{quote(cli)} inspect --type container $ids\n"
    )

    def parse(result: Result) -> tuple[Mapping[str, Any], ...]:
        return tuple(doc for doc in inspected(result.text, "inspect") if not _lends_rights(doc))

    return Probe(Command("containers", script, timeout=limits.LISTING, ok_codes=(0, 1)), parse)


def _lends_rights(doc: Mapping[str, Any]) -> bool:
    """Whether it is a container of ours that only lends us root's rights (`login_shell`)."""
    details = doc.get("Config")
    labels = details.get("Labels") if isinstance(details, Mapping) else None
    return isinstance(labels, Mapping) and HELPER_LABEL in labels


def images(cli: str, ids: Sequence[str]) -> Probe[dict[str, Mapping[str, Any]]]:
    """`inspect` of the images that containers were made from, by id; one that is gone is left out."""
    wanted = " ".join(quote(image) for image in ids)
    script = f"{quote(cli)} inspect --type image {wanted} 2>/dev/null\n" if ids else "echo '[]'\n"

    def parse(result: Result) -> dict[str, Mapping[str, Any]]:
        found = inspected(result.text or "[]", "image inspect")
        return {str(item.get("Id", "")): item for item in found}

    return Probe(Command("images", script, timeout=limits.ENGINE, ok_codes=(0, 1)), parse)


def engine_info(cli: str) -> Probe[dict[str, Any] | None]:
    """The engine's `info`, which tells its defaults; None where it gives none (podman's has another shape)."""
    script = f"{quote(cli)} info --format '{{{{json .}}}}' 2>/dev/null\n"

    def parse(result: Result) -> dict[str, Any] | None:
        try:
            return json_object(result.text, "info")
        except FormatError:
            return None

    return Probe(Command("engine-info", script, timeout=limits.ENGINE, ok_codes=(0, 1)), parse)


def has_image(cli: str, reference: str) -> Probe[str | None]:
    """The id of an image on the node, or None."""
    script = f"{quote(cli)} inspect --type image -f '{{{{.Id}}}}' {quote(reference)} 2>/dev/null\n"
    return Probe(Command("has-image", script, timeout=limits.ENGINE, ok_codes=(0, 1)), lambda r: r.text.strip() or None)


def container_state(cli: str, name: str) -> Probe[dict[str, Any] | None]:
    """One container's `State`, restart policy, id and labels; None where there is none of that name."""
    script = f"{quote(cli)} inspect --type container {quote(name)} 2>/dev/null\n"

    def parse(result: Result) -> dict[str, Any] | None:
        found = inspected(result.text or "[]", "inspect")
        return dict(found[0]) if found else None

    return Probe(Command("container-state", script, timeout=limits.ENGINE, ok_codes=(0, 1)), parse)


def container_logs(cli: str, name: str, lines: int = 15) -> Probe[str]:
    """The last lines that a container has written."""
    script = f"{quote(cli)} logs --tail {lines} {quote(name)} 2>&1\n"
    return Probe(Command("container-logs", script, timeout=limits.PEEK, ok_codes=(0, 1)), lambda r: r.text)


def record_containers(cli: str, paths: RunPaths, container_ids: Sequence[str], data: str) -> Action:
    """Save what `inspect` says of the node's etcd containers, and whether there is data, once, before anything is touched."""
    cli = quote(cli)
    target, temporary = quote(paths.containers), quote(paths.containers + ".new")
    ids = " ".join(quote(container) for container in container_ids)
    inspect = f"{cli} inspect --type container {ids}" if container_ids else "echo '[]'"
    return Action.of(
        "record-containers",
        [
            "umask 077",
            f"[ ! -s {target} ] || exit 0",
            f"{inspect} > {temporary}",
            f"if {wal_dir.data_there(paths, posixpath.join(data, 'member'))}; then rm -f {quote(paths.no_data)};"
            f" else : > {quote(paths.no_data)}; fi",
            f"mv {temporary} {target}",
            synced(paths.root),
        ],
        undo="nothing to take back",
    )


def fence(cli: str, container_id: str, name: str, kept_name: str, *, paused: bool = False) -> Action:
    """Stop an etcd gently, so that it flushes its commit; take its restart policy away; give it another name."""
    cli = quote(cli)
    cid = quote(container_id)
    return Action.of(
        "fence",
        [
            f"{cli} update --restart=no {cid} >/dev/null",
            *([f"{cli} unpause {cid} >/dev/null"] if paused else []),
            f"{cli} stop -t {limits.STOP_GRACE} {cid} >/dev/null",
            f"[ \"$({cli} inspect -f '{{{{.Name}}}}' {cid})\" = {quote('/' + kept_name)} ]"
            f" || {cli} rename {cid} {quote(kept_name)}",
        ],
        timeout=limits.CONTAINER,
        undo=f"{cli} rename {kept_name} {name}, its restart policy put back, started if it ran",
    )


def refuse_running(cli: str, data: str, wal: str = "") -> list[str]:
    """Lines that exit with STILL_RUNNING if a running container may write below `data`, or `wal` where one is given.

    That is one with a bind on `data`, on something below it, or on a directory above it; symbolic links are followed. A
    bind above counts unless it is read-only or the container is known not to be an etcd: agents of many kinds have a bind
    on the whole host. Where a container cannot be looked at, and runs on, it counts, too.
    """
    cli = quote(cli)
    template = (
        "is={{.Path}} {{range .Args}}{{.}} {{end}}{{.Config.Image}} {{println .Name}}"
        "{{range .Mounts}}{{println .RW .Source}}{{end}}"
    )
    return [
        f"data=$(readlink -f {quote(data)} 2>/dev/null) || data={quote(data)}",
        *([f"wal={quote(wal)}"] if wal else []),
        f"running=$({cli} ps -q --no-trunc)",
        "for c in $running; do",
        f'  if ! said=$({cli} inspect -f {quote(template)} "$c" 2>/dev/null); then',
        f'    if {cli} ps -q --no-trunc | grep -qxF "$c"; then exit {STILL_RUNNING}; fi',
        "    continue",
        "  fi",
        "  other=0",
        "  case $(printf '%s\\n' \"$said\" | head -n 1) in is=*[Ee][Tt][Cc][Dd]*) ;; is=*) other=1 ;; esac",
        "  printf '%s\\n' \"$said\" | while read -r rw source; do",
        '    case $rw in true|false) ;; is=*) continue ;; *) source="$rw${source:+ $source}"; rw=true ;; esac',
        '    [ -n "$source" ] || continue',
        '    real=$(readlink -f "$source" 2>/dev/null) || real=$source',
        "    real=${real%/}",
        '    case $real/ in "$data"/*) echo "$c"; break ;; esac',
        *(['    case $real/ in "$wal"/*) echo "$c"; break ;; esac'] if wal else []),
        '    [ "$rw" = true ] && [ "$other" = 0 ] || continue',
        '    case $data/ in "$real"/*) echo "$c"; break ;; esac',
        *(['    case $wal/ in "$real"/*) echo "$c"; break ;; esac'] if wal else []),
        f"  done | grep -q . && exit {STILL_RUNNING} || true",
        "done",
    ]


def run_container(name: str, argv: Sequence[str], env_file: Sequence[str], shown: Sequence[str]) -> Action:
    """Start a container from a complete `docker run` argv whose `--env-file` is /dev/stdin.

    The environment comes through a pipe from the shell's own `printf`, never over a command line or a file.
    `shown` is the argv for a person's eye, secrets masked.
    """
    command = " ".join(quote(word) for word in argv) + " >/dev/null"
    lines = " ".join(quote(line) for line in env_file)
    script = f"printf '%s\\n' {lines} | {command}" if env_file else f"{command} </dev/null"
    visible = " ".join(quote(word) for word in shown)
    return Action(
        Command(name, f"set -eu\n{script}\n", timeout=limits.RUN, shown=visible), undo="the container is removed"
    )


def save_image(cli: str, reference: str) -> Command:
    """Write an image to standard output, as `load` reads it; a read, though a long one."""
    cli = quote(cli)
    return Command("image-save", f"{cli} save {quote(reference)}\n", timeout=limits.IMAGE, most=bounds.IMAGE)


def load_image(cli: str, reference: str, image_id: str) -> Action:
    """Load an image from standard input and see that it can be named as the joiner's command names it."""
    cli = quote(cli)
    tag = [
        f"{cli} inspect --type image {quote(reference)} >/dev/null 2>&1 || {cli} tag {quote(image_id)} {quote(reference)}"
    ]
    return Action.of(
        "image-load",
        [
            f"{cli} load >/dev/null",
            *(tag if image_id and image_id != reference and "@" not in reference else []),
            f"{cli} inspect --type image {quote(reference)} >/dev/null",
        ],
        timeout=limits.IMAGE,
        undo="the image stays",
    )


def remove_container(cli: str, name: str, run_label: str, run: str) -> Action:
    """Stop and remove a container, but only if it carries this run's label."""
    cli = quote(cli)
    template = quote("{{index .Config.Labels " + json.dumps(run_label) + "}}")
    return Action.of(
        "remove-container",
        [
            f"{cli} inspect --type container {quote(name)} >/dev/null 2>&1 || exit 0",
            f'[ "$({cli} inspect --type container -f {template} {quote(name)})" = {quote(run)} ] || exit {NAME_TAKEN}',
            f"{cli} update --restart=no {quote(name)} >/dev/null",
            f"{cli} stop -t {limits.STOP_GRACE} {quote(name)} >/dev/null",
            f"{cli} rm {quote(name)} >/dev/null",
        ],
        timeout=limits.CONTAINER,
        undo="it was ours, and is made again when needed",
    )


def restart_container(cli: str, name: str) -> Action:
    """Stop a container gently and start it again, as it is."""
    return Action.of(
        "restart", [f"{quote(cli)} restart -t {limits.STOP_GRACE} {quote(name)} >/dev/null"], timeout=limits.CONTAINER
    )


def stop_container(cli: str, name: str) -> Action:
    """Stop a container gently, so that etcd flushes its commit."""
    cli = quote(cli)
    return Action.of("stop", [f"{cli} stop -t {limits.STOP_GRACE} {quote(name)} >/dev/null"], timeout=limits.CONTAINER)


def _named(cli: str, cid: str, name: str) -> list[str]:
    """Lines that give a container that name, unless another one has it; `cli` and `cid` are quoted."""
    name_of = f"{cli} inspect --type container -f '{{{{.Name}}}}' {cid}"
    id_of = f"{cli} inspect --type container -f '{{{{.Id}}}}' {quote(name)} 2>/dev/null || true"
    return [
        f'holder=$({id_of}); [ -z "$holder" ] || [ "$holder" = {cid} ] || exit {NAME_TAKEN}',
        f'[ "$({name_of})" = {quote("/" + name)} ] || {cli} rename {cid} {quote(name)}',
    ]


def start_original(cli: str, container_id: str, name: str, restart_policy: str) -> Action:
    """Start a node's own container as it was: its name, its restart policy, its unchanged command."""
    cli = quote(cli)
    cid = quote(container_id)
    return Action.of(
        "start",
        [
            *_named(cli, cid, name),
            f"{cli} update --restart={quote(restart_policy)} {cid} >/dev/null",
            # one that crashed again and again waits up to a minute for its next try, and `start` leaves it waiting
            f"if [ \"$({cli} inspect -f '{{{{.State.Restarting}}}}' {cid})\" = true ];"
            f" then {cli} restart -t 30 {cid} >/dev/null; else {cli} start {cid} >/dev/null; fi",
        ],
        timeout=limits.START_REBUILT,
        undo="it is stopped and set aside again",
    )


def give_name_back(cli: str, container_id: str, was: str, name: str) -> Action:
    """Give a container, which may run, its own name, unless another one has it."""
    cid, cli = quote(container_id), quote(cli)
    return Action.of(
        "give-name-back",
        [
            *_named(cli, cid, name),
        ],
        undo=f"{cli} rename {quote(name)} {quote(was)}",
    )


def start_existing(cli: str, name: str) -> Action:
    """Start a container that stands stopped; nothing happens if it runs."""
    cli = quote(cli)
    return Action.of("start", [f"{cli} start {quote(name)} >/dev/null"], timeout=limits.CONTAINER)


def set_restart_policy(cli: str, name: str, restart_policy: str) -> Action:
    """Give a container its restart policy."""
    cli = quote(cli)
    return Action.of("restart-policy", [f"{cli} update --restart={quote(restart_policy)} {quote(name)} >/dev/null"])


def put_container_back(cli: str, container_id: str, name: str, restart_policy: str, *, start: bool) -> Action:
    """Give a container the name and restart policy that it had, and start it if it ran."""
    cli = quote(cli)
    cid = quote(container_id)
    return Action.of(
        "put-container-back",
        [
            *_named(cli, cid, name),
            f"{cli} update --restart={quote(restart_policy)} {cid} >/dev/null",
            *([f"{cli} start {cid} >/dev/null"] if start else []),
        ],
        timeout=limits.CONTAINER,
    )


def remove_kept_container(cli: str, container_id: str, kept_name: str) -> Action:
    """Remove a container that a run set aside, if it still has that name and does not run."""
    cli = quote(cli)
    cid = quote(container_id)
    template = quote("{{.Name}} {{.State.Running}}")
    return Action.of(
        "remove-kept-container",
        [
            f"{cli} inspect --type container {cid} >/dev/null 2>&1 || exit 0",
            f'[ "$({cli} inspect --type container -f {template} {cid})" = {quote(f"/{kept_name} false")} ]'
            f" || exit {STILL_RUNNING}",
            f"{cli} rm {cid} >/dev/null",
        ],
        undo="it cannot be taken back",
    )
