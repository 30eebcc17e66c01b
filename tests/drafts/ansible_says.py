"""Run by a Python that has ansible-core: what `ansible-inventory --list` prints for each path that stdin names, one line each.

One process for many inventories: importing Ansible takes a second. Each is read by the very code of ansible-inventory, in a
forked child, so that none sees what Ansible remembers of another. Its plugins are loaded once, by reading an inventory that is
in no test, before the first fork.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

_SAMPLES = {
    "a.ini": "[etcd]\nh a=1\n",
    "b.yml": "all:\n  hosts:\n    h:\n",
    "group_vars/all.yml": "a: 1\n",
}


def run(path: str) -> int:
    """ansible-inventory itself, on its own standard output; its exit code."""
    from ansible.cli.inventory import InventoryCLI

    try:
        cli = InventoryCLI(["ansible-inventory", "-i", path, "--list"])
        cli.parse()
        return int(cli.run() or 0)
    except SystemExit as end:
        return int(end.code or 0)


def warm_up() -> None:
    """Read one of each kind, with variables beside it, through Ansible's own API: its plugins are loaded then."""
    import ansible.cli.inventory  # noqa: F401
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.manager import VariableManager

    with tempfile.TemporaryDirectory() as name:
        Path(name, "group_vars").mkdir()
        for file, text in _SAMPLES.items():
            Path(name, file).write_text(text)
        for file in ("a.ini", "b.yml"):
            loader = DataLoader()
            inventory = InventoryManager(loader=loader, sources=[str(Path(name, file))])
            VariableManager(loader=loader, inventory=inventory).get_vars(host=inventory.get_host("h"))


def says(path: str) -> str:
    """The JSON that ansible-inventory prints, on one line; `null` where it refuses."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.dup2(writing, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = 1
        try:
            code = run(path)
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    return json.dumps(json.loads(text)) if status == 0 and text else "null"


if __name__ == "__main__":
    os.environ |= {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    warm_up()
    for line in sys.stdin:
        print(says(line.rstrip("\n")), flush=True)
