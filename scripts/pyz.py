"""Make dist/fleetrecover.pyz: one file with the program and what it needs, for a bastion that has Python and no pip.

    python scripts/pyz.py [TARGET]

What is packed is what this Python has installed (`make pyz` takes the virtual environment), by the requirements that the
packages declare. Compiled modules cannot be imported from an archive, so at its first start it unpacks itself into the user's
cache, 0700, under a name with its own digest; it runs on the same Python version and machine type as it was made on, and says so
where it is on another.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import sysconfig
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTS = '''"""Unpacks this archive, once, and runs what is in it."""
import os, shutil, sys, sysconfig, tempfile, zipfile
MADE_FOR, DIGEST = {made_for!r}, {digest!r}
here = f"{{sys.version_info[0]}}.{{sys.version_info[1]}} {{sysconfig.get_platform()}}"
if here != MADE_FOR:
    sys.exit(f"fleetrecover.pyz is made for Python {{MADE_FOR}}, and this is {{here}}")
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "fleetrecover")
home = os.path.join(cache, DIGEST)
if not os.path.isdir(home):
    os.makedirs(cache, mode=0o700, exist_ok=True)
    part = tempfile.mkdtemp(dir=cache)
    with zipfile.ZipFile(sys.argv[0]) as archive:
        archive.extractall(part, [name for name in archive.namelist() if name.startswith("site/")])
    try:
        os.rename(part, home)
    except OSError:
        shutil.rmtree(part)
        if not os.path.isdir(home):
            raise
if os.stat(home).st_uid != os.getuid():
    sys.exit(f"{{home}} belongs to somebody else; it is not run")
sys.path.insert(0, os.path.join(home, "site"))
from fleetrecover.start import main
main()
'''


def needed(name: str, found: dict[str, Distribution]) -> None:
    """Add a distribution and all that it requires here, without extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = distribution(name)
    except PackageNotFoundError:  # required on another platform or Python only
        print(f"{name} is not installed here, and not packed", file=sys.stderr)
        return
    for line in found[key].requires or ():
        if "extra ==" not in line:
            needed(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0], found)


def files() -> dict[str, bytes]:
    """Everything by its name in the archive."""
    found: dict[str, Distribution] = {}
    needed("fleetrecover", found)
    packed = {
        f"site/{path.relative_to(ROOT)}": path.read_bytes()
        for path in sorted((ROOT / "fleetrecover").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for key, each in found.items():
        for file in each.files or () if key != "fleetrecover" else ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.suffix != ".pyc" and path.is_file():
                packed[f"site/{file}"] = path.read_bytes()
    return packed


def main() -> None:
    """Write the archive."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "fleetrecover.pyz"
    packed = files()
    whole = hashlib.sha256()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(packed.items()):
            whole.update(name.encode() + b"\0" + data)
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        made_for = f"{sys.version_info[0]}.{sys.version_info[1]} {sysconfig.get_platform()}"
        archive.writestr(
            zipfile.ZipInfo("__main__.py"), STARTS.format(made_for=made_for, digest=whole.hexdigest()[:16])
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"#!/usr/bin/env python3\n" + out.getvalue())
    target.chmod(0o755)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, for Python {made_for}")


if __name__ == "__main__":
    main()
