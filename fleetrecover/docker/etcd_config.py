"""Which containers run etcd, and changes to its settings in a container's command that keep everything else as written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fleetrecover.docker.spec import ContainerSpec
from fleetrecover.etcd.config import RUNNERS, EtcdCommand, Flag, binary_at, variable
from fleetrecover.etcd.wrappers import SHELLS

IMAGES = ("etcd", "coreos-etcd", "mirrored-coreos-etcd")
_SCRIPT = re.compile(r"-.*|.*\.sh|(.*/)?(entrypoint|kolla_start|start|run)")


def change(spec: ContainerSpec, values: Mapping[str, str | None]) -> ContainerSpec:
    """Set flags, by name; None takes one away. Flags stay in their place and spelling, a variable stays a variable.

    A setting that was in neither place is added as a flag at the end. Each is then in one place only.
    """
    command = EtcdCommand.of(spec)
    flags: list[Flag] = []
    done: set[str] = set()
    for flag in command.flags:
        value = values.get(flag.name)
        if flag.name not in values:
            flags.append(flag)
        elif value is not None and flag.name not in done:
            flags.append(flag.with_value(value))
            done.add(flag.name)
    env, seen = list(spec.env), spec.environment
    for name, value in values.items():
        key = variable(name)
        in_image = any(entry.startswith(f"{key}=") for entry in (spec.from_image.env if spec.from_image else ()))
        given = [index for index, entry in enumerate(env) if entry.partition("=")[0] == key]
        if value is not None and name not in done and seen.get(key):
            env = [entry for index, entry in enumerate(env) if index not in given[1:]]
            if given:
                env[given[0]] = f"{key}={value}"
            else:
                env.append(f"{key}={value}")
            continue
        env = [entry for entry in env if entry.partition("=")[0] != key]
        if in_image:
            env.append(key)
        if value is not None and name not in done:
            flags.append(Flag(name, value, (f"--{name}={value}",)))
    return with_argv(replace(spec, env=tuple(env)), EtcdCommand(command.prefix, tuple(flags)).argv)


def with_argv(spec: ContainerSpec, argv: tuple[str, ...]) -> ContainerSpec:
    """Make the container run these words, leaving the entrypoint as it is wherever its words still stand."""
    image = spec.from_image
    entrypoint = spec.entrypoint if spec.entrypoint is not None else (image.entrypoint if image else ())
    if argv[: len(entrypoint)] != entrypoint:
        return replace(spec, entrypoint=argv[:1], command=argv[1:] or None)
    command = argv[len(entrypoint) :]
    if not command and spec.entrypoint is None and image is not None and image.command:
        return replace(spec, entrypoint=entrypoint, command=None)
    if command == (image.command if image else None) and spec.entrypoint is None:
        return replace(spec, command=None)
    return replace(spec, command=command or None)


def is_etcd(container: ContainerSpec | Mapping[str, Any]) -> bool:
    """Whether a container, as a spec or as inspect shows it, runs an etcd server (and not etcdctl or a helper)."""
    if isinstance(container, ContainerSpec):
        argv, image = container.argv, container.image
    else:
        config = container.get("Config") or {}
        listed = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
        if container.get("Path"):
            listed = [container["Path"], *(container.get("Args") or ())]
        argv, image = tuple(str(word) for word in listed), str(config.get("Image") or "")
    if binary_at(argv) is not None:
        return True
    if argv and argv[0].rpartition("/")[2] in SHELLS:
        return bool(re.search(r"(^|[\s/;&])etcd(\s+(\\\n\s*)?-|\s*$)", " ".join(argv)))
    repository = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return repository in IMAGES and _is_start_script(argv)


def _is_start_script(argv: tuple[str, ...]) -> bool:
    """Whether these words may start an image's own server: flags alone, or a script, perhaps below an init program."""
    rest = [word for at, word in enumerate(argv) if not (at == 0 and word.rpartition("/")[2] in RUNNERS)]
    if len(rest) < len(argv):
        rest = [word for word in rest if not word.startswith("-")]
    return bool(rest) and _SCRIPT.fullmatch(rest[0]) is not None
