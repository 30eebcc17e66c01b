"""Files that we write on the bastion: private (0600), whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from fleetrecover.errors import InputError


def write_private(path: Path, text: str) -> None:
    """Write a file, 0600; one that is there is replaced only when all of it is on the disk. Raises InputError."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def read_plan(path: Path) -> str:
    """The fingerprint of a plan that `plan -o` saved. Raises InputError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="make one: fleetrecover plan -o FILE") from error
    except ValueError as error:
        raise InputError(f"{path}: not a saved plan: {error}", hint="make one: fleetrecover plan -o FILE") from error
    found = document.get("fingerprint") if isinstance(document, dict) else None
    if not isinstance(found, str):
        raise InputError(f"{path}: not a saved plan: it has no fingerprint", hint="make one: fleetrecover plan -o FILE")
    return found
