"""Container images without a registry: a tar for `docker import`, made of a program and the libraries it links to."""

from __future__ import annotations

import io
import os
import re
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path

from fleetrecover.errors import InputError
from fleetrecover.lab.packages import Progress, cache_directory, etcd_programs
from fleetrecover.lab.rke import version_tuple
from fleetrecover.lab.system import find_tool, run

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: as upstream's images have it
ETCD_CHANGES = (f"ENV PATH={PATH}", 'CMD ["/usr/local/bin/etcd"]', "EXPOSE 2379 2380")
BUSYBOX_CHANGES = (f"ENV PATH={PATH}",)

#: bumped when what is in the image changes
RECIPE = 2


def etcd_image(version: str, progress: Progress) -> Path:
    """The tar of an etcd image. Like upstream's, it has a shell below 3.5 and none from there on."""
    target = cache_directory() / f"image-etcd-{version}-r{RECIPE}.tar"
    if target.is_file():
        return target
    programs = etcd_programs(version, progress)
    entries = {f"usr/local/bin/{path.name}": path for path in programs.files}
    if version_tuple(version) < (3, 5):
        entries |= _busybox()
    for program in programs.files:
        entries |= _libraries(program, programs.libc)
    _write(target, entries, applets=("sh", "ls", "cat", "mv", "rm", "cp", "mkdir", "sleep", "env"))
    return target


def busybox_image() -> Path:
    """The tar of an image that only has busybox."""
    target = cache_directory() / f"image-busybox-r{RECIPE}.tar"
    if not target.is_file():
        _write(target, _busybox(), applets=("sh", "sleep", "cat", "ls"))
    return target


def _busybox() -> dict[str, Path]:
    """The shell and what it links to: nothing when it is the static one."""
    found = find_tool("busybox")
    if found is None:
        raise InputError("busybox is not installed", hint="apt-get install -y busybox-static")
    return {"bin/busybox": Path(found), **_libraries(Path(found), None)}


def linked_paths(ldd: str) -> list[str]:
    """The files in ldd's output: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and the bare loader."""
    return re.findall(r"(?:=> |^\s*)(/\S+) \(0x", ldd, re.MULTILINE)


def _libraries(program: Path, libc: Path | None) -> dict[str, Path]:
    """Where each library is to lie in the image → the file; from the newer libc's tree where there is one."""
    listing = run(["ldd", str(program)], check=False).stdout.decode()
    return {text.lstrip("/"): _replacement(libc, text) or Path(text) for text in linked_paths(listing)}


def _replacement(tree: Path | None, wanted: str) -> Path | None:
    if tree is None:
        return None
    candidates = [tree / wanted.lstrip("/"), tree / "usr" / wanted.lstrip("/")]
    candidates += sorted(tree.rglob(Path(wanted).name))
    return next((path for path in candidates if path.is_file()), None)


def _write(target: Path, entries: dict[str, Path], applets: Iterable[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    with tarfile.open(partial, "w") as archive:
        for name, path in sorted(entries.items()):
            _add(archive, name, path.read_bytes())
        if "bin/busybox" in entries:
            for applet in applets:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
                archive.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    partial.replace(target)


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    """Times and owners are fixed, so that the same recipe gives the same bytes on every host."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(body), 0o755
    archive.addfile(entry, io.BytesIO(body))
