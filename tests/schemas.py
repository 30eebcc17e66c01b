"""A strict validator for the keywords that docs/schema uses; any other keyword is an error, so that none is passed over."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[1] / "docs" / "schema"
KNOWN = {
    *("$schema", "$id", "title", "$defs", "$ref", "type", "properties", "required", "additionalProperties"),
    *("items", "enum", "const", "pattern", "anyOf"),
}
TYPES: dict[str, Any] = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}


@cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HOME / f"{name}.json").read_text())
    return found


def check(name: str, document: Any) -> None:
    """Raise AssertionError, with the place, where the document is not as the schema says."""
    problems = list(wrong(document, schema(name), schema(name), name))
    assert not problems, "\n".join(problems)


def is_of(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def wrong(value: Any, rule: Any, root: Any, place: str) -> list[str]:
    """Every way in which a value breaks a rule."""
    assert not rule.keys() - KNOWN, rule.keys() - KNOWN
    if "$ref" in rule:
        return wrong(value, root["$defs"][rule["$ref"].removeprefix("#/$defs/")], root, place)
    if "anyOf" in rule:
        tried = [wrong(value, each, root, place) for each in rule["anyOf"]]
        return [] if not all(tried) else min(tried, key=len)
    kinds = rule.get("type")
    if kinds is not None and not any(is_of(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{place}: {value!r} is no {kinds}"]
    if "const" in rule and (value != rule["const"] or type(value) is not type(rule["const"])):
        return [f"{place}: {value!r} is not {rule['const']!r}"]
    if "enum" in rule and value not in rule["enum"]:
        return [f"{place}: {value!r} is none of {rule['enum']}"]
    if "pattern" in rule and not re.search(rule["pattern"], value):
        return [f"{place}: {value!r} does not match {rule['pattern']}"]
    if isinstance(value, list):
        return [
            each for n, item in enumerate(value) for each in wrong(item, rule.get("items", {}), root, f"{place}[{n}]")
        ]
    return in_object(value, rule, root, place) if isinstance(value, dict) else []


def in_object(value: dict[str, Any], rule: Any, root: Any, place: str) -> list[str]:
    found = [f"{place}: {key} is missing" for key in rule.get("required", ()) if key not in value]
    properties, more = rule.get("properties", {}), rule.get("additionalProperties", True)
    for key, each in value.items():
        if key in properties:
            found += wrong(each, properties[key], root, f"{place}.{key}")
        elif more is False:
            found.append(f"{place}: {key} is not in the schema")
        elif more is not True:
            found += wrong(each, more, root, f"{place}.{key}")
    return found
