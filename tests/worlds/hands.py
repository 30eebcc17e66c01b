"""What each step of a plan does to a world. The real flow of `recover` and `undo` runs above it, unchanged.

Every effect is looked at before it is done, as the scripts of `commands/actions.py` do, and an interruption, a failure or a
power cut may fall between any two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fleetrecover import steps as s
from fleetrecover.errors import CommandFailed, FleetRecoverError, Held, Unreachable
from fleetrecover.etcd.membership import Member
from fleetrecover.facts import ROLE_LABEL, RUN_LABEL, Container, LiveMember, Proof, Role
from fleetrecover.undo import Undoer
from tests.worlds.disks import ADD, DETOUR, LEARNER, PROMOTE, REMOVE, UPDATE, Disk, Entry, raised, reset
from tests.worlds.hosts import Host, Kept, live_members
from tests.worlds.world import World

Effect = Callable[[], None]


class Hands(Undoer):
    """An Applier and Undoer whose `do` acts on the world that stands in the transport's place."""

    @property
    def world(self) -> World:
        assert isinstance(self.transport, World)
        return self.transport

    def do(self, step: s.Step) -> str | None:
        """Do a step, effect by effect."""
        host = self.world.host(step.node)
        if not host.accessible:
            raise Unreachable(host.name, "the connection was lost")
        for effect in effects(self.world, host, step):
            effect()
            self.world.settle()
            self.disturb()
        return None

    def disturb(self) -> None:
        hazard = self.world.hazard
        if hazard is None:
            return
        hazard.after -= 1
        if hazard.after > 0:
            return
        self.world.hazard = None
        self.world.tell(f"in the middle of it: {hazard.kind} {hazard.host}")
        if hazard.kind == "interrupt":
            raise KeyboardInterrupt
        if hazard.kind == "power":
            self.world.power(self.world.host(hazard.host), "off")
        else:
            raise CommandFailed(hazard.host, "it did not work this once", exit_code=1)

    # what the real one asks of the nodes in between

    def taken_over(self, step: s.Step) -> Held | None:
        return None

    def members(self, leader: str) -> tuple[Member, ...]:
        return tuple(Member(m.id, m.name, m.peer_urls, (), m.is_learner) for m in listed(self.world, leader))

    def member_at(self, leader: str, peer_urls: Sequence[str]) -> Member | None:
        try:
            return next((m for m in self.members(leader) if set(m.peer_urls) & set(peer_urls)), None)
        except FleetRecoverError:
            return None


def listed(world: World, leader: str) -> tuple[LiveMember, ...]:
    """The member list as that host's etcd gives it; it must have quorum behind it."""
    host = world.host(leader)
    if host.process is None or not host.process.serving or host.disk is None:
        raise CommandFailed(leader, "member list: context deadline exceeded", exit_code=1)
    return live_members(host.disk, host.process.known)


def chief(world: World, leader: str) -> Host:
    """The host that leads the cluster in which `leader` serves."""
    asked = world.host(leader)
    listed(world, leader)
    found = world.leader_of(asked)
    if found is None:
        raise CommandFailed(leader, "etcdserver: no leader", exit_code=1)
    return found


def kept(host: Host, run: str) -> Kept:
    return host.kept.setdefault(run, Kept())


# --- the steps --------------------------------------------------------------------------------------------------------


