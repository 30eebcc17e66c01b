"""Worlds that nobody drew, in the unit suite; and that the judge finds what is wrong, when something is."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import fleetrecover.decide.diagnosis as diagnosis_module
import fleetrecover.recover as recover_module
from fleetrecover.decide.survivor import Candidate, Choice, NoChoice, ProofKind, choose_survivor
from fleetrecover.errors import Refused
from tests.conftest import WORLDS as WORLDS_SEED
from tests.worlds import hands, seams
from tests.worlds.breaks import draw
from tests.worlds.disks import log_of
from tests.worlds.hosts import Host
from tests.worlds.judge import Count, judge_world
from tests.worlds.known import unknown
from tests.worlds.seams import exchanged

WORLDS = 100
"""In the unit suite; `make test` plays thrice as many more, and `python -m tests.worlds --worlds 100000` is for the night."""


@pytest.fixture
def product() -> Iterator[None]:
    with exchanged():
        yield


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3))])
def test_worlds(product: None, part: int) -> None:
    """No invariant is broken but in ways that are written down as known."""
    first = int(os.environ[WORLDS_SEED]) * 1000 + part * WORLDS
    count = Count()
    for seed in range(first, first + WORLDS):
        night, failures = judge_world(seed)
        count.add(str(seed), night, failures)
    found = unknown(count)
    assert not found, "\n".join(
        [f"seeds {first} to {first + WORLDS - 1}; one again: python -m tests.worlds --seed S -v", *found]
    )


def test_a_world_can_be_had_again(product: None) -> None:
    """The same seed gives the same world, the same night and the same judgement."""
    for seed in ("again 1", "again 2", "again 3"):
        one, other = (judge_world(seed) for _ in range(2))
        assert [step.move.name for step in one[0].steps] == [step.move.name for step in other[0].steps]
        assert one[0].world.picture() == other[0].world.picture()


def test_the_logs_are_what_the_disks_have() -> None:
    """What the reader makes of the bytes agrees with what the oracle knows, snapshots and changes of membership included."""
    for seed in range(60):
        for host in draw(seed).world.hosts:
            disk = host.disk
            if disk is None or not disk.sound:
                continue
            log, seen = log_of(disk), disk.roster()
            assert (log.last.term, log.last.index) == disk.last
            assert log.commit == disk.commit
            assert log.configuration_at_end.voters == seen.voters
            assert log.configuration_at_end.learners == seen.learners
            assert log.configuration_at_end.removed == seen.removed


# --- a judge that cannot fail is no judge -----------------------------------------------------------------------------


def first_in_the_list(candidates: Any, names: Any, override: Any = None) -> Choice | NoChoice:
    """Chooses whoever comes first in the inventory."""
    choice = choose_survivor(candidates, names, override)
    voters: list[Candidate] = [c for c in candidates if c.log.node_id in c.log.configuration.voters]
    return replace(choice, survivor=voters[0].host) if isinstance(choice, Choice) and voters else choice


def always_complete(candidates: Any, names: Any, override: Any = None) -> Choice | NoChoice:
    """Says provably complete of everything."""
    choice = choose_survivor(candidates, names, override)
    return replace(choice, proof=ProofKind.COMPLETE) if isinstance(choice, Choice) else choice


def loses_the_original(host: Host, run: str, part: str) -> None:
    """Moves data aside, to nowhere."""
    host.disk = None


def forgets_to_put_back(host: Host, run: str) -> None:
    """An undo that leaves the original where it is."""


def forgets_the_commit(host: Host, step: Any) -> None:
    """Does not raise the commit of the copy, so that the reset cuts its last entries off."""
    parts = host.kept[step.paths.run].parts
    parts["work"] = parts.pop("partial")


def refuses_late(_self: Any, _plan: Any, _choice: Any) -> Any:
    """Says that nothing was changed, after the fence."""
    raise Refused("it is not safe; nothing was changed")


def sees_nobody_serve(survey: Any, wish: Any, *_: Any) -> Any:
    """Takes a living cluster for a lost one."""
    return diagnosis_module._without_quorum(survey, wish, [], None)


def without_hints(_answer: Any, _diagnosis: Any) -> None:
    """Says what is wrong and not what to do."""


SABOTAGES: list[tuple[str, Any, str, Callable[..., Any], int]] = [
    # the last: the world in which it was last found, which is tried first
    ("I1", diagnosis_module, "choose_survivor", first_in_the_list, 159),
    ("I7", diagnosis_module, "choose_survivor", always_complete, 7),
    ("I4", hands, "_move_aside", loses_the_original, 1),
    ("I5", hands, "_put_back", forgets_to_put_back, 1),
    ("I1", hands, "_raise", forgets_the_commit, 41),
    ("I6", recover_module._Run, "after_fence", refuses_late, 1),
    ("I8", diagnosis_module, "_with_quorum", sees_nobody_serve, 1),
    ("I2", seams, "_findings", without_hints, 0),
]


@pytest.mark.parametrize(
    ("invariant", "place", "name", "worse", "last"),
    SABOTAGES,
    ids=[f"{s[0]}-{s[2]}-{n}" for n, s in enumerate(SABOTAGES)],
)
def test_sabotage_is_found(
    product: None,
    monkeypatch: pytest.MonkeyPatch,
    invariant: str,
    place: Any,
    name: str,
    worse: Callable[..., Any],
    last: int,
) -> None:
    """Within some worlds the judge names the invariant, in a way in which the product as it is does not fail there."""
    for number in (last, *range(MOST_WORLDS)):
        with monkeypatch.context() as sabotage:
            sabotage.setattr(place, name, worse)
            found = kinds(invariant, f"sabotage {number}")
        if found - kinds(invariant, f"sabotage {number}"):
            return
    raise AssertionError(f"{name} was sabotaged, and no {invariant} in {MOST_WORLDS} worlds")


MOST_WORLDS = 250


def kinds(invariant: str, seed: str) -> set[str]:
    """In which ways the invariant does not hold in that world."""
    return {failure.kind for failure in judge_world(seed)[1] if failure.invariant == invariant}


def test_seeds_are_told(product: None) -> None:
    """Every failure names a seed that shows it again."""
    count = Count()
    dice = random.Random(7)
    for _ in range(40):
        seed = dice.randrange(10**6)
        night, failures = judge_world(seed)
        count.add(str(seed), night, failures)
    for (invariant, kind), (where, _) in list(count.first.items())[:5]:
        again = judge_world(int(where.rpartition("seed ")[2]))[1]
        assert any((f.invariant, f.kind) == (invariant, kind) for f in again)
