"""What the worlds still show that is not mended: (invariant, a part of the kind) → where it is written down.

Every line here is a debt. A kind that matches none fails the suite.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.worlds.judge import Count

KNOWN: Mapping[tuple[str, str], str] = {}


def unknown(count: Count) -> list[str]:
    """The kinds that were found and are not known, told with a seed."""
    return [
        f"{invariant} {number} x {kind} ({count.first[invariant, kind][0]}): {count.first[invariant, kind][1][:300]}"
        for (invariant, kind), number in sorted(count.kinds.items())
        if not any(invariant == known and part in kind for known, part in KNOWN)
    ]
