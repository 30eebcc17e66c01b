"""Ask Ansible itself what its inventory means, where it is installed: `ansible-inventory --list`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from fleetrecover import limits
from fleetrecover.drafts.ansible_groups import Groups
from fleetrecover.drafts.ansible_yaml import read_list
from fleetrecover.errors import InputError

TOOL = "ansible-inventory"
MOST_BYTES = 64 << 20
FAILED = "the implicit localhost does not match"


def installed() -> str | None:
    """The path of the program; None where there is none."""
    return shutil.which(TOOL)


def ask(program: str, inventory: Path) -> Groups:
    """The groups and every host's variables, as Ansible sees them. Raises InputError with what it says."""
    environment = os.environ | {
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    try:
        done = subprocess.run(
            [program, "-i", str(inventory.absolute()), "--list"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limits.ANSIBLE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{inventory}: {TOOL} gave no answer in {limits.ANSIBLE:.0f} s") from error
    except OSError as error:
        raise InputError(f"{inventory}: {program} cannot be run: {error.strerror}") from error
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        raise InputError(f"{inventory}: {TOOL} does not take it: {_last_words(said)}")
    if len(done.stdout) > MOST_BYTES:
        raise InputError(f"{inventory}: {TOOL} printed more than {MOST_BYTES >> 20} MB")
    groups = Groups()
    try:
        read_list(json.loads(done.stdout), groups)
    except (ValueError, AttributeError) as error:
        raise InputError(f"{inventory}: what {TOOL} printed is no inventory: {error}") from error
    return groups


def _last_words(said: str) -> str:
    """What went wrong, of all that was printed: Ansible prints its warnings first, over several lines each."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("[ERROR]", "ERROR!", "[WARNING]"))] or lines
    return " ".join(told[-3:])[:600] or "it does not say why"
