"""Real etcd programs for the tests: found in a cache, or unpacked into it from the distribution's packages.

The cache is $FLEETRECOVER_ETCD_CACHE, else /var/cache/fleetrecover-dev; under it <version>/usr/bin/{etcd,etcdctl,…}.
The packages come from the mirror that apt is configured with, named there by suite-independent file names.
"""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from pathlib import Path

PACKAGES = {"3.3.25": "3.3.25+dfsg-6+b6", "3.4.23": "3.4.23-4+b4", "3.5.16": "3.5.16-4", "3.5.30": "3.5.30-2"}
VERSIONS = tuple(PACKAGES)


class MissingBinary(RuntimeError):
    """A program that a test needs could not be found or fetched."""


def cache() -> Path:
    return Path(os.environ.get("FLEETRECOVER_ETCD_CACHE") or "/var/cache/fleetrecover-dev")


def find(version: str, program: str) -> Path:
    """Return the path of `program` of etcd `version`; MissingBinary says what to do."""
    path = cache() / version / "usr/bin" / program
    if not path.exists():
        _unpack(version)
    if not path.exists():
        raise MissingBinary(f"etcd {version} has no {program}; looked in {path.parent}")
    return path


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
