"""A fresh survey and the content hash of every member → a judgement. Read only."""

from __future__ import annotations

from collections.abc import Callable

from fleetrecover.decide.policies import expectation, whole_fleet
from fleetrecover.decide.verdict import Expectation, Hashes, Judgement, judge
from fleetrecover.errors import FormatError, RemoteError
from fleetrecover.etcd.etcdctl import HashKV
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import look_at
from fleetrecover.survey import Reader, etcdctl_for, running_container, take_survey

__all__ = ["expectation", "take_hashes", "verify", "whole_fleet"]


def verify(
    fleet: Fleet,
    transport: Transport,
    expected: Callable[[Survey], Expectation] | None = None,
    seen: Survey | None = None,
) -> tuple[Survey, Judgement]:
    """Look at the cluster afresh and judge it by what is expected of what is seen: else every host must be a member.

    `seen` is a survey that was just taken, with the logs, to be judged instead.
    """
    survey = seen if seen is not None else take_survey(fleet, transport, logs=False)
    wanted = (expected or whole_fleet)(survey)
    return survey, judge(survey, take_hashes(survey, transport), wanted)


def take_hashes(survey: Survey, transport: Transport) -> Hashes | None:
    """hashkv of every healthy member at one revision that all of them have."""
    asked = {node.name: node for node in survey.nodes if node.healthy and node.status is not None}
    if not asked:
        return None
    revision = min(node.status.revision for node in asked.values() if node.status is not None)

    def one(host: Host) -> HashKV | None:
        return _hash(survey.fleet, asked[host.name], Reader(host, transport), revision)

    found = look_at([node.host for node in asked.values()], one)
    pairs = {name: (h.hash, h.compact_revision) if isinstance(h, HashKV) else None for name, h in found.items()}
    return Hashes(revision, pairs)


def _hash(fleet: Fleet, node: NodeFacts, reader: Reader, revision: int) -> HashKV | None:
    container = running_container(fleet, node)
    if container is None:
        return None
    try:
        return reader.read(etcdctl_for(fleet, container).hashkv(revision))
    except (FormatError, RemoteError):
        return None
