"""Holding nodes: a living holder is left alone, a dead one is not waited for, and what it had begun is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest

from fleetrecover import hold as h
from fleetrecover import limits
from fleetrecover.commands import actions
from fleetrecover.commands.base import BUSY
from fleetrecover.commands.paths import RunPaths
from fleetrecover.errors import Held, Refused, StoppedPartWay
from fleetrecover.facts import Hold, NodeFacts
from tests.decide import surveys
from tests.fakes.transport import FakeTransport, failed

PATHS = RunPaths("/var/lib/etcd.fleetrecover", "r1")
LISTING = "real=/var/lib/etcd\nexists=1\nmember=1\nfree=9\nsize=1\n"


def holder(**more: object) -> Hold:
    mine = h.make_holder("r9")
    found = Hold(mine.token, "r9", "ann", mine.host, mine.pid, mine.born, "now", "1")
    return replace(found, **more)  # type: ignore[arg-type]


def listing(hold: Hold, beat: str) -> str:
    told = {key: value for key, value in asdict(hold).items() if key != "beat"}
    return f"{LISTING}root=/var/lib/etcd.fleetrecover\nhold={json.dumps(told)}\nbeat={beat}\n"


def held(answers: Mapping[str, object], **more: object) -> tuple[list[str], list[str], list[float]]:
    """Hold one node that answers so; what was asked, what was noted, and what was slept."""
    defaults = {"take-hold": 0, "still-held": 0, "release-hold": 0, "beat": 0, "break-hold": 0}
    transport = FakeTransport({"etcd1": defaults | dict(answers)})
    notes: list[str] = []
    slept: list[float] = []
    node: NodeFacts = surveys.node(1)
    with h.NodeHold(
        transport,
        [node],
        lambda _: PATHS,
        h.make_holder("r1"),
        sleep=slept.append,
        note=notes.append,
    ):
        pass
    return [asked.name for asked in transport.asked], notes, slept


def test_a_holder_of_this_machine_is_dead_only_if_its_process_is_gone() -> None:
    assert not h.surely_dead(holder())
    assert h.surely_dead(holder(born="1"))
    assert h.surely_dead(holder(pid=4194399))
    assert not h.surely_dead(holder(born=""))


def test_a_holder_of_another_machine_is_never_surely_dead() -> None:
    """A process number says nothing about another machine, nor about this one before its last boot."""
    assert not h.surely_dead(holder(host="elsewhere 0", pid=4194399))
    name = h.this_machine().split(" ")[0]
    assert not h.surely_dead(holder(host=f"{name} 00000000-0000-0000-0000-000000000000", born="1"))


def test_a_living_holder_is_not_broken() -> None:
    """Its counter moves: the second run gets 23, and touches nothing."""
    other = holder(host="elsewhere 0")
    seen = [listing(other, "1"), listing(other, "1"), listing(other, "2")]
    with pytest.raises(Held, match="ann on elsewhere"):
        held({"take-hold": actions.HELD, "data-listing": seen, "break-hold": AssertionError("it was broken")})


def test_a_holder_whose_counter_stands_still_is_broken_after_a_while() -> None:
    other = holder(host="elsewhere 0")
    asked, notes, slept = held({"take-hold": [actions.HELD, 0], "data-listing": listing(other, "1")})
    assert asked.count("break-hold") == 1
    assert sum(slept) >= limits.WATCH
    assert any("held by run r9 of ann" in note for note in notes)


def test_a_dead_process_of_this_machine_is_not_watched() -> None:
    dead = holder(born="1")
    asked, _, slept = held({"take-hold": [actions.HELD, 0], "data-listing": listing(dead, "1")})
    assert asked.count("break-hold") == 1
    assert slept == []


def test_what_an_earlier_run_has_begun_is_waited_for_before_anything_is_looked_at() -> None:
    """As long as it may take, and it is said what is waited for."""
    busy = failed(BUSY, "busy: copy, at most 3000 s more\n")
    asked, notes, slept = held({"still-held": [busy] * 40 + [0]})
    assert asked.count("still-held") == 41
    assert len(slept) == 40
    assert any("copy" in note and "3000 s" in note for note in notes)
    assert 5 < len(notes) < 20


def test_what_does_not_end_holds_the_node() -> None:
    """At its limit the node ends it by itself; one that is there still is told, and the hold is let go."""
    busy = failed(BUSY, "busy: copy, at most 30 s more\n")
    with pytest.raises(Held, match=r"copy.*still runs there after 30 s; nothing was changed"):
        held({"still-held": busy})


def test_a_hold_that_cannot_be_taken_says_why() -> None:
    full = failed(2, "mkdir: cannot create directory '/var/lib/etcd.fleetrecover': No space left on device\n")
    with pytest.raises(Refused, match="no space is left on the filesystem of /var/lib") as told:
        held({"take-hold": full})
    assert "df -h /var/lib" in (told.value.hint or "")
    with pytest.raises(Refused, match="symbolic link"):
        held({"take-hold": actions.NOT_OURS})
    with pytest.raises(StoppedPartWay, match="could not be taken: Read-only"):
        held({"take-hold": failed(2, "Read-only file system")})


def test_born_of_this_process_is_told() -> None:
    assert h.born(os.getpid()).isdigit()
    assert h.born(4194399) == ""
