"""What the worlds still show that is not mended: (invariant, a part of the kind) → what it is.

Every line is a debt, and goes away with its mend: `python -m tests.worlds` names the lines that nothing matches any more. A
kind that matches no line fails the suite.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.worlds.judge import Count

KNOWN: Mapping[tuple[str, str], str] = {
    ("I1", "(repair) says 0 over a better disk"): "the same, by the repair that follows",
    ("I1", "(finish) says 0 over a better disk"): "BAD revision (22) is forgotten by the same command, given again",
    (
        "I1",
        "(reset) says 0 over a better disk",
    ): "a log whose owner is no voter at its end is left (A3)",
    (
        "I2",
        "crash: recover 1 [KeyError: '']",
    ): "a repair that moved data, and lost its quorum, is reset with no survivor",
    ("I2", "ring: diagnose 10"): "a member or host that is away and not declared dead; what lies set aside (N8)",
    ("I2", "ring: diagnose 12"): "what is blocked still says that recover finishes or takes it away",
    ("I2", "ring: recover 10 [recovered]"): "a renamed container: 10 recovered and 22, in turns (N17)",
    ("I2", "ring: recover 12"): "two disks of one member",
    ("I2", "ring: recover 20"): "--survivor of one that cannot survive",
    ("I2", "ring: recover 21"): "members on the wrong hosts (N2, N3), members that must be removed first (R1)",
    ("I2", "ring: recover 22"): "names of containers (N17), old restart policies (E2), a dead one that is back (N5)",
    ("I2", "dead end: diagnose 12"): "a member whose disk runs elsewhere can neither be reached nor declared dead (N2)",
    ("I2", "dead end: recover 1"): "members on the wrong hosts (N2); a forced container alone",
    (
        "I2",
        "refused hint: recover 20 [N has no",
    ): "no container, or no sound log: diagnose promises what recover refuses",
    ("I2", "refused hint: recover 20 [no readable log"): "after a fence the same hint is given again",
    ("I2", "refused hint: recover 20 [no member's log"): "--dead is advised for all hosts (N9)",
    ("I2", "refused hint: recover 20 [N answers SSH"): "--dead is advised for hosts that answer (N9, N10)",
    ("I2", "too long"): "a ring in which something changes each time",
    ("I3", "recover 0, diagnose 10 [leftover-container"): "a joiner that a failed join left is seen by diagnose alone",
    (
        "I5",
        "lets a poorer cluster serve",
    ): "undo starts emptied members with, or before, the one that has the data (N1)",
    ("I5", "a container is not as it was"): "undo of a START does not stop what it had started",
    ("I7", "is a newborn's, without any write"): "emptied disks, begun anew, prove each other (A5)",
}


def is_known(invariant: str, kind: str) -> bool:
    """Whether a kind of failure is written down."""
    return any(invariant == known and part in kind for known, part in KNOWN)


def unknown(count: Count) -> list[str]:
    """The kinds that were found and are not known, told with a seed."""
    return [
        f"{invariant} {number} x {kind} ({count.first[invariant, kind][0]}): {count.first[invariant, kind][1][:300]}"
        for (invariant, kind), number in sorted(count.kinds.items())
        if not is_known(invariant, kind)
    ]


def stale(count: Count) -> list[str]:
    """The lines that nothing matched."""
    return [
        f"{known} {part!r}: {what}"
        for (known, part), what in KNOWN.items()
        if not any(invariant == known and part in kind for invariant, kind in count.kinds)
    ]
