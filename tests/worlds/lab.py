"""The same worlds on the lab: real etcd, dockerd, sshd and disks, broken by the same draw as far as a lab can be.

The oracle asks etcd itself, by etcdctl and by files; the operator reads what the program prints, and types the shell commands
of its hints on the hosts just as they stand there.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fleetrecover.lab import Lab
from tests.e2e.tool import Ran, Tool, state_of
from tests.worlds import hints
from tests.worlds.breaks import pick

DATA = "/var/lib/etcd"
MEMBER = f"{DATA}/member"
MOST_COMMANDS = 12
PREFIX = "/w/"
DISKS = {"sound": 55, "wiped": 25, "swapped": 7, "rolled back": 6, "cloned": 4, "half": 3}
CONTAINERS = {"plain": 66, "stopped": 10, "policy no": 8, "renamed": 8, "removed": 8}
HOSTS = {"up": 74, "off": 10, "gone": 6, "cut": 5, "engine": 5}
WORDS = {"none": 65, "right": 20, "dead of the living": 15}


@dataclass(frozen=True)
class Drawn:
    """What is drawn for a lab: by host what becomes of its disk, its container and itself; the order of starts; the words."""

    disks: dict[str, str]
    containers: dict[str, str]
    hosts: dict[str, str]
    others: dict[str, str]
    order: tuple[str, ...]
    pauses: tuple[float, ...]
    replaced: str | None
    words: str

    def __str__(self) -> str:
        told = [f"{self.replaced} was replaced before"] if self.replaced else []
        told += [f"{name}: disk {kind}" for name, kind in self.disks.items() if kind != "sound"]
        told += [f"{name}: container {kind}" for name, kind in self.containers.items() if kind != "plain"]
        told += [f"{name}: {kind}" for name, kind in self.hosts.items() if kind != "up"]
        return "; ".join([*told, f"starts {', '.join(self.order)}", f"words: {self.words}"])


def draw(seed: str, names: list[str]) -> Drawn:
    """The world of that seed on hosts of these names."""
    dice = random.Random(f"lab {seed}")
    order = list(names)
    dice.shuffle(order)
    return Drawn(
        disks={name: pick(dice, DISKS) for name in names},
        containers={name: pick(dice, CONTAINERS) for name in names},
        hosts={name: pick(dice, HOSTS) for name in names},
        others={name: dice.choice([other for other in names if other != name]) for name in names},
        order=tuple(order),
        pauses=tuple(dice.choice((0.0, 0.0, 6.0)) for _ in names),
        replaced=dice.choice(names) if dice.random() < 0.25 else None,
        words=pick(dice, WORDS),
    )


@dataclass
class LabWorld:
    """A lab while a world plays on it. `worth`: how many acknowledged keys each disk has, as far as it is readable."""

    lab: Lab
    tool: Tool
    drawn: Drawn
    keys: dict[str, str] = field(default_factory=dict)
    worth: dict[str, int] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    originals: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.lab.hosts]

    def tell(self, text: str) -> None:
        self.log.append(text)

    # --- making it ---

    def play(self) -> None:
        """A history, a power cut, what is drawn for the disks, and the starts."""
        if self.drawn.replaced is not None:
            self.lab.shell(self.drawn.replaced, "docker stop etcd")
            self.lab.wipe(self.drawn.replaced)
            ran = self.tool.run("recover", "--yes", self.lab.name)
            assert ran.code == 0, ran.err
        self.write("a", 30)
        for name in self.names:
            if self.drawn.disks[name] == "rolled back":
                self.lab.shell(name, f"docker stop etcd && cp -a {MEMBER} {DATA}/older && docker start etcd")
        self.lab.wait_healthy()
        self.write("b", 30)
        time.sleep(0.5)
        self.break_containers()
        self.lab.kill_all_at_once()
        self.break_disks()
        self.start()

    def write(self, part: str, count: int) -> None:
        self.keys |= self.lab.client().fill(f"{PREFIX}{part}/", count)

    def break_containers(self) -> None:
        commands = {
            "stopped": "docker update --restart=unless-stopped etcd && docker stop etcd",
            "policy no": "docker update --restart=no etcd",
            "renamed": "docker rename etcd etcd-old",
            "removed": "docker rm --force etcd",
        }
        for name, kind in self.drawn.containers.items():
            if kind in commands:
                self.lab.shell(name, commands[kind])

    def break_disks(self) -> None:
        """On this machine's view of the disks, while every host is off."""
        self.worth = dict.fromkeys(self.names, len(self.keys))
        for name, kind in self.drawn.disks.items():
            member, other = self.path(name), self.drawn.others[name]
            if kind == "wiped":
                self.remove(name)
            elif kind == "rolled back":
                self.remove(name)
                member.with_name("older").rename(member)
                self.worth[name] = 30
            elif kind == "swapped" and member.exists() and self.path(other).exists():
                spare = member.with_name("spare")
                member.rename(spare)
                shutil.move(self.path(other), member)
                shutil.move(spare, self.path(other))
                self.worth[name], self.worth[other] = self.worth[other], self.worth[name]
            elif kind == "cloned" and self.path(other).exists():
                self.remove(name)
                subprocess.run(["cp", "-a", str(self.path(other)), str(member)], check=True)
                self.worth[name] = self.worth[other]
            elif kind == "half" and member.exists():
                for segment in (member / "wal").glob("*.wal"):
                    damage(segment)
                self.worth[name] = 0

    def path(self, name: str) -> Path:
        """Where a host's data lies on this machine."""
        return self.lab.host(name).path(MEMBER)

    def remove(self, name: str) -> None:
        shutil.rmtree(self.path(name), ignore_errors=True)
        self.worth[name] = 0

    def start(self) -> None:
        for name, pause in zip(self.drawn.order, self.drawn.pauses, strict=True):
            kind = self.drawn.hosts[name]
            if kind in ("off", "gone"):
                self.away[name] = kind
                continue
            self.lab.power_on(name)
            if kind == "cut":
                self.lab.cut(name)
            elif kind == "engine":
                self.lab.stop_dockerd(name)
            if kind != "up":
                self.away[name] = kind
            time.sleep(pause)
        time.sleep(8.0)

    # --- mending it ---

    def mend(self, name: str) -> bool:
        """What a person does at the machine; False where nothing can be done."""
        kind = self.away.get(name)
        if kind in (None, "gone"):
            return False
        self.tell(f"# mend {name}: {kind}")
        if kind == "off":
            self.lab.power_on(name)
        elif kind == "cut":
            self.lab.mend(name)
        else:
            self.lab.start_dockerd(name)
        del self.away[name]
        time.sleep(8.0)
        return True

    # --- the oracle ---

    def best_at_hand(self) -> int:
        """How many acknowledged keys the best disk has that the operator can read."""
        return max((self.worth[name] for name in self.names if self.away.get(name) in (None, "engine")), default=0)

    def served(self) -> int | None:
        """How many acknowledged keys the cluster serves, by etcdctl on every host that answers; None where none does."""
        counts = []
        for name in self.names:
            if self.away.get(name) is not None:
                continue
            done = self.lab.etcdctl(name, "get", "--prefix", PREFIX, "--keys-only", timeout=20)
            if done.returncode == 0:
                counts.append(len(set(done.stdout.split()) & set(self.keys)))
        return min(counts, default=None)

    def state(self) -> dict[str, str]:
        """All that a refusal must leave as it was."""
        return {name: state_of(self.lab, name) for name in self.names if self.away.get(name) is None}


