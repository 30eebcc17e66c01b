"""Boot a copy of each candidate in quarantine, before anything is touched: what would each be as survivor?

The data is only read. The copy, its commit raised as `recover` raises it, runs in a container without network; what it
answers is reported, and both are removed. Whatever an interrupted trial has left is removed by the next one.
"""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from fleetrecover import steps as s
from fleetrecover.apply import Applier, Events
from fleetrecover.commands import actions, probes
from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.commands.paths import DEFAULT_DATA, RunPaths
from fleetrecover.commands.trial import TRIAL_PREFIX, copy_for_trial
from fleetrecover.decide.diagnosis import Diagnosis, Verdict
from fleetrecover.decide.own import own_name, own_of
from fleetrecover.errors import FleetRecoverError, Refused, RemoteError
from fleetrecover.etcd.wal import raise_commit
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.hold import NodeHold, make_holder
from fleetrecover.journal import Journal
from fleetrecover.model import Host, Transport
from fleetrecover.remote import fan_out
from fleetrecover.runtime import LOOPBACK
from fleetrecover.survey import read_remote_log


@dataclass(frozen=True)
class Trial:
    """What the copy of one candidate answered, or why it did not. Comparable hashes have an equal `compact_revision`."""

    node: str
    seconds: float
    revision: int | None = None
    keys: int | None = None
    hash: int | None = None
    compact_revision: int | None = None
    error: str | None = None


def candidates(survey: Survey, diagnosis: Diagnosis) -> list[NodeFacts]:
    """The nodes whose data could survive: a voter's sound log, and a container that tells how etcd is started."""
    voters = {seat.id for seat in diagnosis.voters}
    out = {aside.host for aside in diagnosis.choice.aside} if diagnosis.choice else set()
    return [
        node
        for node in survey.nodes
        if node.accessible
        and node.log is not None
        and node.log.node_id in voters
        and node.name not in out
        and (own := own_of(survey.fleet, node)) is not None
        and own.spec is not None
        and (own.config is None or not own.config.opaque)
    ]


def try_all(
    survey: Survey,
    diagnosis: Diagnosis,
    transport: Transport,
    events: Events,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Trial]:
    """Try every candidate, all nodes at once. Raises Refused where quorum stands; Held where another run is at work."""
    if diagnosis.verdict in (Verdict.HEALTHY, Verdict.DEGRADED):
        raise Refused("quorum stands, so there is nobody to choose and nothing to try")
    chosen = candidates(survey, diagnosis)
    if not chosen:
        raise Refused("no node has a voter's sound log and a container, so there is nothing to try")
    run = TRIAL_PREFIX + secrets.token_hex(4)
    paths = {node.name: RunPaths.of(node.data, run) for node in chosen}
    journal = Journal.open(survey.fleet.cluster, run)
    journal.write("begin", command="diagnose --trial", cluster=survey.fleet.cluster)
    try:
        with NodeHold(transport, chosen, lambda node: paths[node.name], make_holder(run), sleep=sleep) as held:
            applier = Applier(survey, transport, held.token, journal, events, sleep)

            def one(host: Host) -> Trial:
                return _try(applier, survey.node(host.name), paths[host.name])

            found = fan_out([node.host for node in chosen], one)
    finally:
        journal.write("end", outcome="tried")
        journal.close()
    return [t if isinstance(t, Trial) else Trial(name, 0.0, error=t.message) for name, t in found.items()]


def _try(applier: Applier, node: NodeFacts, paths: RunPaths) -> Trial:
    begun = time.monotonic()
    data = node.data.real if node.data else DEFAULT_DATA
    step = s.Step(node.name, paths, data)
    cleanup = applier.rt(node.name).remove_trials(paths.keep_root)
    try:
        applier.act(step, cleanup)
        try:
            answered = _boot(applier, node, step)
        finally:
            applier.act(step, cleanup)
    except (FleetRecoverError, RemoteError) as error:
        return Trial(node.name, round(time.monotonic() - begun, 1), error=error.message)
    return Trial(node.name, round(time.monotonic() - begun, 1), *answered)


def _boot(applier: Applier, node: NodeFacts, step: s.Step) -> tuple[int, int, int, int]:
    """Copy, raise the commit, boot, ask: (revision, keys, hash, compact revision)."""
    own = own_of(applier.survey.fleet, node)
    if own is None or own.spec is None or node.log is None or node.data is None:
        raise Refused(f"{node.name}: it is not known how its etcd is started")
    member = node.log_path or posixpath.join(node.data.real, "member")
    size = max([node.data.size, *(keep.bytes for keep in node.keeps)])
    applier.act(step, copy_for_trial(step.paths, member, step.data, need=size, wal=node.log_wal))
    listing = applier.read(node.name, probes.member_files(step.paths.at("partial") + "/member"))
    log = read_remote_log(applier.reader(node.name), listing)
    append = raise_commit(log)
    if append is not None:
        applier.act(step, actions.append_to_wal(step.paths, append))
    name = step.paths.quarantine_name(own_name(applier.survey, node))
    rt, copy = applier.rt(node.name), step.paths.at("partial")
    wal = posixpath.join(copy, "member", "wal") if step.paths.wal else None
    spec = rt.quarantined(own.spec, name=name, data=copy, wal=wal, run=step.paths.run)
    rt.check_quarantine(spec)
    applier.launch(step, name, spec)
    revision = node.db.revision if node.db is not None else 0
    quarantine = s.Quarantine(step.node, step.paths, step.data, spec, name, log.node_id, revision)
    proof = applier.interrogate(quarantine)
    keys = applier.read(node.name, Etcdctl(rt, name, LOOPBACK).key_count())
    return proof.revision, keys, proof.hash, proof.compact_revision
