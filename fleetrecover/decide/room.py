"""PURE: whether there is room for a copy, or for new data, and whether data lies in one piece; what is said where not."""

from __future__ import annotations

import posixpath

from fleetrecover.commands.paths import RunPaths
from fleetrecover.decide.own import own_container
from fleetrecover.decide.recovering import Recovering
from fleetrecover.errors import Refused
from fleetrecover.facts import (
    Keep,
    NodeFacts,
)
from fleetrecover.steps import (
    KeepElsewhere,
    ProbeReflink,
    Step,
)

SPACE_MARGIN = 64 * 1024 * 1024
"""What etcd takes beside its data when it starts: one WAL segment, 64 MB, allocated whole; without it, it hangs."""
JOIN_MARGIN = 2 * 64 * 1024 * 1024
"""What a new member takes beside its database: two WAL segments, which etcd allocates whole."""


class Room(Recovering):
    """A site that knows what fits where."""

    def refuse_work_dir(self) -> None:
        """A reseed makes new data beside the old on every node; a directory on one of them does not help."""
        if self.wish.work_dir is not None:
            raise Refused(
                "--work-dir is for a reset alone: a reseed makes new data beside the old on every node; nothing was changed",
                hint="leave --work-dir out, or --method reseed",
            )

    def need(self, node: NodeFacts) -> tuple[int, bool]:
        """How many bytes the copy has, and whether it must be one that takes no space, since there is not enough."""
        size = node.data.size if node.data else 0
        keep = self.keep(node)
        if keep is not None and keep.original and keep.bytes:
            size = max(size, keep.elsewhere_bytes or keep.bytes)
        free = node.data.free if node.data else 0
        ours = keep.bytes - keep.wal_bytes if keep and (keep.partial or keep.work or keep.booted) else 0
        wal, again = self.wal_size(node), self.wal_again(node)
        if free + ours >= size + again + SPACE_MARGIN:
            return size, False
        if (
            node.data is not None
            and node.data.can_reflink
            # etcd rewrites the last segment, which is not shared any more then, and allocates the next
            and free + ours >= wal + again + 2 * SPACE_MARGIN
            and not (keep and keep.elsewhere)
        ):
            return size, True
        need = size + again + SPACE_MARGIN
        raise Refused(
            f"{node.name}: the copy of its data needs {_mb(need)}, only {_mb(free)} are free there",
            hint=f"free {_mb(need - free)} on the filesystem of {self.data(node)} on {node.name}; or name a "
            f"directory on another filesystem of {node.name} with {_mb(need)} free: --work-dir DIR"
            + (" (first `fleetrecover undo`, since its data was moved already)" if keep and keep.original else ""),
        )

    def wal_size(self, node: NodeFacts) -> int:
        """How many bytes a WAL directory of its own has, in place or kept; 0 where there is none."""
        keep = self.keep(node)
        return max(node.data.wal_size, keep.wal_bytes if keep else 0) if node.data and node.data.wal else 0

    def wal_again(self, node: NodeFacts) -> int:
        """How many bytes the copy of the WAL takes once more beside the data, when it is put in its own place.

        On a filesystem of its own it takes them there. Raises Refused where they are not free.
        """
        data, size = node.data, self.wal_size(node)
        if data is None or not data.wal or data.wal_shared:
            return size
        need = size + SPACE_MARGIN
        if not self.adopted(node) and data.wal_free < need:
            raise Refused(
                f"{node.name}: the copy of its WAL needs {_mb(need)}, only {_mb(data.wal_free)} are free there",
                hint=f"free {_mb(need - data.wal_free)} on the filesystem of {data.wal} on {node.name}",
            )
        return 0

    def probe_reflink(self, node: NodeFacts) -> list[Step]:
        """Before anything is stopped, where the copy depends on it."""
        keep = self.keep(node)
        if (
            self.adopted(node)
            or self.keeps_elsewhere(node, keep)
            or (keep and (keep.original or keep.reset or keep.work))
        ):
            return []
        _, reflink = self.need(node)
        return [ProbeReflink(node.name, self.paths(node), self.data(node))] if reflink else []

    def keeps_elsewhere(self, node: NodeFacts, keep: Keep | None) -> bool:
        """Whether the original is to be kept, or is still being kept, in the work directory."""
        has_member = node.data is not None and node.data.has_member
        if keep is not None and keep.elsewhere is not None:
            begun = keep.partial or keep.work or keep.booted or keep.reset or keep.proof
            return has_member and not begun
        return self.work is not None and has_member and not (keep is not None and keep.original)

    def keep_elsewhere(self, node: NodeFacts, keep: Keep | None, paths: RunPaths, data: str) -> KeepElsewhere:
        """The copy in the work directory. Raises Refused where that will not do."""
        size = node.data.size if node.data else 0
        if keep is not None and keep.elsewhere is not None:
            # the run has chosen its place, and what is there may be whole already
            work = posixpath.dirname(posixpath.dirname(keep.elsewhere))
            return KeepElsewhere(node.name, paths, data, work, size, self.quarantines(node))
        assert self.work is not None
        where = f"--work-dir {self.work.path} on {node.name}"
        if self.work.problem:
            raise Refused(
                f"{where}: {self.work.problem}", hint="name another one, that belongs to the login user alone"
            )
        if self.work.real == data or self.work.real.startswith(f"{data}/"):
            raise Refused(f"{where} is inside of the data directory", hint="name one on another filesystem")
        free = node.data.free if node.data else 0
        least = SPACE_MARGIN + self.wal_size(node) + self.wal_again(node)
        if free < least:
            raise Refused(
                f"{node.name}: even with --work-dir {_mb(least)} must be free where its data lies, since etcd allocates "
                f"a whole segment of its log; only {_mb(free)} are",
                hint=f"free {_mb(least - free)} on the filesystem of {data} on {node.name}",
            )
        if self.work.free < size + SPACE_MARGIN:
            raise Refused(
                f"{where}: {_mb(size + SPACE_MARGIN)} are needed, only {_mb(self.work.free)} are free there",
                hint=f"`ssh {node.name} df -h` shows where there is more space",
            )
        return KeepElsewhere(node.name, paths, data, self.work.real, size, self.quarantines(node))

    def scattered(self, node: NodeFacts) -> str | None:
        """Why the data of a node cannot be moved as one; None where it can."""
        inner = node.data.inner if node.data else ()
        keep = self.keep(node)
        if keep is not None and keep.original:
            return None
        if node.data is not None and node.data.wal_mount:
            return f"its WAL directory {node.data.wal} is a mount point, so it cannot be moved"
        if not inner:
            return None
        return f"in its data directory {self.data(node)}, {', '.join(inner)}; it would not be moved or copied whole"

    def refuse_scattered(self, node: NodeFacts) -> None:
        """Raises Refused where the data cannot be moved as one."""
        why = self.scattered(node)
        if why is not None and node.data is not None and node.data.wal_mount:
            raise Refused(
                f"{node.name}: {why}",
                hint="etcd being stopped, move the WAL into a directory below that one and name it with --wal-dir (etcd itself "
                "cannot make a new log in a mount point); or choose another survivor: --survivor NAME",
            )
        if why is not None:
            raise Refused(
                f"{node.name}: {why}",
                hint="copy the data to one directory with `cp -aL`, etcd being stopped, and put that in its place; or choose "
                "another survivor: --survivor NAME",
            )

    def cannot_join(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a node cannot become a new member with what it has; None where nothing stands against it."""
        return self.scattered(node) or self.walled(node, chief) or self.crowded(node, chief)

    def crowded(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a node has surely no space for a member's new data; None where it may have."""
        data = node.data
        if data is None or data.has_member is False or chief.db is None:
            return None
        apart = bool(data.wal) and not data.wal_shared
        places = [(self.data(node), data.free, chief.db.size + (0 if apart else JOIN_MARGIN))]
        places += [(data.wal, data.wal_free, JOIN_MARGIN)] if apart else []
        for where, free, need in places:
            if free < need:
                return (
                    f"its old data is kept, and the new needs {_mb(need)}, but only {_mb(free)} are free there: free "
                    f"{_mb(need - free)} on the filesystem of {where}"
                )
        return None

    def walled(self, node: NodeFacts, chief: NodeFacts) -> str | None:
        """Why a new member cannot begin its log: etcd makes the WAL directory anew, and cannot where it is a mount point."""
        own = own_container(self.survey, node) or own_container(self.survey, chief)
        if own is None or own.spec is None or own.config is None or not own.config.wal_apart:
            return None
        if not self.rt(node).own_mount(own.spec, own.config.wal_apart):
            return None
        return (
            f"etcd cannot make a new log in {own.config.wal_apart}, which is a mount point in its container: give it a "
            "--wal-dir below that"
        )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
