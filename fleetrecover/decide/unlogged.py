"""PURE: a database that holds writes which its own log does not tell of: nobody who joins would ever get them.

A hand-made `--force-new-cluster` cuts the log at the commit on disk, which lags behind what was applied, and leaves the
database as it was: what was cut is then in that one database only. Who joins is sent the log, from its beginning, and lacks
it for ever, while everything looks whole. A log that is read from its beginning tells how many writes it can explain, since
each entry makes one revision at most; the first revision of a store is 1. Where the log begins with a snapshot, who joins is
sent the database itself, and nothing is amiss.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.facts import NodeFacts
from fleetrecover.plain import counted

KEEP = "everything"
"""The name that is proposed for the snapshot."""


def unlogged(node: NodeFacts) -> int:
    """How many revisions of a member's database its log cannot explain, at least; 0 where none, or where it cannot be told.

    What a running etcd says was asked before its log was read; a database that is written to is read after it, and not counted.
    """
    log = node.log
    if log is None or log.snapshot.index or log.entries.first > 1 or log.writes is None or not len(log.entries):
        return 0
    revision = node.status.revision if node.status is not None else 0
    if not revision and node.db is not None and node.db.stable:
        revision = node.db.revision
    return max(0, revision - 1 - log.writes)


def unlogged_finding(nodes: Iterable[NodeFacts]) -> Finding | None:
    """That one of these has what its log does not tell of, and the way that brings it to all; None where none has."""
    node = next((each for each in nodes if unlogged(each)), None)
    if node is None:
        return None
    more = counted(unlogged(node), "revision")
    message = (
        f"{node.name}'s database has {more} that its log does not tell of (a --force-new-cluster made by hand cuts the log): a "
        "member that joins would get the log, and lack them for ever"
    )
    return Finding(Severity.ERROR, node.name, "unlogged", message, _advice(node))


def _advice(node: NodeFacts) -> str:
    """What to type, so that every member begins with that database."""
    start = "" if node.status is not None else f"start {node.name}'s etcd, then "
    return f"{start}{everybody_from_it(serves=node.healthy)}"


def everybody_from_it(*, serves: bool) -> str:
    """The two commands: `snapshot save` takes it from the member that has most."""
    replace = " --replace-living" if serves else ""
    return (
        f"`fleetrecover snapshot save {KEEP}`, then `fleetrecover snapshot restore {KEEP}{replace}`: all members then begin with "
        "that database"
    )
