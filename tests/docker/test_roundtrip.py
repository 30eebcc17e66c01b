"""Generated containers, made, inspected, rebuilt from our command line, inspected again: equal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.docker.dockerd import PrivateDockerd, missing
from tests.docker.generated import bodies
from tests.docker.roundtrip import create, ours

pytestmark = pytest.mark.lab
EXAMPLES = int(os.environ.get("FLEETRECOVER_ROUNDTRIP", "60"))


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDockerd]:
    why = missing()
    if why:
        pytest.skip(f"no private dockerd: {why}")
    with PrivateDockerd() as running:
        running.docker("create", "--name=other", "--ipc=shareable", "--volume=/from/other", "plain:1", "/bin/true")
        yield running


def test_generated_containers_come_back_equal(daemon: PrivateDockerd) -> None:
    info = daemon.api("GET", "/info")
    made = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies(), st.sampled_from(daemon.clients), st.booleans())
    def check(body: dict[str, Any], client: str, secret: bool) -> None:
        nonlocal made
        identifier = create(daemon, body)
        if identifier is None:
            return
        made += 1
        try:
            original = daemon.inspect_container(identifier)
            assert ours(daemon, original, client=client, secret=secret, info=info) == []
        finally:
            daemon.remove(identifier)

    check()
    assert made >= EXAMPLES // 2, "most generated containers were refused by dockerd itself"
