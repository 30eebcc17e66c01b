"""A strict reader of Prometheus' text format, as node_exporter's textfile collector takes it; made from its specification."""

from __future__ import annotations

import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)')
_SAMPLE = re.compile(rf"({_NAME})\{{(.*)\}} (\S+)")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """Every sample. Raises AssertionError for whatever the collector would refuse, or a family that is told in two parts."""
    assert text.endswith("\n"), "the last line has no line feed"
    found: Samples = {}
    typed: set[str] = set()
    current = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert re.fullmatch(_NAME, current), line
            assert current not in typed, f"{current} is told twice"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert (name, kind) == (current, "gauge"), line
            typed.add(name)
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == current and current in typed, f"{line}: not below its TYPE"
            key = (match[1], labels(match[2]))
            assert key not in found, f"{line}: twice"
            found[key] = float(match[3])
    return found


def labels(text: str) -> tuple[tuple[str, str], ...]:
    """The labels, unescaped."""
    pairs, at = [], 0
    while at < len(text):
        match = _LABEL.match(text, at)
        assert match, text[at:]
        pairs.append((match[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])))
        at = match.end()
    assert len({name for name, _ in pairs}) == len(pairs), text
    return tuple(pairs)
