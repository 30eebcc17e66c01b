"""PURE: a container as its engine's `inspect` shows it, and its image's, as facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fleetrecover.answers import understood
from fleetrecover.commands import containers, probes
from fleetrecover.commands.inspect import restart_policy
from fleetrecover.docker.etcd_config import is_etcd
from fleetrecover.docker.spec import ContainerSpec, from_inspect, host_path
from fleetrecover.errors import FleetRecoverError, FormatError
from fleetrecover.etcd.config import EtcdConfig, client_endpoint, config_file, etcdctl_tls
from fleetrecover.etcd.config_file import MOST_BYTES
from fleetrecover.facts import Container
from fleetrecover.runtime.base import Read

HELPER_NAMES = (
    "etcd-rolling-snapshots",
    "etcd-snapshot-once",
    "etcd-restore",
    "etcd-download-backup",
    "etcd-Serve-backup",
    "etcd-checksum-checker",
    "etcd-extract-statefile",
    "etcd-remove-snapshot",
    "etcd-fix-perm",
)
"""RKE's containers that have to do with etcd and are none."""


def helpers_in(found: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """RKE's among them, with their states."""
    named = [(str(doc.get("Name", "")).lstrip("/"), str((doc.get("State") or {}).get("Status", ""))) for doc in found]
    return tuple((name, state) for name, state in named if name in HELPER_NAMES)


def containers_in(cli: str, found: Sequence[Mapping[str, Any]], read: Read) -> tuple[Container, ...]:
    """The etcds among them; their images and configuration files are read, too. Raises FormatError, RemoteError."""
    etcds = [doc for doc in found if str(doc.get("Name", "")).lstrip("/") not in HELPER_NAMES and is_etcd(doc)]
    ids = sorted({str(doc.get("Image", "")) for doc in etcds} - {""})
    images = read(containers.images(cli, ids)) if ids else {}
    return tuple(_with_file(doc, images.get(str(doc.get("Image", ""))), read) for doc in etcds)


def _with_file(doc: Mapping[str, Any], image: Mapping[str, Any] | None, read: Read) -> Container:
    """The same, with its etcd's `--config-file` where it has one that lies on the host."""
    found = container_facts(doc, image)
    path = config_file(found.spec) if found.spec is not None else ""
    outside = host_path(found.spec, path) if found.spec is not None and path else None
    if outside is None:
        return found
    try:
        text = read(probes.file_bytes(outside, MOST_BYTES + 1))
    except FormatError:
        return found  # it says of itself that the file could not be read
    return container_facts(doc, image, text.decode("utf-8", "replace"))


def container_facts(doc: Mapping[str, Any], image: Mapping[str, Any] | None, file: str | None = None) -> Container:
    """One container's inspect document (and its image's, if it is there) as facts; `file` is the text of its etcd's
    `--config-file`. Raises FormatError.
    """
    return understood("inspect", lambda: _container_facts(doc, image, file))


def _container_facts(doc: Mapping[str, Any], image: Mapping[str, Any] | None, file: str | None) -> Container:
    spec: ContainerSpec | None = None
    problem = None
    try:
        spec = from_inspect(doc, image)
    except FleetRecoverError as error:
        problem = error.message
    config: EtcdConfig | None = None
    endpoint, tls = "", tuple[str, ...]()
    if spec is not None:
        config, problem = _config(spec, file)
    if spec is not None and config is not None:
        try:
            endpoint, tls = client_endpoint(config), tls_files(spec, config)
        except FleetRecoverError as error:
            problem = error.message
    details, state, host = doc.get("Config") or {}, doc.get("State") or {}, doc.get("HostConfig") or {}
    return Container(
        id=str(doc.get("Id", "")),
        name=str(doc.get("Name", "")).lstrip("/"),
        state=str(state.get("Status", "")),
        image=str(details.get("Image", "")),
        image_id=str(doc.get("Image", "")),
        restart_policy=restart_policy(doc),
        network=str(host.get("NetworkMode", "")),
        labels={str(key): str(value) for key, value in (details.get("Labels") or {}).items()},
        exit_code=int(state.get("ExitCode") or 0),
        created=str(doc.get("Created", "")),
        config=config,
        data_path=_host_data(config, spec),
        endpoint=endpoint,
        tls=tls,
        forced=_forced(config, doc),
        started_at=str(state.get("StartedAt") or ""),
        finished_at=str(state.get("FinishedAt") or ""),
        spec=spec,
        spec_problem=problem,
        error=str(state.get("Error") or ""),
        wal_path=host_path(spec, config.wal_apart)
        if spec is not None and config is not None and config.wal_apart
        else None,
        inside=_inside(config, spec),
    )


def _config(spec: ContainerSpec, file: str | None) -> tuple[EtcdConfig | None, str | None]:
    """What its etcd runs with, as far as that can be known, and why its command must not be rewritten."""
    try:
        return EtcdConfig.of(spec), None
    except FleetRecoverError as error:
        problem = error.message
    try:
        return EtcdConfig.read(spec, file), problem
    except FleetRecoverError as error:
        return None, problem if file is None else error.message


def _inside(config: EtcdConfig | None, spec: ContainerSpec | None) -> str:
    """The first of etcd's directories that is in no mount, as the container names it; empty where all are on the host."""
    if config is None or spec is None:
        return ""
    return next((path for path in (config.data_dir, config.wal_dir) if path and host_path(spec, path) is None), "")


def tls_files(spec: ContainerSpec, config: EtcdConfig) -> tuple[str, ...]:
    """CA, certificate and key for etcdctl inside the container; none where its etcd speaks plain HTTP."""
    files = etcdctl_tls(spec, config)
    if files is None:
        return ()
    return (files.cacert, files.cert, files.key)


def _forced(config: EtcdConfig | None, doc: Mapping[str, Any]) -> bool:
    if config is not None:
        return config.force_new_cluster
    details = doc.get("Config") or {}
    words = [*(details.get("Cmd") or []), *(details.get("Entrypoint") or []), *(details.get("Env") or [])]
    return any("force-new-cluster" in str(word) or "FORCE_NEW_CLUSTER" in str(word) for word in words)


def _host_data(config: EtcdConfig | None, spec: ContainerSpec | None) -> str | None:
    if config is None or spec is None or not config.data_dir:
        return None
    return host_path(spec, config.data_dir)
