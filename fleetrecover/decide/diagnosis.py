"""PURE: the judgement of a survey: one verdict, the findings behind it, and the remedy that would be safe.

The order of the questions matters. Whether each entry of the inventory is a machine of its own comes before all counting.
Whether quorum stands is asked next, of running members only, and whether what serves is the best there is; then whether
anybody names a leader, and whether every voter is accounted for, before any survivor is considered; and a run that has
already moved data settles the survivor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from shlex import quote

from fleetrecover.decide.away import away_finding, engine_advice, missed, no_container, outside
from fleetrecover.decide.barriers import barriers, half_undone
from fleetrecover.decide.certificates import files_missing, start_blocked_by_files
from fleetrecover.decide.dead import ANSWERED, resolved
from fleetrecover.decide.finding import Finding, Severity, ranked
from fleetrecover.decide.leaders import led_finding, other_quorum
from fleetrecover.decide.leftovers import leftovers
from fleetrecover.decide.loss import may_miss
from fleetrecover.decide.membership import Seat, following, quorum, seats, seats_of
from fleetrecover.decide.own import own_container, own_name, standing_container
from fleetrecover.decide.placement import Misplaced, can_elect, displaced, misplaced
from fleetrecover.decide.regrown import adopted, regrown
from fleetrecover.decide.renamed import in_place, renamed
from fleetrecover.decide.returned import old_quorum, returned_members, split
from fleetrecover.decide.richer import best_database, beyond_choice, beyond_pinned, restored_by_hand
from fleetrecover.decide.same_machine import same_machine
from fleetrecover.decide.seen import given_up
from fleetrecover.decide.sides import (
    begun_anew,
    beyond,
    beyond_finding,
    by_cluster,
    histories,
    never_written,
    two_clusters,
    two_histories,
)
from fleetrecover.decide.surroundings import ALARMS, surroundings
from fleetrecover.decide.survivor import Aside, Candidate, Choice, NoChoice, ProofKind, choose_survivor, rank
from fleetrecover.decide.unlogged import unlogged_finding
from fleetrecover.decide.untouchable import IN_CONTAINER, forbidden, node_kinds, unclear_finding
from fleetrecover.decide.upgrade import upgrade_findings
from fleetrecover.decide.versions import begun_from
from fleetrecover.decide.words import Diagnosis, OpenRun, Remedy, Verdict, Wish
from fleetrecover.errors import InputError
from fleetrecover.etcd.membership import Member, hex_id
from fleetrecover.etcd.wal import Log
from fleetrecover.facts import RESEED, Container, Keep, NodeFacts, Survey, settle
from fleetrecover.plain import counted
from fleetrecover.runtime import runtime_of
from fleetrecover.steps import RESTORE

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


def check_wish(survey: Survey, wish: Wish, known: Sequence[Seat]) -> None:
    """Raise InputError for a name in the wish that is neither a host nor a member; where no member is known, none is refused."""
    hosts = {node.name for node in survey.nodes}
    members = {seat.name for seat in known if seat.name} | {hex_id(seat.id) for seat in known}
    unknown = wish.dead - hosts - members - {member for _, member in wish.meant} if members else ()
    for name in sorted(unknown):
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
    wish = resolved(survey, wish)
    return replace(_judge(survey, wish), options=_options(wish))


def _options(wish: Wish) -> str:
    """What is typed again with every command that is to do what was judged."""
    words = [f" --dead {quote(word)}" for word in sorted(wish.dead)]
    return "".join([*words, *([f" --survivor {quote(wish.survivor)}"] if wish.survivor else [])])


def _judge(survey: Survey, wish: Wish) -> Diagnosis:
    run = find_open_run(survey)
    found = [
        *_node_findings(survey, wish),
        *surroundings(survey),
        *_stale_findings(survey),
        *_leftover_findings(survey, run.run if run is not None else None),
        *barriers(survey, run),
        *node_kinds(survey),
        *upgrade_findings(survey),
    ]
    twice = same_machine(survey)
    if twice:
        return _blocked(twice[0], (), None, [*found, *twice], run)
    half = half_undone(survey)
    if half is not None and not any(node.healthy for node in survey.nodes):
        return Diagnosis(
            Verdict.QUORUM_LOST,
            Remedy.BLOCKED,
            (),
            ranked([*found, half]),
            open_run=run,
            why=half.message,
            cause=half,
        )
    blind = _not_seen(survey, wish)
    if blind is not None:
        return _blocked(blind, (), None, [each for each in found if each != blind], run)
    clusters = cluster_ids(survey, wish)
    if len(clusters) > 1:
        # a restore that was interrupted leaves the old identity on some nodes and the new one on others
        mixed = two_clusters(survey, by_cluster(survey, clusters.values()))
        return _restore_open(run, (), found) or _blocked(mixed, (), None, found, run)
    live = [node for node in survey.nodes if node.healthy]
    if live:
        return _with_quorum(survey, wish, live, found, run)
    return _without_quorum(survey, wish, found, run)


def _not_seen(survey: Survey, wish: Wish) -> Finding | None:
    """That we only may not look, or do not know where: told before anything is concluded from logs that were not read."""
    if any(node.healthy for node in survey.nodes):
        return None
    there = [node for node in survey.nodes if node.reachable and node.name not in wish.dead]
    found = [each for node in there for each in (*forbidden(survey, node), *unclear_finding(survey, node))]
    return next(iter(found), None)


def cluster_ids(survey: Survey, wish: Wish) -> dict[int, tuple[str, ...]]:
    """Which cluster ids the nodes' etcd or data name, with the nodes of each. What is begun anew and empty does not count."""
    found: dict[int, list[str]] = {}
    out = begun_anew(survey)
    dead = resolved(survey, wish).dead
    for node in survey.nodes:
        if node.name in dead or node.name in out:
            continue
        own = node.status.cluster_id if node.status else node.log.cluster_id if node.log else None
        if own is not None:
            found.setdefault(own, []).append(node.name)
    return {cluster: tuple(names) for cluster, names in found.items()}


