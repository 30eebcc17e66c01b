"""PURE: disks at hand that have what a survivor has not, and that cannot survive themselves: nothing is done over them.

A member that was removed or never became a voter, one whose WAL is damaged, a host that came back after a run had chosen
another's emptied disk: the cluster could be brought back without their data, and it would be lost with exit 0. So it is
asked for by name, with `--survivor`, or their data is restored.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetrecover.commands.paths import DEFAULT_DATA
from fleetrecover.decide.away import no_container
from fleetrecover.decide.candidates import blank
from fleetrecover.decide.finding import Finding, Severity
from fleetrecover.decide.own import own_container
from fleetrecover.decide.sides import Side, contradict, never_written, revision_of
from fleetrecover.decide.survivor import Choice
from fleetrecover.decide.words import OpenRun, Wish
from fleetrecover.facts import NodeFacts, Survey

CODE = "richer-disk"


def beyond_choice(survey: Survey, wish: Wish, choice: Choice) -> Finding | None:
    """That disks at hand have more than the one that would survive; None where none has, or the survivor was named."""
    if wish.survivor is not None:
        return None
    chief = survey.node(choice.survivor)
    found = [survey.node(host) for host in choice.beyond]
    found += [node for node in _unread(survey, wish) if node not in found and _ahead(node, chief)]
    return _finding(survey, found, chief) if found else None


def _unread(survey: Survey, wish: Wish) -> list[NodeFacts]:
    """Those whose log cannot be read, and whose database can."""
    return [n for n in survey.nodes if n.log is None and n.db is not None and n.name not in wish.dead]


def _ahead(node: NodeFacts, chief: NodeFacts) -> bool:
    """Whether a database without a readable log has what the survivor's log cannot have."""
    assert node.db is not None
    if chief.log is None:
        return False
    if blank(chief.log):
        return node.db.revision > 1 and node.db.revision > (revision_of(chief) or 0)
    return (node.db.consistent_index or 0) > chief.log.last.index


def _finding(survey: Survey, found: Sequence[NodeFacts], chief: NodeFacts) -> Finding:
    names = ", ".join(node.name for node in found)
    mine, theirs = Side((chief,)).told(), "; ".join(Side((node,)).told() for node in found)
    message = (
        f"{chief.name} is the best that can survive, but {names}'s data has what was decided or written and is not there: "
        f"{theirs}; {mine}"
    )
    best = max(found, key=lambda node: (node.db.revision if node.db else 0, node.log.commit if node.log else 0))
    if _in_the_log_alone(best, chief):
        so = f"what {best.name}'s log has beyond is in no database yet, and may never have been acknowledged: keep its disk; "
        if own_container(survey, chief) is None:
            so += f"{chief.name} has no etcd container: {no_container(survey, chief)}; then "
        advice = f"{so}`fleetrecover recover --survivor {chief.name}` goes on without it"
        return Finding(Severity.ERROR, best.name, CODE, message, advice)
    advice = f"{restored_by_hand(best)}; to give it up: `fleetrecover recover --survivor {chief.name}`"
    return Finding(Severity.ERROR, best.name, CODE, message, advice)


def restored_by_hand(node: NodeFacts) -> str:
    """How data that cannot survive is brought back all the same: its database is made a snapshot of, and that is restored."""
    data = node.data.real if node.data is not None else DEFAULT_DATA
    file, made = f"{data}/member/snap/db", f"/root/{node.name}.db"
    return (
        f"{node.name}'s data can only be restored: with its etcd stopped, give its database the checksum of a snapshot, on "
        f"{node.name}: `{{ cat {file}; openssl dgst -sha256 -binary {file}; }} > {made}`, then `fleetrecover snapshot restore "
        f"{node.name}:{made}`"
    )


def best_database(survey: Survey, wish: Wish) -> NodeFacts | None:
    """Of those whose log cannot be read, the one whose database has most; None where none has anything of a client."""
    found = [node for node in _unread(survey, wish) if node.db is not None and node.db.revision > 1]
    return max(found, key=lambda node: node.db.revision if node.db else 0, default=None)


def _in_the_log_alone(best: NodeFacts, chief: NodeFacts) -> bool:
    """Whether a database has applied nothing that the survivor's log has not."""
    if best.db is None or best.log is None or chief.log is None:
        return False
    return (best.db.consistent_index or 0) <= chief.log.last.index < best.log.last.index


def beyond_pinned(survey: Survey, wish: Wish, run: OpenRun) -> Finding | None:
    """That a run goes on with a disk that lacks what another host knows to be decided, or on which nothing was ever written.

    That host was away when the run began, and is back. What the run itself has set aside was settled then.
    """
    chief = survey.node(run.survivor)
    if wish.survivor is not None or chief.log is None or chief.healthy:
        return None
    found = [node for node in survey.nodes if node is not chief and _full(node, chief, run)]
    if not found:
        return None
    names = ", ".join(node.name for node in found)
    lacks = "on whose disk nothing was ever written" if never_written(chief) else "whose disk lacks what was decided"
    if all(node.log is not None and contradict(node.log, chief.log) for node in found):
        lacks = "whose disk is of another history"
    message = (
        f"run {run.run} has chosen {run.survivor}, {lacks}, and {names}'s data is here now: "
        f"{'; '.join(Side((node,)).told() for node in found)}"
    )
    advice = (
        f"`fleetrecover undo {run.run}`, then `fleetrecover recover` goes on from the data of {found[0].name}; to give that up: "
        f"--survivor {run.survivor}"
    )
    return Finding(Severity.ERROR, found[0].name, CODE, message, advice)


def _full(node: NodeFacts, chief: NodeFacts, run: OpenRun) -> bool:
    keep = node.keep(run.run)
    settled = keep is not None and bool(keep.original)
    if settled or node.log is None or chief.log is None or never_written(node) or not _same_cluster(node, chief):
        return False
    return never_written(chief) or node.log.commit > chief.log.last.index or contradict(node.log, chief.log)


def _same_cluster(node: NodeFacts, chief: NodeFacts) -> bool:
    return node.log is not None and chief.log is not None and node.log.cluster_id == chief.log.cluster_id
