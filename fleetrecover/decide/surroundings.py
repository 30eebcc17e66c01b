"""PURE: findings about what etcd stands on: certificates, clocks, alarms, space, ports, leftovers, restart policies."""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover.decide.certificates import file_findings
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.loss import iso, seconds
from fleetrecover.decide.membership import addresses_of
from fleetrecover.decide.own import own_name, own_of, standing_container
from fleetrecover.decide.rights import to_add
from fleetrecover.facts import Certificate, NodeFacts, Survey
from fleetrecover.runtime import runtime_of

CLOCK_WARNING = 1.0
CLOCK_ERROR = 30.0
SOON = 30 * 86400.0
SPACE_MARGIN = 64 * 1024 * 1024
ALARMS = {
    "NOSPACE": "compact and defragment (or raise --quota-backend-bytes), then `etcdctl alarm disarm`; until then etcd "
    "takes no writes",
    "CORRUPT": "members differ in content: compare `etcdctl endpoint hashkv` of each and replace the one that differs",
}


def surroundings(survey: Survey) -> Iterator[Finding]:
    """Every finding of that kind, node by node."""
    for node in survey.nodes:
        if not node.reachable:
            continue
        yield from _clock(node)
        yield from _certificates(survey, node)
        yield from _alarms(survey, node)
        yield from _space(node)
        yield from _ports(survey, node)
        yield from _leftovers(survey, node)
        yield from _policy(survey, node)
        yield from _crashing(survey, node)
    yield from _kept(survey)


def _clock(node: NodeFacts) -> Iterator[Finding]:
    offset = node.clock_offset
    if offset is None or abs(offset) < CLOCK_WARNING:
        return
    direction = "ahead of" if offset > 0 else "behind"
    yield Finding(
        Severity.WARNING,
        node.name,
        "clock",
        f"{node.name}'s clock is {abs(offset):,.1f} s {direction} this machine's",
        "set it (chrony, timedatectl): certificates and leases depend on it"
        + ("; an offset this large makes fresh certificates invalid" if abs(offset) >= CLOCK_ERROR else ""),
    )


