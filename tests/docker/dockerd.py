"""A private dockerd for tests: own mount, network and PID namespaces, own root, own socket; nothing of it stays.

It needs root, dockerd, a docker client and a static busybox. `docker create` is all that the round trip asks of it,
so it has no bridge, touches no firewall, and its only image is a busybox in a tar.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

RICH = {
    "Env": ["PATH=/bin", "ETCD_FROM_IMAGE=yes"],
    "Labels": {"org.example.image": "yes"},
    "Cmd": ["/bin/sleep", "1"],
    "ExposedPorts": {"2379/tcp": {}},
    "WorkingDir": "/srv",
    "User": "7:7",
    "StopSignal": "SIGINT",
    "Volumes": {"/var/fromimage": {}},
    "Healthcheck": {"Test": ["CMD", "/bin/true"], "Interval": 7_000_000_000, "Retries": 4},
    "Entrypoint": ["/bin/busybox"],
}


def image_archive(tag: str, config: Mapping[str, object]) -> bytes:
    """A tar that `docker load` takes: one layer with a static busybox, and `config` as the image's."""
    binary = shutil.which("busybox")
    assert binary is not None
    layer = _tar({"bin/busybox": Path(binary).resolve().read_bytes()})
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    raw = json.dumps(document).encode()
    name = hashlib.sha256(raw).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    return _tar({"layer.tar": layer, name: raw, "manifest.json": manifest})


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def missing() -> str | None:
    """Why a private dockerd cannot be had here; None when it can."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("dockerd", "docker", "unshare", "busybox"):
        if shutil.which(program) is None:
            return f"no {program}"
    return None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class PrivateDockerd:
    """`with PrivateDockerd() as daemon: daemon.docker("create", …)`.

    Two images: `plain` sets nothing, `rich` sets what a Dockerfile can (RICH).
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="dkr-", dir="/tmp"))
        self.socket = self.directory / "d.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""
        self.clients: tuple[str, ...] = tuple(
            client for client in ("/usr/bin/docker", "/usr/local/bin/docker") if Path(client).exists()
        )

    def __enter__(self) -> PrivateDockerd:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        daemon = [
            "dockerd",
            f"--data-root={self.directory}/data",
            f"--exec-root={self.directory}/exec",
            f"--pidfile={self.directory}/pid",
            f"--host=unix://{self.socket}",
            "--iptables=false",
            "--bridge=none",
            "--ip-forward=false",
            "--storage-driver=vfs",
        ]
        script = f"ip link set lo up; exec {' '.join(daemon)}"
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = (self.directory / "log").read_text(errors="replace")
                raise RuntimeError(f"dockerd did not start:\n{text[-3000:]}")
            if self.socket.exists() and self.run("version", "-f", "{{.Server.Version}}").returncode == 0:
                break
            time.sleep(0.1)
        self.docker("load", data=image_archive("plain:1", {}))
        self.docker("load", data=image_archive("rich:1", RICH))
        self.docker("network", "create", "--subnet=172.31.7.0/24", "lan")

    def run(
        self,
        *args: str,
        data: bytes = b"",
        client: str = "docker",
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the docker client against this daemon; the result, whatever the exit code."""
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{self.socket}", **(env or {})}
        return subprocess.run(
            [client, *args],
            input=data,
            capture_output=True,
            env=environment,
            check=False,
            pass_fds=pass_fds,
            timeout=60,
        )

    def docker(
        self,
        *args: str,
        data: bytes = b"",
        client: str = "docker",
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> str:
        """Run the docker client; its standard output. RuntimeError with its complaint when it fails."""
        done = self.run(*args, data=data, client=client, env=env, pass_fds=pass_fds)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode().strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """`docker inspect` of one container or image."""
        document: list[dict[str, Any]] = json.loads(self.docker("inspect", name))
        return document[0]

    def api(self, method: str, path: str, body: object = None) -> Any:
        """One request to the Engine API; the JSON of the answer. RuntimeError with its message from 400 up."""
        connection = _UnixConnection(str(self.socket))
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
        finally:
            connection.close()
        document = json.loads(raw) if raw.strip() else None
        if answer.status >= 400:
            raise RuntimeError(f"{answer.status}: {document}")
        return document

    def inspect_container(self, name: str) -> dict[str, Any]:
        """What `docker inspect` shows of a container, without a client."""
        document: dict[str, Any] = self.api("GET", f"/containers/{name}/json")
        return document

    def inspect_image(self, name: str) -> dict[str, Any]:
        """What `docker image inspect` shows, without a client."""
        document: dict[str, Any] = self.api("GET", f"/images/{name}/json")
        return document

    def remove(self, name: str) -> None:
        """Remove a container and its anonymous volumes."""
        self.api("DELETE", f"/containers/{name}?v=1&force=1")

    def close(self) -> None:
        """Stop the daemon and remove everything it wrote."""
        if self.process is not None and self.process.poll() is None:
            children = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False
            )
            for pid in children.stdout.split():
                os.kill(int(pid), signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)
