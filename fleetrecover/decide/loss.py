"""PURE: with fewer logs than needed, how much may be missing, in words that a person can act on.

Nothing here is proof. Times are those of files and containers, corrected by the clocks' offsets; a file's time says when
etcd last wrote, which a member without a leader does at every vain election too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from fleetrecover.decide.membership import Seat, quorum
from fleetrecover.decide.own import own_container
from fleetrecover.decide.survivor import Choice, ProofKind
from fleetrecover.etcd.wal import parse_name
from fleetrecover.facts import Container, NodeFacts, Survey
from fleetrecover.plain import counted

MIN_SPAN = 10


def may_miss(choice: Choice, survey: Survey, known: Sequence[Seat]) -> tuple[str, ...]:
    """One sentence for each member whose log is missing; nothing where the choice is proven."""
    if choice.proof is ProofKind.COMPLETE or not choice.missing:
        return ()
    survivor = survey.node(choice.survivor)
    ended = last_entry(survivor)
    rate = entries_per_second(survivor)
    hosts = {seat.label: seat.host for seat in known}
    told = [_one(survey, label, hosts.get(label), choice.survivor, ended, rate) for label in choice.missing]
    needed = quorum(choice.voters)
    if len(choice.missing) >= needed:
        told.append(
            f"only what {needed} of {', '.join(choice.missing)} acknowledged together, without the members whose logs were "
            "read, can be missing"
        )
    if survivor.log is not None and survivor.log.hard_state.term > survivor.log.last.term:
        vain = survivor.log.hard_state.term - survivor.log.last.term
        told.append(
            f"since its last entry {choice.survivor} has seen {counted(vain, 'election')} without a leader that it heard of, so "
            "its last entry may be older than its files"
        )
    return tuple(told)


def _one(survey: Survey, label: str, host: str | None, survivor: str, ended: float | None, rate: float | None) -> str:
    node = survey.node(host) if host is not None else None
    sign = last_sign(survey, node) if node is not None else None
    end = "its end is not known" if ended is None else f"the log of {survivor} was last written {iso(ended)}"
    if sign is None:
        tail = "" if rate is None else f" (at {rate:.1f} entries a second, as {survivor} wrote before)"
        return (
            f"{label} may hold more, and nothing here tells how much: {end}; find out when {label} was last seen (monitoring, "
            f"the hypervisor): what was acknowledged from then on without {survivor} is missing{tail}"
        )
    moment, what = sign
    if ended is None:
        return f"{label} may hold more: its last sign of life was {iso(moment)} ({what})"
    gap = moment - ended
    if gap <= 0:
        return (
            f"{label} seems to have ended before {survivor} did: its last sign of life was {iso(moment)} ({what}), "
            f"{end}; it is unlikely to hold more than the writes of that moment"
        )
    count = "" if rate is None else f" / {gap * rate:,.0f} writes"
    return f"{label} may hold up to {gap:,.0f} s{count} more: its last sign of life was {iso(moment)} ({what}), {end}"


def last_entry(node: NodeFacts) -> float | None:
    """When the newest entry was written, at the latest, in our time: the older of the WAL's and the database's last write."""
    wal = max((sign.mtime for sign in node.signs if parse_name(sign.name)), default=None)
    database = max((sign.mtime for sign in node.signs if sign.name == "db"), default=None)
    found = [moment for moment in (wal, database) if moment is not None]
    return min(found) - (node.clock_offset or 0.0) if found else None


def last_sign(survey: Survey, node: NodeFacts) -> tuple[float, str] | None:
    """The last moment at which a node's etcd is known to have lived, and how it is known."""
    offset = node.clock_offset or 0.0
    found: list[tuple[float, str]] = []
    for container in _own(survey, node):
        if container.running:
            found.append((seconds(survey.taken_at) or 0.0, "its container runs"))
        elif (ended := seconds(container.finished_at)) is not None:
            found.append((ended - offset, "its container ended"))
    found += [(sign.mtime - offset, f"its file {sign.name} was written") for sign in node.signs]
    return max(found, default=None)


def _own(survey: Survey, node: NodeFacts) -> Iterable[Container]:
    found = own_container(survey, node)
    return [found] if found is not None else []


def entries_per_second(node: NodeFacts) -> float | None:
    """How fast the log grew, by the indexes in the names of segments and snapshots and the times of those files.

    A segment is begun when the one before it was last written; a snapshot file is written when its index is reached.
    """
    if node.log is None or not node.signs:
        return None
    segments = sorted((sign for sign in node.signs if parse_name(sign.name)), key=lambda sign: sign.name)
    points: list[tuple[float, int]] = []
    for before, after in pairwise(segments):
        parsed = parse_name(after.name)
        if parsed is not None:
            points.append((before.mtime, parsed[1]))
    for sign in node.signs:
        stem, _, suffix = sign.name.partition(".")
        place = stem.partition("-")[2]
        if suffix == "snap" and len(place) == 16:
            points.append((sign.mtime, int(place, 16)))
    end = last_entry(node)
    if end is None or not points:
        return None
    begin, index = min(points)
    span = end + (node.clock_offset or 0.0) - begin
    grown = node.log.last.index - index
    return grown / span if span >= MIN_SPAN and grown > 0 else None


def seconds(text: str) -> float | None:
    """An ISO 8601 moment in seconds since the epoch; None for none, and for the engine's year 1.

    >>> seconds("2026-01-02T03:04:05.123456789Z"), seconds("0001-01-01T00:00:00Z"), seconds("")
    (1767323045.0, None, None)
    """
    head = text.partition(".")[0].rstrip("Z").partition("+")[0]
    try:
        moment = datetime.strptime(head, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if moment.year > 1 else None


def iso(moment: float) -> str:
    """A moment for a person, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
