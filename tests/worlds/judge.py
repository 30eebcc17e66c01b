"""The invariants, each a function with its name, and what was found over many worlds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fleetrecover.decide.diagnosis import Remedy
from fleetrecover.decide.survivor import ProofKind
from tests.worlds import oracle
from tests.worlds.breaks import Drawn, draw
from tests.worlds.disks import Disk
from tests.worlds.history import CLUSTER
from tests.worlds.hosts import Host
from tests.worlds.operator import Night, Step, night_of
from tests.worlds.seams import Answer, Clock, Command, type_in
from tests.worlds.world import World

REFUSALS = (2, 3, 12, 20, 23)


@dataclass(frozen=True)
class Failure:
    """An invariant that did not hold. `kind` is what failures of one cause have in common."""

    invariant: str
    kind: str
    told: str


Found = Iterator[Failure]


# --- what each invariant says -------------------------------------------------------------------------------------------


def nothing_is_lost(night: Night, step: Step) -> Found:
    """I1: exit 0 never with fewer acknowledged writes than the best disk at hand held, unless the words name the loss."""
    answer = step.answer
    if answer is None or answer.code != 0 or answer.command.verb not in ("recover", "verify", "diagnose"):
        return
    best, where = oracle.best_at_hand(step.before, sure=forgetful(night, step))
    left = oracle.served(night.world)
    if left is None and step.disturbed:
        return  # a host that lost its power after all was well
    if left is None:
        yield Failure("I1", f"{answer.command.verb} says 0 and nobody serves", answer.message)
    elif left < best and not names_the_loss(step, best) and not given_up(night, step, where):
        words = " with --dead of a living" if living_dead(step) else ""
        remedy = answer.plans[0].remedy.value if answer.plans else "nothing done"
        told = f"{answer.command}: {left} acknowledged writes are served, {where} had {best}"
        yield Failure("I1", f"{answer.command.verb} ({remedy}) says 0 over a better disk{words}", told)


def forgetful(night: Night, step: Step) -> bool:
    """Whether a disk has forgotten what it acknowledged: then a last entry may be gone that nobody can know was decided."""
    return night.drawn.dishonest or bool(step.before.tainted)


def names_the_loss(step: Step, best: int) -> bool:
    """Whether `--survivor` chose one that has less: the product says what that loses."""
    assert step.answer is not None
    chosen = step.answer.command.survivor
    return chosen is not None and any(
        host.name == chosen and oracle.worth(step.before, disk) < best for host, disk in oracle.at_hand(step.before)
    )


def given_up(night: Night, step: Step, where: str) -> bool:
    """Whether that host was away when an earlier command declared it dead and was obeyed: its loss was named then.

    What it knew to be decided is held against what serves all the same (`sides.beyond`); what it alone may have had is not.
    """
    before = night.steps[: night.steps.index(step)] if step in night.steps else night.steps
    return any(
        each.answer is not None
        and each.answer.code in (0, 10, 21)
        and where in each.answer.command.dead
        and not each.before.host(where).reachable
        for each in before
    )


def living_dead(step: Step) -> bool:
    assert step.answer is not None
    return any(step.before.host(name).reachable for name in step.answer.command.dead if name.startswith("n"))


def hints_lead_on(night: Night, step: Step) -> Found:
    """I2: no ring of hints, no hint that is refused when typed, no end without a hint; and nothing that crashes."""
    if night.end in ("ring", "refused hint", "dead end", "too long", "crash"):
        answer = night.answers[-1] if night.answers else None
        yield Failure("I2", f"{night.end}: {shape_of(answer)}", night.why)


def shape_of(answer: Answer | None) -> str:
    """The command, its exit code, and the finding behind it."""
    if answer is None:
        return "nothing"
    return f"{answer.command.verb} {answer.code} [{primary(answer) or gist(answer.message)}]"


def primary(answer: Answer) -> str:
    """The code of the finding that the verdict rests on."""
    return next((f.code for d in answer.diagnoses for f in d.findings if f.message == d.why), "")


def gist(text: str) -> str:
    """A message without its names and numbers."""
    text = re.sub(r"\b(n\d+|etcd-n\d+)(, (n\d+|etcd-n\d+))*( and n\d+)?\b", "N", text)
    text = re.sub(r"r20\w+-\w+", "RUN", text)
    text = re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b", "#", text)
    return text[:60]


_ACCIDENTS = frozenset(
    {"unreachable", "login", "may-be-missing", "run-open", "no-engine", "log-unsound", "no-container"}
)


def cause_of(world: World, answer: Answer | None) -> str:
    """The codes of the findings that say something is wrong."""
    if answer is None or not answer.diagnoses:
        answer = look(world, Command("diagnose", answer.command.dead if answer else frozenset()))
    codes = {f.code for d in answer.diagnoses for f in d.findings if f.severity.value != "info"}
    return ", ".join(sorted(codes - _ACCIDENTS))


_SEEN: dict[tuple[object, object, str], Answer] = {}


def look(world: World, command: Command) -> Answer:
    """What a command that only reads says of a world; asked once for the same state."""
    key = (world.picture(), world.stirs(), str(command))
    found = _SEEN.get(key)
    if found is None:
        if len(_SEEN) > 200:
            _SEEN.clear()
        found = _SEEN[key] = type_in(world.copy(), command)
    return found


def one_judgement(night: Night, step: Step) -> Found:
    """I3: recover, verify and diagnose agree about one and the same state."""
    answer = step.answer
    if answer is None or answer.code in (130, 1):
        return
    looked, checked = look(night.world, Command("diagnose")), look(night.world, Command("verify"))
    if looked.code != checked.code:
        ill = [c.name for c in (checked.judgement.checks if checked.judgement else ()) if not c.ok]
        why = (
            f"verify says BAD {', '.join(ill)}"
            if looked.code == 0
            else primary(looked) or cause_of(night.world, looked)
        )
        kind = f"diagnose {looked.code}, verify {checked.code} [{why}]"
        yield Failure("I3", kind, f"diagnose: {looked.message}; verify: {checked.message}")
    if answer.command.verb != "recover" or step.disturbed:
        return
    if answer.code in (0, 10) and answer.code != looked.code:
        kind = f"recover {answer.code}, diagnose {looked.code} [{cause_of(night.world, looked)}]"
        yield Failure("I3", kind, f"recover: {answer.message}; diagnose: {looked.message}")


def originals_are_kept(night: Night, step: Step) -> Found:
    """I4: what lay in a data directory before a command lies somewhere after it; untouched where no etcd ran on it."""
    answer = step.answer
    if answer is None or answer.command.verb == "clean":
        return
    for before in step.before.hosts:
        after, disk = night.world.host(before.name), before.disk
        if disk is None or after.disk == disk:
            continue
        if not oracle.still_there(night.world, after, disk, sure=forgetful(night, step)):
            yield Failure("I4", f"{answer.command.verb}: data is nowhere any more", f"{before.name}: {answer.command}")
        new = [
            kept.parts["original"]
            for run, kept in after.kept.items()
            if "original" in kept.parts and not (run in before.kept and "original" in before.kept[run].parts)
        ]
        ran = before.process is not None or any(c.state == "restarting" for c in before.containers)
        if new and not ran and disk not in new and not before.kept:
            yield Failure("I4", f"{answer.command.verb}: the original is not byte for byte", f"{before.name}")


def undo_gives_back(night: Night, step: Step) -> Found:
    """I5: undo gives back what was before the run, or says no before the first change."""
    answer = step.answer
    if answer is None or answer.command.verb != "recover" or not answer.plans or not step.changed:
        return
    run = answer.plans[0].run
    if answer.plans[0].resumed or all(run not in host.kept for host in night.world.hosts):
        return
    again = night.world.copy()
    done = type_in(again, Command("undo", run=run))
    again.settle()
    if done.crash:
        yield Failure("I5", f"undo crashes: {done.crash}", done.message)
    elif done.code in REFUSALS and again.picture() != night.world.picture():
        yield Failure("I5", "undo says no after a change", done.message)
    elif done.code == 22:
        yield Failure("I5", f"undo is not complete: {gist(done.message)}", done.message)
    elif done.code == 0:
        yield from given_back(step.before, again, done, answer)


def given_back(before: World, after: World, done: Answer, answer: Answer) -> Found:
    remedy = answer.plans[0].remedy.value
    for was, now in zip(before.hosts, after.hosts, strict=True):
        if was.trouble != now.trouble or not now.accessible:
            continue
        left_so = f"{now.name}: " in done.message  # not started, or kept from starting, and that was said
        if not left_so and _containers(was) != _containers(now):
            yield Failure("I5", f"undo of a {remedy}: a container is not as it was", f"{now.name}: {done.message}")
        if (
            was.disk is not None
            and was.disk != now.disk
            and not oracle.still_there(after, _only_in_place(now), was.disk)
        ):
            yield Failure("I5", f"undo of a {remedy}: the data is not as it was", now.name)
    if oracle.served(before) is None:
        left, (best, where) = oracle.served(after), best_anywhere(after)
        if left is not None and left < best:
            told = f"{left} acknowledged writes are served after undo, {where} has {best}"
            yield Failure("I5", f"undo of a {remedy} lets a poorer cluster serve", told)


def _containers(host: Host) -> list[tuple[str, str, str, bool]]:
    """What must be as it was."""
    return [(c.id, c.name, c.restart_policy, c.running) for c in host.containers]


def _only_in_place(host: Host) -> Host:
    twin = host.copy()
    twin.kept = {}
    return twin


def best_anywhere(world: World) -> tuple[int, str]:
    found = [
        (oracle.worth(world, disk), host.name) for host in world.hosts if host.reachable for _, disk in host.disks()
    ]
    return max(found, default=(0, "nobody"))


def refused_is_unchanged(night: Night, step: Step) -> Found:
    """I6: what was refused, or not determined, has changed nothing."""
    answer = step.answer
    if answer is None or answer.code not in REFUSALS or not step.changed:
        return
    yield Failure(
        "I6", f"{answer.command.verb} {answer.code} after a change: {gist(answer.message)[:30]}", answer.message
    )


def proof_is_true(night: Night, step: Step) -> Found:
    """I7: provably complete never where an acknowledged write is lost.

    A disk that was rolled back, or emptied and filled again, before anybody looked leaves no trace, and no rule can see it:
    there only what a disk at hand does have is held against the choice, and a log that has nothing at all.
    """
    if step.answer is None:
        return
    before = step.before
    looked = look(before, Command("diagnose", step.answer.command.dead, step.answer.command.survivor))
    for choice in looked.choices:
        disk = before.host(choice.survivor).evidence()
        if choice.proof is not ProofKind.COMPLETE or choice.voters == 0 or disk is None or disk.cluster != CLUSTER:
            continue
        lost = before.acknowledged - disk.writes
        seen = oracle.known(before, sure=forgetful(night, step))
        told = f"{choice.survivor} lacks {sorted(lost)}; {choice.why}"
        if lost & seen:
            yield Failure("I7", f"complete, and {kind_of_loss(before, disk)} at hand has more", told)
        elif lost and not disk.writes:
            yield Failure("I7", "complete, and the chosen log is a newborn's, without any write", told)
        elif lost and not (night.drawn.dishonest or before.tainted):
            yield Failure("I7", f"complete, by {choice.logs_read} of {choice.logs_needed}, and it is not", told)


def kind_of_loss(world: World, chosen: Disk) -> str:
    """Whose log has what the chosen one lacks."""
    voters = chosen.roster().voters
    lost = world.acknowledged - chosen.writes
    more = [disk for _, disk in oracle.at_hand(world) if disk.writes & lost]
    return "a voter's disk" if any(disk.member in voters for disk in more) else "the disk of one that is no voter"


def serving_is_left_alone(night: Night, step: Step) -> Found:
    """I8: no reset, and no start of other members, beside a cluster that serves."""
    answer = step.answer
    if answer is None or answer.command.verb != "recover" or not answer.plans or not step.changed:
        return
    if answer.plans[0].remedy not in (Remedy.RESET, Remedy.START):
        return
    there = [host for host in step.before.hosts if host.process is not None and host.process.serving]
    hidden = all(not host.reachable and host.name in answer.command.dead for host in there)
    if there and not hidden:
        where = "in reach" if any(host.reachable for host in there) else "out of reach"
        told = f"{', '.join(host.name for host in there)} serve"
        yield Failure("I8", f"{answer.plans[0].remedy.value} beside a cluster that serves {where}", told)


INVARIANTS: tuple[Callable[[Night, Step], Found], ...] = (
    nothing_is_lost,
    one_judgement,
    originals_are_kept,
    undo_gives_back,
    refused_is_unchanged,
    proof_is_true,
    serving_is_left_alone,
)


# --- many worlds --------------------------------------------------------------------------------------------------------


@dataclass
class Count:
    """What was seen."""

    worlds: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # kind → (seed, told)

    def add(self, seed: str, night: Night, failures: list[Failure]) -> None:
        self.worlds += 1
        self.ends[night.end] += 1
        for failure in {(f.invariant, f.kind): f for f in failures}.values():
            key = (failure.invariant, failure.kind)
            self.kinds[key] += 1
            known = self.first.get(key)
            if known is None or len(night.world.hosts) < int(known[0].partition(" ")[0]):
                self.first[key] = (f"{len(night.world.hosts)} hosts, seed {seed}", failure.told)

    def merge(self, other: Count) -> None:
        self.worlds += other.worlds
        self.ends += other.ends
        self.kinds += other.kinds
        for key, found in other.first.items():
            known = self.first.get(key)
            if known is None or found[0] < known[0]:
                self.first[key] = found

    def of(self, *invariants: str) -> int:
        """How many worlds broke any of these, kind by kind."""
        return sum(count for (invariant, _), count in self.kinds.items() if invariant in invariants)


def judge_world(seed: int | str) -> tuple[Night, list[Failure]]:
    """Draw a world, let the operator work on it, and judge every step. Only within `seams.exchanged`."""
    _SEEN.clear()
    Clock.count = 0
    drawn: Drawn = draw(seed)
    failures: list[Failure] = []

    def watch(night: Night, step: Step) -> None:
        for invariant in INVARIANTS:
            failures.extend(invariant(night, step))

    night = night_of(drawn, watch)
    if night.steps:
        failures.extend(hints_lead_on(night, night.steps[-1]))
    return night, failures
