"""PURE: an Ansible inventory in YAML (ansible-core 2.19's plugins/inventory/yaml.py), and the JSON that `--list` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from fleetrecover.drafts.ansible_groups import Groups, host_pattern

SECTIONS = ("vars", "children", "hosts")
MOST_DEPTH = 50
"""Groups below groups: more is a YAML alias that contains itself."""


class Vaulted(str):
    """A value that ansible-vault has encrypted; it is never shown, and cannot be read here."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    """SafeLoader with Ansible's own tags, so that a value that is not needed stops nothing."""


def _vault(loader: Loader, node: yaml.ScalarNode) -> Vaulted:
    return Vaulted("a value encrypted with ansible-vault")


def _unsafe(loader: Loader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


Loader.add_constructor("!vault", _vault)
Loader.add_constructor("!vault-encrypted", _vault)
Loader.add_constructor("!unsafe", _unsafe)


def load(text: str) -> Any:
    """The YAML document. Raises ValueError that names the line, and nothing of what stands there."""
    try:
        return yaml.load(text, Loader)
    except RecursionError as error:
        raise ValueError("not YAML: it is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ValueError(f"{place}not YAML: {problem}") from error
    except ValueError as error:  # a date or a number that Python cannot hold
        raise ValueError(f"not YAML: {error}") from error


def read_yaml(data: Mapping[Any, Any], into: Groups) -> None:
    """Add the groups of a YAML inventory. Raises ValueError that names the group and what is wrong with it."""
    if data.get("plugin"):
        raise ValueError("this is the configuration of an inventory plugin; only Ansible itself can ask it")
    for name, body in data.items():
        _group(str(name), body, into, 0)


def _group(name: str, body: Any, into: Groups, depth: int) -> None:
    if body is not None and not isinstance(body, Mapping):
        return  # Ansible skips what is no group, with a warning
    if depth > MOST_DEPTH:
        raise ValueError(f"group {name}: groups are nested deeper than {MOST_DEPTH}")
    group = into.group(name)
    parts = {section: _section(name, section, (body or {}).get(section)) for section in SECTIONS}
    group.variables.update({str(key): value for key, value in parts["vars"].items()})
    for section in body or ():  # in their order: a port beside a host's name counts where the host is first named
        if section == "children":
            _children(name, parts[section], into, depth)
        elif section == "hosts":
            _hosts(name, parts[section], into)


def _children(name: str, children: Mapping[Any, Any], into: Groups, depth: int) -> None:
    for child, inner in children.items():
        into.group(name).children.setdefault(str(child))
        into.group(str(child))
        _group(str(child), inner, into, depth + 1)


def _hosts(name: str, found: Mapping[Any, Any], into: Groups) -> None:
    for pattern, variables in found.items():
        if not isinstance(pattern, str):
            raise ValueError(f"group {name}: the host {pattern!r} is not a string: write it in quotes")
        if variables is not None and not isinstance(variables, Mapping):
            raise ValueError(f"group {name}: what stands below the host {pattern} is no table")
        hosts, port = host_pattern(pattern)
        for host in hosts:
            into.add_host(name, host, port, {str(key): value for key, value in (variables or {}).items()})


def _section(group: str, section: str, found: Any) -> Mapping[Any, Any]:
    if isinstance(found, str):
        return {found: None}
    if found is not None and not isinstance(found, Mapping):
        raise ValueError(
            f'group {group}: "{section}" is a {type(found).__name__}, and Ansible wants a table there '
            f"(each of its {section} on a line of its own, ending in a colon)"
        )
    return found or {}


def read_list(data: Mapping[Any, Any], into: Groups) -> None:
    """Add what `ansible-inventory --list`, or an inventory script, has printed. Raises ValueError."""
    told = data.get("_meta")
    variables = told.get("hostvars") if isinstance(told, Mapping) else None
    for name, body in data.items():
        if name == "_meta":
            continue
        group = into.group(str(name))
        table: Mapping[Any, Any] = (
            {"hosts": body} if isinstance(body, list) else body if isinstance(body, Mapping) else {}
        )
        for key in ("hosts", "children"):
            if not isinstance(table.get(key) or [], list | tuple | Mapping):
                raise ValueError(f'group {name}: "{key}" is no list')
        for host in table.get("hosts") or ():
            into.add_host(str(name), str(host), None, {})
        for child in table.get("children") or ():
            group.children.setdefault(str(child))
            into.group(str(child))
        own = table.get("vars")
        group.variables.update(own if isinstance(own, Mapping) else {})
    for host, own in (variables or {}).items() if isinstance(variables, Mapping) else ():
        into.host_variables.setdefault(str(host), {}).update(own if isinstance(own, Mapping) else {})
