"""Snapshot files for the tests: whole, damaged, and packed in every way."""

from __future__ import annotations

import hashlib
import io
import zipfile

from tests.etcd.writers import etcd_db


def snapshot(keys: int = 10) -> bytes:
    """A snapshot as `etcdctl snapshot save` writes it."""
    database = etcd_db(keys)
    return database + hashlib.sha256(database).digest()


def zip_of(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with entries of just these names."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            archive.writestr(entry, data)
    return sink.getvalue()


def rke_zip(name: str, data: bytes) -> bytes:
    """As rke-tools writes it."""
    return zip_of((f"/backup/{name}", data), (f"/etc/kubernetes/{name}.rkestate", b"secrets"))
