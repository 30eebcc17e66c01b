"""PURE: who manages a container, and would start it again, or make it anew, after we have stopped it.

A container whose manager is not asked comes back on the directory that we have just moved, whatever its restart policy says:
with state `new` and an empty directory that is a new, empty cluster. So each manager is told of, and a plan that would stop
such a container is refused, but where it is a systemd unit that can be held (see `decide/units.py`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from fleetrecover.commands.units import SETTINGS, can_be_named, drop_in
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.facts import Container, NodeFacts, Starter, StarterKind, Survey

UNIT_HELD = "unit-held"
"""The code of the finding that a unit is kept from starting by a run that is not open."""


@dataclass(frozen=True)
class Manager:
    """Who would start a container. `code` is a word for programs, `name` the manager's own name for it.

    `harmless`: it does so only when a person asks. `starter`: the systemd unit, where it is one that may be held.
    """

    code: str
    name: str
    what: str
    advice: str
    harmless: bool = False
    starter: Starter | None = None


def _kubelet(labels: Mapping[str, str]) -> Manager | None:
    pod = labels.get("io.kubernetes.pod.name") or labels.get("io.kubernetes.container.name")
    if pod is None:
        return None
    return Manager(
        "kubelet",
        pod,
        f"is part of the pod {pod}: the kubelet starts it again",
        "move its manifest out of /etc/kubernetes/manifests on every etcd host, or stop the kubelet (systemctl stop kubelet), "
        "before anything is done about etcd; this version recovers no static pods",
    )


def _swarm(labels: Mapping[str, str]) -> Manager | None:
    service = labels.get("com.docker.swarm.service.name")
    if service is None and "com.docker.swarm.task.id" not in labels:
        return None
    name = service or labels["com.docker.swarm.task.id"]
    return Manager(
        "swarm",
        name,
        f"is a task of the swarm service {name}: swarm starts another one",
        f"docker service scale {shlex.quote(name)}=0, and run etcd as plain containers while it is recovered",
    )


def _scheduler(labels: Mapping[str, str]) -> Manager | None:
    for label, what in (
        ("com.hashicorp.nomad.alloc_id", "Nomad"),
        ("com.amazonaws.ecs.task-arn", "the ECS agent"),
        ("io.balena.service-name", "balena's supervisor"),
        ("io.rancher.container.name", "Rancher 1.x"),
    ):
        if label in labels:
            return Manager(
                "scheduler", labels[label], f"is managed by {what}, which starts it again", f"stop it in {what} first"
            )
    return None


def _podman_unit(labels: Mapping[str, str]) -> Manager | None:
    unit = labels.get("PODMAN_SYSTEMD_UNIT")
    if unit is None:
        return None
    return Manager("unit", unit, f"belongs to the unit {unit}, which makes it and removes it", _quadlet_advice(unit))


def _compose(labels: Mapping[str, str]) -> Manager | None:
    project = labels.get("com.docker.compose.project")
    if project is None:
        return None
    return Manager(
        "compose",
        project,
        f"was made by docker compose (project {project}), which touches it only when asked",
        "do not run `docker compose up` there before the cluster is whole",
        harmless=True,
    )


def _quadlet_advice(unit: str) -> str:
    name = shlex.quote(unit)
    return (
        f"a stop of {name} removes the container, so note its command first (`podman inspect`, `systemctl cat {name}`); then "
        f"`systemctl stop {name}`, put its .container file aside, `systemctl daemon-reload`, and make the container by hand, "
        "without --rm, on the same data: it is then recovered as any other"
    )


def _unit_advice(unit: str) -> str:
    name = shlex.quote(unit)
    return (
        f"on that host: systemctl disable --now {name}; the container is then recovered as any other; when the cluster is whole: "
        f"systemctl enable --now {name}"
    )


def managers_of(node: NodeFacts, container: Container) -> Iterator[Manager]:
    """Who would start that container by itself; nobody, but for the engine's own restart policy, where there is none."""
    labels = (ask(container.labels) for ask in (_kubelet, _swarm, _scheduler, _podman_unit))
    starters = (_of_starter(starter, container) for starter in node.starters)
    yield from (found for found in (*labels, *starters, _compose(container.labels)) if found is not None)


def manager_of(node: NodeFacts, container: Container) -> Manager | None:
    """The first of them; None for nobody."""
    return next(managers_of(node, container), None)