def find_open_run(survey: Survey) -> OpenRun | None:
    """The run that has begun and is not closed; the youngest of those that moved data, else the youngest.

    A run that is finished on any node is finished: the others were away when it ended. One that was only taken back on
    some nodes is open on the others, unless the cluster serves without it. The cluster's name in the inventory of the
    bastion that began it may be another: it is the same run all the same.
    """
    closed = _over(survey)
    found: dict[str, list[tuple[str, Keep]]] = {}
    for node in survey.nodes:
        for keep in node.open_keeps():
            if keep.pin and (keep.undoing or keep.run not in closed):
                found.setdefault(keep.run, []).append((node.name, keep))
    runs = [_open_run(run, keeps) for run, keeps in found.items()]
    return max(runs, key=lambda run: (run.pinned, run.started, run.run), default=None)


def _over(survey: Survey) -> set[str]:
    """The runs that are closed, though a node that was away then may not show it: finished, or undone where etcd serves."""
    return {keep.run for node in survey.nodes for keep in node.keeps if keep.finished or (keep.undone and node.healthy)}


def close_stale(survey: Survey, wish: Wish) -> Survey:
    """The survey in which runs that nothing is to be done for any more are finished, and what they made is the node's own.

    Such are: a run that another node has marked as finished, when it was killed in between; and one whose reset is done,
    but whose cluster has lost its quorum again, with every missing voter declared dead (`regrown`). The next run closes
    them on the nodes.
    """
    over = _over(survey)
    run, wish = find_open_run(survey), resolved(survey, wish)
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
    stale = {keep.run for keep in node.open_keeps() if keep.run in over and not keep.undoing}
    keeps = tuple(replace(keep, finished=True, stale=True) if keep.run in stale else keep for keep in node.keeps)
    return replace(node, keeps=keeps, containers=settle(node.containers, keeps))


def _open_run(run: str, keeps: list[tuple[str, Keep]]) -> OpenRun:
    moved = [(name, k) for name, k in keeps if k.original or k.partial or k.work or k.booted or k.reset or k.proof]
    pins = [keep.pin for _, keep in moved or keeps if keep.pin]
    # a run that began to start members, and then had to reset one, is of the kind that it has become
    newest = max(pins, key=lambda pin: (pin.kind == Remedy.RESET, pin.started))
    return OpenRun(
        run=run,
        survivor=newest.survivor,
        kind=newest.kind,
        pinned=bool(moved),
        nodes=tuple(name for name, _ in keeps),
        started=newest.started,
        dead=newest.dead,
        cluster=newest.cluster,
        method=newest.method,
    )


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
        cause=cause,
    )


# --- quorum stands ---


