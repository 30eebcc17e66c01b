"""Where this machine's own apt gets its packages, and the indexes that lie there.

Nothing is installed: the lab only wants single files from the mirror that the administrator has already chosen.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shlex
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.errors import FormatError, InputError
from fleetrecover.lab.system import find_tool, run

TIMEOUT = 60.0
KEYRINGS = ("/usr/share/keyrings", "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings")


@dataclass(frozen=True)
class Source:
    """One archive: its base address, the suites and components that apt takes from it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """One binary package: `path` is relative to the archive, `sha256` in hex."""

    name: str
    version: str
    path: str
    sha256: str

    @property
    def upstream(self) -> str:
        """ "3.3.25+dfsg-6+b6" → "3.3.25"."""
        found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", self.version)
        return found.group(1) if found else ""


def parse_one_line(text: str) -> Iterator[Source]:
    """The lines of a `.list` file: deb [options] URI SUITE COMPONENT…"""
    for line in text.splitlines():
        bare = re.sub(r"\[[^]]*\]", " ", line.split("#", 1)[0])
        words = bare.split()
        if len(words) >= 4 and words[0] == "deb":
            yield Source(words[1].rstrip("/"), (words[2],), tuple(words[3:]))


def parse_deb822(text: str) -> Iterator[Source]:
    """The stanzas of a `.sources` file: fields go on in indented lines; a comment line is no end of a stanza."""
    for stanza in re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        fields: dict[str, str] = {}
        last = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[last] = fields.get(last, "") + " " + line.strip()
            elif ":" in line:
                last, _, value = line.partition(":")
                last = last.strip().lower()
                fields[last] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
            yield Source(uri.rstrip("/"), tuple(suites), tuple(components))


def configured_sources(root: Path = Path("/etc/apt")) -> list[Source]:
    """Every archive with a `main` component that apt is configured to use, in order, without repetition."""
    found: list[Source] = []
    listed = root / "sources.list"
    files = [listed] if listed.exists() else []
    files += sorted((root / "sources.list.d").glob("*")) if (root / "sources.list.d").is_dir() else []
    for path in files:
        text = path.read_text(errors="replace")
        if path.suffix == ".sources":
            found += parse_deb822(text)
        elif path.suffix == ".list":
            found += parse_one_line(text)
    return [source for entry in found for source in _expand(entry) if "main" in source.components]


def _expand(source: Source) -> Iterator[Source]:
    """Cloud images name a file that lists the mirrors: mirror+file:/etc/apt/mirrors/debian.list."""
    scheme, _, rest = source.uri.partition(":")
    if scheme in ("http", "https", "file"):
        yield source
    elif scheme in ("mirror+file", "mirror") and Path(rest).is_file():
        for line in Path(rest).read_text().splitlines():
            words = line.split("#", 1)[0].split()
            if words and words[0].startswith(("http://", "https://")):
                yield Source(words[0].rstrip("/"), source.suites, source.components)


def mirrors(sources: Iterable[Source]) -> list[str]:
    """The archives' addresses, once each, those with security updates alone last."""
    uris = list(dict.fromkeys(source.uri for source in sources))
    return sorted(uris, key=lambda uri: "security" in uri)


def suites(sources: Iterable[Source]) -> list[str]:
    """The base suites that apt uses (bookworm, not bookworm-updates)."""
    names = (suite for source in sources for suite in source.suites)
    return list(dict.fromkeys(name.split("-")[0] for name in names if "/" not in name))


def architecture() -> str:
    """amd64, arm64, …"""
    return run(["dpkg", "--print-architecture"]).stdout.decode().strip()


def parse_index(text: str, names: Iterable[str]) -> Iterator[Package]:
    """The named packages of a Packages index."""
    wanted = tuple(f"{name}\n" for name in names)
    for stanza in text.split("\n\n"):
        if not stanza.lstrip().startswith("Package: ") or not stanza.lstrip()[9:].startswith(wanted):
            continue
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and not line[0].isspace())
        if {"Package", "Version", "Filename", "SHA256"} <= fields.keys():
            yield Package(fields["Package"], fields["Version"], fields["Filename"], fields["SHA256"])


def fetch(url: str) -> bytes | None:
    """The file at `url`, through apt's own proxy; None when there is none; InputError when it cannot be asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(_proxies()))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 410):
            return None
        raise InputError(f"{url}: {error}", hint="apt-get update shows whether the mirror works") from error
    except OSError as error:
        raise InputError(f"{url}: {error}", hint="apt-get update shows whether the mirror works") from error


def _proxies() -> dict[str, str] | None:
    text = run(["apt-config", "shell", "HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy"], check=False)
    settings = dict(word.split("=", 1) for word in shlex.split(text.stdout.decode()) if "=" in word)
    proxies = {name.lower(): value for name, value in settings.items() if value and value != "DIRECT"}
    return proxies or None  # None: what the environment says


def verified(data: bytes, sha256: str, source: str) -> bytes:
    """`data`, when its checksum is right."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FormatError("the checksum is not the expected one", source=source, hint="try again, or another mirror")
    return data


def read_index(mirror: str, suite: str, component: str, arch: str) -> str | None:
    """A suite's Packages index, checked against its signed InRelease; None when the mirror has no such suite."""
    release = fetch(f"{mirror}/dists/{suite}/InRelease")
    if release is None:
        return None
    entries = dict.fromkeys(re.findall(rb"^ ([0-9a-f]{64}) +\d+ (\S+)$", signed_text(release, mirror), re.MULTILINE))
    relative = f"{component}/binary-{arch}/Packages.xz"
    checksum = next((entry[0].decode() for entry in entries if entry[1].decode() == relative), None)
    packed = fetch(f"{mirror}/dists/{suite}/{relative}") if checksum else None
    if packed is None or checksum is None:
        return None
    return lzma.decompress(verified(packed, checksum, f"{mirror}/dists/{suite}/{relative}")).decode()


def signed_text(release: bytes, source: str) -> bytes:
    """What of an InRelease file is signed by one of the machine's archive keys; FormatError when nothing is."""
    gpgv = find_tool("gpgv")
    keyrings = [str(path) for place in KEYRINGS for path in sorted(Path(place).glob("*.gpg"))]
    if gpgv is None or not keyrings:
        raise InputError(
            "the mirror's signature cannot be checked", hint="apt-get install -y gpgv debian-archive-keyring"
        )
    with tempfile.TemporaryDirectory() as place:
        signed, plain = Path(place, "InRelease"), Path(place, "Release")
        signed.write_bytes(release)
        rings = [part for ring in keyrings for part in ("--keyring", ring)]
        done = run([gpgv, *rings, "--output", str(plain), str(signed)], check=False)
        # gpgv ends with 2 when one of several signatures has no key here; a good one among them is enough.
        if b"Good signature" not in done.stderr or b"BAD signature" in done.stderr or not plain.exists():
            raise FormatError("no good signature by a key of this machine", source=f"{source} InRelease")
        return plain.read_bytes()
