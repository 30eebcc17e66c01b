"""A thousand random histories of a modelled Raft cluster; `python -m tests.simulation` does ten thousand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleetrecover.decide import survivor
from fleetrecover.decide.survivor import Electorates
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.wal import read_log
from tests.etcd.writers import WalWriter, conf_change, put
from tests.simulation.judge import Count, history
from tests.simulation.raft import ADD, WRITE, Cluster, log_of
from tests.simulation.raft import REMOVE as REMOVAL


def test_no_acknowledged_write_is_lost_where_the_choice_says_so() -> None:
    count = Count()
    for number in range(1000):
        history(f"check-{number}", count)
    assert count.failures == []
    assert count.complete > 5000
    assert count.best_lost > 100
    assert count.acknowledged > 5000


@pytest.mark.parametrize(
    "weaker",
    [
        pytest.param(lambda log: (log.configuration.voters,), id="only the membership at the commit"),
        pytest.param(lambda log: (log.configuration_at_end.voters,), id="only the membership at the end"),
    ],
)
def test_the_model_finds_the_fault_of_a_weaker_rule(
    weaker: Callable[[Log], Electorates], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survivor, "electorates", weaker)
    count = Count()
    for number in range(1500):
        history(f"weaker-{number}", count)
        if count.complete_lost:
            return
    pytest.fail("1,500 histories did not find it")


def test_the_models_disks_read_the_same_through_real_bytes() -> None:
    """Written as a WAL and read by the real reader, a disk of the model says what the model says of it."""
    import random

    compared = 0
    for seed in range(30):
        cluster = Cluster(3, random.Random(seed), changes=seed % 2 == 0)
        cluster.run(600)
        for node in cluster.nodes.values():
            if not node.disk.log:
                continue
            writer = WalWriter(node_id=node.id, cluster_id=0xC1).open()
            for index, entry in enumerate(node.disk.log, 1):
                if entry.kind in (ADD, REMOVAL):
                    member = {"peerURLs": [f"http://{entry.value}:2380"]} if entry.kind == ADD else None
                    writer.change(entry.term, index, conf_change(0 if member else 1, entry.value, member))
                else:
                    writer.entry(entry.term, index, put(f"k{entry.value}") if entry.kind == WRITE else b"")
            state = node.disk.state
            writer.state(state.term, state.vote, min(state.commit, len(node.disk.log)))
            real, model = read_log(writer.done()), log_of(node)
            assert (real.last, real.hard_state, real.terms) == (model.last, model.hard_state, model.terms)
            assert real.configuration.voters == model.configuration.voters
            assert real.configuration_at_end.voters == model.configuration_at_end.voters
            assert real.voters_before == model.voters_before
            assert survivor.electorates(real) == survivor.electorates(model)
            compared += 1
    assert compared > 60
