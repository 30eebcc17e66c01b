"""PURE: what waits in the databases of a cluster for the day on which it becomes etcd 3.6, and how it is cured by version.

`etcd.stores` says what is compared and where the differences come from. As long as 3.5 runs nobody notices them. Tried on
real etcd: 3.6.14 does not start on two stale learners ("too many learner members in cluster"); it lists a ghost as a
member, and when that is removed every etcd panics ("failed to delete member from store"), and again at each start. On
3.5.30 each member writes itself down when it starts, for all that run 3.5.30 by then, so two starts of each leave nothing of
either, and 3.6.14 starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.unlogged import everybody_from_it
from fleetrecover.etcd.membership import Member, hex_id
from fleetrecover.etcd.stores import Differences, differences
from fleetrecover.facts import NodeFacts, Survey
from fleetrecover.plain import version_numbers, version_text

FIRST = (3, 5)
"""Up to 3.4 the copy in the database is written and forgotten: the way from there leads through 3.5."""
PROMOTES = (3, 5, 20)
"""The first 3.5 that writes a promotion down."""
CURES = (3, 5, 26)
"""The first version that takes ghosts out and writes promotions down when it starts."""
READS = (3, 6)
"""The first version that starts from the database's copy."""


@dataclass(frozen=True)
class _Kind:
    """One sort of difference: its code, which members, what is so, and what 3.6 makes of it."""

    code: str
    which: Callable[[Differences], tuple[Member, ...]]
    so: str
    then: str


KINDS = (
    _Kind(
        "ghost-member",
        lambda d: d.ghosts,
        "still holds {}, which was removed",
        "makes it a member again, whose removal no etcd survives",
    ),
    _Kind(
        "stale-learner",
        lambda d: d.stale_learners,
        "has {}, which votes, as a learner",
        "takes its vote away, or does not start at all",
    ),
    _Kind("member-not-stored", lambda d: d.missing, "does not hold {}, which is a member", "does not know it"),
    _Kind("stale-peer-url", lambda d: d.moved, "has an old peer URL of {}", "looks for it in the wrong place"),
)


def upgrade_findings(survey: Survey) -> list[Finding]:
    """One finding for each sort of difference, over all nodes that were read; none where every version is below FIRST."""
    version = running_version(survey)
    if version < FIRST:
        return []
    forgets = version < PROMOTES and any(node.status for node in survey.nodes)
    found = {node.name: differences(node.log, node.db, forgets) for node in survey.nodes if node.log and node.db}
    return [finding for kind in KINDS if (finding := _finding(kind, found, survey, version)) is not None]


def running_version(survey: Survey) -> tuple[int, ...]:
    """The oldest etcd that answers, such as (3, 5, 16); else what the databases tell of it, (3, 5); () where nothing does."""
    told = [node.status.version for node in survey.nodes if node.status is not None]
    told = told or [node.db.cluster_version.removesuffix(".0") for node in survey.nodes if node.db is not None]
    numbers = [version_numbers(each) for each in told]
    return min((each for each in numbers if each), default=())


def _finding(kind: _Kind, found: dict[str, Differences], survey: Survey, version: tuple[int, ...]) -> Finding | None:
    where = {name: members for name, each in found.items() if (members := kind.which(each))}
    if not where:
        return None
    meant = {member.id: member for each in where.values() for member in each}
    so = kind.so.format(", ".join(_named(member, survey.nodes) for member in meant.values()))
    whose = f"the database of {', '.join(where)}"
    if version >= READS:
        message = f"{whose} {so}; etcd {version_text(version)} starts from it, and {kind.then}"
    else:
        message = f"{whose} {so}; nothing is wrong with that in etcd 3.5, but 3.6 starts from it, and {kind.then}"
    return Finding(Severity.WARNING, None, kind.code, message, _cure(kind, version, meant.values()), waits=True)


def _named(member: Member, nodes: Iterable[NodeFacts]) -> str:
    """A member by its name where any node knows one; a removed one often has none left."""
    names = [m.name for node in nodes for m in node.members or () if m.id == member.id]
    name = member.name or next((each for each in names if each), "")
    return f"{name} ({hex_id(member.id)})" if name else hex_id(member.id)


def _cure(kind: _Kind, version: tuple[int, ...], members: Iterable[Member]) -> str:
    """What to do, in order."""
    if version >= READS and kind.code == "ghost-member":
        named = " or ".join(f"`etcdctl member remove {hex_id(member.id)}`" for member in members)
        return (
            f"never {named}: every etcd would die of it; {everybody_from_it(serves=True)}, and no member that is none"
        )
    if version >= READS:
        return "restart etcd, one member after another; what stays then, take out with `etcdctl member remove`, and in again"
    if version >= CURES:
        return "restart etcd, one member after another, and look again with `fleetrecover verify`"
    how = (
        f"before 3.6, bring every member to {version_text(CURES)} or a later 3.5, one after another, and when all are there "
        "restart each once more: a member's start mends this in all that are there by then"
    )
    if kind.code == "stale-learner":
        how += (
            "; where that is not to be had: one after another `etcdctl member remove`, its data moved away, and `member add` "
            "again without --learner"
        )
    return f"{how}; then look again with `fleetrecover verify`"