def damage(segment: Path) -> None:
    """Flip a byte in the first records of a WAL segment."""
    with segment.open("r+b") as opened:
        opened.seek(100)
        byte = opened.read(1)
        opened.seek(100)
        opened.write(bytes([byte[0] ^ 0xFF]))


# --- the operator -----------------------------------------------------------------------------------------------------


@dataclass
class LabNight:
    """What came of it."""

    world: LabWorld
    end: str = ""
    wrongs: list[str] = field(default_factory=list)


_FINDING = re.compile(r"^\s*→ (.*)$", re.M)


def said(ran: Ran) -> list[str]:
    """The hints that the program prints, in order: what stands after an arrow, its next line too, and its last sentence."""
    text = re.sub(r"\n {11,}(?=\S)", " ", ran.err + "\n" + ran.out)
    return [*_FINDING.findall(text), *re.findall(r"^(?:Next: |It serves, but).*$", text, re.M)]


def work(world: LabWorld) -> LabNight:
    """Follow the hints that are printed until the cluster is well or nothing leads on; judge on the way."""
    night = LabNight(world)
    dead = first_words(world)
    verb, told = "recover", [""]
    for _ in range(MOST_COMMANDS):
        ran = type_in(night, verb, dead)
        if ran.code == 0 and verb == "recover":
            night.end = "done"
            break
        if as_far_as_it_goes(world, ran, dead):
            night.end = "as far as it goes"
            break
        told.append(f"{verb} {sorted(dead)} {ran.code} {ran.err[-300:]}")
        acted, dead, again = follow(night, ran, dead)
        if told.count(told[-1]) > 1 and not acted:
            night.end = "ring" if again else "escalated"
            break
        verb = "recover" if acted or again or verb == "diagnose" else "diagnose"
        if verb == "recover" and told[-1].startswith("diagnose") and not acted and not again:
            night.end = "escalated"
            break
    judge_end(night, ran)
    return night


