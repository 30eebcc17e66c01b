"""How etcd behaves on the hosts of a world: starting on what lies there, being refused, electing, replicating, serving.

After facts that were found on real etcd: a blank member with state `new` begins a cluster anew, under the same ids, unless
a running peer knows that it had begun before; with state `existing` it takes its id from a running peer and has an empty
log; a removed member is told so and ends; messages go to where a peer URL points, and over what the other side has dialled;
an election is won by (term, index) among the running voters that reach each other; a leader without a quorum steps down.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fleetrecover.decide.membership import host_of_url
from fleetrecover.facts import Container
from tests.worlds import disks
from tests.worlds.disks import ADD, EMPTY, PUBLISH, WRITE, Disk, Entry, common
from tests.worlds.history import CLUSTER
from tests.worlds.hosts import Host, Process

ROUNDS = 40
RESTARTING = ("always", "unless-stopped", "on-failure")


class Etcds:
    """The etcds of all hosts. Every change of a container's state goes through here, and `settle` lets time pass."""

    def __init__(self, hosts: list[Host], dice: random.Random, acknowledged: set[int]) -> None:
        self.hosts = hosts
        self.dice = dice
        self.acknowledged = acknowledged
        self.written = 0
        self.tainted: set[int] = set()  # hosts where etcd has begun with nothing under an old id, or was forced

    # --- starting and stopping ---

    def start(self, host: Host, container_id: str) -> None:
        """`docker start`: it runs, or ends at once and is tried again as its restart policy says."""
        container = host.container(container_id)
        if container is None or not host.powered or container.state == "running":
            return
        obstacle = "its data directory is in use" if host.process is not None else self.boots(host, container)
        if not obstacle:
            host.change(container_id, state="running")
            return
        again = container.restart_policy in RESTARTING
        host.change(container_id, state="restarting" if again else "exited", exit_code=1)

    def boots(self, host: Host, container: Container) -> str:
        """Start etcd on what lies there; returns why it ended, empty if it runs."""
        if container.config is None:
            return "its command is not understood"
        if host.disk is None:
            made = self.begin(host, container)
            if isinstance(made, str):
                return made
            host.disk = made
            self.tainted.add(host.number)
        elif not host.disk.sound:
            return "its WAL is damaged"
        elif container.forced:
            done = disks.reset(host.disk)
            if done is None:
                return "removed all voters"
            host.disk = done
            self.tainted.add(host.number)
        host.process = Process(container.id, host.disk.commit)
        if self.expelled(host):
            host.process = None
            return "the member has been permanently removed from the cluster"
        if self.panics(host):
            host.process = None
            return "tocommit is out of range: was the raft log corrupted, truncated, or lost?"
        return ""

    def panics(self, host: Host) -> bool:
        """Whether a leader remembers more of its log than it has."""
        assert host.disk is not None
        leaders = [peer for peer in self.running() if peer is not host and peer.process and peer.process.leads]
        return any(
            peer.process.reached.get(host.disk.member, 0) > len(host.disk.entries)
            for peer in leaders
            if peer.process and self.linked(peer, host)
        )

    def begin(self, host: Host, container: Container) -> Disk | str:
        """A blank member: what it makes for itself, or why it ends."""
        assert container.config is not None
        urls = [host_of_url(url) for each in container.config.initial_cluster.values() for url in each]
        numbers = sorted(int(url.rpartition(".")[2]) for url in urls)
        peers = [
            peer for peer in self.running() if peer is not host and peer.side == host.side and peer.number in numbers
        ]
        if container.config.state == "existing":
            return self.join(host, numbers, peers)
        for peer in peers:
            assert peer.disk is not None and peer.process is not None
            seen = peer.disk.roster(peer.process.known)
            begun = peer.process.known > sum(1 for entry in peer.disk.entries[: len(numbers)] if entry.term == 1)
            if begun and host.number in seen.named and host.number in seen.hosts:  # it has published its URLs once
                return "the member has already been bootstrapped"
        founders = max(len(self.hosts), 1)
        cluster = CLUSTER if numbers == list(range(1, self.founding + 1)) else 0xE0 + sum(numbers) + founders
        entries = tuple(Entry(1, ADD, number, number) for number in numbers)
        if host.number not in numbers:
            return "its name is not in the initial cluster"
        return Disk(cluster, host.number, entries, 1, 0, len(entries), applied=len(entries))

    founding = 0
    """How many hosts the first cluster had: a blank one with the same list has its cluster id and member ids."""

    def join(self, host: Host, numbers: Sequence[int], peers: Sequence[Host]) -> Disk | str:
        for peer in peers:
            assert peer.disk is not None and peer.process is not None
            seen = peer.disk.roster(peer.process.known)
            if sorted(seen.hosts.values()) != list(numbers):
                return "member count is unequal"
            mine = next((member for member, number in seen.hosts.items() if number == host.number), None)
            if mine is not None:
                return Disk(peer.disk.cluster, mine, ())
        return "could not fetch the cluster from its peers"

    def stop(self, host: Host, container_id: str, *, gently: bool = True) -> None:
        """`docker stop` or a power cut: gently, the commit is flushed."""
        if host.process is not None and host.process.container == container_id:
            self.end(host, gently=gently)
        host.change(container_id, state="exited")

    def end(self, host: Host, *, gently: bool) -> None:
        """The process is no more."""
        process, disk = host.process, host.disk
        host.process = None
        if process is not None and disk is not None and gently:
            host.disk = replace(disk, commit=process.known, applied=process.known)

    def power(self, host: Host, trouble: str) -> None:
        """The host goes off or comes back, its engine stops or starts, its network is cut or mended."""
        host.trouble = trouble
        if not host.powered:
            self.end(host, gently=trouble == "engine")
            host.containers = [
                replace(c, state="exited") if c.state in ("running", "restarting") else c for c in host.containers
            ]
        else:
            for container in host.containers:
                if container.restart_policy == "always":
                    self.start(host, container.id)
        self.settle()

    # --- who reaches whom ---

    def running(self) -> list[Host]:
        return [host for host in self.hosts if host.process is not None and host.disk is not None]

    def linked(self, one: Host, other: Host) -> bool:
        """Whether messages pass between two running etcds, by what either has dialled."""
        assert one.disk is not None and other.disk is not None and one.process and other.process
        if one.side != other.side or one.disk.cluster != other.disk.cluster or one.disk.member == other.disk.member:
            return False
        mine, theirs = one.disk.roster(one.process.known).hosts, other.disk.roster(other.process.known).hosts
        return mine.get(other.disk.member) == other.number or theirs.get(one.disk.member) == one.number

    def expelled(self, host: Host) -> bool:
        """Whether a peer tells it that it was removed."""
        assert host.disk is not None
        for peer in self.running():
            if peer is host or not self.linked_by_address(host, peer):
                continue
            assert peer.disk is not None and peer.process is not None
            if host.disk.member in peer.disk.roster(peer.process.known).removed:
                return True
        return False

    def linked_by_address(self, host: Host, peer: Host) -> bool:
        assert host.disk is not None and peer.disk is not None and host.process is not None
        known = host.disk.roster(host.process.known).hosts
        same = host.side == peer.side and host.disk.cluster == peer.disk.cluster
        return same and known.get(peer.disk.member) == peer.number

    def group(self, host: Host) -> Iterator[Host]:
        """The members by its own configuration that run and reach it, itself first."""
        assert host.disk is not None and host.process is not None
        yield host
        seen = host.disk.roster(host.process.known)
        found: dict[int, Host] = {}
        for peer in self.running():
            assert peer.disk is not None
            member = peer.disk.member
            if peer is host or member not in seen.hosts or not self.linked(host, peer):
                continue
            if member not in found or seen.hosts[member] == peer.number:  # of two with one id, who sits at its address
                found[member] = peer
        yield from found.values()

    # --- time passes ---

    def settle(self) -> None:
        """Until nothing changes any more: restarts, removals, elections, replication, publication."""
        done: list[str] = []
        for _ in range(ROUNDS):
            deeds = (self.retry, self.expel, self.lead, self.elect, self.publish)
            deed = next((deed for deed in deeds if deed()), None)
            if deed is None:
                return
            done.append(deed.__name__)
        raise AssertionError(f"the world does not come to rest: {' '.join(done[-6:])}")

    def retry(self) -> bool:
        changed = False
        for host in self.hosts:
            for container in host.containers:
                if container.state == "restarting" and host.powered and host.process is None:
                    changed |= not self.again(host, container)
        return changed

    def again(self, host: Host, container: Container) -> str:
        why = self.boots(host, container)
        if not why:
            host.change(container.id, state="running")
        return why

    def expel(self) -> bool:
        told = [host for host in self.running() if self.expelled(host)]
        for host in told:
            self.crash(host)
        return bool(told)

    def crash(self, host: Host) -> None:
        assert host.process is not None
        container = host.container(host.process.container)
        self.end(host, gently=True)
        if container is not None:
            again = container.restart_policy in RESTARTING
            host.change(container.id, state="restarting" if again else "exited", exit_code=1)

    def lead(self) -> bool:
        """Every leader goes on, or steps down."""
        changed = False
        for host in sorted(self.running(), key=lambda h: h.disk.term if h.disk else 0, reverse=True):
            if host.process is not None and host.process.leads:
                changed |= self.led_by(host)
        for host in self.running():
            assert host.process is not None
            if host.process.leader and not self.leader_of(host):
                host.process.leader, host.process.serving = 0, False
                changed = True
        return changed

    def leader_of(self, host: Host) -> Host | None:
        assert host.process is not None
        for peer in self.group_or_self(host):
            if peer.process and peer.process.leads and peer.disk and peer.disk.member == host.process.leader:
                return peer
        return None

    def group_or_self(self, host: Host) -> Iterator[Host]:
        yield host
        for peer in self.running():
            if peer is not host and self.linked(host, peer):
                yield peer

    def led_by(self, leader: Host) -> bool:
        assert leader.disk is not None and leader.process is not None
        peers = list(self.group(leader))
        voters = leader.disk.roster(leader.process.known).voters
        active = [p for p in peers if p is leader or (p.process and not p.process.leads)]
        beaten = any(p.process and p.process.leads and p.disk and p.disk.term > leader.disk.term for p in peers)
        if beaten or len(self.ids(active) & voters) <= len(voters) // 2:
            self.step_down(leader)
            return True
        before = [(p.disk, p.process and (p.process.known, p.process.leader, p.process.serving)) for p in peers]
        has = {leader.disk.member}
        for peer in active:
            if peer is not leader and self.replicate(leader, peer):
                assert peer.disk is not None
                has.add(peer.disk.member)
        if len(has & voters) > len(voters) // 2:
            self.commit(leader, [p for p in active if p.process and p.disk and p.disk.member in has])
        after = [(p.disk, p.process and (p.process.known, p.process.leader, p.process.serving)) for p in peers]
        return before != after

    def ids(self, hosts: Iterable[Host]) -> set[int]:
        return {host.disk.member for host in hosts if host.disk is not None}

    def step_down(self, leader: Host) -> None:
        assert leader.process is not None
        leader.process.leads, leader.process.serving, leader.process.leader = False, False, 0

    def replicate(self, leader: Host, peer: Host) -> bool:
        """Whether the peer has the leader's log now; one that has decided something else hangs, an emptied one panics."""
        assert leader.disk and leader.process and peer.disk and peer.process
        mine, theirs = leader.disk, peer.disk
        if theirs.member in leader.process.reached and len(theirs.entries) < leader.process.reached[theirs.member]:
            self.crash(peer)
            return False
        peer.process.leader = mine.member
        if common(mine.entries, theirs.entries) < peer.process.known:
            peer.process.serving = False
            return False
        snapshot, first = theirs.snapshot, theirs.first
        if len(theirs.entries) + 1 < mine.first:
            snapshot, first = leader.process.known, leader.process.known + 1
        term, vote = (theirs.term, theirs.vote) if theirs.term == mine.term else (mine.term, 0)
        peer.disk = replace(
            theirs,
            entries=mine.entries,
            term=term,
            vote=vote,
            snapshot=snapshot,
            first=first,
            commit=max(theirs.commit, snapshot),
            applied=max(theirs.applied, snapshot),
        )
        peer.process.known = max(peer.process.known, snapshot)
        leader.process.reached[theirs.member] = len(mine.entries)
        return True

    def commit(self, leader: Host, having: Sequence[Host]) -> None:
        """What a quorum has is decided; commits lag by one on the disks, since they alone are not flushed."""
        assert leader.disk is not None
        size = len(leader.disk.entries)
        self.acknowledged.update(entry.value for entry in leader.disk.entries if entry.kind == WRITE)
        for host in having:
            assert host.disk is not None and host.process is not None
            host.process.known, host.process.serving, host.process.opened = size, True, True
            host.disk = replace(host.disk, commit=max(host.disk.commit, size - 1), applied=max(host.disk.applied, size))

    def elect(self) -> bool:
        able = [host for host in self.running() if self.may_win(host)]
        if not able:
            return False
        winner = self.dice.choice(able)
        assert winner.disk is not None and winner.process is not None
        peers = list(self.group(winner))
        term = max(peer.disk.term for peer in peers if peer.disk is not None) + 1
        for peer in peers:
            assert peer.disk is not None
            behind = peer.disk.last <= winner.disk.last
            peer.disk = replace(peer.disk, term=term, vote=winner.disk.member if behind else 0)
        winner.disk = replace(winner.disk, entries=(*winner.disk.entries, Entry(term, EMPTY)))
        process = winner.process
        process.leads, process.leader, process.serving, process.reached = True, winner.disk.member, False, {}
        return True

    def may_win(self, host: Host) -> bool:
        disk, process = host.disk, host.process
        assert disk is not None and process is not None
        voters = disk.roster(process.known).voters
        if process.leader or disk.member not in voters:
            return False
        votes = {
            peer.disk.member
            for peer in self.group(host)
            if peer.disk and peer.process and not peer.process.leader and peer.disk.last <= disk.last
        }
        return len(votes & voters) > len(voters) // 2

    def publish(self) -> bool:
        """A member that serves for the first time tells its name."""
        for host in self.running():
            leader = self.leader_of(host) if host.process and host.process.serving else None
            if leader is None or host.disk is None or leader.disk is None or leader.process is None:
                continue
            seen = leader.disk.roster(leader.process.known)
            if host.disk.member in seen.hosts and host.disk.member not in seen.named:
                self.propose(leader, Entry(leader.disk.term, PUBLISH, host.disk.member, seen.hosts[host.disk.member]))
                return True
        return False

    # --- what clients and operators do ---

    def leader(self) -> Host | None:
        """A host whose etcd leads and serves."""
        return next(
            (host for host in self.running() if host.process and host.process.leads and host.process.serving), None
        )

    def propose(self, leader: Host, entry: Entry) -> None:
        """Append an entry on the leader; `settle` decides it."""
        assert leader.disk is not None
        leader.disk = replace(leader.disk, entries=(*leader.disk.entries, entry))

    def write(self, count: int, first: int) -> int:
        """Clients write so much to every cluster that serves; returns how many writes there were."""
        made = 0
        for host in self.running():
            if host.process and host.process.leads and host.process.serving and host.disk:
                for _ in range(count):
                    self.propose(host, Entry(host.disk.term, WRITE, first + made))
                    made += 1
        self.settle()
        return made
