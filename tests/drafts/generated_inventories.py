"""Random Ansible inventories: INI, YAML, directories; ranges, ports, groups of groups, priorities, group_vars and host_vars."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

VALUES: dict[str, tuple[Any, ...]] = {
    "ansible_host": ("10.9.1.1", "node.example.net", "2001:db8::7", "203.0.113.9"),
    "ansible_ssh_host": ("10.9.2.1",),
    "ansible_user": ("root", "core", "ubuntu", "my user"),
    "ansible_ssh_user": ("admin",),
    "ansible_port": (22, 2222, "2201", 65535),
    "ansible_become": (True, False, "yes", "no", "true"),
    "ansible_ssh_private_key_file": ("~/.ssh/id", "/k/my key", "/k/a#b"),
    "ansible_private_key_file": ("/k/other",),
    "ip": ("10.0.0.1", "10.0.0.2"),
    "access_ip": ("10.0.0.9",),
    "ansible_ssh_common_args": ("-J jump@198.51.100.7:2200", "-o ProxyJump=b", "-o StrictHostKeyChecking=no"),
    "ansible_ssh_extra_args": ("-o ProxyCommand='ssh -W %h:%p -q jump@198.51.100.7'",),
    "etcd_member_name": ("etcd1", "etcd2"),
    "ansible_group_priority": (1, 5, 10),
}
GROUPS = ("etcd", "kube_control_plane", "kube_node", "k8s_cluster", "prod", "a", "z")
PATTERNS = (
    "node1",
    "node2",
    "node3.example.net",
    "10.9.1.5",
    "db[1:3]",
    "db[01:03].x",
    "m[a:c]",
    "q[0:4:2]",
    "10.9.1.5:2201",
)
ODD = ("node7:2222", "[2001:db8:9::5]:2202", "2001:db8:9::6", "n_1", "e[1:2]-[a:b]")


def write_inventory(folder: Path, seed: str) -> Path:
    """Write one below `folder`, drawn by the seed; returns the file or the directory that is to be named."""
    dice = random.Random(seed)
    kind = dice.choice(("ini", "ini", "yaml", "yaml", "directory"))
    folder.mkdir(parents=True)
    if kind == "directory":
        (folder / "01-hosts.ini").write_text(_ini(dice))
        (folder / "02-more.yml").write_text(json.dumps(_tree(dice)))
        (folder / "notes.md").write_text("not an inventory")
        path = folder
    else:
        name = (
            dice.choice(("hosts", "inventory.ini"))
            if kind == "ini"
            else dice.choice(("hosts.yml", "hosts.yaml", "hosts"))
        )
        path = folder / name
        path.write_text(_ini(dice) if kind == "ini" else _yaml(dice))
    if dice.random() < 0.5:
        _variable_files(folder, dice)
    return path


def _variables(dice: random.Random, most: int, *, group: bool = False) -> dict[str, Any]:
    names = [name for name in VALUES if group or name != "ansible_group_priority"]
    return {name: dice.choice(VALUES[name]) for name in dice.sample(names, dice.randint(0, most))}


def _pattern(dice: random.Random) -> str:
    return dice.choice(PATTERNS if dice.random() < 0.8 else ODD)


# --- INI ----------------------------------------------------------------------------------------------------------------


def _ini(dice: random.Random) -> str:
    lines: list[str] = []
    if dice.random() < 0.3:
        lines += ["# made by hand", "", _host_line(dice)]
    names = ["etcd", *dice.sample(GROUPS[1:], dice.randint(1, 4))]
    dice.shuffle(names)
    for at, name in enumerate(names):
        below = names[at + 1 :]
        if below and dice.random() < 0.4:
            lines += [f"[{name}:children]" + dice.choice(("", "  # those", " ")), *dice.sample(below, 1)]
        else:
            lines += [f"[{name}]", *(_host_line(dice) for _ in range(dice.randint(1, 3)))]
        if dice.random() < 0.5:
            lines.append(f"[{name}:vars]")
            lines += [
                f"{key}{dice.choice(('=', ' = '))}{_plain(dice, value)}"
                for key, value in _variables(dice, 3, group=True).items()
            ]
    if dice.random() < 0.5:
        lines += ["[all:vars]", *(f"{key}={_plain(dice, value)}" for key, value in _variables(dice, 2).items())]
    if dice.random() < 0.06:
        lines.insert(
            dice.randint(0, len(lines)),
            dice.choice(("[etcd", "node9 word", "[no:such]", "[ghost:vars]", "node8:", "x='y")),
        )
    return dice.choice(("\n", "\n", "\r\n")).join(lines) + "\n"


def _host_line(dice: random.Random) -> str:
    words = [_pattern(dice)]
    words += [f"{key}={_quoted(dice, value)}" for key, value in _variables(dice, 3).items()]
    return dice.choice(("", "", "  ")) + dice.choice((" ", "  ", "\t")).join(words) + dice.choice(("", "", "  # moved"))


def _quoted(dice: random.Random, value: Any) -> str:
    text = str(value)
    if any(mark in text for mark in " '#"):
        return '"' + text + '"'
    return dice.choice((text, f"'{text}'", f'"{text}"'))


def _plain(dice: random.Random, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}" + dice.choice(("", "  # moved"))
    return dice.choice((str(value), repr(value)))


# --- YAML ---------------------------------------------------------------------------------------------------------------


def _tree(dice: random.Random) -> dict[str, Any]:
    tree: dict[str, Any] = {"etcd": _group(dice, 0)}
    for name in dice.sample(GROUPS[1:], dice.randint(0, 2)):
        tree[name] = _group(dice, 0)
    if dice.random() < 0.5:
        tree = {"all": {"vars": _variables(dice, 2), "children": tree}}
    return tree


def _group(dice: random.Random, depth: int) -> dict[str, Any] | None:
    if dice.random() < 0.05:
        return None
    group: dict[str, Any] = {
        "hosts": {_pattern(dice): dice.choice((None, _variables(dice, 3))) for _ in range(dice.randint(1, 3))}
    }
    if dice.random() < 0.5:
        group["vars"] = _variables(dice, 3, group=True)
    if depth < 2 and dice.random() < 0.4:
        name = f"{dice.choice(('below', 'inner', 'site'))}{depth}"
        group["children"] = {name: _group(dice, depth + 1)}
    if dice.random() < 0.04:
        group[dice.choice(("hosts", "children"))] = ["node1", "node2"]
    return group


def _yaml(dice: random.Random) -> str:
    import yaml

    text = str(yaml.safe_dump(_tree(dice), sort_keys=False, default_flow_style=dice.choice((None, False, True))))
    return dice.choice(("", "---\n", "# a comment\n")) + text


# --- the files beside it --------------------------------------------------------------------------------------------------


def _variable_files(folder: Path, dice: random.Random) -> None:
    for name in dice.sample(("all", *GROUPS), dice.randint(1, 3)):
        _write(folder / "group_vars", name, dice, group=True)
    for name in dice.sample(("node1", "node2", "db1", "10.9.1.5", "ma"), dice.randint(0, 2)):
        _write(folder / "host_vars", name, dice)


def _write(folder: Path, name: str, dice: random.Random, *, group: bool = False) -> None:
    text = json.dumps(_variables(dice, 3, group=group))
    path = folder / (name + dice.choice((".yml", ".yaml", ".json", "")))
    if dice.random() < 0.3:
        path = folder / name / dice.choice(("main.yml", "10-ssh.yaml", "b"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
