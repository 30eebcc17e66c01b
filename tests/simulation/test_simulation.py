"""Random histories of a modelled Raft cluster; `python -m tests.simulation` does ten thousand, and nightly a hundred thousand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetrecover.decide import candidates, electorates, survivor
from fleetrecover.decide.electorates import Decided, Electorates
from fleetrecover.etcd.log import Log
from fleetrecover.etcd.wal import read_log
from tests.simulation.disks import written
from tests.simulation.judge import Count, history
from tests.simulation.raft import TAMPERS, Cluster, log_of

HISTORIES = 3000


@pytest.fixture(scope="module")
def counted() -> Count:
    count = Count()
    for number in range(HISTORIES):
        history(f"check-{number}", count)
    return count


def test_no_acknowledged_write_is_lost_where_the_choice_says_so(counted: Count) -> None:
    assert counted.failures == []
    assert counted.wrong == 0
    assert counted.complete > 8000
    assert counted.best_lost > 500
    assert counted.acknowledged > 20000
    assert counted.sure > 10000


def test_the_old_electorates_lose_writes_in_the_same_histories(counted: Count) -> None:
    """So the histories can tell a good rule from a bad one."""
    assert counted.old_complete > 8000
    assert counted.old_lost > 0


def test_disks_that_were_tampered_with_are_there_and_noticed(counted: Count) -> None:
    assert counted.tampered > 300
    assert counted.split > 100
    assert counted.forgetful > 10
    assert counted.hidden > 500


# --- the model can fail ---


def lost(monkeypatch: pytest.MonkeyPatch, histories: int = 1500) -> bool:
    """Whether a weaker rule, which must be in place already, errs in so many histories."""
    count = Count()
    for number in range(histories):
        history(f"weaker-{number}", count)
        if count.wrong:
            return True
    return False


@pytest.mark.parametrize(
    "weaker",
    [
        pytest.param(lambda log: (log.configuration.voters,), id="only the membership at the commit"),
        pytest.param(lambda log: (log.configuration_at_end.voters,), id="only the membership at the end"),
    ],
)
def test_the_model_finds_the_fault_of_fewer_electorates(
    weaker: Callable[[Log], Electorates], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = electorates.decided
    monkeypatch.setattr(survivor, "electorates", weaker)
    monkeypatch.setattr(survivor, "decided", lambda logs: replace(whole(logs), electorates=weaker(whole(logs).by)))
    assert lost(monkeypatch)


def test_the_model_finds_the_fault_of_believing_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows who voted before, and it is called complete all the same."""
    whole = electorates.decided

    def sure(logs: list[Log]) -> Decided:
        return replace(whole(logs), unknown="")

    monkeypatch.setattr(survivor, "decided", sure)
    assert lost(monkeypatch, 6000)


def test_the_model_finds_the_fault_of_believing_bare_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "newborn", lambda log: False)
    monkeypatch.setattr(survivor, "newborn", lambda log: False)
    assert lost(monkeypatch)


def test_the_model_finds_the_fault_of_accusing_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one electorate instead of all."""
    monkeypatch.setattr(electorates, "before_last_change", lambda log, index, after=0: ())
    monkeypatch.setattr(candidates, "before_last_change", lambda log, index, after=0: ())
    assert lost(monkeypatch)


# --- the model and the real formats ---


def test_the_models_disks_read_the_same_through_real_bytes() -> None:
    """Written as a WAL and .snap files and read by the real reader, a disk of the model says what the model says of it."""
    seen: Counter[str] = Counter()
    for seed in range(120):
        tampers = TAMPERS if seed % 4 == 3 else ()
        cluster = Cluster(3, random.Random(seed), changes=seed % 2 == 0, snapshots=seed % 3 > 0, tampers=tampers)
        cluster.run(500)
        for node in cluster.nodes.values():
            real, model = read_log(*written(node)), log_of(node)
            assert (real.last, real.hard_state, real.terms) == (model.last, model.hard_state, model.terms)
            assert (real.snapshot, real.changes_known_from) == (model.snapshot, model.changes_known_from)
            for mine, theirs in (
                (real.configuration, model.configuration),
                (real.configuration_at_end, model.configuration_at_end),
            ):
                assert (mine.voters, mine.learners, mine.removed) == (theirs.voters, theirs.learners, theirs.removed)
            assert (real.voters_before, real.voter_changes) == (model.voters_before, model.voter_changes)
            assert dict(real.removed_at) == dict(model.removed_at)
            assert survivor.electorates(real) == survivor.electorates(model)
            seen["all"] += 1
            seen["snapshot"] += bool(real.snapshot.index)
            seen["received"] += bool(real.snapshot.index) and real.changes_known_from > real.snapshot.index
            seen["learner"] += bool(real.configuration.learners)
            seen["removed"] += bool(real.configuration.removed)
            seen["hidden change"] += any(c.index <= real.snapshot.index for c in real.voter_changes)
            seen["bare"] += not len(real.entries)
    assert all(
        seen[kind] > 5 for kind in ("all", "snapshot", "received", "learner", "removed", "hidden change", "bare")
    )
