"""Run by a Python that has ansible-core: what `ansible-inventory --list` prints for each path that stdin names, one line each.

One process for many inventories: importing Ansible takes a second. Each is read by the very code of ansible-inventory, in a
forked child, so that none sees what Ansible remembers of another.
"""

from __future__ import annotations

import json
import os
import sys


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
            from ansible.cli.inventory import InventoryCLI

            cli = InventoryCLI(["ansible-inventory", "-i", path, "--list"])
            cli.parse()
            code = cli.run() or 0
        except SystemExit as end:
            code = int(end.code or 0)
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
    import ansible.cli.inventory  # noqa: F401  # once, before the forks

    for line in sys.stdin:
        print(says(line.rstrip("\n")), flush=True)
