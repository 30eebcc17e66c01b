"""What sort of inventory a file or a directory is, and who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetrecover.drafts import ansible_tool
from fleetrecover.drafts.ansible import GROUP, from_groups
from fleetrecover.drafts.ansible_files import read_inventory, read_text
from fleetrecover.drafts.ansible_groups import Groups
from fleetrecover.drafts.ansible_yaml import load, read_list
from fleetrecover.drafts.draft import Draft
from fleetrecover.drafts.misspelt import nearest, passed_over
from fleetrecover.drafts.rke import config_of, from_rke, refuse_rancher
from fleetrecover.errors import InputError

NODES, NO_WORD = "nodes", "no word of RKE's"
DOCUMENTS = (".yml", ".yaml", ".json", ".rkestate")


def from_path(path: Path, cluster: str | None, *, group: str = GROUP) -> Draft:
    """Read RKE's, Rancher's or Ansible's inventory. Raises InputError that names the file, the line, and what is wrong."""
    document = _document(path)
    if document is not None:
        rke = config_of(document)
        if rke is not None:
            return from_rke(rke, path, cluster)
        refuse_rancher(document, path)
        _refuse_misspelt(document, path)
        if isinstance(document.get("_meta"), Mapping):
            return from_groups(_listed(document, path), path, cluster, group=group)
    program = ansible_tool.installed()
    if program is not None:
        groups, notes = ansible_tool.ask(program, path), ["as ansible-inventory reads it"]
    else:
        groups, notes = read_inventory(path)
    return from_groups(groups, path, cluster, group=group, notes=notes)


def _document(path: Path) -> Mapping[str, Any] | None:
    """The file as a document of tables; None for a directory, and for a file that is not meant to be one."""
    if path.is_dir():
        return None
    text = read_text(path)
    begins = text.lstrip()[:1]
    if path.suffix not in DOCUMENTS and begins != "{":
        return None
    try:
        found = load(text)
    except ValueError as error:
        raise InputError(f"{path}, {error}" if str(error).startswith("line ") else f"{path}: {error}") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: neither an RKE cluster.yml nor an Ansible inventory")
    return found


def _refuse_misspelt(document: Mapping[str, Any], path: Path) -> None:
    """Raise InputError for a list that is nearly called as RKE's nodes are; Ansible has no lists at the top."""
    for key, value in document.items():
        if isinstance(value, list) and nearest(str(key), [NODES]) is not None:
            raise InputError(f"{path}: {passed_over(str(key), [NODES], NO_WORD)}")


def _listed(document: Mapping[str, Any], path: Path) -> Groups:
    groups = Groups()
    try:
        read_list(document, groups)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return groups
