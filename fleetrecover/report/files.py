"""Files that we write on the bastion: private (0600), whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetrecover.errors import InputError, Refused
from fleetrecover.plain import dumps


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file, 0600; one that is there is replaced only when all of it is on the disk. Raises InputError.

    `mode` is another one, for what holds no secret and is read by another user.
    """
    write_private_bytes(path, text.encode("utf-8"), mode)


def write_private_bytes(path: Path, data: bytes, mode: int = 0o600) -> None:
    """The same, of bytes."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


@dataclass(frozen=True)
class Saved:
    """A plan that `plan -o` saved: the run that it is of, its fingerprint, and its method, empty where it has none."""

    run: str
    fingerprint: str
    method: str = ""


def digest(document: Mapping[str, Any]) -> str:
    """A digest of a whole plan document but for the digest itself."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def plan_text(document: Mapping[str, Any]) -> str:
    """What `plan -o` writes: the document, and a digest of it, so that no one takes an edited plan for what is done."""
    return dumps({**document, "digest": digest(document)}, indent=2) + "\n"


def read_plan(path: Path) -> Saved:
    """A plan that `plan -o` saved. Raises InputError for a file that is none, Refused for one that was edited."""
    again = "make one: fleetrecover plan -o FILE"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint=again) from error
    except ValueError as error:
        raise InputError(f"{path}: not a saved plan: {error}", hint=again) from error
    values = document if isinstance(document, dict) else {}
    run, found = values.get("run"), values.get("fingerprint")
    if not isinstance(run, str) or not isinstance(found, str):
        raise InputError(f"{path}: not a saved plan: it has no run or no fingerprint", hint=again)
    if values.get("digest") != digest(values):
        raise Refused(
            f"{path} is not as `fleetrecover plan -o` wrote it; a plan is made from what the nodes show, so an edited one is "
            "not done; nothing was changed",
            hint=f"{again}; --survivor, --dead, --method and --work-dir change it",
        )
    method = values.get("method")
    return Saved(run, found, method if isinstance(method, str) else "")
