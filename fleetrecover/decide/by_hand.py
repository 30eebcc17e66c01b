"""PURE: what an operator is told to type where data is to be set aside by hand."""

from __future__ import annotations

from fleetrecover.commands.paths import DEFAULT_DATA
from fleetrecover.facts import DataDir


def set_aside(data: DataDir | None, suffix: str) -> str:
    """The command that gives a member's data another name; its WAL, too, where that has a directory of its own.

    >>> set_aside(None, "copy")
    'mv /var/lib/etcd/member /var/lib/etcd/member.copy'
    """
    real = data.real if data is not None else DEFAULT_DATA
    moves = [f"mv {real}/member {real}/member.{suffix}"]
    if data is not None and data.wal:
        moves.append(f"mv {data.wal} {data.wal}.{suffix}")
    return " && ".join(moves)
