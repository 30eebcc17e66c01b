"""`hosts --json` against `ssh -G`, on random configurations: our readings of it, and the reading without a client."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleetrecover.errors import InputError
from fleetrecover.model import Fleet, Host
from fleetrecover.reach import document, targets
from fleetrecover.remote.resolved import find_client
from fleetrecover.remote.settings import Settings
from tests.remote.ssh_worlds import World, make

pytestmark = pytest.mark.skipif(not find_client(), reason="needs the ssh client: it is the judge")

IN_CI = 100
NIGHTLY = 2000
FIRST = int(os.environ.get("FLEETRECOVER_SSH_SEED", "20261127"))


def says(world: World, config: Path, *more: str) -> dict[str, list[str]] | None:
    """What ssh itself says, asked in another way than the program does; None if it refuses."""
    user = [f"-oUser={world.user}"] if world.user else []
    port = [f"-oPort={world.port}"] if world.port else []
    jump = [f"-J{world.gateway}"] if world.gateway else []
    jump += ["-oProxyCommand=none"] if world.gateway == "none" else []
    done = subprocess.run(
        ["ssh", f"-F{config}", *more, *user, *port, *jump, "-G", world.host],
        capture_output=True,
        text=True,
        check=False,
    )
    if "jumphost loop" in done.stderr and "-oProxyJump=none" not in more:
        return says(world, config, "-oProxyJump=none", "-oProxyCommand=none", *more)  # we leave it out there
    if done.returncode:
        return None
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


def right(world: World, config: Path) -> dict[str, Any] | None:
    """What `hosts --json` should have. Paths and commands are expanded by ssh itself, as if they were a ControlPath."""
    said = says(world, config)
    if said is None:
        return None

    def expanded(text: str) -> str | None:
        again = says(world, config, f'-oControlPath="{text}"')
        return again["controlpath"][0] if again is not None else None

    defaults = says(World(0, "x", None, None, None), Path("/dev/null"))
    assert defaults is not None
    keys = [] if said["identityfile"] == defaults["identityfile"] else said["identityfile"]
    jumps = said.get("proxyjump", [""])[0]
    command = said.get("proxycommand", [None])[0]
    return {
        "address": said["hostname"][0],
        "port": int(said["port"][0]),
        "user": said["user"][0],
        "keys": unique(expanded(key) for key in keys if key != "none"),
        "certificates": [expanded(path) for path in said.get("certificatefile", [])],
        "known_hosts": [
            re.sub(r"^~", str(Path("~").expanduser()), path)
            for keyword in ("userknownhostsfile", "globalknownhostsfile")
            for path in said[keyword][0].split(" ")
            if path != "none"
        ],
        "gateway": [last_hop(jumps.split(",")[-1], config)] if jumps and not own_jump(jumps, said, world) else [],
        "proxy_command": simple(command, said, world) if command else None,
        "host_key_alias": said.get("hostkeyalias", [None])[0],
    }


def parts(jump: str) -> tuple[str | None, str, int | None]:
    found = re.fullmatch(r"(?:(.+)@)?(?:\[(.+)\]|([^:]+))(?::(\d+))?", jump.removeprefix("ssh://"))
    assert found is not None, jump
    return found[1], found[2] or found[3], int(found[4]) if found[4] else None


def last_hop(jump: str, config: Path) -> tuple[str, int, str]:
    """Where the jump host itself is: as if we went there."""
    user, host, port = parts(jump)
    there = World(0, host, user, port, None)
    said = says(there, config) or says(there, config, "-oProxyJump=none")
    assert said is not None
    return said["hostname"][0], int(said["port"][0]), said["user"][0]


def own_jump(jumps: str, said: dict[str, list[str]], world: World) -> bool:
    """A jump host that is to be reached through itself: ssh goes round for ever, we leave it out."""
    _, host, port = parts(jumps.rsplit(",", maxsplit=1)[-1])
    here = host in (world.host, said["hostname"][0]) and port in (None, int(said["port"][0]))
    return "," not in jumps and here and world.gateway is None


def unique(paths: Any) -> list[str]:
    return list(dict.fromkeys(paths))


def simple(command: str, said: dict[str, list[str]], world: World) -> str:
    tokens = {"%h": said["hostname"][0], "%p": said["port"][0], "%r": said["user"][0], "%n": world.host, "%%": "%"}
    return re.sub("%.", lambda found: tokens[found[0]], command)


def got(world: World, config: Path, client: str) -> dict[str, Any] | InputError:
    host = Host("h", world.host, user=world.user, port=world.port, gateway=world.gateway)
    fleet = Fleet("c", (host,))
    try:
        [entry] = document(fleet, targets(fleet, Settings(fleet, config=str(config), client=client)))["hosts"]
    except InputError as error:
        return error
    del entry["name"], entry["agent"]
    entry["gateway"] = [(each["address"], each["port"], each["user"]) for each in entry["gateway"][-1:]]
    found: dict[str, Any] = entry
    return found


def check(seed: int, directory: Path, found_by: dict[str, int]) -> None:
    world = make(seed)
    config = world.write(directory)
    wanted = right(world, config)
    asked = got(world, config, find_client())
    if wanted is None:
        assert isinstance(asked, InputError), f"ssh refuses it, and we do not\n{world.told()}"
    elif isinstance(asked, InputError) and "jump hosts in a row" in asked.message:
        # `ProxyJump one,two` for all hosts, the jump hosts among them: ssh would go round for ever
        assert wanted["gateway"], world.told()
    else:
        assert not isinstance(asked, InputError), f"{asked.message}\n{world.told()}"
        assert asked == wanted, f"{asked}\n{wanted}\n{world.told()}"
    read = got(world, config, "")
    if isinstance(read, InputError):
        assert read.hint
        found_by["refused" if wanted is not None else "wrong"] += 1
    else:
        assert wanted is not None, f"read though ssh refuses it\n{world.told()}"
        assert read == wanted, f"read\n{read}\nssh says\n{wanted}\n{world.told()}"
        found_by["read"] += 1


def run(count: int, directory: Path) -> None:
    print(f"seeds {FIRST} to {FIRST + count - 1} (FLEETRECOVER_SSH_SEED={FIRST})")
    found_by = {"read": 0, "refused": 0, "wrong": 0}
    for seed in range(FIRST, FIRST + count):
        place = directory / str(seed)
        place.mkdir()
        check(seed, place, found_by)
    print(found_by)
    assert found_by["read"] > found_by["refused"], "the reading without a client must not live by refusing"


def test_what_hosts_says_is_what_ssh_says(tmp_path: Path) -> None:
    run(IN_CI, tmp_path)


@pytest.mark.slow
def test_what_hosts_says_is_what_ssh_says_on_two_thousand(tmp_path: Path) -> None:
    run(NIGHTLY, tmp_path)
