"""Containers made by podman's own command line: `podman inspect` says less of them than docker does, and more.

Its `HostConfig` mixes what was given with what podman worked out (RLIMIT_NPROC, tmpfs options, effective capabilities),
so it cannot be turned back into options. But podman keeps the very words that made the container, under
`Config.CreateCommand`: those are read, and checked against what inspect shows. A container that came through podman's
docker-compatible socket has no such words and is refused by name; asked through that same socket, its inspect has
docker's shape and is read like docker's.

Source: podman 4.3 `libpod/container_inspect.go`, `libpod/define/container_inspect.go`, and inspect output of 4.3.1.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleetrecover.docker.argv import from_argv
from fleetrecover.docker.parts import Bind
from fleetrecover.docker.spec import ContainerSpec, check_mounts, pinned, read_image, read_mount_points
from fleetrecover.errors import Refused, Unsupported
from fleetrecover.plain import clean_path, version_numbers


def is_podman(container: Mapping[str, Any]) -> bool:
    """Whether an inspect document is of podman's own shape."""
    return "OCIRuntime" in container or "CreateCommand" in (container.get("Config") or {})


def from_podman(container: Mapping[str, Any], image: Mapping[str, Any] | None = None) -> ContainerSpec:
    """Read one element of `podman inspect CONTAINER`.

    Raises Unsupported, by name: no CreateCommand, an option of podman's that the spec does not know, global options.
    Refused when what inspect shows is not what those words ask for, for instance after `podman update`.
    """
    config, host = container.get("Config") or {}, container.get("HostConfig") or {}
    spec = from_argv(_create_command(config))
    image_config = read_image(image) if image else None
    image_id = _with_algorithm(str(container.get("Image") or ""))
    if image_config:
        image_config = replace(image_config, id=_with_algorithm(image_config.id))
    reference, image_config = pinned(_full_name(container, spec), image_id, image_config)
    shown = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    spec = replace(
        spec,
        name=str(container.get("Name") or "").lstrip("/"),
        image=reference,
        image_id=image_id,
        from_image=image_config,
        env=tuple(_resolved(entry, shown) for entry in spec.env),
        mount_points=read_mount_points(container.get("Mounts") or ()),
        restart=_restart(host),
    )
    _check(spec, config, host, shown)
    return spec


def _create_command(config: Mapping[str, Any]) -> list[str]:
    words = [str(word) for word in config.get("CreateCommand") or ()]
    if not words:
        raise Unsupported(
            "Config.CreateCommand: empty, so podman was not told by a command line how to make this container",
            hint="inspect it through the docker-compatible socket that made it",
        )
    at = next((index for index, word in enumerate(words) if word in ("run", "create")), None)
    if at is None:
        raise Unsupported(f"Config.CreateCommand: {words[:4]!r} is no `podman run`")
    extra = [word for word in words[1:at] if word != "container"]
    if extra:
        raise Unsupported(f"Config.CreateCommand: the options {extra!r} of podman itself")
    return ["podman", *words[at:]]


def _with_algorithm(identifier: str) -> str:
    return f"sha256:{identifier}" if len(identifier) == 64 else identifier


def _full_name(container: Mapping[str, Any], spec: ContainerSpec) -> str:
    """The image as the command named it; podman's full name where the short one depends on its search list."""
    return str(container.get("ImageName") or spec.image)


def _resolved(entry: str, shown: Mapping[str, str]) -> str:
    """`--env NAME` took its value from the environment of that command: it is the one the container shows."""
    return f"{entry}={shown[entry]}" if "=" not in entry and entry in shown else entry


def _restart(host: Mapping[str, Any]) -> str:
    """The policy as it is now: `podman update --restart` (5.1 and later) leaves the words that made the container."""
    policy = host.get("RestartPolicy") or {}
    name = str(policy.get("Name") or "").removeprefix("no")
    retries = int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{retries}" if name == "on-failure" and retries else name


def cannot_fence(cli: str, version: str) -> str:
    """Why containers of that engine cannot be kept from starting by themselves; empty where they can.

    `podman update --restart` came with podman 5.1; without it podman-restart.service starts a fenced etcd after a reboot.
    """
    if not posixpath.basename(cli).startswith("podman"):
        return ""
    if version_numbers(version, 2) >= (5, 1):
        return ""
    return (
        f"podman {version} cannot change the restart policy of a container, so an etcd that was stopped may come back"
    )


def _check(spec: ContainerSpec, config: Mapping[str, Any], host: Mapping[str, Any], env: Mapping[str, str]) -> None:
    command = tuple(config.get("Cmd") or ())
    if spec.command is not None and command != spec.command:
        raise Refused(f"Config.Cmd is {list(command)!r}, but Config.CreateCommand has {list(spec.command)!r}")
    for entry in spec.env:
        name, equals, value = entry.partition("=")
        if equals and spec.environment.get(name) == value and env.get(name) != value:
            raise Refused(f"Config.Env: {name} is not what Config.CreateCommand gives it")
    for attr, key in (("memory", "Memory"), ("cpu_shares", "CpuShares"), ("cpuset_cpus", "CpusetCpus")):
        if getattr(spec, attr) != (host.get(key) or type(getattr(spec, attr))()):
            raise Refused(
                f"HostConfig.{key} is {host.get(key)!r}, but Config.CreateCommand has {getattr(spec, attr)!r}"
            )
    tmpfs = tuple(path for path, _ in spec.tmpfs)
    known = {Bind.parse(text).destination for text in spec.binds} | {clean_path(path) for path in tmpfs}
    images = spec.from_image.volumes if spec.from_image else ()
    extra = tuple(point.destination for point in spec.mount_points if point.kind == "volume")
    volumes = (*spec.volumes, *images, *(path for path in extra if path not in known and spec.from_image is None))
    check_mounts(replace(spec, volumes=tuple(path for path in volumes if clean_path(path) not in known)))
