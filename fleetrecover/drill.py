"""The rehearsal: builds a real fleet on this machine, breaks it, recovers it, and shows the proof.

What is lost are the disks of followers, under load, all hosts at one moment. A leader has every write that was
acknowledged, so here, where we know who led, every one of them must be found again; the program itself cannot know who
led and says "best available" where too few logs are left to prove it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.errors import CheckFailed, FleetRecoverError, UsageError
from fleetrecover.lab import Lab
from fleetrecover.outcome import Report

Say = Callable[[str], None]
Recover = Callable[[Path, str], Report]


@dataclass(frozen=True)
class Proof:
    """What a drill shows: `found` and `wrong` count acknowledged keys on the member that has the fewest."""

    nodes: int
    version: str
    lost: tuple[str, ...]
    acknowledged: int
    found: int
    wrong: int
    new_writes: bool
    report: Report

    @property
    def ok(self) -> bool:
        """Whether not one acknowledged write is missing or wrong, and the cluster is whole."""
        # emptied members may have been given everything by the others before anybody looked: then nothing was to be done
        judged = self.report.judgement is not None and self.report.judgement.ok
        whole = judged or self.report.outcome == "healthy"
        return self.found == self.acknowledged and self.wrong == 0 and self.new_writes and whole

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """The table."""
        judgement = self.report.judgement
        same = (
            next((check.detail for check in judgement.checks if check.name == "same content"), "") if judgement else ""
        )
        return (
            ("etcd", f"{self.version}, {self.nodes} members, disks of {', '.join(self.lost)} lost"),
            ("keys acknowledged before", f"{self.acknowledged:,}"),
            ("keys found after", f"{self.found:,} on every member"),
            ("keys missing", f"{self.acknowledged - self.found:,}"),
            ("members", ", ".join(judgement.members) if judgement else ""),
            ("content", same),
            ("takes new writes", "yes" if self.new_writes else "no"),
            ("seconds until writable", f"{self.report.seconds_to_writable}"),
            ("seconds until whole", f"{self.report.seconds_to_whole}"),
        )

    @property
    def document(self) -> dict[str, object]:
        """For --json."""
        return {
            "schema": 1,
            "ok": self.ok,
            "nodes": self.nodes,
            "etcd": self.version,
            "lost": list(self.lost),
            "keys_acknowledged": self.acknowledged,
            "keys_found": self.found,
            "keys_wrong": self.wrong,
            "run": self.report.run,
            "seconds_to_writable": self.report.seconds_to_writable,
            "seconds_to_whole": self.report.seconds_to_whole,
        }


def drill(
    recover: Recover,
    say: Say,
    *,
    nodes: int = 3,
    version: str = "3.4.23",
    lose: int | None = None,
    keep: bool = False,
    keys: int = 2000,
    name: str = "drill",
) -> Proof:
    """Run one drill. `recover` brings the cluster of an inventory back. Raises CheckFailed if anything is missing."""
    lose = nodes // 2 + 1 if lose is None else lose
    if not 1 <= lose < nodes:
        raise UsageError(
            f"--lose {lose}: of {nodes} nodes, 1 to {nodes - 1} can be lost", hint="at least one must be left"
        )
    say(f"Building {nodes} hosts, each with its own sshd, dockerd and etcd {version} with TLS")
    Lab.clear(name)
    lab = Lab.up(name, nodes=nodes, etcd=version)
    try:
        proof = _rehearse(lab, recover, say, lose, keys)
    finally:
        if keep:
            say(
                f"The fleet stays: `fleetrecover diagnose --inventory {lab.inventory}` looks at it, "
                f"`fleetrecover lab down --name {name}` removes it"
            )
        else:
            lab.down()
            say("The fleet is gone. Next: `fleetrecover lab up` builds one to practise on")
    if not proof.ok:
        raise CheckFailed(
            f"the drill failed: of {proof.acknowledged} acknowledged keys {proof.acknowledged - proof.found} are missing "
            f"and {proof.wrong} are wrong"
        )
    return proof


def _rehearse(lab: Lab, recover: Recover, say: Say, lose: int, keys: int) -> Proof:
    client = lab.client()
    leader = leader_of(lab)
    say(f"Writing with 8 clients; {leader} leads")
    writer = client.writer(prefix="/drill/", threads=8)
    writer.start()
    writer.wait_for(keys)
    say("Pulling the power of every host at once, in the middle of the writing")
    lab.kill_all_at_once(power=True)
    acknowledged = writer.stop()
    lost = tuple(host.name for host in lab.hosts if host.name != leader)[-lose:]
    say(f"{len(acknowledged):,} writes were acknowledged; the power comes back, the disks of {', '.join(lost)} do not")
    lab.power_on(*(host.name for host in lab.hosts))
    for name in lost:
        lab.wipe(name)
    say(f"\n$ fleetrecover recover --inventory {lab.inventory}\n")
    report = recover(lab.inventory, lab.name)
    verdicts = [client.verify(acknowledged, host.name) for host in lab.hosts]
    client.put("/drill-after", "written after the recovery")
    new = all(client.get("/drill-after", host.name) == "written after the recovery" for host in lab.hosts)
    return Proof(
        nodes=len(lab.hosts),
        version=lab.version,
        lost=lost,
        acknowledged=len(acknowledged),
        found=min(verdict.expected - len(verdict.missing) for verdict in verdicts),
        wrong=max(len(verdict.wrong) for verdict in verdicts),
        new_writes=new,
        report=report,
    )


def leader_of(lab: Lab) -> str:
    """Who leads now: everybody's own answer, compared with its own id."""
    for host in lab.hosts:
        answer = lab.etcdctl(host.name, "endpoint", "status", "-w", "json")
        if answer.returncode != 0:
            continue
        status = json.loads(answer.stdout)[0]["Status"]
        if status["leader"] == status["header"]["member_id"]:
            return host.name
    raise FleetRecoverError("the rehearsal fleet has no leader; run the drill again")


def check_root() -> None:
    """Raise UsageError unless we are root: namespaces and mounts need it."""
    if os.geteuid() != 0:
        raise UsageError("a drill builds hosts out of namespaces, which only root may do", hint="run it as root")
