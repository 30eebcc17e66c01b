"""What `etcdctl endpoint health` says, as recorded from real etcd."""

from __future__ import annotations

import pytest

from fleetrecover.commands.etcdctl import Etcdctl
from fleetrecover.model import Result
from fleetrecover.runtime.containers import Containers

ALARM = (
    b"http://127.0.0.1:56491 is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE\n"
    b"Error: unhealthy cluster\n"
)
LOST = b"http://127.0.0.1:2379 is unhealthy: failed to commit proposal: context deadline exceeded\nError: unhealthy cluster\n"
GOOD = b"http://127.0.0.1:54081 is healthy: successfully committed proposal: took = 1.397502ms\n"


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "healthy"),
    [
        pytest.param(0, GOOD, b"", True, id="3.4"),
        pytest.param(0, b"", GOOD, True, id="3.5"),
        pytest.param(1, b"", LOST, False, id="no quorum"),
        pytest.param(1, b"", ALARM, True, id="3.5 with an alarm: the read succeeded, quorum stands"),
    ],
)
def test_health_is_whether_quorum_stands(code: int, stdout: bytes, stderr: bytes, healthy: bool) -> None:
    probe = Etcdctl(Containers(), "etcd", "https://127.0.0.1:2379").health()
    assert probe.parse(Result(probe.command, code, stdout, stderr)) is healthy
