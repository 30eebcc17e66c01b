"""What the worlds still show that is not mended: (invariant, a part of the kind) → what it is.

Every line is a debt, and goes away with its mend: `python -m tests.worlds` names the lines that nothing matches any more. A
kind that matches no line fails the suite.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.worlds.judge import Count

KNOWN: Mapping[tuple[str, str], str] = {
    ("I2", "ring: diagnose 10"): "a host whose join is interrupted again and again",
    ("I2", "ring: recover 12"): "two disks of one member, one kept by a run that is open, which must be undone first",
    ("I2", "ring: recover 21"): "two runs open on a node, of which the older has rebuilt its container",
    ("I8", "out of reach"): "a removed member serves by itself, forced by hand, on a host that cannot be reached",
    ("I2", "too long"): "a ring in which something changes each time",
    (
        "I5",
        "lets a poorer cluster serve",
    ): "after an undo members that were behind, but not known to be, elect each other (W31)",
}


ON_THE_LAB: Mapping[str, str] = {}
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
