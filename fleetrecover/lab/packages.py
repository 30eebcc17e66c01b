"""etcd's programs in several versions, in a cache; nothing is installed.

Up to 3.5 they are unpacked from the distribution's packages, from 3.6 on built (`gobuild`); or someone gives a build.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleetrecover.errors import InputError
from fleetrecover.lab import apt, gobuild
from fleetrecover.lab.apt import Package
from fleetrecover.lab.rke import version_tuple
from fleetrecover.lab.system import run

Progress = Callable[[str], None]

DEFAULT_VERSION = "3.4.23"
NAMES = ("etcd-server", "etcd-client")
PROGRAMS = tuple(gobuild.PROGRAMS)

#: searched after apt's own suites; a mirror without one of them (Ubuntu's) just has no such index
DEBIAN_SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid")

_POOL = "pool/main/e/etcd"

#: known to exist in the pool for amd64: fetched without reading any index
PINNED = (
    Package(
        "etcd-server",
        "3.3.25+dfsg-6+b6",
        f"{_POOL}/etcd-server_3.3.25+dfsg-6+b6_amd64.deb",
        "26ebaf2c5482e1ded1c7d9a65a47d06cdb9dc99d78aa3c280ee61bae39d4e44c",
    ),
    Package(
        "etcd-client",
        "3.3.25+dfsg-6+b6",
        f"{_POOL}/etcd-client_3.3.25+dfsg-6+b6_amd64.deb",
        "df59b04f745046e77d27919bf50364b91a5dcacaa812fbcd946574f85b23fe1c",
    ),
    Package(
        "etcd-server",
        "3.4.23-4+b4",
        f"{_POOL}/etcd-server_3.4.23-4+b4_amd64.deb",
        "3a9445d4560ad6de1c375756b2a17d97713df44cbd20a658c871fe108af7ef5d",
    ),
    Package(
        "etcd-client",
        "3.4.23-4+b4",
        f"{_POOL}/etcd-client_3.4.23-4+b4_amd64.deb",
        "db3a484d5d924b50bf71f459ee544ecd7b11c25dc2f6becc0c50352d67299cc8",
    ),
    Package(
        "etcd-server",
        "3.5.16-4",
        f"{_POOL}/etcd-server_3.5.16-4_amd64.deb",
        "0875921bb0d023f2af9b8e15cdfbe417a03e65731345fb832c40f9c2dd72967b",
    ),
    Package(
        "etcd-client",
        "3.5.16-4",
        f"{_POOL}/etcd-client_3.5.16-4_amd64.deb",
        "7eb67e305ba2ce523a5a0b29bf88750ded3f724769c7111a83382b7909f9977b",
    ),
    Package(
        "etcd-server",
        "3.5.30-2",
        f"{_POOL}/etcd-server_3.5.30-2_amd64.deb",
        "11a4f7e350c5020b83edff5160a6063d4e56ac9cd014d21ce8916378bf96de79",
    ),
    Package(
        "etcd-client",
        "3.5.30-2",
        f"{_POOL}/etcd-client_3.5.30-2_amd64.deb",
        "1e66ad2aba4cba6842a1ac35d5c525e750102b8fb42748225bcb2e34d6595931",
    ),
)


@dataclass(frozen=True)
class Programs:
    """Where the unpacked programs of one etcd version lie; `libc`: a newer C library's tree, where one is needed."""

    version: str
    files: tuple[Path, ...]
    libc: Path | None = None


def cache_directory() -> Path:
    """$FLEETRECOVER_CACHE, else /var/cache/fleetrecover for root, else ~/.cache/fleetrecover."""
    configured = os.environ.get("FLEETRECOVER_CACHE")
    if configured:
        return Path(configured).absolute()
    return Path("/var/cache/fleetrecover") if os.geteuid() == 0 else Path.home() / ".cache" / "fleetrecover"


def etcd_programs(version: str, progress: Progress) -> Programs:
    """The programs of one etcd version: from the cache, else from the pinned packages, else through the indexes."""
    if not re.fullmatch(r"\d+\.\d+\.\d+(\+[0-9a-f]{8})?", version):
        raise InputError(f"{version!r} is no etcd version", hint=f"such as {DEFAULT_VERSION}")
    target = _home(version)
    if not target.is_dir() and "+" in version:
        raise InputError(
            f"the build etcd {version} is not here any more", hint="give it again with --etcd-binaries DIR"
        )
    if not target.is_dir() and version_tuple(version) >= gobuild.FIRST:
        gobuild.build(version, target, progress)
    elif not target.is_dir():
        progress(f"fetching etcd {version} from this machine's package mirror")
        _unpack_into(target, _fetch_version(version))
    files = tuple(sorted((target / "usr/bin").glob("etcd*")))
    return Programs(version, files, _newer_libc(files, progress))


def _home(version: str) -> Path:
    return cache_directory() / f"etcd-{version}-{apt.architecture()}"


def version_of(etcd: str, binaries: Path | None) -> str:
    """The version to build a lab with: the one asked for, or that of the programs in a directory."""
    return adopt(binaries) if binaries else etcd


