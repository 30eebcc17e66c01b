"""The command line over a situation made of values: what is exchanged is only what asks the nodes, and the clock.

What is typed goes through `cli.run` as it is; the answer and the story come out as on a terminal of so many columns.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

import fleetrecover.checking
import fleetrecover.cli_snapshot
import fleetrecover.decide.undo
import fleetrecover.inventory
import fleetrecover.recover
import fleetrecover.report.console
import fleetrecover.snapshots.advice
import fleetrecover.snapshots.restore
import fleetrecover.survey
import fleetrecover.undo
import fleetrecover.verify
from fleetrecover import cli
from fleetrecover.checks.base import Observed, SnapshotSeen
from fleetrecover.commands.snapshots import RestoreState, Tool
from fleetrecover.decide.conclusion import Conclusion
from fleetrecover.decide.restore import Chosen
from fleetrecover.decide.verdict import Hashes
from fleetrecover.facts import Survey, WorkDir
from fleetrecover.report.terminal import SafeConsole
from fleetrecover.snapshots.catalogue import Catalogue

RUN = "r20260102T120000Z-ab12"
"""The run that every plan is made for."""
NOW = "2026-01-02T12:00:00Z"
CHOSEN = Chosen("nightly", "a" * 64, "b" * 64, 1 << 20, 77, source="n1")


@dataclass(frozen=True)
class Situation:
    """What a look at the nodes shows, and what a restore, `check` and `--work-dir` ask for besides.

    `hashes` are those that the members give where the cluster serves, all alike if none are said.
    """

    survey: Survey
    hashes: Hashes | None = None
    states: Mapping[str, RestoreState] = field(default_factory=dict)
    neighbours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    catalogue: Catalogue = field(default_factory=lambda: Catalogue((), None))
    taken: tuple[SnapshotSeen, ...] = ()
    work_dir: WorkDir | None = None
    chosen: Chosen = CHOSEN


@dataclass
class Said:
    """What came of a command: the exit code, everything that was printed, and the plan if one was made."""

    words: str
    code: int
    text: str
    plan: Any = None


class Nobody:
    """A transport that nothing may be asked of: whatever a command wants to know of the nodes has been exchanged."""

    def close(self) -> None:
        """As a transport."""


def alike(situation: Situation) -> Hashes | None:
    """The content hashes of the members that serve."""
    healthy = [node for node in situation.survey.nodes if node.healthy and node.status is not None]
    if situation.hashes is not None or not healthy:
        return situation.hashes
    revision = max(node.status.revision for node in healthy if node.status)
    return Hashes(revision, {node.name: (0x5EED, -1) for node in healthy}, ())


class _States:
    """Reads how far a restore is on a node."""

    situation: Situation

    def __init__(self, host: Any, _transport: object) -> None:
        self.host = host

    def read(self, _probe: object) -> Any:
        return self.situation.states.get(self.host.name, RestoreState())


def _observed(situation: Situation) -> Callable[..., Observed]:
    """What only `check` asks for."""

    def observe(_fleet: object, _transport: object, survey: Survey, conclusion: Conclusion) -> Observed:
        at_hand = [node for node in survey.nodes if node.accessible]
        wanted = {c.image: c.image_id for node in at_hand for c in node.containers}
        images = {n.name: {i: wanted[i] if i in n.images else None for i in wanted} for n in at_hand}
        return Observed(survey, conclusion, images, situation.taken)

    return observe


def _exchanged(situation: Situation) -> Iterator[tuple[Any, str, Any]]:
    """Module, name and what stands there instead."""

    def survey(*_a: object, **_k: object) -> Survey:
        return situation.survey

    def hashes(*_: object) -> Hashes | None:
        return alike(situation)

    settled = fleetrecover.recover.settled_survey
    recover, undo, restore = fleetrecover.recover, fleetrecover.undo, fleetrecover.snapshots.restore
    for module in (recover, undo, restore, fleetrecover.verify, fleetrecover.survey):
        yield module, "take_survey", survey
    for module in (recover, fleetrecover.verify):
        yield module, "take_hashes", hashes
    for module in (recover, restore):
        yield module, "new_run", lambda: RUN
        yield module, "now", lambda: NOW
    yield recover, "settled_survey", lambda fleet, transport, _sleep=None: settled(fleet, transport, lambda _s: None)
    yield recover, "look_at_work_dir", lambda *_: situation.work_dir
    yield undo, "look_at_kept", lambda found, *_: found
    yield undo, "Reader", type("States", (_States,), {"situation": situation})
    yield secrets, "token_hex", lambda _n=8: "70ce"
    yield restore._Looker, "states", lambda *_: dict(situation.states)
    yield restore._Looker, "choose", lambda *_: situation.chosen
    yield restore._Looker, "neighbours", lambda *_: dict(situation.neighbours)
    yield (
        restore._Looker,
        "tools",
        lambda _s, found, _f: (
            {node.name: Tool("etcdctl", False) for node in found.nodes if node.accessible},
            {},
        ),
    )
    yield fleetrecover.checking, "observe", _observed(situation)
    yield fleetrecover.snapshots.advice, "youngest", lambda *_: situation.catalogue
    yield fleetrecover.inventory, "load_fleet", lambda *_: situation.survey.fleet
    yield cli, "connected", _connected


@contextmanager
def _connected(_fleet: object) -> Iterator[Nobody]:
    yield Nobody()


_PLANNERS = (
    (fleetrecover.recover, "make_plan"),
    (fleetrecover.decide.undo, "make_undo"),
    (fleetrecover.decide.undo, "make_clean"),
    (fleetrecover.decide.restore, "make_restore_plan"),
)


@contextmanager
def acted(situation: Situation) -> Iterator[list[Any]]:
    """While this lasts commands are about that situation; the plans that were made are in the list."""
    plans: list[Any] = []

    def remembering(made: Callable[..., Any]) -> Callable[..., Any]:
        def make(*a: Any, **k: Any) -> Any:
            plans.append(made(*a, **k))
            return plans[-1]

        return make

    with ExitStack() as stack:
        for module, name, instead in _exchanged(situation):
            stack.enter_context(mock.patch.object(module, name, instead))
        for module, name in _PLANNERS:
            stack.enter_context(mock.patch.object(module, name, remembering(getattr(module, name))))
        yield plans


def say(situation: Situation, words: Sequence[str], width: int = 80) -> Said:
    """Type it at a terminal of so many columns without colours, where nobody answers a question.

    The commands of a plan are left out: they are kept apart.
    """
    screen = io.StringIO()
    console = SafeConsole(file=screen, force_terminal=True, width=width, color_system=None, highlight=False)
    consoles = {True: console, False: console}
    shown = partial(fleetrecover.report.console.print_plan, commands=False)
    with (
        acted(situation) as plans,
        mock.patch.object(cli.settings, "_consoles", consoles),
        mock.patch.object(fleetrecover.report.console, "print_plan", shown),
    ):
        code = cli.run(list(words))
    return Said(" ".join(words), code, screen.getvalue(), plans[-1] if plans else None)