def effects(world: World, host: Host, step: s.Step) -> Iterator[Effect]:
    """The effects of a step, in order."""
    run = step.paths.run
    match step:
        case s.OpenRun():
            yield partial(_pin, host, step)
            yield partial(_record, host, step)
        case s.Fence():
            for target in step.targets:
                yield partial(_fence, world, host, target.id, target.keep_as)
        case s.KeepData():
            yield partial(_move_aside, host, run, step.part)
        case s.CopyData():
            yield partial(_copy, world, host, run)
        case s.RaiseCommit():
            yield partial(_raise, host, step)
        case s.Quarantine():
            yield from _quarantine(world, host, step)
        case s.Adopt():
            yield partial(_drop_ours, world, host, run, Role.QUARANTINE)
            yield partial(_adopt, host, run)
        case s.StartOriginal():
            if step.replaces:
                yield partial(_remove_named, world, host, step.replaces, run, step.container_id)
            yield partial(_start, world, host, step.container_id, step.name, step.restart_policy)
            if step.waits_for == "health":
                yield partial(_wait, world, (host.name,))
        case s.StartRebuilt():
            yield partial(_rebuild, world, host, step)
            yield partial(_wait, world, (host.name,))
        case s.AwaitQuorum():
            yield partial(_wait, world, step.nodes)
        case s.RemoveMember():
            yield partial(_remove_member, world, step)
        case s.AddMember():
            yield partial(_add_member, world, step)
        case s.Join():
            yield partial(_join, world, host, step)
            yield partial(_joined, world, host, step)
        case s.Promote():
            yield partial(_promote, world, host, step)
        case s.GiveNameBack():
            yield partial(_give_name_back, host, step)
        case s.Reopen():
            pass  # it takes clients
        case s.RestorePolicy():
            yield partial(_policy, host, step.name, step.restart_policy)
        case s.FinishRun():
            yield partial(_mark, host, run, finished=True)
        case s.CloseEarlier():
            yield partial(_mark, host, step.earlier.run, finished=True)
        case s.RemoveOurs():
            for name in step.names:
                yield partial(_remove_named, world, host, name, run, "")
        case s.PutDataBack():
            yield partial(_withdraw, host, run)
            yield partial(_put_back, host, run)
        case s.PutContainerBack():
            yield partial(_put_container_back, world, host, step)
        case s.MarkUndone():
            yield partial(_mark, host, run, undone=True)
        case s.RemoveKept():
            yield partial(_remove_kept, host, step)
        case s.RemoveRun():
            yield partial(_forget, host, run)
        case (
            s.EnsureImage()
            | s.CheckFiles()
            | s.ProbeReflink()
            | s.StopNeighbours()
            | s.StartNeighbours()
            | s.StartStopped()
        ):
            yield _nothing
        case _:
            yield from other_effects(world, host, step)


def other_effects(world: World, host: Host, step: s.Step) -> Iterator[Effect]:
    """Steps that not every version of the product has, by their names."""
    about: Any = step
    match type(step).__name__:
        case "UpdateMember":
            yield partial(_update_member, world, about)
        case "RemoveLeftover":
            yield partial(_remove_named, world, host, about.name, about.made_by, "")
        case "BeginUndo":
            yield partial(_mark, host, step.paths.run, undoing=True)
        case other:
            raise AssertionError(f"the world does not know {other}")


def _update_member(world: World, step: Any) -> None:
    """`etcdctl member update`: a URL that another member has is refused; one that is no peer's leads nowhere."""
    members = listed(world, step.leader)
    mine = next((member for member in members if member.id == step.member_id), None)
    if mine is None:
        raise CommandFailed(step.leader, "etcdserver: member not found", exit_code=1)
    if set(mine.peer_urls) == set(step.peer_urls):
        return
    if any(set(member.peer_urls) & set(step.peer_urls) for member in members if member is not mine):
        raise CommandFailed(step.leader, "etcdserver: Peer URLs already exists", exit_code=1)
    leader = chief(world, step.leader)
    assert leader.disk is not None
    address, _, port = step.peer_urls[0].rpartition(":")
    number = int(address.rpartition(".")[2])
    spelled = number if port == "2380" else number + DETOUR
    world.propose(leader, Entry(leader.disk.term, UPDATE, step.member_id, spelled))


def _nothing() -> None:
    """Nothing that a world has."""


def _failed(host: Host, why: str) -> CommandFailed:
    return CommandFailed(host.name, why, exit_code=1)


def _pin(host: Host, step: s.OpenRun) -> None:
    record = kept(host, step.paths.run)
    if record.undone:  # it begins anew: what was before it is what is now
        record.recorded = record.no_data = record.finished = record.undoing = record.undone = False
        record.proof = None
    record.pin = step.pin


def _record(host: Host, step: s.OpenRun) -> None:
    record = kept(host, step.paths.run)
    if record.recorded:
        return
    theirs = [c for c in host.containers if c.id in step.containers]
    record.recorded = True
    record.policies = {c.id: c.restart_policy for c in theirs}
    record.names = {c.id: c.name for c in theirs}
    record.ran = frozenset(c.id for c in theirs if c.running)
    record.no_data = host.disk is None


