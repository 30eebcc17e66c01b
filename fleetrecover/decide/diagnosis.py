"""PURE: the judgement of a survey: one verdict, the findings behind it, and the remedy that would be safe.

The order of the questions matters. Whether quorum stands is asked first, of running members only; whether every voter is
accounted for is asked before any survivor is considered; and a run that has already moved data settles the survivor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.leftovers import leftovers
from fleetrecover.decide.loss import may_miss
from fleetrecover.decide.membership import Seat, quorum, seats, seats_of
from fleetrecover.decide.placement import Misplaced, can_elect, misplaced
from fleetrecover.decide.regrown import regrown
from fleetrecover.decide.returned import old_quorum, returned_members, split
from fleetrecover.decide.surroundings import ALARMS, surroundings
from fleetrecover.decide.survivor import Aside, Candidate, Choice, NoChoice, choose_survivor, rank
from fleetrecover.errors import InputError
from fleetrecover.etcd.membership import Member, hex_id
from fleetrecover.etcd.wal import compare_logs
from fleetrecover.facts import Container, Keep, NodeFacts, Survey, settle

__all__ = [
    "Diagnosis",
    "Finding",
    "OpenRun",
    "Remedy",
    "Severity",
    "Verdict",
    "Wish",
    "candidates_of",
    "check_wish",
    "close_stale",
    "cluster_ids",
    "diagnose",
    "find_open_run",
    "live_seats",
    "may_be_electing",
    "ranked",
    "startable",
    "superseded",
    "unaccounted",
    "unasked",
]


class Verdict(StrEnum):
    """The words of INTERFACE.md."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    QUORUM_LOST = "quorum-lost"
    UNDETERMINED = "undetermined"

    @property
    def exit_code(self) -> int:
        """The exit code of `diagnose`."""
        return {"healthy": 0, "degraded": 10, "quorum-lost": 11, "undetermined": 12}[self.value]


class Remedy(StrEnum):
    """What `recover` would do."""

    NONE = "none"
    FINISH = "finish"  # everything stands; a run has still to be closed
    REPAIR = "repair"  # quorum stands: replace members one at a time
    START = "start"  # enough members can simply be started
    RESET = "reset"  # quorum is lost for good
    BLOCKED = "blocked"  # not safe, or nothing to recover from


@dataclass(frozen=True)
class Wish:
    """What the operator has said. `dead` and `survivor` are names of hosts (or of members that are no hosts).

    `work_dir` is a directory on the survivor's node that takes the kept original, where there is no space for a copy.
    """

    dead: frozenset[str] = frozenset()
    survivor: str | None = None
    work_dir: str | None = None


@dataclass(frozen=True)
class OpenRun:
    """A run that has begun and is not closed. `pinned` once data was moved: the survivor never changes after that."""

    run: str
    survivor: str
    kind: str
    pinned: bool
    nodes: tuple[str, ...]
    started: str
    dead: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """The judgement. `seats` are the cluster's members as far as known, `choice` the survivor where one is needed."""

    verdict: Verdict
    remedy: Remedy
    seats: tuple[Seat, ...]
    findings: tuple[Finding, ...]
    choice: Choice | None = None
    open_run: OpenRun | None = None
    why: str = ""
    startable: tuple[str, ...] = ()

    @property
    def voters(self) -> tuple[Seat, ...]:
        """The members that vote."""
        return tuple(seat for seat in self.seats if not seat.learner)

    @property
    def quorum(self) -> int:
        """How many voters make a quorum."""
        return quorum(len(self.voters)) if self.voters else 0


def check_wish(survey: Survey, wish: Wish, known: Sequence[Seat]) -> None:
    """Raise InputError for a name in the wish that is neither a host nor a member."""
    hosts = {node.name for node in survey.nodes}
    members = {seat.name for seat in known if seat.name} | {hex_id(seat.id) for seat in known}
    for name in sorted(wish.dead - hosts - members):
        raise InputError(
            f"--dead {name}: there is no such host in the inventory and no such member in the cluster",
            hint=f"hosts: {', '.join(sorted(hosts))}; members: {', '.join(sorted(members)) or 'not known'}",
        )
    if wish.survivor is not None and wish.survivor not in hosts:
        raise InputError(
            f"--survivor {wish.survivor}: there is no such host in the inventory",
            hint=f"hosts: {', '.join(sorted(hosts))}",
        )
    if wish.survivor in wish.dead:
        raise InputError(f"{wish.survivor} cannot be both --survivor and --dead")


