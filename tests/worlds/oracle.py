"""What only the oracle knows: which writes were acknowledged, where they lie, and who serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.worlds.disks import Disk, common
from tests.worlds.history import CLUSTER
from tests.worlds.hosts import Host
from tests.worlds.world import World


def worth(world: World, disk: Disk | None, *, sure: bool = False) -> int:
    """How many acknowledged writes a disk has that an etcd can start on; if `sure`, only what it knows to be decided."""
    if disk is None or not disk.sound:
        return 0
    writes = replace(disk, entries=disk.entries[: disk.commit]).writes if sure else disk.writes
    return len(writes & world.acknowledged)


def at_hand(world: World) -> Iterator[tuple[Host, Disk]]:
    """The disks that the operator can read: in place, or moved aside by a run that is open."""
    for host in world.hosts:
        if not host.reachable:
            continue
        if host.disk is not None:
            yield host, host.disk
        for kept in host.kept.values():
            if not kept.finished and not kept.undone and "original" in kept.parts:
                yield host, kept.parts["original"]


def known(world: World, *, sure: bool = False) -> frozenset[int]:
    """The writes that the disks at hand have; if `sure`, only what they know to be decided."""
    disks = [disk for _, disk in at_hand(world) if disk.cluster == CLUSTER and disk.sound]
    cut = [replace(disk, entries=disk.entries[: disk.commit]) if sure else disk for disk in disks]
    return frozenset[int]().union(*(disk.writes for disk in cut))


def best_at_hand(world: World, *, sure: bool = False) -> tuple[int, str]:
    """The most acknowledged writes that a disk at hand has, and where."""
    found = [(worth(world, disk, sure=sure), host.name) for host, disk in at_hand(world)]
    return max(found, default=(0, "nobody"))


def serving(world: World) -> list[Host]:
    """The hosts that answer reads, on the operator's side."""
    return [
        host
        for host in world.hosts
        if host.process is not None and host.process.serving and host.side == 0 and host.disk
    ]


def served(world: World) -> int | None:
    """How many acknowledged writes clients see; the least, where there are several answers. None: nobody serves."""
    found = [worth(world, host.disk) for host in serving(world)]
    return min(found, default=None)


def still_there(world: World, host: Host, disk: Disk, *, sure: bool = False) -> bool:
    """Whether a copy on the host has all that was decided on the disk, and, unless `sure`, all acknowledged writes."""
    wanted = frozenset() if sure else disk.writes & world.acknowledged
    return any(
        copy.member == disk.member
        and copy.cluster == disk.cluster
        and common(copy.entries, disk.entries) >= min(disk.commit, len(disk.entries))
        and wanted <= copy.writes
        for _, copy in host.disks()
    )