def lines_about(starter: Starter, name: str) -> list[str]:
    """The commands with which a starter that runs, or will, starts, makes, stops or removes the container of that name."""
    if not (starter.active or starter.enabled or starter.held_by):
        return []
    return [line for line in starter.commands.splitlines() if _handles(line, name)]


def remakes(starter: Starter, name: str) -> bool:
    """Whether it makes that container anew when it starts, so that one of the name is in its way, or is removed."""
    return any(re.search(r"\s(run|create|rm)\s", line) for line in lines_about(starter, name))


def cannot_hold(node: NodeFacts, starter: Starter) -> str:
    """Why a unit cannot be kept from starting by us; empty where it can. See commands/units.py."""
    root = node.data.keep_root if node.data is not None else ""
    forced = [
        c.name for c in node.containers if c.forced and c.role is None and remakes(starter, c.kept_name or c.name)
    ]
    if not starter.service:
        return "systemd does not say of which type it is"
    if not starter.lasting:
        return "it is generated or transient, so nothing is left of it when it is stopped"
    if not starter.settings:
        return f"the login user may not write in {SETTINGS}"
    if not can_be_named(root):
        return f"the path {root!r} cannot stand in a unit's file"
    if forced:
        return f"the command with which it makes {forced[0]} has --force-new-cluster: take it out there first"
    return ""


def _of_starter(starter: Starter, container: Container) -> Manager | None:
    name = container.kept_name or container.name
    lines = lines_about(starter, name)
    if not lines:
        return _by_compose(starter, container)
    if starter.kind is StarterKind.CRON:
        return Manager(
            "cron",
            starter.name,
            f"is started by {starter.name}: {lines[0].strip()[:120]}",
            f"take that line out of {starter.name}",
        )
    advice = _unit_advice(starter.name)
    return Manager("unit", starter.name, f"is started by the unit {starter.name}", advice, starter=starter)


_COMPOSE = re.compile(
    r"(^|[\s/;&|('\"])(docker|podman)[\s-]compose\s(.*\s)?(up|start|restart|run|create|down|stop|rm)(\s|$|[;&|)'\"])"
)
_PROJECT = re.compile(
    r"\s(-f|--file|-p|--project-name|--project-directory)[\s=]|^WorkingDirectory=|(^|[\s;&|('\"])cd\s", re.M
)


def _by_compose(starter: Starter, container: Container) -> Manager | None:
    """A unit or a line of cron's that runs compose on that container's project.

    It is not held: compose knows its containers by their labels, so the `down` of a unit that is stopped removes one whatever
    its name is.
    """
    project = container.labels.get("com.docker.compose.project")
    runs = [line for line in starter.commands.splitlines() if _COMPOSE.search(line)]
    if not project or not runs or not (starter.active or starter.enabled or starter.kind is StarterKind.CRON):
        return None
    places = [container.labels.get(f"com.docker.compose.project.{key}", "") for key in ("working_dir", "config_files")]
    named = {project, *(place for text in places for place in text.split(",") if place)}
    words = re.split(r"[\s;&|'\"()=]+", starter.commands)
    if not named & {word.rstrip("/") for word in words} and (
        _PROJECT.search(starter.commands) or "etcd" not in f"{starter.name} {starter.commands}"
    ):
        return None
    if starter.kind is StarterKind.CRON:
        what, advice = runs[0].strip()[:120], f"take that line out of {starter.name}"
    else:
        what = f"runs docker compose on its project {project}"
        advice = (
            f"on that host: systemctl disable --now {shlex.quote(starter.name)}, and, if that removed the container, "
            "`docker compose up --no-start` in its directory makes it anew on the same data; when the cluster is whole: "
            f"systemctl enable --now {shlex.quote(starter.name)}"
        )
    return Manager(
        "unit" if starter.kind is StarterKind.UNIT else "cron",
        starter.name,
        f"is started by {starter.name}: {what}",
        advice,
    )


_ENGINE = re.compile(r"(^|[\s/;&|(])(docker|podman|nerdctl)(\s|$)")
_VERB = re.compile(r"\s(run|start|restart|create|rm|stop)(\s|$)")


