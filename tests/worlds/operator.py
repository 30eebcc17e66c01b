"""An operator who knows nothing but what the product says: it types what a hint names, and does at a machine what a hint asks.

Where a hint leaves a choice ("bring it back, or, if it is gone for good, --dead"), it knows what a person at the machine
would know: whether that host ever comes back, and which cluster is theirs. What a hint asks beyond that (restore a snapshot,
look at the files, mend the inventory) ends the night: "escalated".
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from tests.worlds import hints
from tests.worlds.breaks import Drawn
from tests.worlds.hints import Typed
from tests.worlds.history import CLUSTER
from tests.worlds.seams import Answer, Command, type_in
from tests.worlds.world import Hazard, World

MOST_COMMANDS = 24
FIRST = "it is the main job"
LOOK = "look at everything"


@dataclass(frozen=True)
class Move:
    """What the operator does next: a command, or something at a machine; and the hint that said so."""

    name: str
    hint: str
    command: Command | None = None
    act: Callable[[World], object] | None = field(default=None, compare=False)


@dataclass
class Step:
    """One thing that the operator did: the world before (a copy), the move, and what came of it."""

    before: World
    move: Move
    answer: Answer | None
    changed: bool
    disturbed: bool = False


@dataclass
class Night:
    """All that happened. `end`: done, escalated, dead end, ring, refused hint, crash, or too long."""

    drawn: Drawn
    world: World
    steps: list[Step] = field(default_factory=list)
    end: str = ""
    why: str = ""

    @property
    def answers(self) -> list[Answer]:
        return [step.answer for step in self.steps if step.answer is not None]


class Operator:
    """Works on one world until it is well, or nothing that was said leads on."""

    def __init__(self, drawn: Drawn) -> None:
        self.night = Night(drawn, drawn.world)
        self.dead = drawn.words.dead
        self.survivor = drawn.words.survivor
        self.tried: set[tuple[Hashable, str]] = set()
        self.said: list[str] = []

    @property
    def world(self) -> World:
        return self.night.world

    def work(self, watch: Callable[[Night, Step], None]) -> Night:
        """Follow the hints; `watch` judges each step."""
        move: Move | None = Move(str(self.command("recover")), FIRST, self.command("recover"))
        while move is not None and len(self.night.steps) < MOST_COMMANDS:
            step = self.take(move)
            watch(self.night, step)
            move = self.next(step)
        if not self.night.end:
            self.night.end = "done" if self.answers_end() else "too long"
        return self.night

    def answers_end(self) -> bool:
        """Whether what was said last is all that there is to be said: hosts are gone for good, and the rest serves."""
        return bool(self.night.answers) and self.gone_but_told(self.night.answers[-1])

    def command(self, verb: str, run: str | None = None) -> Command:
        if verb in ("recover", "diagnose"):
            return Command(verb, self.dead, self.survivor)
        return Command(verb, run=run)

    # --- doing it ---

    def take(self, move: Move) -> Step:
        before, picture = self.world.copy(), self.world.picture()
        self.tried.add((picture, move.name))
        answer, disturbed = None, False
        if move.command is not None:
            if move.command.verb == "recover":
                self.dead, self.survivor = move.command.dead, move.command.survivor
            answer, disturbed = self.type_in(move.command)
            if disturbed:
                self.tried.discard((picture, move.name))  # that it came to nothing is no fault of the command
        elif move.act is not None:
            move.act(self.world)
            self.world.tell(f"# {move.name}")
        self.world.settle()
        step = Step(before, move, answer, picture != self.world.picture(), disturbed)
        self.night.steps.append(step)
        return step

    def type_in(self, command: Command) -> tuple[Answer, bool]:
        """What came of it, and whether something went wrong in the middle that is nobody's fault."""
        self.disturb()
        waiting = self.world.hazard is not None
        answer = type_in(self.world, command)
        disturbed = waiting and self.world.hazard is None
        self.world.hazard = None
        self.world.tell(f"$ {command} -> {answer.code} {answer.message[:400]}")
        return answer, disturbed

    def disturb(self) -> None:
        """Now and then a command is interrupted, fails once, or loses a host in the middle."""
        dice = self.world.dice
        if dice.random() < 0.15:
            kind = dice.choice(("interrupt", "interrupt", "fail", "power"))
            host = dice.choice([host.name for host in self.world.hosts])
            self.world.hazard = Hazard(dice.randint(1, 25), kind, host)

    # --- what next ---

    def next(self, step: Step) -> Move | None:
        answer = step.answer
        if answer is None:
            return self.after_act(step)
        if answer.crash:
            return self.ends("crash", answer.crash)
        if answer.code == 0 and answer.command.verb in ("recover", "verify", "diagnose"):
            return self.ends("done", answer.message)
        if step.disturbed:
            self.said.clear()  # what has to be typed again is no ring then
        self.said.append(f"{answer.command} {answer.code} {answer.message}")
        if self.said.count(self.said[-1]) > 3 and self.gone_but_told(answer):
            return self.ends("done", f"as far as it goes: {answer.message}")
        if self.said.count(self.said[-1]) > 3:
            return self.ends("ring", f"for the fourth time: {self.said[-1]} -> {step.move.hint}")
        refused = self.refused(step)
        if refused:
            return self.ends("refused hint", refused)
        return self.best_move(answer)

    def after_act(self, step: Step) -> Move | None:
        command = self.command("recover")
        if self.was_tried(str(command)):
            return self.ends("ring", f"{step.move.name}, and again {command}; {step.move.hint}")
        return Move(str(command), FIRST, command)

    def best_move(self, answer: Answer) -> Move | None:
        moves = list(self.moves(answer))
        moves.sort(key=lambda move: move.command is not None and move.command.verb in ("undo", "clean"))
        for move in moves:
            if not self.was_tried(move.name):
                return move
        look = self.command("diagnose")
        if answer.command.verb != "diagnose" and not self.was_tried(str(look)):
            return Move(str(look), LOOK, look)
        return self.nothing_left(answer, moves)

    def was_tried(self, name: str) -> bool:
        return (self.world.picture(), name) in self.tried

    def refused(self, step: Step) -> str:
        """A hint that was typed just as it was given, and refused."""
        answer, move = step.answer, step.move
        assert answer is not None
        told = move.hint not in (FIRST, LOOK)
        if hints.leave_out(move.hint):
            told = False  # what is left of the words may be wrong, too, and is told of then
        elif "--dead" in move.hint:  # another thing may be wrong, too; that is no fault of this hint
            told = "declared dead" in answer.message or "no member's log" in answer.message
        if told and answer.code in (2, 3, 20) and not step.changed and answer.command.verb != "diagnose":
            return f"{answer.command} after {move.hint!r}: {answer.message}"
        return ""

    def nothing_left(self, answer: Answer, moves: list[Move]) -> Move | None:
        if self.gone_but_told(answer):
            return self.ends("done", f"as far as it goes: {answer.message}")
        beyond = [text for text, _, _ in answer.hints if hints.BEYOND.search(text)]
        if beyond and not (moves and "fleetrecover plan" in beyond[0]):
            return self.ends("escalated", beyond[0])
        if moves:
            return self.ends("ring", f"{answer.command}: {answer.message} -> {moves[0].hint}")
        return self.ends("dead end", f"{answer.command}: {answer.message}")

    def gone_but_told(self, answer: Answer) -> bool:
        """The rest serves, and hosts that never come back are all that is missing, and that was said."""
        away = [host for host in self.world.hosts if host.trouble]
        told = all(host.name in f"{answer.message} {answer.hints}" for host in away if host.name not in self.dead)
        return (
            answer.code == 10 and self.world.leader() is not None and bool(away) and all(h.gone for h in away) and told
        )

    def ends(self, end: str, why: str) -> Move | None:
        """The night is over; there is no next move."""
        self.night.end, self.night.why = end, why
        return None

    # --- reading hints ---

    def moves(self, answer: Answer) -> Iterator[Move]:
        """Everything that the answer's hints let one do, in the order of the hints."""
        for text, node, code in answer.hints:
            yield from self.at_machines(text, node, answer)
            yield from self.in_shells(text, node, code)
            yield from self.typed(text, node, code, answer)

    def at_machines(self, text: str, node: str | None, answer: Answer) -> Iterator[Move]:
        if not hints.asks_to_mend(text):
            return
        about = hints.hosts_in(self.world, f"{text} {node or ''}") or hints.hosts_in(self.world, answer.message)
        for host in about:
            if host.trouble and not host.gone:
                yield self.mend(host.name, text)

    def mend(self, name: str, hint: str) -> Move:
        def act(world: World) -> bool:
            return world.mend(world.host(name))

        return Move(f"mend {name}", hint, act=act)

    def in_shells(self, text: str, node: str | None, code: str) -> Iterator[Move]:
        if code == "split-brain" or "on the side that was to be gone" in text:
            yield from self.stop_lesser_side(text)
        elif code == "forgotten" and text.startswith("stop etcd on"):
            names = hints.hosts_in(self.world, text.partition(" before ")[0])
            yield self.shell(Typed(tuple((host.name, "docker stop etcd") for host in names)), text)
        elif code == "same-machine" and ": on n" not in text:
            yield from self.move_copy_away(text)
        elif code == "two-clusters" and "--dead" in text:
            yield from self.give_strangers_up(text)
        else:
            for way in hints.shell_ways(self.world, text, node):
                yield self.shell(way, text)

    def shell(self, way: Typed, hint: str) -> Move:
        return Move(str(way), hint, act=way.do)

    def stop_lesser_side(self, text: str) -> Iterator[Move]:
        """Of two sides that serve, the one with less is stopped, and kept from starting."""
        serve = [h for h in self.world.hosts if h.accessible and h.process and h.process.serving and h.disk]
        if not serve:
            return
        most = max(h.disk.revision for h in serve if h.disk)
        lesser = [h.name for h in serve if h.disk and h.disk.revision < most] or [serve[-1].name]
        lines = tuple((name, "docker update --restart=no etcd && docker stop etcd") for name in lesser)
        yield self.shell(Typed(lines), text)

    def move_copy_away(self, text: str) -> Iterator[Move]:
        copy = hints.misplaced_copy(self.world, hints.hosts_in(self.world, text))
        if copy is not None and "mv " in text:
            line = "docker stop etcd ; mv /var/lib/etcd/member /var/lib/etcd/member.copy"
            yield self.shell(Typed(tuple((copy.name, part) for part in line.split(" ; "))), text)

    def give_strangers_up(self, text: str) -> Iterator[Move]:
        strange = [h.name for h in self.world.hosts if h.reachable and h.disk is not None and h.disk.cluster != CLUSTER]
        if strange:
            yield self.declare(strange, text)

    def declare(self, names: list[str], hint: str) -> Move:
        dead = self.dead | frozenset(names)
        command = Command("recover", dead, None if self.survivor in dead else self.survivor)
        return Move(str(command), hint, command)

    def typed(self, text: str, node: str | None, code: str, answer: Answer) -> Iterator[Move]:
        words = [word for word in hints.dead_words(text) if word not in self.dead]
        left_out = hints.leave_out(text)
        if left_out:
            yield self.without(left_out, text)
        elif words and all(self.truly_dead(word) for word in words):
            yield self.declare(words, text)
        elif "declare it --dead" in text:
            away = [h.name for h in self.world.hosts if h.gone and h.name in answer.message and h.name not in self.dead]
            if away:
                yield self.declare(away, text)
        if "cannot be both --survivor" in answer.message or text.startswith("leave --survivor out"):
            yield Move("without --survivor", FIRST, Command("recover", self.dead))
        if hints.says_again(text):
            yield Move(str(answer.command), text, answer.command)
        for verb, rest in hints.product_commands(text):
            yield from self.product(verb, rest, text, code)

    def truly_dead(self, name: str) -> bool:
        """Whether a host is off for good, or a member that is no host's runs nowhere."""
        host = next((h for h in self.world.hosts if h.name == name), None)
        if host is not None:
            return host.trouble == "off" and host.gone
        running = {h.disk.member for h in self.world.running() if h.disk is not None}
        named = {f"etcd-{h.name}": h.number for h in self.world.hosts}
        ids = {
            m for h in self.world.hosts if h.disk for m, at in h.disk.roster().hosts.items() if at == named.get(name)
        }
        return not ids & running

    def without(self, names: list[str], hint: str) -> Move:
        command = Command("recover", self.dead - set(names), self.survivor)
        return Move(str(command), hint, command)

    def product(self, verb: str, words: list[str], text: str, code: str) -> Iterator[Move]:
        """A command of the product, as it stands in the hint."""
        run = next((word for word in words if word.startswith("r2")), None)
        if verb in ("undo", "clean") and (code in ("run-open", "kept-data", "next") or run is None):
            return  # it is an alternative that is named beside the way forward, or for later
        if "--dead" in words or any(word in ("--accept-loss", "--plan", "--work-dir") for word in words):
            return
        if verb == "recover" and "--survivor" in words and "NAME" not in words:
            command = Command("recover", self.dead, words[words.index("--survivor") + 1])
        else:
            command = self.command(verb, run)
        yield Move(str(command), text, command)


def night_of(drawn: Drawn, watch: Callable[[Night, Step], None]) -> Night:
    """What an operator makes of a world."""
    return Operator(drawn).work(watch)
