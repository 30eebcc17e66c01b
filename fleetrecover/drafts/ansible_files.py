"""Read an Ansible inventory from a file or a directory, with the group_vars and host_vars beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleetrecover.drafts.ansible_groups import Groups, Variables
from fleetrecover.drafts.ansible_ini import read_ini
from fleetrecover.drafts.ansible_yaml import Vaulted, load, read_list, read_yaml
from fleetrecover.errors import InputError

MAX_BYTES = 4 << 20
MOST_FILES = 2000
IGNORED = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
"""What Ansible passes over in an inventory directory (its INVENTORY_IGNORE_EXTS)."""
YAML_ENDS = (".yaml", ".yml", ".json")
VAULT = "$ANSIBLE_VAULT;"


def read_text(path: Path) -> str:
    """A file's text, without a byte order mark. Raises InputError that names the file."""
    try:
        if not path.is_file():
            raise InputError(f"{path} is no file" if path.exists() else f"{path}: there is no such file")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES >> 20} MB: that is no inventory")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    for mark, name in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if raw.startswith(mark):
            raise InputError(f"{path} is {name}: it is no inventory", hint="save the file in UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line} is not UTF-8: it is no inventory", hint="save the file in UTF-8"
        ) from error


def read_inventory(path: Path) -> tuple[Groups, list[str]]:
    """The inventory, and notes on what was passed over. Raises InputError that names the file and the line."""
    groups, notes = Groups(), []
    files = list(_sources(path)) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: there is no inventory in this directory")
    for each in files:
        _read(each, groups)
    loop = groups.loop()
    if loop is not None:
        raise InputError(f"{path}: the group {loop} is below itself")
    _close(groups)
    base = path if path.is_dir() else path.parent
    notes += _read_variables(base, groups)
    return groups, notes


def _close(groups: Groups) -> None:
    """Every group that has no parent is below `all`."""
    children = {child for group in groups.groups.values() for child in group.children}
    everything = groups.group("all")
    for name in list(groups.groups):
        if name != "all" and name not in children:
            everything.children.setdefault(name)


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        name = path.name
        if name.startswith((".", "group_vars", "host_vars", "vars_plugins")) or name.endswith(IGNORED):
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path


def _read(path: Path, groups: Groups) -> None:
    text = read_text(path)
    if os.access(path, os.X_OK) and text.startswith("#!"):
        raise InputError(
            f"{path} is a program that makes an inventory; it is not run here",
            hint=f"{path} --list > inventory.json, then --from inventory.json",
        )
    if path.suffix == ".toml":
        raise InputError(
            f"{path}: an inventory in TOML is read by Ansible alone",
            hint="ansible-inventory -i … --list > inventory.json",
        )
    try:
        if path.suffix in YAML_ENDS:
            _read_document(load(text), groups)
        elif path.suffix == "" and isinstance(found := _document(text), Mapping):
            _read_document(found, groups)
        else:
            read_ini(text, groups)
    except ValueError as error:
        raise InputError(f"{path}, {error}" if str(error).startswith("line ") else f"{path}: {error}") from error


def _document(text: str) -> Any:
    """The YAML of a file without an ending, if it is YAML; such a file may be INI as well."""
    try:
        return load(text)
    except ValueError:
        return None


def _read_document(found: Any, groups: Groups) -> None:
    if not isinstance(found, Mapping):
        raise ValueError("neither an RKE cluster.yml nor an Ansible inventory")
    if "_meta" in found:
        read_list(found, groups)
    else:
        read_yaml(found, groups)


# --- group_vars/ and host_vars/ ---------------------------------------------------------------------------------------


def _read_variables(base: Path, groups: Groups) -> list[str]:
    notes: list[str] = []
    budget = MOST_FILES
    into_groups = {name: group.from_files for name, group in groups.groups.items()}
    into_hosts = {name: groups.host_files.setdefault(name, {}) for name in groups.host_variables}
    for folder, targets in ((base / "group_vars", into_groups), (base / "host_vars", into_hosts)):
        if not folder.is_dir():
            continue
        for name, target in targets.items():
            for path in _variable_files(folder / name):
                budget -= 1
                if budget < 0:
                    raise InputError(f"{folder} has more than {MOST_FILES} files")
                found, told = _variables(path)
                target.update(found)
                notes += told
    return notes


def _variable_files(stem: Path) -> Iterator[Path]:
    if stem.parent.name not in ("group_vars", "host_vars") or stem.name in ("", ".", ".."):
        return  # a name with a slash in it
    for end in ("", ".yml", ".yaml", ".json"):
        path = stem.with_name(stem.name + end)
        if path.is_dir() and not end:
            yield from _folder(path)
            return
        if path.is_file():
            yield path
            return


def _folder(path: Path) -> Iterator[Path]:
    for each in sorted(path.iterdir()):
        if each.name.startswith(".") or each.name.endswith("~"):
            continue
        if each.is_dir():
            yield from _folder(each)
        elif each.suffix in ("", *YAML_ENDS):
            yield each


def _variables(path: Path) -> tuple[Variables, list[str]]:
    text = read_text(path)
    if text.startswith(VAULT):
        return {}, [
            f"{path} is encrypted with ansible-vault and was not read: look whether it says how a host is reached"
        ]
    try:
        found = load(text)
    except ValueError as error:
        raise InputError(f"{path}, {error}" if str(error).startswith("line ") else f"{path}: {error}") from error
    if found is not None and not isinstance(found, Mapping):
        raise InputError(f"{path}: it has no variables, but a {type(found).__name__}")
    return {str(key): value for key, value in (found or {}).items()}, []


def secret(value: Any) -> bool:
    """Whether a value is encrypted: Ansible's own output marks it by a table."""
    return isinstance(value, Vaulted) or (isinstance(value, Mapping) and "__ansible_vault" in value)
