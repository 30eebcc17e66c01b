"""Real etcd programs for the tests: found in a cache, or unpacked into it from the distribution's packages.

The cache is $FLEETRECOVER_ETCD_CACHE, else /var/cache/fleetrecover-dev; under it <version>/usr/bin/{etcd,etcdctl,…}.
The packages come from the mirror that apt is configured with, named there by suite-independent file names. 3.6 and 3.7
are built into the lab's own cache; a test that needs one is skipped where there is no Go.
"""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from fleetrecover.lab import gobuild, packages

PACKAGES = {"3.3.25": "3.3.25+dfsg-6+b6", "3.4.23": "3.4.23-4+b4", "3.5.16": "3.5.16-4", "3.5.30": "3.5.30-2"}
VERSIONS = tuple(PACKAGES)
BUILT = tuple(gobuild.pinned())
ALL = [*VERSIONS, BUILT[0], *(pytest.param(version, marks=pytest.mark.slow) for version in BUILT[1:])]
"""For `parametrize`: of the versions that are built, one with every change, the others at night."""


class MissingBinary(RuntimeError):
    """A program that a test needs could not be found or fetched."""


def cache() -> Path:
    return Path(os.environ.get("FLEETRECOVER_ETCD_CACHE") or "/var/cache/fleetrecover-dev")


def find(version: str, program: str) -> Path:
    """Return the path of `program` of etcd `version`; MissingBinary says what to do."""
    if version in BUILT:
        return built(version, program)
    path = cache() / version / "usr/bin" / program
    if not path.exists():
        _unpack(version)
    if not path.exists():
        raise MissingBinary(f"etcd {version} has no {program}; looked in {path.parent}")
    return path


def built(version: str, program: str) -> Path:
    """The same of a version that the lab builds; skips the test where that is not possible."""
    try:
        files = packages.etcd_programs(version, lambda _: None).files
    except gobuild.NoGo as error:
        pytest.skip(f"{error.message}: {error.hint}")
    return next(path for path in files if path.name == program)


def _unpack(version: str) -> None:
    if version not in PACKAGES:
        raise MissingBinary(f"etcd {version} is not one of {', '.join(PACKAGES)}")
    directory = cache() / version
    directory.mkdir(parents=True, exist_ok=True)
    for part in ("server", "client"):
        name = f"etcd-{part}_{PACKAGES[version]}_amd64.deb"
        package = cache() / name
        if not package.exists():
            url = f"{_mirror()}/pool/main/e/etcd/{name}"
            try:
                with urllib.request.urlopen(url, timeout=60) as answer:
                    content = answer.read()
            except OSError as error:
                raise MissingBinary(f"cannot fetch {url}: {error}; set FLEETRECOVER_ETCD_CACHE") from error
            package.write_bytes(content)
        subprocess.run(["dpkg-deb", "-x", str(package), str(directory)], check=True)


def _mirror() -> str:
    """The first Debian mirror of the machine's own apt configuration."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for place in places:
        text = place.read_text("utf-8", "replace") if place.is_file() else ""
        for match in re.finditer(r"^(?:URIs:|deb\b(?:\s+\[[^]]*])?)\s+(https?://\S+)", text, re.MULTILINE):
            if "security" not in match[1] and "debian" in match[1]:
                return match[1].rstrip("/")
    raise MissingBinary("apt is not configured with a Debian mirror; set FLEETRECOVER_ETCD_CACHE")
