"""The situations, each with what is typed in it: fleets of the tests' fakes, and worlds that a seed has drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleetrecover.checks.base import SnapshotSeen
from fleetrecover.decide.diagnosis import Wish
from fleetrecover.decide.verdict import Hashes
from fleetrecover.facts import RESEED, WorkDir
from tests.decide.test_restore_resume import broken as to_restore
from tests.decide.test_resume import RUN
from tests.fakes.nodes import FakeFleet, Unit
from tests.golden.fleets import (
    away,
    half_undone,
    interrupted,
    labelled,
    lost,
    recovered,
    restored,
    restoring,
    serving,
    undone,
    wiped_last,
    with_certificates,
    with_podman,
    with_units,
)
from tests.golden.stage import Situation
from tests.worlds.breaks import draw

TAKEN = 1767225600.0
"""2026-01-01T00:00:00Z, when every survey of the fakes was taken, in seconds since the epoch."""


@dataclass(frozen=True)
class Scene:
    """A situation, in a few words, and what is typed in it."""

    told: str
    situation: Callable[[], Situation]
    typed: tuple[str, ...]


def drawn(seed: int) -> Scene:
    """The world of that seed, with the options that its operator types."""
    found = draw(seed)
    words = [f"--dead {name}" for name in sorted(found.words.dead)]
    words += [f"--survivor {found.words.survivor}"] if found.words.survivor else []
    typed = tuple(" ".join([command, *words]) for command in ("diagnose", "plan"))
    return Scene("; ".join(found.story), lambda: Situation(found.world.survey()), typed)


LOOK = ("survey", "diagnose", "plan", "verify")
JUDGE = ("diagnose", "plan")
CHECK = (*LOOK, "check")
"""What is typed."""

SEEDS = (
    654,
    124,
    469,
    243,
    801,
    218,
    430,
    59,
    303,
    385,
    163,
    599,
    348,
    24,
    248,
    619,
    736,
    881,
    138,
    52,
    9,
    202,
    674,
    18,
    79,
)
"""Worlds that show every finding which a thousand of them show, and every verdict for one to eight hosts."""


def _of(fleet: Callable[[], FakeFleet]) -> Callable[[], Situation]:
    return lambda: Situation(fleet().survey())


def _with(option: str) -> tuple[str, ...]:
    return f"diagnose {option}", f"plan {option}"


def _fakes() -> Iterator[tuple[str, Scene]]:
    yield from _healthy()
    yield from _broken()
    yield from _managed()
    yield from _under_way()
    yield from _taken_back()
    yield from _snapshots()


def _healthy() -> Iterator[tuple[str, Scene]]:
    snapshots = tuple(SnapshotSeen(f"n{n}", "nightly", TAKEN - 86400 * n, whole=n < 3) for n in (1, 2, 3))
    whole = lambda: Situation(serving().survey(), taken=snapshots)  # noqa: E731
    yield "healthy", Scene("all is well", whole, (*CHECK, "check --without n1", "recover", "undo --last"))
    ill = lambda: Situation(with_certificates(serving().survey()), taken=snapshots[:1])  # noqa: E731
    yield "healthy-but-ill", Scene("certificates are over, clocks differ", ill, CHECK)
    other = lambda: Situation(serving().survey(), Hashes(30, {"n1": (1, -1), "n2": (2, -1), "n3": None}, ("n3",)))  # noqa: E731
    yield "other-content", Scene("the members answer with other contents", other, ("verify", "recover", "check"))
    yield "one-wiped", Scene("it serves, one disk is empty", _of(lambda: wiped_last(serving())), (*CHECK, "recover"))
    five = lambda: wiped_last(wiped_last(serving(5)))  # noqa: E731
    yield "one-wiped-of-five", Scene("it serves, one of five is empty", _of(five), JUDGE)


def _broken() -> Iterator[tuple[str, Scene]]:
    yield "lost", Scene("two of three disks are empty", _of(lost), (*CHECK, "recover"))
    yield "lost-old", Scene("the same with etcd 3.3", _of(lambda: lost(version="3.3.25")), JUDGE)
    yield (
        "lost-dead",
        Scene(
            "one is empty, one away", _of(lambda: lost(wiped=1, dead=1)), ("diagnose", "verify", *_with("--dead n3"))
        ),
    )
    yield "lost-five", Scene("five: two are empty, one away", _of(lambda: lost(nodes=5, dead=1)), _with("--dead n5"))
    seven = _of(lambda: lost(nodes=7, wiped=3, dead=1))
    yield "lost-seven", Scene("seven: three are empty, one away", seven, ("survey", *_with("--dead n7")))
    yield "lost-wal", Scene("the WAL has a directory of its own", _of(lambda: lost(wal=True)), JUDGE)
    one = _of(lambda: lost(nodes=1, wiped=0))
    yield "single-down", Scene("one host, its etcd is down", one, (*CHECK, "recover"))
    yield (
        "all-down",
        Scene("all have their data, none runs", _of(lambda: lost(wiped=0)), ("diagnose", "plan", "recover")),
    )
    yield "nothing-left", Scene("no disk has anything", _of(lambda: lost(wiped=3)), LOOK)
    yield (
        "reseed",
        Scene(
            "every member gets the survivor's data",
            _of(lambda: lost(wiped=1, dead=1)),
            (
                "plan --method reseed --dead n3",
                "plan --method reset --dead n3",
            ),
        ),
    )
    work = WorkDir("/spare", "/mnt/spare", 10**12)
    apart = lambda: Situation(lost().survey(), work_dir=work)  # noqa: E731
    yield "work-dir", Scene("the data is kept on another filesystem", apart, ("plan --work-dir /spare",))
    worse = Scene("the operator has chosen a shorter log", _of(lambda: lost(wiped=1)), _with("--survivor n2"))
    yield "shorter-survivor", worse


def _managed() -> Iterator[tuple[str, Scene]]:
    yield "unit-remakes", Scene("a unit makes etcd anew", _of(lambda: with_units(lost(), Unit())), ("plan", "recover"))
    attaches = _of(lambda: with_units(lost(), Unit(remakes=False)))
    yield "unit-attaches", Scene("a unit starts etcd", attaches, JUDGE)
    compose = lambda: Situation(  # noqa: E731
        labelled(lost().survey(), com__docker__compose__project="etcd", com__docker__compose__service="etcd")
    )
    yield "compose", Scene("compose has made the containers", compose, JUDGE)
    pods = lambda: Situation(labelled(lost().survey(), io__kubernetes__pod__name="etcd-n1"))  # noqa: E731
    yield "static-pod", Scene("the kubelet runs etcd", pods, JUDGE)
    yield "podman", Scene("podman is the engine", lambda: Situation(with_podman(lost().survey())), JUDGE)


def _under_way() -> Iterator[tuple[str, Scene]]:
    for kind in ("Fence", "Quarantine", "Adopt", "StartOriginal", "Join", "FinishRun"):
        fleet = _of(lambda kind=kind: interrupted(lost(), kind))  # type: ignore[misc]
        yield f"open-before-{kind.lower()}", Scene(f"a run was stopped before {kind}", fleet, (*JUDGE, f"undo {RUN}"))
    wish = Wish(method=RESEED)
    for kind in ("SeedData", "ProveSeed", "AdoptSeed"):
        fleet = _of(lambda kind=kind: interrupted(lost(), kind, wish))  # type: ignore[misc]
        yield f"reseed-before-{kind.lower()}", Scene(f"a reseed, stopped before {kind}", fleet, (*JUDGE, f"undo {RUN}"))
    done = _of(lambda: recovered(lost()))
    yield "recovered", Scene("a run has ended well", done, (*CHECK, f"undo {RUN}", f"clean {RUN}", "clean --finished"))
    for steps in (2, 5):
        half = _of(lambda steps=steps: half_undone(recovered(lost()), steps))  # type: ignore[misc]
        yield (
            f"half-undone-{steps}",
            Scene(f"an undo was stopped after {steps} steps", half, ("survey", *JUDGE, f"undo {RUN}")),
        )
    parted = _of(lambda: interrupted(lost(wal=True), "StartOriginal"))
    yield "undo-wal", Scene("a run with a WAL directory was stopped", parted, (*JUDGE, f"undo {RUN}"))


def _taken_back() -> Iterator[tuple[str, Scene]]:
    for word, unit in (("remakes", Unit()), ("attaches", Unit(remakes=False)), ("stopped", Unit(active=False))):
        fleet = _of(lambda unit=unit: interrupted(with_units(lost(), unit), "StartOriginal"))  # type: ignore[misc]
        yield f"undo-unit-{word}", Scene("a run where units start etcd was stopped", fleet, (f"undo {RUN}",))
    gone = _of(lambda: away(recovered(lost()), "n3"))
    yield (
        "undo-away",
        Scene("a run has ended well, one host is off now", gone, ("diagnose", f"undo {RUN}", f"clean {RUN}")),
    )
    back = _of(lambda: undone(interrupted(lost(), "Join")))
    yield "undone", Scene("a run was taken back", back, ("diagnose", f"undo {RUN}", "undo --last", "clean --finished"))
    yield "restored", Scene("a restore has ended well", restored, ("diagnose", "undo r1", "clean r1"))
    nobody = _of(lambda: lost(wiped=0, dead=3))
    typed = ("diagnose", "plan", f"undo {RUN}", "snapshot restore nightly", "check")
    yield "nobody", Scene("no host answers", nobody, typed)


def _snapshots() -> Iterator[tuple[str, Scene]]:
    plain = _of(lambda: to_restore(3, 1, 0, 0))
    yield "restore", Scene("a snapshot is restored", plain, ("snapshot restore nightly",))
    for stage in ("fence", "start", "kubernetes"):
        told = f"a restore was stopped before its stage {stage}"
        typed = ("diagnose", "plan", "snapshot restore nightly", "undo r1")
        yield f"restoring-{stage}", Scene(told, lambda stage=stage: restoring(stage), typed)  # type: ignore[misc]
    serves = _of(serving)
    again = ("snapshot restore nightly", "snapshot restore nightly --replace-living")
    yield "restore-living", Scene("it serves, and a snapshot is to be restored", serves, again)


def names() -> tuple[str, ...]:
    """The names of all of them."""
    return (*dict(_fakes()), *(f"drawn-{seed}" for seed in SEEDS))


def scene(name: str) -> Scene:
    """The one of that name."""
    kind, _, seed = name.partition("-")
    return drawn(int(seed)) if kind == "drawn" else dict(_fakes())[name]
