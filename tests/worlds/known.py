"""What the worlds still show that is not mended: (invariant, a part of the kind) → what it is.

Every line is a debt, and goes away with its mend: `python -m tests.worlds` names the lines that nothing matches any more. A
kind that matches no line fails the suite.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.worlds.judge import Count

KNOWN: Mapping[tuple[str, str], str] = {
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
    ): "a reset that stops after it has fenced the data leaves an emptied quorum to begin anew (W31)",
}


ON_THE_LAB: Mapping[str, str] = {
    "container is called": "a renamed container beside a cluster that serves is told, and not renamed back (N17)",
    "runs beside": "the same, as `verify` says it (N17)",
    "has no container": "the same, as the final check says it (N17)",
}
"""A part of what is wrong on the lab → what it is."""


def known_on_the_lab(wrong: str) -> str | None:
    """What a failure on the lab is, if it is written down."""
    return next((what for part, what in ON_THE_LAB.items() if part in wrong), None)


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
