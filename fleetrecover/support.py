"""`support RUN`: what one run did, for somebody who is to help: journal, report and diagnosis, without anybody's names.

One archive (tar.gz, 0600) with `journal.jsonl`, `report.json`, `report.html` and `diagnosis.json`. It is made from this bastion's
journal, in which no secret ever stood, and asks no node.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetrecover import __version__
from fleetrecover.journal import read_events
from fleetrecover.plain import dumps
from fleetrecover.redact import Redactor, changed
from fleetrecover.report import story
from fleetrecover.report.html import render

ABOUT = """What one run of fleetrecover did, as the journal on its bastion has it. Names of hosts, members and the cluster, and
addresses, are replaced, the same by the same everywhere. Paths, versions, times and ids are as they were.
"""


def files_of(journal: Path) -> dict[str, str]:
    """The archive's files by name, without anybody's names. Raises InputError for a journal that cannot be read."""
    events, cluster = read_events(journal), journal.parent.name
    redactor = Redactor.of_documents(cluster, events)
    shown: list[dict[str, Any]] = changed(events, redactor)
    told = story.tell(journal.stem, redactor(cluster), shown)
    diagnosis = next((event["diagnosis"] for event in reversed(shown) if "diagnosis" in event), None)
    return {
        "README": f"{ABOUT}Made by fleetrecover {__version__}.\n",
        "journal.jsonl": "".join(f"{dumps(event)}\n" for event in shown),
        "report.json": dumps(story.document(told), indent=2) + "\n",
        "report.html": render(told),
        "diagnosis.json": dumps(diagnosis, indent=2) + "\n",
    }


def packed(run: str, files: Mapping[str, str]) -> bytes:
    """The archive: all files below a directory of the run's name; the same files give the same bytes."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, text in files.items():
            data = text.encode("utf-8")
            entry = tarfile.TarInfo(f"fleetrecover-{run}/{name}")
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
