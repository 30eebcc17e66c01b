"""How a world is broken: what is drawn for each disk, container and host, and the order in which they start again."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Pin, Role
from tests.worlds.disks import ADD, EMPTY, WRITE, Disk, Entry
from tests.worlds.history import History
from tests.worlds.hosts import Host, Kept, own_container
from tests.worlds.world import World

OLD_RUN = "r20251231T000000Z-0ld1"
FOREIGN = 0xD2
SIZES = (1, 2, 2, *(3,) * 9, 4, 4, *(5,) * 4, 6, 7)
VERSIONS = (*("3.4.23",) * 6, "3.3.25", "3.5.16")
DISKS = {"sound": 58, "wiped": 17, "rolled back": 5, "swapped": 3, "cloned": 3, "foreign": 2, "former": 5, "half": 4}
CONTAINERS = {"plain": 62, "state existing": 10, "stopped": 5, "policy no": 5, "renamed": 4, "removed": 4, "forced": 3}
CONTAINERS |= {"joiner": 3, "second": 2, "wrong list": 2}
HOSTS = {"up": 68, "off": 12, "gone": 9, "cut": 4, "engine": 4, "login": 3}
WORDS = {"none": 55, "right": 30, "dead of the living": 8, "survivor": 7}


@dataclass(frozen=True)
class Words:
    """What the operator types at first, beside the command."""

    kind: str
    dead: frozenset[str] = frozenset()
    survivor: str | None = None


@dataclass(frozen=True)
class Drawn:
    """A world as it is when the operator comes, and what was drawn for it. `dishonest`: a disk forgot without a trace."""

    world: World
    words: Words
    story: tuple[str, ...]
    dishonest: bool


def pick(dice: random.Random, table: dict[str, int]) -> str:
    return dice.choices(list(table), list(table.values()))[0]


def draw(seed: int | str) -> Drawn:
    """The world of that seed."""
    dice = random.Random(f"world {seed}")
    size, version = dice.choice(SIZES), dice.choice(VERSIONS)
    history = History(size, dice, learners=not version.startswith("3.3"))
    history.run()
    calm = dice.random() < 0.3
    story = [f"{size} hosts, etcd {version}, {len(history.acknowledged)} acknowledged writes"]
    hosts = [Host(number, None, [], trouble="off") for number in range(1, size + 1 + (dice.random() < 0.06))]
    lay_disks(history, hosts)
    world = World(hosts, dice, history.acknowledged, version)
    world.founding = size
    dishonest = break_disks(world, history, story, calm)
    for host in hosts:
        break_container(world, host, "plain" if calm else pick(dice, CONTAINERS), story)
    start_in_some_order(world, story)
    return Drawn(world, choose_words(world), tuple(story), dishonest)


# --- disks ------------------------------------------------------------------------------------------------------------


def lay_disks(history: History, hosts: list[Host]) -> None:
    """Each living member's disk on its host; where a member was removed and none followed, the removed one's."""
    for number, disk in history.former:
        hosts[number - 1].disk = disk
    for member in history.members:
        hosts[member.host - 1].disk = history.disk(member) if member.entries else None


def break_disks(world: World, history: History, story: list[str], calm: bool) -> bool:
    dishonest = False
    for host in world.hosts[: history.size]:
        kind = pick(world.dice, {"sound": 6, "wiped": 4} if calm else DISKS)
        told = break_disk(world, history, host, kind)
        if told != "sound":
            story.append(f"{host.name}: its disk is {told}")
        dishonest |= told == "rolled back"
    return dishonest


def break_disk(world: World, history: History, host: Host, kind: str) -> str:
    dice, disk = world.dice, host.disk
    other = dice.choice(world.hosts)
    if kind == "wiped":
        host.disk = None
    elif kind == "rolled back" and disk is not None and len(disk.entries) > history.size:
        size = dice.randint(history.size, len(disk.entries) - 1)
        host.disk = rolled_back(disk, size)
    elif kind == "swapped" and other is not host and other.disk is not None and disk is not None:
        host.disk, other.disk = other.disk, disk
        return f"swapped with that of {other.name}"
    elif kind == "cloned" and other is not host and other.disk is not None:
        host.disk = other.disk
        return f"a clone of that of {other.name}"
    elif kind == "foreign":
        host.disk = foreign(dice, host.number, history.size)
    elif kind == "former" and any(number == host.number for number, _ in history.former):
        host.disk = next(disk for number, disk in history.former if number == host.number)
        return f"that of its former member {host.disk.member:x}"
    elif kind == "half" and disk is not None:
        host.disk = replace(disk, sound=False)
        return "half written"
    else:
        return "sound"
    return kind


def rolled_back(disk: Disk, size: int) -> Disk:
    """An older state of the same disk."""
    entries = disk.entries[:size]
    commit = min(disk.commit, size - 1)
    snapshot = disk.snapshot if disk.snapshot <= commit else 0
    first = disk.first if disk.first <= snapshot + 1 else 1
    return replace(
        disk,
        entries=entries,
        term=entries[-1].term,
        vote=0,
        commit=commit,
        snapshot=snapshot,
        first=first,
        applied=commit,
    )


def foreign(dice: random.Random, number: int, size: int) -> Disk:
    """The disk of a member of another cluster."""
    entries = [Entry(1, ADD, 0xF00 + n, n) for n in range(1, size + 1)]
    entries += [Entry(2, EMPTY)] + [Entry(2, WRITE, 90_000 + n) for n in range(dice.randint(0, 40))]
    end = len(entries)
    return Disk(FOREIGN, 0xF00 + number, tuple(entries), 2, 0, end, applied=end)


# --- containers -------------------------------------------------------------------------------------------------------


def break_container(world: World, host: Host, kind: str, story: list[str]) -> None:
    size = world.founding
    if host.number > size:
        story.append(f"{host.name} is a new host")
        return
    state = "existing" if kind == "state existing" else "new"
    policy = "no" if kind == "policy no" else "always"
    listed = max(1, size - 1) if kind == "wrong list" and host.number < size else size
    own = own_container(host.number, listed, world.version, state, kind == "forced", policy)
    host.containers = [own]
    if kind == "renamed":
        host.containers = [replace(own, name="etcd-old")]
    elif kind == "removed":
        host.containers = []
    elif kind == "second":
        host.containers.append(replace(own, id=f"second{host.number}", name="etcd-old", created="2025-01-01T00:00:00Z"))
    elif kind == "joiner":
        leave_joiner(host, own)
    if kind != "plain":
        story.append(f"{host.name}: its container is {kind}")


def leave_joiner(host: Host, own: object) -> None:
    """As a join that failed leaves it: the original set aside, our joiner in its place, the run not finished."""
    [container] = host.containers
    labels = {RUN_LABEL: OLD_RUN, ROLE_LABEL: Role.JOINING.value}
    aside = replace(container, name=f"etcd.fleetrecover-{OLD_RUN}", restart_policy="no")
    joiner = replace(
        container, id=f"joiner{host.number}", labels=labels, restart_policy="no", created="2026-01-01T00:00:01Z"
    )
    pin = Pin(OLD_RUN, "world", "", "2025-12-31T00:00:00Z", "repair")
    names, policies = {container.id: "etcd"}, {container.id: "always"}
    host.kept[OLD_RUN] = Kept(pin, True, policies, names, frozenset({container.id}), host.disk is None)
    host.containers = [aside, joiner]


# --- starts -----------------------------------------------------------------------------------------------------------


def start_in_some_order(world: World, story: list[str]) -> None:
    """Power comes back here and there; what can form a quorum serves at once, and may take writes, before the rest comes."""
    dice = world.dice
    order = list(world.hosts)
    dice.shuffle(order)
    eager = dice.random() < 0.5
    for host in order:
        kind = pick(dice, HOSTS)
        if kind in ("off", "gone"):
            host.gone = kind == "gone"
            story.append(f"{host.name} {'is gone for good' if host.gone else 'is off'}")
            continue
        if kind == "up" or dice.random() < 0.5:
            world.power(host, "")
        world.power(host, "" if kind == "up" else kind)
        story.append(f"{host.name} starts{'' if kind == 'up' else f', and then: {kind}'}")
        stopped(world, host, story)
        if eager and dice.random() < 0.4:
            world.client_writes(dice.randint(0, 3))
    if dice.random() < 0.25:
        world.client_writes(dice.randint(1, 4))
    for host in world.running():
        if host.process and not host.process.leader and host.disk and dice.random() < 0.4:
            host.disk = replace(host.disk, term=host.disk.term + dice.choice((1, 4, 13)), vote=host.disk.member)
    world.settle()


def stopped(world: World, host: Host, story: list[str]) -> None:
    """Somebody has stopped its etcd since."""
    if world.dice.random() < 0.2:
        for container in host.containers:
            world.stop(host, container.id, gently=world.dice.random() < 0.5)
        story.append(f"{host.name}: its etcd is stopped")
        world.settle()


def choose_words(world: World) -> Words:
    dice = world.dice
    kind = pick(dice, WORDS)
    off = frozenset(host.name for host in world.hosts if host.trouble == "off")
    living = [host.name for host in world.hosts if host.trouble != "off"]
    if kind == "right" and off:
        return Words(kind, off)
    if kind == "dead of the living" and living:
        return Words(kind, off | {dice.choice(living)})
    if kind == "survivor":
        return Words(kind, off, dice.choice([host.name for host in world.hosts if host.name not in off] or [None]))
    return Words("none")
