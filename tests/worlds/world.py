"""A world: hosts, the etcds on them, what clients were promised, and what a survey of it shows."""

from __future__ import annotations

import copy
import random
from collections.abc import Hashable
from dataclasses import dataclass, field

from fleetrecover.facts import Survey
from fleetrecover.model import Fleet
from tests.worlds.disks import Disk
from tests.worlds.etcds import Etcds
from tests.worlds.hosts import Host, host_address, live_members

FIRST_LATER_WRITE = 10_000
"""The numbers of writes that clients make after the history, so that no two writes are the same."""


@dataclass
class Hazard:
    """What will disturb the next command: after so many effects, "interrupt", "fail" or "power" of a host by name."""

    after: int
    kind: str
    host: str = ""


class World(Etcds):
    """All that there is. `version` is etcd's; `log` is what happened, in words, for a person who replays a seed."""

    def __init__(self, hosts: list[Host], dice: random.Random, acknowledged: set[int], version: str) -> None:
        super().__init__(hosts, dice, acknowledged)
        self.version = version
        self.fleet = Fleet("world", tuple(host_address(host.number) for host in hosts))
        self.hazard: Hazard | None = None
        self.log: list[str] = []
        self.wrongs: list[tuple[str, str]] = []  # (what must never be, told) as it happens
        self.next_id = 0x201
        self.written = 0
        self.forks = 0
        self.made = 0  # containers

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def copy(self) -> World:
        """Another world that is the same now."""
        twin = copy.copy(self)
        twin.hosts = [host.copy() for host in self.hosts]
        twin.acknowledged, twin.tainted = set(self.acknowledged), set(self.tainted)
        twin.log, twin.wrongs = list(self.log), list(self.wrongs)
        twin.dice = random.Random()
        twin.dice.setstate(self.dice.getstate())
        twin.hazard = None
        return twin

    def tell(self, text: str) -> None:
        self.log.append(text)

    def client_writes(self, count: int) -> None:
        """Clients write to whatever serves."""
        made = self.write(count, FIRST_LATER_WRITE + self.written)
        self.written += made

    def survey(self, logs: bool = True) -> Survey:
        """One look at all hosts."""
        facts = []
        for host in self.hosts:
            process = host.process
            healthy = process is not None and process.serving and host.disk is not None
            live = live_members(host.disk, process.known) if healthy and host.disk and process else ()
            facts.append(host.facts(live, self.version, logs))
        return Survey(self.fleet, tuple(facts), "2026-01-01T00:00:00Z")

    def picture(self) -> Hashable:
        """Everything that a refusal must leave as it was."""
        return tuple(
            (
                host.name,
                host.trouble,
                host.disk,
                tuple((c.id, c.name, c.state, c.restart_policy) for c in host.containers),
                tuple(
                    (
                        run,
                        k.pin,
                        k.recorded,
                        k.finished,
                        k.undone,
                        k.undoing,
                        k.proof,
                        *sorted(k.parts.items(), key=_name),
                    )
                    for run, k in sorted(host.kept.items())
                ),
                tuple(host.given_up.items()),
            )
            for host in self.hosts
        )

    def stirs(self) -> Hashable:
        """What moves by itself: who follows whom, and how far each is."""
        return tuple(
            (p.container, p.known, p.leader, p.leads, p.serving, p.opened) if (p := host.process) else None
            for host in self.hosts
        )

    # --- what a person does at a machine ---

    def mend(self, host: Host) -> bool:
        """Power a host on, mend its login, its engine or its network; False where it never comes back."""
        if not host.trouble or host.gone:
            return False
        self.tell(f"a person mends {host.name}: {host.trouble}")
        self.power(host, "")
        return True


def _name(item: tuple[str, Disk]) -> str:
    return item[0]


@dataclass
class Setting:
    """What was drawn for a world, for the report: kinds of disks, containers, hosts, words."""

    drawn: list[str] = field(default_factory=list)
