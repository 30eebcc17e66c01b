"""PURE: an Ansible inventory's groups and hosts, and which variables a host ends up with.

The rules are Ansible's (ansible-core 2.19: inventory/data.py, group.py, host.py, vars/manager.py): every group without a parent
is below `all`; a host has the variables of its groups, those of the deeper group over those of the higher one, at equal depth
by `ansible_group_priority`, then by name; then its own. The files of group_vars/ come after the groups' own variables, those
of host_vars/ last of all. A priority in group_vars/ means nothing: those files are read in the order that it would make.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Variables = dict[str, Any]

MOST_HOSTS = 10_000
"""Hosts that a range may stand for: `node[0:99999999]` is a mistake, and must not fill the memory."""


@dataclass
class Group:
    """One group: its hosts in their order, the groups below it, its own variables, and those of its group_vars files."""

    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    from_files: Variables = field(default_factory=dict)


@dataclass
class Groups:
    """A whole inventory. `host_variables`: by host, as the inventory says; `host_files`: of host_vars files."""

    groups: dict[str, Group] = field(default_factory=dict)
    host_variables: dict[str, Variables] = field(default_factory=dict)
    host_files: dict[str, Variables] = field(default_factory=dict)

    def group(self, name: str) -> Group:
        """The group of that name; made, if there is none."""
        return self.groups.setdefault(name, Group())

    def add_host(self, group: str, host: str, port: int | None, variables: Mapping[str, Any]) -> None:
        """Put a host into a group, with what is said of it there. A port beside its name counts where it is first named."""
        first = host not in self.host_variables
        self.group(group).hosts.setdefault(host)
        known = self.host_variables.setdefault(host, {})
        if first and port is not None:
            known["ansible_port"] = port
        known.update(variables)

    def hosts_below(self, name: str) -> list[str]:
        """The hosts of a group and of all groups below it, each once."""
        found: dict[str, None] = {}
        for each in self._below(name):
            for host in self.groups[each].hosts:
                found.setdefault(host)
        return list(found)

    def _below(self, name: str) -> Iterator[str]:
        waiting, seen = [name], set()
        while waiting:
            each = waiting.pop(0)
            if each in seen or each not in self.groups:
                continue
            seen.add(each)
            yield each
            waiting += self.groups[each].children

    def variables_of(self, host: str) -> Variables:
        """All variables that Ansible gives the host."""
        mine = self._groups_of(host)
        found: Variables = {}
        for name in mine:
            found |= self.groups[name].variables
        for name in mine:
            found |= self.groups[name].from_files
        return found | self.host_variables.get(host, {}) | self.host_files.get(host, {})

    def _groups_of(self, host: str) -> list[str]:
        """The groups that a host is in, directly or not, in the order in which their variables count."""
        parents = self._parents()
        waiting = [name for name, group in self.groups.items() if host in group.hosts]
        found = {"all"} if "all" in self.groups else set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += parents.get(name, ())
        depths = self._depths(parents)
        return sorted(found, key=lambda name: (depths[name], self._priority(name), name))

    def _parents(self) -> dict[str, set[str]]:
        parents: dict[str, set[str]] = {}
        for name, group in self.groups.items():
            for child in group.children:
                parents.setdefault(child, set()).add(name)
        return parents

    def _depths(self, parents: Mapping[str, set[str]]) -> dict[str, int]:
        depths = {name: 0 if name == "all" else 1 for name in self.groups}
        for _ in self.groups:  # as many rounds as there are groups: a loop of groups has been refused before
            for child, above in parents.items():
                if child in depths:
                    depths[child] = max(depths[child], *(depths[each] + 1 for each in above if each in depths))
        return depths

    def _priority(self, name: str) -> int:
        group = self.groups[name]
        try:
            return int(group.variables.get("ansible_group_priority", 1))
        except (TypeError, ValueError):
            return 1

    def loop(self) -> str | None:
        """A group that is below itself; None if none is."""
        for name, group in self.groups.items():
            if any(name in self._below(child) for child in group.children):
                return name
        return None


# --- names of hosts ---------------------------------------------------------------------------------------------------

_RANGE = r"\[(?:[a-zA-Z]:[a-zA-Z]|[0-9]*:[0-9]+)(?::[0-9]+)?\]"
_NAME = re.compile(rf"(?:[\w.-]|{_RANGE})+(?<![_-])", re.UNICODE)
_SIX = re.compile(rf"(?=[^:]*:)(?:[0-9a-fA-F:.]|{_RANGE})+")


def host_pattern(text: str) -> tuple[list[str], int | None]:
    """The hosts that a pattern such as `etcd[01:03].example:2222` stands for, and the port.

    >>> host_pattern("[2001:db8::5]:2202"), host_pattern("2001:db8::5"), host_pattern("db[a:c]")
    ((['2001:db8::5'], 2202), (['2001:db8::5'], None), (['dba', 'dbb', 'dbc'], None))

    Raises ValueError for what Ansible refuses.
    """
    port: int | None = None
    name = text
    for shape in (r"\[(.+)\]:([0-9]+)", r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)"):
        match = re.fullmatch(shape, text)
        if match is not None:
            name, port = match[1], int(match[2])
            break
    if not (_NAME.fullmatch(name) or _SIX.fullmatch(name)):
        name, port = text, None  # Ansible takes it as it stands
        if name.endswith(":"):
            raise ValueError(f"{text}: a colon at the end is for a port; is this YAML? then name the file .yml")
        if name.strip() == "---":
            raise ValueError("--- begins YAML: name the file .yml")
    return list(_expand(name)), port


def _expand(name: str) -> Iterator[str]:
    begin, end = name.find("["), name.find("]")
    if begin < 0:
        yield name
        return
    if end < begin:
        raise ValueError(f"{name}: the range that [ begins is not ended by ]")
    count = 0
    for each in _range(name[begin + 1 : end]):
        for rest in _expand(name[end + 1 :]):
            count += 1
            if count > MOST_HOSTS:
                raise ValueError(f"{name} stands for more than {MOST_HOSTS} hosts")
            yield name[:begin] + each + rest


def _range(text: str) -> Iterator[str]:
    first, last, *more = text.split(":") if ":" in text else (text, "")
    if len(more) > 1 or not last or (more and not more[0].isdigit()) or (more and int(more[0]) == 0):
        raise ValueError(f"[{text}] is not a range: write it [first:last] or [first:last:step]")
    step = int(more[0]) if more else 1
    first = first or "0"
    letters = string.ascii_letters
    if first in letters and last in letters and len(first) == len(last) == 1:
        if letters.index(first) > letters.index(last):
            raise ValueError(f"[{text}]: the range ends before it begins")
        yield from letters[letters.index(first) : letters.index(last) + 1 : step]
        return
    if not (first.isdigit() and last.isdigit()):
        raise ValueError(f"[{text}] is not a range: numbers or single letters")
    width = len(first) if first[0] == "0" and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError(f"[{text}]: with leading zeros both ends are of one length")
    for number in range(int(first), int(last) + 1, step):
        yield str(number).zfill(width)
