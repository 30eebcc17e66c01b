"""PURE: the sets of voters that may have acknowledged something, as far as the readable logs tell.

etcd counts a commit by the membership that the leader has *applied*. A leader that holds a change of the voters and has
not applied it still counts by the one before; one that has applied it counts by the one after. Who holds the change k
knows that the change before it is decided, since etcd proposes one only when the one before is applied. So let k be the
last decided change, and x the first decided entry that the chosen log does not hold. All that was decided before x is in
the chosen log, and x was decided by

- the voters before k, or after k, which are those at the decided end; or
- the voters after a change that the chosen log holds above the decided end.

No other set is possible; it is enough to ask each of these. Where no entry tells of k, because a snapshot stands for it,
the voters before it are asked of every other log that holds the entry. Where none does, and the entries that were read
reach back by less than `YOUNG`, nobody can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetrecover.etcd.log import Log
from fleetrecover.etcd.wal import compare_logs

YOUNG = 5000
"""Entries. A leader that has not applied a change held all that was decided since without knowing it to be decided; etcd
keeps as many entries for its followers, and refuses proposals when it has as many decided ones to apply."""
MOST_CHANGES = 100
"""Changes above the commit, or doubtful ones, that are followed one by one; etcd has one at a time."""

Electorates = tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Decided:
    """What the readable logs together know to be decided: up to `index`, by the log `by`.

    `electorates` are the voters there and before the last change below; `unknown` says why others are possible, and is
    empty where none are.
    """

    by: Log
    index: int
    electorates: Electorates
    unknown: str = ""

    def held_by(self, log: Log) -> bool:
        """Whether a log holds the last entry that is known to be decided."""
        return log is self.by or not lacks(log, self.by, self.index)


def lacks(log: Log, top: Log, index: int) -> bool:
    """Whether a log does not hold the entry that `top` has at `index`."""
    if log.last.index < index:
        return True
    mine, theirs = log.term_at(index), top.term_at(index)
    return mine is not None and theirs is not None and mine != theirs


def electorates(log: Log) -> Electorates:
    """The sets of voters that may have acknowledged something, as far as this log tells.

    Those at its commit, those before the last change at or below it, those after each change above it, and those before
    the last change of all.
    """
    voters = log.configuration.voters
    found = [voters, *before_last_change(log, log.commit)]
    for change in log.conf_changes_above_commit[:MOST_CHANGES]:
        if change.rejected:
            continue
        if change.action == "remove":
            voters = voters - {change.member_id}
        elif change.action == "promote" or (change.action == "add" and not (change.member and change.member.learner)):
            voters = voters | {change.member_id}
        found.append(voters)
    found.append(log.configuration_at_end.voters)
    if log.voters_before is not None:
        found.append(log.voters_before)
    return tuple(dict.fromkeys(each for each in found if each))


def before_last_change(log: Log, index: int, after: int = 0) -> Electorates:
    """The voters before the last change of them in a log at or below `index`; nothing where it tells of none above `after`.

    Where it is not certain whether the last one concerned a voter, the ones before it count as well.
    """
    if not log.voter_changes and log.voters_before is not None:
        return (log.voters_before,)
    found: list[frozenset[int]] = []
    for change in reversed(log.changes_between(after, index)[-MOST_CHANGES:]):
        found.append(log.voters_at(change.index) ^ {change.member_id})
        if change.certain:
            break
    return tuple(found)


def decided(logs: Sequence[Log]) -> Decided:
    """Unite what the logs know of the decided entries, and of the voters by whom the next ones were decided.

    The logs must be of one history (`compare_logs`), and there must be at least one.
    """
    top = max(logs, key=lambda log: log.commit)
    index = top.commit
    known = [(log, _agreed(log, top)) for log in logs]
    last = max((_last_certain(log, upto) for log, upto in known), default=0)
    reach = _reach([(log.changes_known_from, upto) for log, upto in known], index)
    found = [top.configuration.voters]
    if reach <= last + 1:
        for log, upto in known:
            found += before_last_change(log, upto, max(0, last - 1))
    unknown = _unknown(top, reach) if reach > last + 1 and index - reach + 1 < YOUNG else ""
    if any(len(log.conf_changes_above_commit) > MOST_CHANGES for log in logs):
        unknown = f"a log holds more than {MOST_CHANGES} changes of membership above its commit"
    return Decided(top, index, tuple(dict.fromkeys(each for each in found if each)), unknown)


def _unknown(top: Log, reach: int) -> str:
    behind = f"the snapshot at {top.snapshot.index}" if top.snapshot.index >= reach - 1 > 0 else f"entry {reach}"
    return (
        f"no log that was read tells who voted before {behind}, and entry {top.commit}, which is known to be decided, follows "
        "closely: if the voters were changed right before, those of before may have acknowledged more"
    )


def _agreed(log: Log, top: Log) -> int:
    """Up to where a log's own entries are those that `top` knows to be decided."""
    end = min(log.last.index, top.commit)
    if end <= log.commit or log.term_at(end) == top.term_at(end) is not None:
        return end
    found = [log.commit]
    place = top.snapshot
    if place.index and log.term_at(place.index) == place.term:
        found.append(place.index)
    agreement = compare_logs(log, top)
    if agreement.first <= agreement.last:
        found.append(min(agreement.last, end))
    return max(found)


def _last_certain(log: Log, upto: int) -> int:
    return next((change.index for change in reversed(log.changes_between(0, upto)) if change.certain), 0)


def _reach(spans: Sequence[tuple[int, int]], index: int) -> int:
    """The lowest index from which on the spans (first, last) tell every entry up to `index`; index + 1 for none."""
    low = index + 1
    while True:
        further = min((first for first, last in spans if first < low <= last + 1), default=low)
        if further >= low:
            return low
        low = further
