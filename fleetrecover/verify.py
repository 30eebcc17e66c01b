"""A fresh survey and the content hash of every member → a judgement. Read only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fleetrecover.decide.policies import expectation, whole_fleet
from fleetrecover.decide.verdict import Expectation, Hashes, Judgement, judge
from fleetrecover.errors import FormatError, RemoteError
from fleetrecover.etcd.etcdctl import HashKV
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.model import Fleet, Host, Transport
from fleetrecover.remote import look_at
from fleetrecover.runtime import runtime_of
from fleetrecover.survey import Reader, running_container, take_survey

FUTURE = "future revision"
"""In what etcd says to who asks for a revision that it does not have (mvcc.ErrFutureRev)."""

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
    """hashkv of every healthy member at the highest revision that any of them had when they were surveyed.

    Each answers a linearizable read first, so that it has applied all that was decided by then: who does not have that
    revision afterwards never will. (A log that `--force-new-cluster` has cut off below its database gives the others less.)
    """
    asked = {node.name: node for node in survey.nodes if node.healthy and node.status is not None}
    if not asked:
        return None
    revision = max(node.status.revision for node in asked.values() if node.status is not None)

    def one(host: Host) -> HashKV | Literal[False] | None:
        return _hash(survey.fleet, asked[host.name], Reader(host, transport), revision)

    found = look_at([node.host for node in asked.values()], one)
    pairs = {name: (h.hash, h.compact_revision) if isinstance(h, HashKV) else None for name, h in found.items()}
    return Hashes(revision, pairs, tuple(name for name, hashed in found.items() if hashed is False))


def _hash(fleet: Fleet, node: NodeFacts, reader: Reader, revision: int) -> HashKV | Literal[False] | None:
    """The hash; False where the member does not have that revision, None where it could not be asked."""
    container = running_container(fleet, node)
    if container is None:
        return None
    ctl = runtime_of(fleet, node.host).ctl(container)
    read_probe, hash_probe = ctl.health(), ctl.hashkv(revision)
    try:
        read, hashed = reader.batch([read_probe, hash_probe])
        if not hashed.ok and FUTURE in f"{hashed.error_text}\n{hashed.text}" and reader.parse(read_probe, read):
            return False
        return reader.parse(hash_probe, hashed)
    except (FormatError, RemoteError):
        return None
