"""A cluster that serves, behind a FakeTransport: what etcdctl and the container engine of two nodes answer, and what they do.

It is no model of Raft: one member list, one leader, and the refusals that etcd gives while it is not ready for a change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleetrecover.facts import RUN_LABEL
from fleetrecover.model import Command, Host
from tests.fakes.transport import failed

UNHEALTHY = failed(1, "Error: etcdserver: unhealthy cluster")
NOT_IN_SYNC = failed(1, "Error: etcdserver: can only promote a learner member which is in sync with leader")


@dataclass
class Listed:
    """One member of the list."""

    id: int
    name: str
    url: str
    learner: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """As `etcdctl member list -w json` has it."""
        learner = {"isLearner": True} if self.learner else {}
        return {"ID": self.id, "name": self.name, "peerURLs": [self.url], "clientURLs": [], **learner}


@dataclass
class Engine:
    """The containers of one host, by name: (state, label of the run that made it, id)."""

    containers: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def state(self, name: str) -> object:
        """What `inspect` says of one."""
        if name not in self.containers:
            return failed(1, "no such container")
        state, run, cid = self.containers[name]
        document = {"Id": cid, "State": {"Status": state}, "Config": {"Labels": {RUN_LABEL: run} if run else {}}}
        return json.dumps([document])


@dataclass
class Cluster:
    """Members, who answers, and how many changes are refused before one is taken."""

    members: list[Listed]
    engines: dict[str, Engine]
    serving: dict[str, int] = field(default_factory=dict)
    """By host, the id of the member that answers there."""
    leader: int = 1
    busy: int = 0
    lagging: int = 0
    told: dict[str, str] = field(default_factory=dict)
    """What a container last said, by host."""

    def answers(self, host: str, **more: Any) -> dict[str, Any]:
        """What that host answers to each command."""
        good: dict[str, Callable[[Host, Command], Any]] = {
            "member-list": lambda *_: self.listed(host),
            "member-add": lambda _, command: self.changed(host, lambda: self.add(command)),
            "member-remove": lambda _, command: self.changed(host, lambda: self.remove(command)),
            "member-update": lambda _, command: self.changed(host, lambda: self.update(command)),
            "member-promote": lambda _, command: self.changed(host, lambda: self.promote(command)),
            "endpoint-status": lambda *_: self.status(host),
            "endpoint-health": lambda *_: (
                "it is healthy" if host in self.serving and self.leader else failed(1, "is unhealthy")
            ),
            "container-state": lambda _, command: self.engines[host].state(self._words(command, "container")[0]),
            "container-logs": lambda *_: self.told.get(host, "I | etcdmain: it goes on"),
            "remove-container": lambda *_: "",
            "data-dir": lambda *_: "",
            "still-held": lambda *_: "",
        }
        return {**good, **more}

    def listed(self, host: str) -> object:
        """The member list, where a member with quorum answers."""
        if host not in self.serving:
            return failed(1, "Error: context deadline exceeded")
        return json.dumps({"header": {"cluster_id": 9}, "members": [member.row for member in self.members]})

    def status(self, host: str) -> object:
        """What the member of that host says of itself."""
        mine = self.serving.get(host)
        if mine is None:
            return failed(1, "connection refused")
        header = {"cluster_id": 9, "member_id": mine, "revision": 41, "raft_term": 3}
        body = {"header": header, "version": "3.4.23", "dbSize": 4096, "leader": self.leader, "raftIndex": 60}
        return json.dumps([{"Endpoint": "e", "Status": {**body, "raftTerm": 3}}])

    def changed(self, host: str, change: Callable[[], object]) -> object:
        """A change of membership, refused `busy` times."""
        if host not in self.serving:
            return failed(1, "Error: context deadline exceeded")
        if self.busy:
            self.busy -= 1
            return UNHEALTHY
        return change()

    def _words(self, command: Command, verb: str) -> list[str]:
        words = command.script.split()
        return words[words.index(verb) + 1 :]

    def add(self, command: Command) -> object:
        """`member add NAME --peer-urls=URL [--learner]`."""
        words = self._words(command, "add")
        url = next(word.partition("=")[2] for word in words if word.startswith("--peer-urls="))
        self.members.append(Listed(7, "", url, "--learner" in words))
        return "{}"

    def remove(self, command: Command) -> object:
        """`member remove ID`."""
        gone = int(self._words(command, "remove")[0], 16)
        self.members = [member for member in self.members if member.id != gone]
        return "removed"

    def update(self, command: Command) -> object:
        """`member update ID --peer-urls=URL`."""
        words = self._words(command, "update")
        for member in self.members:
            if member.id == int(words[0], 16):
                member.url = words[1].partition("=")[2]
        return "updated"

    def promote(self, command: Command) -> object:
        """`member promote ID`, refused while the learner lags."""
        if self.lagging:
            self.lagging -= 1
            return NOT_IN_SYNC
        for member in self.members:
            if member.id == int(self._words(command, "promote")[0], 16):
                member.learner = False
        return "promoted"
