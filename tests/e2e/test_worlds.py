"""Random worlds on real hosts: a dozen before each merge, two hundred at night. $FLEETRECOVER_WORLDS says which."""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import WORLDS
from tests.e2e.conftest import Fleet
from tests.worlds.known import known_on_the_lab
from tests.worlds.lab import LabWorld, draw, work

FEW, MANY = 12, 200


def seed_of(number: int) -> str:
    return f"{os.environ[WORLDS]}-{number}"


def one_world(fleet: Fleet, seed: str) -> None:
    """Play it, follow the hints, and see that no invariant is broken."""
    dice = random.Random(seed)
    lab, tool = fleet(3, dice.choice(("3.4.23", "3.4.23", "3.5.30")))
    world = LabWorld(lab, tool, draw(seed, [host.name for host in lab.hosts]))
    try:
        world.play()
        night = work(world)
    finally:
        for name in world.away:
            if world.away[name] == "cut":
                lab.mend(name)
        lab.power_on(*(name for name, kind in world.away.items() if kind in ("off", "gone")))
    told = "\n".join([f"seed {seed}: {world.drawn}", *world.log, f"end: {night.end}", *night.wrongs])
    print(told)
    assert not [wrong for wrong in night.wrongs if known_on_the_lab(wrong) is None], told
    if night.wrongs:
        pytest.xfail(f"known: {known_on_the_lab(night.wrongs[0])}")


@pytest.mark.lab
@pytest.mark.parametrize("number", range(FEW))
def test_a_world(fleet: Fleet, number: int) -> None:
    one_world(fleet, seed_of(number))


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize("number", range(FEW, MANY))
def test_a_world_at_night(fleet: Fleet, number: int) -> None:
    one_world(fleet, seed_of(number))