def _fence(world: World, host: Host, container_id: str, keep_as: str) -> None:
    container = host.container(container_id)
    if container is None:
        raise _failed(host, "fence: no such container")
    if any(c.name == keep_as and c.id != container_id for c in host.containers):
        raise _failed(host, "fence: the name is taken")
    host.change(container_id, restart_policy="no")
    world.stop(host, container_id)
    host.change(container_id, name=keep_as)


def _refuse_running(host: Host) -> None:
    if any(c.state == "running" and c.network != "none" for c in host.containers):
        raise _failed(host, "a container runs on the data directory")


def _move_aside(host: Host, run: str, part: str) -> None:
    parts = kept(host, run).parts
    if part in parts:
        if host.disk is not None:
            raise _failed(host, "keep-data: the place is occupied")
        return
    if host.disk is None:
        return
    _refuse_running(host)
    parts[part], host.disk = host.disk, None


def _copy(world: World, host: Host, run: str) -> None:
    _drop_ours(world, host, run, Role.QUARANTINE)
    parts = kept(host, run).parts
    for name in ("partial", "work", "booted"):
        parts.pop(name, None)
    if "original" not in parts:
        raise _failed(host, "copy: cannot stat original/member")
    parts["partial"] = parts["original"]


def _raise(host: Host, step: s.RaiseCommit) -> None:
    parts = kept(host, step.paths.run).parts
    if "partial" not in parts:
        if "work" in parts:
            return
        raise _failed(host, "raise-commit: there is no copy")
    disk = raised(parts["partial"]) if step.append is not None else parts["partial"]
    if (*disk.last, disk.commit) != (step.term, step.last, step.last):
        raise _failed(host, f"the copy's log ends at {disk.last}, commit {disk.commit}")
    del parts["partial"]
    parts["work"] = disk


def _quarantine(world: World, host: Host, step: s.Quarantine) -> Iterator[Effect]:
    run = step.paths.run
    yield partial(_drop_ours, world, host, run, Role.QUARANTINE)
    yield partial(_rename, host, run, "work", "booted")
    yield partial(_boot_quarantine, world, host, step)
    yield partial(host.change, f"quarantine-{run}", state="exited")
    yield partial(_prove, world, host, step)
    yield partial(_rename, host, run, "booted", "reset")
    yield partial(_drop_ours, world, host, run, Role.QUARANTINE)


def _rename(host: Host, run: str, old: str, new: str) -> None:
    parts = kept(host, run).parts
    if new in parts:
        if old in parts:
            raise _failed(host, f"{old}-to-{new}: the place is occupied")
        return
    if old not in parts:
        raise _failed(host, f"{old}-to-{new}: there is no {old}")
    parts[new] = parts.pop(old)


def _boot_quarantine(world: World, host: Host, step: s.Quarantine) -> None:
    parts = kept(host, step.paths.run).parts
    disk = reset(parts["booted"])
    if disk is None:
        raise _failed(host, "the reset ended: removed all voters")
    if disk.member != step.member_id or disk.revision < step.min_revision:
        raise _failed(host, f"after the reset: member {disk.member:x}, revision {disk.revision}")
    parts["booted"] = disk
    labels = {RUN_LABEL: step.paths.run, ROLE_LABEL: Role.QUARANTINE.value}
    made = _container_like(world, host, f"quarantine-{step.paths.run}", step.container, labels)
    host.containers.append(replace(made, network="none", forced=True))


def _container_like(world: World, host: Host, cid: str, name: str, labels: Mapping[str, str]) -> Container:
    if any(c.name == name for c in host.containers):
        raise _failed(host, f"the name {name} is taken")
    from tests.worlds.hosts import own_container

    model = own_container(host.number, len(world.hosts), world.version)
    world.made += 1
    made = f"2026-02-01T{world.made // 3600:02d}:{world.made // 60 % 60:02d}:{world.made % 60:02d}Z"
    return replace(model, id=cid, name=name, labels=dict(labels), state="running", restart_policy="no", created=made)


