"""One generated container through inspect, spec and command line, and back through a real dockerd."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from typing import Any

from fleetrecover.docker.argv import env_file_lines, env_inherited, from_argv, seccomp_profile, to_argv
from fleetrecover.docker.spec import ContainerSpec, from_inspect
from tests.docker.dockerd import PrivateDockerd
from tests.docker.generated import compare


def create(daemon: PrivateDockerd, body: dict[str, Any]) -> str | None:
    """Create a container through the API; its id, or None when dockerd takes the settings as a conflict."""
    try:
        answer = daemon.api("POST", "/containers/create?name=original", body)
    except RuntimeError as error:
        if str(error).startswith(("400", "500", "409")):
            return None
        raise
    return str(answer["Id"])


def ours(
    daemon: PrivateDockerd, original: dict[str, Any], *, client: str, secret: bool, info: dict[str, Any]
) -> list[str]:
    """Rebuild it by our command line; the differences. With `secret`, the environment stays off that line."""
    if original["Config"].get("MacAddress"):
        client = daemon.clients[0]  # clients from 25 send it in a form that this daemon is too old for
    image = daemon.inspect_image(original["Image"])
    spec = from_inspect(original, image, info)
    line = to_argv(spec, verb="create", detach=None, seccomp_file="/p")
    read = from_argv(line, files={"/p": seccomp_profile(spec) or ""})
    assert to_argv(read, verb="create", detach=None, seccomp_file="/p") == line
    assert read == spec or len(spec.entrypoint or ()) > 1
    rebuild(daemon, spec, client=client, secret=secret)
    try:
        return compare(original, daemon.inspect_container("rebuilt"))
    finally:
        daemon.remove("rebuilt")


def rebuild(daemon: PrivateDockerd, spec: ContainerSpec, *, client: str, secret: bool) -> None:
    """`docker create` what the spec says, under the name `rebuilt`."""
    with tempfile.NamedTemporaryFile("w") as profile, tempfile.TemporaryFile() as variables:
        profile.write(seccomp_profile(spec) or "")
        profile.flush()
        env: dict[str, str] = {}
        file: str | None = None
        if secret:
            variables.write("".join(f"{line}\n" for line in env_file_lines(spec)).encode())
            variables.seek(0)
            file = f"/dev/fd/{variables.fileno()}"
            env = {name: value for name, value in env_inherited(spec).items() if value is not None}
        line = list(to_argv(spec, verb="create", detach=None, env_file=file, seccomp_file=profile.name))
        line = ["--name=rebuilt" if word.startswith("--name=") else word for word in line]
        daemon.docker("create", "--pull=never", *line[2:], client=client, env=env, pass_fds=[variables.fileno()])


def runlikes(daemon: PrivateDockerd, original: dict[str, Any], *, runlike: str) -> list[str]:
    """Rebuild it by what runlike prints; the differences, or why it could not be created."""
    done = subprocess.run(
        [runlike, original["Id"]],
        capture_output=True,
        text=True,
        check=False,
        env={"DOCKER_HOST": f"unix://{daemon.socket}", "PATH": os.environ["PATH"]},
        timeout=60,
    )
    if done.returncode != 0:
        return [f"runlike failed: {done.stderr.strip().splitlines()[-1:]}"]
    try:
        words = shlex.split(done.stdout)
    except ValueError as error:
        return [f"not shell: {error}"]
    words = [word for word in words[2:] if not word.startswith("--name=") and word not in ("-d", "--detach=true")]
    client = daemon.clients[0] if original["Config"].get("MacAddress") else daemon.clients[-1]
    result = daemon.run("create", "--pull=never", "--name=rebuilt", *words, client=client)
    if result.returncode != 0:
        return [f"docker refused: {result.stderr.decode(errors='replace').strip()[:200]}"]
    try:
        return compare(original, daemon.inspect_container("rebuilt"))
    finally:
        daemon.remove("rebuilt")
