"""A cluster of real etcd for a history that is reseeded: its life until all are killed, and how its members are asked."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import histories
from benchmarks.histories import (
    Member,
    Writers,
    api,
    ask,
    encoded,
    flags_of,
    kill,
    pid,
    start,
    wait_serving,
)
from fleetrecover.etcd import etcdctl
from fleetrecover.lab.rke import version_tuple
from tests.etcd import binaries

CHANGES = ("add-voter", "add-learner", "promote", "remove")
"""Changes of membership that are asked for while nobody can decide them."""


@dataclass
class Count:
    """What was counted; sums up over histories."""

    histories: int = 0
    kills: int = 0
    acknowledged: int = 0
    snap: int = 0
    learner: int = 0
    differing: int = 0
    pending: int = 0
    seeded: int = 0
    removed: int = 0
    complete: int = 0
    lost: int = 0
    best: int = 0
    best_lost: int = 0
    most_lost: int = 0
    since: int = 0
    returned: int = 0
    wrong: int = 0

    def add(self, other: Count) -> None:
        """Take another one's in."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, max(mine, theirs) if each.name == "most_lost" else mine + theirs)


@dataclass
class World:
    """One cluster and what is known of it. `flags` are what every member is started with, also after the reseed."""

    version: str
    directory: Path
    dice: random.Random
    members: list[Member]
    flags: tuple[str, ...] = ()
    ids: dict[str, int] = field(default_factory=dict)
    since: set[str] = field(default_factory=set)
    count: Count = field(default_factory=lambda: Count(histories=1))

    def member(self, name: str) -> Member:
        """The member of that name."""
        return next(each for each in self.members if each.name == name)

    def start(self, member: Member) -> None:
        """As it was started in the first place."""
        start(self.version, member, *self.flags)

    def said(self, member: Member) -> str:
        """What it has told, all of it."""
        return (member.data.parent / f"{member.name}.log").read_text("utf-8", "replace")


# --- the life before --------------------------------------------------------------------------------


def live(world: World, writers: Writers, spare: tuple[int, int]) -> None:
    """Until all are killed."""
    dice, size = world.dice, len(world.members)
    snapshots = dice.choice((20, 100, 100000))
    more = (f"--snapshot-count={snapshots}", "--strict-reconfig-check=false")
    world.flags = flags_of(world.members, *more)
    for member in world.members:
        world.start(member)
    for member in world.members:
        wait_serving(world.version, member)
    if version_tuple(world.version) >= (3, 4) and dice.random() < 0.4:
        join_learner(world, spare)
    listed = members_of(world, world.members[0])
    world.ids = {each["name"]: int(each["ID"]) for each in listed}
    writers.start()
    tally = histories.Tally()
    histories.shake(world.version, world.members, world.flags, dice, tally)
    if dice.random() < 0.5:
        leave_undecided(world, size)
    histories.end(world.members, dice, tally)
    world.count.kills = tally.kills


def join_learner(world: World, spare: tuple[int, int]) -> None:
    """A learner that has all that there is."""
    learner = Member("learner", world.directory / "learner", *spare)
    url = f"http://127.0.0.1:{learner.peer}"
    contact = world.members[0]
    added = call(world, contact, "member/add", {"peerURLs": [url], "isLearner": True}, 10.0)
    assert added is not None, world.said(contact)[-1500:]
    first = next(flag for flag in world.flags if flag.startswith("--initial-cluster="))
    start(world.version, learner, f"{first},learner={url}", "--initial-cluster-state=existing", *world.flags[2:])
    world.members.append(learner)
    world.count.learner = 1
    wait_until(lambda: bool(keys_of(world, learner, serializable=True) is not None), world, learner)
    wait_until(lambda: any(m.get("name") == "learner" for m in members_of(world, contact)), world, learner)


def leave_undecided(world: World, size: int) -> None:
    """Ask the leader for a change of membership when its followers are stopped: it has the entry, and cannot decide it."""
    running = [member for member in world.members if member.running]
    leader = next((each for each in running if leads(world, each)), None)
    if leader is None:
        return
    for member in running:
        if member is not leader and world.dice.random() < 0.9:
            os.kill(pid(member), signal.SIGSTOP)
    body: dict[str, Any]
    match world.dice.choice(CHANGES):
        case "add-voter":
            path, body = "member/add", {"peerURLs": ["http://127.0.0.1:9"]}
        case "add-learner" if world.count.learner == 0:
            path, body = "member/add", {"peerURLs": ["http://127.0.0.1:9"], "isLearner": True}
        case "promote" if world.count.learner:
            path, body = "member/promote", {"ID": str(world.ids["learner"])}
        case _:
            victim = world.dice.choice(world.members[:size])
            path, body = "member/remove", {"ID": str(world.ids[victim.name])}
    asked = threading.Thread(target=call, args=(world, leader, path, body, 1.0))
    asked.start()
    time.sleep(world.dice.choice((0.02, 0.05, 0.1)))
    kill(leader)
    asked.join()


def leads(world: World, member: Member) -> bool:
    """Whether it says that it is the leader."""
    status = call(world, member, "status", {}, 1.0, service="maintenance")
    return status is not None and status.get("leader") == status["header"]["member_id"]


def call(
    world: World, member: Member, path: str, body: Mapping[str, Any], timeout: float = 5.0, service: str = "cluster"
) -> dict[str, Any] | None:
    """A request of the cluster's or the maintenance service; None where it fails."""
    return ask(member.client, f"{api(world.version)}/{service}/{path}", body, timeout)


# --- asking -----------------------------------------------------------------------------------------


def members_of(world: World, member: Member) -> list[dict[str, Any]]:
    """The members, as this one lists them."""
    answer = call(world, member, "member/list", {})
    return answer["members"] if answer is not None else []


def keys_of(world: World, member: Member, serializable: bool = False) -> dict[str, Any] | None:
    """An answer of its store, with a header."""
    body = {"key": encoded("x"), "serializable": serializable}
    return ask(member.client, f"{api(world.version)}/kv/range", body, 5.0)


def latest(world: World, member: Member) -> int:
    """The revision of a voter, which no write is under way to change."""
    answer = keys_of(world, member)
    assert answer is not None
    return int(answer["header"]["revision"])


def same(world: World, learner: Member, revision: int) -> bool:
    """Whether a learner has come as far."""
    answer = keys_of(world, learner, serializable=True)
    return answer is not None and int(answer["header"]["revision"]) >= revision


def contents(world: World, members: Sequence[Member], revision: int) -> set[int]:
    """Their hashes of the keys at that revision."""
    endpoints = ",".join(f"http://127.0.0.1:{member.client}" for member in members)
    argv = [str(binaries.find(world.version, "etcdctl")), f"--endpoints={endpoints}", "--command-timeout=30s"]
    asked = [*argv, "endpoint", "hashkv", f"--rev={revision}", "-w", "json"]
    environment = {**os.environ, "ETCDCTL_API": "3"}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found = etcdctl.parse_endpoint_hashkv(done.stdout)
    assert len(found) == len(members)
    return {each.hash for each in found}


def wait_until(true: Callable[[], bool], world: World, member: Member, seconds: float = 60.0) -> None:
    """Raises RuntimeError with what the member said where it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        if not member.running or time.monotonic() > deadline:
            raise RuntimeError(f"etcd {world.version} {member.name}: {world.said(member)[-1500:]}")
        time.sleep(0.05)


def stop_all(members: Sequence[Member]) -> None:
    """Gently, all at the same time."""
    running = [member.process for member in members if member.process is not None]
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)