def diagnose(survey: Survey, wish: Wish) -> Diagnosis:
    """Judge the survey. Raises InputError where the wish names somebody who is not there."""
    clusters = cluster_ids(survey, wish)
    found = [
        *_node_findings(survey, wish),
        *surroundings(survey),
        *_stale_findings(survey),
        *_leftover_findings(survey),
    ]
    run = find_open_run(survey)
    if len(clusters) > 1:
        # a restore that was interrupted leaves the old identity on some nodes and the new one on others
        return _restore_open(run, (), found) or _mixed(survey, clusters, found, run)
    live = [node for node in survey.nodes if node.healthy]
    if live:
        return _with_quorum(survey, wish, live, found, run)
    return _without_quorum(survey, wish, found, run)


def cluster_ids(survey: Survey, wish: Wish) -> dict[int, tuple[str, ...]]:
    """Which cluster ids the nodes' etcd or data name, with the nodes of each."""
    found: dict[int, list[str]] = {}
    for node in survey.nodes:
        if node.name in wish.dead:
            continue
        own = node.status.cluster_id if node.status else node.log.cluster_id if node.log else None
        if own is not None:
            found.setdefault(own, []).append(node.name)
    return {cluster: tuple(names) for cluster, names in found.items()}


def find_open_run(survey: Survey) -> OpenRun | None:
    """The run that has begun and is not closed; the youngest of those that moved data, else the youngest.

    A run that is closed on any node is closed: the others were away when it ended.
    """
    closed = {keep.run for node in survey.nodes for keep in node.keeps if keep.finished or keep.undone}
    found: dict[str, list[tuple[str, Keep]]] = {}
    for node in survey.nodes:
        for keep in node.open_keeps():
            if keep.run not in closed and keep.pin and keep.pin.cluster == survey.fleet.cluster:
                found.setdefault(keep.run, []).append((node.name, keep))
    runs = [_open_run(run, keeps) for run, keeps in found.items()]
    return max(runs, key=lambda run: (run.pinned, run.started, run.run), default=None)


def close_stale(survey: Survey, wish: Wish) -> Survey:
    """The survey in which runs that nothing is to be done for any more are finished, and what they made is the node's own.

    Such are: a run that another node has marked as finished, when it was killed in between; and one whose reset is done,
    but whose cluster has lost its quorum again, with every missing voter declared dead (`regrown`). The next run closes
    them on the nodes.
    """
    over = {keep.run for node in survey.nodes for keep in node.keeps if keep.finished}
    run = find_open_run(survey)
    if run is not None and run.pinned and run.kind == Remedy.RESET:
        chief = next((node for node in survey.nodes if node.name == run.survivor and node.accessible), None)
        grown = regrown(survey, wish.dead, run.run, run.survivor) if chief is not None else None
        if grown is not None and grown.lost:
            over.add(run.run)
    return replace(survey, nodes=tuple(_closed(node, over) for node in survey.nodes))


def superseded(survey: Survey, run: str) -> Survey:
    """The survey in which that run is over: another one takes its place."""
    return replace(survey, nodes=tuple(_closed(node, {run}) for node in survey.nodes))


def _closed(node: NodeFacts, over: Collection[str]) -> NodeFacts:
    if not any(keep.run in over for keep in node.open_keeps()):
        return node
    stale = {keep.run for keep in node.open_keeps() if keep.run in over}
    keeps = tuple(replace(keep, finished=True, stale=True) if keep.run in stale else keep for keep in node.keeps)
    return replace(node, keeps=keeps, containers=settle(node.containers, keeps))


def _open_run(run: str, keeps: list[tuple[str, Keep]]) -> OpenRun:
    moved = [(name, k) for name, k in keeps if k.original or k.partial or k.work or k.booted or k.reset or k.proof]
    pins = [keep.pin for _, keep in moved or keeps if keep.pin]
    newest = max(pins, key=lambda pin: pin.started)
    return OpenRun(
        run=run,
        survivor=newest.survivor,
        kind=newest.kind,
        pinned=bool(moved),
        nodes=tuple(name for name, _ in keeps),
        started=newest.started,
        dead=newest.dead,
    )