def as_far_as_it_goes(world: LabWorld, ran: Ran, dead: frozenset[str]) -> bool:
    """The rest serves, and all that is missing are hosts that never come back, which were declared dead."""
    gone = {name for name, kind in world.away.items() if kind == "gone"}
    return ran.code == 10 and bool(gone) and gone == set(world.away) and gone <= dead


def first_words(world: LabWorld) -> frozenset[str]:
    off = frozenset(name for name, kind in world.away.items() if kind in ("off", "gone"))
    living = [name for name in world.names if name not in world.away]
    if world.drawn.words == "right":
        return off
    if world.drawn.words == "dead of the living" and living:
        return off | {living[0]}
    return frozenset()


def type_in(night: LabNight, verb: str, dead: frozenset[str]) -> Ran:
    world = night.world
    words = [word for name in sorted(dead) for word in ("--dead", name)]
    before, best = world.state(), world.best_at_hand()
    ran = world.tool.run(verb, *words, *(["--yes", world.lab.name] if verb == "recover" else []))
    world.tell(f"$ {verb} {' '.join(words)} -> {ran.code}\n{ran.err.strip()[-700:]}")
    if ran.code in (2, 3, 12, 20, 23) and world.state() != before:
        night.wrongs.append(f"I6: {verb} {ran.code} after a change: {ran.err.strip()[-300:]}")
    if ran.code in (0, 10) and verb == "recover":
        left = world.served()
        if ran.code == 0 and (left is None or left < best):
            night.wrongs.append(f"I1: recover 0 with {left} of {best} acknowledged keys")
    if "Traceback" in ran.err:
        night.wrongs.append(f"I2: a traceback: {ran.err[-400:]}")
    return ran


def follow(night: LabNight, ran: Ran, dead: frozenset[str]) -> tuple[bool, frozenset[str], bool]:
    """Do what the hints say: whether anything was done at a machine, the words from now on, whether they say to go on."""
    world, again = night.world, False
    for text in said(ran):
        if hints.leave_out(text):
            return False, dead - set(re.findall(r"etcd\d+", text)), True
        if hints.asks_to_mend(text):
            named = [name for name in re.findall(r"etcd\d+", text + ran.err) if name in world.away]
            if any(world.mend(name) for name in dict.fromkeys(named)):
                return True, dead, True
        gone = {name for name in re.findall(r"--dead (etcd\d+)", text) if world.away.get(name) in ("gone", "off")}
        if gone - dead:
            return False, dead | gone, True
        if any(typed(world, text)):
            return True, dead, True
        again |= hints.says_again(text) or "fleetrecover recover" in text
    return False, dead, again


def typed(world: LabWorld, text: str) -> Iterator[bool]:
    """The shell commands of a hint, on the hosts that it names."""
    for names, command in re.findall(r"\bon (etcd\d+(?:(?:, | and )etcd\d+)*):? `((?:docker|mv) [^`]+)`", text):
        for name in re.findall(r"etcd\d+", names):
            if name not in world.away:
                world.tell(f"# {name}: {command}")
                world.lab.exec(name, ["sh", "-c", command])
                yield True


def judge_end(night: LabNight, ran: Ran) -> None:
    """Agreement at the end, and no end without a word."""
    world = night.world
    looked, checked = world.tool.run("diagnose", "--json"), world.tool.run("verify", "--json")
    if looked.code != checked.code:
        night.wrongs.append(f"I3: diagnose {looked.code}, verify {checked.code}")
    if night.end == "done" and looked.code != 0:
        night.wrongs.append(f"I3: recover 0, diagnose {looked.code}: {looked.out[-300:]}")
    if night.end == "ring":
        night.wrongs.append(f"I2: a ring: {ran.err.strip()[-300:]}")
    if not night.end:
        night.wrongs.append(f"I2: {MOST_COMMANDS} commands and no end: {ran.err.strip()[-300:]}")
    if night.end == "escalated" and not said(ran):
        night.wrongs.append(f"I2: an end without a hint: {ran.err.strip()[-300:]}")