def _certificates(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    now = (seconds(survey.taken_at) or 0.0) + (node.clock_offset or 0.0)
    renew = "renew it (RKE: `rke cert rotate`, Rancher: Rotate Certificates), then run this again"
    yield from file_findings(survey, node)
    for found in node.certificates:
        where = f"{node.name}: certificate {found.path}"
        if found.hidden:
            yield Finding(Severity.INFO, node.name, "certificate-hidden", f"{where}: {found.problem}", to_add(node))
            continue
        if found.problem and any(fault.path == found.path for fault in found.faults):
            continue
        if found.problem:
            yield Finding(Severity.WARNING, node.name, "certificate-unread", f"{where}: {found.problem}", renew)
            continue
        if found.expired:
            begins = seconds(found.not_before) or 0.0
            word = f"is not valid before {found.not_before}" if now < begins else f"expired {found.not_after}"
            yield Finding(Severity.ERROR, node.name, "certificate-expired", f"{where} {word}", renew)
        elif (ends := seconds(found.not_after)) is not None and ends - now < SOON:
            days = (ends - now) / 86400
            message = f"{where} expires in {days:.0f} days, {iso(ends)}"
            yield Finding(Severity.WARNING, node.name, "certificate-expires", message, renew)
        if found.ca_matches is False:
            message = f"{where} was not issued by the CA that etcd is told to trust"
            yield Finding(
                Severity.ERROR, node.name, "certificate-ca", message, "put certificates of one CA on all nodes"
            )
        yield from _names(node, found, where)


def _names(node: NodeFacts, found: Certificate, where: str) -> Iterator[Finding]:
    wanted = addresses_of(node)
    if found.names and wanted and not wanted & set(found.names):
        told = ", ".join(sorted(wanted))
        yield Finding(
            Severity.WARNING,
            node.name,
            "certificate-names",
            f"{where} is for {', '.join(found.names)}, and for none of {told}",
            "peers and clients will refuse it; issue one for this node's address",
        )


def _alarms(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    """Alarms of a member that could not be asked: those that its database tells of."""
    if node.alarms is not None or node.db is None:
        return
    for alarm in node.db.alarms:
        yield Finding(
            Severity.WARNING,
            node.name,
            "alarm",
            f"{node.name}'s database has the alarm {alarm.kind} of member {alarm.member_id:x}",
            ALARMS.get(alarm.kind, "`etcdctl alarm list`") + "; a recovery keeps the alarm",
        )


def _space(node: NodeFacts) -> Iterator[Finding]:
    data = node.data
    if data is None or not data.exists:
        return
    need = data.size + SPACE_MARGIN
    if data.free < SPACE_MARGIN:
        left = f"only {data.free / 1e6:,.0f} MB are free" if data.free >= 1e6 else "no space is left"
        message = f"{node.name}: {left} on the filesystem of {data.real}: etcd cannot write there"
        advice = f"free {(need - data.free) / 1e6:,.0f} MB on it, then run this again"
        yield Finding(Severity.ERROR, node.name, "space", message, advice)
    elif data.wal and not data.wal_shared and data.wal_free < SPACE_MARGIN:
        message = f"{node.name}: only {data.wal_free / 1e6:,.0f} MB are free on the filesystem of {data.wal}: etcd cannot write "
        message += "its log there"
        advice = f"free {(SPACE_MARGIN + data.wal_size - data.wal_free) / 1e6:,.0f} MB on it, then run this again"
        yield Finding(Severity.ERROR, node.name, "space", message, advice)
    elif data.has_member and data.free < need:
        yield Finding(
            Severity.WARNING,
            node.name,
            "space",
            f"{node.name}: {data.free / 1e6:,.0f} MB are free; as survivor its copy would need {need / 1e6:,.0f} MB",
            f"free {(need - data.free) / 1e6:,.0f} MB on the filesystem of {data.real}, or have it kept on another one of that "
            "node: `recover --work-dir DIR`",
        )


def _ports(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    for port in node.ports:
        try:
            other = survey.node(port.name)
        except KeyError:
            continue
        runs = any(c.state == "running" and not c.isolated for c in other.containers)
        if port.answer == "silent" and other.reachable:
            yield Finding(
                Severity.WARNING,
                node.name,
                "peer-port",
                f"{node.name} gets no answer from {port.name} at {port.address}:{port.port}",
                "look at the firewalls between them: members that cannot reach each other elect no leader",
            )
        elif port.answer == "refused" and runs and other.status is not None:
            yield Finding(
                Severity.WARNING,
                node.name,
                "peer-port",
                f"{node.name} is refused by {port.name} at {port.address}:{port.port}, though etcd runs there",
                "see --listen-peer-urls there, and the firewalls between them",
            )


def _leftovers(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    name, hand = own_name(survey, node), runtime_of(survey.fleet, node.host).hand
    for container in node.containers:
        stray = container.role is None and container.name != name and container.kept_name is None
        if stray and not container.armed and not container.forced:
            message = (
                f"{node.name}: container {container.name} ({container.state}) is left over from an earlier attempt"
            )
            advice = f"keep it until the cluster is whole, then `{hand.remove(container.name)}`"
            yield Finding(Severity.INFO, node.name, "leftover-container", message, advice)
    for helper, state in node.helpers:
        if helper != "etcd-rolling-snapshots":
            message = f"{node.name}: container {helper} ({state}) is left over from a snapshot or a restore"
            advice = f"`{hand.remove(helper)}` when nothing uses it"
            yield Finding(Severity.INFO, node.name, "leftover-container", message, advice)
    for keep in node.keeps:
        if keep.pin is None and keep.run.startswith("trial-"):
            message = f"{node.name}: a trial was cut off and has left {keep.path} ({keep.bytes / 1e6:,.0f} MB)"
            yield Finding(
                Severity.INFO,
                node.name,
                "leftover-trial",
                message,
                "the next `fleetrecover diagnose --trial` removes it",
            )


def _kept(survey: Survey) -> Iterator[Finding]:
    """What runs that are over still keep: one line, however many they are."""
    back = {
        keep.run for node in survey.nodes for keep in node.keeps if keep.undoing and not keep.undone
    }  # being undone
    keeps = [(node.name, keep) for node in survey.nodes if node.reachable for keep in node.keeps if keep.pin]
    kept = [(name, keep) for name, keep in keeps if (keep.finished or keep.undone) and keep.run not in back]
    runs = sorted({keep.run for _, keep in kept})
    if not runs:
        return
    names = ", ".join(dict.fromkeys(name for name, _ in kept))
    size = sum(keep.bytes + keep.elsewhere_bytes for _, keep in kept) / 1e6
    who, word = (
        (f"run {runs[0]} keeps", runs[0]) if len(runs) == 1 else (f"{len(runs)} runs that are over keep", "--finished")
    )
    message = f"{who} {size:,.0f} MB of what was there before, on {names}"
    yield Finding(
        Severity.INFO,
        None,
        "kept-data",
        message,
        f"`fleetrecover clean {word}` removes it, once all is whole and you are sure",
    )


def _policy(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    own = standing_container(survey, node)
    under_way = any(True for _ in node.open_keeps())
    if own is not None and own.role is None and own.running and own.restart_policy in ("no", "") and not under_way:
        yield Finding(
            Severity.WARNING,
            node.name,
            "no-restart-policy",
            f"{node.name}: container {own.name} has no restart policy, so etcd stays away after a reboot",
            f"`{runtime_of(survey.fleet, node.host).hand.autostart(own.name)}`, unless something else starts it",
        )


def _crashing(survey: Survey, node: NodeFacts) -> Iterator[Finding]:
    own = own_of(survey.fleet, node)
    if own is not None and own.state == "restarting":
        code = f" (exit code {own.exit_code})" if own.exit_code else ""
        yield Finding(
            Severity.WARNING,
            node.name,
            "crash-loop",
            f"{node.name}: container {own.name} ends and is restarted again and again{code}",
            f"`{runtime_of(survey.fleet, node.host).hand.logs(own.name)}` on {node.name} tells why",
        )