def _mixed(
    survey: Survey, clusters: dict[int, tuple[str, ...]], found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    told = "; ".join(f"{', '.join(names)}: cluster {cluster:x}" for cluster, names in clusters.items())
    message = f"the nodes belong to {len(clusters)} different clusters ({told})"
    advice = "take the nodes of the other cluster out of the inventory, or declare them --dead to have them wiped aside"
    return _blocked(Finding(Severity.ERROR, None, "two-clusters", message, advice), (), None, found, run)


def _blocked(
    cause: Finding, known: tuple[Seat, ...], choice: Choice | None, found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    """Nothing can be done safely, and this is why."""
    return Diagnosis(
        Verdict.UNDETERMINED,
        Remedy.BLOCKED,
        known,
        ranked([*found, cause]),
        choice=choice,
        open_run=run,
        why=cause.message,
    )


# --- quorum stands ---


def _with_quorum(
    survey: Survey, wish: Wish, live: Sequence[NodeFacts], found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    known = live_seats(survey, live)
    check_wish(survey, wish, known)
    forgotten = _forgotten(survey, wish, live, known)
    if forgotten is not None:
        return _blocked(forgotten, known, None, found, run)
    ill = list(_membership_findings(survey, live, known, wish))
    ill += [finding for finding in found if finding.severity is not Severity.INFO and finding.code not in _COSMETIC]
    ill += _returned_findings(survey, wish, known)
    found += [finding for finding in ill if finding not in found]
    sides = split(survey)
    if sides:
        return _split_brain(sides, known, found, run)
    whole = not any(finding.code in _MEMBERSHIP for finding in ill)
    if run is not None:
        found.append(_run_finding(run))
    if not ill:
        remedy = Remedy.FINISH if run else Remedy.NONE
        why = f"all {len(known)} members are voters, healthy and agree"
        return Diagnosis(Verdict.HEALTHY, remedy, known, ranked(found), open_run=run, why=why)
    remedy = Remedy.REPAIR if not whole else Remedy.FINISH if run else Remedy.NONE
    why = "quorum stands, but " + "; ".join(finding.message for finding in ranked(ill)[:3])
    return Diagnosis(Verdict.DEGRADED, remedy, known, ranked(found), open_run=run, why=why)


MOVING = 5000
"""Entries that a serving cluster may be ahead while we look at it."""


def _forgotten(survey: Survey, wish: Wish, live: Sequence[NodeFacts], known: Sequence[Seat]) -> Finding | None:
    """Whether what serves has forgotten entries that another member's log knows to be decided.

    Members whose disks were emptied and that start again with their old command make a new cluster under the old ids.
    It answers, and it is empty: repairing it would replace the one member that still has the data.
    """
    ids = {seat.id for seat in known if not seat.learner}
    ends = [node.status.commit for node in live if node.status] + [n.log.last.index for n in live if n.log]
    cluster = next((node.status.cluster_id for node in live if node.status), None)
    for node in survey.nodes:
        log = node.log
        if log is None or node.healthy or node.name in wish.dead or log.cluster_id != cluster or log.node_id not in ids:
            continue
        runs = any(c.state == "running" and c.network != "none" for c in node.containers)
        ahead = log.commit - max(ends, default=0)
        forks = any(other.log is not None and compare_logs(log, other.log).fork is not None for other in live)
        if ahead > (MOVING if runs else 0) or forks:
            names = ", ".join(each.name for each in live)
            what = f"{ahead} entries" if ahead > 0 else "a history"
            return Finding(
                Severity.ERROR,
                node.name,
                "forgotten",
                f"{names} serve, but {node.name}'s log holds {what} that was decided and that they do not have: their disks "
                "were emptied or rolled back, or the cluster was forked by an earlier reset",
                f"stop etcd on {names} before more is written there, and compare both sides; then declare the side that is "
                "to be given up --dead",
            )
    return None


_MEMBERSHIP = frozenset(
    {
        *("host-not-member", "member-unstarted", "member-unhealthy", "learner", "member-gone"),
        *("wrong-host", "leftover-container"),
    }
)
_COSMETIC = frozenset(
    {
        *("unreachable", "login", "host-key", "sudo", "no-engine", "no-container", "kept-data", "log-unsound"),
        *("clock", "certificate-expires", "certificate-unread", "certificate-names", "space", "peer-port"),
        "no-restart-policy",
    }
)
"""What does not make a cluster degraded by itself."""


def live_seats(survey: Survey, live: Sequence[NodeFacts]) -> tuple[Seat, ...]:
    """The seats by the member list of a healthy member; empty where none could be had."""
    listed = next((node.members for node in live if node.members is not None), None)
    if listed is None:
        return ()
    members = tuple(Member(m.id, m.name, m.peer_urls, m.client_urls, m.is_learner) for m in listed)
    return seats(survey, members, frozenset(m.id for m in listed if m.is_learner))


def _membership_findings(survey: Survey, live: Sequence[NodeFacts], known: Sequence[Seat], wish: Wish) -> list[Finding]:
    found: list[Finding] = []
    healthy = {node.name for node in live}
    seated = {seat.host for seat in known}
    for seat in known:
        if seat.host is None:
            found.append(_warn(None, "member-gone", f"member {seat.label} is no host of the inventory"))
        elif not seat.name:
            found.append(
                _warn(seat.host, "member-unstarted", f"{seat.label} was added as a member but has not started")
            )
        elif seat.host not in healthy:
            found.append(_warn(seat.host, "member-unhealthy", f"member {seat.label} is not healthy"))
        elif seat.learner:
            found.append(_warn(seat.host, "learner", f"{seat.label} is still a learner"))
    found += [_misplaced_finding(one) for one in misplaced(survey, known)]
    for node in survey.nodes:
        if node.name not in seated and node.name not in wish.dead and known:
            found.append(_warn(node.name, "host-not-member", f"{node.name} is not a member of the cluster"))
        if node.alarms:
            found.append(_alarm_finding(node, node.alarms))
    return found


def _misplaced_finding(one: Misplaced) -> Finding:
    urls, named = ", ".join(one.seat.peer_urls), ", ".join(one.named)
    advice = "`fleetrecover recover` gives it the peer URL of its host"
    if not one.wanted:
        advice = f"`etcdctl member update {hex_id(one.seat.id)} --peer-urls=URL` with that of {one.host}"
    message = (
        f"{one.host} runs member {one.seat.name or hex_id(one.seat.id)}, whose peer URL {urls} is that of {named}: the others do "
        "not find it there"
    )
    if one.host in one.named or one.named == ():
        message = f"{one.host}: its peer URL {urls} is one that an exchange of URLs was interrupted at"
    return Finding(Severity.WARNING, one.host, "wrong-host", message, advice)


def _leftover_findings(survey: Survey) -> list[Finding]:
    """Containers that a run of ours left standing."""
    return [
        Finding(
            Severity.WARNING,
            node.name,
            "leftover-container",
            f"{node.name}: container {left.name} was made by run {left.made_by} for a while, and was left standing",
            "`fleetrecover recover` takes it away, and starts the node's own one",
        )
        for node in survey.nodes
        for left in leftovers(survey, node)
    ]


def _returned_findings(survey: Survey, wish: Wish, known: Sequence[Seat]) -> list[Finding]:
    """Members that were left behind and are there again with their old data."""
    if not known:
        return []
    back = returned_members(survey, frozenset(seat.id for seat in known), wish.dead)
    able = old_quorum(back)
    found = []
    for one in back:
        message = (
            f"{one.node} has come back with the data of member {one.member_id:x}, which this cluster has removed"
            if one.member_id is not None
            else f"{one.node} has come back with old data"
        )
        if one.node in able:
            message += f"; {' and '.join(able)} could form the OLD quorum, and serve what was true before the recovery"
        severity = Severity.ERROR if one.node in able else Severity.WARNING
        advice = "`fleetrecover recover` fences it, keeps its data aside, and brings it in as a new member"
        found.append(Finding(severity, one.node, "returned-member", message, advice))
    return found


def _split_brain(
    sides: Sequence[Sequence[str]], known: tuple[Seat, ...], found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    told = " against ".join(", ".join(side) for side in sides)
    message = f"SPLIT BRAIN: healthy members disagree on who the members are ({told}); clients of both sides are served"
    advice = "stop etcd on the side that was to be gone (`docker update --restart=no etcd; docker stop etcd`), then look again"
    return _blocked(Finding(Severity.ERROR, None, "split-brain", message, advice), known, None, found, run)


def _alarm_finding(node: NodeFacts, alarms: Sequence[str]) -> Finding:
    kinds = dict.fromkeys(alarm.partition(" ")[0] for alarm in alarms)
    advice = "; ".join(ALARMS.get(kind, "`etcdctl alarm list`") for kind in kinds)
    return Finding(Severity.WARNING, node.name, "alarm", f"alarm on {node.name}: {', '.join(alarms)}", advice)


def _warn(node: str | None, code: str, message: str) -> Finding:
    advice = {
        "member-gone": "add its host to the inventory, or declare it --dead to have it removed",
        "alarm": "free space or compact and defragment, then `etcdctl alarm disarm`",
    }.get(code, "`fleetrecover recover` mends it without any reset")
    return Finding(Severity.WARNING, node, code, message, advice)


# --- no quorum ---


def _without_quorum(survey: Survey, wish: Wish, found: list[Finding], run: OpenRun | None) -> Diagnosis:
    candidates = candidates_of(survey, wish)
    known = _known_seats(survey, candidates)
    check_wish(survey, wish, known)
    if run is not None:
        found.append(_run_finding(run))
    repairing = run is not None and run.kind == Remedy.REPAIR  # it never resets: what it left is judged afresh
    if run is not None and run.pinned and not repairing:
        return _resume(survey, wish, known, candidates, found, run)
    away = unaccounted(survey, wish, known)
    mute = unasked(survey, known)
    if mute and not can_elect(survey, known, _running(survey, known)):
        mute = ()  # they run, and cannot hear each other: nobody serves
    choice = _choose(survey, wish, candidates, known)
    found += _choice_findings(choice)
    chosen = choice if isinstance(choice, Choice) else None
    found += [_misplaced_finding(one) for one in misplaced(survey, known)]
    if away:
        return _blocked_by(away, known, chosen, found, run)
    if mute:
        return _blocked_by_silence(survey, mute, known, chosen, found, run)
    leader = _agreed_leader(survey, known)
    if leader is not None:
        return _blocked_by_leader(leader, known, chosen, found, run)
    if isinstance(choice, NoChoice):
        found.append(
            Finding(
                Severity.ERROR,
                None,
                "contradiction" if choice.contradiction else "no-survivor",
                choice.reason,
                "look at the members with `fleetrecover inspect`; `fleetrecover snapshot restore` restores a snapshot",
            )
        )
        verdict = Verdict.UNDETERMINED if choice.contradiction else Verdict.QUORUM_LOST
        return Diagnosis(verdict, Remedy.BLOCKED, known, ranked(found), open_run=run, why=choice.reason)
    ready = startable(survey, wish, known, frozenset(aside.host for aside in choice.aside))
    remedy = Remedy.RESET
    why = f"no member has a leader, and all {len(known)} voters are accounted for"
    if run is not None and repairing:
        why = f"quorum was lost while run {run.run} was repairing"
    voters = [seat for seat in known if not seat.learner]
    if wish.survivor is None and len(ready) >= quorum(len(voters)) and can_elect(survey, known, ready):
        remedy = Remedy.START
        why = f"{len(ready)} of {len(voters)} voters have sound data and can simply be started: {', '.join(ready)}"
    return Diagnosis(
        Verdict.QUORUM_LOST, remedy, known, ranked(found), choice=choice, open_run=run, why=why, startable=ready
    )


def _choose(survey: Survey, wish: Wish, candidates: Sequence[Candidate], known: Sequence[Seat]) -> Choice | NoChoice:
    choice = choose_survivor(candidates, {seat.id: seat.label for seat in known}, wish.survivor)
    if isinstance(choice, NoChoice):
        return choice
    return replace(choice, may_miss=may_miss(choice, survey, known))


_ASIDE_ADVICE = {
    "wal-lost-data": "it is not used; if nothing else is left, its database can be restored: `fleetrecover snapshot restore "
    "…/member/snap/db`",
    "rolled-back": "it is not counted as evidence; find out whether that disk was restored from a backup or an image",
    "newborn": "it is not counted as evidence, nor started with the others; its data is kept aside when it joins again",
    "learner-log": "it is not counted as evidence",
    "removed-member": "its data is kept aside when the node joins again",
    "older-membership": "its data is kept aside when the node joins again",
}


def _choice_findings(choice: Choice | NoChoice) -> list[Finding]:
    """What the choice found out about single logs, and what may be missing."""
    found = [_aside_finding(aside) for aside in choice.aside]
    if isinstance(choice, Choice):
        advice = "bring back the disk of a member whose log is missing, if that can be done, before you recover"
        found += [Finding(Severity.WARNING, None, "may-be-missing", text, advice) for text in choice.may_miss]
    return found


def _aside_finding(aside: Aside) -> Finding:
    severity = Severity.WARNING if aside.code in ("wal-lost-data", "rolled-back", "newborn") else Severity.INFO
    return Finding(severity, aside.host, aside.code, aside.reason, _ASIDE_ADVICE.get(aside.code, ""))


def _agreed_leader(survey: Survey, known: Sequence[Seat]) -> NodeFacts | None:
    """The leader that a quorum of running voters agrees on, itself among them: such a cluster is slow, not lost."""
    voters = {seat.id for seat in known if not seat.learner}
    says = [node for node in survey.nodes if node.status is not None and node.status.member_id in voters]
    for node in says:
        assert node.status is not None
        leader, term = node.status.member_id, node.status.raft_term
        with_it = [n for n in says if n.status and n.status.leader_id == leader and n.status.raft_term == term]
        if node in with_it and voters and len(with_it) >= quorum(len(voters)):
            return node
    return None


def _blocked_by_leader(
    leader: NodeFacts, known: tuple[Seat, ...], choice: Choice | None, found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    said = leader.status.problem if leader.status and leader.status.problem else "no answer in time"
    message = f"a quorum agrees that {leader.name} leads, but no linearizable read came back: {said}"
    advice = "the cluster is slow or overloaded, not lost: look at its disks and load, then look again"
    return _blocked(Finding(Severity.ERROR, leader.name, "slow", message, advice), known, choice, found, run)


def may_be_electing(survey: Survey) -> bool:
    """Whether enough sound voters run to make a quorum though none has a leader yet: worth another look in a moment.

    A member whose log a peer's log proves to be forgetful does not count: an emptied one must not be waited for.
    """
    if any(node.healthy for node in survey.nodes):
        return False
    candidates = candidates_of(survey, Wish())
    known = _known_seats(survey, candidates)
    choice = choose_survivor(candidates, {})
    aside = {found.host for found in choice.aside}
    voters = [seat for seat in known if not seat.learner]
    sound = {candidate.host for candidate in candidates if candidate.usable} - aside
    ready = [
        seat
        for seat in voters
        if seat.host in sound
        and any(c.state == "running" and c.network != "none" for c in survey.node(seat.host).containers)
    ]
    return bool(voters) and len(ready) >= quorum(len(voters)) and isinstance(choice, Choice)


def candidates_of(survey: Survey, wish: Wish) -> tuple[Candidate, ...]:
    """The members whose logs are evidence: sound, and not declared dead."""
    found = []
    for node in survey.nodes:
        if node.log is None or node.name in wish.dead:
            continue
        applied = node.db.consistent_index if node.db is not None and not _writes(node) else None
        container = node.original(survey.fleet.etcd.container)
        notes = []
        lost = applied is not None and applied > node.log.last.index
        if lost:
            notes.append(
                f"{node.name}'s database has applied index {applied}, its log ends at {node.log.last.index}: "
                "its WAL has lost data"
            )
        if container is not None and container.config is not None and container.config.unsafe_no_fsync:
            notes.append(f"{node.name} runs with --unsafe-no-fsync: what it acknowledged may not be on its disk")
        found.append(Candidate(node.name, node.log, honest=not notes, note="; ".join(notes), usable=not lost))
    return tuple(found)


def _writes(node: NodeFacts) -> bool:
    """Whether its etcd takes writes while we look: the database, read after the log, may then be ahead of it."""
    return node.healthy or (node.db is not None and not node.db.stable)


def _known_seats(survey: Survey, candidates: Sequence[Candidate]) -> tuple[Seat, ...]:
    best = next(iter(rank(candidates)), None)
    if best is not None:
        return seats_of(survey, best.log.configuration_at_end)
    listed = next((node.members for node in survey.nodes if node.members), None)
    if listed:
        members = tuple(Member(m.id, m.name, m.peer_urls, m.client_urls, m.is_learner) for m in listed)
        return seats(survey, members, frozenset(m.id for m in listed if m.is_learner))
    return ()


def unaccounted(survey: Survey, wish: Wish, known: Sequence[Seat]) -> tuple[str, ...]:
    """The voters that nobody can vouch for: neither stoppable by us nor declared dead by the operator.

    Where no configuration is known, every host of the inventory counts as a voter.
    """
    away: list[str] = []
    names = {node.name: node for node in survey.nodes}
    voters = [seat for seat in known if not seat.learner]
    for seat in voters:
        if seat.among(wish.dead):
            continue
        if seat.host is None or not names[seat.host].accessible:
            away.append(seat.label)
    if not voters:
        away += [node.name for node in survey.nodes if not node.accessible and node.name not in wish.dead]
    return tuple(away)


def _running(survey: Survey, known: Sequence[Seat]) -> tuple[str, ...]:
    """The hosts of the voters whose etcd runs in the open; not those that surely run as somebody else, or anew."""
    found = []
    for seat in known:
        if seat.host is None or seat.learner:
            continue
        node = survey.node(seat.host)
        other = node.log is not None and node.log.node_id != seat.id
        anew = node.data is not None and not node.data.has_member
        if not (other or anew) and any(c.state == "running" and c.network != "none" for c in node.containers):
            found.append(seat.host)
    return tuple(found)


def unasked(survey: Survey, known: Sequence[Seat]) -> tuple[str, ...]:
    """The voters whose etcd runs on sound data but could not be asked, if they would be a quorum; else nothing.

    A healthy cluster whose `etcdctl` does not work (a wrong option, no such file in the image) must never be taken for
    one that has lost its quorum.
    """
    voters = [seat for seat in known if not seat.learner]
    mute = [
        seat.host
        for seat in voters
        if seat.host is not None
        and (node := survey.node(seat.host)).status is None
        and node.status_problem is not None
        and node.log is not None
        and any(c.state == "running" and c.network != "none" for c in node.containers)
    ]
    return tuple(mute) if voters and len(mute) >= quorum(len(voters)) else ()


def _blocked_by_silence(
    survey: Survey,
    mute: Sequence[str],
    known: tuple[Seat, ...],
    choice: Choice | None,
    found: list[Finding],
    run: OpenRun | None,
) -> Diagnosis:
    first = survey.node(mute[0]).status_problem
    message = f"etcd runs on {', '.join(mute)} but could not be asked: {first.message if first else 'no answer'}"
    advice = "see that `etcdctl endpoint status` works in that container; the cluster may be serving"
    return _blocked(Finding(Severity.ERROR, mute[0], "not-asked", message, advice), known, choice, found, run)


def startable(
    survey: Survey, wish: Wish, known: Sequence[Seat], aside: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The voters that could be started as they are: container there, own sound data in its place.

    Not those `aside`, whose logs are no evidence: members that have forgotten what they acknowledged could, with each
    other, elect one of them.
    """
    ready = []
    for seat in known:
        if seat.learner or seat.host is None or seat.host in aside or wish.dead & {seat.host, seat.name}:
            continue
        node = survey.node(seat.host)
        own = node.original(survey.fleet.etcd.container)
        in_place = node.data is not None and node.data.has_member
        honest = node.db is None or node.log is None or (node.db.consistent_index or 0) <= node.log.last.index
        fits = own is not None and not own.forced
        if node.accessible and fits and in_place and honest and node.log is not None and node.log.node_id == seat.id:
            ready.append(seat.host)
    return tuple(ready)


def _blocked_by(
    away: Sequence[str], known: tuple[Seat, ...], choice: Choice | None, found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    names = ", ".join(away)
    verb = "is" if len(away) == 1 else "are"
    message = f"{names} {verb} neither reachable nor declared dead, and may be serving on the other side of a partition"
    options = " ".join(f"--dead {name}" for name in away)
    advice = f"make it reachable; or, if it is gone for good and switched off, say so: {options}"
    who = away[0] if len(away) == 1 else None
    return _blocked(Finding(Severity.ERROR, who, "unaccounted", message, advice), known, choice, found, run)


def _resume(
    survey: Survey,
    wish: Wish,
    known: tuple[Seat, ...],
    candidates: Sequence[Candidate],
    found: list[Finding],
    run: OpenRun,
) -> Diagnosis:
    """Quorum is not back yet, but a run has moved data: its survivor stays."""
    names = {node.name for node in survey.nodes}
    restore_open = _restore_open(run, known, found)
    if restore_open is not None:
        return restore_open
    problem = ""
    if run.survivor not in names:
        problem = f"run {run.run} has chosen {run.survivor}, which is not in this inventory"
    elif not survey.node(run.survivor).accessible:
        problem = f"run {run.run} has chosen {run.survivor}, and data was moved, but {run.survivor} cannot be reached"
    elif wish.survivor not in (None, run.survivor):
        problem = f"run {run.run} has chosen {run.survivor} and data was moved; it cannot change to {wish.survivor} now"
    elif run.survivor in wish.dead:
        problem = f"run {run.run} has chosen {run.survivor} and data was moved; it cannot be --dead now"
    if problem:
        advice = f"bring {run.survivor} back, or `fleetrecover undo {run.run}` and start again with another survivor"
        cause = Finding(Severity.ERROR, run.survivor, "pinned-survivor", problem, advice)
        return _blocked(cause, known, None, found, run)
    labels = {seat.id: seat.label for seat in known}
    choice = choose_survivor(candidates, labels, run.survivor)
    grown = regrown(survey, wish.dead, run.run, run.survivor)
    if grown is not None and not grown.enough:
        return _blocked_by_voters(grown.away, known, choice if isinstance(choice, Choice) else None, found, run)
    why = f"run {run.run} is under way; its survivor is {run.survivor}"
    return Diagnosis(
        Verdict.QUORUM_LOST,
        Remedy.RESET,
        known,
        ranked(found),
        choice=choice if isinstance(choice, Choice) else _pinned_choice(run),
        open_run=run,
        why=why,
    )


def _blocked_by_voters(
    away: Sequence[Seat], known: tuple[Seat, ...], choice: Choice | None, found: list[Finding], run: OpenRun
) -> Diagnosis:
    """Voters that were added since the reset are away: the survivor has no quorum without them."""
    labels = [seat.label for seat in away]
    names, options = ", ".join(labels), " ".join(f"--dead {label}" for label in labels)
    message = f"{run.survivor} was reset and {names} added as a voter since: without {names} there is no quorum"
    advice = (
        f"bring {names} back; or, if it is gone for good and switched off, the same command with {options}: what was "
        "written since is kept"
    )
    return _blocked(Finding(Severity.ERROR, None, "unaccounted", message, advice), known, choice, found, run)


def _restore_open(run: OpenRun | None, known: tuple[Seat, ...], found: list[Finding]) -> Diagnosis | None:
    """That nothing can be recovered while a snapshot is being restored, and what to do; None where none is."""
    from fleetrecover.decide.restore import restore_under_way

    told = restore_under_way(run) if run is not None else None
    if told is None:
        return None
    problem, advice = told
    return _blocked(Finding(Severity.ERROR, None, "restore-open", problem, advice), known, None, found, run)


def _pinned_choice(run: OpenRun) -> Choice:
    from fleetrecover.decide.survivor import ProofKind

    return Choice(
        survivor=run.survivor,
        why=f"chosen by run {run.run}, which has already moved data",
        proof=ProofKind.BEST,
        logs_needed=0,
        logs_read=0,
        voters=0,
        missing=(),
        ranking=(run.survivor,),
    )


def _run_finding(run: OpenRun) -> Finding:
    return Finding(
        Severity.WARNING,
        None,
        "run-open",
        f"run {run.run} (survivor {run.survivor}, begun {run.started}) has not been finished",
        "`fleetrecover recover` finishes it; `fleetrecover undo` takes it back",
    )


def _stale_findings(survey: Survey) -> list[Finding]:
    """Runs whose cluster has lost its quorum again: the only ones that are stale everywhere."""
    found = []
    for run in sorted({keep.run for node in survey.nodes for keep in node.keeps if keep.stale}):
        keeps = [keep for node in survey.nodes for keep in node.keeps if keep.run == run]
        pin = next((keep.pin for keep in keeps if keep.pin), None)
        if pin is not None and all(keep.stale for keep in keeps):
            message = (
                f"run {run} had reset {pin.survivor} and added voters since, and without those that are dead now there is no "
                "quorum again"
            )
            advice = "a new run recovers it from the data as it is now, with what was written since"
            found.append(Finding(Severity.WARNING, pin.survivor, "outgrown-run", message, advice))
    return found


# --- findings about single nodes ---


def _node_findings(survey: Survey, wish: Wish) -> list[Finding]:
    found: list[Finding] = []
    for node in survey.nodes:
        if not node.reachable:
            problem = node.problem
            code = problem.kind if problem else "unreachable"
            message = problem.message if problem else f"{node.name} cannot be reached"
            severity = Severity.INFO if node.name in wish.dead else Severity.ERROR
            found.append(Finding(severity, node.name, code, message, (problem.hint if problem else "") or ""))
            continue
        found += _reachable_findings(survey, node)
    return found


def _reachable_findings(survey: Survey, node: NodeFacts) -> list[Finding]:
    found: list[Finding] = []
    name = survey.fleet.etcd.container
    if node.cli_version is None:
        why = node.cli_problem.message if node.cli_problem else "no answer"
        found.append(
            Finding(
                Severity.ERROR,
                node.name,
                "no-engine",
                f"{node.name}: `{survey.fleet.etcd.cli}` does not answer: {why}",
                "start the container engine there; until then its etcd cannot be stopped or started",
            )
        )
    elif node.original(name) is None:
        found.append(Finding(Severity.WARNING, node.name, "no-container", f"{node.name} has no etcd container", ""))
    if node.log_problem is not None and node.log_problem.kind == "corrupt":
        found.append(
            Finding(
                Severity.WARNING,
                node.name,
                "log-unsound",
                f"{node.name}'s log is no evidence: {node.log_problem.message}",
                "it will not be chosen; its data is kept",
            )
        )
    found += [_container_finding(node, c, name) for c in node.containers if _dangerous(c, name)]
    return found


def _dangerous(container: Container, name: str) -> bool:
    forced = container.forced and container.role is None and not container.lies_aside
    fights = container.name != name and container.role is None and container.restart_policy not in ("no", "")
    return forced or fights


def _container_finding(node: NodeFacts, container: Container, name: str) -> Finding:
    if container.forced:
        return Finding(
            Severity.ERROR if container.restart_policy not in ("no", "") else Severity.WARNING,
            node.name,
            "force-flag",
            f"{node.name}: container {container.name} carries --force-new-cluster; its next start expels every other member",
            "`fleetrecover recover` takes it away",
        )
    return Finding(
        Severity.WARNING,
        node.name,
        "second-container",
        f"{node.name}: container {container.name} has restart policy {container.restart_policy} beside {name}: "
        "after a reboot both would run on one data directory",
        f"`docker update --restart=no {container.name}`",
    )
