"""PURE: why a node's etcd must not be stopped, started or moved by us, though the judgement stands: told before the first change.

Each is a finding for `survey` and `diagnose`, and refuses a plan with a step that would touch that node. A node that serves
is told of for information alone: what stands is not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleetrecover import steps as s
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.managers import held_by_others, manager_finding, manager_findings, unit_findings
from fleetrecover.decide.own import own_container, unclear, wanted_name
from fleetrecover.decide.rights import to_add
from fleetrecover.decide.units import TOUCHING, unheld
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.runtime import KINDS, kind_of, runtime_of

FORBIDDEN, IN_CONTAINER = "forbidden", "in-container"
"""Kinds of a Problem, and codes of the findings: data that may not be read, and data that is in no mount."""
WRAPPED, WHICH, UNWRITABLE, WAL_APART = "wrapped", "which-container", "unwritable", "wal-apart"

OTHER_RUNTIME = "other-runtime"
"""The code for a runtime that is not built."""


def node_kinds(survey: Survey) -> list[Finding]:
    """Every finding of these kinds, node by node."""
    found = manager_findings(survey)
    for node in survey.nodes:
        if node.reachable:
            found += _managers_unknown(node)
            found += [
                *_other_runtime(survey, node),
                *forbidden(survey, node),
                *_in_container(survey, node),
                *_wrapped(survey, node),
            ]
            found += [*unclear_finding(survey, node), *_wal_apart(survey, node)]
    return found


def refusal(survey: Survey, touched: Sequence[s.Step]) -> Finding | None:
    """Why the steps must not be done: the first reason, in the inventory's order; None where there is none."""
    for node in survey.nodes:
        mine = [step for step in touched if step.node == node.name]
        if any(isinstance(step, (*TOUCHING, s.GiveNameBack)) for step in mine):
            for each in _reasons(survey, node, unheld(survey, node, mine)):
                return each
        if mine:
            for each in _unwritable(node):
                return each
    return None


def _reasons(survey: Survey, node: NodeFacts, free: frozenset[str]) -> Iterator[Finding]:
    """`free`: the units that would start etcd there while we work, since nothing holds them."""
    yield from _other_runtime(survey, node)
    for container, manager in held_by_others(node):
        if manager.starter is None or manager.starter.name in free:
            yield manager_finding(node, container, manager)
    yield from (each for each in unit_findings(node) if each.severity is Severity.ERROR)
    yield from unclear_finding(survey, node)
    yield from forbidden(survey, node)
    yield from _in_container(survey, node)
    yield from _wrapped(survey, node)


def _other_runtime(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    """That the inventory says that etcd is no container there."""
    runtime = kind_of(survey.fleet, node.host)
    if runtime not in KINDS:
        yield Finding(
            _severity(node),
            node.name,
            OTHER_RUNTIME,
            f'{node.name}: its etcd is run by {runtime} (runtime = "{runtime}" in hosts.toml), and this version stops, moves and '
            "starts etcd in containers alone",
            "what can be read is read: `fleetrecover survey`, `diagnose`, `inspect`; take that line out where etcd is a "
            "container",
        )


def _managers_unknown(node: NodeFacts) -> Iterator[Finding]:
    """That it could not be asked who else starts etcd: that is not nobody."""
    if node.starters_problem is not None:
        yield Finding(
            Severity.INFO if node.healthy else Severity.WARNING,
            node.name,
            "managers-unknown",
            f"{node.name}: it could not be seen whether a unit or cron starts etcd there: {node.starters_problem.message}",
            f"look yourself on {node.name} before it is recovered: `systemctl list-units '*etcd*'`, `grep -r etcd /etc/cron*`",
        )


def _severity(node: NodeFacts) -> Severity:
    return Severity.INFO if node.healthy else Severity.ERROR


def forbidden(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    """That the login user may not read a node's data."""
    problem = node.log_problem
    if problem is not None and problem.kind == FORBIDDEN:
        yield Finding(_severity(node), node.name, FORBIDDEN, f"{node.name}: {problem.message}", problem.hint or "")


def _unwritable(node: NodeFacts) -> Iterator[Finding]:
    data = node.data
    if data is not None and data.unwritable:
        yield Finding(
            Severity.ERROR,
            node.name,
            UNWRITABLE,
            f"{node.name}: the login user {data.who} may not write in {data.unwritable}, so nothing could be kept or moved there",
            _as_root(node),
        )


def _as_root(node: NodeFacts) -> str:
    return f"{to_add(node)}; where root may not either, the filesystem is mounted read-only"


def _in_container(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    container = own_container(survey, node)
    if container is None or not container.inside:
        return
    hand, where = runtime_of(survey.fleet, node.host).hand, container.inside
    copy, stop = hand.copy_out(container.name, where, "DIR"), hand.stop(container.name)
    yield Finding(
        _severity(node),
        node.name,
        IN_CONTAINER,
        f"{node.name}: the data of container {container.name} ({where}) is in no mount: it is in the container itself, and goes "
        "with it",
        f"do not remove that container; `{copy}` on {node.name} copies the data out (stop it "
        f"before: `{stop}`), and `fleetrecover inspect DIR` shows what is in it; then run etcd with "
        f"a volume on DIR",
    )


def _wrapped(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    container = own_container(survey, node)
    if container is None or container.config is None or not container.config.scripted:
        return
    yield Finding(
        _severity(node),
        node.name,
        WRAPPED,
        f"{node.name}: the command {container.config.opaque!r} of container {container.name} does not start etcd itself, and "
        "what that script does to the data is not known",
        "its data is only read; start it by hand where that is right, or run etcd from a container whose command is etcd and "
        "its flags",
    )


def unclear_finding(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    """That several containers could be the node's own etcd."""
    several = unclear(survey.fleet, node)
    if not several:
        return
    told = ", ".join(f"{each.name} ({each.data_path or 'data not known'})" for each in several)
    yield Finding(
        _severity(node),
        node.name,
        WHICH,
        f"{node.name} has no container {wanted_name(survey.fleet, node)}, and each of these could be its etcd: {told}",
        f'say which it is: container = "NAME" in the [[hosts]] table of {node.name} in hosts.toml',
    )


def _wal_apart(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    container = own_container(survey, node)
    if container is None or not container.wal_path:
        return
    yield Finding(
        Severity.INFO,
        node.name,
        WAL_APART,
        f"{node.name}: its etcd keeps the WAL apart, in {container.wal_path}; it is read there, and kept, copied and moved with "
        "the data",
        "",
    )
