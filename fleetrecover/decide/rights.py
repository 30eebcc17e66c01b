"""PURE: what the login user may not read or write on a node: said before anything else, with what to add.

"Not allowed to look" is neither "not there" nor "broken". What runs have kept cannot be seen either, so that nothing is
undone, removed, restored or saved, and nothing is called missing, by a login that may not look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleetrecover.errors import Refused
from fleetrecover.facts import DataDir, NodeFacts

ROOT = "(uid 0)"


def what_to_add(who: str, name: str = "", engine: str = "") -> str:
    """What gives a login, as `who` names it ("op (uid 1000)"), the rights.

    `name` is the node's; `engine`: what keeps the login from being root through the container engine, where that was tried.
    """
    user = who.partition(" ")[0] or "USER"
    there = f" on {name}" if name else " on the node"
    return (
        'log in as root (`user = "root"` under [ssh] in hosts.toml), or add `sudo = true` there and, for sudo without a '
        f"password, the line `{user} ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d/fleetrecover{there}; "
        + (engine or "being in the docker group is not enough")
    )


def to_add(node: NodeFacts) -> str:
    """What gives the login of a node the rights there."""
    data = node.data
    return what_to_add(data.who, node.name, data.no_engine) if data is not None else what_to_add("", node.name)


def lacking(data: DataDir | None, *, write: bool = True) -> str:
    """What a login that is not root may not do with a node's data or what runs keep there; empty where it may do all."""
    if data is None or not data.who or data.who.endswith(ROOT):
        return ""
    if data.forbidden:
        return f"the login user {data.who} may not read {data.forbidden}"
    if data.foreign:
        return f"the login user {data.who} may not look into {data.foreign}, which is another user's"
    return f"the login user {data.who} may not write in {data.unwritable}" if write and data.unwritable else ""


def refuse_without_rights(
    nodes: Iterable[NodeFacts], undone: str = "nothing was changed", *, write: bool = True
) -> None:
    """Raise Refused where a login may not look (or `write`), naming every such node, its user and its directory."""
    told = {
        node.name: (node.data.who, why, node.data.no_engine)
        for node in nodes
        if node.reachable and node.data is not None and (why := lacking(node.data, write=write))
    }
    refuse(told, undone)


def refuse(told: Mapping[str, tuple[str, str, str]], undone: str = "nothing was changed") -> None:
    """Raise Refused where any node is named; `told`: by the node's name who logs in there, what he may not do, and what
    keeps him from being root through the container engine.
    """
    if told:
        who, _, engine = next(iter(told.values()))
        message = "; ".join(f"{name}: {why}" for name, (_, why, _) in told.items())
        raise Refused(f"{message}; {undone}", hint=what_to_add(who, ", ".join(told), engine))