def _handles(line: str, name: str) -> bool:
    """Whether a command is an engine's, about the container of that name; or of a name in a variable, and about an etcd."""
    if not _ENGINE.search(line) or not _VERB.search(line):
        return False
    words = re.split(r"[\s;&|'\"()]+", line)
    given = [word.partition("=")[2] for word in words if word.startswith("--name=")]
    given += [after for word, after in pairwise(words) if word == "--name"]
    named = given or words
    unknown = any("$" in word for word in named if word not in ("$@", "$*"))
    return name in named or (unknown and "etcd" in line)


def own_units(node: NodeFacts) -> Iterator[Starter]:
    """The units that run an etcd of the host's own, without a container."""
    for starter in node.starters:
        if starter.kind is not StarterKind.UNIT or not (starter.active or starter.enabled):
            continue
        for line in starter.commands.splitlines():
            words = line.split()
            if words and words[0].lstrip("-@:+!").rpartition("/")[2] == "etcd" and not _ENGINE.search(starter.commands):
                yield starter
                break


def manager_findings(survey: Survey) -> list[Finding]:
    """One for each managed container, and for each unit that runs an etcd beside the containers."""
    found: list[Finding] = []
    for node in survey.nodes:
        for container in node.containers:
            if container.made_for is not None or container.isolated:
                continue
            found += [_told(node, container, manager) for manager in managers_of(node, container)]
        found += [*unit_findings(node), *_left_held(node)]
    return found


def _told(node: NodeFacts, container: Container, manager: Manager) -> Finding:
    """A manager as `survey` and `diagnose` tell of it: a unit that can be held stands in nobody's way."""
    if manager.starter is None or cannot_hold(node, manager.starter):
        return manager_finding(node, container, manager)
    message = f"{node.name}: container {container.name} {manager.what}"
    advice = "`recover` keeps it from starting while it works, and gives it back, started where it ran"
    return Finding(Severity.INFO, node.name, f"managed-by-{manager.code}", message, advice)


def manager_finding(node: NodeFacts, container: Container, manager: Manager) -> Finding:
    """That a container is managed, and what to do by hand. Who serves is not touched: a manager that keeps it up does no harm."""
    severity = Severity.INFO if manager.harmless or node.healthy else Severity.ERROR
    why = cannot_hold(node, manager.starter) if manager.starter is not None else ""
    message = f"{node.name}: container {container.name} {manager.what}" + (f" ({why})" if why else "")
    return Finding(severity, node.name, f"managed-by-{manager.code}", message, manager.advice)


def _left_held(node: NodeFacts) -> Iterator[Finding]:
    """Units that a run of ours keeps from starting, though it is over or has never begun."""
    under_way = {keep.run for keep in node.open_keeps()}
    for starter in node.starters:
        if starter.held_by and starter.held_by not in under_way:
            name, start = shlex.quote(starter.name), starter.was_active and not starter.active
            yield Finding(
                Severity.WARNING,
                node.name,
                UNIT_HELD,
                f"{node.name}: the unit {starter.name} is still kept from starting by run {starter.held_by}, which is not open",
                f"where its etcd is to run: rm {drop_in(name)} && systemctl daemon-reload"
                + (f" && systemctl start {name}" if start else "")
                + f" on {node.name}; or `fleetrecover recover`, which does so when it has work there",
            )


def unit_findings(node: NodeFacts) -> list[Finding]:
    """One for each unit that runs an etcd of the host's own: an error where it runs, since it may be on the same data."""
    return [_own_unit_finding(node, starter) for starter in own_units(node)]


def _own_unit_finding(node: NodeFacts, starter: Starter) -> Finding:
    when = "runs now" if starter.active else "is started at boot"
    beside = (
        "an etcd beside the container's" if node.containers else "etcd without a container, which is not recovered yet"
    )
    if not node.containers and not starter.active:
        beside = "an etcd on the host"
    return Finding(
        Severity.ERROR if starter.active else Severity.WARNING,
        node.name,
        "etcd-unit",
        f"{node.name}: the unit {starter.name} {when} and starts {beside}",
        f"if nothing uses it: systemctl disable --now {shlex.quote(starter.name)} on {node.name}",
    )


def held_by_others(node: NodeFacts) -> tuple[tuple[Container, Manager], ...]:
    """The node's own etcd containers that somebody else would start again: they must not be stopped by us."""
    theirs = (c for c in node.containers if c.made_for is None)
    return tuple((c, manager) for c in theirs for manager in managers_of(node, c) if not manager.harmless)
