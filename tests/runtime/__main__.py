"""The program with the stand-in runtime in it: `python -m tests.runtime WORD…` is `fleetrecover WORD…`."""

from __future__ import annotations

import sys

from fleetrecover import cli, inventory, runtime
from tests.runtime.processes import Processes, made

if __name__ == "__main__":
    runtime.KINDS[Processes().name] = made
    inventory.CHOICES = {**inventory.CHOICES, "runtime": (*inventory.CHOICES["runtime"], Processes().name)}
    sys.exit(cli.run(sys.argv[1:]))