def adopt(directory: Path) -> str:
    """Take etcd and etcdctl (and etcdutl) from `directory` into the cache; return the version to ask for them by.

    That is etcd's own and the beginning of a checksum, "3.6.8+0a1b2c3d": another build of the same version is another one.
    """
    missing = [name for name in ("etcd", "etcdctl") if not (directory / name).is_file()]
    if missing:
        raise InputError(
            f"{directory} has no {' and no '.join(missing)}", hint="--etcd-binaries wants a directory of both"
        )
    said = run([str(directory.absolute() / "etcd"), "--version"], check=False).stdout.decode("utf-8", "replace")
    version = re.search(r"^etcd Version: (\d+\.\d+\.\d+)", said, re.MULTILINE)
    if not version:
        raise InputError(f"{directory / 'etcd'} does not say which version it is", hint="try it: etcd --version")
    bodies = {path.name: path.read_bytes() for path in sorted(directory.glob("etcd*")) if path.name in PROGRAMS}
    digest = hashlib.sha256(b"".join(hashlib.sha256(body).digest() for body in bodies.values())).hexdigest()
    label = f"{version[1]}+{digest[:8]}"
    if not _home(label).is_dir():
        with _renamed_into(_home(label)) as tree:
            (tree / "usr/bin").mkdir(parents=True)
            for name, body in bodies.items():
                (tree / "usr/bin" / name).write_bytes(body)
                (tree / "usr/bin" / name).chmod(0o755)
    return label


def _fetch_version(version: str) -> list[bytes]:
    sources = apt.configured_sources()
    if not sources:
        raise InputError("apt is not configured with any archive", hint="see /etc/apt/sources.list")
    pinned = [package for package in PINNED if package.upstream == version] if apt.architecture() == "amd64" else []
    if pinned:
        bodies = [_from_any_mirror(package, apt.mirrors(sources)) for package in pinned]
        if all(body is not None for body in bodies):
            return [body for body in bodies if body is not None]
    return _fetch_through_indexes(version, sources)


def _from_any_mirror(package: Package, mirrors: Sequence[str]) -> bytes | None:
    for mirror in mirrors:
        url = f"{mirror}/{package.path}"
        body = apt.fetch(url)
        if body is not None:
            return apt.verified(body, package.sha256, url)
    return None


def _fetch_through_indexes(version: str, sources: Sequence[apt.Source]) -> list[bytes]:
    seen: set[str] = set()
    for mirror, found in _indexed(sources, NAMES):
        seen |= {package.upstream for package in found}
        wanted = {package.name: package for package in found if package.upstream == version}
        if set(wanted) == set(NAMES):
            bodies = [_from_any_mirror(package, [mirror]) for package in wanted.values()]
            if all(body is not None for body in bodies):
                return [body for body in bodies if body is not None]
    offered = ", ".join(sorted(seen, key=version_tuple)) or "no version of it"
    raise InputError(
        f"this machine's package mirror has no etcd {version}; it has {offered}", hint="choose with --etcd"
    )


def _indexed(sources: Sequence[apt.Source], names: Sequence[str]) -> Iterator[tuple[str, list[Package]]]:
    """(mirror, packages of these names) for one suite after another, apt's own suites first."""
    arch = apt.architecture()
    for mirror in apt.mirrors(sources):
        for suite in dict.fromkeys([*apt.suites(sources), *DEBIAN_SUITES]):
            for component in ("main", "universe"):
                text = apt.read_index(mirror, suite, component, arch)
                if text is not None:
                    yield mirror, list(apt.parse_index(text, names))


def _unpack_into(target: Path, packages: Sequence[bytes]) -> None:
    with _renamed_into(target) as tree:
        for number, body in enumerate(packages):
            archive = tree.with_name(f"{number}.deb")
            archive.write_bytes(body)
            run(["dpkg-deb", "-x", str(archive), str(tree)])


@contextlib.contextmanager
def _renamed_into(target: Path) -> Iterator[Path]:
    """A place to fill beside the target, renamed at the end: what was killed leaves nothing that looks complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        yield place / "tree"
        with contextlib.suppress(FileExistsError):  # another process was quicker
            _rename(place / "tree", target)
    finally:
        shutil.rmtree(place)


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(str(target)) from error
        raise


def needed_glibc(program: bytes) -> tuple[int, ...]:
    """The newest symbol version of glibc that an ELF file names, such as (2, 34)."""
    found = re.findall(rb"GLIBC_(\d+(?:\.\d+)+)\0", program)
    return max((version_tuple(text.decode()) for text in found), default=(0,))


def _newer_libc(files: Sequence[Path], progress: Progress) -> Path | None:
    """The tree of a C library new enough for the programs, when this machine's own is too old."""
    needed = max((needed_glibc(path.read_bytes()) for path in files), default=(0,))
    own = version_tuple((os.confstr("CS_GNU_LIBC_VERSION") or "glibc 0").split()[-1])
    if needed <= own:
        return None
    target = cache_directory() / f"libc-{'.'.join(map(str, needed))}-{apt.architecture()}"
    if not target.is_dir():
        progress("fetching a newer C library for it")
        _unpack_into(target, [_fetch_libc(needed)])
    return target


def _fetch_libc(needed: tuple[int, ...]) -> bytes:
    for mirror, found in _indexed(apt.configured_sources(), ("libc6",)):
        for package in found:
            body = _from_any_mirror(package, [mirror]) if version_tuple(package.upstream) >= needed else None
            if body is not None:
                return body
    raise InputError(f"no package of glibc {'.'.join(map(str, needed))} or newer is on this machine's mirror")