def _prove(world: World, host: Host, step: s.Quarantine) -> None:
    record = kept(host, step.paths.run)
    disk = record.parts["booted"]
    record.proof = Proof(disk.revision, hash(disk.writes) & 0xFFFFFFFF, -1, disk.member, disk.cluster, world.version)


def _drop_ours(world: World, host: Host, run: str, role: Role) -> None:
    for container in list(host.containers):
        if container.made_for is role and container.made_by == run:
            world.stop(host, container.id)
            host.containers = [c for c in host.containers if c.id != container.id]


def _remove_named(world: World, host: Host, name: str, run: str, unless: str) -> None:
    container = host.named(name)
    if container is None or container.id == unless:
        return
    if container.made_by != run:
        raise _failed(host, f"remove-container: {name} is not of this run")
    world.stop(host, container.id)
    host.containers = [c for c in host.containers if c.id != container.id]


def _adopt(host: Host, run: str) -> None:
    parts = kept(host, run).parts
    if host.disk is not None:
        if "reset" in parts:
            raise _failed(host, "adopt: the place is occupied")
        return
    if "reset" not in parts:
        raise _failed(host, "adopt: there is no reset copy")
    host.disk = parts.pop("reset")


def _start(world: World, host: Host, container_id: str, name: str, policy: str) -> None:
    container = host.container(container_id)
    if container is None:
        raise _failed(host, "start: no such container")
    if any(c.name == name and c.id != container_id for c in host.containers):
        raise _failed(host, f"start: the name {name} is taken")
    host.change(container_id, name=name, restart_policy=policy)
    world.start(host, container_id)


def _give_name_back(host: Host, step: s.GiveNameBack) -> None:
    if host.container(step.container_id) is None:
        raise _failed(host, "give-name-back: no such container")
    if any(c.name == step.name and c.id != step.container_id for c in host.containers):
        raise _failed(host, f"give-name-back: the name {step.name} is taken")
    host.change(step.container_id, name=step.name)


def _wait(world: World, names: Sequence[str]) -> None:
    for name in names:
        process = world.host(name).process
        if process is not None and process.serving:
            return
    raise CommandFailed(names[0], "it did not answer a linearizable read within 90 s", exit_code=1)


def _rebuild(world: World, host: Host, step: s.StartRebuilt) -> None:
    labels = {RUN_LABEL: step.paths.run, ROLE_LABEL: Role.MEMBER.value}
    there = host.named(step.name)
    if there is None or there.made_by != step.paths.run:
        made = _container_like(world, host, f"rebuilt-{step.paths.run}-{host.number}", step.name, labels)
        host.containers.append(replace(made, state="created", restart_policy=step.restart_policy))
        there = host.containers[-1]
    world.start(host, there.id)


def _remove_member(world: World, step: s.RemoveMember) -> None:
    if all(member.id != step.member_id for member in listed(world, step.leader)):
        return
    leader = chief(world, step.leader)
    assert leader.disk is not None and leader.process is not None
    voters = leader.disk.roster(leader.process.known).voters
    there = world.ids(world.group(leader)) & voters
    if step.member_id in voters and step.member_id in there and len(there) - 1 < (len(voters) - 1) // 2 + 1:
        raise CommandFailed(step.leader, "etcdserver: unhealthy cluster", exit_code=1)
    world.propose(leader, Entry(leader.disk.term, REMOVE, step.member_id))


def _add_member(world: World, step: s.AddMember) -> None:
    there = next((m for m in listed(world, step.leader) if set(m.peer_urls) & set(step.peer_urls)), None)
    if there is not None:
        other = next((h for h in world.hosts if h.disk and h.disk.member == there.id and h.name != step.node), None)
        if other is not None:
            raise CommandFailed(
                step.node, f"its peer URL is that of member {there.id:x}, which runs on {other.name}", exit_code=1
            )
        return
    leader = chief(world, step.leader)
    assert leader.disk is not None and leader.process is not None
    seen = leader.disk.roster(leader.process.known)
    if not seen.voters <= world.ids(world.group(leader)):
        raise CommandFailed(step.leader, "etcdserver: unhealthy cluster", exit_code=1)
    if step.learner and seen.learners:
        raise CommandFailed(step.leader, "etcdserver: too many learner members in cluster", exit_code=1)
    world.next_id += 1
    kind = LEARNER if step.learner else ADD
    world.propose(leader, Entry(leader.disk.term, kind, world.next_id, world.host(step.node).number))