def _with_quorum(
    survey: Survey, wish: Wish, live: Sequence[NodeFacts], found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    known = live_seats(survey, live)
    check_wish(survey, wish, known)
    beside = other_quorum(survey, known)
    if beside is not None:
        return _blocked(beside, known, None, found, run)
    better = beyond(survey, given_up(survey, run))
    if better:
        return _blocked(beyond_finding(survey, better), known, None, found, run)
    ill = list(_membership_findings(survey, live, known, wish))
    ill += [finding for finding in found if finding.severity is not Severity.INFO and finding.code not in _COSMETIC]
    ill += _returned_findings(survey, wish, known)
    found += [finding for finding in ill if finding not in found]
    sides = split(survey)
    if sides:
        return _split_brain(survey, sides, known, found, run)
    restoring = _restore_open(run, known, found)
    if restoring is not None:
        return replace(restoring, verdict=Verdict.DEGRADED)
    whole = not any(finding.code in _MEMBERSHIP and not finding.waits for finding in ill)
    lacking = None if whole else unlogged_finding(live)
    if lacking is not None:
        return _blocked(lacking, known, None, found, run)
    whole = whole and not _forced(survey, known) and not any(renamed(survey, node) for node in survey.nodes)
    if run is not None:
        found.append(_run_finding(run))
    if not ill:
        remedy = Remedy.FINISH if run else Remedy.NONE
        why = (
            f"all {len(known)} members are voters, healthy and agree"
            if len(known) != 1
            else "its only member is healthy"
        )
        return Diagnosis(Verdict.HEALTHY, remedy, known, ranked(found), open_run=run, why=why)
    remedy = Remedy.REPAIR if not whole else Remedy.FINISH if run else Remedy.NONE
    why = "quorum stands, but " + "; ".join(finding.message for finding in ranked(ill)[:3])
    return Diagnosis(Verdict.DEGRADED, remedy, known, ranked(found), open_run=run, why=why)


def _forced(survey: Survey, known: Sequence[Seat]) -> bool:
    """Whether a healthy member runs in a container that carries --force-new-cluster: it is rebuilt without."""
    own = [in_place(survey, survey.node(seat.host)) for seat in known if seat.host is not None]
    return any(each is not None and each.forced and each.role is None and each.running for each in own)


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
        *("no-restart-policy", "other-name"),
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
    nowhere = displaced(survey, known)
    for seat in known:
        away = missed(survey, seat, wish.dead)
        if seat in nowhere and not seat.among(wish.dead):
            found.append(_displaced_finding(seat))
        elif away is not None:
            found.append(away)
        elif seat.host is None:
            found.append(_warn(None, "member-gone", f"member {seat.label} is no host of the inventory"))
        elif not seat.name:
            found.append(
                _warn(seat.host, "member-unstarted", f"{seat.label} was added as a member but has not started")
            )
        elif seat.host not in healthy and not following(survey.node(seat.host), seat):
            found.append(_warn(seat.host, "member-unhealthy", f"member {seat.label} is not healthy"))
        elif seat.learner:
            found.append(_warn(seat.host, "learner", f"{seat.label} is still a learner"))
    found += [_misplaced_finding(one) for one in misplaced(survey, known)]
    for node in survey.nodes:
        if node.name not in seated and node.name not in wish.dead and known and not node.accessible:
            found.append(outside(survey, node))
        elif node.name not in seated and node.name not in wish.dead and known:
            found.append(_warn(node.name, "host-not-member", f"{node.name} is not a member of the cluster"))
        if node.alarms:
            found.append(_alarm_finding(node, node.alarms))
    return found


def _displaced_finding(seat: Seat) -> Finding:
    urls = ", ".join(seat.peer_urls)
    message = f"member {seat.label} runs nowhere: another one serves at its peer URL {urls}, and no host has its data"
    return Finding(Severity.WARNING, None, "member-gone", message, "`fleetrecover recover` removes it")


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


def _leftover_findings(survey: Survey, run: str | None) -> list[Finding]:
    """Containers that a run of ours left standing which is not the one that is gone on with."""
    return [
        Finding(
            Severity.WARNING,
            node.name,
            "leftover-container",
            f"{node.name}: container {left.name} was made by run {left.made_by} for a while, and was left standing",
            "`fleetrecover recover` takes it away, and starts the node's own one",
        )
        for node in survey.nodes
        for left in leftovers(node, run)
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
            message += f"; {', '.join(able)} could form the OLD quorum, and serve what was true before the recovery"
        severity = Severity.ERROR if one.node in able else Severity.WARNING
        advice = "`fleetrecover recover` fences it, keeps its data aside, and brings it in as a new member"
        found.append(Finding(severity, one.node, "returned-member", message, advice))
    return found


def _split_brain(
    survey: Survey, sides: Sequence[Sequence[str]], known: tuple[Seat, ...], found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    told = " against ".join(", ".join(side) for side in sides)
    message = f"SPLIT BRAIN: healthy members disagree on who the members are ({told}); clients of both sides are served"
    hand = runtime_of(survey.fleet).hand
    names = {own_name(survey, survey.node(host)) for side in sides for host in side}
    name = next(iter(names)) if len(names) == 1 else "NAME"
    stop = f"`{hand.no_autostart(name)}; {hand.stop(name)}`"
    advice = f"stop etcd on the side that was to be gone ({stop}), then look again"
    return _blocked(Finding(Severity.ERROR, None, "split-brain", message, advice), known, None, found, run)


def _alarm_finding(node: NodeFacts, alarms: Sequence[str]) -> Finding:
    kinds = dict.fromkeys(alarm.partition(" ")[0] for alarm in alarms)
    advice = "; ".join(ALARMS.get(kind, "`etcdctl alarm list`") for kind in kinds)
    return Finding(Severity.WARNING, node.name, "alarm", f"alarm on {node.name}: {', '.join(alarms)}", advice)


def _warn(node: str | None, code: str, message: str) -> Finding:
    advice = {
        "member-gone": "`fleetrecover recover` removes it, since it is declared dead",
        "alarm": "free space or compact and defragment, then `etcdctl alarm disarm`",
    }.get(code, "`fleetrecover recover` mends it without any reset")
    return Finding(Severity.WARNING, node, code, message, advice)


# --- no quorum ---


def _without_quorum(survey: Survey, wish: Wish, found: list[Finding], run: OpenRun | None) -> Diagnosis:
    candidates = candidates_of(survey, wish)
    anew = begun_anew(survey)
    candidates = tuple(candidate for candidate in candidates if candidate.host not in anew)
    known = _known_seats(survey, candidates)
    check_wish(survey, wish, accountable(survey, wish, known))
    if run is not None:
        found.append(_run_finding(run))
    led = led_finding(survey, known)
    if led is not None:
        return _blocked(led, known, None, found, run)
    restoring = _restore_open(run, known, found)
    if restoring is not None:
        return restoring
    repairing = run is not None and run.kind == Remedy.REPAIR  # it never resets: what it left is judged afresh
    if run is not None and run.pinned and not repairing:
        return _resume(survey, wish, known, candidates, found, run)
    away = unaccounted(survey, wish, known)
    mute = unasked(survey, known)
    if mute and not can_elect(survey, known, _running(survey, known)):
        mute = ()  # they run, and cannot hear each other: nobody serves
    choice = _beside_a_reset(survey, _choose(survey, wish, candidates, known, anew))
    found += _choice_findings(choice)
    chosen = choice if isinstance(choice, Choice) else None
    found += [_misplaced_finding(one) for one in misplaced(survey, known)]
    if away:
        return _blocked(
            away_finding(survey, away, accountable(survey, wish, known), dead=wish.dead), known, chosen, found, run
        )
    apart = _histories_finding(survey, choice, mute)
    if apart is not None:
        return _blocked(apart, known, chosen, found, run)
    if mute:
        return _blocked_by_silence(survey, mute, known, chosen, found, run)
    if isinstance(choice, NoChoice):
        other = _choose(survey, replace(wish, survivor=None), candidates, known, anew) if wish.survivor else None
        cause = _nobody_finding(choice, other, best_database(survey, wish))
        inside = next((each for each in found if each.code == IN_CONTAINER), None)
        if inside is not None and not choice.contradiction:
            found, cause = [each for each in found if each != inside], inside
        nobody = _blocked(cause, known, None, found, run)
        return nobody if choice.contradiction else replace(nobody, verdict=Verdict.QUORUM_LOST)
    return _with_choice(survey, wish, known, choice, found, run)


def _with_choice(
    survey: Survey, wish: Wish, known: tuple[Seat, ...], choice: Choice, found: list[Finding], run: OpenRun | None
) -> Diagnosis:
    """Somebody can survive: whether a start is enough, a reset is needed, or something stands before both."""
    richer = beyond_choice(survey, wish, choice)
    if richer is not None:
        return replace(_blocked(richer, known, choice, found, run), verdict=Verdict.QUORUM_LOST)
    aside = frozenset(found.host for found in choice.aside)
    ready = startable(survey, wish, known, aside)
    stuck = _waits_for_files(survey, wish, known, aside, choice, found, run)
    if stuck is not None:
        return stuck
    voters = [seat for seat in known if not seat.learner]
    remedy = Remedy.RESET
    all_of = f"all {len(voters)} voters are" if len(voters) != 1 else "its only voter is"
    why = f"no member has a leader, and {all_of} accounted for"
    if run is not None and run.kind == Remedy.REPAIR:
        why = f"quorum was lost while run {run.run} was repairing"
    if wish.survivor is None and len(ready) >= quorum(len(voters)) and can_elect(survey, known, ready):
        remedy = Remedy.START
        have = "has" if len(ready) == 1 else "have"
        why = f"{len(ready)} of {counted(len(voters), 'voter')} {have} sound data and can simply be started: {', '.join(ready)}"
    lacking = unlogged_finding([survey.node(choice.survivor)]) if remedy is Remedy.RESET else None
    if lacking is not None:
        return replace(_blocked(lacking, known, choice, found, run), verdict=Verdict.QUORUM_LOST)
    if remedy is Remedy.RESET:
        found = begun_from(survey, choice.survivor, wish.dead, found)
    return Diagnosis(
        Verdict.QUORUM_LOST, remedy, known, ranked(found), choice=choice, open_run=run, why=why, startable=ready
    )


def _nobody_finding(choice: NoChoice, other: Choice | NoChoice | None, left: NodeFacts | None) -> Finding:
    """That nobody can survive; `other` is what would be chosen without the operator's word, `left` has a readable database."""
    code = "contradiction" if choice.contradiction else "no-survivor"
    advice = (
        "`fleetrecover snapshot list` shows what can be restored; what is left of a member's data is told by "
        "`fleetrecover inspect DIR`, of a copy of it on this machine"
    )
    if left is not None and not choice.contradiction:
        advice = f"{restored_by_hand(left)}; what its log had beyond that is lost; {advice}"
    if isinstance(other, Choice):
        advice = f"leave --survivor out: {other.survivor} would survive"
    return Finding(Severity.ERROR, None, code, choice.reason, advice)


def _histories_finding(survey: Survey, choice: Choice | NoChoice, mute: Sequence[str]) -> Finding | None:
    """That the logs at hand are of histories that exclude each other, or empty ones run beside data; None where not."""
    contradiction = isinstance(choice, NoChoice) and choice.contradiction
    empty = any(never_written(survey.node(name)) for name in mute)
    sides = histories(survey) if contradiction or empty else ()
    if len(sides) < 2:
        return None
    return two_histories(survey, sides, choice.reason if isinstance(choice, NoChoice) and contradiction else "")


def _choose(
    survey: Survey, wish: Wish, candidates: Sequence[Candidate], known: Sequence[Seat], anew: Mapping[str, str]
) -> Choice | NoChoice:
    choice = choose_survivor(candidates, {seat.id: seat.label for seat in known}, wish.survivor)
    out = tuple(Aside(host, "newborn", reason) for host, reason in anew.items())
    choice = replace(choice, aside=(*choice.aside, *out))
    if isinstance(choice, NoChoice):
        return choice
    return replace(choice, may_miss=may_miss(choice, survey, known))


def _beside_a_reset(survey: Survey, choice: Choice | NoChoice) -> Choice | NoChoice:
    """The choice; where a run has reset another host it proves nothing: what was written there since is in no log of before."""
    if isinstance(choice, NoChoice):
        return choice
    chosen = survey.node(choice.survivor)
    given_up = next((k.run for k in chosen.open_keeps() if k.original and k.pin and k.pin.kind == Remedy.REPAIR), None)
    if given_up is not None and not (chosen.data is not None and chosen.data.has_member):
        text = f"run {given_up}, which had set {chosen.name}'s data aside, did so by a quorum that stood without it"
        return replace(choice, proof=ProofKind.BEST, may_miss=(*choice.may_miss, text))
    pins = {keep.pin for node in survey.nodes for keep in node.keeps if keep.pin and not keep.undone}
    resets = sorted((pin.run, pin.survivor) for pin in pins if pin.kind == Remedy.RESET)
    if not resets or resets[-1][1] == choice.survivor or _of_that_reset(survey, choice, resets[-1][1]):
        return choice
    run, survivor = resets[-1]
    text = f"what was written since run {run} has reset {survivor}'s data: it is not in the log of {choice.survivor}"
    return replace(choice, proof=ProofKind.BEST, may_miss=(*choice.may_miss, text))


def _of_that_reset(survey: Survey, choice: Choice, survivor: str) -> bool:
    """Whether the log that was chosen is of the cluster that the reset has made: it counts members that came after it."""
    chosen = survey.node(choice.survivor)
    keeps = [
        keep for keep in chosen.keeps if keep.pin and keep.pin.survivor == survivor and keep.pin.kind == Remedy.RESET
    ]
    return any(keep.original or keep.no_data for keep in keeps) and chosen.data is not None and chosen.data.has_member


_ASIDE_ADVICE = {
    "wal-lost-data": "it is not used; if nothing else is left, its database can be restored: with its SHA-256 at its end (`{ cat "
    "db; openssl dgst -sha256 -binary db; } > FILE` in …/member/snap) it is a snapshot: `fleetrecover snapshot restore FILE`",
    "rolled-back": "that log is not counted as evidence; find out whether the disk was restored from a backup or an image",
    "unproven": "that log is not counted as evidence, nor started with the others",
    "grafted": "it is not counted as evidence, nor started with the others: no etcd that applies it has what the others have",
    "same-member": "it is not counted as evidence; see which of the two hosts the member belongs to",
    "newborn": "it is not counted as evidence, nor started with the others; its data is kept aside when it joins again",
    "learner-log": "it is not counted as evidence",
    "removed-member": "its data is kept aside when the node joins again",
    "older-membership": "its data is kept aside when the node joins again",
}


_ASIDE_PLAIN = ("learner-log", "removed-member", "older-membership")


def _choice_findings(choice: Choice | NoChoice) -> list[Finding]:
    """What the choice found out about single logs, and what may be missing."""
    found = [_aside_finding(aside) for aside in choice.aside]
    if isinstance(choice, Choice):
        advice = "bring back the disk of a member whose log is missing, if that can be done, before you recover"
        found += [Finding(Severity.WARNING, None, "may-be-missing", text, advice) for text in choice.may_miss]
    return found


def _aside_finding(aside: Aside) -> Finding:
    severity = Severity.WARNING if aside.code not in _ASIDE_PLAIN else Severity.INFO
    return Finding(severity, aside.host, aside.code, aside.reason, _ASIDE_ADVICE.get(aside.code, ""))


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
        and any(c.state == "running" and not c.isolated for c in survey.node(seat.host).containers)
    ]
    return bool(voters) and len(ready) >= quorum(len(voters)) and isinstance(choice, Choice)


def candidates_of(survey: Survey, wish: Wish) -> tuple[Candidate, ...]:
    """The members whose logs are evidence: sound, and not declared dead."""
    dead = resolved(survey, wish).dead
    found = []
    for node in survey.nodes:
        if node.log is None or node.name in dead:
            continue
        applied = node.db.consistent_index if node.db is not None and not _writes(node) else None
        container = own_container(survey, node)
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

    Those at the commit count beside those at the end of the log: an undecided removal may never come about. Where no
    configuration is known, every host of the inventory counts as a voter.
    """
    away: list[str] = []
    names = {node.name: node for node in survey.nodes}
    voters = [seat for seat in accountable(survey, wish, known) if not seat.learner]
    for seat in voters:
        if seat.among(wish.dead):
            continue
        if seat.host is None or not names[seat.host].accessible:
            away.append(seat.label)
    unseen = [node for node in survey.nodes if not node.accessible and node.name not in wish.dead]
    if voters:
        # a host that is switched on, and does not let us in, may serve by itself, whoever the best log says that the voters are
        unseen = [node for node in unseen if node.problem is not None and node.problem.kind in ANSWERED]
    away += [node.name for node in unseen if node.name not in away]
    return tuple(away)


def accountable(survey: Survey, wish: Wish, known: Sequence[Seat]) -> tuple[Seat, ...]:
    """The seats that are known by the end of the best log, and those that vote by its commit alone."""
    best = next(iter(rank(candidates_of(survey, wish))), None)
    if best is None:
        return tuple(known)
    ids = {seat.id for seat in known}
    return (*known, *(seat for seat in seats_of(survey, best.log.configuration) if seat.id not in ids))


def _running(survey: Survey, known: Sequence[Seat]) -> tuple[str, ...]:
    """The hosts of the voters whose etcd runs in the open; not those that surely run as somebody else, or anew."""
    found = []
    for seat in known:
        if seat.host is None or seat.learner:
            continue
        node = survey.node(seat.host)
        other = node.log is not None and node.log.node_id != seat.id
        anew = node.data is not None and not node.data.has_member
        if not (other or anew) and any(c.state == "running" and not c.isolated for c in node.containers):
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
        and any(c.state == "running" and not c.isolated for c in node.containers)
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


def _waits_for_files(
    survey: Survey,
    wish: Wish,
    known: tuple[Seat, ...],
    aside: frozenset[str],
    choice: Choice,
    found: list[Finding],
    run: OpenRun | None,
) -> Diagnosis | None:
    """Where a start (or else the survivor's) only wants files that are missing: to put them there comes before all else."""
    enough = quorum(len([seat for seat in known if not seat.learner]))
    able = startable(survey, wish, known, aside, files=False)
    starts = wish.survivor is None and len(able) >= enough
    if starts and len(startable(survey, wish, known, aside)) >= enough:
        return None
    return _blocked_by_files(survey, able if starts else (choice.survivor,), known, choice, found, run)


def _blocked_by_files(
    survey: Survey,
    hosts: Sequence[str],
    known: tuple[Seat, ...],
    choice: Choice | None,
    found: list[Finding],
    run: OpenRun | None,
) -> Diagnosis | None:
    """Nothing is begun while the etcd of one of these hosts cannot start for want of a file; None where all have theirs."""
    cause = start_blocked_by_files(survey, tuple(hosts))
    if cause is None:
        return None
    blocked = _blocked(cause, known, choice, found, run)
    return replace(blocked, verdict=Verdict.QUORUM_LOST)


def startable(
    survey: Survey, wish: Wish, known: Sequence[Seat], aside: frozenset[str] = frozenset(), *, files: bool = True
) -> tuple[str, ...]:
    """The voters that could be started as they are: container there, own sound data in its place, with `files` those of TLS.

    Not those `aside`, whose logs are no evidence: members that have forgotten what they acknowledged could, with each
    other, elect one of them. Where they are a quorum of the voters, only those of them are named that could elect by what
    their own logs say, at the commit and at the end: etcd goes by the one, and then by the other.
    """
    ready: dict[int, tuple[str, Log]] = {}
    for seat in known:
        if seat.learner or seat.host is None or seat.host in aside or seat.among(wish.dead):
            continue
        node = survey.node(seat.host)
        found = own_container(survey, node)
        in_place = node.data is not None and node.data.has_member
        honest = node.db is None or node.log is None or (node.db.consistent_index or 0) <= node.log.last.index
        fits = found is not None and not found.forced and not (files and files_missing(node))
        if node.accessible and fits and in_place and honest and node.log is not None and node.log.node_id == seat.id:
            ready[seat.id] = (seat.host, node.log)
    voters = [seat for seat in known if not seat.learner]
    if voters and len(ready) >= quorum(len(voters)):
        ready = _electable(ready)
    return tuple(host for host, _ in ready.values())


def _electable(ready: dict[int, tuple[str, Log]]) -> dict[int, tuple[str, Log]]:
    """Those of the members that vote, and have a quorum among each other, by their own configuration, now and at its end.

    And that cannot elect apart: no configuration may differ from the best log's by more than one member, for the quorums of
    two that do need not meet.
    """
    if not ready:
        return ready
    _, best = max(ready.values(), key=lambda found: found[1].last)
    left = {
        member_id: found
        for member_id, found in ready.items()
        if all(
            member_id in voters
            and len(voters & ready.keys()) >= quorum(len(voters))
            and min(len(voters ^ other) for other in _own(best)) <= 1
            for voters in _own(found[1])
        )
    }
    return left if len(left) == len(ready) else _electable(left)


def _own(log: Log) -> tuple[frozenset[int], frozenset[int]]:
    return log.configuration.voters, log.configuration_at_end.voters


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
    if adopted(survey.node(run.survivor), run.run):
        # the log in place is that of the reset copy, a cluster of its own: it proves nothing of what was before
        choice = _pinned_choice(run)
    richer = beyond_pinned(survey, wish, run)
    if richer is not None:
        return _blocked(richer, known, choice if isinstance(choice, Choice) else None, found, run)
    stuck = _blocked_by_files(survey, [run.survivor], known, _pinned_choice(run), found, run)
    if stuck is not None:
        return stuck
    grown = regrown(survey, wish.dead, run.run, run.survivor)
    if grown is not None and not grown.enough:
        return _blocked_by_voters(survey, grown.away, known, choice if isinstance(choice, Choice) else None, found, run)
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
    survey: Survey,
    away: Sequence[Seat],
    known: tuple[Seat, ...],
    choice: Choice | None,
    found: list[Finding],
    run: OpenRun,
) -> Diagnosis:
    """Voters that were added since the reset are away: the survivor has no quorum without them."""
    labels = [seat.label for seat in away]
    names = ", ".join(labels)
    so = f"{run.survivor} was reset and {names} added as a voter since: without {names} there is no quorum"
    if run.method == RESEED:
        so = f"{names} has the data of {run.survivor}, and votes: without {names} there is no quorum"
    cause = away_finding(survey, labels, known, so)
    kept = f"{cause.advice}; what was written since the {run.method} is kept"
    return _blocked(replace(cause, node=None, advice=kept), known, choice, found, run)


def _restore_open(run: OpenRun | None, known: tuple[Seat, ...], found: list[Finding]) -> Diagnosis | None:
    """That nothing can be recovered while a snapshot is being restored, and what to do; None where none is."""
    from fleetrecover.decide.restore import restore_under_way

    told = restore_under_way(run) if run is not None else None
    if told is None:
        return None
    problem, advice = told
    return _blocked(Finding(Severity.ERROR, None, "restore-open", problem, advice), known, None, found, run)


def _pinned_choice(run: OpenRun) -> Choice:
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
    begun = run.started[:19].replace("T", " ")
    again = "`fleetrecover recover`" if run.kind != RESTORE else "the same `fleetrecover snapshot restore` again"
    return Finding(
        Severity.WARNING,
        None,
        "run-open",
        f"run {run.run} ({f'survivor {run.survivor}, ' if run.survivor else ''}begun {begun} UTC) has not been finished",
        f"{again} finishes it; `fleetrecover undo {run.run}` takes it back",
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
    name = own_name(survey, node)
    if node.cli_version is None:
        why = node.cli_problem.message.removeprefix(f"{node.name}: ") if node.cli_problem else "no answer"
        found.append(
            Finding(
                Severity.ERROR,
                node.name,
                "no-engine",
                f"{node.name}: `{runtime_of(survey.fleet, node.host).cli}` does not answer: {why}",
                engine_advice(survey, node),
            )
        )
    elif own_container(survey, node) is None:
        found.append(
            Finding(
                Severity.WARNING,
                node.name,
                "no-container",
                f"{node.name} has no etcd container",
                no_container(survey, node),
            )
        )
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
    again = renamed(survey, node)
    found += [_container_finding(survey, node, c) for c in node.containers if _dangerous(c, name) or c is again]
    return found


def _dangerous(container: Container, name: str) -> bool:
    forced = container.forced and container.role is None and not container.lies_aside
    return forced or (container.name != name and container.role is None and container.armed)


def _unforce_advice(survey: Survey, node: NodeFacts, container: Container) -> str:
    """Beside a member that serves nothing is ours to do about another container: only a person knows what it is for."""
    hand, name = runtime_of(survey.fleet, node.host).hand, container.name
    if not node.healthy or name == own_name(survey, node) or container is renamed(survey, node):
        return "`fleetrecover recover` takes it away"
    return (
        f"when you have seen that nothing needs it, on {node.name}: `{hand.no_autostart(name)} && {hand.remove(name)}`"
    )


def _container_finding(survey: Survey, node: NodeFacts, container: Container) -> Finding:
    name = own_name(survey, node)
    if container.forced:
        return Finding(
            Severity.ERROR if container.restart_policy not in ("no", "") else Severity.WARNING,
            node.name,
            "force-flag",
            f"{node.name}: container {container.name} carries --force-new-cluster; its next start expels every other member",
            _unforce_advice(survey, node, container),
        )
    if node.named(name) is None and container is own_container(survey, node):
        # its restart policy is all that brings etcd back on this node, and `recover` gives it its name back
        advice = f"leave it as it is: `fleetrecover recover` gives it the name {name} back"
        if node.healthy and container is not renamed(survey, node):
            typed = runtime_of(survey.fleet, node.host).hand.rename(container.name, name)
            advice = f"on {node.name}: `{typed}`, which etcd does not notice"
        return Finding(
            Severity.WARNING,
            node.name,
            "renamed-container",
            f"{node.name}: its etcd container is called {container.name}, and there is no {name}",
            advice,
        )
    return _second_finding(survey, node, container, name)


def _second_finding(survey: Survey, node: NodeFacts, container: Container, name: str) -> Finding:
    """That another container beside the node's own lives or would; it is stopped by hand where the own one is what serves."""
    hand, other = runtime_of(survey.fleet, node.host).hand, container.name
    standing = standing_container(survey, node)
    shared = standing is not None and standing.data_path == container.data_path and container.running
    advice = f"`{hand.no_autostart(other)}`"
    if standing is not None and shared and node.healthy and standing.state != "running":
        message = f"{node.name}: container {other} serves, and {name}, on the same data directory, does not run"
        swap = f"{hand.rename(name, f'{name}-unused')} && {hand.rename(other, name)}"
        advice = f"on {node.name}: `{swap}`; its etcd runs on"
    elif shared:
        message = f"{node.name}: container {other} runs beside {name}, on one data directory"
        advice = f"`{hand.no_autostart(other)} && {hand.stop(other)}`"
    else:
        message = (
            f"{node.name}: container {other} has restart policy {container.restart_policy} beside {name}: "
            "after a reboot both would run on one data directory"
        )
    return Finding(Severity.WARNING, node.name, "second-container", message, advice)
