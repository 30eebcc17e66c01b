"""Installs what the lab needs from this machine's own package mirror, and starts none of it.

    python -m fleetrecover.lab.install           install what is missing
    python -m fleetrecover.lab.install --check   only say what is missing; exit code 3 when something is

The lab runs its own sshd and dockerd in namespaces. A package's scripts would start the machine's own as well; what
forbids them that, for as long as apt runs, is /usr/sbin/policy-rc.d. One that is there already is left as it is.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fleetrecover.errors import FleetRecoverError, InputError
from fleetrecover.lab.system import PACKAGES, SEARCH_PATH, MissingTools, find_tool, missing_tools, run

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# fleetrecover lab: no service is started while its packages are being installed\nexit 101\n"

#: services that these packages bring; they are not to start at the next boot either
UNITS = {
    "dockerd": ("docker.service", "docker.socket"),
    "containerd": ("containerd.service",),
    "sshd": ("ssh.service",),
}


def packages_for(tools: Sequence[str], available: Sequence[str]) -> list[str]:
    """The packages to install, the first available one where a tool has moved between packages."""
    chosen = []
    for tool in tools:
        candidates = PACKAGES[tool].split()
        chosen.append(next((name for name in candidates if name in available), candidates[-1]))
    return list(dict.fromkeys(chosen))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    missing = missing_tools()
    try:
        if arguments not in ([], ["--check"]):
            raise InputError(f"unknown argument: {' '.join(arguments)}", hint="--check, or nothing")
        if missing and "--check" in arguments:
            raise MissingTools(missing)
        if missing:
            install(missing)
    except FleetRecoverError as error:
        print(f"{error.message}\n{error.hint or ''}".rstrip(), file=sys.stderr)
        return error.code
    print("everything that the lab needs is installed", file=sys.stderr)
    return 0


def install(tools: Sequence[str]) -> None:
    """Install the packages of these tools; InputError when apt fails or a tool is still missing afterwards."""
    if os.geteuid() != 0:
        raise InputError("installing packages needs root", hint=f"sudo {sys.executable} -m fleetrecover.lab.install")
    if find_tool("apt-get") is None:
        raise InputError(f"no apt-get here: install {', '.join(tools)} by hand")
    candidates = sorted({name for tool in tools for name in PACKAGES[tool].split()})
    packages = packages_for(tools, [name for name in candidates if _is_available(name)])
    environment = {"PATH": SEARCH_PATH, "DEBIAN_FRONTEND": "noninteractive", "LANG": "C.UTF-8", "RUNLEVEL": "1"}
    environment |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    argv = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    print(" ".join(argv), file=sys.stderr)
    with services_stay_down():
        code = subprocess.run(argv, env=environment, stdout=sys.stderr, check=False).returncode
    _keep_down(tools)
    if code != 0:
        raise InputError(f"apt-get ended with {code}", hint="apt-get update, then try again")
    left = missing_tools()
    if left:
        raise MissingTools(left)


@contextlib.contextmanager
def services_stay_down(policy: Path = POLICY) -> Iterator[None]:
    """Forbid package scripts to start services. An existing policy is the administrator's: it stays, and decides."""
    if policy.exists() and policy.read_text(errors="replace") == POLICY_TEXT:
        policy.unlink()  # ours, left by an installation that was killed
    try:
        handle = os.open(policy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    except FileExistsError:
        yield
        return
    try:
        with os.fdopen(handle, "w") as sink:
            sink.write(POLICY_TEXT)
        policy.chmod(0o755)
        yield
    finally:
        policy.unlink()


def _is_available(package: str) -> bool:
    return b"Package:" in run(["apt-cache", "show", "--no-all-versions", package], check=False).stdout


def _keep_down(tools: Sequence[str]) -> None:
    """Services that came with this installation do not start at the next boot. Others are not touched."""
    units = [unit for tool in tools for unit in UNITS.get(tool, ())]
    if units and find_tool("systemctl") is not None:
        run(["systemctl", "disable", *units], check=False)


if __name__ == "__main__":
    sys.exit(main())