def _join(world: World, host: Host, step: s.Join) -> None:
    run = step.paths.run
    there = host.named(step.name)
    if there is not None and there.made_by == run and there.state == "running":
        return
    me = _me(world, step)
    _remove_named(world, host, step.name, run, "")
    labels = {RUN_LABEL: run, ROLE_LABEL: Role.JOINING.value}
    made = _container_like(world, host, f"join{me:x}", step.name, labels)
    _refuse_running(host)
    if host.disk is None:
        host.disk = Disk(_cluster(world, step.leader), me, ())
    host.containers.append(replace(made, state="created"))
    world.start(host, made.id)


def _cluster(world: World, leader: str) -> int:
    disk = world.host(leader).disk
    assert disk is not None
    return disk.cluster


def _me(world: World, step: s.Join) -> int:
    """The joiner's id, by the leader's member list or, without quorum, by its log."""
    leader = world.host(step.leader)
    if leader.disk is None:
        raise CommandFailed(step.leader, "it has no data", exit_code=1)
    hosts = leader.disk.roster().hosts
    number = world.host(step.node).number
    found = next((member for member, at in hosts.items() if at == number), None)
    if found is None:
        raise CommandFailed(step.node, f"{step.member_name} is not in the member list", exit_code=0)
    return found


def _joined(world: World, host: Host, step: s.Join) -> None:
    container = host.named(step.name)
    me = _me(world, step)
    if container is None or container.state != "running" or host.disk is None or host.disk.member != me:
        raise _failed(host, f"the joiner ended: container {step.name} is {container.state if container else 'gone'}")


def _promote(world: World, host: Host, step: s.Promote) -> None:
    mine = next((m for m in listed(world, step.leader) if set(m.peer_urls) & set(step.peer_urls)), None)
    if mine is None:
        raise CommandFailed(step.node, "it is not in the member list any more", exit_code=0)
    if not mine.is_learner:
        return
    leader = chief(world, step.leader)
    assert leader.disk is not None
    ready = host.process is not None and host.disk is not None and host.disk.entries == leader.disk.entries
    if not ready:
        raise CommandFailed(step.leader, "etcdserver: can only promote a learner member which is in sync", exit_code=1)
    world.propose(leader, Entry(leader.disk.term, PROMOTE, mine.id, host.number))


def _policy(host: Host, name: str, policy: str) -> None:
    container = host.named(name)
    if container is None:
        raise _failed(host, "restart-policy: no such container")
    host.change(container.id, restart_policy=policy)


def _mark(host: Host, run: str, **marks: bool) -> None:
    record = kept(host, run)
    for mark, value in marks.items():
        setattr(record, mark, value)


def _withdraw(host: Host, run: str) -> None:
    record = kept(host, run)
    if "original" not in record.parts and not record.no_data:
        return
    if host.disk is None:
        return
    _refuse_running(host)
    name = "withdrawn"
    while name in record.parts:
        name += "-"
    record.parts[name], host.disk = host.disk, None


def _put_back(host: Host, run: str) -> None:
    record = kept(host, run)
    if "original" in record.parts:
        if host.disk is not None:
            raise _failed(host, "put-data-back: the place is occupied")
        host.disk = record.parts.pop("original")


def _put_container_back(world: World, host: Host, step: s.PutContainerBack) -> None:
    container = host.container(step.container_id)
    if container is None:
        raise _failed(host, "put-container-back: no such container")
    if any(c.name == step.name and c.id != step.container_id for c in host.containers):
        raise _failed(host, f"put-container-back: the name {step.name} is taken")
    host.change(step.container_id, name=step.name, restart_policy=step.restart_policy)
    if step.start:
        world.start(host, step.container_id)


def _remove_kept(host: Host, step: s.RemoveKept) -> None:
    for cid, _ in step.containers:
        container = host.container(cid)
        if container is not None and container.state == "running":
            raise _failed(host, "remove-kept-container: it runs")
        host.containers = [c for c in host.containers if c.id != cid]


def _forget(host: Host, run: str) -> None:
    host.kept.pop(run, None)
