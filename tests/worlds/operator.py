"""An operator who knows nothing but what the product says: it types what a hint names, and does at a machine what a hint asks.

Where a hint leaves a choice ("bring it back, or, if it is gone for good, --dead"), it knows what a person at the machine
would know: whether that host ever comes back. Where a hint asks to give up a side, it gives up the one with less, by the
revisions that were shown. What a hint says beyond that (restore a snapshot, look at the files) ends the night: "escalated".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace

from tests.worlds.breaks import Drawn
from tests.worlds.history import CLUSTER
from tests.worlds.seams import Answer, Command, type_in
from tests.worlds.world import Hazard, World

MOST_COMMANDS = 16
FIRST = "it is the main job"
LOOK = "look at everything"
_CODE = re.compile(r"`(?:fleetrecover )?(recover|undo|clean|verify|diagnose)\b([^`]*)`|\bfleetrecover (undo|clean|recover)( r\w+-\w+)?")
_DEAD = re.compile(r"--dead (etcd-n\d+|n\d+|member|[0-9a-f]{3,})\b")
_DOCKER = re.compile(r"`docker ([^`]+)`")
_BEYOND = ("snapshot", "inspect", "compare", "copy the data", "clocks", "firewall", "inventory", "hosts.toml", "etcdctl", "plan")


@dataclass(frozen=True)
class Move:
    """What the operator does next: a command, or something at a machine; and the hint that said so."""

    name: str
    hint: str
    command: Command | None = None
    act: Callable[[World], bool] | None = field(default=None, compare=False)


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
    """All that happened. `end`: done, escalated, dead end, ring, refused hint, or too long."""

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
        move: Move | None = Move("recover", FIRST, self.command("recover"))
        while move is not None and len(self.night.steps) < MOST_COMMANDS:
            step = self.take(move)
            watch(self.night, step)
            move = self.next(step)
        if not self.night.end:
            self.night.end = "too long"
        return self.night

    def command(self, verb: str, run: str | None = None) -> Command:
        if verb in ("recover", "diagnose"):
            return Command(verb, self.dead, self.survivor)
        return Command(verb, run=run)

    def take(self, move: Move) -> Step:
        before = self.world.copy()
        picture = self.world.picture()
        self.tried.add((picture, move.name))
        answer, disturbed = None, False
        if move.command is not None:
            self.disturb()
            waiting = self.world.hazard is not None
            answer = type_in(self.world, move.command)
            self.world.settle()
            disturbed = waiting and self.world.hazard is None
            self.world.hazard = None
            self.world.tell(f"$ {move.command} -> {answer.code} {answer.message[:300]}")
        elif move.act is not None:
            move.act(self.world)
            self.world.settle()
            self.world.tell(f"# {move.name}")
        step = Step(before, move, answer, picture != self.world.picture(), disturbed)
        self.night.steps.append(step)
        return step

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
            return self.fresh(Move("recover", FIRST, self.command("recover")), step)
        if answer.crash:
            return self.ends("crash", answer.crash)
        if answer.code == 0 and answer.command.verb in ("recover", "verify", "diagnose"):
            return self.ends("done", answer.message)
        self.said.append(f"{answer.command} {answer.code} {answer.message}")
        if self.said.count(self.said[-1]) > 3:
            return self.ends("ring", f"for the fourth time: {self.said[-1]} -> {step.move.hint}")
        refused = self.refused(step)
        if refused:
            return self.ends("refused hint", refused)
        moves = list(self.moves(answer))
        for move in moves:
            if (self.world.picture(), move.name) not in self.tried:
                return move
        if answer.command.verb != "diagnose":
            look = Move(str(self.command("diagnose")), LOOK, self.command("diagnose"))
            if (self.world.picture(), look.name) not in self.tried:
                return look
        return self.nothing_left(answer, moves)

    def fresh(self, move: Move, step: Step) -> Move | None:
        if (self.world.picture(), str(move.command)) in self.tried:
            return self.ends("ring", f"{step.move.name} and again {move.command}")
        return replace(move, name=str(move.command))

    def refused(self, step: Step) -> str:
        """A hint that was typed just as it was given, and refused."""
        answer, move = step.answer, step.move
        assert answer is not None
        told = move.hint not in (FIRST, LOOK)
        if "--dead" in move.hint:  # another thing may be wrong, too; that is no fault of this hint
            told = "declared dead" in answer.message or "no member's log" in answer.message
        if told and answer.code in (2, 3, 20) and not step.changed and answer.command.verb != "diagnose":
            return f"{answer.command} after {move.hint!r}: {answer.message}"
        return ""

    def nothing_left(self, answer: Answer, moves: list[Move]) -> None:
        if self.gone_but_told(answer):
            return self.ends("done", f"as far as it goes: {answer.message}")
        beyond = [text for text, _, _ in answer.hints if any(word in text for word in _BEYOND)]
        if moves:
            return self.ends("ring", f"{answer.command}: {answer.message} -> {moves[0].hint}")
        if beyond:
            return self.ends("escalated", beyond[0])
        return self.ends("dead end", f"{answer.command}: {answer.message}")

    def gone_but_told(self, answer: Answer) -> bool:
        """The rest serves, and hosts that never come back are all that is missing."""
        serving = self.world.leader()
        away = [host for host in self.world.hosts if host.trouble]
        return answer.code == 10 and serving is not None and all(host.gone for host in away) and bool(away)

    def ends(self, end: str, why: str) -> None:
        self.night.end, self.night.why = end, why

    # --- reading hints ---

    def moves(self, answer: Answer) -> Iterator[Move]:
        """Everything that the answer's hints let one do, in the order of the hints."""
        for text, node, code in answer.hints:
            yield from self.human(text, node, code, answer)
            yield from self.typed(text, node, code, answer)

    def human(self, text: str, node: str | None, code: str, answer: Answer) -> Iterator[Move]:
        named = [h.name for h in self.world.hosts if re.search(rf"\b{h.name}\b", f"{text} {node or ''}")]
        about = named or [h.name for h in self.world.hosts if re.search(rf"\b{h.name}\b", answer.message)]
        asked = re.search(r"reachable|bring|switch|power|mended|comes? back|start the container engine|user and key|make it", text)
        if asked:
            for name in about:
                host = self.world.host(name)
                if host.trouble and not host.gone:
                    yield self.mend(name, text)
        for found in _DOCKER.finditer(text):
            yield from self.docker(found[1].split(), node, text)
        if re.search(r"\bstop etcd on\b", text) and code == "forgotten":
            yield from self.give_up(text, answer)
        if code == "split-brain" or "on the side that was to be gone" in text:
            yield from self.stop_lesser_side(text)
        if code == "two-clusters" or "of the other cluster" in text:
            yield from self.lesser_cluster(text)

    def mend(self, name: str, hint: str) -> Move:
        def act(world: World) -> bool:
            return world.mend(world.host(name))

        return Move(f"mend {name}", hint, act=act)

    def docker(self, words: list[str], node: str | None, hint: str) -> Iterator[Move]:
        """`docker update --restart=P NAME`, `docker stop NAME`, `docker rm NAME`, at the host that the finding names."""
        if node is None:
            return
        name, verb = words[-1], words[0]
        policy = next((word.partition("=")[2] for word in words if word.startswith("--restart=")), "")

        def act(world: World) -> bool:
            host = world.host(node)
            container = host.named(name)
            if container is None:
                return False
            if verb == "update":
                host.change(container.id, restart_policy=policy)
            elif verb == "stop":
                world.stop(host, container.id)
            elif verb == "rm" and not container.running:
                host.containers = [c for c in host.containers if c.id != container.id]
            return True

        yield Move(f"docker {' '.join(words)} on {node}", hint, act=act)

    def give_up(self, text: str, answer: Answer) -> Iterator[Move]:
        """Two histories: the one with fewer writes is stopped and given up."""
        stop = [h.name for h in self.world.hosts if re.search(rf"\b{h.name}\b", text)]

        def act(world: World) -> bool:
            for name in stop:
                for container in world.host(name).containers:
                    world.stop(world.host(name), container.id)
            return True

        yield Move(f"stop etcd on {', '.join(stop)}", text, act=act)
        best = max(self.world.hosts, key=lambda h: h.disk.revision if h.disk and h.accessible else 0)
        lesser = [n for n in stop if (d := self.world.host(n).disk) is None or best.disk is None or d.revision < best.disk.revision]
        yield self.declare(lesser or stop, text)

    def stop_lesser_side(self, text: str) -> Iterator[Move]:
        """Of two sides that serve, the one with less is stopped, and kept from starting."""
        serve = [h for h in self.world.hosts if h.accessible and h.process and h.process.serving and h.disk]
        if not serve:
            return
        most = max(h.disk.revision for h in serve if h.disk)
        lesser = [h.name for h in serve if h.disk and h.disk.revision < most] or [serve[-1].name]

        def act(world: World) -> bool:
            for name in lesser:
                host = world.host(name)
                for container in host.containers:
                    host.change(container.id, restart_policy="no")
                    world.stop(host, container.id)
            return True

        yield Move(f"stop etcd on {', '.join(lesser)}", text, act=act)

    def lesser_cluster(self, text: str) -> Iterator[Move]:
        """Whoever works there knows which cluster is theirs."""
        strange = [h.name for h in self.world.hosts if h.reachable and h.disk is not None and h.disk.cluster != CLUSTER]
        if strange:
            yield self.declare(strange, text)

    def declare(self, names: list[str], hint: str) -> Move:
        dead = self.dead | frozenset(names)
        command = Command("recover", dead, None if self.survivor in dead else self.survivor)
        return Move(str(command), hint, command)

    def typed(self, text: str, node: str | None, code: str, answer: Answer) -> Iterator[Move]:
        names = _DEAD.findall(text)
        gone = [n for n in names if self.truly_dead(n)]
        if gone and set(gone) == set(names) - self.dead:
            yield self.declare(gone, text)
        elif "declare it --dead" in text or "or declare" in text:
            away = [h.name for h in self.world.hosts if h.gone and h.name in answer.message]
            if away and not set(away) <= self.dead:
                yield self.declare(away, text)
        if "leave out that --dead" in text:
            yield from self.without(text, answer)
        if re.search(r"(the|run the) same command again|run it again|give the (same )?command again|run this again", text):
            yield Move(str(answer.command), text, answer.command)
        for found in _CODE.finditer(text):
            yield from self.product(found[1] or found[3], (found[2] or found[4] or "").strip(), text, code)

    def truly_dead(self, name: str) -> bool:
        """Whether a host is off, or a member that is no host's runs nowhere."""
        host = next((h for h in self.world.hosts if h.name == name), None)
        if host is not None:
            return host.trouble == "off"
        running = {h.disk.member for h in self.world.running() if h.disk is not None}
        named = {f"etcd-{h.name}": h.number for h in self.world.hosts}
        ids = {m for h in self.world.hosts if h.disk for m, at in h.disk.roster().hosts.items() if at == named.get(name)}
        return not ids & running

    def without(self, text: str, answer: Answer) -> Iterator[Move]:
        living = {name for name in self.dead if name in answer.message}
        command = Command("recover", self.dead - living, self.survivor)
        yield Move(str(command), text, command)

    def product(self, verb: str, rest: str, text: str, code: str) -> Iterator[Move]:
        """A command of the product, as it stands in the hint."""
        run = next((word for word in rest.split() if re.fullmatch(r"r\d+T\w+-\w+", word)), None)
        if verb in ("undo", "clean") and (code in ("run-open", "kept-data", "next") or run is None):
            return  # it is an alternative that is named beside the way forward, or for later
        if verb == "recover" and rest and not rest.startswith("--"):
            return
        if verb == "recover":
            if "Nothing to do" in text:
                return
            command = self.command("recover")
        else:
            command = self.command(verb, run)
        yield Move(str(command), text, command)

    def note(self, move: Move) -> None:
        if move.command is not None and move.command.verb == "recover":
            self.dead, self.survivor = move.command.dead, move.command.survivor


def night_of(drawn: Drawn, watch: Callable[[Night, Step], None]) -> Night:
    """What an operator makes of a world."""
    operator = Operator(drawn)
    take = operator.take

    def noted(move: Move) -> Step:
        operator.note(move)
        return take(move)

    operator.take = noted  # type: ignore[method-assign]
    return operator.work(watch)
