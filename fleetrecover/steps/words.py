"""PURE: one name for each step, in words, wherever a person reads it; and how long one may take.

Programs (the journal, `--json`) know a step by its class; a person never sees that.
"""

from __future__ import annotations

from collections.abc import Iterator

from fleetrecover import steps as s
from fleetrecover.errors import FleetRecoverError
from fleetrecover.model import Fleet
from fleetrecover.runtime import runtime_of


def kinds(of: type[s.Step] = s.Step) -> Iterator[type[s.Step]]:
    """Every kind of step that a plan may have."""
    for kind in of.__subclasses__():
        if kind is not s.Deeds and kind.__module__.startswith("fleetrecover."):
            yield kind
        yield from kinds(kind)


def name_of(step: s.Step | str) -> str:
    """What a person calls a step, or the class of that name; a class that is not known is shown in plain words.

    >>> name_of("AwaitQuorum"), name_of("SomethingNew")
    ('wait for a leader', 'something new')
    """
    if not isinstance(step, str):
        return step.words
    kind = kind_called(step)
    return kind.words if kind is not None else "".join(f" {c.lower()}" if c.isupper() else c for c in step).strip()


def kind_called(name: str) -> type[s.Step] | None:
    """The kind of step with that class name; None where there is none, as in the journal of another version."""
    return next((kind for kind in kinds() if kind.__name__ == name), None)


def waits(name: str) -> bool:
    """Whether a step, by its class's name, is mostly waiting for something to happen.

    >>> waits("AwaitQuorum"), waits("KeepData")
    (True, False)
    """
    kind = kind_called(name)
    return kind is not None and (kind.patience > 0 or kind.longest_wait is not s.Step.longest_wait)


def headline(step: s.Step, fleet: Fleet) -> tuple[str, s.Explained]:
    """A step's name and what it does, for a plan; and the rest of what is to be said of it."""
    said, name = step.explain(runtime_of(fleet, step.node)), step.words
    return (said.title if said.title.startswith(name) else f"{name}: {said.title}"), said


def limit_of(step: s.Step, fleet: Fleet) -> float | None:
    """How long a step may take at most, in seconds; None where that depends on how much there is to move."""
    if step.moves:
        return None
    told = step.longest_wait()
    try:
        acts = step.explain(runtime_of(fleet, step.node)).seconds
    except (FleetRecoverError, TypeError):  # whoever looks on must never stop a run
        acts = 0.0
    return told + acts or None


def limit_text(seconds: float | None) -> str:
    """The limit in words.

    >>> limit_text(90.0), limit_text(3600.0), limit_text(None)
    ('at most 90 s', 'at most 60 min', 'for as long as anything moves')
    """
    if seconds is None:
        return "for as long as anything moves"
    return f"at most {seconds / 60:.0f} min" if seconds > 300 else f"at most {seconds:.0f} s"
